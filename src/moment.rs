//! A point in monotonic time. Time is always an argument: only `sys::clock` makes moments from the clock.

use std::time::Duration;

/// Time since an arbitrary start that never goes back (CLOCK_MONOTONIC). All arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// The moment this long after the start of the clock.
    pub const fn since_start(elapsed: Duration) -> Moment {
        Moment(elapsed)
    }

    /// How long after the start of the clock.
    pub const fn elapsed(self) -> Duration {
        self.0
    }

    /// How long from `earlier` to here; zero if it is not earlier.
    pub fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// A span as log and status tell it, rounded to what a person wants to know: `0.3ms`, `12ms`, `1.2s`, `754.3s`.
pub fn told(span: Duration) -> String {
    match span.as_micros() {
        micros @ ..1_000 => format!("{:.1}ms", micros as f64 / 1e3),
        1_000..1_000_000 => format!("{}ms", span.as_millis()),
        _ => format!("{:.1}s", span.as_secs_f64()),
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, span: Duration) -> Moment {
        Moment(self.0.saturating_add(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_rounded_for_people() {
        for (micros, expected) in [
            (0, "0.0ms"),
            (340, "0.3ms"),
            (12_700, "12ms"),
            (999_999, "999ms"),
            (1_240_000, "1.2s"),
            (754_300_000, "754.3s"),
        ] {
            assert_eq!(told(Duration::from_micros(micros)), expected);
        }
    }
}
