//! A client under measurement: its output goes nowhere, so that nothing else costs time.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::{Directory, wait_until};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;

/// The options of all clients. On FreeBSD the tunnels are real.
const OPTIONS: &[&str] =
    if cfg!(target_os = "freebsd") { &["-t", "host"] } else { &["--rehearse", "-t", "host"] };

/// The command line of a client, with these options as well.
pub(crate) fn client(directory: &Directory, port: u16, options: &[&str]) -> Command {
    // A client that reads it must not find it half written.
    let script = if directory.has("script") { directory.file("script") } else { directory.script("") };
    directory.client(port, &[OPTIONS, &["-s", &script], options].concat())
}

/// A process that does not outlive its measurement.
pub(crate) struct Measured(Child);

impl Measured {
    pub(crate) fn start(mut command: Command) -> Self {
        // Cargo's, in which the loader would look for each library.
        command.env_remove("LD_LIBRARY_PATH");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a pid"));
        kill(pid, signal).expect("the process is there");
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) {
        wait_until("the end", || self.0.try_wait().expect("a child"));
    }

    /// Its resident memory, in KiB.
    pub(crate) fn resident(&self) -> u32 {
        ps("rss", self.pid())
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A number that ps(1) knows of a process.
pub(crate) fn ps(what: &str, pid: u32) -> u32 {
    let output = Command::new("ps").args(["-o", &format!("{what}="), "-p", &pid.to_string()]).output();
    let output = output.expect("ps runs").stdout;
    String::from_utf8_lossy(&output).trim().parse().expect("a number")
}

/// The processor time of all children that have ended and were waited for, in milliseconds.
pub(crate) fn children() -> f64 {
    processor_time(UsageWho::RUSAGE_CHILDREN)
}

/// The same of another part of this process.
pub(crate) fn processor_time(who: UsageWho) -> f64 {
    let usage = getrusage(who).expect("the usage");
    let microseconds = (usage.user_time() + usage.system_time()).num_microseconds();
    Duration::from_micros(microseconds.unsigned_abs()).as_secs_f64() * 1000.0
}

/// The time from one instant to another, in milliseconds.
pub(crate) fn milliseconds(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1000.0
}
