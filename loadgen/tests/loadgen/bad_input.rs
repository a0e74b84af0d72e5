//! Malformed flags and files: one line that names what is wrong and what would be right, and the exit code.

use crate::echo::Mischief;
use crate::held_up::unless_held_up;
use crate::runs::{echo, generator};
use harness::Folder;

/// Exit code and the one line of a run with these flags more.
fn refused(flags: &[&str]) -> (i32, String) {
    let folder = Folder::new("refused");
    let keys = folder.write("keys.toml", &wire::ring_file::render(1, b"another's secret"));
    let mut all = vec!["run", "--quiet"];
    for (flag, value) in [("--reflector", "127.0.0.1:9999"), ("--keys", keys.to_str().unwrap())] {
        if !flags.contains(&flag) {
            all.extend([flag, value]);
        }
    }
    all.extend(flags);
    told(&all)
}

fn told(flags: &[&str]) -> (i32, String) {
    let (code, result, text) = generator(flags);
    assert!(result.is_empty(), "{flags:?} printed a result");
    assert_eq!(text.lines().count(), 1, "{flags:?}: {text}");
    (code, text)
}

#[test]
fn every_malformed_flag_is_one_line_with_exit_2() {
    for (flags, right) in MALFORMED {
        let (code, line) = refused(flags);
        assert_eq!(code, 2, "{flags:?}: {line}");
        assert!(line.contains(right), "{flags:?}: {line}");
    }
    let needs_xdp = told(&["run", "--reflector", "192.0.2.1:9999", "--flows", "/no/such"]);
    assert!(needs_xdp.0 == 2 && needs_xdp.1.contains("--xdp"), "{needs_xdp:?}");
    let either =
        ["run", "--reflector", "192.0.2.1:9999", "--xdp", "eth0", "--flows", "/no/such", "--endpoints", "9"];
    let excluded = told(&either);
    assert!(excluded.0 == 2 && excluded.1.contains("--endpoints") && excluded.1.contains("cannot be used"));
    assert_eq!(told(&["run"]).0, 2);
    assert_eq!(told(&[]).0, 2);
}

#[test]
fn what_the_flags_name_is_checked_with_exit_78() {
    let folder = Folder::new("broken");
    let broken = folder.file("broken.toml");
    let broken = broken.to_str().unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["--keys", "/no/such/ring.toml"], "ring file"),
        (&["--external", "192.0.2.0/24", "--endpoints", "100"], "ip route add local 192.0.2.0/24"),
        (&["--cpus", "1000"], "may use"),
        (&["--workers", "1000"], "CPU of its own"),
        (&["--workers", "0"], "CPU of its own"),
        (&["--profile", "/no/such.toml"], "name a TOML file of [[point]]"),
        (&["--payload", "/no/such.toml"], "name a TOML file of [[flow]]"),
        (&["--json", "/no/such/folder/report.json"], "folder that exists"),
        (&["--hgrm", "/"], "a folder"),
    ];
    for (flags, right) in cases {
        let (code, line) = refused(flags);
        assert_eq!(code, 78, "{flags:?}: {line}");
        assert!(line.contains(right), "{flags:?}: {line}");
    }
    let rings = [
        ("", "no key"),
        ("[[key]]\nid = 16\nsecret = \"00000000000000000000000000000001\"\n", "line 2"),
        ("[[key]]\nid = 1\nsecret = \"12\"\n", "line 3"),
        ("not toml", "line 1"),
    ];
    for (text, right) in rings {
        std::fs::write(broken, text).unwrap();
        let (code, line) = refused(&["--keys", broken]);
        assert!(code == 78 && line.contains(right), "{text:?}: {code} {line}");
    }
}

