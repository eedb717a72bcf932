//! Instructions, as callgrind counts them: other work on this machine does not change them.

use std::process::Command;

use harness::{Directory, client as program};
use nix::sys::signal::Signal;

use crate::process::{Measured, client};
use crate::report::{Report, note};
use crate::server::{Event, Manner, Server};

/// Starts a program under callgrind.
fn under_callgrind(directory: &Directory, command: &Command) -> Measured {
    let mut callgrind = Command::new("valgrind");
    let file = format!("--callgrind-out-file={}", directory.file("callgrind"));
    callgrind.args(["--tool=callgrind", &file]).arg(command.get_program()).args(command.get_args());
    Measured::start(callgrind)
}

/// How many there were, in thousands.
fn instructions(directory: &Directory) -> f64 {
    let file = directory.read("callgrind");
    let count = file.lines().find_map(|line| line.strip_prefix("totals:").or(line.strip_prefix("summary:")));
    let count: f64 = count.and_then(|count| count.trim().parse().ok()).expect("a number");
    count / 1000.0
}

pub(crate) fn measure(report: &mut Report) {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return note("instructions of a login", "not measured, since valgrind(1) is missing");
    }
    let (directory, server) = (Directory::default(), Server::start(Manner::Kind));
    let process = under_callgrind(&directory, &client(&directory, server.port, &[]));
    server.wait_for(Event::Ping, 1);
    process.signal(Signal::SIGTERM);
    process.wait();
    let login = instructions(&directory);
    let mut version = program();
    version.arg("-V");
    under_callgrind(&directory, &version).wait();
    report.at_most("instructions of a login, from start to end", login, 700.0, "thousand");
    note("  of that, -V", format!("{:.0} thousand", instructions(&directory)));
}
