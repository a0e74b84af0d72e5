//! The result of a comparison as data: who was compared, every run, what follows, and where it took place.
//!
//! * Versioned: [`SCHEMA`] grows when a field changes its meaning or goes.
//! * Units stand in the names; fractions are 0.0 to 1.0.
//! * Tables, pages and pictures are drawn from this and nothing else.

use crate::figures::time;
use crate::judge::histogram::{CurvePoint, curve, percentiles};
use crate::judge::spread::Spread;
use crate::peers::goal::Goal;
use crate::peers::row::{Row, counted};
use crate::rig::cores::Cores;
use crate::rig::environment::{Environment, Fact};
use crate::rig::run::{Purpose, Run};
use crate::rig::subject::{Entry, Subject, Traffic};
use anyhow::{Context, bail};
use lab::programs::relay::Counters;
use results::latency::{decode, merged};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A whole comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Unix seconds at its start.
    pub started_unix_s: u64,
    /// How long it took, seconds.
    pub elapsed_s: u64,
    /// What was asked for.
    pub settings: Settings,
    /// Who ran where.
    pub cores: Cores,
    /// Who was compared, and who was not and why.
    pub peers: Vec<Peer>,
    /// What the rounds say.
    pub rows: Vec<Row>,
    /// What was to be shown.
    pub goals: Vec<Goal>,
    /// What a reader must know before believing it.
    pub caveats: Vec<String>,
    /// The machine and the programs.
    pub environment: Environment,
    /// The cable: what is done where a frame crosses it.
    pub cable: Vec<Fact>,
    /// What the reflectors counted in all of it.
    pub counted: Vec<Counted>,
    /// The command lines, one example of each.
    pub commands: Vec<String>,
    /// Latency over percentiles of single datagrams, all rounds merged.
    #[serde(default)]
    pub curves: Vec<Curve>,
    /// Every run, without its histogram.
    pub runs: Vec<Run<Entry>>,
}

/// The latency that a given part of the datagrams did not exceed, of one relay at one rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The relay.
    pub subject: Subject,
    /// At which rate.
    pub purpose: Purpose,
    /// From the most frequent latency to the rarest.
    pub points: Vec<CurvePoint>,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Endpoints, each of which sends to the next one.
    pub endpoints: u32,
    /// Bytes behind the head.
    pub payload_bytes: u32,
    /// Between two polls of the relay's interface while frames come, us; 0: frames wake it.
    pub moderation_us: u32,
    /// Rounds that count; one more warms up.
    pub rounds: u32,
    /// Measured phase of a run in a round, ns.
    pub duration_ns: u64,
    /// Warm-up of it, ns.
    pub warmup_ns: u64,
    /// Whether it was short, for checking that everything works.
    pub is_short: bool,
}

/// A subject, present or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Who.
    pub subject: Subject,
    /// Its version.
    pub version: String,
    /// Why it was not compared, if it was not.
    pub absent: Option<String>,
}

/// What a reflector counted from its start to the end of the comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Which one.
    pub subject: Subject,
    /// Its counters.
    pub counters: Counters,
    /// What its fast path left to its sockets.
    pub passed: u64,
}

impl Counted {
    /// Whether every datagram received is accounted for, exactly.
    pub fn is_conserved(&self) -> bool {
        self.counters.received == self.counters.accounted() + self.passed
    }
}

impl Curve {
    /// Of every relay at either rate, from the histograms of runs with singles.
    ///
    /// # Errors
    /// A histogram that cannot be read.
    pub fn all(runs: &[Run<Entry>]) -> anyhow::Result<Vec<Self>> {
        let mut curves = Vec::new();
        for subject in Subject::ALL.into_iter().filter(|subject| !subject.is_limit()) {
            for purpose in [Purpose::Half, Purpose::HalfOfEpoll] {
                let is_own = |run: &&Run<Entry>| {
                    (run.cell, run.purpose) == (Entry { subject, traffic: Traffic::Singles }, purpose)
                };
                let rounds = counted(runs.iter().filter(is_own));
                let all = merged(rounds.iter().map(|run| run.hdr_v2_base64.as_str()))?;
                let points = curve(&all);
                if !points.is_empty() {
                    curves.push(Self { subject, purpose, points });
                }
            }
        }
        Ok(curves)
    }
}

