//! The rings shared with the kernel: set up as well as this kernel can, entered once per batch.
//!
//! ```text
//!   submission queue   | SENDMSG slot 3 | SENDMSG slot 7 | RECVMSG socket 0 | ...      ours, taken by an enter
//!   completion queue   | sent slot 3    | sent slot 7    | received, buffer 12 | ...   the kernel's, read in order
//! ```
//!
//! * Everything in flight carries a [`Token`], and is over with its last completion.
//! * Set up by the one thread that submits, which should end soon after the ring: taking a ring down interrupts the
//!   system calls (EINTR) of the thread that set it up.
//! * What a kernel does not know of the faster modes is left out, one after the other.
//!
//! Source: io_uring_setup(2), io_uring_enter(2), io_uring_register(2).

#![allow(unsafe_code)]
#![deny(clippy::disallowed_types)]

use io_uring::types::{CancelBuilder, Fd};
use io_uring::{IoUring, Probe, cqueue, opcode, squeue};
use std::io;
use std::os::fd::RawFd;

/// A worker's ring.
pub(crate) struct Ring {
    inner: IoUring,
    sends_to: bool,
}

impl Ring {
    /// Sets up a ring; only the calling thread may submit.
    ///
    /// # Errors
    /// What io_uring_setup(2) says; EINVAL where the kernel does not know the mode.
    pub(crate) fn open(sizes: Sizes, mode: Mode) -> io::Result<Self> {
        let mut outcome = Err(io::Error::from_raw_os_error(libc::EINVAL));
        for mode in mode.or_slower() {
            outcome = build(sizes, *mode);
            if !matches!(&outcome, Err(error) if error.raw_os_error() == Some(libc::EINVAL)) {
                break;
            }
        }
        let inner = outcome?;
        // IORING_OP_SEND takes an address since 6.1, which nothing says but what else came with it.
        let sends_to = known(&inner)?.is_supported(opcode::SendMsgZc::CODE);
        Ok(Self { inner, sends_to })
    }

    /// Makes descriptors known by their place in the list, which saves looking each up at every operation.
    ///
    /// # Errors
    /// What io_uring_register(2) says.
    pub(crate) fn register_files(&self, fds: &[RawFd]) -> io::Result<()> {
        self.inner.submitter().register_files(fds)
    }

    /// Lets the descriptors go; without it they stay open until the kernel has taken the ring down, in its own time.
    ///
    /// # Errors
    /// What io_uring_register(2) says.
    pub(crate) fn unregister_files(&self) -> io::Result<()> {
        self.inner.submitter().unregister_files()
    }

    /// Registers `entries` places at `address` as the ring of provided buffers of this group.
    ///
    /// # Safety
    /// The memory at `address` must hold `entries` entries, start on a page, and outlive every receive that selects
    /// from the group.
    ///
    /// # Errors
    /// What io_uring_register(2) says.
    pub(crate) unsafe fn register_buffers(&self, address: u64, entries: u16, group: u16) -> io::Result<()> {
        let submitter = self.inner.submitter();
        // SAFETY: what the kernel asks of the memory is what this function asks of its caller.
        unsafe { submitter.register_buf_ring_with_flags(address, entries, group, 0) }
    }

    /// Queues an operation for the next enter.
    ///
    /// # Safety
    /// Whatever the operation points at must stay where it is until its last completion.
    ///
    /// # Errors
    /// The queue is full.
    #[inline]
    pub(crate) unsafe fn push(&mut self, operation: squeue::Entry, token: Token) -> io::Result<()> {
        let entry = operation.user_data(token.to_user_data());
        let mut queue = self.inner.submission();
        // SAFETY: what the operation points at lives until its last completion, as this function asks of its caller.
        let pushed = unsafe { queue.push(&entry) };
        pushed.map_err(|_| io::Error::other("the submission queue is full"))
    }

