//! What a test needs from the machine, and what to do where it is missing.

use nix::unistd::geteuid;
use std::net::UdpSocket;
use std::path::Path;

/// A requirement, checked when the test's turn comes.
pub type Need = fn() -> Option<Missing>;

/// What a machine lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What is missing, in words, as the ignored test shows it.
    pub reason: String,
    /// Whether the tests would have to run as root.
    pub root: bool,
    /// Debian packages that would help, e.g. `nftables`; empty if no package does.
    pub packages: Vec<String>,
}

impl Missing {
    /// Something that neither root nor a package brings, such as a kernel feature.
    pub fn feature(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), root: false, packages: Vec::new() }
    }

    /// `Some` unless this process runs as root. `purpose` continues "needs root, for ...".
    pub fn root(purpose: &str) -> Option<Self> {
        let missing = Self { reason: format!("needs root, for {purpose}"), root: true, packages: Vec::new() };
        (!geteuid().is_root()).then_some(missing)
    }

    /// `Some` if the loopback interface has no IPv6 address, as in many containers.
    pub fn ipv6() -> Option<Self> {
        let refused = UdpSocket::bind("[::1]:0").err();
        refused.map(|error| Self::feature(format!("needs IPv6 on loopback: [::1]: {error}")))
    }

    /// `Some` if a program of these is not on PATH; each is named with the Debian package that brings it.
    pub fn programs(wanted: &[(&str, &str)]) -> Option<Self> {
        let missing: Vec<_> = wanted.iter().filter(|(program, _)| !is_on_path(program)).collect();
        let names: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
        let mut packages: Vec<String> = missing.iter().map(|(_, package)| (*package).to_owned()).collect();
        packages.sort();
        packages.dedup();
        let reason = format!("needs {}: apt-get install {}", names.join(", "), packages.join(" "));
        (!missing.is_empty()).then_some(Self { reason, root: false, packages })
    }

    /// Two requirements as one, so that a run says at once what a machine lacks of both.
    pub fn both(first: Option<Self>, second: Option<Self>) -> Option<Self> {
        let (Some(first), Some(second)) = (&first, &second) else { return first.or(second) };
        let mut packages = [first.packages.as_slice(), &second.packages].concat();
        packages.sort();
        packages.dedup();
        let reason = format!("{}; {}", first.reason, second.reason);
        Some(Self { reason, root: first.root || second.root, packages })
    }
}

/// Whether a program is in one of the folders of PATH.
fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| is_executable(&folder.join(program)))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        assert_eq!(Missing::programs(&[("sh", "dash")]), None);
        let missing =
            Missing::programs(&[("sh", "dash"), ("no-such-b", "second"), ("no-such-a", "first")]).unwrap();
        assert_eq!(missing.packages, ["first", "second"]);
        assert_eq!(missing.reason, "needs no-such-b, no-such-a: apt-get install first second");
    }

    #[test]
    fn two_that_are_missing_are_one() {
        let (root, program) = (
            Missing { root: true, ..Missing::feature("needs root") },
            Missing::programs(&[("no-such", "b")]),
        );
        let both = Missing::both(Some(root.clone()), program.clone()).unwrap();
        assert_eq!((both.root, both.packages.as_slice()), (true, ["b".to_owned()].as_slice()));
        assert_eq!(both.reason, "needs root; needs no-such: apt-get install b");
        assert_eq!(Missing::both(Some(root.clone()), None), Some(root));
        assert_eq!((Missing::both(None, program.clone()), Missing::both(None, None)), (program, None));
    }
}
