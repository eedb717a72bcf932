//! The sample scripts between two hosts, with packets that flow: that of the client, and that with which a broker makes
//! its end of a tunnel, as `docs/broker.md` describes it.
//!
//! To be run as root on a FreeBSD host with VIMAGE, as `tests/jails.rs`.
#![cfg(target_os = "freebsd")]

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use harness::freebsd::skip;
use harness::jails::{self, BOTH, CLIENT, Carrier, Jails, SERVER};
use harness::{USER, wait_until};
use nix::sys::signal::Signal;

/// Plays a scene that begins without a broker.
fn play(carriers: &[Carrier], scene: impl Fn(Jails) + Sync) {
    jails::play(Jails::without_broker, carriers, scene);
}

/// The sample script, with a LAN and a place for its records.
fn write_sample_script(jails: &Jails) {
    let script = include_str!("../samples/dtcpclient.script").replace("lan=\"\"", "lan=lo1");
    let records = jails.directory.file("records");
    jails.directory.write("script", &script.replace("/var/run", &records), 0o755);
    fs::create_dir(records).expect("a directory");
    jails.client.run("ifconfig lo1 create up");
}

/// Starts the broker with the sample script that makes its end of each tunnel.
fn start_broker_with_script(jails: &mut Jails) {
    let script = jails.directory.write("broker.script", include_str!("../samples/broker.script"), 0o755);
    jails.start_broker_with(&["--exec", &script]);
}

/// The last words of the sample script's `up`, from route(8).
fn routed(interface: &str) -> String {
    format!("add net default: gateway {interface}")
}

/// What the sample script has added for the prefix, and its records.
fn additions(jails: &Jails) -> String {
    let records = jails.directory.file("records");
    jails.client.run(&format!("ifconfig lo1 inet6; netstat -rn6 | sed -n '/^2001:db8:1::/p'; ls {records}"))
}

#[test]
fn a_packet_to_a_subnet_that_is_not_in_use_is_rejected_and_not_sent_back() {
    play(BOTH, |mut jails| {
        start_broker_with_script(&mut jails);
        write_sample_script(&jails);
        for host in [&jails.client, &jails.server] {
            host.run("sysctl net.inet6.ip6.forwarding=1");
        }
        let client = jails.start_client(&["-l", "-t", "network"]);
        client.wait_for(&routed(jails.carrier.interface()));
        jails.server.ping("2001:db8:1::1");
        let unused = jails.server.run("ping -6 -nv -c 1 -t 5 2001:db8:1:5::1 || :");
        assert!(unused.contains("Unreachable"), "{unused}");
        client.signal(Signal::SIGTERM);
        client.ends(0, "");
    });
}

#[test]
fn what_a_killed_client_s_script_has_added_is_removed_by_the_next_client() {
    play(BOTH, |mut jails| {
        start_broker_with_script(&mut jails);
        write_sample_script(&jails);
        let before = additions(&jails);
        let mut killed = jails.start_client(&["-l", "-t", "network"]);
        killed.wait_for(&routed(jails.carrier.interface()));
        killed.signal(Signal::SIGKILL);
        killed.wait();
        let next = jails.start_client(&["-l", "-t", "network", "--interface", "wan6"]);
        next.wait_for(&routed("wan6"));
        jails.broker = None;
        next.wait_for("delete net default");
        wait_until("everything to be as before", || (additions(&jails) == before).then_some(()));
    });
}

#[test]
fn the_sample_script_sets_routes_in_the_fib_of_the_interface() {
    play(&[Carrier::Gif], |mut jails| {
        start_broker_with_script(&mut jails);
        write_sample_script(&jails);
        let client = match jails.start_client_in_fib_1(&["-l", "-t", "network"]) {
            Ok(client) => client,
            Err(why) => return skip(&format!("no second FIB: {why}")),
        };
        client.wait_for(&routed("gif0"));
        let routes = |fib| jails.client.run(&format!("setfib {fib} netstat -rn6"));
        for route in ["default", "2001:db8:1::/48"] {
            assert!(routes(0).contains(route) && !routes(1).contains(route), "{}{}", routes(0), routes(1));
        }
        jails.broker = None;
        client.wait_for("delete net default");
        assert!(!routes(0).contains("default") && !routes(0).contains("2001:db8:1::/48"), "{}", routes(0));
    });
}

/// Gives all commands of the document to their hosts, in its order: `(host, command)`.
fn commands_of_the_document() -> Vec<(&'static str, String)> {
    let mut commands: Vec<(&str, String)> = Vec::new();
    for line in include_str!("../docs/broker.md").lines() {
        match (line.trim_start().split_once("# "), commands.last_mut()) {
            (Some((host @ ("server" | "client"), command)), _) => commands.push((host, command.to_owned())),
            (_, Some((_, begun))) if begun.ends_with('\\') => begun.extend(["\n", line]),
            _ => {}
        }
    }
    commands
}

