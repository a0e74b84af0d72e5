//! The sends of a uring worker: groups of datagrams on their way, each in a slot that holds what the kernel reads.
//!
//! ```text
//! slot   header -> name, control messages (UDP_SEGMENT, source), parts -> bytes in buffers that it holds
//! ```
//!
//! * A slot is written before its send is submitted and not again before it has completed.
//! * Datagrams that lie behind one another are one part; parts never reach from one buffer into another.
//! * Sends do not wait (MSG_DONTWAIT), so they are made in the order of submission and a full socket says so.
//! * A group that the kernel refuses as a train goes once more, singly, at once and past the ring; EIO ends trains.

#![allow(unsafe_code)]
#![deny(clippy::disallowed_types)]

use crate::host::sockaddr::Name;
use crate::socket::control::Control;
use crate::socket::groups::{Datagram, Group, Groups, MAX_SEGMENTS};
use crate::socket::handler::{Label, SendError, Sent};
use crate::socket::outbound::{control, goes_singly, send_single, sent, transmit};
use crate::socket::udp::Socket;
use crate::socket::uring::buffers::Buffers;
use io_uring::types::Fixed;
use io_uring::{opcode, squeue};
use std::io;

/// What is queued, and what is under way.
#[derive(Debug)]
pub(crate) struct Sends<L> {
    groups: Groups<L>,
    slots: Vec<Slot<L>>,
    /// The parts of all slots, [`MAX_SEGMENTS`] for each.
    parts: Vec<libc::iovec>,
    free: Vec<usize>,
}

impl<L: Label> Sends<L> {
    /// Takes and touches the memory for `capacity` datagrams queued and `slots` groups under way.
    pub(crate) fn new(capacity: usize, slots: usize, gso: bool) -> Self {
        Self {
            groups: Groups::new(capacity, gso),
            slots: vec![Slot::empty(); slots],
            parts: vec![NO_PART; slots * SLOT_PARTS],
            // The slot that was used last is taken first: it is in the cache.
            free: (0..slots).rev().collect(),
        }
    }

