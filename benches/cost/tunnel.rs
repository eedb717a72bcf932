//! Tunnels on FreeBSD's kernel: ours, and the same made by ifconfig(8) and ngctl(8), in turns.

use std::process::Command;
use std::time::Instant;

use harness::{Directory, Process};
use nix::sys::signal::Signal;

use crate::far_end;
use crate::process::{client, milliseconds};
use crate::report::{Report, median, note};
use crate::server::{Event, Manner, Server};
use crate::trace::{Call, Traced};

/// Each with the most kernel calls that it may take, and the options that ask for it.
fn carriers() -> [(&'static str, usize, Vec<String>); 2] {
    [("gif", 20, Vec::new()), ("tunnel in UDP", 26, far_end::options().to_vec())]
}

pub(crate) fn measure(report: &mut Report, full: bool) {
    for (name, goal, options) in carriers() {
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        if let Some(traced) = Traced::start(Manner::Kind, &options) {
            traced.server.wait_for(Event::Ping, 1);
            traced.client.signal(Signal::SIGTERM);
            report_calls(report, name, &traced.end().0, goal);
        }
        if full {
            compare(name, &options);
        }
    }
}

/// The calls from the offer to the first ping, except for those of the script and the log.
fn report_calls(report: &mut Report, name: &str, calls: &[Call], goal: usize) {
    let until_ping =
        calls.iter().skip_while(|call| !call.has("+OK 127.")).skip(1).take_while(|call| !call.has("ping"));
    let calls: Vec<_> = until_ping.map(|call| &call.name[..]).collect();
    let of_kernel =
        |name: &&&str| ["ioctl", "sendto", "recvfrom", "socket", "sysctl", "kldload"].contains(*name);
    let of_kernel = calls.iter().filter(of_kernel).count();
    report.at_most(&format!("kernel calls from the grant to a {name}"), of_kernel, goal, "calls");
    note("  all system calls in that time", calls.join(" "));
}

/// The time from the grant to the tunnel against that of the same commands in one shell.
fn compare(name: &str, options: &[&str]) {
    const TURNS: usize = 10;
    let (directory, server) = (Directory::default(), Server::start(Manner::Kind));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for turn in 1..=TURNS {
        let process = Process::start(client(&directory, server.port, options));
        // Before it starts the script.
        process.wait_for("made ");
        let made = Instant::now();
        ours.push(milliseconds(server.wait_for(Event::Grant, 2 * turn - 1), made));
        process.stop(Signal::SIGTERM);
        let Some(took) = by_commands(&directory, &server, 2 * turn, options) else {
            return note(&format!("{name} by commands"), "not measured, since another has its name");
        };
        theirs.push(took);
    }
    let [ours, theirs] = [ours, theirs].map(median);
    note(
        &format!("grant to {name}, ours, and by ifconfig(8) and ngctl(8)"),
        format!("{ours:.2} ms, {theirs:.2} ms (medians of {TURNS})"),
    );
}

/// Runs the commands that a rehearsal prints, and returns how long those took that make the tunnel.
fn by_commands(directory: &Directory, server: &Server, login: usize, options: &[&str]) -> Option<f64> {
    let rehearsal =
        Process::start(directory.client(server.port, &[&["--rehearse", "-t", "host"], options].concat()));
    server.wait_for(Event::Ping, login);
    let output = rehearsal.stop(Signal::SIGTERM);
    let commands = output.lines().filter(|line| line.starts_with("ifconfig ") || line.starts_with("ngctl "));
    let commands: Vec<_> = commands.collect();
    let (last, others) = commands.split_last()?;
    let start = Instant::now();
    let made = Command::new("sh").args(["-ec", &others.join("\n")]).status();
    let took = milliseconds(start, Instant::now());
    let _ = Command::new("sh").args(["-c", last]).status();
    made.is_ok_and(|status| status.success()).then_some(took)
}