/// Makes what the document expects to be there, in a directory that stands for `/usr/local`, `/var` and the directory
/// of the source on this host; returns its path.
fn furnish(jails: &Jails, host: &str) -> String {
    let root = jails.directory.file(host);
    for directory in ["etc", "sbin", "run", "log", "target/release/examples", "samples"] {
        fs::create_dir_all(format!("{root}/{directory}")).expect("a directory");
    }
    let link = |program: Command, name: &str| {
        symlink(program.get_program(), format!("{root}/{name}")).expect("a link");
    };
    link(harness::broker(), "target/release/examples/broker");
    link(harness::client(), "sbin/dtcpclient");
    let write = |name: &str, script: &str| jails.directory.write(&format!("{host}/{name}"), script, 0o755);
    write("samples/broker.script", include_str!("../samples/broker.script"));
    let script = include_str!("../samples/dtcpclient.script").replace("/var", &root);
    write("etc/dtcpclient.script.sample", &script);
    root
}

/// A command of the document, in these directories, whose paths the client gets as options.
fn furnished(command: &str, root: &str, carrier: Carrier) -> String {
    let client = format!(
        "{root}/sbin/dtcpclient {} --auth-file {root}/etc/dtcpclient.auth -s {root}/etc/dtcpclient.script \
         -f {root}/run/dtcpclient.pid ",
        carrier.option().unwrap_or_default()
    );
    let command = command.replace("/var", "/usr/local").replace("/usr/local", root);
    let command = command.strip_prefix("dtcpclient ").map_or(command.clone(), |rest| client + rest);
    format!("cd {root}; {command}")
}

#[test]
fn the_ten_commands_of_the_document_lead_from_nothing_to_ipv6() {
    let commands = commands_of_the_document();
    assert_eq!(commands.len(), 10, "{commands:#?}");
    play(BOTH, |jails| {
        let before = [jails.server.traces(), jails.client.traces()];
        let [server, client] = ["server", "client"].map(|host| furnish(&jails, host));
        for (host, command) in &commands {
            let (host, root) =
                if *host == "server" { (&jails.server, &server) } else { (&jails.client, &client) };
            println!("{}", host.run(&furnished(command, root, jails.carrier)));
        }
        let granted = jails.server.run(&format!("grep granted {server}/log/dtcpbroker.log"));
        assert!(granted.starts_with("granted alice network"), "{granted}");
        jails.client.run(&format!("pkill -F {client}/run/dtcpclient.pid"));
        let traces = || [jails.server.traces(), jails.client.traces()];
        wait_until("everything to be as before", || (traces() == before).then_some(()));
    });
}

#[test]
fn a_broker_makes_an_end_for_each_user_also_after_it_was_killed_and_removes_all() {
    play(&[Carrier::Gif], |mut jails| {
        let before = jails.server.traces();
        jails.directory.write("auth", &format!("{SERVER}:{USER}:a\n{SERVER}:you:b\n"), 0o600);
        start_broker_with_script(&mut jails);
        let clients = [&["-l", "-t", "network"][..], &["-l", "-t", "tunnelonly", "-u", "you", "-U"]]
            .map(|arguments| jails.start_client(arguments));
        let flows = |count| clients.iter().for_each(|client| client.wait_for_count("IPv6 flows", count));
        flows(1);
        assert_eq!(jails.server.run("ifconfig -g dtcps | sort"), "dtcps0\ndtcps1\n");
        jails.broker = None;
        start_broker_with_script(&mut jails);
        flows(2);
        let broker = jails.broker.take().expect("a broker");
        broker.signal(Signal::SIGTERM);
        let output = broker.ends(0, "");
        assert!(!output.contains("failed"), "{output}");
        assert_eq!(jails.server.traces(), before);
    });
}

/// As behind a NAT that forwards no port.
#[test]
fn a_client_that_tells_the_broker_no_port_is_answered_where_its_packets_come_from() {
    play(&[Carrier::Udp], |mut jails| {
        let before = jails.server.traces();
        start_broker_with_script(&mut jails);
        let client = jails.start_client(&["-l", "-n", "-t", "host", "-b", "6000"]);
        client.wait_for("IPv6 flows");
        client.signal(Signal::SIGHUP);
        client.wait_for_count("IPv6 flows", 2);
        client.signal(Signal::SIGTERM);
        client.ends(0, "");
        wait_until("everything to be as before", || (jails.server.traces() == before).then_some(()));
    });
}

#[test]
fn a_client_that_logs_in_again_before_its_old_session_has_ended_gets_a_tunnel_that_stays() {
    play(&[Carrier::Gif], |jails| {
        let script = jails.directory.write("broker.script", include_str!("../samples/broker.script"), 0o755);
        let words = format!("me tunnelonly {CLIENT} {SERVER} '' '' '' ip '' ''");
        let there = jails.server.run(&format!(
            "{script} up {words} 0; {script} up {words} 1; ifconfig -g dtcps
             {script} down {words} 0; ifconfig -g dtcps; {script} down {words} 1; ifconfig -g dtcps"
        ));
        assert_eq!(there, "dtcps1\ndtcps1\n");
    });
}
