//! Figures and names as people read them. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use crate::sinks::is_unsafe;

/// Powers of ten, as on bills and in data sheets of links.
const PREFIXES: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];

/// A number with three digits and a prefix, or all of its digits.
pub(crate) fn scaled(value: u64, unit: &str, is_exact: bool) -> String {
    if is_exact || value < 1_000 {
        return if is_exact { value.to_string() } else { format!("{value} {unit}") };
    }
    let mut power = usize::try_from(value.ilog10() / 3).unwrap_or(0);
    let mut digits = three_digits(value, power);
    if digits == "1000" {
        power += 1;
        "1.00".clone_into(&mut digits);
    }
    format!("{digits} {}{unit}", PREFIXES[power])
}

/// The same of one that may be less than 0.
pub(crate) fn signed(value: i128, unit: &str, is_exact: bool) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let amount = u64::try_from(value.unsigned_abs()).unwrap_or(u64::MAX);
    format!("{sign}{}", scaled(amount, unit, is_exact))
}

/// Rounded to three digits, as in 1.23, 12.3 and 123; 1000 where that is rounded up to the next prefix.
fn three_digits(value: u64, power: usize) -> String {
    let one = 1_000_u128.pow(u32::try_from(power).unwrap_or(0));
    for decimals in [2_usize, 1, 0] {
        let scale = 10_u128.pow(u32::try_from(decimals).unwrap_or(0));
        let rounded = (u128::from(value) * scale + one / 2) / one;
        if rounded < 1_000 || decimals == 0 {
            let (whole, rest) = (rounded / scale, rounded % scale);
            return if decimals == 0 { whole.to_string() } else { format!("{whole}.{rest:0decimals$}") };
        }
    }
    unreachable!("the last number of decimals returns")
}

/// How long, in its two greatest units.
pub(crate) fn length(duration: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let seconds = duration.as_secs();
    if seconds < 60 {
        return format!("{}.{} s", seconds, duration.subsec_millis() / 100);
    }
    let first = UNITS.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(UNITS.len() - 1);
    let mut rest = seconds;
    let mut told = Vec::new();
    for (unit, name) in &UNITS[first..UNITS.len().min(first + 2)] {
        told.extend((rest >= *unit).then(|| format!("{} {name}", rest / unit)));
        rest %= unit;
    }
    told.join(" ")
}

/// A name in which nothing ends a line, moves a terminal's cursor, or turns the direction of a text. A backslash is two, so
/// that what is escaped cannot be imitated.
pub(crate) fn printable(name: &str) -> String {
    printable_lines(&name.replace('\\', "\\\\")).replace('\n', "\\u000a")
}

/// Lines in which nothing but their ends moves a terminal's cursor, and nothing turns the direction of a text. For what is made of
/// [`printable`] names, and of others that were forgotten.
pub(crate) fn printable_lines(lines: &str) -> String {
    let mut text = String::with_capacity(lines.len());
    for character in lines.chars() {
        if is_unsafe(character) && character != '\n' {
            let _ = write!(text, "\\u{:04x}", u32::from(character));
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        for (value, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (1_234, "1.23 kB"),
            (9_994, "9.99 kB"),
            (9_995, "10.0 kB"),
            (12_345, "12.3 kB"),
            (99_950, "100 kB"),
            (123_456, "123 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (5_790_000_000, "5.79 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(scaled(value, "B", false), text, "{value}");
        }
        assert_eq!(scaled(1_234_567, "B", true), "1234567");
    }

    #[test]
    fn lengths_have_two_units() {
        for (milliseconds, text) in [
            (0, "0.0 s"),
            (1_250, "1.2 s"),
            (60_000, "1 min"),
            (3_661_000, "1 h 1 min"),
            (86_400_000 * 3 + 5_000, "3 d"),
        ] {
            assert_eq!(length(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn no_name_drives_a_terminal() {
        assert_eq!(
            printable("a\u{1b}[2J\n\u{85}\u{2028}\u{202e}b\u{e9}\\u0007"),
            "a\\u001b[2J\\u000a\\u0085\\u2028\\u202eb\u{e9}\\\\u0007"
        );
        assert_eq!(printable_lines("a\u{1b}\r\n\\b\u{202e}\n"), "a\\u001b\\u000d\n\\b\\u202e\n");
    }
}
