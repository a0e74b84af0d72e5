//! The whole method at scale: a login storm, a steady phase with conversations and churn, and many who leave at once.
//!
//! ```text
//!   settle -> storm -> quiet -> steady (talk, churn) -> ways of conversations -> leave -> quiet -> all leave
//! ```
//!
//! * Open loop: every start has an intended time, and what is late counts from it.
//! * A signal ends every wait; who is there leaves, and what was seen is told within about half a second.
//! * A phase ends when nothing is due any more, or its patience does; what is then open is lost.

pub mod buddies;
pub mod calls;
pub mod ledger;
pub mod link;
pub mod member;
pub mod members;
pub mod operator;
pub mod scrape;
pub mod settlement;
pub mod share;
pub mod table;
pub mod unix_clock;

use crate::args::presence::PresencePlan;
use crate::error::Error;
use crate::load::shape::churn::Draws;
use crate::load::socket::station::{Sockets, Station, now_ns};
use crate::load::watch::events::{Expected, Pulse, Watchman};
use crate::random::Random;
use crate::society::buddies::Buddies;
use crate::society::calls::Calls;
use crate::society::ledger::Notices;
use crate::society::members::{LONGEST_DATAGRAM, Society};
use crate::society::scrape::scrape;
use crate::society::settlement::settle;
use crate::society::share::{ShareCount, share_of};
use crate::usage::{CpuTime, rss_bytes};
use engine::host::clock;
use nat::{Route, after_punch, reflected_share};
use results::latency::Latency;
use results::presence::Share;
use results::presence::{
    ChurnReport, NoticeReport, PresenceGenerator, PresenceReport, PresenceSettings, Setup, Storm,
};
use results::run::{Data, Planning, SCHEMA};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Runs it; `secret` grows into keys, names and the randomness of endpoints.
///
/// # Errors
/// The access server or a reflector cannot be used at all, or a socket fails.
pub fn run(plan: &PresencePlan, secret: [u8; 32], interrupted: &AtomicBool) -> Result<PresenceReport, Error> {
    let sockets = Sockets::open_count(true, SOCKETS)?;
    let ports = sockets.ports();
    let station = Station::open(sockets, LONGEST_DATAGRAM)
        .map_err(|error| Error::Runtime(format!("no epoll for the sockets: {error}")))?;
    let before = scrape(&plan.metrics, interrupted, Duration::ZERO)?;
    reach(plan, interrupted)?;
    let mut calls = Calls::start(plan.target.clone(), plan.args.connections)?;
    let (parts, setup) = settle(plan, &ports, secret, &mut calls, interrupted)?;
    let mut stage = Stage::new(plan, Society::new(parts, station, calls)?, interrupted);
    let mut report = stage.play(setup)?;
    let Stage { society, watchman, .. } = stage;
    let watched = watchman.end(pulse(&society));
    (report.events, report.failed) = (watched.events, watched.failed);
    if let Some((_, reason)) = society.calls.unanswered().filter(|(count, _)| *count >= ENOUGH_CALLS) {
        let text = format!("the access server did not answer at the end: {reason}: is it away?");
        report.failed = if report.failed.is_empty() { text } else { format!("{}; {text}", report.failed) };
    }
    match scrape(&plan.metrics, interrupted, GRACE) {
        Ok(after) => {
            let loads = plan.metrics.iter().zip(before.iter().zip(&after));
            report.reflectors = loads.map(|((url, _), (before, after))| after.since(before, url)).collect();
        }
        // What endpoints saw is kept.
        Err(Error::Interrupted) => {}
        Err(error) if report.failed.is_empty() => report.failed = error.to_string(),
        Err(_) => {}
    }
    let times = society.calls.finish()?;
    for (path, histogram) in &times.by_path {
        report.calls.insert((*path).to_owned(), Latency::of(histogram)?);
    }
    report.call_failures = times.failures;
    Ok(report)
}

/// Notices as the report has them.
fn noticed(notices: &Notices) -> Result<NoticeReport, Error> {
    Ok(NoticeReport { counts: notices.counts, latency: Latency::of(&notices.latency_ns)? })
}

