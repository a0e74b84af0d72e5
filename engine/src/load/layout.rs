//! What the generator's programs and this process share, as words: `bpf/generator.bpf.h`, field by field.
//!
//! ```text
//! plan      constant for the verifier        senders, receivers   96 + 64 bytes a flow
//! control   end, generation of the heads     samples              80 bytes each
//! ```
//!
//! * Addresses, ports and lengths stand as the processor loads them from a frame.
//! * Checksums are sums of little-endian halves (RFC 1071); what does not change from datagram to datagram is added up here.
//! * Pure: plan and addresses in, words out.

use super::pace::BATCH;
use super::plan::{Arriving, Faults, Flow, MAX_FLOWS, MAX_HEAD_LEN, MAX_SLICES, Plan};
use crate::exact;
use crate::xdp::error::XdpError;
use std::net::{IpAddr, SocketAddr};

/// What follows from a plan and an interface.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) relay: SocketAddr,
    pub(crate) flows: u32,
    pub(crate) head_len: usize,
    pub(crate) payload_len: usize,
    pub(crate) slices: usize,
    pub(crate) frame_len: usize,
    run: u64,
    sources: [u8; 12],
    times: [u64; 3],
    arriving: Arriving,
    limits: Vec<[u64; 2]>,
}

impl Layout {
    /// Checks that a plan fits into the programs, and into frames of an interface of this address and MTU.
    pub(crate) fn new(plan: &Plan, mac: [u8; 6], mtu: u32) -> Result<Self, XdpError> {
        let times = plan.times;
        let measured_ns = times.end_ns.saturating_sub(times.measured_ns);
        let slices = measured_ns.checked_div(times.slice_ns).map(|_| measured_ns.div_ceil(times.slice_ns));
        let slices = slices.filter(|slices| *slices <= MAX_SLICES).ok_or(XdpError::Value(
            "the measured phase has more slices than 300, or a slice no length; make slices longer",
        ))?;
        let front = if plan.relay.is_ipv4() { ETHERNET + IPV4 + UDP } else { ETHERNET + IPV6 + UDP };
        let (mut sources, relay) = ([0; 12], plan.relay);
        let addresses = plan.next_hop.into_iter().chain(mac);
        sources.iter_mut().zip(addresses).for_each(|(place, byte)| *place = byte);
        let layout = Self {
            relay,
            flows: plan.flows,
            head_len: plan.head_len,
            payload_len: plan.payload_len,
            slices: usize::try_from(slices).unwrap_or_default(),
            frame_len: front.saturating_add(plan.head_len).saturating_add(plan.payload_len),
            run: plan.run & (u64::MAX >> 8),
            sources,
            times: [times.measured_ns, times.slice_ns, measured_ns.div_ceil(4).max(1)],
            arriving: plan.arriving,
            limits: limits(&plan.faults)?,
        };
        layout.check(plan, mtu).map(|()| layout)
    }

    fn check(&self, plan: &Plan, mtu: u32) -> Result<(), XdpError> {
        if !(1..=MAX_FLOWS).contains(&self.flows) {
            return Err(XdpError::Value("the generator has from 1 to 1048576 flows"));
        }
        if self.head_len > MAX_HEAD_LEN || !self.head_len.is_multiple_of(4) {
            return Err(XdpError::Value("a head is a multiple of 4 bytes long and has at most 32"));
        }
        if self.payload_len < STAMP {
            return Err(XdpError::Value("a payload holds at least the stamp, 24 bytes"));
        }
        let samples = plan.faults.iter().flat_map(|faults| &faults.samples);
        let longest = samples.clone().map(|sample| sample.len).max().unwrap_or_default();
        let longest = (self.front() + longest).max(self.frame_len);
        let most = exact::index(mtu).saturating_add(ETHERNET + VLAN_TAG);
        if longest > most.min(MOST_FRAME) {
            return Err(XdpError::Plan(format!(
                "a datagram makes a frame of {longest} bytes, and this interface sends {} at most; choose a shorter \
                 payload, or raise the MTU of both ends (`ip link set dev IFACE mtu 1600`)",
                most.min(MOST_FRAME)
            )));
        }
        let worker_flows =
            plan.workers.iter().all(|pace| pace.first_flow.saturating_add(pace.flows) <= self.flows);
        if !worker_flows || !samples.clone().all(|sample| sample.flow < self.flows) {
            return Err(XdpError::Value("a worker or a fault names a flow that the plan does not have"));
        }
        if !samples.clone().all(|sample| sample.head.len() == self.head_len) {
            return Err(XdpError::Value("the heads of faults are as long as the plan says"));
        }
        Ok(())
    }

