//! A comparison as one page of HTML: picture first, then what it rests on.
//!
//! * One file, in the look of every other report: nothing is fetched, nothing runs, light or dark.

use crate::draw::bars;
use crate::draw::bars::CoreTime;
use crate::draw::page;
use crate::draw::page::Tile;
use crate::draw::percentiles;
use crate::draw::plot::{Figure, Ink, Mark, Series, escaped};
use crate::draw::tables;
use crate::draw::tables::{Column, Table};
use crate::figures::{count, float, time};
use crate::peers::comparison::{Comparison, Counted, Curve, Peer, ratio};
use crate::peers::picture;
use crate::peers::row::Row;
use crate::peers::table;
use crate::peers::table::capital;
use crate::rig::run::Purpose;
use crate::rig::subject::{Subject, Traffic};

/// The page.
///
/// # Errors
/// A chart that cannot be drawn, a histogram that cannot be read.
pub fn render(comparison: &Comparison) -> anyhow::Result<String> {
    let title = format!("Reflector and its peers, {}", page::moment(comparison.started_unix_s));
    let body = [
        head(comparison),
        goals(comparison)?,
        core_time(comparison)?,
        latency(comparison)?,
        validity(comparison),
        page::facts(&comparison.environment, &[tables::facts("Cable", &comparison.cable)]),
        page::commands(&comparison.commands),
    ];
    Ok(page::document(&title, &body.concat()))
}

fn head(comparison: &Comparison) -> String {
    let core = |subject| comparison.core_ns(subject, Traffic::Singles).map(|core| core.median);
    let against = |subject| match (core(subject), core(Subject::Coturn)) {
        (Some(own), Some(coturn)) => ratio(own / coturn),
        _ => "–".to_owned(),
    };
    let shown = |subject| core(subject).map_or_else(|| "–".to_owned(), time);
    let tile = |name: &str, subject, note| Tile { name: name.to_owned(), value: shown(subject), note };
    let tiles = [
        tile("coturn", Subject::Coturn, "of a core per datagram".to_owned()),
        tile("Reflector, epoll", Subject::Epoll, format!("{} of coturn's", against(Subject::Epoll))),
        tile("Reflector, XDP", Subject::Xdp, format!("{} of coturn's", against(Subject::Xdp))),
    ];
    let below = format!(
        "<figure class=\"whole\">\n{}</figure>\n<p>{}</p>\n",
        picture::draw(comparison),
        escaped(&method(comparison))
    );
    page::head("Reflector and its peers", comparison.started_unix_s, &comparison.headline(), &tiles, &below)
}

/// How it was measured, in a few sentences.
pub fn method(comparison: &Comparison) -> String {
    let settings = &comparison.settings;
    format!(
        "{} endpoints, each on an address of its own, sent to the next in a ring through one relay at a time, {} bytes \
         of payload each. Every relay ran on processor {}, with the kernel's thread for its interface; the generator and \
         its interface on processor {}; one cable (a veth pair) between them. First the capacity of each was searched \
         (NDR: no loss; PDR: at most 0.5 %), then all took turns at half of their own capacity: {} rounds of {} each \
         after {} of warm-up, and one round before them that was thrown away. Core-time is what the relay's \
         processor was not idle while the load stood, soft interrupts included, over the datagrams that came \
         back. Latency counts from the moment at which a datagram was due. A ratio is made within each round; \
         shown are the median and the range.",
        count(settings.endpoints.into()),
        settings.payload_bytes,
        comparison.cores.reflector,
        comparison.cores.generator,
        settings.rounds,
        time(float(settings.duration_ns)),
        time(float(settings.warmup_ns)),
    )
}

fn goals(comparison: &Comparison) -> anyhow::Result<String> {
    let lead = "A ratio is made within each round; shown are the median and the range.";
    page::section("What was to be shown", lead, "goals", &[], &[table::goals(comparison)])
}

fn core_time(comparison: &Comparison) -> anyhow::Result<String> {
    let figures = Traffic::ALL.map(|traffic| core_figure(comparison, traffic));
    let tables = Traffic::ALL.map(|traffic| table::subjects(comparison, traffic));
    page::section(
        "Core-time and capacity",
        "Busy time of the relay's core per datagram at half of the relay's own capacity. How long a core was busy the \
         kernel knows exactly; what in, it samples. An interface's thread counts as system time, and the XDP program \
         runs in it. Where the generator ended before the relay did, the capacity is one core over its core-time, and \
         is called estimated.",
        "core-time",
        &figures,
        &tables,
    )
}

/// A bar a subject, split into what the core was busy with.
fn core_figure(comparison: &Comparison, traffic: Traffic) -> Option<Figure> {
    let rows = comparison.rows.iter().filter(|row| row.traffic == traffic);
    let bar = |row: &Row| {
        Some(CoreTime { name: short_name(row.subject).to_owned(), split_ns: row.half?.core_split_ns? })
    };
    let bars: Vec<CoreTime> = rows.filter_map(bar).collect();
    bars::figure(&format!("Core-time, {}", traffic.name()), "the relay's core", "relay", &bars)
}

