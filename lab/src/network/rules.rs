//! The nftables rules that make a box a NAT of a given behaviour.
//!
//! * Mapping: masquerade keeps the inside port, so every remote sees one address and port (EIM), unless two inside hosts
//!   want the same; `fully-random` takes another port for every remote (APDM).
//! * Filtering: a conntrack entry lets in only the remote transport address that was called (APDF). For ADF and EIF every
//!   datagram that leaves notes its external port and who sent it, and what comes in is translated by that note.
//! * Connection tracking would answer a visitor from the port that it called. That is EIM; for APDM what comes in is
//!   translated without it, so that an answer leaves by a mapping of its own (RFC 4787 section 4.1).
//! * A stranger's datagram is dropped before conntrack keeps it: a kept one would occupy the port it came for.
//!
//! ```text
//! out: postrouting 100 masquerade ─ 150 note (external port -> inside address and port; remote address, external port)
//! in:  prerouting -300 APDM: the note, untracked ─ -100 conntrack's entry, else EIM: the note ─ input: what found neither is dropped
//! ```

use crate::error::Error;
use nat::{Filtering, Mapping};

/// The rules for a box whose outer interface is `outer`; what a call opens lives `lifetime_s` without another one.
pub(crate) fn rules(
    mapping: Mapping,
    filtering: Filtering,
    lifetime_s: u32,
    outer: &str,
) -> Result<String, Error> {
    let (random, hook, translate) = match mapping {
        Mapping::Eim => ("", "nat hook prerouting priority dstnat", TRANSLATE),
        Mapping::Apdm => (" fully-random", "filter hook prerouting priority raw", TRANSLATE_UNTRACKED),
        Mapping::Adm => return Err(Error::AddressDependentMapping),
    };
    let translate = match filtering {
        Filtering::Eif => format!("iifname {outer} meta l4proto udp {translate}"),
        Filtering::Adf => format!("iifname {outer} ip saddr . udp dport @called {translate}"),
        Filtering::Apdf => String::new(),
    };
    let flags = format!("flags dynamic,timeout; timeout {lifetime_s}s;");
    Ok(format!(
        "table ip lab {{
            map mapped {{ type inet_service : ipv4_addr . inet_service; {flags} }}
            map mapped_address {{ type inet_service : ipv4_addr; {flags} }}
            map mapped_port {{ type inet_service : inet_service; {flags} }}
            set called {{ type ipv4_addr . inet_service; {flags} }}
            chain translate {{
                type {hook};
                {translate}
            }}
            chain masquerade_out {{
                type nat hook postrouting priority srcnat;
                oifname {outer} masquerade{random}
            }}
            chain note {{
                type filter hook postrouting priority 150;
                oifname {outer} meta l4proto udp ct direction original \
                    update @mapped {{ udp sport : ct original ip saddr . ct original proto-src }} \
                    update @mapped_address {{ udp sport : ct original ip saddr }} \
                    update @mapped_port {{ udp sport : ct original proto-src }}
                oifname {outer} meta l4proto udp update @called {{ ip daddr . udp sport }}
            }}
            chain strangers {{
                type filter hook input priority filter;
                iifname {outer} meta l4proto udp drop
            }}
        }}"
    ))
}

const TRANSLATE: &str = "dnat ip addr . port to udp dport map @mapped";
const TRANSLATE_UNTRACKED: &str = "ip daddr set udp dport map @mapped_address \
    udp dport set udp dport map @mapped_port notrack";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_behaviour_needs_is_said() {
        let text = |mapping, filtering| rules(mapping, filtering, 30, "wan").unwrap();
        let strict = text(Mapping::Eim, Filtering::Apdf);
        assert!(!strict.contains("dnat ip") && !strict.contains("random") && strict.contains("timeout 30s"));
        let open = text(Mapping::Apdm, Filtering::Eif);
        assert!(open.contains("notrack") && open.contains("fully-random") && !open.contains("@called ip"));
        assert!(text(Mapping::Eim, Filtering::Eif).contains("dnat ip"));
        assert!(text(Mapping::Eim, Filtering::Adf).contains("@called dnat"));
        assert!(rules(Mapping::Adm, Filtering::Eif, 30, "wan").is_err());
    }
}
