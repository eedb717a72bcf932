//! Reports signals through a descriptor that can be polled.
//!
//! The handlers are never removed. When a handler is registered or removed, signal-hook spins until no thread is in a
//! handler, which on a single CPU lasts until the scheduler runs that thread. So handlers are only registered, and
//! before the program starts a thread.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::SigSet;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};

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
pub struct Signals<S = Signal> {
    /// Receives a byte for each signal; the flags show which signals came.
    woken: UnixStream,
    flags: Vec<(S, Arc<AtomicBool>)>,
}

impl Signals {
    /// Catches the signals that the program handles. Call this once.
    pub fn watch() -> io::Result<Self> {
        Self::of(WATCHED)
    }
}

impl<S: Copy> Signals<S> {
    /// Catches the signals with these numbers.
    pub(crate) fn of(watched: &[(i32, S)]) -> io::Result<Self> {
        let (woken, wake) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        let mut signals = Self { woken, flags: Vec::new() };
        let mut unblocked = SigSet::empty();
        for &(number, signal) in watched {
            unblocked.add(number.try_into()?);
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(number, Arc::clone(&flag))?;
            signal_hook::low_level::pipe::register(number, wake.try_clone()?)?;
            signals.flags.push((signal, flag));
        }
        // The parent may have blocked them. Threads that start later inherit this mask.
        unblocked.thread_unblock()?;
        Ok(signals)
    }

    /// The descriptor to poll for reading.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.woken.as_fd()
    }

    /// Returns the signals since the last call.
    pub fn take(&mut self) -> Vec<S> {
        let mut bytes = [0; 64];
        // The bytes first, then the flags: a signal in between is seen at the next call.
        while self.woken.read(&mut bytes).is_ok_and(|length| length == bytes.len()) {}
        let raised = |(_, flag): &&(S, Arc<AtomicBool>)| flag.swap(false, Ordering::SeqCst);
        self.flags.iter().filter(raised).map(|(signal, _)| *signal).collect()
    }
}
