//! A client's connection as lines, and the one place where a thread waits.

use std::io::{self, Read, Write};
use std::mem;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The longest line that is taken from a client, in bytes, without its end.
const LONGEST_LINE: usize = 1024;

/// How long a client may leave its answers unread before it is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What ended a wait.
pub(crate) enum Woken {
    Ready,
    /// The deadline has passed.
    Late,
    /// The broker is to end.
    Stop,
}

/// Waits until there is something to read, or accept; no deadline waits for ever.
///
/// `stop` becomes readable when the broker is to end, and nobody reads from it: it wakes every thread.
pub(crate) fn wait(source: &impl AsFd, stop: &impl AsFd, deadline: Option<Instant>) -> io::Result<Woken> {
    loop {
        let timeout = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            None => PollTimeout::NONE,
            Some(Duration::ZERO) => return Ok(Woken::Late),
            // Poll counts whole milliseconds: round up, lest the last one is spent spinning.
            Some(left) => PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
        };
        let mut watched =
            [PollFd::new(stop.as_fd(), PollFlags::POLLIN), PollFd::new(source.as_fd(), PollFlags::POLLIN)];
        match poll(&mut watched, timeout) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) if watched[0].any() == Some(true) => return Ok(Woken::Stop),
            Ok(_) => return Ok(Woken::Ready),
            Err(error) => return Err(error.into()),
        }
    }
}

/// What a client has to say.
pub(crate) enum Heard {
    /// A line, without its end.
    Line(String),
    /// A line that is too long, or no text.
    Garbage,
    /// Nothing, until the deadline.
    Silence,
    /// The client has closed the connection.
    Closed,
    /// The broker is to end.
    Stop,
}

/// A connection, read and written in lines.
pub(crate) struct Lines {
    stream: TcpStream,
    /// Read, but not yet part of a whole line.
    pending: Vec<u8>,
    /// The start of this line was thrown away.
    overlong: bool,
}

impl Lines {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        // The BSDs pass the listener's mode on to the connection.
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        Ok(Self { stream, pending: Vec::new(), overlong: false })
    }

    /// Sends a line; CR LF is added.
    pub(crate) fn say(&mut self, line: &str) -> io::Result<()> {
        self.stream.write_all(format!("{line}\r\n").as_bytes())
    }

    /// The client's next line, ended with CR LF or LF.
    pub(crate) fn hear(&mut self, deadline: Instant, stop: &impl AsFd) -> io::Result<Heard> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(line);
            }
            match wait(&self.stream, stop, Some(deadline))? {
                Woken::Ready => {}
                Woken::Late => return Ok(Heard::Silence),
                Woken::Stop => return Ok(Heard::Stop),
            }
            let mut chunk = [0; LONGEST_LINE];
            match self.stream.read(&mut chunk)? {
                0 => return Ok(Heard::Closed),
                length => self.pending.extend_from_slice(&chunk[..length]),
            }
        }
    }

    fn take_line(&mut self) -> Option<Heard> {
        let Some(end) = self.pending.iter().position(|&byte| byte == b'\n') else {
            // One more for the CR. What is dropped here is answered when its end comes.
            if self.pending.len() > LONGEST_LINE + 1 {
                self.pending.clear();
                self.overlong = true;
            }
            return None;
        };
        let mut line: Vec<u8> = self.pending.drain(..=end).collect();
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if mem::take(&mut self.overlong) || line.len() > LONGEST_LINE {
            return Some(Heard::Garbage);
        }
        Some(String::from_utf8(line).map_or(Heard::Garbage, Heard::Line))
    }
}
