//! From what was counted to the report.
//!
//! * Pure: numbers in, a report out. Loss is what was sent and never seen, never an estimate.

use crate::error::{Ending, Error};
use crate::load::shape::fault::Fault;
use crate::load::shape::traffic::Traffic;
use crate::load::watch::measured::Measured;
use crate::load::watch::tally;
use crate::load::watch::tally::Tally;
use crate::report::validity;
use engine::SendError;
use hdrhistogram::Histogram;
use results::latency::Latency;
use results::presence::PresenceReport;
use results::run::{
    Contacts, Data, Generator, Invalid, Keepalive, NatPair, Planning, Population, Rate, Report, SCHEMA,
    Settings,
};
use results::verdict::Relation;
use results::verdict::Verdict;

/// Everything a report is made of.
#[derive(Debug)]
pub struct Findings<'a> {
    /// What was meant.
    pub traffic: &'a Traffic,
    /// The same and who talked, as the report says it.
    pub settings: Settings,
    /// The contacts phase.
    pub contacts: Contacts,
    /// The load.
    pub measured: Measured,
    /// Unix seconds at the start of the measured phase.
    pub started_unix_s: u64,
    /// How far the system clock moved against boot time, ns.
    pub clock_step_ns: u64,
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// Most resident memory, bytes.
    pub rss_bytes: u64,
    /// What endpoints, pairs and contacts added to it, bytes.
    pub built_bytes: u64,
    /// Receive buffer of a socket, bytes.
    pub receive_buffer_bytes: usize,
    /// Sockets of all workers together.
    pub sockets: u32,
}

impl<'a> Findings<'a> {
    /// Of a load phase, and of nothing else yet.
    pub fn of(traffic: &'a Traffic, measured: Measured) -> Self {
        Findings {
            traffic,
            settings: traffic.settings(),
            contacts: Contacts::default(),
            measured,
            started_unix_s: 0,
            clock_step_ns: 0,
            interrupted: false,
            rss_bytes: 0,
            built_bytes: 0,
            receive_buffer_bytes: 0,
            sockets: 0,
        }
    }
}

/// Makes the report.
///
/// # Errors
/// None in practice: the histogram does not serialise.
pub fn report(findings: &Findings<'_>) -> Result<Report, Error> {
    let Findings { traffic, measured, .. } = findings;
    let tally = &measured.tally;
    let (data, rate) = (data(tally), rate(measured));
    let latency = Latency::of(&tally.latency)?;
    let generator = generator(findings);
    // A clock that jumped there and back was no steady one either.
    let clock_step_ns = findings.clock_step_ns.max(measured.watched.most_jump_ns);
    let validity = validity::judge(&generator, &rate, clock_step_ns);
    let mut thresholds: Vec<Verdict> =
        traffic.thresholds.iter().map(|threshold| threshold.judge(&latency, &data)).collect();
    if !findings.settings.invalid.is_empty() {
        let delivered = Some(as_f64(tally.invalid_delivered));
        let name = "invalid-delivered<=0".to_owned();
        thresholds.push(Verdict::new(name, delivered, Relation::AtMost, 0.0, "count"));
    }
    let reasons = traffic.not_for_planning();
    Ok(Report {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        settings: findings.settings.clone(),
        started_unix_s: findings.started_unix_s,
        interrupted: findings.interrupted,
        refused_all: measured.watched.is_refused,
        failed: measured.watched.failed.clone(),
        contacts: findings.contacts.clone(),
        rate,
        data,
        invalid: invalid(tally),
        keepalive: Keepalive {
            sent: tally.probes,
            answered: tally.answers,
            changed: tally.contacts_changed,
            foreign: tally.foreign,
        },
        population: population(tally),
        latency,
        series: measured.series.clone(),
        nat_pairs: nat_pairs(tally),
        generator,
        validity,
        thresholds,
        planning: Planning { fit: reasons.is_empty(), reasons },
        events: measured.watched.events.clone(),
        found: None,
    })
}

/// How the program ends: interrupted before all refused, that before failed, failed before invalid, invalid before a
/// failed threshold.
pub fn ending(report: &Report) -> Ending {
    if report.interrupted {
        Ending::Interrupted
    } else if report.refused_all {
        Ending::Refused
    } else if !report.failed.is_empty() {
        Ending::Failed
    } else if !report.validity.valid {
        Ending::Invalid
    } else if report.thresholds.iter().any(|verdict| !verdict.holds) {
        Ending::ThresholdFailed
    } else {
        Ending::Fine
    }
}

/// How the program ends after `presence`, in the same order; an agreement with the grid that fails is a threshold that fails.
pub fn ending_of_presence(report: &PresenceReport) -> Ending {
    let holds = report.thresholds.iter().chain(&report.agreement).all(|verdict| verdict.holds);
    match (report.interrupted, report.failed.is_empty(), report.validity.valid, holds) {
        (true, ..) => Ending::Interrupted,
        (_, false, ..) => Ending::Failed,
        (_, _, false, _) => Ending::Invalid,
        (.., false) => Ending::ThresholdFailed,
        _ => Ending::Fine,
    }
}

