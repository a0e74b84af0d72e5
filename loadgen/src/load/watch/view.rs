//! The live view: rates and latency percentiles over time, loss, and lights that say whether to believe them.
//!
//! ```text
//!   title, phase, gauge | rate, loss, latency in figures | rates over time | latency over time | lights | last event
//! ```
//!
//! * Each slice is summed once, when nothing of it is under way any more; memory is bounded by the number of slices.
//! * Pure but for the frame that it draws on.

use crate::load::watch::events::Pulse;
use crate::load::watch::slices;
use crate::load::watch::state::{Load, Seen, State, settled};
use crate::units::{show_count, show_fraction, show_ns};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, Paragraph};
use results::run::Point;

/// What is shown.
#[derive(Debug, Default)]
pub struct View {
    title: String,
    headline: String,
    /// How far the run is, 0 to 1.
    done: f64,
    length_s: f64,
    interval_s: f64,
    points: Vec<Point>,
    /// Seconds and datagrams per second: meant, and managed.
    offered: Vec<(f64, f64)>,
    achieved: Vec<(f64, f64)>,
    before: Option<Pulse>,
    pulse: Pulse,
    /// The worst lag of the last pictures, ns.
    lags: [u64; LAGS],
    events: Vec<String>,
    is_running: bool,
}

impl View {
    /// Of a run that is called so.
    pub fn new(title: String) -> Self {
        Self { title, ..Self::default() }
    }

    /// Takes in a state.
    pub fn note(&mut self, state: &State<'_>) {
        self.headline = match state {
            State::Load(load) => load.name().to_owned(),
            state => state.line(),
        };
        match state {
            State::Trying { .. } => {
                // Another run, another picture.
                let title =
                    format!("{}  {}", self.title.split("  ").next().unwrap_or_default(), self.headline);
                *self = Self { headline: std::mem::take(&mut self.headline), ..Self::new(title) };
            }
            State::Contacts { obtained, endpoints } => {
                self.done = f64::from(*obtained) / f64::from((*endpoints).max(1));
            }
            State::Load(load) => self.note_load(load),
        }
    }

    fn note_load(&mut self, load: &Load<'_>) {
        let Load { phase, pulse, profile, .. } = *load;
        let seconds = |ns: u64| as_f64(ns) / 1e9;
        let whole_ns = phase.end_ns().saturating_sub(phase.start_ns()).max(1);
        self.done = (as_f64(pulse.at_ns.saturating_sub(phase.start_ns())) / as_f64(whole_ns)).min(1.0);
        self.length_s = seconds(phase.end_ns().saturating_sub(phase.measured_ns()));
        let elapsed_ns = phase.elapsed_ns(pulse.at_ns);
        self.is_running = pulse.at_ns < phase.end_ns();
        if elapsed_ns > 0 && self.is_running {
            let at_s = seconds(elapsed_ns);
            if let Some(before) = self.before {
                let passed_s = seconds(pulse.at_ns.saturating_sub(before.at_ns)).max(1e-3);
                let managed = as_f64(pulse.taken.saturating_sub(before.taken)) / passed_s;
                push(&mut self.offered, (at_s, profile.rate_at(elapsed_ns)));
                push(&mut self.achieved, (at_s, managed));
            }
        }
        self.before = Some(pulse);
        self.lags.rotate_right(1);
        let [newest, ..] = &mut self.lags;
        *newest = pulse.lag_ns;
        self.pulse = pulse;
        self.events = load.events.iter().rev().take(1).map(|event| event.what.clone()).collect();
        if let Seen::Slices(workers) = load.seen {
            let interval_ns = workers.first().map_or(1, slices::Slices::interval_ns);
            self.interval_s = seconds(interval_ns);
            let all = workers.first().map_or(0, slices::Slices::count);
            for index in self.points.len()..settled(interval_ns, elapsed_ns).min(all) {
                self.points.push(slices::sum(workers.iter(), index, index + 1));
            }
        }
    }

