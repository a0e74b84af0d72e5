//! The tables of a sweep, for a page, for Markdown and for a terminal.
//!
//! * What was not measured is a dash; what is estimated says so; a range is that of the rounds.

use crate::draw::tables::Column::{Numbers, Words};
use crate::draw::tables::{Table, nothing, range};
use crate::figures::{compact, count, float, microseconds, part, percent, whole};
use crate::judge::finding::{Finding, LoadFigures, Offered, summed};
use crate::judge::spread::Spread;
use crate::judge::survey::Survey;
use crate::rig::run::{Percentiles, Purpose};
use results::run::NatPair;

/// Every run on the base of each engine, in the order in which they ran.
pub fn runs(survey: &Survey) -> Table {
    let engines = || survey.engines().filter_map(|engine| survey.base(engine));
    let has_several = engines().count() > 1;
    let row = |finding: &Finding, run: &Offered| {
        let purpose = run.purpose?;
        let us = |figure: fn(&Percentiles) -> u64| {
            run.latency.as_ref().map_or_else(nothing, |latency| narrow(figure(latency)))
        };
        let what = match (purpose, run.round) {
            (Purpose::Search, _) => "search".to_owned(),
            (purpose, 0) => format!("warm-up, {}", purpose.words()),
            (purpose, round) => format!("round {round}, {}", purpose.words()),
        };
        let engine = has_several.then(|| finding.cell.engine.title().to_owned());
        let figures = [
            what.replace(" load", ""),
            count(run.offered_per_s),
            whole(run.arrived_per_s),
            percent(run.loss),
            us(|latency| latency.p50_ns),
            us(|latency| latency.p99_ns),
            us(|latency| latency.p99_9_ns),
            run.cost_ns.map_or_else(nothing, microseconds),
            run.verdict.clone(),
        ];
        Some(engine.into_iter().chain(figures).collect())
    };
    let head = [
        Words("Run"),
        Numbers("Offered", "/s"),
        Numbers("Arrived", "/s"),
        Numbers("Lost", ""),
        Numbers("p50", "µs"),
        Numbers("p99", "µs"),
        Numbers("p99.9", "µs"),
        Numbers("Core-time", "µs"),
        Words("Verdict"),
    ];
    Table {
        caption: "Every run of the search and of the rounds, in order",
        head: has_several.then_some(Words("Engine")).into_iter().chain(head).collect(),
        rows: engines()
            .flat_map(|finding| finding.offered.iter().filter_map(|run| row(finding, run)))
            .collect(),
    }
}

/// Capacity and cost of every cell.
pub fn capacities(survey: &Survey) -> Table {
    let row = |finding: &Finding| {
        let half = finding.at(Purpose::Half);
        let ceiling = &finding.ceiling;
        let rate = |rate: Option<u64>| rate.map_or_else(nothing, |rate| compact(float(rate)));
        let pdr = match ceiling.pdr_per_s {
            Some(pdr) if ceiling.is_generators => format!("≥ {}", compact(float(pdr))),
            pdr => rate(pdr),
        };
        let capacity = finding.capacity.map_or_else(nothing, |capacity| {
            let about = if capacity.is_estimated { "≈ " } else { "" };
            format!("{about}{}", compact(capacity.per_s.median))
        });
        let cost = finding.cost_ns();
        vec![
            finding.cell.engine.title().to_owned(),
            finding.cell.in_words(),
            rate(ceiling.ndr_per_s),
            pdr,
            capacity,
            cost.map_or_else(nothing, |cost| microseconds(cost.median)),
            cost.map_or_else(nothing, |cost| range(cost, microseconds)),
            half.map_or_else(nothing, |half| microseconds(half.p99_ns.median)),
            half.map_or_else(nothing, |half| range(half.p99_ns, microseconds)),
        ]
    };
    Table {
        caption: "Capacity and cost of everything that was measured",
        head: vec![
            Words("Engine"),
            Words("What"),
            Numbers("NDR", "datagrams/s"),
            Numbers("PDR", "datagrams/s"),
            Numbers("Capacity", "datagrams/s"),
            Numbers("Core-time", "µs"),
            Numbers("Range", "µs"),
            Numbers("p99 at half load", "µs"),
            Numbers("Its range", "µs"),
        ],
        rows: survey.findings.iter().map(row).collect(),
    }
}

