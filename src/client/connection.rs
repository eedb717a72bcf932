//! The TCP connection to the server, which never blocks.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, connect, socket};

/// A connection that is made, or being made.
pub(super) struct Connection {
    stream: TcpStream,
    peer: SocketAddrV4,
    /// This host's end, once it is made.
    own: Option<Ipv4Addr>,
}

/// What there was to receive.
pub(super) enum Received {
    /// So many bytes.
    Bytes(usize),
    /// Nothing yet.
    Nothing,
    /// The server has closed.
    Closed,
    /// The connection is broken.
    Broken(io::Error),
}

impl Connection {
    /// Begins to connect.
    pub(super) fn open(peer: SocketAddrV4) -> io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
        match connect(socket.as_raw_fd(), &SockaddrIn::from(peer)) {
            Ok(()) | Err(Errno::EINPROGRESS) => Ok(Self { stream: TcpStream::from(socket), peer, own: None }),
            Err(errno) => Err(errno.into()),
        }
    }

    /// What to poll.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// What to poll it for.
    pub(super) fn events(&self) -> PollFlags {
        if self.own.is_some() { PollFlags::POLLIN } else { PollFlags::POLLOUT }
    }

    /// The server's end.
    pub(super) fn peer(&self) -> SocketAddrV4 {
        self.peer
    }

    /// This host's end, once the connection is made.
    pub(super) fn own(&self) -> Option<Ipv4Addr> {
        self.own
    }

    /// Learns what became of the attempt to connect, and gives this host's end.
    pub(super) fn finish(&mut self) -> io::Result<Ipv4Addr> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.local_addr()? {
            SocketAddr::V4(own) => {
                self.own = Some(*own.ip());
                Ok(*own.ip())
            }
            SocketAddr::V6(_) => Err(io::Error::other("not an IPv4 connection")),
        }
    }

    /// Takes what has come.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Received {
        match self.stream.read(buffer) {
            Ok(0) => Received::Closed,
            Ok(length) => Received::Bytes(length),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Received::Nothing
            }
            Err(error) => Received::Broken(error),
        }
    }

    /// Sends a line. The kernel has room for many of ours: where it has none left, the server has long stopped reading.
    pub(super) fn send(&mut self, line: &str) -> io::Result<()> {
        self.stream.write_all(line.as_bytes())
    }
}