    /// Draws everything.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let rows = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(3),
            Constraint::Min(6),
            Constraint::Min(6),
            Constraint::Length(1),
            Constraint::Length(1),
        ]);
        let [title, gauge, figures, rates, latency, lights, event] = rows.areas(frame.area());
        frame.render_widget(Paragraph::new(self.title.as_str()).bold(), title);
        let label = format!("{} {}", self.headline, self.clock());
        frame.render_widget(
            Gauge::default().ratio(self.done.clamp(0.0, 1.0)).label(label).gauge_style(Color::Blue),
            gauge,
        );
        frame.render_widget(Paragraph::new(self.figures()), figures);
        self.draw_rates(frame, rates);
        self.draw_latency(frame, latency);
        frame.render_widget(Paragraph::new(self.lights()), lights);
        let last = self.events.first().map_or("", String::as_str);
        frame.render_widget(Paragraph::new(last).fg(Color::Yellow), event);
    }

    fn clock(&self) -> String {
        let now_s = self.offered.last().map_or(0.0, |(at_s, _)| *at_s);
        if self.length_s > 0.0 { format!("{now_s:.0} of {:.0} s", self.length_s) } else { String::new() }
    }

    /// Rate, loss and latency of about the last second.
    fn figures(&self) -> Vec<Line<'static>> {
        let rate = |rates: &[(f64, f64)]| {
            let last = rates.iter().rev().take(4).map(|(_, rate)| *rate);
            let (count, sum) = last.fold((0.0, 0.0), |(count, sum), rate| (count + 1.0, sum + rate));
            shown_rate(if count > 0.0 { sum / count } else { 0.0 })
        };
        let of_a_second = if self.interval_s > 0.0 { (1.0 / self.interval_s).max(1.0) } else { 1.0 };
        let lately =
            || self.points.iter().rev().zip(0_u32..).filter(move |(_, age)| f64::from(*age) < of_a_second);
        let sum_of = |of: fn(&Point) -> u64| lately().map(|(point, _)| of(point)).sum::<u64>();
        let worst_of = |of: fn(&Point) -> u64| lately().map(|(point, _)| of(point)).max().unwrap_or(0);
        let sum = |of: fn(&Point) -> u64| self.points.iter().map(of).sum::<u64>();
        let (sent, delivered, refused) =
            (sum(|point| point.sent), sum(|point| point.delivered), sum(|point| point.refused_by_nat));
        let part = |count: u64| show_fraction(as_f64(count) / as_f64(sent.max(1)));
        let lost = sent.saturating_sub(delivered + refused);
        let sent_lately = sum_of(|point| point.sent);
        let seen_lately = sum_of(|point| point.delivered + point.refused_by_nat);
        let lost_lately = as_f64(sent_lately.saturating_sub(seen_lately)) / as_f64(sent_lately.max(1));
        let lost_lately = show_fraction(lost_lately);
        vec![
            Line::from(format!(
                "rate     {} meant, {} managed; {} sent so far",
                rate(&self.offered),
                rate(&self.achieved),
                show_count(self.pulse.taken)
            )),
            Line::from(format!(
                "loss     {} lately, {} of all; {} refused by NATs",
                lost_lately,
                part(lost),
                part(refused)
            )),
            Line::from(format!(
                "latency  at most p50 {}, p99 {} in a slice of the last second",
                show_ns(as_f64(worst_of(|point| point.p50_ns))),
                show_ns(as_f64(worst_of(|point| point.p99_ns)))
            )),
        ]
    }

    fn draw_rates(&self, frame: &mut Frame<'_>, area: Rect) {
        let top = self.offered.iter().chain(&self.achieved).map(|(_, rate)| *rate).fold(1.0, f64::max) * 1.1;
        let dataset = |name: &'static str, color, data| {
            let line = Dataset::default().name(name).marker(Marker::Braille).graph_type(GraphType::Line);
            line.style(Style::new().fg(color)).data(data)
        };
        let sets = vec![
            dataset("meant", Color::DarkGray, self.offered.as_slice()),
            dataset("managed", Color::Green, self.achieved.as_slice()),
        ];
        let labels = [String::from("0"), shown_rate(top)];
        frame.render_widget(
            self.chart(sets, "datagrams per second: meant grey, managed green", [0.0, top], labels.to_vec()),
            area,
        );
    }

    /// Latency over time, on a logarithmic scale from 10 us.
    fn draw_latency(&self, frame: &mut Frame<'_>, area: Rect) {
        let line = |of: fn(&Point) -> u64| -> Vec<(f64, f64)> {
            let present = self.points.iter().filter(|point| of(point) > 0);
            present.map(|point| (as_f64(point.at_ns) / 1e9, decades(of(point)))).collect()
        };
        let (p50, p99) = (line(|point| point.p50_ns), line(|point| point.p99_ns));
        let top = p99.iter().map(|(_, value)| *value).fold(2.0, f64::max).ceil();
        let dataset = |name: &'static str, color, data| {
            let line = Dataset::default().name(name).marker(Marker::Braille).graph_type(GraphType::Line);
            line.style(Style::new().fg(color)).data(data)
        };
        let sets =
            vec![dataset("p99", Color::Magenta, p99.as_slice()), dataset("p50", Color::Cyan, p50.as_slice())];
        let labels = (0..)
            .map(f64::from)
            .take_while(|decade| *decade <= top)
            .map(|decade| show_ns(10_f64.powf(decade + LOWEST_DECADE)));
        frame.render_widget(
            self.chart(sets, "latency: p50 cyan, p99 magenta", [0.0, top], labels.collect()),
            area,
        );
    }

    fn chart<'a>(
        &self,
        sets: Vec<Dataset<'a>>,
        name: &'a str,
        bounds: [f64; 2],
        labels: Vec<String>,
    ) -> Chart<'a> {
        let length_s = self.length_s.max(1.0);
        let x =
            Axis::default().bounds([0.0, length_s]).labels([String::from("0 s"), format!("{length_s:.0} s")]);
        let y = Axis::default().bounds(bounds).labels(labels);
        let grey = Style::new().fg(Color::DarkGray);
        Chart::new(sets)
            .block(Block::bordered().title(name).border_style(grey))
            .x_axis(x.style(grey))
            .y_axis(y.style(grey))
    }

    /// What decides whether the figures may be believed, as far as it is known.
    fn lights(&self) -> Line<'static> {
        let lag_ns = self.lags.iter().copied().max().unwrap_or(0);
        let (meant, managed) = (total(&self.offered), total(&self.achieved));
        let keeps_up = meant <= 0.0 || managed > meant * 0.98;
        let event = self.events.first().map_or("", String::as_str);
        let (jumped, silent) =
            (event.contains("clock"), event.ends_with("away?") || event.starts_with("every SEND"));
        let light = |name: String, good: bool| {
            let (mark, color) = if good { ("● ", Color::Green) } else { ("✗ ", Color::Red) };
            [Span::from(mark).fg(color), Span::from(name), Span::from("   ")]
        };
        let all = [
            light(format!("pacing {}", show_ns(as_f64(lag_ns))), lag_ns < MOST_LAG_NS),
            light("rate".to_owned(), keeps_up),
            light(format!("own sockets {}", show_count(self.pulse.overflows)), self.pulse.overflows == 0),
            light("clock".to_owned(), !jumped),
            light("reflector".to_owned(), !silent),
        ];
        Line::from(all.into_iter().flatten().collect::<Vec<Span<'static>>>())
    }
}

