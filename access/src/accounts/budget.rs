//! Budgets for password tries: token buckets in fixed memory, found by a keyed hash.
//!
//! * Two keys that fall into one bucket share it: a collision only ever refuses more.
//! * A try is taken before the password is looked at, and given back when it was right.
//! * Pure: time is an argument.

use std::net::IpAddr;
use wire::json::name::AccountName;
use wire::siphash::SipKey;

/// Buckets for accounts and for prefixes.
#[derive(Debug)]
pub struct Budgets {
    key: SipKey,
    accounts: Vec<Bucket>,
    prefixes: Vec<Bucket>,
}

/// Whose try it is, as buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    account: usize,
    prefix: usize,
}

impl Budgets {
    /// Full buckets, found by this key.
    pub fn new(key: SipKey) -> Budgets {
        let full = |limit: Limit| vec![Bucket { millitries: limit.burst * 1_000, at_ms: 0 }; BUCKETS];
        Budgets { key, accounts: full(ACCOUNT), prefixes: full(PREFIX) }
    }

    /// Takes one try of an account from an address.
    ///
    /// # Errors
    /// Seconds to wait, when the account's or the prefix's budget is spent; nothing is taken then.
    pub fn take(&mut self, account: &AccountName, from: IpAddr, now_ms: u64) -> Result<Try, u64> {
        let its = Try {
            account: self.slot(PURPOSE_ACCOUNT, &text_words(account)),
            prefix: self.slot(PURPOSE_PREFIX, &prefix_words(from)),
        };
        let waits = [
            wait_s(self.accounts.get_mut(its.account), ACCOUNT, now_ms),
            wait_s(self.prefixes.get_mut(its.prefix), PREFIX, now_ms),
        ];
        match waits.into_iter().max() {
            Some(wait_s) if wait_s > 0 => return Err(wait_s),
            _ => {}
        }
        for bucket in
            [self.accounts.get_mut(its.account), self.prefixes.get_mut(its.prefix)].into_iter().flatten()
        {
            bucket.millitries = bucket.millitries.saturating_sub(1_000);
        }
        Ok(its)
    }

    /// Gives a try back.
    pub fn give_back(&mut self, its: Try) {
        for (bucket, limit) in
            [(self.accounts.get_mut(its.account), ACCOUNT), (self.prefixes.get_mut(its.prefix), PREFIX)]
        {
            if let Some(bucket) = bucket {
                bucket.millitries = (bucket.millitries + 1_000).min(limit.burst * 1_000);
            }
        }
    }

    fn slot(&self, purpose: u64, words: &[u64; 8]) -> usize {
        let [a, b, c, d, e, f, g, h] = *words;
        let hash = self.key.hash(&[purpose, a, b, c, d, e, f, g, h]);
        usize::try_from(hash % BUCKETS as u64).unwrap_or(0)
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Tries left, in thousandths.
    millitries: u64,
    /// When that was so, ms.
    at_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Limit {
    /// Tries at once.
    burst: u64,
    /// Milliseconds until there is one more.
    refill_ms: u64,
}

/// Fills a bucket up to now; seconds until it holds a try.
fn wait_s(bucket: Option<&mut Bucket>, limit: Limit, now_ms: u64) -> u64 {
    let Some(bucket) = bucket else { return 0 };
    let full = limit.burst * 1_000;
    let gained = now_ms.saturating_sub(bucket.at_ms).saturating_mul(1_000) / limit.refill_ms;
    if bucket.millitries.saturating_add(gained) >= full {
        *bucket = Bucket { millitries: full, at_ms: now_ms };
    } else {
        // Only the time that made whole thousandths is used up.
        bucket.millitries += gained;
        bucket.at_ms += gained * limit.refill_ms / 1_000;
    }
    let missing = 1_000_u64.saturating_sub(bucket.millitries);
    (missing * limit.refill_ms).div_ceil(1_000_000)
}

/// A name of at most 64 bytes as words.
fn text_words(name: &AccountName) -> [u64; 8] {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(name.as_str().as_bytes().chunks(8)) {
        *word = bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    }
    words
}

/// The /24 or /48 of an address as words.
fn prefix_words(from: IpAddr) -> [u64; 8] {
    let prefix = match from.to_canonical() {
        IpAddr::V4(ip) => u64::from(ip.to_bits() >> 8) | 4 << 56,
        IpAddr::V6(ip) => u64::try_from(ip.to_bits() >> 80).unwrap_or(0) | 6 << 56,
    };
    [prefix, 0, 0, 0, 0, 0, 0, 0]
}

/// Tries of one account: 10 at once, then one a minute.
const ACCOUNT: Limit = Limit { burst: 10, refill_ms: 60_000 };
/// Tries from one /24 or /48: 100 at once, then one a second.
const PREFIX: Limit = Limit { burst: 100, refill_ms: 1_000 };
/// Of each kind; both together are 512 KiB.
const BUCKETS: usize = 1 << 14;
const PURPOSE_ACCOUNT: u64 = 1;
const PURPOSE_PREFIX: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u64) -> AccountName {
        format!("user{number}").parse().unwrap()
    }

    #[test]
    fn t23_the_budget_of_an_account_holds_against_100000_guesses_from_everywhere() {
        let mut budgets = Budgets::new(SipKey::new([3; 16]));
        let (alice, hours_ms) = (name(0), 3_600_000);
        let mut tried = 0;
        for guess in 0..100_000_u32 {
            let from = IpAddr::from((guess.wrapping_mul(2_654_435_761)).to_be_bytes());
            let now_ms = 1 + u64::from(guess) * hours_ms / 100_000;
            tried += u32::from(budgets.take(&alice, from, now_ms).is_ok());
        }
        assert_eq!(tried, 10 + 59, "10 at once and one a minute, in an hour");
    }

    #[test]
    fn t23_the_budget_of_a_prefix_holds_against_100000_accounts() {
        let mut budgets = Budgets::new(SipKey::new([3; 16]));
        let mut tried = 0;
        for guess in 0..100_000_u64 {
            let from = IpAddr::from([192, 0, 2, u8::try_from(guess % 256).unwrap()]);
            tried += u32::from(budgets.take(&name(guess), from, 1 + guess / 100).is_ok());
        }
        assert!((100..=101).contains(&tried), "{tried} tries within a second");
    }

    #[test]
    fn what_was_right_costs_nothing_and_a_refusal_says_how_long() {
        let mut budgets = Budgets::new(SipKey::new([3; 16]));
        let from = "2001:db8::1".parse().unwrap();
        for _ in 0..1_000 {
            let its = budgets.take(&name(1), from, 5).unwrap();
            budgets.give_back(its);
        }
        for _ in 0..10 {
            budgets.take(&name(1), from, 5).unwrap();
        }
        assert_eq!(budgets.take(&name(1), from, 5), Err(60));
        assert_eq!(budgets.take(&name(1), from, 59_005), Err(2), "rounded up");
        assert!(budgets.take(&name(1), from, 60_005).is_ok());
        assert!(budgets.take(&name(2), from, 5).is_ok(), "another account has its own");
    }
}
