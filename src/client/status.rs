//! The status line that SIGINFO requests.

use std::fmt::Write;
use std::time::{Duration, Instant};

use humantime::{format_duration, format_rfc3339_seconds};

use super::{Active, Client, Phase};
use crate::tunnel::Carrier;

impl Client<'_> {
    /// The state and its start, server, interface, outer and inner addresses, round trip, and number of logins.
    pub(super) fn status(&self, phase: &Phase, now: Instant) -> String {
        let since = format_rfc3339_seconds(self.since);
        let mut line = format!("{} since {since}, server {}", phase.state(), self.plan.tunnel.server);
        if let Phase::Waiting { until, .. } = phase {
            let left = Duration::from_secs(until.saturating_duration_since(now).as_secs());
            push(&mut line, format_args!("next attempt in {}", format_duration(left)));
        }
        if let Some(interface) = self.tunnel.interface() {
            push(&mut line, format_args!("interface {interface}"));
        }
        if let Phase::Session(active) = phase {
            self.push_session(&mut line, active);
        }
        push(&mut line, format_args!("logins {}", self.logins));
        line
    }

    fn push_session(&self, line: &mut String, active: &Active) {
        let local = active.connection.local();
        if let Some(offer) = active.up.as_ref().map(|up| &up.offer) {
            match (self.plan.tunnel.carrier, offer.udp_port) {
                (Carrier::Udp { port }, Some(udp_port)) => {
                    push(line, format_args!("outer {local}:{port} to {}:{udp_port}", offer.her));
                }
                _ => push(line, format_args!("outer {local} to {}", offer.her)),
            }
            if let Some(inner) = offer.inner {
                push(line, format_args!("inner {inner}"));
            }
        }
        if let Some(echo) = active.up.as_ref().and_then(|up| up.echo.round_trip()) {
            push(line, format_args!("echo {:.1} ms", echo.as_secs_f64() * 1000.0));
        }
        if let Some(round_trip) = active.session.round_trip() {
            push(line, format_args!("round trip {:.1} ms", round_trip.as_secs_f64() * 1000.0));
        }
    }
}

fn push(line: &mut String, part: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = write!(line, ", {part}");
}
