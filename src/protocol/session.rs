//! One session with the server, from the established connection until one side leaves.
//!
//! Bytes and instants go in; [`Action`]s come out, to be performed in order. The instants are the caller's, and never
//! go back. If the connection is closed or fails, the caller drops the session.

use std::mem;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use log::{Level, log_enabled};
use zeroize::Zeroizing;

use super::challenge::Response;
use super::line_buffer::{LineBuffer, LineError};
use super::offer::{Offer, OfferError, Request};
use super::reply::{NotAReply, Reply};
use super::text::clean;
use super::{Announcement, ClientLine, TunnelType};

/// How long the server may take to send its greeting (this project's decision, as the next one).
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the server may take to answer `tunnel`.
pub const OFFER_TIMEOUT: Duration = Duration::from_mins(1);
/// The time between two pings, and the time limit for an answer. The interval is confirmed: KAME's server closes the
/// connection after 300 s of silence.
pub const PING_INTERVAL: Duration = Duration::from_mins(1);
/// How many lines the server may send between two pings, and before the first. Two are enough.
pub const MOST_LINES: u32 = 200;

/// The account, and the tunnel to request.
#[derive(Clone)]
pub struct Login {
    /// The user's name at the server.
    pub user: String,
    /// The password, wiped from memory when this is dropped.
    pub password: Zeroizing<Vec<u8>>,
    /// The type of tunnel to request.
    pub tunnel_type: TunnelType,
    /// The UDP port to announce; `None` for a gif tunnel.
    pub udp: Option<Announcement>,
    /// Whether to compare this host's address with the one that the server sees.
    pub nat_check: bool,
}

/// An action for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this line.
    Send(ClientLine),
    /// Make the tunnel, or change the existing one. On success, call [`Session::tunnel_made`].
    MakeTunnel(Offer),
    /// For the debug log, if there is one: a line that was received, masked and cleaned.
    Received(String),
    /// For the log: the words of an offer that were not recognized, cleaned.
    Ignored(String),
    /// Send `quit` and leave. Only [`Action::Received`] follows.
    Leave(Reason),
    /// Close the connection: the server does not answer, or does not speak DTCP. Nothing follows.
    Close(Reason),
}

/// Why a session has ended, unless the caller ended it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what has happened")]
pub enum Reason {
    #[error("the server did not greet within {} s", GREETING_TIMEOUT.as_secs())]
    NoGreeting,
    #[error("the server did not answer the login within {} s: it may have no tunnel free", OFFER_TIMEOUT.as_secs())]
    NoOffer,
    #[error("the server did not answer a ping within {} s", PING_INTERVAL.as_secs())]
    NoPong,
    #[error("the server's greeting has no challenge")]
    NoChallenge,
    /// The server sent something other than a line of text.
    #[error("the server does not speak DTCP")]
    BadLine(#[from] LineError),
    /// The server sent a line that is not a reply.
    #[error("the server does not speak DTCP")]
    BadReply(#[from] NotAReply),
    #[error("the server sent more than {MOST_LINES} lines between two pings")]
    TooManyLines,
    #[error("the server's offer cannot be used")]
    BadOffer(#[from] OfferError),
    #[error("login refused (\"{text}\")")]
    LoginRefused {
        text: String,
        /// Whether the request was for a UDP tunnel: a server that does not support them gives the same answer.
        udp: bool,
    },
    #[error("tunnel refused (\"{0}\")")]
    UnsupportedTunnelType(String),
    #[error("the server has no free tunnel (\"{0}\")")]
    NoTunnelFree(String),
    /// An unexpected error, such as a time-out of the server's.
    #[error("the server reported an error (\"{0}\")")]
    ServerError(String),
    #[error("this host has the address {local}, but the server sees {seen}: there is a NAT in between")]
    BehindNat { local: Ipv4Addr, seen: Ipv4Addr },
}

/// The next event to expect: see the table in `docs/architecture.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    AwaitingGreeting,
    AwaitingOffer,
    /// The caller makes the tunnel. Lines are kept until it has.
    MakingTunnel,
    Up,
    /// The caller sends `quit`. Lines are only logged.
    Leaving,
    Closed,
}

/// The stage that a session has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the words of a report say when")]
pub enum Stage {
    #[error("before its greeting")]
    Greeting,
    #[error("during the login")]
    Login,
    #[error("while the tunnel was up")]
    Up,
}

/// One session with the server.
pub struct Session {
    login: Rc<Login>,
    state: State,
    lines: LineBuffer,
    /// The number of lines since the last ping.
    line_count: u32,
    /// This host's end of the connection.
    local: Ipv4Addr,
    /// The answer to the challenge, masked in lines of the server.
    response: Option<Response>,
    /// The time limit of the current state; when up, the time of the next ping or the limit for its answer.
    deadline: Option<Instant>,
    /// When the ping that is not answered yet was sent.
    ping_sent: Option<Instant>,
    round_trip: Option<Duration>,
    /// To be returned to the caller.
    actions: Vec<Action>,
}

impl Session {
    /// Starts a session over a new connection with the local address `local`.
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
            actions: Vec::new(),
        }
    }