/// Whether anybody listens where the access server shall be, before its store gets accounts.
fn reach(plan: &PresencePlan, interrupted: &AtomicBool) -> Result<(), Error> {
    let reached = link::wait_for(link::reach(plan.target.address()), interrupted, Duration::ZERO)?;
    reached.map_err(|reason| {
        Error::Configuration(format!(
            "--access {}: {reason}; name where the running access server listens (its --listen)",
            plan.args.access
        ))
    })
}

/// The sums of datagrams through reflectors.
fn pulse(society: &Society) -> Pulse {
    let paths = &society.paths;
    Pulse {
        at_ns: now_ns(),
        taken: paths.reflected + paths.probes,
        came: paths.returned + paths.observed,
        answers: paths.observed,
        offset_ns: clock::realtime_ns() - clock::boot_ns(),
        ..Pulse::default()
    }
}

/// A society, and where its day has got to.
struct Stage<'a> {
    plan: &'a PresencePlan,
    society: Society,
    interrupted: &'a AtomicBool,
    /// Who talks to whom.
    talk: Vec<(u32, u32)>,
    churn: ChurnReport,
    told_us: u64,
    watchman: Watchman,
    /// Whether the access server did not answer at the last look.
    is_unanswered: bool,
    events_told: usize,
}

impl<'a> Stage<'a> {
    fn new(plan: &'a PresencePlan, society: Society, interrupted: &'a AtomicBool) -> Self {
        let talk = pairs_that_talk(plan, &society.buddies);
        let (churn, watchman) = (ChurnReport::default(), Watchman::new(now_ns(), Expected::Answers));
        let (told_us, is_unanswered, events_told) = (0, false, 0);
        Stage { plan, society, interrupted, talk, churn, told_us, watchman, is_unanswered, events_told }
    }

    /// All phases, and what they brought.
    fn play(&mut self, setup: Setup) -> Result<PresenceReport, Error> {
        let (offset_ns, cpu) = (clock::realtime_ns() - clock::boot_ns(), CpuTime::open());
        let (cpu_start_ns, overflows) = (cpu.read_ns(), self.society.overflows());
        let start_us = self.society.now_us();
        let started = self.storm()?;
        let logged_in = u32::try_from(self.society.count_in()).unwrap_or(u32::MAX);
        let storm_us = self.society.now_us() - start_us;
        if logged_in == 0 && !self.is_over() {
            return Err(self.nobody());
        }
        self.steady()?;
        let talk_share = self.ways_of_talk();
        if !self.is_over() {
            self.leave_together()?;
        }
        self.society.ledger.give_up(self.is_over());
        let (came, went) = (noticed(&self.society.ledger.came)?, noticed(&self.society.ledger.went)?);
        self.all_leave()?;
        let society = &self.society;
        let step_ns = (clock::realtime_ns() - clock::boot_ns()).abs_diff(offset_ns);
        let generator = PresenceGenerator {
            lag_p50_ns: society.lag_ns.value_at_percentile(50.0),
            lag_p99_ns: society.lag_ns.value_at_percentile(99.0),
            lag_max_ns: society.lag_ns.max(),
            cpu_ns: cpu.read_ns() - cpu_start_ns,
            rss_bytes: rss_bytes(),
            socket_overflows: society.overflows() - overflows,
        };
        let data = Data {
            sent: came.counts.due - came.counts.void,
            loss: part(came.counts.lost, came.counts.due - came.counts.void),
            ..Data::default()
        };
        let thresholds = &self.plan.args.thresholds;
        let mut report = PresenceReport {
            schema: SCHEMA,
            kind: "presence".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            settings: settings(self.plan),
            started_unix_s: start_us / 1_000_000,
            interrupted: self.is_over(),
            setup,
            storm: Storm {
                started,
                logged_in,
                elapsed_ns: storm_us * 1_000,
                login: Latency::of(&society.login_ns)?,
                to_all: Latency::of(&society.ledger.to_all_ns)?,
            },
            thresholds: thresholds.iter().map(|it| it.judge(&came.latency, &data)).collect(),
            came,
            went,
            notice_share: society
                .first_ways
                .judge(self.reflected(reflected_share(&self.plan.args.nat).first)),
            talk_share,
            churn: self.churn,
            false_offline: society.false_offline,
            paths: society.paths.clone(),
            generator,
            planning: planning(self.plan),
            ..PresenceReport::default()
        };
        report.judge(step_ns.max(self.watchman.most_jump_ns()));
        Ok(report)
    }

