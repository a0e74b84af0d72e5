//! The buffers of a uring worker: provided to the kernel, filled by it, decided in place, sent from, provided again.
//!
//! ```text
//! arena    | buffer 0 | buffer 1 | ... of socket 0 | buffer 0 | ... of socket 1 | scratch 0 | scratch 1 | ...
//! buffer   | lengths and flags 16 | name 32 | control messages 96 | datagram, or a train ............ | stagger |
//!            io_uring_recvmsg_out   where the kernel wrote them       where it is decided and sent from
//! ```
//!
//! * A buffer is the kernel's from its offer to the completion that names it; then ours until its uses are down to 0.
//! * Uses are plain counts: one while its datagrams are decided, one for each part of a send that points into it.
//! * A scratch is ours always; it is free again when the send of its one answer has completed.
//!
//! Source: io_uring_register_buf_ring(3), io_uring_prep_recvmsg_multishot(3).

#![allow(unsafe_code)]
#![deny(clippy::disallowed_types)]

use crate::host::sockaddr::Name;
use crate::socket::control::{CONTROL_LEN, Received};
use crate::socket::handler::SCRATCH_LEN;
use crate::socket::inbound::{Arrived, CACHE_STAGGER, Message};
use crate::socket::uring::memory::Memory;
use crate::socket::uring::ring::Ring;
use io_uring::types::{BufRingEntry, RecvMsgOut};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

/// All buffers of one worker.
#[derive(Debug)]
pub(crate) struct Buffers {
    arena: Memory,
    offers: Vec<Offers>,
    /// Bytes from one buffer to the next.
    stride: usize,
    /// Bytes of a datagram or train that a buffer takes.
    room: usize,
    /// Buffers of one socket: a power of two.
    each: usize,
    /// Uses of each buffer, then of each scratch.
    uses: Vec<u32>,
    scratches: Vec<Id>,
    /// Says to the kernel, and to who reads what it wrote, how long name and control messages may be.
    template: Box<libc::msghdr>,
}

/// A buffer or a scratch, by its place in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(usize);

impl Buffers {
    /// Takes and touches the memory: for each socket `each` buffers of `room` bytes, rounded up to a power of two.
    pub(crate) fn new(sockets: usize, each: usize, room: usize) -> Self {
        let each = each.clamp(1, MAX_EACH).next_power_of_two();
        let stride = (HEAD_LEN + room + CACHE_STAGGER).next_multiple_of(CACHE_LINE);
        let buffers = sockets * each;
        let mut template = empty_header();
        template.msg_namelen = NAME_ROOM;
        template.msg_controllen = CONTROL_LEN;
        let mut made = Self {
            arena: Memory::take(buffers * stride + SCRATCHES * SCRATCH_STRIDE),
            offers: (0..sockets).map(|_| Offers::new(each)).collect(),
            stride,
            room,
            each,
            uses: vec![0; buffers + SCRATCHES],
            scratches: (buffers..buffers + SCRATCHES).map(Id).collect(),
            template: Box::new(template),
        };
        (0..buffers).for_each(|buffer| made.offer(Id(buffer)));
        made.publish();
        made
    }

    /// Registers each socket's buffers as the group of that number.
    ///
    /// # Errors
    /// What io_uring_register(2) says.
    pub(crate) fn register(&self, ring: &Ring) -> io::Result<()> {
        for (group, offers) in (0..).zip(&self.offers) {
            let (address, entries) = (offers.entries.at(0) as u64, offers.mask + 1);
            // SAFETY: `entries` entries lie at `address`, on a page of their own; the memory is freed after the last
            // receive has ended, or never (`leak`).
            unsafe { ring.register_buffers(address, entries, group)? };
        }
        Ok(())
    }

    /// What a receive is asked for with; it stays where it is.
    pub(crate) fn template(&self) -> *const libc::msghdr {
        &raw const *self.template
    }

    /// Buffers of all sockets.
    pub(crate) fn count(&self) -> usize {
        self.offers.len() * self.each
    }

    /// Whether the kernel has a buffer for this socket.
    #[inline]
    pub(crate) fn has_offers(&self, socket: usize) -> bool {
        self.offers.get(socket).is_some_and(|offers| offers.held > 0)
    }

    /// Takes over the buffer that the kernel has filled, with one use.
    #[inline]
    pub(crate) fn take(&mut self, socket: usize, buffer: u16) -> Option<Id> {
        let offers = self.offers.get_mut(socket)?;
        let id = socket * self.each + usize::from(buffer & offers.mask);
        offers.held = offers.held.saturating_sub(1);
        *self.uses.get_mut(id)? = 1;
        Some(Id(id))
    }

