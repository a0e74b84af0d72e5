//! How much CPU time a process has had.
//!
//! * All its threads together, user and system, in steps of the kernel's tick.

use std::fs;

/// CPU time of a process and its threads so far, ns; `None` once it is gone.
pub fn process_ns(id: u32) -> Option<u64> {
    parse(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

/// proc(5): the name in brackets, which may hold anything, then from field 3 on; 14 and 15 are user and system time.
fn parse(text: &str) -> Option<u64> {
    let (_, fields) = text.rsplit_once(')')?;
    let mut ticks = fields.split_ascii_whitespace().skip(11).map(|field| field.parse::<u64>().ok());
    ticks.next()??.checked_add(ticks.next()??)?.checked_mul(NS_PER_TICK)
}

/// USER_HZ is 100 on every architecture that Linux has today (time(7)).
const NS_PER_TICK: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_ticks_are_read() {
        assert_eq!(parse("7 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 50 7 0 0"), Some(570_000_000));
        assert_eq!(parse("7 (a) S 1 2"), None);
        assert!(process_ns(std::process::id()).is_some());
        assert_eq!(process_ns(u32::MAX), None);
    }
}
