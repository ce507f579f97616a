//! The only place of this crate that asks what time it is.
//!
//! Times appear in events and status files; no weight, no batch and no decision depends on them.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Seconds since `start`.
pub(crate) fn seconds_since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64()
}

/// Seconds since 1970; 0 on a machine whose clock is before that.
pub(crate) fn unix_seconds() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |d| d.as_secs_f64())
}

/// UTC in the form of Python's `datetime.isoformat()`, as NeuralTalk's status has it.
pub(crate) fn iso(unix_seconds: f64) -> String {
    let whole = unix_seconds.floor() as i64;
    let micros = ((unix_seconds - unix_seconds.floor()) * 1e6) as i64;
    let (days, second) = (whole.div_euclid(86_400), whole.rem_euclid(86_400));
    // Hinnant, "chrono-compatible low-level date algorithms", civil_from_days: years start in
    // March, so that the leap day is their last.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `python3 -c "from datetime import *; print(datetime.fromtimestamp(N, timezone.utc))"`.
    #[test]
    fn known_times() {
        assert_eq!(iso(0.0), "1970-01-01T00:00:00.000000");
        assert_eq!(iso(951_782_400.5), "2000-02-29T00:00:00.500000");
        assert_eq!(iso(1_416_873_599.25), "2014-11-24T23:59:59.250000");
        assert_eq!(iso(4_102_444_800.0), "2100-01-01T00:00:00.000000");
    }
}
