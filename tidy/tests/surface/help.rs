//! The help text of every program and every command, as `--help` prints it where stdout is no terminal.

use crate::compare;
use harness::{Sibling, sibling};
use std::fmt::Write;
use std::process::Command;

#[test]
fn help_texts_are_as_written() {
    let mut text = String::new();
    for program in [Sibling::Reflector, Sibling::Access, Sibling::Endpoint, Sibling::Loadgen, Sibling::Perf] {
        add(program, &[], &mut text);
    }
    compare("help.txt", &text);
}

/// Adds the help of a command, and of all commands that it lists.
fn add(program: Sibling, command: &[&str], text: &mut String) {
    let path = sibling(program);
    let output = Command::new(&path).args(command).arg("--help").env_clear().output().unwrap();
    assert!(output.status.success(), "{path:?} {command:?} --help");
    let help = String::from_utf8(output.stdout).unwrap();
    let name = path.file_name().unwrap().to_string_lossy();
    writeln!(text, "==== {name} {}\n\n{}\n", command.join(" "), help.trim_end()).unwrap();
    let list =
        help.split("\nCommands:\n").nth(1).and_then(|list| list.split("\n\n").next()).unwrap_or_default();
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    for name in names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        add(program, &[command, &[name]].concat(), text);
    }
}
