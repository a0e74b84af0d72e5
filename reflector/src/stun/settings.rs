//! What the operator wants of STUN: how much of it, and at which further addresses.
//!
//! * An alternate is a whole corner of RFC 5780's square: another address and another port than `--listen`.
//! * Values are right as far as they can be judged without the kernel.

use program::failure::Failure;
use program::settings::texts::Texts;
use std::net::{IpAddr, SocketAddr};

/// STUN as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StunSettings {
    /// How much.
    pub mode: Mode,
    /// The opposite corner of `--listen`, at most one of a family.
    pub alternates: Vec<SocketAddr>,
}

impl StunSettings {
    /// Checks both settings against where the reflector listens and what it is known by.
    ///
    /// # Errors
    /// An unknown word; an alternate that cannot be one.
    pub fn check(texts: &Texts, listen: &[SocketAddr], advertise: &[SocketAddr]) -> Result<Self, Failure> {
        let mode = texts.one("stun", "off", mode)?;
        let alternates = texts.all("stun-alternate", |text| alternate(text, mode, listen, advertise))?;
        let v4 = alternates.iter().filter(|it| it.is_ipv4()).count();
        if v4 > 1 || alternates.len() - v4 > 1 {
            return Err(texts.refuse("stun-alternate", "expected at most one IPv4 and one IPv6 address"));
        }
        Ok(Self { mode, alternates })
    }

    /// Whether any is spoken.
    pub fn is_on(&self) -> bool {
        self.mode != Mode::Off
    }

    /// Where sockets are bound that speak STUN only, for sockets of `--listen` bound to `listening`.
    pub fn further_addresses(&self, listening: &[SocketAddr]) -> Vec<SocketAddr> {
        let corners = self.alternates.iter().flat_map(|other| {
            let own = listening.iter().find(|it| it.is_ipv4() == other.is_ipv4());
            own.into_iter().flat_map(|own| {
                [*other, SocketAddr::new(own.ip(), other.port()), SocketAddr::new(other.ip(), own.port())]
            })
        });
        corners.collect()
    }
}

/// How much STUN is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// None.
    Off,
    /// Binding.
    Binding,
    /// Binding with what discovers a NAT's behaviour.
    Behaviour,
}

impl Mode {
    /// The word of flags and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Binding => "binding",
            Self::Behaviour => "behaviour",
        }
    }
}

/// The word of `--stun`.
///
/// # Errors
/// Any other word, with those that are right.
pub fn mode(text: &str) -> Result<Mode, String> {
    let known = [Mode::Off, Mode::Binding, Mode::Behaviour].into_iter().find(|mode| mode.as_str() == text);
    known.ok_or_else(|| String::from("expected off, binding or behaviour"))
}

fn alternate(
    text: &str,
    mode: Mode,
    listen: &[SocketAddr],
    advertise: &[SocketAddr],
) -> Result<SocketAddr, String> {
    let refuse = |right: &str| Err(String::from(right));
    let Ok(other) = text.parse::<SocketAddr>() else {
        return refuse("expected ADDR:PORT such as 203.0.113.8:3479 or [2001:db8::8]:3479");
    };
    if mode != Mode::Behaviour {
        return refuse("expected --stun behaviour beside it; nothing else has a use for a second address");
    }
    let ip = other.ip();
    let mapped = matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    if ip.is_unspecified() || ip.is_multicast() || mapped || other.port() == 0 {
        return refuse("expected one unicast address, IPv4 written as IPv4, and a port that is not 0");
    }
    let Some(own) = listen.iter().find(|it| it.is_ipv4() == other.is_ipv4()) else {
        return refuse("expected a --listen of the same family beside it");
    };
    if own.ip().is_unspecified() {
        return refuse("expected --listen with one address: a wildcard holds its port on every address");
    }
    if own.ip() == ip || own.port() == other.port() {
        return refuse("expected another address and another port than --listen");
    }
    if advertise.iter().any(|it| it.is_ipv4() == other.is_ipv4()) {
        return refuse("expected no --advertise of its family: clients are told where it is bound");
    }
    Ok(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alternate_makes_three_further_addresses() {
        let read = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let alternates = read(&["[2001:db8::2]:4001", "192.0.2.2:4001"]);
        let settings = StunSettings { mode: Mode::Behaviour, alternates };
        let listening = read(&["192.0.2.1:4000", "[2001:db8::1]:4000"]);
        let expected = [
            "[2001:db8::2]:4001",
            "[2001:db8::1]:4001",
            "[2001:db8::2]:4000",
            "192.0.2.2:4001",
            "192.0.2.1:4001",
            "192.0.2.2:4000",
        ];
        assert_eq!(settings.further_addresses(&listening), read(&expected));
        assert_eq!(settings.further_addresses(&listening[..1]), read(&expected[3..]));
    }
}
