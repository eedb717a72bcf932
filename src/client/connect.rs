//! From the server's name to a connection.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::time::Instant;

use log::info;

use super::connection::{Attempt, Connection};
use super::{Active, CONNECT_TIMEOUT, Client, Connecting, Failure, Phase};
use crate::lookup::Lookup;
use crate::protocol::Session;

impl Client<'_> {
    /// Looks up the server's name: again for each attempt, since the server may have moved.
    pub(super) fn look_up(&mut self, now: Instant) -> Phase {
        match Lookup::start(&self.plan.tunnel.server) {
            Ok(lookup) => Phase::Resolving(lookup),
            Err(error) => self.fail(&self.no_address(error), now),
        }
    }

    fn no_address(&self, source: io::Error) -> Failure {
        Failure::NoAddress { server: self.plan.tunnel.server.clone(), source }
    }

    pub(super) fn handle_lookup(&mut self, phase: Phase, now: Instant) -> Phase {
        let Phase::Resolving(lookup) = phase else { return phase };
        match lookup.finish() {
            Ok(addresses) => self.connect(addresses.into(), None, now),
            Err(error) => self.fail(&self.no_address(error), now),
        }
    }

    /// Tries the next address. Without one, the attempt has failed as the last address did.
    pub(super) fn connect(
        &mut self,
        mut remaining: VecDeque<Ipv4Addr>,
        mut last: Option<Failure>,
        now: Instant,
    ) -> Phase {
        while let Some(address) = remaining.pop_front() {
            if let Some(failure) = last {
                info!("{}", failure.report());
            }
            let peer = SocketAddrV4::new(address, self.plan.port);
            match Attempt::start(peer) {
                Ok(attempt) => {
                    let deadline = now + CONNECT_TIMEOUT;
                    return Phase::Connecting(Connecting { attempt, deadline, remaining });
                }
                Err(source) => last = Some(Failure::NoConnection { peer, source }),
            }
        }
        let failure = last.unwrap_or_else(|| self.no_address(io::Error::other("it has no IPv4 address")));
        self.fail(&failure, now)
    }

    pub(super) fn finish_connecting(&mut self, connecting: Connecting, now: Instant) -> Phase {
        let Connecting { attempt, remaining, .. } = connecting;
        let peer = attempt.peer();
        match attempt.finish() {
            Ok(connection) => self.begin(connection, peer, now),
            Err(source) => self.connect(remaining, Some(Failure::NoConnection { peer, source }), now),
        }
    }

    fn begin(&self, connection: Connection, peer: SocketAddrV4, now: Instant) -> Phase {
        let local = connection.local();
        info!("connected to {peer} from {local}");
        let session = Session::new(Rc::clone(&self.plan.login), local, now);
        Phase::Session(Box::new(Active { connection, session, up: None, orphaned: None }))
    }

    pub(super) fn time_out(&mut self, connecting: Connecting, now: Instant) -> Phase {
        let source = io::Error::from(io::ErrorKind::TimedOut);
        let failure = Failure::NoConnection { peer: connecting.attempt.peer(), source };
        self.connect(connecting.remaining, Some(failure), now)
    }
}
