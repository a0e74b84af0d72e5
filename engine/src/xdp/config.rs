//! The configuration of the fast path: plain values, and the struct that the program reads.
//!
//! * `Raw` is `struct config` of `bpf/layout.bpf.h`, byte for byte; a test holds their sizes equal.
//! * Addresses, ports and masks stand in it as a processor loads them from a frame, never swapped.
//! * Every first byte of an address that some rule knows is flagged; the program looks only at those in full.
//! * What does not fit is an error with the count, never a shorter list.

#![allow(unsafe_code)]

use crate::host::routes::{Hop, Route};
use crate::xdp::error::XdpError;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// What the program decides by.
#[derive(Clone)]
pub struct Config {
    /// SipHash keys by id.
    pub keys: [Option<[u8; 16]>; 16],
    /// The id of the key that makes tickets.
    pub minting: u8,
    /// Where IPv4 datagrams are taken; 0.0.0.0 is every address of `host`.
    pub listen_v4: Option<SocketAddrV4>,
    /// Where IPv6 datagrams are taken; `::` is every address of `host`.
    pub listen_v6: Option<SocketAddrV6>,
    /// Whether what starts like STUN is passed up.
    pub stun: bool,
    /// The reflector's own transport addresses; a wildcard is its port on every address of `host`, port 0 is every port
    /// unless a block opens the address. At most 64 of a family.
    pub own: Vec<SocketAddr>,
    /// Directed broadcast addresses of local networks; at most 64.
    pub broadcasts: Vec<Ipv4Addr>,
    /// Addresses of this host, as prefixes; at most 128 of a family, loopback and link-local ones not counted.
    pub host: Vec<(IpAddr, u8)>,
    /// Special-purpose blocks that are opened; at most 32.
    pub allow_destination: Vec<(IpAddr, u8)>,
    /// Blocks that nothing is sent to; at most 64.
    pub deny_destination: Vec<(IpAddr, u8)>,
    /// Blocks that nothing is taken from; at most 64.
    pub deny_source: Vec<(IpAddr, u8)>,
    /// Bytes of the longest datagram taken.
    pub max_datagram: usize,
    /// Seconds that a renewed capability lives.
    pub answer_lifetime_s: u32,
    /// Seconds that a ticket lives.
    pub ticket_lifetime_s: u32,
    /// PROBEs answered per second, prefix and core; at least 1.
    pub probe_budget_s: u64,
    /// Bytes per second, source, class and core; `None` is not limited.
    pub class_rates_bytes_s: [Option<u64>; 16],
    /// Hashes what is limited to its bucket; drawn at start.
    pub hash_key: [u8; 16],
    /// Where frames go, the longest prefix first; at most 16. What matches none is passed up.
    pub routes: Vec<Route>,
}

