//! A population of NAT behaviours by percentages, and who of it gets which.
//!
//! * Shares are hundredths of a percent and always sum to 100 %.
//! * Printed in the order of [`Behaviour::ALL`]; what is printed reads back as the same mix.
//! * Assignment is deterministic and needs no total: among the first n hosts, for every n, the count of each behaviour
//!   is its exact part of n rounded down or up.

use crate::behaviour::Behaviour;
use crate::error::{Error, quote};
use std::fmt;
use std::str::FromStr;

/// Shares of the ten behaviours in a population.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mix {
    /// In hundredths of a percent, in the order of `Behaviour::ALL`.
    shares: [u32; Behaviour::ALL.len()],
}

impl Mix {
    /// A population of one behaviour.
    #[must_use]
    pub fn only(behaviour: Behaviour) -> Self {
        Self { shares: Behaviour::ALL.map(|each| if each == behaviour { WHOLE } else { 0 }) }
    }

    /// The behaviours that occur, each with its part, 0.0 to 1.0.
    pub fn shares(&self) -> impl Iterator<Item = (Behaviour, f64)> {
        self.parts().map(|(behaviour, share)| (behaviour, f64::from(share) / f64::from(WHOLE)))
    }

    /// Gives every host, by its index, a behaviour.
    ///
    /// Neighbours are spread evenly and therefore not independent: whoever pairs hosts by index should not pair index
    /// i with i + 1 and expect every pair of behaviours.
    #[must_use]
    pub fn assignment(&self) -> Assignment {
        let divisor = self.parts().fold(0, |divisor, (_, share)| greatest_common_divisor(divisor, share));
        let parts: Vec<_> =
            self.parts().map(|(behaviour, share)| (behaviour, i64::from(share / divisor))).collect();
        Assignment { order: spread(&parts).into() }
    }

    fn parts(&self) -> impl Iterator<Item = (Behaviour, u32)> {
        Behaviour::ALL.into_iter().zip(self.shares).filter(|(_, share)| *share > 0)
    }
}

impl Default for Mix {
    /// eim/eif=10%,eim/adf=20%,eim/apdf=50%,apdm/apdf=20%.
    fn default() -> Self {
        Self { shares: [0, 1000, 2000, 5000, 0, 0, 0, 0, 0, 2000] }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (behaviour, share)) in self.parts().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{behaviour}={}", percentage(share))?;
        }
        Ok(())
    }
}

impl FromStr for Mix {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut shares = Behaviour::ALL.map(|behaviour| (behaviour, None));
        for part in text.split(',').map(str::trim) {
            let (name, share) = part.split_once('=').ok_or_else(|| Error::MixPart { text: quote(part) })?;
            let behaviour: Behaviour = name.trim_end().parse()?;
            let share = parse_share(behaviour, share.trim_start())?;
            for (_, slot) in shares.iter_mut().filter(|(each, _)| *each == behaviour) {
                if slot.replace(share).is_some() {
                    return Err(Error::MixDuplicate { behaviour });
                }
            }
        }
        let shares = shares.map(|(_, share)| share.unwrap_or(0));
        let sum = shares.iter().sum();
        if sum != WHOLE {
            return Err(Error::MixSum { sum: percentage(sum) });
        }
        Ok(Self { shares })
    }
}

/// Which host has which behaviour: a sequence that repeats, at most 10,000 long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    order: Box<[Behaviour]>,
}

impl Assignment {
    /// The behaviour of the host with this index, from 0.
    #[must_use]
    pub fn behaviour_of(&self, index: usize) -> Behaviour {
        let position = index.checked_rem(self.order.len());
        // A mix is never empty, so the order is not either.
        position.and_then(|position| self.order.get(position)).copied().unwrap_or(Behaviour::Open)
    }
}

/// Orders `sum of weights` hosts so that every prefix has its exact part of each behaviour, off by less than one.
///
/// R. Tijdeman, "The chairman assignment problem" (1980): of those that have fallen behind by 1 / (2m - 2) or more,
/// the one goes next whose limit comes first.
fn spread(parts: &[(Behaviour, i64)]) -> Vec<Behaviour> {
    let period: i64 = parts.iter().map(|(_, weight)| weight).sum();
    let slack = i64::try_from(parts.len()).map_or(1, |count| (2 * count - 2).max(1));
    let part = |&(behaviour, weight): &(Behaviour, i64)| Part { behaviour, weight, lag: 0 };
    let mut behind: Vec<Part> = parts.iter().map(part).collect();
    let mut order = Vec::new();
    for _ in 0..period {
        for part in &mut behind {
            part.lag += part.weight;
        }
        let due = behind.iter_mut().filter(|part| part.lag * slack >= period);
        // Time until the limit, as a fraction with the weight below; compared crosswise to stay in integers.
        let limit = |lag: i64| (slack - 1) * period - slack * lag;
        let next = due.min_by(|a, b| (limit(a.lag) * b.weight).cmp(&(limit(b.lag) * a.weight)));
        if let Some(part) = next {
            part.lag -= period;
            order.push(part.behaviour);
        }
    }
    order
}

