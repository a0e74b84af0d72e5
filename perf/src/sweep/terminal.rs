//! The table of a sweep in a terminal, at most 100 columns wide.
//!
//! * One line a step, in the order of the steps; numbers aligned, units in the head.

use crate::draw::tables::verdict;
use crate::figures::{compact, count, float, microseconds, percent, whole};
use crate::sweep::quick_report::Step;

/// The table, lines ended.
pub fn table(steps: &[Step]) -> String {
    let rows: Vec<[String; COLUMNS]> = steps.iter().map(row).collect();
    let mut text = line(&HEAD.map(str::to_owned)) + &line(&UNITS.map(str::to_owned));
    text.push_str(&rule());
    rows.iter().for_each(|row| text.push_str(&line(row)));
    text
}

/// One step in one line of words, for progress.
pub fn step_in_words(step: &Step) -> String {
    let (data, latency) = (&step.outcome.data, &step.outcome.latency);
    let p99 = if latency.count > 0 { crate::figures::time(float(latency.p99_ns)) } else { "–".to_owned() };
    format!("{} lost, p99 {p99}: {}", percent(data.loss), verdict(step))
}

fn row(step: &Step) -> [String; COLUMNS] {
    let (rate, data, latency) = (&step.outcome.rate, &step.outcome.data, &step.outcome.latency);
    let latency_us = |ns: u64| if latency.count > 0 { narrow(float(ns)) } else { "–".to_owned() };
    [
        count(step.offered_per_s),
        whole(rate.sent_per_s),
        whole(rate.delivered_per_s),
        percent(data.loss).trim_end_matches(" %").to_owned(),
        latency_us(latency.p50_ns),
        latency_us(latency.p99_ns),
        latency_us(latency.p99_9_ns),
        narrow(step.core_ns_per_datagram().unwrap_or(f64::NAN)),
        narrow(step.outcome.generator.core_ns_per_datagram),
        step.verdict().word().to_owned(),
    ]
}

/// A span of time in microseconds, in few enough characters for every column of them: `384,041`, `1.34M`.
fn narrow(ns: f64) -> String {
    let us = microseconds(ns);
    if us.chars().count() > NARROW { compact(ns / 1_000.0) } else { us }
}

fn line(cells: &[String; COLUMNS]) -> String {
    let mut text = String::new();
    for (place, (cell, width)) in cells.iter().zip(WIDTHS).enumerate() {
        let gap = if place == 0 { "" } else { "  " };
        text.push_str(gap);
        if place + 1 == COLUMNS {
            text.extend(cell.chars().take(width));
        } else {
            text.push_str(&format!("{cell:>width$}"));
        }
    }
    format!("{}\n", text.trim_end())
}

fn rule() -> String {
    format!("{}\n", "─".repeat(WIDTHS.iter().sum::<usize>() + 2 * (COLUMNS - 1)))
}

const COLUMNS: usize = 10;
const HEAD: [&str; COLUMNS] =
    ["offered", "achieved", "delivered", "loss", "p50", "p99", "p99.9", "core", "gen.", "verdict"];
const UNITS: [&str; COLUMNS] = ["/s", "/s", "/s", "%", "µs", "µs", "µs", "µs/dgram", "µs/dgram", ""];
const WIDTHS: [usize; COLUMNS] = [9, 9, 9, 6, NARROW, NARROW, NARROW, 8, 8, 12];
/// Characters of a latency: the table keeps its width on a machine where seconds pass.
const NARROW: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn it_fits_into_100_columns_and_aligns() {
        let text = table(&sample::report().steps);
        let widths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width <= 100), "{text}");
        assert_eq!(text.lines().count(), 3 + 8);
        let ends: Vec<Option<usize>> = text.lines().skip(3).map(|line| line.find("000")).collect();
        assert!(ends.iter().all(|end| *end == ends[0]), "{text}");
        let mut slow = sample::step(10_000, 0.0);
        slow.outcome.latency.max_ns = 1_340_080_000;
        slow.outcome.latency.p99_9_ns = 1_340_080_000;
        slow.outcome.latency.p99_ns = 12_335_886_000;
        let text = table(&[slow]);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(text.contains("  12.3M    1.34M  "), "{text}");
        assert!(step_in_words(&sample::step(10_000, 0.0)).starts_with("0 % lost, p99 "));
    }
}
