//! The program from outside: the real binary, rehearsing, against the broker in another process.

use std::process::Command;
use std::time::{Duration, Instant};

use harness::{Broker, Directory, PASSWORD, Process, wait_until};
use nix::sys::signal::Signal;

/// A directory, a broker, and a client that has a tunnel from it.
fn up(arguments: &[&str]) -> (Directory, Broker, Process) {
    let directory = Directory::default();
    let broker = Broker::start(&directory, &[]);
    let client = directory.rehearse(broker.port, arguments);
    client.wait_for("made ");
    broker.process.wait_for("ping me");
    (directory, broker, client)
}

#[test]
fn it_logs_in_makes_the_tunnel_and_removes_it_at_sigterm() {
    let directory = Directory::default();
    let script = directory.script("");
    let broker = Broker::start(&directory, &["--numbered"]);
    let client = directory.rehearse(broker.port, &["-t", "network", "-s", &script]);
    broker.process.wait_for("ping me");
    let output = client.stop(Signal::SIGTERM);
    for line in ["connected to 127.0.0.1:", "shutting down on SIGTERM", "exiting"] {
        assert!(output.contains(&format!("dtcpclient: {line}")), "{line}: {output}");
    }
    let is_command = |line: &&str| !line.starts_with("dtcpclient: ") && !line.starts_with("ping ");
    let commands: Vec<_> = output.lines().filter(is_command).collect();
    let arguments = "127.0.0.1 127.0.0.1 network 127.0.0.1 127.0.0.1 2001:db8::6 2001:db8::5 2001:db8:1::/48";
    let (up, down) = (format!("{script} up {arguments}"), format!("{script} down {arguments}"));
    assert_eq!(commands.first(), Some(&"ifconfig gif0 create"));
    assert!(commands.contains(&"ifconfig gif0 inet6 2001:db8::6 2001:db8::5 prefixlen 128"), "{output}");
    assert_eq!(commands[commands.len() - 3..], [up.as_str(), down.as_str(), "ifconfig gif0 destroy"]);
    broker.process.wait_for("quit me");
}

#[test]
fn a_udp_tunnel_goes_to_the_port_that_the_server_names() {
    let directory = Directory::default();
    let broker = Broker::start(&directory, &["--udp-ports", "5000"]);
    let client = directory.rehearse(broker.port, &["-U", "-b", "6000"]);
    broker.process.wait_for("granted me tunnelonly 127.0.0.1 127.0.0.1 - - - udp 6000 5000");
    client.wait_for("ngctl msg ng0:inet6 bind inet/127.0.0.1:6000");
    client.wait_for("ngctl msg ng0:inet6 connect inet/127.0.0.1:5000");
    client.wait_for("ifconfig ng0 up");
    assert!(client.stop(Signal::SIGTERM).contains("ngctl shutdown ng0:"));
}

#[test]
fn sigusr1_logs_the_state_and_d_the_protocol_but_nothing_a_secret() {
    let (_directory, broker, client) = up(&["-d", "-t", "host"]);
    client.wait_for("debug: server: +OK hi");
    client.signal(Signal::SIGUSR1);
    let state = client.line_with("logins 1");
    let outer = "outer 127.0.0.1 to 127.0.0.1";
    for part in ["up since 20", "server 127.0.0.1", "interface gif0", outer, "inner 2001:db8::6 to"] {
        assert!(state.contains(part), "{state}");
    }
    let output = client.stop(Signal::SIGTERM);
    for line in ["client: tunnel me ******** host", "client: quit", "server: +OK see you soon."] {
        assert!(output.contains(&format!("debug: {line}")), "{output}");
    }
    assert!(!output.contains(PASSWORD), "{output}");
    drop(broker);
}

#[test]
fn after_the_broker_was_killed_a_client_comes_back_with_l_and_ends_without() {
    for options in [&["-l"][..], &[]] {
        let (directory, broker, client) = up(options);
        let port = broker.port;
        drop(broker);
        let output = if options.is_empty() {
            client.ends(69, "")
        } else {
            client.wait_for("trying again in");
            let broker = Broker::start_on(port, &directory, &[]);
            client.wait_for("updated gif0");
            broker.process.wait_for("ping me");
            client.stop(Signal::SIGTERM)
        };
        for command in ["create", "destroy"] {
            assert_eq!(output.matches(&format!("ifconfig gif0 {command}")).count(), 1, "{output}");
        }
    }
}

#[test]
fn once_a_login_has_worked_a_refused_one_is_waited_out_until_a_sighup() {
    let (directory, broker, client) = up(&["-l"]);
    let port = broker.port;
    drop(broker);
    directory.write("auth", "127.0.0.1:me:changed\n", 0o600);
    let broker = Broker::start_on(port, &directory, &[]);
    client.wait_for("trying again in 300.0 s");
    client.signal(Signal::SIGHUP);
    client.wait_for("the auth file has a new password");
    broker.process.wait_for("granted me");
    client.stop(Signal::SIGTERM);
}

