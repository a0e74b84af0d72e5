//! The calls of bpf(2) that aya does not make, or makes with a fallback that cannot be pinned.
//!
//! * A link is made by BPF_LINK_CREATE or not at all: it can be pinned, and its program replaced under traffic.
//! * Attributes are words at the offsets of `union bpf_attr`; what is not named is zero.
//!
//! Source: bpf(2), linux/bpf.h.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// An array of `entries` values of `value_len` bytes.
pub(crate) fn create_array(value_len: u32, entries: u32) -> io::Result<OwnedFd> {
    call_for_descriptor(MAP_CREATE, &mut Attributes::of(&[MAP_TYPE_ARRAY, 4, value_len, entries]))
}

/// Writes the only value of an array, which is as long as `value`.
pub(crate) fn write_array(array: BorrowedFd<'_>, value: &[u8]) -> io::Result<()> {
    let key = 0_u32;
    call(MAP_UPDATE_ELEM, &mut element(array, &raw const key, value.as_ptr())).map(drop)
}

/// Reads the only value of an array, which is as long as `value`.
pub(crate) fn read_array(array: BorrowedFd<'_>, value: &mut [u8]) -> io::Result<()> {
    let key = 0_u32;
    call(MAP_LOOKUP_ELEM, &mut element(array, &raw const key, value.as_mut_ptr())).map(drop)
}

/// Attaches `program` to an interface, as a link.
pub(crate) fn create_xdp_link(program: BorrowedFd<'_>, interface: u32, flags: u32) -> io::Result<OwnedFd> {
    let words = [word(program), interface, ATTACH_XDP, flags];
    call_for_descriptor(LINK_CREATE, &mut Attributes::of(&words))
}

/// Puts `program` in the place of the link's present one, between two datagrams.
pub(crate) fn update_link(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    call(LINK_UPDATE, &mut Attributes::of(&[word(link), word(program)])).map(drop)
}

/// Detaches a link at once, whoever else holds it.
pub(crate) fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    call(LINK_DETACH, &mut Attributes::of(&[word(link)])).map(drop)
}

/// Gives an object a name in a BPF file system.
pub(crate) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let [low, high] = halves(path.as_ptr() as u64);
    call(OBJ_PIN, &mut Attributes::of(&[low, high, word(object)])).map(drop)
}

/// Opens what is pinned at `path`.
pub(crate) fn open_pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let [low, high] = halves(path.as_ptr() as u64);
    call_for_descriptor(OBJ_GET, &mut Attributes::of(&[low, high]))
}

/// Runs a program `repeat` times on frames of its own, `batch` at a time, which begin as `frame` and may really leave.
///
/// Returns when the runs are done, or with EINTR when the thread has a signal.
pub(crate) fn run_live(
    program: BorrowedFd<'_>,
    frame: &[u8],
    context: &[u8],
    repeat: u32,
    batch: u32,
) -> io::Result<()> {
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let ([frame_low, frame_high], [context_low, context_high]) =
        (halves(frame.as_ptr() as u64), halves(context.as_ptr() as u64));
    // prog_fd, retval, data_size_in, data_size_out, data_in, data_out, repeat, duration, ctx_size_in, ctx_size_out,
    // ctx_in, ctx_out, flags, cpu, batch_size.
    let frame = [word(program), 0, len(frame), 0, frame_low, frame_high, 0, 0];
    let run = [repeat, 0, len(context), 0, context_low, context_high, 0, 0, LIVE_FRAMES, 0, batch];
    let mut attributes = Attributes::default();
    attributes.0.iter_mut().zip(frame.iter().chain(&run)).for_each(|(place, word)| *place = *word);
    call(PROG_TEST_RUN, &mut attributes).map(drop)
}

/// What the kernel says of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkInfo {
    pub(crate) is_xdp: bool,
    pub(crate) program_id: u32,
    /// 0 once the interface is gone.
    pub(crate) interface: u32,
}

/// Asks about a link.
pub(crate) fn link_info(link: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    let mut info = Attributes::default();
    let [low, high] = halves((&raw mut info.0) as u64);
    call(OBJ_GET_INFO_BY_FD, &mut Attributes::of(&[word(link), ATTRIBUTES_LEN, low, high]))?;
    // type, id, prog_id, and 8-aligned behind them the interface.
    Ok(LinkInfo { is_xdp: info.at(0) == LINK_TYPE_XDP, program_id: info.at(2), interface: info.at(4) })
}

#[repr(C, align(8))]
#[derive(Clone, Copy, Default)]
struct Attributes([u32; 32]);

impl Attributes {
    fn of(words: &[u32]) -> Self {
        let mut attributes = Self::default();
        attributes.0.iter_mut().zip(words).for_each(|(place, word)| *place = *word);
        attributes
    }

    fn at(&self, place: usize) -> u32 {
        self.0.get(place).copied().unwrap_or_default()
    }
}

fn call_for_descriptor(command: u32, attributes: &mut Attributes) -> io::Result<OwnedFd> {
    let descriptor = call(command, attributes)?;
    // SAFETY: the command answers with a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn call(command: u32, attributes: &mut Attributes) -> io::Result<i32> {
    // SAFETY: `attributes` is live for the call and as long as said; pointers within it are to objects that the callers
    // keep, of the kind and length that the command expects.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, ATTRIBUTES_LEN) };
    if result < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(result).map_err(io::Error::other) }
}

fn element(map: BorrowedFd<'_>, key: *const u32, value: *const u8) -> Attributes {
    let ([key, key_high], [value, value_high]) = (halves(key as u64), halves(value as u64));
    Attributes::of(&[word(map), 0, key, key_high, value, value_high])
}

fn word(descriptor: BorrowedFd<'_>) -> u32 {
    descriptor.as_raw_fd().cast_unsigned()
}

/// A 64-bit field as the two words that it covers.
#[allow(clippy::cast_possible_truncation)] // The halves are what is wanted.
fn halves(value: u64) -> [u32; 2] {
    let (low, high) = (value as u32, (value >> 32) as u32);
    if cfg!(target_endian = "little") { [low, high] } else { [high, low] }
}

const ATTRIBUTES_LEN: u32 = 128;
const MAP_CREATE: u32 = 0;
const MAP_LOOKUP_ELEM: u32 = 1;
const MAP_UPDATE_ELEM: u32 = 2;
const OBJ_PIN: u32 = 6;
const OBJ_GET: u32 = 7;
const PROG_TEST_RUN: u32 = 10;
const OBJ_GET_INFO_BY_FD: u32 = 15;
const LINK_CREATE: u32 = 28;
const LINK_UPDATE: u32 = 29;
const LINK_DETACH: u32 = 34;
const MAP_TYPE_ARRAY: u32 = 2;
const LINK_TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;
const LIVE_FRAMES: u32 = 1 << 1;
