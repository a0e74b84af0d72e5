//! What datagrams carry: kinds of flows, each with its sizes, its pace and its trains.
//!
//! ```text
//!   168     one size, flows share --rate         voice   160 B at 50/s a flow        game   80 B at 30/s a flow
//!   video   30 trains of 8 x 1,200 B a second    FILE    [[flow]] share, rate, train, bytes or sizes
//! ```
//!
//! * Where flows have a pace, as many of them talk as `--rate` needs; without `--rate` all do.
//! * What is no such file is refused with what would be right.
//! * Pure: text in, kinds out; drawing takes its randomness as an argument.

use crate::error::Error;
use crate::load::shape::profile::told;
use crate::random::Random;
use crate::units;
use results::stream::Stream;
use serde::Deserialize;
use std::path::PathBuf;
use std::str::FromStr;

/// Everything that a run's datagrams carry.
#[derive(Clone, Debug, PartialEq)]
pub struct Payload {
    /// As `--payload` reads it.
    pub text: String,
    /// At least one.
    pub kinds: Vec<Kind>,
}

/// One kind of flows.
#[derive(Clone, Debug, PartialEq)]
pub struct Kind {
    /// The part of all flows that are of it.
    pub share: f64,
    /// Datagrams per second of one flow; `None`: flows share the run's rate.
    pub flow_per_s: Option<f64>,
    /// Datagrams that leave together.
    pub train: u32,
    /// Their sizes.
    pub sizes: Sizes,
}

impl Payload {
    /// One size, no pace.
    pub fn fixed(bytes: usize) -> Self {
        Self { text: bytes.to_string(), kinds: vec![Kind::of(1.0, None, 1, bytes)] }
    }

    /// What was typed, if no file has to be read for it.
    pub fn named(form: &Form) -> Option<Self> {
        let paced = |stream: Stream| Self {
            text: stream.name.to_owned(),
            kinds: vec![Kind::of(1.0, Some(stream.rate_per_s), stream.train, stream.payload_bytes.into())],
        };
        match form {
            Form::Fixed(bytes) => Some(Self::fixed(*bytes)),
            Form::Voice => Some(paced(Stream::VOICE)),
            Form::Video => Some(paced(Stream::VIDEO)),
            Form::Game => Some(paced(Stream::GAME)),
            Form::File(_) => None,
        }
    }