    /// Handles bytes from the server.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) -> Vec<Action> {
        if self.state != State::Closed {
            self.lines.push(bytes);
            self.handle_lines(now);
        }
        mem::take(&mut self.actions)
    }

    /// When to call [`Session::handle_timer`].
    pub fn timer(&self) -> Option<Instant> {
        self.deadline
    }

    /// Handles the timer, which is due.
    pub fn handle_timer(&mut self, now: Instant) -> Vec<Action> {
        if self.deadline.is_some_and(|instant| instant <= now) {
            self.handle_deadline(now);
        }
        mem::take(&mut self.actions)
    }

    /// Continues after the tunnel has been made. The first ping is sent at once, to measure the round trip.
    pub fn tunnel_made(&mut self, now: Instant) -> Vec<Action> {
        self.state = State::Up;
        self.ping(now);
        self.handle_lines(now);
        mem::take(&mut self.actions)
    }

    /// Makes the next ping due, once the tunnel is up.
    pub fn ping_early(&mut self, now: Instant) {
        if self.state == State::Up && self.ping_sent.is_none() {
            self.deadline = Some(now);
        }
    }

    /// The caller sends `quit`: nothing else is sent or expected.
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

    /// The stage that the session has reached, unless it is being left.
    pub fn stage(&self) -> Stage {
        match self.state {
            State::AwaitingGreeting => Stage::Greeting,
            State::AwaitingOffer | State::MakingTunnel => Stage::Login,
            State::Up | State::Leaving | State::Closed => Stage::Up,
        }
    }

    /// The time from the last answered ping to its answer.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    fn handle_lines(&mut self, now: Instant) {
        while !matches!(self.state, State::MakingTunnel | State::Closed) {
            match self.next_line() {
                None => return,
                Some(Ok(line)) => self.handle_line(&line, now),
                Some(Err(_)) if self.state == State::Leaving => self.enter_untimed(State::Closed),
                Some(Err(reason)) => self.close(reason),
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

    fn handle_line(&mut self, line: &str, now: Instant) {
        if log_enabled!(Level::Debug) {
            self.actions.push(Action::Received(self.fit_for_log(line)));
        }
        match (self.state, Reply::read(line)) {
            (State::MakingTunnel | State::Leaving | State::Closed, _) => {}
            (_, None) => self.close(NotAReply(self.fit_for_log(line)).into()),
            (State::AwaitingGreeting, Some(reply)) => self.handle_greeting(reply, now),
            (State::AwaitingOffer, Some(reply)) => self.handle_offer(reply),
            (State::Up, Some(reply)) => self.handle_pong(reply, now),
        }
    }

    fn fit_for_log(&self, text: &str) -> String {
        clean(&self.mask(text))
    }

    /// Masks the response, since a server may quote the client's line.
    fn mask(&self, line: &str) -> String {
        self.response.as_ref().map_or_else(|| line.to_owned(), |response| response.mask(line))
    }

    /// `+OK CHALLENGE free text`
    fn handle_greeting(&mut self, reply: Reply<'_>, now: Instant) {
        let text = match reply {
            Reply::Ok(text) => text,
            Reply::Error(text) => return self.close(Reason::ServerError(clean(text))),
        };
        let Some(challenge) = text.split_whitespace().next() else {
            return self.close(Reason::NoChallenge);
        };
        let login = &self.login;
        let response = Response::new(&login.user, challenge, &login.password);
        self.response = Some(response.clone());
        self.actions.push(Action::Send(ClientLine::Tunnel {
            user: login.user.clone(),
            response,
            tunnel_type: login.tunnel_type,
            udp: login.udp,
        }));
        self.state = State::AwaitingOffer;
        self.deadline = Some(now + OFFER_TIMEOUT);
    }

    /// `+OK ME HER ...`
    fn handle_offer(&mut self, reply: Reply<'_>) {
        match self.read_offer(reply) {
            Err(reason) => {
                self.enter_untimed(State::Leaving);
                self.actions.push(Action::Leave(reason));
            }
            Ok((offer, ignored)) => {
                if !ignored.is_empty() {
                    self.actions.push(Action::Ignored(clean(&ignored.join(" "))));
                }
                self.enter_untimed(State::MakingTunnel);
                self.actions.push(Action::MakeTunnel(offer));
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

    /// Unknown words are not a refusal: a server that is busy has its own words for that.
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
    fn handle_pong(&mut self, reply: Reply<'_>, now: Instant) {
        match reply {
            Reply::Error(text) => self.close(Reason::ServerError(self.fit_for_log(text))),
            Reply::Ok(_) => {
                if let Some(sent) = self.ping_sent.take() {
                    self.round_trip = Some(now.saturating_duration_since(sent));
                }
            }
        }
    }

    fn handle_deadline(&mut self, now: Instant) {
        match self.state {
            State::AwaitingGreeting => self.close(Reason::NoGreeting),
            State::AwaitingOffer => self.close(Reason::NoOffer),
            State::Up if self.ping_sent.is_some() => self.close(Reason::NoPong),
            State::Up => self.ping(now),
            State::MakingTunnel | State::Leaving | State::Closed => {}
        }
    }

    fn ping(&mut self, now: Instant) {
        self.actions.push(Action::Send(ClientLine::Ping));
        self.ping_sent = Some(now);
        self.line_count = 0;
        self.deadline = Some(now + PING_INTERVAL);
    }

    fn close(&mut self, reason: Reason) {
        self.enter_untimed(State::Closed);
        self.actions.push(Action::Close(reason));
    }

    /// Enters a state without timers.
    fn enter_untimed(&mut self, state: State) {
        self.state = state;
        self.deadline = None;
    }
}
