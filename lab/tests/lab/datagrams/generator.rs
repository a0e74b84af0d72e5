//! The load generator by XDP against a real reflector: both count the same datagrams, each once.
//!
//! * What is judged is counts, never times: a busy machine may make the run invalid (98).
//! * A few thousand datagrams, over a router that forwards them through the kernel's stack.

use crate::busy::{Bad, Watch, judged};
use crate::datagrams::daemon::{Daemon, Path};
use crate::{OnPath, Test, test};
use harness::PATIENCE;
use lab::programs::found::Programs;
use lab::programs::program::{Program, Start};
use lab::{Host, Lab};
use serde_json::Value;
use std::collections::BTreeMap;

pub(crate) fn tests(path: Path) -> Vec<Test> {
    let all: [(&str, OnPath); 2] = [
        ("load_by_xdp_over_ipv4", |path| load(path, true)),
        ("load_by_xdp_over_ipv6", |path| load(path, false)),
    ];
    all.into_iter().map(|(name, run)| test(format!("{path}::{name}"), move || run(path))).collect()
}

fn load(path: Path, ipv4: bool) {
    judged("a load by XDP", || loaded(path, ipv4));
}

/// One run, which is bad if a cable lost something: its ring is small, and nobody empties it for a moment on a machine
/// that does something else.
fn loaded(path: Path, ipv4: bool) -> Result<(), Bad> {
    let mut lab = Lab::new().unwrap();
    let block = if ipv4 { "45.200.0.0/16" } else { "2a00:0:c8::/48" };
    let generator = host_of_block(&mut lab, block);
    let reflector = Daemon::start(&mut lab, "reflector", path, &[]);
    let watch = Watch::start();
    let report = run(&generator, &reflector, ipv4, block);
    let count = |pointer: &str| report.pointer(pointer).and_then(Value::as_u64).unwrap();
    let (sent, delivered) = (count("/data/sent"), count("/data/delivered"));
    let counters = reflector.counters_when(|counters| counters.relayed >= delivered);
    let invalid = report.pointer("/invalid/sent").and_then(Value::as_object).unwrap();
    let invalid = invalid.iter().map(|(fault, count)| (fault.clone(), count.as_u64().unwrap()));
    let invalid: BTreeMap<String, u64> = invalid.collect();
    assert_eq!(
        (count("/data/duplicates"), count("/keepalive/foreign"), count("/invalid/delivered")),
        (0, 0, 0)
    );
    if sent <= 1_000 || delivered != sent || count("/data/reordered") != 0 || counters.dropped != invalid {
        let is_invalid = report.pointer("/validity/valid") == Some(&Value::Bool(false));
        return Err(watch.bad(format!("{counters:?}, {report:#}")).or(is_invalid));
    }
    assert_eq!(counters.relayed, delivered);
    assert_eq!(counters.dropped.len(), FAULTS.split(',').count());
    let by_xdp = || reflector.metric("reflector_relayed_datagrams_total", &[("path", "xdp")]);
    assert!(path == Path::Socket || by_xdp() == delivered);
    Ok(())
}

/// A host to which a whole block is local, and whose cable carries what a program sends.
fn host_of_block(lab: &mut Lab, block: &str) -> Host {
    let host = lab.host("generator").unwrap();
    host.link().far.face_xdp().unwrap();
    host.namespace().ip(&format!("route add local {block} dev lo")).unwrap();
    host.namespace().set("net/ipv6/ip_nonlocal_bind", 1).unwrap();
    for via in [host.ipv4().to_string(), host.ipv6().unwrap().to_string()] {
        if block.contains(':') == via.contains(':') {
            lab.core().ip(&format!("route add {block} via {via}")).unwrap();
        }
    }
    host
}

/// Runs the generator; what it reports.
fn run(host: &Host, reflector: &Daemon, ipv4: bool, block: &str) -> Value {
    let folder = host.namespace().folder().unwrap();
    let (keys, json) = (folder.join("ring.toml"), folder.join("report.json"));
    std::fs::write(&keys, reflector.ring_text()).unwrap();
    let to = if ipv4 { reflector.ipv4 } else { reflector.ipv6 };
    let mut start = Start::new(&Programs::find().unwrap().loadgen);
    start.arg("run").arg("--quiet").option("--reflector", to).option("--keys", keys.display());
    start.option("--xdp", host.link().near.interface()).option("--external", block).option("--workers", 1);
    start.option("--endpoints", 500).option("--rate", "2k").option("--duration", "1s").option("--warmup", 0);
    start.option("--invalid", FAULTS).option("--json", json.display());
    let mut program = host.enter(|| Program::start(&start)).unwrap().unwrap();
    let status = program.wait(PATIENCE).unwrap();
    assert!([Some(0), Some(98)].contains(&status.code()), "{status}{}", program.last_words());
    serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap()
}

const FAULTS: &str = "tag=10%,kind=2%,key=2%,expired=2%,lifetime=2%,destination=2%,short=2%";
