//! Fuzzes the reading of ring files: any text.
//!
//! * No text panics; the same text gives the same answer.
//! * A refusal names a line of the file, on one printable line, and shows no run of digits that could be a secret.
//! * An accepted ring mints with a key that it holds and takes one more key behind those it has.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::ring_file::{RingFileError, parse, render};
use wire::{KeyId, KeyRing};

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match parse(text) {
        Ok(ring) => accepted(text, &ring),
        Err(error) => refused(text, &error),
    }
});

fn accepted(text: &str, ring: &KeyRing) {
    let again = parse(text).expect("what was accepted once is accepted again");
    assert_eq!(again.fingerprint(), ring.fingerprint());
    let ids: Vec<KeyId> = ring.ids().collect();
    assert!(ids.contains(&ring.minting()) && ids.len() <= 16);
    for id in &ids {
        assert!(id.get() < 16 && ring.get(*id).is_some());
    }
    // A second table of a key's id is refused, one of a free id is taken and does not mint.
    for id in 0..16 {
        let longer = format!("{text}\n{}", render(id, &[0x5c; 16]));
        let held = ids.iter().any(|it| it.get() == id);
        match parse(&longer) {
            Ok(longer) => {
                assert!(!held, "key {id} stands twice");
                assert_eq!(longer.minting(), ring.minting());
                assert_eq!(longer.ids().count(), ids.len() + 1);
                assert_ne!(longer.fingerprint(), ring.fingerprint());
            }
            // TOML does not continue a list that was written inline.
            Err(error) => assert!(held || error.reason.starts_with("duplicate key"), "{error}"),
        }
    }
}

fn refused(text: &str, error: &RingFileError) {
    assert_eq!(parse(text).expect_err("what was refused once is refused again"), *error);
    let lines = 1 + text.bytes().filter(|byte| *byte == b'\n').count();
    assert!((1..=lines).contains(&error.line), "line {} of {lines}", error.line);
    let shown = error.to_string();
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    let longest = shown.split(|c: char| !c.is_ascii_hexdigit()).map(str::len).max();
    assert!(longest < Some(8), "{shown}");
}
