//! Moments as etcd writes them: RFC 3339 in UTC, as short as they are exact.

use std::io::Write;

use crate::types::Timestamp;

const DAY_SECONDS: u64 = 24 * 3600;

/// Adds `moment`, such as `2013-12-04T12:01:21.874Z`.
pub(crate) fn rfc3339(out: &mut Vec<u8>, moment: Timestamp) {
    let (seconds, millis) = (moment.get() / 1000, moment.get() % 1000);
    let (year, month, day) = date(seconds / DAY_SECONDS);
    let second = seconds % DAY_SECONDS;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
        .expect("a vector takes everything");
    if millis > 0 {
        let fraction = format!(".{millis:03}");
        out.extend_from_slice(fraction.trim_end_matches('0').as_bytes());
    }
    out.push(b'Z');
}

/// The date that is `days` after the first of January 1970, in the Gregorian calendar.
///
/// Years are counted from March, so that the day that comes every four years is the last of one; 400 of them have
/// always the same number of days.
fn date(days: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097;
    /// From the first of March of the year 0 to 1970.
    const TO_1970: u64 = 719_468;
    let days = days + TO_1970;
    let (era, day) = (days / ERA_DAYS, days % ERA_DAYS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next_year, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(millis: u64) -> String {
        let mut out = Vec::new();
        rfc3339(&mut out, Timestamp::new(millis));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn moments_are_as_short_as_they_are_exact() {
        assert_eq!(written(0), "1970-01-01T00:00:00Z");
        assert_eq!(written(1_386_158_481_874), "2013-12-04T12:01:21.874Z");
        assert_eq!(written(1_386_158_481_870), "2013-12-04T12:01:21.87Z");
        assert_eq!(written(1_386_158_481_800), "2013-12-04T12:01:21.8Z");
        assert_eq!(written(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(written(4_107_542_399_999), "2100-02-28T23:59:59.999Z");
        assert_eq!(written(4_107_542_400_000), "2100-03-01T00:00:00Z");
        assert_eq!(written(11_223_372_036_000), "2325-08-28T03:20:36Z");
    }

    #[test]
    fn every_day_of_eight_centuries_follows_the_one_before() {
        let is_leap =
            |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..292_194 {
            assert_eq!(date(days), (year, month, day));
            let length = match month {
                2 => 28 + u64::from(is_leap(year)),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }
}
