//! Numbers, durations and paths as Go programs read them in flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};

/// What is wrong with a value; the same words for all, as in etcdctl.
pub(super) const PARSE_ERROR: &str = "parse error";

/// A whole number: decimal, or with a prefix for another base; `_` may stand between digits.
pub(super) fn integer(text: &str) -> Result<i64, &'static str> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase().replace('_', "");
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !digits.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return Err(PARSE_ERROR);
    }
    let number = i128::from_str_radix(digits, radix).map_err(|_| PARSE_ERROR)?;
    i64::try_from(if negative { -number } else { number }).map_err(|_| PARSE_ERROR)
}

/// A duration such as `300ms` or `1m30s`; a negative one is none at all.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    let unsigned = text.trim_start_matches(['+', '-']);
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = unsigned;
    let mut seconds = 0.0;
    while !rest.is_empty() || unsigned.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(PARSE_ERROR)?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let unit = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(PARSE_ERROR),
        };
        seconds += number.parse::<f64>().map_err(|_| PARSE_ERROR)? * unit;
        rest = after;
    }
    let seconds = if text.starts_with('-') { 0.0 } else { seconds };
    Duration::try_from_secs_f64(seconds).map_err(|_| PARSE_ERROR)
}

/// A truth, in one of the forms that Go takes.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// As [`boolean`], for a variable that stands for a switch.
pub(crate) fn switch(text: &str) -> Result<bool, &'static str> {
    boolean(text).ok_or(PARSE_ERROR)
}

/// A path, or no text at all, which is as good as no path.
pub(super) fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// The path, if it was said and is not empty.
pub(crate) fn named(path: &Option<PathBuf>) -> Option<PathBuf> {
    path.clone().filter(|path| !path.as_os_str().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for (text, number) in [("5", 5), ("-5", -5), ("0x10", 16), ("010", 8), ("1_000", 1000), ("0", 0)] {
            assert_eq!(integer(text), Ok(number), "{text}");
        }
        for text in ["", "x", "1.5", "9223372036854775808", "--1", "5s", "+-3"] {
            assert_eq!(integer(text), Err(PARSE_ERROR), "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, ms) in
            [("2s", 2000), ("300ms", 300), ("1m30s", 90_000), ("1.5h", 5_400_000), ("0", 0), ("-1s", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "5", "s", "1x", "-", "1s2"] {
            assert_eq!(duration(text), Err(PARSE_ERROR), "{text}");
        }
    }
}
