//! Looks up the server's name in a thread: the resolver may take minutes, and signals are handled in the meantime.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};

use crate::task::Task;

/// A lookup of a server's IPv4 addresses, in the resolver's order.
pub(crate) type Lookup = Task<Vec<Ipv4Addr>>;

impl Lookup {
    pub(crate) fn start(server: &str) -> io::Result<Self> {
        let server = server.to_owned();
        Self::spawn(move || addresses_of(&server))
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
