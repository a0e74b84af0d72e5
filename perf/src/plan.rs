//! `plan`: how many cores, hosts and Gbit/s a population needs, from what a sweep measured.
//!
//! * Pure: the same report and population give the same plan.
//! * Every assumption that is not a measurement stands in the plan; beyond what was measured it refuses, or says how far.
//! * Rounded up, never down; a spread goes from the least to the most that the measurements allow.

pub mod args;
pub mod population;

use crate::figures::{compact, count, float, percent, rounded, time};
use crate::judge::model::{Beyond, Prediction, most_endpoints, most_workers};
use crate::judge::spread::Spread;
use crate::judge::survey::Survey;
use crate::plan::population::Population;
use crate::rig::cell::HEADER_BYTES;
use crate::rig::cell::{Axis, Cell, Engine};
use anyhow::Context;

/// What hosts are like and how full they may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hosts {
    /// The engine.
    pub engine: Engine,
    /// Cores of each for the reflector.
    pub cores: u32,
    /// What its link takes, each way, Gbit/s.
    pub gbit_per_s: f64,
    /// The part of cores and link that stays free.
    pub headroom: f64,
    /// Hosts beyond those needed, for when one is lost.
    pub spare: u64,
    /// What one costs, in any currency and time.
    pub price: Option<f64>,
}

/// A plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What each traffic asks of the reflectors.
    pub parts: Vec<Part>,
    /// PROBEs that keep pinholes, per second.
    pub probes_per_s: f64,
    /// Datagrams that arrive at the reflectors, wrong ones and PROBEs included, per second.
    pub arriving_per_s: f64,
    /// Cores that are busy without any headroom, as the measurements allow.
    pub busy_cores: Spread,
    /// Traffic on the links of all hosts, the busier way, Gbit/s.
    pub gbit_per_s: f64,
    /// Hosts needed for the cores, and for the links.
    pub hosts_for: (u64, u64),
    /// Hosts in all, spare ones included.
    pub hosts: u64,
    /// Part of the cores that is busy when no host is lost.
    pub load: f64,
    /// Latency to expect: the 99th percentile of the worst part, ns.
    pub p99_ns: Spread,
    /// What all hosts cost.
    pub price: Option<f64>,
    /// What is assumed, or extrapolated.
    pub assumptions: Vec<String>,
}

/// What one traffic asks of the reflectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// The part of it that is relayed.
    pub share: f64,
    /// Relayed, per second.
    pub relayed_per_s: f64,
    /// What one core takes of it.
    pub prediction: Prediction,
}

