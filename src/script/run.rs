//! A run of the script: a child process in its own process group, and its output.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use log::info;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgid};

use super::{Event, PATH, Parameters};
use crate::memory;
use crate::protocol::{self, clean};

/// The maximum length of a line in the log, in bytes. Longer lines are split.
const LONGEST_LINE: usize = protocol::LONGEST;

/// A running script, which is killed on drop.
pub(super) struct Run {
    child: Child,
    output: File,
    /// The output after the last end of line.
    line: Vec<u8>,
    ended: bool,
}

impl Run {
    /// Starts the script directly, without a shell, and with only the documented environment.
    pub(super) fn start(program: &Path, event: Event, parameters: &Parameters) -> io::Result<Self> {
        let (output, input) = io::pipe()?;
        let mut command = Command::new(program);
        command
            .args(parameters.arguments(event))
            .env_clear()
            .envs(parameters.environment(event))
            .env("PATH", PATH)
            .env("HOME", std::env::var_os("HOME").unwrap_or_else(|| "/".into()))
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(input.try_clone()?)
            .stderr(input);
        if let Some(zone) = std::env::var_os("TZ") {
            command.env("TZ", zone);
        }
        let child = memory::with_former_core_limit(|| command.spawn())?;
        // Close the command's copies of the writing end of the pipe, so that only the child has it.
        drop(command);
        let output = File::from(OwnedFd::from(output));
        fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self { child, output, line: Vec::new(), ended: false })
    }

    /// The descriptor to poll for reading.
    pub(super) fn output(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }

    /// Logs new output. Returns `false` at its end.
    pub(super) fn log_output(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match self.output.read(&mut buffer) {
            Ok(0) => false,
            Ok(length) => {
                self.take(&buffer[..length]);
                true
            }
            Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' || self.line.len() == LONGEST_LINE {
                self.log_line();
            }
            if byte != b'\n' {
                self.line.push(byte);
            }
        }
    }

    fn log_line(&mut self) {
        info!("script: {}", clean(&String::from_utf8_lossy(&self.line)));
        self.line.clear();
    }

    /// Returns the exit status once the script has ended, after logging the rest of its output.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if status.is_some() && !self.ended {
            self.ended = true;
            self.drain();
        }
        Ok(status)
    }

    /// Reads the pipe until it is empty. A background process may keep it open, and is not waited for.
    fn drain(&mut self) {
        let mut remaining = Vec::new();
        // An empty pipe that is still open gives EWOULDBLOCK.
        let _ = (&self.output).take(1 << 16).read_to_end(&mut remaining);
        self.take(&remaining);
        if !self.line.is_empty() {
            self.log_line();
        }
    }

    /// Sends a signal to the script and its process group.
    pub(super) fn signal(&self, signal: Signal) {
        let Ok(script) = i32::try_from(self.child.id()).map(Pid::from_raw) else { return };
        // They may have ended in the meantime.
        let _ = killpg(script, signal);
        // The script may have left the group that was made for it.
        if getpgid(Some(script)).is_ok_and(|group| group != script) {
            let _ = kill(script, signal);
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.ended {
            self.signal(Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn a_script_that_has_left_its_group_is_signalled_itself() {
        // In the group of this process.
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        let output = File::open("/dev/null").unwrap();
        let mut run = Run { child, output, line: Vec::new(), ended: false };
        run.signal(Signal::SIGTERM);
        assert_eq!(run.child.wait().unwrap().signal(), Some(Signal::SIGTERM as i32));
        run.ended = true;
    }
}
