//! The programs that shape the kernel's network: run, waited for, believed only when they exit with 0.
//!
//! * Standard input is a batch or nothing, never the caller's.
//! * A failure carries the whole command and what it said.

use crate::error::Error;
use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};

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
