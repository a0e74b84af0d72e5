//! What stands in deploy/ is what the daemon has: metrics, labels and reasons, kernel settings, times, paths.
//!
//! * The files are read as text, the page is that of a daemon that runs.
//! * What only a systemd, a package manager or Prometheus can judge, deploy/check has them judge.

use crate::rig::daemon::{Folder, Reflector, program};
use crate::rig::protocol::Key;
use engine::host::addresses::Addresses;
use engine::socket::kind::Kind;
use engine::socket::udp::Granted;
use program::settings::layers::Layers;
use reflector::choice::Choice;
use reflector::config::Config;
use reflector::fast_path::findings::{InterfaceFacts, XdpFacts};
use reflector::run::findings;
use reflector::run::findings::Facts;
use reflector::settings::SETTINGS;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn dashboard_and_alerts_name_only_what_is_exported() {
    let reflector = Reflector::start(&[]);
    let exported = Exported::new(&reflector.get("/metrics").1);
    let dashboard: serde_json::Value = serde_json::from_str(&read("deploy/grafana.json")).unwrap();
    let mut expressions = Vec::new();
    queries(&dashboard, &mut expressions);
    assert!(expressions.len() > 30, "{expressions:?}");
    let rules = read("deploy/alerts.yml");
    let rules: Vec<&str> = rules.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    expressions.push(rules.join("\n"));
    let mut found = Vec::new();
    for text in &expressions {
        found.extend(exported.missing(text));
    }
    assert!(found.is_empty(), "deploy/ names what nothing exports:\n{}", found.join("\n"));
    assert_eq!(exported.missing("reflector_ready{worker=\"0\"} + reflector_gone_total").len(), 2);
    assert_eq!(exported.missing("reflector_dropped_datagrams_total{reason=~\"tag|gone\"}").len(), 1);
    assert_eq!(exported.missing("sum by (job, gone) (up)").len(), 1);
}

/// What a metrics page has: names of samples, and for each its labels with their values.
struct Exported(BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

impl Exported {
    fn new(page: &str) -> Self {
        let mut all = BTreeMap::new();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let (left, _) = line.rsplit_once(' ').unwrap();
            let (name, labels) = left.split_once('{').unwrap_or((left, ""));
            let place: &mut BTreeMap<String, BTreeSet<String>> = all.entry(name.to_owned()).or_default();
            for (key, value) in pairs(labels) {
                place.entry(key.to_owned()).or_default().insert(value.to_owned());
            }
        }
        Self(all)
    }

    /// Metrics, labels and values of labels that `text` names and the page has not.
    fn missing(&self, text: &str) -> Vec<String> {
        let mut missing = Vec::new();
        for (name, after) in words(text).filter(|(name, _)| is_metric(name)) {
            let Some(labels) = self.0.get(name) else {
                missing.push(format!("the metric {name}"));
                continue;
            };
            let selector =
                after.strip_prefix('{').and_then(|rest| rest.split('}').next()).unwrap_or_default();
            for (key, value) in pairs(selector).filter(|(key, _)| !OF_TARGETS.contains(key)) {
                let known = labels.get(key);
                let unknown = value.split('|').filter(|it| known.is_none_or(|known| !known.contains(*it)));
                missing.extend(unknown.map(|it| format!("{key}=\"{it}\" of {name}")));
            }
        }
        let keys: BTreeSet<&str> =
            self.0.values().flat_map(BTreeMap::keys).map(String::as_str).chain(OF_TARGETS).collect();
        let grouped = GROUPINGS.iter().flat_map(|word| text.split(word).skip(1));
        let grouped = grouped.filter_map(|rest| rest.strip_prefix('(')?.split(')').next());
        let labels = grouped.flat_map(|list| list.split(',').map(str::trim));
        let shown =
            text.split("$labels.").skip(1).filter_map(|rest| words(rest).next()).map(|(word, _)| word);
        let unknown = labels.chain(shown).filter(|label| !label.is_empty() && !keys.contains(label));
        missing.extend(unknown.map(|label| format!("the label {label}")));
        missing
    }
}

pub(crate) fn every_alert_says_what_to_do_and_names_its_row() {
    let (rules, runbook) = (read("deploy/alerts.yml"), read("docs/runbook.md"));
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    assert!(alerts.len() > 20);
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        let said = |key: &str| {
            let line = alert.lines().find_map(|line| line.trim().strip_prefix(&format!("{key}: \"")));
            line.unwrap_or_else(|| panic!("{name} has no {key}")).trim_end_matches('"')
        };
        assert!(said("summary").contains("$labels."), "{name} does not say where");
        assert!(said("do").len() > 30 && alert.contains("severity: "), "{name}");
        let (heading, row) =
            said("runbook").strip_prefix("docs/runbook.md#").unwrap().split_once(' ').unwrap();
        let title = |line: &&str| line.strip_prefix("## ").map(anchor).as_deref() == Some(heading);
        let below = runbook.lines().skip_while(|line| !title(line)).skip(1);
        let mut rows = below.take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with('|'));
        let first = |line: &str| line.split('|').nth(1).unwrap().replace('`', "");
        let named = rows.any(|line| first(line).split(',').any(|cell| cell.trim() == row));
        assert!(named, "{name}: docs/runbook.md has no row {row} below #{heading}");
    }
}

