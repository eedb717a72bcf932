//! The client's loop: waits for the socket, signals, timers, the script and the kernel, passes events to the session,
//! and performs the session's actions.
//!
//! The client is in one phase at a time. An event takes the phase and returns the next one: see the table in
//! `docs/architecture.md`.
//!
//! # The five seconds of a shutdown
//!
//! The program exits within five seconds of SIGTERM. The server and the script share this time:
//!
//! | time | for |
//! | --- | --- |
//! | 0 to 2 s | the server, to close after `quit` (`QUIT_TIMEOUT`) |
//! | 0 to 2 s | an `up` that is already running: SIGTERM after 1.5 s, SIGKILL after 2 s |
//! | to 4 s | the script's `down`, after such an `up`: SIGTERM after 3.5 s, SIGKILL after 4 s |
//! | 4 to 5 s | the kernel, to remove the tunnel, with a margin for a slow host |
//!
//! `down` starts when `quit` is sent, so that a server that never closes does not delay it.

mod clocks;
mod connect;
mod connection;
mod failure;
mod session;
mod status;
mod wait;
mod watch;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use ffi::route_socket::RouteSocket;
use log::{Level, error, info, log};

use crate::backoff::Backoff;
use crate::daemon::Starter;
use crate::echo::Echo;
use crate::exit::Exit;
use crate::logging;
use crate::lookup::{Lookup, Resolver};
use crate::password::Account;
use crate::protocol::{Login, Offer, Session};
use crate::report::chain;
use crate::script::{Parameters, Runner};
use crate::signals::{Signal, Signals};
use crate::status_socket::StatusSocket;
use crate::tunnel::{Settings, Tunnel};
use clocks::Clocks;
use connection::{Attempt, Connection};
pub(crate) use failure::Failure;
use failure::Severity;
use wait::Source;
use watch::ADDRESS_GRACE;

/// How long an attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the server may take to close the connection after `quit`. KAME's server answers `quit`, then removes its
/// end of the tunnel, then closes. If the client logged in again earlier, the old tunnel would conflict with the new
/// one.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);
/// The wait after a refused login, if an earlier login succeeded.
const REFUSAL_WAIT: Duration = Duration::from_mins(5);
/// The shortest time between two logins that SIGHUP begins, so that a storm of signals does not reach the server.
const AGAIN_INTERVAL: Duration = Duration::from_millis(250);
/// How long a tunnel must have been up for the waits to start again with the shortest. A server that answers no ping has
/// half of this time.
const HELD: Duration = Duration::from_mins(2);

/// The client's task.
pub struct Plan {
    /// The tunnel, and the server's name or IPv4 address.
    pub tunnel: Settings,
    /// The server's TCP port.
    pub port: u16,
    /// The account, whose password SIGHUP reads again.
    pub account: Account,
    /// The login and the request.
    pub login: Rc<Login>,
    /// Whether to try again after a failure.
    pub reconnect: bool,
}

enum Phase {
    Resolving(Lookup),
    Connecting(Connecting),
    Session(Box<Active>),
    /// `quit` has been sent; the server should close the connection.
    Leaving(Box<Leaving>),
    /// Until the next attempt.
    Waiting {
        until: Instant,
        address_may_help: bool,
    },
    /// Until the script has ended.
    Ending(Exit),
}

struct Connecting {
    attempt: Attempt,
    deadline: Instant,
    /// The addresses to try next.
    remaining: VecDeque<Ipv4Addr>,
}

struct Active {
    connection: Connection,
    session: Session,
    up: Option<Up>,
    /// The addresses to try next if the login fails at this one.
    remaining: VecDeque<Ipv4Addr>,
}

struct Up {
    since: Instant,
    parameters: Parameters,
    offer: Offer,
    echo: Echo,
}

struct Leaving {
    connection: Connection,
    /// It still decodes lines, for the debug log.
    session: Session,
    until: Instant,
    next: Next,
}

/// The next step after a session.
enum Next {
    Failure(Failure),
    /// The server's other addresses, after a login that has failed at one.
    Addresses(VecDeque<Ipv4Addr>, Failure),
    LogIn,
    Stop,
}

/// The client of one server.
pub struct Client<'k> {
    plan: Plan,
    tunnel: Tunnel<'k>,
    scripts: Runner,
    signals: &'k mut Signals,
    /// Reports changes of this host's addresses, if available.
    routes: Option<RouteSocket>,
    /// When to look at this host's address and the interface. Until then, no routing messages are read.
    look: Option<Instant>,
    /// Whether there are routing messages to read then.
    unread: bool,
    /// When to act on a SIGHUP, and the earliest time for the next one.
    again: Option<Instant>,
    again_from: Option<Instant>,
    backoff: Backoff,
    resolver: Resolver,
    clocks: Clocks,
    /// When a new address of this host last began an attempt, or will begin one.
    hurried: Option<Instant>,
    /// Answers with the status.
    status_socket: Option<StatusSocket>,
    /// Waits until the tunnel is up.
    starter: Option<Starter>,
    /// The last failure, and its time.
    last_failure: Option<(SystemTime, String)>,
    /// The current state, and when it began.
    state: &'static str,
    since: SystemTime,
    /// The number of successful logins.
    logins: u64,
}