    /// What the kernel wrote into a buffer that was taken: `len` bytes, its own head included.
    #[inline]
    pub(crate) fn message(&self, id: Id, len: usize) -> Option<Message> {
        let start = id.0 * self.stride;
        if id.0 >= self.count() || len > HEAD_LEN + self.room {
            return None;
        }
        // SAFETY: these `len` bytes lie in the buffer, which is ours since its completion; the reference ends with
        // this function, and no other reference to the arena exists meanwhile.
        let bytes = unsafe { std::slice::from_raw_parts(self.arena.at(start), len) };
        let head = RecvMsgOut::parse(bytes, &self.template).ok()?;
        let arrived = Arrived {
            offset: self.payload_offset(id),
            len: head.payload_data().len(),
            room: self.room,
            flags: libc::c_int::from_ne_bytes(head.flags().to_ne_bytes()),
        };
        Some(Message::new(
            arrived,
            Name::read(head.name_data()).to_socket()?,
            Received::read(head.control_data()),
        ))
    }

    /// Where the datagram of a buffer lies.
    #[inline]
    pub(crate) fn payload_offset(&self, id: Id) -> usize {
        id.0 * self.stride + HEAD_LEN
    }

    /// A free scratch.
    #[inline]
    pub(crate) fn scratch(&self) -> Option<Id> {
        self.scratches.last().copied()
    }

    /// The bytes of a datagram in a buffer that was taken, and those of a free scratch.
    #[inline]
    pub(crate) fn workplace(
        &mut self,
        datagram: Range<usize>,
        scratch: Id,
    ) -> Option<(&mut [u8], &mut [u8])> {
        let at = self.scratch_offset(scratch)?;
        if datagram.start > datagram.end || datagram.end > self.scratch_start() {
            return None;
        }
        // SAFETY: the bytes lie in the arena before all scratches, in a buffer that is ours until its uses are down to
        // 0. Sends under way may point at earlier datagrams of the buffer, never at one that is not decided yet. The
        // reference borrows this value mutably, so there is no second one.
        let bytes = unsafe { std::slice::from_raw_parts_mut(self.arena.at(datagram.start), datagram.len()) };
        // SAFETY: the scratch lies in the arena behind all buffers and is free, so no send points at it; the
        // reference borrows this value mutably, so there is no second one.
        let scratch = unsafe { std::slice::from_raw_parts_mut(self.arena.at(at), SCRATCH_LEN) };
        Some((bytes, scratch))
    }

    /// Takes the free scratch that was last shown, with one use; where it lies.
    #[inline]
    pub(crate) fn take_scratch(&mut self) -> Option<(Id, usize)> {
        let id = self.scratches.pop()?;
        *self.uses.get_mut(id.0)? = 1;
        Some((id, self.scratch_offset(id)?))
    }

    /// The address of bytes to send, whose buffer or scratch gets one use more; nothing outside the arena.
    #[inline]
    pub(crate) fn hold(&mut self, offset: usize, len: usize) -> Option<*mut u8> {
        let within = offset.checked_add(len).is_some_and(|end| end <= self.arena.len());
        let id = self.id_at(offset);
        *self.uses.get_mut(id.0).filter(|_| within)? += 1;
        Some(self.arena.at(offset))
    }

    /// Takes back the use that [`Buffers::hold`] gave for this address.
    #[inline]
    pub(crate) fn release_at(&mut self, address: *mut u8) {
        self.release(self.id_at(address.addr().wrapping_sub(self.arena.at(0).addr())));
    }

    /// Takes back one use; the last one returns a buffer to the kernel, at the next [`Buffers::publish`].
    #[inline]
    pub(crate) fn release(&mut self, id: Id) {
        let Some(uses) = self.uses.get_mut(id.0) else { return };
        *uses = uses.saturating_sub(1);
        if *uses > 0 {
            return;
        }
        if id.0 < self.count() {
            self.offer(id);
        } else {
            // As many as there are fit; a scratch is released once for each time it was taken.
            self.scratches.push(id);
        }
    }

    /// Shows the kernel what has been returned.
    #[inline]
    pub(crate) fn publish(&mut self) {
        self.offers.iter_mut().for_each(Offers::publish);
    }

    /// Gives the memory up for good, because the kernel may still use it.
    pub(crate) fn leak(&mut self) {
        self.arena.leak();
        std::mem::forget(std::mem::replace(&mut self.template, Box::new(empty_header())));
        self.offers.iter_mut().for_each(|offers| offers.entries.leak());
    }

    /// Whether a buffer is ours.
    #[cfg(test)]
    pub(crate) fn is_used(&self, socket: usize, buffer: usize) -> bool {
        self.uses[socket * self.each + buffer] > 0
    }

    #[inline]
    fn offer(&mut self, id: Id) {
        let (socket, buffer) = (id.0 / self.each, id.0 % self.each);
        let address = self.arena.at(id.0 * self.stride) as u64;
        if let Some(offers) = self.offers.get_mut(socket) {
            offers.push(address, HEAD_LEN + self.room, buffer);
        }
    }

    #[inline]
    fn id_at(&self, offset: usize) -> Id {
        match offset.checked_sub(self.scratch_start()) {
            None => Id(offset / self.stride),
            Some(beyond) => Id(self.count() + beyond / SCRATCH_STRIDE),
        }
    }