    /// Whether a flush is due before the next push.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.groups.is_full()
    }

    /// Whether nothing is queued.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Groups under way.
    #[inline]
    pub(crate) fn in_flight(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Queues a datagram; `false` if the queue is full, and the datagram is not queued.
    #[inline]
    pub(crate) fn push(&mut self, datagram: Datagram<L>) -> bool {
        self.groups.push(datagram)
    }

    /// Hands queued groups from place `next` on to `push`, each with its slot, as long as slots are free; the first
    /// place that has to wait.
    ///
    /// # Errors
    /// What `push` says.
    pub(crate) fn launch(
        &mut self,
        mut next: usize,
        work: &mut Launch<'_>,
        push: &mut impl FnMut(squeue::Entry, usize) -> io::Result<()>,
        on_sent: &mut impl FnMut(Sent<L>),
    ) -> io::Result<usize> {
        while let Some(group) = self.groups.get(next).copied() {
            if usize::from(group.socket.0) >= work.sockets {
                on_sent(sent(&group, Err(SendError::Other)));
            } else if let Some(slot) = self.free.pop() {
                let send = self.fill(slot, &group, work);
                push(send, slot).inspect_err(|_| self.free.push(slot))?;
            } else {
                return Ok(next);
            }
            next += 1;
        }
        Ok(next)
    }

    /// Whether no group is queued at this place.
    #[inline]
    pub(crate) fn is_end(&self, next: usize) -> bool {
        self.groups.get(next).is_none()
    }

    /// Forgets what is queued; what is under way stays.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.groups.clear();
    }

    /// Takes note of what the kernel said of a slot's send, and lets go of its buffers.
    #[inline]
    pub(crate) fn complete(
        &mut self,
        slot: usize,
        outcome: Result<usize, i32>,
        buffers: &mut Buffers,
        sockets: &[Socket],
        on_sent: &mut impl FnMut(Sent<L>),
    ) {
        let Some(place) = self.slots.get_mut(slot) else { return };
        let (count, Some(group)) = (place.parts, place.group.take()) else { return };
        // Whatever `on_sent` does, this slot is not under way any more.
        self.free.push(slot);
        match outcome {
            Ok(_) => on_sent(sent(&group, Ok(()))),
            Err(errno) => self.failed(slot, &group, errno, sockets, on_sent),
        }
        for part in self.parts.iter().skip(slot * SLOT_PARTS).take(count) {
            buffers.release_at(part.iov_base.cast());
        }
    }

    /// Gives the memory up for good, because the kernel may still use it.
    pub(crate) fn leak(&mut self) {
        std::mem::forget(std::mem::take(&mut self.slots));
        std::mem::forget(std::mem::take(&mut self.parts));
        self.free.clear();
    }

    /// Writes a group into a slot; the operation that sends it.
    #[inline]
    fn fill(&mut self, slot: usize, group: &Group<L>, work: &mut Launch<'_>) -> squeue::Entry {
        let Self { groups, slots, parts, .. } = self;
        let parts = parts.get_mut(slot * SLOT_PARTS..(slot + 1) * SLOT_PARTS).unwrap_or_default();
        let count = gather(groups.datagrams(group), parts, work.buffers);
        let socket = Fixed(group.socket.0.into());
        let Some(slot) = slots.get_mut(slot) else { return opcode::Nop::new().build() };
        slot.name = Name::new(group.to);
        slot.group = Some(*group);
        slot.parts = count;
        let name = slot.name.bytes.as_mut_ptr();
        if let ([part, ..], 1, 1, None, true) = (&*parts, count, group.count, group.from, work.sends_to) {
            // A datagram by itself needs no header, which the kernel would have to read and check.
            return opcode::Send::new(socket, part.iov_base.cast(), len_of(part))
                .dest_addr(name.cast())
                .dest_addr_len(slot.name.len)
                .flags(FLAGS)
                .build();
        }
        slot.control = control(group.count, group.first_len, group.from);
        slot.header.msg_name = name.cast();
        slot.header.msg_namelen = slot.name.len;
        slot.header.msg_iov = parts.as_mut_ptr();
        slot.header.msg_iovlen = count;
        slot.header.msg_controllen = slot.control.len;
        slot.header.msg_control = match slot.control.len {
            0 => std::ptr::null_mut(),
            _ => slot.control.bytes.as_mut_ptr().cast(),
        };
        opcode::SendMsg::new(socket, &raw const slot.header).flags(FLAGS.cast_unsigned()).build()
    }

    #[cold]
    fn failed(
        &mut self,
        slot: usize,
        group: &Group<L>,
        errno: i32,
        sockets: &[Socket],
        on_sent: &mut impl FnMut(Sent<L>),
    ) {
        if errno == libc::EIO && group.count > 1 {
            self.groups.stop_trains();
        }
        let socket = sockets.get(usize::from(group.socket.0));
        let Some(socket) = socket.filter(|_| goes_singly(group, errno)) else {
            on_sent(sent(group, Err(SendError::from_errno(errno))));
            return;
        };
        let count = self.slots.get(slot).map_or(0, |slot| slot.parts);
        for part in self.parts.iter().skip(slot * SLOT_PARTS).take(count) {
            // SAFETY: the part was made of bytes in buffers that this slot still holds, so nobody writes them; the
            // reference ends with this turn of the loop.
            let bytes = unsafe { std::slice::from_raw_parts(part.iov_base.cast::<u8>(), part.iov_len) };
            // Within a group all datagrams are as long as the first, save the last.
            for datagram in bytes.chunks(group.first_len.max(1)) {
                let mut send = |headers: &mut [libc::mmsghdr]| transmit(socket, headers);
                let outcome = send_single(Some(datagram), group, &mut send);
                on_sent(Sent { label: group.label, datagrams: 1, bytes: datagram.len() as u64, outcome });
            }
        }
    }
}

/// What a launch works with.
pub(crate) struct Launch<'a> {
    /// Where the bytes are.
    pub(crate) buffers: &'a mut Buffers,
    /// How many sockets there are.
    pub(crate) sockets: usize,
    /// Whether a send without a header may name its destination.
    pub(crate) sends_to: bool,
}