impl<'k> Client<'k> {
    /// Creates a client; [`Client::run`] starts it.
    pub fn new(
        plan: Plan,
        tunnel: Tunnel<'k>,
        scripts: Runner,
        signals: &'k mut Signals,
        routes: Option<RouteSocket>,
    ) -> Self {
        Self {
            plan,
            tunnel,
            scripts,
            signals,
            routes,
            look: None,
            unread: false,
            again: None,
            again_from: None,
            backoff: Backoff::default(),
            resolver: Resolver::default(),
            clocks: Clocks::new(SystemTime::now(), Instant::now()),
            hurried: None,
            status_socket: None,
            starter: None,
            last_failure: None,
            state: "",
            since: SystemTime::now(),
            logins: 0,
        }
    }

    /// Answers with the status on this socket.
    pub fn with_status_socket(self, status_socket: Option<StatusSocket>) -> Self {
        Self { status_socket, ..self }
    }

    /// Reports to the starter when the tunnel is up for the first time.
    pub fn with_starter(self, starter: Option<Starter>) -> Self {
        Self { starter, ..self }
    }

    /// Runs until the program should exit, then removes the tunnel.
    pub fn run(&mut self) -> Exit {
        let phase = self.look_up(Instant::now());
        self.run_from(phase)
    }

    fn run_from(&mut self, mut phase: Phase) -> Exit {
        let exit = loop {
            self.note_state(&phase);
            self.tell_starter(&phase, Instant::now());
            if let Phase::Ending(exit) = phase
                && self.scripts.is_idle()
            {
                break exit;
            }
            match self.wait(&phase) {
                Ok(ready) => {
                    let now = Instant::now();
                    self.look_at_clocks(&mut phase, SystemTime::now(), now);
                    phase = self.handle(phase, &ready, now);
                }
                Err(errno) => {
                    error!("cannot wait for events: {errno}");
                    break Exit::OsError;
                }
            }
        };
        self.tunnel.take_down();
        exit
    }

    /// Pings at once after a suspend: the server, or a NAT, may have forgotten the connection.
    fn look_at_clocks(&mut self, phase: &mut Phase, wall: SystemTime, now: Instant) {
        if self.clocks.differ(wall, now)
            && let Phase::Session(active) = phase
        {
            active.session.ping_early(now);
        }
    }

    /// Records when the state changes.
    fn note_state(&mut self, phase: &Phase) {
        let state = phase.state();
        if state != self.state {
            (self.state, self.since) = (state, SystemTime::now());
        }
    }

    /// Releases the starter once the tunnel is up and can be used, and the script has ended.
    fn tell_starter(&mut self, phase: &Phase, now: Instant) {
        if let Some(latest) = self.waits_for_address(phase)
            && (latest <= now || self.tunnel.is_usable())
            && let Some(starter) = self.starter.take()
        {
            logging::leave_console();
            starter.up();
        }
    }

    /// Until when the starter waits for the tunnel's address, if it waits for nothing else. The kernel must be asked for it
    /// again and again.
    fn waits_for_address(&self, phase: &Phase) -> Option<Instant> {
        let Phase::Session(active) = phase else { return None };
        let (starter, up) = self.starter.as_ref().zip(active.up.as_ref())?;
        self.scripts.is_idle().then(|| up.since + starter.grace())
    }

    fn handle(&mut self, mut phase: Phase, ready: &[Source], now: Instant) -> Phase {
        for source in ready {
            phase = match source {
                Source::Signals => self.handle_signals(phase, now),
                Source::Lookup => self.handle_lookup(phase, now),
                Source::Socket => self.handle_socket(phase, now),
                Source::Script => {
                    self.scripts.handle_output();
                    phase
                }
                Source::Routes => {
                    self.unread = true;
                    self.look.get_or_insert(now + ADDRESS_GRACE);
                    phase
                }
                Source::Echo => self.handle_echo(phase, now),
                Source::Status => self.tell_status(phase, now),
            };
        }
        self.scripts.handle_timer(now);
        if let Some(socket) = &mut self.status_socket {
            socket.handle_timer(now);
        }
        phase = self.handle_timer(phase, now);
        // A ping has just begun a look: both in one wake-up.
        if self.look.is_some_and(|instant| instant <= now) {
            phase = self.look(phase, now);
        }
        if self.again.take_if(|instant| *instant <= now).is_some() {
            self.again_from = Some(now + AGAIN_INTERVAL);
            phase = self.log_in_again(phase, now);
        }
        phase
    }

    fn handle_timer(&mut self, phase: Phase, now: Instant) -> Phase {
        if phase.timer().is_none_or(|instant| instant > now) {
            return phase;
        }
        match phase {
            Phase::Connecting(Connecting { attempt, remaining, .. }) => {
                self.connect(remaining, Some(attempt.failure(ErrorKind::TimedOut.into())), now)
            }
            Phase::Session(active) => self.handle_session_timer(active, now),
            Phase::Leaving(leaving) => self.go_on(leaving.next, now),
            Phase::Waiting { .. } => self.look_up(now),
            Phase::Resolving(_) => self.fail(&self.no_address(ErrorKind::TimedOut.into()), now),
            Phase::Ending(_) => phase,
        }
    }

