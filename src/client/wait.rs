//! The only place where the program waits.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Client, Phase};
use crate::status_socket::StatusSocket;
use crate::timeout::time_until;

/// The time between two looks at whether the tunnel can be used, while the process that started the daemon waits.
const STARTER_INTERVAL: Duration = Duration::from_millis(100);

/// Something that the client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Signals,
    Lookup,
    /// The connection is made, or has something to read.
    Socket,
    /// The script's output.
    Script,
    Routes,
    /// Echo replies.
    Echo,
    /// Somebody asks for the status.
    Status,
}

impl Client<'_> {
    /// Waits for the next event or timer, and returns the sources that are ready.
    pub(super) fn wait(&self, phase: &Phase) -> nix::Result<Vec<Source>> {
        let (sources, mut fds): (Vec<_>, Vec<_>) = self.sources(phase).into_iter().unzip();
        let status = self.status_socket.as_ref().and_then(StatusSocket::timer);
        let starter = self.waits_for_address(phase).map(|_| Instant::now() + STARTER_INTERVAL);
        let timers = [phase.timer(), self.scripts.timer(), self.look, self.again, status, starter];
        let timer = timers.into_iter().flatten().min();
        // A signal that interrupts it is ready to be read the next time, so that no event is taken for a time-out.
        while let Err(errno) = poll(&mut fds, timer.map_or(PollTimeout::NONE, time_until)) {
            if errno != Errno::EINTR {
                return Err(errno);
            }
        }
        // An error or a hang-up also counts as ready: the next read returns it.
        let ready = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
        Ok(sources.into_iter().zip(&fds).filter(|(_, fd)| ready(fd)).map(|(source, _)| source).collect())
    }

    fn sources<'a>(&'a self, phase: &'a Phase) -> Vec<(Source, PollFd<'a>)> {
        let mut sources = vec![readable(Source::Signals, self.signals.as_fd())];
        match phase {
            Phase::Resolving(lookup) => sources.push(readable(Source::Lookup, lookup.task.as_fd())),
            Phase::Connecting(connecting) => {
                sources.push((Source::Socket, PollFd::new(connecting.attempt.as_fd(), PollFlags::POLLOUT)));
            }
            Phase::Session(active) => sources.push(readable(Source::Socket, active.connection.as_fd())),
            Phase::Leaving(leaving) => sources.push(readable(Source::Socket, leaving.connection.as_fd())),
            Phase::Waiting { .. } | Phase::Ending(_) => {}
        }
        sources.extend(self.scripts.output().map(|fd| readable(Source::Script, fd)));
        let routes = self.routes.as_ref().filter(|_| self.look.is_none());
        sources.extend(routes.map(|routes| readable(Source::Routes, routes.as_fd())));
        let status = self.status_socket.as_ref().and_then(StatusSocket::as_fd);
        sources.extend(status.map(|fd| readable(Source::Status, fd)));
        sources.extend(self.tunnel.echo_replies_fd().map(|fd| readable(Source::Echo, fd)));
        sources
    }
}

fn readable(source: Source, fd: BorrowedFd<'_>) -> (Source, PollFd<'_>) {
    (source, PollFd::new(fd, PollFlags::POLLIN))
}