/// One behaviour of a mix.
struct Part {
    behaviour: Behaviour,
    /// Its hosts in each period.
    weight: i64,
    /// By how much it has fallen behind, in hosts times the period.
    lag: i64,
}

/// Hundredths of a percent from "50%", "12.5%", "0.25%".
fn parse_share(behaviour: Behaviour, text: &str) -> Result<u32, Error> {
    let Some(number) = text.strip_suffix('%') else {
        return Err(Error::MixUnit { behaviour, text: quote(text) });
    };
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let wrong = || Error::MixShare { behaviour, text: quote(text) };
    if !digits(whole, 3) || !digits(decimals, 2) {
        return Err(wrong());
    }
    let hundredths: u32 = format!("{whole}{decimals:0<2}").parse().map_err(|_| wrong())?;
    if hundredths > WHOLE { Err(wrong()) } else { Ok(hundredths) }
}

fn percentage(hundredths: u32) -> String {
    match (hundredths / 100, hundredths % 100) {
        (whole, 0) => format!("{whole}%"),
        (whole, part) if part % 10 == 0 => format!("{whole}.{}%", part / 10),
        (whole, part) => format!("{whole}.{part:02}%"),
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// 100 % in hundredths of a percent.
const WHOLE: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &str = "eim/eif=10%,eim/adf=20%,eim/apdf=50%,apdm/apdf=20%";

    #[test]
    fn the_default_mix_reads_and_prints() {
        assert_eq!(Mix::default().to_string(), DEFAULT);
        assert_eq!(DEFAULT.parse(), Ok(Mix::default()));
        let aliases = " symmetric = 20% , full-cone=10.00%,restricted=20.0%, port-restricted=050%";
        assert_eq!(aliases.parse(), Ok(Mix::default()));
        assert_eq!("open=0%,symmetric=100%".parse(), Ok(Mix::only("apdm/apdf".parse().unwrap())));
        assert_eq!(
            "open=99.95%,symmetric=0.05%".parse::<Mix>().unwrap().to_string(),
            "open=99.95%,apdm/apdf=0.05%"
        );
    }

    #[test]
    fn errors_say_what_would_be_right() {
        let cases = [
            ("", "\"\" in a NAT mix has no share: write BEHAVIOUR=PERCENT%"),
            ("open=50%,", "\"\" in a NAT mix has no share"),
            ("open", "\"open\" in a NAT mix has no share"),
            ("open=50%,eim/eif=40%", "sum to 90%: they must sum to 100%"),
            ("open=50%,eim/eif=50.5%", "sum to 100.5%"),
            ("open=0%", "sum to 0%"),
            ("open=100", "\"100\" of open lacks its unit"),
            ("cone=100%", "unknown NAT behaviour \"cone\""),
            ("symmetric=50%,apdm/apdf=50%", "apdm/apdf has two shares"),
            ("open=0%,open=100%", "open has two shares"),
            ("open=101%", "is not a percentage"),
            ("open=1e2%", "is not a percentage"),
            ("open=-1%", "is not a percentage"),
            ("open=%", "is not a percentage"),
            ("open=1.%", "is not a percentage"),
            ("open=.5%", "is not a percentage"),
            ("open=33.333%", "at most two decimals"),
            ("open=9999999999999999999%", "is not a percentage"),
        ];
        for (text, expected) in cases {
            let message = text.parse::<Mix>().unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn the_default_mix_repeats_after_ten_and_alternates() {
        let assignment = Mix::default().assignment();
        assert_eq!(assignment.order.len(), 10);
        let longest_run = (0..20).map(|start| {
            (start..).take_while(|i| assignment.behaviour_of(*i) == assignment.behaviour_of(start)).count()
        });
        assert!(longest_run.max() <= Some(2));
        assert_eq!(assignment.behaviour_of(usize::MAX), assignment.behaviour_of(usize::MAX % 10));
    }
}
