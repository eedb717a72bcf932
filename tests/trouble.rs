//! Trouble at the start and on the wire: each ends with a clear word and a status that means something.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use harness::{Broker, DEADLINE, Folder, Process, Programs};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::Signal;

fn programs() -> Programs {
    Programs::find(env!("CARGO_BIN_EXE_dtcpclient"))
}

/// Runs the program to its end.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(programs().client);
    command.args(arguments);
    end_of(command, DEADLINE)
}

fn end_of(command: Command, deadline: Duration) -> (Option<i32>, String) {
    let (status, output) = Process::start(command).wait(deadline);
    (status.code(), output)
}

/// A client that rehearses against whatever listens on this port.
fn client(folder: &Folder, port: u16, arguments: &[&str]) -> Command {
    folder.client(&programs(), port, &[&["--rehearse"], arguments].concat())
}

/// A server that does as the test says with each connection.
fn server(serve: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || listener.incoming().flatten().for_each(serve));
    port
}

/// Keeps a connection open until the other side closes it.
fn hold(mut stream: TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    for (arguments, named) in [
        (&["-b", "0", "broker"][..], "--udp-port"),
        (&["-m", "100", "broker"], "from 1280 to 8192"),
        (&["-t", "bridge", "broker"], "tunnelonly, host, network"),
        (&["-u", "a b", "broker"], "--user"),
        (&["--no-such-option", "broker"], "--no-such-option"),
        (&[], "<SERVER>"),
    ] {
        let (status, output) = run(arguments);
        assert_eq!(status, Some(64), "{output}");
        assert!(output.contains(named), "{output}");
    }
}

#[test]
fn help_and_version_are_no_errors() {
    let (status, output) = run(&["--help"]);
    assert!(
        status == Some(0) && output.contains("--tunnel-type") && output.contains("Exit status:"),
        "{output}"
    );
    let (status, output) = run(&["-V"]);
    assert_eq!((status, output), (Some(0), format!("dtcpclient {}", env!("CARGO_PKG_VERSION"))));
}

#[cfg(not(target_os = "freebsd"))]
#[test]
fn off_freebsd_only_a_rehearsal_is_possible() {
    let (status, output) = run(&["-u", "me", "broker"]);
    assert_eq!(status, Some(69));
    assert!(output.contains("use --rehearse"), "{output}");
}

#[test]
fn an_unsafe_or_bad_auth_file_is_refused() {
    let folder = Folder::new();
    let end = || end_of(client(&folder, 1, &[]), DEADLINE);
    folder.write("auth", "127.0.0.1:me:x\n", 0o620);
    let (status, output) = end();
    assert!(status == Some(78) && output.contains("chmod go-w"), "{output}");
    folder.write("auth", "127.0.0.1:me:x\nsesame\n", 0o600);
    let (status, output) = end();
    assert!(status == Some(78) && output.contains("auth, line 2: not of the form"), "{output}");
    assert!(!output.contains("sesame"), "{output}");
}

#[test]
fn an_auth_file_that_others_may_read_is_warned_of() {
    let folder = Folder::new();
    let broker = Broker::start(&programs(), &folder, &[]);
    folder.write("auth", &folder.read("auth"), 0o644);
    let client = Process::start(client(&folder, broker.port, &[]));
    client.wait_for("is readable by group or others");
    client.wait_for("made gif0");
}

/// Without a controlling terminal there is nobody to ask.
#[cfg(target_os = "linux")]
#[test]
fn without_an_entry_and_without_a_terminal_there_is_no_password() {
    let folder = Folder::new();
    folder.write("auth", "other:me:x\n", 0o600);
    let client = client(&folder, 1, &[]);
    let mut command = Command::new("setsid");
    command.arg("--wait").arg(client.get_program()).args(client.get_args());
    let (status, output) = end_of(command, DEADLINE);
    assert_eq!(status, Some(66), "{output}");
    assert!(output.contains("no password for me at 127.0.0.1: add a line"), "{output}");
}

#[test]
fn a_script_that_cannot_be_run_is_refused_at_the_start() {
    let folder = Folder::new();
    for (mode, word) in [(0o644, "not executable"), (0o775, "is writable by group or others")] {
        folder.write("script", "#!/bin/sh\n", mode);
        let script = folder.file("script");
        let (status, output) = end_of(client(&folder, 1, &["-s", &script.to_string_lossy()]), DEADLINE);
        assert!(status == Some(78) && output.contains(word), "{output}");
    }
    let (status, output) = end_of(client(&folder, 1, &["-s", "/nowhere/script"]), DEADLINE);
    assert!(status == Some(66) && output.contains("/nowhere/script"), "{output}");
}

/// No name server is asked for a name that cannot be one.
#[test]
fn a_name_that_does_not_resolve_is_reported() {
    let folder = Folder::new();
    folder.write("auth", "broker..invalid:me:x\n", 0o600);
    let mut command = Command::new(programs().client);
    command.args(["--rehearse", "-u", "me", "--auth-file"]).arg(folder.auth_file()).arg("broker..invalid");
    let (status, output) = end_of(command, DEADLINE);
    assert_eq!(status, Some(68), "{output}");
    assert!(output.contains("cannot find the address of broker..invalid: "), "{output}");
    assert!(output.contains("; check the name and the name service"), "{output}");
}

