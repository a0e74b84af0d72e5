//! What passed at one end of a cable.
//!
//! * Complete up to now whenever it is asked: the kernel queues a frame as it passes.
//! * Sees frames outside any XDP program of the interface: capture at the end that faces the program.

use super::frame::Datagram;
use super::packet_socket::PacketSocket;
use crate::error::Error;
use std::time::SystemTime;

/// A running capture.
#[derive(Debug)]
pub struct Capture {
    socket: PacketSocket,
}

impl Capture {
    pub(crate) fn new(socket: PacketSocket) -> Self {
        Self { socket }
    }

    /// Every frame since the last call, oldest first.
    ///
    /// # Errors
    /// The kernel gives no more of them.
    pub fn frames(&self) -> Result<Vec<Seen<Vec<u8>>>, Error> {
        let mut buffer = vec![0; LONGEST_FRAME];
        let mut frames = Vec::new();
        let cannot_read = || Error::kernel("cannot read the capture");
        while let Some(received) = self.socket.receive(&mut buffer).map_err(cannot_read())? {
            let bytes = buffer.split_at(received.length).0.to_vec();
            frames.push(Seen { time: received.time, outgoing: received.outgoing, what: bytes });
        }
        Ok(frames)
    }

    /// Every UDP datagram since the last call, oldest first; whatever else passed is dropped.
    ///
    /// # Errors
    /// The kernel gives no more of them.
    pub fn datagrams(&self) -> Result<Vec<Seen<Datagram>>, Error> {
        let frames = self.frames()?.into_iter();
        let read = |seen: Seen<Vec<u8>>| {
            let what = Datagram::read(&seen.what)?;
            Some(Seen { time: seen.time, outgoing: seen.outgoing, what })
        };
        Ok(frames.filter_map(read).collect())
    }
}

/// Something that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen<T> {
    /// When the kernel saw it.
    pub time: SystemTime,
    /// Whether it left the namespace here, rather than entered it.
    pub outgoing: bool,
    /// What it was.
    pub what: T,
}

/// With offloads off no frame is longer.
const LONGEST_FRAME: usize = 65_600;
