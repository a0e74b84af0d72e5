//! Who uses a relay tier and how: users online, what they send, behind which NATs.
//!
//! ```toml
//! users_online = 1_000_000
//! nat = "eim/eif=10%,eim/adf=20%,eim/apdf=50%,apdm/apdf=20%"
//! keepalive_s = 15
//! hostile = "0%"
//!
//! [[traffic]]
//! name = "voice"
//! active = "2%"          # of the users, at once
//! rate_per_s = 50        # datagrams that an active user sends
//! payload_bytes = 160
//! train = 1              # datagrams at once
//! relayed = "after-punch"  # what stays relayed after both have punched; or first: of first messages; or all
//! ```
//!
//! * An unknown or impossible value is named, with what would be right.

use anyhow::{Context, bail};
use nat::{Mix, reflected_share};
use results::stream::Stream;
use serde::Deserialize;

/// A population.
#[derive(Clone, Debug, PartialEq)]
pub struct Population {
    /// Users online.
    pub users_online: u64,
    /// Their NATs.
    pub nat: Mix,
    /// Between two PROBEs by which a user keeps its pinhole, s; 0: none.
    pub keepalive_s: f64,
    /// Part of what arrives that has a wrong tag.
    pub hostile: f64,
    /// What they send.
    pub traffic: Vec<Traffic>,
}

/// What a part of the users sends.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// Its name.
    pub name: String,
    /// The part of the users that is active at once.
    pub active: f64,
    /// Datagrams that an active user sends, per second.
    pub rate_per_s: f64,
    /// Bytes behind the header.
    pub payload_bytes: u32,
    /// Datagrams at once.
    pub train: u32,
    /// Which of it is relayed.
    pub relayed: Relayed,
}

/// Which part of some traffic a reflector relays, as the grid of NAT behaviours has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relayed {
    /// First messages: exchanges too short to punch.
    First,
    /// What is relayed for good after both have punched.
    AfterPunch,
    /// Everything.
    All,
}

impl Relayed {
    /// The part, for a mix.
    pub fn share(self, mix: &Mix) -> f64 {
        let share = reflected_share(mix);
        match self {
            Self::First => share.first,
            Self::AfterPunch => share.after_punch,
            Self::All => 1.0,
        }
    }

    /// It in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::First => "first messages",
            Self::AfterPunch => "what stays relayed after punching",
            Self::All => "everything",
        }
    }
}

impl Traffic {
    /// A preset by its name.
    ///
    /// # Errors
    /// There is no such preset; with those that there are.
    pub fn preset(name: &str) -> anyhow::Result<Self> {
        let of = |stream: Stream, active: f64, relayed: Relayed| Self {
            name: stream.name.to_owned(),
            active,
            rate_per_s: stream.rate_per_s,
            payload_bytes: stream.payload_bytes.into(),
            train: stream.train,
            relayed,
        };
        Ok(match name {
            // In a call of two.
            "voice" => of(Stream::VOICE, 0.02, Relayed::AfterPunch),
            "game" => of(Stream::GAME, 0.05, Relayed::AfterPunch),
            // From every device, too short to punch.
            "iot" => of(Stream::IOT, 1.0, Relayed::First),
            "file" => of(Stream::FILE, 0.001, Relayed::AfterPunch),
            other => bail!("no preset {other:?}; there are voice, game, iot and file"),
        })
    }

    fn fault(&self) -> Option<String> {
        let name = &self.name;
        if !(0.0..=1.0).contains(&self.active) {
            return Some(format!("{name}: active is a share of the users, 0% to 100%"));
        }
        if !(self.rate_per_s.is_finite() && self.rate_per_s >= 0.0) {
            return Some(format!("{name}: rate_per_s is a number of datagrams, 0 or more"));
        }
        (self.train == 0).then(|| format!("{name}: train is 1 or more datagrams"))
    }
}

