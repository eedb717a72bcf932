//! One connection to the server, from the attempt to connect to its end.
//!
//! Bytes, instants and closes go in; [`Action`]s come out, to be carried out in their order. The clock is the caller's:
//! only differences of instants matter, and they never go back.

use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::challenge::{Challenge, Response};
use super::lines::{LineError, Lines};
use super::offer::{Asked, Offer, OfferError};
use super::reply::{NoReply, Reply};
use super::text::clean;
use super::{Announcement, Command, TunnelType};

/// How long an attempt to connect may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the server may take to greet.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the server may take to answer `tunnel`.
pub const OFFER_TIMEOUT: Duration = Duration::from_mins(1);
/// The time between two pings, and how long the answer to one may take (the interval is confirmed).
pub const PING_INTERVAL: Duration = Duration::from_mins(1);
/// How long the server may take to answer `quit`; whoever stops the program waits for it.
pub const QUIT_TIMEOUT: Duration = Duration::from_secs(2);
/// The time between two packets that keep a NAT's mapping open; many forget a UDP mapping after 30 s.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// The same for the first packets, since a new interface has no usable address for about a second.
const FIRST_KEEPALIVES: Duration = Duration::from_secs(1);
const FIRST_KEEPALIVE_COUNT: u32 = 5;

/// Who logs in, and for what.
pub struct Login {
    /// The user's name at the server.
    pub user: String,
    /// The password, wiped from memory when this is dropped.
    pub password: Zeroizing<Vec<u8>>,
    /// What to ask for.
    pub tunnel_type: TunnelType,
    /// What to tell of our UDP port; `None` for a gif tunnel.
    pub udp: Option<Announcement>,
    /// Whether to compare our own address with the one that the server sees.
    pub nat_check: bool,
}

/// What the caller is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this command.
    Send(Command),
    /// Make the tunnel, or re-point the one there is.
    MakeTunnel(Offer),
    /// Send a packet through the tunnel.
    KeepNatOpen,
    /// Call [`Session::handle_timer`] at this instant. There is one timer: a new one replaces the old.
    SetTimer(Instant),
    /// A line that was received, cleaned: for the debug log.
    Heard(String),
    /// Something that the user may want to know, cleaned: for the log.
    Notice(String),
    /// Close the connection. Nothing comes after this.
    Close(Reason),
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The connection did not come about in time.
    #[error("the server did not accept the connection within {} s", CONNECT_TIMEOUT.as_secs())]
    NoConnection,
    /// No greeting in time.
    #[error("the server did not greet within {} s: is it a DTCP server?", GREETING_TIMEOUT.as_secs())]
    NoGreeting,
    /// No answer to `tunnel` in time.
    #[error("the server did not answer the login within {} s", OFFER_TIMEOUT.as_secs())]
    NoOffer,
    /// No answer to `ping` in time.
    #[error("the server did not answer a ping within {} s", PING_INTERVAL.as_secs())]
    NoPong,
    /// The server closed.
    #[error("the connection was closed by the server")]
    Closed,
    /// The connection broke.
    #[error("the connection to the server broke: {0}")]
    Broken(String),
    /// The connection's own end is an address that this host has no more.
    #[error("this host does not have the address {0} any more")]
    AddressGone(Ipv4Addr),
    /// The greeting names no challenge.
    #[error("the server's greeting has no challenge: is it a DTCP server?")]
    NoChallenge,
    /// What came is no line of text.
    #[error("the server {0}: is it a DTCP server?")]
    BadLine(#[from] LineError),
    /// What came is no reply.
    #[error("the server {0}: is it a DTCP server?")]
    BadReply(#[from] NoReply),
    /// The offer is of no use.
    #[error("the server {0}")]
    BadOffer(#[from] OfferError),
    /// The login was refused.
    #[error("the server refused the login: {text}: check the user name (-u) and the password{}", hint(*udp))]
    LoginRefused {
        /// The server's words.
        text: String,
        /// Whether the request was for a UDP tunnel, which may be all that the server does not know.
        udp: bool,
    },
    /// The server does not have this type of tunnel.
    #[error("the server refused the tunnel: {0}: choose another type with -t")]
    UnsupportedTunnelType(String),
    /// The server has no tunnel to give, for now.
    #[error("the server has no tunnel free: {0}")]
    NoTunnelFree(String),
    /// An error at a time when none was expected, such as a server's own time-out.
    #[error("the server said: {0}")]
    ServerError(String),
    /// The server sees another address than this host has.
    #[error(
        "this host has the address {own}, but the server sees {seen}: \
         it is behind a NAT, where a tunnel needs -n, and -U for all but a few"
    )]
    BehindNat {
        /// This host's end of the connection.
        own: Ipv4Addr,
        /// What the server sees.
        seen: Ipv4Addr,
    },
    /// We said `quit`.
    #[error("the session was ended")]
    Quit,
}

