//! Looks up the server's name in a thread: the resolver may take minutes, and signals are handled in the meantime.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a lookup may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
/// How many threads may run at a time. One whose lookup has been given up cannot be interrupted, and is left behind.
pub(crate) const MOST_THREADS: usize = 4;

/// Returns the IPv4 addresses of a name.
type Resolve = fn(&str) -> io::Result<Vec<Ipv4Addr>>;

/// Starts lookups, each in a thread.
pub(crate) struct Resolver {
    resolve: Resolve,
    /// Each thread holds a reference.
    threads: Arc<()>,
}

impl Default for Resolver {
    /// Asks the system.
    fn default() -> Self {
        Self::new(addresses_of)
    }
}

impl Resolver {
    pub(crate) fn new(resolve: Resolve) -> Self {
        Self { resolve, threads: Arc::default() }
    }

    /// Whether no more threads may be started.
    pub(crate) fn is_full(&self) -> bool {
        Arc::strong_count(&self.threads) > MOST_THREADS
    }

    /// Starts looking up the IPv4 addresses of `server`.
    pub(crate) fn start(&self, server: &str, now: Instant) -> io::Result<Lookup> {
        if self.is_full() {
            return Err(io::Error::other(format!("the last {MOST_THREADS} lookups have not ended")));
        }
        let (done, closed_at_end) = UnixStream::pair()?;
        let (server, resolve, counted) = (server.to_owned(), self.resolve, Arc::clone(&self.threads));
        let thread = thread::Builder::new().name("lookup".to_owned()).spawn(move || {
            let addresses = resolve(&server);
            drop((counted, closed_at_end));
            addresses
        })?;
        Ok(Lookup { done, thread, deadline: now + LIMIT })
    }
}

/// A lookup in a thread of its own.
pub(crate) struct Lookup {
    /// Closed by the thread when it is done.
    done: UnixStream,
    thread: JoinHandle<io::Result<Vec<Ipv4Addr>>>,
    deadline: Instant,
}

impl Lookup {
    /// The descriptor to poll for reading: it is ready when the lookup is done.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }

    /// When to give up.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
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
        let look_up = |server| Resolver::default().start(server, Instant::now()).unwrap().finish();
        assert_eq!(look_up("192.0.2.1").unwrap(), [Ipv4Addr::new(192, 0, 2, 1)]);
        assert_eq!(look_up("2001:db8::1").unwrap_err().to_string(), "it has no IPv4 address");
        // No name server is asked for a name that cannot exist.
        assert!(look_up("broker..invalid").is_err());
    }
}