    /// Bytes in front of the head.
    pub(crate) fn front(&self) -> usize {
        self.frame_len - self.head_len - self.payload_len
    }

    /// The frame that the kernel's pages begin as: all filler.
    pub(crate) fn template(&self) -> Vec<u8> {
        vec![FILLER; self.frame_len]
    }

    /// `struct plan`.
    pub(crate) fn plan_words(&self) -> [u64; PLAN_WORDS] {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = self.sources;
        let (udp_len, ip_len) = self.lengths(self.head_len + self.payload_len);
        let arriving_len = match self.arriving {
            Arriving::Data => DATA_HEADER,
            Arriving::Bare => 0,
            Arriving::Untouched => self.head_len,
        };
        let arriving_len = self.lengths(arriving_len + self.payload_len).0;
        let [relay, relay_rest] = plain_words(self.relay.ip());
        let [measured_ns, slice_ns, quarter_ns] = self.times;
        let mut words = vec![
            u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            u64::from_le_bytes([i, j, k, l, 0, 0, 0, 0]),
            relay,
            relay_rest,
            self.run,
            measured_ns,
            slice_ns.max(1),
            quarter_ns,
            u64::from(self.relay.is_ipv6()) | u64::from(port(self.relay)) << 32,
            u64::from(udp_len) | u64::from(ip_len) << 32,
            u64::from(arriving_len) | (self.arriving as u64) << 32,
            self.head_len as u64 | (self.slices as u64) << 32,
            self.frame_len as u64 | CLOCK_EVERY << 32,
            self.limits.len() as u64 | u64::from(BATCH) << 32,
        ];
        words.extend(self.limits.iter().flatten());
        let mut plan = [0; PLAN_WORDS];
        plan.iter_mut().zip(words).for_each(|(place, word)| *place = word);
        plan
    }

