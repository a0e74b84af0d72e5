//! The XDP program in the kernel, run on frames that no wire brought (BPF_PROG_TEST_RUN).
//!
//! * Loaded, never attached: no interface is touched.
//! * What a run did is told twice, by the program's answer and by its counters; both must agree.
//! * The calling thread stays on one processor: budgets and counters are per processor.
//!
//! Source: Documentation/bpf/bpf_prog_run.rst.

use crate::outcome::FrameOutcome;
use crate::setup::{Hop, Setup};
use engine::xdp::{self, Answer, Config, Counts, Xdp, XdpError};
use harness::Missing;
use std::net::{IpAddr, SocketAddr};
use wire::revoked::RevokedTable;
use wire::{Block, Reason};

/// A loaded program.
#[derive(Debug)]
pub(crate) struct Kernel {
    xdp: Xdp,
    counts: Counts,
    since: Counts,
    /// What the program is given where nothing is revoked.
    nothing: RevokedTable,
}

impl Kernel {
    /// Loads the program for some Ethernet interface of this host, of which it only takes the MAC address.
    ///
    /// # Errors
    /// The program was refused, or what [`missing`] names.
    pub(crate) fn open() -> Result<Self, String> {
        let interface =
            ethernet().ok_or("this host has no Ethernet interface; `ip link add type dummy` makes one")?;
        let xdp = Xdp::load(&interface, &Config::new()).map_err(|error| error.to_string())?;
        let counts = total(&xdp).map_err(|error| error.to_string())?;
        Ok(Self { xdp, counts, since: counts, nothing: RevokedTable::new([0; 4]) })
    }

    pub(crate) fn own_mac(&self) -> [u8; 6] {
        self.xdp.mac()
    }

    pub(crate) fn configure(&mut self, setup: &Setup) -> Result<(), String> {
        self.try_configure(setup).map_err(|error| error.to_string())
    }

    /// Runs the program on a frame.
    ///
    /// # Errors
    /// The program's answer, its counters and the frame do not fit together.
    pub(crate) fn run(&mut self, frame: &[u8]) -> Result<FrameOutcome, String> {
        let run = self.xdp.run(frame, 1).map_err(|error| error.to_string())?;
        let after = total(&self.xdp).map_err(|error| error.to_string())?;
        let before = std::mem::replace(&mut self.counts, after);
        let counted = Counted::between(&before, &after);
        let outcome = match (run.answer, counted.event) {
            (Answer::Pass, Event::Nothing) => FrameOutcome::NotOurs,
            (Answer::Pass, Event::Passed) => FrameOutcome::Passed,
            (Answer::Drop, Event::Dropped(reason)) => FrameOutcome::Dropped(reason),
            (Answer::Transmit, Event::Observed) => FrameOutcome::Observed(run.frame.clone()),
            (Answer::Transmit, Event::Relayed) => FrameOutcome::Relayed(run.frame.clone()),
            (answer, event) => {
                return Err(format!("answered {answer:?}, counted {event:?}: {}", hex::encode(frame)));
            }
        };
        let leaves = matches!(run.answer, Answer::Transmit);
        if !leaves && run.frame != frame {
            return Err(format!("{outcome}, but the frame was changed: {}", hex::encode(frame)));
        }
        if run.frame.len() != frame.len() {
            return Err(format!("{outcome}, but as {} bytes: {}", run.frame.len(), hex::encode(frame)));
        }
        counted.check_bytes(frame)?;
        Ok(outcome)
    }

    /// received == relayed + observed + passed + drops by reason, in datagrams and bytes, since the program was loaded.
    fn conserved(&self) -> Result<(), String> {
        let (received, outcomes) = (self.counts.received, self.counts.outcomes());
        let relayed = self.counts.relayed.datagrams - self.since.relayed.datagrams;
        let by_key: u64 = self.counts.keys.iter().sum::<u64>() - self.since.keys.iter().sum::<u64>();
        if received == outcomes && relayed == by_key {
            Ok(())
        } else {
            Err(format!("received {received:?}, outcomes {outcomes:?}, relayed {relayed}, by key {by_key}"))
        }
    }

    fn try_configure(&mut self, setup: &Setup) -> Result<(), XdpError> {
        self.xdp.configure(&config(setup))?;
        self.xdp.set_neighbours(&setup.neighbours)?;
        let table = setup.revoked_table();
        self.xdp.set_revoked(table.as_ref().unwrap_or(&self.nothing).reader().words())?;
        self.xdp.fix_time(setup.now_s, setup.now_ns);
        Ok(())
    }
}

/// Runs a test with a program of its own, in a thread that stays on `cpu`.
pub(crate) fn on_processor(
    cpu: usize,
    test: impl FnOnce(&mut Kernel) -> Result<(), String> + Send,
) -> Result<(), String> {
    let pinned = move || {
        engine::host::affinity::pin(&[cpu]).map_err(|error| error.to_string())?;
        let mut kernel = Kernel::open()?;
        test(&mut kernel)?;
        kernel.conserved()
    };
    std::thread::scope(|scope| scope.spawn(pinned).join().expect("a thread compares"))
}

/// The processors that this process may use.
pub(crate) fn processors() -> Result<Vec<usize>, String> {
    engine::host::affinity::allowed().map_err(|error| error.to_string())
}