    /// Reads a file's kinds of flows.
    ///
    /// # Errors
    /// What is wrong, with its place, and what would be right.
    pub fn parse(name: String, text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| told(text, &error))?;
        if file.flow.is_empty() || file.flow.len() > MOST_KINDS {
            return Err(format!("{} [[flow]], where 1 to {MOST_KINDS} make a payload", file.flow.len()));
        }
        let mut kinds = Vec::with_capacity(file.flow.len());
        for (flow, number) in file.flow.iter().zip(1..) {
            let kind = flow.kind(file.flow.len()).map_err(|what| format!("flow {number}: {what}"))?;
            kinds.push(kind);
        }
        let sum: f64 = kinds.iter().map(|kind| kind.share).sum();
        if (sum - 1.0).abs() > 1e-6 {
            return Err(format!("the shares of flows sum to {:.2}%, not to 100%", sum * 100.0));
        }
        Ok(Self { text: name, kinds })
    }

    /// Bytes of the longest.
    pub fn longest(&self) -> usize {
        self.kinds.iter().map(|kind| kind.sizes.longest()).max().unwrap_or(0)
    }

    /// Bytes of the shortest.
    pub fn shortest(&self) -> usize {
        self.kinds.iter().map(|kind| kind.sizes.shortest()).min().unwrap_or(0)
    }

    /// Bytes of the mean datagram.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A mean of sizes.
    pub fn mean(&self) -> u32 {
        let bytes: f64 = self.kinds.iter().map(|kind| kind.weight() * kind.sizes.mean()).sum();
        let weights: f64 = self.kinds.iter().map(Kind::weight).sum();
        if weights > 0.0 { (bytes / weights).round() as u32 } else { 0 }
    }

    /// Datagrams per second of the mean flow; `None` where flows have no pace of their own.
    pub fn flow_per_s(&self) -> Option<f64> {
        self.kinds.iter().map(|kind| kind.flow_per_s.map(|rate| rate * kind.share)).sum()
    }

    /// How many flows of each kind talk, of so many pairs at so high a rate, which they then have together.
    ///
    /// # Errors
    /// There are fewer pairs than that rate needs.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Flows up to the number of pairs.
    pub fn flows(&self, pairs: u64, rate_per_s: u64, even: bool) -> Result<Vec<u64>, Error> {
        let Some(flow_per_s) = self.flow_per_s() else { return Ok(vec![pairs]) };
        let wanted = as_f64(rate_per_s) / flow_per_s;
        if wanted > as_f64(pairs) + 0.5 {
            let most = (as_f64(pairs) * flow_per_s).floor();
            return Err(Error::Usage(format!(
                "--rate {rate_per_s}: {pairs} pairs of --payload {} send {most} a second; lower it, or choose more --endpoints",
                self.text
            )));
        }
        let step: u32 = if even { 2 } else { 1 };
        let of_kind = |kind: &Kind| {
            let exact = (wanted * kind.share / f64::from(step)).round() as u64 * u64::from(step);
            exact.max(u64::from(step))
        };
        let mut flows: Vec<u64> = self.kinds.iter().map(of_kind).collect();
        // Rounding may want a flow or two more than there are.
        while flows.iter().sum::<u64>() > pairs {
            match flows.iter_mut().max() {
                Some(most) if *most > u64::from(step) => *most -= u64::from(step),
                _ => break,
            }
        }
        Ok(flows)
    }

    /// The part of all datagrams that are of each kind.
    pub fn rate_shares(&self) -> Vec<f64> {
        let all: f64 = self.kinds.iter().map(Kind::weight).sum();
        self.kinds.iter().map(|kind| kind.weight() / all.max(f64::MIN_POSITIVE)).collect()
    }
}

impl Kind {
    fn of(share: f64, flow_per_s: Option<f64>, train: u32, bytes: usize) -> Self {
        Self { share, flow_per_s, train, sizes: Sizes { parts: vec![(bytes, EVERY)] } }
    }

    fn weight(&self) -> f64 {
        self.share * self.flow_per_s.unwrap_or(1.0)
    }
}

/// Sizes and how often each comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes, and the sum of shares up to and including them in parts of 2^32.
    parts: Vec<(usize, u64)>,
}

impl Sizes {
    /// Draws a size, bytes; one size takes no draw.
    #[inline]
    pub fn draw(&self, random: &mut Random) -> usize {
        if let [(bytes, _)] = self.parts.as_slice() {
            return *bytes;
        }
        let drawn = random.next_u64() >> 32;
        let part = self.parts.iter().find(|(_, limit)| drawn < *limit).or(self.parts.last());
        part.map_or(0, |(bytes, _)| *bytes)
    }

    /// The one size, if there is only one.
    pub fn only(&self) -> Option<usize> {
        if let [(bytes, _)] = self.parts.as_slice() { Some(*bytes) } else { None }
    }

    fn longest(&self) -> usize {
        self.parts.iter().map(|(bytes, _)| *bytes).max().unwrap_or(0)
    }

    fn shortest(&self) -> usize {
        self.parts.iter().map(|(bytes, _)| *bytes).min().unwrap_or(0)
    }

    fn mean(&self) -> f64 {
        let mut below = 0;
        let mut sum = 0.0;
        for (bytes, limit) in &self.parts {
            sum += as_f64(*bytes as u64) * as_f64(limit.saturating_sub(below)) / as_f64(EVERY);
            below = *limit;
        }
        sum
    }
}

/// What was typed for a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// So many bytes.
    Fixed(usize),
    /// A call.
    Voice,
    /// A picture, in trains.
    Video,
    /// The state of a game.
    Game,
    /// Kinds of a file.
    File(PathBuf),
}

