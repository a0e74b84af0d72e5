//! Ring files: what is refused, with which line, and that no error ever shows a secret.

use crate::random::{Random, cases_quickly};
use proptest::prelude::*;
use wire::ring_file::{parse, render};
use wire::{KeyId, KeyRing};

#[test]
fn every_malformed_file_is_refused_with_its_line_and_its_reason() {
    for (text, line, reason) in MALFORMED {
        let error = match parse(text) {
            Ok(ring) => panic!("{ring:?} came of {text:?}"),
            Err(error) => error,
        };
        assert_eq!(error.line, *line, "{error} in {text:?}");
        assert!(error.reason.contains(reason), "{error} in {text:?}");
        let shown = error.to_string();
        assert!(shown.starts_with(&format!("line {line}: ")) && !shown.contains('\n'), "{shown}");
        shows_nothing_of(&[SECRET], text);
    }
}

#[test]
fn a_line_is_counted_behind_comments_blank_lines_and_carriage_returns() {
    for (before, line) in
        [("", 3), ("# a\n", 4), ("\n\n\n", 6), ("# a\r\n\r\n", 5), ("# \u{e4}\u{1f511}\n", 4)]
    {
        let text = format!("{before}[[key]]\nid = 3\nsecret = \"short\"\n");
        assert_eq!(parse(&text).unwrap_err().line, line, "{text:?}");
    }
    let sixteen: String = (0..16).map(|id| render(id, &[0xa0 | id; 16])).collect();
    let text = format!("{sixteen}[[key]]\nid = 16\nsecret = \"{SECRET}\"\n");
    assert_eq!(parse(&text).unwrap_err().line, 3 * 16 + 2);
}

#[test]
fn what_is_rendered_is_read_back_in_its_order() {
    let mut random = Random::new(50);
    for _ in 0..2_000 {
        let first = random.u8();
        let keys: Vec<(u8, [u8; 16])> = (0..1 + random.below(16))
            .map(|at| (first.wrapping_add(at as u8 * 7) % 16, random.secret()))
            .collect();
        let text: String = keys.iter().map(|(id, secret)| render(*id, secret)).collect();
        same_ring(&parse(&text).unwrap(), &keys);
        same_ring(&parse(&text.replace('\n', "\r\n")).unwrap(), &keys);
        same_ring(
            &parse(
                &text.to_uppercase().replace("ID", "id").replace("KEY", "key").replace("SECRET", "secret"),
            )
            .unwrap(),
            &keys,
        );
    }
}

#[test]
fn other_spellings_of_the_same_toml_are_the_same_ring() {
    let keys = [(3, [0xab; 16]), (12, [0xcd; 16])];
    let (a, b) = ("ab".repeat(16), "cd".repeat(16));
    for text in [
        format!("key = [{{ id = 3, secret = \"{a}\" }}, {{ id = 12, secret = '{b}' }}]"),
        format!(
            "[[key]]\nsecret = '''{a}'''\nid = 0x3\n[[key]]\n\"id\" = 0b1100\nsecret = \"{b}\" # the next one\n"
        ),
        format!("\u{feff}[[ key ]]\nid=+3\nsecret=\"{a}\"\n\n\n[[key]]\nid=12\nsecret=\"{b}\""),
    ] {
        same_ring(&parse(&text).unwrap(), &keys);
    }
}

proptest! {
    #![proptest_config(cases_quickly(20_000))]

    #[test]
    fn no_error_of_a_damaged_file_shows_a_piece_of_a_secret(
        secrets: [[u8; 16]; 2],
        damages in proptest::collection::vec((any::<prop::sample::Index>(), 0..12usize, damage()), 1..4),
    ) {
        let digits = secrets.map(hex::encode);
        let mut text: Vec<char> =
            format!("{}{}", render(3, &secrets[0]), render(4, &secrets[1])).chars().collect();
        for (at, length, put) in damages {
            let start = at.index(text.len() + 1);
            let end = (start + length).min(text.len());
            text.splice(start..end, put.chars());
        }
        let text: String = text.into_iter().collect();
        shows_nothing_of(&[&digits[0], &digits[1]], &text);
    }

    #[test]
    fn no_error_shows_a_secret_that_stands_in_the_wrong_place(secret: [u8; 16], place in 0..PLACES.len()) {
        let digits = hex::encode(secret);
        shows_nothing_of(&[&digits], &PLACES[place].replace('@', &digits));
        let decimal: String = digits.chars().map(|c| char::from(b'0' + c as u8 % 10)).collect();
        for length in 8..=32 {
            shows_nothing_of(&[&decimal[..length]], &PLACES[place].replace('@', &decimal[..length]));
        }
    }
}

