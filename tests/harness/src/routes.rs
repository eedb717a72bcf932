//! A stand-in for the kernel's end of a route socket.

use std::net::Ipv4Addr;
use std::os::unix::net::UnixDatagram;

use ffi::route_socket::{AddressChange, RouteSocket};

/// The end on which a test reports changes of addresses, as the kernel does.
pub struct Routes(UnixDatagram);

impl Routes {
    /// This end, and the one that the program reads.
    pub fn pair() -> (Self, RouteSocket) {
        let (kernel, program) = UnixDatagram::pair().expect("a pair of sockets");
        program.set_nonblocking(true).expect("a socket that does not block");
        (Self(kernel), RouteSocket::new(program.into()))
    }

    /// Reports a change.
    pub fn report(&self, change: AddressChange) {
        self.0.send(&routing_message(change)).expect("the program's end is open");
    }
}

/// The kernel's report of a change: `struct ifa_msghdr` and a `struct sockaddr_in`, as in route(4).
pub fn routing_message(change: AddressChange) -> Vec<u8> {
    const VERSION: u8 = 5;
    const RTA_IFA: u32 = 0x20;
    let (kind, address): (u8, Ipv4Addr) = match change {
        AddressChange::Added(address) => (0xc, address),
        AddressChange::Removed(address) => (0xd, address),
        AddressChange::Unknown => panic!("the kernel sends no message for it"),
    };
    let mut bytes = 36_u16.to_ne_bytes().to_vec();
    bytes.extend([VERSION, kind]);
    bytes.extend(RTA_IFA.to_ne_bytes());
    bytes.extend([0; 12]);
    bytes.extend([16, 2, 0, 0]);
    bytes.extend(address.octets());
    bytes.extend([0; 8]);
    bytes
}
