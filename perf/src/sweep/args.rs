//! What `sweep` is asked for, as typed, and the reflectors that follow.
//!
//! * What was typed and cannot be measured here is an error; of what was not typed, what cannot be is left out, and says
//!   why.
//! * As root a sweep runs over a cable of its own (a veth pair), else over loopback, or against a reflector elsewhere.

use crate::rig::cell::Engine;
use crate::rig::cores::Cores;
use crate::rig::environment::Environment;
use crate::rig::header::{Absence, GroundName, Header, SCHEMA, SiteName};
use crate::rig::lacks;
use crate::rig::matrix::Matrix;
use crate::rig::placement::Placement;
use crate::rig::site::{Reached, Site};
use crate::rig::subject::Subject;
use crate::sweep::Effort;
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use lab::programs::found::Programs;
use lab::programs::interrupt::{Interrupt, Interrupted};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The flags of `sweep`.
#[derive(Clone, Debug, Args)]
pub struct SweepArgs {
    /// Few and short runs, half a minute: shows that everything works, not how fast.
    #[arg(long, env = "REFLECTOR_PERF_SHORT")]
    pub short: bool,
    /// Folder of the sweep; one that was interrupted goes on [default: perf/sweep in cargo's target
    /// folder, with --short perf/sweep-short].
    #[arg(long, value_name = "DIR", env = "REFLECTOR_PERF_OUT")]
    pub out: Option<PathBuf>,
    /// Engines: epoll, uring, xdp [default: those that run here].
    #[arg(long, value_name = "LIST", value_delimiter = ',', env = "REFLECTOR_PERF_ENGINES")]
    pub engines: Vec<Engine>,
    /// Worker counts; the first makes the base [default: 1 and more, as far as there are processors].
    #[arg(long, value_name = "LIST", value_delimiter = ',', env = "REFLECTOR_PERF_WORKERS")]
    pub workers: Vec<u32>,
    /// Bytes behind the 32-byte header; the first makes the base [default: 168,24,1200].
    #[arg(long, value_name = "LIST", value_delimiter = ',', env = "REFLECTOR_PERF_PAYLOADS")]
    pub payloads: Vec<u32>,
    /// Endpoints, each behind a simulated NAT; the first makes the base [default: 1k,10k].
    #[arg(long, value_name = "LIST", value_delimiter = ',', env = "REFLECTOR_PERF_ENDPOINTS", value_parser = thousands)]
    pub endpoints: Vec<u32>,
    /// Datagrams of one flow at once; 1: one by one; the first makes the base [default: 1,16].
    #[arg(long, value_name = "LIST", value_delimiter = ',', env = "REFLECTOR_PERF_TRAINS")]
    pub trains: Vec<u32>,
    /// Shares of datagrams with a wrong tag, such as 0%,20%; the first makes the base [default: 0%,20%].
    #[arg(long, value_name = "LIST", value_delimiter = ',', env = "REFLECTOR_PERF_HOSTILE", value_parser = percentage)]
    pub hostile: Vec<u32>,
    /// Every combination, instead of one change to the base at a time.
    #[arg(long, env = "REFLECTOR_PERF_CROSS")]
    pub cross: bool,
    /// NAT behaviours and their shares.
    #[arg(long, value_name = "MIX", default_value_t = nat::Mix::default(), env = "REFLECTOR_PERF_NAT")]
    pub nat: nat::Mix,
    /// Rounds that count; one more warms up [default: 7, with --short 1].
    #[arg(long, value_name = "N", env = "REFLECTOR_PERF_ROUNDS", value_parser = clap::value_parser!(u32).range(1..=99))]
    pub rounds: Option<u32>,
    /// What lies between generator and reflector [default: a cable as root, else loopback].
    #[arg(long, value_name = "GROUND", env = "REFLECTOR_PERF_GROUND", conflicts_with = "reflector")]
    pub ground: Option<Ground>,
    /// A reflector on another host, instead of one that is started here.
    #[arg(long, value_name = "ADDR:PORT", env = "REFLECTOR_PERF_REFLECTOR", requires_all = ["admin", "keys"],
          conflicts_with_all = ["engines", "workers"])]
    pub reflector: Option<SocketAddr>,
    /// Its admin server, such as `http://192.0.2.1:9464`.
    #[arg(long, value_name = "URL", env = "REFLECTOR_PERF_ADMIN", value_parser = admin)]
    pub admin: Option<SocketAddr>,
    /// Its ring file.
    #[arg(long, value_name = "FILE", env = "REFLECTOR_PERF_KEYS")]
    pub keys: Option<PathBuf>,
    /// Block of the simulated NATs' external addresses, local here and routed here; see reflector-loadgen.
    #[arg(long, value_name = "CIDR", env = "REFLECTOR_PERF_EXTERNAL", requires = "reflector")]
    pub external: Option<String>,
    /// Sends below the sockets of this interface; see reflector-loadgen.
    #[arg(long, value_name = "IFACE", env = "REFLECTOR_PERF_XDP", requires = "reflector")]
    pub xdp: Option<String>,
    /// How far it goes; not typed, since it follows from the command.
    #[arg(skip)]
    pub reach: Reach,
}

