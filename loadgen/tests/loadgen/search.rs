//! The search for the limit of a reflector that has one.
//!
//! * A busy machine may spoil any try; what is asserted holds all the same.

use crate::echo::Mischief;
use crate::held_up::unless_held_up;
use crate::runs::{echo, run};

#[test]
fn a_search_brackets_the_limit() {
    unless_held_up(|| {
        // 20 in each hundredth of a second: 2,000 a second.
        let echo = echo(Mischief::Limit(20));
        let flags = "--find pdr --endpoints 50 --rate 750 --duration 300ms --keepalive 0";
        let (code, report) = run(&echo, flags);
        let found = report.found.unwrap();
        assert!([0, 98, 99].contains(&code) && found.goal == "pdr", "{code} {found:?}");
        assert!((2..=16).contains(&found.tried.len()), "{found:?}");
        assert_eq!(found.tried[0].rate_per_s, 750);
        for tried in &found.tried {
            let within = tried.lost * 200 <= tried.sent;
            let judged = ["relayed", "too lossy"].contains(&tried.verdict.as_str());
            assert!(!judged || within == (tried.verdict == "relayed"), "{tried:?}");
            // What the limit drops is never taken for relayed; a burst of the machine's own making passes no rate far above.
            assert!(tried.verdict != "relayed" || tried.rate_per_s < 3_000, "{tried:?}");
        }
        let relayed = found.tried.iter().filter(|tried| tried.verdict == "relayed");
        let best = relayed.map(|tried| tried.rate_per_s).max().unwrap_or(0);
        assert!(found.rate_per_s <= best, "{found:?}");
        if best > 0 {
            assert_eq!(report.settings.rate_per_s, best, "the report is that of the best try");
        }
        assert!(found.failed_per_s == 0 || found.failed_per_s > found.rate_per_s, "{found:?}");
    });
}

#[test]
fn a_search_goes_no_further_than_the_endpoints_can_send() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let flags = "--find ndr --endpoints 10 --payload voice --rate 200 --duration 200ms --keepalive 0";
        let (_, report) = run(&echo, flags);
        let found = report.found.unwrap();
        assert!(found.tried.iter().all(|tried| tried.rate_per_s <= 500), "{found:?}");
        assert!(report.settings.rate_per_s <= 500 && found.goal == "ndr");
    });
}
