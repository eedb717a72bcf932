//! Time limits of poll(2).

use std::time::{Duration, Instant};

use nix::poll::PollTimeout;

/// The time until an instant, rounded up: a loop that wakes up early would spin.
pub(crate) fn time_until(instant: Instant) -> PollTimeout {
    let left = instant.saturating_duration_since(Instant::now());
    let milliseconds = left.saturating_add(Duration::from_nanos(999_999)).as_millis();
    PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
}
