//! The result as a table to read, and as HdrHistogram's percentile text.
//!
//! * Says what went wrong before anybody believes a number.

use crate::load::xdp::ready;
use crate::units::{show_count, show_fraction, show_ns};
use hdrhistogram::Histogram;
use results::run::{Data, Event, Found, Population, Report};
use results::verdict::Verdict;
use std::fmt::Write;

/// The final table, with a line break at its end.
pub fn table(report: &Report) -> String {
    let mut rows = traffic(report);
    rows.push(("latency", percentiles(report)));
    rows.push(("generator", generator(report)));
    rows.extend(report.thresholds.iter().map(|verdict| ("threshold", judged(verdict))));
    rows.push(("validity", validity(report)));
    rows.extend(report.planning.reasons.iter().map(|reason| ("note", format!("not for planning: {reason}"))));
    rows.extend(report.events.iter().map(|event| ("event", happened(event))));
    if report.interrupted {
        rows.push(("note", "interrupted: a partial result".to_owned()));
    }
    if !report.failed.is_empty() {
        rows.push(("FAILED", format!("{}; a partial result", report.failed)));
    }
    let is_cut = report.interrupted || !report.failed.is_empty();
    let mut out = report.found.as_ref().map(|found| search(found, is_cut)).unwrap_or_default();
    for (name, value) in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{name:<11} {value}");
    }
    out.push_str(&nat_pairs(report));
    out
}

/// What a reader should do about this result, if anything.
#[allow(clippy::cast_precision_loss)] // Judged to a percent.
pub fn advice(report: &Report) -> Option<String> {
    let settings = &report.settings;
    if report.refused_all {
        return report.events.last().map(|event| event.what.clone());
    }
    if !report.failed.is_empty() {
        return Some(report.failed.clone());
    }
    if report.rate.due == 0 {
        return None;
    }
    let arrived = report.data.delivered + report.data.refused_by_nat.total();
    if report.data.sent > 0 && arrived == 0 && settings.pairs == ready::FLOWS {
        return Some(
            "nothing came back: does the relay know the flows, do its datagrams return by the interface of --xdp, and \
             is --arriving what they look like?"
                .to_owned(),
        );
    }
    if report.data.sent > 0 && arrived == 0 {
        return Some(
            "every SEND was refused or lost while PROBEs were answered: is this the ring of the reflector?"
                .to_owned(),
        );
    }
    let keepalive_ns = settings.keepalive_ns;
    let forgotten = report.data.refused_by_nat.expired + report.keepalive.changed > 0;
    if forgotten && (keepalive_ns == 0 || keepalive_ns >= settings.mapping_timeout_ns) {
        return Some(
            "NATs forgot mappings, and with them contacts: keep --keepalive below --mapping-timeout"
                .to_owned(),
        );
    }
    let shortfall = 1.0 - report.rate.sent as f64 / report.rate.due.max(1) as f64;
    if shortfall > 0.01 && report.found.is_none() {
        let due_per_s = report.rate.due as f64 * 1e9 / report.rate.elapsed_ns.max(1) as f64;
        return Some(format!(
            "the generator manages {:.0}/s of {due_per_s:.0}/s: lower --rate, give it more --workers, or send below the \
             sockets with --xdp",
            report.rate.managed_per_s
        ));
    }
    if report.generator.transmit_errors > 0 {
        return Some(
            "the interface had no room for some frames, and they count as lost: lower --rate, or give it longer or more \
             queues (`ethtool -g`, `ethtool -l`)"
                .to_owned(),
        );
    }
    if report.generator.socket_overflows > 0 {
        return Some(format!(
            "the generator's own sockets dropped datagrams ({} bytes of buffer each): raise net.core.rmem_max, lower --rate or add --workers",
            report.generator.receive_buffer_bytes
        ));
    }
    let failed = |name: &str| report.validity.checks.iter().any(|check| check.name == name && !check.holds);
    if failed("clock-step") {
        return Some("somebody set the system clock meanwhile: run it again".to_owned());
    }
    let is_late = (failed("lag-p99") || failed("lag-growth")) && report.found.is_none();
    is_late.then(|| {
        "the generator was late: end what else uses its CPUs, give it others (--cpus), or lower --rate"
            .to_owned()
    })
}

