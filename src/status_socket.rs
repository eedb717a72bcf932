//! The Unix socket beside the pid file, on which a running client answers with its status.
//!
//! Whoever connects gets the status as lines of `key: value`, and the connection is closed. Nothing is read, and the
//! status fits into the buffer of a socket: nobody who connects can make the client wait.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr, socket};
use nix::sys::stat::{Mode, umask};

use crate::pid_file;

/// How many connections are answered before other events are handled.
const AT_ONCE: usize = 16;
/// The time until the next attempt if a connection cannot be accepted, for want of descriptors.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a running client may take to answer, in the process that asks.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest status that is read, in bytes.
const LARGEST: u64 = 1 << 16;

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StatusError {
    #[error("dtcpclient is not running: nobody answers on {}", .0.display())]
    NotRunning(PathBuf),
    /// Its pid file is locked.
    #[error("dtcpclient is running, but does not answer on {}", .0.display())]
    Deaf(PathBuf),
    #[error("no permission to ask the running dtcpclient on {}", .0.display())]
    NotPermitted(PathBuf),
    #[error("no answer from the running dtcpclient on {}", path.display())]
    NoAnswer { path: PathBuf, source: io::Error },
}

/// The path of the socket beside a pid file: with `.sock` instead of `.pid`, or with `.socket` after another name. No two
/// pid files have the same socket.
pub(crate) fn beside(pid_file: &Path) -> PathBuf {
    if pid_file.extension().is_some_and(|extension| extension == "pid") {
        return pid_file.with_extension("sock");
    }
    let mut name = pid_file.as_os_str().to_owned();
    name.push(".socket");
    name.into()
}

/// A socket on which the client answers with its status. It is removed on drop.
#[derive(Debug)]
pub struct StatusSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the socket in the file system.
    identity: (u64, u64),
    /// When to listen again.
    resume: Option<Instant>,
}

impl StatusSocket {
    /// Makes the socket, which only this user may connect to. A socket that is there is replaced: this process holds the
    /// lock on the pid file, so that it was left by one that was killed. Anything else is left untouched. No other thread
    /// may be running, since the umask is changed for a moment.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        remove_stale(path)?;
        let before = umask(Mode::from_bits_truncate(0o177));
        let bound = UnixListener::bind(path);
        umask(before);
        let listener = bound?;
        listener.set_nonblocking(true)?;
        Ok(Self { identity: identity(path)?, listener, path: path.to_owned(), resume: None })
    }

    /// The descriptor to poll for reading, unless it pauses.
    pub(crate) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.resume.is_none().then(|| self.listener.as_fd())
    }

    /// When to call [`Self::handle_timer`].
    pub(crate) fn timer(&self) -> Option<Instant> {
        self.resume
    }

    /// Listens again after a pause.
    pub(crate) fn handle_timer(&mut self, now: Instant) {
        self.resume.take_if(|resume| *resume <= now);
    }

    /// Sends the status to those who have connected.
    pub(crate) fn answer(&mut self, status: &str, now: Instant) {
        for _ in 0..AT_ONCE {
            match self.listener.accept() {
                Ok((mut peer, _)) => {
                    // A peer that is gone already, or has no room, gets nothing.
                    let _ = peer.set_nonblocking(true).and_then(|()| peer.write_all(status.as_bytes()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error)
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(_) => {
                    self.resume = Some(now + PAUSE);
                    return;
                }
            }
        }
    }
}

impl Drop for StatusSocket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => Err(io::Error::new(ErrorKind::AlreadyExists, "there is something else")),
    }
}

/// Whether a status is that of a client whose tunnel is up.
pub(crate) fn is_up(status: &str) -> bool {
    status.lines().next() == Some("state: up")
}

/// Asks the client with this pid file for its status.
pub(crate) fn ask(pid_file: &Path) -> Result<String, StatusError> {
    let path = beside(pid_file);
    let answer = connect(&path).and_then(|stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut status = String::new();
        stream.take(LARGEST).read_to_string(&mut status)?;
        Ok(status)
    });
    answer.map_err(|source| match source.kind() {
        // FreeBSD also refuses a connection if too many others wait.
        ErrorKind::NotFound | ErrorKind::ConnectionRefused if pid_file::is_held(pid_file) => {
            StatusError::Deaf(path)
        }
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => StatusError::NotRunning(path),
        ErrorKind::PermissionDenied => StatusError::NotPermitted(path),
        _ => StatusError::NoAnswer { path, source },
    })
}

