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

use harness::{Broker, DEADLINE, Folder, Process, Programs};
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
    /// The commands that make the interface, set its outer and its inner addresses, and remove it.
    create: &'static str,
    connect: &'static str,
    address: &'static str,
    remove: &'static str,
    /// The arguments of the script after `up` or `down`.
    facts: &'static str,
}

const GIF: Act = Act {
    title: "A network behind a gif(4) tunnel",
    options: &["-t", "network"],
    granted: "granted me network 127.0.0.1 127.0.0.1 2001:db8::6 2001:db8::5 2001:db8:1::/48 ip - -",
    create: "ifconfig gif0 create",
    connect: "ifconfig gif0 tunnel 127.0.0.1 127.0.0.1",
    address: "ifconfig gif0 inet6 2001:db8::6 2001:db8::5 prefixlen 128",
    remove: "ifconfig gif0 destroy",
    facts: "127.0.0.1 127.0.0.1 network 127.0.0.1 127.0.0.1 2001:db8::6 2001:db8::5 2001:db8:1::/48",
};

const UDP: Act = Act {
    title: "A host with a UDP tunnel, made of netgraph(4) nodes",
    options: &["-U", "-t", "host"],
    granted: "granted me host 127.0.0.1 127.0.0.1 2001:db8::6 2001:db8::5 - udp 4028 4028",
    create: "ngctl mkpeer . iface dtcp inet",
    connect: "ngctl msg ng0:inet6 connect inet/127.0.0.1:4028",
    address: "ifconfig ng0 inet6 2001:db8::6 2001:db8::5 prefixlen 128",
    remove: "ngctl shutdown ng0:",
    facts: "127.0.0.1 127.0.0.1 host 127.0.0.1 127.0.0.1 2001:db8::6 2001:db8::5 ''",
};

fn main() {
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&INTERRUPTED)).expect("a signal handler");
    }
    let programs = build();
    let start = Instant::now();
    let directory = Folder::new();
    directory.write("script", "#!/bin/sh\n", 0o755);

    step("A DTCP broker starts. It has one user, whose password is in the client's auth file too");
    show("auth", directory.read("auth").trim_end());
    let broker = Broker::start(&programs, &directory, &["--numbered"]);
    let port = broker.port;
    let mut broker = Actor::new(broker.process, |_| "broker");
    broker.see("broker", "listening on ");

    for act in [GIF, UDP] {
        Scene::open(act, &mut broker, port, &programs, &directory).play(&directory);
    }

    step("SIGTERM ends the broker");
    broker.process.signal(Signal::SIGTERM);
    broker.see_end();
    println!("\nEverything went as expected, in {:.2} s.", start.elapsed().as_secs_f64());
}

/// Builds the client and the broker beside this example: `cargo run --example demo` builds neither.
fn build() -> Programs {
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--profile", profile, "--bin", "dtcpclient", "--example", "broker"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo");
    assert!(built.success(), "cannot build the client and the broker");
    let examples = env::current_exe().expect("the path of this example");
    let profile = examples.parent().and_then(|examples| examples.parent()).expect("a target directory");
    Programs::find(&profile.join("dtcpclient").to_string_lossy())
}

/// An act with the programs that play it.
struct Scene<'a> {
    act: Act,
    broker: &'a mut Actor,
    client: Actor,
    script: String,
}

impl<'a> Scene<'a> {
    fn open(act: Act, broker: &'a mut Actor, port: u16, programs: &Programs, directory: &Folder) -> Self {
        println!("\n{}\n{}", act.title, "=".repeat(act.title.len()));
        step(
            "The client starts. With -l it reconnects after a failure, with -d it logs each line of the protocol",
        );
        let [script, pid_file] = ["script", "pid"].map(|file| directory.file(file).display().to_string());
        let options = [act.options, &["--rehearse", "-l", "-d", "-s", &script, "-f", &pid_file]].concat();
        let command = directory.client(programs, port, &options);
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        show("$", &format!("dtcpclient {}", arguments.join(" ")));
        let label = |line: &str| if line.starts_with("dtcpclient: ") { "log" } else { "command" };
        Self { act, broker, client: Actor::new(Process::start(command), label), script }
    }

    fn play(mut self, directory: &Folder) {
        step("It logs in: challenge, response (masked in the log), and what the broker grants");
        self.see_login();
        step("It makes the tunnel");
        for command in [self.act.create, self.act.connect, self.act.address] {
            self.client.see("command", command);
        }
        self.client.see("log", "made ");
        step("It runs the script");
        self.see_script("up");
        step("It pings the broker at once, and then every minute");
        self.see_ping();

        step("SIGHUP makes it log in again. The interface stays, and is set again");
        self.client.process.signal(Signal::SIGHUP);
        self.see_quit();
        self.see_login();
        self.client.see("command", self.act.address);
        self.see_script("up");
        self.see_ping();

        step("SIGUSR1, or SIGINFO on FreeBSD, makes it log its state. The pid file has the process to ask");
        show("pid", directory.read("pid").trim_end());
        assert_eq!(directory.read("pid"), format!("{}\n", self.client.process.id()));
        self.client.process.signal(Signal::SIGUSR1);
        self.client.see("log", "inner 2001:db8::6 to 2001:db8::5");

        step("SIGTERM ends it. The script is run with `down`, and the tunnel and the pid file are removed");
        self.client.process.signal(Signal::SIGTERM);
        self.see_quit();
        self.client.see("command", self.act.remove);
        self.client.see_end();
        assert!(!directory.file("pid").exists(), "the pid file is still there");
    }

    fn see_login(&mut self) {
        self.client.see("log", "client: tunnel me *");
        self.client.see("log", "server: +OK 127.0.0.1 127.0.0.1");
        self.broker.see("broker", self.act.granted);
    }

    fn see_script(&mut self, state: &str) {
        self.client.see("command", &format!("{} {state} {}", self.script, self.act.facts));
    }

    fn see_ping(&mut self) {
        self.client.see("log", "client: ping");
        self.broker.see("broker", "ping me");
        self.client.see("log", "server: +OK hi");
    }

    fn see_quit(&mut self) {
        self.client.see("log", "client: quit");
        self.broker.see("broker", "quit me");
        self.broker.see("broker", "closed me");
        self.see_script("down");
    }
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
                let mut new = lines.iter().enumerate().skip(*next);
                new.find(|(_, line)| (self.label)(line) == label).map(|(index, line)| (index, line.clone()))
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
        let (status, _) = self.process.wait(DEADLINE);
        for (index, line) in self.process.lines().iter().enumerate() {
            let label = (self.label)(line);
            if index >= self.next.get(label).copied().unwrap_or(0) {
                show(label, line);
                assert_eq!(label, "log", "this should not have come");
            }
        }
        show("exit", &status.to_string());
        assert!(status.success());
    }
}

fn step(heading: &str) {
    println!("\n{heading}");
}

fn show(label: &str, line: &str) {
    println!("    {label:<8} {line}");
}
