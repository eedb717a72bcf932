//! Runs the script in the background, one run at a time.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use log::{error, info, warn};
use nix::sys::signal::Signal;

use super::check::check_program;
use super::run::Run;
use super::{Event, Parameters};
use crate::report::chain;

/// Prints a command line, given as its words.
pub type Printer = Box<dyn Fn(&[String])>;

/// Whether the script is run.
pub enum ScriptMode {
    /// The script is run.
    Run,
    /// Its command line is printed instead.
    Rehearse(Printer),
}

/// How long a run may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until SIGTERM is sent.
    pub run: Duration,
    /// From then until SIGKILL is sent.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { run: Duration::from_mins(1), grace: Duration::from_secs(5) }
    }
}

// The script's part of the five seconds of a shutdown: see src/client.rs.
/// When an `up` that is already running is sent SIGTERM, counted from the start of the shutdown. A `down` is the last run.
const HURRIED_RUN: Duration = Duration::from_millis(1500);
/// When the last run is sent SIGTERM, counted in the same way.
const HURRIED_END: Duration = Duration::from_millis(3500);
/// The time from SIGTERM to SIGKILL.
const HURRIED_GRACE: Duration = Duration::from_millis(500);

struct Running {
    run: Run,
    event: Event,
    /// When the next signal is due.
    deadline: Instant,
    /// Whether SIGTERM has been sent.
    terminated: bool,
    /// Whether its output has ended.
    silent: bool,
}

/// Runs the script for each event, in order.
pub struct Runner {
    program: Option<PathBuf>,
    mode: ScriptMode,
    limits: Limits,
    /// During a shutdown: when the last run is sent SIGTERM.
    end_by: Option<Instant>,
    waiting: VecDeque<(Event, Parameters)>,
    running: Option<Running>,
}

impl Runner {
    /// A runner of `program`. Without a program, nothing is run.
    pub fn new(program: Option<PathBuf>, mode: ScriptMode, limits: Limits) -> Self {
        Self { program, mode, limits, end_by: None, waiting: VecDeque::new(), running: None }
    }

    /// Queues a run, which starts when the earlier ones have ended.
    pub fn run(&mut self, event: Event, parameters: &Parameters, now: Instant) {
        if self.program.is_none() {
            return;
        }
        // An `up` that has not started needs no `down`. So at most two runs are queued.
        if event == Event::Down && self.waiting.back().is_some_and(|(waiting, _)| *waiting == Event::Up) {
            self.waiting.pop_back();
            return;
        }
        self.waiting.push_back((event, parameters.clone()));
        self.start_next(now);
    }

    /// Whether no run is active or queued.
    pub fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }

    /// Starts a shutdown: all runs must end within [four seconds](crate::client). A second call changes nothing.
    pub fn hurry(&mut self, now: Instant) {
        if self.end_by.is_some() {
            return;
        }
        self.limits.grace = HURRIED_GRACE;
        self.end_by = Some(now + HURRIED_END);
        if let Some(running) = &mut self.running {
            let left = if running.event == Event::Up { HURRIED_RUN } else { HURRIED_END };
            running.deadline = running.deadline.min(now + left);
        }
    }

    /// The descriptor to poll for reading, while there may be output.
    pub fn output(&self) -> Option<BorrowedFd<'_>> {
        self.running.as_ref().filter(|running| !running.silent).map(|running| running.run.output())
    }

    /// Handles output of the script.
    pub fn handle_output(&mut self) {
        if let Some(running) = &mut self.running {
            running.silent = !running.run.log_output();
        }
    }

    /// Handles SIGCHLD.
    pub fn handle_child(&mut self, now: Instant) {
        let Some(running) = &mut self.running else { return };
        match running.run.ended() {
            Ok(None) => return,
            Ok(Some(status)) => log_status(running.event, status),
            Err(error) => error!("cannot wait for the script: {error}"),
        }
        self.running = None;
        self.start_next(now);
    }

    /// When to call [`Runner::handle_timer`].
    pub fn timer(&self) -> Option<Instant> {
        self.running.as_ref().map(|running| running.deadline)
    }

    /// Sends a signal to a script that has taken too long.
    pub fn handle_timer(&mut self, now: Instant) {
        let Some(running) = self.running.as_mut().filter(|running| running.deadline <= now) else { return };
        let event = running.event.word();
        if running.terminated {
            error!("the script did not exit on SIGTERM: sending SIGKILL ({event})");
            running.run.signal(Signal::SIGKILL);
        } else {
            warn!("the script takes too long: sending SIGTERM ({event})");
            running.run.signal(Signal::SIGTERM);
            running.terminated = true;
        }
        running.deadline = now + self.limits.grace;
    }

    fn start_next(&mut self, now: Instant) {
        while self.running.is_none() {
            // During a shutdown, no `up` is started; the `down` at the end of its session removes it from the queue.
            let next_is_up = self.waiting.front().is_some_and(|(event, _)| *event == Event::Up);
            if self.end_by.is_some() && next_is_up {
                return;
            }
            let Some((event, parameters)) = self.waiting.pop_front() else { return };
            self.start(event, &parameters, now);
        }
    }

    fn start(&mut self, event: Event, parameters: &Parameters, now: Instant) {
        let Some(program) = &self.program else { return };
        if let ScriptMode::Rehearse(print) = &self.mode {
            let mut words = vec![program.to_string_lossy().into_owned()];
            words.extend(parameters.arguments(event).into_iter().map(str::to_owned));
            return print(&words);
        }
        // It may have been changed since the start.
        if let Err(error) = check_program(program) {
            return error!("the script is not run ({}): {}", event.word(), chain(&error));
        }
        match Run::start(program, event, parameters) {
            Ok(run) => {
                info!("running {} {}", program.display(), event.word());
                let limit = now + self.limits.run;
                let deadline = self.end_by.map_or(limit, |end_by| limit.min(end_by));
                self.running = Some(Running { run, event, deadline, terminated: false, silent: false });
            }
            Err(error) => error!("cannot run the script {}: {error}", program.display()),
        }
    }
}

fn log_status(event: Event, status: ExitStatus) {
    if !status.success() {
        warn!("the script failed: {status} ({})", event.word());
    }
}
