//! The tables of a report's page.
//!
//! * Every column of numbers names its unit; numbers are aligned at the right, words at the left.
//! * Wider than the screen, a table scrolls by itself and the page does not.
//! * Text of a result is escaped, whatever it holds.

use crate::draw::plot::escaped;
use crate::figures::{count, float, microseconds, part, percent, time, whole};
use crate::rig::environment::Fact;
use crate::sweep::quick_report::{Report, Step};
use lab::programs::generator::{Check, NatPair};

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    caption: &'static str,
    head: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// A column's heading.
#[derive(Clone, Copy, Debug)]
pub enum Column {
    /// Words.
    Words(&'static str),
    /// Numbers, and their unit.
    Numbers(&'static str, &'static str),
}

use Column::{Numbers, Words};

impl Table {
    /// A table of rows that fill every column.
    pub fn new(caption: &'static str, head: Vec<Column>, rows: Vec<Vec<String>>) -> Table {
        Table { caption, head, rows }
    }

    /// As HTML.
    pub fn html(&self) -> String {
        let head: String = self.head.iter().map(|column| column.heading()).collect();
        let cell = |(column, text): (&Column, &String)| match column {
            Words(_) => format!("<td>{}</td>", escaped(text)),
            Numbers(..) => format!("<td class=\"n\">{}</td>", escaped(text)),
        };
        let row = |cells: &Vec<String>| {
            let cells: String = self.head.iter().zip(cells).map(cell).collect();
            format!("<tr>{cells}</tr>\n")
        };
        let rows: String = self.rows.iter().map(row).collect();
        format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table><caption>{0}</caption>\n\
             <thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n",
            escaped(self.caption)
        )
    }
}

impl Column {
    fn heading(self) -> String {
        match self {
            Words(name) => format!("<th scope=\"col\">{}</th>", escaped(name)),
            Numbers(name, unit) => format!(
                "<th scope=\"col\" class=\"n\">{}<span class=\"unit\">{}</span></th>",
                escaped(name),
                escaped(unit)
            ),
        }
    }
}

/// Every step in the order in which it ran, with its verdict.
pub fn steps(report: &Report) -> Table {
    let row = |step: &Step| {
        let (rate, data) = (&step.outcome.rate, &step.outcome.data);
        vec![
            count(step.offered_per_s),
            whole(rate.sent_per_s),
            whole(rate.delivered_per_s),
            percent(data.loss),
            count(data.lost),
            count(data.refused()),
            count(data.duplicates),
            count(data.reordered),
            step.verdict().word().to_owned(),
        ]
    };
    Table {
        caption: "Every step in the order in which it ran",
        head: vec![
            Numbers("Offered", "datagrams/s"),
            Numbers("Achieved", "datagrams/s"),
            Numbers("Delivered", "datagrams/s"),
            Numbers("Loss", "of sent"),
            Numbers("Lost", "datagrams"),
            Numbers("Refused by NAT", "datagrams"),
            Numbers("Duplicates", "datagrams"),
            Numbers("Reordered", "datagrams"),
            Words("Verdict"),
        ],
        rows: report.steps.iter().map(row).collect(),
    }
}

/// What became of a step, and which checks failed.
pub fn verdict(step: &Step) -> String {
    let verdict = step.verdict();
    if verdict.is_believed() {
        return verdict.word().to_owned();
    }
    let failed: Vec<&str> = step.failed_checks().map(|check| check.name.as_str()).collect();
    format!("{} ({})", verdict.word(), failed.join(", "))
}

/// Latency percentiles of every rate.
pub fn latencies(report: &Report) -> Table {
    let row = |step: &&Step| {
        let latency = &step.outcome.latency;
        let percentiles = [
            latency.p50_ns,
            latency.p90_ns,
            latency.p99_ns,
            latency.p99_9_ns,
            latency.p99_99_ns,
            latency.max_ns,
        ];
        let shown =
            percentiles.map(|ns| if latency.count > 0 { microseconds(float(ns)) } else { "–".to_owned() });
        let lag = microseconds(float(step.outcome.generator.lag_p99_ns));
        [count(step.offered_per_s), count(latency.count)].into_iter().chain(shown).chain([lag]).collect()
    };
    Table {
        caption: "Latency from the intended send time",
        head: vec![
            Numbers("Offered", "datagrams/s"),
            Numbers("Measured", "datagrams"),
            Numbers("p50", "µs"),
            Numbers("p90", "µs"),
            Numbers("p99", "µs"),
            Numbers("p99.9", "µs"),
            Numbers("p99.99", "µs"),
            Numbers("Largest", "µs"),
            Numbers("Sent late by, p99", "µs"),
        ],
        rows: report.steps_by_rate().iter().map(row).collect(),
    }
}

/// Core-time of the reflector's core, of its worker and of the generator.
pub fn core_times(report: &Report) -> Table {
    let row = |step: &&Step| {
        let split = step.core_split_ns_per_datagram();
        let parts = split.map_or([f64::NAN; 3], |parts| parts);
        let shown = parts.into_iter().chain([parts.iter().sum()]);
        let worker = step.relay.busy_ns_per_datagram().unwrap_or(f64::NAN);
        let generator = step.outcome.generator.core_ns_per_datagram;
        let each = shown.chain([worker, generator]).map(microseconds);
        let steal = time(float(step.core.steal_ns));
        [count(step.offered_per_s)].into_iter().chain(each).chain([steal]).collect()
    };
    Table {
        caption: "Core-time in figures",
        head: vec![
            Numbers("Offered", "datagrams/s"),
            Numbers("User", "µs"),
            Numbers("System", "µs"),
            Numbers("Soft interrupt", "µs"),
            Numbers("Core, all of it", "µs"),
            Numbers("Worker thread", "µs"),
            Numbers("Generator, per datagram", "µs"),
            Numbers("Taken by the hypervisor", "in all"),
        ],
        rows: report.steps_by_rate().iter().map(row).collect(),
    }
}