impl Plan {
    /// For a population; with `is_bold` also beyond what was measured.
    ///
    /// # Errors
    /// The report lacks what is asked for, or it lies beyond what was measured.
    pub fn of(
        survey: &Survey,
        population: &Population,
        hosts: &Hosts,
        is_bold: bool,
    ) -> anyhow::Result<Self> {
        let users = float(population.users_online);
        let mut assumptions = assumed(survey, population, hosts);
        let hostile_percent = u32::try_from(rounded(population.hostile * 100.0)).unwrap_or(100);
        let base = survey.header.matrix.base(hosts.engine).context("the report has no base")?;
        let cell = |payload_bytes: u32, train: u32| -> Cell {
            let endpoints =
                u32::try_from(population.users_online).unwrap_or(u32::MAX).min(most_endpoints(survey));
            let cell = base.with(Axis::Payload, payload_bytes).with(Axis::Train, train);
            cell.with(Axis::Endpoints, endpoints.max(2)).with(Axis::Hostile, hostile_percent)
        };
        let mut parts = Vec::new();
        for traffic in &population.traffic {
            let share = traffic.relayed.share(&population.nat);
            let relayed_per_s = users * traffic.active * traffic.rate_per_s * share;
            let prediction = Prediction::of(survey, cell(traffic.payload_bytes, traffic.train), is_bold)
                .with_context(|| traffic.name.clone())?;
            let beyond =
                prediction.beyond.iter().map(|beyond| format!("{}: {}", traffic.name, beyond.in_words()));
            assumptions.extend(beyond);
            parts.push(Part { name: traffic.name.clone(), share, relayed_per_s, prediction });
        }
        let probes_per_s = if population.keepalive_s > 0.0 { users / population.keepalive_s } else { 0.0 };
        let smallest =
            survey.header.matrix.payloads_bytes.iter().copied().min().unwrap_or(base.payload_bytes);
        let probe = Prediction::of(survey, cell(smallest, 1), is_bold).context("keepalives")?;
        let arriving_part = 1.0 / (1.0 - population.hostile);
        let busy_cores = busy_cores(&parts, (probes_per_s, &probe), arriving_part);
        let gbit_per_s = gbit(&parts, probes_per_s, population.hostile);
        let efficiency = efficiency(survey, hosts, &mut assumptions);
        let usable = (1.0 - hosts.headroom).max(0.01);
        let each = f64::from(hosts.cores) * efficiency;
        let hosts_for = (
            rounded((busy_cores.most / (each * usable)).ceil()).max(1),
            rounded((gbit_per_s / (hosts.gbit_per_s * usable)).ceil()).max(1),
        );
        let all = hosts_for.0.max(hosts_for.1) + hosts.spare;
        let load = busy_cores.median / (float(all) * each);
        let mut p99_ns: Option<Spread> = None;
        for part in &parts {
            let (found, beyond) = part.prediction.p99_ns(survey, load)?;
            assumptions.extend(beyond.as_ref().map(Beyond::in_words));
            let is_worse = p99_ns.is_none_or(|known| found.median > known.median);
            p99_ns = if is_worse { Some(found) } else { p99_ns };
        }
        Ok(Self {
            probes_per_s,
            arriving_per_s: (parts.iter().map(|part| part.relayed_per_s).sum::<f64>() + probes_per_s)
                * arriving_part,
            busy_cores,
            gbit_per_s,
            hosts_for,
            hosts: all,
            load,
            p99_ns: p99_ns.context("nobody sends anything")?,
            price: hosts.price.map(|price| price * float(all)),
            assumptions,
            parts,
        })
    }

    /// What limits first, and by how much.
    pub fn limit(&self) -> &'static str {
        if self.hosts_for.0 >= self.hosts_for.1 { "cores" } else { "the link" }
    }

    /// It as lines to read.
    pub fn in_words(&self, survey: &Survey, population: &Population, hosts: &Hosts) -> String {
        let mut lines = Vec::new();
        if !survey.header.fit_for_planning {
            lines.push(format!("NOT FOR PLANNING: measured on {}.", survey.header.caveats.join("; ")));
        }
        lines.push(format!("{} users online, NAT mix {}", count(population.users_online), population.nat));
        for (part, traffic) in self.parts.iter().zip(&population.traffic) {
            lines.push(format!(
                "  {}: {} active, {}/s of {} B each; {} relayed ({}): {} datagrams/s; one core takes {}/s{}",
                part.name,
                percent(traffic.active),
                compact(traffic.rate_per_s),
                traffic.payload_bytes,
                percent(part.share),
                traffic.relayed.words(),
                compact(part.relayed_per_s),
                compact(
                    part.prediction.capacity_per_s.median / f64::from(part.prediction.cell.workers.max(1))
                ),
                if part.prediction.is_measured { "" } else { " (interpolated)" }
            ));
        }
        lines.push(format!(
            "  keepalives: {} PROBEs/s, one each {} s",
            compact(self.probes_per_s),
            population.keepalive_s
        ));
        let cores = &self.busy_cores;
        lines.push(format!(
            "datagrams   {}/s arrive at the reflectors ({} of them hostile)",
            compact(self.arriving_per_s),
            percent(population.hostile)
        ));
        lines.push(format!(
            "cores       {:.1} busy ({:.1} to {:.1}), with {} engine",
            cores.median,
            cores.least,
            cores.most,
            hosts.engine.title()
        ));
        lines.push(format!("traffic     {:.2} Gbit/s each way, Ethernet and IPv4 included", self.gbit_per_s));
        lines.push(format!(
            "hosts       {} of {} cores and {} Gbit/s: {} for the cores, {} for the links, {} spare; {} headroom; {} \
             limit{} first",
            self.hosts,
            hosts.cores,
            hosts.gbit_per_s,
            self.hosts_for.0,
            self.hosts_for.1,
            hosts.spare,
            percent(hosts.headroom),
            self.limit(),
            if self.limit() == "cores" { "" } else { "s" }
        ));
        lines.push(format!(
            "latency     p99 {} ({} to {}) through the reflector, at {} load",
            time(self.p99_ns.median),
            time(self.p99_ns.least),
            time(self.p99_ns.most),
            percent(self.load)
        ));
        lines.extend(self.price.map(|price| format!("cost        {}", crate::figures::whole(price))));
        lines.extend(self.assumptions.iter().map(|assumption| format!("assumed     {assumption}")));
        lines.join("\n") + "\n"
    }
}

