//! The tables of a comparison, for a terminal and for Markdown.
//!
//! * One line a subject and traffic; what was not measured is a dash, and what was left out says why.
//! * Ratios are against coturn in the same run.

use crate::figures::{compact, float, microseconds};
use crate::judge::spread::Spread;
use crate::peers::comparison::{Comparison, ratio};
use crate::peers::goal::Goal;
use crate::peers::row::{Figures, Row};
use crate::rig::subject::{Subject, Traffic};

/// The comparison as cells: a heading, then a row for each subject.
pub fn cells(comparison: &Comparison, traffic: Traffic) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let head = vec![
        "",
        "core",
        "spread",
        "coturn",
        "NDR",
        "PDR",
        "capacity",
        "p50",
        "p99",
        "p99.9",
        "p99 at half of mio",
    ];
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
            in_us(row.half_of_mio.map(|figures| figures.p99_ns)),
        ]
    };
    let rows = comparison.rows.iter().filter(|row| row.traffic == traffic);
    (head, rows.map(row).collect())
}

/// The goals as cells: what, found, spread, verdict, allowed.
pub fn goal_cells(comparison: &Comparison) -> Vec<Vec<String>> {
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
    comparison.goals.iter().map(row).collect()
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
    let mut text = String::new();
    for traffic in Traffic::ALL {
        let (head, rows) = cells(comparison, traffic);
        text.push_str(&format!("\n{} (times in µs, rates in datagrams/s)\n", capital(traffic.name())));
        text.push_str(&aligned(&head.into_iter().map(str::to_owned).collect::<Vec<_>>(), &rows));
    }
    let head = ["Goal", "found", "spread", "", "at most"].map(str::to_owned);
    text.push_str("\nRatios within rounds\n");
    text.push_str(&aligned(&head, &goal_cells(comparison)));
    absences(comparison).iter().for_each(|line| text.push_str(&format!("\n{line}\n")));
    text
}

/// A table in Markdown.
pub fn markdown(head: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule: String = std::iter::once("---|").chain(head.iter().skip(1).map(|_| "---:|")).collect();
    format!("{}|{rule}\n{}", line(head), rows.iter().map(|row| line(row)).collect::<String>())
}

/// Columns as wide as what is in them: the first at the left, the others at the right.
fn aligned(head: &[String], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(Vec::as_slice).chain([head]);
        cells.filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let cell = |(place, (cell, width)): (usize, (&String, &usize))| match place {
            0 => format!("{cell:<width$}"),
            _ => format!("  {cell:>width$}"),
        };
        let line: String = cells.iter().zip(&widths).enumerate().map(cell).collect();
        format!("{}\n", line.trim_end())
    };
    std::iter::once(line(head)).chain(rows.iter().map(|row| line(row))).collect()
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

/// The least and the most of a spread.
pub fn range(spread: Spread, shown: impl Fn(f64) -> String) -> String {
    format!("{}–{}", shown(spread.least), shown(spread.most))
}

/// A ratio in digits.
pub fn ratio_digits(value: f64) -> String {
    if value < 0.1 { format!("{value:.4}") } else { format!("{value:.3}") }
}

fn in_us(ns: Option<u64>) -> String {
    ns.map_or_else(nothing, |ns| microseconds(float(ns)))
}

fn nothing() -> String {
    "–".to_owned()
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
            let (head, rows) = cells(&comparison, traffic);
            assert!(rows.len() == 5 && rows.iter().all(|row| row.len() == head.len()));
        }
        let (_, rows) = cells(&comparison, Traffic::Singles);
        assert_eq!(rows[3][..4], ["reflector, XDP", "0.250", "0.250–0.500", "1/28"]);
        assert_eq!(cells(&comparison, Traffic::Trains).1[0][1..5], ["–", "–", "–", "–"]);
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

    #[test]
    fn markdown_has_a_rule_and_keeps_bars_out() {
        let head = ["a", "b"].map(str::to_owned);
        let text = markdown(&head, &[vec!["x|y".to_owned(), "1".to_owned()]]);
        assert_eq!(text, "| a | b |\n|---|---:|\n| x\\|y | 1 |\n");
    }
}