    /// `struct sender` and `struct receiver` of a flow.
    pub(crate) fn flow_words(&self, flow: &Flow) -> Result<([u64; 4], [u64; 5]), XdpError> {
        let one_family = [flow.from, flow.to, flow.via].iter().all(|it| it.is_ipv4() == self.relay.is_ipv4());
        if !one_family {
            return Err(XdpError::Value("the addresses of a flow are of the relay's family"));
        }
        if flow.via.ip() != self.relay.ip() {
            return Err(XdpError::Value(
                "what arrives is told by the relay's IP address; a flow through another address of it cannot be counted",
            ));
        }
        let len = self.head_len + self.payload_len;
        let filler = self.payload_len - STAMP;
        let sum = self.constant_sum(flow.from, len) + filler as u64 / 2 * 0xa5a5 + filler as u64 % 2 * 0xa5;
        let [from, from_rest] = plain_words(flow.from.ip());
        let [to, to_rest] = plain_words(flow.to.ip());
        let [contact, contact_rest] = words(match flow.contact.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        });
        let cell = u64::from(flow.cell);
        let ip_check = u64::from(self.ip_check(flow.from.ip(), len));
        let tail = u64::from(port(flow.from)) | ip_check << 16 | cell << 32;
        let ports = [flow.to, flow.via, flow.contact].map(|it| u64::from(port(it)));
        let [to_port, via_port, contact_port] = ports;
        let ports = to_port | via_port << 16 | contact_port << 32 | cell << 48;
        Ok(([from, from_rest, sum, tail], [to, to_rest, contact, contact_rest, ports]))
    }

    /// `struct sample` of a datagram that is wrong on purpose, from a flow whose `struct sender` is known.
    pub(crate) fn sample_words(&self, sender: [u64; 4], slot: u32, head: &[u8], len: usize) -> [u64; 10] {
        let (udp_len, ip_len) = self.lengths(len);
        let [address, address_rest, _, tail] = sender;
        let from_port = tail & 0xffff;
        // All that the checksum may cover, with nothing where the intended time stands.
        let mut covered = head.to_vec();
        covered.extend((self.run << 8 | INVALID).to_le_bytes());
        covered.extend([0; 8]);
        covered.extend(u64::from(slot).to_le_bytes());
        covered.resize(covered.len().max(len), FILLER);
        covered.truncate(len);
        let ends = [address, address_rest].map(halves).iter().sum::<u64>();
        let sum = ends + self.shared_sum(len) + from_port + bytes_sum(&covered);
        let shown = len.saturating_sub(self.head_len + 8).min(8);
        let mask = if shown == 8 { u64::MAX } else { (1 << (8 * shown)) - 1 };
        let ip_check = u64::from(self.ip_check_of(address, len));
        let [h0, h1, h2, h3] = head_words(head);
        let longer = (self.front() + len).saturating_sub(self.frame_len) as u64;
        let lengths = u64::from(udp_len) << 32 | u64::from(ip_len) << 48;
        let front = from_port | ip_check << 16 | lengths;
        [address, address_rest, h0, h1, h2, h3, mask, fold(sum) | u64::from(slot) << 32, front, longer]
    }

    /// The UDP length, and the length that the IP header gives, of a datagram; both as in the frame.
    fn lengths(&self, len: usize) -> (u16, u16) {
        let swapped = |len: usize| u16::try_from(len).unwrap_or(u16::MAX).to_be();
        let ip_header = if self.relay.is_ipv4() { IPV4 } else { 0 };
        (swapped(UDP + len), swapped(ip_header + UDP + len))
    }

    /// Of what the UDP checksum covers: pseudo-header and UDP header.
    fn constant_sum(&self, from: SocketAddr, len: usize) -> u64 {
        plain_words(from.ip()).map(halves).iter().sum::<u64>() + u64::from(port(from)) + self.shared_sum(len)
    }

    /// Of that, what does not depend on who sends: the relay's address and port, the protocol, the length twice.
    fn shared_sum(&self, len: usize) -> u64 {
        let relay: u64 = plain_words(self.relay.ip()).map(halves).iter().sum();
        relay + u64::from(port(self.relay)) + (PROTOCOL_UDP << 8) + 2 * u64::from(self.lengths(len).0)
    }

    fn ip_check(&self, from: IpAddr, len: usize) -> u16 {
        let [address, _] = plain_words(from);
        self.ip_check_of(address, len)
    }

    /// The checksum of an IPv4 header: version 4, no options, TOS 0, DF set, ID 0, TTL 64.
    fn ip_check_of(&self, address: u64, len: usize) -> u16 {
        let [relay, _] = plain_words(self.relay.ip());
        let fixed = 0x45 + u64::from(self.lengths(len).1) + 0x40 + (64 | PROTOCOL_UDP << 8);
        let [.., high, low] = fold(fixed + halves(address) + halves(relay)).to_be_bytes();
        !u16::from_be_bytes([high, low])
    }
}

/// The words of a head, filled up with zeros.
pub(crate) fn head_words(head: &[u8]) -> [u64; 4] {
    let mut bytes = [0; MAX_HEAD_LEN];
    bytes.iter_mut().zip(head).for_each(|(place, byte)| *place = *byte);
    let (first, second) = bytes.split_at(16);
    let ([a, b], [c, d]) = (slice_words(first), slice_words(second));
    [a, b, c, d]
}

