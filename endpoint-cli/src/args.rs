//! The command line: what was typed, as a value.
//!
//! * A wrong flag is one line on stderr and exit code 2.
//! * Every flag is also a variable REFLECTOR_ENDPOINT_*; what belongs to the device stands in its file.

use crate::failure::Failure;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use wire::json::name::AccountName;

/// A whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "reflector-endpoint",
    version,
    about = "Log in, see who is online, and talk: directly where the NATs allow it, else through a reflector",
    after_help = "stdout is data, stderr is talk. Exit codes: 0 fine, 1 failed, 2 wrong usage, 78 wrong device file, \
                  130 interrupted.\nUDP only: where nothing but TCP or TLS leaves the network, and in browsers, TURN is needed."
)]
pub struct Line {
    /// The device's file, which `enrol` writes
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "REFLECTOR_ENDPOINT_CONFIG",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub task: Task,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Make this host a device of an account, and write its file
    Enrol(Enrol),
    /// Say what NAT this host is behind, in the words of RFC 4787
    Nat(Nat),
    /// Stay online and print who comes, who goes, and what they say
    Up,
    /// Say who is there and how they are reached, and why so
    Status {
        /// Of this buddy only
        name: Option<AccountName>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Send a text, and wait until it has arrived
    Send {
        /// To whom
        name: AccountName,
        /// What
        text: String,
    },
    /// Show the table of `status` and keep it up to date
    Watch,
    /// Hide this device's address from its buddies: everything goes through a reflector, and sealed
    Hide,
    /// Show this device's address to its buddies again
    Show,
    /// Carry the datagrams of any UDP program to a buddy and back
    Tunnel(Tunnel),
}

/// What `enrol` is told.
#[derive(Debug, Args)]
pub struct Enrol {
    /// The access server, http://HOST:PORT or https://HOST
    #[arg(long, value_name = "URL", env = "REFLECTOR_ENDPOINT_ACCESS", hide_env_values = true)]
    pub access: String,
    /// The account; its password is asked for, or taken from REFLECTOR_ENDPOINT_PASSWORD
    #[arg(long, env = "REFLECTOR_ENDPOINT_ACCOUNT", hide_env_values = true)]
    pub account: AccountName,
    /// What to call the device
    #[arg(long, env = "REFLECTOR_ENDPOINT_NAME", hide_env_values = true)]
    pub name: Option<String>,
    /// A certificate authority of the access server (PEM), besides the system's
    #[arg(long, value_name = "FILE", env = "REFLECTOR_ENDPOINT_CA", hide_env_values = true)]
    pub ca: Option<PathBuf>,
    /// The NAT's behaviour, such as eim/apdf or open, if you know it better than it can be found out
    #[arg(long, value_name = "BEHAVIOUR", env = "REFLECTOR_ENDPOINT_NAT", hide_env_values = true)]
    pub nat: Option<nat::Behaviour>,
}

/// What `nat` is told.
#[derive(Debug, Args)]
pub struct Nat {
    /// A STUN server with two addresses (RFC 5780); else the device's reflectors are asked
    #[arg(long, value_name = "ADDR:PORT", env = "REFLECTOR_ENDPOINT_STUN", hide_env_values = true)]
    pub stun: Option<SocketAddr>,
    /// A reflector to PROBE instead of the device's; two of them show the mapping
    #[arg(
        long,
        value_name = "ADDR:PORT",
        env = "REFLECTOR_ENDPOINT_REFLECTOR",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub reflector: Vec<SocketAddr>,
}

/// What `tunnel` is told.
#[derive(Debug, Args)]
pub struct Tunnel {
    /// The buddy at the other end, who runs `tunnel` too
    #[arg(long, value_name = "NAME", env = "REFLECTOR_ENDPOINT_PEER", hide_env_values = true)]
    pub peer: AccountName,
    /// Where the program here sends its datagrams
    #[arg(
        long,
        value_name = "ADDR:PORT",
        env = "REFLECTOR_ENDPOINT_LOCAL",
        hide_env_values = true,
        required_unless_present = "to"
    )]
    pub local: Option<SocketAddr>,
    /// Where the peer's datagrams are to go here; without it, to whoever last sent to --local
    #[arg(long, value_name = "ADDR:PORT", env = "REFLECTOR_ENDPOINT_TO", hide_env_values = true)]
    pub to: Option<SocketAddr>,
    /// Bytes of the largest datagram that the program sends; where the path carries less, the tunnel does not start
    #[arg(long, value_name = "BYTES", env = "REFLECTOR_ENDPOINT_LARGEST", hide_env_values = true)]
    pub largest: Option<usize>,
}

