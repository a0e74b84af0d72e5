//! Which of two behaviours can talk directly, and when: before, in answer to, and after a first message.
//!
//! * Every host has sent to its reflector, and its *contact* is the transport address the reflector saw.
//! * One external address a NAT, no hairpinning, no port prediction.
//! * A filter belongs to one mapping: what a host sends from one external port opens no other. (RFC 4787 section 5
//!   words it per inside endpoint; connection tracking works per mapping, and so does [`crate::Nat`].)
//! * Reflecting always works, because a host keeps its reflector in its own filter.
//! * What is said here in booleans is found again by running two [`crate::Nat`]s against each other (tests).

use crate::behaviour::{Behaviour, Filtering, Mapping};
use crate::mix::Mix;

/// The way a datagram takes between two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// From host to host.
    Direct,
    /// Through the target's reflector.
    Reflect,
}

/// The route of `sender`'s first message to `target`'s contact, neither having sent to the other.
///
/// The sender's behaviour does not matter: only a target that admits strangers is reached.
#[must_use]
pub const fn route(_sender: Behaviour, target: Behaviour) -> Route {
    direct_if(target.admits_strangers())
}

/// The route of `b`'s answer to the first message that `a` sent by [`route`]`(a, b)`.
///
/// A first message that went directly opened a's filter towards b's contact. The answer comes from that contact only
/// if b has one transport address; otherwise from another port of the same address.
#[must_use]
pub const fn answer(a: Behaviour, b: Behaviour) -> Route {
    let opened_by_first = match (route(a, b), a) {
        (Route::Reflect, _) => false,
        (Route::Direct, Behaviour::Nat { filtering: Filtering::Apdf, .. }) => b.has_one_address(),
        (Route::Direct, _) => true,
    };
    direct_if(a.admits_strangers() || opened_by_first)
}

/// The routes a to b and b to a, once both have sent to the other's contact and to every source they heard.
#[must_use]
pub const fn after_punch(a: Behaviour, b: Behaviour) -> (Route, Route) {
    (punched(a, b), punched(b, a))
}

/// What part of the traffic of a population takes the reflector, 0.0 to 1.0.
///
/// Both hosts of a pair are drawn from the mix independently; every ordered pair weighs the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReflectedShare {
    /// Of first messages.
    pub first: f64,
    /// Of the answers to them.
    pub answer: f64,
    /// Of ordered pairs after punching: relayed for good.
    pub after_punch: f64,
}

/// Weighs the three routes by the mix.
#[must_use]
pub fn reflected_share(mix: &Mix) -> ReflectedShare {
    let share = |rule: fn(Behaviour, Behaviour) -> Route| -> f64 {
        let reflected = |a, b| rule(a, b) == Route::Reflect;
        let pairs = mix.shares().flat_map(|a| mix.shares().map(move |b| (a, b)));
        pairs.filter(|(a, b)| reflected(a.0, b.0)).map(|(a, b)| a.1 * b.1).sum()
    };
    ReflectedShare { first: share(route), answer: share(answer), after_punch: share(punched) }
}

/// The route a to b after both have punched.
///
/// a must send to a mapping of b's that b used towards a: b's contact if b has one transport address, else one that a
/// has to hear from first. That mapping admits a's address, and with APDF only a's contact, so that a must have one
/// transport address too.
const fn punched(a: Behaviour, b: Behaviour) -> Route {
    let knows_where = b.has_one_address() || hears_other_port(a);
    let is_expected = a.has_one_address() || matches!(b, Behaviour::Nat { filtering: Filtering::Adf, .. });
    direct_if(b.admits_strangers() || (knows_where && is_expected))
}

/// Whether a host that has sent to a contact hears, at its own contact, another port of that same address.
const fn hears_other_port(host: Behaviour) -> bool {
    host.admits_strangers()
        || matches!(host, Behaviour::Nat { mapping: Mapping::Eim, filtering: Filtering::Adf })
}

const fn direct_if(direct: bool) -> Route {
    if direct { Route::Direct } else { Route::Reflect }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_the_default_mix_are_those_computed_by_hand() {
        let share = reflected_share(&Mix::default());
        // Targets without EIF: 20 + 50 + 20 %.
        assert!((share.first - 0.90).abs() < 1e-9, "{share:?}");
        // Askers without EIF (90 %), less those whose first went directly (to the 10 % of full cones).
        assert!((share.answer - 0.81).abs() < 1e-9, "{share:?}");
        // Port-restricted with symmetric both ways, symmetric with itself: 2 x 50 % x 20 % + 20 % x 20 %.
        assert!((share.after_punch - 0.24).abs() < 1e-9, "{share:?}");
    }

    #[test]
    fn shares_of_one_behaviour_are_all_or_nothing() {
        for behaviour in Behaviour::ALL {
            let share = reflected_share(&Mix::only(behaviour));
            let expected = |route| if route == Route::Reflect { 1.0 } else { 0.0 };
            assert_eq!(share.first, expected(route(behaviour, behaviour)));
            assert_eq!(share.answer, expected(answer(behaviour, behaviour)));
            assert_eq!(share.after_punch, expected(after_punch(behaviour, behaviour).0));
        }
    }
}
