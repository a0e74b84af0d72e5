//! The nftables rules that make a box a NAT of a given behaviour.
//!
//! * Mapping: masquerade keeps the inside port, so every remote sees one address and port (EIM), unless two inside hosts
//!   want the same; `fully-random` takes another port for every remote (APDM).
//! * Filtering: a conntrack entry lets in only the remote transport address that was called (APDF). For ADF and EIF every
//!   datagram that leaves notes its external port and who sent it, and what comes in is translated by that note.
//! * A stranger's datagram is dropped before conntrack keeps it: a kept one would occupy the port it came for.
//!
//! ```text
//! out: postrouting 100 masquerade ─ 150 note (external port -> inside address and port; remote address, external port)
//! in:  prerouting -100 conntrack's entry, else the note ─ input: what found neither is dropped
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
    let random = match mapping {
        Mapping::Eim => "",
        Mapping::Apdm => " fully-random",
        Mapping::Adm => return Err(Error::AddressDependentMapping),
    };
    let translate = match filtering {
        Filtering::Eif => format!("iifname {outer} meta l4proto udp {TRANSLATE}"),
        Filtering::Adf => format!("iifname {outer} ip saddr . udp dport @called {TRANSLATE}"),
        Filtering::Apdf => String::new(),
    };
    let flags = format!("flags dynamic,timeout; timeout {lifetime_s}s;");
    Ok(format!(
        "table ip lab {{
            map mapped {{ type inet_service : ipv4_addr . inet_service; {flags} }}
            set called {{ type ipv4_addr . inet_service; {flags} }}
            chain translate {{
                type nat hook prerouting priority dstnat;
                {translate}
            }}
            chain masquerade_out {{
                type nat hook postrouting priority srcnat;
                oifname {outer} masquerade{random}
            }}
            chain note {{
                type filter hook postrouting priority 150;
                oifname {outer} meta l4proto udp ct direction original \
                    update @mapped {{ udp sport : ct original ip saddr . ct original proto-src }}
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_behaviour_needs_is_said() {
        let text = |mapping, filtering| rules(mapping, filtering, 30, "wan").unwrap();
        let strict = text(Mapping::Eim, Filtering::Apdf);
        assert!(!strict.contains("dnat ip") && !strict.contains("random") && strict.contains("timeout 30s"));
        let open = text(Mapping::Apdm, Filtering::Eif);
        assert!(open.contains("dnat ip") && open.contains("fully-random") && !open.contains("@called dnat"));
        assert!(text(Mapping::Eim, Filtering::Adf).contains("@called dnat"));
        assert!(rules(Mapping::Adm, Filtering::Eif, 30, "wan").is_err());
    }
}
