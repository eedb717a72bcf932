//! The session phase: passes received bytes to the session, and performs the session's actions.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Instant;
use std::{io, mem};

use log::{debug, info};

use super::connection::Received;
use super::{Active, Client, Failure, HELD, Leaving, Next, Phase, QUIT_TIMEOUT, Up};
use crate::protocol::{Action, ClientLine, Offer};
use crate::script::{Event, Parameters};

impl Client<'_> {
    pub(super) fn handle_socket(&mut self, phase: Phase, now: Instant) -> Phase {
        match phase {
            Phase::Connecting(connecting) => self.finish_connecting(connecting, now),
            Phase::Session(active) => self.receive(active, now),
            Phase::Leaving(leaving) => self.await_close(leaving, now),
            Phase::Resolving(_) | Phase::Waiting { .. } | Phase::Ending(_) => phase,
        }
    }

    fn receive(&mut self, mut active: Box<Active>, now: Instant) -> Phase {
        let mut buffer = [0; 4096];
        match active.connection.receive(&mut buffer) {
            Received::Nothing => Phase::Session(active),
            Received::Bytes(length) => {
                let actions = active.session.handle_bytes(&buffer[..length], now);
                self.carry_out(active, actions, now)
            }
            Received::Closed => {
                let stage = active.session.stage();
                self.end_session(*active, Failure::Closed(stage), now)
            }
            Received::Broken(error) => self.end_session(*active, Failure::Broken(error), now),
        }
    }

    pub(super) fn handle_session_timer(&mut self, mut active: Box<Active>, now: Instant) -> Phase {
        let actions = active.session.handle_timer(now);
        let phase = self.carry_out(active, actions, now);
        match phase {
            Phase::Session(active) if active.up.as_ref().is_some_and(|up| up.echo.timer() <= now) => {
                self.handle_echo_timer(active, now)
            }
            phase => phase,
        }
    }

    fn carry_out(&mut self, mut active: Box<Active>, actions: Vec<Action>, now: Instant) -> Phase {
        for action in actions {
            match action {
                Action::Received(line) => debug!("server: {line}"),
                Action::Ignored(words) => info!("ignoring unrecognized words in the reply: {words}"),
                Action::Send(line) => {
                    if line == ClientLine::Ping {
                        self.look.get_or_insert(now);
                        active.up.iter_mut().for_each(|up| up.echo.go_with_ping(now));
                    }
                    if let Err(error) = active.send(&line) {
                        return self.end_session(*active, Failure::Broken(error), now);
                    }
                }
                Action::MakeTunnel(offer) => return self.make_tunnel(active, offer, now),
                Action::Leave(reason) => {
                    let failure = reason.into();
                    let next = Next::Addresses(active.other_addresses(&failure), failure);
                    return self.leave(*active, next, now);
                }
                Action::Close(reason) => return self.end_session(*active, reason.into(), now),
            }
        }
        Phase::Session(active)
    }

    fn make_tunnel(&mut self, mut active: Box<Active>, offer: Offer, now: Instant) -> Phase {
        self.logins += 1;
        active.remaining.clear();
        let local = active.connection.local;
        if let Err(error) = self.tunnel.bring_up(local, &offer) {
            return self.leave(*active, Next::Failure(error.into()), now);
        }
        let fib = self.tunnel.fib();
        if let Some(interface) = self.tunnel.interface() {
            let tunnel_type = self.plan.login.tunnel_type;
            let parameters = Parameters::new(&self.plan.tunnel, tunnel_type, local, &offer, interface, fib);
            self.scripts.run(Event::Up, &parameters, now);
            active.up = Some(Up { since: now, parameters, offer, echo: self.new_echo(now) });
        }
        let actions = active.session.tunnel_made(now);
        self.carry_out(active, actions, now)
    }

    /// Sends `quit`, and waits for the server to close.
    pub(super) fn leave(&mut self, mut active: Active, next: Next, now: Instant) -> Phase {
        let sent = active.send(&ClientLine::Quit);
        let Active { connection, mut session, up, .. } = active;
        self.run_down(up, now);
        if sent.is_err() {
            return self.go_on(next, now);
        }
        session.leave();
        Phase::Leaving(Box::new(Leaving { connection, session, until: now + QUIT_TIMEOUT, next }))
    }

    /// The server answers `quit` before it removes its end of the tunnel, and closes after that. So the answer is only
    /// logged.
    fn await_close(&mut self, mut leaving: Box<Leaving>, now: Instant) -> Phase {
        let mut buffer = [0; 4096];
        match leaving.connection.receive(&mut buffer) {
            Received::Nothing => Phase::Leaving(leaving),
            Received::Bytes(length) => {
                for action in leaving.session.handle_bytes(&buffer[..length], now) {
                    if let Action::Received(line) = action {
                        debug!("server: {line}");
                    }
                }
                Phase::Leaving(leaving)
            }
            Received::Closed | Received::Broken(_) => self.go_on(leaving.next, now),
        }
    }

    /// Ends a session whose connection can no longer be used.
    pub(super) fn end_session(&mut self, mut active: Active, failure: Failure, now: Instant) -> Phase {
        self.run_down(active.up.take(), now);
        self.connect(active.other_addresses(&failure), Some(failure), now)
    }

    fn run_down(&mut self, up: Option<Up>, now: Instant) {
        let Some(up) = up else { return };
        self.scripts.run(Event::Down, &up.parameters, now);
        if now.duration_since(up.since) >= HELD {
            self.backoff.reset();
        }
    }
}

impl Active {
    /// The server's addresses to try after a failure at this one.
    fn other_addresses(&mut self, failure: &Failure) -> VecDeque<Ipv4Addr> {
        if failure.is_of_one_address() { mem::take(&mut self.remaining) } else { VecDeque::new() }
    }

    fn send(&mut self, line: &ClientLine) -> io::Result<()> {
        debug!("client: {}", line.masked());
        self.connection.send(&line.line())
    }
}
