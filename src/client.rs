//! The client: the only loop. It waits for the socket, signals, timers, the script and the kernel, feeds the session,
//! and carries out what that asks for.

mod connection;
mod failure;
mod status;
mod wait;

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use ffi::kernel::AddressChange;
use log::{debug, error, info, warn};

use crate::backoff::{self, Backoff};
use crate::exit::Exit;
use crate::lookup::Lookup;
use crate::options::Options;
use crate::protocol::{Action, Login, Offer, Reason, Session};
use crate::script::{Facts, Runner, State};
use crate::signals::{Signal, Signals};
use crate::tunnel::{Ends, Tunnel};
use connection::{Connection, Received};
pub use failure::{Failure, Severity};
use wait::Source;

/// The wait after a refused login, where one has worked before.
pub const REFUSAL_WAIT: Duration = Duration::from_mins(5);
/// How long a tunnel must have held for the next wait to be a short one.
pub const HELD: Duration = Duration::from_mins(1);
/// How long this host may be without the address that the connection has here: a DHCP client that begins anew removes
/// an address only to set it again.
pub const ADDRESS_GRACE: Duration = Duration::from_secs(2);
/// So long after it came up, a tunnel may be without a usable address; a keepalive that fails then is nothing to tell.
const SETTLING: Duration = Duration::from_secs(5);

/// What the client is at.
enum Phase {
    /// Looking up the server's name.
    Resolving(Lookup),
    /// Connecting, logging in, or up.
    Session(Box<Attempt>),
    /// Waiting for the next attempt.
    Waiting { until: Instant, severity: Severity },
    /// Waiting for the script alone, before it ends.
    Ending(Exit),
}

/// A connection, its session, and the addresses to try if it does not come about.
struct Attempt {
    connection: Connection,
    session: Session,
    timer: Option<Instant>,
    rest: VecDeque<Ipv4Addr>,
    up: Option<Up>,
    /// Given up then, since this host has lost the connection's own end.
    orphaned: Option<Instant>,
}

/// A tunnel that is up.
struct Up {
    since: Instant,
    facts: Facts,
    ends: Ends,
}

/// What is to come after a session that is being ended.
enum Next {
    /// As after a failure.
    Failure(Failure),
    /// A new login, at once.
    LogIn,
    /// The end of the program.
    Stop,
}

/// The client of one server.
pub struct Client<'k> {
    options: &'k Options,
    login: Rc<Login>,
    tunnel: Tunnel<'k>,
    scripts: Runner,
    signals: Signals,
    backoff: Backoff,
    phase: Phase,
    /// What the client was last found to be at, and since when.
    state: &'static str,
    since: SystemTime,
    /// Decided while a session still runs.
    next: Option<Next>,
    /// How many logins have worked.
    logins: u64,
}

impl<'k> Client<'k> {
    /// A client that begins by looking up its server.
    pub fn new(
        options: &'k Options,
        login: Login,
        tunnel: Tunnel<'k>,
        scripts: Runner,
        signals: Signals,
    ) -> io::Result<Self> {
        Ok(Self {
            options,
            login: Rc::new(login),
            tunnel,
            scripts,
            signals,
            backoff: Backoff::default(),
            phase: Phase::Resolving(Lookup::start(&options.server)?),
            state: "",
            since: SystemTime::now(),
            next: None,
            logins: 0,
        })
    }

    /// Runs until the program is to end, and takes the tunnel away.
    pub fn run(&mut self) -> Exit {
        if let Err(cause) = self.tunnel.watch_addresses() {
            warn!("cannot watch this host's addresses: {cause}");
        }
        loop {
            if let Phase::Ending(exit) = self.phase
                && self.scripts.is_idle()
            {
                self.tunnel.take_down();
                return exit;
            }
            match self.wait() {
                Ok(ready) => self.handle(&ready, Instant::now()),
                Err(errno) => {
                    error!("cannot wait for events: {errno}");
                    self.tunnel.take_down();
                    return Exit::OsError;
                }
            }
            self.note_state();
        }
    }

    /// Remembers since when the state is what it is.
    fn note_state(&mut self) {
        let state = self.state();
        if state != self.state {
            (self.state, self.since) = (state, SystemTime::now());
        }
    }

    fn handle(&mut self, ready: &[Source], now: Instant) {
        for source in ready {
            match source {
                Source::Signals => self.handle_signals(now),
                Source::Lookup => self.handle_lookup(now),
                Source::Socket => self.handle_socket(now),
                Source::Script => self.scripts.handle_output(),
                Source::Addresses => self.handle_addresses(now),
            }
        }
        self.scripts.handle_timer(now);
        self.handle_timer(now);
    }

