//! What an interface and its host lack for the XDP fast path, and the command that mends it.
//!
//! * Pure but for [`XdpFacts::read`], which asks the kernel.
//! * Some findings end `run` with the same words; most cost speed only, because the sockets serve what does not fit.

use crate::config::Config;
use crate::fast_path::host::Host;
use crate::fast_path::settings::{FastPathSettings, NextHop};
use crate::finding::Finding;
use engine::host::netlink::rows::Link;
use engine::host::nic;
use engine::host::nic::Nic;
use engine::host::routes::{MOST_ROUTES, Ways};
use engine::xdp::Mode;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

/// What the fast path depends on.
#[derive(Clone, Debug, Default)]
pub struct XdpFacts {
    /// Effective capabilities, one bit each (capabilities(7)).
    pub capabilities: u64,
    /// Whether the kernel carries its types.
    pub btf: bool,
    /// Whether it compiles programs.
    pub compiles: Option<bool>,
    /// Processors that this process may use.
    pub cpus: usize,
    /// The type of the file system that `--xdp-pin` is in.
    pub pin_type: Option<String>,
    /// Names of all links.
    pub names: String,
    /// The interfaces named, in that order.
    pub interfaces: Vec<InterfaceFacts>,
}

/// What one interface is like.
#[derive(Clone, Debug, Default)]
pub struct InterfaceFacts {
    /// As it was named.
    pub name: String,
    /// Unless there is none of that name.
    pub link: Option<Link>,
    /// Driver and offloads.
    pub nic: Nic,
    /// Whether the other end of a veth finishes checksums only when the frame leaves the host; `None`: not seen here.
    pub peer_checksum: Option<bool>,
    /// Whether that other end, if it is seen here, has an XDP program.
    pub peer_has_program: bool,
    /// Routes and neighbours.
    pub ways: Ways,
}

impl XdpFacts {
    /// The facts for the interfaces named; nothing is asked when none is.
    ///
    /// # Errors
    /// What netlink(7) and netdevice(7) say.
    pub fn read(fast_path: &FastPathSettings, cpus: usize) -> io::Result<Self> {
        if !fast_path.is_on() {
            return Ok(Self::default());
        }
        let host = Host::read()?;
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let interfaces = fast_path.interfaces.iter().map(|name| InterfaceFacts::read(name, &host));
        Ok(Self {
            capabilities: capabilities(&status),
            btf: nic::has_btf(),
            compiles: nic::compiles_bpf(),
            cpus,
            pin_type: fast_path.pin.as_deref().and_then(|pin| mounted_type(&mounts, pin)),
            names: host.names(),
            interfaces: interfaces.collect::<io::Result<_>>()?,
        })
    }
}

impl InterfaceFacts {
    fn read(name: &str, host: &Host) -> io::Result<Self> {
        let link = host.link(name).cloned();
        let peer = link.as_ref().and_then(|link| link.peer);
        let peer = host.links.iter().find(|it| Some(it.index) == peer);
        let peer_checksum = match peer {
            Some(peer) => Nic::read(&peer.name)?.transmit_checksum,
            None => None,
        };
        let peer_has_program = peer.is_some_and(|peer| peer.xdp_program.is_some());
        let ways = link.as_ref().map(|link| host.ways(link)).unwrap_or_default();
        Ok(Self { name: name.to_owned(), link, nic: Nic::read(name)?, peer_checksum, peer_has_program, ways })
    }

    /// The line of `check` about this interface.
    pub fn summary(&self, mode: Mode) -> String {
        let number =
            |number: Option<u32>| number.map_or_else(|| String::from("?"), |number| number.to_string());
        let known = |known: Option<bool>| match known {
            Some(true) => "on",
            Some(false) => "off",
            None => "unknown",
        };
        format!(
            "xdp {}: {}, driver {}, MTU {}, {} channels, VLAN stripping {}, forwarding {}/{}, threaded NAPI {}, {} routes, {} neighbours",
            self.name,
            mode.as_str(),
            self.nic.driver.as_deref().unwrap_or("unknown"),
            number(self.link.as_ref().map(|link| link.mtu)),
            number(self.nic.channels),
            known(self.nic.strips_vlan),
            known(self.nic.forwards_v4),
            known(self.nic.forwards_v6),
            known(self.nic.threaded),
            self.ways.routes.len(),
            self.ways.neighbours.len()
        )
    }
}

