//! Times, sizes and rates as people say them.

use std::time::Duration;

const SECONDS_PER_MINUTE: f64 = 60.0;
const SECONDS_PER_HOUR: f64 = 3600.0;
/// Seconds in a unit of time, and its name.
const RATES: [(f64, &str); 3] = [(1.0, "s"), (SECONDS_PER_MINUTE, "min"), (SECONDS_PER_HOUR, "h")];
/// Prefixes of binary multiples.
const BINARY: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// So many per second, minute or hour: the shortest unit in which it is at least one.
pub(super) fn rate(per_second: f64) -> String {
    if !per_second.is_finite() || per_second <= 0.0 {
        return "–/s".to_owned();
    }
    let fits = RATES.iter().find(|(seconds, _)| per_second * seconds >= 1.0);
    let (seconds, unit) = fits.unwrap_or(&(SECONDS_PER_HOUR, "h"));
    format!("{}/{unit}", three_digits(per_second * seconds))
}

/// A time in its two largest units.
pub(super) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0 => format!("{} ms", duration.subsec_millis()),
        1..=9 => format!("{:.1} s", duration.as_secs_f64()),
        10..=59 => format!("{seconds} s"),
        60..=3599 => format!("{minutes} min {} s", seconds % 60),
        3600..=86_399 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// So many bytes, in powers of 1024.
pub(super) fn size(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // Three digits are shown.
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < BINARY.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{} {}", three_digits(value), BINARY.get(unit).copied().unwrap_or_default())
}

fn three_digits(value: f64) -> String {
    let decimals = match value {
        v if v >= 100.0 || v.fract() == 0.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_said_in_the_unit_in_which_they_are_numbers() {
        for (per_second, expected) in [
            (1234.4, "1234/s"),
            (12.34, "12.3/s"),
            (1.0, "1/s"),
            (0.5, "30/min"),
            (0.02, "1.20/min"),
            (0.001, "3.60/h"),
            (1e-5, "0.04/h"),
            (0.0, "–/s"),
            (f64::NAN, "–/s"),
        ] {
            assert_eq!(rate(per_second), expected);
        }
    }

    #[test]
    fn times_have_two_units() {
        for (milliseconds, expected) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1500, "1.5 s"),
            (59_999, "59 s"),
            (61_000, "1 min 1 s"),
            (7_380_000, "2 h 3 min"),
            (90_000_000, "1 d 1 h"),
        ] {
            assert_eq!(time(Duration::from_millis(milliseconds)), expected);
        }
    }

    #[test]
    fn sizes_are_binary() {
        for (bytes, expected) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.50 KiB"), (5 << 20, "5 MiB"), (u64::MAX, "16777216 TiB")]
        {
            assert_eq!(size(bytes), expected);
        }
    }
}
