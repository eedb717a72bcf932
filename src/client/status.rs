//! The line that SIGINFO asks for.
#![forbid(unsafe_code)]

use std::fmt::Write;
use std::time::{Duration, Instant};

use humantime::{format_duration, format_rfc3339_seconds};

use super::{Client, Phase};

impl Client<'_> {
    /// State, since when, server, interface, both outer ends, inner addresses, round trip, number of logins.
    pub(super) fn status(&self, now: Instant) -> String {
        let since = format_rfc3339_seconds(self.since);
        let mut line = format!("{} since {since}, server {}", self.state(now), self.options.server);
        if let Some(interface) = self.tunnel.interface() {
            push(&mut line, format_args!("interface {interface}"));
        }
        if let Phase::Session(attempt) = &self.phase {
            if let Some(up) = &attempt.up {
                let ends = &up.ends;
                match ends.destination.port() {
                    0 => push(&mut line, format_args!("outer {} to {}", ends.source, ends.destination.ip())),
                    _ => push(
                        &mut line,
                        format_args!(
                            "outer {}:{} to {}",
                            ends.source, self.options.udp_port, ends.destination
                        ),
                    ),
                }
                if let Some(inner) = ends.inner {
                    push(&mut line, format_args!("inner {} to {}", inner.local, inner.remote));
                }
            }
            if let Some(round_trip) = attempt.session.round_trip() {
                push(&mut line, format_args!("round trip {:.1} ms", round_trip.as_secs_f64() * 1000.0));
            }
        }
        push(&mut line, format_args!("logins {}", self.logins));
        line
    }

    fn state(&self, now: Instant) -> String {
        match &self.phase {
            Phase::Resolving(_) => "looking up the server".to_owned(),
            Phase::Session(attempt) => attempt.session.state().to_owned(),
            Phase::Waiting { until, .. } => {
                let left = Duration::from_secs(until.saturating_duration_since(now).as_secs());
                format!("waiting (next attempt in {})", format_duration(left))
            }
            Phase::Ending(_) => "ending".to_owned(),
        }
    }
}

fn push(line: &mut String, part: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = write!(line, ", {part}");
}
