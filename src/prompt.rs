//! Asking for the password on the terminal, without echo.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::signals::{Signal, Signals};

/// Room for one line of a terminal: FreeBSD's have 255 bytes (`MAX_CANON`), Linux's 4,095.
const LONGEST: usize = 4096;

/// What became of the question.
pub enum Answer {
    /// This was typed, without the end of line.
    Typed(Zeroizing<Vec<u8>>),
    /// A signal came instead, such as that of Ctrl-C.
    Interrupted,
}

/// Writes `question` on the terminal of this process and reads a line. The terminal is as it was when this returns,
/// whatever happens: signals are waited for beside it. Without a terminal this is an error.
pub fn ask(question: &str, signals: &mut Signals) -> io::Result<Answer> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    let silent = Silent::new(&terminal)?;
    (&terminal).write_all(question.as_bytes())?;
    let answer = read_line(&terminal, signals);
    drop(silent);
    // The end of line was not echoed either.
    let _ = (&terminal).write_all(b"\n");
    answer
}

fn read_line(mut terminal: &File, signals: &mut Signals) -> io::Result<Answer> {
    loop {
        let mut fds = [terminal.as_fd(), signals.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let typed = fds[0].any().unwrap_or_default();
        // A terminal that hangs up sends SIGHUP.
        if signals.take().iter().any(|signal| matches!(signal, Signal::Stop(_) | Signal::LogInAgain)) {
            return Ok(Answer::Interrupted);
        }
        if typed {
            // A terminal gives a line at a time; so no part of it stays in a buffer that is not wiped.
            let mut line = Zeroizing::new(vec![0; LONGEST]);
            let length = terminal.read(&mut line)?;
            let length = line[..length].iter().position(|&byte| byte == b'\n').unwrap_or(length);
            return Ok(Answer::Typed(Zeroizing::new(line[..length].to_vec())));
        }
    }
}

/// A terminal that does not echo, until this is dropped.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silent<'a> {
    fn new(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(terminal, SetArg::TCSAFLUSH, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, SetArg::TCSANOW, &self.before);
    }
}
