//! Every setting of `run`, once: its flag, its configuration key, its variable and its help.
//!
//! * A setting `--deny-source` is the key `deny-source` of the file and the variable `REFLECTOR_DENY_SOURCE`.
//! * What a setting means is for `config` to say; here it is a name and a text.

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Flag without its dashes, and key in the file.
    pub key: &'static str,
    /// What stands for the value in help texts.
    pub value_name: &'static str,
    /// Taken when no flag, variable or file says otherwise; shown in help texts.
    pub default: Option<&'static str>,
    /// May be given more than once; in a variable, separated by commas; in the file, a list.
    pub many: bool,
    /// Follows a SIGHUP; anything else needs a restart.
    pub reloads: bool,
    /// Also a flag of `explain`, because a decision depends on it.
    pub decides: bool,
    /// One paragraph: what it does, in which unit.
    pub help: &'static str,
}

impl Setting {
    /// The environment variable, e.g. `REFLECTOR_DENY_SOURCE`.
    pub fn variable(&self) -> String {
        format!("REFLECTOR_{}", self.key.to_uppercase().replace('-', "_"))
    }
}

/// The setting of this key.
pub fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// Those of `names` that look like variables of this program and are none. The sibling programs' are theirs.
pub fn unknown_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    let known = |name: &String| {
        name == CONFIG_VARIABLE
            || SIBLINGS.iter().any(|prefix| name.starts_with(prefix))
            || SETTINGS.iter().any(|setting| setting.variable() == *name)
    };
    names.filter(|name| name.starts_with("REFLECTOR_") && !known(name)).collect()
}

const fn fixed(key: &'static str, value_name: &'static str, help: &'static str) -> Setting {
    Setting { key, value_name, default: None, many: false, reloads: false, decides: false, help }
}

