//! What has been taken back, in order, and how far each host has come with it.
//!
//! * An entry is in the store before it is here. It is dropped after 12 minutes, when everything minted before it is over, but
//!   not before every host of its reflector has it: where it was never in force, rights are renewed without end.
//! * An acknowledgement covers a number and everything before it. A host that has restarted is sent everything again.
//! * Which host has acknowledged what is memory alone: after a restart of this server, all of them are sent everything.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use wire::json::name::ReflectorName;
use wire::json::revocations::SubjectJson;

/// Something that is taken back at every host of a reflector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Its place in the order; 0 until it has one.
    #[serde(skip)]
    pub number: u64,
    /// The reflector that is to refuse it.
    pub reflector: ReflectorName,
    /// The address or pair that is refused.
    pub subject: SubjectJson,
    /// When, unix seconds.
    pub at_s: u32,
}

/// An admin listener of a reflector.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host {
    /// The reflector that it belongs to.
    pub reflector: ReflectorName,
    /// Where, as the configuration has it.
    pub url: String,
}

/// What is to be sent to a host now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// The host that it goes to.
    pub host: Host,
    /// Oldest first. An empty parcel only asks the host whether it has restarted.
    pub entries: Vec<Revocation>,
    /// Up to this number, the host has had them before.
    pub known: u64,
}

/// How a host stands, for an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRow {
    /// The reflector that the host belongs to.
    pub reflector: ReflectorName,
    /// The URL of its admin listener.
    pub url: String,
    /// Entries that concern it.
    pub entries: usize,
    /// Those that it has not acknowledged.
    pub waiting: usize,
    /// Why the last try failed; none if it did not.
    pub error: Option<String>,
}

/// How far a change has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Entries of the change.
    pub entries: usize,
    /// Hosts that have all of it.
    pub done: usize,
    /// Hosts that have not.
    pub lacking: Vec<HostRow>,
    /// Reflectors concerned of which no host can be told.
    pub untold: Vec<ReflectorName>,
}

/// The entries and the hosts.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    /// Grows with every change, for those who wait.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    entries: VecDeque<Revocation>,
    hosts: BTreeMap<Host, Standing>,
}

#[derive(Clone, Debug, Default)]
struct Standing {
    acknowledged: u64,
    /// The same, also of the starts before.
    known: u64,
    start_id: Option<String>,
    error: Option<String>,
    is_busy: bool,
    /// Not before this, ms since boot.
    next_ms: u64,
}

impl Outbox {
    /// An outbox of these entries, in order of their numbers.
    pub fn new(entries: Vec<Revocation>) -> Self {
        let last = entries.last().map_or(0, |entry| entry.number);
        let state = State { last, entries: entries.into(), hosts: BTreeMap::new() };
        Self { state: Mutex::new(state), changes: watch::Sender::new(0) }
    }

    /// Numbers entries consecutively. The caller holds the write lock until they are put in or dropped.
    pub fn number(&self, entries: &mut [Revocation]) {
        let last = self.lock().last;
        entries.iter_mut().zip(last + 1..).for_each(|(entry, number)| entry.number = number);
    }

    /// Puts numbered entries in, and says which numbers those are.
    pub fn put(&self, entries: Vec<Revocation>) -> Range<u64> {
        let mut state = self.lock();
        let first = state.last + 1;
        state.last = entries.last().map_or(state.last, |entry| entry.number);
        let numbers = first..state.last + 1;
        state.entries.extend(entries);
        drop(state);
        self.tell();
        numbers
    }

    /// Takes over which hosts there are.
    pub fn keep(&self, hosts: &[Host]) {
        let mut state = self.lock();
        state.hosts.retain(|host, _| hosts.contains(host));
        for host in hosts {
            state.hosts.entry(host.clone()).or_default();
        }
    }

    /// Drops what is over, and says which numbers that were. When there is more than a reflector holds, the oldest go too.
    pub fn drop_old(&self, now_s: u32) -> Vec<u64> {
        let mut state = self.lock();
        let State { entries, hosts, .. } = &mut *state;
        let surplus = entries.len().saturating_sub(MOST_HELD);
        let mut dropped: Vec<u64> = entries.drain(..surplus).map(|entry| entry.number).collect();
        let lacks = |entry: &Revocation| {
            let mut theirs = hosts.iter().filter(|(host, _)| host.reflector == entry.reflector);
            theirs.any(|(_, standing)| standing.acknowledged < entry.number)
        };
        entries.retain(|entry| {
            let stays = now_s.saturating_sub(entry.at_s) < STAY_S || lacks(entry);
            if !stays {
                dropped.push(entry.number);
            }
            stays
        });
        dropped
    }