    fn handle_timer(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Session(attempt) if attempt.orphaned.is_some_and(|instant| instant <= now) => {
                let own = attempt.connection.own().unwrap_or(Ipv4Addr::UNSPECIFIED);
                let actions = attempt.session.handle_close(Reason::AddressGone(own));
                self.carry_out(actions, now);
            }
            Phase::Session(attempt) if attempt.timer.is_some_and(|timer| timer <= now) => {
                let actions = attempt.session.handle_timer(now);
                self.carry_out(actions, now);
            }
            Phase::Waiting { until, .. } if *until <= now => self.look_up(now),
            _ => {}
        }
    }

    fn handle_signals(&mut self, now: Instant) {
        for signal in self.signals.take() {
            match signal {
                Signal::Stop => self.stop(now),
                Signal::LogInAgain => self.log_in_again(now),
                Signal::Tell => info!("{}", self.status(now)),
                Signal::Child => self.scripts.handle_child(now),
            }
        }
    }

    fn stop(&mut self, now: Instant) {
        info!("told to end");
        self.scripts.hurry(now);
        match self.phase {
            Phase::Session(_) => self.quit(Next::Stop, now),
            Phase::Ending(_) => {}
            Phase::Resolving(_) | Phase::Waiting { .. } => self.phase = Phase::Ending(Exit::Ok),
        }
    }

    fn log_in_again(&mut self, now: Instant) {
        match self.phase {
            Phase::Session(_) if !matches!(self.next, Some(Next::Stop)) => {
                info!("logging in again");
                self.quit(Next::LogIn, now);
            }
            Phase::Waiting { .. } => {
                info!("logging in again");
                self.backoff.reset();
                self.look_up(now);
            }
            // It is about to log in, or to end.
            Phase::Session(_) | Phase::Resolving(_) | Phase::Ending(_) => {}
        }
    }

    /// Ends the session politely.
    fn quit(&mut self, next: Next, now: Instant) {
        self.next = Some(next);
        if let Phase::Session(attempt) = &mut self.phase {
            let actions = attempt.session.quit(now);
            self.carry_out(actions, now);
        }
    }

    fn handle_addresses(&mut self, now: Instant) {
        let changes = self.tunnel.address_changes().unwrap_or_else(|cause| {
            warn!("cannot tell how this host's addresses changed: {cause}");
            Vec::new()
        });
        for change in changes {
            match (change, &mut self.phase) {
                (AddressChange::Removed(address), Phase::Session(attempt))
                    if attempt.connection.own() == Some(address) =>
                {
                    attempt.orphaned = Some(now + ADDRESS_GRACE);
                }
                (AddressChange::Added(address), Phase::Session(attempt))
                    if attempt.connection.own() == Some(address) =>
                {
                    attempt.orphaned = None;
                }
                // What it waits for may have come.
                (AddressChange::Added(_), Phase::Waiting { until, severity: Severity::Passing }) => {
                    *until = (*until).min(now + backoff::FIRST);
                }
                _ => {}
            }
        }
    }

    /// The name is looked up anew at every attempt: the broker may have moved.
    fn look_up(&mut self, now: Instant) {
        match Lookup::start(&self.options.server) {
            Ok(lookup) => self.phase = Phase::Resolving(lookup),
            Err(error) => self.fail(&self.no_address(error), now),
        }
    }

    fn no_address(&self, error: io::Error) -> Failure {
        Failure::NoAddress { server: self.options.server.clone(), error }
    }

    fn handle_lookup(&mut self, now: Instant) {
        // The phase that is put in its place is left again at once.
        match std::mem::replace(&mut self.phase, Phase::Ending(Exit::Software)) {
            Phase::Resolving(lookup) => match lookup.finish() {
                Ok(addresses) => self.connect(addresses.into(), None, now),
                Err(error) => self.fail(&self.no_address(error), now),
            },
            other => self.phase = other,
        }
    }

    /// Tries the next address; where there is none left, the attempt has failed as the last address did.
    fn connect(&mut self, mut rest: VecDeque<Ipv4Addr>, mut last: Option<Failure>, now: Instant) {
        while let Some(address) = rest.pop_front() {
            if let Some(failure) = last {
                info!("{failure}");
            }
            let address = SocketAddrV4::new(address, self.options.port);
            match Connection::open(address) {
                Ok(connection) => return self.begin(connection, rest, now),
                Err(error) => last = Some(Failure::NoConnection { address, error }),
            }
        }
        let failure = last.unwrap_or_else(|| self.no_address(io::Error::other("it has no IPv4 address")));
        self.fail(&failure, now);
    }

    fn begin(&mut self, connection: Connection, rest: VecDeque<Ipv4Addr>, now: Instant) {
        let (session, actions) = Session::new(Rc::clone(&self.login), now);
        let attempt = Attempt { connection, session, timer: None, rest, up: None, orphaned: None };
        self.phase = Phase::Session(Box::new(attempt));
        self.carry_out(actions, now);
    }

    fn handle_socket(&mut self, now: Instant) {
        let Phase::Session(attempt) = &mut self.phase else { return };
        if attempt.connection.own().is_none() {
            match attempt.connection.finish() {
                Ok(own) => {
                    info!("connected to {} from {own}", attempt.connection.peer());
                    let actions = attempt.session.handle_connected(own, now);
                    self.carry_out(actions, now);
                }
                Err(error) => {
                    let address = attempt.connection.peer();
                    self.end_session(Failure::NoConnection { address, error }, now);
                }
            }
            return;
        }
        let mut buffer = [0; 4096];
        let actions = match attempt.connection.receive(&mut buffer) {
            Received::Nothing => return,
            Received::Bytes(length) => attempt.session.handle_bytes(&buffer[..length], now),
            Received::Closed => attempt.session.handle_close(Reason::Closed),
            Received::Broken(error) => attempt.session.handle_close(Reason::Broken(error.to_string())),
        };
        self.carry_out(actions, now);
    }

    fn carry_out(&mut self, actions: Vec<Action>, now: Instant) {
        for action in actions {
            let Phase::Session(attempt) = &mut self.phase else { return };
            match action {
                Action::SetTimer(instant) => attempt.timer = Some(instant),
                Action::Heard(line) => debug!("server: {line}"),
                Action::Notice(text) => info!("{text}"),
                Action::KeepNatOpen => self.keep_nat_open(now),
                Action::Send(command) => {
                    debug!("client: {}", command.masked());
                    if let Err(error) = attempt.connection.send(&command.line()) {
                        let actions = attempt.session.handle_close(Reason::Broken(error.to_string()));
                        return self.carry_out(actions, now);
                    }
                }
                Action::MakeTunnel(offer) => {
                    if let Err(failure) = self.make_tunnel(&offer, now) {
                        return self.quit(Next::Failure(failure), now);
                    }
                }
                Action::Close(reason) => return self.end_session(reason.into(), now),
            }
        }
    }

    fn make_tunnel(&mut self, offer: &Offer, now: Instant) -> Result<(), Failure> {
        let Phase::Session(attempt) = &mut self.phase else { return Ok(()) };
        self.logins += 1;
        let own = attempt.connection.own().unwrap_or(Ipv4Addr::UNSPECIFIED);
        let ends = Ends::new(offer, own);
        self.tunnel.make(ends)?;
        let Some(interface) = self.tunnel.interface() else { return Ok(()) };
        let facts = Facts::new(self.options, own, offer, interface);
        self.scripts.run(State::Up, &facts, now);
        attempt.up = Some(Up { since: now, facts, ends });
        Ok(())
    }

    fn keep_nat_open(&mut self, now: Instant) {
        let Err(cause) = self.tunnel.keep_nat_open() else { return };
        let Phase::Session(attempt) = &self.phase else { return };
        if attempt.up.as_ref().is_some_and(|up| now.duration_since(up.since) < SETTLING) {
            debug!("cannot send through the tunnel yet: {cause}");
        } else {
            warn!("cannot keep the NAT's mapping open: {cause}");
        }
    }

    /// The session is over, for this reason unless another was decided before.
    fn end_session(&mut self, failure: Failure, now: Instant) {
        let Phase::Session(attempt) = std::mem::replace(&mut self.phase, Phase::Ending(Exit::Software))
        else {
            return;
        };
        let Attempt { up, rest, connection, .. } = *attempt;
        if let Some(up) = up {
            self.scripts.run(State::Down, &up.facts, now);
            if now.duration_since(up.since) >= HELD {
                self.backoff.reset();
            }
        }
        match self.next.take() {
            Some(Next::Stop) => self.phase = Phase::Ending(Exit::Ok),
            Some(Next::LogIn) => {
                self.backoff.reset();
                self.look_up(now);
            }
            Some(Next::Failure(failure)) => self.fail(&failure, now),
            None if connection.own().is_none() => {
                self.connect(rest, Some(unconnected(failure, &connection)), now);
            }
            None => self.fail(&failure, now),
        }
    }

    /// An attempt has failed: what comes next depends on why, and on whether to come back at all.
    fn fail(&mut self, failure: &Failure, now: Instant) {
        error!("{failure}");
        let severity = failure.severity();
        let last = match severity {
            Severity::Final => true,
            Severity::Refusal => self.logins == 0,
            Severity::Passing => false,
        };
        if last || !self.options.reconnect {
            self.phase = Phase::Ending(failure.exit());
            return;
        }
        let wait = if severity == Severity::Refusal { REFUSAL_WAIT } else { self.backoff.next_wait() };
        info!("trying again in {:.1} s", wait.as_secs_f64());
        self.phase = Phase::Waiting { until: now + wait, severity };
    }
}

/// A session that ended before there was a connection tells which address it was.
fn unconnected(failure: Failure, connection: &Connection) -> Failure {
    match failure {
        Failure::Session(Reason::NoConnection) => {
            Failure::NoConnection { address: connection.peer(), error: io::ErrorKind::TimedOut.into() }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