fn push(points: &mut Vec<(f64, f64)>, point: (f64, f64)) {
    if points.len() >= MOST_POINTS {
        // Every other one says as much on a longer axis.
        let mut is_kept = false;
        points.retain(|_| {
            is_kept = !is_kept;
            is_kept
        });
    }
    points.push(point);
}

fn total(points: &[(f64, f64)]) -> f64 {
    points.iter().map(|(_, rate)| *rate).sum()
}

fn shown_rate(per_s: f64) -> String {
    if per_s >= 1e6 {
        format!("{:.2}M/s", per_s / 1e6)
    } else if per_s >= 1e4 {
        format!("{:.1}k/s", per_s / 1e3)
    } else {
        format!("{per_s:.0}/s")
    }
}

fn decades(ns: u64) -> f64 {
    (as_f64(ns).log10() - LOWEST_DECADE).max(0.0)
}

#[allow(clippy::cast_precision_loss)] // Shown to a few digits.
fn as_f64(count: u64) -> f64 {
    count as f64
}

/// Columns and rows that a view needs.
pub const LEAST_WIDTH: u16 = 60;
/// See [`LEAST_WIDTH`].
pub const LEAST_HEIGHT: u16 = 20;
/// The lower end of the latency's scale, as a power of ten of ns: 10 us.
const LOWEST_DECADE: f64 = 4.0;
/// Pictures whose worst lag is shown: two seconds.
const LAGS: usize = 8;
/// Lag above which a run is not valid, ns.
const MOST_LAG_NS: u64 = 1_000_000;
const MOST_POINTS: usize = 600;

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Made-up counts.
mod tests {
    use super::*;
    use crate::goal::Goal;
    use crate::load::shape::phase::Phase;
    use crate::load::shape::profile::{Form, Profile};
    use crate::load::watch::slices::Slices;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use results::run::Event;