    /// Everybody starts, evenly; how many did.
    fn storm(&mut self) -> Result<u32, Error> {
        let endpoints = self.plan.args.endpoints;
        let gap_ns = self.plan.args.storm / u64::from(endpoints);
        let start_us = self.society.now_us();
        let mut next = 0;
        while next < endpoints && !self.is_over() {
            let due_us = start_us + u64::from(next) * gap_ns / 1_000;
            if due_us <= self.society.now_us() {
                self.society.start(next, due_us);
                next += 1;
                // Who stands in a queue at the door does not keep those inside from living.
                if !next.is_multiple_of(STARTS_AT_ONCE) {
                    continue;
                }
            }
            self.turn("storm", due_us)?;
        }
        let all_in = |stage: &Stage<'_>| stage.society.members.iter().all(|it| it.is_in || it.core.is_none());
        self.wait_for_quiet("storm", all_in)?;
        Ok(next)
    }

    /// They stay, talk, leave and come back.
    fn steady(&mut self) -> Result<(), Error> {
        let (args, seed) = (&self.plan.args, self.plan.seed);
        let start_us = self.society.now_us();
        let end_us = start_us + args.steady / 1_000;
        let draws = |each_ns: Option<u64>, purpose: u64| {
            Draws::new(each_ns, self.society.members.len(), start_us * 1_000, Random::new(seed, purpose))
        };
        let mut leaving = draws(args.churn.map(|churn| churn.stay_ns), PURPOSE_LEAVING);
        let mut coming = draws(args.churn.map(|churn| churn.away_ns), PURPOSE_COMING);
        let turns = 2 * self.talk.len() as u64;
        let gap_us = TALK_US.checked_div(turns).map_or(u64::MAX, |gap_us| gap_us.max(1));
        let (mut talk_us, mut turn) = (start_us.saturating_add(gap_us), 0_u64);
        while self.society.now_us() < end_us && !self.is_over() {
            let now_us = self.society.now_us();
            while let Some(number) = leaving.due(now_us * 1_000) {
                self.churn.left += u64::from(self.society.leave(number));
            }
            while let Some(number) = coming.due(now_us * 1_000) {
                let away = self.society.members.get(number as usize).is_some_and(|it| it.core.is_none());
                if away {
                    self.society.start(number, now_us);
                    self.churn.returned += 1;
                }
            }
            while talk_us <= now_us {
                self.say(turn);
                (talk_us, turn) = (talk_us + gap_us, (turn + 1) % turns.max(1));
            }
            let churn_us = leaving.next_ns().min(coming.next_ns()) / 1_000;
            self.turn("steady", end_us.min(talk_us).min(churn_us))?;
        }
        self.wait_for_quiet("steady", |_| true)
    }

    /// The next of those who talk says something.
    fn say(&mut self, turn: u64) {
        let pair = usize::try_from(turn / 2).ok().and_then(|place| self.talk.get(place)).copied();
        let Some((one, other)) = pair else { return };
        let (from, to) = if turn.is_multiple_of(2) { (one, other) } else { (other, one) };
        self.society.say(from, to, &[0x5a; SAID_LEN]);
    }

    /// What part of the ways of conversations is reflected, now that direct ones were sought.
    fn ways_of_talk(&self) -> Option<Share> {
        let mut count = ShareCount::default();
        let (society, now_us) = (&self.society, self.society.now_us());
        let long_there = |number: u32| {
            let member = society.members.get(number as usize)?;
            (member.is_in && member.start_us + SOUGHT_US <= now_us)
                .then(|| (member.behaviour(), member.hides))
        };
        for ((one, other), cluster) in self.talk.iter().copied().zip(0..) {
            let (Some((a, a_hides)), Some((b, b_hides))) = (long_there(one), long_there(other)) else {
                continue;
            };
            let (there, back) =
                if a_hides || b_hides { (Route::Reflect, Route::Reflect) } else { after_punch(a, b) };
            for (from, to, predicted) in [(one, other, there), (other, one, back)] {
                if let Some(way) = society.way(from, to) {
                    count.note(cluster, way == Route::Reflect, predicted == Route::Reflect);
                }
            }
        }
        let sought = self.plan.args.steady / 1_000 >= SOUGHT_US && !self.talk.is_empty();
        sought.then(|| count.judge(self.reflected(reflected_share(&self.plan.args.nat).after_punch)))
    }

