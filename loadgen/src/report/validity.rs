//! Whether a run's numbers may be believed: the generator judged by its own conduct.
//!
//! * Every check stands in the report with value and bound, whether it holds or not.
//! * Only the generator's own faults count here; what the reflector loses or delays is a result.

use results::run::{Generator, Rate};
use results::verdict::Relation;
use results::verdict::{Validity, Verdict};

/// Judges a run; `clock_step_ns` is how far the system clock moved against boot time during it.
#[allow(clippy::cast_precision_loss)] // Judged to 53 bits.
pub fn judge(generator: &Generator, rate: &Rate, clock_step_ns: u64) -> Validity {
    let at_most = |name: &str, value: f64, bound: f64, unit: &str| {
        Verdict::new(name.to_owned(), Some(value), Relation::AtMost, bound, unit)
    };
    let errors: u64 = generator.send_errors.values().sum();
    let shortfall = (rate.due > 0).then(|| 1.0 - rate.sent as f64 / rate.due as f64);
    let slew_ns = rate.elapsed_ns as f64 * MOST_SLEW;
    let checks = vec![
        at_most("lag-p99", generator.lag_p99_ns as f64, MOST_LAG_NS, "ns"),
        at_most("lag-growth", generator.lag_growth_ns as f64, MOST_LAG_GROWTH_NS, "ns"),
        Verdict::new("rate-shortfall".to_owned(), shortfall, Relation::AtMost, MOST_SHORTFALL, "fraction"),
        at_most("socket-overflows", generator.socket_overflows as f64, 0.0, "count"),
        at_most("send-errors", errors as f64, 0.0, "count"),
        at_most("nat-outbound-refused", generator.nat_outbound_refused as f64, 0.0, "count"),
        at_most("clock-step", clock_step_ns as f64, MOST_CLOCK_STEP_NS + slew_ns, "ns"),
    ];
    Validity { valid: checks.iter().all(|check| check.holds), checks }
}

/// Pacing lag that still counts as paced, 99th percentile, ns.
const MOST_LAG_NS: f64 = 1_000_000.0;
/// Growth of the median lag that noise explains, ns.
const MOST_LAG_GROWTH_NS: f64 = 500_000.0;
/// Part of the rate that may be missing.
const MOST_SHORTFALL: f64 = 0.01;
/// Movement of the system clock beyond slewing that noise explains, ns.
const MOST_CLOCK_STEP_NS: f64 = 10_000_000.0;
/// The rate at which adjtime(3) slews a clock.
const MOST_SLEW: f64 = 0.0005;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn good() -> (Generator, Rate) {
        let rate = Rate { elapsed_ns: 10_000_000_000, due: 1000, sent: 995, ..Rate::default() };
        (Generator { lag_p99_ns: 999_999, lag_growth_ns: -5_000_000, ..Generator::default() }, rate)
    }

    fn failed(generator: &Generator, rate: &Rate, clock_step_ns: u64) -> Vec<String> {
        let validity = judge(generator, rate, clock_step_ns);
        let failed: Vec<String> =
            validity.checks.into_iter().filter(|check| !check.holds).map(|check| check.name).collect();
        assert_eq!(validity.valid, failed.is_empty());
        failed
    }

    #[test]
    fn a_good_run_is_valid() {
        let (generator, rate) = good();
        assert!(failed(&generator, &rate, 14_000_000).is_empty());
    }

    #[test]
    fn each_fault_fails_its_own_check() {
        let (generator, rate) = good();
        let with = |change: fn(&mut Generator)| {
            let mut changed = generator.clone();
            change(&mut changed);
            failed(&changed, &rate, 0)
        };
        assert_eq!(with(|g| g.lag_p99_ns = 1_000_001), ["lag-p99"]);
        assert_eq!(with(|g| g.lag_growth_ns = 500_001), ["lag-growth"]);
        assert_eq!(with(|g| g.socket_overflows = 1), ["socket-overflows"]);
        assert_eq!(with(|g| g.send_errors = BTreeMap::from([("again".to_owned(), 1)])), ["send-errors"]);
        assert_eq!(with(|g| g.nat_outbound_refused = 1), ["nat-outbound-refused"]);
        assert_eq!(failed(&generator, &Rate { sent: 989, ..rate.clone() }, 0), ["rate-shortfall"]);
        assert_eq!(failed(&generator, &Rate { due: 0, sent: 0, ..rate.clone() }, 0), ["rate-shortfall"]);
        assert_eq!(failed(&generator, &rate, 15_000_001), ["clock-step"]);
    }
}
