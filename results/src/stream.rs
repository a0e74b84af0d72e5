//! How applications send: streams by name, for the generator's `--payload` and the planner's `--preset`.
//!
//! * One flow of each; how many users are active at once is not known here.

/// One flow of an application.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stream {
    /// Its name on the command line.
    pub name: &'static str,
    /// Datagrams per second.
    pub rate_per_s: f64,
    /// Bytes behind the header.
    pub payload_bytes: u16,
    /// Datagrams that leave together.
    pub train: u32,
}

impl Stream {
    /// G.711 or Opus in RTP: 20 ms a datagram.
    pub const VOICE: Self = Self { name: "voice", rate_per_s: 50.0, payload_bytes: 160, train: 1 };
    /// 30 pictures a second, each in a train of eight datagrams.
    pub const VIDEO: Self = Self { name: "video", rate_per_s: 240.0, payload_bytes: 1_200, train: 8 };
    /// State updates between players.
    pub const GAME: Self = Self { name: "game", rate_per_s: 30.0, payload_bytes: 80, train: 1 };
    /// A reading a minute from a device.
    pub const IOT: Self = Self { name: "iot", rate_per_s: 1.0 / 60.0, payload_bytes: 48, train: 1 };
    /// Some 10 Mbit/s in segments of one path MTU.
    pub const FILE: Self = Self { name: "file", rate_per_s: 1_000.0, payload_bytes: 1_200, train: 16 };
}
