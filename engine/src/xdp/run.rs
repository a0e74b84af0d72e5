//! Runs of the program on frames that no wire brought: for tests, and to measure it.
//!
//! * One run, as the driver would do it, says what became of the frame and what it now holds.
//! * Repeated runs give the time of one; the frame is not restored between them, so only runs that leave it as it was
//!   (drops, passes) or that are given a program of their own can be repeated on the spot.
//!
//! Source: Documentation/bpf/bpf_prog_run.rst.

use crate::exact;
use crate::xdp::error::XdpError;
use aya::programs::ProgramError;
use aya::{TestRun, TestRunAttrs, TestRunOptions};
use std::time::Duration;

/// What the program said of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// XDP_ABORTED: the program failed.
    Aborted,
    /// XDP_DROP.
    Drop,
    /// XDP_PASS: to the kernel's stack.
    Pass,
    /// XDP_TX: out where it came in.
    Transmit,
    /// XDP_REDIRECT, or what no program of ours answers.
    Other(u32),
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The answer.
    pub answer: Answer,
    /// The frame as the program left it.
    pub frame: Vec<u8>,
    /// The mean time of a run; coarse unless repeated.
    pub duration: Duration,
}

/// Runs a program `repeat` times on one frame of 14 bytes or more.
pub(crate) fn run(program: &aya::programs::Xdp, frame: &[u8], repeat: u32) -> Result<Run, XdpError> {
    let mut out = vec![0; frame.len() + SPARE_LEN];
    let options = TestRunOptions {
        data_in: Some(frame),
        data_out: Some(&mut out),
        repeat,
        ..TestRunOptions::default()
    };
    let result = program.test_run(options).map_err(refused)?;
    out.truncate(exact::index(result.data_size_out));
    Ok(Run { answer: Answer::from(result.return_value), frame: out, duration: result.duration })
}

/// Sends `repeat` copies of a frame through the program as if an interface had received them; XDP_TX really leaves.
///
/// `interface` is the number of the interface that they seem to come from.
pub(crate) fn run_live(
    program: &aya::programs::Xdp,
    frame: &[u8],
    interface: u32,
    repeat: u32,
) -> Result<(), XdpError> {
    let context = context(frame.len(), interface);
    let options = TestRunOptions {
        data_in: Some(frame),
        ctx_in: Some(&context),
        repeat,
        attrs: TestRunAttrs::new().xdp_live_frames(LIVE_BATCH),
        ..TestRunOptions::default()
    };
    program.test_run(options).map(drop).map_err(refused)
}

impl From<u32> for Answer {
    fn from(value: u32) -> Self {
        match value {
            0 => Self::Aborted,
            1 => Self::Drop,
            2 => Self::Pass,
            3 => Self::Transmit,
            other => Self::Other(other),
        }
    }
}

/// `struct xdp_md`: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
pub(crate) fn context(frame_len: usize, interface: u32) -> Vec<u8> {
    // The kernel refuses what is longer than this.
    let end = u32::try_from(frame_len).unwrap_or(u32::MAX);
    [0, end, 0, interface, 0, 0].iter().flat_map(|word: &u32| word.to_ne_bytes()).collect()
}

fn refused(error: ProgramError) -> XdpError {
    match error {
        ProgramError::SyscallError(error) => XdpError::kernel("run the program", error.io_error),
        other => XdpError::Refused(other.to_string()),
    }
}

/// Room for a frame that came out longer, which would be a fault that a test must see.
const SPARE_LEN: usize = 64;
/// Frames that the kernel hands over at once.
const LIVE_BATCH: u32 = 64;
