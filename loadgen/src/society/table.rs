//! The result of `presence` as a table to read.
//!
//! * Says what went wrong before anybody believes a number.

use crate::report::table::happened;
use crate::units::{show_count, show_fraction, show_ns};
use results::latency::Latency;
use results::presence::Share;
use results::presence::{NoticeReport, PresenceReport};
use std::fmt::Write;

/// The table, with a line break at its end.
pub fn table(report: &PresenceReport) -> String {
    let mut rows = people(report);
    rows.push(("came", notices(&report.came)));
    rows.push(("went", notices(&report.went)));
    rows.push(("reflected", format!("of notices {}", share(&report.notice_share))));
    if let Some(of_talk) = &report.talk_share {
        rows.push(("", format!("of conversations {}", share(of_talk))));
    }
    rows.extend(datagrams(report));
    rows.extend(report.calls.iter().map(|(path, times)| ("access", format!("{path} {}", spread(times)))));
    let failures = report.call_failures.iter();
    rows.extend(
        failures.map(|(reason, times)| ("access", format!("{} failed: {reason}", show_count(*times)))),
    );
    rows.extend(loads(report));
    rows.extend(judgement(report));
    let mut out = String::new();
    for (name, value) in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{name:<11} {value}");
    }
    out
}

#[allow(clippy::cast_precision_loss)]
fn people(report: &PresenceReport) -> Vec<(&'static str, String)> {
    let PresenceReport { settings, setup, storm, churn, .. } = report;
    let count = |number: u32| show_count(u64::from(number));
    let ns = |ns: u64| show_ns(ns as f64);
    let mut rows = vec![
        ("access", settings.access.clone()),
        (
            "population",
            format!(
                "{} endpoints, about {} buddies each, {}",
                count(settings.endpoints),
                settings.buddies,
                settings.nat
            ),
        ),
        (
            "set-up",
            format!(
                "{} accounts and devices, {} friendships in {}",
                count(setup.accounts),
                show_count(setup.friendships),
                ns(setup.elapsed_ns)
            ),
        ),
        (
            "storm",
            format!(
                "{} started within {}, {} logged in; all quiet after {}",
                count(storm.started),
                ns(settings.storm_ns),
                count(storm.logged_in),
                ns(storm.elapsed_ns)
            ),
        ),
        ("login", spread(&storm.login)),
        ("to all", format!("buddies that are there {}", spread(&storm.to_all))),
    ];
    if settings.hidden > 0.0 {
        rows.push((
            "hidden",
            format!(
                "{:.0} % hide their addresses: all with them is reflected, and sealed",
                settings.hidden * 100.0
            ),
        ));
    }
    if !settings.churn.is_empty() {
        rows.push((
            "churn",
            format!("{} left, {} came back", show_count(churn.left), show_count(churn.returned)),
        ));
    }
    rows
}

fn datagrams(report: &PresenceReport) -> Vec<(&'static str, String)> {
    let (paths, count) = (&report.paths, show_count);
    let mut rows = vec![
        (
            "datagrams",
            format!(
                "{} reflected, {} came back, {} lost; {} PROBEs, {} answered; {} refused by NAT, {} for who had left",
                count(paths.reflected),
                count(paths.returned),
                count(paths.lost),
                count(paths.probes),
                count(paths.observed),
                count(paths.refused_by_nat),
                count(paths.away)
            ),
        ),
        (
            "",
            format!(
                "{} from host to host, {} let in, {} refused by NAT, {} for who had left",
                count(paths.direct_sent),
                count(paths.direct_delivered),
                count(paths.direct_refused),
                count(paths.direct_away)
            ),
        ),
    ];
    if paths.said > 0 {
        rows.push(("talk", format!("{} said, {} heard", count(paths.said), count(paths.heard))));
    }
    rows
}

