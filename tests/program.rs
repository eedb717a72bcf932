//! The program from outside: the real binary, rehearsing, against the broker in another process.

use std::process::Command;
use std::time::{Duration, Instant};

use harness::{Broker, DEADLINE, Folder, PASSWORD, Process, Programs};
use nix::sys::signal::Signal;

fn programs() -> Programs {
    Programs::find(env!("CARGO_BIN_EXE_dtcpclient"))
}

/// A client that rehearses against a broker.
fn rehearse(folder: &Folder, broker: &Broker, arguments: &[&str]) -> Process {
    Process::start(folder.client(&programs(), broker.port, &[&["--rehearse"], arguments].concat()))
}

/// A broker, and a client that has its tunnel from it.
fn up(folder: &Folder, arguments: &[&str]) -> (Broker, Process) {
    let broker = Broker::start(&programs(), folder, &[]);
    let client = rehearse(folder, &broker, arguments);
    client.wait_for("made gif0");
    (broker, client)
}

/// Ends a client as an administrator does.
fn stop(mut client: Process) -> String {
    let start = Instant::now();
    client.signal(Signal::SIGTERM);
    let (status, output) = client.wait(DEADLINE);
    assert_eq!(status.code(), Some(0), "{output}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    output
}

#[test]
fn it_logs_in_makes_the_tunnel_and_takes_it_away_at_sigterm() {
    let folder = Folder::new();
    folder.write("script", "#!/bin/sh\n", 0o755);
    let script = folder.file("script").display().to_string();
    let broker = Broker::start(&programs(), &folder, &["--numbered"]);
    let client = rehearse(&folder, &broker, &["-t", "network", "-s", &script]);
    broker.process.wait_for("ping me");
    let output = stop(client);
    for line in ["connected to 127.0.0.1:", "shutting down on SIGTERM", "exiting"] {
        assert!(output.contains(&format!("dtcpclient: {line}")), "{line}: {output}");
    }
    let commands: Vec<_> = output.lines().filter(|line| !line.starts_with("dtcpclient: ")).collect();
    let arguments = "127.0.0.1 127.0.0.1 network 127.0.0.1 127.0.0.1 2001:db8::6 2001:db8::5 2001:db8:1::/48";
    let (up, down) = (format!("{script} up {arguments}"), format!("{script} down {arguments}"));
    assert_eq!(commands.first(), Some(&"ifconfig gif0 create"));
    assert!(commands.contains(&"ifconfig gif0 inet6 2001:db8::6 2001:db8::5 prefixlen 128"), "{output}");
    assert_eq!(commands[commands.len() - 3..], [up.as_str(), down.as_str(), "ifconfig gif0 destroy"]);
    broker.process.wait_for("quit me");
}

#[test]
fn a_udp_tunnel_goes_to_the_port_that_the_server_names() {
    let folder = Folder::new();
    let broker = Broker::start(&programs(), &folder, &["--udp-ports", "5000"]);
    let client = rehearse(&folder, &broker, &["-U", "-b", "6000"]);
    broker.process.wait_for("granted me tunnelonly 127.0.0.1 127.0.0.1 - - - udp 6000 5000");
    client.wait_for("ngctl msg ng0:inet6 bind inet/127.0.0.1:6000");
    client.wait_for("ngctl msg ng0:inet6 connect inet/127.0.0.1:5000");
    client.wait_for("ifconfig ng0 up");
    assert!(stop(client).contains("ngctl shutdown ng0:"));
}

#[test]
fn behind_a_nat_a_udp_tunnel_is_kept_open_from_this_side() {
    let folder = Folder::new();
    let broker = Broker::start(&programs(), &folder, &["--me", "203.0.113.7"]);
    let client = rehearse(&folder, &broker, &["-U", "-n"]);
    client.wait_for_count("ping -6 -c 1 ff02::1%ng0", 3);
    stop(client);
}

#[test]
fn a_sighup_logs_in_again_and_keeps_the_interface() {
    let folder = Folder::new();
    let broker = Broker::start(&programs(), &folder, &[]);
    let client = rehearse(&folder, &broker, &[]);
    for logins in 2..5 {
        broker.process.wait_for_count("ping me", logins - 1);
        client.signal(Signal::SIGHUP);
        broker.process.wait_for_count("granted me", logins);
    }
    client.wait_for_count("ifconfig gif0 tunnel", 4);
    client.wait_for_count("SIGHUP: logging in again", 3);
    let output = stop(client);
    assert_eq!(output.matches(" create").count(), 1, "{output}");
    assert_eq!(output.matches(" destroy").count(), 1, "{output}");
}

#[test]
fn a_sigusr1_logs_the_state() {
    let folder = Folder::new();
    let broker = Broker::start(&programs(), &folder, &[]);
    let client = rehearse(&folder, &broker, &["-t", "host"]);
    broker.process.wait_for("ping me");
    client.signal(Signal::SIGUSR1);
    let line = client.line_with("logins 1");
    for part in [
        "up since 20",
        "server 127.0.0.1",
        "interface gif0",
        "outer 127.0.0.1 to 127.0.0.1",
        "inner 2001:db8::6 to",
    ] {
        assert!(line.contains(part), "{line}");
    }
    stop(client);
}

#[test]
fn with_l_it_comes_back_by_itself_after_the_broker_was_killed() {
    let folder = Folder::new();
    let (broker, client) = up(&folder, &["-l"]);
    let port = broker.port;
    broker.process.signal(Signal::SIGKILL);
    client.wait_for("trying again in");
    drop(broker);
    let broker = Broker::start_on(port, &programs(), &folder, &[]);
    client.wait_for("updated gif0");
    broker.process.wait_for("ping me");
    let output = stop(client);
    assert_eq!(output.matches("ifconfig gif0 create").count(), 1, "{output}");
}

#[test]
fn without_l_it_ends_when_the_broker_is_killed() {
    let folder = Folder::new();
    let (broker, mut client) = up(&folder, &[]);
    broker.process.signal(Signal::SIGKILL);
    let (status, output) = client.wait(DEADLINE);
    assert_eq!(status.code(), Some(69), "{output}");
    assert!(output.contains("ifconfig gif0 destroy"), "{output}");
}

#[test]
fn a_sighup_ends_a_wait() {
    let folder = Folder::new();
    let (broker, client) = up(&folder, &["-l"]);
    let port = broker.port;
    drop(broker);
    // The fourth wait is eight seconds long.
    client.wait_for_count("trying again in", 4);
    let broker = Broker::start_on(port, &programs(), &folder, &[]);
    client.signal(Signal::SIGHUP);
    let start = Instant::now();
    broker.process.wait_for("granted me");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    stop(client);
}

#[test]
fn a_refused_login_is_final() {
    let folder = Folder::new();
    let broker = Broker::start(&programs(), &folder, &[]);
    folder.write("auth", "127.0.0.1:me:wrong-secret\n", 0o600);
    let (status, output) = rehearse(&folder, &broker, &["-l"]).wait(DEADLINE);
    assert_eq!(status.code(), Some(77), "{output}");
    assert!(
        output.contains(
            "login refused (\"authentication failed.\"): check the user name (-u) and the password"
        ),
        "{output}"
    );
    assert!(!output.contains("wrong-secret"), "{output}");
}

#[test]
fn once_a_login_has_worked_a_refused_one_is_waited_out() {
    let folder = Folder::new();
    let (broker, client) = up(&folder, &["-l"]);
    let port = broker.port;
    drop(broker);
    folder.write("auth", "127.0.0.1:me:changed\n", 0o600);
    let broker = Broker::start_on(port, &programs(), &folder, &[]);
    client.wait_for("trying again in 300.0 s");
    // A SIGHUP does not wait that long.
    client.signal(Signal::SIGHUP);
    broker.process.wait_for_count("refused me", 2);
    stop(client);
}

#[test]
fn an_unsupported_tunnel_type_is_final() {
    let folder = Folder::new();
    let broker = Broker::start(&programs(), &folder, &["--types", "host"]);
    let (status, output) = rehearse(&folder, &broker, &["-l"]).wait(DEADLINE);
    assert_eq!(status.code(), Some(69), "{output}");
    assert!(output.contains("choose another type with -t"), "{output}");
}

#[test]
fn a_server_without_a_free_tunnel_is_tried_again() {
    let folder = Folder::new();
    let broker = Broker::start(&programs(), &folder, &["--tunnels", "0"]);
    let client = rehearse(&folder, &broker, &["-l"]);
    broker.process.wait_for_count("refused me", 2);
    stop(client);
    let (status, output) = rehearse(&folder, &broker, &[]).wait(DEADLINE);
    assert_eq!(status.code(), Some(75), "{output}");
}

#[test]
fn behind_a_nat_a_gif_is_refused_unless_n_says_otherwise() {
    let folder = Folder::new();
    let broker = Broker::start(&programs(), &folder, &["--me", "203.0.113.7"]);
    let (status, output) = rehearse(&folder, &broker, &["-l"]).wait(DEADLINE);
    assert_eq!(status.code(), Some(78), "{output}");
    assert!(output.contains("has the address 127.0.0.1, but the server sees 203.0.113.7"), "{output}");
    broker.process.wait_for("quit me");
    let client = rehearse(&folder, &broker, &["-n"]);
    // The source is this host's own address, never what the server sees.
    client.wait_for("ifconfig gif0 tunnel 127.0.0.1 127.0.0.1");
    stop(client);
}

#[test]
fn the_debug_log_shows_the_protocol_and_no_secret() {
    let folder = Folder::new();
    let broker = Broker::start(&programs(), &folder, &[]);
    let client = rehearse(&folder, &broker, &["-d"]);
    client.wait_for("debug: server: +OK hi");
    let output = stop(client);
    for line in ["client: tunnel me ******** tunnelonly", "client: quit", "server: +OK see you soon."] {
        assert!(output.contains(&format!("debug: {line}")), "{output}");
    }
    assert!(!output.contains(PASSWORD), "{output}");
}

#[test]
fn a_thousand_logins_leave_nothing_behind() {
    let folder = Folder::new();
    let broker = Broker::start(&programs(), &folder, &[]);
    let client = rehearse(&folder, &broker, &[]);
    let mut early = 0;
    for logins in 1..=1000 {
        broker.process.wait_for_count("ping me", logins);
        if logins == 10 {
            early = resident_kilobytes(client.id());
        }
        client.signal(Signal::SIGHUP);
    }
    broker.process.wait_for_count("ping me", 1001);
    let late = resident_kilobytes(client.id());
    assert!(late <= early + 1024, "resident memory grew from {early} to {late} kB");
    let descriptors = descriptors(client.id());
    assert!(descriptors < 25, "{descriptors} descriptors are open");
    let output = stop(client);
    assert_eq!((output.matches(" create").count(), output.matches(" destroy").count()), (1, 1));
}

fn resident_kilobytes(pid: u32) -> usize {
    let output = Command::new("ps").args(["-o", "rss=", "-p", &pid.to_string()]).output().expect("ps runs");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number of kilobytes")
}

/// How many files a process has open; none if that cannot be seen.
fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}
