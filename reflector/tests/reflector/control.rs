//! Signals and the admin pages: readiness, drain, and what `/config` shows.

use crate::rig::daemon::{Folder, PATIENCE, Reflector, program};
use crate::rig::protocol::probe;
use crate::rig::traffic::{Endpoint, Over};
use engine::socket::kind::Kind;
use harness::Signal;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::panic::{catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) fn a_drain_goes_on_serving_until_traffic_has_gone(kind: Kind) {
    for _ in 0..20 {
        let gaps = Mutex::new(Gaps::default());
        let outcome = catch_unwind(|| drain_under_traffic(kind, &gaps));
        match outcome {
            Ok(()) => return,
            // A machine that stalls lets the traffic run dry by itself, and such a run says nothing.
            Err(_) if gaps.lock().unwrap().longest() > LONGEST_GAP => {}
            Err(panic) => resume_unwind(panic),
        }
    }
    panic!("the machine stalled in every run");
}

/// Times between answers while there is traffic.
#[derive(Default)]
struct Gaps {
    last: Option<Instant>,
    longest: Duration,
}

impl Gaps {
    fn note(&mut self) {
        self.longest = self.longest();
        self.last = Some(Instant::now());
    }

    fn end(&mut self) {
        self.longest = self.longest();
        self.last = None;
    }

    fn longest(&self) -> Duration {
        self.longest.max(self.last.map_or(Duration::ZERO, |last| last.elapsed()))
    }
}

fn drain_under_traffic(kind: Kind, gaps: &Mutex<Gaps>) {
    // What a drain calls too little: less than traffic with the longest gap that is allowed.
    let mut reflector = Reflector::start_on(kind, &["--drain-below", "2"]);
    let endpoint = Endpoint::new("127.0.0.1:0", &reflector);
    endpoint.socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_eq!((reflector.get("/readyz").0, reflector.get("/livez").0), (200, 200));
    reflector.signal(Signal::SIGTERM);
    gaps.lock().unwrap().note();
    reflector.wait_for_line("draining");
    // Three seconds of some 300 datagrams a second, every one of them answered; then nothing more.
    for number in 0..900 {
        endpoint.send(&probe(b"fence"));
        let answer = receive(&endpoint);
        gaps.lock().unwrap().note();
        assert_eq!(answer.as_deref(), Some(&b"fence"[..]));
        sleep(Duration::from_millis(3));
        if number == 800 {
            assert_eq!(reflector.get("/readyz"), (503, "draining\n".to_owned()));
            assert_eq!(reflector.metrics().sum("reflector_ready", &[]), 0);
        }
    }
    gaps.lock().unwrap().end();
    assert_eq!(reflector.exit_code(), Some(0));
    assert_eq!(reflector.wait_for_line("stopped")["observed"], 900);
}

/// The payload of the next answer; none if it does not come.
fn receive(endpoint: &Endpoint) -> Option<Vec<u8>> {
    let mut buffer = [0; 64];
    let (length, _) = endpoint.socket.recv_from(&mut buffer).ok()?;
    Some(buffer[32..length].to_vec())
}

pub(crate) fn a_drain_ends_when_its_time_is_up_or_at_the_second_signal() {
    for (flags, signals) in [
        (&["--drain-timeout", "1s"][..], 1),
        (&["--drain-timeout", "1h"], 2),
        (&["--drain-timeout", "0s"], 1),
    ] {
        // No traffic is too little.
        let mut reflector = Reflector::start(&[&["--drain-below", "0"], flags].concat());
        let endpoint = Endpoint::new("127.0.0.1:0", &reflector);
        let (address, over) = (reflector.address(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let _over = Over(&over);
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // The last one may come when nobody is there any more.
                    let _ = endpoint.socket.send_to(&probe(b""), address);
                    sleep(Duration::from_millis(1));
                }
            });
            for number in 0..signals {
                reflector.signal(Signal::SIGTERM);
                if number + 1 < signals {
                    reflector.wait_for_line("draining");
                    sleep(Duration::from_millis(1_500));
                    assert_eq!(reflector.get("/readyz").0, 503, "an hour is not over yet");
                }
            }
            reflector.wait_for_line("stopped");
        });
        assert_eq!(reflector.exit_code(), Some(0));
    }
}