/// HdrHistogram's percentile text (.hgrm), values in ms.
#[allow(clippy::cast_precision_loss)]
pub fn hgrm(histogram: &Histogram<u64>) -> String {
    let mut out =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut count = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF) {
        count += step.count_since_last_iteration();
        let value_ms = step.value_iterated_to() as f64 / 1e6;
        let quantile = step.quantile_iterated_to();
        let inverse =
            if quantile < 1.0 { format!("{:>14.2}", 1.0 / (1.0 - quantile)) } else { String::new() };
        let _ = writeln!(out, "{value_ms:>12.6} {quantile:>2.12} {count:>10} {inverse}");
    }
    let ms = |ns: f64| ns / 1e6;
    let (mean, deviation, max) = (ms(histogram.mean()), ms(histogram.stdev()), ms(histogram.max() as f64));
    let _ = writeln!(out, "#[Mean    = {mean:>12.6}, StdDeviation   = {deviation:>12.6}]");
    let _ = writeln!(out, "#[Max     = {max:>12.6}, Total count    = {:>12}]", histogram.len());
    out
}

/// The tries of a search, and what it found.
#[allow(clippy::cast_precision_loss)]
fn search(found: &Found, is_cut: bool) -> String {
    let mut out = format!("{:>12} {:>12} {:>12} {:>10}  verdict\n", "tried/s", "sent/s", "lost", "p99");
    for tried in &found.tried {
        let (rate, sent) = (show_count(tried.rate_per_s), show_count(tried.achieved_per_s));
        let (lost, p99) = (show_count(tried.lost), show_ns(tried.p99_ns as f64));
        let _ = writeln!(out, "{rate:>12} {sent:>12} {lost:>12} {p99:>10}  {}", tried.verdict);
    }
    let goal = if found.goal == "ndr" { "no loss" } else { "loss up to 0.5%" };
    let result = match (found.rate_per_s, found.failed_per_s) {
        (0, _) if is_cut => "cut short before any rate held".to_owned(),
        (held, _) if is_cut => format!("cut short; {}/s held so far", show_count(held)),
        (held, _) if found.tried.last().is_some_and(|last| last.verdict == "disturbed") => format!(
            "stopped: other programs take the CPUs; free the machine and search again; {}/s held so far",
            show_count(held)
        ),
        (0, _) => "no rate held".to_owned(),
        (held, 0) => format!("{}/s held, and none failed: the limit lies higher", show_count(held)),
        (held, failed) => format!("{}/s held, {}/s did not", show_count(held), show_count(failed)),
    };
    let _ = writeln!(out, "{:<11} {result} ({goal})\n", found.goal);
    out
}

/// Something that happened, and when.
#[allow(clippy::cast_precision_loss)]
pub fn happened(event: &Event) -> String {
    let at = show_ns(event.at_ns.unsigned_abs() as f64);
    let at = if event.at_ns < 0 { format!("{at} before the measured phase") } else { format!("at {at}") };
    format!("{at}: {}", event.what)
}

#[allow(clippy::cast_precision_loss)]
fn traffic(report: &Report) -> Vec<(&'static str, String)> {
    let Report { settings, data, rate, .. } = report;
    let count = show_count;
    let mut rows = vec![("reflector", settings.reflector.clone()), ("population", population(report))];
    let elapsed = show_ns(rate.elapsed_ns as f64);
    let profile = match settings.profile.as_str() {
        "" => String::new(),
        name => format!(" at most ({name})"),
    };
    rows.push((
        "rate",
        format!(
            "{}/s asked for{profile}, {:.0}/s sent, {:.0}/s delivered, {} for {elapsed}",
            settings.rate_per_s, rate.sent_per_s, rate.delivered_per_s, settings.arrivals
        ),
    ));
    rows.push((
        "datagrams",
        format!(
            "{} sent, {} delivered, {} refused by NAT, {} lost ({})",
            count(data.sent),
            count(data.delivered),
            count(data.refused_by_nat.total()),
            count(data.lost),
            show_fraction(data.loss)
        ),
    ));
    let Data { duplicates, reordered, stale, late, .. } = *data;
    if duplicates + reordered + stale + late > 0 {
        let text = format!("{duplicates} duplicates, {reordered} reordered, {stale} stale, {late} late");
        rows.push(("", text));
    }
    let Population { adopted, left, returned, minted, .. } = report.population;
    if !settings.churn.is_empty() {
        rows.push(("churn", format!("{} left, {} came back", count(left), count(returned))));
    }
    if adopted > 0 {
        rows.push(("headers", format!("{} adopted, {} made", count(adopted), count(minted))));
    }
    if settings.sealed > 0.0 {
        rows.push(("sealed", format!("{} % of the pairs", (settings.sealed * 1e9).round() / 1e7)));
    }
    if !settings.invalid.is_empty() {
        let sent: Vec<String> =
            report.invalid.sent.iter().map(|(fault, number)| format!("{fault} {}", count(*number))).collect();
        rows.push(("invalid", format!("{} sent, {} delivered", sent.join(", "), report.invalid.delivered)));
    }
    rows
}