/// Everything that the fast path lacks.
pub fn list(config: &Config, facts: &XdpFacts) -> Vec<Finding> {
    let fast_path = &config.fast_path;
    let mut findings = Vec::new();
    if !fast_path.is_on() {
        if fast_path.pin.is_some() {
            findings.push(Finding::new("--xdp-pin has no effect without --xdp", "--xdp with an interface"));
        }
        return findings;
    }
    kernel(fast_path, facts, &mut findings);
    for interface in &facts.interfaces {
        if interface.link.is_none() {
            let text = format!("--xdp {}: no such interface; `run` will refuse", interface.name);
            findings.push(Finding::new(text, format!("--xdp with one of {}", facts.names)));
            continue;
        }
        offloads(interface, fast_path.mode, &mut findings);
        driver(interface, fast_path.mode, facts.cpus, &mut findings);
        match fast_path.next_hop {
            NextHop::Neighbour => hops(interface, &mut findings),
            NextHop::Fib => forwarding(interface, &mut findings),
        }
        addresses(interface, config, &mut findings);
    }
    findings
}

/// The line that refuses an interface whose driver hides VLAN tags: another network's frames would look like ours.
pub fn vlan(name: &str, nic: &Nic) -> Option<Finding> {
    let hides = nic.strips_vlan == Some(true) && nic.driver.as_deref() != Some(VETH);
    let text =
        format!("--xdp {name}: the driver takes VLAN tags off before the program sees them; `run` refuses");
    hides.then(|| Finding::new(text, format!("ethtool -K {name} rxvlan off")))
}

fn kernel(fast_path: &FastPathSettings, facts: &XdpFacts, findings: &mut Vec<Finding>) {
    for (bit, name) in [(CAP_BPF, "CAP_BPF"), (CAP_PERFMON, "CAP_PERFMON"), (CAP_NET_ADMIN, "CAP_NET_ADMIN")]
    {
        let all = facts.capabilities & 1 << CAP_SYS_ADMIN != 0 && bit != CAP_NET_ADMIN;
        if facts.capabilities & 1 << bit == 0 && !all {
            let text = format!(
                "this process lacks {name}, without which no XDP program is loaded; `run` will refuse"
            );
            let mend = "AmbientCapabilities=CAP_BPF CAP_PERFMON CAP_NET_ADMIN in the systemd unit, or start it as root";
            findings.push(Finding::new(text, mend));
        }
    }
    if !facts.btf {
        let text = "this kernel does not carry its types (/sys/kernel/btf/vmlinux)";
        findings
            .push(Finding::new(text, "a kernel built with CONFIG_DEBUG_INFO_BTF, as distributions have it"));
    }
    if facts.compiles == Some(false) {
        let text = "the kernel interprets BPF programs, which costs several times the time";
        findings.push(Finding::new(text, "sysctl -w net.core.bpf_jit_enable=1"));
    }
    if let (Some(pin), Some(found)) = (&fast_path.pin, facts.pin_type.as_deref())
        && found != "bpf"
    {
        let text = format!("--xdp-pin {}: that is a file system of type {found}, not bpf", pin.display());
        findings.push(Finding::new(text, "mount -t bpf bpf /sys/fs/bpf, and a folder below it"));
    }
}

fn offloads(interface: &InterfaceFacts, mode: Mode, findings: &mut Vec<Finding>) {
    let (name, nic) = (&interface.name, &interface.nic);
    findings.extend(vlan(name, nic));
    if nic.joins_segments == Some(true) && mode == Mode::Native {
        let text = format!("{name} joins TCP segments (LRO), with which drivers refuse native XDP");
        findings.push(Finding::new(text, format!("ethtool -K {name} lro off")));
    }
    if nic.driver.as_deref() == Some(VETH) && interface.peer_checksum != Some(false) {
        let text = format!(
            "{name} is a veth: what its other end sends carries an unfinished UDP checksum, and every answer to it \
             would be lost"
        );
        let mend = "ethtool -K PEER tx off, PEER being the other end, in its own namespace";
        findings.push(Finding::new(text, mend));
    }
    if nic.driver.as_deref() == Some(VETH) && mode == Mode::Native && !interface.peer_has_program {
        let text = format!(
            "{name} is a veth: its other end takes no answer unless it has an XDP program of its own"
        );
        let mend =
            "ip link set dev PEER xdpdrv obj PASS.o sec xdp, in its own namespace, or --xdp-mode generic";
        findings.push(Finding::new(text, mend));
    }
}

