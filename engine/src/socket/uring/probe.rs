//! Whether io_uring may be used here, found out by using it: a ring, its features, and one multishot receive.
//!
//! * A refusal says what refuses, and what would allow it; what the kernel answered decides, not its version.
//! * Leaves nothing behind.
//!
//! Source: io_uring_setup(2), Documentation/admin-guide/sysctl/kernel.rst (io_uring_disabled).

#![allow(unsafe_code)]

use crate::socket::uring::buffers::Buffers;
use crate::socket::uring::ring::{Mode, Ring, Sizes, Token};
use io_uring::opcode;
use io_uring::types::Fixed;
use socket2::{Domain, Protocol, Type};
use std::io;
use std::os::fd::AsRawFd;

/// Tries everything that the uring engine needs, with a socket that nobody can reach.
///
/// # Errors
/// What refuses it.
pub fn probe(mode: Mode) -> Result<(), Refusal> {
    // Taking a ring down interrupts the system calls of the thread that set it up: here, of none.
    let thread = std::thread::Builder::new().spawn(move || attempt(mode)).map_err(|error| refusal(&error))?;
    // A thread that ends without an answer has panicked, which nothing in it does.
    thread.join().unwrap_or(Err(Refusal::Other(libc::ECHILD)))
}

fn attempt(mode: Mode) -> Result<(), Refusal> {
    let sizes = Sizes { submissions: 4, completions: 8 };
    let ring = Ring::open(sizes, mode).map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => Refusal::TooOld(mode.flag()),
        _ => refusal(&error),
    })?;
    match ring.lacks().map_err(|error| refusal(&error))? {
        Some(what) => Err(Refusal::TooOld(what)),
        None => receives(ring).map_err(|error| refusal(&error))?.map_err(Refusal::TooOld),
    }
}

/// Whether what so many workers with so many sockets each lock fits into what this process may lock, by taking all of it
/// at once: batches of `slots` messages, as their engines will.
///
/// # Errors
/// What refuses it.
pub fn probe_room(mode: Mode, workers: usize, sockets: usize, slots: usize) -> Result<(), Refusal> {
    let take = move || -> io::Result<()> {
        let sizes = Sizes::of(sockets, slots);
        // Twice: the kernel takes down what was tried here in its own time, perhaps after the workers' own is set up.
        let mut held = Vec::with_capacity(2 * workers);
        for _ in 0..2 * workers {
            let (ring, buffers) = (Ring::open(sizes, mode)?, Buffers::new(sockets, slots, 1));
            let registered = buffers.register(&ring);
            // Nothing receives into them, so the order in which both are given back does not matter.
            held.push((ring, buffers));
            registered?;
        }
        Ok(())
    };
    let thread = std::thread::Builder::new().spawn(take).map_err(|error| refusal(&error))?;
    thread
        .join()
        .unwrap_or_else(|_| Err(io::Error::from_raw_os_error(libc::ECHILD)))
        .map_err(|error| refusal(&error))
}

/// Whether a multishot receive into provided buffers is accepted.
fn receives(mut ring: Ring) -> io::Result<Result<(), &'static str>> {
    let socket = socket2::Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    let buffers = Buffers::new(1, 1, 64);
    ring.register_files(&[socket.as_raw_fd()])?;
    match buffers.register(&ring) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => return Err(error),
        Err(_) => return Ok(Err("rings of provided buffers (IORING_REGISTER_PBUF_RING)")),
    }
    let receive = opcode::RecvMsgMulti::new(Fixed(0), buffers.template(), 0).build();
    // SAFETY: the template and the buffers outlive the receive, which is over at the end of this function; if the
    // kernel does not say so, they are given up.
    unsafe { ring.push(receive, Token::Receive(0))? };
    ring.cancel(Token::Receive(0))?;
    // The socket has no address, so nothing arrives: the receive ends because it is cancelled or not known.
    let mut ended = None;
    let mut outcome = Ok(());
    while ended.is_none() && outcome.is_ok() {
        outcome = ring.enter(1);
        ended = ring.completions().find(|it| it.token == Token::Receive(0)).map(|it| it.outcome());
    }
    if ended.is_none() {
        let mut buffers = buffers;
        buffers.leak();
    }
    ring.unregister_files()?;
    outcome?;
    match ended {
        Some(Err(libc::ECANCELED)) => Ok(Ok(())),
        _ => Ok(Err("multishot IORING_OP_RECVMSG")),
    }
}

