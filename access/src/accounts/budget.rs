//! Budgets: for password tries, of an account and of the network that a try comes from; for what an account may have
//! written down or taken back.
//!
//! * Two keys that fall into one bucket share it: a collision only ever refuses more.
//! * A try is taken before the password is looked at, and given back if it was right.
//! * Pure: time is an argument.

use budget::{Budget, prefix};
use std::net::IpAddr;
use wire::json::name::AccountName;
use wire::siphash::SipKey;

/// The budgets of all accounts and networks.
#[derive(Debug)]
pub struct Budgets {
    key: SipKey,
    accounts: Budget<{ ACCOUNT_TRIES * ACCOUNT_NS }>,
    prefixes: Budget<{ PREFIX_TRIES * PREFIX_NS }>,
}

/// Whose try it is, as hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    account: u64,
    prefix: u64,
}

impl Budgets {
    /// Full budgets, hashed under this key.
    pub fn new(key: SipKey) -> Self {
        Self { key, accounts: Budget::new(BUCKETS), prefixes: Budget::new(BUCKETS) }
    }

    /// Takes one try of an account from an address.
    ///
    /// # Errors
    /// Seconds to wait, if the account's or the network's budget is spent; nothing is taken then.
    pub fn take(&mut self, account: &AccountName, from: IpAddr, now_ms: u64) -> Result<Try, u64> {
        let now_ns = now_ms.saturating_mul(NS_PER_MS);
        let [a, b, c, d, e, f, g, h] = words(account);
        let its = Try {
            account: self.key.hash(&[PURPOSE_ACCOUNT, a, b, c, d, e, f, g, h]),
            prefix: self.key.hash(&[PURPOSE_PREFIX, prefix(from.to_canonical())]),
        };
        let wait_ns = self
            .accounts
            .wait_ns(its.account, ACCOUNT_NS, now_ns)
            .max(self.prefixes.wait_ns(its.prefix, PREFIX_NS, now_ns));
        if wait_ns > 0 {
            return Err(wait_ns.div_ceil(NS_PER_S));
        }
        self.accounts.spend(its.account, ACCOUNT_NS, now_ns);
        self.prefixes.spend(its.prefix, PREFIX_NS, now_ns);
        Ok(its)
    }

    /// Gives a try back.
    pub fn give_back(&mut self, its: Try) {
        self.accounts.give_back(its.account, ACCOUNT_NS);
        self.prefixes.give_back(its.prefix, PREFIX_NS);
    }
}

/// What accounts may do that costs more than an answer.
#[derive(Debug)]
pub struct Changes {
    /// New addresses of its devices.
    pub places: PerAccount<{ PLACES * PLACE_NS }, PLACE_NS>,
    /// Ends of friendships, and beginnings of hiding: what makes reflectors refuse.
    pub endings: PerAccount<{ ENDINGS * ENDING_NS }, ENDING_NS>,
}

/// A budget of each account.
#[derive(Debug)]
pub struct PerAccount<const CAPACITY_NS: u64, const EACH_NS: u64> {
    key: SipKey,
    budget: Budget<CAPACITY_NS>,
}

impl Changes {
    /// Full budgets, hashed under this key.
    pub fn new(key: SipKey) -> Self {
        Self {
            places: PerAccount { key, budget: Budget::new(BUCKETS) },
            endings: PerAccount { key, budget: Budget::new(BUCKETS) },
        }
    }
}

impl<const CAPACITY_NS: u64, const EACH_NS: u64> PerAccount<CAPACITY_NS, EACH_NS> {
    /// Takes this many at once.
    ///
    /// # Errors
    /// Seconds to wait; nothing is taken then.
    pub fn take(&mut self, account: &AccountName, number: u64, now_ms: u64) -> Result<(), u64> {
        let now_ns = now_ms.saturating_mul(NS_PER_MS);
        let (hash, cost_ns) = (self.key.hash(&words(account)), number.saturating_mul(EACH_NS));
        match self.budget.spend(hash, cost_ns, now_ns) {
            true => Ok(()),
            false => Err(self.budget.wait_ns(hash, cost_ns, now_ns).div_ceil(NS_PER_S)),
        }
    }
}

/// A name of at most 64 bytes as words.
fn words(name: &AccountName) -> [u64; 8] {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(name.as_str().as_bytes().chunks(8)) {
        *word = bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    }
    words
}

/// Tries of one account at once, and the time until there is one more.
const ACCOUNT_TRIES: u64 = 10;
const ACCOUNT_NS: u64 = 60 * NS_PER_S;
/// Tries from one /24 or /48 at once, and the time until there is one more.
const PREFIX_TRIES: u64 = 100;
const PREFIX_NS: u64 = NS_PER_S;
/// New addresses of an account at once, and the time until there is one more.
const PLACES: u64 = 256;
const PLACE_NS: u64 = 5 * NS_PER_S;
/// What an account may have taken back at once, and the time until there is one more.
const ENDINGS: u64 = 16;
const ENDING_NS: u64 = 30 * NS_PER_S;
/// Buckets of each kind; each is 128 KiB.
const BUCKETS: usize = 1 << 14;
const PURPOSE_ACCOUNT: u64 = 1;
const PURPOSE_PREFIX: u64 = 2;
const NS_PER_S: u64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;

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
    fn an_account_ends_friendships_by_a_budget_of_its_own() {
        let mut changes = Changes::new(SipKey::new([3; 16]));
        let mut end = |account, now_ms| changes.endings.take(&name(account), 1, now_ms);
        assert!((0..16).all(|_| end(1, 1).is_ok()));
        assert_eq!(end(1, 1), Err(30));
        assert!(end(2, 1).is_ok(), "another account has its own");
        assert!(end(1, 30_001).is_ok() && end(1, 30_001).is_err());
        assert!(changes.places.take(&name(1), 3, 30_001).is_ok(), "another budget");
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
        assert_eq!(budgets.take(&name(1), from, 58_905), Err(2), "rounded up");
        assert!(budgets.take(&name(1), from, 60_005).is_ok());
        assert!(budgets.take(&name(2), from, 5).is_ok(), "another account has its own");
    }
}