    /// The share that the grid predicts, where every pair with a hidden endpoint is reflected.
    fn reflected(&self, of_grid: f64) -> f64 {
        1.0 - (1.0 - self.plan.args.hidden).powi(2) * (1.0 - of_grid)
    }

    /// A part of them leaves, evenly over a time, and the others look on.
    fn leave_together(&mut self) -> Result<(), Error> {
        let mut order: Vec<u32> = (0..self.plan.args.endpoints).collect();
        Random::new(self.plan.seed, PURPOSE_OFFLINE).shuffle(&mut order);
        let count = share_of(self.plan.args.endpoints, self.plan.args.offline);
        order.truncate(count);
        self.leave_evenly("offline", &order)?;
        self.wait_for_quiet("offline", |_| true)
    }

    /// Those who are left leave too, and what is under way ends.
    fn all_leave(&mut self) -> Result<(), Error> {
        let there = |(number, member): (u32, &member::Member)| member.core.is_some().then_some(number);
        let rest: Vec<u32> = (0..).zip(&self.society.members).filter_map(there).collect();
        self.leave_evenly("end", &rest)?;
        let start_us = self.society.now_us();
        let (mut before, mut quiet_us) = (0, 0);
        while quiet_us < QUIET_US {
            let longest_us = if self.is_over() { HURRY_US } else { DRAIN_US };
            if self.society.now_us() >= start_us + longest_us {
                break;
            }
            let came = self.society.paths.returned + self.society.paths.observed;
            let open = self.society.calls.open_count() > 0 || came != before;
            (before, quiet_us) = (came, if open { 0 } else { quiet_us + STEP_US });
            let step_us = self.society.now_us() + STEP_US;
            while self.society.now_us() < step_us {
                self.society.turn(step_us)?;
            }
        }
        Ok(())
    }

    /// Each of `order` leaves, evenly; after a signal all at once, as many as there is time for.
    fn leave_evenly(&mut self, phase: &str, order: &[u32]) -> Result<(), Error> {
        let gap_us = self.plan.args.offline_time / 1_000 / (order.len() as u64).max(1);
        let mut due_us = self.society.now_us();
        let mut hurry_us = None;
        for number in order {
            while self.society.now_us() < due_us && !self.is_over() {
                self.turn(phase, due_us)?;
            }
            if self.is_over() {
                let now_us = self.society.now_us();
                if now_us >= *hurry_us.get_or_insert(now_us) + HURRY_US {
                    break;
                }
            }
            self.society.leave(*number);
            self.turn(phase, 0)?;
            due_us += gap_us;
        }
        Ok(())
    }

    /// Turns until something is so and no notice is open, or patience ends.
    fn wait_for_quiet(&mut self, phase: &str, done: impl Fn(&Self) -> bool) -> Result<(), Error> {
        let end_us = self.society.now_us() + self.plan.args.patience / 1_000;
        while self.society.now_us() < end_us && !self.is_over() {
            if self.society.ledger.open_count() == 0 && done(self) {
                break;
            }
            let step_us = self.society.now_us() + STEP_US;
            while self.society.now_us() < step_us {
                self.turn(phase, step_us)?;
            }
        }
        Ok(())
    }

    fn turn(&mut self, phase: &str, until_us: u64) -> Result<(), Error> {
        let now_us = self.society.now_us();
        if now_us >= self.told_us + TELL_US {
            self.told_us = now_us;
            let (there, open) = (self.society.count_in(), self.society.ledger.open_count());
            let calls = self.society.calls.open_count();
            tracing::info!("{phase}: {there} logged in, {open} notices and {calls} calls open");
            self.look()?;
        }
        self.society.turn(until_us)
    }

