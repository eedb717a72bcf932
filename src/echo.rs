//! Whether IPv6 flows through the tunnel: when to send an echo request, and what its answer, or the lack of one, means.
//!
//! The connection to the server can be well while protocol 41 or the UDP port is blocked on the way. So an ICMPv6 echo
//! request goes through the tunnel at regular intervals. This is the state machine alone: instants and answers go in,
//! [`EchoAction`]s come out. The packets are the kernel's.

use std::time::{Duration, Instant};

/// The time between requests at first: a new interface has no usable address for about a second.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);
/// How many requests go out at [`FIRST_INTERVAL`], unless one is answered before.
const FIRST_COUNT: u16 = 5;
/// The time between the requests after these: the far end may need a while to make its end.
const NEXT_INTERVAL: Duration = Duration::from_secs(10);
/// How many requests go out at these two intervals, the last shortly before [`SILENCE`].
const EARLY_COUNT: u16 = 10;
/// How long the tunnel may be silent from its start before a warning.
pub(crate) const SILENCE: Duration = Duration::from_mins(1);
/// How long until the warning is repeated, as long as nothing is answered.
const WARNING_INTERVAL: Duration = Duration::from_hours(1);
/// How many requests in a row may be lost, once one has been answered.
const TOLERATED_LOSSES: u32 = 2;
/// How many requests of full size may be lost before a warning.
const FULL_SIZE_ATTEMPTS: u32 = 3;
/// The time between requests of full size.
const FULL_SIZE_INTERVAL: Duration = Duration::from_secs(5);

/// What the caller is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EchoAction {
    /// Send an echo request with this sequence number.
    Send {
        /// The sequence number, which the reply repeats.
        sequence: u16,
        /// As large as the tunnel's MTU allows, instead of small.
        full_size: bool,
    },
    /// The first request was answered, after this time.
    Flows(Duration),
    /// Small packets pass, those of the tunnel's full MTU do not.
    FullSizeLost,
    /// Nothing has been answered for [`SILENCE`], and again an hour later.
    Silent,
    /// Requests were answered before, and are not any more.
    Lost,
}

/// Whether packets of the tunnel's full MTU pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FullSize {
    /// No small packet has passed yet.
    Untried,
    /// Requests have been sent, the last one with this sequence number; the next is due then.
    Tried { attempts: u32, sequence: u16, next: Instant },
    /// One was answered, or the user was warned.
    Settled,
}

/// The echo through one tunnel, from its start to its end.
#[derive(Debug)]
pub(crate) struct Echo {
    interval: Duration,
    sequence: u16,
    /// When the next small request is due.
    next: Instant,
    /// The sequence number of the small request whose answer is awaited, and when it was sent.
    outstanding: Option<(u16, Instant)>,
    /// When to warn of silence; `None` once a request has been answered.
    warning: Option<Instant>,
    losses: u32,
    full_size: FullSize,
    round_trip: Option<Duration>,
}

impl Echo {
    /// Begins with a tunnel that came up at `now`. `interval` is the time between requests.
    pub(crate) fn new(interval: Duration, now: Instant) -> Self {
        Self {
            interval,
            sequence: 0,
            next: now,
            outstanding: None,
            warning: Some(now + SILENCE),
            losses: 0,
            full_size: FullSize::Untried,
            round_trip: None,
        }
    }

    /// When [`Echo::handle_timer`] is to be called.
    pub(crate) fn timer(&self) -> Instant {
        let full_size = match self.full_size {
            FullSize::Tried { next, .. } => Some(next),
            FullSize::Untried | FullSize::Settled => None,
        };
        [Some(self.next), self.warning, full_size].into_iter().flatten().min().unwrap_or(self.next)
    }

    /// The time that the last answered small request took.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Whether requests are answered.
    pub(crate) fn flows(&self) -> bool {
        self.warning.is_none()
    }

    /// A ping goes to the server at `now`: the next request goes with it if it is due before the next ping, so that this
    /// host wakes up once for both.
    pub(crate) fn go_with_ping(&mut self, now: Instant) {
        if self.flows() && self.next <= now + self.interval / 2 {
            self.next = now;
        }
    }