impl Comparison {
    /// Reads a comparison's JSON; one of schema 1 holds a histogram of every run, of which curves are made.
    ///
    /// # Errors
    /// Another version, or another form.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut value: Value = serde_json::from_str(text).context("is not JSON")?;
        let schema = value.get("schema").and_then(Value::as_u64);
        if schema == Some(1) {
            renew(&mut value).context("does not have the form of schema 1")?;
        } else if schema != Some(SCHEMA.into()) {
            bail!("has another schema than {SCHEMA}, which this program reads: measure again");
        }
        let mut read: Self = serde_json::from_value(value).context("is no comparison of peers")?;
        if schema == Some(1) {
            (read.schema, read.curves) = (SCHEMA, Curve::all(&read.runs)?);
            read.runs.iter_mut().for_each(|run| run.hdr_v2_base64.clear());
        }
        Ok(read)
    }

    /// One line of it.
    pub fn row(&self, subject: Subject, traffic: Traffic) -> Option<&Row> {
        self.rows.iter().find(|row| (row.subject, row.traffic) == (subject, traffic))
    }

    /// Core-time per datagram at half load.
    pub fn core_ns(&self, subject: Subject, traffic: Traffic) -> Option<Spread> {
        self.row(subject, traffic)?.half?.core_ns
    }

    /// Those that were compared.
    pub fn present(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter().filter(|peer| peer.absent.is_none())
    }

    /// The result in one or two sentences.
    pub fn headline(&self) -> String {
        let core = |subject| self.core_ns(subject, Traffic::Singles).map(|core| core.median);
        let Some(coturn) = core(Subject::Coturn) else {
            return format!("No comparison: there are no figures of coturn{}.", self.aside());
        };
        let against = |subject: Subject, word: &str| {
            let own = core(subject)?;
            Some(format!(", {} {word} ({} of it)", time(own), ratio(own / coturn)))
        };
        let ours = [
            against(Subject::Epoll, "with this reflector through sockets"),
            against(Subject::Xdp, "with this reflector and XDP"),
        ];
        let ours: String = ours.into_iter().flatten().collect();
        format!(
            "Relaying a datagram of {} bytes of payload takes a core {} with coturn{ours}{}.",
            self.settings.payload_bytes,
            time(coturn),
            self.aside()
        )
    }

    /// What to do when a goal could not be judged because of runs that may not be believed; `None` if all were judged.
    pub fn advice(&self) -> Option<String> {
        let unjudged: Vec<&str> =
            self.goals.iter().filter(|goal| goal.holds().is_none()).map(|goal| goal.what.as_str()).collect();
        let rounds = self.runs.iter().filter(|run| run.purpose != Purpose::Search);
        let mut failed: Vec<&str> = rounds.flat_map(|run| &run.failed).map(String::as_str).collect();
        failed.sort_unstable();
        failed.dedup();
        (!unjudged.is_empty()).then(|| {
            format!(
                "no run may be believed that could judge {} (failed: {}). Something else used these cores, or the machine \
                 is too slow: end other programs, allow two free cores, and run it again",
                unjudged.join("; "),
                failed.join(", ")
            )
        })
    }

    fn aside(&self) -> String {
        if self.caveats.is_empty() { String::new() } else { format!(" ({})", self.caveats.join("; ")) }
    }
}

/// Turns runs as schema 1 had them into those of today; the latency of a run is that of its histogram.
fn renew(value: &mut Value) -> Option<()> {
    let comparison = value.as_object_mut()?;
    let mut runs = comparison.remove("trials")?;
    for run in runs.as_array_mut()?.iter_mut().filter_map(Value::as_object_mut) {
        let cell = serde_json::json!({"subject": run.remove("subject")?, "traffic": run.remove("traffic")?});
        run.insert("cell".to_owned(), cell);
        let own_ns = run.remove("own_ns")?;
        run.insert("worker_ns".to_owned(), own_ns);
        let latencies = decode(run.get("hdr_v2_base64")?.as_str()?).ok().filter(|all| !all.is_empty());
        let latency = serde_json::to_value(latencies.as_ref().map(percentiles)).ok()?;
        run.insert("latency".to_owned(), latency);
    }
    comparison.insert("runs".to_owned(), runs);
    Some(())
}

/// A ratio as people read it: below a half as a fraction, `1/26`, else as percentage.
pub fn ratio(value: f64) -> String {
    match value {
        _ if !value.is_finite() || value <= 0.0 => "–".to_owned(),
        _ if value < 0.1 => format!("1/{:.0}", 1.0 / value),
        _ if value < 0.5 => format!("1/{:.1}", 1.0 / value),
        _ => format!("{value:.2}"),
    }
}

/// The version of this form.
pub const SCHEMA: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn it_reads_back_and_says_it_in_words() {
        let comparison = sample::comparison();
        let text = serde_json::to_string(&comparison).unwrap();
        assert_eq!(Comparison::parse(&text).unwrap(), comparison);
        assert!(Comparison::parse(&text.replacen("\"schema\":2", "\"schema\":7", 1)).is_err());
        // As it was once written: runs by another name and form, a histogram of each, and no curves.
        let mut old =
            serde_json::to_value(Comparison { runs: sample::peers_runs(), ..comparison.clone() }).unwrap();
        (old["schema"], old["trials"]) = (1.into(), old["runs"].take());
        for run in old["trials"].as_array_mut().unwrap() {
            let cell = run["cell"].take();
            (run["subject"], run["traffic"]) = (cell["subject"].clone(), cell["traffic"].clone());
            run["own_ns"] = run["worker_ns"].take();
            let histogram = run.get("hdr_v2_base64").cloned().unwrap_or_else(|| "".into());
            run["hdr_v2_base64"] = histogram;
        }
        let read = Comparison::parse(&old.to_string()).unwrap();
        assert_eq!(
            (read.schema, &read.curves, read.runs.len()),
            (SCHEMA, &comparison.curves, comparison.runs.len())
        );
        assert_eq!(
            comparison.headline(),
            "Relaying a datagram of 168 bytes of payload takes a core 7 µs with coturn, 5.6 µs with this reflector \
             through sockets (0.80 of it), 250 ns with this reflector and XDP (1/28 of it) (veth, not a NIC)."
        );
        let nobody = Comparison { rows: Vec::new(), ..comparison };
        assert!(nobody.headline().starts_with("No comparison"));
    }

    #[test]
    fn ratios_read_well() {
        assert_eq!([0.036, 0.13, 0.8, f64::NAN].map(ratio), ["1/28", "1/7.7", "0.80", "–"]);
    }
}
