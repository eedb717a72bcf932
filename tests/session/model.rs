//! A model of the server and of the wire, in virtual time.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use dtcpclient::protocol::{Action, Reason, Session};
use zeroize::Zeroizing;

pub(crate) use dtcpclient::protocol::Login;

/// Who logs in, unless a test says otherwise.
pub(crate) fn login() -> Login {
    Login {
        user: "foo".to_owned(),
        password: Zeroizing::new(b"bar".to_vec()),
        tunnel_type: dtcpclient::protocol::TunnelType::TunnelOnly,
        udp: None,
        nat_check: true,
    }
}

/// What goes wrong, and when (counted from the connection).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    MuteBeforeGreeting,
    MuteAfterGreeting,
    SilentFrom(Duration),
    SaysAt(Duration, &'static str),
    /// The kernel refuses the tunnel.
    NoTunnel,
}

/// How the server behaves.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// One way, on the wire.
    pub latency: Duration,
    /// An empty line is not sent.
    pub greeting: &'static str,
    pub offer: &'static str,
    pub fault: Fault,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(10),
            greeting: "+OK 0B1517C87D516A5FA65BED722D51A04F hello",
            offer: "+OK 192.0.2.1 192.0.2.2",
            fault: Fault::None,
        }
    }
}

impl Server {
    fn answer(&self, line: &str) -> &'static str {
        match line.split(' ').next() {
            Some("tunnel") => self.offer,
            Some("ping") => "+OK pong",
            Some("quit") => "+OK see you soon.",
            _ => "-ERR invalid command",
        }
    }

    fn is_silent(&self, at: Duration, greeting: bool) -> bool {
        match self.fault {
            Fault::MuteBeforeGreeting => true,
            Fault::MuteAfterGreeting => !greeting,
            Fault::SilentFrom(from) => at >= from,
            _ => false,
        }
    }
}

/// What the session asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Sent(String),
    Tunnel,
    Ignored(String),
    Left(Reason),
    Closed(Reason),
}

/// Something on the wire.
enum Event {
    ToClient(&'static str),
    ToServer(String),
}

pub(crate) struct World {
    pub session: Session,
    server: Server,
    start: Instant,
    now: Instant,
    /// In the order of their instants.
    wire: VecDeque<(Instant, Event)>,
    seen: Vec<(Duration, Seen)>,
}

impl World {
    pub(crate) fn new(login: Login, server: Server) -> Self {
        let start = Instant::now();
        let session = Session::new(Rc::new(login), Ipv4Addr::new(192, 0, 2, 1), start);
        let mut world = Self { session, start, now: start, wire: VecDeque::new(), seen: Vec::new(), server };
        world.answer(world.server.greeting, true);
        if let Fault::SaysAt(at, line) = world.server.fault {
            world.put(at, Event::ToClient(line));
        }
        world
    }

    /// Lets virtual time pass.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.ended().is_none() {
            let next_event = self.wire.front().map(|(at, _)| *at);
            let Some(next) =
                [next_event, self.session.timer()].into_iter().flatten().min().filter(|at| *at < end)
            else {
                break;
            };
            assert!(next >= self.now, "time goes back");
            self.now = next;
            if next_event == Some(next) {
                self.deliver();
            } else {
                let actions = self.session.handle_timer(next);
                assert!(!actions.is_empty(), "a timer for nothing");
                self.carry_out(actions);
            }
        }
        self.now = end;
    }

    pub(crate) fn now(&self) -> Duration {
        self.now - self.start
    }

    /// Bytes that come from nowhere.
    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        let actions = self.session.handle_bytes(bytes, self.now);
        self.carry_out(actions);
    }

    pub(crate) fn ping_early(&mut self) {
        self.session.ping_early(self.now);
    }

    pub(crate) fn seen(&self) -> &[(Duration, Seen)] {
        &self.seen
    }

    pub(crate) fn times_of(&self, which: impl Fn(&Seen) -> bool) -> Vec<Duration> {
        self.seen.iter().filter(|(_, seen)| which(seen)).map(|(at, _)| *at).collect()
    }

    pub(crate) fn tunnels(&self) -> usize {
        self.times_of(|seen| *seen == Seen::Tunnel).len()
    }

    /// When the session ended, and why.
    pub(crate) fn ended(&self) -> Option<(Duration, Reason)> {
        self.seen.iter().find_map(|(at, seen)| match seen {
            Seen::Left(reason) | Seen::Closed(reason) => Some((*at, reason.clone())),
            _ => None,
        })
    }

    fn put(&mut self, after: Duration, event: Event) {
        let at = self.now + after;
        let place = self.wire.partition_point(|(other, _)| *other <= at);
        self.wire.insert(place, (at, event));
    }

    fn deliver(&mut self) {
        let Some((_, event)) = self.wire.pop_front() else { return };
        let actions = match event {
            Event::ToServer(line) => {
                self.answer(self.server.answer(&line), false);
                return;
            }
            Event::ToClient(line) => self.session.handle_bytes(format!("{line}\r\n").as_bytes(), self.now),
        };
        self.carry_out(actions);
    }

    fn answer(&mut self, line: &'static str, greeting: bool) {
        if !line.is_empty() && !self.server.is_silent(self.now(), greeting) {
            self.put(self.server.latency, Event::ToClient(line));
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            let seen = match action {
                Action::Received(_) => continue,
                Action::Send(line) => {
                    let line = line.line();
                    let line = line.strip_suffix("\r\n").expect("lines end with CR LF").to_owned();
                    self.put(self.server.latency, Event::ToServer(line.clone()));
                    Seen::Sent(line)
                }
                Action::MakeTunnel(_) if self.server.fault == Fault::NoTunnel => return self.session.leave(),
                Action::MakeTunnel(_) => {
                    self.seen.push((self.now(), Seen::Tunnel));
                    let actions = self.session.tunnel_made(self.now);
                    return self.carry_out(actions);
                }
                Action::Ignored(words) => Seen::Ignored(words),
                Action::Leave(reason) => Seen::Left(reason),
                Action::Close(reason) => Seen::Closed(reason),
            };
            assert!(self.ended().is_none(), "after the end: {seen:?}");
            self.seen.push((self.now(), seen));
        }
    }
}