    /// The inner address was added at `now`, and can be used in a moment.
    pub(crate) fn hasten(&mut self, now: Instant) {
        self.next = self.next.min(now + 2 * FIRST_INTERVAL);
    }

    /// The instant of the timer has come.
    pub(crate) fn handle_timer(&mut self, now: Instant) -> Vec<EchoAction> {
        let mut actions = Vec::new();
        if self.next <= now {
            self.handle_next(now, &mut actions);
        }
        if let Some(warning) = self.warning.as_mut().filter(|warning| **warning <= now) {
            *warning = now + WARNING_INTERVAL;
            actions.push(EchoAction::Silent);
        }
        if let FullSize::Tried { attempts, next, .. } = self.full_size
            && next <= now
        {
            self.try_full_size(attempts, now, &mut actions);
        }
        actions
    }

    /// A reply to the request with this sequence number came.
    pub(crate) fn handle_reply(&mut self, sequence: u16, now: Instant) -> Vec<EchoAction> {
        let mut actions = Vec::new();
        if matches!(self.full_size, FullSize::Tried { sequence: awaited, .. } if awaited == sequence) {
            self.full_size = FullSize::Settled;
        }
        if let Some((_, sent)) = self.outstanding.take_if(|(awaited, _)| *awaited == sequence) {
            let round_trip = now.saturating_duration_since(sent);
            self.round_trip = Some(round_trip);
            self.losses = 0;
            if self.warning.take().is_some() {
                actions.push(EchoAction::Flows(round_trip));
                self.next = now + self.interval;
                self.try_full_size(0, now, &mut actions);
            }
        }
        actions
    }

    fn handle_next(&mut self, now: Instant, actions: &mut Vec<EchoAction>) {
        if self.outstanding.is_some() && self.flows() {
            self.losses += 1;
            if self.losses > TOLERATED_LOSSES {
                actions.push(EchoAction::Lost);
            }
        }
        let sequence = self.send(false, actions);
        self.outstanding = Some((sequence, now));
        let interval = if self.flows() || self.sequence >= EARLY_COUNT {
            self.interval
        } else if self.sequence >= FIRST_COUNT {
            NEXT_INTERVAL
        } else {
            FIRST_INTERVAL
        };
        self.next = now + interval;
    }

    fn try_full_size(&mut self, attempts: u32, now: Instant, actions: &mut Vec<EchoAction>) {
        if attempts == FULL_SIZE_ATTEMPTS {
            self.full_size = FullSize::Settled;
            return actions.push(EchoAction::FullSizeLost);
        }
        let sequence = self.send(true, actions);
        self.full_size = FullSize::Tried { attempts: attempts + 1, sequence, next: now + FULL_SIZE_INTERVAL };
    }