/// Why io_uring cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// ENOSYS.
    #[error("this kernel has no io_uring, or a seccomp filter says so")]
    Absent,
    /// EPERM or EACCES, and the sysctl says so.
    #[error("io_uring is switched off on this host (kernel.io_uring_disabled is {0})")]
    Disabled(u8),
    /// EPERM or EACCES, and the sysctl has nothing against it.
    #[error("io_uring is forbidden here, as it is by the default seccomp profiles of containers")]
    Forbidden,
    /// It is there, but something in it is not.
    #[error("this kernel's io_uring lacks {0}")]
    TooOld(&'static str),
    /// ENOMEM.
    #[error("the kernel grants no memory for io_uring")]
    Memory,
    /// Anything else, with its errno.
    #[error("io_uring failed: {}", io::Error::from_raw_os_error(*.0))]
    Other(i32),
}

impl Refusal {
    /// What an errno of io_uring_setup(2) or io_uring_register(2) means, given `kernel.io_uring_disabled`.
    pub fn of(errno: i32, disabled: Option<u8>) -> Self {
        match (errno, disabled) {
            (libc::ENOSYS, _) => Self::Absent,
            (libc::EPERM | libc::EACCES, Some(value @ 1..)) => Self::Disabled(value),
            (libc::EPERM | libc::EACCES, _) => Self::Forbidden,
            (libc::EINVAL, _) => Self::TooOld("a mode that the engine runs in"),
            (libc::ENOMEM, _) => Self::Memory,
            (other, _) => Self::Other(other),
        }
    }

    /// What would allow it.
    pub fn mend(&self) -> &'static str {
        match self {
            Self::Absent => {
                "Linux 6.1 or newer, and in a container a profile that allows io_uring_setup, io_uring_enter and \
                 io_uring_register"
            }
            Self::Disabled(_) => "sysctl -w kernel.io_uring_disabled=0",
            Self::Forbidden => {
                "a seccomp profile that allows io_uring_setup, io_uring_enter and io_uring_register"
            }
            Self::TooOld(_) => "Linux 6.1 or newer",
            Self::Memory => "a higher limit of locked memory (ulimit -l, LimitMEMLOCK=)",
            Self::Other(_) => "report it with kernel and configuration",
        }
    }
}

fn refusal(error: &io::Error) -> Refusal {
    let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok();
    let disabled = disabled.and_then(|text| text.trim().parse().ok());
    Refusal::of(error.raw_os_error().unwrap_or(0), disabled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errno_is_explained_by_what_else_is_known() {
        for (errno, disabled, expected) in [
            (libc::ENOSYS, None, Refusal::Absent),
            (libc::ENOSYS, Some(0), Refusal::Absent),
            (libc::EPERM, Some(2), Refusal::Disabled(2)),
            (libc::EPERM, Some(1), Refusal::Disabled(1)),
            (libc::EPERM, Some(0), Refusal::Forbidden),
            (libc::EACCES, None, Refusal::Forbidden),
            (libc::EINVAL, Some(0), Refusal::TooOld("a mode that the engine runs in")),
            (libc::ENOMEM, None, Refusal::Memory),
            (libc::EMFILE, Some(0), Refusal::Other(libc::EMFILE)),
        ] {
            assert_eq!(Refusal::of(errno, disabled), expected);
        }
        assert!(Refusal::Disabled(2).to_string().contains("kernel.io_uring_disabled is 2"));
        assert!(Refusal::Forbidden.to_string().contains("seccomp"));
        assert!(Refusal::Other(libc::EMFILE).to_string().contains("open files"));
    }
}
