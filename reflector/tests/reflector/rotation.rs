//! T8: keys are rotated under load; no valid datagram is refused, no retired one accepted.

use crate::rig::daemon::Reflector;
use crate::rig::protocol::Key;
use crate::rig::traffic::{Endpoint, Over, settled};
use engine::socket::kind::Kind;
use harness::wait_until;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

pub(crate) fn t8_rotations_under_load_refuse_nothing_valid_and_accept_nothing_retired(kind: Kind) {
    let reflector = Reflector::start_on(kind, &[]);
    let (alice, bob) = (Endpoint::new("127.0.0.1:0", &reflector), Endpoint::new("127.0.0.2:0", &reflector));
    let (carol, dave) = (Endpoint::new("127.0.0.3:0", &reflector), Endpoint::new("127.0.0.4:0", &reflector));
    let begun = Instant::now();
    let current = Mutex::new(reflector.key);
    let (over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let install = |keys: &[Key]| {
        let text: String = keys.iter().map(Key::toml).collect();
        reflector.folder.write("ring.toml", &text);
        reflector.reload("success");
    };
    std::thread::scope(|scope| {
        let _over = Over(&over);
        scope.spawn(|| {
            while !over.load(Relaxed) {
                // The key may not change while datagrams under it are on their way.
                let key = current.lock().unwrap();
                alice.exchange(&bob, &key, 1, WINDOW);
                sent.fetch_add(u64::from(WINDOW), Relaxed);
            }
        });
        for rotation in 0..ROTATIONS {
            let old = *current.lock().unwrap();
            let new = Key::new((old.id + 5) % 16, 1_000 + rotation);
            install(&[old, new]);
            *current.lock().unwrap() = new;
            install(&[new, old]);
            install(&[new]);
            carol.send(&old.send(carol.address, dave.address, b"retired"));
            carol.send(&Key { id: new.id, ..old }.send(carol.address, dave.address, b"retired"));
            carol.exchange(&dave, &new, 1, 1);
            dave.assert_silence();
            // Each rotation has load of its own.
            let before = sent.load(Relaxed);
            wait_until("nothing is sent", || sent.load(Relaxed) > before);
        }
    });
    let page = settled(&reflector, &[&alice, &carol]);
    assert_eq!(page.relayed(), sent.load(Relaxed) + ROTATIONS, "0 valid refused");
    assert_eq!((page.dropped("key"), page.dropped("tag")), (ROTATIONS, ROTATIONS), "0 retired accepted");
    assert_eq!(page.received(), page.relayed() + 2 * ROTATIONS);
    assert!(sent.load(Relaxed) >= ROTATIONS * u64::from(WINDOW), "there was load");
    assert_eq!(page.sum("reflector_reloads_total", &[("outcome", "success")]), 3 * ROTATIONS);
    // T20: every reload is a line, of which ten a second are written and the others counted.
    let written = || reflector.log().lines().filter(|line| line.contains("\"reloaded\"")).count() as u64;
    let swallowed = || reflector.metrics().sum("reflector_log_lines_swallowed_total", &[]);
    wait_until("some reload is no line, and not counted", || written() + swallowed() >= 3 * ROTATIONS);
    assert!(written() <= 10 * (begun.elapsed().as_secs() + 2), "{} lines", written());
}

/// Each is three reloads: the new key is added, moved to the front, and the old one removed.
const ROTATIONS: u64 = 200;
const WINDOW: u32 = 16;