impl Population {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong in it, with what would be right.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let file: File = toml::from_str(text).map_err(|error| anyhow::Error::msg(error.to_string()))?;
        let nat = file.nat.map_or(Ok(Mix::default()), |nat| nat.parse().context("nat"))?;
        let traffic = file.traffic.into_iter().map(|part| {
            let active = percent(&part.active).with_context(|| format!("{}: active", part.name))?;
            Ok(Traffic {
                name: part.name,
                active,
                rate_per_s: part.rate_per_s,
                payload_bytes: part.payload_bytes,
                train: part.train,
                relayed: part.relayed,
            })
        });
        let population = Self {
            users_online: file.users_online,
            nat,
            keepalive_s: file.keepalive_s,
            hostile: percent(&file.hostile).context("hostile")?,
            traffic: traffic.collect::<anyhow::Result<_>>()?,
        };
        population.checked()
    }

    /// It, if it can be.
    ///
    /// # Errors
    /// What is wrong, with what would be right.
    pub fn checked(self) -> anyhow::Result<Self> {
        if let Some(fault) = self.traffic.iter().find_map(Traffic::fault) {
            bail!("{fault}");
        }
        if self.traffic.is_empty() {
            bail!("nobody sends anything: name a --preset, or a [[traffic]] in the file");
        }
        if !(self.keepalive_s.is_finite() && self.keepalive_s >= 0.0) {
            bail!("keepalive_s is 0 (none) or a number of seconds, such as 15");
        }
        if !(0.0..1.0).contains(&self.hostile) {
            bail!("hostile is a share of what arrives, 0% to below 100%");
        }
        Ok(self)
    }
}

/// `2%` or `0.5%` as a fraction.
///
/// # Errors
/// Another form.
pub fn percent(text: &str) -> anyhow::Result<f64> {
    let number = text.trim().strip_suffix('%').and_then(|digits| digits.trim().parse::<f64>().ok());
    let within = number.filter(|percent| (0.0..=100.0).contains(percent));
    within
        .map(|percent| percent / 100.0)
        .with_context(|| format!("{text:?} is no share; write it such as 2%"))
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    users_online: u64,
    nat: Option<String>,
    #[serde(default = "usual_keepalive_s")]
    keepalive_s: f64,
    #[serde(default = "none")]
    hostile: String,
    traffic: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    name: String,
    active: String,
    rate_per_s: f64,
    payload_bytes: u32,
    #[serde(default = "single")]
    train: u32,
    relayed: Relayed,
}

fn usual_keepalive_s() -> f64 {
    15.0
}

fn none() -> String {
    "0%".to_owned()
}

fn single() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "users_online = 1_000_000\nhostile = \"5%\"\n[[traffic]]\nname = \"voice\"\nactive = \"2%\"\n\
                        rate_per_s = 50\npayload_bytes = 160\nrelayed = \"after-punch\"\n";

    #[test]
    fn a_file_becomes_a_population() {
        let population = Population::parse(FILE).unwrap();
        assert_eq!(
            (population.users_online, population.keepalive_s, population.hostile),
            (1_000_000, 15.0, 0.05)
        );
        assert_eq!(population.traffic, [Traffic::preset("voice").unwrap()]);
        assert!((Relayed::AfterPunch.share(&population.nat) - 0.24).abs() < 1e-9);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = [
            (FILE.replace("2%", "200%"), "voice: active"),
            (FILE.replace("\"2%\"", "\"2\""), "voice: active"),
            (FILE.replace("rate_per_s", "rate"), "unknown field"),
            (FILE.replace("= 50", "= -1"), "rate_per_s is a number"),
            (FILE.replace("after-punch", "sometimes"), "unknown variant"),
            (FILE.replace("users_online = 1_000_000", "users_online = 1\nnat = \"eim/eif=10%\""), "nat"),
            (FILE.replace("5%", "100%"), "hostile"),
            ("users_online = 1\ntraffic = []\n".to_owned(), "nobody sends anything"),
        ];
        for (text, words) in wrong {
            let error = format!("{:#}", Population::parse(&text).unwrap_err());
            assert!(error.contains(words), "{words}: {error}");
        }
        assert!(Traffic::preset("video").unwrap_err().to_string().contains("voice, game, iot and file"));
    }
}
