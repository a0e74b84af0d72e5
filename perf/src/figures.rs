//! Numbers as people read them, each with its unit.
//!
//! * Three significant digits for what was measured, every digit for what was counted.
//! * What is not a number is shown as a dash, never as 0.

/// A whole number with its thousands apart: `150,000`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A measured rate or quantity, rounded to a whole number: `149,871`.
pub fn whole(value: f64) -> String {
    if value.is_finite() && value >= 0.0 { count(rounded(value)) } else { NOTHING.to_owned() }
}

/// A fraction as percentage: `0.21 %`, `<0.001 %`, `0 %`.
pub fn percent(fraction: f64) -> String {
    let percent = fraction * 100.0;
    match percent {
        _ if !percent.is_finite() => NOTHING.to_owned(),
        0.0 => "0 %".to_owned(),
        _ if percent > 0.0 && percent < 0.001 => "<0.001 %".to_owned(),
        _ => format!("{} %", significant(percent, 2)),
    }
}

/// What arrived of a whole: `99.912 %`; only the whole is `100 %`.
pub fn part(fraction: f64) -> String {
    match fraction * 100.0 {
        percent if !percent.is_finite() => NOTHING.to_owned(),
        percent if percent >= 100.0 => "100 %".to_owned(),
        percent => format!("{:.3} %", (percent * 1e3).floor() / 1e3),
    }
}

/// A span of time in the unit that suits it: `870 ns`, `4.91 µs`, `1.3 ms`, `2 s`.
pub fn time(ns: f64) -> String {
    if !ns.is_finite() || ns < 0.0 {
        return NOTHING.to_owned();
    }
    // Compared after rounding, so that 999.9 µs is 1 ms and not 1000 µs.
    let (unit, ns_each) = UNITS.into_iter().find(|(_, each)| ns >= each * 0.9995).unwrap_or(("ns", 1.0));
    format!("{} {unit}", significant(ns / ns_each, 3))
}

/// A span of time in microseconds without the unit, for columns that name it.
pub fn microseconds(ns: f64) -> String {
    if !ns.is_finite() || ns < 0.0 {
        return NOTHING.to_owned();
    }
    let us = ns / 1_000.0;
    if us >= 1_000.0 { whole(us) } else { significant_padded(us, 3) }
}

/// A short form for axes: `20k`, `1.5M`.
pub fn compact(value: f64) -> String {
    match value {
        _ if value >= 999_500.0 => format!("{}M", significant(value / 1e6, 3)),
        _ if value >= 999.5 => format!("{}k", significant(value / 1e3, 3)),
        _ => significant(value, 3),
    }
}

/// Bytes in the binary unit that suits them: `425,984 bytes`, `4 MiB`.
pub fn bytes(value: u64) -> String {
    match value {
        _ if value > 0 && value.is_multiple_of(1 << 20) => format!("{} MiB", count(value >> 20)),
        _ if value > 0 && value.is_multiple_of(1 << 10) => format!("{} KiB", count(value >> 10)),
        _ => format!("{} bytes", count(value)),
    }
}

/// Rounds down to so many significant digits: a capacity is never claimed higher than it was found.
pub fn floored(value: f64, digits: i32) -> u64 {
    if !value.is_finite() || value < 1.0 {
        return 0;
    }
    let step = 10f64.powi((magnitude(value) + 1 - digits).max(0));
    rounded((value / step).floor() * step)
}

/// A float as the nearest whole number; what is below 0 or no number is 0.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates, which is what is meant.
pub fn rounded(value: f64) -> u64 {
    value.round() as u64
}

/// Whole numbers as floats; above 2^53 the last digits go, far beyond any counter here.
#[allow(clippy::cast_precision_loss)]
pub fn float(value: u64) -> f64 {
    value as f64
}

/// So many significant digits, without zeros at the end.
fn significant(value: f64, digits: i32) -> String {
    let text = significant_padded(value, digits);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// So many significant digits, zeros at the end included, so that columns align.
fn significant_padded(value: f64, digits: i32) -> String {
    let decimals = usize::try_from((digits - 1 - magnitude(value)).clamp(0, 9)).unwrap_or(0);
    format!("{value:.decimals$}")
}

/// The power of ten of the first digit.
#[allow(clippy::cast_possible_truncation)] // The logarithm of a float is within +-324.
fn magnitude(value: f64) -> i32 {
    if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 }
}

const NOTHING: &str = "–";
const UNITS: [(&str, f64); 4] = [("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1.0)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let shown = [count(0), count(999), count(1_000), count(1_234_567), whole(149_870.6), whole(f64::NAN)];
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567", "149,871", NOTHING]);
        let shown = [0.0, 0.002, 0.00214, 0.000_001, 0.12, 1.0, f64::NAN].map(percent);
        assert_eq!(shown, ["0 %", "0.2 %", "0.21 %", "<0.001 %", "12 %", "100 %", NOTHING]);
        assert_eq!([1.0, 0.999_999_9, 0.5].map(part), ["100 %", "99.999 %", "50.000 %"]);
        let shown = [0.0, 870.0, 4_910.4, 1_300_000.0, 999_900.0, 2e9, -1.0].map(time);
        assert_eq!(shown, ["0 ns", "870 ns", "4.91 µs", "1.3 ms", "1 ms", "2 s", NOTHING]);
        let shown = [500.0, 4_900.0, 52_300.0, 1_234_000.0].map(microseconds);
        assert_eq!(shown, ["0.500", "4.90", "52.3", "1,234"]);
        assert_eq!([20_000.0, 1_500_000.0, 0.0, 999.9].map(compact), ["20k", "1.5M", "0", "1k"]);
        assert_eq!([bytes(425_984), bytes(4 << 20), bytes(7)], ["416 KiB", "4 MiB", "7 bytes"]);
    }

    #[test]
    fn a_capacity_is_rounded_down() {
        assert_eq!(floored(149_999.0, 3), 149_000);
        assert_eq!(floored(99.9, 3), 99);
        assert_eq!(floored(1_000.0, 3), 1_000);
        assert_eq!(floored(f64::NAN, 3), 0);
        assert_eq!(rounded(-3.0), 0);
    }
}
