//! What a network interface is like, as far as a program at its driver depends on it.
//!
//! * Asked by name of the kernel of the calling thread's network namespace; what a driver does not tell is `None`.
//! * Nothing is changed: every request here reads.
//!
//! Source: netdevice(7), linux/ethtool.h, Documentation/networking/napi.rst.

#![allow(unsafe_code)]

use std::fs;
use std::io;
use std::os::fd::AsRawFd;

/// Facts of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nic {
    /// Its driver, e.g. `ixgbe` or `veth`.
    pub driver: Option<String>,
    /// Queues in use, each of which one processor serves.
    pub channels: Option<u32>,
    /// Queues that it could have.
    pub most_channels: Option<u32>,
    /// Whether it finishes checksums of what sockets send.
    pub transmit_checksum: Option<bool>,
    /// Whether it takes VLAN tags off before a program sees the frame.
    pub strips_vlan: Option<bool>,
    /// Whether it joins TCP segments (LRO), with which drivers refuse native XDP.
    pub joins_segments: Option<bool>,
    /// Whether IPv4 is forwarded between it and others.
    pub forwards_v4: Option<bool>,
    /// Whether IPv6 is.
    pub forwards_v6: Option<bool>,
    /// Whether its queues are served by threads rather than in interrupts.
    pub threaded: Option<bool>,
}

impl Nic {
    /// The facts of the interface of this name.
    ///
    /// # Errors
    /// A name that no interface can have; a socket that cannot be opened.
    pub fn read(name: &str) -> io::Result<Self> {
        let ethtool = Ethtool::open(name)?;
        let flags = ethtool.word(ETHTOOL_GFLAGS);
        let channels = ethtool.channels();
        Ok(Self {
            driver: ethtool.driver(),
            channels: channels.map(|(now, _)| now),
            most_channels: channels.map(|(_, most)| most),
            transmit_checksum: ethtool.word(ETHTOOL_GTXCSUM).map(|on| on != 0),
            strips_vlan: flags.map(|flags| flags & ETH_FLAG_RXVLAN != 0),
            joins_segments: flags.map(|flags| flags & ETH_FLAG_LRO != 0),
            forwards_v4: switch(&format!("/proc/sys/net/ipv4/conf/{name}/forwarding")),
            forwards_v6: switch(&format!("/proc/sys/net/ipv6/conf/{name}/forwarding")),
            threaded: switch(&format!("/sys/class/net/{name}/threaded")),
        })
    }
}

/// Frames that an XDP program answered and the driver of `name` did not send, by its own counters; 0 if it has none.
pub fn transmit_drops(name: &str) -> u64 {
    let Ok(ethtool) = Ethtool::open(name) else { return 0 };
    let lost = |name: &str| {
        name.contains("xdp_tx") && ["err", "drop", "full"].iter().any(|word| name.contains(word))
    };
    let counts = ethtool.statistics();
    counts.iter().filter(|(name, _)| lost(name)).map(|(_, count)| count).sum()
}

/// Frames that were redirected to `name` and its driver did not take, by its own counters; 0 if it has none.
///
/// A veth counts here what its peer's ring had no room for: the other end did not keep up.
pub fn redirect_drops(name: &str) -> u64 {
    let Ok(ethtool) = Ethtool::open(name) else { return 0 };
    let lost = |name: &str| {
        name.contains("xdp_xmit") && ["err", "drop", "full"].iter().any(|word| name.contains(word))
    };
    let counts = ethtool.statistics();
    counts.iter().filter(|(name, _)| lost(name)).map(|(_, count)| count).sum()
}

/// Whether the kernel compiles BPF programs to machine code; `None` where it does not say, as in a namespace.
pub fn compiles_bpf() -> Option<bool> {
    switch("/proc/sys/net/core/bpf_jit_enable")
}

/// Whether the kernel carries its own types (BTF).
pub fn has_btf() -> bool {
    fs::exists("/sys/kernel/btf/vmlinux").unwrap_or(false)
}

/// A file that holds a number, 0 meaning off.
fn switch(path: &str) -> Option<bool> {
    fs::read_to_string(path).ok()?.trim().parse::<i64>().ok().map(|value| value != 0)
}

/// The ethtool requests of one interface.
struct Ethtool {
    socket: socket2::Socket,
    name: [u8; NAME_LEN],
}

