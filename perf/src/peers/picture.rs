//! The picture of a comparison: how much one core relays, a pair of bars a subject.
//!
//! * A file of its own: colours for light and dark are inside, nothing is fetched, text is text.
//! * A linear scale from zero, so that lengths may be compared; what is estimated is hatched and says so.
//! * Date, machine and versions stand on it, so that it means something wherever it is copied to.

use crate::draw::page::moment;
use crate::draw::plot::escaped;
use crate::figures::{compact, count, time};
use crate::peers::comparison::{Comparison, Peer};
use crate::rig::subject::{Subject, Traffic};
use std::fmt::Write as _;

/// The picture as SVG.
pub fn draw(comparison: &Comparison) -> String {
    let order = order(comparison);
    let most = order.iter().flat_map(|peer| Traffic::ALL.map(|traffic| (peer.subject, traffic)));
    let most = most.filter_map(|(subject, traffic)| rate(comparison, subject, traffic));
    let most = most.map(|(rate, _)| rate).fold(1.0, f64::max);
    let (mut body, mut y) = (String::new(), TOP);
    let mut limits = false;
    for peer in &order {
        if peer.subject.is_limit() && !limits {
            limits = true;
            line(&mut body, y - 2);
            text(
                &mut body,
                "p-dim",
                12,
                (LEFT, y + 18),
                "start",
                "Limits of this machine: nothing is checked",
            );
            y += 32;
        }
        lane(&mut body, comparison, peer, y, most);
        y += LANE;
    }
    let height = y + FOOT;
    let notes = footer(comparison);
    for (number, note) in (0..).zip(&notes) {
        text(&mut body, "p-dim", 12, (LEFT, y + 16 + number * 18), "start", note);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-labelledby=\"peers-t peers-d\" font-family=\"{FONT}\">\n<title id=\"peers-t\">{TITLE}</title>\n\
         <desc id=\"peers-d\">{}</desc>\n<style>{STYLE}</style>\n<defs>{}</defs>\n{}{body}</svg>\n",
        escaped(&comparison.headline()),
        hatches(),
        heading(comparison),
    )
}

/// Relays first, limits last; who is absent stands among them.
fn order(comparison: &Comparison) -> Vec<&Peer> {
    let relays = comparison.peers.iter().filter(|peer| !peer.subject.is_limit());
    relays.chain(comparison.peers.iter().filter(|peer| peer.subject.is_limit())).collect()
}

fn heading(comparison: &Comparison) -> String {
    let mut body = String::new();
    text(&mut body, "p-ink p-bold", 20, (LEFT, 34), "start", TITLE);
    let settings = &comparison.settings;
    let lead = format!(
        "Datagrams per second, and core-time of each with soft interrupts. {} bytes of payload, {} flows.",
        settings.payload_bytes,
        count(settings.endpoints.into())
    );
    text(&mut body, "p-dim", 13, (LEFT, 56), "start", &lead);
    for (x, class, name) in [(LEFT, "p-limit-a", "one by one"), (LEFT + 108, "p-limit-b", "in trains of 16")]
    {
        let _ = writeln!(
            body,
            "<rect class=\"{class}\" x=\"{x}\" y=\"70\" width=\"12\" height=\"12\" rx=\"2\"/>"
        );
        text(&mut body, "p-dim", 12, (x + 18, 81), "start", name);
    }
    body
}

/// The two bars of a subject and what they say.
fn lane(body: &mut String, comparison: &Comparison, peer: &Peer, y: u32, most: f64) {
    let subject = peer.subject;
    let weight = if subject.is_reflector() { "p-ink p-bold" } else { "p-ink" };
    text(body, weight, 14, (BARS - 14, y + 23), "end", subject.name());
    if let Some(reason) = &peer.absent {
        text(body, "p-dim", 12, (BARS, y + 23), "start", &format!("not here: {}", shortened(reason)));
        return;
    }
    for (number, traffic) in (0..).zip(Traffic::ALL) {
        let top = y + number * (BAR + 3);
        let Some((rate, is_estimated)) = rate(comparison, subject, traffic) else {
            text(body, "p-dim", 12, (BARS, top + BAR - 4), "start", "no figure");
            continue;
        };
        let width = (rate / most * f64::from(LONGEST)).max(1.0);
        let class = class(subject, traffic);
        let fill = if is_estimated { format!(" style=\"fill:url(#peers-{class})\"") } else { String::new() };
        let _ = writeln!(
            body,
            "<rect class=\"p-{class}\"{fill} x=\"{BARS}\" y=\"{top}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\"/>"
        );
        let core = comparison.core_ns(subject, traffic).map(|core| format!(" · {}", time(core.median)));
        let estimated = if is_estimated { " estimated" } else { "" };
        let said = format!("{}/s{estimated}{}", compact(rate), core.unwrap_or_default());
        let _ = writeln!(
            body,
            "<text class=\"p-ink\" font-size=\"12\" x=\"{:.1}\" y=\"{}\">{}</text>",
            f64::from(BARS) + width + 8.0,
            top + BAR - 4,
            escaped(&said)
        );
    }
}

fn rate(comparison: &Comparison, subject: Subject, traffic: Traffic) -> Option<(f64, bool)> {
    comparison.row(subject, traffic)?.capacity_per_s()
}

