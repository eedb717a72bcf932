//! The password prompt on a terminal, as the real binary asks it.
//!
//! A terminal becomes a process's own when the first process of a session opens it: setsid(1) makes the session.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;

use harness::{Broker, DEADLINE, Directory, PASSWORD, Process, wait_until};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use nix::sys::signal::Signal;
use nix::sys::termios::{InputFlags, LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{read, ttyname};

const QUESTION: &str = "Password of me at 127.0.0.1: ";
/// Runs the client as the first process of the session.
const DIRECTLY: &str = r#"exec "$@""#;
/// Runs the client as a job, and brings it back to the foreground once a line has been typed.
const AS_A_JOB: &str = r#"set -m; "$@"; echo stopped; read line <&3; echo "line:$line."; fg; echo stopped"#;
/// Runs the client in the background of a shell whose line editor has its own settings, until a line has been typed.
const IN_THE_BACKGROUND: &str =
    r#"set -m; stty -echo -ixon <&3; "$@" & echo "job $!"; read line <&3; stty echo ixon <&3; fg"#;

/// A client on a terminal of its own, that has to ask, and a broker for it.
struct Asking {
    client: Process,
    keyboard_and_screen: File,
    /// What the terminal has shown.
    shown: String,
    /// Keeps the terminal alive.
    terminal: OwnedFd,
    /// Its settings at the start.
    found: Termios,
    _files: (Directory, Broker),
}

impl Asking {
    /// Starts a shell that runs `script`, with the client's command line as its arguments.
    fn start(script: &str) -> Self {
        Self::start_with(script, &[])
    }

    fn start_with(script: &str, options: &[&str]) -> Self {
        let directory = Directory::default();
        let broker = Broker::start(&directory, &[]);
        directory.write("auth", "another:me:x\n", 0o600);
        let pty = openpty(None, None).expect("a terminal");
        let mut found = tcgetattr(&pty.slave).expect("a terminal");
        // The kernel discards nothing at Ctrl-C and Ctrl-Z, so that the program has to.
        found.local_flags.insert(LocalFlags::NOFLSH);
        // A flag that nix does not know, like one of FreeBSD 15.
        found.input_flags |= InputFlags::from_bits_retain(0x8000);
        tcsetattr(&pty.slave, SetArg::TCSANOW, &found).expect("a terminal");
        let path = ttyname(&pty.slave).expect("its name");
        let client = directory.client(broker.port, &[&["--rehearse"], options].concat());
        let mut command = Command::new("setsid");
        command.args(["--wait", "sh", "-c", &format!("tty=$1; shift; exec 3<>\"$tty\"; {script}"), "sh"]);
        command.arg(path).arg(client.get_program()).args(client.get_args());
        let client = Process::start(command);
        let keyboard_and_screen = File::from(pty.master);
        let (shown, terminal) = (String::new(), pty.slave);
        Self { client, keyboard_and_screen, shown, terminal, found, _files: (directory, broker) }
    }

    /// Starts a client directly, and waits for its question.
    fn directly() -> Self {
        let mut asking = Self::start(DIRECTLY);
        asking.wait_for_question(1);
        asking
    }

    fn wait_for(&mut self, text: &str, count: usize) {
        while self.shown.matches(text).count() < count {
            wait_until_readable(&self.keyboard_and_screen);
            let mut bytes = [0; 256];
            let length = self.keyboard_and_screen.read(&mut bytes).expect("what the terminal shows");
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
    }

    /// Waits until the question has come `count` times; the echo is off by then.
    fn wait_for_question(&mut self, count: usize) {
        self.wait_for(QUESTION, count);
        assert!(!self.settings().local_flags.contains(LocalFlags::ECHO));
    }

    fn press(&mut self, keys: &[u8]) {
        self.keyboard_and_screen.write_all(keys).expect("the terminal takes keys");
    }

    /// The line that the next reader of the terminal gets.
    fn next_line(&self) -> String {
        let mut line = [0; 64];
        wait_until_readable(&self.terminal);
        let length = read(&self.terminal, &mut line).expect("a line");
        String::from_utf8_lossy(&line[..length]).into_owned()
    }

    fn settings(&self) -> Termios {
        tcgetattr(&self.terminal).expect("a terminal")
    }

    /// Whether the settings are those of the start, including flags that nix does not know.
    fn is_as_found(&self) -> bool {
        libc::termios::from(self.settings()) == libc::termios::from(self.found.clone())
    }

    /// Types the password, and sees the login and the terminal as it was found.
    fn finish(&mut self) {
        self.press(format!("{PASSWORD}\nnext\n").as_bytes());
        self.client.wait_for("made gif0");
        assert!(self.is_as_found());
        assert!(!self.shown.contains("open"), "{}", self.shown);
        assert!(!self.client.lines().join("\n").contains(PASSWORD));
        // What was typed ahead is not lost.
        assert_eq!(self.next_line(), "next\n");
    }

    /// Waits for the end without a password. The terminal is as it was found, and nothing typed is left to a shell.
    fn end(&mut self, error: &str) {
        let (status, output) = self.client.wait();
        assert_eq!(status, Some(66), "{output}");
        assert!(output.contains(error), "{output}");
        assert!(self.is_as_found());
        self.press(b"\n");
        assert_eq!(self.next_line(), "\n");
    }
}

fn wait_until_readable(source: impl AsFd) {
    let deadline = PollTimeout::try_from(DEADLINE).expect("a time-out");
    let ready = poll(&mut [PollFd::new(source.as_fd(), PollFlags::POLLIN)], deadline);
    assert_eq!(ready, Ok(1), "nothing to read");
}

/// Waits until a process is stopped: its state, after its name in parentheses, is T.
fn wait_until_stopped(pid: impl std::fmt::Display) {
    wait_until("a process to stop", || {
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
        state.contains(") T ").then_some(())
    });
}

#[test]
fn with_no_prompt_nobody_is_asked() {
    let mut asking = Asking::start_with(DIRECTLY, &["--no-prompt"]);
    asking.end("no password for me at 127.0.0.1: add a line");
    asking.wait_for("\n", 1);
    assert!(!asking.shown.contains(QUESTION), "{}", asking.shown);
}

#[test]
fn a_typed_password_is_not_shown_and_logs_in() {
    Asking::directly().finish();
}

#[test]
fn a_signal_ends_it_and_gives_the_terminal_back() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let mut asking = Asking::directly();
        asking.client.signal(signal);
        asking.end("interrupted");
    }
}

