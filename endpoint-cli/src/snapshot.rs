//! What `status` and `watch` show: one endpoint at one moment, as JSON and as a table.
//!
//! * A buddy with several devices has a line for each; one that has not agreed yet has a line without a path.
//! * What came from others is shown without its control characters.

use endpoint::{Endpoint, Path, PeerReport, Why};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};
use wire::json::name::{AccountName, ReflectorName};
use wire::json::nat::NatJson;
use wire::json::profile::BuddyState;

/// An endpoint at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The own account; nothing before the first login.
    pub account: Option<AccountName>,
    /// The own NAT.
    pub nat: NatJson,
    /// Whether the own address is hidden from buddies.
    #[serde(default)]
    pub hidden: bool,
    /// The own contacts.
    pub contacts: Vec<ContactLine>,
    /// Everybody in the profile.
    pub buddies: Vec<BuddyLine>,
    /// Why the access server could last not be asked, if it could not.
    pub access_failure: Option<String>,
}

/// The own contact at one reflector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactLine {
    /// The reflector.
    pub reflector: ReflectorName,
    /// Where it is.
    pub address: SocketAddr,
    /// The own address, as it sees it.
    pub observed: Option<SocketAddr>,
    /// Whether it answers.
    pub answers: bool,
    /// Round trip.
    pub rtt_us: u64,
}

/// A buddy's device, or a buddy without any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuddyLine {
    /// Whose.
    pub account: AccountName,
    /// What its owner calls the device.
    pub device: Option<String>,
    /// How far the friendship got.
    pub state: BuddyState,
    /// Whether it is there.
    pub online: bool,
    /// Its NAT.
    pub nat: Option<NatJson>,
    /// `direct`, `reflected`, `sealed` or nothing.
    pub path: Option<PathWord>,
    /// Where datagrams go: the peer, or the reflector.
    pub to: Option<SocketAddr>,
    /// Why that way.
    pub why: Option<Why>,
    /// Seconds until the header in use ends.
    pub expires_in_s: Option<i64>,
    /// Seconds since the device was last heard.
    pub heard_ago_s: Option<u64>,
    /// Round trip.
    pub rtt_us: Option<u64>,
    /// Challenges that were not answered, in percent.
    pub loss_percent: Option<u64>,
    /// Bytes of the largest datagram.
    pub largest: Option<usize>,
}

/// A path in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathWord {
    /// From host to host.
    Direct,
    /// Through a reflector.
    Reflected,
    /// Through a reflector, under a header that only the reflector can read.
    Sealed,
}

impl Snapshot {
    /// How an endpoint is now.
    #[must_use]
    pub fn of(endpoint: &Endpoint) -> Self {
        let contacts = endpoint.contacts().into_iter().map(|it| ContactLine {
            reflector: it.reflector,
            address: it.address,
            observed: it.observed,
            answers: it.lives,
            rtt_us: it.rtt_us,
        });
        let profile = endpoint.profile();
        let mut buddies = Vec::new();
        for buddy in profile.iter().flat_map(|profile| &profile.buddies) {
            let bare = BuddyLine::bare(buddy.account.clone(), buddy.state);
            buddies.extend(buddy.devices.is_empty().then(|| bare.clone()));
            for device in &buddy.devices {
                let mut line = bare.clone();
                line.device = device.name.clone();
                if let Some(report) = endpoint.report_of(device.noise_key.0.0) {
                    line.fill(&report);
                }
                buddies.push(line);
            }
        }
        Self {
            account: profile.map(|profile| profile.account),
            nat: NatJson(endpoint.behaviour()),
            hidden: endpoint.is_hidden(),
            contacts: contacts.collect(),
            buddies,
            access_failure: endpoint.access_failure(),
        }
    }

    /// Only what concerns one buddy.
    #[must_use]
    pub fn only(mut self, account: &AccountName) -> Self {
        self.buddies.retain(|line| line.account == *account);
        self
    }
}

impl BuddyLine {
    fn bare(account: AccountName, state: BuddyState) -> Self {
        Self {
            account,
            device: None,
            state,
            online: false,
            nat: None,
            path: None,
            to: None,
            why: None,
            expires_in_s: None,
            heard_ago_s: None,
            rtt_us: None,
            loss_percent: None,
            largest: None,
        }
    }