fn damage() -> impl Strategy<Value = String> {
    let word = prop::sample::select(DAMAGES).prop_map(str::to_owned);
    prop_oneof![3 => word, 1 => any::<char>().prop_map(String::from)]
}

/// Parses and, when refused, looks for 8 digits in a row of a secret in all that the error can print.
fn shows_nothing_of(secrets: &[&str], text: &str) {
    let Err(error) = parse(text) else { return };
    let shown = format!("{error} {error:?}").to_lowercase();
    for digits in secrets {
        for at in 0..=digits.len() - 8 {
            assert!(!shown.contains(&digits[at..at + 8]), "{shown} of {text:?}");
        }
    }
    let printable = error.to_string().chars().all(|c| !c.is_control());
    assert!(printable, "{error:?} of {text:?}");
}

fn same_ring(ring: &KeyRing, keys: &[(u8, [u8; 16])]) {
    let expected = KeyRing::new(keys).unwrap();
    assert_eq!(ring.minting(), expected.minting());
    assert_eq!(ring.fingerprint(), expected.fingerprint());
    for id in (0..16).filter_map(KeyId::new) {
        assert_eq!(ring.get(id), expected.get(id));
    }
}

const SECRET: &str = "303e61cdc4bb86c3d1c427103c344c41";

/// Text, the line to be named, words of the reason.
const MALFORMED: &[(&str, usize, &str)] = &[
    // No key.
    ("", 1, "holds no key"),
    ("# a comment\n\n", 1, "holds no key"),
    ("key = []\n", 1, "holds no key"),
    // An id twice.
    (
        "[[key]]\nid = 3\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\n\n[[key]]\nid = 3\nsecret = \"89eb2f1e7bd5d47e446fcec2a3d81173\"\n",
        6,
        "key id 3 stands twice",
    ),
    // Ids that are none.
    ("[[key]]\nid = -1\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\n", 2, "key id -1 is outside 0..=15"),
    ("[[key]]\n\nid = 16\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\n", 3, "key id 16 is outside 0..=15"),
    ("[[key]]\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\nid = 999\n", 3, "key id 999 is outside 0..=15"),
    ("[[key]]\nid = 259\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\n", 2, "key id 259 is outside 0..=15"),
    (
        "[[key]]\nid = 4294967299\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\n",
        2,
        "the key id is outside 0..=15",
    ),
    (
        "[[key]]\nid = \"three\"\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\n",
        2,
        "wrong type; a key is written [[key]], id = 0 to 15",
    ),
    ("[[key]]\nid = 3.0\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\n", 2, "wrong type"),
    ("[[key]]\nid = true\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\n", 2, "wrong type"),
    (
        "[[key]]\nid = 99999999999999999999\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\n",
        2,
        "a key is written",
    ),
    // Secrets that are none.
    (
        "[[key]]\nid = 3\nsecret = \"303e61cdc4bb86c3d1c427103c344c\"\n",
        3,
        "has 30 characters; a secret is 32 hexadecimal digits",
    ),
    ("[[key]]\nid = 3\nsecret = \"303e61cdc4bb86c3d1c427103c344c4\"\n", 3, "has 31 characters"),
    ("[[key]]\nid = 3\nsecret = \"303e61cdc4bb86c3d1c427103c344c4100\"\n", 3, "has 34 characters"),
    ("[[key]]\nid = 3\nsecret = \"\"\n", 3, "has 0 characters"),
    ("[[key]]\nid = 3\nsecret = \"303e61cdc4bb86c3d1c427103c344c4g\"\n", 3, "no hexadecimal digit"),
    ("[[key]]\nid = 3\nsecret = \"303e61cd-c4bb-86c3-d1c4-27103c344\"\n", 3, "has 33 characters"),
    ("[[key]]\nid = 3\nsecret = 30361\n", 3, "wrong type"),
    ("[[key]]\nid = 3\nsecret = [\"303e61cdc4bb86c3d1c427103c344c41\"]\n", 3, "wrong type"),
    ("[[key]]\nid = 3\nsecret = 303e61cdc4bb86c3d1c427103c344c41\n", 3, "a key is written"),
    // Secrets that everybody knows.
    ("[[key]]\nid = 3\nsecret = \"00000000000000000000000000000000\"\n", 3, "all zeros"),
    ("[[key]]\nid = 3\nsecret = \"00112233445566778899aabbccddeeff\"\n", 3, "the documentation's example"),
    ("[[key]]\nid = 3\nsecret = \"00112233445566778899AABBCCDDEEFF\"\n", 3, "the documentation's example"),
    (
        "[[key]]\nid = 4\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\n[[key]]\nid = 3\nsecret = \"00000000000000000000000000000000\"\n",
        6,
        "all zeros",
    ),
    // Fields too many and too few.
    (
        "[[key]]\nid = 3\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\nmints = true\n",
        4,
        "unknown field `mints`",
    ),
    ("[[key]]\nid = 3\nSecret = \"303e61cdc4bb86c3d1c427103c344c41\"\n", 3, "unknown field `Secret`"),
    ("[[key]]\nid = 3\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\n[other]\n", 4, "unknown field `other`"),
    ("[[keys]]\nid = 3\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\n", 1, "unknown field `keys`"),
    ("# first\n[[key]]\nid = 3\n", 2, "missing field `secret`"),
    ("\n\n[[key]]\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\n", 3, "missing field `id`"),
    (
        "[[key]]\nid = 4\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\n\n[[key]]\nid = 3\n",
        5,
        "missing field `secret`",
    ),
    ("[[key]]\nid = 3\nid = 4\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\n", 3, "duplicate key"),
    // One table instead of a list of them, and a list of something else.
    ("\n[key]\nid = 3\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\n", 2, "[[key]]"),
    ("key = 3\n", 1, "[[key]]"),
    ("key = [\n  \"303e61cdc4bb86c3d1c427103c344c41\",\n]\n", 2, "[[key]]"),
    // Not TOML.
    ("[[key]]\nid = 3\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\n", 3, "a key is written"),
    ("[[key]]\nid 3\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\n", 2, "a key is written"),
    ("[[key]\nid = 3\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\n", 1, "a key is written"),
    ("303e61cdc4bb86c3d1c427103c344c41\n", 1, "a key is written"),
    ("[[key]]\nid =\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\n", 2, "a key is written"),
    ("{\"key\": [{\"id\": 3}]}\n", 1, "a key is written"),
];