/// Connects without waiting for room in the queue of connections.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    socket::connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use nix::sys::socket::Backlog;
    use tempfile::TempDir;

    use super::*;
    use crate::pid_file::PidFile;

    /// A directory, and the path of a socket in it.
    fn place() -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dtcpclient.sock");
        (directory, path)
    }

    fn ask_at(socket: &Path) -> Result<String, StatusError> {
        ask(&socket.with_extension("pid"))
    }

    #[test]
    fn the_socket_is_beside_the_pid_file() {
        for (pid_file, socket) in [
            ("/var/run/dtcpclient.pid", "/var/run/dtcpclient.sock"),
            ("/var/run/dtcpclient.home.pid", "/var/run/dtcpclient.home.sock"),
            ("/tmp/pid", "/tmp/pid.socket"),
            ("/tmp/home.1", "/tmp/home.1.socket"),
        ] {
            assert_eq!(beside(Path::new(pid_file)), Path::new(socket));
        }
    }

    #[test]
    fn only_the_owner_may_ask_and_gets_the_status_until_the_socket_is_dropped() {
        let (_directory, path) = place();
        assert!(matches!(ask_at(&path), Err(StatusError::NotRunning(_))), "there is none");
        let mut socket = StatusSocket::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let asking = std::thread::spawn({
            let path = path.clone();
            move || ask_at(&path).unwrap()
        });
        while !asking.is_finished() {
            socket.answer("state: up\nserver: broker\n", Instant::now());
        }
        let status = asking.join().unwrap();
        assert!(is_up(&status) && status.ends_with("server: broker\n"), "{status}");
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn whoever_says_nothing_or_reads_nothing_delays_nobody() {
        let (_directory, path) = place();
        let mut socket = StatusSocket::open(&path).unwrap();
        let status = "state: up\n".repeat(200);
        for _ in 0..100 {
            let mut silent = UnixStream::connect(&path).unwrap();
            let mut talkative = UnixStream::connect(&path).unwrap();
            talkative.write_all(&[b'x'; 4096]).unwrap();
            drop(UnixStream::connect(&path).unwrap());
            socket.answer(&status, Instant::now());
            let mut answer = String::new();
            silent.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, status);
        }
        assert!(socket.as_fd().is_some());
    }

    #[test]
    fn if_too_many_others_wait_the_client_is_not_taken_to_be_gone() {
        let (_directory, path) = place();
        let status_socket = StatusSocket::open(&path).unwrap();
        socket::listen(&status_socket.listener, Backlog::new(1).unwrap()).unwrap();
        let _lock = PidFile::lock(&path.with_extension("pid")).unwrap();
        let mut waiting = Vec::new();
        let refused = loop {
            match connect(&path) {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error.kind(),
            }
        };
        assert!(matches!(refused, ErrorKind::WouldBlock | ErrorKind::ConnectionRefused), "{refused}");
        let answer = ask_at(&path);
        assert!(matches!(answer, Err(StatusError::Deaf(_) | StatusError::NoAnswer { .. })), "{answer:?}");
    }

    #[test]
    fn a_stale_socket_is_replaced_and_anything_else_is_left_untouched() {
        let (directory, path) = place();
        drop(UnixListener::bind(&path).unwrap());
        assert!(matches!(ask_at(&path), Err(StatusError::NotRunning(_))), "nobody listens");
        drop(StatusSocket::open(&path).unwrap());

        let file = directory.path().join("file");
        fs::write(&file, "content").unwrap();
        symlink(&file, &path).unwrap();
        for other in [&file, &path, directory.path()] {
            assert_eq!(StatusSocket::open(other).unwrap_err().kind(), ErrorKind::AlreadyExists);
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "content");
        assert!(
            StatusSocket::open(&directory.path().join("a".repeat(200))).is_err(),
            "too long for an address"
        );
    }

    #[test]
    fn a_file_that_has_replaced_the_socket_is_not_removed() {
        let (_directory, path) = place();
        let socket = StatusSocket::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "other").unwrap();
        drop(socket);
        assert_eq!(fs::read_to_string(&path).unwrap(), "other");
    }
}