    /// Asks for a completion when this descriptor is readable.
    ///
    /// # Errors
    /// The queue is full.
    pub(crate) fn await_readable(&mut self, fd: RawFd, token: Token) -> io::Result<()> {
        #[allow(clippy::cast_sign_loss)] // POLLIN is 1.
        let poll = opcode::PollAdd::new(Fd(fd), libc::POLLIN as u32).build();
        // SAFETY: a poll points at nothing.
        unsafe { self.push(poll, token) }
    }

    /// Asks for the end of the operation with this token.
    ///
    /// # Errors
    /// The queue is full.
    pub(crate) fn cancel(&mut self, token: Token) -> io::Result<()> {
        let cancel = opcode::AsyncCancel::new(token.to_user_data()).build();
        // SAFETY: a cancellation points at nothing.
        unsafe { self.push(cancel, Token::Cancel) }
    }

    /// Ends everything that has been submitted; it completes at the next enter.
    ///
    /// # Errors
    /// What io_uring_register(2) says, except that nothing was there.
    pub(crate) fn cancel_all(&self) -> io::Result<()> {
        match self.inner.submitter().register_sync_cancel(None, CancelBuilder::any()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }

    /// Submits what is queued and waits for `want` completions to be there.
    ///
    /// # Errors
    /// What io_uring_enter(2) says, except that it is to be called again once completions have been read.
    #[inline]
    pub(crate) fn enter(&self, want: usize) -> io::Result<()> {
        match self.inner.submit_and_wait(want) {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// The completions that are there, oldest first; each is read once.
    #[inline]
    pub(crate) fn completions(&mut self) -> impl Iterator<Item = Completion> + '_ {
        self.inner.completion().map(|entry| Completion {
            token: Token::of(entry.user_data()),
            result: entry.result(),
            flags: entry.flags(),
        })
    }

    /// Whether a send without a header may name its destination.
    #[inline]
    pub(crate) fn sends_to(&self) -> bool {
        self.sends_to
    }

    /// What this kernel lacks of what the engine needs; `None` if nothing.
    ///
    /// # Errors
    /// What io_uring_register(2) says.
    pub(crate) fn lacks(&self) -> io::Result<Option<&'static str>> {
        let parameters = self.inner.params();
        let probe = known(&self.inner)?;
        let needs = [
            ("completions that are never lost (IORING_FEAT_NODROP)", parameters.is_feature_nodrop()),
            (
                "arguments read at submission (IORING_FEAT_SUBMIT_STABLE)",
                parameters.is_feature_submit_stable(),
            ),
            ("IORING_OP_RECVMSG", probe.is_supported(opcode::RecvMsgMulti::CODE)),
            ("IORING_OP_SENDMSG", probe.is_supported(opcode::SendMsg::CODE)),
            ("IORING_OP_POLL_ADD", probe.is_supported(opcode::PollAdd::CODE)),
            ("IORING_OP_ASYNC_CANCEL", probe.is_supported(opcode::AsyncCancel::CODE)),
        ];
        Ok(needs.into_iter().find(|(_, there)| !there).map(|(what, _)| what))
    }
}

/// The operations that this kernel knows.
fn known(ring: &IoUring) -> io::Result<Probe> {
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    Ok(probe)
}

/// How many entries the two queues have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) submissions: u32,
    pub(crate) completions: u32,
}

impl Sizes {
    /// Enough for every send and buffer that can be under way at once, so that neither can be full.
    pub(crate) fn of(sockets: usize, slots: usize) -> Self {
        let sends = slots * SENDS_PER_SLOT;
        let others = 4 * (sockets + 1);
        let completions = sends + sockets * slots.next_power_of_two() + others;
        Self { submissions: entries(sends + others), completions: entries(completions) }
    }
}

fn entries(number: usize) -> u32 {
    u32::try_from(number.next_power_of_two()).unwrap_or(u32::MAX)
}

