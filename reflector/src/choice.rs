//! Which engine moves the datagrams: what was asked for, what may run here, what measured best.
//!
//! * `auto` takes io_uring where all that was measured of it is there, else epoll, and says why.
//! * Whether io_uring may run is found out by trying it, once, before anything else is opened.
//!
//! Core-time per datagram of a worker on io_uring over that on epoll, one core, loopback, Linux 6.18, medians of 11
//! alternating rounds (`cargo bench -p benches --bench worker`): singles 0.95, trains of 16 0.95, refused datagrams 0.89;
//! empty datagrams 1.21, each of which ends the kernel's receive, and still costs less than a refused one.

use engine::socket::kind::Kind;
use engine::socket::uring::Mode;
use engine::socket::uring::probe::{Refusal, probe, probe_room};
use program::failure::Failure;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Whichever is best here.
    Auto,
    /// epoll, recvmmsg, sendmmsg.
    Epoll,
    /// io_uring, perhaps with a thread of the kernel that polls.
    Uring {
        /// Whether the kernel's thread is wanted.
        sqpoll: bool,
    },
}

impl Wanted {
    /// The engine to run, after a look at what may run here: so many workers with so many sockets each, in batches of so
    /// many slots.
    ///
    /// # Errors
    /// io_uring is demanded and may not run.
    pub fn choose(self, workers: usize, sockets: usize, slots: usize) -> Result<Choice, Failure> {
        self.decide(|mode| probe(mode).and_then(|()| probe_room(mode, workers, sockets, slots)))
    }

    /// The engine to run, given what a probe of a mode says; `epoll` needs none.
    ///
    /// # Errors
    /// io_uring is demanded and refused.
    pub fn decide(self, probe: impl Fn(Mode) -> Result<(), Refusal>) -> Result<Choice, Failure> {
        let mode = match self {
            Self::Epoll => return Ok(Choice { kind: Kind::Epoll, refusal: None }),
            // What an older kernel would fall back to was never measured to be faster than epoll.
            Self::Auto => Mode::Deferred,
            Self::Uring { sqpoll: true } => Mode::Polled,
            Self::Uring { sqpoll: false } => Mode::Best,
        };
        match (probe(mode), self) {
            (Ok(()), _) => Ok(Choice { kind: Kind::Uring(mode), refusal: None }),
            (Err(refusal), Self::Auto) => Ok(Choice { kind: Kind::Epoll, refusal: Some(refusal) }),
            (Err(refusal), _) => Err(Failure::Config(format!(
                "--engine uring: {refusal}; it takes {}, or --engine auto",
                refusal.mend()
            ))),
        }
    }
}

/// The engine that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which.
    pub kind: Kind,
    /// Why it is not io_uring, where that would have been better.
    pub refusal: Option<Refusal>,
}

impl Choice {
    /// Why this one, in a few words.
    pub fn reason(&self, wanted: Wanted) -> String {
        match (wanted, self.refusal) {
            (Wanted::Auto, Some(refusal)) => refusal.to_string(),
            (Wanted::Auto, None) => String::from("it measured best and may run here"),
            (Wanted::Uring { sqpoll: true }, _) => {
                String::from("as asked for, with a core for the kernel's thread")
            }
            _ => String::from("as asked for"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOLL: Choice = Choice { kind: Kind::Epoll, refusal: None };

    fn uring(mode: Mode) -> Choice {
        Choice { kind: Kind::Uring(mode), refusal: None }
    }

    #[test]
    fn where_io_uring_may_run_it_runs_unless_epoll_is_asked_for() {
        for (wanted, expected) in [
            (Wanted::Auto, uring(Mode::Deferred)),
            (Wanted::Epoll, EPOLL),
            (Wanted::Uring { sqpoll: false }, uring(Mode::Best)),
            (Wanted::Uring { sqpoll: true }, uring(Mode::Polled)),
        ] {
            assert_eq!(wanted.decide(|_| Ok(())), Ok(expected), "{wanted:?}");
        }
    }

    #[test]
    fn where_it_is_refused_auto_takes_epoll_and_says_why_and_a_demand_fails_with_78() {
        for refusal in [
            Refusal::Absent,
            Refusal::Disabled(2),
            Refusal::Forbidden,
            Refusal::TooOld("something"),
            Refusal::Memory,
            Refusal::Other(24),
        ] {
            let refused = |_| Err(refusal);
            let fallback = Choice { kind: Kind::Epoll, refusal: Some(refusal) };
            assert_eq!(Wanted::Auto.decide(refused), Ok(fallback));
            assert_eq!(fallback.reason(Wanted::Auto), refusal.to_string());
            assert_eq!(Wanted::Epoll.decide(refused), Ok(EPOLL), "epoll asks for no permission");
            for sqpoll in [false, true] {
                let failure = Wanted::Uring { sqpoll }.decide(refused).unwrap_err();
                assert_eq!(failure.code(), 78);
                assert!(failure.to_string().contains(refusal.mend()), "{failure}");
            }
        }
    }

    #[test]
    fn auto_takes_no_mode_that_was_not_measured() {
        let old = |mode| match mode {
            Mode::Deferred => Err(Refusal::TooOld("IORING_SETUP_DEFER_TASKRUN")),
            _ => Ok(()),
        };
        assert_eq!(Wanted::Auto.decide(old).unwrap().kind, Kind::Epoll);
        assert_eq!(Wanted::Uring { sqpoll: false }.decide(old), Ok(uring(Mode::Best)));
    }
}
