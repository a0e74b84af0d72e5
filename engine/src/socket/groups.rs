//! Which datagrams leave together: those of one destination, in order, as one train.
//!
//! ```text
//! queue   | d0 | d1 | d2 | d3 | d4 | ...        in the order they were decided
//! groups  | to A: d0 -> d2 -> d4 | to B: d1 | to C: d3 |
//! ```
//!
//! * Order towards one destination is kept; order between destinations is not promised by UDP either.
//! * A group is cut at 64 datagrams, at 65,507 bytes, and behind a datagram shorter than the first.
//! * Fixed memory; finding a group is one probe of a small table, whose collisions only make shorter trains.

#![deny(clippy::disallowed_types)]

use crate::socket::handler::{Label, SocketId};
use std::net::{IpAddr, SocketAddr};

/// One datagram to send: a place in the arena and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<L> {
    /// Where its bytes start in the arena.
    pub offset: usize,
    /// Its bytes.
    pub len: usize,
    /// Transport address that the datagram is sent to.
    pub to: SocketAddr,
    /// The address to leave from, on a socket with packet info; `None` leaves it to the kernel.
    pub from: Option<IpAddr>,
    /// The socket to send from.
    pub socket: SocketId,
    /// Comes back in [`crate::socket::handler::Sent::label`].
    pub label: L,
}

/// Datagrams queued for sending, by train.
#[derive(Debug)]
pub struct Groups<L> {
    queue: Vec<Queued>,
    groups: Vec<Group<L>>,
    /// The open group of a destination, by hash; an index into `groups` that may be stale.
    table: Vec<u32>,
    trains: bool,
}

impl<L: Label> Groups<L> {
    /// Takes and touches the memory for `capacity` datagrams; without `trains` each is a group of its own.
    pub fn new(capacity: usize, trains: bool) -> Self {
        let mut groups = Self {
            queue: Vec::with_capacity(capacity),
            groups: Vec::with_capacity(capacity),
            table: vec![u32::MAX; TABLE_LEN],
            trains,
        };
        groups.touch(capacity);
        groups
    }

    /// Whether no further datagram fits.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.queue.len() == self.queue.capacity()
    }

    /// Whether nothing is queued.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Queues a datagram; one that does not fit is not queued, and `false` says so.
    #[inline]
    pub fn push(&mut self, datagram: Datagram<L>) -> bool {
        if self.is_full() {
            return false;
        }
        let index = small(self.queue.len());
        self.queue.push(Queued { offset: datagram.offset, len: datagram.len, next: NONE });
        if !self.trains || !self.append(&datagram, index) {
            self.groups.push(Group::new(datagram, index));
        }
        true
    }

    /// The groups, in the order of their first datagrams.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &Group<L>> {
        self.groups.iter()
    }

    /// The group at this place of [`Groups::iter`].
    #[inline]
    pub fn get(&self, index: usize) -> Option<&Group<L>> {
        self.groups.get(index)
    }

    /// The datagrams of a group: offset and length of each, in order.
    #[inline]
    pub fn datagrams(&self, group: &Group<L>) -> impl Iterator<Item = (usize, usize)> + '_ {
        let mut next = group.first;
        std::iter::from_fn(move || {
            let queued = self.queue.get(next as usize)?;
            next = queued.next;
            Some((queued.offset, queued.len))
        })
    }

    /// Forgets everything queued.
    #[inline]
    pub fn clear(&mut self) {
        self.queue.clear();
        self.groups.clear();
    }

    /// Stops making trains.
    pub fn stop_trains(&mut self) {
        self.trains = false;
    }

    /// Appends to the open group of the destination; `false` where the datagram has to start a new one.
    #[inline]
    fn append(&mut self, datagram: &Datagram<L>, index: u32) -> bool {
        let Some(slot) = self.table.get_mut(hash(datagram.to)) else { return false };
        let candidate = std::mem::replace(slot, small(self.groups.len()));
        let Some(group) = self.groups.get_mut(candidate as usize).filter(|group| group.takes(datagram))
        else {
            return false;
        };
        *slot = candidate;
        if let Some(last) = self.queue.get_mut(group.last as usize) {
            last.next = index;
        }
        group.last = index;
        group.count += 1;
        group.bytes += datagram.len;
        group.open = datagram.len == group.first_len;
        true
    }

    fn touch(&mut self, capacity: usize) {
        let nowhere = Datagram {
            offset: 0,
            len: 0,
            to: SocketAddr::from(([0, 0, 0, 0], 0)),
            from: None,
            socket: SocketId(0),
            label: L::default(),
        };
        for index in 0..capacity {
            self.queue.push(Queued { offset: 0, len: 0, next: NONE });
            self.groups.push(Group::new(nowhere, small(index)));
        }
        self.clear();
    }
}

/// A train, or a single datagram.
#[derive(Clone, Copy, Debug)]
pub struct Group<L> {
    /// Transport address that its datagrams are sent to.
    pub to: SocketAddr,
    /// The address to leave from.
    pub from: Option<IpAddr>,
    /// The socket to send from.
    pub socket: SocketId,
    /// The label that all its datagrams carry.
    pub label: L,
    /// Datagrams in it.
    pub count: u32,
    /// Their bytes.
    pub bytes: usize,
    /// Bytes of the first datagram: the size at which the kernel cuts.
    pub first_len: usize,
    first: u32,
    last: u32,
    open: bool,
}