/// Latency of the base of each engine at each load.
pub fn latencies(survey: &Survey) -> Table {
    let bases = survey.engines().filter_map(|engine| survey.base(engine));
    let row = |(finding, load): (&Finding, &LoadFigures)| {
        let latency = &load.latency;
        let us = |ns: u64| microseconds(float(ns));
        vec![
            finding.cell.engine.title().to_owned(),
            finding.part_of(load).map_or_else(nothing, percent),
            count(load.offered_per_s),
            percent(float(load.lost) / float(load.sent.max(1))),
            us(latency.p50_ns),
            us(latency.p90_ns),
            us(latency.p99_ns),
            us(latency.p99_9_ns),
            us(latency.p99_99_ns),
            us(latency.max_ns),
            range(load.p99_ns, microseconds),
        ]
    };
    let loads = bases.flat_map(|finding| finding.loads.iter().map(move |load| (finding, load)));
    Table {
        caption: "Latency of single datagrams, all rounds merged",
        head: vec![
            Words("Engine"),
            Numbers("Load", "of its capacity"),
            Numbers("Offered", "datagrams/s"),
            Numbers("Lost", ""),
            Numbers("p50", "µs"),
            Numbers("p90", "µs"),
            Numbers("p99", "µs"),
            Numbers("p99.9", "µs"),
            Numbers("p99.99", "µs"),
            Numbers("Most", "µs"),
            Numbers("p99 of the rounds", "µs"),
        ],
        rows: loads.map(row).collect(),
    }
}

/// Delivery by NAT pair, over all rounds at half load.
pub fn nat_pairs(survey: &Survey) -> Table {
    let halves = survey.findings.iter().filter_map(|finding| finding.at(Purpose::Half));
    let sums = summed(halves.flat_map(|half| &half.pairs));
    let row = |pair: &NatPair| {
        vec![
            pair.from.clone(),
            pair.to.clone(),
            count(pair.sent),
            part(float(pair.delivered) / float(pair.sent.max(1))),
            count(pair.refused_by_nat),
        ]
    };
    Table {
        caption: "Delivery by NAT behaviours (mapping/filtering, RFC 4787), all rounds at half load",
        head: vec![
            Words("Sender"),
            Words("Receiver"),
            Numbers("Sent", "datagrams"),
            Numbers("Delivered", ""),
            Numbers("Refused by the NAT", "datagrams"),
        ],
        rows: sums.iter().map(row).collect(),
    }
}

/// Memory over endpoints, for each engine.
pub fn memory(survey: &Survey) -> Table {
    let axis = crate::rig::cell::Axis::Endpoints;
    let found = survey.engines().flat_map(|engine| survey.along(engine, axis));
    let row = |(finding, half): (&Finding, &LoadFigures)| {
        let mib = |bytes: Spread| format!("{:.1}", bytes.median / f64::from(1 << 20));
        let per_endpoint = half.generator_bytes.median / f64::from(finding.cell.endpoints.max(1));
        vec![
            finding.cell.engine.title().to_owned(),
            count(finding.cell.endpoints.into()),
            mib(half.reflector_bytes),
            mib(half.generator_bytes),
            whole(per_endpoint),
        ]
    };
    Table {
        caption: "Resident memory",
        head: vec![
            Words("Engine"),
            Numbers("Endpoints", ""),
            Numbers("Reflector", "MiB"),
            Numbers("Generator", "MiB"),
            Numbers("Generator, all of it", "bytes an endpoint"),
        ],
        rows: found.filter_map(|finding| Some(row((finding, finding.at(Purpose::Half)?)))).collect(),
    }
}

/// A span of time in microseconds, in few enough characters for a terminal: `384,041`, `1.34M`.
fn narrow(ns: u64) -> String {
    let us = microseconds(float(ns));
    if us.chars().count() > NARROW { compact(float(ns) / 1_000.0) } else { us }
}

/// Characters of a latency: the table keeps its width on a machine where seconds pass.
const NARROW: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn every_row_fills_every_column() {
        let survey = sample::survey();
        let text = runs(&Survey { findings: vec![survey.findings[0].clone()], ..survey.clone() }).terminal();
        assert!(text.contains("warm-up, 50 %") && text.contains("too lossy"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert_eq!([384_041_000, 1_340_000_000].map(narrow), ["384,041", "1.34M"]);
        for table in [runs, capacities, latencies, nat_pairs, memory].map(|table| table(&survey)) {
            assert!(!table.rows.is_empty(), "{}", table.caption);
            assert!(table.rows.iter().all(|row| row.len() == table.head.len()), "{}", table.caption);
            assert_eq!(table.markdown().lines().count(), table.rows.len() + 2);
            assert!(table.html().contains("</table>"));
        }
        assert!(
            capacities(&survey)
                .markdown()
                .contains("| epoll | 168 B, 1,000 endpoints | 196k | 196k | 196k | 5.00 |")
        );
    }
}