    #[inline]
    fn scratch_start(&self) -> usize {
        self.count() * self.stride
    }

    #[inline]
    fn scratch_offset(&self, id: Id) -> Option<usize> {
        let place = id.0.checked_sub(self.count()).filter(|place| *place < SCRATCHES)?;
        Some(self.scratch_start() + place * SCRATCH_STRIDE)
    }
}

/// The ring of provided buffers of one socket.
#[derive(Debug)]
struct Offers {
    entries: Memory,
    mask: u16,
    tail: u16,
    /// Buffers that are the kernel's.
    held: usize,
}

impl Offers {
    #[allow(clippy::cast_possible_truncation)] // At most MAX_EACH.
    fn new(each: usize) -> Self {
        let entries = Memory::take(each * size_of::<BufRingEntry>());
        Self { entries, mask: (each - 1) as u16, tail: 0, held: 0 }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)] // A buffer's length and number are bounded at the start.
    fn push(&mut self, address: u64, len: usize, buffer: usize) {
        let place = usize::from(self.tail & self.mask) * size_of::<BufRingEntry>();
        let entry: *mut BufRingEntry = self.entries.at(place).cast();
        // SAFETY: the place is one of `mask + 1` aligned entries. Every buffer is offered once at a time, so this
        // entry's last buffer has been taken: the kernel reads no entry beyond the published tail.
        let entry = unsafe { &mut *entry };
        entry.set_addr(address);
        entry.set_len(len as u32);
        entry.set_bid(buffer as u16);
        self.tail = self.tail.wrapping_add(1);
        self.held += 1;
    }

    #[inline]
    fn publish(&mut self) {
        let first: *const BufRingEntry = self.entries.at(0).cast_const().cast();
        // SAFETY: `first` is the first entry of the ring, initialised at the start; its reserved field is the tail.
        let tail = unsafe { BufRingEntry::tail(first) };
        // SAFETY: the tail is two aligned bytes within `entries`, which outlives the reference; whoever else looks at
        // them is the kernel, which reads them with acquire order.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

fn empty_header() -> libc::msghdr {
    // SAFETY: a msghdr is integers and pointers, for all of which zero is a value.
    unsafe { std::mem::zeroed() }
}

/// Bytes of `io_uring_recvmsg_out`.
const OUT_LEN: usize = 16;
/// Bytes for a name; a `sockaddr_in6` and what aligns the next.
const NAME_ROOM: u32 = 32;
/// Bytes before the datagram.
const HEAD_LEN: usize = OUT_LEN + NAME_ROOM as usize + CONTROL_LEN;
const CACHE_LINE: usize = 64;
/// IORING_MAX_ENTRIES of a ring of provided buffers.
const MAX_EACH: usize = 1 << 15;
/// Answers from a scratch that may be under way at once.
pub(crate) const SCRATCHES: usize = 64;
/// Scratches never touch, so that no part of a send reaches from one into the next.
const SCRATCH_STRIDE: usize = SCRATCH_LEN + CACHE_LINE;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_returns_with_its_last_use() {
        let mut buffers = Buffers::new(2, 3, 2_048);
        assert_eq!((buffers.count(), buffers.offers[1].held), (8, 4));
        let id = buffers.take(1, 2).unwrap();
        let offset = buffers.payload_offset(id);
        assert_eq!(buffers.offers[1].held, 3);
        let (a, b) = (buffers.hold(offset, 100).unwrap(), buffers.hold(offset + 1_948, 100).unwrap());
        buffers.release(id);
        buffers.release_at(b);
        assert_eq!(buffers.offers[1].held, 3, "one part is still under way");
        buffers.release_at(a);
        assert_eq!((buffers.offers[1].held, buffers.offers[0].held), (4, 4));
    }

    #[test]
    fn scratches_are_taken_one_by_one_and_come_back() {
        let mut buffers = Buffers::new(1, 1, 2_048);
        let taken: Vec<_> = (0..SCRATCHES).map(|_| buffers.take_scratch().unwrap()).collect();
        assert!(buffers.scratch().is_none() && buffers.take_scratch().is_none());
        for (id, offset) in taken {
            let address = buffers.hold(offset, SCRATCH_LEN).unwrap();
            buffers.release(id);
            assert!(buffers.scratches.iter().all(|free| *free != id));
            buffers.release_at(address);
        }
        assert_eq!(buffers.scratches.len(), SCRATCHES);
        let scratch = buffers.scratch().unwrap();
        let (datagram, scratch) = buffers.workplace(0..10, scratch).unwrap();
        assert_eq!((datagram.len(), scratch.len()), (10, SCRATCH_LEN));
    }

    #[test]
    fn nothing_outside_the_arena_is_held() {
        let mut buffers = Buffers::new(1, 1, 2_048);
        let end = buffers.arena.len();
        assert!(buffers.hold(end - 1, 2).is_none() && buffers.hold(usize::MAX, 1).is_none());
        assert!(buffers.message(Id(1), 200).is_none() && buffers.message(Id(0), 1 << 20).is_none());
    }
}