impl Line {
    /// Reads the command line and the variables of the environment; a text to print where that is what was asked for.
    ///
    /// # Errors
    /// Whatever is unknown, missing or malformed.
    pub fn read(arguments: impl Iterator<Item = OsString>) -> Result<Result<Self, String>, Failure> {
        match Self::try_parse_from(arguments) {
            Ok(line) => Ok(Ok(line)),
            Err(error) => match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Err(error.to_string())),
                ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Err(Failure::Usage(String::from(
                    "a command is missing; `reflector-endpoint --help` lists them",
                ))),
                _ => Err(Failure::Usage(first_words(&error.to_string()))),
            },
        }
    }

    /// The device's file: as given, or where the system keeps the user's configuration.
    #[must_use]
    pub fn device_file(&self) -> PathBuf {
        if let Some(file) = &self.config {
            return file.clone();
        }
        let home = |name: &str| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
        let folder = home("XDG_CONFIG_HOME")
            .or_else(|| home("HOME").map(|home| home.join(".config")))
            .or_else(|| home("APPDATA"))
            .unwrap_or_default();
        folder.join("reflector").join("endpoint.toml")
    }
}

/// What clap says, on one line and without its advice on usage.
fn first_words(text: &str) -> String {
    let words = text.trim_start_matches("error: ").split("\n\n").next().unwrap_or_default();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Line, String> {
        let words = line.split_whitespace().map(OsString::from);
        Line::read(std::iter::once(OsString::from("reflector-endpoint")).chain(words))
            .map_err(|failure| failure.to_string())
            .and_then(|line| line)
    }

    #[test]
    fn commands_are_read() {
        let line =
            read("--config a.toml tunnel --peer bob --local 127.0.0.1:51820 --to 127.0.0.1:51821").unwrap();
        assert_eq!(line.device_file(), PathBuf::from("a.toml"));
        let Task::Tunnel(tunnel) = line.task else { panic!("{:?}", line.task) };
        assert_eq!((tunnel.peer.as_str(), tunnel.largest), ("bob", None));
        assert!(matches!(
            read("status bob --json").unwrap().task,
            Task::Status { name: Some(_), json: true }
        ));
        let line = read("enrol --access http://127.0.0.1:8080 --account alice --nat symmetric").unwrap();
        let Task::Enrol(enrol) = line.task else { panic!("{:?}", line.task) };
        assert_eq!(enrol.nat.unwrap().to_string(), "apdm/apdf");
    }

    #[test]
    fn wrong_lines_are_one_line_that_says_what_is_wrong() {
        for (line, words) in [
            ("", "a command is missing"),
            ("fly", "unrecognized subcommand 'fly'"),
            ("send bob", "<TEXT>"),
            ("send Bob hello", "account name"),
            ("tunnel --peer bob", "--local"),
            ("enrol --access http://a --account alice --nat cone", "port-restricted"),
        ] {
            let message = read(line).unwrap_err();
            assert!(message.contains(words) && !message.contains('\n'), "{line}: {message}");
        }
        assert!(read("--help").unwrap_err().contains("130 interrupted"));
    }

    #[test]
    fn the_definition_contradicts_itself_nowhere() {
        use clap::CommandFactory as _;
        Line::command().debug_assert();
    }
}