fn driver(interface: &InterfaceFacts, mode: Mode, cpus: usize, findings: &mut Vec<Finding>) {
    let (name, nic) = (&interface.name, &interface.nic);
    let driver = nic.driver.as_deref().unwrap_or("unknown");
    let native = NATIVE_DRIVERS.contains(&driver);
    if mode == Mode::Native && !native {
        let text = format!("the driver {driver} of {name} is not known to take XDP programs");
        findings.push(Finding::new(text, "--xdp-mode generic, if `run` refuses"));
    }
    if mode == Mode::Generic && native {
        let text =
            format!("{name} in generic mode: the driver {driver} takes programs itself, which is faster");
        findings.push(Finding::new(text, "--xdp-mode native"));
    }
    let mtu = interface.link.as_ref().map_or(0, |link| link.mtu);
    if mode == Mode::Native && mtu > LONGEST_NATIVE_MTU {
        let text =
            format!("{name} has an MTU of {mtu}; most drivers take native XDP up to {LONGEST_NATIVE_MTU}");
        findings.push(Finding::new(text, format!("ip link set dev {name} mtu 1500")));
    }
    if let (Some(channels), Some(most)) = (nic.channels, nic.most_channels) {
        let wanted = most.min(u32::try_from(cpus).unwrap_or(u32::MAX));
        if channels < wanted {
            let text = format!("{name} has {channels} channels for {cpus} CPUs; the others stand idle");
            let which = if driver == VETH { format!("rx {wanted}") } else { format!("combined {wanted}") };
            findings.push(Finding::new(text, format!("ethtool -L {name} {which}")));
        }
    }
}

fn hops(interface: &InterfaceFacts, findings: &mut Vec<Finding>) {
    let (name, ways) = (&interface.name, &interface.ways);
    if ways.extra_rules > 0 {
        let text = format!(
            "{} routing rules of your own: which route holds is the kernel's to say, so all of {name} passes to the \
             sockets",
            ways.extra_rules
        );
        findings
            .push(Finding::new(text, "`ip rule` shows them; on a host of its own a reflector needs none"));
    } else if ways.routes.len() > MOST_ROUTES {
        let text = format!(
            "{} routes for {name}, and the program holds {MOST_ROUTES}; `run` will refuse",
            ways.routes.len()
        );
        findings.push(Finding::new(text, "fewer, wider routes: `ip route` shows them"));
    }
    for gateway in &ways.unresolved {
        let text = format!(
            "the gateway {gateway} of {name} is not resolved yet; until it is, its datagrams pass to the sockets"
        );
        findings.push(Finding::new(text, format!("ping -c 1 {gateway}, or just traffic")));
    }
}

/// The kernel names a next hop only where it would forward itself.
fn forwarding(interface: &InterfaceFacts, findings: &mut Vec<Finding>) {
    let name = &interface.name;
    for (family, forwards, switch) in
        [("IPv4", interface.nic.forwards_v4, "ipv4"), ("IPv6", interface.nic.forwards_v6, "ipv6")]
    {
        if forwards == Some(false) {
            let text = format!(
                "--xdp-nexthop fib, and {name} does not forward {family}: all of it passes to the sockets"
            );
            findings.push(Finding::new(text, format!("sysctl -w net.{switch}.conf.{name}.forwarding=1")));
        }
    }
}