    /// What is to be sent now. Each of these hosts is busy until [`Outbox::note`] is called for it.
    pub fn due(&self, now_ms: u64) -> Vec<Parcel> {
        let mut state = self.lock();
        let State { entries, hosts, .. } = &mut *state;
        let mut parcels = Vec::new();
        for (host, standing) in hosts {
            let mut all = entries.iter().filter(|entry| entry.reflector == host.reflector).peekable();
            if standing.is_busy || all.peek().is_none() {
                continue;
            }
            let waits = |entry: &&Revocation| entry.number > standing.acknowledged;
            let waiting: Vec<Revocation> = all.filter(waits).take(MOST_ENTRIES).cloned().collect();
            // New entries go out at once, unless the last try failed.
            if now_ms < standing.next_ms && (waiting.is_empty() || standing.error.is_some()) {
                continue;
            }
            standing.is_busy = true;
            parcels.push(Parcel { host: host.clone(), entries: waiting, known: standing.known });
        }
        parcels
    }

    /// What came of a parcel: the host's start id, or why there is none.
    pub fn note(&self, parcel: &Parcel, outcome: Result<String, String>, now_ms: u64) {
        let mut state = self.lock();
        let Some(standing) = state.hosts.get_mut(&parcel.host) else { return };
        standing.is_busy = false;
        standing.next_ms = now_ms + EVERY_MS;
        match outcome {
            Ok(start_id) => {
                let is_new =
                    standing.start_id.replace(start_id.clone()).is_some_and(|known| known != start_id);
                let last = parcel.entries.last().map_or(0, |entry| entry.number);
                standing.known = standing.known.max(last);
                standing.acknowledged = if is_new { 0 } else { standing.acknowledged.max(last) };
                standing.error = None;
            }
            Err(error) => {
                standing.error = Some(error);
                standing.next_ms = now_ms + RETRY_MS;
            }
        }
        drop(state);
        self.tell();
    }

    /// How every host stands.
    pub fn rows(&self) -> Vec<HostRow> {
        let state = self.lock();
        state.hosts.iter().map(|(host, standing)| row(host, standing, state.entries.iter())).collect()
    }

    /// How many entries are held.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How far the entries of these numbers have come.
    pub fn progress(&self, numbers: &Range<u64>) -> Progress {
        let state = self.lock();
        let ours = || state.entries.iter().filter(|entry| numbers.contains(&entry.number));
        let concerned: BTreeSet<&ReflectorName> = ours().map(|entry| &entry.reflector).collect();
        let rows = state.hosts.iter().filter(|(host, _)| concerned.contains(&host.reflector));
        let (lacking, done): (Vec<HostRow>, Vec<HostRow>) =
            rows.map(|(host, standing)| row(host, standing, ours())).partition(|row| row.waiting > 0);
        let told = |name: &ReflectorName| state.hosts.keys().any(|host| host.reflector == *name);
        Progress {
            entries: ours().count(),
            done: done.len(),
            lacking,
            untold: concerned.into_iter().filter(|name| !told(name)).cloned().collect(),
        }
    }

    /// Waits until every host that can be told has the entries of these numbers, but not for longer than this.
    pub async fn wait(&self, numbers: &Range<u64>, patience: Duration) -> Progress {
        let mut changes = self.changes.subscribe();
        let told = async {
            // The sender is part of this outbox, so a change always comes or time runs out.
            while !self.progress(numbers).lacking.is_empty() && changes.changed().await.is_ok() {}
        };
        // How far it came is looked up below, also if time ran out.
        let _ = tokio::time::timeout(patience, told).await;
        self.progress(numbers)
    }

