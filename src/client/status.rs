//! The status: one line in the log on SIGINFO, and lines of `key: value` on the status socket.

use std::time::{Duration, Instant, SystemTime};

use ffi::kernel::Traffic;
use humantime::{format_duration, format_rfc3339_seconds};

use super::{Active, Client, Phase, Up};
use crate::tunnel::Carrier;

/// The state of the client and its start, and what else there is to tell, as keys and values.
pub(super) struct Status {
    state: &'static str,
    since: SystemTime,
    more: Vec<(&'static str, String)>,
}

impl Status {
    /// One line for the log.
    pub(super) fn line(&self) -> String {
        let more: String = self.more.iter().map(|(key, value)| format!(", {key} {value}")).collect();
        format!("{} since {}{more}", self.state, format_rfc3339_seconds(self.since))
    }

    /// A line of `key: value` for each.
    pub(super) fn lines(&self) -> String {
        let more: String = self.more.iter().map(|(key, value)| format!("{key}: {value}\n")).collect();
        format!("state: {}\nsince: {}\n{more}", self.state, format_rfc3339_seconds(self.since))
    }
}

impl Client<'_> {
    /// Answers those who ask on the status socket.
    pub(super) fn tell_status(&mut self, phase: Phase, now: Instant) -> Phase {
        let status = self.status(&phase, now).lines();
        if let Some(socket) = &mut self.status_socket {
            socket.answer(&status, now);
        }
        phase
    }

    /// The state and its start, server, interface, addresses, round trips, traffic, number of logins, and last failure.
    pub(super) fn status(&mut self, phase: &Phase, now: Instant) -> Status {
        let mut more = vec![("server", self.plan.tunnel.server.clone())];
        match phase {
            Phase::Session(active) => self.push_session(&mut more, active),
            Phase::Waiting { until, .. } => {
                let left = Duration::from_secs(until.saturating_duration_since(now).as_secs());
                more.push(("next attempt", format!("in {}", format_duration(left))));
            }
            _ => {}
        }
        if let Some(interface) = self.tunnel.interface() {
            more.push(("interface", interface.to_string()));
            more.push(("mtu", self.plan.tunnel.mtu.to_string()));
        }
        if let Some(Traffic { received, sent }) = self.tunnel.traffic() {
            more.extend([("received", received.to_string()), ("sent", sent.to_string())]);
        }
        more.push(("logins", self.logins.to_string()));
        if let Some((time, failure)) = &self.last_failure {
            more.push(("last failure", format!("{} {failure}", format_rfc3339_seconds(*time))));
        }
        Status { state: phase.state(), since: self.since, more }
    }

    fn push_session(&self, more: &mut Vec<(&'static str, String)>, active: &Active) {
        let local = active.connection.local;
        more.push(("address", active.connection.peer.to_string()));
        if let Some(Up { offer, echo, .. }) = &active.up {
            let outer = match (self.plan.tunnel.carrier, offer.udp_port) {
                (Carrier::Udp { port }, Some(udp_port)) => {
                    format!("{local}:{port} to {}:{udp_port}", offer.her)
                }
                _ => format!("{local} to {}", offer.her),
            };
            more.push(("outer", outer));
            more.extend(offer.inner.map(|inner| ("inner", inner.to_string())));
            more.extend(offer.prefix.map(|prefix| ("prefix", prefix.to_string())));
            more.extend(echo.round_trip().map(|time| ("echo", milliseconds(time))));
        }
        more.extend(active.session.round_trip().map(|time| ("ping", milliseconds(time))));
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