#[test]
fn files_of_rates_and_flows_are_checked_with_exit_78_and_their_line() {
    let folder = Folder::new("shape");
    let path = folder.file("shape.toml");
    let named = path.to_str().unwrap();
    let cases = [
        ("--profile", "[[point]]\nat = \"0s\"\nrate = 5", "line 3"),
        ("--profile", "[[point]]\nat = \"0s\"\nrate = \"5\"", "at least two [[point]]"),
        ("--payload", "[[flow]]\nbytes = 80\nshare = \"90%\"", "sum to 90.00%, not to 100%"),
        ("--payload", "[[flow]]\nbites = 80", "line 2: unknown field `bites`"),
    ];
    for (flag, text, right) in cases {
        std::fs::write(&path, text).unwrap();
        let (code, line) = refused(&[flag, named]);
        assert!(code == 78 && line.contains(right) && line.contains(flag), "{text:?}: {code} {line}");
    }
    std::fs::write(&path, "[[point]]\nat = \"0s\"\nrate = \"5\"\n[[point]]\nat = \"1s\"\nrate = \"5\"")
        .unwrap();
    let (code, line) = refused(&["--profile", named, "--rate", "5"]);
    assert!(code == 2 && line.contains("leave --rate and --duration out"), "{code} {line}");
    std::fs::write(&path, "[[flow]]\nbytes = 20").unwrap();
    let (code, line) = refused(&["--payload", named]);
    assert!(code == 2 && line.contains("24 (what the generator's own stamp takes)"), "{code} {line}");
}

#[test]
fn interfaces_and_flows_that_will_not_do_are_named_with_exit_78() {
    for (interface, right) in
        [("lo", "an interface that frames leave by; lo is none"), ("none0", "no such interface")]
    {
        let (code, line) = refused(&["--xdp", interface]);
        assert!(code == 78 && line.contains(right), "{code} {line}");
    }
    let folder = Folder::new("flows");
    let flows = folder.file("flows.txt");
    let path = flows.to_str().unwrap();
    let of = |text: &str, more: &[&str]| {
        std::fs::write(&flows, text).unwrap();
        let reflector = ["run", "--quiet", "--reflector", "192.0.2.1:9", "--xdp", "none0", "--flows", path];
        told(&[&reflector[..], more].concat())
    };
    let line = "198.51.100.1:5 198.51.100.2:6 192.0.2.1:7 40000010\n";
    let (code, told) = of(&format!("{line}# more\n198.51.100.1:5"), &[]);
    assert!(code == 78 && told.contains(&format!("--flows {path}: line 3: 1 words")), "{code} {told}");
    let (code, told) = of(line, &["--workers", "2", "--cpus", "0-1"]);
    assert!(
        [2, 78].contains(&code) && told.contains("--workers 2") | told.contains("--cpus 1"),
        "{code} {told}"
    );
    let (code, told) = of(line, &["--payload", "1470"]);
    assert!(code == 2 && told.contains("24 (what the generator's own stamp takes) to 1468"), "{code} {told}");
    let (code, told) = of(line, &[]);
    assert!(code == 78 && told.contains("--xdp none0: no such interface"), "{code} {told}");
}

#[test]
fn nobody_there_and_the_wrong_ring_are_told_apart() {
    unless_held_up(|| {
        let (code, line) = refused(&["--reflector", "127.0.0.1:9", "--endpoints", "10", "--workers", "1"]);
        assert!(code == 1 && line.contains("nothing answers at 127.0.0.1:9"), "{code} {line}");
        let echo = echo(Mischief::None);
        let address = echo.address.to_string();
        let (code, line) = refused(&["--reflector", &address, "--endpoints", "10", "--workers", "1"]);
        assert!(code == 78 && line.contains("is --keys the ring of the reflector?"), "{code} {line}");
    });
}

#[test]
fn help_and_version_are_data() {
    for flags in [&["--help"][..], &["run", "--help"], &["--version"]] {
        let (code, result, said) = generator(flags);
        assert!(code == 0 && said.is_empty() && !result.is_empty());
    }
    let (_, help, _) = generator(&["run", "--help"]);
    for flag in ["--reflector", "--threshold", "--hgrm", "--mapping-timeout", "REFLECTOR_LOADGEN_RATE"] {
        assert!(help.contains(flag), "{flag}");
    }
}