pub(crate) fn idle_admin_connections_stop_no_scrape_no_reload_and_no_clock() {
    let mut reflector = Reflector::start(&["--drain-below", "0", "--drain-timeout", "1s"]);
    let idle: Vec<TcpStream> = (0..80).map(|_| TcpStream::connect(reflector.admin).unwrap()).collect();
    assert_eq!(reflector.metrics().sum("reflector_ready", &[]), 1);
    reflector.reload("success");
    // The control loop counts the second of this drain.
    reflector.signal(Signal::SIGTERM);
    assert_eq!(reflector.exit_code(), Some(0));
    drop(idle);
}

pub(crate) fn systemd_is_told_of_every_state() {
    let folder = Folder::new("reflector-test");
    let path = folder.file("notify");
    let listener = UnixDatagram::bind(&path).unwrap();
    listener.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 200];
    let mut told = || {
        let length = listener.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let mut command = program();
    command.env("NOTIFY_SOCKET", &path);
    let reflector = Reflector::start_by(command, folder, &["--listen", "127.0.0.1:0", "--workers", "1"]);
    assert!(told().contains("READY=1"));
    reflector.signal(Signal::SIGHUP);
    let reloading = told();
    assert!(reloading.contains("RELOADING=1") && reloading.contains("MONOTONIC_USEC="), "{reloading}");
    assert!(told().contains("READY=1"));
    reflector.signal(Signal::SIGTERM);
    assert!(told().contains("STOPPING=1"));
}

pub(crate) fn an_interrupt_ends_with_130() {
    let mut reflector = Reflector::start(&[]);
    reflector.signal(Signal::SIGINT);
    assert_eq!(reflector.exit_code(), Some(130));
}

pub(crate) fn config_shows_settings_and_their_origin_and_no_secret() {
    let reflector = Reflector::start(&["--deny-source", "10.0.0.0/8"]);
    let (status, body) = reflector.get("/config");
    assert_eq!(status, 200);
    let secret = reflector.key.toml();
    let secret = secret.split('"').nth(1).unwrap();
    for page in [&body, &reflector.get("/metrics").1, &reflector.log()] {
        assert!(!page.contains(secret), "a secret was shown");
    }
    let config: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(config["ring"]["keys"], serde_json::json!([7]));
    assert_eq!(config["ring"]["secrets"], "redacted");
    assert_eq!(config["listening"][0], reflector.address().to_string());
    let settings = config["settings"].as_array().unwrap();
    let has = |key: &str, value: &str, from: &str| {
        settings.iter().any(|it| it["key"] == key && it["value"] == value && it["from"] == from)
    };
    assert!(has("deny-source", "10.0.0.0/8", "flag") && has("probe-budget", "4000", "default"));
    assert_eq!(reflector.get("/secrets").0, 404);
}

pub(crate) fn the_ready_line_says_what_runs(kind: Kind) {
    let reflector =
        Reflector::start_bare_on(kind, &["--listen", "127.0.0.1:0", "--workers", "2", "--steer", "hash"]);
    let ready = &reflector.ready;
    assert_eq!((ready["workers"].as_u64(), ready["steer"].as_str()), (Some(2), Some("hash")));
    assert_eq!((ready["engine"].as_str(), ready["minting_key"].as_u64()), (Some(kind.as_str()), Some(7)));
    assert!(ready["receive_buffer_bytes"].as_u64().unwrap() > 0);
    assert!(ready["gro"].is_boolean() && ready["gso"].is_boolean());
    assert_eq!(ready["ring"].as_str().unwrap().len(), 16);
}

/// The longest gap in traffic with which a drain of two datagrams a second goes on.
const LONGEST_GAP: Duration = Duration::from_millis(300);