/// What the kernel reads of one send, and which group it is.
#[derive(Clone, Copy, Debug)]
struct Slot<L> {
    header: libc::msghdr,
    name: Name,
    control: Control,
    group: Option<Group<L>>,
    parts: usize,
}

impl<L> Slot<L> {
    fn empty() -> Self {
        // SAFETY: a msghdr is integers and pointers, for all of which zero is a value.
        let header = unsafe { std::mem::zeroed() };
        Self { header, name: Name::ROOM, control: Control::EMPTY, group: None, parts: 0 }
    }
}

/// Writes where datagrams lie into `parts`, joined where one ends at the next, and holds their buffers; how many.
#[inline]
fn gather(
    datagrams: impl Iterator<Item = (usize, usize)>,
    parts: &mut [libc::iovec],
    buffers: &mut Buffers,
) -> usize {
    let (mut count, mut end) = (0, usize::MAX);
    for (offset, len) in datagrams {
        if offset == end {
            if let Some(part) = parts.get_mut(count - 1) {
                part.iov_len += len;
            }
        } else if let (Some(part), Some(address)) = (parts.get_mut(count), buffers.hold(offset, len)) {
            *part = libc::iovec { iov_base: address.cast(), iov_len: len };
            count += 1;
        }
        end = offset + len;
    }
    count
}

#[inline]
fn len_of(part: &libc::iovec) -> u32 {
    u32::try_from(part.iov_len).unwrap_or(u32::MAX)
}

