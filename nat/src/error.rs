//! Why a text is not a behaviour or a mix, why settings cannot hold, and why a NAT refuses a datagram.
//!
//! * Every [`Error`] says what is wrong and what would be right.
//! * Foreign text is shown escaped and cut to [`QUOTE_LIMIT`] characters.
//! * A refusal is an ordinary outcome of a datagram, small and without text.

use crate::behaviour::Behaviour;

/// What was typed or set wrongly, found before any NAT exists.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text names no behaviour at all.
    #[error(
        "unknown NAT behaviour {text:?}: write open, MAPPING/FILTERING such as eim/apdf, full-cone, restricted, \
         port-restricted or symmetric"
    )]
    Behaviour {
        /// The text, cut.
        text: String,
    },
    /// The part before the slash is no mapping behaviour.
    #[error("unknown mapping behaviour {text:?}: write eim, adm or apdm (RFC 4787 section 4.1)")]
    Mapping {
        /// The text, cut.
        text: String,
    },
    /// The part after the slash is no filtering behaviour.
    #[error("unknown filtering behaviour {text:?}: write eif, adf or apdf (RFC 4787 section 5)")]
    Filtering {
        /// The text, cut.
        text: String,
    },
    /// A part of a mix is empty or has no equals sign.
    #[error("{text:?} in a NAT mix has no share: write BEHAVIOUR=PERCENT%, such as eim/apdf=50%")]
    MixPart {
        /// The text, cut.
        text: String,
    },
    /// A share has no percent sign.
    #[error("the share {text:?} of {behaviour} lacks its unit: write it with a % sign, such as 50%")]
    MixUnit {
        /// Whose share it is.
        behaviour: Behaviour,
        /// The text, cut.
        text: String,
    },
    /// A share is no number from 0 to 100.
    #[error("the share {text:?} of {behaviour} is not a percentage: write 0% to 100%, at most two decimals")]
    MixShare {
        /// Whose share it is.
        behaviour: Behaviour,
        /// The text, cut.
        text: String,
    },
    /// One behaviour has two shares, perhaps once under its classic name.
    #[error("{behaviour} has two shares in one NAT mix: write one, their sum")]
    MixDuplicate {
        /// The behaviour named twice.
        behaviour: Behaviour,
    },
    /// The shares do not make a whole.
    #[error("the shares of a NAT mix sum to {sum}: they must sum to 100%")]
    MixSum {
        /// The sum as a percentage.
        sum: String,
    },
    /// A pool without ports, or one that holds port 0.
    #[error(
        "an external port pool needs at least one port and never port 0: write ranges such as 1024-65535"
    )]
    PortsEmpty,
    /// Two ranges of a pool share a port or stand in the wrong order.
    #[error(
        "port range {first}-{last} is reversed, or overlaps or precedes the range before it: sort them, apart"
    )]
    PortsOrder {
        /// First port of the range at fault.
        first: u16,
        /// Last port of the range at fault.
        last: u16,
    },
    /// Nothing would tell two inside hosts on one external port apart.
    #[error(
        "{behaviour} cannot overload ports, anyone may enter there: use adf or apdf filtering, or no overloading"
    )]
    Overloading {
        /// The behaviour that lets anyone in.
        behaviour: Behaviour,
    },
    /// A filter that outlives its mapping, or a time-out of nothing.
    #[error(
        "time-outs {filter_ms} ms (filter) and {mapping_ms} ms (mapping): both must be above 0 and the filter's at most \
         the mapping's"
    )]
    Timeouts {
        /// The filter's time-out.
        filter_ms: u64,
        /// The mapping's time-out.
        mapping_ms: u64,
    },
    /// A NAT that could hold nothing.
    #[error("a pinhole limit of 0 lets nothing out: set at least 1")]
    PinholeLimit,
}

/// Why a datagram from inside does not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OutboundRefusal {
    /// Inside host or remote are of another family than the external address.
    #[error("inside host, remote and external address must be of one family")]
    Family,
    /// An open host sends from its own, external address only.
    #[error("an open host has no other inside address than its external one")]
    NotInside,
    /// The remote is this NAT itself: that is hairpinning.
    #[error("the remote is the NAT's own external address: hairpin it")]
    OwnAddress,
    /// As many pinholes as allowed are alive.
    #[error("every pinhole is taken: wait for one to expire or raise the limit")]
    TableFull,
    /// No port of the pool may serve this inside host towards this remote.
    #[error("no external port is left: wait for a mapping to expire or widen the pool")]
    NoPort,
}

/// Why a datagram from outside does not enter; the later variant had come further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum InboundRefusal {
    /// It was sent to another address than this NAT's.
    #[error("the destination is not the NAT's external address")]
    NotOurs,
    /// Its source is of another family than the external address.
    #[error("the remote must be of the external address's family")]
    Family,
    /// No inside host has that external port.
    #[error("no mapping has this external port")]
    NoMapping,
    /// An inside host had that port and was silent for too long (reported until the record is reclaimed).
    #[error("the mapping of this external port has expired")]
    Expired,
    /// The mapping lives, but its filter does not admit this remote.
    #[error("the filter of this mapping does not admit the remote")]
    Filtered,
}

/// Why a datagram from inside to the NAT's own address is not turned back inside (RFC 4787 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum HairpinRefusal {
    /// This NAT does not hairpin, or is no NAT.
    #[error("hairpinning is off")]
    Off,
    /// The destination is not the NAT's own address: that is an ordinary outbound datagram.
    #[error("the destination is not the NAT's external address: send it outbound")]
    NotOwnAddress,
    /// It does not get a mapping of its own.
    #[error(transparent)]
    Outbound(#[from] OutboundRefusal),
    /// It does not enter at the other inside host's mapping.
    #[error(transparent)]
    Inbound(#[from] InboundRefusal),
}

/// Foreign text fit for a message; the message escapes it.
pub(crate) fn quote(text: &str) -> String {
    if text.chars().count() <= QUOTE_LIMIT {
        return text.to_owned();
    }
    text.chars().take(QUOTE_LIMIT).chain("...".chars()).collect()
}

/// Characters of foreign text that a message repeats.
const QUOTE_LIMIT: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_or_hostile_text_is_cut_and_escaped() {
        let text = format!("a\n\u{1b}{}", "x".repeat(1000));
        let shown = Error::Mapping { text: quote(&text) }.to_string();
        assert!(shown.chars().count() < 150, "{shown}");
        assert!(!shown.contains(['\n', '\u{1b}']), "{shown:?}");
        assert!(shown.contains("..."), "{shown}");
        assert_eq!(quote("eim"), "eim");
    }
}
