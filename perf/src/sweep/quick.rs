//! `quick`: a sweep of one cell over loopback, in about half a minute.
//!
//! * One reflector worker on one core, one generator worker on another; unprivileged. Where there is only one
//!   processor they share it, and the result says so.
//! * `--short` is for checking that everything works, not for figures.
//! * Loopback is no network interface: the result says so and is never for planning.

use crate::rig::cell::Engine;
use crate::sweep::args::{Ground, Reach, SweepArgs};
use clap::Args;
use std::path::PathBuf;

/// The flags of `quick`.
#[derive(Clone, Debug, Args)]
pub struct QuickArgs {
    /// Fewer and shorter steps, about ten seconds: shows that everything works, not how fast.
    #[arg(long, env = "REFLECTOR_PERF_SHORT")]
    pub short: bool,
    /// Folder for report.html and report.json [default: perf/quick in cargo's target folder].
    #[arg(long, value_name = "DIR", env = "REFLECTOR_PERF_OUT")]
    pub out: Option<PathBuf>,
    /// Endpoints, each behind a simulated NAT of its own, e.g. 2000 or 2k.
    #[arg(long, value_name = "N", default_value = "2000", env = "REFLECTOR_PERF_ENDPOINTS", value_parser = endpoints)]
    pub endpoints: u32,
    /// Bytes behind the 32-byte header, 24 to 1440.
    #[arg(
        long,
        value_name = "BYTES",
        default_value = "168",
        env = "REFLECTOR_PERF_PAYLOAD",
        value_parser = clap::value_parser!(u32).range(24..=1_440)
    )]
    pub payload: u32,
    /// NAT behaviours and their shares, e.g. eim/apdf=80%,apdm/apdf=20%.
    #[arg(long, value_name = "MIX", default_value_t = nat::Mix::default(), env = "REFLECTOR_PERF_NAT")]
    pub nat: nat::Mix,
}

impl QuickArgs {
    /// The sweep that it is.
    pub fn sweep(&self) -> SweepArgs {
        SweepArgs {
            short: self.short,
            out: self.out.clone(),
            engines: vec![Engine::Epoll],
            workers: vec![1],
            payloads: vec![self.payload],
            endpoints: vec![self.endpoints],
            trains: vec![1],
            hostile: vec![0],
            cross: false,
            nat: self.nat,
            rounds: Some(if self.short { 1 } else { 2 }),
            ground: Some(Ground::Loopback),
            reflector: None,
            admin: None,
            keys: None,
            external: None,
            xdp: None,
            reach: Reach::Quick,
        }
    }
}

fn endpoints(text: &str) -> Result<u32, String> {
    let (digits, factor) = text.strip_suffix('k').map_or((text, 1), |digits| (digits, 1_000));
    let number = digits.parse::<u32>().ok().and_then(|number| number.checked_mul(factor));
    number
        .filter(|number| (2..=100_000).contains(number))
        .ok_or_else(|| "a number of endpoints is 2 to 100k, such as 2000 or 2k".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_sweep_of_one_cell() {
        let quick =
            QuickArgs { short: false, out: None, endpoints: 300, payload: 168, nat: nat::Mix::default() };
        let cells = quick.sweep().matrix().cells();
        assert_eq!(cells.iter().map(ToString::to_string).collect::<Vec<_>>(), ["epoll-w1-p168-e300-t1-h0"]);
        assert_eq!([endpoints("2k"), endpoints("300")], [Ok(2_000), Ok(300)]);
        assert!(endpoints("1").is_err() && endpoints("many").is_err());
    }
}