const SLOT_PARTS: usize = MAX_SEGMENTS as usize;
/// Not zeros: zeroed memory need not be there yet, written memory is.
const NO_PART: libc::iovec = libc::iovec { iov_base: std::ptr::dangling_mut::<u8>().cast(), iov_len: 0 };
const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::handler::SocketId;
    use crate::socket::udp::Options;
    use std::net::{SocketAddr, UdpSocket};

    const ERRNOS: [i32; 9] = [
        libc::EAGAIN,
        libc::ENOBUFS,
        libc::EMSGSIZE,
        libc::ENETUNREACH,
        libc::EPERM,
        libc::EINVAL,
        libc::EIO,
        libc::ENOMEM,
        libc::ECANCELED,
    ];

    /// A worker's memory without a ring: what is pushed is kept, what becomes of it is said by the test.
    struct Bench {
        buffers: Buffers,
        sends: Sends<u8>,
        sockets: [Socket; 1],
        sink: UdpSocket,
        pushed: Vec<usize>,
    }

    impl Bench {
        /// Queues 64 datagrams of one buffer, each of 100 bytes, `per_destination` to every port.
        fn new(per_destination: u16) -> Self {
            let options = Options {
                reuse_port: false,
                packet_info: false,
                gro: false,
                receive_buffer: 0,
                send_buffer: 0,
            };
            let sockets = [Socket::open("127.0.0.1:0".parse().unwrap(), &options).unwrap()];
            let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
            sink.set_read_timeout(Some(harness::PATIENCE)).unwrap();
            let mut bench = Self {
                buffers: Buffers::new(1, 4, 65_536),
                sends: Sends::new(64, 64, true),
                sockets,
                sink,
                pushed: Vec::new(),
            };
            bench.queue(per_destination);
            bench
        }

        fn queue(&mut self, per_destination: u16) {
            let id = self.buffers.take(0, 2).unwrap();
            for index in 0..64_u16 {
                let port = match index / per_destination {
                    0 => self.sink.local_addr().unwrap().port(),
                    other => other,
                };
                let to = SocketAddr::from(([127, 0, 0, 1], port));
                let offset = self.buffers.payload_offset(id) + 100 * usize::from(index);
                assert!(self.sends.push(Datagram {
                    offset,
                    len: 100,
                    to,
                    from: None,
                    socket: SocketId(0),
                    label: 5
                }));
            }
            let Self { buffers, sends, pushed, .. } = self;
            let mut work = Launch { buffers, sockets: 1, sends_to: true };
            let mut push = |_, slot| {
                pushed.push(slot);
                Ok(())
            };
            let next = sends.launch(0, &mut work, &mut push, &mut |sent| panic!("{sent:?}")).unwrap();
            assert!(sends.is_end(next));
            sends.clear();
            buffers.release(id);
        }

        /// Completes everything, the group at place `bad` with an errno; datagrams sent, and what failed.
        fn complete(&mut self, bad: usize, errno: i32) -> (u32, Vec<(u32, SendError)>) {
            let (mut delivered, mut failed) = (0, Vec::new());
            assert_eq!(self.sends.in_flight(), self.pushed.len());
            for (place, slot) in std::mem::take(&mut self.pushed).into_iter().enumerate() {
                assert!(self.buffers.is_used(0, 2), "the buffer returned before its last send had completed");
                let outcome = if place == bad { Err(errno) } else { Ok(100) };
                self.sends.complete(slot, outcome, &mut self.buffers, &self.sockets, &mut |sent| {
                    assert_eq!((sent.label, sent.bytes), (5, 100 * u64::from(sent.datagrams)));
                    match sent.outcome {
                        Ok(()) => delivered += sent.datagrams,
                        Err(error) => failed.push((sent.datagrams, error)),
                    }
                });
            }
            assert_eq!(self.sends.in_flight(), 0);
            assert!(!self.buffers.is_used(0, 2), "the buffer did not return");
            (delivered, failed)
        }

        /// Waits until so many datagrams have arrived, and for one more that the sink sends to itself.
        fn assert_arrived(&self, count: usize) {
            self.sink.send_to(b"sentinel", self.sink.local_addr().unwrap()).unwrap();
            let mut buffer = [0; 200];
            let lens: Vec<usize> = (0..=count).map(|_| self.sink.recv(&mut buffer).unwrap()).collect();
            assert_eq!(lens, [vec![100; count], vec![8]].concat());
        }
    }

    #[test]
    fn t14_every_errno_at_every_place_costs_exactly_one_datagram() {
        for errno in ERRNOS {
            let mut bench = Bench::new(1);
            for bad in 0..64 {
                let expected = (63, vec![(1, SendError::from_errno(errno))]);
                assert_eq!(bench.complete(bad, errno), expected, "{errno} at {bad}");
                bench.queue(1);
            }
            bench.complete(0, errno);
        }
    }

    #[test]
    fn t14_a_train_that_the_kernel_refuses_goes_once_more_singly() {
        for errno in [libc::EIO, libc::EINVAL, libc::EMSGSIZE] {
            let mut bench = Bench::new(8);
            assert_eq!(bench.pushed.len(), 8);
            assert_eq!(bench.complete(0, errno), (64, vec![]));
            // The first train's datagrams went singly; the others were not sent at all.
            bench.assert_arrived(8);
            bench.queue(8);
            let expected = if errno == libc::EIO { 64 } else { 8 };
            assert_eq!(bench.pushed.len(), expected, "only EIO ends trains");
            bench.complete(usize::MAX, 0);
        }
    }

    #[test]
    fn a_train_that_finds_no_room_is_counted_whole_and_not_tried_again() {
        let mut bench = Bench::new(8);
        assert_eq!(bench.complete(0, libc::EAGAIN), (56, vec![(8, SendError::Again)]));
        bench.assert_arrived(0);
    }

    #[test]
    fn datagrams_behind_one_another_are_one_part() {
        let mut buffers = Buffers::new(1, 1, 65_536);
        let mut parts = [NO_PART; SLOT_PARTS];
        let lens = |datagrams: &[(usize, usize)], parts: &mut [libc::iovec], buffers: &mut Buffers| {
            let count = gather(datagrams.iter().copied(), parts, buffers);
            parts[..count].iter().map(|part| part.iov_len).collect::<Vec<_>>()
        };
        assert_eq!(lens(&[(1_000, 200), (1_200, 200), (1_400, 60)], &mut parts, &mut buffers), [460]);
        assert_eq!(lens(&[(1_000, 200), (1_400, 200), (1_600, 200)], &mut parts, &mut buffers), [200, 400]);
        assert_eq!(lens(&[(1_000, 0)], &mut parts, &mut buffers), [0]);
    }
}
