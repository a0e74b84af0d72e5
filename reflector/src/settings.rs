//! Every setting of `run`, once: its flag, its configuration key, its variable and its help.
//!
//! * A setting `--deny-source` is the key `deny-source` of the file and the variable `REFLECTOR_DENY_SOURCE`.
//! * Those on which a decision depends are also flags of `explain`; those of the fast path, of `xdp`.
//! * What a setting means is for `config` to say; here it is a name and a text.

use program::settings::table::{Numbered, Setting, Settings};

/// The settings of `reflector`.
pub static SETTINGS: Settings = Settings {
    prefix: "REFLECTOR_",
    siblings: &["REFLECTOR_ACCESS_", "REFLECTOR_ENDPOINT_", "REFLECTOR_LOADGEN_", "REFLECTOR_PERF_"],
    all: ALL,
    numbered: Some(Numbered { name: "class", below: 16, field: "rate", example: "5Mbps" }),
};

static ALL: &[Setting] = &[
    Setting {
        many: true,
        also: &["explain"],
        ..Setting::new(
            "listen",
            "ADDR:PORT",
            "UDP transport address to serve, at most one per family, e.g. 0.0.0.0:3478 and [::]:3478. IPv4 and IPv6 \
             endpoints reach each other only when both are given. Port 0 takes a free port",
        )
    },
    Setting {
        many: true,
        also: &["explain"],
        ..Setting::new(
            "advertise",
            "ADDR:PORT",
            "What the world sees instead of --listen behind a 1:1 NAT, at most one per family; never relayed to",
        )
    },
    Setting {
        reloads: true,
        ..Setting::new(
            "keys",
            "FILE",
            "Ring of this reflector address (TOML); `reflector keygen` prints a fresh one",
        )
    },
    Setting {
        default: Some("auto"),
        ..Setting::new(
            "engine",
            "NAME",
            "How datagrams are moved. epoll: recvmmsg and sendmmsg where epoll says so. uring: io_uring (Linux 6.0; \
             containers often forbid it). auto: uring where it may run and the kernel has what was measured of it (Linux 6.1), \
             which takes about 0.95 of epoll's time per datagram, else epoll; `reflector check` says which and why",
        )
    },
    Setting {
        default: Some("off"),
        ..Setting::new(
            "uring-sqpoll",
            "on|off",
            "With --engine uring: a thread of the kernel polls for work, so that workers make no system calls. It \
             costs a core for each worker while there is traffic",
        )
    },
    Setting {
        default: Some("auto"),
        ..Setting::new("workers", "N", "Worker threads, 1..=256; auto: one per CPU that this process may use")
    },
    Setting {
        default: Some("cpu"),
        ..Setting::new(
            "steer",
            "HOW",
            "Which worker gets a datagram. cpu: that of the CPU it arrived on. hash: chosen by the kernel from the \
             two transport addresses",
        )
    },
    Setting {
        many: true,
        also: &["xdp"],
        ..Setting::new(
            "xdp",
            "IFACE",
            "Interface at whose driver datagrams are answered before the kernel's stack sees them (docs/xdp.md); what \
             the program there does not do itself, the sockets serve",
        )
    },
    Setting {
        default: Some("native"),
        ..Setting::new(
            "xdp-mode",
            "MODE",
            "native: in the driver. generic: behind it, on any interface, and slower",
        )
    },
    Setting {
        default: Some("neighbour"),
        ..Setting::new(
            "xdp-nexthop",
            "HOW",
            "Who names the next hop. neighbour: the daemon, from the kernel's routes and neighbours; what would not go back \
         to its sender passes. fib: the kernel, asked for each datagram; dearer, and the interface must forward",
        )
    },
    Setting {
        also: &["xdp"],
        ..Setting::new(
            "xdp-pin",
            "DIR",
            "Folder in a BPF file system, e.g. /sys/fs/bpf/reflector, by which the program outlives a daemon that crashes, \
         for ten minutes; a stop removes it",
        )
    },
    Setting {
        many: true,
        reloads: true,
        also: &["explain"],
        ..Setting::new(
            "allow-destination",
            "CIDR",
            "Special-purpose block to open as destination and as PROBE source (a lab, loopback); refused ports, \
             multicast and metadata addresses stay refused",
        )
    },
    Setting {
        many: true,
        reloads: true,
        also: &["explain"],
        ..Setting::new(
            "deny-destination",
            "CIDR",
            "Block to close as destination and as PROBE source; wins over all else",
        )
    },
    Setting {
        many: true,
        reloads: true,
        also: &["explain"],
        ..Setting::new("deny-source", "CIDR", "Block from which nothing is taken; wins over all else")
    },
    Setting {
        default: Some("4000"),
        reloads: true,
        ..Setting::new(
            "probe-budget",
            "N",
            "PROBEs answered per second, worker and source prefix (/24 or /48); at most one second's worth at once",
        )
    },
    Setting {
        default: Some("300s"),
        reloads: true,
        also: &["explain"],
        ..Setting::new(
            "answer-lifetime",
            "TIME",
            "How long a renewed capability lives, 10s..=540s: who falls silent is not reachable for longer",
        )
    },
    Setting {
        default: Some("120s"),
        reloads: true,
        also: &["explain"],
        ..Setting::new("ticket-lifetime", "TIME", "How long a contact ticket lives, 10s..=120s")
    },
    Setting {
        default: Some("1472"),
        also: &["explain"],
        ..Setting::new(
            "max-datagram",
            "BYTES",
            "Longest datagram relayed, 64..=65507 bytes of UDP payload, header included; 20 fewer to IPv6",
        )
    },
    Setting {
        default: Some("off"),
        also: &["explain"],
        ..Setting::new(
            "stun",
            "HOW",
            "Answer STUN Binding requests at --listen, from sources that may send a PROBE, within the PROBE budget counted \
             apart. binding: RFC 8489; answers are up to 2.2 times their request. behaviour: RFC 5780 too, so that \
             clients can tell what NAT they are behind; up to 5.8 times",
        )
    },
    Setting {
        many: true,
        ..Setting::new(
            "stun-alternate",
            "ADDR:PORT",
            "With --stun behaviour: another address of this host and another port, at most one per family; they and \
             --listen make four sockets that answer for each other. Without it CHANGE-REQUEST is rejected (420)",
        )
    },
    Setting {
        default: Some("127.0.0.1:9464"),
        also: &["revoke"],
        ..Setting::new("admin", "ADDR:PORT", "TCP transport address of /livez, /readyz, /metrics and /config")
    },
    Setting {
        also: &["revoke"],
        ..Setting::new(
            "admin-token",
            "FILE",
            "Bearer tokens, one a line, of those who may revoke (POST /v1/revocations on --admin); needs --revocations, \
             and an --admin of loopback or a private network, or --admin-tls-cert. Read at each request",
        )
    },
    Setting {
        also: &["revoke"],
        ..Setting::new("admin-tls-cert", "FILE", "Certificate chain of --admin (PEM): it then speaks https")
    },
    Setting::new("admin-tls-key", "FILE", "Private key of --admin-tls-cert (PEM)"),
    Setting::new(
        "revocations",
        "FILE",
        "Where revocations are kept while they last, 720 s, so that a restart forgets none; the folder must be \
         writable",
    ),
    Setting {
        default: Some("30s"),
        ..Setting::new(
            "drain-timeout",
            "TIME",
            "How long a SIGTERM waits for traffic to go elsewhere, 0s..=1h",
        )
    },
    Setting {
        default: Some("100"),
        ..Setting::new(
            "drain-below",
            "N",
            "Datagrams per second, all workers together, below which a drain is over",
        )
    },
    Setting {
        default: Some("4MiB"),
        ..Setting::new(
            "receive-buffer",
            "BYTES",
            "Kernel buffer wanted for each socket and direction, 4KiB..=1GiB; `reflector check` says when the kernel \
             grants less",
        )
    },
    Setting {
        default: Some("text"),
        ..Setting::new("log-format", "FORMAT", "Log lines on stderr: text, or json with one object a line")
    },
];
