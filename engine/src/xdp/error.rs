//! Why the fast path cannot be had: what is missing, and what would be right.
//!
//! * Each message names the thing that mends it, with the command where there is one.

use std::io;
use std::path::PathBuf;

/// Why a program was not loaded, attached, configured or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum XdpError {
    /// No interface of this name.
    #[error("no interface is named {0}; `ip link` lists those that there are")]
    NoInterface(String),
    /// Not an Ethernet interface.
    #[error(
        "{0} has no Ethernet addresses, which the fast path needs; name an Ethernet interface, or run without --xdp"
    )]
    NotEthernet(String),
    /// EPERM.
    #[error(
        "the kernel does not let this process {0}; it needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON \
         (root, or AmbientCapabilities= in the unit), or run without --xdp"
    )]
    NotPermitted(&'static str),
    /// The limit on locked memory, which older kernels count maps against.
    #[error(
        "the limit on locked memory is too low for the program's maps; raise it: LimitMEMLOCK=infinity, or ulimit -l unlimited"
    )]
    Memlock,
    /// The verifier's word.
    #[error("the kernel refused the program; a kernel of 5.15 or newer is needed: {0}")]
    Refused(String),
    /// EOPNOTSUPP.
    #[error("the driver of {0} runs no native XDP programs; say --xdp-mode generic")]
    NoNative(String),
    /// EBUSY, EEXIST.
    #[error(
        "another XDP program is attached to {0}; `ip link set dev {0} xdp off` removes it, `bpftool net` says whose it is"
    )]
    Occupied(String),
    /// ERANGE, EINVAL.
    #[error(
        "the driver of {interface} refuses native XDP at an MTU of {mtu}, or with its present queues and LRO; \
         `ip link set dev {interface} mtu 1500`, `ethtool -K {interface} lro off`, or --xdp-mode generic"
    )]
    Unfit {
        /// The interface.
        interface: String,
        /// Its MTU, bytes.
        mtu: u32,
    },
    /// VLAN tags would be gone before the program sees the frame.
    #[error("{0} strips VLAN tags, so frames of a VLAN would look like others; `ethtool -K {0} rxvlan off`")]
    StripsVlan(String),
    /// More entries than the program has room for.
    #[error(
        "{given} {what} do not fit into the fast path, which holds {most}; list fewer, or run without --xdp"
    )]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many were given.
        given: usize,
        /// How many fit.
        most: usize,
    },
    /// A value that the program cannot hold.
    #[error("{0}")]
    Value(&'static str),
    /// A plan of the load generator that does not fit, with the figure that does.
    #[error("{0}")]
    Plan(String),
    /// Not on a BPF file system.
    #[error("{} is no folder of a BPF file system; `mount -t bpf bpf /sys/fs/bpf` and `mkdir -p {}`", .0.display(), .0.display())]
    NotBpfFolder(PathBuf),
    /// Anything else that the kernel says.
    #[error("{what}: {error}")]
    Kernel {
        /// What was being done.
        what: &'static str,
        /// The kernel's answer.
        error: io::Error,
    },
}

impl XdpError {
    /// The error of `what`, with those named that have a remedy.
    pub(crate) fn kernel(what: &'static str, error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::NotPermitted(what),
            _ => Self::Kernel { what, error },
        }
    }
}
