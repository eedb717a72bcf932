//! Looks up the server's name in a thread: the resolver may take minutes, and signals are handled in the meantime.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

/// A lookup in a thread of its own.
pub(crate) struct Lookup {
    /// Closed by the thread when it is done.
    done: UnixStream,
    thread: JoinHandle<io::Result<Vec<Ipv4Addr>>>,
}

impl Lookup {
    /// Starts looking up the IPv4 addresses of `server`.
    pub(crate) fn start(server: &str) -> io::Result<Self> {
        let (done, closed_at_end) = UnixStream::pair()?;
        let server = server.to_owned();
        let thread = thread::Builder::new().name("lookup".to_owned()).spawn(move || {
            let addresses = addresses_of(&server);
            drop(closed_at_end);
            addresses
        })?;
        Ok(Self { done, thread })
    }

    /// The descriptor to poll for reading: it is ready when the lookup is done.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }

    /// Returns the addresses, in the resolver's order. Blocks until the lookup is done.
    pub(crate) fn finish(self) -> io::Result<Vec<Ipv4Addr>> {
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that looks it up panicked")))
    }
}

fn addresses_of(server: &str) -> io::Result<Vec<Ipv4Addr>> {
    let mut addresses = Vec::new();
    for address in (server, 0).to_socket_addrs()? {
        if let SocketAddr::V4(address) = address
            && !addresses.contains(address.ip())
        {
            addresses.push(*address.ip());
        }
    }
    if addresses.is_empty() {
        return Err(io::Error::other("it has no IPv4 address"));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_and_an_address_taken_as_it_is() {
        let look_up = |server| Lookup::start(server).unwrap().finish();
        assert_eq!(look_up("192.0.2.1").unwrap(), [Ipv4Addr::new(192, 0, 2, 1)]);
        assert_eq!(look_up("2001:db8::1").unwrap_err().to_string(), "it has no IPv4 address");
        // No name server is asked for a name that cannot exist.
        assert!(look_up("broker..invalid").is_err());
    }
}
