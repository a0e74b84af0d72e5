//! `xdp status` and `xdp detach`: what sits on the interfaces, said and taken off without a daemon.
//!
//! * Works by what the kernel and the pin folder say; a running daemon is not asked.
//! * Only pinned programs are detached: one without a pin goes with its daemon, which is to be stopped instead.

use crate::fast_path::host::Host;
use engine::host::netlink::rows::Link;
use engine::xdp::detach_pinned;
use engine::xdp::programs;
use engine::xdp::programs::FAST_PATH;
use program::failure::Failure;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Interfaces; none: all that there are.
    pub interfaces: Vec<String>,
    /// The folder of pins.
    pub pin: Option<PathBuf>,
}

impl Question {
    fn links(&self, host: &Host) -> Result<Vec<Link>, Failure> {
        if self.interfaces.is_empty() {
            return Ok(host.links.clone());
        }
        let find = |name: &String| {
            let missing = || {
                Failure::Config(format!("--xdp {name}: no such interface; this host has {}", host.names()))
            };
            host.link(name).cloned().ok_or_else(missing)
        };
        self.interfaces.iter().map(find).collect()
    }
}

/// Prints a line for each interface that has an XDP program, or was asked for by name.
///
/// # Errors
/// What the kernel refuses to say; an interface that is not there.
pub fn status(question: &Question, out: &mut dyn Write) -> Result<(), Failure> {
    let host = Host::read()?;
    let mut text = String::new();
    for link in question.links(&host)? {
        let line = line(&link, question)?;
        if link.xdp_program.is_some() || !question.interfaces.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{line}");
        }
    }
    if text.is_empty() {
        text.push_str("no interface has an XDP program\n");
    }
    out.write_all(text.as_bytes())?;
    Ok(())
}

fn line(link: &Link, question: &Question) -> Result<String, Failure> {
    let Some(id) = link.xdp_program else { return Ok(format!("{}: no XDP program", link.name)) };
    let program = programs::find(id)?;
    let whose = match &program {
        Some(program) if program.name == FAST_PATH => String::from("the reflector's"),
        Some(program) => format!("somebody else's ({})", program.name.escape_debug()),
        None => String::from("unknown"),
    };
    let loaded_at = program.and_then(|program| program.loaded_at);
    let age = loaded_at.and_then(|at| SystemTime::now().duration_since(at).ok());
    let age = age.map_or_else(String::new, |age| format!(", loaded {} s ago", age.as_secs()));
    let mode = if link.xdp_native { "native" } else { "generic" };
    let pins = match &question.pin {
        Some(folder) => match pins(folder, &link.name) {
            pins if pins.is_empty() => format!(", not pinned in {}", folder.display()),
            pins => format!(", pinned: {}", pins.join(", ")),
        },
        None => String::new(),
    };
    Ok(format!("{}: program {id}, {whose}, {mode}{age}{pins}", link.name))
}

/// The pins of an interface in a folder, whose names begin with the interface's.
fn pins(folder: &std::path::Path, interface: &str) -> Vec<String> {
    let prefix = format!("{}-", interface.replace('.', "_"));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut pins: Vec<String> = names.filter(|name| name.starts_with(&prefix)).collect();
    pins.sort();
    pins
}

/// Takes off what is pinned, and says so.
///
/// # Errors
/// No pin folder named, nothing pinned for an interface that was named, what the kernel refuses.
pub fn detach(question: &Question, out: &mut dyn Write) -> Result<(), Failure> {
    let Some(folder) = &question.pin else {
        let right =
            "--xdp-pin DIR names the folder of pins; a program without a pin goes when its daemon is stopped";
        return Err(Failure::Usage(String::from(right)));
    };
    let host = Host::read()?;
    let mut done = Vec::new();
    for link in question.links(&host)? {
        let found = detach_pinned(&link.name, folder)
            .map_err(|error| Failure::Runtime(format!("{}: {error}", link.name)))?;
        if found {
            writeln!(out, "{}: detached", link.name)?;
            done.push(link.name);
        } else if !question.interfaces.is_empty() {
            return Err(Failure::Runtime(format!(
                "nothing is pinned for {} in {}",
                link.name,
                folder.display()
            )));
        }
    }
    if done.is_empty() {
        writeln!(out, "nothing is pinned in {}", folder.display())?;
    }
    Ok(())
}