#[allow(clippy::cast_precision_loss)]
fn generator(report: &Report) -> String {
    let generator = &report.generator;
    let cost = match generator.cpu_ns {
        0 => "core-time unknown".to_owned(),
        _ => format!("{} of core-time per datagram", show_ns(generator.core_ns_per_datagram)),
    };
    let engine = if report.settings.engine == "xdp" { "XDP, " } else { "" };
    let errors = match generator.transmit_errors {
        0 => String::new(),
        errors => format!(", {} transmit errors", show_count(errors)),
    };
    format!(
        "{engine}lag p50 {} p99 {} max {}{errors}, {cost}, {} per endpoint",
        show_ns(generator.lag_p50_ns as f64),
        show_ns(generator.lag_p99_ns as f64),
        show_ns(generator.lag_max_ns as f64),
        show_bytes(generator.rss_bytes_per_endpoint)
    )
}

fn population(report: &Report) -> String {
    let settings = &report.settings;
    let missing = match report.contacts.missing {
        0 => String::new(),
        missing => format!(", {} without contact", show_count(u64::from(missing))),
    };
    format!(
        "{} endpoints{missing}, {} {} pairs, {}",
        show_count(u64::from(settings.endpoints)),
        show_count(u64::from(settings.pair_count)),
        settings.pairs,
        settings.nat
    )
}

#[allow(clippy::cast_precision_loss)]
fn percentiles(report: &Report) -> String {
    let latency = &report.latency;
    if latency.count == 0 {
        return "nothing was delivered".to_owned();
    }
    let shown = [
        ("p50", latency.p50_ns),
        ("p90", latency.p90_ns),
        ("p99", latency.p99_ns),
        ("p99.9", latency.p99_9_ns),
        ("p99.99", latency.p99_99_ns),
        ("max", latency.max_ns),
    ];
    shown.map(|(name, ns)| format!("{name} {}", show_ns(ns as f64))).join(", ")
}

fn validity(report: &Report) -> String {
    if report.validity.valid {
        return "valid".to_owned();
    }
    let failed = report.validity.checks.iter().filter(|check| !check.holds).map(judged);
    format!("INVALID: {}", failed.collect::<Vec<_>>().join("; "))
}

fn judged(verdict: &Verdict) -> String {
    let show = |value: f64| match verdict.unit.as_str() {
        "ns" => show_ns(value),
        "fraction" => show_fraction(value),
        _ => format!("{value:.0}"),
    };
    let value = verdict.value.map_or("nothing measured".to_owned(), show);
    let outcome = if verdict.holds { "holds" } else { "FAILED" };
    if verdict.name.contains(['<', '>']) {
        return format!("{} {outcome} ({value})", verdict.name);
    }
    format!("{} is {value}, allowed {} {}", verdict.name, verdict.relation, show(verdict.bound))
}

/// Delivered over arrived and lost, by behaviours.
fn nat_pairs(report: &Report) -> String {
    let mut out = String::new();
    if report.nat_pairs.is_empty() {
        return out;
    }
    let _ =
        writeln!(out, "\n{:<22} {:>12} {:>12} {:>12}", "sender -> receiver", "sent", "delivered", "refused");
    for pair in &report.nat_pairs {
        let name = format!("{} -> {}", pair.from, pair.to);
        let _ = writeln!(
            out,
            "{name:<22} {:>12} {:>12} {:>12}",
            show_count(pair.sent),
            show_count(pair.delivered),
            show_count(pair.refused_by_nat)
        );
    }
    out
}

fn show_bytes(bytes: f64) -> String {
    if bytes >= 10_240.0 { format!("{:.1} KiB", bytes / 1024.0) } else { format!("{bytes:.0} bytes") }
}

const TICKS_PER_HALF: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentile_text_has_the_known_form() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
        for value in 1..=1_000 {
            histogram.record(value * 1_000).unwrap();
        }
        let text = hgrm(&histogram);
        let rows: Vec<&str> = text.lines().skip(2).take_while(|line| !line.starts_with('#')).collect();
        let last: Vec<f64> =
            rows.last().unwrap().split_whitespace().map(|each| each.parse().unwrap()).collect();
        assert!((last[0] - 1.0).abs() < 0.001 && last[1] == 1.0 && last[2] == 1_000.0, "{last:?}");
        assert!(text.contains("#[Mean") && text.contains("Total count    =         1000"));
    }
}
