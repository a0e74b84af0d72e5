//! Everything one step away from a good frame: every shorter one, and every one with a single bit turned over.
//!
//! * And every frame with the checksums at which one's complement has two zeros.
//! * Random frames rarely stand right beside an accepted one; here all of them are visited.

use crate::arrivals;
use crate::differential::{self, Pair};
use crate::kernel::{self, Kernel};
use crate::outcome::FrameOutcome;
use crate::random::Random;

/// Goes around accepted frames of both families and all three kinds.
pub(crate) fn run() -> Result<(), String> {
    let cpus = kernel::processors()?;
    kernel::on_processor(cpus[0], visit)
}

fn visit(kernel: &mut Kernel) -> Result<(), String> {
    // Family and kind: how often each has been gone around.
    let mut visited = [[0; 3]; 2];
    for number in FIRST.. {
        if visited.iter().flatten().all(|visits| *visits >= EACH) {
            break;
        }
        let mut scene = differential::draw(kernel, number);
        // Budgets would hide a wrong acceptance behind `rate`.
        scene.setup.class_rates_bytes_s = [None; 16];
        scene.setup.probe_budget_s = 1_000_000_000;
        let mut pair = Pair::new(kernel, &scene, &scene.setup)?;
        let mut random = Random::new(number);
        for _ in 0..40 {
            let frame = arrivals::draw(&scene, &mut random);
            let (kind, left) = match pair.run(&frame, &mut |_| {})? {
                FrameOutcome::Relayed(left) => (if is_sealed(&left) { 2 } else { 0 }, left),
                FrameOutcome::Observed(left) => (1, left),
                _ => continue,
            };
            checksums(&mut pair, &frame, &left)?;
            let visits = &mut visited[usize::from(frame[12] == 0x86)][kind];
            if *visits < EACH && frame.len() < LONGEST {
                *visits += 1;
                around(&mut pair, &frame)
                    .map_err(|finding| format!("scene {number}\n{finding}\nsetup: {:?}", scene.setup))?;
            }
        }
    }
    Ok(())
}

/// Checksums that come out as 0xfffe, as zero (which is written 0xffff), and as 1: a right one seldom does.
fn checksums(pair: &mut Pair<'_>, frame: &[u8], left: &[u8]) -> Result<(), String> {
    let at = if frame[12] == 0x86 { 14 + 40 + 6 } else { 14 + 20 + 6 };
    let field = |bytes: &[u8]| u32::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    if field(frame) == 0 {
        return Ok(());
    }
    for wanted in [0xfffe, 0, 1] {
        let distance = (field(frame) + 0xffff - field(left) % 0xffff) % 0xffff;
        let arriving = ((wanted + distance) % 0xffff) as u16;
        let mut other = frame.to_vec();
        other[at..at + 2].copy_from_slice(&arriving.to_be_bytes());
        pair.run(&other, &mut |_| {})?;
    }
    Ok(())
}

fn is_sealed(frame: &[u8]) -> bool {
    let header = if frame[12] == 0x86 { 14 + 40 + 8 } else { 14 + 20 + 8 };
    frame[header] == 0x0e
}

fn around(pair: &mut Pair<'_>, frame: &[u8]) -> Result<(), String> {
    for len in MIN_FRAME..frame.len() {
        pair.run(&frame[..len], &mut |_| {})?;
    }
    for bit in 0..frame.len() * 8 {
        let mut turned = frame.to_vec();
        turned[bit / 8] ^= 1 << (bit % 8);
        pair.run(&turned, &mut |_| {})?;
    }
    Ok(())
}

/// Frames of each family and kind.
const EACH: u32 = 4;
const FIRST: u64 = 1 << 18;
/// Bytes; longer frames only repeat bits of their payload.
const LONGEST: usize = 140;
/// What BPF_PROG_TEST_RUN takes at least: an Ethernet header.
const MIN_FRAME: usize = 14;