impl FromStr for Form {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "voice" => Ok(Self::Voice),
            "video" => Ok(Self::Video),
            "game" => Ok(Self::Game),
            path if path.contains(['/', '.']) && units::count(path).is_err() => {
                Ok(Self::File(PathBuf::from(path)))
            }
            _ => units::count(text)
                .map(|bytes| Self::Fixed(usize::try_from(bytes).unwrap_or(usize::MAX)))
                .map_err(|_| {
                    let shown = units::quote(text);
                    Error::Usage(format!(
                        "{shown} is no number of bytes such as 168, nor voice, video, game or a file such as ./mix.toml"
                    ))
                }),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    flow: Vec<Flow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Flow {
    share: Option<String>,
    rate: Option<f64>,
    train: Option<u32>,
    bytes: Option<usize>,
    sizes: Option<Vec<Size>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Size {
    bytes: usize,
    share: String,
}

impl Flow {
    fn kind(&self, kinds: usize) -> Result<Kind, String> {
        let share = match &self.share {
            Some(text) => units::percentage(text).map_err(|error| format!("share = {error}"))?,
            None if kinds == 1 => 1.0,
            None => return Err("share = the part of all flows, such as \"60%\", is missing".to_owned()),
        };
        if self.rate.is_none() && kinds > 1 {
            return Err("rate = datagrams per second of one flow, such as 50, is missing".to_owned());
        }
        if self.rate.is_some_and(|rate| !(MIN_FLOW_PER_S..=MAX_FLOW_PER_S).contains(&rate)) {
            return Err(format!(
                "rate = {MIN_FLOW_PER_S} to {MAX_FLOW_PER_S} datagrams per second of one flow"
            ));
        }
        let train = self.train.unwrap_or(1);
        if !(1..=MAX_TRAIN).contains(&train) {
            return Err(format!("train = 1 to {MAX_TRAIN} datagrams that leave together"));
        }
        let parts = match (&self.bytes, &self.sizes) {
            (Some(bytes), None) => vec![(*bytes, EVERY)],
            (None, Some(sizes)) => read_sizes(sizes)?,
            _ => {
                return Err("bytes = one size, or sizes = [{ bytes = 160, share = \"90%\" }, ...]".to_owned());
            }
        };
        Ok(Kind { share, flow_per_s: self.rate, train, sizes: Sizes { parts } })
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 2^32.
fn read_sizes(sizes: &[Size]) -> Result<Vec<(usize, u64)>, String> {
    let mut sum = 0.0;
    let mut parts = Vec::with_capacity(sizes.len());
    for size in sizes {
        sum += units::percentage(&size.share).map_err(|error| format!("sizes: share = {error}"))?;
        parts.push((size.bytes, (sum * as_f64(EVERY)).round() as u64));
    }
    if (sum - 1.0).abs() > 1e-6 {
        return Err(format!("the shares of sizes sum to {:.2}%, not to 100%", sum * 100.0));
    }
    Ok(parts)
}

#[allow(clippy::cast_precision_loss)] // Rates and counts of flows fit into 53 bits.
fn as_f64(count: u64) -> f64 {
    count as f64
}

const EVERY: u64 = 1 << 32;
/// A worker looks at each kind for every datagram.
const MOST_KINDS: usize = 8;
const MAX_TRAIN: u32 = 1_000;
const MIN_FLOW_PER_S: f64 = 0.001;
const MAX_FLOW_PER_S: f64 = 1e6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_they_say() {
        let of = |text: &str| Payload::named(&text.parse().unwrap()).unwrap();
        let shape = |text: &str| {
            let payload = of(text);
            (payload.longest(), payload.flow_per_s(), payload.kinds[0].train, payload.mean())
        };
        assert_eq!(shape("168"), (168, None, 1, 168));
        assert_eq!(shape("voice"), (160, Some(50.0), 1, 160));
        assert_eq!(shape("video"), (1_200, Some(240.0), 8, 1_200));
        assert_eq!(shape("game"), (80, Some(30.0), 1, 80));
        assert_eq!("./x.toml".parse::<Form>(), Ok(Form::File("./x.toml".into())));
        for text in ["music", "", "-1", "12x"] {
            assert!(text.parse::<Form>().unwrap_err().to_string().contains("voice, video, game"), "{text}");
        }
    }

    #[test]
    fn as_many_flows_talk_as_the_rate_needs() {
        let voice = Payload::named(&Form::Voice).unwrap();
        assert_eq!(voice.flows(10_000, 100_000, false).unwrap(), [2_000]);
        assert_eq!(voice.flows(10_000, 500_000, false).unwrap(), [10_000]);
        let error = voice.flows(10_000, 600_000, false).unwrap_err().to_string();
        assert!(error.contains("send 500000 a second"), "{error}");
        assert_eq!(Payload::fixed(168).flows(77, 1, false).unwrap(), [77]);
        let mix = Payload::parse("m".to_owned(), MIX).unwrap();
        // 0.5 x 50 + 0.25 x 30 + 0.25 x 240 = 92.5 a flow.
        assert!((mix.flow_per_s().unwrap() - 92.5).abs() < 1e-9);
        assert_eq!(mix.flows(100_000, 92_500, false).unwrap(), [500, 250, 250]);
        assert_eq!(mix.flows(3, 250, false).unwrap().iter().sum::<u64>(), 3);
        assert!(mix.flows(1_000, 9_250, true).unwrap().iter().all(|flows| flows % 2 == 0));
        let shares = mix.rate_shares();
        assert!((shares[0] - 25.0 / 92.5).abs() < 1e-9 && (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }

    const MIX: &str = "[[flow]]\nshare = \"50%\"\nrate = 50\nbytes = 160\n\
                       [[flow]]\nshare = \"25%\"\nrate = 30.0\nsizes = [{ bytes = 80, share = \"90%\" }, { bytes = 400, share = \"10%\" }]\n\
                       [[flow]]\nshare = \"25%\"\nrate = 240\ntrain = 8\nbytes = 1200\n";

    #[test]
    fn sizes_come_as_often_as_asked_for() {
        let mix = Payload::parse("m".to_owned(), MIX).unwrap();
        assert_eq!((mix.longest(), mix.shortest()), (1_200, 80));
        let (sizes, mut random) = (&mix.kinds[1].sizes, Random::new(1, 1));
        let long = (0..100_000).filter(|_| sizes.draw(&mut random) == 400).count();
        // Five standard deviations of a binomial.
        assert!(long.abs_diff(10_000) < 475, "{long}");
        assert!((sizes.mean() - 112.0).abs() < 0.001, "{}", sizes.mean());
        assert_eq!((sizes.only(), mix.kinds[0].sizes.only()), (None, Some(160)));
    }

    #[test]
    fn every_mistake_is_named() {
        let cases = [
            ("", "0 [[flow]]"),
            ("[[flow]]\nshare = \"100%\"", "bytes = one size"),
            ("[[flow]]\nbytes = 80\nsizes = []", "bytes = one size"),
            ("[[flow]]\nsizes = [{ bytes = 80, share = \"90%\" }]", "sum to 90.00%"),
            ("[[flow]]\nshare = \"90%\"\nbytes = 80", "flows sum to 90.00%"),
            (
                "[[flow]]\nshare = \"50%\"\nbytes = 80\n[[flow]]\nshare = \"50%\"\nbytes = 90",
                "flow 1: rate =",
            ),
            ("[[flow]]\nbytes = 80\nrate = 9\n[[flow]]\nbytes = 90\nrate = 9", "flow 1: share ="),
            ("[[flow]]\nbytes = 80\ntrain = 0", "train = 1 to"),
            ("[[flow]]\nbytes = 80\nrate = -1.0", "rate = 0.001 to"),
            ("[[flow]]\nbyte = 80", "line 2: unknown field `byte`"),
            ("flow", "line 1"),
        ];
        for (text, right) in cases {
            let error = Payload::parse("m".to_owned(), text).unwrap_err();
            assert!(error.contains(right) && !error.contains('\n'), "{text:?}: {error}");
        }
        let many = "[[flow]]\nshare = \"10%\"\nbytes = 80\nrate = 1\n".repeat(10);
        assert!(Payload::parse("m".to_owned(), &many).unwrap_err().contains("10 [[flow]]"));
    }
}
