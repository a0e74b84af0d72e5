//! The committed objects beside the sources that they are made of.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Each object holds the hash of the sources as they are: `engine/bpf/build` was run after the last change.
pub(crate) fn is_made_of_its_sources() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf");
    let line = "cat -- *.bpf.c *.bpf.h | sha256sum";
    let output =
        Command::new("sh").args(["-c", line]).env("LC_ALL", "C").current_dir(&folder).output().unwrap();
    let hash = &output.stdout[..64];
    assert!(hash.iter().all(u8::is_ascii_hexdigit));
    let mut objects = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "o") {
            let object = fs::read(&path).unwrap();
            assert!(
                object.windows(64).any(|window| window == hash),
                "{} is older than its sources; right would be: engine/bpf/build",
                path.display()
            );
            objects += 1;
        }
    }
    assert_eq!(
        objects,
        fs::read_dir(&folder)
            .unwrap()
            .filter(|it| { it.as_ref().unwrap().file_name().to_string_lossy().ends_with(".bpf.c") })
            .count()
    );
}
