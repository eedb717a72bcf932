//! One login, from the start of the program to its end, and the floor: a process with a bare socket that speaks the same
//! lines and runs the same script. They take turns, so that other work on this machine disturbs both alike.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Instant;

use harness::Directory;
use nix::sys::signal::Signal;

use crate::process::{Measured, children, client, milliseconds};
use crate::report::{Report, median, note};
use crate::server::{Event, Manner, Server};

/// The argument that makes this program the floor.
pub(crate) const FLOOR: &str = "--floor";
/// How many of each.
const PAIRS: usize = 100;

/// Speaks a client's lines and runs its script, and does nothing else.
pub(crate) fn be_the_floor(port: &str, script: &str) {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).expect("a server");
    let mut answers = BufReader::new(stream.try_clone().expect("a descriptor")).lines();
    for line in ["tunnel me DAC487C8DFBBF9EE5C7F8CDCC37B62A3 host\r\n", "ping\r\n", "quit\r\n"] {
        answers.next();
        // Up and down; a rehearsal runs none.
        if cfg!(target_os = "freebsd") && !line.starts_with("tunnel") {
            Command::new(script).status().expect("the script runs");
        }
        stream.write_all(line.as_bytes()).expect("the server reads");
    }
    answers.for_each(drop);
}

/// What a login took, in milliseconds.
struct Login {
    /// Processor time from the start of the process to its end.
    processor: f64,
    /// Time from the start of the process to the tunnel.
    tunnel: f64,
}

fn measure_one(server: &Server, login: usize, command: Command, signal: Option<Signal>) -> Login {
    let (start, before) = (Instant::now(), children());
    let process = Measured::start(command);
    let tunnel = server.wait_for(Event::Ping, login);
    if let Some(signal) = signal {
        process.signal(signal);
    }
    server.wait_for(Event::Quit, login);
    process.wait();
    Login { processor: children() - before, tunnel: milliseconds(start, tunnel) }
}

pub(crate) fn measure(report: &mut Report) {
    let (directory, server) = (Directory::default(), Server::start(Manner::Kind));
    let script = directory.script("");
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let mut floor = Command::new(env::current_exe().expect("this program"));
        floor.args([FLOOR, &server.port.to_string(), &script]);
        floors.push(measure_one(&server, 2 * pair + 1, floor, None));
        let client = client(&directory, server.port, &[]);
        ours.push(measure_one(&server, 2 * pair + 2, client, Some(Signal::SIGTERM)));
    }
    let of = |logins: &[Login], value: fn(&Login) -> f64| median(logins.iter().map(value).collect());
    let processor = [&ours, &floors].map(|logins| of(logins, |login| login.processor));
    let tunnel = [&ours, &floors].map(|logins| of(logins, |login| login.tunnel));
    report.at_most("login, processor time over a bare socket's", processor[0] - processor[1], 1.0, "ms");
    note("  of that, the bare socket, and ours", format!("{:.2} ms, {:.2} ms", processor[1], processor[0]));
    note(
        "start to tunnel, a bare socket to its ping, and ours",
        format!("{:.2} ms, {:.2} ms (medians of {PAIRS})", tunnel[1], tunnel[0]),
    );
}