fn loads(report: &PresenceReport) -> Vec<(&'static str, String)> {
    let load = |load: &results::presence::ReflectorLoad| {
        let dropped: u64 = load.dropped.values().sum();
        let reasons: Vec<String> =
            load.dropped.iter().map(|(reason, number)| format!("{reason} {}", show_count(*number))).collect();
        let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
        let text = format!(
            "{}: {} observed, {} relayed, {} dropped{reasons}, workers busy {:.2}s",
            load.metrics,
            show_count(load.observed),
            show_count(load.relayed),
            show_count(dropped),
            load.busy_s
        );
        ("reflector", text)
    };
    report.reflectors.iter().map(load).collect()
}

#[allow(clippy::cast_precision_loss)]
fn judgement(report: &PresenceReport) -> Vec<(&'static str, String)> {
    let generator = &report.generator;
    let mut rows = vec![(
        "generator",
        format!(
            "lag p50 {} p99 {} max {}, {} of CPU, {} MiB",
            show_ns(generator.lag_p50_ns as f64),
            show_ns(generator.lag_p99_ns as f64),
            show_ns(generator.lag_max_ns as f64),
            show_ns(generator.cpu_ns as f64),
            generator.rss_bytes >> 20
        ),
    )];
    if report.false_offline > 0 {
        let text =
            format!("{} times a buddy was seen going that was there", show_count(report.false_offline));
        rows.push(("note", text));
    }
    let outcome = |holds: bool| if holds { "holds" } else { "FAILED" };
    rows.extend(
        report.agreement.iter().map(|it| ("agreement", format!("{} {}", it.name, outcome(it.holds)))),
    );
    rows.extend(
        report.thresholds.iter().map(|it| ("threshold", format!("{} {}", it.name, outcome(it.holds)))),
    );
    let failed = report.validity.checks.iter().filter(|check| !check.holds);
    let failed: Vec<String> = failed
        .map(|check| {
            let show = |value: f64| if check.unit == "ns" { show_ns(value) } else { format!("{value}") };
            let value = check.value.map_or("nothing measured".to_owned(), show);
            format!("{} is {value}, allowed {} {}", check.name, check.relation, show(check.bound))
        })
        .collect();
    let validity =
        if failed.is_empty() { "valid".to_owned() } else { format!("INVALID: {}", failed.join("; ")) };
    rows.push(("validity", validity));
    rows.extend(report.planning.reasons.iter().map(|reason| ("note", format!("not for planning: {reason}"))));
    rows.extend(report.events.iter().map(|event| ("event", happened(event))));
    if report.interrupted {
        rows.push(("note", "interrupted: a partial result".to_owned()));
    }
    if !report.failed.is_empty() {
        rows.push(("FAILED", format!("{}; a partial result", report.failed)));
    }
    rows
}

fn notices(report: &NoticeReport) -> String {
    let counts = &report.counts;
    let count = show_count;
    format!(
        "{} due, {} direct, {} reflected, {} by the server, {} void, {} lost, {} late; {}",
        count(counts.due),
        count(counts.direct),
        count(counts.reflected),
        count(counts.by_server),
        count(counts.void),
        count(counts.lost),
        count(counts.late),
        spread(&report.latency)
    )
}

fn share(share: &Share) -> String {
    if share.count == 0 {
        return "nothing was counted".to_owned();
    }
    let agrees = if share.agrees { "agrees" } else { "DISAGREES" };
    format!(
        "{} of {}; the grid says {} +- {} (99.9% of samples), {agrees}; {} against their pair",
        show_fraction(share.measured),
        show_count(share.count),
        show_fraction(share.predicted),
        show_fraction(share.sampling_error),
        show_count(share.against_grid)
    )
}

#[allow(clippy::cast_precision_loss)]
fn spread(times: &Latency) -> String {
    if times.count == 0 {
        return "none".to_owned();
    }
    let show = |ns: u64| show_ns(ns as f64);
    format!("p50 {}, p99 {}, max {}", show(times.p50_ns), show(times.p99_ns), show(times.max_ns))
}