/// Files with `@` where a secret has no business to be.
const PLACES: &[&str] = &[
    "[[key]]\nid = @\nsecret = \"x\"\n",
    "[[key]]\nid = \"@\"\nsecret = \"x\"\n",
    "[[key]]\nid = 0x@\nsecret = \"x\"\n",
    "[[key]]\nid = -@\nsecret = \"x\"\n",
    "[[key]]\nid = 3\nsecret = @\n",
    "[[key]]\nid = 3\nsecret = \"@@\"\n",
    "[[key]]\nid = 3\nsecret = '@x'\n",
    "[[key]]\nid = 3\nsecret = { value = \"@\" }\n",
    "[[key]]\nid = 3\n@ = \"secret\"\n",
    "[[key]]\nid = 3\n\"\\u001b@\\u000a@\" = \"secret\"\n",
    "[[key]]\nid = 3\nsecret.@ = \"x\"\n",
    "[[@]]\nid = 3\n",
    "[@]\nid = 3\n[@]\n",
    "[key.@]\nid = 3\n[key.@]\n",
    "key = \"@\"\n",
    "key = [\"@\"]\n",
    "key = \"expected @\"\n",
    "@",
    "\"@\"",
    "@ = @",
    "[[key]]\nid = 3\nsecret = \"\\q@\"\n",
    "[[key]]\nid = 3\nsecret = \"@\n",
    "[[key]]\nid = 3\nsecret = \"\"\"@\n",
    "[[key]] @\n",
    "[[key]]\nid = 3 @\n",
];

const DAMAGES: &[&str] = &[
    "",
    "\"",
    "'",
    "\"\"\"",
    "[",
    "]",
    "[[",
    "]]",
    "=",
    ".",
    "\n",
    "\\",
    "\\u",
    "#",
    "{",
    "}",
    ",",
    " = ",
    "key",
    "secret = ",
    "\nid = ",
    "id",
    "0x",
    "-",
    "_",
    "\u{0}",
    "\u{1b}[31m",
    "expected ",
    "`",
    ": ",
    "\r",
    "inf",
];
