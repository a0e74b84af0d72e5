//! What is missing for more speed or safety, and the command that mends it.
//!
//! * Pure: what was found out about host and files comes in as [`Facts`].
//! * `check` prints findings, the daemon logs them at its start; both see the same list.

use crate::choice::Choice;
use crate::config::{Config, Steer};
use crate::fast_path::findings;
use crate::fast_path::findings::XdpFacts;
use crate::finding::Finding;
use crate::stun::settings::Mode;
use engine::host::addresses::Addresses;
use engine::socket::udp::Granted;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use wire::{Block, BlockSet, Policy, TransportAddress};

/// What host and files are like.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The engine that runs.
    pub choice: Choice,
    /// What the kernel grants a socket.
    pub granted: Granted,
    /// Processors that this process may use.
    pub cpus: usize,
    /// Worker threads that will run.
    pub workers: usize,
    /// Permission bits of the ring file.
    pub ring_mode: u32,
    /// Addresses of this host.
    pub host: Addresses,
    /// What the fast path depends on.
    pub xdp: XdpFacts,
}

/// Everything that could be better, the gravest first.
pub fn list(config: &Config, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    safety(config, facts, &mut findings);
    neighbours(config, facts, &mut findings);
    reach(config, facts, &mut findings);
    stun(config, &mut findings);
    speed(config, facts, &mut findings);
    findings.extend(findings::list(config, &facts.xdp));
    findings
}

fn safety(config: &Config, facts: &Facts, findings: &mut Vec<Finding>) {
    let keys = config.keys.display().to_string();
    if facts.ring_mode & 0o007 != 0 {
        let text = format!("every user of this host can read or write the ring file {keys:?}");
        findings.push(Finding::new(text, format!("chmod o= {keys:?}")));
    }
    if !config.admin.ip().is_loopback() {
        let text = format!("the admin server at {} is open to whoever reaches that address", config.admin);
        findings.push(Finding::new(text, "--admin 127.0.0.1:9464, or a firewall in front"));
    }
    for block in config.blocks.allow_destination.iter().filter(|block| opens_loopback(block)) {
        let text = format!(
            "{block} opens loopback: whoever holds a capability reaches this host's own UDP services"
        );
        findings.push(Finding::new(text, "for tests only; else remove it from --allow-destination"));
    }
}

/// Networks that this host is in and that the policy lets datagrams into: their hosts may trust what comes from here.
fn neighbours(config: &Config, facts: &Facts, findings: &mut Vec<Finding>) {
    let policy = Policy {
        allow_destination: BlockSet::new(&config.blocks.allow_destination),
        deny_destination: BlockSet::new(&config.blocks.deny_destination),
        ..Policy::default()
    };
    for interface in facts.host.interfaces.iter().filter(|it| !it.loopback) {
        let Some(block) = Block::around(interface.address, interface.prefix) else { continue };
        let some_port = SocketAddr::new(block.first(), UNPRIVILEGED_PORT);
        let open = TransportAddress::from_socket(some_port).is_some_and(|it| policy.permits(it));
        if open && block.first() != block.last() {
            let name = &interface.name;
            let text =
                format!("{block} is on the link of {name}, and its hosts may trust what this one sends");
            findings
                .push(Finding::new(text, format!("--deny-destination {block}, unless endpoints are there")));
        }
    }
}

