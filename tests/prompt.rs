//! The password prompt on a terminal, as the real binary asks it.
//!
//! A terminal becomes a process's own when the first process of a session opens it: setsid(1) makes the session.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use harness::{Broker, DEADLINE, Folder, PASSWORD, Process, Programs};
use nix::pty::openpty;
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::ttyname;

/// A client on a terminal of its own, asking.
struct Asking {
    client: Process,
    keyboard: File,
    /// What the terminal shows.
    shown: Receiver<u8>,
    screen: String,
    /// Keeps the terminal alive.
    terminal: OwnedFd,
}

impl Asking {
    fn start(folder: &Folder, port: u16) -> Self {
        folder.write("auth", "another:me:x\n", 0o600);
        let pty = openpty(None, None).expect("a terminal");
        let path = ttyname(&pty.slave).expect("its name");
        let client = folder.client(&Programs::find(env!("CARGO_BIN_EXE_dtcpclient")), port, &["--rehearse"]);
        let mut command = Command::new("setsid");
        command.args(["--wait", "sh", "-c", "tty=$1; shift; exec 3<>\"$tty\"; exec \"$@\"", "sh"]);
        command.arg(path).arg(client.get_program()).args(client.get_args()).stdin(Stdio::null());
        let client = Process::start(command);
        let mut screen = File::from(pty.master.try_clone().expect("a terminal"));
        let (show, shown) = mpsc::channel();
        thread::spawn(move || {
            let mut byte = [0];
            while screen.read_exact(&mut byte).is_ok() && show.send(byte[0]).is_ok() {}
        });
        let keyboard = File::from(pty.master);
        let mut asking = Self { client, keyboard, shown, screen: String::new(), terminal: pty.slave };
        asking.wait_for("Password of me at 127.0.0.1: ");
        asking
    }

    fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + DEADLINE;
        while !self.screen.contains(text) {
            let left = deadline.saturating_duration_since(Instant::now());
            self.screen.push(self.shown.recv_timeout(left).expect("what the terminal shows") as char);
        }
    }

    fn echoes(&self) -> bool {
        tcgetattr(&self.terminal).expect("a terminal").local_flags.contains(LocalFlags::ECHO)
    }
}

#[test]
fn a_typed_password_is_not_shown_and_logs_in() {
    let folder = Folder::new();
    let broker = Broker::start(&Programs::find(env!("CARGO_BIN_EXE_dtcpclient")), &folder, &[]);
    let mut asking = Asking::start(&folder, broker.port);
    assert!(!asking.echoes());
    asking.keyboard.write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
    asking.client.wait_for("made gif0");
    asking.wait_for("\n");
    assert!(asking.echoes());
    assert!(!asking.screen.contains("open"), "{}", asking.screen);
    assert!(!asking.client.lines().join("\n").contains(PASSWORD));
}

#[test]
fn ctrl_c_ends_it_and_gives_the_terminal_back() {
    let mut asking = Asking::start(&Folder::new(), 1);
    asking.keyboard.write_all(b"half\x03").unwrap();
    let (status, output) = asking.client.wait(DEADLINE);
    assert_eq!(status.code(), Some(66), "{output}");
    assert!(output.contains("interrupted"), "{output}");
    assert!(asking.echoes());
}

#[test]
fn nothing_typed_is_no_password() {
    for nothing in [&b"\n"[..], b"\x04"] {
        let mut asking = Asking::start(&Folder::new(), 1);
        asking.keyboard.write_all(nothing).unwrap();
        let (status, output) = asking.client.wait(DEADLINE);
        assert_eq!(status.code(), Some(66), "{output}");
        assert!(output.contains("no password was typed"), "{output}");
        assert!(asking.echoes());
    }
}
