//! Exit codes: one line for each kind of end that needs no network and no waiting.

use crate::compare;
use harness::{Folder, Sibling, sibling};
use std::fmt::Write;
use std::process::{Command, Stdio};

#[test]
fn exit_codes_are_as_written() {
    let folder = Folder::new("exit-codes");
    folder.write("wrong.toml", "no-such-key = 1\n");
    let mut text = String::new();
    for (program, arguments) in CASES {
        let path = sibling(program);
        let mut command = Command::new(&path);
        command
            .args(arguments.split_whitespace())
            .env_clear()
            .current_dir(folder.path())
            .stdin(Stdio::null());
        let code = command.output().unwrap().status.code();
        let (name, code) = (path.file_name().unwrap().to_string_lossy(), code.expect("it ends by itself"));
        writeln!(text, "{code:3}  {name} {arguments}").unwrap();
    }
    compare("exit-codes.txt", &text);
}

/// Command lines; files are looked for in a folder that holds nothing but `wrong.toml`.
const CASES: [(Sibling, &str); 38] = [
    (Sibling::Reflector, ""),
    (Sibling::Reflector, "--version"),
    (Sibling::Reflector, "--no-such-flag"),
    (Sibling::Reflector, "no-such-command"),
    (Sibling::Reflector, "run"),
    (Sibling::Reflector, "run --listen nonsense"),
    (Sibling::Reflector, "run --listen 127.0.0.1:0 --keys none.toml"),
    (Sibling::Reflector, "run --config wrong.toml"),
    (Sibling::Reflector, "run --config none.toml"),
    (Sibling::Reflector, "check --listen nonsense"),
    (Sibling::Reflector, "keygen"),
    (Sibling::Reflector, "keygen --id 16"),
    (Sibling::Reflector, "probe nonsense"),
    (Sibling::Reflector, "explain nonsense"),
    (Sibling::Access, ""),
    (Sibling::Access, "--version"),
    (Sibling::Access, "--no-such-flag"),
    (Sibling::Access, "run"),
    (Sibling::Access, "run --config wrong.toml"),
    (Sibling::Access, "run --master none.toml --reflector a=127.0.0.1:1 --listen 127.0.0.1:0"),
    (Sibling::Access, "keygen"),
    (Sibling::Access, "ring a --master none.toml"),
    (Sibling::Endpoint, ""),
    (Sibling::Endpoint, "--version"),
    (Sibling::Endpoint, "--no-such-flag"),
    (Sibling::Endpoint, "--config none.toml up"),
    (Sibling::Endpoint, "--config wrong.toml up"),
    (Sibling::Loadgen, ""),
    (Sibling::Loadgen, "--version"),
    (Sibling::Loadgen, "run"),
    (Sibling::Loadgen, "run --reflector 127.0.0.1:9 --keys none.toml"),
    (Sibling::Loadgen, "run --reflector 127.0.0.1:9 --keys none.toml --rate nonsense"),
    (Sibling::Loadgen, "presence"),
    (Sibling::Perf, ""),
    (Sibling::Perf, "--version"),
    (Sibling::Perf, "--no-such-flag"),
    (Sibling::Perf, "report none"),
    (Sibling::Perf, "compare none none"),
];
