//! Asking for the password on the terminal, without echo.

use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal::SIGSTOP, raise};
use nix::sys::termios::{FlushArg, LocalFlags, SetArg, Termios, tcflush, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGCONT, SIGTSTP};
use signal_hook::flag::register_conditional_default;
use zeroize::Zeroizing;

use crate::signals::{Signal, Signals};

/// How the question ended.
pub(crate) enum Answer {
    /// This was typed, without the end of line.
    Typed(Zeroizing<String>),
    /// A signal came instead, such as that of Ctrl-C.
    Interrupted,
}

/// What a shell does with its jobs.
#[derive(Clone, Copy)]
enum JobControl {
    /// Ctrl-Z.
    Stop,
    /// `fg` or `bg`.
    Continue,
}

/// Asks `question` on the controlling terminal and reads a line in a thread beside the signals. The terminal's settings
/// are restored when this returns and while the process is stopped. After [`Answer::Interrupted`] the thread stays in
/// read(2) until the program exits. Without a terminal this is an error.
pub(crate) fn ask(question: &str, signals: &mut Signals) -> io::Result<Answer> {
    let mut terminal = Terminal::open(question)?;
    let mut jobs = Signals::of(&[(SIGTSTP, JobControl::Stop), (SIGCONT, JobControl::Continue)])?;
    terminal.ask(&mut jobs)?;
    let typing = Typing::start(&terminal.file)?;
    loop {
        let done = wait(typing.done.as_fd(), [signals.as_fd(), jobs.as_fd()])?;
        // A terminal that hangs up sends SIGHUP.
        if signals.take().iter().any(|signal| matches!(signal, Signal::Stop(_) | Signal::LogInAgain)) {
            return Ok(Answer::Interrupted);
        }
        for change in jobs.take() {
            match change {
                JobControl::Stop => {
                    terminal.restore(SetArg::TCSAFLUSH);
                    raise(SIGSTOP)?;
                }
                JobControl::Continue => terminal.ask(&mut jobs)?,
            }
        }
        if done {
            terminal.restore(SetArg::TCSANOW);
            // The handler of SIGTSTP cannot be removed, so from here on it does what the default action does.
            register_conditional_default(SIGTSTP, Arc::new(AtomicBool::new(true)))?;
            return typing.answer();
        }
    }
}

/// Waits until one of these is ready, and returns whether `done` is.
fn wait(done: BorrowedFd<'_>, others: [BorrowedFd<'_>; 2]) -> nix::Result<bool> {
    let mut fds = [done, others[0], others[1]].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) => Ok(fds[0].any().unwrap_or_default()),
        Err(Errno::EINTR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// The controlling terminal.
struct Terminal<'a> {
    file: File,
    question: &'a str,
    /// The settings to restore, while it does not echo.
    found: Option<Termios>,
}

impl<'a> Terminal<'a> {
    fn open(question: &'a str) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        Ok(Self { file, question, found: None })
    }

    /// Turns the echo off and writes the question. In the background this stops the process until `fg`.
    fn ask(&mut self, jobs: &mut Signals<JobControl>) -> io::Result<()> {
        // This is what stops a background process: before it saves the settings of a shell's line editor as the user's.
        tcflush(&self.file, FlushArg::TCIFLUSH)?;
        // Nothing is restored before a SIGSTOP, so the current settings may be our own.
        let found = self.found.take().map_or_else(|| tcgetattr(&self.file), Ok)?;
        let mut silent = found.clone();
        silent.local_flags.remove(LocalFlags::ECHO | LocalFlags::ECHONL);
        self.found = Some(found);
        tcsetattr(&self.file, SetArg::TCSAFLUSH, &silent)?;
        // Forget the SIGCONT of that `fg`, or the question comes twice.
        jobs.take();
        self.file.write_all(self.question.as_bytes())
    }

    /// Restores the settings. `TCSAFLUSH` discards a half-typed password, which a shell would show.
    fn restore(&mut self, how: SetArg) {
        if let Some(found) = self.found.take() {
            let _ = tcsetattr(&self.file, how, &found);
            // The end of the line was not echoed.
            let _ = self.file.write_all(b"\n");
        }
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        self.restore(SetArg::TCSAFLUSH);
    }
}

/// A thread in which rpassword reads the line. It leaves the settings alone: blocked in read(2), it cannot restore them.
struct Typing {
    /// Ready when the thread has ended: it holds the other end.
    done: PipeReader,
    thread: JoinHandle<io::Result<String>>,
}

impl Typing {
    fn start(terminal: &File) -> io::Result<Self> {
        let keyboard = terminal.try_clone()?;
        let (done, running) = io::pipe()?;
        let thread = thread::Builder::new().spawn(move || {
            let _running = running;
            let config = rpassword::ConfigBuilder::new().input_reader(keyboard).output_discard().build();
            rpassword::read_password_with_config(config)
        })?;
        Ok(Self { done, thread })
    }

    fn answer(self) -> io::Result<Answer> {
        let typed =
            self.thread.join().map_err(|_| io::Error::other("the thread that reads it panicked"))??;
        Ok(Answer::Typed(Zeroizing::new(typed)))
    }
}
