//! Endpoints over time: capabilities that are renewed, endpoints that come and go, and what each of many costs.

use crate::echo::Mischief;
use crate::held_up::unless_held_up;
use crate::runs::{echo, is_consistent, run};

#[test]
fn capabilities_are_made_anew_at_half_of_their_time() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let flags = "--endpoints 20 --rate 400 --duration 2500ms --capability-lifetime 2s";
        let (_, report) = run(&echo, flags);
        is_consistent(&report, &echo);
        assert_eq!((report.population.adopted, echo.refused()), (0, 0));
        // Once a second or two for each of 20 pairs.
        assert!(report.population.minted >= 40, "{:?}", report.population);
        assert_eq!(report.settings.capability_lifetime_s, 2);
    });
}

#[test]
fn who_adopts_lives_by_what_peers_bring() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let flags = "--endpoints 20 --pairs calls --rate 400 --duration 4s --capabilities adopt --capability-lifetime 2s";
        let (_, report) = run(&echo, flags);
        is_consistent(&report, &echo);
        // Made for 2 s at most once by each side, renewed by the reflector for 300 s with the first answer.
        assert!((1..=20).contains(&report.population.minted), "{:?}", report.population);
        assert!(report.population.adopted >= 20, "{:?}", report.population);
        assert_eq!((echo.refused(), report.data.lost), (0, report.data.sent - echo.sends()));
        assert!(report.data.delivered > 1_000, "{:?}", report.data);
    });
}

#[test]
fn sealed_pairs_are_checked_as_the_others_are() {
    for (sealed, flags) in [
        (0.3, "--endpoints 40 --sealed 30%"),
        (1.0, "--endpoints 20 --sealed 100% --pairs calls --capabilities adopt --capability-lifetime 2s"),
    ] {
        unless_held_up(|| {
            let echo = echo(Mischief::None);
            let (_, report) = run(&echo, &format!("{flags} --rate 400 --duration 3s"));
            is_consistent(&report, &echo);
            assert!((report.settings.sealed - sealed).abs() < 1e-9, "{}", report.settings.sealed);
            assert_eq!((echo.refused(), report.keepalive.foreign), (0, 0));
            assert!(report.data.delivered > 500, "{:?}", report.data);
            let (plain, sealed_sends) = (echo.sends() - echo.sealed(), echo.sealed());
            assert!(sealed_sends > 100, "{sealed_sends} were sealed");
            assert_eq!(plain > 100, sealed < 1.0, "{plain} were plain");
        });
    }
}

#[test]
fn endpoints_leave_and_come_back_with_new_contacts() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let flags =
            "--endpoints 60 --nat symmetric=100% --rate 1k --duration 2s --churn 300ms/150ms --keepalive 0";
        let (code, report) = run(&echo, flags);
        assert!([0, 98].contains(&code), "{code}");
        is_consistent(&report, &echo);
        let population = &report.population;
        // 60 endpoints, each away a third of the time, leave once in 450 ms: some 260 in 2 s.
        assert!(population.left > 100 && population.returned > 100, "{population:?}");
        assert!(population.left >= population.returned && population.left - population.returned <= 60);
        let refused = &report.data.refused_by_nat;
        assert!(refused.away > 100, "{refused:?}");
        // What is sent proves what it has to: nobody sends by a contact that is no more.
        assert_eq!((echo.refused(), report.keepalive.foreign), (0, 0));
        assert!(report.data.delivered * 2 > report.data.sent, "{:?}", report.data);
    });
}

#[test]
fn each_of_many_endpoints_takes_little_memory() {
    unless_held_up(|| {
        let echo = echo(Mischief::None);
        let flags = "--endpoints 100k --rate 1k --duration 500ms --keepalive 0 --mapping-timeout 1h";
        let (_, report) = run(&echo, flags);
        let generator = &report.generator;
        assert!(report.contacts.obtained >= 90_000, "{:?}", report.contacts);
        assert!(
            (100.0..320.0).contains(&generator.rss_bytes_per_endpoint),
            "{} bytes per endpoint",
            generator.rss_bytes_per_endpoint
        );
        // At a million, the peak stays below 400 MiB: 40 MiB for a tenth of them, beside what every run has.
        assert!(generator.rss_bytes < 90 << 20, "{} bytes", generator.rss_bytes);
    });
}
