//! Faults at the start and on the wire: the program ends with a clear message and a status that has a meaning.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use harness::{Broker, Directory, Process, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Runs the program with these words.
fn run(words: &str) -> Process {
    let mut command = harness::client();
    command.args(words.split_whitespace());
    Process::start(command)
}

/// A server that begins with these bytes, says no more, and keeps the connection until the client closes it.
fn server_that_says(bytes: impl AsRef<[u8]> + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(bytes.as_ref());
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    port
}

/// A server that begins with these bytes, and closes a while after `quit`, as one does that removes its end first.
fn server_that_closes(bytes: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(bytes);
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            lines.take_while(|line| line != "quit").for_each(drop);
            thread::sleep(Duration::from_millis(300));
        }
    });
    port
}

/// A greeting and an offer.
const GRANT: &[u8] = b"+OK 0123 hello\r\n+OK 127.0.0.1 127.0.0.1\r\n";

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    for (words, named) in [
        ("-b 0 broker", "--udp-port"),
        ("-m 100 broker", "from 1280 to 8192"),
        ("127.0.0.1:20200", "specify the port with -p"),
        ("[2001:db8::1]", "IPv4 only"),
        ("-t bridge broker", "tunnelonly, host, network"),
        ("--no-such-option broker", "--no-such-option"),
        ("", "<SERVER>"),
    ] {
        run(words).ends(64, named);
    }
}

#[test]
fn help_and_version_are_not_errors() {
    assert!(run("--help").ends(0, "--tunnel-type").contains("Exit status:"));
    assert_eq!(run("-V").ends(0, ""), format!("dtcpclient {}", env!("CARGO_PKG_VERSION")));
}

#[cfg(not(target_os = "freebsd"))]
#[test]
fn off_freebsd_only_a_rehearsal_is_possible() {
    run("-u me broker").ends(69, "use --rehearse");
}

#[test]
fn a_file_that_is_unsafe_malformed_or_missing_is_reported_at_the_start() {
    let directory = Directory::default();
    let ends = |arguments: &[&str], status, words| directory.rehearse(1, arguments).ends(status, words);
    for (content, mode, words) in [
        ("#!/bin/sh\n", 0o644, "not executable"),
        ("#!/bin/sh\n", 0o775, "is writable by group or others"),
        ("exit 0\n", 0o755, "begin it with #!/bin/sh"),
        ("#!/nowhere/sh\n", 0o755, "cannot be executed: \"/nowhere/sh\""),
    ] {
        let script = directory.write("script", content, mode);
        ends(&["-s", &script], 78, words);
    }
    ends(&["-s", "/nowhere/script"], 66, "/nowhere/script");
    ends(&["-D", "-f", "/nowhere/pid"], 73, "cannot create the pid file /nowhere/pid");
    for name in ["", "auth"] {
        ends(&["-f", &directory.file(name)], 73, "is not a pid file");
    }
    directory.write("auth", "127.0.0.1:me:x\n", 0o620);
    ends(&[], 78, "chmod go-w");
    directory.write("auth", "127.0.0.1:me:x\nsesame\n", 0o600);
    assert!(!ends(&[], 78, "auth, line 2: not of the form").contains("sesame"));
}

#[test]
fn an_auth_file_that_others_may_read_or_a_blank_that_ends_a_password_is_warned_of() {
    let directory = Directory::default();
    directory.write("auth", "\u{feff}127.0.0.1:me:sesame \r\n", 0o644);
    let broker = Broker::start(&directory, &[]);
    let client = directory.rehearse(broker.port, &[]);
    client.wait_for("is readable by group or others");
    client.wait_for("auth, line 1: the blank at the end is part of the password");
    client.wait_for("made gif0");
}

/// Without a controlling terminal there is nobody to ask.
#[cfg(target_os = "linux")]
#[test]
fn without_an_entry_and_without_a_terminal_there_is_no_password() {
    let directory = Directory::default();
    directory.write("auth", "other:me:x\n", 0o600);
    let client = directory.client(1, &["--rehearse"]);
    let mut command = std::process::Command::new("setsid");
    command.arg("--wait").arg(client.get_program()).args(client.get_args());
    Process::start(command).ends(66, "no password for me at 127.0.0.1: add a line");
}

/// No name server is asked for a name that cannot be one.
#[test]
fn a_name_that_does_not_resolve_is_reported() {
    let directory = Directory::default();
    let auth = directory.write("auth", "broker..invalid:me:x\n", 0o600);
    let client = run(&format!("--rehearse -u me --auth-file {auth} broker..invalid"));
    let output = client.ends(68, "cannot find the address of broker..invalid: ");
    assert!(output.contains("; check the name and the name service"), "{output}");
}

