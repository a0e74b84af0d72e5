//! Which socket of an SO_REUSEPORT group a datagram goes to: the one whose worker runs where it arrived.
//!
//! ```text
//! ld  #cpu
//! jeq #cpus[0], ret 0        the cpu of worker 0: its socket
//! jeq #cpus[1], ret 1
//! ...
//! mod #n                     a cpu without a worker
//! ret a
//! ```
//!
//! * The cpus may have holes; the socket is named by its place in the group, which is the order of binding.
//!
//! Source: socket(7), SO_ATTACH_REUSEPORT_CBPF; linux/filter.h.

#![allow(unsafe_code)]

use crate::socket::udp::Socket;
use std::io;
use std::os::fd::AsRawFd;

/// Steers a group: `cpus[i]` is the cpu of the worker that reads the group's i-th socket.
///
/// # Errors
/// More workers than a program can name, or what setsockopt(2) says; without a program the kernel steers by hash.
pub fn by_cpu(group: &[Socket], cpus: &[usize]) -> io::Result<()> {
    let Some(first) = group.first() else { return Ok(()) };
    let program =
        program(cpus).ok_or_else(|| io::Error::other("more workers than a steering program can name"))?;
    let len = u16::try_from(program.len()).map_err(io::Error::other)?;
    let attached = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    #[allow(clippy::cast_possible_truncation)] // Sixteen bytes.
    let size = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: `attached` is a live sock_fprog that points at `len` live instructions; the kernel copies and checks
    // them before the call returns and writes nothing.
    let result = unsafe {
        libc::setsockopt(
            first.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const attached).cast(),
            size,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn program(cpus: &[usize]) -> Option<Vec<libc::sock_filter>> {
    let workers = u32::try_from(cpus.len()).ok().filter(|workers| *workers > 0)?;
    let mut program = vec![instruction(LOAD_WORD, 0, CPU)];
    for (index, cpu) in (0..workers).zip(cpus) {
        program.push(instruction(JUMP_IF_EQUAL, 1, u32::try_from(*cpu).ok()?));
        program.push(instruction(RETURN, 0, index));
    }
    program.push(instruction(MODULO, 0, workers));
    program.push(instruction(RETURN_A, 0, 0));
    (program.len() <= MAX_INSTRUCTIONS).then_some(program)
}

/// One instruction; a jump that is not taken skips `otherwise`.
fn instruction(code: u16, otherwise: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt: 0, jf: otherwise, k }
}

/// BPF_LD | BPF_W | BPF_ABS.
const LOAD_WORD: u16 = 0x20;
/// BPF_JMP | BPF_JEQ | BPF_K.
const JUMP_IF_EQUAL: u16 = 0x15;
/// BPF_RET | BPF_K.
const RETURN: u16 = 0x06;
/// BPF_RET | BPF_A.
const RETURN_A: u16 = 0x16;
/// BPF_ALU | BPF_MOD | BPF_K.
const MODULO: u16 = 0x94;
/// SKF_AD_OFF + SKF_AD_CPU: the place that stands for the cpu the datagram is handled on.
const CPU: u32 = 0xffff_f000 + 36;
/// BPF_MAXINSNS.
const MAX_INSTRUCTIONS: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the few instructions that `program` makes.
    fn socket_for(program: &[libc::sock_filter], cpu: u32) -> u32 {
        let (mut accumulator, mut at) = (0, 0);
        loop {
            let libc::sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            match code {
                LOAD_WORD => accumulator = if k == CPU { cpu } else { panic!("loads {k:#x}") },
                JUMP_IF_EQUAL => at += usize::from(if accumulator == k { jt } else { jf }),
                MODULO => accumulator %= k,
                RETURN => return k,
                RETURN_A => return accumulator,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn every_cpu_has_a_socket_and_a_workers_cpu_its_own() {
        let cpus = [3, 5, 8, 64];
        let program = program(&cpus).unwrap();
        for (index, cpu) in (0..).zip([3, 5, 8, 64]) {
            assert_eq!(socket_for(&program, cpu), index);
        }
        for cpu in 0..256 {
            assert!(socket_for(&program, cpu) < 4);
        }
    }

    #[test]
    fn what_cannot_be_named_is_refused() {
        assert!(program(&[]).is_none());
        assert!(program(&vec![0; 2_046]).is_some());
        assert!(program(&vec![0; 2_047]).is_none());
    }
}