/// How completions come to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The best of the next three that the kernel knows.
    Best,
    /// By the worker when it enters (6.1).
    Deferred,
    /// By the worker whenever it is in the kernel (5.19).
    Cooperative,
    /// By interrupting the worker.
    Plain,
    /// By a thread of the kernel (SQPOLL), which also submits and never sleeps while there is work: no system calls,
    /// and one core more.
    Polled,
}

impl Mode {
    /// The newest flag of io_uring_setup(2) that it cannot do without.
    pub(crate) fn flag(self) -> &'static str {
        match self {
            Self::Deferred => "IORING_SETUP_DEFER_TASKRUN",
            Self::Cooperative => "IORING_SETUP_COOP_TASKRUN",
            Self::Best | Self::Plain | Self::Polled => "IORING_SETUP_SUBMIT_ALL",
        }
    }

    /// What to try, in this order.
    fn or_slower(self) -> &'static [Self] {
        match self {
            Self::Best => &[Self::Deferred, Self::Cooperative, Self::Plain],
            Self::Deferred => &[Self::Deferred],
            Self::Cooperative => &[Self::Cooperative],
            Self::Plain => &[Self::Plain],
            Self::Polled => &[Self::Polled],
        }
    }
}

fn build(sizes: Sizes, mode: Mode) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.dontfork().setup_submit_all().setup_cqsize(sizes.completions);
    match mode {
        Mode::Best | Mode::Deferred => builder.setup_single_issuer().setup_defer_taskrun(),
        Mode::Cooperative => builder.setup_coop_taskrun(),
        Mode::Plain => &mut builder,
        Mode::Polled => builder.setup_sqpoll(POLL_IDLE_MS),
    };
    builder.build(sizes.submissions)
}

/// What an operation was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// The send of this slot.
    Send(usize),
    /// The receive of this socket.
    Receive(usize),
    /// The wait for a stop.
    Stop,
    /// A cancellation.
    Cancel,
}

impl Token {
    #[inline]
    const fn to_user_data(self) -> u64 {
        match self {
            Self::Send(slot) => slot as u64,
            Self::Receive(socket) => RECEIVE | socket as u64,
            Self::Stop => STOP,
            Self::Cancel => CANCEL,
        }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)] // Slots and sockets are counted in hundreds.
    const fn of(user_data: u64) -> Self {
        let index = (user_data & (RECEIVE - 1)) as usize;
        match user_data & !(RECEIVE - 1) {
            0 => Self::Send(index),
            RECEIVE => Self::Receive(index),
            STOP => Self::Stop,
            _ => Self::Cancel,
        }
    }
}

/// What the kernel says of an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    /// Which.
    pub(crate) token: Token,
    result: i32,
    flags: u32,
}

impl Completion {
    /// Bytes moved, or the errno.
    #[inline]
    pub(crate) fn outcome(&self) -> Result<usize, i32> {
        usize::try_from(self.result).map_err(|_| -self.result)
    }

    /// Whether the operation goes on.
    #[inline]
    pub(crate) fn has_more(&self) -> bool {
        cqueue::more(self.flags)
    }

    /// The provided buffer that was filled.
    #[inline]
    pub(crate) fn buffer(&self) -> Option<u16> {
        cqueue::buffer_select(self.flags)
    }
}

/// Groups under way, for each message of a batch.
pub(crate) const SENDS_PER_SLOT: usize = 4;
const RECEIVE: u64 = 1 << 32;
const STOP: u64 = 2 << 32;
const CANCEL: u64 = 3 << 32;
/// How long the kernel's thread looks on for work before it sleeps.
const POLL_IDLE_MS: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_kernel() {
        for token in [
            Token::Send(0),
            Token::Send(65_535),
            Token::Receive(0),
            Token::Receive(7),
            Token::Stop,
            Token::Cancel,
        ] {
            assert_eq!(Token::of(token.to_user_data()), token);
        }
    }
}
