//! Runs of the script beside the client's loop, one after the other.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use log::{error, info, warn};
use nix::sys::signal::Signal;

use super::run::Run;
use super::{Event, Parameters};

/// Takes the words of a command line.
pub type Printer = Box<dyn Fn(&[String])>;

/// Whether the script is run.
pub enum ScriptMode {
    /// It is run.
    Run,
    /// It is not: this gets the words of its command line instead.
    Rehearse(Printer),
}

/// How long a run may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until it is sent SIGTERM.
    pub run: Duration,
    /// From there until it is sent SIGKILL.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { run: Duration::from_mins(1), grace: Duration::from_secs(5) }
    }
}

// The script's shares of the five seconds of a shutdown, which src/client.rs gives out.
/// How long an `up` that is under way may still take before it is sent SIGTERM. A `down` is the last run.
const HURRIED_RUN: Duration = Duration::from_millis(1500);
/// When the last run is sent SIGTERM, counted from the begin of the shutdown.
const HURRIED_END: Duration = Duration::from_millis(3500);
/// How long after SIGTERM a run is sent SIGKILL.
const HURRIED_GRACE: Duration = Duration::from_millis(500);

struct Running {
    run: Run,
    event: Event,
    /// When the next signal is due.
    deadline: Instant,
    /// Whether SIGTERM has been sent.
    terminated: bool,
    /// Whether its output has come to an end.
    silent: bool,
}

/// Runs the script for each tunnel that comes up and goes down, in this order.
pub struct Runner {
    program: Option<PathBuf>,
    mode: ScriptMode,
    limits: Limits,
    /// Every run must have ended by then.
    end_by: Option<Instant>,
    waiting: VecDeque<(Event, Parameters)>,
    running: Option<Running>,
}

impl Runner {
    /// Runs `program`, if there is one.
    pub fn new(program: Option<PathBuf>, mode: ScriptMode, limits: Limits) -> Self {
        Self { program, mode, limits, end_by: None, waiting: VecDeque::new(), running: None }
    }

    /// Asks for a run, which starts when the ones before it have ended.
    pub fn run(&mut self, event: Event, parameters: &Parameters, now: Instant) {
        if self.program.is_none() {
            return;
        }
        // An `up` that has not started needs no `down`: so no more than two ever wait.
        if event == Event::Down && self.waiting.back().is_some_and(|(waiting, _)| *waiting == Event::Up) {
            self.waiting.pop_back();
            return;
        }
        self.waiting.push_back((event, parameters.clone()));
        self.start_next(now);
    }

    /// Whether nothing runs or waits to be run.
    pub fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }

    /// From here on, all runs must end within [four seconds](crate::client). A second call grants no more time.
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

    /// To poll for reading, while a script runs and may still print.
    pub fn output(&self) -> Option<BorrowedFd<'_>> {
        self.running.as_ref().filter(|running| !running.silent).map(|running| running.run.output())
    }

    /// The script has printed something.
    pub fn handle_output(&mut self) {
        if let Some(running) = &mut self.running {
            running.silent = !running.run.log_output();
        }
    }

    /// A child has ended: perhaps the script.
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

    /// When [`Runner::handle_timer`] is to be called.
    pub fn timer(&self) -> Option<Instant> {
        self.running.as_ref().map(|running| running.deadline)
    }

    /// Ends a script that has taken too long.
    pub fn handle_timer(&mut self, now: Instant) {
        let Some(running) = self.running.as_mut().filter(|running| running.deadline <= now) else { return };
        let event = running.event.word();
        if running.terminated {
            error!("the script did not end at SIGTERM: killing it ({event})");
            running.run.signal(Signal::SIGKILL);
        } else {
            warn!("the script takes too long: ending it ({event})");
            running.run.signal(Signal::SIGTERM);
            running.terminated = true;
        }
        running.deadline = now + self.limits.grace;
    }

    fn start_next(&mut self, now: Instant) {
        while self.running.is_none() {
            // In a hurry no `up` starts any more; the `down` that comes with the end of its session removes it.
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
