//! The search for the highest rate that a reflector carries: without loss, or with hardly any.
//!
//! * A run for each rate, from contacts to drain; which rate is next follows from those before (crate `search`).
//! * The report is that of the best try, with all tries beside it; after an interrupt or a failure, of what there is.
//! * A try that was cut short says nothing about its rate.

use crate::error::Error;
use crate::goal::Goal;
use crate::load::shape::job::Job;
use crate::load::shape::profile::Profile;
use crate::load::watch::state::{State, Surroundings};
use crate::run::run;
use hdrhistogram::Histogram;
use results::run::{Found, Report, Tried};
use search::{Search, bracket};
use std::sync::atomic::Ordering::Relaxed;

/// Searches; the report of the best try, and its latency histogram.
///
/// # Errors
/// What a run says.
pub fn find(
    job: &Job,
    goal: Goal,
    surroundings: &mut Surroundings<'_>,
) -> Result<(Report, Histogram<u64>), Error> {
    let search = Search { first_per_s: job.traffic().rate_per_s, ..SEARCH };
    let most_per_s = job.most_per_s();
    let (mut tried, mut told) = (Vec::new(), Vec::new());
    let mut best: Option<(Report, Histogram<u64>)> = None;
    let mut failed = String::new();
    while let Some(next_per_s) = search.next(&tried) {
        let rate_per_s = next_per_s.min(most_per_s);
        let is_repeated = tried.iter().any(|each: &search::Tried| each.rate_per_s == rate_per_s);
        if next_per_s > most_per_s && is_repeated {
            break;
        }
        (surroundings.watch)(&State::Trying { goal, rate_per_s, tried: &tried });
        let (report, latency) = match run(&at_rate(job, rate_per_s), surroundings) {
            Ok(done) => done,
            // What was found before is kept.
            Err(error) if best.is_some() => {
                failed = error.to_string();
                break;
            }
            Err(error) => return Err(error),
        };
        surroundings.entropy = surroundings.entropy.wrapping_add(1);
        failed.clone_from(&report.failed);
        let is_cut = surroundings.interrupted.load(Relaxed) || !failed.is_empty();
        let is_over = report.refused_all || is_cut;
        let verdict = goal.judge(&report);
        let (achieved_per_s, delivered_per_s) = managed(&report);
        let word = if is_cut { CUT } else { verdict.word() };
        told.push(line(&report, (rate_per_s, achieved_per_s), word));
        if !is_cut {
            tried.push(search::Tried { rate_per_s, achieved_per_s, delivered_per_s, verdict });
        }
        if best.as_ref().is_none_or(|(before, _)| !is_cut && goal.prefers(&report, before)) {
            best = Some((report, latency));
        }
        if is_over {
            break;
        }
    }
    let Some((mut report, latency)) = best else {
        return Err(Error::Runtime("no rate was tried; this is a fault of the generator".to_owned()));
    };
    let limit = bracket(&tried);
    report.interrupted |= surroundings.interrupted.load(Relaxed);
    report.failed = failed;
    report.found = Some(Found {
        goal: goal.as_str().to_owned(),
        rate_per_s: limit.passed.unwrap_or(0),
        failed_per_s: limit.failed.map_or(0, |failed| failed.rate_per_s),
        tried: told,
    });
    Ok((report, latency))
}

/// The same job at another rate.
fn at_rate(job: &Job, rate_per_s: u64) -> Job {
    let mut job = job.clone();
    let traffic = job.traffic_mut();
    traffic.rate_per_s = rate_per_s;
    traffic.profile = Profile::constant(rate_per_s, traffic.duration_ns);
    job
}

fn line(report: &Report, (rate_per_s, achieved_per_s): (u64, u64), verdict: &str) -> Tried {
    Tried {
        rate_per_s,
        achieved_per_s,
        verdict: verdict.to_owned(),
        sent: report.data.sent,
        lost: report.data.lost,
        p99_ns: report.latency.p99_ns,
    }
}

/// What the generator managed, and what of it came out, per second.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Rates.
fn managed(report: &Report) -> (u64, u64) {
    let managed = report.rate.managed_per_s.max(0.0);
    (managed as u64, (managed * (1.0 - report.data.loss)).max(0.0) as u64)
}

/// What is said of a try that a signal or a failure ended.
const CUT: &str = "cut short";
/// How it searches, but for the first rate.
const SEARCH: Search =
    Search { first_per_s: 10_000, factor: 2, most_tries: 16, most_failures: 2, small_gap: 16 };
