//! The programs that shape the kernel's network: run, waited for, believed only when they exit with 0.
//!
//! * Standard input is a batch or nothing, never the caller's.
//! * A failure carries the whole command and what it said.

use crate::error::Error;
use crate::namespace::Namespace;
use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};

/// What a lab needs and this process lacks, in words and with what to do; `None` when tests can run.
pub fn missing() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root, for network namespaces; run the tests as root".to_owned());
    }
    let absent = |program: &str| {
        let status = Command::new(program).arg(version_flag(program)).stdin(Stdio::null()).output();
        !status.is_ok_and(|output| output.status.success())
    };
    let absent: Vec<_> = PROGRAMS.iter().filter(|(program, _)| absent(program)).collect();
    if !absent.is_empty() {
        let (programs, packages): (Vec<&str>, Vec<&str>) = absent.into_iter().copied().unzip();
        return Some(format!(
            "needs {}; `apt-get install {}` helps",
            programs.join(", "),
            packages.join(" ")
        ));
    }
    let refused = Namespace::new("trial").err()?;
    Some(format!("needs a kernel and a container that allow network namespaces: {refused}"))
}

/// Runs a program with `input` on its standard input; gives what it printed.
pub(crate) fn tool<A: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = A>,
    input: &str,
) -> Result<String, Error> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let shown = format!("{command:?}").replace('"', "");
    let mut run = || {
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        child.wait_with_output()
    };
    let output = run().map_err(Error::kernel(format!("cannot run {shown}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let behind = if input.is_empty() { String::new() } else { format!(" <<< {input:?}") };
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Tool { command: format!("{shown}{behind}"), said })
}

fn version_flag(program: &str) -> &'static str {
    if program == "ip" { "-V" } else { "--version" }
}

/// The programs that a lab needs, each with the Debian package that brings it.
pub const PROGRAMS: [(&str, &str); 3] = [("ip", "iproute2"), ("nft", "nftables"), ("ethtool", "ethtool")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_says_no_is_quoted() {
        let error =
            tool("sh", ["-c", "cat; echo 'no such device' >&2; exit 2"], "link").unwrap_err().to_string();
        assert!(
            error.contains("sh -c cat") && error.contains("link") && error.contains("no such device"),
            "{error}"
        );
        assert!(tool("/nonexistent/ip", ["a"], "").unwrap_err().to_string().contains("/nonexistent/ip"));
        assert_eq!(tool("cat", [""; 0], "as it came").unwrap(), "as it came");
    }
}