    fn send(&mut self, full_size: bool, actions: &mut Vec<EchoAction>) -> u16 {
        self.sequence = self.sequence.wrapping_add(1);
        actions.push(EchoAction::Send { sequence: self.sequence, full_size });
        self.sequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_mins(1);
    const TRIP: Duration = Duration::from_millis(12);

    /// What a tunnel does with requests.
    #[derive(Clone, Copy)]
    struct Peer {
        /// From when to when small ones are answered, in seconds.
        small: (u64, u64),
        full_size: bool,
    }

    const WELL: Peer = Peer { small: (0, u64::MAX), full_size: true };

    /// Plays `seconds` of a tunnel's life; gives when each action that is not a request came, in seconds, and how many
    /// requests there were.
    fn play(peer: Peer, seconds: u64) -> (Vec<(u64, EchoAction)>, usize) {
        let start = Instant::now();
        let mut echo = Echo::new(INTERVAL, start);
        let (mut log, mut requests) = (Vec::new(), 0);
        while echo.timer() < start + Duration::from_secs(seconds) {
            let now = echo.timer();
            let mut actions = echo.handle_timer(now);
            while !actions.is_empty() {
                let action = actions.remove(0);
                let second = (now - start).as_secs();
                if let EchoAction::Send { sequence, full_size } = action {
                    requests += 1;
                    let answered = if full_size {
                        peer.full_size
                    } else {
                        (peer.small.0..peer.small.1).contains(&second)
                    };
                    if answered {
                        actions.extend(echo.handle_reply(sequence, now + TRIP));
                    }
                } else {
                    log.push((second, action));
                }
            }
        }
        (log, requests)
    }

    #[test]
    fn a_far_end_that_is_made_within_a_minute_is_not_warned_of() {
        for (made, noticed) in [(3, 3), (6, 14), (50, 54)] {
            let (log, _) = play(Peer { small: (made, u64::MAX), full_size: true }, 600);
            assert_eq!(log, [(noticed, EchoAction::Flows(TRIP))], "made after {made} s");
        }
    }

    #[test]
    fn a_tunnel_that_works_says_so_once_and_goes_on_at_its_interval() {
        let (log, requests) = play(WELL, 600);
        assert_eq!(log, [(0, EchoAction::Flows(TRIP))]);
        assert_eq!(requests, 11, "one each minute, and one of full size");
    }

    #[test]
    fn the_first_requests_come_each_second_until_an_address_is_usable() {
        let (log, _) = play(Peer { small: (2, u64::MAX), ..WELL }, 60);
        assert_eq!(log, [(2, EchoAction::Flows(TRIP))]);
    }

    #[test]
    fn a_tunnel_that_never_answers_is_warned_of_after_a_minute_and_then_hourly() {
        let (log, _) = play(Peer { small: (0, 0), ..WELL }, 2 * 3600 + 120);
        let silent = [60, 3660, 7260].map(|second| (second, EchoAction::Silent));
        assert_eq!(log, silent, "and it is never a reason to end");
    }

    #[test]
    fn a_tunnel_that_answered_before_is_lost_after_three_requests() {
        let (log, _) = play(Peer { small: (0, 200), ..WELL }, 500);
        assert_eq!(log[1], (420, EchoAction::Lost), "those of 240, 300 and 360 s were not answered");
        let pause = Peer { small: (0, 200), ..WELL };
        let (log, _) = play(pause, 400);
        assert_eq!(log.len(), 1, "two may be lost");
    }

    #[test]
    fn small_packets_alone_are_warned_of_once() {
        let (log, requests) = play(Peer { full_size: false, ..WELL }, 600);
        assert_eq!(log, [(0, EchoAction::Flows(TRIP)), (15, EchoAction::FullSizeLost)]);
        assert_eq!(requests, 10 + 3);
    }

    #[test]
    fn a_request_goes_with_a_ping_that_is_not_much_earlier() {
        let start = Instant::now();
        let mut echo = Echo::new(INTERVAL, start);
        echo.handle_timer(start);
        echo.go_with_ping(start);
        assert_eq!(echo.timer(), start + FIRST_INTERVAL, "nothing has been answered yet");
        echo.handle_reply(1, start + TRIP);
        echo.full_size = FullSize::Settled;
        echo.go_with_ping(start + TRIP);
        assert_eq!(echo.timer(), start + TRIP + INTERVAL, "too early");
        let ping = start + INTERVAL;
        echo.go_with_ping(ping);
        assert_eq!(echo.timer(), ping);
    }

    #[test]
    fn a_reply_to_another_request_means_nothing() {
        let now = Instant::now();
        let mut echo = Echo::new(INTERVAL, now);
        assert_eq!(echo.handle_timer(now), [EchoAction::Send { sequence: 1, full_size: false }]);
        assert_eq!(echo.handle_reply(2, now), []);
        assert!(!echo.flows());
        assert_eq!(echo.handle_reply(1, now + TRIP)[0], EchoAction::Flows(TRIP));
        assert_eq!(echo.handle_reply(1, now + 2 * TRIP), [], "a second reply to the same");
        assert_eq!(echo.round_trip(), Some(TRIP));
    }
}
