//! STUN through real NATs, asked by programs that were not written here: coturn's two clients, and aioice.
//!
//! * For discovery the reflector has two addresses of each family: all four corners of RFC 5780 are there.
//! * A program is believed when it names what the lab made: the external address, and the NAT's behaviour in its words.
//! * Every STUN datagram is accounted for, on both paths of the reflector.

use crate::busy::{Watch, judged};
use crate::datagrams::daemon::{Daemon, PORT, Path, discovery_flags, eventually};
use crate::{Test, test};
use harness::Missing;
use lab::{Host, Lab, NatBox};
use nat::{Filtering, Mapping};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub(crate) fn tests(path: Path) -> Vec<Test> {
    let behaviours = [Mapping::Eim, Mapping::Apdm].map(|mapping| {
        [Filtering::Eif, Filtering::Adf, Filtering::Apdf].map(|filtering| (mapping, filtering))
    });
    let named = behaviours.into_iter().flatten().map(move |(mapping, filtering)| {
        let name = format!("{path}::stun::natdiscovery_names::{mapping}::{filtering}");
        test(name, move || natdiscovery_names(path, mapping, filtering))
    });
    let others = [
        test(format!("{path}::stun::stunclient"), move || stunclient(path)),
        test(format!("{path}::stun::natdiscovery_without_nat"), move || natdiscovery_without_nat(path)),
    ];
    named.chain(others).collect()
}

/// Those that aioice is asked in.
pub(crate) fn aioice_tests(path: Path) -> Vec<Test> {
    vec![test(format!("{path}::stun::aioice_gathers"), move || aioice_gathers(path))]
}

/// coturn's clients.
pub(crate) fn coturn() -> Option<Missing> {
    Missing::programs(&[(STUNCLIENT, "coturn"), (NATDISCOVERY, "coturn")])
}

/// aioice, for some Python.
pub(crate) fn aioice() -> Option<Missing> {
    let missing = || Missing {
        reason: "needs aioice: apt-get install python3-aioice".to_owned(),
        root: false,
        packages: vec!["python3-aioice".to_owned()],
    };
    python().is_none().then(missing)
}

/// A Python that has aioice: that of the virtual environment that `.ci/run tools` makes in the target folder, otherwise
/// the system's.
fn python() -> Option<PathBuf> {
    let program = std::env::current_exe().unwrap();
    let target = program.ancestors().nth(3).expect("target folder, profile, deps, program");
    let has_aioice = |python: &PathBuf| {
        let outcome = Command::new(python).args(["-c", "import aioice"]).stdin(Stdio::null()).output();
        outcome.is_ok_and(|output| output.status.success())
    };
    [target.join("aioice/bin/python"), PathBuf::from("/usr/bin/python3")].into_iter().find(has_aioice)
}

/// A reflector with a second address of each family.
fn reflector(lab: &mut Lab, path: Path) -> Daemon {
    let host = lab.host("reflector").unwrap();
    let flags = discovery_flags(&host);
    let flags = flags.each_ref().map(String::as_str);
    Daemon::start_on(host, path, &flags)
}

fn natted(lab: &mut Lab, mapping: Mapping, filtering: Filtering) -> (NatBox, Host) {
    let mut nat = lab.nat("nat", mapping, filtering, 60).unwrap();
    let inside = lab.inside(&mut nat, "inside").unwrap();
    (nat, inside)
}

fn natdiscovery_names(path: Path, mapping: Mapping, filtering: Filtering) {
    let mut lab = Lab::new().unwrap();
    let reflector = reflector(&mut lab, path);
    let (_nat, inside) = natted(&mut lab, mapping, filtering);
    judged("natdiscovery", || {
        let watch = Watch::start();
        let said = natdiscovery(&inside, &reflector);
        let right = names(&said, mapping, filtering);
        if right { Ok(()) } else { Err(watch.bad(said)) }
    });
    assert_accounted(&reflector);
}

/// Whether natdiscovery has said of a NAT that it behaves so, and nothing else.
fn names(said: &str, mapping: Mapping, filtering: Filtering) -> bool {
    let verdicts: Vec<&str> =
        said.lines().filter(|line| line.starts_with("NAT with") && line.ends_with('!')).collect();
    let mapping = match mapping {
        Mapping::Eim => "NAT with Endpoint Independent Mapping!",
        Mapping::Adm => "NAT with Address Dependent Mapping!",
        Mapping::Apdm => "NAT with Address and Port Dependent Mapping!",
    };
    let filtering = match filtering {
        Filtering::Eif => "NAT with Endpoint Independent Filtering!",
        Filtering::Adf => "NAT with Address Dependent Filtering!",
        Filtering::Apdf => "NAT with Address and Port Dependent Filtering!",
    };
    verdicts == [mapping, filtering] && !said.contains("No NAT!")
}