pub(crate) fn kernel_settings_are_those_that_check_names() {
    let folder = Folder::new("reflector-test");
    let text = "listen = \"198.51.100.1:3478\"\nkeys = \"ring.toml\"\nxdp = [\"edge0\"]\n";
    let file = Some(folder.write("reflector.toml", text));
    let config = Config::read(&Layers::new(&SETTINGS, file)).unwrap();
    let granted = Granted { receive_buffer: 0, send_buffer: 0, gro: true, gso: true, overflow_count: true };
    let facts = Facts {
        choice: Choice { kind: Kind::Epoll, refusal: None },
        granted,
        cpus: 1,
        workers: 1,
        ring_mode: 0o640,
        host: Addresses::default(),
        xdp: XdpFacts {
            compiles: Some(false),
            interfaces: vec![InterfaceFacts::default()],
            ..XdpFacts::default()
        },
    };
    let findings = findings::list(&config, &facts);
    let named = findings.iter().filter_map(|finding| finding.mend.strip_prefix("sysctl -w "));
    let named: BTreeSet<String> = named.map(str::to_owned).collect();
    let file = read("deploy/90-reflector.conf");
    let lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut set: BTreeSet<String> = lines.map(|line| line.replace(' ', "")).collect();
    // Where frames wait for a processor is not the daemon's to see, so `check` has no word on it.
    assert!(set.remove("net.core.netdev_max_backlog=10000"));
    assert_eq!(set, named);
    assert_eq!(named.len(), 3);
}

pub(crate) fn the_unit_waits_longer_than_a_drain() {
    let unit = read("deploy/reflector.service");
    let stop_s = value(&unit, "TimeoutStopSec=").strip_suffix('s').unwrap().parse::<u64>().unwrap();
    let config =
        Config::read(&Layers::new(&SETTINGS, Some(installed(&Folder::new("reflector-test"))))).unwrap();
    assert!(stop_s > config.drain_timeout.as_secs(), "TimeoutStopSec={stop_s}s ends a drain");
    let defaults = SETTINGS.find("drain-timeout").unwrap().default;
    assert_eq!(defaults, Some(format!("{}s", config.drain_timeout.as_secs()).as_str()));
    let package = read("reflector/Cargo.toml");
    for (path, folder) in
        [("/usr/bin/reflector", "usr/bin/"), ("/etc/reflector/reflector.toml", "etc/reflector/")]
    {
        assert!(value(&unit, "ExecStart=").contains(path), "{path}");
        assert!(package.contains(&format!("\"{folder}\"")), "the package puts nothing into {folder}");
    }
}

pub(crate) fn the_installed_configuration_runs_once_it_has_an_address() {
    let folder = Folder::new("reflector-test");
    let file = installed(&folder);
    let output = program().arg("check").arg("--config").arg(&file).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said} {}", String::from_utf8_lossy(&output.stderr));
    let untouched = folder.write("untouched.toml", &read("deploy/reflector.toml"));
    let output = program().arg("check").arg("--config").arg(untouched).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("listen is not set"));
}

pub(crate) fn the_container_is_built_by_our_compiler_and_runs_as_nobody() {
    let file = read("deploy/Containerfile");
    let stages: Vec<&str> = file.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
    let workspace = read("Cargo.toml");
    let version = value(&workspace, "rust-version = ").trim_matches('"');
    assert_eq!(stages.len(), 2, "{stages:?}");
    assert!(stages[0].starts_with(&format!("docker.io/library/rust:{version}-")), "{}", stages[0]);
    let (_, last) = file.split_once(stages[1]).unwrap();
    let user = value(last, "USER ");
    assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "USER {user}");
    assert!(value(last, "ENTRYPOINT ").contains("\"/usr/bin/reflector\""));
}

/// The configuration that the package installs, given an address and a ring.
fn installed(folder: &Folder) -> std::path::PathBuf {
    let ring = folder.write("ring.toml", &Key::new(1, 1).toml()).display().to_string();
    let text = read("deploy/reflector.toml").replace("/etc/reflector/ring.toml", &ring);
    let line = text.lines().find(|line| line.starts_with("#listen")).unwrap();
    folder.write("reflector.toml", &text.replace(line, "listen = [\"127.0.0.1:3478\", \"[::1]:3478\"]"))
}

/// A file of the project.
fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// What follows `key` on the first line that begins with it.
fn value<'a>(text: &'a str, key: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(key)).unwrap()
}

/// Expressions of a dashboard, wherever they stand.
fn queries(value: &serde_json::Value, out: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => fields.iter().for_each(|(key, value)| match value.as_str() {
            Some(text) if key == "expr" || key == "query" => out.push(text.to_owned()),
            _ => queries(value, out),
        }),
        serde_json::Value::Array(values) => values.iter().for_each(|value| queries(value, out)),
        _ => {}
    }
}

fn is_metric(word: &str) -> bool {
    word.starts_with("reflector_") || word.starts_with("process_")
}

/// Words as Prometheus has them, each with what follows it.
fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c| !part(c));
        let (word, after) = rest.split_at(rest.find(|c| !part(c)).unwrap_or(rest.len()));
        rest = after;
        (!word.is_empty()).then_some((word, after))
    })
}

/// Labels of a sample or a selector, whatever compares them.
fn pairs(labels: &str) -> impl Iterator<Item = (&str, &str)> {
    labels.split("\",").flat_map(|part| part.split(", ")).filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        Some((key.trim().trim_end_matches('!'), value.trim_start_matches('~').trim_matches(['"', '}'])))
    })
}

/// The anchor of a heading in Markdown.
fn anchor(title: &str) -> String {
    title.to_lowercase().replace(' ', "-").replace('\'', "")
}

/// Labels that targets get where they are scraped, and that of a histogram's buckets.
const OF_TARGETS: [&str; 4] = ["job", "instance", "address", "le"];
const GROUPINGS: [&str; 4] = ["by ", "without ", "ignoring ", "on "];
