//! The TCP connection to the server, which never blocks.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use log::info;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, connect, socket};

use super::Failure;

pub(super) struct Attempt {
    stream: TcpStream,
    peer: SocketAddrV4,
}

impl Attempt {
    pub(super) fn start(peer: SocketAddrV4) -> Result<Self, Failure> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let started = socket(AddressFamily::Inet, SockType::Stream, flags, None).and_then(|socket| {
            match connect(socket.as_raw_fd(), &SockaddrIn::from(peer)) {
                Ok(()) | Err(Errno::EINPROGRESS) => Ok(Self { stream: TcpStream::from(socket), peer }),
                Err(errno) => Err(errno),
            }
        });
        started.map_err(|errno| Failure::NoConnection { peer, source: errno.into() })
    }

    /// The descriptor to poll for writing.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// The outcome, once the socket is writable.
    pub(super) fn finish(self) -> Result<Connection, Failure> {
        match self.local() {
            Ok(local) => {
                info!("connected to {} from {local}", self.peer);
                Ok(Connection { stream: self.stream, local, peer: self.peer })
            }
            Err(source) => Err(self.failure(source)),
        }
    }

    fn local(&self) -> io::Result<Ipv4Addr> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.local_addr()? {
            SocketAddr::V4(local) => Ok(*local.ip()),
            SocketAddr::V6(_) => Err(io::Error::other("not an IPv4 connection")),
        }
    }

    pub(super) fn failure(&self, source: io::Error) -> Failure {
        Failure::NoConnection { peer: self.peer, source }
    }
}

pub(super) struct Connection {
    stream: TcpStream,
    pub(super) local: Ipv4Addr,
    pub(super) peer: SocketAddrV4,
}

/// The outcome of a read.
pub(super) enum Received {
    Bytes(usize),
    /// Nothing yet.
    Nothing,
    Closed,
    Broken(io::Error),
}

impl Connection {
    /// The descriptor to poll for reading.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

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

    /// Sends a line. The socket's buffer has room for many lines: it is full only if the server has stopped reading.
    pub(super) fn send(&mut self, line: &str) -> io::Result<()> {
        self.stream.write_all(line.as_bytes())
    }
}
