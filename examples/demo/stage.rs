//! Where the story is told: each line is waited for, checked and shown.

use std::io::{self, Stdout, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::error::Error;
use crate::lines::Lines;

/// How long a step may take.
const STEP: Duration = Duration::from_secs(5);
/// How long all of them together may take.
const SHOW: Duration = Duration::from_secs(15);
/// What is missing where a program goes on.
const END: &str = "its end";

/// The stage, on standard output.
pub(crate) struct Stage {
    output: Stdout,
    opened: Instant,
    /// When the present step must have happened.
    deadline: Instant,
    /// Somebody wants the demonstration to end; so that it ends with nothing left behind.
    interrupted: Arc<AtomicBool>,
}

impl Stage {
    /// From here on, the time counts.
    pub(crate) fn open() -> io::Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
        }
        let opened = Instant::now();
        Ok(Self { output: io::stdout(), opened, deadline: opened + SHOW, interrupted })
    }

    /// Begins a part of the story.
    pub(crate) fn act(&self, title: &str) -> io::Result<()> {
        writeln!(&self.output, "\n{title}\n{}", "=".repeat(title.len()))
    }

    /// Begins the next step, and its time.
    pub(crate) fn step(&mut self, heading: &str) -> io::Result<()> {
        self.deadline = (Instant::now() + STEP).min(self.opened + SHOW);
        writeln!(&self.output, "\n{heading}")
    }

    /// Shows a line.
    pub(crate) fn say(&self, label: &str, line: &str) -> io::Result<()> {
        writeln!(&self.output, "    {label:<8} {line}")
    }

    /// The next line must be this one.
    pub(crate) fn expect(&self, lines: &Lines, expected: &str) -> Result<(), Error> {
        let line = self.hear(lines, expected)?;
        if line == expected { Ok(()) } else { Err(other(lines, expected, line)) }
    }

    /// The next line must begin like this; gives the rest of it.
    pub(crate) fn expect_with(&self, lines: &Lines, start: &str) -> Result<String, Error> {
        let line = self.hear(lines, start)?;
        line.strip_prefix(start).map(str::to_owned).ok_or_else(|| other(lines, start, line.clone()))
    }

    /// One of the next lines must hold all these parts.
    pub(crate) fn find(&self, lines: &Lines, parts: &[&str]) -> Result<(), Error> {
        let expected = parts.join(" ... ");
        loop {
            let line = self.hear(lines, &expected)?;
            if parts.iter().all(|part| line.contains(part)) {
                return Ok(());
            }
        }
    }

    /// There must be no further line.
    pub(crate) fn expect_end(&self, lines: &Lines) -> Result<(), Error> {
        match self.hear(lines, END) {
            Err(Error::Ended { .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(line) => Err(other(lines, END, line)),
        }
    }

    /// Shows what comes to the end.
    pub(crate) fn hear_out(&self, lines: &Lines) -> Result<(), Error> {
        loop {
            match self.hear(lines, END) {
                Ok(_) => {}
                Err(Error::Ended { .. }) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// All has been shown.
    pub(crate) fn close(&self) -> Result<(), Error> {
        let seconds = self.opened.elapsed().as_secs_f64();
        Ok(writeln!(&self.output, "\nAll of it was seen, in {seconds:.2} s.")?)
    }

    /// Waits for a line, and shows it.
    fn hear(&self, lines: &Lines, expected: &str) -> Result<String, Error> {
        let heard = lines.next_by(self.deadline);
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let (who, expected) = (lines.label, expected.to_owned());
        let line = heard.map_err(|error| match error {
            RecvTimeoutError::Timeout => Error::Late { who, expected },
            RecvTimeoutError::Disconnected => Error::Ended { who, expected },
        })?;
        self.say(lines.label, &line)?;
        Ok(line)
    }
}

fn other(lines: &Lines, expected: &str, said: String) -> Error {
    Error::Other { who: lines.label, expected: expected.to_owned(), said }
}
