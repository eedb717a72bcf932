//! Looks up the server and connects to it.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::time::Instant;

use log::Level;

use super::connection::Attempt;
use super::{Active, CONNECT_TIMEOUT, Client, Connecting, Failure, Phase};
use crate::protocol::Session;

impl Client<'_> {
    /// Looks up the server's name. This is done for each attempt, since the server may have moved.
    pub(super) fn look_up(&mut self, now: Instant) -> Phase {
        match self.resolver.start(&self.plan.tunnel.server, now) {
            Ok(lookup) => Phase::Resolving(lookup),
            Err(error) => self.fail(&self.no_address(error), now),
        }
    }

    pub(super) fn no_address(&self, source: io::Error) -> Failure {
        Failure::NoAddress { server: self.plan.tunnel.server.clone(), source }
    }

    pub(super) fn handle_lookup(&mut self, phase: Phase, now: Instant) -> Phase {
        let Phase::Resolving(lookup) = phase else { return phase };
        // A signal that came with the end of one lookup may have begun another.
        if !lookup.task.is_done() {
            return Phase::Resolving(lookup);
        }
        match lookup.task.finish() {
            Ok(addresses) => self.connect(addresses.into(), None, now),
            Err(error) => self.fail(&self.no_address(error), now),
        }
    }

    /// Tries the next address. If there are no more, the attempt fails with the error of the last one.
    pub(super) fn connect(
        &mut self,
        mut remaining: VecDeque<Ipv4Addr>,
        mut last: Option<Failure>,
        now: Instant,
    ) -> Phase {
        while let Some(address) = remaining.pop_front() {
            if let Some(failure) = last {
                self.report(&failure, Level::Info);
            }
            match Attempt::start(SocketAddrV4::new(address, self.plan.port)) {
                Ok(attempt) => {
                    let deadline = now + CONNECT_TIMEOUT;
                    return Phase::Connecting(Connecting { attempt, deadline, remaining });
                }
                Err(failure) => last = Some(failure),
            }
        }
        let failure = last.unwrap_or_else(|| self.no_address(io::Error::other("it has no IPv4 address")));
        self.fail(&failure, now)
    }

    pub(super) fn finish_connecting(&mut self, connecting: Connecting, now: Instant) -> Phase {
        let connection = match connecting.attempt.finish() {
            Ok(connection) => connection,
            Err(failure) => return self.connect(connecting.remaining, Some(failure), now),
        };
        if let Err(error) = self.tunnel.check_free(connection.local, *connection.peer.ip()) {
            return self.fail(&error.into(), now);
        }
        let session = Session::new(Rc::clone(&self.plan.login), connection.local, now);
        Phase::Session(Box::new(Active { connection, session, up: None, remaining: connecting.remaining }))
    }
}
