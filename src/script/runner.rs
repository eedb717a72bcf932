//! Runs of the script beside the client's loop, one after the other.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use ffi::shell::quote;
use log::{error, info, warn};
use nix::sys::signal::Signal;

use super::process::Process;
use super::{Facts, State};

/// What is done with the script.
pub enum Way {
    /// It is run.
    Run,
    /// Its command line is told instead.
    Tell(Box<dyn Fn(&str)>),
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

/// When the program is to end within five seconds: how long the run has that is under way, in which time the server
/// may answer `quit`, ...
const HURRIED_RUN: Duration = Duration::from_millis(1500);
/// ... when the last run must come to its end, counted from the hurry's start, ...
const HURRIED_END: Duration = Duration::from_millis(3500);
/// ... and how long after SIGTERM a run is killed.
const HURRIED_GRACE: Duration = Duration::from_millis(500);

struct Running {
    process: Process,
    state: State,
    /// When the next signal is due.
    deadline: Instant,
    /// Whether SIGTERM has been sent.
    terminated: bool,
    /// Whether all it prints has been read.
    silent: bool,
}

/// Runs the script for each tunnel that comes up and goes down, in their order.
pub struct Runner {
    program: Option<PathBuf>,
    way: Way,
    limits: Limits,
    /// Every run must have ended by then.
    end_by: Option<Instant>,
    waiting: VecDeque<(State, Facts)>,
    running: Option<Running>,
}

impl Runner {
    /// Runs `program`, or nothing where there is none.
    pub fn new(program: Option<PathBuf>, way: Way, limits: Limits) -> Self {
        Self { program, way, limits, end_by: None, waiting: VecDeque::new(), running: None }
    }

    /// Asks for a run, which starts when the ones before it have ended.
    pub fn run(&mut self, state: State, facts: &Facts, now: Instant) {
        if self.program.is_none() {
            return;
        }
        // An `up` that has not started needs no `down`: so no more than two ever wait.
        if state == State::Down && self.waiting.back().is_some_and(|(waiting, _)| *waiting == State::Up) {
            self.waiting.pop_back();
            return;
        }
        self.waiting.push_back((state, facts.clone()));
        self.start_next(now);
    }

    /// Whether nothing runs or waits to be run.
    pub fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }

    /// From here on, everything must end within a few seconds. To ask for it again grants no more time.
    pub fn hurry(&mut self, now: Instant) {
        if self.end_by.is_some() {
            return;
        }
        self.limits.grace = HURRIED_GRACE;
        self.end_by = Some(now + HURRIED_END);
        if let Some(running) = &mut self.running {
            running.deadline = running.deadline.min(now + HURRIED_RUN);
        }
    }

    /// What to poll for reading, while a script runs and may still print.
    pub fn output(&self) -> Option<BorrowedFd<'_>> {
        self.running.as_ref().filter(|running| !running.silent).map(|running| running.process.output())
    }

    /// The script has printed something.
    pub fn handle_output(&mut self) {
        if let Some(running) = &mut self.running {
            running.silent = !running.process.log_output();
        }
    }

    /// A child has ended: perhaps the script.
    pub fn handle_child(&mut self, now: Instant) {
        let Some(running) = &mut self.running else { return };
        match running.process.ended() {
            Ok(None) => return,
            Ok(Some(status)) => log_status(running.state, status),
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
        let state = running.state.word();
        if running.terminated {
            error!("the script did not end at SIGTERM: killing it ({state})");
            running.process.signal(Signal::SIGKILL);
        } else {
            warn!("the script takes too long: ending it ({state})");
            running.process.signal(Signal::SIGTERM);
            running.terminated = true;
        }
        running.deadline = now + self.limits.grace;
    }

    fn start_next(&mut self, now: Instant) {
        while self.running.is_none() {
            // In a hurry no `up` starts any more; the `down` that its session's end brings takes it away.
            let next_is_up = self.waiting.front().is_some_and(|(state, _)| *state == State::Up);
            if self.end_by.is_some() && next_is_up {
                return;
            }
            let Some((state, facts)) = self.waiting.pop_front() else { return };
            self.start(state, &facts, now);
        }
    }

    fn start(&mut self, state: State, facts: &Facts, now: Instant) {
        let Some(program) = &self.program else { return };
        if let Way::Tell(tell) = &self.way {
            let arguments = facts.arguments(state);
            let line =
                std::iter::once(&*program.to_string_lossy()).chain(arguments).map(quote).collect::<Vec<_>>();
            return tell(&line.join(" "));
        }
        match Process::start(program, state, facts) {
            Ok(process) => {
                info!("running {} {}", program.display(), state.word());
                let limit = now + self.limits.run;
                let deadline = self.end_by.map_or(limit, |end_by| limit.min(end_by));
                self.running = Some(Running { process, state, deadline, terminated: false, silent: false });
            }
            Err(error) => error!("cannot run the script {}: {error}", program.display()),
        }
    }
}

fn log_status(state: State, status: ExitStatus) {
    if !status.success() {
        warn!("the script failed: {status} ({})", state.word());
    }
}