impl Ethtool {
    fn open(name: &str) -> io::Result<Self> {
        let bytes = name.as_bytes();
        if bytes.is_empty() || bytes.len() >= NAME_LEN || bytes.contains(&0) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an interface's name has 1 to 15 bytes"));
        }
        let mut padded = [0; NAME_LEN];
        padded.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
        Ok(Self { socket, name: padded })
    }

    /// The answer to a request of one word.
    fn word(&self, command: u32) -> Option<u32> {
        let mut room = [0; 8];
        self.ask(command, &mut room)?;
        word_at(&room, 4)
    }

    fn driver(&self) -> Option<String> {
        let mut room = [0; DRVINFO_LEN];
        self.ask(ETHTOOL_GDRVINFO, &mut room)?;
        Some(text(room.get(4..36)?))
    }

    /// Queues in use, and the most that there can be.
    fn channels(&self) -> Option<(u32, u32)> {
        // The most of rx, tx, other and combined; then the same four in use.
        let mut room = [0; 36];
        self.ask(ETHTOOL_GCHANNELS, &mut room)?;
        let queues = |first: usize| Some(word_at(&room, first)?.saturating_add(word_at(&room, first + 12)?));
        Some((queues(20)?, queues(4)?))
    }

    /// The driver's own counters.
    fn statistics(&self) -> Vec<(String, u64)> {
        self.read_statistics().unwrap_or_default()
    }

    fn read_statistics(&self) -> Option<Vec<(String, u64)>> {
        let mut room = [0; DRVINFO_LEN];
        self.ask(ETHTOOL_GDRVINFO, &mut room)?;
        let number =
            usize::try_from(word_at(&room, 180)?).ok().filter(|number| *number <= MOST_STATISTICS)?;
        // The kernel writes as many as there are by then, so there is room for many more than there were.
        let room_for = 2 * number + SPARE_STATISTICS;
        let mut names = vec![0; 12 + TEXT_LEN * room_for];
        names.get_mut(4..8)?.copy_from_slice(&ETH_SS_STATS.to_ne_bytes());
        self.ask(ETHTOOL_GSTRINGS, &mut names)?;
        let mut counts = vec![0; 8 + 8 * room_for];
        counts.get_mut(4..8)?.copy_from_slice(&u32::try_from(number).ok()?.to_ne_bytes());
        self.ask(ETHTOOL_GSTATS, &mut counts)?;
        let names = names.get(12..)?.chunks_exact(TEXT_LEN).map(text);
        let counts = counts
            .get(8..)?
            .chunks_exact(8)
            .filter_map(|bytes| Some(u64::from_ne_bytes(bytes.try_into().ok()?)));
        Some(names.zip(counts).take(number).collect())
    }

    /// Puts the command into the first word of `room`, and lets the kernel answer into it.
    fn ask(&self, command: u32, room: &mut [u8]) -> Option<()> {
        room.get_mut(..4)?.copy_from_slice(&command.to_ne_bytes());
        let mut request = Request { name: self.name, data: room.as_mut_ptr(), rest: [0; 16] };
        // SAFETY: `request` is an ifreq: 16 bytes of name with a zero at the end, and a pointer to `room`, which is
        // live and as long as the answer to `command` (linux/ethtool.h; see `statistics` for those of varying length).
        let done = unsafe { libc::ioctl(self.socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
        (done == 0).then_some(())
    }
}

/// `struct ifreq` with `ifr_data`, 40 bytes.
#[repr(C)]
struct Request {
    name: [u8; NAME_LEN],
    data: *mut u8,
    rest: [u8; 16],
}

fn word_at(bytes: &[u8], place: usize) -> Option<u32> {
    bytes.get(place..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// Text up to its first zero.
fn text(bytes: &[u8]) -> String {
    let text: Vec<u8> = bytes.iter().copied().take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&text).into_owned()
}

/// Bytes of an interface's name with its zero (IFNAMSIZ).
const NAME_LEN: usize = 16;
const SIOCETHTOOL: libc::c_ulong = 0x8946;
const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GTXCSUM: u32 = 0x16;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSTATS: u32 = 0x1d;
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETHTOOL_GCHANNELS: u32 = 0x3c;
const ETH_FLAG_RXVLAN: u32 = 1 << 8;
const ETH_FLAG_LRO: u32 = 1 << 15;
const ETH_SS_STATS: u32 = 1;
/// Bytes of `struct ethtool_drvinfo`.
const DRVINFO_LEN: usize = 196;
/// Bytes of a counter's name (ETH_GSTRING_LEN).
const TEXT_LEN: usize = 32;
/// More counters than any driver has.
const MOST_STATISTICS: usize = 1 << 16;
/// Room for counters that appear between two questions.
const SPARE_STATISTICS: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_tells_what_it_is() {
        let lo = Nic::read("lo").unwrap();
        assert!(lo.forwards_v4.is_some(), "{lo:?}");
        assert_eq!(transmit_drops("lo"), 0);
    }

    #[test]
    fn names_that_no_interface_can_have_are_refused() {
        for name in ["", "a\0b", "an-interface-of-16"] {
            assert!(Nic::read(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn an_interface_that_is_not_there_tells_nothing() {
        assert_eq!(Nic::read("none0").unwrap(), Nic::default());
    }
}