    const S: u64 = 1_000_000_000;

    fn picture(view: &View, (width, height): (u16, u16)) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let rows = buffer.content().chunks(usize::from(width));
        rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>() + "\n").collect()
    }

    /// A view of a ramp to 10,000 a second of which a tenth is lost, after so many seconds; with this lag and event.
    fn view(seconds: u64, lag_ns: u64, event: Option<&str>) -> View {
        let phase = Phase::new(0, S, 20 * S);
        let profile = Profile::named(&Form::Ramp, 10_000, 20 * S).unwrap();
        let slices = [Slices::new(20 * S)];
        let events: Vec<Event> =
            event.map(|what| Event { at_ns: 1, what: what.to_owned() }).into_iter().collect();
        let mut view = View::new("reflector-loadgen 127.0.0.1:4000  10,000 endpoints".to_owned());
        let (mut taken, mut shown_ns) = (0.0, 0);
        for tick in 1..=seconds * 4 {
            let at_ns = S + tick * S / 4;
            let rate = profile.rate_at(at_ns - S);
            taken += rate / 4.0;
            let count = (rate / 4.0) as u64;
            for number in 0..count {
                let at_ns = shown_ns + number * (S / 4) / count;
                slices[0].note_sent(at_ns);
                if number % 10 > 0 {
                    slices[0].note_delivered(at_ns, 50_000 + number * 1_000);
                }
            }
            shown_ns += S / 4;
            let pulse = Pulse { at_ns, taken: taken as u64, lag_ns, ..Pulse::default() };
            let seen = Seen::Slices(&slices);
            view.note(&State::Load(Load { phase: &phase, seen, pulse, profile: &profile, events: &events }));
        }
        view
    }

    #[test]
    fn everything_is_there() {
        let view = view(10, 12_000, None);
        for size in [(80, 24), (60, 20), (200, 60)] {
            let picture = picture(&view, size);
            for part in [
                "10,000 endpoints",
                "measuring 10 of 20 s",
                "meant,",
                "% lately, 10.1% of all",
                "p99 ",
                "datagrams per second",
                "latency: p50 cyan",
                "● pacing 12.0us",
                "● rate",
                "● own sockets 0",
            ] {
                assert!(picture.contains(part), "{part} at {size:?}:\n{picture}");
            }
            assert!(!picture.contains('✗'), "{picture}");
        }
        let wide = picture(&view, (100, 30));
        assert!(wide.contains("● clock") && wide.contains("● reflector"), "{wide}");
        assert!(wide.chars().filter(|c| ('\u{2801}'..='\u{28ff}').contains(c)).count() > 40, "{wide}");
    }

    #[test]
    fn lights_go_out() {
        let late = picture(&view(3, 5_000_000, None), (100, 30));
        assert!(late.contains("✗ pacing 5.00ms"), "{late}");
        let silent =
            picture(&view(3, 0, Some("nothing has come back for 1s: is the reflector away?")), (100, 30));
        assert!(silent.contains("✗ reflector") && silent.contains("is the reflector away?"), "{silent}");
        let jumped = picture(&view(3, 0, Some("the system clock jumped back by 3s")), (100, 30));
        assert!(jumped.contains("✗ clock") && jumped.contains("● reflector"), "{jumped}");
    }

    #[test]
    fn before_and_between_runs() {
        let mut view = View::new("reflector-loadgen 127.0.0.1:4000  10 endpoints".to_owned());
        view.note(&State::Contacts { obtained: 5, endpoints: 10 });
        assert!(picture(&view, (80, 24)).contains("contacts 5 of 10"));
        view.note(&State::Trying { goal: Goal::Pdr, rate_per_s: 20_000, tried: &[] });
        view.note(&State::Contacts { obtained: 10, endpoints: 10 });
        let picture = picture(&view, (100, 24));
        assert!(
            picture.contains("PDR search, try 1: 20,000/s") && picture.contains("contacts 10 of 10"),
            "{picture}"
        );
    }

    #[test]
    fn a_long_run_takes_no_more_memory() {
        let mut points = Vec::new();
        for tick in 0..100_000 {
            push(&mut points, (f64::from(tick), 1.0));
        }
        assert!(points.len() <= MOST_POINTS && points.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
