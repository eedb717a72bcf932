//! The waits between attempts: longer after each failure, with jitter so that clients do not all return at once.

use std::time::Duration;

/// The first wait.
pub(crate) const FIRST: Duration = Duration::from_secs(1);
/// The longest wait, before the jitter.
const LONGEST: Duration = Duration::from_mins(5);
/// The largest deviation of a wait in either direction, as a fraction of it.
const JITTER: f64 = 0.2;

/// The waits between attempts: 1 s, 2 s, 4 s and so on.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// Returns the wait before the next attempt. The one after it will be longer.
    pub(crate) fn next_wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        wait.mul_f64(1.0 + JITTER * (2.0 * fastrand::f64() - 1.0))
    }

    /// Starts again with the shortest wait.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_minutes_each_with_a_fifth_of_jitter() {
        let mut backoff = Backoff::default();
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300].map(f64::from) {
            let wait = backoff.next_wait().as_secs_f64();
            assert!((seconds * 0.8..=seconds * 1.2).contains(&wait), "{wait} for {seconds} s");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= FIRST.mul_f64(1.2));
    }

    #[test]
    fn the_jitter_spreads_the_waits() {
        let waits: Vec<_> = (0..100).map(|_| Backoff::default().next_wait()).collect();
        assert!(waits.iter().any(|wait| *wait < FIRST) && waits.iter().any(|wait| *wait > FIRST));
    }
}