#[test]
fn a_port_where_nobody_listens_is_reported_and_each_line_of_the_log_is_written_in_one_piece() {
    // What is written to a datagram socket at once is read at once.
    let (log, stderr) = UnixDatagram::pair().expect("sockets");
    // The port of a service (tcpmux) that does not exist any more.
    let directory = Directory::default();
    let mut client = directory.client(1, &["--rehearse"]);
    client.stdin(Stdio::null()).stdout(Stdio::null()).stderr(OwnedFd::from(stderr));
    assert_eq!(client.status().expect("it runs").code(), Some(69));
    log.set_nonblocking(true).expect("a socket");
    let mut buffer = [0; 4096];
    let mut lines = Vec::new();
    while let Ok(length) = log.recv(&mut buffer) {
        let line = String::from_utf8_lossy(&buffer[..length]).into_owned();
        assert!(line.starts_with("dtcpclient: ") && line.find('\n') == Some(length - 1), "{line}");
        lines.push(line);
    }
    let error = "cannot connect to 127.0.0.1:1: connection refused; check the server's name and port (-p)";
    assert!(lines.len() >= 2 && lines.iter().any(|line| line.contains(error)), "{lines:?}");
}

#[test]
fn a_server_of_another_protocol_is_reported_and_its_words_are_cleaned_and_bounded() {
    let directory = Directory::default();
    let port = server_that_says(b"220 \x1b[31mmail.example ESMTP\x07\r\n");
    let output = directory.rehearse(port, &["-d"]).ends(76, "220 ?[31mmail.example ESMTP?");
    assert!(output.contains("check that it is a DTCP server"), "{output}");

    let port = server_that_says(vec![b'A'; 1 << 20]);
    let output = directory.rehearse(port, &["-d"]).ends(76, "a line of more than 1024 bytes");
    assert!(output.len() < 4096, "{output}");
}

/// The broker closes the connection as KAME's does: once it has removed its end of the tunnel.
#[test]
fn a_new_login_waits_until_the_server_has_closed() {
    let directory = Directory::default();
    let broker = Broker::start(&directory, &["--farewell-delay", "300ms"]);
    let client = directory.rehearse(broker.port, &[]);
    broker.process.wait_for("ping me");
    client.signal(Signal::SIGHUP);
    broker.process.wait_for_count("granted me", 2);
    let events =
        broker.process.lines().into_iter().filter_map(|line| Some(line.split_once(" me")?.0.to_owned()));
    assert_eq!(events.take(5).collect::<Vec<_>>(), ["granted", "ping", "quit", "closed", "granted"]);
}

#[test]
fn a_mute_server_does_not_keep_the_program_from_ending() {
    let directory = Directory::default();
    let client = directory.rehearse(server_that_says(GRANT), &["-l"]);
    client.wait_for("made gif0");
    let output = client.stop(Signal::SIGINT);
    assert!(output.contains("ifconfig gif0 destroy"), "{output}");
}

#[test]
fn each_signal_at_each_stage_of_the_program() {
    use Signal::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
    // The server's first bytes, if there is one, and the line of the log that shows the stage.
    let stages = [
        ("waiting for the greeting", Some(&b""[..]), "connected to"),
        ("logging in", Some(b"+OK 0123 hello\r\n"), "client: tunnel"),
        ("up", Some(GRANT), "made gif0"),
        ("leaving", Some(GRANT), "made gif0"),
        ("waiting", None, "trying again in"),
    ];
    thread::scope(|scope| {
        for stage in stages {
            let signals = [SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGCHLD];
            scope.spawn(move || signals.map(|signal| signal_at(stage, signal)));
        }
    });
}

fn signal_at((stage, server, line): (&str, Option<&'static [u8]>, &str), signal: Signal) {
    let directory = Directory::default();
    // Without a server: the port of a service (tcpmux) that does not exist any more.
    let client = directory.rehearse(server.map_or(1, server_that_closes), &["-l", "-d"]);
    client.wait_for(line);
    if stage == "leaving" {
        client.signal(Signal::SIGHUP);
        client.wait_for("client: quit");
    }
    let output = match signal {
        Signal::SIGTERM | Signal::SIGINT => client.stop(signal),
        _ => {
            client.signal(signal);
            match signal {
                Signal::SIGHUP => client.wait_for("SIGHUP: logging in again"),
                Signal::SIGUSR1 => client.wait_for(" since "),
                _ => {}
            }
            client.stop(Signal::SIGTERM)
        }
    };
    let count = |command| output.matches(command).count();
    assert_eq!(count("ifconfig gif0 create"), count("ifconfig gif0 destroy"), "{output}");
}

/// Runs the program with a limit that sh(1) sets, logging in to a broker until it ends.
fn run_with_limit(limit: &str, directory: &Directory, port: u16) -> Process {
    let client = directory.client(port, &["--rehearse", "-l"]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &format!("ulimit {limit}; exec \"$0\" \"$@\"")]);
    command.arg(client.get_program()).args(client.get_args());
    Process::start(command)
}