    /// Tells at once what figures would show at the end.
    ///
    /// # Errors
    /// Nobody has logged in, and nobody will.
    fn look(&mut self) -> Result<(), Error> {
        let pulse = pulse(&self.society);
        self.watchman.look(pulse);
        let is_shut = self.society.count_in() == 0 && self.society.access_failures >= ENOUGH_REFUSED;
        if self.watchman.is_refused() || is_shut && self.society.login_ns.is_empty() {
            return Err(self.nobody());
        }
        let unanswered = self.society.calls.unanswered().map(|(_, reason)| reason.to_owned());
        let is_unanswered = unanswered.is_some();
        let what = match (unanswered, self.is_unanswered) {
            (Some(reason), false) => Some(format!("the access server does not answer: {reason}")),
            (None, true) => Some("the access server answers again".to_owned()),
            _ => None,
        };
        self.is_unanswered = is_unanswered;
        if let Some(what) = what {
            self.watchman.note(pulse.at_ns, what);
        }
        for event in self.watchman.events().iter().skip(self.events_told) {
            tracing::warn!("{}", event.what);
        }
        self.events_told = self.watchman.events().len();
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.interrupted.load(Relaxed)
    }

    fn nobody(&self) -> Error {
        let text = if self.society.paths.observed == 0 {
            "no reflector answers: do they run where the access server says, and may they send to --external \
             (--allow-destination)?"
        } else if self.society.access_failures > 0 {
            "nobody could log in: the access server refuses or does not answer; does it accept contacts in --external \
             (--allow-destination), and is the host of --access one that it goes by (--server-name)?"
        } else {
            "nobody could log in within --patience: the access server does not answer in time"
        };
        Error::Configuration(text.to_owned())
    }
}

fn pairs_that_talk(plan: &PresencePlan, buddies: &Buddies) -> Vec<(u32, u32)> {
    let most = share_of(plan.args.endpoints, plan.args.talk) / 2;
    buddies.matching(most, &mut Random::new(plan.seed, PURPOSE_TALK))
}

#[allow(clippy::cast_precision_loss)] // Shown to a few digits.
fn part(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn settings(plan: &PresencePlan) -> PresenceSettings {
    let args = &plan.args;
    PresenceSettings {
        access: args.access.clone(),
        endpoints: args.endpoints,
        buddies: args.buddies,
        nat: args.nat.to_string(),
        storm_ns: args.storm,
        steady_ns: args.steady,
        talk: args.talk,
        hidden: args.hidden,
        churn: args.churn.map(|churn| churn.to_string()).unwrap_or_default(),
        offline: args.offline,
        offline_time_ns: args.offline_time,
        late_ns: args.late,
        external: args.external.to_string(),
        mapping_timeout_ns: args.mapping_timeout,
        connections: args.connections,
        seed: plan.seed,
    }
}

fn planning(plan: &PresencePlan) -> Planning {
    let loopback = plan.args.external.first().is_loopback();
    let reasons: Vec<String> = loopback
        .then(|| "loopback, not a NIC, and access server and generator share its CPUs".to_owned())
        .into_iter()
        .collect();
    Planning { fit: reasons.is_empty(), reasons }
}

/// Ports that a symmetric NAT chooses from, each a socket: a mapping for every address of every buddy.
const SOCKETS: usize = 128;
const STARTS_AT_ONCE: u32 = 8;
const SAID_LEN: usize = 100;
/// Each of two who talk says something so often.
const TALK_US: u64 = 1_000_000;
/// So long after both are there, direct paths have been sought.
const SOUGHT_US: u64 = 10_000_000;
const TELL_US: u64 = 1_000_000;
/// Logins that failed, none that did not: nobody will log in.
const ENOUGH_REFUSED: u64 = 20;
/// Calls in a row that were not answered: the access server is away.
const ENOUGH_CALLS: u64 = 3;
const STEP_US: u64 = 10_000;
/// At the end: nothing has come for so long.
const QUIET_US: u64 = 300_000;
const DRAIN_US: u64 = 10_000_000;
/// After a signal: so long they leave, and so long what is under way may take to end.
const HURRY_US: u64 = 200_000;
/// And so long the metrics of all reflectors may take.
const GRACE: Duration = Duration::from_millis(200);
const PURPOSE_LEAVING: u64 = 0x800_0000;
const PURPOSE_COMING: u64 = 0x900_0000;
const PURPOSE_OFFLINE: u64 = 0xa00_0000;
const PURPOSE_TALK: u64 = 0xb00_0000;
