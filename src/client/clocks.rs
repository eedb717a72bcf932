//! Notices that the host was suspended: the wall clock continued, and the monotonic clock did not.

use std::time::{Duration, Instant, SystemTime};

/// How far the clocks may drift apart between two looks. Smaller differences are corrections of the wall clock.
const TOLERANCE: Duration = Duration::from_secs(30);

/// Both clocks at the last look.
pub(super) struct Clocks {
    wall: SystemTime,
    monotonic: Instant,
}

impl Clocks {
    pub(super) fn new(wall: SystemTime, monotonic: Instant) -> Self {
        Self { wall, monotonic }
    }

    /// Whether the clocks have drifted apart since the last look.
    pub(super) fn differ(&mut self, wall: SystemTime, monotonic: Instant) -> bool {
        let before = std::mem::replace(self, Self { wall, monotonic });
        let elapsed = monotonic.saturating_duration_since(before.monotonic);
        let difference = match wall.duration_since(before.wall) {
            Ok(on_the_wall) => on_the_wall.abs_diff(elapsed),
            // The wall clock was set back.
            Err(back) => back.duration() + elapsed,
        };
        difference > TOLERANCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_clocks_differ_after_a_suspend_or_if_the_wall_clock_was_set_far() {
        let (wall, monotonic) = (SystemTime::now(), Instant::now());
        let hour = 3600 * SECOND;
        for (there, here, differ) in [
            (wall, monotonic, false),
            (wall + hour, monotonic + hour, false),
            (wall + 30 * SECOND, monotonic, false),
            (wall + 31 * SECOND, monotonic, true),
            (wall + hour, monotonic + 10 * SECOND, true),
            (wall, monotonic + 31 * SECOND, true),
            (wall - 30 * SECOND, monotonic, false),
            (wall - 20 * SECOND, monotonic + 20 * SECOND, true),
            (wall - hour, monotonic, true),
        ] {
            let mut clocks = Clocks::new(wall, monotonic);
            assert_eq!(clocks.differ(there, here), differ);
            assert!(!clocks.differ(there + SECOND, here + SECOND), "it is only reported once");
        }
    }
}
