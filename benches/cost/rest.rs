//! Clients at rest, and what several of them on one host cost, each with its own tunnel, as with profiles.

use std::thread;
use std::time::{Duration, Instant};

use harness::Directory;

use crate::far_end;
use crate::process::{Measured, client, milliseconds, ps};
use crate::report::{Report, note};
use crate::server::{Event, Manner, Server};
use crate::trace::{Call, Traced};

/// In each minute there is one ping.
const MINUTE: Duration = Duration::from_mins(1);
/// A new tunnel is tried out, until IPv6 flows through it or is known not to.
const SETTLING: Duration = Duration::from_secs(12);

/// Clients that have their tunnels.
struct Group {
    clients: Vec<Measured>,
    /// How long it took until all had theirs, in milliseconds.
    start: f64,
    _directory: Directory,
}

impl Group {
    fn start(count: usize) -> Self {
        let (directory, server) = (Directory::default(), Server::start(Manner::Kind));
        let start = Instant::now();
        let client = || client(&directory, server.port, &far_end::options().each_ref().map(String::as_str));
        let clients = (0..count).map(|_| Measured::start(client())).collect();
        let start = milliseconds(start, server.wait_for(Event::Ping, count));
        Self { clients, start, _directory: directory }
    }

    fn sum(&self, of: fn(&Measured) -> u32) -> u32 {
        self.clients.iter().map(of).sum()
    }
}

/// How often a process has waited, and been woken up.
fn waits(process: &Measured) -> u32 {
    if cfg!(target_os = "freebsd") {
        return ps("nvcsw", process.pid());
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).expect("it runs");
    let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count.and_then(|count| count.trim().parse().ok()).expect("a number")
}

pub(crate) fn measure(report: &mut Report) {
    let traced = Traced::start(Manner::Kind, &far_end::options().each_ref().map(String::as_str));
    let groups = [1, 10, 100].map(Group::start);
    if let Some(Traced { server, .. }) = &traced {
        // The minute begins between two pings, so that one is in it.
        server.wait_for(Event::Ping, server.count(Event::Ping) + 1);
    }
    thread::sleep(SETTLING);
    let look = || (groups.each_ref().map(|group| group.sum(waits)), traced.as_ref().map(Traced::calls));
    let (before, calls_before) = look();
    thread::sleep(MINUTE);
    let (after, calls) = look();
    if let (Some(before), Some(calls)) = (calls_before, calls) {
        // Each time it is in the middle of a wait.
        report_calls(report, &calls[before.len() - 1..calls.len() - 1]);
    }
    for ((group, before), after) in groups.iter().zip(before).zip(after) {
        let resident = group.sum(Measured::resident);
        note(
            &format!("{} clients on one host", group.clients.len()),
            format!(
                "all up after {:.0} ms; {resident} KiB resident; {} wake-ups in a minute",
                group.start,
                after - before
            ),
        );
    }
}

/// A ping, an echo request and a look at the kernel go together; their answers come when they come.
fn report_calls(report: &mut Report, calls: &[Call]) {
    // What a rehearsal prints is not the client's business.
    let calls: Vec<_> =
        calls.iter().filter(|call| !(call.name == "write" && call.descriptor() == "1")).collect();
    let timers = calls.iter().enumerate().filter(|(_, call)| call.waits() && call.returned == Some(0));
    let timers: Vec<_> = timers.map(|(position, _)| position).collect();
    report.at_most("wake-ups by a timer in a minute at rest", timers.len(), 1, "wake-ups");
    let Some(timer) = timers.first() else { panic!("no ping in a minute: {calls:?}") };
    let next = calls[timer + 1..].iter().position(|call| call.waits());
    let made = next.unwrap_or(calls.len() - timer - 1);
    report.at_most("  system calls for it, and the next wait", made + 1, 6, "calls");
    let names: Vec<_> = calls.iter().map(|call| &call.name[..]).collect();
    note("  all system calls of the minute, with the answers", names.join(" "));
}
