//! The line that SIGINFO asks for.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use humantime::{format_duration, format_rfc3339_seconds};

use super::{Client, Phase};

impl Client<'_> {
    /// State, since when, server, interface, both outer ends, inner addresses, round trip, number of logins.
    pub(super) fn status(&self, now: Instant) -> String {
        let since = format_rfc3339_seconds(self.since);
        let mut line = format!("{} since {since}, server {}", self.state(), self.options.server);
        if let Phase::Waiting { until, .. } = &self.phase {
            let left = Duration::from_secs(until.saturating_duration_since(now).as_secs());
            push(&mut line, format_args!("next attempt in {}", format_duration(left)));
        }
        if let Some(interface) = self.tunnel.interface() {
            push(&mut line, format_args!("interface {interface}"));
        }
        if let Phase::Session(attempt) = &self.phase {
            if let Some(up) = &attempt.up {
                let (offer, own) = (&up.offer, attempt.connection.own().unwrap_or(Ipv4Addr::UNSPECIFIED));
                match offer.udp_port {
                    None => push(&mut line, format_args!("outer {own} to {}", offer.her)),
                    Some(port) => {
                        let local = self.options.udp_port;
                        push(&mut line, format_args!("outer {own}:{local} to {}:{port}", offer.her));
                    }
                }
                if let Some(inner) = offer.inner {
                    push(&mut line, format_args!("inner {inner}"));
                }
            }
            if let Some(round_trip) = attempt.session.round_trip() {
                push(&mut line, format_args!("round trip {:.1} ms", round_trip.as_secs_f64() * 1000.0));
            }
        }
        push(&mut line, format_args!("logins {}", self.logins));
        line
    }

    /// What the client is at.
    pub(super) fn state(&self) -> &'static str {
        match &self.phase {
            Phase::Resolving(_) => "looking up the server",
            Phase::Session(attempt) => attempt.session.state(),
            Phase::Waiting { .. } => "waiting",
            Phase::Ending(_) => "ending",
        }
    }
}

fn push(line: &mut String, part: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = write!(line, ", {part}");
}
