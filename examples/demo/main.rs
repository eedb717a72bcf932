//! The client at work: `cargo run --example demo`.
//!
//! A broker on loopback grants two tunnels, one after the other. The client logs in to it and rehearses: it prints the
//! commands that would do to FreeBSD's kernel what it does there itself. That needs no privilege and works on any
//! system.
//!
//! The demonstration is also a check. It waits for certain lines, shows everything that comes before them, and fails
//! if one of them does not come.

use std::collections::HashMap;
use std::env;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use harness::{Broker, Directory, Process};
use nix::sys::signal::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Set by a signal, so that a demonstration that is interrupted still ends what it started and removes its files.
static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// A tunnel, and the lines that must be seen of it.
struct Act {
    title: &'static str,
    /// The options of the client that choose the tunnel.
    options: &'static [&'static str],
    /// The broker's event when it grants the tunnel.
    granted: &'static str,
    /// The commands that make the interface and set its outer addresses.
    make: [&'static str; 2],
    /// The command that sets its inner addresses.
    address: &'static str,
    /// The command that removes it.
    remove: &'static str,
    /// The arguments of the script after `up` or `down`.
    facts: &'static str,
}

const GIF: Act = Act {
    title: "A network behind a gif(4) tunnel",
    options: &["-t", "network"],
    granted: "granted me network 127.0.0.1 127.0.0.1 2001:db8::6 2001:db8::5 2001:db8:1::/48 ip - -",
    make: ["ifconfig gif0 create", "ifconfig gif0 tunnel 127.0.0.1 127.0.0.1"],
    address: "ifconfig gif0 inet6 2001:db8::6 2001:db8::5 prefixlen 128",
    remove: "ifconfig gif0 destroy",
    facts: "127.0.0.1 127.0.0.1 network 127.0.0.1 127.0.0.1 2001:db8::6 2001:db8::5 2001:db8:1::/48",
};

const UDP: Act = Act {
    title: "A host with a UDP tunnel, made of netgraph(4) nodes",
    options: &["-U", "-t", "host"],
    granted: "granted me host 127.0.0.1 127.0.0.1 2001:db8::6 2001:db8::5 - udp 4028 4028",
    make: ["ngctl mkpeer . iface dtcp inet", "ngctl msg ng0:inet6 connect inet/127.0.0.1:4028"],
    address: "ifconfig ng0 inet6 2001:db8::6 2001:db8::5 prefixlen 128",
    remove: "ngctl shutdown ng0:",
    facts: "127.0.0.1 127.0.0.1 host 127.0.0.1 127.0.0.1 2001:db8::6 2001:db8::5 ''",
};

fn main() {
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&INTERRUPTED)).expect("a signal handler");
    }
    build();
    let start = Instant::now();
    let directory = Directory::default();

    step("A DTCP broker starts. It has one user, whose password is in the client's auth file too");
    show("auth", directory.read("auth").trim_end());
    let Broker { process, port } = Broker::start(&directory, &["--numbered"]);
    let mut broker = Actor::new(process, |_| "broker");
    broker.see("broker", "listening on ");

    for act in [GIF, UDP] {
        play(&act, &mut broker, port, &directory);
    }

    step("SIGTERM ends the broker");
    broker.process.signal(Signal::SIGTERM);
    broker.see_end();
    println!("\nEverything went as expected, in {:.2} s.", start.elapsed().as_secs_f64());
}

/// Builds the client and the broker beside this example: `cargo run --example demo` builds neither.
fn build() {
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--profile", profile, "--bin", "dtcpclient", "--example", "broker"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(built.expect("cargo").success(), "cannot build the client and the broker");
}

