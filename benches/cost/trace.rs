//! The system calls of a client, as strace(1) or ktrace(1) sees them.

use std::process::Command;

use harness::{Directory, Process, wait_until};
use nix::sys::signal::Signal;

use crate::process::client;
use crate::report::{Report, note};
use crate::server::{Event, Manner, PONG, Server};

/// A system call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub name: String,
    /// The arguments, and on FreeBSD also the bytes that were read or written.
    pub text: String,
    pub returned: Option<i64>,
}

impl Call {
    /// The descriptor, as it is spelled, if that is the first argument.
    pub(crate) fn descriptor(&self) -> &str {
        self.text.split([',', ')']).next().unwrap_or_default().trim_start_matches("0x")
    }

    /// Whether it waits for an event.
    pub(crate) fn waits(&self) -> bool {
        self.name.contains("poll")
    }

    /// Whether these bytes were read or written.
    pub(crate) fn has(&self, bytes: &str) -> bool {
        self.text.contains(&format!("\"{bytes}"))
    }
}

/// A client that is traced from its start, and its server.
pub(crate) struct Traced {
    pub client: Process,
    pub server: Server,
    directory: Directory,
}

impl Traced {
    /// Starts one, unless nothing traces here.
    pub(crate) fn start(manner: Manner, options: &[&str]) -> Option<Self> {
        if !is_possible() {
            return None;
        }
        let (directory, server) = (Directory::default(), Server::start(manner));
        let mut command = tracer(&directory.file("trace"));
        let client = client(&directory, server.port, options);
        command.arg(client.get_program()).args(client.get_args());
        Some(Self { client: Process::start(command), server, directory })
    }

    /// Its calls so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        calls(&self.directory.file("trace"))
    }

    /// Its calls from its start to its end, and all that it has printed.
    pub(crate) fn end(mut self) -> (Vec<Call>, String) {
        let (_, output) = self.client.wait();
        let end = |calls: &Vec<Call>| calls.iter().any(|call| call.name.starts_with("exit"));
        (wait_until("the end of the trace", || Some(self.calls()).filter(end)), output)
    }
}

/// Whether a trace can be made and read: the program, or what it needs of the kernel, may be missing, and an old kdump(1)
/// cannot read what a new kernel writes.
fn is_possible() -> bool {
    let directory = Directory::default();
    let file = directory.file("trace");
    let traced = tracer(&file).arg("true").output();
    traced.is_ok_and(|traced| traced.status.success())
        && calls(&file).iter().any(|call| call.name.starts_with("exit"))
}

/// A command that traces the command after it, which remains a child of this process.
fn tracer(file: &str) -> Command {
    if cfg!(target_os = "freebsd") {
        let mut command = Command::new("ktrace");
        command.args(["-i", "-f", file]);
        return command;
    }
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-q", "-e", "signal=none", "-o", file]);
    command
}

#[cfg(not(target_os = "freebsd"))]
fn calls(file: &str) -> Vec<Call> {
    let trace = std::fs::read(file).unwrap_or_default();
    // A pid, and the call; one that another thread interrupts has a second line.
    let call = |line: &str| {
        let (name, text) = line.split_once(' ')?.1.trim_start().split_once('(')?;
        let returned = text.rsplit("= ").next().and_then(|value| value.split(' ').next()?.parse().ok());
        Some(Call { name: name.to_owned(), text: text.to_owned(), returned })
    };
    String::from_utf8_lossy(&trace)
        .lines()
        .filter(|line| !line.contains(" resumed>"))
        .filter_map(call)
        .collect()
}

#[cfg(target_os = "freebsd")]
fn calls(file: &str) -> Vec<Call> {
    let dump = Command::new("kdump").args(["-f", file]).output().expect("kdump runs").stdout;
    let mut calls: Vec<Call> = Vec::new();
    for line in String::from_utf8_lossy(&dump).lines() {
        // A pid, the program, what this line is about, and that.
        let words: Vec<_> = line.split_whitespace().collect();
        match &words[..] {
            [_, _, "CALL", call, ..] => {
                let (name, text) = call.split_once('(').unwrap_or((call, ""));
                calls.push(Call { name: plain(name), text: text.to_owned(), returned: None });
            }
            // Another thread may have made a call in between.
            [_, _, "RET", name, value, ..] => {
                let mut calls = calls.iter_mut().rev();
                if let Some(call) = calls.find(|call| call.name == plain(name)) {
                    call.returned = returned(value);
                }
            }
            _ => {
                if let Some(call) = calls.last_mut() {
                    call.text += line;
                }
            }
        }
    }
    calls
}

/// A call's name, without the underscores that some releases put before some.
#[cfg(target_os = "freebsd")]
fn plain(name: &str) -> String {
    name.trim_start_matches('_').to_owned()
}

/// A number in decimal and hexadecimal, or the word for an execve(2) that has succeeded.
#[cfg(target_os = "freebsd")]
fn returned(value: &str) -> Option<i64> {
    if value == "JUSTRETURN" { Some(0) } else { value.split('/').next()?.parse().ok() }
}

/// From the start of a client to its end.
pub(crate) fn measure(report: &mut Report) {
    let Some(traced) = Traced::start(Manner::Kind, &[]) else {
        return note("system calls", "not measured, since neither strace(1) nor ktrace(1) works here");
    };
    traced.server.wait_for(Event::Ping, 1);
    traced.client.signal(Signal::SIGTERM);
    let (calls, output) = traced.end();
    let programs = calls.iter().filter(|call| call.name == "execve" && call.returned == Some(0)).count();
    // It is one itself. A rehearsal runs no script, and otherwise it comes up and goes down.
    let scripts = if cfg!(target_os = "freebsd") { 2 } else { 0 };
    report.at_most("programs executed, the script among them", programs - 1, scripts, "programs");
    let lines = output.lines().filter(|line| line.starts_with("dtcpclient: ")).count();
    let writes = calls.iter().filter(|call| call.name == "write" && call.descriptor() == "2").count();
    report.at_most(&format!("write(2) calls for {lines} lines of the log"), writes, lines, "calls");
    measure_flood(report);
}

/// How much a client reads of a server that sends a gigabyte.
fn measure_flood(report: &mut Report) {
    const BUFFER: usize = 4096;
    let Some(traced) = Traced::start(Manner::Flooding, &[]) else { return };
    let (calls, _) = traced.end();
    let mut after = calls.iter().skip_while(|call| !call.has("+OK 0B15"));
    let Some(greeting) = after.next() else { panic!("no greeting in {calls:#?}") };
    let of_socket = |call: &&Call| (&call.name, call.descriptor()) == (&greeting.name, greeting.descriptor());
    let read: i64 = after.filter(of_socket).filter_map(|call| call.returned).filter(|read| *read > 0).sum();
    // The last of them is found within a buffer, which begins with the offer.
    let goal = 200 * PONG.len() + 2 * BUFFER;
    report.at_most("bytes read from a server that sends 1 GB", read.unsigned_abs(), goal as u64, "bytes");
}