fn data(tally: &Tally) -> Data {
    let seen = tally.delivered + tally.refused.total();
    let lost = tally.sent.saturating_sub(seen);
    Data {
        sent: tally.sent,
        delivered: tally.delivered,
        refused_by_nat: tally.refused,
        lost,
        loss: ratio(lost, tally.sent),
        duplicates: tally.duplicates,
        reordered: tally.reordered,
        stale: tally.stale,
        late: tally.late,
    }
}

fn rate(Measured { tally, phase, .. }: &Measured) -> Rate {
    let elapsed_ns = phase.elapsed_ns(u64::MAX);
    let per_s = |count: u64| ratio(count, elapsed_ns) * 1e9;
    let sent = tally.sent + tally.invalid_taken;
    // XDP programs count no warm-up.
    let whole_ns = phase.end_ns().saturating_sub(phase.start_ns());
    let managed_per_s = if tally.taken == 0 { per_s(sent) } else { ratio(tally.taken, whole_ns) * 1e9 };
    Rate {
        elapsed_ns,
        due: tally.due,
        sent,
        sent_per_s: per_s(sent),
        managed_per_s,
        arrived_per_s: per_s(tally.delivered + tally.refused.total()),
        delivered_per_s: per_s(tally.delivered),
    }
}

fn invalid(tally: &Tally) -> Invalid {
    let sent = Fault::ALL.into_iter().zip(tally.invalid_sent).filter(|(_, count)| *count > 0);
    Invalid {
        sent: sent.map(|(fault, count)| (fault.as_str().to_owned(), count)).collect(),
        delivered: tally.invalid_delivered,
    }
}

fn population(tally: &Tally) -> Population {
    let Tally { minted, adopted, left, returned, idle, .. } = *tally;
    Population { minted, adopted, left, returned, idle }
}

fn nat_pairs(tally: &Tally) -> Vec<NatPair> {
    let cells = tally::cell_names().zip(&tally.cells).filter(|(_, cell)| cell.sent > 0);
    cells
        .map(|((from, to), cell)| NatPair {
            from: from.to_string(),
            to: to.to_string(),
            sent: cell.sent,
            delivered: cell.delivered,
            refused_by_nat: cell.refused,
        })
        .collect()
}

fn generator(findings: &Findings<'_>) -> Generator {
    let tally = &findings.measured.tally;
    let [first, .., last] = &tally.lag;
    let median = |lag: &Histogram<u64>| i64::try_from(lag.value_at_percentile(50.0)).unwrap_or(i64::MAX);
    // A run that was cut short has no last quarter to compare.
    let growth = if last.is_empty() { 0 } else { median(last) - median(first) };
    let mut lag = first.clone();
    for quarter in tally.lag.iter().skip(1) {
        // All quarters have one range, so that adding cannot fail.
        lag += quarter;
    }
    let percentile = |percent| if lag.is_empty() { 0 } else { lag.value_at_percentile(percent) };
    let errors = SendError::ALL.into_iter().zip(tally.send_errors).filter(|(_, count)| *count > 0);
    let busy_ns = tally.cpu_ns.saturating_sub(tally.spin_ns);
    Generator {
        lag_p50_ns: percentile(50.0),
        lag_p99_ns: percentile(99.0),
        lag_max_ns: lag.max(),
        lag_growth_ns: growth,
        send_errors: errors.map(|(error, count)| (error.as_str().to_owned(), count)).collect(),
        transmit_errors: tally.transmit_errors,
        socket_overflows: tally.overflows,
        nat_outbound_refused: tally.nat_outbound_refused,
        cpu_ns: tally.cpu_ns,
        spin_ns: tally.spin_ns,
        // Whoever draws knows it.
        view_ns: 0,
        core_ns_per_datagram: ratio(busy_ns, tally.handled),
        rss_bytes: findings.rss_bytes,
        rss_bytes_per_endpoint: ratio(findings.built_bytes, u64::from(findings.settings.endpoints)),
        receive_buffer_bytes: findings.receive_buffer_bytes as u64,
        sockets: findings.sockets,
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { as_f64(part) / as_f64(whole) }
}

#[allow(clippy::cast_precision_loss)] // Shown to a few digits.
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_histogram_survives_the_report() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, tally::LONGEST_NS, 3).unwrap();
        for value in [1, 1_000, 250_000, 59_000_000_000] {
            histogram.record_n(value, value % 7 + 1).unwrap();
        }
        let latency = Latency::of(&histogram).unwrap();
        assert_eq!(latency.histogram().unwrap(), histogram);
        assert_eq!((latency.count, latency.min_ns), (histogram.len(), 1));
    }

    #[test]
    fn loss_is_what_was_never_seen() {
        let mut tally = Tally::new().unwrap();
        (tally.sent, tally.delivered, tally.refused.expired) = (1_000, 900, 60);
        let data = data(&tally);
        assert_eq!((data.lost, data.loss), (40, 0.04));
        tally.delivered = 2_000;
        assert_eq!(super::data(&tally).lost, 0);
        assert_eq!(super::data(&Tally::new().unwrap()).loss, 0.0);
    }
}