/// Flags that no run has, and a part of what is said about them.
const MALFORMED: &[(&[&str], &str)] = &[
    (&["--reflector", "127.0.0.1"], "192.0.2.1:3478"),
    (&["--reflector", "localhost:9999"], "192.0.2.1:3478"),
    (&["--reflector", "127.0.0.1:0"], "address and port"),
    (&["--reflector", "0.0.0.0:9999", "--external", "127.64.0.0/16"], "address and port"),
    (&["--endpoints", "many"], "10k"),
    (&["--endpoints", "1"], "at least 2"),
    (&["--endpoints", "200M"], "endpoints"),
    (&["--nat", "cone=100%"], "port-restricted"),
    (&["--nat", "open=90%"], "sum to 100%"),
    (&["--rate", "fast"], "10k"),
    (&["--rate", "0"], "at least 1"),
    (&["--rate", "2G"], "at most"),
    (&["--payload", "23"], "24"),
    (&["--payload", "1441"], "1440"),
    (&["--duration", "10"], "10s"),
    (&["--duration", "0"], "above 0"),
    (&["--duration", "25h"], "24h"),
    (&["--warmup", "2 s"], "10s"),
    (&["--arrivals", "burst:0"], "burst:N"),
    (&["--invalid", "tag=10"], "percentage"),
    (&["--invalid", "tug=10%"], "oversize"),
    (&["--invalid", "tag=60%,kind=60%"], "100%"),
    (&["--pairs", "mesh"], "calls or groups:N"),
    (&["--pairs", "groups:1"], "calls or groups:N"),
    (&["--payload", "music"], "voice, video, game"),
    (&["--payload", "video", "--arrivals", "burst:4"], "trains of its own"),
    (&["--payload", "voice", "--endpoints", "100", "--rate", "1M"], "send 5000 a second"),
    (&["--profile", "sawtooth"], "steps, ramp, soak"),
    (&["--find", "best"], "ndr, pdr"),
    (&["--find", "ndr", "--profile", "ramp"], "leave one of the two out"),
    (&["--capabilities", "adopt"], "nobody answers with --pairs random"),
    (&["--capabilities", "borrow"], "mint, adopt"),
    (&["--capability-lifetime", "0"], "1s to 600s"),
    (&["--capability-lifetime", "700s"], "1s to 600s"),
    (&["--churn", "60s"], "60s/10s"),
    (&["--churn", "1ms/1s"], "60s/10s"),
    (&["--workers", "x"], "whole number"),
    (&["--cpus", "0-"], "CPU numbers"),
    (&["--external", "127.64.0.1"], "1 usable addresses"),
    (&["--external", "127.64.0.1/10"], "127.64.0.0/10"),
    (&["--external", "127.0.0.0/8"], "the reflector's own address"),
    (&["--external", "fd00::/64"], "other family"),
    (&["--external", "224.0.0.0/8"], "unicast"),
    (&["--external", "127.64.0.0/28"], "larger block"),
    (&["--reflector", "192.0.2.1:9999"], "ip route add local"),
    (&["--reflector", "[::1]:9999"], "ip -6 route add local"),
    (&["--keepalive", "soon"], "10s"),
    (&["--mapping-timeout", "0"], "at least 1ms"),
    (&["--seed", "x"], "invalid digit"),
    (&["--threshold", "p98<2ms"], "p99.9"),
    (&["--threshold", "p99<2"], "10s"),
    (&["--log-format", "xml"], "text, json"),
    (&["--no-such-flag"], "--no-such-flag"),
    (&["--xdp", "eth0", "--keepalive", "5s"], "leave it out"),
    (&["--xdp", "eth0", "--mapping-timeout", "60s"], "leave it out"),
    (&["--xdp", "eth0", "--invalid", "oversize=1%"], "without --xdp"),
    (&["--xdp", "eth0", "--invalid", "tag=1%", "--duration", "10m"], "for 5m"),
    (&["--xdp", "eth0", "--endpoints", "2M"], "room for 1048576"),
    (&["--xdp", "eth0", "--endpoints", "1M", "--pairs", "star"], "1999998 pairs"),
    (&["--xdp", "eth0", "--profile", "ramp"], "one rate only"),
    (&["--xdp", "eth0", "--churn", "1s/1s"], "leave them out"),
    (&["--xdp", "eth0", "--capability-lifetime", "100s"], "leave them out"),
    (&["--xdp", "eth0", "--flows", "/no/such"], "cannot be used with '--flows"),
    (&["--arriving", "bare"], "--flows"),
];
