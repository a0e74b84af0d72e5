//! The programs of this workspace that a test starts but its own package does not build.
//!
//! * Under cargo, all of them are built first, in the profile and folder of the test itself, so that they are never
//!   stale. After `cargo test --workspace` that build has nothing left to do.
//! * Without cargo (a test binary that was copied somewhere) they are taken from beside the test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A program of this workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sibling {
    /// The reflector.
    Reflector,
    /// The access server.
    Access,
    /// The endpoint.
    Endpoint,
    /// The load generator.
    Loadgen,
    /// Sweeps, reports and plans.
    Perf,
}

/// The path of a program, built if cargo is at hand.
///
/// # Panics
/// It cannot be built, and is not there either.
pub fn sibling(program: Sibling) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let path = FOLDER.get_or_init(folder).join(match program {
        Sibling::Reflector => "reflector",
        Sibling::Access => "reflector-access",
        Sibling::Endpoint => "reflector-endpoint",
        Sibling::Loadgen => "reflector-loadgen",
        Sibling::Perf => "reflector-perf",
    });
    assert!(path.is_file(), "no {}; `cargo build --workspace` makes it", path.display());
    path
}

/// The folder that the programs are built in: `deps`, where the test lies, is in it.
#[expect(clippy::expect_used, reason = "a test that cannot find itself cannot run")]
fn folder() -> PathBuf {
    let own = std::env::current_exe().expect("a process knows its program");
    let folder = own.parent().and_then(Path::parent).expect("a test lies in target/PROFILE/deps").to_owned();
    if let (Some(cargo), Some(package)) = (std::env::var_os("CARGO"), std::env::var_os("CARGO_MANIFEST_DIR"))
    {
        let mut build = Command::new(cargo);
        build.args(["build", "--workspace", "--bins", "--quiet"]).current_dir(package).stdin(Stdio::null());
        if folder.file_name().is_some_and(|name| name == "release") {
            build.arg("--release");
        }
        // What cargo has told this test about its package: build scripts that look at it would run again.
        let told = std::env::vars_os().map(|(name, _)| name);
        told.filter(|name| is_of_package(&name.to_string_lossy())).for_each(|name| {
            build.env_remove(name);
        });
        let status = build.status().expect("cargo, which started this test, can be run");
        assert!(status.success(), "`{build:?}` failed; its messages are above");
    }
    folder
}

/// Whether cargo sets this variable for a program that it runs, about the program's package.
fn is_of_package(variable: &str) -> bool {
    let exact =
        ["CARGO_BIN_NAME", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "CARGO_TARGET_TMPDIR", "OUT_DIR"];
    let families = ["CARGO_BIN_EXE_", "CARGO_MANIFEST_", "CARGO_PKG_"];
    exact.contains(&variable) || families.iter().any(|family| variable.starts_with(family))
}