    /// A receiver that hears of every change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn tell(&self) {
        self.changes.send_modify(|number| *number += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn row<'a>(host: &Host, standing: &Standing, entries: impl Iterator<Item = &'a Revocation>) -> HostRow {
    let mut row = HostRow {
        reflector: host.reflector.clone(),
        url: host.url.clone(),
        entries: 0,
        waiting: 0,
        error: standing.error.clone(),
    };
    for entry in entries.filter(|entry| entry.reflector == host.reflector) {
        row.entries += 1;
        row.waiting += usize::from(entry.number > standing.acknowledged);
    }
    row
}

/// How long a reflector keeps a revocation, s: longer than anything minted before it lives.
pub const STAY_S: u32 = 720;
/// Entries held at most: as many as a reflector's table has.
const MOST_HELD: usize = 65_536;
/// Entries sent at once.
const MOST_ENTRIES: usize = 4_096;
/// How often a host is asked whether it has restarted, while there is something that it should have.
const EVERY_MS: u64 = 5_000;
/// The pause after a failure.
const RETRY_MS: u64 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64, reflector: &str, at_s: u32) -> Revocation {
        let subject = SubjectJson::parse(&[format!("198.51.100.7:{}", 2_000 + number)]).unwrap();
        Revocation { number, reflector: reflector.parse().unwrap(), subject, at_s }
    }

    fn host(reflector: &str, url: &str) -> Host {
        Host { reflector: reflector.parse().unwrap(), url: String::from(url) }
    }

    fn numbers(parcels: &[Parcel]) -> Vec<(&str, Vec<u64>)> {
        let of = |parcel: &Parcel| parcel.entries.iter().map(|entry| entry.number).collect();
        parcels.iter().map(|parcel| (parcel.host.url.as_str(), of(parcel))).collect()
    }

    #[test]
    fn every_host_of_the_reflector_is_sent_everything_until_it_acknowledges() {
        let outbox = Outbox::new(vec![entry(7, "fra1", 100)]);
        outbox.keep(&[host("fra1", "a"), host("fra1", "b"), host("sin1", "c")]);
        let parcels = outbox.due(0);
        assert_eq!(numbers(&parcels), [("a", vec![7]), ("b", vec![7])]);
        assert!(outbox.due(0).is_empty(), "both are busy");
        outbox.note(&parcels[0], Ok(String::from("1")), 0);
        outbox.note(&parcels[1], Err(String::from("refused")), 0);
        assert!(outbox.due(RETRY_MS - 1).is_empty(), "a pause after a failure");
        assert_eq!(numbers(&outbox.due(RETRY_MS)), [("b", vec![7])]);
        let progress = outbox.progress(&(7..8));
        assert_eq!((progress.done, progress.lacking.len(), progress.untold.len()), (1, 1, 0));
        assert_eq!(progress.lacking[0].error.as_deref(), Some("refused"));
    }

    #[test]
    fn new_entries_go_out_at_once_and_a_host_that_restarted_gets_all_again() {
        let outbox = Outbox::new(Vec::new());
        outbox.keep(&[host("fra1", "a")]);
        assert!(outbox.due(0).is_empty(), "nothing that anybody should have");
        let mut entries = vec![entry(0, "fra1", 100), entry(0, "sin1", 100), entry(0, "fra1", 100)];
        outbox.number(&mut entries);
        let put = outbox.put(entries);
        assert_eq!(put, 1..4);
        let first = outbox.due(0);
        assert_eq!(numbers(&first), [("a", vec![1, 3])]);
        outbox.note(&first[0], Ok(String::from("1")), 0);
        assert!(outbox.progress(&put).lacking.is_empty());
        let untold: Vec<ReflectorName> = vec!["sin1".parse().unwrap()];
        assert_eq!(outbox.progress(&put).untold, untold, "no host of it is known");
        let asked = outbox.due(EVERY_MS);
        assert_eq!(numbers(&asked), [("a", vec![])]);
        outbox.note(&asked[0], Ok(String::from("2")), EVERY_MS);
        let again = outbox.due(2 * EVERY_MS);
        assert_eq!((numbers(&again), again[0].known), (vec![("a", vec![1, 3])], 3));
    }

    #[test]
    fn entries_are_dropped_when_the_reflectors_drop_them() {
        let outbox = Outbox::new(vec![entry(1, "fra1", 100), entry(2, "sin1", 100), entry(3, "fra1", 101)]);
        outbox.keep(&[host("fra1", "a")]);
        assert_eq!(outbox.drop_old(99 + STAY_S), [0; 0]);
        assert_eq!(outbox.drop_old(100 + STAY_S), [2], "nobody can be told of it");
        assert_eq!(outbox.drop_old(1_000 + STAY_S), [0; 0], "a host has not heard of them");
        let parcels = outbox.due(0);
        outbox.note(&parcels[0], Ok(String::from("1")), 0);
        assert_eq!(outbox.drop_old(100 + STAY_S), [1]);
        assert_eq!(outbox.len(), 1);
        let mut more = [entry(0, "fra1", 900)];
        outbox.number(&mut more);
        assert_eq!(more[0].number, 4);
    }
}