/// An interface that none of the listening addresses is on has nothing to do.
fn addresses(interface: &InterfaceFacts, config: &Config, findings: &mut Vec<Finding>) {
    let listening: Vec<IpAddr> = config.listen.iter().map(std::net::SocketAddr::ip).collect();
    if listening.iter().all(IpAddr::is_loopback) {
        let text =
            format!("--listen names loopback only, so that nothing arrives for it on {}", interface.name);
        findings.push(Finding::new(text, "--listen with the address that endpoints send to"));
    }
}

/// The effective capabilities in `/proc/self/status`.
fn capabilities(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or_default()
}

/// The type of the file system that holds `path`, by `/proc/self/mounts`.
pub fn mounted_type(mounts: &str, path: &Path) -> Option<String> {
    let rows = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    // Of mounts over one another, the last counts.
    let holding = rows.filter(|(place, _)| path.starts_with(place));
    holding.max_by_key(|(place, _)| place.len()).map(|(_, kind)| kind.to_owned())
}

/// Drivers of Linux 6.x that take XDP programs and send their answers (docs/xdp.md).
const NATIVE_DRIVERS: [&str; 24] = [
    "amazon-ena",
    "atlantic",
    "bnxt_en",
    "bonding",
    "dpaa2-eth",
    "ena",
    "enetc",
    "gve",
    "hv_netvsc",
    "i40e",
    "iavf",
    "ice",
    "igb",
    "igc",
    "ixgbe",
    "ixgbevf",
    "mana",
    "mlx4_en",
    "mlx5_core",
    "mvneta",
    "stmmaceth",
    "tun",
    VETH,
    "virtio_net",
];
const VETH: &str = "veth";
/// A page less headroom and tailroom, where frames are not split.
const LONGEST_NATIVE_MTU: u32 = 3_498;
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_that_holds_the_path_says_its_type() {
        let mounts = "/dev/root / ext4 rw 0 0\nsysfs /sys sysfs rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0\n";
        let of = |path: &str| mounted_type(mounts, Path::new(path)).unwrap();
        assert_eq!(of("/sys/fs/bpf/reflector"), "bpf");
        assert_eq!(of("/sys/fs/bpffs"), "sysfs");
        assert_eq!(of("/run/reflector"), "ext4");
    }

    #[test]
    fn capabilities_are_read_as_bits() {
        assert_eq!(capabilities("Name:\tx\nCapEff:\t0000008000001000\n"), 1 << CAP_BPF | 1 << CAP_NET_ADMIN);
        assert_eq!(capabilities(""), 0);
    }

    #[test]
    fn a_driver_that_hides_tags_is_refused_and_a_veth_is_warned_of() {
        let nic =
            |driver: &str| Nic { driver: Some(driver.to_owned()), strips_vlan: Some(true), ..Nic::default() };
        assert_eq!(vlan("eth0", &nic("ixgbe")).unwrap().mend, "ethtool -K eth0 rxvlan off");
        assert_eq!(vlan("eth0", &nic("veth")), None);
        let mut found = Vec::new();
        let mut facts =
            InterfaceFacts { name: String::from("eth0"), nic: nic("veth"), ..InterfaceFacts::default() };
        offloads(&facts, Mode::Native, &mut found);
        assert!(found[0].mend.contains("tx off"), "{found:?}");
        assert!(found[1].text.contains("XDP program"), "{found:?}");
        facts = InterfaceFacts { peer_checksum: Some(false), peer_has_program: true, ..facts };
        found.clear();
        offloads(&facts, Mode::Native, &mut found);
        assert_eq!(found, []);
    }

    #[test]
    fn what_costs_speed_names_the_command_that_mends_it() {
        let nic = Nic {
            driver: Some(String::from("ixgbe")),
            channels: Some(1),
            most_channels: Some(64),
            ..Nic::default()
        };
        let facts = InterfaceFacts { name: String::from("eth0"), nic, ..InterfaceFacts::default() };
        let mends = |mode: Mode| {
            let mut found = Vec::new();
            driver(&facts, mode, 8, &mut found);
            found.into_iter().map(|finding| finding.mend).collect::<Vec<_>>()
        };
        assert_eq!(mends(Mode::Native), ["ethtool -L eth0 combined 8"]);
        assert_eq!(mends(Mode::Generic), ["--xdp-mode native", "ethtool -L eth0 combined 8"]);
    }
}