/// Cores that all of it keeps busy; the least capacity needs the most of them.
fn busy_cores(parts: &[Part], (probes_per_s, probe): (f64, &Prediction), arriving_part: f64) -> Spread {
    let busy = |end: fn(&Spread) -> f64| -> f64 {
        let of = |per_s: f64, found: &Prediction| {
            let each = end(&found.capacity_per_s) / f64::from(found.cell.workers.max(1));
            per_s * arriving_part / each.max(1.0)
        };
        let relayed: f64 = parts.iter().map(|part| of(part.relayed_per_s, &part.prediction)).sum();
        relayed + of(probes_per_s, probe)
    };
    Spread {
        median: busy(|spread| spread.median),
        least: busy(|spread| spread.most),
        most: busy(|spread| spread.least),
        rounds: probe.capacity_per_s.rounds,
    }
}

/// What is assumed for every plan.
fn assumed(survey: &Survey, population: &Population, hosts: &Hosts) -> Vec<String> {
    let mut assumptions = Vec::new();
    let measured = most_endpoints(survey);
    if population.users_online > u64::from(measured) {
        assumptions.push(format!(
            "{} users cost as {} endpoints did, the most that was measured: a reflector holds nothing for them",
            count(population.users_online),
            count(measured.into())
        ));
    }
    if population.keepalive_s > 0.0 {
        assumptions.push("a PROBE costs as much as relaying the smallest payload measured".to_owned());
    }
    if hosts.spare == 0 {
        assumptions.push("no host is ever lost".to_owned());
    }
    assumptions
}

/// What a core of a host relays, over what one core alone does.
fn efficiency(survey: &Survey, hosts: &Hosts, assumptions: &mut Vec<String>) -> f64 {
    let cores = f64::from(hosts.cores);
    let scaling = survey.scaling.iter().find(|scaling| scaling.engine == hosts.engine);
    let Some(law) = scaling.and_then(|scaling| scaling.law) else {
        if hosts.cores > 1 {
            assumptions.push(format!(
                "{} cores of a host relay {} times what one does: {} worker counts were measured, up to {}",
                hosts.cores,
                hosts.cores,
                scaling.map_or(0, |scaling| scaling.points.len()),
                most_workers(survey)
            ));
        }
        return 1.0;
    };
    if cores > most_workers(survey) {
        assumptions.push(format!(
            "the law of scaling holds for {} cores, though {} were measured at most",
            hosts.cores,
            most_workers(survey)
        ));
    }
    (law.rate_of(cores) / (law.rate_of(1.0) * cores)).clamp(0.01, 1.0)
}

/// Each way on the wire, the busier one: what arrives, hostile datagrams included.
fn gbit(parts: &[Part], probes_per_s: f64, hostile: f64) -> f64 {
    let bits = |payload_bytes: u32| f64::from(payload_bytes + HEADER_BYTES + FRAME_BYTES) * 8.0;
    let relayed: f64 =
        parts.iter().map(|part| part.relayed_per_s * bits(part.prediction.cell.payload_bytes)).sum();
    (relayed + probes_per_s * bits(0)) / (1.0 - hostile) / 1e9
}