fn hint(udp: bool) -> &'static str {
    if udp { "; a server without UDP tunnels says the same: try without -U" } else { "" }
}

enum State {
    Connecting,
    AwaitingGreeting,
    AwaitingOffer,
    Up,
    /// `quit` is said; what remains is to hear the answer, and to tell why.
    Quitting(Reason),
    Closed,
}

/// One connection to the server.
pub struct Session {
    login: Rc<Login>,
    state: State,
    lines: Lines,
    /// Our end of the connection; unspecified until there is one.
    own: Ipv4Addr,
    /// What we answered to the challenge, which must not be logged.
    response: Option<Response>,
    /// When the present state has lasted too long; when up, when to ping.
    deadline: Instant,
    /// When to send the next packet that keeps a NAT's mapping.
    keepalive: Option<Instant>,
    keepalives_sent: u32,
    /// When the ping that is not answered yet was sent.
    ping_sent: Option<Instant>,
    round_trip: Option<Duration>,
    /// The timer that the caller was last told of.
    timer: Option<Instant>,
}

type Actions = Vec<Action>;

impl Session {
    /// A session that waits for its connection from `now` on.
    pub fn new(login: Rc<Login>, now: Instant) -> (Self, Vec<Action>) {
        let mut session = Self {
            login,
            state: State::Connecting,
            lines: Lines::default(),
            own: Ipv4Addr::UNSPECIFIED,
            response: None,
            deadline: now + CONNECT_TIMEOUT,
            keepalive: None,
            keepalives_sent: 0,
            ping_sent: None,
            round_trip: None,
            timer: None,
        };
        let actions = session.with_timer(Actions::new());
        (session, actions)
    }

    /// The connection is there, and `own` is our end of it.
    pub fn handle_connected(&mut self, own: Ipv4Addr, now: Instant) -> Vec<Action> {
        self.own = own;
        self.enter(State::AwaitingGreeting, now + GREETING_TIMEOUT);
        self.with_timer(Actions::new())
    }