fn reach(config: &Config, facts: &Facts, findings: &mut Vec<Finding>) {
    for listen in &config.listen {
        let family = facts.host.interfaces.iter().filter(|it| it.address.is_ipv4() == listen.is_ipv4());
        let others: Vec<IpAddr> =
            family.filter(|it| !it.loopback && !is_link_local(it.address)).map(|it| it.address).collect();
        if listen.ip().is_unspecified() && others.len() > 1 {
            let text = format!(
                "{listen} answers at {} addresses, which share one ring; a contact at one would be valid at the other",
                others.len()
            );
            findings.push(Finding::new(text, format!("--listen with one of them: {}", joined(&others))));
        }
        if listen.ip().is_unspecified() && config.listen.len() > 1 {
            let text =
                format!("what comes in by the other family leaves {listen} from the address of the route");
            findings.push(Finding::new(text, "--listen with the one address that endpoints send to"));
        }
        if !listen.ip().is_unspecified() && !reachable(config, *listen) {
            let text =
                format!("{} is a special-purpose address, from which the policy refuses PROBEs", listen.ip());
            let mend =
                "--advertise with the public address in front, or --allow-destination for a closed network";
            findings.push(Finding::new(text, mend));
        }
    }
    if let [only] = config.listen.as_slice() {
        let other = if only.is_ipv4() { "IPv6" } else { "IPv4" };
        let text = format!("{other} endpoints are not served, nor reached by the others");
        findings.push(Finding::new(text, "a second --listen of the other family, where the host has one"));
    }
}

fn stun(config: &Config, findings: &mut Vec<Finding>) {
    for listen in config.listen.iter().filter(|_| config.stun.mode == Mode::Behaviour) {
        if !config.stun.alternates.iter().any(|it| it.is_ipv4() == listen.is_ipv4()) {
            let text = format!(
                "STUN at {listen} has no second address, so no client can tell what NAT it is behind"
            );
            findings.push(Finding::new(
                text,
                "--stun-alternate with another address of this host and another port",
            ));
        }
    }
}

fn speed(config: &Config, facts: &Facts, findings: &mut Vec<Finding>) {
    let (granted, wanted) = (facts.granted, config.receive_buffer);
    for (what, got, limit) in [
        ("receive", granted.receive_buffer, "net.core.rmem_max"),
        ("send", granted.send_buffer, "net.core.wmem_max"),
    ] {
        if got < wanted {
            let text =
                format!("the kernel grants {got} of {wanted} bytes of {what} buffer; bursts will be lost");
            findings.push(Finding::new(text, format!("sysctl -w {limit}={wanted}")));
        }
    }
    if let Some(refusal) = facts.choice.refusal {
        let text = format!("the engine is epoll, as {refusal}; uring takes less time per datagram");
        findings.push(Finding::new(text, format!("{}, or --engine epoll", refusal.mend())));
    }
    if !granted.gro || !granted.gso {
        let text = "this kernel cannot take or send trains of datagrams in one piece (UDP GRO and GSO)";
        findings.push(Finding::new(text, "a kernel of 5.0 or newer"));
    }
    if facts.workers > facts.cpus {
        let text = format!("{} workers on {} CPUs: some share one or get nothing", facts.workers, facts.cpus);
        findings.push(Finding::new(text, "--workers auto"));
    }
    if facts.workers < facts.cpus && config.workers.is_some() && config.steer == Steer::Cpu {
        let text = format!(
            "{} of {} CPUs have no worker; datagrams that arrive there are served on another one",
            facts.cpus - facts.workers,
            facts.cpus
        );
        findings
            .push(Finding::new(text, "--workers auto, or the interface's interrupts on the workers' CPUs"));
    }
}

/// Whether a peer on the listening address's own network could be answered.
fn reachable(config: &Config, listen: SocketAddr) -> bool {
    let advertised = config.advertise.iter().any(|it| it.is_ipv4() == listen.is_ipv4());
    let opened = config.blocks.allow_destination.iter().any(|block| block.contains(listen.ip()));
    let neighbour = SocketAddr::new(listen.ip(), UNPRIVILEGED_PORT);
    let global = TransportAddress::from_socket(neighbour).is_some_and(|it| Policy::default().permits(it));
    advertised || opened || global
}

fn opens_loopback(block: &Block) -> bool {
    block.contains(IpAddr::V4(Ipv4Addr::LOCALHOST))
        || block.contains(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1_u16]))
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn joined(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A port that the policy has nothing against.
const UNPRIVILEGED_PORT: u16 = 40_000;
