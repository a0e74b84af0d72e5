//! Every setting, once: its flag, its configuration key, its variable, its help, and the commands that take it.
//!
//! * A setting `--tls-cert` is the key `tls-cert` of the file and the variable `REFLECTOR_ACCESS_TLS_CERT`.
//! * What a setting means is for `config` to say; here it is a name and a text.

use program::settings::table::{Setting, Settings};

/// The settings of `reflector-access`.
pub static SETTINGS: Settings =
    Settings { prefix: "REFLECTOR_ACCESS_", siblings: &[], all: ALL, numbered: None };

static ALL: &[Setting] = &[
    Setting {
        default: Some("127.0.0.1:8480"),
        many: true,
        ..Setting::new(
            "listen",
            "ADDR:PORT",
            "TCP transport address to serve; port 0 takes a free port. Off loopback, TLS is needed",
        )
    },
    Setting {
        many: true,
        reloads: true,
        ..Setting::new(
            "server-name",
            "NAME",
            "Host by which endpoints call this server, as in their URL; a login signed for another name is refused. \
             Without it: the listening addresses, and localhost for loopback",
        )
    },
    Setting {
        reloads: true,
        also: &["ring", "mint"],
        ..Setting::new(
            "master",
            "FILE",
            "Keys from which the ring of every reflector is derived (TOML); `reflector-access keygen` prints a fresh one",
        )
    },
    Setting {
        also: &["account", "buddy"],
        ..Setting::new("store", "FILE", "Accounts, devices and buddies; made if it is not there")
    },
    Setting {
        also: &["account", "buddy"],
        ..Setting::new(
            "control",
            "PATH",
            "Unix socket by which `account` and `buddy` reach the running server; without it, STORE.sock",
        )
    },
    Setting {
        many: true,
        reloads: true,
        also: &["mint"],
        ..Setting::new(
            "reflector",
            "NAME=ADDR:PORT[,[ADDR6]:PORT]",
            "A reflector: its name and its transport address, at most one per family",
        )
    },
    Setting {
        many: true,
        reloads: true,
        ..Setting::new(
            "drain",
            "NAME",
            "Reflector to offer to nobody from now on, before it is stopped; what it relays goes on",
        )
    },
    Setting {
        many: true,
        reloads: true,
        ..Setting::new(
            "reflector-admin",
            "NAME=URL",
            "Admin listener of a host of a reflector, e.g. fra1=http://10.0.0.7:9464. While /readyz of all its hosts says \
             503, a reflector is offered to nobody; with a token, rights that end are taken back there at once",
        )
    },
    Setting {
        reloads: true,
        ..Setting::new(
            "reflector-admin-token",
            "FILE",
            "Token of the reflectors' --admin-token, by which rights are taken back: of accounts that are disabled, \
             friendships that end, devices that begin to hide. Without it they end with their key",
        )
    },
    Setting {
        reloads: true,
        ..Setting::new(
            "reflector-admin-ca",
            "FILE",
            "Authorities (PEM) that vouch for admin listeners with https, besides the system's",
        )
    },
    Setting::new("tls-cert", "FILE", "Certificate chain (PEM), the server's own first; read again at SIGHUP"),
    Setting::new("tls-key", "FILE", "Its private key (PEM); read again at SIGHUP"),
    Setting {
        default: Some("loopback"),
        ..Setting::new(
            "plaintext",
            "WHERE",
            "Where HTTP without TLS is allowed. loopback: there only. any: anywhere, e.g. behind a proxy that ends TLS",
        )
    },
    Setting {
        reloads: true,
        ..Setting::new(
            "service-credentials",
            "FILE",
            "Bearer tokens for POST /v1/capabilities, one a line, 32 characters or more; without it that call is refused",
        )
    },
    Setting {
        many: true,
        reloads: true,
        also: &["mint"],
        ..Setting::new(
            "allow-destination",
            "CIDR",
            "Special-purpose block in which contacts are accepted (a lab, loopback), as the reflectors allow it",
        )
    },
    Setting {
        many: true,
        reloads: true,
        also: &["mint"],
        ..Setting::new(
            "deny-destination",
            "CIDR",
            "Block in which no contact is accepted; wins over all else",
        )
    },
    Setting {
        default: Some("0"),
        reloads: true,
        ..Setting::new("class", "N", "Rate class of capabilities between buddies, 0..=15")
    },
    Setting {
        default: Some("300s"),
        reloads: true,
        also: &["mint"],
        ..Setting::new(
            "capability-lifetime",
            "TIME",
            "How long a capability lives beyond the sooner of now and its tickets' ends, 10s..=540s",
        )
    },
    Setting {
        default: Some("120s"),
        reloads: true,
        ..Setting::new(
            "lease",
            "TIME",
            "How long a device is online without a refresh, 2s..=1h; endpoints refresh at half of it, and that half is \
             the grace for tickets that have ended",
        )
    },
    Setting {
        default: Some("15s"),
        reloads: true,
        ..Setting::new("keepalive", "TIME", "How often endpoints are told to PROBE, 1s..=60s")
    },
    Setting {
        default: Some("1s"),
        ..Setting::new("probe-interval", "TIME", "How often this server PROBEs each reflector, 100ms..=60s")
    },
    Setting::new(
        "audit",
        "FILE",
        "Log of everything minted (JSON lines); without it, STORE.audit.jsonl; `none` for none",
    ),
    Setting {
        default: Some("64MiB"),
        ..Setting::new("audit-size", "BYTES", "Length at which the audit log is rotated, 64KiB..=1GiB")
    },
    Setting {
        default: Some("8"),
        ..Setting::new("audit-files", "N", "Audit logs kept besides the current one, 1..=1000")
    },
    Setting {
        default: Some("auto"),
        ..Setting::new(
            "threads",
            "N",
            "Threads that serve, 1..=256; auto: one per CPU that this process may use",
        )
    },
    Setting {
        default: Some("10k"),
        ..Setting::new("max-connections", "N", "Connections held at once, 1..=1M; more wait to be accepted")
    },
    Setting {
        default: Some("30s"),
        ..Setting::new(
            "request-timeout",
            "TIME",
            "How long a TLS handshake, the head or the body of a request, the taking of an answer, or a pause between \
             requests may last, 100ms..=10m",
        )
    },
    Setting {
        default: Some("127.0.0.1:9465"),
        ..Setting::new("admin", "ADDR:PORT", "TCP transport address of /livez, /readyz, /metrics and /config")
    },
    Setting {
        default: Some("30s"),
        ..Setting::new(
            "drain-timeout",
            "TIME",
            "How long a SIGTERM waits for requests to be answered, 0s..=1h",
        )
    },
    Setting {
        default: Some("text"),
        ..Setting::new("log-format", "FORMAT", "Log lines on stderr: text, or json with one object a line")
    },
];