#[test]
fn ctrl_c_or_a_line_that_is_not_a_password_is_an_error_and_leaves_nothing_to_a_shell() {
    for (typed, error) in [
        (&b"half\x03"[..], "interrupted"),
        (b"\n", "no password was typed"),
        (b"\x04", "no password was typed"),
        (b"\xe9tude\n", "not UTF-8"),
    ] {
        let mut asking = Asking::directly();
        asking.press(typed);
        asking.end(error);
    }
}

#[test]
fn a_stopped_job_leaves_the_terminal_as_it_was_and_asks_again_when_it_is_back() {
    let mut asking = Asking::start(AS_A_JOB);
    asking.wait_for_question(1);
    asking.press(b"half\x1a");
    asking.client.wait_for("stopped");
    assert!(asking.is_as_found());
    asking.press(b"\n");
    asking.client.wait_for("line:.");
    asking.wait_for_question(2);
    asking.finish();
    // It can still be stopped.
    asking.press(b"\x1a");
    asking.client.wait_for_count("stopped", 2);
}

#[test]
fn a_job_that_is_started_in_the_background_asks_in_the_foreground() {
    let mut asking = Asking::start(IN_THE_BACKGROUND);
    let line = asking.client.line_with("job ");
    wait_until_stopped(line.trim_start_matches("job "));
    asking.press(b"\n");
    asking.wait_for_question(1);
    asking.finish();
    asking.wait_for("\n", 1);
    assert_eq!(asking.shown.matches(QUESTION).count(), 1);
}

#[test]
fn a_stop_from_elsewhere_does_not_leave_the_echo_on() {
    let mut asking = Asking::directly();
    // A shell turns the echo on for its own line, or leaves the terminal as it is.
    for (stop, shell, questions) in
        [(Signal::SIGTSTP, false, 2), (Signal::SIGSTOP, true, 3), (Signal::SIGSTOP, false, 3)]
    {
        asking.client.signal(stop);
        wait_until_stopped(asking.client.id());
        if shell {
            tcsetattr(&asking.terminal, SetArg::TCSANOW, &asking.found).expect("a terminal");
        }
        assert_eq!(asking.is_as_found(), shell || stop == Signal::SIGTSTP);
        asking.client.signal(Signal::SIGCONT);
        asking.wait_for_question(questions);
    }
    asking.finish();
}
