//! One session with the server, from the established connection until one side leaves.
//!
//! Bytes and instants go in; [`Action`]s come out, to be carried out in their order. The clock is the caller's: only
//! differences of instants matter, and they never go back. That the connection is closed or broken is for the caller
//! to see, who then drops the session.

use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use log::{Level, log_enabled};
use zeroize::Zeroizing;

use super::challenge::{Challenge, Response};
use super::line_buffer::{LineBuffer, LineError};
use super::offer::{Offer, OfferError, Request};
use super::reply::{NotAReply, Reply};
use super::text::clean;
use super::{Announcement, ClientLine, TunnelType};

/// How long the server may take to greet.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the server may take to answer `tunnel`.
pub const OFFER_TIMEOUT: Duration = Duration::from_mins(1);
/// The time between two pings, and how long the answer to one may take. The interval is confirmed: KAME's server hangs
/// up after 300 s of silence.
pub const PING_INTERVAL: Duration = Duration::from_mins(1);
/// How many lines the server may send between two pings, and before the first. A server that answers sends two.
pub const MOST_LINES: u32 = 200;

/// Who logs in, and for what.
pub struct Login {
    /// The user's name at the server.
    pub user: String,
    /// The password, wiped from memory when this is dropped.
    pub password: Zeroizing<Vec<u8>>,
    /// The type of tunnel to request.
    pub tunnel_type: TunnelType,
    /// What to announce of our UDP port; `None` for a gif tunnel.
    pub udp: Option<Announcement>,
    /// Whether to compare our own address with the one that the server sees.
    pub nat_check: bool,
}

/// What the caller is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this line.
    Send(ClientLine),
    /// Make the tunnel, or change the existing one. If that works, call [`Session::tunnel_made`].
    MakeTunnel(Offer),
    /// For the debug log, if there is one: a line that was received, masked and cleaned.
    Received(String),
    /// For the log: the words of an offer that were not recognized, cleaned.
    Ignored(String),
    /// Send `quit` and leave. Only [`Action::Received`] comes after this.
    Leave(Reason),
    /// Close the connection: the server does not answer, or not in DTCP. Nothing comes after this.
    Close(Reason),
}

/// Why a session is over, unless the caller ends it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No greeting in time.
    #[error("the server did not greet within {} s", GREETING_TIMEOUT.as_secs())]
    NoGreeting,
    /// No answer to `tunnel` in time.
    #[error("the server did not answer the login within {} s: it may have no tunnel free", OFFER_TIMEOUT.as_secs())]
    NoOffer,
    /// No answer to `ping` in time.
    #[error("the server did not answer a ping within {} s", PING_INTERVAL.as_secs())]
    NoPong,
    /// The greeting names no challenge.
    #[error("the server's greeting has no challenge")]
    NoChallenge,
    /// The server sent something other than a line of text.
    #[error("the server does not speak DTCP")]
    BadLine(#[from] LineError),
    /// The server sent a line that is not a reply.
    #[error("the server does not speak DTCP")]
    BadReply(#[from] NotAReply),
    /// The server babbles.
    #[error("the server sent more than {MOST_LINES} lines between two pings")]
    TooManyLines,
    /// The offer cannot be used.
    #[error("the server's offer cannot be used")]
    BadOffer(#[from] OfferError),
    /// The login was refused.
    #[error("login refused (\"{text}\")")]
    LoginRefused {
        /// The server's words.
        text: String,
        /// Whether the request was for a UDP tunnel: a server without UDP tunnels refuses it in the same words.
        udp: bool,
    },
    /// The server does not have this type of tunnel.
    #[error("tunnel refused (\"{0}\")")]
    UnsupportedTunnelType(String),
    /// The server has no tunnel to give, for now.
    #[error("the server has no tunnel free (\"{0}\")")]
    NoTunnelFree(String),
    /// An error at a time when none was expected, such as a server's own time-out.
    #[error("the server reported an error (\"{0}\")")]
    ServerError(String),
    /// The server sees another address than this host has.
    #[error("this host has the address {local}, but the server sees {seen}: there is a NAT in between")]
    BehindNat {
        /// This host's end of the connection.
        local: Ipv4Addr,
        /// The address that the server sees.
        seen: Ipv4Addr,
    },
}

/// The next thing to happen. The server has a time limit in the first two states and for each answer to a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    AwaitingGreeting,
    AwaitingOffer,
    /// The caller makes the tunnel; lines wait until it has.
    MakingTunnel,
    Up,
    /// `quit` is being said: lines are only logged.
    Leaving,
    Closed,
}

/// How far a session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stage {
    /// The server has not greeted.
    #[error("before its greeting")]
    Greeting,
    /// The server has greeted, and the tunnel is not up.
    #[error("during the login")]
    Login,
    /// The tunnel is up.
    #[error("while the tunnel was up")]
    Up,
}

