//! A box in the middle of a cable that holds every frame for a while, in both directions.
//!
//! * Frames leave in the order in which they came, each `delay` after the kernel saw it, or a little later.
//! * A thread of this process carries them; it ends with the value.

use super::link::End;
use super::packet_socket::PacketSocket;
use crate::error::Error;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A running forwarder.
#[derive(Debug)]
pub(crate) struct Delay {
    ends: Arc<AtomicBool>,
    carrier: Option<JoinHandle<()>>,
}

impl Delay {
    /// Carries frames between two interfaces of one namespace.
    pub(crate) fn start(left: &End, right: &End, delay: Duration) -> Result<Self, Error> {
        let (left, right) = (left.packet_socket()?, right.packet_socket()?);
        let ends = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ends);
        let carrier = thread::spawn(move || {
            let (mut there, mut back) = (VecDeque::new(), VecDeque::new());
            let mut buffer = vec![0; LONGEST_FRAME];
            while !ended.load(Ordering::Relaxed) {
                take(&left, &mut there, &mut buffer, Instant::now() + delay);
                take(&right, &mut back, &mut buffer, Instant::now() + delay);
                release(&right, &mut there, Instant::now());
                release(&left, &mut back, Instant::now());
                thread::sleep(STEP);
            }
        });
        Ok(Self { ends, carrier: Some(carrier) })
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(carrier) = self.carrier.take() {
            let _ = carrier.join(); // It holds nothing that a panic could have broken.
        }
    }
}

/// Puts the frames that came in behind those that wait; a frame that cannot be read is lost, as on a cable.
fn take(from: &PacketSocket, waiting: &mut VecDeque<(Instant, Vec<u8>)>, buffer: &mut [u8], due: Instant) {
    while let Ok(Some(received)) = from.receive(buffer) {
        if !received.outgoing {
            waiting.push_back((due, buffer.split_at(received.length).0.to_vec()));
        }
    }
}

/// Sends what has waited long enough; a frame that cannot be sent is lost, as on a cable.
fn release(to: &PacketSocket, waiting: &mut VecDeque<(Instant, Vec<u8>)>, now: Instant) {
    while let Some((_, frame)) = waiting.pop_front_if(|(due, _)| *due <= now) {
        let _ = to.send(&frame);
    }
}

/// How often it looks; what a frame waits too long at most, on an idle machine.
const STEP: Duration = Duration::from_micros(500);
const LONGEST_FRAME: usize = 65_600;
