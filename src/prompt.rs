//! Asks for the password on the terminal, without echo.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal::SIGSTOP, raise};
use nix::sys::termios::{ControlFlags, FlushArg, InputFlags, LocalFlags, OutputFlags, SetArg, Termios};
use nix::sys::termios::{tcflush, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGCONT, SIGTSTP};
use signal_hook::flag::register_conditional_default;
use zeroize::Zeroizing;

use crate::signals::{Signal, Signals};
use crate::task::Task;

/// The outcome of a question.
pub(crate) enum Answer {
    /// The line that was typed, without its end.
    Typed(Zeroizing<String>),
    /// A signal came first, such as SIGINT from Ctrl-C.
    Interrupted,
}

/// The signals of a shell's job control.
#[derive(Clone, Copy)]
enum JobControl {
    /// Ctrl-Z.
    Stop,
    /// `fg` or `bg`.
    Continue,
}

/// Asks `question` on the controlling terminal, and reads a line in a thread while signals are handled. The terminal's
/// settings are restored on return and while the process is stopped. After [`Answer::Interrupted`] the thread stays in
/// read(2) until the program exits. Fails with ENXIO or ENOENT if there is no terminal.
pub(crate) fn ask(question: &str, signals: &mut Signals) -> io::Result<Answer> {
    let mut terminal = Terminal::open(question)?;
    let mut jobs = Signals::of(&[(SIGTSTP, JobControl::Stop), (SIGCONT, JobControl::Continue)])?;
    // The handler of SIGTSTP stays installed. Once there is an answer, it performs the default action.
    let answered = Arc::new(AtomicBool::new(false));
    register_conditional_default(SIGTSTP, Arc::clone(&answered))?;
    terminal.ask()?;
    let keyboard = terminal.file.try_clone()?;
    let typing = Task::spawn(move || read_line(&keyboard))?;
    loop {
        let done = wait(typing.as_fd(), [signals.as_fd(), jobs.as_fd()])?;
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
                // This SIGCONT may be the one that `ask` has waited for.
                JobControl::Continue if terminal.is_silent()? => {}
                JobControl::Continue => terminal.ask()?,
            }
        }
        if done {
            terminal.restore(SetArg::TCSANOW);
            answered.store(true, Ordering::SeqCst);
            return typing.finish().map(Answer::Typed);
        }
    }
}

/// Waits until one of these is ready. Returns whether `done` is.
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
    /// The settings to restore, while the echo is off.
    found: Option<Termios>,
}

impl<'a> Terminal<'a> {
    fn open(question: &'a str) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        Ok(Self { file, question, found: None })
    }

    /// Turns the echo off and writes the question. A process in the background is stopped here until `fg`.
    fn ask(&mut self) -> io::Result<()> {
        // In the background, this call stops the process, before it saves the settings of the shell's line editor.
        repeat(|| tcflush(&self.file, FlushArg::TCIFLUSH))?;
        let found = settings(&self.file)?;
        let mut silent = found.clone();
        silent.local_flags.remove(LocalFlags::ECHO | LocalFlags::ECHONL);
        self.found = Some(found);
        repeat(|| tcsetattr(&self.file, SetArg::TCSAFLUSH, &silent))?;
        self.file.write_all(self.question.as_bytes())
    }

    /// Returns whether the echo is off because of the question. After a SIGSTOP, a shell may have turned it on.
    fn is_silent(&self) -> nix::Result<bool> {
        Ok(self.found.is_some() && !tcgetattr(&self.file)?.local_flags.contains(LocalFlags::ECHO))
    }

    /// Restores the settings. `TCSAFLUSH` discards a partly typed password, which the shell would otherwise show.
    fn restore(&mut self, how: SetArg) {
        if let Some(found) = self.found.take() {
            let _ = repeat(|| tcsetattr(&self.file, how, &found));
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

/// Reads a line without changing the settings: rpassword could not restore them while it is blocked in read(2).
fn read_line(keyboard: &File) -> io::Result<Zeroizing<String>> {
    loop {
        let config =
            rpassword::ConfigBuilder::new().input_reader(keyboard.try_clone()?).output_discard().build();
        match rpassword::read_password_with_config(config) {
            // Interrupted by a stop, which discards what was typed, or by a SIGINT, which ends the program.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map(Zeroizing::new),
        }
    }
}

/// Repeats a call that was interrupted by a stop: FreeBSD 15 does not restart it after SIGCONT.
fn repeat(mut call: impl FnMut() -> nix::Result<()>) -> nix::Result<()> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

/// Returns the terminal's settings with all flags. nix drops those that it does not know, such as IUTF8 of FreeBSD 15.
fn settings(terminal: &File) -> nix::Result<Termios> {
    let mut settings = tcgetattr(terminal)?;
    let all = libc::termios::from(settings.clone());
    settings.input_flags = InputFlags::from_bits_retain(all.c_iflag);
    settings.output_flags = OutputFlags::from_bits_retain(all.c_oflag);
    settings.control_flags = ControlFlags::from_bits_retain(all.c_cflag);
    settings.local_flags = LocalFlags::from_bits_retain(all.c_lflag);
    Ok(settings)
}