/// One session with the server.
pub struct Session {
    login: Rc<Login>,
    state: State,
    lines: LineBuffer,
    /// How many lines have come since the last ping.
    line_count: u32,
    /// Our end of the connection.
    local: Ipv4Addr,
    /// Our answer to the challenge, which must not be logged.
    response: Option<Response>,
    /// When the present state has lasted too long; when up, when to ping.
    deadline: Option<Instant>,
    /// When the ping that is not answered yet was sent.
    ping_sent: Option<Instant>,
    round_trip: Option<Duration>,
}

type Actions = Vec<Action>;

impl Session {
    /// A session over a new connection, whose end on this host is `local`.
    pub fn new(login: Rc<Login>, local: Ipv4Addr, now: Instant) -> Self {
        Self {
            login,
            state: State::AwaitingGreeting,
            lines: LineBuffer::default(),
            line_count: 0,
            local,
            response: None,
            deadline: Some(now + GREETING_TIMEOUT),
            ping_sent: None,
            round_trip: None,
        }
    }

    /// Takes bytes from the server.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) -> Vec<Action> {
        let mut actions = Actions::new();
        if self.state != State::Closed {
            self.lines.push(bytes);
            self.handle_lines(now, &mut actions);
        }
        actions
    }

    /// When [`Session::handle_timer`] is to be called.
    pub fn timer(&self) -> Option<Instant> {
        self.deadline
    }

    /// The instant of the timer has come.
    pub fn handle_timer(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Actions::new();
        if self.deadline.is_some_and(|instant| instant <= now) {
            self.handle_deadline(now, &mut actions);
        }
        actions
    }

    /// The tunnel is there. The first ping is sent at once: it shows that the server answers, and how far away it is.
    pub fn tunnel_made(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Actions::new();
        self.state = State::Up;
        self.ping(now, &mut actions);
        self.handle_lines(now, &mut actions);
        actions
    }

    /// Makes the next ping due, once the tunnel is up.
    pub fn ping_early(&mut self, now: Instant) {
        if self.state == State::Up && self.ping_sent.is_none() {
            self.deadline = Some(now);
        }
    }

    /// The caller says `quit`: nothing is sent or expected any more.
    pub fn leave(&mut self) {
        self.enter_untimed(State::Leaving);
    }

    /// The state in a word or two, for the status line.
    pub fn state(&self) -> &'static str {
        match self.state {
            State::AwaitingGreeting => "waiting for the greeting",
            State::AwaitingOffer => "logging in",
            State::MakingTunnel => "making the tunnel",
            State::Up => "up",
            State::Leaving => "leaving",
            State::Closed => "closed",
        }
    }

    /// How far the session has come, unless it is being left.
    pub fn stage(&self) -> Stage {
        match self.state {
            State::AwaitingGreeting => Stage::Greeting,
            State::AwaitingOffer | State::MakingTunnel => Stage::Login,
            State::Up | State::Leaving | State::Closed => Stage::Up,
        }
    }

    /// The time between the last answered ping and its answer.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    fn handle_lines(&mut self, now: Instant, actions: &mut Actions) {
        while !matches!(self.state, State::MakingTunnel | State::Closed) {
            match self.next_line() {
                None => return,
                Some(Ok(line)) => self.handle_line(&line, now, actions),
                Some(Err(_)) if self.state == State::Leaving => self.enter_untimed(State::Closed),
                Some(Err(reason)) => self.close(reason, actions),
            }
        }
    }

    fn next_line(&mut self) -> Option<Result<String, Reason>> {
        let line = self.lines.next_line()?;
        self.line_count += 1;
        if self.line_count > MOST_LINES {
            return Some(Err(Reason::TooManyLines));
        }
        Some(line.map_err(Reason::from))
    }

    fn handle_line(&mut self, line: &str, now: Instant, actions: &mut Actions) {
        if log_enabled!(Level::Debug) {
            actions.push(Action::Received(self.fit_for_log(line)));
        }
        match (self.state, Reply::read(line)) {
            (State::MakingTunnel | State::Leaving | State::Closed, _) => {}
            (_, None) => self.close(NotAReply(self.fit_for_log(line)).into(), actions),
            (State::AwaitingGreeting, Some(reply)) => self.handle_greeting(reply, now, actions),
            (State::AwaitingOffer, Some(reply)) => self.handle_offer(reply, actions),
            (State::Up, Some(reply)) => self.handle_pong(reply, now, actions),
        }
    }

    fn fit_for_log(&self, text: &str) -> String {
        clean(&self.mask(text))
    }

    /// A server may quote our line.
    fn mask(&self, line: &str) -> String {
        self.response.as_ref().map_or_else(|| line.to_owned(), |response| response.mask(line))
    }

    /// `+OK CHALLENGE free text`
    fn handle_greeting(&mut self, reply: Reply<'_>, now: Instant, actions: &mut Actions) {
        let text = match reply {
            Reply::Ok(text) => text,
            Reply::Error(text) => return self.close(Reason::ServerError(clean(text)), actions),
        };
        let Some(word) = text.split_whitespace().next() else {
            return self.close(Reason::NoChallenge, actions);
        };
        let login = &self.login;
        let response = Challenge::new(word).response(&login.user, &login.password);
        self.response = Some(response.clone());
        actions.push(Action::Send(ClientLine::Tunnel {
            user: login.user.clone(),
            response,
            tunnel_type: login.tunnel_type,
            udp: login.udp,
        }));
        self.state = State::AwaitingOffer;
        self.deadline = Some(now + OFFER_TIMEOUT);
    }

    /// `+OK ME HER ...`
    fn handle_offer(&mut self, reply: Reply<'_>, actions: &mut Actions) {
        match self.read_offer(reply) {
            Err(reason) => {
                self.enter_untimed(State::Leaving);
                actions.push(Action::Leave(reason));
            }
            Ok((offer, ignored)) => {
                if !ignored.is_empty() {
                    actions.push(Action::Ignored(clean(&ignored.join(" "))));
                }
                self.enter_untimed(State::MakingTunnel);
                actions.push(Action::MakeTunnel(offer));
            }
        }
    }

    fn read_offer(&self, reply: Reply<'_>) -> Result<(Offer, Vec<String>), Reason> {
        let text = match reply {
            Reply::Ok(text) => self.mask(text),
            Reply::Error(text) => return Err(self.refusal(self.fit_for_log(text))),
        };
        let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        let request =
            Request { tunnel_type: self.login.tunnel_type, udp: self.login.udp.is_some(), local: self.local };
        let (offer, ignored) = Offer::read(&words, request)?;
        if self.login.nat_check && offer.me != self.local {
            return Err(Reason::BehindNat { local: self.local, seen: offer.me });
        }
        Ok((offer, ignored))
    }

    /// Words that are not known are no refusal: a server that is busy says so in its own.
    fn refusal(&self, text: String) -> Reason {
        let lowercase = text.to_lowercase();
        let says = |words| lowercase.contains(words);
        if says("unsupported tunnel type") {
            Reason::UnsupportedTunnelType(text)
        } else if says("sold out") {
            Reason::NoTunnelFree(text)
        } else if says("auth") && !says("timed out") && !says("internal error") {
            Reason::LoginRefused { text, udp: self.login.udp.is_some() }
        } else {
            Reason::ServerError(text)
        }
    }

    /// Any `+OK` answers a ping.
    fn handle_pong(&mut self, reply: Reply<'_>, now: Instant, actions: &mut Actions) {
        match reply {
            Reply::Error(text) => self.close(Reason::ServerError(self.fit_for_log(text)), actions),
            Reply::Ok(_) => {
                if let Some(sent) = self.ping_sent.take() {
                    self.round_trip = Some(now.saturating_duration_since(sent));
                }
            }
        }
    }

    fn handle_deadline(&mut self, now: Instant, actions: &mut Actions) {
        match self.state {
            State::AwaitingGreeting => self.close(Reason::NoGreeting, actions),
            State::AwaitingOffer => self.close(Reason::NoOffer, actions),
            State::Up if self.ping_sent.is_some() => self.close(Reason::NoPong, actions),
            State::Up => self.ping(now, actions),
            State::MakingTunnel | State::Leaving | State::Closed => {}
        }
    }

    fn ping(&mut self, now: Instant, actions: &mut Actions) {
        actions.push(Action::Send(ClientLine::Ping));
        self.ping_sent = Some(now);
        self.line_count = 0;
        self.deadline = Some(now + PING_INTERVAL);
    }

    fn close(&mut self, reason: Reason, actions: &mut Actions) {
        self.enter_untimed(State::Closed);
        actions.push(Action::Close(reason));
    }

    /// Enters a state without timers.
    fn enter_untimed(&mut self, state: State) {
        self.state = state;
        self.deadline = None;
    }
}
