//! How long to wait before the next attempt: longer after each failure, and never all clients at once.

use std::time::Duration;

/// The first wait.
pub(crate) const FIRST: Duration = Duration::from_secs(1);
/// The longest wait, before the jitter.
const LONGEST: Duration = Duration::from_mins(5);
/// How far a wait may be off, to either side, as a part of it.
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
    /// The wait before the next attempt, and a longer one the time after.
    pub(crate) fn next_wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        wait.mul_f64(1.0 + JITTER * (2.0 * fastrand::f64() - 1.0))
    }

    /// Begins with the shortest wait again.
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
