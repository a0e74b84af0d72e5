//! The tables of a sweep, for a page, for Markdown and for a terminal.
//!
//! * What was not measured is a dash; what is estimated says so; a range is that of the rounds.

use crate::draw::tables::{Column, Table};
use crate::figures::{compact, count, float, microseconds, part, percent};
use crate::judge::finding::{Finding, LoadFigures, summed};
use crate::judge::spread::Spread;
use crate::judge::survey::Survey;
use crate::rig::reading::Purpose;
use lab::programs::generator::NatPair;

/// A table that can be shown anywhere.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// What it shows.
    pub caption: &'static str,
    /// Its columns: name and unit; words have no unit.
    pub head: Vec<(&'static str, Option<&'static str>)>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
}

impl Sheet {
    /// For a page.
    pub fn table(&self) -> Table {
        let column = |(name, unit): &(&'static str, Option<&'static str>)| match unit {
            Some(unit) => Column::Numbers(name, unit),
            None => Column::Words(name),
        };
        Table::new(self.caption, self.head.iter().map(column).collect(), self.rows.clone())
    }

    /// For a terminal: columns aligned, lines ended.
    pub fn terminal(&self) -> String {
        let names = self.head.iter().map(|(name, _)| (*name).to_owned());
        let units = self.head.iter().map(|(_, unit)| unit.unwrap_or_default().to_owned());
        let mut rows: Vec<Vec<String>> = vec![names.collect(), units.collect()];
        rows.extend(self.rows.iter().cloned());
        let width = |place: usize| {
            rows.iter().filter_map(|row| Some(row.get(place)?.chars().count())).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).zip(&self.head).map(|((cell, width), (_, unit))| {
                if unit.is_some() { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
        };
        rows.iter().map(line).collect()
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        let name = |(name, unit): &(&str, Option<&str>)| match unit {
            Some(unit) if !unit.is_empty() => format!("{name}, {unit}"),
            _ => (*name).to_owned(),
        };
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | ").replace('\n', " "));
        let rule = self.head.iter().map(|(_, unit)| if unit.is_some() { "---:" } else { "---" }.to_owned());
        let rows: String = self.rows.iter().map(|row| line(row.clone())).collect();
        line(self.head.iter().map(name).collect()) + &line(rule.collect()) + &rows
    }
}

/// Capacity and cost of every cell.
pub fn capacities(survey: &Survey) -> Sheet {
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
            cost.map_or_else(nothing, range),
            half.map_or_else(nothing, |half| microseconds(half.p99_ns.median)),
            half.map_or_else(nothing, |half| range(half.p99_ns)),
        ]
    };
    Sheet {
        caption: "Capacity and cost of everything that was measured",
        head: vec![
            ("Engine", None),
            ("What", None),
            ("NDR", Some("datagrams/s")),
            ("PDR", Some("datagrams/s")),
            ("Capacity", Some("datagrams/s")),
            ("Core-time", Some("µs")),
            ("Range", Some("µs")),
            ("p99 at half load", Some("µs")),
            ("Its range", Some("µs")),
        ],
        rows: survey.findings.iter().map(row).collect(),
    }
}

/// Latency of the base of each engine at each load.
pub fn latencies(survey: &Survey) -> Sheet {
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
            range(load.p99_ns),
        ]
    };
    let loads = bases.flat_map(|finding| finding.loads.iter().map(move |load| (finding, load)));
    Sheet {
        caption: "Latency of single datagrams, all rounds merged",
        head: vec![
            ("Engine", None),
            ("Load", Some("of its capacity")),
            ("Offered", Some("datagrams/s")),
            ("Lost", Some("")),
            ("p50", Some("µs")),
            ("p90", Some("µs")),
            ("p99", Some("µs")),
            ("p99.9", Some("µs")),
            ("p99.99", Some("µs")),
            ("Most", Some("µs")),
            ("p99 of the rounds", Some("µs")),
        ],
        rows: loads.map(row).collect(),
    }
}

/// Delivery by NAT pair, over all rounds at half load.
pub fn nat_pairs(survey: &Survey) -> Sheet {
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
    Sheet {
        caption: "Delivery by NAT behaviours (mapping/filtering, RFC 4787), all rounds at half load",
        head: vec![
            ("Sender", None),
            ("Receiver", None),
            ("Sent", Some("datagrams")),
            ("Delivered", Some("")),
            ("Refused by the NAT", Some("datagrams")),
        ],
        rows: sums.iter().map(row).collect(),
    }
}

/// Memory over endpoints, for each engine.
pub fn memory(survey: &Survey) -> Sheet {
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
            crate::figures::whole(per_endpoint),
        ]
    };
    Sheet {
        caption: "Resident memory",
        head: vec![
            ("Engine", None),
            ("Endpoints", Some("")),
            ("Reflector", Some("MiB")),
            ("Generator", Some("MiB")),
            ("Generator, all of it", Some("bytes an endpoint")),
        ],
        rows: found.filter_map(|finding| Some(row((finding, finding.at(Purpose::Half)?)))).collect(),
    }
}

/// From the least to the most, µs.
fn range(spread: Spread) -> String {
    format!("{} – {}", microseconds(spread.least), microseconds(spread.most))
}

fn nothing() -> String {
    "–".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn every_row_fills_every_column() {
        let survey = sample::survey();
        for sheet in [capacities, latencies, nat_pairs, memory].map(|sheet| sheet(&survey)) {
            assert!(!sheet.rows.is_empty(), "{}", sheet.caption);
            assert!(sheet.rows.iter().all(|row| row.len() == sheet.head.len()), "{}", sheet.caption);
            assert_eq!(sheet.markdown().lines().count(), sheet.rows.len() + 2);
            assert!(sheet.table().html().contains("</table>"));
        }
        assert!(
            capacities(&survey)
                .markdown()
                .contains("| mio | 168 B, 1,000 endpoints | 196k | 196k | 196k | 5.00 |")
        );
    }
}