#[test]
fn a_first_login_that_the_server_refuses_is_final_unless_it_is_for_want_of_a_tunnel() {
    let user = "login refused (\"authentication failed.\"): check the user name (-u) and the password";
    let nat = "has the address 127.0.0.1, but the server sees 203.0.113.7";
    for (of_broker, of_client, password, status, words) in [
        (&["--types", "host"][..], "-l", PASSWORD, 69, "choose another type with -t"),
        (&["--tunnels", "0"], "-d", PASSWORD, 75, "no free tunnel"),
        (&[], "-l", "wrong-secret", 77, user),
        (&["--me", "203.0.113.7"], "-l", PASSWORD, 78, nat),
    ] {
        let directory = Directory::default();
        let broker = Broker::start(&directory, of_broker);
        directory.write("auth", &format!("127.0.0.1:me:{password}\n"), 0o600);
        let output = directory.rehearse(broker.port, &[of_client]).ends(status, words);
        assert!(!output.contains(password), "{output}");
        broker.process.wait_for("quit ");
    }
    let directory = Directory::default();
    let broker = Broker::start(&directory, &["--tunnels", "0"]);
    let client = directory.rehearse(broker.port, &["-l"]);
    broker.process.wait_for_count("refused me", 2);
    client.stop(Signal::SIGTERM);
}

#[test]
fn behind_a_nat_n_makes_a_gif_from_this_hosts_own_address_and_u_keeps_the_nat_open() {
    let directory = Directory::default();
    let broker = Broker::start(&directory, &["--me", "203.0.113.7"]);
    for (options, command) in [
        (&["-n"][..], "ifconfig gif0 tunnel 127.0.0.1 127.0.0.1"),
        (&["-U", "-n"], "ping -6 -c 1 ff02::1%ng0"),
    ] {
        let client = directory.rehearse(broker.port, options);
        client.wait_for(command);
        client.stop(Signal::SIGTERM);
    }
}

/// `DTCPCLIENT_SOAK_LOGINS` is the number of logins, at most four a second, if not two hundred.
#[test]
fn a_sighup_logs_in_again_on_the_same_interface_and_hundreds_leave_nothing_behind() {
    let wanted = std::env::var("DTCPCLIENT_SOAK_LOGINS").map_or(200, |text| text.parse().expect("a number"));
    let (_directory, broker, client) = up(&[]);
    let look = || {
        // The last that it opens after a login is the socket of the echo.
        client.wait_until("an echo request", |lines| {
            let last_command = lines.iter().rfind(|line| !line.starts_with("dtcpclient:"))?;
            last_command.starts_with("ping -6").then_some(())
        });
        (open(client.id()), resident_kilobytes(client.id()))
    };
    let mut early = (Vec::new(), 0);
    for logins in 1..=wanted {
        broker.process.wait_for_count("ping me", logins);
        if logins == 50 {
            early = look();
        }
        client.signal(Signal::SIGHUP);
    }
    broker.process.wait_for_count("ping me", wanted + 1);
    let late = look();
    println!("descriptors, threads and children, and kB: from {early:?} to {late:?}");
    assert_eq!(early.0, late.0, "descriptors, threads and children");
    assert!(late.1 <= early.1 + 256, "resident memory grew from {} to {} kB", early.1, late.1);
    let output = client.stop(Signal::SIGTERM);
    let count = |text| output.matches(text).count();
    assert_eq!((count("SIGHUP: logging in again"), count("ifconfig gif0 tunnel ")), (wanted, wanted + 1));
    assert_eq!((count(" create"), count(" destroy")), (1, 1));
}

/// One login at a time, however many signals come in the meantime.
#[test]
fn a_storm_of_signals_is_weathered() {
    for signal in [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGCHLD] {
        let (_directory, broker, client) = up(&["-l"]);
        let start = Instant::now();
        for _ in 0..1000 {
            client.signal(signal);
            std::thread::sleep(Duration::from_millis(1));
        }
        // It is as before.
        wait_until("a tunnel that is up", || {
            client.signal(Signal::SIGUSR1);
            client.lines().iter().any(|line| line.contains(": up since ")).then_some(())
        });
        let output = client.stop(Signal::SIGTERM);
        assert_eq!((output.matches(" create").count(), output.matches(" destroy").count()), (1, 1));
        broker.process.wait_for("quit me");
        let events = broker.process.lines();
        let logins = events.iter().filter(|line| line.starts_with("granted ")).count();
        assert!(
            logins <= 2 + start.elapsed().as_millis() as usize / 250,
            "{logins} in {:?}",
            start.elapsed()
        );
        // An attempt that was given up before its login closes its connection, too.
        let begins_or_ends = |line: &&String| line.starts_with("granted ") || *line == "closed me";
        let pairs: Vec<_> = events.iter().filter(begins_or_ends).collect();
        assert!(pairs.chunks(2).all(|pair| pair[0].starts_with("granted ")), "{signal}: {events:#?}");
    }
}

fn resident_kilobytes(pid: u32) -> usize {
    let output = Command::new("ps").args(["-o", "rss=", "-p", &pid.to_string()]).output().expect("ps runs");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number of kilobytes")
}

#[cfg(target_os = "linux")]
#[test]
fn the_password_is_kept_out_of_core_dumps_and_from_debuggers() {
    use std::os::unix::fs::MetadataExt;
    let (_directory, _broker, client) = up(&[]);
    let process = format!("/proc/{}", client.id());
    let limits = std::fs::read_to_string(format!("{process}/limits")).expect("it runs");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    // Linux gives to root what nobody else may trace.
    assert_eq!(std::fs::metadata(format!("{process}/mem")).expect("it runs").uid(), 0);
}

/// How many descriptors, threads and children a process has; nothing if that cannot be seen.
fn open(pid: u32) -> Vec<usize> {
    let process = format!("/proc/{pid}");
    let list = |what| std::fs::read_dir(format!("{process}/{what}")).map(Iterator::count).ok();
    let children = std::fs::read_to_string(format!("{process}/task/{pid}/children")).ok();
    let children = children.map(|pids| pids.split_whitespace().count());
    [list("fd"), list("task"), children].into_iter().flatten().collect()
}