/// Where and when it was, and how to read it.
fn footer(comparison: &Comparison) -> [String; 4] {
    let fact = |name: &str| {
        let facts = &comparison.environment.machine;
        facts.iter().find(|fact| fact.name == name).map_or("unknown", |fact| fact.value.as_str()).to_owned()
    };
    let version = |subject: Subject| {
        let peer = comparison.peers.iter().find(|peer| peer.subject == subject);
        peer.map_or("unknown", |peer| peer.version.as_str()).to_owned()
    };
    [
        "Bars: the highest rate with at most 0.5 % of loss; estimated, where the generator ended first: one core over \
         its core-time."
            .to_owned(),
        format!("Behind them the core-time of a datagram at half load, median of {} rounds.", comparison.settings.rounds),
        format!(
            "coturn {} · reflector {} · {}",
            version(Subject::Coturn),
            version(Subject::Epoll),
            comparison.caveats.join(" · ")
        ),
        format!(
            "{} · {} · {}",
            moment(comparison.started_unix_s),
            fact("Processor"),
            fact("Kernel")
        ),
    ]
}

fn text(body: &mut String, class: &str, size: u32, (x, y): (u32, u32), anchor: &str, said: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        body,
        "<text class=\"{class}\" font-size=\"{size}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>",
        escaped(said)
    );
}

fn line(body: &mut String, y: u32) {
    let right = WIDTH - LEFT;
    let _ = writeln!(body, "<path class=\"p-rule\" d=\"M{LEFT} {y}H{right}\"/>");
}

/// The colour of a bar: whose it is, and under which traffic.
fn class(subject: Subject, traffic: Traffic) -> String {
    let whose = match subject {
        _ if subject.is_limit() => "limit",
        Subject::Coturn => "turn",
        _ => "own",
    };
    format!("{whose}-{}", if traffic == Traffic::Singles { "a" } else { "b" })
}

/// What is estimated is drawn in stripes of its colour.
fn hatches() -> String {
    let mut classes: Vec<String> = Subject::ALL
        .into_iter()
        .flat_map(|subject| Traffic::ALL.map(|traffic| class(subject, traffic)))
        .collect();
    classes.sort_unstable();
    classes.dedup();
    let hatch = |class: String| {
        format!(
            "<pattern id=\"peers-{class}\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
             patternTransform=\"rotate(45)\"><rect class=\"p-{class} p-pale\" width=\"6\" height=\"6\"/>\
             <rect class=\"p-{class}\" width=\"3\" height=\"6\"/></pattern>"
        )
    };
    classes.into_iter().map(hatch).collect()
}

fn shortened(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default();
    if line.chars().count() <= LONGEST_REASON {
        return line.to_owned();
    }
    line.chars().take(LONGEST_REASON).chain(['…']).collect()
}

const TITLE: &str = "What one core relays";
const FONT: &str = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', sans-serif";
const STYLE: &str = "
.p-ink { fill: #1f2933 } .p-dim { fill: #5b6770 } .p-bold { font-weight: 600 } .p-rule { stroke: #c4ccd4 }
.p-own-a { fill: #1769aa } .p-own-b { fill: #6fb1e0 } .p-turn-a { fill: #b3500f } .p-turn-b { fill: #e3a878 }
.p-limit-a { fill: #6c7178 } .p-limit-b { fill: #b6bcc3 } .p-pale { opacity: .35 }
@media (prefers-color-scheme: dark) {
.p-ink { fill: #e6edf3 } .p-dim { fill: #9aa7b2 } .p-rule { stroke: #44505c }
.p-own-a { fill: #4a9fe3 } .p-own-b { fill: #a9d3f5 } .p-turn-a { fill: #e0813a } .p-turn-b { fill: #f2c49b }
.p-limit-a { fill: #8b949e } .p-limit-b { fill: #565f69 }
}
";
const WIDTH: u32 = 900;
const LEFT: u32 = 24;
/// Where bars begin.
const BARS: u32 = 200;
/// The longest bar; what it says stands behind it.
const LONGEST: u32 = 500;
/// Height of a bar.
const BAR: u32 = 16;
/// From one subject to the next.
const LANE: u32 = 50;
/// Where the first subject begins.
const TOP: u32 = 104;
/// Room below the last.
const FOOT: u32 = 86;
/// Letters of a reason that fit.
const LONGEST_REASON: usize = 90;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn it_says_when_where_and_who() {
        let picture = draw(&sample::comparison());
        for said in [
            "2025-10-09 08:53 UTC",
            "Example &lt;CPU&gt; &amp; Co.",
            "Linux 6.18.0",
            "coturn 4.6.1",
            "reflector 0.1.0 (0123abc)",
        ] {
            assert!(picture.contains(said), "{said} is missing");
        }
        assert!(picture.contains("not here: this reflector has no --engine &lt;uring&gt;"));
        assert_eq!(picture.matches("no figure").count(), 5, "trains were not measured");
        assert!(
            !picture.contains("href") && !picture.contains("NaN") && picture.trim_end().ends_with("</svg>")
        );
    }

    #[test]
    fn lengths_are_in_proportion() {
        let comparison = sample::comparison();
        let picture = draw(&comparison);
        let width = |class: &str, place: usize| {
            let bars = picture.lines().filter(|line| line.starts_with(&format!("<rect class=\"{class}\"")));
            let bar = bars.filter(|line| line.contains("x=\"200\"")).nth(place).unwrap();
            bar.split(" width=\"").nth(1).unwrap().split('"').next().unwrap().parse::<f64>().unwrap()
        };
        let (coturn, epoll, swap) = (width("p-turn-a", 0), width("p-own-a", 0), width("p-limit-a", 1));
        let rate = |subject| rate(&comparison, subject, Traffic::Singles).unwrap().0;
        assert!((epoll / coturn - rate(Subject::Epoll) / rate(Subject::Coturn)).abs() < 0.02);
        assert_eq!(swap, f64::from(LONGEST));
    }
}