impl Config {
    /// A configuration that serves nothing yet: no key, no listener, no route, and the defaults of the command line.
    pub fn new() -> Self {
        Self {
            keys: [None; 16],
            minting: 0,
            listen_v4: None,
            listen_v6: None,
            stun: false,
            own: Vec::new(),
            broadcasts: Vec::new(),
            host: Vec::new(),
            allow_destination: Vec::new(),
            deny_destination: Vec::new(),
            deny_source: Vec::new(),
            max_datagram: 1472,
            answer_lifetime_s: 300,
            ticket_lifetime_s: 120,
            probe_budget_s: 4_000,
            class_rates_bytes_s: [None; 16],
            hash_key: [0; 16],
            routes: Vec::new(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Config {
    /// Without secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("listen_v4", &self.listen_v4)
            .field("listen_v6", &self.listen_v6)
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}

/// `struct config`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Raw {
    keys: [[u64; 4]; 16],
    hash_key: [u64; 4],
    mac: u64,
    class_rate_bytes_s: [u64; 16],
    probe_cost_ns: u64,
    default_hop_v4: u64,
    default_hop_v6: u64,
    listen_v6: [u64; 2],
    stun: u64,
    listen_v4: u32,
    listen_port_v4: u32,
    listen_port_v6: u32,
    any_v4: u32,
    any_v6: u32,
    key_mask: u32,
    minting: u32,
    max_datagram: u32,
    answer_lifetime_s: u32,
    ticket_lifetime_s: u32,
    wildcard_port_v4: u32,
    wildcard_port_v6: u32,
    own_v4_count: u32,
    own_v6_count: u32,
    host_v4_count: u32,
    host_v6_count: u32,
    broadcasts_count: u32,
    allow_v4_count: u32,
    allow_v6_count: u32,
    deny_v4_count: u32,
    deny_v6_count: u32,
    deny_source_v4_count: u32,
    deny_source_v6_count: u32,
    routes_v4_count: u32,
    routes_v6_count: u32,
    look_v4: [u8; 256],
    look_v6: [u8; 256],
    routes_v4: [RouteV4; MAX_ROUTES],
    routes_v6: [RouteV6; MAX_ROUTES],
    own_v4: [OwnV4; MAX_OWN],
    own_v6: [OwnV6; MAX_OWN],
    broadcasts: [u32; MAX_OWN],
    host_v4: [BlockV4; MAX_HOST],
    host_v6: [BlockV6; MAX_HOST],
    allow_v4: [BlockV4; MAX_ALLOWED],
    allow_v6: [BlockV6; MAX_ALLOWED],
    deny_v4: [BlockV4; MAX_DENIED],
    deny_v6: [BlockV6; MAX_DENIED],
    deny_source_v4: [BlockV4; MAX_DENIED],
    deny_source_v6: [BlockV6; MAX_DENIED],
}

// SAFETY: integers and arrays of them only; the sizes below leave no room for padding.
unsafe impl aya::Pod for Raw {}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct BlockV4 {
    network: u32,
    mask: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct BlockV6 {
    network: [u64; 2],
    mask: [u64; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct OwnV4 {
    address: u32,
    port: u16,
    unused: u16,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct OwnV6 {
    address: [u64; 2],
    port: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct RouteV4 {
    block: BlockV4,
    hop: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct RouteV6 {
    block: BlockV6,
    hop: u64,
}

impl Raw {
    /// The struct for an interface with this Ethernet address.
    pub(crate) fn new(config: &Config, mac: [u8; 6]) -> Result<Box<Self>, XdpError> {
        // SAFETY: all-zero bytes are a value of every integer.
        let mut raw: Box<Self> = Box::new(unsafe { std::mem::zeroed() });
        raw.mac = mac_word(mac);
        raw.take_keys(config)?;
        raw.take_bounds(config)?;
        raw.take_listeners(config)?;
        raw.take_own(config)?;
        raw.take_blocks(config)?;
        raw.take_routes(config)?;
        Ok(raw)
    }

    fn take_keys(&mut self, config: &Config) -> Result<(), XdpError> {
        for (id, (place, key)) in self.keys.iter_mut().zip(&config.keys).enumerate() {
            if let Some(secret) = key {
                *place = sip_state(*secret);
                self.key_mask |= 1 << id;
            }
        }
        self.minting = u32::from(config.minting);
        self.hash_key = sip_state(config.hash_key);
        if config.minting < 16 && (self.key_mask == 0 || self.key_mask >> config.minting & 1 == 1) {
            Ok(())
        } else {
            Err(XdpError::Value("the minting key is not among the keys; it must be one of them"))
        }
    }

    fn take_bounds(&mut self, config: &Config) -> Result<(), XdpError> {
        let too_long = XdpError::Value("the longest datagram is at most 65507 bytes");
        self.max_datagram = u32::try_from(config.max_datagram).map_err(|_| too_long)?;
        self.answer_lifetime_s = config.answer_lifetime_s;
        self.ticket_lifetime_s = config.ticket_lifetime_s;
        self.probe_cost_ns = NS_PER_S / config.probe_budget_s.max(1);
        let rates = self.class_rate_bytes_s.iter_mut().zip(config.class_rates_bytes_s);
        rates.for_each(|(place, rate)| *place = rate.map_or(0, |rate| rate.max(1)));
        Ok(())
    }

    fn take_listeners(&mut self, config: &Config) -> Result<(), XdpError> {
        (self.listen_port_v4, self.listen_port_v6) = (NO_PORT, NO_PORT);
        self.stun = u64::from(config.stun);
        if let Some(listen) = config.listen_v4 {
            self.any_v4 = u32::from(listen.ip().is_unspecified());
            self.listen_v4 = v4(*listen.ip());
            self.listen_port_v4 = listen.port().to_be().into();
        }
        if let Some(listen) = config.listen_v6 {
            self.any_v6 = u32::from(listen.ip().is_unspecified());
            self.listen_v6 = v6(*listen.ip());
            self.listen_port_v6 = listen.port().to_be().into();
        }
        let ports = [config.listen_v4.map(|it| it.port()), config.listen_v6.map(|it| it.port())];
        if ports.contains(&Some(0)) {
            return Err(XdpError::Value("port 0 is no port to listen on; the port must be known"));
        }
        Ok(())
    }

    fn take_own(&mut self, config: &Config) -> Result<(), XdpError> {
        for own in &config.own {
            let what = "own transport addresses of one family";
            let first = first_byte(own.ip());
            match own {
                SocketAddr::V4(own) => {
                    let entry = OwnV4 { address: v4(*own.ip()), port: own.port().to_be(), unused: 0 };
                    push(&mut self.own_v4, &mut self.own_v4_count, entry, what)?;
                    if own.ip().is_unspecified() {
                        self.wildcard_port_v4 = u32::from(own.port().to_be());
                    }
                    flag(&mut self.look_v4, first, LOOK_DESTINATION);
                }
                SocketAddr::V6(own) => {
                    let entry = OwnV6 { address: v6(*own.ip()), port: u64::from(own.port().to_be()) };
                    push(&mut self.own_v6, &mut self.own_v6_count, entry, what)?;
                    if own.ip().is_unspecified() {
                        self.wildcard_port_v6 = u32::from(own.port().to_be());
                    }
                    flag(&mut self.look_v6, first, LOOK_DESTINATION);
                }
            }
        }
        for broadcast in &config.broadcasts {
            push(&mut self.broadcasts, &mut self.broadcasts_count, v4(*broadcast), "broadcast addresses")?;
            flag(&mut self.look_v4, first_byte(IpAddr::V4(*broadcast)), LOOK_DESTINATION | LOOK_SOURCE);
        }
        for (network, prefix) in config.host.iter().filter(|(network, _)| !stays_on_link(*network)) {
            let what = "addresses of this host, of one family";
            let block = Block::new(*network, *prefix)?;
            self.flag_block(&block, LOOK_DESTINATION | LOOK_SOURCE);
            match block {
                Block::V4(block) => push(&mut self.host_v4, &mut self.host_v4_count, block, what)?,
                Block::V6(block) => push(&mut self.host_v6, &mut self.host_v6_count, block, what)?,
            }
        }
        Ok(())
    }

    fn take_blocks(&mut self, config: &Config) -> Result<(), XdpError> {
        for (first, places) in self.look_v4.iter_mut().enumerate() {
            *places |= if SPECIAL_V4.contains(&first) || first >= 224 { LOOK_DESTINATION } else { 0 };
            *places |= if matches!(first, 0 | 127 | 169 | 224..) { LOOK_SOURCE } else { 0 };
        }
        for (first, places) in self.look_v6.iter_mut().enumerate() {
            *places |= if matches!(first, 0x21..=0x3e) { 0 } else { LOOK_DESTINATION };
            *places |= if matches!(first, 0 | 0xfe | 0xff) { LOOK_SOURCE } else { 0 };
        }
        for block in checked(&config.allow_destination, "allowed blocks", MAX_ALLOWED)? {
            match block {
                Block::V4(block) => push(&mut self.allow_v4, &mut self.allow_v4_count, block, "")?,
                Block::V6(block) => push(&mut self.allow_v6, &mut self.allow_v6_count, block, "")?,
            }
        }
        for block in checked(&config.deny_destination, "denied destination blocks", MAX_DENIED)? {
            self.flag_block(&block, LOOK_DESTINATION);
            match block {
                Block::V4(block) => push(&mut self.deny_v4, &mut self.deny_v4_count, block, "")?,
                Block::V6(block) => push(&mut self.deny_v6, &mut self.deny_v6_count, block, "")?,
            }
        }
        for block in checked(&config.deny_source, "denied source blocks", MAX_DENIED)? {
            self.flag_block(&block, LOOK_SOURCE);
            match block {
                Block::V4(block) => {
                    push(&mut self.deny_source_v4, &mut self.deny_source_v4_count, block, "")?;
                }
                Block::V6(block) => {
                    push(&mut self.deny_source_v6, &mut self.deny_source_v6_count, block, "")?;
                }
            }
        }
        Ok(())
    }

    /// A default route stands apart; what is more specific flags the first bytes that it touches.
    fn take_routes(&mut self, config: &Config) -> Result<(), XdpError> {
        let most = MAX_ROUTES;
        if config.routes.len() > most {
            return Err(XdpError::TooMany { what: "routes", given: config.routes.len(), most });
        }
        for route in &config.routes {
            let hop = match route.hop {
                Hop::Gateway(mac) => HOP_GATEWAY | mac_word(mac),
                Hop::OnLink => HOP_ON_LINK,
                Hop::Kernel => HOP_FIB,
                Hop::Pass => HOP_PASS,
            };
            let block = Block::new(route.network, route.prefix)?;
            if route.prefix > 0 {
                self.flag_block(&block, LOOK_ROUTE);
            } else if route.network.is_ipv4() {
                self.default_hop_v4 = hop;
            } else {
                self.default_hop_v6 = hop;
            }
            match block {
                Block::V4(block) => {
                    let entry = RouteV4 { block, hop };
                    push(&mut self.routes_v4, &mut self.routes_v4_count, entry, "")?;
                }
                Block::V6(block) => {
                    let entry = RouteV6 { block, hop };
                    push(&mut self.routes_v6, &mut self.routes_v6_count, entry, "")?;
                }
            }
        }
        Ok(())
    }

    fn flag_block(&mut self, block: &Block, flags: u8) {
        let (look, network, mask) = match block {
            Block::V4(block) => (&mut self.look_v4, u64::from(block.network), u64::from(block.mask)),
            Block::V6(BlockV6 { network: [network, _], mask: [mask, _] }) => {
                (&mut self.look_v6, *network, *mask)
            }
        };
        let ([network, ..], [mask, ..]) = (network.to_le_bytes(), mask.to_le_bytes());
        let touched = look.iter_mut().zip(0_u8..=255).filter(|(_, first)| first & mask == network);
        touched.for_each(|(places, _)| *places |= flags);
    }
}

enum Block {
    V4(BlockV4),
    V6(BlockV6),
}

impl Block {
    fn new(network: IpAddr, prefix: u8) -> Result<Self, XdpError> {
        let wrong = || XdpError::Value("a prefix is at most 32 bits of an IPv4 and 128 of an IPv6 address");
        let host_bits = |most: u32| most.checked_sub(u32::from(prefix)).ok_or_else(wrong);
        Ok(match network {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(host_bits(32)?).unwrap_or(0);
                Self::V4(BlockV4 { network: (ip.to_bits() & mask).to_be(), mask: mask.to_be() })
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(host_bits(128)?).unwrap_or(0);
                let network = Ipv6Addr::from_bits(ip.to_bits() & mask);
                Self::V6(BlockV6 { network: v6(network), mask: v6(Ipv6Addr::from_bits(mask)) })
            }
        })
    }
}

fn checked(blocks: &[(IpAddr, u8)], what: &'static str, most: usize) -> Result<Vec<Block>, XdpError> {
    if blocks.len() > most {
        return Err(XdpError::TooMany { what, given: blocks.len(), most });
    }
    blocks.iter().map(|(network, prefix)| Block::new(*network, *prefix)).collect()
}

fn push<T>(list: &mut [T], count: &mut u32, entry: T, what: &'static str) -> Result<(), XdpError> {
    let most = list.len();
    let place = list.get_mut(*count as usize).ok_or(XdpError::TooMany { what, given: most + 1, most })?;
    *place = entry;
    *count += 1;
    Ok(())
}

fn flag(look: &mut [u8; 256], first: u8, flags: u8) {
    if let Some(place) = look.get_mut(usize::from(first)) {
        *place |= flags;
    }
}

/// Loopback and link-local addresses are none that a frame for others may have.
fn stays_on_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local(),
    }
}

fn first_byte(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(ip) => ip.octets()[0],
        IpAddr::V6(ip) => ip.octets()[0],
    }
}

/// An address as loaded from a frame.
fn v4(address: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(address.octets())
}

pub(crate) fn v6(address: Ipv6Addr) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = address.octets();
    [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes(rest)]
}

/// An Ethernet address as the low 48 bits of a word.
pub(crate) fn mac_word([a, b, c, d, e, f]: [u8; 6]) -> u64 {
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

/// The four words that SipHash starts from (Aumasson and Bernstein 2012, 2.1).
fn sip_state(secret: [u8; 16]) -> [u64; 4] {
    let both = u128::from_le_bytes(secret);
    #[allow(clippy::cast_possible_truncation)] // The halves are what is wanted.
    let (k0, k1) = (both as u64, (both >> 64) as u64);
    [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ]
}

const NS_PER_S: u64 = 1_000_000_000;
const MAX_ALLOWED: usize = 32;
const MAX_DENIED: usize = 64;
const MAX_OWN: usize = 64;
const MAX_HOST: usize = 128;
/// Routes that fit, IPv4 and IPv6 together.
pub const MAX_ROUTES: usize = 16;
const LOOK_DESTINATION: u8 = 1;
const LOOK_SOURCE: u8 = 2;
const LOOK_ROUTE: u8 = 4;
/// Where there is no listener: no frame has it.
const NO_PORT: u32 = 1 << 16;
const HOP_PASS: u64 = 0;
const HOP_GATEWAY: u64 = 1 << 48;
const HOP_ON_LINK: u64 = 2 << 48;
const HOP_FIB: u64 = 3 << 48;
/// First bytes of IPv4 blocks that are special or refused (wire/src/policy.rs), below 224.
const SPECIAL_V4: [usize; 10] = [0, 10, 100, 127, 168, 169, 172, 192, 198, 203];