    /// Bytes came from the server.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) -> Vec<Action> {
        self.lines.push(bytes);
        let mut actions = Actions::new();
        while !matches!(self.state, State::Closed) {
            match self.lines.next_line() {
                None => break,
                Some(Ok(line)) => self.handle_line(&line, now, &mut actions),
                Some(Err(error)) => self.close(error.into(), &mut actions),
            }
        }
        self.with_timer(actions)
    }

    /// The instant of the timer has come.
    pub fn handle_timer(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Actions::new();
        if self.deadline <= now {
            self.handle_deadline(now, &mut actions);
        }
        if self.keepalive.is_some_and(|instant| instant <= now) {
            self.keep_nat_open(now, &mut actions);
        }
        self.with_timer(actions)
    }

    /// The connection is over: the server closed it, it broke, or this host has lost its end.
    pub fn handle_close(&mut self, reason: Reason) -> Vec<Action> {
        let mut actions = Actions::new();
        self.close(reason, &mut actions);
        actions
    }

    /// Ends the session as the user wishes: says `quit`, and closes when it is answered or [`QUIT_TIMEOUT`] has passed.
    pub fn quit(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Actions::new();
        match self.state {
            State::Connecting => self.close(Reason::Quit, &mut actions),
            State::Quitting(_) | State::Closed => {}
            State::AwaitingGreeting | State::AwaitingOffer | State::Up => {
                self.leave(Reason::Quit, now, &mut actions);
            }
        }
        self.with_timer(actions)
    }

    /// What the session is at, in a word or two for the status line.
    pub fn state(&self) -> &'static str {
        match self.state {
            State::Connecting => "connecting",
            State::AwaitingGreeting => "waiting for the greeting",
            State::AwaitingOffer => "logging in",
            State::Up => "up",
            State::Quitting(_) => "leaving",
            State::Closed => "closed",
        }
    }

    /// The time between the last answered ping and its answer.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    fn enter(&mut self, state: State, deadline: Instant) {
        self.state = state;
        self.deadline = deadline;
    }

    fn handle_line(&mut self, line: &str, now: Instant, actions: &mut Actions) {
        let line = &self.mask(line);
        actions.push(Action::Heard(clean(line)));
        match (Reply::read(line), &self.state) {
            (_, State::Connecting | State::Closed) => {}
            (_, State::Quitting(_)) => self.handle_farewell(actions),
            (Err(error), _) => self.close(error.into(), actions),
            (Ok(reply), State::AwaitingGreeting) => self.handle_greeting(reply, now, actions),
            (Ok(reply), State::AwaitingOffer) => self.handle_offer(reply, now, actions),
            (Ok(reply), State::Up) => self.handle_pong(reply, now, actions),
        }
    }

    /// A server may quote what we said.
    fn mask(&self, line: &str) -> String {
        self.response.as_ref().map_or_else(|| line.to_owned(), |response| response.mask(line))
    }

    /// `+OK CHALLENGE free text`
    fn handle_greeting(&mut self, reply: Reply, now: Instant, actions: &mut Actions) {
        let words = match reply {
            Reply::Ok(words) => words,
            Reply::Error(text) => return self.close(Reason::ServerError(text), actions),
        };
        let Some(word) = words.first() else { return self.close(Reason::NoChallenge, actions) };
        let login = &self.login;
        let response = Challenge::new(word).response(&login.user, &login.password);
        self.response = Some(response.clone());
        actions.push(Action::Send(Command::Tunnel {
            user: login.user.clone(),
            response,
            tunnel_type: login.tunnel_type,
            udp: login.udp,
        }));
        self.enter(State::AwaitingOffer, now + OFFER_TIMEOUT);
    }

    /// `+OK ME HER ...`
    fn handle_offer(&mut self, reply: Reply, now: Instant, actions: &mut Actions) {
        let words = match reply {
            Reply::Ok(words) => words,
            Reply::Error(text) => {
                let refusal = self.refusal(text);
                return self.leave(refusal, now, actions);
            }
        };
        let asked = Asked {
            tunnel_type: self.login.tunnel_type,
            udp: self.login.udp.is_some(),
            on_loopback: self.own.is_loopback(),
        };
        match Offer::read(&words, asked) {
            Err(error) => self.leave(error.into(), now, actions),
            Ok((offer, _)) if self.login.nat_check && offer.me != self.own => {
                self.leave(Reason::BehindNat { own: self.own, seen: offer.me }, now, actions);
            }
            Ok((offer, ignored)) => {
                if !ignored.is_empty() {
                    let words = clean(&ignored.join(" "));
                    actions.push(Action::Notice(format!(
                        "not understood, and ignored, of the server's words: {words}"
                    )));
                }
                self.come_up(offer, now, actions);
            }
        }
    }

    fn refusal(&self, text: String) -> Reason {
        let lowercase = text.to_lowercase();
        if lowercase.contains("unsupported tunnel type") {
            Reason::UnsupportedTunnelType(text)
        } else if lowercase.contains("sold out") {
            Reason::NoTunnelFree(text)
        } else if lowercase.contains("timed out") {
            Reason::ServerError(text)
        } else {
            Reason::LoginRefused { text, udp: self.login.udp.is_some() }
        }
    }

    /// The first ping goes out at once: it shows that the server is there, and how far away.
    fn come_up(&mut self, offer: Offer, now: Instant, actions: &mut Actions) {
        actions.push(Action::MakeTunnel(offer));
        self.state = State::Up;
        self.ping(now, actions);
        if self.login.udp == Some(Announcement::Untold) {
            self.keep_nat_open(now, actions);
        }
    }

    /// Any `+OK` answers a ping.
    fn handle_pong(&mut self, reply: Reply, now: Instant, actions: &mut Actions) {
        match reply {
            Reply::Error(text) => self.close(Reason::ServerError(text), actions),
            Reply::Ok(_) => {
                if let Some(sent) = self.ping_sent.take() {
                    self.round_trip = Some(now.saturating_duration_since(sent));
                }
            }
        }
    }

    /// Whatever is said answers `quit`, unless the answer to a ping is still to come before it.
    fn handle_farewell(&mut self, actions: &mut Actions) {
        if self.ping_sent.take().is_none() {
            self.close(Reason::Quit, actions);
        }
    }

    fn handle_deadline(&mut self, now: Instant, actions: &mut Actions) {
        match &self.state {
            State::Connecting => self.close(Reason::NoConnection, actions),
            State::AwaitingGreeting => self.close(Reason::NoGreeting, actions),
            State::AwaitingOffer => self.close(Reason::NoOffer, actions),
            State::Up if self.ping_sent.is_some() => self.close(Reason::NoPong, actions),
            State::Up => self.ping(now, actions),
            State::Quitting(_) => self.close(Reason::Quit, actions),
            State::Closed => {}
        }
    }

    fn ping(&mut self, now: Instant, actions: &mut Actions) {
        actions.push(Action::Send(Command::Ping));
        self.ping_sent = Some(now);
        self.deadline = now + PING_INTERVAL;
    }

    fn keep_nat_open(&mut self, now: Instant, actions: &mut Actions) {
        actions.push(Action::KeepNatOpen);
        self.keepalives_sent = self.keepalives_sent.saturating_add(1);
        let first = self.keepalives_sent < FIRST_KEEPALIVE_COUNT;
        self.keepalive = Some(now + if first { FIRST_KEEPALIVES } else { KEEPALIVE_INTERVAL });
    }

    /// Says `quit`; `reason` is told once the session is over.
    fn leave(&mut self, reason: Reason, now: Instant, actions: &mut Actions) {
        actions.push(Action::Send(Command::Quit));
        self.keepalive = None;
        self.enter(State::Quitting(reason), now + QUIT_TIMEOUT);
    }

    /// Ends the session. Where `quit` has been said, the reason for that counts, however the server takes it.
    fn close(&mut self, reason: Reason, actions: &mut Actions) {
        let reason = match std::mem::replace(&mut self.state, State::Closed) {
            State::Quitting(decided) => decided,
            _ => reason,
        };
        self.keepalive = None;
        actions.push(Action::Close(reason));
    }

    /// Adds the timer, where it has changed and the session goes on.
    fn with_timer(&mut self, mut actions: Actions) -> Actions {
        let next = self.keepalive.map_or(self.deadline, |keepalive| keepalive.min(self.deadline));
        if !matches!(self.state, State::Closed) && self.timer != Some(next) {
            self.timer = Some(next);
            actions.push(Action::SetTimer(next));
        }
        actions
    }
}
