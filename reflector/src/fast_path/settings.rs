//! What the operator wants of the XDP fast path: on which interfaces, how, and whether it outlives the daemon.
//!
//! * No interface named: no fast path. What else is said then waits unused and is said to do so by `check`.
//! * Values are right as far as they can be judged without the kernel.

use engine::xdp::Mode;
use program::failure::Failure;
use program::settings::texts::Texts;
use std::path::PathBuf;

/// The fast path as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FastPathSettings {
    /// Interfaces in front of whose stack datagrams are answered, none twice.
    pub interfaces: Vec<String>,
    /// Where in the interface the program sits.
    pub mode: Mode,
    /// Who names the next hop.
    pub next_hop: NextHop,
    /// A folder of a BPF file system that keeps the program while the daemon is away.
    pub pin: Option<PathBuf>,
}

impl FastPathSettings {
    /// Checks the four settings.
    ///
    /// # Errors
    /// A text that no interface, mode, next hop or absolute path can have; an interface named twice.
    pub fn check(texts: &Texts) -> Result<Self, Failure> {
        let interfaces = texts.all("xdp", interface)?;
        let twice = interfaces
            .iter()
            .enumerate()
            .any(|(at, name)| interfaces.iter().skip(at + 1).any(|it| it == name));
        if twice {
            return Err(texts.refuse("xdp", "expected each interface once"));
        }
        let mode = texts.one("xdp-mode", "native", |text| {
            let known = [Mode::Native, Mode::Generic].into_iter().find(|mode| mode.as_str() == text);
            known.ok_or_else(|| String::from("expected native or generic"))
        })?;
        let next_hop = texts.one("xdp-nexthop", "neighbour", |text| match text {
            "neighbour" => Ok(NextHop::Neighbour),
            "fib" => Ok(NextHop::Fib),
            _ => Err(String::from("expected neighbour or fib")),
        })?;
        let pin = texts.all("xdp-pin", |text| match PathBuf::from(text) {
            path if path.is_absolute() => Ok(path),
            _ => Err(String::from(
                "expected an absolute path in a BPF file system such as /sys/fs/bpf/reflector",
            )),
        })?;
        Ok(Self { interfaces, mode, next_hop, pin: pin.into_iter().last() })
    }

    /// Whether there is to be a fast path.
    pub fn is_on(&self) -> bool {
        !self.interfaces.is_empty()
    }
}

/// Who names the next hop of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// The daemon, from the kernel's routes and neighbours; a frame goes back to the neighbour that it came from, or passes.
    Neighbour,
    /// The kernel, asked by the program for each datagram; it answers only where the interface forwards.
    Fib,
}

/// The name of an interface as the kernel takes it.
///
/// # Errors
/// A text that no interface is called.
pub fn interface(text: &str) -> Result<String, String> {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':'));
    let name = (1..=LONGEST_NAME).contains(&text.len()) && printable && !matches!(text, "." | "..");
    name.then(|| String::from(text))
        .ok_or_else(|| String::from("expected the name of an interface such as eth0"))
}

/// Bytes of an interface's name, without the kernel's zero.
const LONGEST_NAME: usize = 15;