impl<L: Label> Group<L> {
    fn new(datagram: Datagram<L>, index: u32) -> Self {
        Self {
            to: datagram.to,
            from: datagram.from,
            socket: datagram.socket,
            label: datagram.label,
            count: 1,
            bytes: datagram.len,
            first_len: datagram.len,
            first: index,
            last: index,
            // An empty datagram has no length to cut at.
            open: datagram.len > 0,
        }
    }

    #[inline]
    fn takes(&self, datagram: &Datagram<L>) -> bool {
        self.open
            && datagram.len <= self.first_len
            && datagram.len > 0
            && self.count < MAX_SEGMENTS
            && self.bytes + datagram.len <= MAX_BYTES
            && self.to == datagram.to
            && self.from == datagram.from
            && self.socket == datagram.socket
            && self.label == datagram.label
    }
}

#[derive(Clone, Copy, Debug)]
struct Queued {
    offset: usize,
    len: usize,
    next: u32,
}

/// A place in the table; quality matters little, since a collision only shortens a train.
#[inline]
#[allow(clippy::cast_possible_truncation)] // The upper bits of the product are the hash.
fn hash(to: SocketAddr) -> usize {
    let address = match to.ip() {
        IpAddr::V4(ip) => u64::from(ip.to_bits()),
        IpAddr::V6(ip) => (ip.to_bits() ^ ip.to_bits() >> 64) as u64,
    };
    let mixed = (address ^ u64::from(to.port()) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (64 - TABLE_BITS)) as usize
}

#[allow(clippy::cast_possible_truncation)] // Capacities are thousands.
const fn small(index: usize) -> u32 {
    index as u32
}

const NONE: u32 = u32::MAX;
const TABLE_BITS: u32 = 9;
const TABLE_LEN: usize = 1 << TABLE_BITS;
/// UDP_MAX_SEGMENTS of the oldest kernels that know UDP_SEGMENT.
pub(crate) const MAX_SEGMENTS: u32 = 64;
/// The longest UDP payload over IPv4, bytes.
const MAX_BYTES: usize = 65_507;

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(to: &str, offset: usize, len: usize) -> Datagram<u8> {
        Datagram { offset, len, to: to.parse().unwrap(), from: None, socket: SocketId(0), label: 0 }
    }

    fn trains(groups: &Groups<u8>) -> Vec<(String, Vec<usize>)> {
        groups
            .iter()
            .map(|group| (group.to.to_string(), groups.datagrams(group).map(|(offset, _)| offset).collect()))
            .collect()
    }

    #[test]
    fn a_destination_is_a_train_in_order() {
        let mut groups = Groups::new(16, true);
        for (offset, to) in
            ["1.1.1.1:1", "2.2.2.2:2", "1.1.1.1:1", "2.2.2.2:3", "1.1.1.1:1"].iter().enumerate()
        {
            assert!(groups.push(datagram(to, offset, 100)));
        }
        let expected = [("1.1.1.1:1", vec![0, 2, 4]), ("2.2.2.2:2", vec![1]), ("2.2.2.2:3", vec![3])];
        assert_eq!(trains(&groups), expected.map(|(to, offsets)| (to.to_owned(), offsets)));
    }

    #[test]
    fn a_shorter_datagram_ends_a_train_and_a_longer_one_starts_another() {
        let mut groups = Groups::new(16, true);
        for (offset, len) in [100, 100, 60, 100, 120, 0, 120].into_iter().enumerate() {
            assert!(groups.push(datagram("1.1.1.1:1", offset, len)));
        }
        let offsets: Vec<_> = trains(&groups).into_iter().map(|(_, offsets)| offsets).collect();
        assert_eq!(offsets, [vec![0, 1, 2], vec![3], vec![4], vec![5], vec![6]]);
    }

    #[test]
    fn trains_are_cut_at_the_kernels_limits() {
        let mut groups = Groups::new(400, true);
        for offset in 0..130 {
            assert!(groups.push(datagram("1.1.1.1:1", offset, 10)));
        }
        for offset in 0..70 {
            assert!(groups.push(datagram("2.2.2.2:1", offset, 1_400)));
        }
        let sizes: Vec<_> = groups.iter().map(|group| (group.count, group.bytes)).collect();
        assert_eq!(sizes, [(64, 640), (64, 640), (2, 20), (46, 64_400), (24, 33_600)]);
    }

    #[test]
    fn nothing_is_shared_across_labels_sockets_or_sources() {
        let mut groups = Groups::new(16, true);
        let base = datagram("1.1.1.1:1", 0, 100);
        for other in [
            base,
            Datagram { label: 1, ..base },
            Datagram { socket: SocketId(1), ..base },
            Datagram { from: Some("9.9.9.9".parse().unwrap()), ..base },
        ] {
            assert!(groups.push(other));
        }
        assert_eq!(groups.iter().count(), 4);
    }

    #[test]
    fn a_full_queue_says_so() {
        let mut groups = Groups::new(2, true);
        assert!(groups.push(datagram("1.1.1.1:1", 0, 1)) && groups.push(datagram("1.1.1.1:1", 1, 1)));
        assert!(groups.is_full() && !groups.push(datagram("1.1.1.1:1", 2, 1)));
        groups.clear();
        assert!(groups.is_empty() && groups.push(datagram("1.1.1.1:1", 2, 1)));
    }
}