#[test]
fn a_lack_of_descriptors_is_reported_at_the_start_or_waited_out() {
    let directory = Directory::default();
    let broker = Broker::start(&directory, &[]);
    let mut outcomes = std::collections::BTreeSet::new();
    for descriptors in 4..20 {
        let client = run_with_limit(&format!("-n {descriptors}"), &directory, broker.port);
        let known = [
            "cannot start: too many open files",
            "auth: too many open files",
            "too many open files; check",
            "made gif0",
        ];
        let outcome = client.wait_until("an outcome", |lines| {
            known.into_iter().find(|known| lines.iter().any(|line| line.contains(known)))
        });
        match known.iter().position(|each| *each == outcome) {
            Some(0) => _ = client.ends(71, outcome),
            Some(1) => _ = client.ends(66, outcome),
            _ => _ = client.stop(Signal::SIGTERM),
        }
        outcomes.insert(outcome);
    }
    assert_eq!(outcomes.len(), 4, "{outcomes:?}");
}

#[test]
fn a_log_that_cannot_be_written_does_not_stop_the_tunnel() {
    let directory = Directory::default();
    let broker = Broker::start(&directory, &[]);
    // Closed by the reader; and a full disk, which FreeBSD cannot imitate.
    let outputs = [std::io::pipe().ok().map(|(_, writer)| OwnedFd::from(writer)), full_disk()];
    for (ended, output) in outputs.into_iter().flatten().enumerate() {
        let mut client = directory.client(broker.port, &["--rehearse", "-d"]);
        client.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let mut client = client.spawn().unwrap();
        broker.process.wait_for_count("ping me", ended + 1);
        kill(Pid::from_raw(i32::try_from(client.id()).unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(client.wait().unwrap().code(), Some(0));
        broker.process.wait_for_count("quit me", ended + 1);
    }
}

fn full_disk() -> Option<OwnedFd> {
    fs::OpenOptions::new().write(true).open("/dev/full").ok().map(OwnedFd::from)
}

#[cfg(target_os = "linux")]
#[test]
fn signals_that_the_parent_blocks_are_not_missed() {
    let directory = Directory::default();
    let client = directory.client(server_that_says(GRANT), &["--rehearse"]);
    let mut command = std::process::Command::new("env");
    command.arg("--block-signal").arg(client.get_program()).args(client.get_args());
    let client = Process::start(command);
    client.wait_for("made gif0");
    client.signal(Signal::SIGHUP);
    client.wait_for("updated gif0");
    client.stop(Signal::SIGTERM);
}

#[test]
fn a_second_daemon_on_the_same_pid_file_is_refused() {
    let directory = Directory::default();
    let arguments = ["-f", &directory.file("pid")];
    let first = directory.rehearse(server_that_says(GRANT), &arguments);
    first.wait_for("made gif0");
    let refusal = format!("is already running as process {}", first.id());
    directory.rehearse(1, &[&["-D"], &arguments[..]].concat()).ends(75, &refusal);
    assert_eq!(directory.read("pid"), format!("{}\n", first.id()));
}

#[test]
fn a_daemon_detaches_writes_its_pid_and_removes_the_file() {
    #[cfg(target_os = "linux")]
    let inherited = pipes("self");
    let directory = Directory::default();
    // As a killed daemon leaves it.
    let stale = "99999999\n";
    let pid_file = directory.write("pid", stale, 0o600);
    let broker = Broker::start(&directory, &[]);
    // A relative name, though a daemon's current directory is the root.
    let mut command = directory.client(broker.port, &["--rehearse", "-Dl", "-f", "pid"]);
    command.current_dir(directory.path());
    Process::start(command).ends(0, "");
    // The pid is there at once.
    let pid = directory.read("pid");
    assert_ne!(pid, stale);
    assert_eq!(fs::metadata(pid_file).unwrap().permissions().mode() & 0o777, 0o644);
    broker.process.wait_for("ping me");
    #[cfg(target_os = "linux")]
    assert!(pipes(pid.trim()).iter().all(|pipe| inherited.contains(pipe)));
    kill(Pid::from_raw(pid.trim().parse().expect("a pid")), Signal::SIGTERM).unwrap();
    broker.process.wait_for("quit me");
    wait_until("the end of the pid file", || (!directory.has("pid")).then_some(()));
}

/// The pipes that a process has open; none if only root may see them.
#[cfg(target_os = "linux")]
fn pipes(pid: &str) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    links.map(|link| link.to_string_lossy().into_owned()).filter(|link| link.starts_with("pipe:")).collect()
}

/// A limit of 0 bytes on files is like a full disk, except that a process that exceeds it gets a signal.
#[test]
fn a_daemon_that_cannot_write_its_pid_or_dies_is_reported_by_the_process_that_started_it() {
    let directory = Directory::default();
    let pid_file = directory.file("pid");
    let client = directory.client(1, &["--rehearse", "-D", "-f", &pid_file]);
    for (script, status, words) in [
        (r#"trap '' XFSZ; ulimit -f 0; exec "$@""#, 73, "cannot create the pid file"),
        (r#"ulimit -f 0; exec "$@""#, 70, "the daemon was killed by SIGXFSZ"),
    ] {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script, "sh"]).arg(client.get_program()).args(client.get_args());
        Process::start(command).ends(status, words);
    }
    assert_eq!(directory.read("pid"), "");
}
