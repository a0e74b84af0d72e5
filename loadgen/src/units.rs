//! Values with their units, as people type and read them.
//!
//! * Exact: `1.5k` is 1,500, and `0.0005k` is refused rather than rounded.
//! * An error says which form would be right.

use crate::error::Error;

/// A whole number such as `10k`, `1.5M` or `250`.
///
/// # Errors
/// Anything else, a fraction of one, and what exceeds 64 bits.
pub fn count(text: &str) -> Result<u64, Error> {
    let scales = [("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000), ("", 1)];
    scaled(text, &scales).ok_or_else(|| wrong(text, "a whole number such as 250, 10k or 1.5M"))
}

/// A time such as `30s`, `200ms`, `50us`, `2m`, in ns; a bare number lacks its unit, except `0`.
///
/// # Errors
/// Anything else, a fraction of a nanosecond, and what exceeds 64 bits.
pub fn duration_ns(text: &str) -> Result<u64, Error> {
    let scales = [
        ("ns", 1),
        ("us", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    if text == "0" {
        return Ok(0);
    }
    scaled(text, &scales).ok_or_else(|| wrong(text, "a time with its unit such as 10s, 200ms, 50us or 2m"))
}

/// A percentage from `0%` to `100%` as a fraction.
///
/// # Errors
/// Anything else.
pub fn percentage(text: &str) -> Result<f64, Error> {
    let number = text.strip_suffix('%').filter(|number| split(number).is_some());
    let percent: Option<f64> = number.and_then(|number| number.parse().ok());
    let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
    percent
        .map(|percent| percent / 100.0)
        .ok_or_else(|| wrong(text, "a percentage from 0% to 100%, such as 0.1%"))
}

/// CPUs such as `0,2-3`, in the order given, each once.
///
/// # Errors
/// Anything else, a reversed range, a CPU twice.
pub fn cpus(text: &str) -> Result<Vec<usize>, Error> {
    let right = "CPU numbers such as 1 or 0,2-3, each once";
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let parse = |text: &str| text.parse().ok().filter(|cpu| *cpu < MAX_CPUS);
        let (Some(first), Some(last)) = (parse(first), parse(last)) else { return Err(wrong(text, right)) };
        let range: Vec<usize> = (first..=last).collect();
        if range.is_empty() || range.iter().any(|cpu| cpus.contains(cpu)) {
            return Err(wrong(text, right));
        }
        cpus.extend(range);
    }
    Ok(cpus)
}

/// A time in the unit that reads best: `1.23ms`.
pub fn show_ns(ns: f64) -> String {
    let magnitude = ns.abs();
    if magnitude >= 1e9 {
        format!("{:.3}s", ns / 1e9)
    } else if magnitude >= 1e6 {
        format!("{:.2}ms", ns / 1e6)
    } else if magnitude >= 1e3 {
        format!("{:.1}us", ns / 1e3)
    } else {
        format!("{ns:.0}ns")
    }
}

/// A count with thousands apart: `1,234,567`.
pub fn show_count(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A fraction as a percentage: `0.0123%`.
pub fn show_fraction(fraction: f64) -> String {
    let percent = fraction * 100.0;
    if percent == 0.0 || percent >= 10.0 { format!("{percent:.1}%") } else { format!("{percent:.4}%") }
}

/// Foreign text fit for a message: escaped and cut.
pub fn quote(text: &str) -> String {
    let cut: String = text.chars().take(QUOTE_LIMIT).collect();
    let dots = if cut.len() < text.len() { "..." } else { "" };
    format!("{cut:?}{dots}")
}

fn wrong(text: &str, right: &str) -> Error {
    Error::Usage(format!("{} is not {right}", quote(text)))
}

/// The number in front of one of the units, times its scale, if that is whole.
fn scaled(text: &str, scales: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let (_, scale) = scales.iter().find(|(name, _)| *name == unit)?;
    let (whole, decimals) = split(number)?;
    let denominator = 10_u64.checked_pow(u32::try_from(decimals.len()).ok()?)?;
    let decimals: u64 = if decimals.is_empty() { 0 } else { decimals.parse().ok()? };
    let part = decimals.checked_mul(*scale)?;
    if part % denominator != 0 {
        return None;
    }
    whole.parse::<u64>().ok()?.checked_mul(*scale)?.checked_add(part / denominator)
}

/// Digits before and behind the point; nothing else is a number here.
fn split(number: &str) -> Option<(&str, &str)> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let complete = !whole.is_empty() && (decimals.is_empty() != number.contains('.'));
    (complete && digits(whole) && digits(decimals)).then_some((whole, decimals))
}

const QUOTE_LIMIT: usize = 60;
const MAX_CPUS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_exact() {
        let cases = [
            ("0", 0),
            ("250", 250),
            ("10k", 10_000),
            ("1.5M", 1_500_000),
            ("0.001k", 1),
            ("2G", 2_000_000_000),
        ];
        for (text, value) in cases {
            assert_eq!(count(text), Ok(value), "{text}");
        }
        for text in [
            "",
            "k",
            "-1",
            "+1",
            "1.5",
            "1.",
            ".5k",
            "0.0005k",
            "1e3",
            "1 k",
            "1K",
            "10kk",
            "99999999999999999999",
            "é",
        ] {
            assert!(count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_need_their_unit() {
        let cases = [
            ("10s", 10_000_000_000),
            ("1.5ms", 1_500_000),
            ("50us", 50_000),
            ("7ns", 7),
            ("2m", 120_000_000_000),
            ("0", 0),
            ("0s", 0),
        ];
        for (text, value) in cases {
            assert_eq!(duration_ns(text), Ok(value), "{text}");
        }
        for text in ["10", "s", "1.5ns", "1d", "10 s", "-1s", "999999999999h"] {
            assert!(duration_ns(text).unwrap_err().to_string().contains("10s"), "{text}");
        }
    }

    #[test]
    fn percentages_and_cpus() {
        assert_eq!(percentage("0.1%"), Ok(0.001));
        assert_eq!(percentage("100%"), Ok(1.0));
        for text in ["1", "%", "101%", "-1%", "1e0%", "inf%", "NaN%", "1.%"] {
            assert!(percentage(text).is_err(), "{text}");
        }
        assert_eq!(cpus("1"), Ok(vec![1]));
        assert_eq!(cpus("0,2-3"), Ok(vec![0, 2, 3]));
        for text in ["", "a", "3-1", "1,1", "0-2,1", "1-", "99999", "-1"] {
            assert!(cpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shown_as_people_read_them() {
        assert_eq!(show_count(1_234_567), "1,234,567");
        assert_eq!(show_count(123), "123");
        assert_eq!(show_ns(1_230_000.0), "1.23ms");
        assert_eq!(show_ns(999.0), "999ns");
        assert_eq!(show_fraction(0.0), "0.0%");
        assert_eq!(show_fraction(0.00012), "0.0120%");
        assert!(!quote("a\nb\u{1b}").contains('\n') && quote(&"x".repeat(100)).ends_with("..."));
    }
}