/// Behind a NAT; from a public host by the other family; and on the reflector's own host, where nothing leaves loopback.
fn stunclient(path: Path) {
    let mut lab = Lab::new().unwrap();
    // Where it is told of a second address, this program asks for RESPONSE-PORT, and waits for ever when that is refused.
    // Whoever asks from the reflector's own host is answered only if that is opened.
    let host = lab.host("reflector").unwrap();
    let own = [format!("{}/32", host.ipv4()), format!("{}/128", host.ipv6().unwrap())];
    let flags = ["--stun", "binding", "--allow-destination", &own[0], "--allow-destination", &own[1]];
    let reflector = Daemon::start_on(host, path, &flags);
    let (nat, inside) = natted(&mut lab, Mapping::Apdm, Filtering::Apdf);
    let public = lab.host("public").unwrap();
    let port = PORT.to_string();
    let asked = [
        (&inside, reflector.ipv4.ip(), IpAddr::from(nat.external())),
        (&public, reflector.ipv4.ip(), IpAddr::from(public.ipv4())),
        (&public, reflector.ipv6.ip(), IpAddr::from(public.ipv6().unwrap())),
        (&reflector.host, reflector.ipv4.ip(), reflector.ipv4.ip()),
        (&reflector.host, reflector.ipv6.ip(), reflector.ipv6.ip()),
    ];
    for (host, server, seen) in asked {
        let said = run(host, STUNCLIENT, &["-p", &port, &server.to_string()]);
        let reflexive = format!("UDP reflexive addr: {seen}:");
        assert!(said.contains(&reflexive), "{reflexive:?} is not in: {said}");
    }
    assert_accounted(&reflector);
}

fn natdiscovery_without_nat(path: Path) {
    let mut lab = Lab::new().unwrap();
    let reflector = reflector(&mut lab, path);
    let public = lab.host("public").unwrap();
    judged("natdiscovery", || {
        let watch = Watch::start();
        let said = natdiscovery(&public, &reflector);
        let words = ["No NAT! (Endpoint Independent Mapping)", "NAT with Endpoint Independent Filtering!"];
        if words.iter().all(|words| said.contains(words)) { Ok(()) } else { Err(watch.bad(said)) }
    });
    assert_accounted(&reflector);
}

/// An ICE agent behind a NAT gathers its server-reflexive candidate (RFC 8445).
fn aioice_gathers(path: Path) {
    let mut lab = Lab::new().unwrap();
    let reflector = reflector(&mut lab, path);
    let (nat, inside) = natted(&mut lab, Mapping::Apdm, Filtering::Apdf);
    let (server, port) = (reflector.ipv4.ip().to_string(), PORT.to_string());
    let python = python().unwrap();
    let said = run(&inside, python.to_str().unwrap(), &["-c", GATHER, &server, &port]);
    let mut candidates: Vec<&str> = said.lines().collect();
    candidates.sort_unstable();
    let expected = [format!("host {}", inside.ipv4()), format!("srflx {}", nat.external())];
    assert_eq!(candidates, expected, "{said}");
    assert_accounted(&reflector);
}

fn natdiscovery(from: &Host, reflector: &Daemon) -> String {
    let (server, port) = (reflector.ipv4.ip().to_string(), PORT.to_string());
    let own = from.ipv4().to_string();
    run(from, NATDISCOVERY, &["-m", "-f", "-p", &port, "-L", &own, &server])
}

/// Runs a program on a host, for a bounded time; gives what it printed.
fn run(host: &Host, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("timeout");
    command.args([LONGEST_S, program]).args(arguments).stdin(Stdio::null());
    let output = host.enter(|| command.output()).unwrap().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{program} {arguments:?} ended with {}: {said}", output.status);
    said
}

/// All that was received was handed to STUN, and all that was handed to it was answered.
fn assert_accounted(reflector: &Daemon) {
    let sum = |name: &str| reflector.metric(name, &[]);
    eventually("every STUN datagram accounted for", || {
        let received = reflector.metric("reflector_received_datagrams_total", &[("path", "socket")]);
        let handed = sum("reflector_stun_received_datagrams_total");
        let answered = sum("reflector_stun_answered_datagrams_total");
        let rest =
            sum("reflector_stun_dropped_datagrams_total") + sum("reflector_stun_unsent_datagrams_total");
        received == handed && handed == answered && answered > 0 && rest == 0
    });
    let at_the_driver = reflector.metric("reflector_received_datagrams_total", &[("path", "xdp")]);
    assert_eq!(sum("reflector_passed_datagrams_total"), at_the_driver, "the program kept some");
    assert_eq!(at_the_driver > 0, reflector.path == Path::Xdp);
}

const STUNCLIENT: &str = "turnutils_stunclient";
const NATDISCOVERY: &str = "turnutils_natdiscovery";
/// Only a program that hangs takes so long, in seconds.
const LONGEST_S: &str = "120";
/// Prints an ICE agent's candidates towards a STUN server: type and address.
const GATHER: &str = "
import asyncio, sys, aioice

async def gather():
    server = (sys.argv[1], int(sys.argv[2]))
    agent = aioice.Connection(ice_controlling=True, stun_server=server, use_ipv6=False)
    await agent.gather_candidates()
    for candidate in agent.local_candidates:
        print(candidate.type, candidate.host)
    await agent.close()

asyncio.run(gather())
";