#[test]
fn a_port_where_nobody_listens_is_reported() {
    let folder = Folder::new();
    // The port of a service (tcpmux) that is nowhere any more.
    let (status, output) = end_of(client(&folder, 1, &[]), DEADLINE);
    assert_eq!(status, Some(69), "{output}");
    let line = "cannot connect to 127.0.0.1:1: connection refused; check the server's name and port (-p)";
    assert!(output.contains(line), "{output}");
}

#[test]
fn a_server_of_another_protocol_is_reported_and_its_words_are_cleaned() {
    let folder = Folder::new();
    let port = server(|mut stream| {
        let _ = stream.write_all(b"220 \x1b[31mmail.example ESMTP\x07\r\n");
        hold(stream);
    });
    let (status, output) = end_of(client(&folder, port, &["-d"]), DEADLINE);
    assert_eq!(status, Some(76), "{output}");
    assert!(output.contains("220 ?[31mmail.example ESMTP?"), "{output}");
    assert!(output.contains("check that it is a DTCP server"), "{output}");
}

#[test]
fn a_line_of_a_megabyte_is_not_read_to_its_end() {
    let folder = Folder::new();
    let port = server(|mut stream| {
        let _ = stream.write_all(&vec![b'A'; 1 << 20]);
        hold(stream);
    });
    let (status, output) = end_of(client(&folder, port, &["-d"]), DEADLINE);
    assert_eq!(status, Some(76), "{output}");
    assert!(output.contains("a line of more than 1024 bytes") && output.len() < 4096, "{output}");
}

fn greet_and_grant(stream: &mut TcpStream) {
    let _ = stream.write_all(b"+OK 0123 hello\r\n+OK 127.0.0.1 127.0.0.1\r\n");
}

/// Greets, grants, and says no more.
fn mute_server() -> u16 {
    server(|mut stream| {
        greet_and_grant(&mut stream);
        hold(stream);
    })
}

/// As KAME's: it answers `quit`, takes its time to remove its end of the tunnel, and only then closes.
#[test]
fn a_new_login_waits_until_the_server_has_closed() {
    let folder = Folder::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = thread::spawn(move || {
        let mut first = listener.accept().expect("a connection").0;
        greet_and_grant(&mut first);
        let lines = BufReader::new(first.try_clone().expect("a socket")).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "quit"));
        first.write_all(b"+OK see you soon.\r\n").expect("the client reads");
        let early = poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], 300_u16).expect("a poll");
        drop(first);
        let mut second = listener.accept().expect("a connection").0;
        greet_and_grant(&mut second);
        hold(second);
        early
    });
    let mut client = Process::start(client(&folder, port, &[]));
    client.wait_for("made gif0");
    client.signal(Signal::SIGHUP);
    client.wait_for("updated gif0");
    client.signal(Signal::SIGKILL);
    client.wait(DEADLINE);
    assert_eq!(server.join().expect("the server"), 0, "the client came back before the server had closed");
}

#[test]
fn a_mute_server_does_not_keep_the_program_from_ending() {
    let folder = Folder::new();
    let mut client = Process::start(client(&folder, mute_server(), &["-l"]));
    client.wait_for("made gif0");
    let start = Instant::now();
    client.signal(Signal::SIGINT);
    let (status, output) = client.wait(Duration::from_secs(5));
    assert!(status.code() == Some(0) && start.elapsed() < Duration::from_secs(5), "{output}");
    assert!(output.contains("ifconfig gif0 destroy"), "{output}");
}

#[test]
fn a_second_daemon_on_the_same_pid_file_is_refused() {
    let folder = Folder::new();
    let pid_file = folder.file("pid");
    let pid_file = pid_file.to_string_lossy();
    let first = Process::start(client(&folder, mute_server(), &["-f", &pid_file]));
    first.wait_for("made gif0");
    let (status, output) = end_of(client(&folder, 1, &["-D", "-f", &pid_file]), DEADLINE);
    assert_eq!(status, Some(75), "{output}");
    assert!(output.contains(&format!("is already running as process {}", first.id())), "{output}");
    assert_eq!(folder.read("pid"), format!("{}\n", first.id()));
}

#[test]
fn a_pid_file_that_cannot_be_made_is_reported_before_detaching() {
    let folder = Folder::new();
    let (status, output) = end_of(client(&folder, 1, &["-D", "-f", "/nowhere/pid"]), DEADLINE);
    assert_eq!(status, Some(73), "{output}");
    assert!(output.contains("cannot create the pid file /nowhere/pid"), "{output}");
}

#[test]
fn a_daemon_detaches_writes_its_pid_and_takes_the_file_away() {
    let folder = Folder::new();
    // As a killed daemon leaves it.
    folder.write("pid", "99999999\n", 0o600);
    let broker = Broker::start(&programs(), &folder, &[]);
    // A relative name, though a daemon's current directory is the root.
    let mut command = client(&folder, broker.port, &["-Dl", "-f", "pid"]);
    command.current_dir(folder.path());
    let (status, output) = end_of(command, DEADLINE);
    assert_eq!(status, Some(0), "{output}");
    broker.process.wait_for("ping me");
    let pid: i32 = folder.read("pid").trim().parse().expect("a pid");
    assert_ne!(pid, 99_999_999);
    assert_eq!(fs::metadata(folder.file("pid")).unwrap().permissions().mode() & 0o777, 0o644);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    broker.process.wait_for("quit me");
    let deadline = Instant::now() + DEADLINE;
    while folder.file("pid").exists() {
        assert!(Instant::now() < deadline, "the pid file stays");
        thread::sleep(Duration::from_millis(5));
    }
}
