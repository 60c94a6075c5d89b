//! Numbers and times as people read them.
//!
//! The browser side (`web/ui/src/format.ts`) writes the same texts, so that a number does not change its looks when a script takes
//! over; both are tested against `web/ui/fixtures/format.json`.

use jiff::Timestamp as Instant;

/// Bytes in steps of 1000, with one decimal below ten: `0 B`, `999 B`, `1.8 kB`, `84 MB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut scale: u128 = 1000;
    let mut unit = 0;
    while u128::from(bytes) >= scale * 1000 - scale / 2 && unit + 1 < UNITS.len() {
        scale *= 1000;
        unit += 1;
    }
    let (bytes, name) = (u128::from(bytes), UNITS[unit]);
    match (bytes * 10 + scale / 2) / scale {
        tenths if tenths >= 100 => format!("{} {name}", (bytes + scale / 2) / scale),
        tenths if tenths % 10 == 0 => format!("{} {name}", tenths / 10),
        tenths => format!("{}.{} {name}", tenths / 10, tenths % 10),
    }
}

/// Seconds as a player shows them: `0:07`, `12:48`, `1:02:03`.
#[must_use]
pub fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// A number with its noun: `1 view`, `8,912 views`.
#[must_use]
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// A number with commas between groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share of a whole as a percentage without decimals; `0%` of nothing. Never 100% while anything came from elsewhere.
#[must_use]
pub(super) fn percent(part: u64, whole: u64) -> String {
    match (part, whole) {
        (0, _) | (_, 0) => "0%".to_owned(),
        (part, whole) if part >= whole => "100%".to_owned(),
        (part, whole) => {
            let (part, whole) = (u128::from(part), u128::from(whole));
            format!("{}%", ((part * 200 + whole) / (whole * 2)).clamp(1, 99))
        }
    }
}

/// How long ago `then` was at `now`, both in milliseconds since the Unix epoch: `now`, `3 minutes ago`, `yesterday`,
/// `2 weeks ago`. A time in the future reads `now`: clocks of pods differ a little.
#[must_use]
pub fn relative(then: u64, now: u64) -> String {
    let seconds = now.saturating_sub(then) / 1000;
    let (number, unit) = match seconds {
        0..45 => return "now".to_owned(),
        45..3_600 => ((seconds / 60).max(1), "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        86_400..172_800 => return "yesterday".to_owned(),
        172_800..604_800 => (seconds / 86_400, "day"),
        604_800..2_592_000 => (seconds / 604_800, "week"),
        2_592_000..31_536_000 => (seconds / 2_592_000, "month"),
        _ => (seconds / 31_536_000, "year"),
    };
    format!("{} ago", count(number, unit))
}

/// A time for machines, e.g. `2026-11-21T09:30:00Z`; empty if it lies beyond the calendar.
#[must_use]
pub fn iso(millis: u64) -> String {
    instant(millis).map_or_else(String::new, |instant| instant.to_string())
}

/// A day for people in UTC, e.g. `21 November 2026`; empty if it lies beyond the calendar.
#[must_use]
pub fn day(millis: u64) -> String {
    instant(millis).map_or_else(String::new, |instant| instant.strftime("%-d %B %Y").to_string())
}

fn instant(millis: u64) -> Option<Instant> {
    Instant::from_millisecond(i64::try_from(millis).ok()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Fixture {
        bytes: Vec<(u64, String)>,
        clock: Vec<(u64, String)>,
        relative: Vec<(u64, String)>,
        percent: Vec<(u64, u64, String)>,
    }

    /// The same file is read by `web/ui/test/format.test.ts`.
    const FIXTURE: &str = include_str!("../../ui/fixtures/format.json");

    #[test]
    fn texts_are_those_the_browser_side_writes() {
        let fixture: Fixture = serde_json::from_str(FIXTURE).unwrap();
        for (number, text) in fixture.bytes {
            assert_eq!(bytes(number), text, "bytes({number})");
        }
        for (number, text) in fixture.clock {
            assert_eq!(clock(number), text, "clock({number})");
        }
        for (part, whole, text) in fixture.percent {
            assert_eq!(percent(part, whole), text, "percent({part}, {whole})");
        }
        for (age, text) in fixture.relative {
            let now = 1_800_000_000_000;
            assert_eq!(relative(now - age, now), text, "relative({age} ms ago)");
        }
    }

    #[test]
    fn the_largest_numbers_have_a_text() {
        assert_eq!(bytes(u64::MAX), "18447 PB");
        assert_eq!(count(u64::MAX, "view"), "18,446,744,073,709,551,615 views");
        assert_eq!(clock(u64::MAX), "5124095576030431:00:15");
        assert_eq!(iso(u64::MAX), "");
        assert_eq!(day(u64::MAX), "");
        assert_eq!(relative(u64::MAX, 0), "now");
    }

    #[test]
    fn days_are_written_out() {
        assert_eq!(day(1_795_253_400_000), "21 November 2026");
        assert_eq!(iso(1_795_253_400_000), "2026-11-21T09:30:00Z");
        assert_eq!(count(1, "view"), "1 view");
        assert_eq!(count(8912, "view"), "8,912 views");
    }
}