/// Why no program can be loaded here, if that is no fault of the program: no permission, no interface, an old kernel.
pub(crate) fn missing() -> Option<Missing> {
    let Some(interface) = ethernet() else {
        return Some(Missing::feature("no Ethernet interface; `ip link add type dummy` makes one"));
    };
    let lacking = match Xdp::load(&interface, &Config::new()) {
        Err(error @ (XdpError::NotPermitted(_) | XdpError::Memlock)) => error,
        Err(error) if kernel_is_older_than(5, 15) => error,
        _ => return None,
    };
    Missing::root("loading programs into the kernel").or_else(|| Some(Missing::feature(lacking.to_string())))
}

fn kernel_is_older_than(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < (major, minor)
}

/// What the counters say of one run.
struct Counted {
    event: Event,
    received_bytes: u64,
    outcome_bytes: u64,
    keys: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Nothing,
    Passed,
    Observed,
    Relayed,
    Dropped(Reason),
    /// More than one datagram, or one outcome, was counted.
    Several,
}

impl Counted {
    fn between(before: &Counts, after: &Counts) -> Self {
        let grown = |pick: fn(&Counts) -> u64| pick(after) - pick(before);
        let mut events = vec![
            (Event::Passed, grown(|counts| counts.passed.datagrams)),
            (Event::Observed, grown(|counts| counts.observed.datagrams)),
            (Event::Relayed, grown(|counts| counts.relayed.datagrams)),
        ];
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            let number = after.dropped[place].datagrams - before.dropped[place].datagrams;
            events.push((Event::Dropped(reason), number));
        }
        let received = grown(|counts| counts.received.datagrams);
        let outcomes: u64 = events.iter().map(|(_, number)| number).sum();
        let event = match (received, outcomes) {
            (0, 0) => Event::Nothing,
            (1, 1) => {
                events.into_iter().find(|(_, number)| *number == 1).map_or(Event::Several, |(it, _)| it)
            }
            _ => Event::Several,
        };
        Self {
            event,
            received_bytes: grown(|counts| counts.received.bytes),
            outcome_bytes: grown(|counts| counts.outcomes().bytes),
            keys: grown(|counts| counts.keys.iter().sum()),
        }
    }

    fn check_bytes(&self, frame: &[u8]) -> Result<(), String> {
        let keys = u64::from(self.event == Event::Relayed);
        if self.received_bytes == self.outcome_bytes && self.keys == keys {
            return Ok(());
        }
        let (received, outcome) = (self.received_bytes, self.outcome_bytes);
        let frame = hex::encode(frame);
        Err(format!("{received} bytes received, {outcome} in outcomes, {} keys counted: {frame}", self.keys))
    }
}

/// The configuration of a setup, as the daemon would give it to the program.
pub(crate) fn config(setup: &Setup) -> Config {
    let blocks = |blocks: &[Block]| blocks.iter().map(|block| (block.first(), block.prefix())).collect();
    let mut keys = [None; 16];
    setup.keys.iter().for_each(|(id, secret)| keys[usize::from(*id)] = Some(*secret));
    let advertised = setup.advertise.iter().map(|it| SocketAddr::new(it.ip(), 0));
    Config {
        keys,
        minting: setup.keys[0].0,
        listen_v4: setup.listen_v4,
        listen_v6: setup.listen_v6,
        stun: setup.stun,
        own: setup.own().into_iter().chain(advertised).collect(),
        broadcasts: setup.broadcasts.clone(),
        host: setup.host().map(|block| (block.first(), block.prefix())).collect(),
        allow_destination: blocks(&setup.allow_destination),
        deny_destination: blocks(&setup.deny_destination),
        deny_source: blocks(&setup.deny_source),
        max_datagram: setup.max_datagram,
        answer_lifetime_s: setup.answer_lifetime_s,
        ticket_lifetime_s: setup.ticket_lifetime_s,
        probe_budget_s: setup.probe_budget_s,
        class_rates_bytes_s: setup.class_rates_bytes_s,
        hash_key: setup.hash_key,
        routes: setup.routes.iter().map(|route| route_of(route.network, route.hop)).collect(),
    }
}

fn route_of(network: Block, hop: Hop) -> xdp::Route {
    let hop = match hop {
        Hop::Gateway(mac) => xdp::Hop::Gateway(mac),
        Hop::OnLink => xdp::Hop::OnLink,
        Hop::Pass => xdp::Hop::Pass,
    };
    let (network, prefix): (IpAddr, u8) = (network.first(), network.prefix());
    xdp::Route { network, prefix, hop }
}

/// The counters of all processors together.
fn total(xdp: &Xdp) -> Result<Counts, XdpError> {
    let mut sum = Counts::default();
    for counts in xdp.counters()? {
        let named = [
            (&mut sum.received, counts.received),
            (&mut sum.relayed, counts.relayed),
            (&mut sum.observed, counts.observed),
            (&mut sum.passed, counts.passed),
        ];
        for (mine, theirs) in named.into_iter().chain(sum.dropped.iter_mut().zip(counts.dropped)) {
            mine.datagrams += theirs.datagrams;
            mine.bytes += theirs.bytes;
        }
        sum.keys.iter_mut().zip(counts.keys).for_each(|(mine, theirs)| *mine += theirs);
    }
    Ok(sum)
}

/// Some Ethernet interface of this network namespace (ARPHRD_ETHER).
pub(crate) fn ethernet() -> Option<String> {
    let mut names: Vec<String> = std::fs::read_dir("/sys/class/net")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            let kind = std::fs::read_to_string(format!("/sys/class/net/{name}/type"));
            kind.is_ok_and(|kind| kind.trim() == "1")
        })
        .collect();
    names.sort();
    names.into_iter().next()
}
