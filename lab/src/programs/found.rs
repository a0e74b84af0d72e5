//! The sibling programs: `reflector` and `reflector-loadgen`, and the two that log in and are logged in at: built if
//! cargo is at hand, else found.
//!
//! * Under `cargo run` and `cargo test` they are built first, in the profile of the program that asks, so that they are
//!   never stale. Optimised programs are for figures, and tests take what `cargo test --workspace` has built already.
//! * One build asks for all of them, with the features that every other build has: nothing is compiled twice.
//! * Otherwise they are taken from beside this program, then from PATH; an error names every place looked at.

use anyhow::{Context, bail};
use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Where the programs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// The daemon.
    pub reflector: PathBuf,
    /// The load generator.
    pub loadgen: PathBuf,
    /// The sources that they were built from just now; `None` for programs that were found.
    pub sources: Option<PathBuf>,
}

impl Programs {
    /// Finds them, once in the life of a process.
    ///
    /// # Errors
    /// A build that failed, or programs that are nowhere; with what to do.
    pub fn find() -> anyhow::Result<Self> {
        static FOUND: OnceLock<Result<Programs, String>> = OnceLock::new();
        let found = FOUND.get_or_init(|| find().map_err(|error| format!("{error:#}")));
        found.clone().map_err(anyhow::Error::msg)
    }

    /// Where what cargo makes goes: the folder that the programs were built in, or `target` here.
    pub fn target(&self) -> PathBuf {
        let built = self.sources.as_ref().and_then(|_| self.reflector.ancestors().nth(2));
        built.map_or_else(|| PathBuf::from("target"), Path::to_owned)
    }

    /// The folder of cargo's profile that they were built in just now, `release` or `debug`; `None` for programs that were
    /// found.
    pub fn profile(&self) -> Option<String> {
        self.sources.as_ref()?;
        Some(self.reflector.parent()?.file_name()?.to_string_lossy().into_owned())
    }
}

/// Where the programs are that need an account: those who log in, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPrograms {
    /// The access server.
    pub access: PathBuf,
    /// The endpoint.
    pub endpoint: PathBuf,
}

impl SessionPrograms {
    /// Finds them, once in the life of a process.
    ///
    /// # Errors
    /// A build that failed, or programs that are nowhere; with what to do.
    pub fn find() -> anyhow::Result<Self> {
        static FOUND: OnceLock<Result<SessionPrograms, String>> = OnceLock::new();
        let found = FOUND.get_or_init(|| {
            // What `cargo test --workspace` has built: after it there is nothing left to do.
            let found = find_all(&["--workspace", "--bins"], [ACCESS, ENDPOINT]);
            let found = found.map(|([access, endpoint], _)| Self { access, endpoint });
            found.map_err(|error| format!("{error:#}"))
        });
        found.clone().map_err(anyhow::Error::msg)
    }
}

fn find() -> anyhow::Result<Programs> {
    // The package `features` asks for what all builds need, so that none compiles a dependency again.
    let packages = ["-p", "features", "-p", "reflector", "-p", "loadgen"];
    let ([reflector, loadgen], sources) = find_all(&packages, [REFLECTOR, LOADGEN])?;
    Ok(Programs { reflector, loadgen, sources })
}

/// The programs `names`, which cargo builds if it is asked for this `selection`, and the sources if it just did.
fn find_all(selection: &[&str], names: [&str; 2]) -> anyhow::Result<([PathBuf; 2], Option<PathBuf>)> {
    if let (Some(cargo), Some(own)) = (env::var_os("CARGO"), env::var_os("CARGO_MANIFEST_DIR")) {
        let own = Path::new(&own);
        return Ok((build(&cargo, own, selection, names)?, Some(own.to_owned())));
    }
    let [first, second] = names;
    let places = places();
    Ok(([pick(first, &places)?, pick(second, &places)?], None))
}