    fn handle_signals(&mut self, mut phase: Phase, now: Instant) -> Phase {
        for signal in self.signals.take() {
            match signal {
                Signal::Stop(name) => {
                    info!("shutting down on {name}");
                    phase = self.stop(phase, now);
                }
                Signal::LogInAgain => {
                    let earliest = self.again_from.map_or(now, |earliest| earliest.max(now));
                    self.again.get_or_insert(earliest);
                }
                Signal::LogStatus => info!("{}", self.status(&phase, now).line()),
                Signal::Child => self.scripts.handle_child(now),
            }
        }
        phase
    }

    fn stop(&mut self, phase: Phase, now: Instant) -> Phase {
        self.scripts.hurry(now);
        self.interrupt(phase, Next::Stop, now)
    }

    fn log_in_again(&mut self, phase: Phase, now: Instant) -> Phase {
        match &phase {
            Phase::Ending(_) => return phase,
            Phase::Resolving(_) if self.resolver.is_full() => return phase,
            Phase::Leaving(leaving) if matches!(leaving.next, Next::Stop) => return phase,
            _ => info!("SIGHUP: logging in again"),
        }
        self.read_password_again();
        self.interrupt(phase, Next::LogIn, now)
    }

    /// If the auth file cannot be used or has no entry, the password stays: it may have been typed.
    fn read_password_again(&mut self) {
        match self.plan.account.password_in_file() {
            Ok(Some(password)) if password != self.plan.login.password => {
                info!("the auth file has a new password");
                self.plan.login = Rc::new(Login { password, ..(*self.plan.login).clone() });
            }
            Ok(Some(_)) => {}
            Ok(None) => info!("the auth file has no password for this account; using the one from before"),
            Err(error) => error!("{}; using the password that was read before", chain(&error)),
        }
    }

    /// Ends the phase early, and continues with `next` after leaving the server.
    fn interrupt(&mut self, phase: Phase, next: Next, now: Instant) -> Phase {
        match phase {
            Phase::Session(active) => self.leave(*active, next, now),
            Phase::Leaving(leaving) => Phase::Leaving(Box::new(Leaving { next, ..*leaving })),
            Phase::Resolving(_) | Phase::Connecting(_) | Phase::Waiting { .. } => self.go_on(next, now),
            Phase::Ending(_) => phase,
        }
    }

    /// Performs the next step after a session.
    fn go_on(&mut self, next: Next, now: Instant) -> Phase {
        match next {
            Next::Stop => Phase::Ending(Exit::Ok),
            Next::LogIn => {
                self.backoff.reset();
                self.look_up(now)
            }
            Next::Failure(failure) => self.fail(&failure, now),
            Next::Addresses(remaining, failure) => self.connect(remaining, Some(failure), now),
        }
    }

    /// Logs a failure, and keeps it for the status.
    fn report(&mut self, failure: &Failure, level: Level) {
        let report = failure.report();
        log!(level, "{report}");
        self.last_failure = Some((SystemTime::now(), report));
    }

    /// Logs a failure. The next phase depends on its severity and on whether to reconnect.
    fn fail(&mut self, failure: &Failure, now: Instant) -> Phase {
        self.report(failure, Level::Error);
        let severity = failure.severity();
        let last = match severity {
            Severity::Final => true,
            Severity::Refusal => self.logins == 0,
            Severity::Passing => false,
        };
        if last || !(self.plan.reconnect || failure.is_local()) {
            return Phase::Ending(failure.into());
        }
        let wait = if severity == Severity::Refusal { REFUSAL_WAIT } else { self.backoff.next_wait() };
        info!("trying again in {:.1} s", wait.as_secs_f64());
        Phase::Waiting { until: now + wait, address_may_help: failure.is_of_this_host() }
    }
}

impl Phase {
    /// When this phase times out, or its session's timer is due.
    fn timer(&self) -> Option<Instant> {
        match self {
            Self::Connecting(connecting) => Some(connecting.deadline),
            Self::Session(active) => {
                let echo = active.up.as_ref().map(|up| up.echo.timer());
                [active.session.timer(), echo].into_iter().flatten().min()
            }
            Self::Leaving(leaving) => Some(leaving.until),
            Self::Resolving(lookup) => Some(lookup.deadline),
            Self::Waiting { until, .. } => Some(*until),
            Self::Ending(_) => None,
        }
    }

    /// The state in a few words, for the status line.
    fn state(&self) -> &'static str {
        match self {
            Self::Resolving(_) => "looking up the server",
            Self::Connecting(_) => "connecting",
            Self::Session(active) => active.session.state(),
            Self::Leaving(_) => "leaving",
            Self::Waiting { .. } => "waiting",
            Self::Ending(_) => "ending",
        }
    }
}

#[cfg(test)]
mod tests;