/// `struct fault` of each kind: its limit, and the range of its samples.
fn limits(faults: &[Faults]) -> Result<Vec<[u64; 2]>, XdpError> {
    if faults.len() > MAX_FAULTS {
        let given = faults.len();
        return Err(XdpError::Plan(format!("there are {given} kinds of faults; at most {MAX_FAULTS} fit")));
    }
    let (mut sum, mut first, mut rows) = (0.0, 0_u64, Vec::new());
    for kind in faults {
        if !(0.0..=1.0).contains(&kind.share) || (kind.share > 0.0 && kind.samples.is_empty()) {
            return Err(XdpError::Value("a fault has a share from 0 to 1, and samples that show it"));
        }
        sum += kind.share;
        let count = kind.samples.len() as u64;
        rows.push([parts(sum), first | count << 32]);
        first += count;
    }
    if sum > 1.0 + 1e-9 || first > u64::from(MAX_FLOWS) {
        return Err(XdpError::Value("the shares of all faults sum to at most 1, and they have few samples"));
    }
    Ok(rows)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 2^32.
fn parts(fraction: f64) -> u64 {
    (fraction.min(1.0) * 4_294_967_296.0).round() as u64
}

/// An address as it stands in an IP header.
fn plain_words(ip: IpAddr) -> [u64; 2] {
    match ip {
        IpAddr::V4(ip) => [u64::from(u32::from_le_bytes(ip.octets())), 0],
        IpAddr::V6(ip) => words(ip.octets()),
    }
}

fn words(bytes: [u8; 16]) -> [u64; 2] {
    slice_words(&bytes)
}

fn slice_words(bytes: &[u8]) -> [u64; 2] {
    let word = |at: usize| {
        let bytes = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u64::from_le_bytes).unwrap_or_default()
    };
    [word(0), word(8)]
}

fn port(address: SocketAddr) -> u16 {
    address.port().to_be()
}

fn halves(word: u64) -> u64 {
    (word & 0xffff) + (word >> 16 & 0xffff) + (word >> 32 & 0xffff) + (word >> 48)
}

fn bytes_sum(bytes: &[u8]) -> u64 {
    let pairs = bytes.chunks(2);
    pairs.map(|pair| pair.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))).sum()
}

fn fold(mut sum: u64) -> u64 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

const ETHERNET: usize = 14;
const VLAN_TAG: usize = 4;
const IPV4: usize = 20;
const IPV6: usize = 40;
const UDP: usize = 8;
const PROTOCOL_UDP: u64 = 17;
const DATA_HEADER: usize = 32;
const STAMP: usize = 24;
const INVALID: u64 = 2;
const FILLER: u8 = 0xa5;
/// What fits into the page of a test run's frame, beside what the kernel keeps there.
const MOST_FRAME: usize = 3_200;
/// Sends from one reading of the clock, at most.
const CLOCK_EVERY: u64 = 16;
/// Kinds of faults.
pub(crate) const MAX_FAULTS: usize = 16;
/// Words of `struct plan`.
pub(crate) const PLAN_WORDS: usize = 46;
/// Words of `struct control`, and the places in it.
pub(crate) const CONTROL_WORDS: usize = CONTROL_WORKERS + MAX_CPUS;
pub(crate) const CONTROL_END: usize = 0;
pub(crate) const CONTROL_GENERATION: usize = 1;
pub(crate) const CONTROL_FIXED: usize = 2;
pub(crate) const CONTROL_WORKERS: usize = 4;
/// Processors that there may be.
pub(crate) const MAX_CPUS: usize = 1024;
/// The place of the heads in `struct sender`.
pub(crate) const SENDER_HEADS: usize = 4;
/// Words of `struct sender`, `struct receiver` and `struct sample`.
pub(crate) const SENDER_WORDS: usize = SENDER_HEADS + 8;
pub(crate) const RECEIVER_WORDS: usize = 8;
pub(crate) const SAMPLE_WORDS: usize = 10;
