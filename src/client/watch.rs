//! What is looked at while a session lasts: this host's address, the interface, and whether IPv6 flows.
//!
//! A routing message is only a hint, since the kernel reports some changes that undo themselves, and does not report
//! others. It sets a time at which the kernel is asked. Until then no more messages are read, so that a flood of them
//! costs nothing. The kernel is asked with each ping, too, in case that no message came.

use std::mem::take;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ffi::route_socket::AddressChange;
use log::{debug, info, warn};

use super::{Active, Client, Failure, Next, Phase, Up};
use crate::backoff;
use crate::echo::{Echo, EchoAction};
use crate::protocol::{Announcement, PING_INTERVAL};
use crate::report::chain;
use crate::tunnel::Carrier;

/// How long after a routing message the kernel is asked. A DHCP client that starts again removes an address only to set
/// it again.
pub(super) const ADDRESS_GRACE: Duration = Duration::from_secs(2);
/// The shortest time between two attempts that new addresses of this host begin.
const ADDRESS_INTERVAL: Duration = Duration::from_secs(30);
/// The time between two echo requests that keep a NAT's mapping open. Many NATs forget a UDP mapping after 30 s; one
/// that is forgotten cuts the tunnel off until the next packet from this side. Two thirds of that leave room for a late
/// timer.
pub(super) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);

impl Client<'_> {
    /// The echo through a new tunnel. It keeps a NAT's mapping open if no port was announced to the server.
    pub(super) fn new_echo(&self, now: Instant) -> Echo {
        let behind_nat = self.plan.login.udp == Some(Announcement::Unknown);
        Echo::new(if behind_nat { KEEPALIVE_INTERVAL } else { PING_INTERVAL }, now)
    }

    /// The time to look has come.
    pub(super) fn look(&mut self, phase: Phase, now: Instant) -> Phase {
        self.look = None;
        let new_address = take(&mut self.unread) && self.read_routes();
        match phase {
            Phase::Session(active) => self.look_at_tunnel(active, now),
            phase if new_address => self.hurry(phase, now),
            phase => phase,
        }
    }

    /// Begins an attempt early, since this host has a new address, which may be the one that it lacked; but at most once
    /// in [`ADDRESS_INTERVAL`], since a script may add many addresses.
    fn hurry(&mut self, phase: Phase, now: Instant) -> Phase {
        let allowed = self.hurried.map_or(now, |last| now.max(last + ADDRESS_INTERVAL));
        match phase {
            Phase::Waiting { until, address_may_help: true } if allowed + backoff::FIRST < until => {
                self.hurried = Some(allowed);
                Phase::Waiting { until: allowed + backoff::FIRST, address_may_help: true }
            }
            Phase::Resolving(_) if allowed == now && !self.resolver.is_full() => {
                self.hurried = Some(now);
                self.look_up(now)
            }
            phase => phase,
        }
    }

    /// Reads the routing messages. Returns whether this host may have a new IPv4 address.
    fn read_routes(&mut self) -> bool {
        let Some(routes) = &mut self.routes else { return false };
        match routes.changes() {
            Ok(changes) => changes.iter().any(|change| !matches!(change, AddressChange::Removed(_))),
            // Messages were lost, and the address may have been in them.
            Err(error) => {
                debug!("cannot read routing messages: {error}");
                true
            }
        }
    }

    fn look_at_tunnel(&mut self, mut active: Box<Active>, now: Instant) -> Phase {
        let local = active.connection.local;
        if !self.tunnel.host_has(local) {
            return self.end_session(*active, Failure::AddressGone(local), now);
        }
        if active.up.is_some() && !self.tunnel.look(now) {
            return self.leave(*active, Next::Failure(Failure::InterfaceGone), now);
        }
        if let Some(up) = active.up.as_mut().filter(|up| !up.echo.flows())
            && self.tunnel.renew_address(now)
        {
            up.echo.hasten(now);
        }
        Phase::Session(active)
    }

    pub(super) fn handle_echo(&mut self, mut phase: Phase, now: Instant) -> Phase {
        let replies = self.tunnel.echo_replies();
        if let Phase::Session(active) = &mut phase
            && let Some(up) = &mut active.up
        {
            for sequence in replies {
                let actions = up.echo.handle_reply(sequence, now);
                self.carry_out_echo(up, active.connection.local, actions);
            }
        }
        phase
    }

    pub(super) fn handle_echo_timer(&mut self, mut active: Box<Active>, now: Instant) -> Phase {
        let Some(up) = &mut active.up else { return Phase::Session(active) };
        let actions = up.echo.handle_timer(now);
        if actions.contains(&EchoAction::Lost) {
            return self.leave(*active, Next::Failure(Failure::NoEcho), now);
        }
        self.carry_out_echo(up, active.connection.local, actions);
        Phase::Session(active)
    }

    fn carry_out_echo(&mut self, up: &Up, local: Ipv4Addr, actions: Vec<EchoAction>) {
        let interface = self.tunnel.interface().map(ToString::to_string).unwrap_or_default();
        for action in actions {
            match action {
                EchoAction::Send { sequence, full_size } => {
                    // A new interface has no usable address for a second, and the verdict is the echo's.
                    if let Err(cause) = self.tunnel.send_echo(sequence, full_size) {
                        debug!("cannot send an echo request: {}", chain(&cause));
                    }
                }
                EchoAction::Flows(time) => {
                    info!("IPv6 flows through {interface} ({:.1} ms)", time.as_secs_f64() * 1000.0);
                }
                EchoAction::FullSizeLost => warn!(
                    "small packets pass through {interface}, but not those of {} bytes: check that firewalls pass \
                     fragments, or choose a smaller MTU, at least 1280, with -m",
                    self.plan.tunnel.mtu
                ),
                EchoAction::Silent => {
                    warn!("no echo reply has come through {interface}: {}", self.obstacles(up, local));
                }
                EchoAction::Lost => {}
            }
        }
    }

    /// What may be in the way of the tunnel's packets.
    fn obstacles(&mut self, up: &Up, local: Ipv4Addr) -> String {
        let her = up.offer.her;
        if let Some(inner) = up.offer.inner
            && !self.tunnel.is_usable()
        {
            return format!(
                "this host cannot use {}: check that the interface has it, and that the far end does not",
                inner.local
            );
        }
        match (self.plan.tunnel.carrier, up.offer.udp_port) {
            (Carrier::Udp { port }, Some(remote)) => format!(
                "check that firewalls and NATs pass UDP between {local} port {port} and {her} port {remote}"
            ),
            _ => format!(
                "check that firewalls and NATs pass IP protocol 41 between {local} and {her}; behind a NAT try -U"
            ),
        }
    }
}
