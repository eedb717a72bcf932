//! A session in virtual time, with a server that answers at once.

use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use dtcpclient::protocol::{Action, ClientLine, Login, Session, TunnelType};

/// The client's end of the connection.
pub(crate) const HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub(crate) const GREETING: &[u8] = b"+OK 0B1517C87D516A5FA65BED722D51A04F hello\r\n";
pub(crate) const OFFER: &[u8] = b"+OK 192.0.2.2 192.0.2.1 2001:db8::6 2001:db8::5 2001:db8:1::/48\r\n";
pub(crate) const PONG: &[u8] = b"+OK hi, happy to hear from you\r\n";

/// Who logs in.
pub(crate) fn login() -> Rc<Login> {
    Rc::new(Login {
        user: "foo".to_owned(),
        password: b"bar".to_vec().into(),
        tunnel_type: TunnelType::Network,
        udp: None,
        nat_check: true,
    })
}

/// A session, and the number of actions so far.
pub(crate) struct Life {
    session: Session,
    start: Instant,
    pub actions: usize,
}

impl Life {
    /// Begins with the connection.
    pub(crate) fn new(login: Rc<Login>, start: Instant) -> Self {
        Self { session: Session::new(login, HERE, start), start, actions: 0 }
    }

    /// Logs in, and is pinged for the first time.
    pub(crate) fn log_in(&mut self) {
        let now = self.start;
        let actions = self.session.handle_bytes(GREETING, now);
        self.perform(actions, now);
    }

    /// Lives until this time after the connection.
    pub(crate) fn live_until(&mut self, age: Duration) {
        let end = self.start + age;
        while let Some(now) = self.session.timer().filter(|at| *at < end) {
            let actions = self.session.handle_timer(now);
            self.perform(actions, now);
        }
    }

    fn perform(&mut self, actions: Vec<Action>, now: Instant) {
        for action in actions {
            self.actions += 1;
            let next = match action {
                Action::Send(ClientLine::Tunnel { .. }) => self.session.handle_bytes(OFFER, now),
                Action::Send(ClientLine::Ping) => self.session.handle_bytes(PONG, now),
                Action::MakeTunnel(_) => self.session.tunnel_made(now),
                other => panic!("the server is well, but: {other:?}"),
            };
            self.perform(next, now);
        }
    }
}
