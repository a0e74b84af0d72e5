//! The tables of a comparison, for a terminal and for Markdown.
//!
//! * One line a subject and traffic; what was not measured is a dash, and what was left out says why.
//! * Ratios are against coturn in the same run.

use crate::draw::tables::Column::{Numbers, Words};
use crate::draw::tables::{Table, nothing, range};
use crate::figures::{compact, float, microseconds};
use crate::peers::comparison::{Comparison, ratio};
use crate::peers::goal::Goal;
use crate::peers::row::{Figures, Row};
use crate::rig::subject::{Subject, Traffic};

/// What each subject relays and costs under one kind of traffic.
pub fn subjects(comparison: &Comparison, traffic: Traffic) -> Table {
    let row = |row: &Row| {
        let core = row.half.and_then(|half| half.core_ns);
        let latency = |figure: fn(&Figures) -> u64| in_us(row.half.as_ref().map(figure));
        vec![
            row.subject.name().to_owned(),
            core.map_or_else(nothing, |core| microseconds(core.median)),
            core.map_or_else(nothing, |core| range(core, microseconds)),
            against_coturn(comparison, row),
            row.ceiling.ndr_per_s.map_or_else(nothing, |rate| compact(float(rate))),
            row.ceiling.pdr_per_s.map_or_else(nothing, |rate| pdr(rate, row.ceiling.is_generators)),
            row.capacity_per_s().map_or_else(nothing, |(rate, estimated)| capacity(rate, estimated)),
            latency(|half| half.p50_ns),
            latency(|half| half.p99_ns),
            latency(|half| half.p99_9_ns),
            in_us(row.half_of_epoll.map(|figures| figures.p99_ns)),
        ]
    };
    let caption = match traffic {
        Traffic::Singles => "One by one (Poisson)",
        Traffic::Trains => "In trains of 16",
    };
    let head = vec![
        Words("Relay"),
        Numbers("Core-time", "µs"),
        Numbers("Range", "µs"),
        Numbers("Against coturn", ""),
        Numbers("NDR", "datagrams/s"),
        Numbers("PDR", "datagrams/s"),
        Numbers("Capacity of a core", "datagrams/s"),
        Numbers("p50", "µs"),
        Numbers("p99", "µs"),
        Numbers("p99.9", "µs"),
        Numbers("p99 at half of epoll's", "µs"),
    ];
    let rows = comparison.rows.iter().filter(|row| row.traffic == traffic);
    Table { caption, head, rows: rows.map(row).collect() }
}

/// What was to be shown, what was found, and whether it holds.
pub fn goals(comparison: &Comparison) -> Table {
    let row = |goal: &Goal| {
        let why = goal.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        vec![
            goal.what.clone(),
            goal.ratio.map_or_else(nothing, |found| ratio_digits(found.median)),
            goal.ratio.map_or_else(nothing, |found| range(found, ratio_digits)),
            match goal.holds() {
                Some(true) => "holds",
                Some(false) => "missed",
                None => "not judged",
            }
            .to_owned(),
            format!("{}{why}", ratio_digits(goal.most)),
        ]
    };
    let head = vec![
        Words("Ratio"),
        Numbers("Found", "median"),
        Numbers("Range", "of the rounds"),
        Words("Verdict"),
        Words("At most"),
    ];
    Table { caption: "Ratios within rounds", head, rows: comparison.goals.iter().map(row).collect() }
}

/// Who was left out, and why, a line each.
pub fn absences(comparison: &Comparison) -> Vec<String> {
    let absent = |peer: &crate::peers::comparison::Peer| {
        Some(format!("{} was left out: {}", peer.subject, peer.absent.as_ref()?))
    };
    comparison.peers.iter().filter_map(absent).collect()
}

/// Everything for a terminal, lines ended.
pub fn terminal(comparison: &Comparison) -> String {
    let tables = Traffic::ALL.map(|traffic| subjects(comparison, traffic)).into_iter();
    let mut text = String::new();
    for table in tables.chain([goals(comparison)]) {
        text.push_str(&format!("\n{}\n{}", table.caption, table.terminal()));
    }
    absences(comparison).iter().for_each(|line| text.push_str(&format!("\n{line}\n")));
    text
}

fn against_coturn(comparison: &Comparison, row: &Row) -> String {
    let core = |subject| comparison.core_ns(subject, row.traffic).map(|core| core.median);
    match (core(row.subject), core(Subject::Coturn)) {
        (Some(own), Some(coturn)) => ratio(own / coturn),
        _ => nothing(),
    }
}

/// A rate that passed; where the generator ended first, at least so much.
fn pdr(rate_per_s: u64, is_generators: bool) -> String {
    format!("{}{}", if is_generators { "≥" } else { "" }, compact(float(rate_per_s)))
}

fn capacity(rate_per_s: f64, is_estimated: bool) -> String {
    if is_estimated { format!("{} estimated", compact(rate_per_s)) } else { compact(rate_per_s) }
}

/// A ratio in digits.
pub fn ratio_digits(value: f64) -> String {
    if value < 0.1 { format!("{value:.4}") } else { format!("{value:.3}") }
}

fn in_us(ns: Option<u64>) -> String {
    ns.map_or_else(nothing, |ns| microseconds(float(ns)))
}

/// With a capital letter, as a heading begins.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn every_row_fills_every_column() {
        let comparison = sample::comparison();
        for traffic in Traffic::ALL {
            let Table { head, rows, .. } = subjects(&comparison, traffic);
            assert!(rows.len() == 5 && rows.iter().all(|row| row.len() == head.len()));
        }
        let rows = subjects(&comparison, Traffic::Singles).rows;
        assert_eq!(rows[3][..4], ["reflector, XDP", "0.250", "0.250 – 0.500", "1/28"]);
        assert_eq!(subjects(&comparison, Traffic::Trains).rows[0][1..5], ["–", "–", "–", "–"]);
    }

    #[test]
    fn the_terminal_shows_who_is_missing_and_what_holds() {
        let text = terminal(&sample::comparison());
        assert!(
            text.contains("reflector, uring was left out: this reflector has no --engine <uring>"),
            "{text}"
        );
        let goal =
            text.lines().find(|line| line.starts_with("core-time, XDP against coturn, singles")).unwrap();
        assert!(goal.contains("0.0357") && goal.contains(" holds "), "{goal}");
        assert!(text.contains("not judged") && text.lines().all(|line| line == line.trim_end()));
    }
}
