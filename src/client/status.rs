//! The status line that SIGINFO requests.

use std::time::{Duration, Instant};

use ffi::kernel::Traffic;
use humantime::{format_duration, format_rfc3339_seconds};

use super::{Active, Client, Phase, Up};
use crate::tunnel::Carrier;

impl Client<'_> {
    /// The state and its start, server, interface, outer and inner addresses, round trips, traffic, and number of logins.
    pub(super) fn status(&mut self, phase: &Phase, now: Instant) -> String {
        let mut parts = vec![
            format!("{} since {}", phase.state(), format_rfc3339_seconds(self.since)),
            format!("server {}", self.plan.tunnel.server),
        ];
        if let Phase::Waiting { until, .. } = phase {
            let left = Duration::from_secs(until.saturating_duration_since(now).as_secs());
            parts.push(format!("next attempt in {}", format_duration(left)));
        }
        if let Some(interface) = self.tunnel.interface() {
            parts.push(format!("interface {interface}"));
        }
        if let Phase::Session(active) = phase {
            self.push_session(&mut parts, active);
        }
        if let Some(Traffic { received, sent }) = self.tunnel.traffic() {
            parts.push(format!("received {received}, sent {sent}"));
        }
        parts.push(format!("logins {}", self.logins));
        parts.join(", ")
    }

    fn push_session(&self, parts: &mut Vec<String>, active: &Active) {
        let local = active.connection.local;
        if let Some(Up { offer, .. }) = &active.up {
            parts.push(match (self.plan.tunnel.carrier, offer.udp_port) {
                (Carrier::Udp { port }, Some(udp_port)) => {
                    format!("outer {local}:{port} to {}:{udp_port}", offer.her)
                }
                _ => format!("outer {local} to {}", offer.her),
            });
            parts.extend(offer.inner.map(|inner| format!("inner {inner}")));
        }
        if let Some(echo) = active.up.as_ref().and_then(|up| up.echo.round_trip()) {
            parts.push(format!("echo {:.1} ms", echo.as_secs_f64() * 1000.0));
        }
        if let Some(round_trip) = active.session.round_trip() {
            parts.push(format!("round trip {:.1} ms", round_trip.as_secs_f64() * 1000.0));
        }
    }
}
