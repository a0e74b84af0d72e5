//! Quantities as people write them: `4MiB`, `5Mbps`, `30s`, `100k`.
//!
//! * A number without a unit is in the base unit, except that a time and a rate need theirs.
//! * Whole numbers only; what does not fit is refused, never rounded.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// A count: `4000`, `100k`, `2M`.
pub fn count(text: &str) -> Option<u64> {
    scaled(text, &[("", 1), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)])
}

/// Bytes: `1472`, `64KiB`, `4MiB`, `1GiB`, `64kB`, `4MB`.
pub fn bytes(text: &str) -> Option<u64> {
    let units = [
        ("", 1),
        ("B", 1),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
    ];
    scaled(text, &units)
}

/// A rate in bytes per second, written in bits: `64kbps`, `5Mbps`, `1Gbps`; below a byte per second it is none.
pub fn rate_bytes_s(text: &str) -> Option<u64> {
    let bits_s = scaled(text, &[("bps", 1), ("kbps", 1_000), ("Mbps", 1_000_000), ("Gbps", 1_000_000_000)])?;
    (bits_s >= 8).then_some(bits_s / 8)
}

/// A time: `500ms`, `30s`, `5m`, `1h`.
pub fn time(text: &str) -> Option<Duration> {
    scaled(text, &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)]).map(Duration::from_millis)
}

/// A time of whole seconds in this range.
///
/// # Errors
/// Any other text, with what would be right.
pub fn seconds(text: &str, range: RangeInclusive<u64>) -> Result<u32, String> {
    let right = || format!("expected whole seconds from {}s to {}s", range.start(), range.end());
    let time = time(text).filter(|time| time.subsec_nanos() == 0).ok_or_else(right)?;
    let in_range = range.contains(&time.as_secs());
    in_range.then_some(time.as_secs()).and_then(|seconds| u32::try_from(seconds).ok()).ok_or_else(right)
}

/// The path of a file; it need not be there.
///
/// # Errors
/// An empty text.
pub fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err(String::from("expected the path of a file")) } else { Ok(PathBuf::from(text)) }
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_with_their_units() {
        assert_eq!(count("4000"), Some(4_000));
        assert_eq!(count("100k"), Some(100_000));
        assert_eq!(bytes("4MiB"), Some(4 << 20));
        assert_eq!(bytes("64kB"), Some(64_000));
        assert_eq!(rate_bytes_s("5Mbps"), Some(625_000));
        assert_eq!(time("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(time("5m"), Some(Duration::from_mins(5)));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "k", "-1", "1.5k", "1 k", "1K", "99999999999999999999", "18446744073709551615k"] {
            assert_eq!(count(text), None, "{text}");
        }
        for text in ["30", "30 s", "1d", "s", "+3s"] {
            assert_eq!(time(text), None, "{text}");
        }
        for text in ["5", "5Mb", "7bps", "Mbps"] {
            assert_eq!(rate_bytes_s(text), None, "{text}");
        }
    }
}