fn play(act: &Act, broker: &mut Actor, port: u16, directory: &Directory) {
    println!("\n{}\n{}", act.title, "=".repeat(act.title.len()));

    step(
        "The client starts. With -l it reconnects after a failure, with -d it logs each line of the protocol",
    );
    let script = directory.script("");
    let options = ["--rehearse", "-l", "-d", "-s", &script, "-f", &directory.file("pid")];
    let command = directory.client(port, &[act.options, &options].concat());
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    show("$", &format!("dtcpclient {}", arguments.join(" ")));
    let label = |line: &str| if line.starts_with("dtcpclient: ") { "log" } else { "command" };
    let mut client = Actor::new(Process::start(command), label);

    step("It logs in: challenge, response (masked in the log), and what the broker grants");
    see_login(act, &mut client, broker);

    step("It makes the tunnel");
    for command in [act.make[0], act.make[1], act.address] {
        client.see("command", command);
    }
    client.see("log", "made ");

    step("It runs the script");
    client.see("command", &format!("{script} up {}", act.facts));

    step("It pings the broker at once, and then every minute");
    see_ping(&mut client, broker);

    step("SIGHUP makes it log in again. The interface stays, and is set again");
    client.process.signal(Signal::SIGHUP);
    see_quit(act, &script, &mut client, broker);
    see_login(act, &mut client, broker);
    client.see("command", act.address);
    client.see("command", &format!("{script} up {}", act.facts));
    see_ping(&mut client, broker);

    step("SIGUSR1, or SIGINFO on FreeBSD, makes it log its state. The pid file has the process to ask");
    show("pid", directory.read("pid").trim_end());
    assert_eq!(directory.read("pid"), format!("{}\n", client.process.id()));
    client.process.signal(Signal::SIGUSR1);
    client.see("log", "inner 2001:db8::6 to 2001:db8::5");

    step("SIGTERM ends it. The script is run with `down`, and the tunnel and the pid file are removed");
    client.process.signal(Signal::SIGTERM);
    see_quit(act, &script, &mut client, broker);
    client.see("command", act.remove);
    client.see_end();
    assert!(!directory.has("pid"), "the pid file is still there");
}

fn see_login(act: &Act, client: &mut Actor, broker: &mut Actor) {
    client.see("log", "client: tunnel me *");
    client.see("log", "server: +OK 127.0.0.1 127.0.0.1");
    broker.see("broker", act.granted);
}

fn see_ping(client: &mut Actor, broker: &mut Actor) {
    client.see("log", "client: ping");
    broker.see("broker", "ping me");
    client.see("log", "server: +OK hi");
}

fn see_quit(act: &Act, script: &str, client: &mut Actor, broker: &mut Actor) {
    client.see("log", "client: quit");
    broker.see("broker", "quit me");
    broker.see("broker", "closed me");
    client.see("command", &format!("{script} down {}", act.facts));
}

/// A program whose lines are shown as they are waited for.
struct Actor {
    process: Process,
    /// The label of a line, which says what kind it is of.
    label: fn(&str) -> &'static str,
    /// For each label, where to look for its next line.
    next: HashMap<&'static str, usize>,
}

impl Actor {
    fn new(process: Process, label: fn(&str) -> &'static str) -> Self {
        Self { process, label, next: HashMap::new() }
    }

    /// Shows the lines with this label up to the first that contains the text.
    fn see(&mut self, label: &'static str, text: &str) {
        let next = self.next.entry(label).or_default();
        loop {
            let (index, line) = self.process.wait_until(text, |lines| {
                let index = (*next..lines.len()).find(|&index| (self.label)(&lines[index]) == label)?;
                Some((index, lines[index].clone()))
            });
            assert!(!INTERRUPTED.load(Ordering::Relaxed), "interrupted");
            *next = index + 1;
            show(label, &line);
            if line.contains(text) {
                return;
            }
        }
    }

    /// Waits for the end of the program, shows the rest of its log, and checks that it has succeeded and does no more.
    fn see_end(&mut self) {
        let (status, _) = self.process.wait();
        for (index, line) in self.process.lines().iter().enumerate() {
            let label = (self.label)(line);
            if index >= self.next.get(label).copied().unwrap_or(0) {
                show(label, line);
                assert_eq!(label, "log", "this should not have come");
            }
        }
        assert_eq!(status, Some(0));
        show("exit", "status 0");
    }
}

fn step(heading: &str) {
    println!("\n{heading}");
}

fn show(label: &str, line: &str) {
    println!("    {label:<8} {line}");
}
