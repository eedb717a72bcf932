//! Detaching from the terminal, and what the process that started the daemon waits for.

use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, RawFd};
use std::time::{Duration, Instant};

use fork::Fork;
use log::{error, warn};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, close, dup2_stderr, dup2_stdin, dup2_stdout, setsid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::exit::Exit;
use crate::signals::Signals;
use crate::timeout::time_until;

/// In the pipe to the starter: the daemon has written its pid file.
const RUNNING: u8 = 1;
/// In the pipe to the starter: the tunnel is up, and the script has ended.
const UP: u8 = 2;

/// How much is read from the daemon, and then printed, at once, in bytes: poll(2) reports room for as much in a pipe
/// (`PIPE_BUF` of FreeBSD).
const MOST_AT_ONCE: usize = 512;
/// The longest [`Starter::grace`].
const LONGEST_GRACE: Duration = Duration::from_secs(2);

/// The process that started the daemon and waits for it, which prints what is written to it. If the daemon ends early,
/// its end of the pipe is closed.
pub struct Starter {
    pipe: PipeWriter,
    /// See [`Starter::grace`].
    grace: Duration,
}

/// Continues in a new process, without a terminal and in the root directory. This process waits until the new one is
/// running or, if `wait` is not zero, until the tunnel is up, but no longer than that. If the new one ends before, this
/// one exits with the same status.
///
/// The daemon keeps standard error until it is running. This process closes the descriptor of the pid file's lock, which is
/// the daemon's. No other thread may be running.
pub(crate) fn detach(wait: Duration, lock: Option<RawFd>) -> io::Result<Starter> {
    let (pipe, daemons_end) = io::pipe()?;
    if let Fork::Parent(daemon) = fork::fork()? {
        drop(daemons_end);
        let _ = lock.map(close);
        let status = wait_for(Pid::from_raw(daemon), pipe, wait).unwrap_or_else(|error| {
            error!("cannot wait for the daemon: {error}");
            Exit::OsError.code().into()
        });
        // Destructors would remove the pid file, which is the daemon's now.
        signal_hook::low_level::exit(status);
    }
    setsid()?;
    chdir("/")?;
    dup2_stdin(File::open("/dev/null")?)?;
    // A starter that does not read must not stop the daemon.
    fcntl(&daemons_end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(Starter { pipe: daemons_end, grace: LONGEST_GRACE.min(wait / 2) })
}

/// Returns the exit status of the starter.
fn wait_for(daemon: Pid, mut pipe: PipeReader, wait: Duration) -> io::Result<i32> {
    // Those of before the fork would be taken from the daemon.
    let mut signals = Signals::of(&[(SIGHUP, ()), (SIGINT, ()), (SIGTERM, ())])?;
    let end = Instant::now() + wait;
    let awaited = if wait.is_zero() { RUNNING } else { UP };
    loop {
        let timeout = if wait.is_zero() { PollTimeout::NONE } else { time_until(end) };
        let [pipe_fd, signals_fd] =
            [pipe.as_fd(), signals.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut [pipe_fd, signals_fd], timeout) {
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
            Ok(0) => warn!(
                "the tunnel is not up after {} s, or the script has not ended: the daemon goes on",
                wait.as_secs()
            ),
            Ok(_) if !signals.take().is_empty() => {
                warn!("interrupted; the daemon goes on");
            }
            Ok(_) => {
                let mut bytes = [0; MOST_AT_ONCE];
                let length = pipe.read(&mut bytes)?;
                if length == 0 {
                    return status_of(daemon);
                }
                if print_up_to(awaited, &bytes[..length]) {
                    return Ok(Exit::Ok.code().into());
                }
                continue;
            }
        }
        return Ok(Exit::NotUp.code().into());
    }
}

/// Prints what the daemon writes, without its marks, unless standard error is closed or full: it must not keep this process
/// from ending in time. Returns whether the awaited mark was there.
fn print_up_to(awaited: u8, bytes: &[u8]) -> bool {
    let text: Vec<u8> = bytes.iter().copied().filter(|byte| ![RUNNING, UP].contains(byte)).collect();
    let mut stderr = io::stderr();
    let writable = poll(&mut [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)], PollTimeout::ZERO);
    if writable == Ok(1) {
        let _ = stderr.write_all(&text);
    }
    bytes.contains(&awaited)
}

/// The status with which the daemon has ended. One that was stopped has no tunnel.
fn status_of(daemon: Pid) -> io::Result<i32> {
    match waitpid(daemon, None)? {
        WaitStatus::Exited(_, 0) => {
            warn!("the daemon was stopped");
            Ok(Exit::NotUp.code().into())
        }
        WaitStatus::Exited(_, status) => Ok(status),
        WaitStatus::Signaled(_, signal, _) => {
            error!("the daemon was killed by {signal}");
            Ok(Exit::Software.code().into())
        }
        other => Err(io::Error::other(format!("it is {other:?}"))),
    }
}

impl Starter {
    /// Reports that the daemon is running, after redirecting standard output and standard error to `/dev/null`.
    pub(crate) fn running(&mut self) -> io::Result<()> {
        let null = OpenOptions::new().write(true).open("/dev/null")?;
        dup2_stdout(&null)?;
        dup2_stderr(&null)?;
        self.tell(RUNNING);
        Ok(())
    }

    /// A writer of lines that the starter prints on its standard error. It never blocks.
    pub(crate) fn console(&self) -> io::Result<PipeWriter> {
        self.pipe.try_clone()
    }

    /// How long the starter waits for the tunnel's address once the tunnel is up. The kernel checks it for duplicates,
    /// which takes a second, or for ever if its own question comes back from the far end.
    pub(crate) fn grace(&self) -> Duration {
        self.grace
    }

    /// A starter that is the reader of this pipe.
    #[cfg(test)]
    pub(crate) fn reading() -> (PipeReader, Self) {
        let (reader, pipe) = io::pipe().expect("a pipe");
        (reader, Self { pipe, grace: LONGEST_GRACE })
    }

    /// Reports that the tunnel is up.
    pub(crate) fn up(mut self) {
        self.tell(UP);
    }

    /// The starter may be gone.
    fn tell(&mut self, mark: u8) {
        let _ = self.pipe.write_all(&[mark]);
    }
}
