//! The daemon: what the command that starts it waits for, and the status that it answers with.

use std::fs;
use std::time::{Duration, Instant};

use harness::{Broker, Directory, PASSWORD, Process, client, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A port without a server: that of a service (tcpmux) that does not exist any more.
const NOBODY: u16 = 1;

/// The files of a daemon, which ends with its test.
#[derive(Default)]
struct Daemon(Directory);

impl Daemon {
    /// The command that starts it, to rehearse.
    fn start(&self, port: u16, options: &[&str]) -> Process {
        let pid_file = self.0.file("pid");
        self.0.rehearse(port, &[&["-D", "-f", &pid_file], options].concat())
    }

    /// The command that prints its status.
    fn ask(&self) -> Process {
        let mut command = client();
        command.args(["--status", "-f", &self.0.file("pid")]);
        Process::start(command)
    }

    /// Its status, once it has this line.
    fn wait_for_status(&self, line: &str) -> String {
        wait_until(line, || {
            let (_, status) = self.ask().wait();
            status.lines().any(|each| each == line).then_some(status)
        })
    }

    fn signal(&self, signal: Signal) {
        let pid = self.0.read("pid");
        kill(Pid::from_raw(pid.trim().parse().expect("a pid")), signal).expect("it runs");
    }

    fn has_socket(&self) -> bool {
        self.0.has("pid.socket")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Ok(pid) = self.0.read("pid").trim().parse() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

#[test]
fn with_w_the_command_returns_when_the_tunnel_is_up() {
    let daemon = Daemon::default();
    let broker = Broker::start(&daemon.0, &["--numbered"]);
    daemon.start(broker.port, &["-w", "60", "-t", "network"]).ends(0, "");
    let status = daemon.ask().ends(0, "state: up");
    let keys: Vec<_> = status.lines().filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    let first = ["state", "since", "server", "address", "outer", "inner", "prefix"];
    assert_eq!(keys[..first.len()], first, "{status}");
    for line in [
        "server: 127.0.0.1",
        &format!("address: 127.0.0.1:{}", broker.port),
        "outer: 127.0.0.1 to 127.0.0.1",
        "inner: 2001:db8::6 to 2001:db8::5",
        "prefix: 2001:db8:1::/48",
        "interface: gif0",
        "mtu: 1280",
        "logins: 1",
    ] {
        assert!(status.lines().any(|each| each == line), "{line}: {status}");
    }
    for key in ["ping", "echo", "received", "sent"] {
        wait_until(key, || {
            let status = daemon.ask().ends(0, "state: up");
            status.lines().any(|line| line.starts_with(&format!("{key}: "))).then_some(())
        });
    }
    daemon.signal(Signal::SIGTERM);
    wait_until("the end of its files", || (!daemon.0.has("pid") && !daemon.has_socket()).then_some(()));
    daemon.ask().ends(69, "dtcpclient is not running");
}

#[test]
fn with_w_the_reason_why_the_daemon_ended_is_told_and_its_status_is_that_of_the_command() {
    let daemon = Daemon::default();
    let broker = Broker::start(&daemon.0, &[]);
    daemon.0.write("auth", "127.0.0.1:me:wrong\n", 0o600);
    let output = daemon.start(broker.port, &["-l", "-w", "60"]).ends(77, "error: login refused");
    assert!(!output.contains(PASSWORD), "{output}");
    daemon.start(NOBODY, &["-w", "60"]).ends(69, "error: cannot connect to 127.0.0.1:1");
    assert!(!daemon.0.has("pid") && !daemon.has_socket());
}

#[test]
fn after_the_time_of_w_the_daemon_goes_on_and_its_status_tells_why_there_is_no_tunnel() {
    let daemon = Daemon::default();
    let start = Instant::now();
    let output = daemon.start(NOBODY, &["-l", "-w", "1"]).ends(1, "the tunnel is not up after 1 s");
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert!(output.contains("error: cannot connect to 127.0.0.1:1"), "{output}");
    let status = daemon.wait_for_status("state: waiting");
    assert!(
        status.contains("\nnext attempt: in ") && status.contains("Z cannot connect to 127.0.0.1:1"),
        "{status}"
    );
    assert!(status.contains("\nlogins: 0\n"), "{status}");
    daemon.ask().ends(1, "last failure: 20");
}

#[test]
fn a_signal_ends_the_wait_and_the_daemon_goes_on() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let daemon = Daemon::default();
        let command = daemon.start(NOBODY, &["-l", "-w", "3600"]);
        command.wait_for("error: cannot connect");
        command.signal(signal);
        command.ends(1, "interrupted; the daemon goes on");
        daemon.ask().ends(1, "state: ");
    }
}

#[test]
fn a_daemon_that_is_killed_while_the_command_waits_is_reported() {
    let daemon = Daemon::default();
    let command = daemon.start(NOBODY, &["-l", "-w", "3600"]);
    command.wait_for("error: cannot connect");
    daemon.signal(Signal::SIGTERM);
    command.ends(1, "");
    let command = daemon.start(NOBODY, &["-l", "-w", "3600"]);
    command.wait_for("error: cannot connect");
    daemon.signal(Signal::SIGKILL);
    command.ends(70, "the daemon was killed by SIGKILL");
    assert!(daemon.has_socket(), "as a killed daemon leaves it");
    daemon.ask().ends(69, "dtcpclient is not running");
    daemon.start(NOBODY, &["-l"]).ends(0, "");
    daemon.ask().ends(1, "state: ");
}

#[test]
fn a_daemon_that_does_not_answer_is_given_up_after_five_seconds() {
    let daemon = Daemon::default();
    daemon.start(NOBODY, &["-l"]).ends(0, "");
    daemon.signal(Signal::SIGSTOP);
    daemon.ask().ends(69, "no answer from the running dtcpclient");
    daemon.signal(Signal::SIGCONT);
    daemon.ask().ends(1, "state: ");
}

#[test]
fn a_socket_that_cannot_be_made_is_warned_of_and_does_not_stop_the_tunnel() {
    let daemon = Daemon::default();
    let broker = Broker::start(&daemon.0, &[]);
    let other = daemon.0.write("pid.socket", "content", 0o600);
    daemon.start(broker.port, &["-w", "60"]).ends(0, "warning: cannot tell the status on");
    daemon.ask().ends(69, "");
    daemon.signal(Signal::SIGTERM);
    wait_until("the end of the pid file", || (!daemon.0.has("pid")).then_some(()));
    assert_eq!(fs::read_to_string(other).expect("the file"), "content");
}