/// How far a sweep goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// A sweep: every processor that is used is used by one program alone.
    #[default]
    Sweep,
    /// A quick run: any machine has to do, even one with a single processor.
    Quick,
}

/// Where a sweep runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ground {
    /// The loopback interface: no privilege needed.
    Loopback,
    /// A veth pair between two namespaces: as root.
    Cable,
}

impl SweepArgs {
    /// Starts the reflectors and says what will be measured; `command` is what was typed.
    ///
    /// # Errors
    /// What was typed cannot be measured here, or a program failed.
    pub fn open(
        &self,
        command: &str,
        programs: &Programs,
        interrupt: &Interrupt,
        progress: &mut dyn FnMut(&str),
    ) -> anyhow::Result<(Header, Vec<Site>)> {
        // Asked before anything is started, so that nothing but what is measured runs beside it.
        let environment = Environment::read(programs);
        let processors = self.processors()?;
        let ground = self.ground_name(programs)?;
        let (mut sites, mut absent) = (Vec::new(), Vec::new());
        let mut matrix = self.matrix();
        if let Some(fault) = matrix.fault() {
            bail!("{fault}");
        }
        if let Some(reached) = self.reached() {
            let site =
                Site::elsewhere(reached, Placement::elsewhere(&processors.allowed), self.nat, programs)?;
            (matrix.engines, matrix.workers) = (vec![site.kind().0], vec![site.kind().1]);
            sites.push(site);
        } else {
            (sites, absent) = self.start(&matrix, ground, &processors, programs, interrupt, progress)?;
            let kinds: Vec<(Engine, u32)> = sites.iter().map(Site::kind).collect();
            matrix.engines.retain(|engine| kinds.iter().any(|kind| kind.0 == *engine));
            matrix.workers.retain(|workers| kinds.iter().any(|kind| kind.1 == *workers));
        }
        let cells = matrix.cells().into_iter().filter(|cell| sites.iter().any(|site| site.serves(cell)));
        let Effort { round, warmup, .. } = self.effort();
        let ns = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let name = |site: &Site| {
            let ((engine, workers), placement) = (site.kind(), site.placement().clone());
            SiteName { engine, workers, placement }
        };
        let header = Header {
            schema: SCHEMA,
            started_unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            command: command.to_owned(),
            cells: cells.collect(),
            matrix,
            nat: self.nat.to_string(),
            ground,
            rounds: self.rounds.unwrap_or(if self.short { 1 } else { 7 }),
            duration_ns: ns(round),
            warmup_ns: ns(warmup),
            is_short: self.short,
            absent,
            sites: sites.iter().map(name).collect(),
            caveats: self.caveats(ground, processors.quick),
            fit_for_planning: ground == GroundName::Elsewhere && !self.short,
            environment,
        };
        Ok((header, sites))
    }

