//! Every setting, once: its flag, its configuration key, its variable, its help, and the commands that take it.
//!
//! * A setting `--tls-cert` is the key `tls-cert` of the file and the variable `REFLECTOR_ACCESS_TLS_CERT`.
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
    /// May be given more than once; in the file, a list.
    pub many: bool,
    /// Follows a SIGHUP; anything else needs a restart.
    pub reloads: bool,
    /// Commands besides `run` that take it.
    pub also: &'static [&'static str],
    /// One paragraph: what it does, in which unit.
    pub help: &'static str,
}

impl Setting {
    /// The environment variable, e.g. `REFLECTOR_ACCESS_TLS_CERT`.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.key.to_uppercase().replace('-', "_"))
    }

    /// Whether `command` takes it.
    pub fn is_of(&self, command: &str) -> bool {
        command == "run" || self.also.contains(&command)
    }
}

/// The setting of this key.
pub fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// Those of `names` that look like variables of this program and are none.
pub fn unknown_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    let known =
        |name: &String| name == CONFIG_VARIABLE || SETTINGS.iter().any(|setting| setting.variable() == *name);
    names.filter(|name| name.starts_with(PREFIX) && !known(name)).collect()
}

const fn fixed(key: &'static str, value_name: &'static str, help: &'static str) -> Setting {
    Setting { key, value_name, default: None, many: false, reloads: false, also: &[], help }
}

/// Every setting, in the order of the help text.
pub static SETTINGS: &[Setting] = &[
    Setting {
        default: Some("127.0.0.1:8480"),
        many: true,
        ..fixed(
            "listen",
            "ADDR:PORT",
            "TCP transport address to serve; port 0 takes a free port. Off loopback, TLS is needed",
        )
    },
    Setting {
        many: true,
        reloads: true,
        ..fixed(
            "server-name",
            "NAME",
            "Host by which endpoints call this server, as in their URL; a login signed for another name is refused. \
             Without it: the listening addresses, and localhost for loopback",
        )
    },
    Setting {
        reloads: true,
        also: &["ring", "mint"],
        ..fixed(
            "master",
            "FILE",
            "Keys from which the ring of every reflector is derived (TOML); `reflector-access keygen` prints a fresh one",
        )
    },
    Setting {
        also: &["account", "buddy"],
        ..fixed("store", "FILE", "Accounts, devices and buddies; made if it is not there")
    },
    Setting {
        also: &["account", "buddy"],
        ..fixed(
            "control",
            "PATH",
            "Unix socket by which `account` and `buddy` reach the running server; without it, STORE.sock",
        )
    },
    Setting {
        many: true,
        reloads: true,
        also: &["mint"],
        ..fixed(
            "reflector",
            "NAME=ADDR:PORT[,[ADDR6]:PORT]",
            "A reflector: its name and its transport address, at most one per family",
        )
    },
    Setting {
        many: true,
        reloads: true,
        ..fixed(
            "drain",
            "NAME",
            "Reflector to offer to nobody from now on, before it is stopped; what it relays goes on",
        )
    },
    Setting {
        many: true,
        reloads: true,
        ..fixed(
            "reflector-admin",
            "NAME=ADDR:PORT",
            "Admin listener of a reflector; while its /readyz says 503, because it drains, it is offered to nobody",
        )
    },
    fixed("tls-cert", "FILE", "Certificate chain (PEM), the server's own first; read again at SIGHUP"),
    fixed("tls-key", "FILE", "Its private key (PEM); read again at SIGHUP"),
    Setting {
        default: Some("loopback"),
        ..fixed(
            "plaintext",
            "WHERE",
            "Where HTTP without TLS is allowed. loopback: there only. any: anywhere, e.g. behind a proxy that ends TLS",
        )
    },
    Setting {
        reloads: true,
        ..fixed(
            "service-credentials",
            "FILE",
            "Bearer tokens for POST /v1/capabilities, one a line, 32 characters or more; without it that call is refused",
        )
    },
    Setting {
        many: true,
        reloads: true,
        also: &["mint"],
        ..fixed(
            "allow-destination",
            "CIDR",
            "Special-purpose block in which contacts are accepted (a lab, loopback), as the reflectors allow it",
        )
    },
    Setting {
        many: true,
        reloads: true,
        also: &["mint"],
        ..fixed("deny-destination", "CIDR", "Block in which no contact is accepted; wins over all else")
    },
    Setting {
        default: Some("0"),
        reloads: true,
        ..fixed("class", "N", "Rate class of capabilities between buddies, 0..=15")
    },
    Setting {
        default: Some("300s"),
        reloads: true,
        also: &["mint"],
        ..fixed(
            "capability-lifetime",
            "TIME",
            "How long a capability lives beyond the sooner of now and its tickets' ends, 10s..=540s",
        )
    },
    Setting {
        default: Some("120s"),
        reloads: true,
        ..fixed(
            "lease",
            "TIME",
            "How long a device is online without a refresh, 2s..=1h; endpoints refresh at half of it, and that half is \
             the grace for tickets that have ended",
        )
    },
    Setting {
        default: Some("15s"),
        reloads: true,
        ..fixed("keepalive", "TIME", "How often endpoints are told to PROBE, 1s..=60s")
    },
    Setting {
        default: Some("1s"),
        ..fixed("probe-interval", "TIME", "How often this server PROBEs each reflector, 100ms..=60s")
    },
    fixed(
        "audit",
        "FILE",
        "Log of everything minted (JSON lines); without it, STORE.audit.jsonl; `none` for none",
    ),
    Setting {
        default: Some("64MiB"),
        ..fixed("audit-size", "BYTES", "Length at which the audit log is rotated, 64KiB..=1GiB")
    },
    Setting {
        default: Some("8"),
        ..fixed("audit-files", "N", "Audit logs kept besides the current one, 1..=1000")
    },
    Setting {
        default: Some("auto"),
        ..fixed("threads", "N", "Threads that serve, 1..=256; auto: one per CPU that this process may use")
    },
    Setting {
        default: Some("10k"),
        ..fixed("max-connections", "N", "Connections held at once, 1..=1M; more wait to be accepted")
    },
    Setting {
        default: Some("30s"),
        ..fixed(
            "request-timeout",
            "TIME",
            "How long a TLS handshake, the head or the body of a request, the taking of an answer, or a pause between \
             requests may last, 100ms..=10m",
        )
    },
    Setting {
        default: Some("127.0.0.1:9465"),
        ..fixed("admin", "ADDR:PORT", "TCP transport address of /livez, /readyz, /metrics and /config")
    },
    Setting {
        default: Some("30s"),
        ..fixed("drain-timeout", "TIME", "How long a SIGTERM waits for requests to be answered, 0s..=1h")
    },
    Setting {
        default: Some("text"),
        ..fixed("log-format", "FORMAT", "Log lines on stderr: text, or json with one object a line")
    },
];

/// The variable that names the configuration file.
pub const CONFIG_VARIABLE: &str = "REFLECTOR_ACCESS_CONFIG";
const PREFIX: &str = "REFLECTOR_ACCESS_";
