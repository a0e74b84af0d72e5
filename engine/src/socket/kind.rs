//! The socket engines behind one face: which there are, and whichever was chosen.
//!
//! * Chosen once, at the start; from `run` on everything is that engine's own code, compiled with its handler.

use crate::socket::epoll;
use crate::socket::epoll::Epoll;
use crate::socket::handler::Handler;
use crate::socket::stop::Stopper;
use crate::socket::udp::Socket;
use crate::socket::uring;
use crate::socket::uring::{Mode, Uring};
use std::io;

/// A worker's engine, of either kind.
#[derive(Debug)]
pub enum Engine {
    /// epoll, recvmmsg, sendmmsg.
    Epoll(Epoll),
    /// io_uring.
    Uring(Uring),
}

impl Engine {
    /// Opens an engine for the sockets, at most one of a family; each is called by its place in the list.
    ///
    /// # Errors
    /// As [`Epoll::open`] and [`Uring::open`].
    pub fn open(kind: Kind, sockets: Vec<Socket>, options: epoll::Options) -> io::Result<(Self, Stopper)> {
        match kind {
            Kind::Epoll => {
                Epoll::open(sockets, options).map(|(epoll, stopper)| (Self::Epoll(epoll), stopper))
            }
            Kind::Uring(mode) => {
                let epoll::Options { slots, slot_len, gso } = options;
                let opened = Uring::open(sockets, uring::Options { slots, slot_len, gso, mode });
                opened.map(|(uring, stopper)| (Self::Uring(uring), stopper))
            }
        }
    }

    /// Serves until stopped, then gives the sockets back.
    ///
    /// # Errors
    /// As [`Epoll::run`] and [`Uring::run`].
    pub fn run<H: Handler>(self, handler: &mut H) -> io::Result<Vec<Socket>> {
        match self {
            Self::Epoll(epoll) => epoll.run(handler),
            Self::Uring(uring) => uring.run(handler),
        }
    }
}

/// A way to move datagrams through sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// epoll, recvmmsg, sendmmsg.
    Epoll,
    /// io_uring, in this mode.
    Uring(Mode),
}

impl Kind {
    /// The word of flags and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Epoll => "epoll",
            Self::Uring(_) => "uring",
        }
    }
}
