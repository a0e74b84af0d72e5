//! Where a run took place: what a reader must know before comparing its figures with others.
//!
//! * Read from the kernel's own files; what cannot be read is said to be unknown, not left out.
//! * Nothing that names a host, a user or an address.

use crate::figures;
use lab::programs::found::Programs;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Facts about the machine, in groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Kernel, processor, memory.
    pub machine: Vec<Fact>,
    /// Network settings of the kernel.
    pub sysctls: Vec<Fact>,
    /// What the kernel does about flaws of the processor.
    pub mitigations: Vec<Fact>,
    /// The programs.
    pub versions: Vec<Fact>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is.
    pub name: String,
    /// Its value, with unit.
    pub value: String,
}

impl Environment {
    /// Of this machine now.
    pub fn read(programs: &Programs) -> Self {
        Self {
            machine: machine(),
            sysctls: sysctls(),
            mitigations: mitigations(),
            versions: versions(programs),
        }
    }
}

/// A fact.
pub fn fact(name: &str, value: impl Into<String>) -> Fact {
    Fact { name: name.to_owned(), value: value.into() }
}

fn machine() -> Vec<Fact> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let field = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.split(':').next().is_some_and(|name| name.trim() == key));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
    };
    let processors = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let allowed = engine::host::affinity::allowed().map_or(0, |cpus| cpus.len());
    let is_guest = cpuinfo.lines().any(|line| line.starts_with("flags") && line.contains(" hypervisor"));
    let memory_kib =
        field(&meminfo, "MemTotal").and_then(|value| value.split(' ').next()?.parse::<u64>().ok());
    vec![
        fact("Kernel", format!("Linux {}", one_line("/proc/sys/kernel/osrelease"))),
        fact("Architecture", std::env::consts::ARCH),
        fact("Processor", field(&cpuinfo, "model name").unwrap_or_else(unknown)),
        fact("Processors", format!("{processors}, of which {allowed} may be used")),
        fact("Virtual machine", if is_guest { "yes" } else { "not known to be one" }),
        fact("Clock source", one_line("/sys/devices/system/clocksource/clocksource0/current_clocksource")),
        fact("Governor", one_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        fact("Memory", memory_kib.map_or_else(unknown, |kib| format!("{} MiB", figures::count(kib / 1024)))),
    ]
}

fn sysctls() -> Vec<Fact> {
    SYSCTLS
        .iter()
        .map(|name| fact(name, one_line(&format!("/proc/sys/{}", name.replace('.', "/")))))
        .collect()
}

fn mitigations() -> Vec<Fact> {
    let folder = fs::read_dir("/sys/devices/system/cpu/vulnerabilities").into_iter().flatten().flatten();
    let mut facts: Vec<Fact> = folder
        .map(|entry| fact(&entry.file_name().to_string_lossy(), one_line(&entry.path().to_string_lossy())))
        .collect();
    facts.sort_by(|a, b| a.name.cmp(&b.name));
    facts
}

/// The version of the reflector, with the commit that it was built from where that is known.
pub fn reflector_version(programs: &Programs) -> String {
    let facts = versions(programs);
    let value = |name: &str| facts.iter().find(|fact| fact.name == name).map(|fact| fact.value.clone());
    let version = value("reflector").unwrap_or_else(unknown);
    value("Commit").map_or(version.clone(), |commit| format!("{version} ({commit})"))
}

fn versions(programs: &Programs) -> Vec<Fact> {
    let mut facts = vec![fact("reflector-perf", env!("CARGO_PKG_VERSION"))];
    let said = |program: &Path| output(Command::new(program).arg("--version"));
    for (name, program) in [("reflector", &programs.reflector), ("reflector-loadgen", &programs.loadgen)] {
        let version = said(program).unwrap_or_else(unknown);
        facts.push(fact(name, version.strip_prefix(&format!("{name} ")).unwrap_or(&version)));
    }
    if let Some(sources) = &programs.sources {
        let commit =
            output(Command::new("git").arg("-C").arg(sources).args(["describe", "--always", "--dirty"]));
        facts.push(fact("Commit", commit.unwrap_or_else(unknown)));
        facts.push(fact("Profile", programs.profile().unwrap_or_else(unknown)));
    }
    facts
}

/// The first line that a command prints, if it ends well.
fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().next().unwrap_or_default().trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}

fn one_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    if words.is_empty() { unknown() } else { words.join(" ") }
}

fn unknown() -> String {
    "unknown".to_owned()
}

const SYSCTLS: [&str; 9] = [
    "net.core.rmem_max",
    "net.core.wmem_max",
    "net.core.rmem_default",
    "net.core.wmem_default",
    "net.core.netdev_max_backlog",
    "net.core.netdev_budget",
    "net.core.busy_poll",
    "net.core.bpf_jit_enable",
    "kernel.sched_rt_runtime_us",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn what_is_not_known_is_said() {
        let nowhere = PathBuf::from("/nonexistent");
        let programs =
            Programs { reflector: nowhere.clone(), loadgen: nowhere.clone(), sources: Some(nowhere) };
        let environment = Environment::read(&programs);
        assert_eq!(environment.sysctls.len(), SYSCTLS.len());
        let value =
            |facts: &[Fact], name: &str| facts.iter().find(|fact| fact.name == name).unwrap().value.clone();
        assert_eq!(value(&environment.versions, "Commit"), "unknown");
        assert_eq!(value(&environment.versions, "reflector"), "unknown");
        assert!(value(&environment.machine, "Kernel").len() > "Linux ".len());
        assert_eq!(one_line("/nonexistent"), "unknown");
    }
}