/// Delivery by the NAT behaviours of sender and receiver.
pub fn nat_pairs(report: &Report) -> Table {
    let row = |pair: &NatPair| {
        let lost = pair.sent.saturating_sub(pair.delivered + pair.refused_by_nat);
        let delivered = if pair.sent > 0 { float(pair.delivered) / float(pair.sent) } else { f64::NAN };
        vec![
            pair.from.clone(),
            pair.to.clone(),
            count(pair.sent),
            part(delivered),
            count(pair.refused_by_nat),
            count(lost),
        ]
    };
    Table {
        caption: "Datagrams by the behaviours of both NATs",
        head: vec![
            Words("From"),
            Words("To"),
            Numbers("Sent", "datagrams"),
            Numbers("Delivered", "of sent"),
            Numbers("Refused by NAT", "datagrams"),
            Numbers("Lost", "datagrams"),
        ],
        rows: report.nat_pairs().iter().map(row).collect(),
    }
}

/// Every check of every step.
pub fn checks(report: &Report) -> Table {
    let row = |(step, check): (&Step, &Check)| {
        vec![
            count(step.offered_per_s),
            check.name.clone(),
            check.value.map_or_else(|| "–".to_owned(), |value| in_unit(value, &check.unit)),
            format!("{} {}", relation(&check.relation), in_unit(check.bound, &check.unit)),
            if check.holds { "holds" } else { "fails" }.to_owned(),
        ]
    };
    let all = report.steps.iter().flat_map(|step| {
        step.outcome.validity.checks.iter().chain(&step.checks).map(move |check| (step, check))
    });
    Table {
        caption: "Every check of every step",
        head: vec![
            Numbers("Offered", "datagrams/s"),
            Words("Check"),
            Numbers("Found", ""),
            Words("Must be"),
            Words("Outcome"),
        ],
        rows: all.map(row).collect(),
    }
}

/// What the reflector counted in every step.
pub fn counters(report: &Report) -> Table {
    let row = |step: &Step| {
        let relay = &step.relay;
        let dropped: u64 = relay.dropped.values().sum();
        let unsent: u64 = relay.send_errors.values().sum();
        let numbers = [
            step.offered_per_s,
            relay.received,
            relay.relayed,
            relay.observed,
            dropped,
            unsent,
            relay.overflows,
        ];
        numbers
            .map(count)
            .into_iter()
            .chain([relay.dropped.keys().cloned().collect::<Vec<_>>().join(", ")])
            .collect()
    };
    Table {
        caption: "What the reflector counted, warm-up and PROBEs included",
        head: vec![
            Numbers("Offered", "datagrams/s"),
            Numbers("Received", "datagrams"),
            Numbers("Relayed", "datagrams"),
            Numbers("Observed", "PROBEs"),
            Numbers("Dropped", "datagrams"),
            Numbers("Send errors", "datagrams"),
            Numbers("Lost in its queue", "datagrams"),
            Words("Dropped because of"),
        ],
        rows: report.steps.iter().map(row).collect(),
    }
}

/// Facts about the machine and the programs.
pub fn facts(caption: &'static str, facts: &[Fact]) -> Table {
    let row = |fact: &Fact| vec![fact.name.clone(), fact.value.clone()];
    Table { caption, head: vec![Words("What"), Words("Value")], rows: facts.iter().map(row).collect() }
}

/// A value as its unit is written.
pub fn in_unit(value: f64, unit: &str) -> String {
    match unit {
        "ns" if value < 0.0 => format!("-{}", time(-value)),
        "ns" => time(value),
        "fraction" => percent(value),
        _ if value < 0.0 => format!("-{}", whole(-value)),
        _ => whole(value),
    }
}

fn relation(ascii: &str) -> &str {
    match ascii {
        "<=" => "≤",
        ">=" => "≥",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn every_row_fills_every_column() {
        let report = sample::report();
        let environment = &report.environment;
        let tables = [steps, latencies, core_times, nat_pairs, checks, counters].map(|table| table(&report));
        for table in tables.iter().chain([&facts("x", &environment.machine)]) {
            assert!(!table.rows.is_empty(), "{}", table.caption);
            assert!(table.rows.iter().all(|row| row.len() == table.head.len()), "{}", table.caption);
        }
        assert!(facts("x", &environment.machine).html().contains("Example &lt;CPU&gt; &amp; Co."));
    }

    #[test]
    fn a_step_that_failed_says_which_check() {
        assert_eq!(verdict(&sample::invalid_step(1_000)), "not valid (lag-p99)");
        assert_eq!(verdict(&sample::step(1_000, 0.2)), "too lossy");
        assert_eq!(in_unit(-2_500.0, "ns"), "-2.5 µs");
        assert_eq!(in_unit(0.01, "fraction"), "1 %");
        assert_eq!(in_unit(3.0, "count"), "3");
    }
}
