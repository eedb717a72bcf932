//! A program that is run.

use std::io;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::Error;
use crate::lines::Lines;

/// A running program. Dropped before it has ended, it is killed.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// Starts a program without a terminal to ask on.
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Result<Self, Error> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Error::Start { program: command.get_program().into(), error })?;
        Ok(Self { name, child })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it prints on standard output; once.
    pub(crate) fn stdout(&mut self, label: &'static str) -> io::Result<Lines> {
        self.child
            .stdout
            .take()
            .map(|stdout| Lines::of(label, stdout))
            .ok_or(io::ErrorKind::BrokenPipe.into())
    }

    /// What it prints on standard error; once, and where that was piped.
    pub(crate) fn stderr(&mut self, label: &'static str) -> io::Result<Lines> {
        self.child
            .stderr
            .take()
            .map(|stderr| Lines::of(label, stderr))
            .ok_or(io::ErrorKind::BrokenPipe.into())
    }

    pub(crate) fn send(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.child.id()).map_err(io::Error::other)?;
        Ok(kill(Pid::from_raw(pid), signal)?)
    }

    /// Checks the exit status of a process whose lines have ended. It keeps its pipes open for as long as it runs,
    /// so that there is nothing left to wait for.
    pub(crate) fn expect_success(&mut self) -> Result<(), Error> {
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(Error::Failed { who: self.name, status }) }
    }

    /// Ends it at once. Nothing is done to one that has been waited for.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
