//! Looks up the server's name in a thread: the resolver may take minutes, and signals are handled in the meantime.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::task::Task;

/// How long a lookup may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
/// How many threads may run at a time. One whose lookup has been given up cannot be interrupted, and is left behind.
pub(crate) const MOST_THREADS: usize = 4;

/// Returns the IPv4 addresses of a name.
type Resolve = fn(&str) -> io::Result<Vec<Ipv4Addr>>;

/// Starts lookups.
pub(crate) struct Resolver {
    resolve: Resolve,
    /// Each thread holds a reference.
    threads: Arc<()>,
}

/// A lookup of a server's IPv4 addresses, in the resolver's order.
pub(crate) struct Lookup {
    pub(crate) task: Task<Vec<Ipv4Addr>>,
    /// When to give up.
    pub(crate) deadline: Instant,
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

    pub(crate) fn start(&self, server: &str, now: Instant) -> io::Result<Lookup> {
        if self.is_full() {
            return Err(io::Error::other(format!("the last {MOST_THREADS} lookups have not ended")));
        }
        let (server, resolve, counted) = (server.to_owned(), self.resolve, Arc::clone(&self.threads));
        let task = Task::spawn(move || {
            let addresses = resolve(&server);
            drop(counted);
            addresses
        })?;
        Ok(Lookup { task, deadline: now + LIMIT })
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
        let look_up = |server| Resolver::default().start(server, Instant::now()).unwrap().task.finish();
        assert_eq!(look_up("192.0.2.1").unwrap(), [Ipv4Addr::new(192, 0, 2, 1)]);
        assert_eq!(look_up("2001:db8::1").unwrap_err().to_string(), "it has no IPv4 address");
        // No name server is asked for a name that cannot exist.
        assert!(look_up("broker..invalid").is_err());
    }
}