/// Builds them in the workspace of `own`; cargo's progress goes to standard error.
fn build(cargo: &OsStr, own: &Path, selection: &[&str], names: [&str; 2]) -> anyhow::Result<[PathBuf; 2]> {
    let mut arguments = vec!["build"];
    arguments.extend(env::current_exe().is_ok_and(|asks| !is_of_debug(&asks)).then_some("--release"));
    arguments.extend(selection);
    let mut command = Command::new(cargo);
    command.args(&arguments).arg("--message-format=json-render-diagnostics").current_dir(own);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    // What cargo has told this program about its package: build scripts that look at it would run again, and everything
    // above them would be compiled again, by each build that another package asks for.
    let told = env::vars_os().map(|(name, _)| name);
    told.filter(|name| is_of_package(&name.to_string_lossy())).for_each(|name| {
        command.env_remove(name);
    });
    let shown = format!("{} {}", Path::new(cargo).display(), arguments.join(" "));
    let output = command.output().with_context(|| format!("cannot run {shown}"))?;
    if !output.status.success() {
        bail!("`{shown}` failed; its messages stand above");
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let built = |name: &str| {
        executable(&messages, name)
            .with_context(|| format!("`{shown}` built no program {name}; is this its workspace?"))
    };
    let [first, second] = names;
    Ok([built(first)?, built(second)?])
}

/// Whether cargo sets this variable for a program that it runs, about the program's package.
fn is_of_package(variable: &str) -> bool {
    let exact =
        ["CARGO_BIN_NAME", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "CARGO_TARGET_TMPDIR", "OUT_DIR"];
    let families = ["CARGO_BIN_EXE_", "CARGO_MANIFEST_", "CARGO_PKG_"];
    exact.contains(&variable) || families.iter().any(|family| variable.starts_with(family))
}

/// Whether a program or test lies where cargo puts those of the profile `dev`: in target/debug, or in a folder there.
fn is_of_debug(program: &Path) -> bool {
    is_of(program, "debug") || program.parent().is_some_and(|folder| is_of(folder, "debug"))
}

/// Whether a path lies in a folder of this name.
fn is_of(path: &Path, folder: &str) -> bool {
    path.parent().and_then(Path::file_name) == Some(OsStr::new(folder))
}

/// The path of a binary target in cargo's messages, one JSON object a line.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_wanted = message.pointer("/target/name")?.as_str()? == name;
        let path = message.get("executable")?.as_str()?;
        is_wanted.then(|| PathBuf::from(path))
    })
}

/// The folders that are looked at, in order.
fn places() -> Vec<PathBuf> {
    let own = env::current_exe().unwrap_or_default();
    // A test lies in a folder of its own below the programs.
    let own = own.ancestors().skip(1).take(if is_of(&own, "deps") { 2 } else { 1 }).map(Path::to_owned);
    let path = env::var_os("PATH").unwrap_or_default();
    own.chain(env::split_paths(&path)).collect()
}

fn pick(name: &str, places: &[PathBuf]) -> anyhow::Result<PathBuf> {
    let found = places.iter().map(|place| place.join(name)).find(|path| is_program(path));
    found.with_context(|| {
        let looked: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        format!(
            "the program {name} is not beside this one and not on PATH (looked in {}); install it there, or run this \
             with `cargo run --release -p perf`, which builds it",
            looked.join(", ")
        )
    })
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

const REFLECTOR: &str = "reflector";
const LOADGEN: &str = "reflector-loadgen";
const ACCESS: &str = "reflector-access";
const ENDPOINT: &str = "reflector-endpoint";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_an_executable_file_in_the_first_place_that_has_it() {
        let nowhere = [PathBuf::from("/nonexistent"), PathBuf::from("/etc")];
        let error = pick("passwd", &nowhere).unwrap_err().to_string();
        assert!(error.contains("/nonexistent, /etc") && error.contains("cargo run"), "{error}");
        let places = [PathBuf::from("/nonexistent"), PathBuf::from("/bin")];
        assert_eq!(pick("sh", &places).unwrap(), Path::new("/bin/sh"));
    }

    #[test]
    fn programs_are_built_in_the_profile_of_who_asks() {
        let debug = ["/t/debug/reflector-perf", "/t/debug/deps/lab-0123"];
        assert!(debug.iter().all(|path| is_of_debug(Path::new(path))));
        let others = ["/t/release/reflector-perf", "/t/release/deps/lab-0123", "/debug/t/release/deps/debug"];
        assert!(!others.iter().any(|path| is_of_debug(Path::new(path))));
        let programs = |sources| Programs {
            reflector: PathBuf::from("/t/debug/reflector"),
            loadgen: PathBuf::from("/t/debug/reflector-loadgen"),
            sources,
        };
        assert_eq!(programs(Some(PathBuf::from("/w"))).profile().as_deref(), Some("debug"));
        assert_eq!(programs(None).profile(), None);
    }

    #[test]
    fn cargo_says_where_it_put_a_binary() {
        let messages = r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"reflector"},"executable":null}
{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"reflector"},"executable":"/t/release/reflector"}
not json
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, REFLECTOR).unwrap(), Path::new("/t/release/reflector"));
        assert_eq!(executable(messages, LOADGEN), None);
    }
}
