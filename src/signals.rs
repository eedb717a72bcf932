//! Signals, turned into something that a loop can wait for.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::SigId;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, SIGINT: end.
    Stop,
    /// SIGHUP: log in again.
    LogInAgain,
    /// SIGUSR1, and SIGINFO where there is one: tell the state.
    Tell,
    /// SIGCHLD: a child has ended.
    Child,
}

const WATCHED: &[(i32, Signal)] = &[
    (SIGTERM, Signal::Stop),
    (SIGINT, Signal::Stop),
    (SIGHUP, Signal::LogInAgain),
    (SIGUSR1, Signal::Tell),
    #[cfg(target_os = "freebsd")]
    (nix::libc::SIGINFO, Signal::Tell),
    (SIGCHLD, Signal::Child),
];

/// Signals of this process and their meanings `S`, from its making to its drop.
pub struct Signals<S = Signal> {
    /// One byte comes for each signal; which one it was, the flags say.
    woken: UnixStream,
    flags: Vec<(S, Arc<AtomicBool>)>,
    registered: Vec<SigId>,
}

impl Signals {
    /// Takes over the signals that the program knows.
    pub fn watch() -> io::Result<Self> {
        Self::of(WATCHED)
    }
}

impl<S: Copy> Signals<S> {
    /// Takes over the signals with these numbers.
    pub(crate) fn of(watched: &[(i32, S)]) -> io::Result<Self> {
        let (woken, wake) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        let mut signals = Self { woken, flags: Vec::new(), registered: Vec::new() };
        for &(number, signal) in watched {
            let flag = Arc::new(AtomicBool::new(false));
            signals.registered.push(signal_hook::flag::register(number, Arc::clone(&flag))?);
            signals.registered.push(signal_hook::low_level::pipe::register(number, wake.try_clone()?)?);
            signals.flags.push((signal, flag));
        }
        Ok(signals)
    }

    /// What to poll for reading.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.woken.as_fd()
    }

    /// The signals since the last call.
    pub fn take(&mut self) -> Vec<S> {
        let mut bytes = [0; 64];
        // First the bytes, then the flags: what comes between the two is found again the next time.
        while self.woken.read(&mut bytes).is_ok_and(|length| length == bytes.len()) {}
        let raised = |(_, flag): &&(S, Arc<AtomicBool>)| flag.swap(false, Ordering::SeqCst);
        self.flags.iter().filter(raised).map(|(signal, _)| *signal).collect()
    }
}

impl<S> Drop for Signals<S> {
    fn drop(&mut self) {
        for id in self.registered.drain(..) {
            signal_hook::low_level::unregister(id);
        }
    }
}