    /// Starts a reflector for each engine and worker count; what cannot be is left out unless it was typed.
    fn start(
        &self,
        matrix: &Matrix,
        ground: GroundName,
        processors: &Processors,
        programs: &Programs,
        interrupt: &Interrupt,
        progress: &mut dyn FnMut(&str),
    ) -> anyhow::Result<(Vec<Site>, Vec<Absence>)> {
        let (mut sites, mut absent) = (Vec::new(), Vec::new());
        for engine in &matrix.engines {
            for workers in &matrix.workers {
                interrupt.check()?;
                let kind = (*engine, *workers);
                let opened = match (lack(kind, ground, programs), processors.placement(*workers)) {
                    (Some(lack), _) => Err(anyhow::Error::msg(lack)),
                    (None, None) => Err(anyhow::Error::msg(format!(
                        "needs {} processors, {} may be used",
                        workers + 1,
                        processors.allowed.len()
                    ))),
                    (None, Some(placement)) if ground == GroundName::Cable => {
                        Site::cable(kind, placement, self.nat, programs)
                    }
                    (None, Some(placement)) => Site::loopback(kind, placement, self.nat, programs),
                };
                let is_typed = !self.engines.is_empty() && *workers == 1 || !self.workers.is_empty();
                match opened {
                    Ok(site) => sites.push(site),
                    Err(error) if error.is::<Interrupted>() => return Err(error),
                    Err(error) if is_typed => {
                        return Err(error).with_context(|| format!("{engine}, {workers} workers"));
                    }
                    Err(error) => {
                        // What stands in the way of so many stands in the way of more.
                        let what = match workers {
                            1 => engine.to_string(),
                            _ => format!("{engine} with {workers} workers or more"),
                        };
                        let absence = Absence { what, why: format!("{error:#}") };
                        progress(&format!("{} is left out: {}", absence.what, absence.why));
                        absent.push(absence);
                        break;
                    }
                }
            }
        }
        if sites.is_empty() {
            let whys: Vec<&str> = absent.iter().map(|absence| absence.why.as_str()).collect();
            bail!("nothing can be measured here: {}", whys.join("; "));
        }
        Ok((sites, absent))
    }

    /// What is varied; what was not typed as it is by default.
    pub fn matrix(&self) -> Matrix {
        let or = |typed: &[u32], otherwise: &[u32], short: &[u32]| match (typed, self.short) {
            ([], true) => short.to_vec(),
            ([], false) => otherwise.to_vec(),
            (typed, _) => typed.to_vec(),
        };
        let engines = if self.engines.is_empty() { Engine::ALL.to_vec() } else { self.engines.clone() };
        Matrix {
            engines,
            workers: or(&self.workers, &[1, 2, 3, 4, 6, 8, 12, 16], &[1]),
            payloads_bytes: or(&self.payloads, &[168, 24, 1_200], &[168]),
            endpoints: or(&self.endpoints, &[1_000, 10_000], &[300]),
            trains: or(&self.trains, &[1, 16], &[1, 4]),
            hostile_percent: or(&self.hostile, &[0, 20], &[0, 20]),
            is_crossed: self.cross,
        }
    }

    fn reached(&self) -> Option<Reached> {
        let (listen, admin, keys) = (self.reflector?, self.admin?, self.keys.clone()?);
        let external = self.external.iter().flat_map(|block| ["--external", block]);
        let xdp = self.xdp.iter().flat_map(|interface| ["--xdp", interface, "--keepalive", "0"]);
        Some(Reached { listen, admin, keys, flags: external.chain(xdp).map(str::to_owned).collect() })
    }

    fn ground_name(&self, programs: &Programs) -> anyhow::Result<GroundName> {
        if self.reflector.is_some() {
            return Ok(GroundName::Elsewhere);
        }
        let wanted = match self.ground {
            Some(ground) => ground,
            None if self.short => Ground::Loopback,
            None => Ground::Cable,
        };
        if wanted == Ground::Loopback {
            return Ok(GroundName::Loopback);
        }
        match (self.ground, lab::missing().or_else(|| lacks::generator(programs))) {
            (_, None) => Ok(GroundName::Cable),
            (Some(_), Some(lack)) => bail!("--ground cable: {lack}"),
            (None, Some(_)) => Ok(GroundName::Loopback),
        }
    }

    /// How long and how often.
    pub fn effort(&self) -> Effort {
        match self.reach {
            Reach::Sweep => Effort::of_sweep(self.short),
            Reach::Quick => Effort::of_quick(self.short),
        }
    }

    fn processors(&self) -> anyhow::Result<Processors> {
        let allowed =
            engine::host::affinity::allowed().context("cannot read the processors that may be used")?;
        let quick = if self.reach == Reach::Quick { Some(Cores::choose()?) } else { None };
        Ok(Processors { allowed, quick })
    }

