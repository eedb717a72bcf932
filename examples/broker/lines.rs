//! A connection as lines of text, and the only place where a session waits.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The longest line that is accepted, in bytes, with its end.
const LONGEST_LINE: usize = 1024;

/// How long a client may leave its answers unread before the broker hangs up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Waits until `source` is readable or the deadline, if there is one, has passed; returns whether it is readable. If
/// the broker is shutting down, that is [`io::ErrorKind::Interrupted`].
///
/// `stop` becomes readable when the broker shuts down. It is never read, and so wakes every thread.
pub(crate) fn wait(source: &impl AsFd, stop: &impl AsFd, deadline: Option<Instant>) -> io::Result<bool> {
    loop {
        let timeout = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            None => PollTimeout::NONE,
            Some(Duration::ZERO) => return Ok(false),
            // poll(2) counts whole milliseconds: rounding up avoids spinning through the last one.
            Some(left) => PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
        };
        let mut watched = [stop.as_fd(), source.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut watched, timeout) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) if watched[0].any() == Some(true) => return Err(io::ErrorKind::Interrupted.into()),
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A connection, read and written in lines.
pub(crate) struct Lines {
    stream: TcpStream,
    /// Bytes received after the last whole line.
    pending: Vec<u8>,
}

impl Lines {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        // On the BSDs a connection inherits this from the listening socket.
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        Ok(Self { stream, pending: Vec::new() })
    }

    /// Sends a line, to which CR LF is added.
    pub(crate) fn send(&mut self, line: &str) -> io::Result<()> {
        self.stream.write_all(format!("{line}\r\n").as_bytes())
    }

    /// The client's next line, which may end with CR LF or LF; `None` after the deadline. It is an error if the line
    /// is too long, the client has closed the connection, or the broker is shutting down.
    pub(crate) fn receive(&mut self, deadline: Instant, stop: &impl AsFd) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.pending.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                let line = line[..end].strip_suffix(b"\r").unwrap_or(&line[..end]);
                return Ok(Some(String::from_utf8_lossy(line).into_owned()));
            }
            if self.pending.len() >= LONGEST_LINE {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if !wait(&self.stream, stop, Some(deadline))? {
                return Ok(None);
            }
            let mut chunk = [0; LONGEST_LINE];
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => self.pending.extend_from_slice(&chunk[..length]),
            }
        }
    }
}
