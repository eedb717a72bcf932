//! Reports signals through a descriptor that can be polled.
//!
//! The handlers are never removed. When a handler is registered or removed, signal-hook spins until no thread is in a
//! handler, which on a single CPU lasts until the scheduler runs that thread. So handlers are only registered, and
//! before the program starts a thread.

use std::io;
use std::mem::forget;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use nix::sys::signal::SigSet;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

/// The meaning of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Exit. The signal's name is for the log.
    Stop(&'static str),
    /// SIGHUP: log in again.
    LogInAgain,
    /// SIGUSR1, and on FreeBSD SIGINFO: log the status.
    LogStatus,
    /// SIGCHLD: a child has ended.
    Child,
}

const WATCHED: &[(i32, Signal)] = &[
    (SIGTERM, Signal::Stop("SIGTERM")),
    (SIGINT, Signal::Stop("SIGINT")),
    (SIGHUP, Signal::LogInAgain),
    (SIGUSR1, Signal::LogStatus),
    #[cfg(target_os = "freebsd")]
    (nix::libc::SIGINFO, Signal::LogStatus),
    (SIGCHLD, Signal::Child),
];

/// Caught signals with their meanings `S`.
pub struct Signals<S: 'static = Signal> {
    delivery: SignalDelivery<UnixStream, SignalOnly>,
    watched: &'static [(i32, S)],
}

impl Signals {
    /// Catches the signals that the program handles. Call this once.
    pub fn watch() -> io::Result<Self> {
        Self::of(WATCHED)
    }
}

impl<S: Copy> Signals<S> {
    /// Catches the signals with these numbers.
    pub(crate) fn of(watched: &'static [(i32, S)]) -> io::Result<Self> {
        let (woken, wake) = UnixStream::pair()?;
        let numbers = watched.iter().map(|(number, _)| number);
        let delivery = SignalDelivery::with_pipe(woken, wake, SignalOnly, numbers)?;
        // The last handle would remove the handlers.
        forget(delivery.handle());
        let mut unblocked = SigSet::empty();
        for &(number, _) in watched {
            unblocked.add(number.try_into()?);
        }
        // The parent may have blocked them. Threads that start later inherit this mask.
        unblocked.thread_unblock()?;
        Ok(Self { delivery, watched })
    }

    /// The descriptor to poll for reading.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }

    /// Returns the signals since the last call.
    pub fn take(&mut self) -> Vec<S> {
        let raised: Vec<_> = self.delivery.pending().collect();
        let is_raised = |(number, _): &&(i32, S)| raised.contains(number);
        self.watched.iter().filter(is_raised).map(|(_, signal)| *signal).collect()
    }
}
