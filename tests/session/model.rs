//! A model of the server and of the wire, in virtual time.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use dtcpclient::protocol::{Action, ClientLine, Login, Reason, Session, TunnelType};
use zeroize::Zeroizing;

/// Who logs in, unless a test says otherwise.
pub(crate) fn login() -> Login {
    Login {
        user: "foo".to_owned(),
        password: Zeroizing::new(b"bar".to_vec()),
        tunnel_type: TunnelType::TunnelOnly,
        udp: None,
        nat_check: true,
    }
}

/// How the server behaves. An empty line is not sent.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// One way, on the wire.
    pub latency: Duration,
    pub greeting: &'static str,
    pub offer: &'static str,
    /// When it stops to send anything, counted from the connection.
    pub silent_from: Duration,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(10),
            greeting: "+OK 0B1517C87D516A5FA65BED722D51A04F hello",
            offer: "+OK 192.0.2.1 192.0.2.2",
            silent_from: Duration::MAX,
        }
    }
}

impl Server {
    fn answer(&self, line: &ClientLine) -> &'static str {
        match line {
            ClientLine::Tunnel { .. } => self.offer,
            ClientLine::Ping => "+OK pong",
            ClientLine::Quit => "+OK see you soon.",
        }
    }
}

pub(crate) struct World {
    pub session: Session,
    server: Server,
    start: Instant,
    now: Instant,
    /// Lines on their way to the client, in the order of their arrival.
    wire: VecDeque<(Instant, &'static str)>,
    /// The session's actions, except for what it received.
    seen: Vec<(Duration, Action)>,
    /// Whether the kernel refuses the tunnel.
    pub kernel_refuses: bool,
    /// Whether the caller has left the session.
    left: bool,
}

impl World {
    /// A session with this server, after some time.
    pub(crate) fn after(time: Duration, login: Login, server: Server) -> Self {
        let start = Instant::now();
        let session = Session::new(Rc::new(login), Ipv4Addr::new(192, 0, 2, 1), start);
        let mut world = Self {
            session,
            start,
            now: start,
            wire: VecDeque::new(),
            seen: Vec::new(),
            kernel_refuses: false,
            left: false,
            server,
        };
        world.answer(world.server.greeting, start);
        world.run_for(time);
        world
    }

    /// A session in which the server says only what the test has the client hear.
    pub(crate) fn mute(login: Login) -> Self {
        Self::after(Duration::ZERO, login, Server { silent_from: Duration::ZERO, ..Server::default() })
    }

    /// Lets virtual time pass.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.ended().is_none() {
            let arrival = self.wire.front().map(|(at, _)| *at);
            let next = arrival.into_iter().chain(self.session.timer()).min();
            let Some(next) = next.filter(|at| *at < end) else { break };
            assert!(next >= self.now, "time goes back");
            self.now = next;
            if let Some((_, line)) = self.wire.pop_front_if(|(at, _)| *at == next) {
                self.hear(format!("{line}\r\n").as_bytes());
            } else {
                self.handle_timer();
            }
        }
        self.now = end;
    }

    /// Bytes that come to the client.
    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        let actions = self.session.handle_bytes(bytes, self.now);
        self.carry_out(actions);
    }

    /// Bytes that come while the client is stopped, and are read before its timers are looked at.
    pub(crate) fn hear_late(&mut self, time: Duration, bytes: &[u8]) {
        self.now += time;
        self.hear(bytes);
        if self.session.timer().is_some_and(|at| at <= self.now) {
            self.handle_timer();
        }
    }

    /// The caller leaves.
    pub(crate) fn leave(&mut self) {
        self.session.leave();
        self.left = true;
    }

    pub(crate) fn ping_early(&mut self) {
        self.session.ping_early(self.now);
    }

    pub(crate) fn seen(&self) -> &[(Duration, Action)] {
        &self.seen
    }

    pub(crate) fn times_of(&self, which: impl Fn(&Action) -> bool) -> Vec<Duration> {
        self.seen.iter().filter(|(_, action)| which(action)).map(|(at, _)| *at).collect()
    }

    /// How many times a tunnel was made or changed.
    pub(crate) fn tunnels(&self) -> usize {
        self.times_of(|action| matches!(action, Action::MakeTunnel(_))).len()
    }

    /// Whether one side has left.
    pub(crate) fn is_over(&self) -> bool {
        self.left || self.ended().is_some()
    }

    /// When the session ended, and why.
    pub(crate) fn ended(&self) -> Option<(Duration, Reason)> {
        self.seen.iter().find_map(|(at, action)| match action {
            Action::Leave(reason) | Action::Close(reason) => Some((*at, reason.clone())),
            _ => None,
        })
    }

    /// Why the session ended.
    pub(crate) fn reason(&self) -> Reason {
        self.ended().expect("it ends").1
    }

    fn answer(&mut self, line: &'static str, at: Instant) {
        if !line.is_empty() && at - self.start < self.server.silent_from {
            self.wire.push_back((at + self.server.latency, line));
        }
    }

    fn handle_timer(&mut self) {
        let actions = self.session.handle_timer(self.now);
        assert!(!actions.is_empty(), "a timer for nothing");
        self.carry_out(actions);
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            if matches!(action, Action::Received(_)) {
                continue;
            }
            assert!(self.may_come(&action), "{action:?} after {:?}", self.seen);
            self.seen.push((self.now - self.start, action.clone()));
            match action {
                Action::Send(line) => self.answer(self.server.answer(&line), self.now + self.server.latency),
                Action::MakeTunnel(_) if self.kernel_refuses => self.leave(),
                Action::MakeTunnel(_) => {
                    let actions = self.session.tunnel_made(self.now);
                    self.carry_out(actions);
                }
                _ => {}
            }
        }
    }

    /// The rules of a session: what may come at each stage.
    fn may_come(&self, action: &Action) -> bool {
        use Reason::{
            BadLine, BadReply, NoChallenge, NoGreeting, NoOffer, NoPong, ServerError, TooManyLines,
        };
        let stage = self.times_of(|action| matches!(action, Action::Send(_) | Action::MakeTunnel(_))).len();
        let of_this_stage = match stage {
            0 => matches!(
                action,
                Action::Send(ClientLine::Tunnel { .. })
                    | Action::Close(NoGreeting | NoChallenge | ServerError(_))
            ),
            1 => matches!(
                action,
                Action::Ignored(_) | Action::MakeTunnel(_) | Action::Leave(_) | Action::Close(NoOffer)
            ),
            _ => matches!(action, Action::Send(ClientLine::Ping) | Action::Close(NoPong | ServerError(_))),
        };
        let of_any_stage = matches!(action, Action::Close(BadLine(_) | BadReply(_) | TooManyLines));
        !self.is_over() && (of_this_stage || of_any_stage)
    }
}
