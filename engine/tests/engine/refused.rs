//! What is said where io_uring may not be used: a thread of its own gets a seccomp filter, as a container would.

use crate::judged;
use engine::socket::epoll::Options;
use engine::socket::kind::{Engine, Kind};
use engine::socket::uring::Mode;
use engine::socket::uring::probe::Refusal;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// Runs `test` on a thread that gets `errno` for these system calls; threads that it starts get it too.
fn without(calls: &[i64], errno: i32, test: impl FnOnce() + Send) {
    let rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    let errno = SeccompAction::Errno(errno.cast_unsigned());
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, errno, arch).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            apply_filter(&program).unwrap();
            test();
        });
    });
}

pub(crate) fn a_filter_that_forbids_io_uring_is_named() {
    without(&[libc::SYS_io_uring_setup], libc::EPERM, || {
        for mode in [Mode::Best, Mode::Polled] {
            assert_eq!(judged(mode), Err(Refusal::Forbidden));
            let options = Options { slots: 8, slot_len: 2_048, gso: true };
            let error = Engine::open(Kind::Uring(mode), Vec::new(), options).unwrap_err();
            assert!(error.to_string().contains("seccomp"), "{error}");
        }
        let options = Options { slots: 8, slot_len: 2_048, gso: true };
        assert!(Engine::open(Kind::Epoll, Vec::new(), options).is_ok(), "the other engine is not concerned");
    });
}

pub(crate) fn a_filter_that_hides_io_uring_is_named() {
    without(&[libc::SYS_io_uring_setup], libc::ENOSYS, || {
        assert_eq!(judged(Mode::Best), Err(Refusal::Absent));
    });
}

/// What can be set up and not entered, or not registered with, is of no use.
pub(crate) fn a_filter_that_forbids_one_of_its_calls_is_noticed() {
    for call in [libc::SYS_io_uring_enter, libc::SYS_io_uring_register] {
        without(&[call], libc::EPERM, || {
            assert_eq!(judged(Mode::Best), Err(Refusal::Forbidden), "system call {call}");
        });
    }
}