/// UDP 8, IPv4 20, Ethernet 14 with its check sequence 4, preamble 8 and gap 12 (IEEE 802.3).
const FRAME_BYTES: u32 = 66;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::population::Traffic;
    use crate::sample;

    fn population() -> Population {
        Population {
            users_online: 1_000_000,
            nat: nat::Mix::default(),
            keepalive_s: 15.0,
            hostile: 0.0,
            traffic: vec![Traffic::preset("voice").unwrap()],
        }
    }

    const HOSTS: Hosts = Hosts {
        engine: Engine::Epoll,
        cores: 8,
        gbit_per_s: 10.0,
        headroom: 0.5,
        spare: 1,
        price: Some(40.0),
    };

    #[test]
    fn a_million_users_in_numbers() {
        let survey = sample::survey();
        let plan = Plan::of(&survey, &population(), &HOSTS, false).unwrap();
        // 1,000,000 x 2 % x 50/s x 24 %.
        assert!((plan.parts[0].relayed_per_s - 240_000.0).abs() < 1.0, "{plan:?}");
        assert!((plan.probes_per_s - 66_667.0).abs() < 1.0);
        // One core takes 196,000 of 168 B, and somewhat more of less.
        assert!((1.4..1.7).contains(&plan.busy_cores.median), "{:?}", plan.busy_cores);
        assert!(
            plan.busy_cores.least <= plan.busy_cores.median && plan.busy_cores.median <= plan.busy_cores.most
        );
        // 240,000 x (160 + 32 + 66) x 8 and 66,667 x (32 + 66) x 8.
        assert!((plan.gbit_per_s - 0.5476).abs() < 0.001, "{}", plan.gbit_per_s);
        assert_eq!((plan.hosts, plan.hosts_for, plan.limit(), plan.price), (2, (1, 1), "cores", Some(80.0)));
        let words = plan.in_words(&survey, &population(), &HOSTS);
        assert!(words.starts_with("NOT FOR PLANNING: measured on veth, not a NIC."), "{words}");
        assert!(words.contains("cores limit first") && words.contains("24 % relayed"), "{words}");
        assert!(words.contains("1,000,000 users cost as 10,000 endpoints did"), "{words}");
        assert!(words.contains("8 cores of a host relay 8 times"), "{words}");
    }

    #[test]
    fn more_of_everything_needs_more() {
        let survey = sample::survey();
        let plan = |population: &Population| Plan::of(&survey, population, &HOSTS, false).unwrap();
        let once = plan(&population());
        let many = plan(&Population { users_online: 100_000_000, ..population() });
        assert!((many.busy_cores.median / once.busy_cores.median - 100.0).abs() < 0.1);
        assert!(many.hosts > 30 && many.load < 0.51, "{many:?}");
        let attacked = plan(&Population { hostile: 0.2, ..population() });
        assert!((attacked.arriving_per_s / once.arriving_per_s - 1.25).abs() < 1e-6);
        let narrow = Hosts { gbit_per_s: 0.1, ..HOSTS };
        assert_eq!(Plan::of(&survey, &population(), &narrow, false).unwrap().limit(), "the link");
    }

    #[test]
    fn beyond_what_was_measured_it_refuses_or_says_so() {
        let survey = sample::survey();
        let mut beyond = population();
        beyond.traffic[0].payload_bytes = 1_440;
        let error = format!("{:#}", Plan::of(&survey, &beyond, &HOSTS, false).unwrap_err());
        assert!(
            error.contains("voice: payload, bytes 1.44k lies above what was measured (24 to 1.2k)"),
            "{error}"
        );
        let bold = Plan::of(&survey, &beyond, &HOSTS, true).unwrap();
        assert!(bold.assumptions.iter().any(|line| line.contains("lies above")), "{:?}", bold.assumptions);
        let full = Hosts { headroom: 0.0, spare: 0, cores: 1, ..HOSTS };
        let plan = Plan::of(&survey, &Population { users_online: 10_000_000, ..population() }, &full, false)
            .unwrap();
        assert!(plan.load > 0.9 && plan.assumptions.iter().any(|line| line.contains("no host is ever lost")));
    }
}
