//! Signals, turned into a descriptor that a loop can wait for.
//!
//! The handlers stay until the process ends. signal-hook spins in register and unregister alike until no thread is in a
//! handler; on one CPU that takes as long as the scheduler keeps that thread from running. So the program registers
//! once, before it starts a thread, and never unregisters.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::SigSet;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// End the program. The signal's name is for the log.
    Stop(&'static str),
    /// SIGHUP: log in again.
    LogInAgain,
    /// SIGUSR1, and on FreeBSD SIGINFO: log the state.
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

/// Signals of this process and their meanings `S`.
pub struct Signals<S = Signal> {
    /// One byte comes for each signal; the flags say which one it was.
    woken: UnixStream,
    flags: Vec<(S, Arc<AtomicBool>)>,
}

impl Signals {
    /// Takes over the signals that the program knows. To be called once.
    pub fn watch() -> io::Result<Self> {
        Self::of(WATCHED)
    }
}

impl<S: Copy> Signals<S> {
    /// Takes over the signals with these numbers.
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
        // The process may have inherited a mask that blocks them. A thread or child has the mask of its parent.
        unblocked.thread_unblock()?;
        Ok(signals)
    }

    /// To poll for reading.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.woken.as_fd()
    }

    /// The signals since the last call.
    pub fn take(&mut self) -> Vec<S> {
        let mut bytes = [0; 64];
        // First the bytes, then the flags: a signal between the two is found again the next time.
        while self.woken.read(&mut bytes).is_ok_and(|length| length == bytes.len()) {}
        let raised = |(_, flag): &&(S, Arc<AtomicBool>)| flag.swap(false, Ordering::SeqCst);
        self.flags.iter().filter(raised).map(|(signal, _)| *signal).collect()
    }
}
