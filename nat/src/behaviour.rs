//! What RFC 4787 calls the behaviours of a NAT: how it maps (section 4.1) and how it filters (section 5).
//!
//! * Ten behaviours and no more: open, and every pair of three mappings and three filterings.
//! * One text form each ("open", "eim/apdf"), printed here and read back unchanged by [`super::notation`].

use Filtering::{Adf, Apdf, Eif};
use Mapping::{Adm, Apdm, Eim};
use std::fmt;

/// How a host is reachable: openly, or through a NAT of this mapping and filtering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Behaviour {
    /// A public address, neither mapped nor filtered.
    Open,
    /// Behind one NAT.
    Nat {
        /// Which external transport address an inside host gets.
        mapping: Mapping,
        /// Which remotes may send to it.
        filtering: Filtering,
    },
}

impl Behaviour {
    /// All ten: open, then by mapping, then by filtering, the more restrictive later.
    pub const ALL: [Self; 10] = [
        Self::Open,
        Self::nat(Eim, Eif),
        Self::nat(Eim, Adf),
        Self::nat(Eim, Apdf),
        Self::nat(Adm, Eif),
        Self::nat(Adm, Adf),
        Self::nat(Adm, Apdf),
        Self::nat(Apdm, Eif),
        Self::nat(Apdm, Adf),
        Self::nat(Apdm, Apdf),
    ];

    /// A NAT of this mapping and filtering.
    #[must_use]
    pub const fn nat(mapping: Mapping, filtering: Filtering) -> Self {
        Self::Nat { mapping, filtering }
    }

    /// Whether every remote sees the host at one transport address (open, or EIM).
    #[must_use]
    pub const fn has_one_address(self) -> bool {
        matches!(self, Self::Open | Self::Nat { mapping: Eim, .. })
    }

    /// Whether a remote that was never called may enter (open, or EIF).
    #[must_use]
    pub const fn admits_strangers(self) -> bool {
        matches!(self, Self::Open | Self::Nat { filtering: Eif, .. })
    }

    /// The name RFC 3489 section 5 gave it: full-cone, restricted, port-restricted or symmetric; `None` for the rest.
    #[must_use]
    pub const fn classic_name(self) -> Option<&'static str> {
        match self {
            Self::Nat { mapping: Eim, filtering: Eif } => Some("full-cone"),
            Self::Nat { mapping: Eim, filtering: Adf } => Some("restricted"),
            Self::Nat { mapping: Eim, filtering: Apdf } => Some("port-restricted"),
            Self::Nat { mapping: Apdm, filtering: Apdf } => Some("symmetric"),
            Self::Open | Self::Nat { .. } => None,
        }
    }
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.pad("open"),
            // Padded as a whole, so that it stands in a table's column.
            Self::Nat { mapping, filtering } => f.pad(&format!("{mapping}/{filtering}")),
        }
    }
}

/// When a NAT gives one inside transport address the same external one again (RFC 4787 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mapping {
    /// Endpoint-independent: towards every remote.
    Eim,
    /// Address-dependent: towards every port of one remote address.
    Adm,
    /// Address- and port-dependent: towards one remote transport address only.
    Apdm,
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Eim => "eim",
            Adm => "adm",
            Apdm => "apdm",
        })
    }
}

/// Whom a NAT lets in at a mapping (RFC 4787 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Filtering {
    /// Endpoint-independent: everyone.
    Eif,
    /// Address-dependent: every port of the addresses sent to.
    Adf,
    /// Address- and port-dependent: the transport addresses sent to.
    Apdf,
}

impl fmt::Display for Filtering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Eif => "eif",
            Adf => "adf",
            Apdf => "apdf",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ten_are_different_and_read_back() {
        for (index, behaviour) in Behaviour::ALL.into_iter().enumerate() {
            assert_eq!(behaviour.to_string().parse(), Ok(behaviour));
            assert!(!Behaviour::ALL[..index].contains(&behaviour));
        }
        assert_eq!(format!("{:>10}|{:<6}|", Behaviour::nat(Eim, Adf), Behaviour::Open), "   eim/adf|open  |");
    }

    #[test]
    fn classic_names_are_aliases() {
        let names = [
            ("full-cone", "eim/eif"),
            ("restricted", "eim/adf"),
            ("port-restricted", "eim/apdf"),
            ("symmetric", "apdm/apdf"),
        ];
        for (classic, form) in names {
            let behaviour: Behaviour = classic.parse().unwrap();
            assert_eq!(behaviour.to_string(), form);
            assert_eq!(behaviour.classic_name(), Some(classic));
        }
        assert_eq!(Behaviour::ALL.into_iter().filter(|b| b.classic_name().is_some()).count(), names.len());
    }

    #[test]
    fn errors_name_the_wrong_part_and_the_right_ones() {
        let message = |text: &str| text.parse::<Behaviour>().unwrap_err().to_string();
        assert!(message("cone").contains("\"cone\"") && message("cone").contains("port-restricted"));
        assert!(message("eimm/adf").contains("mapping behaviour \"eimm\""));
        assert!(message("eim/apdm").contains("filtering behaviour \"apdm\": write eif, adf or apdf"));
        for wrong in ["", "/", "eim", "eim/", "/eif", "EIM/EIF", " open", "eim/eif/adf", "Open"] {
            assert!(wrong.parse::<Behaviour>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn small_and_copied() {
        assert!(size_of::<Behaviour>() <= 2);
    }
}
