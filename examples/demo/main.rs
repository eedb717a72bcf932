//! The client at work: `cargo run --example demo`.
//!
//! A broker on loopback grants two tunnels, one after the other. The client logs in to it and rehearses: it prints the
//! commands that would do to FreeBSD's kernel what it does there itself. That needs no privilege and works on any
//! system.
//!
//! The demonstration is also a check. It waits for certain lines, shows everything that comes before them, and fails
//! if one of them does not come.

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
    /// The words of the broker's event when it grants the tunnel, after the outer addresses.
    granted: &'static str,
    /// The commands that make the interface and set its outer addresses.
    make: [&'static str; 2],
    interface: &'static str,
    /// The command that removes it.
    remove: &'static str,
    /// The arguments of the script after the event and the addresses of the connection.
    facts: &'static str,
}

const ACTS: [Act; 2] = [
    Act {
        title: "A network behind a gif(4) tunnel",
        options: &["-t", "network"],
        granted: "2001:db8::6 2001:db8::5 2001:db8:1::/48 ip - -",
        make: ["ifconfig gif0 create", "ifconfig gif0 tunnel 127.0.0.1 127.0.0.1"],
        interface: "gif0",
        remove: "ifconfig gif0 destroy",
        facts: "network 127.0.0.1 127.0.0.1 2001:db8::6 2001:db8::5 2001:db8:1::/48",
    },
    Act {
        title: "A host with a UDP tunnel, made of netgraph(4) nodes",
        options: &["-U", "-t", "host"],
        granted: "2001:db8::6 2001:db8::5 - udp 4028 4028",
        make: ["ngctl mkpeer . iface dtcp inet", "ngctl msg ng0:inet6 connect inet/127.0.0.1:4028"],
        interface: "ng0",
        remove: "ngctl shutdown ng0:",
        facts: "host 127.0.0.1 127.0.0.1 2001:db8::6 2001:db8::5 ''",
    },
];

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
    let mut broker = Actor { process, label: "broker", next: 0 };
    broker.see(&["listening on "]);
    for act in ACTS {
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

    step("The client starts. With -l it reconnects after a failure, with -d it logs the protocol");
    let script = directory.script("");
    let options = ["--rehearse", "-l", "-d", "-s", &script, "-f", &directory.file("pid")];
    let command = directory.client(port, &[act.options, &options].concat());
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    show("$", &format!("dtcpclient {}", arguments.join(" ")));
    let mut client = Actor { process: Process::start(command), label: "command", next: 0 };

    let granted = &format!("127.0.0.1 127.0.0.1 {}", act.granted);
    let address = &format!("ifconfig {} inet6 2001:db8::6 2001:db8::5 prefixlen 128", act.interface);
    let [up, down] =
        &["up", "down"].map(|event| format!("{script} {event} 127.0.0.1 127.0.0.1 {}", act.facts));
    let answer = "server: +OK 127.0.0.1 127.0.0.1";
    let login = ["client: tunnel me *", answer, address, up, "client: ping", "server: +OK hi"];

    step("It logs in (its response is masked), makes the tunnel, runs the script, and pings every minute");
    client.see(&[&act.make[..], &["made "], &login].concat());
    broker.see(&[granted, "ping me"]);

    step("SIGHUP makes it log in again. The interface stays, and is set again");
    client.process.signal(Signal::SIGHUP);
    client.see(&[&["client: quit", down][..], &login].concat());
    broker.see(&["quit me", "closed me", granted, "ping me"]);

    step("SIGUSR1, or SIGINFO on FreeBSD, makes it log its state. The pid file has the process to ask");
    show("pid", directory.read("pid").trim_end());
    assert_eq!(directory.read("pid"), format!("{}\n", client.process.id()));
    client.process.signal(Signal::SIGUSR1);
    client.see(&["inner 2001:db8::6 to 2001:db8::5"]);

    step("SIGTERM ends it. The script is run with `down`, and the tunnel and the pid file are removed");
    client.process.signal(Signal::SIGTERM);
    client.see(&["client: quit", down, act.remove]);
    broker.see(&["quit me", "closed me"]);
    client.see_end();
    assert!(!directory.has("pid"), "the pid file is still there");
}

/// A program whose lines are shown as they are waited for.
struct Actor {
    process: Process,
    /// The label of the lines that are not the client's log.
    label: &'static str,
    /// The first line that has not been shown yet.
    next: usize,
}

impl Actor {
    /// Waits for new lines with these texts, in any order, and shows all up to the last of them.
    fn see(&mut self, texts: &[&str]) {
        let end = self.process.wait_until(&texts.join("\", \""), |lines| {
            let new = lines.get(self.next..)?;
            let place = |text| new.iter().position(|line| line.contains(text));
            texts
                .iter()
                .map(|text| place(*text))
                .try_fold(self.next, |end, at| Some(end.max(self.next + at? + 1)))
        });
        assert!(!INTERRUPTED.load(Ordering::Relaxed), "interrupted");
        self.show_to(end);
    }

    fn show_to(&mut self, end: usize) {
        for line in &self.process.lines()[self.next..end] {
            show(if line.starts_with("dtcpclient: ") { "log" } else { self.label }, line);
        }
        self.next = end;
    }

    /// Waits for the end of the program, shows the rest of its log, and checks that it has succeeded and does no more.
    fn see_end(&mut self) {
        let (status, _) = self.process.wait();
        let (lines, seen) = (self.process.lines(), self.next);
        self.show_to(lines.len());
        assert!(lines[seen..].iter().all(|line| line.starts_with("dtcpclient: ")), "more than was expected");
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
