//! What a comparison needs and this machine lacks, with what brings it.
//!
//! * Everything that is missing is said at once, before anything is started.

use crate::rig::coturn;
use crate::rig::subject::Subject;
use lab::programs::found::Programs;
use std::path::Path;
use std::process::{Command, Stdio};

/// What is missing for all of it, in words; `None` when it can run.
pub fn missing() -> Option<String> {
    let lab = lab::missing();
    let turn = coturn::binary().is_none().then(|| {
        format!("needs {}, the TURN server to compare with; `apt-get install coturn` brings it", coturn::NAME)
    });
    let lacks: Vec<String> = lab.into_iter().chain(turn).collect();
    (!lacks.is_empty()).then(|| lacks.join("; "))
}

/// Why a subject cannot be compared with these programs, in words; `None` if it may be tried.
pub fn absence(subject: Subject, programs: &Programs) -> Option<String> {
    let words = help(&programs.reflector);
    let lacks = |word: &str| !words.contains(word);
    match subject {
        Subject::Uring if lacks("uring") => Some("this reflector has no --engine uring".to_owned()),
        Subject::Xdp if lacks("--xdp ") => Some("this reflector has no --xdp".to_owned()),
        _ => None,
    }
}

/// Why the generator cannot load relays from below their sockets, in words; `None` if it can.
pub fn generator(programs: &Programs) -> Option<String> {
    let lacks = !help(&programs.loadgen).contains("--flows");
    lacks
        .then(|| "needs a generator with --xdp and --flows: build it with `cargo build --release`".to_owned())
}

/// What `PROGRAM run --help` prints.
fn help(program: &Path) -> String {
    let output = Command::new(program).args(["run", "--help"]).stdin(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn what_a_program_cannot_do_is_said() {
        // A program that prints nothing offers nothing.
        let nothing = PathBuf::from("/bin/true");
        let programs = Programs { reflector: nothing.clone(), loadgen: nothing, sources: None };
        assert!(absence(Subject::Uring, &programs).unwrap().contains("uring"));
        assert!(absence(Subject::Xdp, &programs).unwrap().contains("--xdp"));
        assert_eq!(absence(Subject::Epoll, &programs), None);
        assert!(generator(&programs).unwrap().contains("--flows"));
    }
}