fn short_name(subject: Subject) -> &'static str {
    match subject {
        Subject::Coturn => "coturn",
        Subject::Epoll => "epoll",
        Subject::Uring => "uring",
        Subject::Forwarder => "bare",
        Subject::Xdp => "XDP",
        Subject::Swap => "swap",
    }
}

fn latency(comparison: &Comparison) -> anyhow::Result<String> {
    let figures = [
        curves(comparison, Purpose::Half, "Latency, each at half of its own capacity"),
        curves(comparison, Purpose::HalfOfEpoll, "Latency, all at half of epoll's capacity"),
    ];
    page::section(
        "Latency of single datagrams",
        "One way through the relay, from the moment at which a datagram was due to the generator's program on the same \
         interface; all rounds merged.",
        "latency",
        &figures,
        &[],
    )
}

/// A line a relay: the latency that a given part of the datagrams did not exceed.
fn curves(comparison: &Comparison, purpose: Purpose, title: &str) -> Option<Figure> {
    let relays = (0_u8..).zip(comparison.present().filter(|peer| !peer.subject.is_limit()));
    let line = |(number, peer): (u8, &Peer)| {
        // Half of epoll's own capacity is half of epoll's capacity.
        let own = if peer.subject == Subject::Epoll { Purpose::Half } else { purpose };
        let is_own = |curve: &&Curve| (curve.subject, curve.purpose) == (peer.subject, own);
        Some(Series {
            name: peer.subject.name().to_owned(),
            ink: Ink::Series(number),
            mark: Mark::None,
            points: percentiles::line(&comparison.curves.iter().find(is_own)?.points),
            doubtful: Vec::new(),
        })
    };
    percentiles::figure(title, "a relay", relays.filter_map(line).collect())
}

fn validity(comparison: &Comparison) -> String {
    let row = |counted: &Counted| {
        let counters = &counted.counters;
        let numbers = [
            counters.received,
            counters.relayed,
            counters.observed,
            counted.passed,
            counters.dropped.values().sum(),
            counters.send_errors.values().sum(),
            counters.overflows,
        ];
        let holds = if counted.is_conserved() { "holds" } else { "fails" };
        [counted.subject.name().to_owned()]
            .into_iter()
            .chain(numbers.map(count))
            .chain([holds.to_owned()])
            .collect()
    };
    let head = vec![
        Column::Words("Relay"),
        Column::Numbers("Received", "datagrams"),
        Column::Numbers("Relayed", "datagrams"),
        Column::Numbers("Observed", "PROBEs"),
        Column::Numbers("Passed to sockets", "datagrams"),
        Column::Numbers("Dropped", "datagrams"),
        Column::Numbers("Send errors", "datagrams"),
        Column::Numbers("Lost in its queue", "datagrams"),
        Column::Words("Conservation"),
    ];
    let table = Table {
        caption: "What the reflectors counted in all of it",
        head,
        rows: comparison.counted.iter().map(row).collect(),
    };
    page::validity(&validity_notes(comparison), &[table])
}

/// What may be believed and what may not, a sentence each.
pub fn validity_notes(comparison: &Comparison) -> Vec<String> {
    let rounds = || comparison.runs.iter().filter(|run| run.purpose != Purpose::Search && run.round > 0);
    let believed = rounds().filter(|run| run.is_believed()).count();
    let mut notes = vec![format!(
        "{believed} of {} runs in rounds may be believed: the generator kept its times and its rate, and nobody else \
         took more than a tenth of either core. The others were repeated and do not count.",
        rounds().count()
    )];
    let mut failed: Vec<&str> = rounds().flat_map(|run| &run.failed).map(String::as_str).collect();
    failed.sort_unstable();
    failed.dedup();
    if !failed.is_empty() {
        notes.push(format!("What failed there: {}.", failed.join(", ")));
    }
    notes.extend(table::absences(comparison).into_iter().map(|note| format!("{note}.")));
    notes.extend(comparison.caveats.iter().map(|caveat| format!("{}.", capital(caveat))));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::page::checks::{ids_are_unique, is_self_contained, is_well_formed};
    use crate::sample;

    #[test]
    fn the_page_holds_everything_and_refers_to_nothing() {
        let comparison = sample::comparison();
        let page = render(&comparison).unwrap();
        for title in ["What was to be shown", "Core-time and capacity", "Validity", "Environment", "Commands"]
        {
            assert!(page.contains(&format!("<h2>{title}</h2>")), "{title} is missing");
        }
        assert!(is_self_contained(&page) && is_well_formed(&page) && ids_are_unique(&page));
        assert!(page.contains("no --engine &lt;uring&gt;") && !page.contains("<uring>"));
        assert_eq!(page.matches("</figcaption>").count(), 3, "one core-time, two latencies");
    }

    #[test]
    fn a_comparison_without_figures_still_has_a_page() {
        let comparison =
            Comparison { rows: Vec::new(), curves: Vec::new(), runs: Vec::new(), ..sample::comparison() };
        assert!(render(&comparison).unwrap().contains("No step has figures to draw."));
    }
}