    fn caveats(&self, ground: GroundName, cores: Option<Cores>) -> Vec<String> {
        let ground = match ground {
            GroundName::Loopback => "loopback, not a NIC",
            GroundName::Cable => "veth, not a NIC",
            GroundName::Elsewhere => {
                "the reflector is on another host: its cost is what its workers' clocks say, without soft interrupts and XDP"
            }
        };
        let short = self.short.then_some("runs too short for figures");
        let shared = cores.and_then(|cores| cores.caveat());
        [Some(ground), shared, short].into_iter().flatten().map(str::to_owned).collect()
    }
}

/// The processors that may be used.
struct Processors {
    allowed: Vec<usize>,
    /// Those of a quick run, which may be one and the same.
    quick: Option<Cores>,
}

impl Processors {
    /// Who runs where; `None` if there are too few.
    fn placement(&self, workers: u32) -> Option<Placement> {
        match self.quick {
            Some(cores) => Some(Placement::on(cores)),
            None => Placement::of(&self.allowed, workers),
        }
    }
}

/// Why a reflector cannot be measured here, in words; `None` if it may be tried.
fn lack((engine, workers): (Engine, u32), ground: GroundName, programs: &Programs) -> Option<String> {
    match engine {
        Engine::Xdp if ground == GroundName::Loopback => {
            Some("XDP needs an interface: as root, with --ground cable".to_owned())
        }
        Engine::Xdp if workers > 1 => {
            Some("a veth has one queue, and XDP runs where that is served".to_owned())
        }
        Engine::Xdp => lacks::absence(Subject::Xdp, programs),
        Engine::Uring => lacks::absence(Subject::Uring, programs),
        Engine::Epoll => None,
    }
}

/// `1000`, `1k` or `1M`.
pub fn thousands(text: &str) -> Result<u32, String> {
    let with = |unit: char, factor: u32| text.strip_suffix(unit).map(|digits| (digits, factor));
    let (digits, factor) = with('k', 1_000).or_else(|| with('M', 1_000_000)).unwrap_or((text, 1));
    let number = digits.parse::<u32>().ok().and_then(|number| number.checked_mul(factor));
    number.ok_or_else(|| "a count is such as 300, 10k or 1M".to_owned())
}

/// `20%`.
fn percentage(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('%').and_then(|digits| digits.parse().ok());
    number.filter(|percent| *percent <= 100).ok_or_else(|| "a share is 0% to 100%, such as 20%".to_owned())
}

/// `http://ADDR:PORT`, with or without what stands around the address.
fn admin(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let bare = bare.strip_suffix("/metrics").unwrap_or(bare);
    bare.parse().map_err(|_| "an admin server is such as http://192.0.2.1:9464".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        sweep: SweepArgs,
    }

    fn typed(arguments: &[&str]) -> Result<SweepArgs, String> {
        let all = std::iter::once("sweep").chain(arguments.iter().copied());
        Typed::try_parse_from(all).map(|typed| typed.sweep).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_typed_becomes_what_is_varied() {
        let args =
            typed(&["--payloads", "100,200", "--endpoints", "1k,2M", "--hostile", "5%", "--cross"]).unwrap();
        let matrix = args.matrix();
        assert_eq!((matrix.payloads_bytes, matrix.endpoints), (vec![100, 200], vec![1_000, 2_000_000]));
        assert_eq!((matrix.hostile_percent, matrix.is_crossed, matrix.engines.len()), (vec![5], true, 3));
        let short = typed(&["--short"]).unwrap();
        assert!(short.matrix().cells().len() < 20 && short.caveats(GroundName::Loopback, None).len() == 2);
    }

    #[test]
    fn a_reflector_elsewhere_needs_its_admin_server_and_ring() {
        let error = typed(&["--reflector", "192.0.2.1:4000"]).unwrap_err();
        assert!(error.contains("--admin") && error.contains("--keys"), "{error}");
        let all =
            ["--reflector", "192.0.2.1:4000", "--admin", "http://192.0.2.1:9464/metrics", "--keys", "r"];
        let reached = typed(&all).unwrap().reached().unwrap();
        assert_eq!(reached.admin.port(), 9_464);
        assert!(typed(&[&all[..], &["--engines", "epoll"]].concat()).is_err());
        assert!(typed(&["--hostile", "20"]).is_err() && typed(&["--endpoints", "many"]).is_err());
        assert!(typed(&["--engines", "poll"]).is_err() && typed(&["--xdp", "eth0"]).is_err());
    }
}
