//! What the engine says against an XDP program, as this program says it.
//!
//! * What the command line named is exit 78, what the kernel refuses exit 1; remedies are those of this program's flags.

use crate::error::Error;
use engine::xdp::error::XdpError;

/// The error to end with.
#[allow(clippy::needless_pass_by_value)] // Called by map_err.
pub fn told(error: XdpError) -> Error {
    match &error {
        XdpError::NoNative(interface) => Error::Configuration(format!(
            "--xdp {interface}: its driver runs no native XDP programs; name an interface whose driver does, or run \
             without --xdp"
        )),
        XdpError::Unfit { interface, mtu } => Error::Configuration(format!(
            "--xdp {interface}: its driver refuses native XDP at an MTU of {mtu}, or with its present queues and LRO; \
             `ip link set dev {interface} mtu 1500`, `ethtool -K {interface} lro off`, or run without --xdp"
        )),
        XdpError::NoInterface(_)
        | XdpError::NotEthernet(_)
        | XdpError::Occupied(_)
        | XdpError::StripsVlan(_)
        | XdpError::TooMany { .. }
        | XdpError::Plan(_)
        | XdpError::Value(_) => Error::Configuration(format!("--xdp: {error}")),
        _ => Error::Runtime(format!("--xdp: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_are_flags_of_this_program() {
        let interface = || "eth0".to_owned();
        let cases = [
            (XdpError::NoNative(interface()), 78, "whose driver does"),
            (XdpError::Unfit { interface: interface(), mtu: 9_000 }, 78, "mtu 1500"),
            (XdpError::NoInterface(interface()), 78, "`ip link`"),
            (XdpError::Occupied(interface()), 78, "xdp off"),
            (XdpError::NotPermitted("load the program"), 1, "CAP_NET_ADMIN"),
            (XdpError::Refused("no".to_owned()), 1, "5.15"),
        ];
        for (error, code, right) in cases {
            let error = told(error);
            assert_eq!(error.exit_code(), code, "{error}");
            assert!(
                error.to_string().contains(right) && !error.to_string().contains("--xdp-mode"),
                "{error}"
            );
        }
    }
}