/// Every setting, in the order of the help text.
pub static SETTINGS: &[Setting] = &[
    Setting {
        many: true,
        decides: true,
        ..fixed(
            "listen",
            "ADDR:PORT",
            "UDP transport address to serve, at most one per family, e.g. 0.0.0.0:3478 and [::]:3478. IPv4 and IPv6 \
             endpoints reach each other only when both are given. Port 0 takes a free port",
        )
    },
    Setting {
        many: true,
        decides: true,
        ..fixed(
            "advertise",
            "ADDR:PORT",
            "What the world sees instead of --listen behind a 1:1 NAT, at most one per family; never relayed to",
        )
    },
    Setting {
        reloads: true,
        ..fixed(
            "keys",
            "FILE",
            "Ring of this reflector address (TOML); `reflector keygen` prints a fresh one",
        )
    },
    Setting {
        default: Some("auto"),
        ..fixed(
            "engine",
            "NAME",
            "How datagrams are moved. mio: epoll with recvmmsg and sendmmsg. uring: io_uring (Linux 6.0; containers \
             often forbid it). auto: uring where it may run and the kernel has what was measured of it (Linux 6.1), \
             which takes about 0.95 of mio's time per datagram, else mio; `reflector check` says which and why",
        )
    },
    Setting {
        default: Some("off"),
        ..fixed(
            "uring-sqpoll",
            "on|off",
            "With --engine uring: a thread of the kernel polls for work, so that workers make no system calls. It \
             costs a core for each worker while there is traffic",
        )
    },
    Setting {
        default: Some("auto"),
        ..fixed("workers", "N", "Worker threads, 1..=256; auto: one per CPU that this process may use")
    },
    Setting {
        default: Some("cpu"),
        ..fixed(
            "steer",
            "HOW",
            "Which worker gets a datagram. cpu: that of the CPU it arrived on. hash: chosen by the kernel from the \
             two transport addresses",
        )
    },
    Setting {
        many: true,
        ..fixed(
            "xdp",
            "IFACE",
            "Interface at whose driver datagrams are answered before the kernel's stack sees them (docs/xdp.md); what \
             the program there does not do itself, the sockets serve",
        )
    },
    Setting {
        default: Some("native"),
        ..fixed("xdp-mode", "MODE", "native: in the driver. generic: behind it, on any interface, and slower")
    },
    Setting {
        default: Some("neighbour"),
        ..fixed(
            "xdp-nexthop",
            "HOW",
            "Who names the next hop. neighbour: the daemon, from the kernel's routes and neighbours; what would not go back \
         to its sender passes. fib: the kernel, asked for each datagram; dearer, and the interface must forward",
        )
    },
    fixed(
        "xdp-pin",
        "DIR",
        "Folder in a BPF file system, e.g. /sys/fs/bpf/reflector, by which the program outlives a daemon that crashes, \
         for ten minutes; a stop removes it",
    ),
    Setting {
        many: true,
        reloads: true,
        decides: true,
        ..fixed(
            "allow-destination",
            "CIDR",
            "Special-purpose block to open as destination and as PROBE source (a lab, loopback); refused ports, \
             multicast and metadata addresses stay refused",
        )
    },
    Setting {
        many: true,
        reloads: true,
        decides: true,
        ..fixed(
            "deny-destination",
            "CIDR",
            "Block to close as destination and as PROBE source; wins over all else",
        )
    },
    Setting {
        many: true,
        reloads: true,
        decides: true,
        ..fixed("deny-source", "CIDR", "Block from which nothing is taken; wins over all else")
    },
    Setting {
        default: Some("4000"),
        reloads: true,
        ..fixed(
            "probe-budget",
            "N",
            "PROBEs answered per second, worker and source prefix (/24 or /48); at most one second's worth at once",
        )
    },
    Setting {
        default: Some("300s"),
        reloads: true,
        decides: true,
        ..fixed(
            "answer-lifetime",
            "TIME",
            "How long a renewed capability lives, 10s..=540s: who falls silent is not reachable for longer",
        )
    },
    Setting {
        default: Some("120s"),
        reloads: true,
        decides: true,
        ..fixed("ticket-lifetime", "TIME", "How long a contact ticket lives, 10s..=120s")
    },
    Setting {
        default: Some("1472"),
        decides: true,
        ..fixed(
            "max-datagram",
            "BYTES",
            "Longest datagram relayed, 64..=65507 bytes of UDP payload, header included; 20 fewer to IPv6",
        )
    },
    Setting {
        default: Some("off"),
        decides: true,
        ..fixed(
            "stun",
            "HOW",
            "Answer STUN Binding requests at --listen, from sources that may send a PROBE, within the PROBE budget counted \
             apart. binding: RFC 8489; answers are up to 2.2 times their request. behaviour: RFC 5780 too, so that \
             clients can tell what NAT they are behind; up to 5.8 times",
        )
    },
    Setting {
        many: true,
        ..fixed(
            "stun-alternate",
            "ADDR:PORT",
            "With --stun behaviour: another address of this host and another port, at most one per family; they and \
             --listen make four sockets that answer for each other. Without it CHANGE-REQUEST is rejected (420)",
        )
    },
    Setting {
        default: Some("127.0.0.1:9464"),
        ..fixed("admin", "ADDR:PORT", "TCP transport address of /livez, /readyz, /metrics and /config")
    },
    Setting {
        default: Some("30s"),
        ..fixed("drain-timeout", "TIME", "How long a SIGTERM waits for traffic to go elsewhere, 0s..=1h")
    },
    Setting {
        default: Some("100"),
        ..fixed("drain-below", "N", "Datagrams per second, all workers together, below which a drain is over")
    },
    Setting {
        default: Some("4MiB"),
        ..fixed(
            "receive-buffer",
            "BYTES",
            "Kernel buffer wanted for each socket and direction, 4KiB..=1GiB; `reflector check` says when the kernel \
             grants less",
        )
    },
    Setting {
        default: Some("text"),
        ..fixed("log-format", "FORMAT", "Log lines on stderr: text, or json with one object a line")
    },
];

/// The variable that names the configuration file.
pub const CONFIG_VARIABLE: &str = "REFLECTOR_CONFIG";
const SIBLINGS: [&str; 4] =
    ["REFLECTOR_ACCESS_", "REFLECTOR_ENDPOINT_", "REFLECTOR_LOADGEN_", "REFLECTOR_PERF_"];