    fn fill(&mut self, report: &PeerReport) {
        self.online = report.online;
        self.heard_ago_s = report.heard_ago_us.map(|ago_us| ago_us / 1_000_000);
        if !report.online {
            return;
        }
        self.rtt_us = report.rtt_us;
        let lost = report.counts.challenged.saturating_sub(report.counts.answered);
        self.loss_percent = (lost * 100).checked_div(report.counts.challenged);
        self.nat = report.behaviour.map(NatJson);
        (self.path, self.to) = match report.path {
            Path::Direct(address) => (Some(PathWord::Direct), Some(address)),
            Path::Reflected(address) if report.sealed => (Some(PathWord::Sealed), Some(address)),
            Path::Reflected(address) => (Some(PathWord::Reflected), Some(address)),
            Path::Unknown => (None, None),
        };
        self.why = Some(report.why);
        self.expires_in_s = report.expires_s.map(|expires_s| i64::from(expires_s) - unix_s());
        self.largest = Some(report.max_datagram_size);
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.account {
            Some(account) => write!(f, "{account}, behind {}", self.nat)?,
            None => write!(f, "not logged in, behind {}", self.nat)?,
        }
        for contact in &self.contacts {
            match (contact.observed, contact.answers) {
                (Some(observed), true) => {
                    write!(f, ", {observed} at {} ({})", contact.reflector, millis(contact.rtt_us))?;
                }
                _ => write!(f, ", no answer from {}", contact.reflector)?,
            }
        }
        if self.hidden {
            write!(f, ", hidden from buddies")?;
        }
        writeln!(f)?;
        if let Some(reason) = &self.access_failure {
            writeln!(f, "{}", plain(reason))?;
        }
        if self.buddies.is_empty() {
            return writeln!(f, "no buddies yet");
        }
        writeln!(
            f,
            "\n{:<16} {:<8} {:<10} {:<10} {:<24} {:>9} {:>6} {:>5} {:>7} {:>7}  WHY",
            "BUDDY", "STATUS", "NAT", "PATH", "TO", "RTT", "HEARD", "LOSS", "EXPIRES", "LARGEST"
        )?;
        self.buddies.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl fmt::Display for BuddyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.device {
            Some(device) => format!("{} ({})", self.account, plain(device)),
            None => self.account.to_string(),
        };
        let status = match self.state {
            BuddyState::Asked => "asked",
            BuddyState::AskedBy => "asks you",
            BuddyState::Agreed if self.online => "online",
            BuddyState::Agreed => "offline",
        };
        let path = match self.path {
            Some(PathWord::Direct) => "direct",
            Some(PathWord::Reflected) => "reflected",
            Some(PathWord::Sealed) => "sealed",
            None => "-",
        };
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| String::from("-"));
        write!(
            f,
            "{name:<16} {status:<8} {:<10} {path:<10} {:<24} {:>9} {:>6} {:>5} {:>7} {:>7}  {}",
            or_dash(self.nat.map(|nat| nat.to_string())),
            or_dash(self.to.map(|to| to.to_string())),
            or_dash(self.rtt_us.map(millis)),
            or_dash(self.heard_ago_s.map(|ago_s| format!("{ago_s} s"))),
            or_dash(self.loss_percent.map(|percent| format!("{percent} %"))),
            or_dash(self.expires_in_s.map(|in_s| format!("{in_s} s"))),
            or_dash(self.largest.map(|bytes| format!("{bytes} B"))),
            or_dash(self.why.map(|why| why.to_string())),
        )
    }
}

/// A text without what could play tricks on a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn millis(us: u64) -> String {
    format!("{}.{} ms", us / 1000, us % 1000 / 100)
}

fn unix_s() -> i64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(unix.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_reads_well_and_shows_nothing_raw() {
        let mut bob = BuddyLine::bare("bob".parse().unwrap(), BuddyState::Agreed);
        bob.device = Some(String::from("lap\u{1b}[31mtop"));
        bob.online = true;
        bob.nat = Some(NatJson("eim/apdf".parse().unwrap()));
        (bob.path, bob.to) = (Some(PathWord::Reflected), Some("192.0.2.7:3478".parse().unwrap()));
        (bob.why, bob.rtt_us, bob.loss_percent) = (Some(Why::NoDirectPath), Some(41_250), Some(0));
        let eve = BuddyLine::bare("eve".parse().unwrap(), BuddyState::AskedBy);
        let snapshot = Snapshot {
            account: Some("alice".parse().unwrap()),
            nat: NatJson("apdm/apdf".parse().unwrap()),
            hidden: false,
            contacts: vec![ContactLine {
                reflector: "fra1".parse().unwrap(),
                address: "192.0.2.7:3478".parse().unwrap(),
                observed: Some("198.51.100.4:1024".parse().unwrap()),
                answers: true,
                rtt_us: 20_900,
            }],
            buddies: vec![bob, eve],
            access_failure: None,
        };
        let text = snapshot.to_string();
        assert!(text.starts_with("alice, behind apdm/apdf, 198.51.100.4:1024 at fra1 (20.9 ms)\n"), "{text}");
        assert!(
            text.contains("41.2 ms") && text.contains("the two NATs let nothing through directly"),
            "{text}"
        );
        assert!(text.contains("asks you") && !text.contains('\u{1b}'), "{text}");
        assert_eq!(text.lines().count(), 5);
        let json = serde_json::to_string(&snapshot).unwrap();
        assert_eq!(serde_json::from_str::<Snapshot>(&json).unwrap(), snapshot);
        assert_eq!(snapshot.only(&"eve".parse().unwrap()).buddies.len(), 1);
    }
}
