//! The seam: the operations that the program needs from a kernel, in the program's words.
//!
//! Each operation is one call to the kernel, so that a failure has one place, and can be repeated with the same
//! arguments: the kernel then changes nothing, or refuses with the errno that is documented. FreeBSD's kernel and the
//! rehearsal implement the traits.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::echo::EchoMark;
use crate::errno::Errno;
use crate::name::InterfaceName;
use crate::netgraph::Message;

/// A call that the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {errno}")]
pub struct Error {
    /// The call, in the kernel's terms: `SIOCSIFPHYADDR`, `kldload if_gif`, `mkpeer iface`.
    pub call: String,
    /// Why it failed.
    pub errno: Errno,
}

impl Error {
    /// `call` failed with `errno`.
    pub fn new(call: impl fmt::Display, errno: impl Into<Errno>) -> Self {
        Self { call: call.to_string(), errno: errno.into() }
    }
}

/// The result of a call to the kernel.
pub type Result<T> = std::result::Result<T, Error>;

/// The two ends of a tunnel: outer or inner addresses, with or without a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends<A> {
    /// This host's end.
    pub local: A,
    /// The server's end.
    pub remote: A,
}

/// `192.0.2.1 to 192.0.2.2`
impl<A: fmt::Display> fmt::Display for Ends<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.local, self.remote)
    }
}

/// What has passed through an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Received from the far end of the tunnel.
    pub received: Count,
    /// Sent to it.
    pub sent: Count,
}

/// A number of packets, and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Whole packets.
    pub packets: u64,
    /// Their octets, without the outer headers.
    pub bytes: u64,
}

/// `3 packets (312 bytes)`
impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} packets ({} bytes)", self.packets, self.bytes)
    }
}

/// A kernel with tunnels. An operation that fails changes nothing.
pub trait Kernel {
    /// Fails with EPERM unless this process may create interfaces. Changes nothing.
    fn check_privilege(&mut self) -> Result<()>;
    /// Loads a kernel module by its name, as kldload(2). A module that is already loaded is not an error.
    fn load_module(&mut self, module: &str) -> Result<()>;
    /// Opens a control socket of netgraph(4).
    fn open_netgraph(&mut self) -> Result<Box<dyn Netgraph>>;

    /// Creates a gif(4) interface, and returns the name that the kernel chose.
    fn create_gif(&mut self) -> Result<InterfaceName>;
    /// Sets the outer addresses of a gif. A gif that is in use keeps its inner addresses and routes. EADDRNOTAVAIL:
    /// another gif has this pair.
    fn set_outer_addresses(&mut self, gif: &InterfaceName, outer: Ends<Ipv4Addr>) -> Result<()>;
    /// The outer addresses of a gif; `None` if it has none.
    fn outer_addresses(&mut self, gif: &InterfaceName) -> Result<Option<Ends<Ipv4Addr>>>;
    /// Destroys a gif and everything on it. EINVAL: this is an ng interface, which is removed with its node.
    /// ENXIO: there is no such interface; or, in a jail of FreeBSD 13, it is an ng interface with a name like that of a gif.
    fn destroy_gif(&mut self, gif: &InterfaceName) -> Result<()>;

    /// The index of an interface, which the interface has until it is destroyed or lent to a jail. Then another interface
    /// may get it. ENXIO: no such interface.
    fn index(&mut self, interface: &InterfaceName) -> Result<u32>;
    /// The name of the interface with this index. ENXIO: no such interface.
    fn name_of(&mut self, index: u32) -> Result<InterfaceName>;
    /// Renames an interface. EEXIST: there is an interface with the new name.
    fn rename(&mut self, interface: &InterfaceName, name: &InterfaceName) -> Result<()>;
    /// The FIB of an interface: the number of a routing table, as in setfib(1).
    fn fib(&mut self, interface: &InterfaceName) -> Result<i32>;
    /// Sets the description that ifconfig(8) shows. It must not contain a NUL.
    fn set_description(&mut self, interface: &InterfaceName, description: &str) -> Result<()>;
    /// The description of an interface, empty if it has none. ENXIO: no such interface.
    fn description(&mut self, interface: &InterfaceName) -> Result<String>;
    /// Adds an interface to a group. EEXIST: it is a member already.
    fn join_group(&mut self, interface: &InterfaceName, group: &str) -> Result<()>;
    /// The interfaces of a group; empty if there is no such group.
    fn group_members(&mut self, group: &str) -> Result<Vec<InterfaceName>>;
    /// Sets the MTU, in bytes.
    fn set_mtu(&mut self, interface: &InterfaceName, mtu: u16) -> Result<()>;
    /// Clears `ND6_IFF_IFDISABLED`, which is set on a new interface and disables IPv6, and lets the kernel add a
    /// link-local address.
    fn enable_ipv6(&mut self, interface: &InterfaceName) -> Result<()>;
    /// Whether `IFF_UP` is set.
    fn is_up(&mut self, interface: &InterfaceName) -> Result<bool>;
    /// Sets `IFF_UP`.
    fn bring_up(&mut self, interface: &InterfaceName) -> Result<()>;
    /// The IPv6 addresses of this host, each with its interface, including those that cannot be used yet.
    fn ipv6_addresses(&mut self) -> Result<Vec<(InterfaceName, Ipv6Addr)>>;
    /// Adds an inner address with its peer, both as /128. EEXIST: there is a route to one of them.
    fn add_address(&mut self, interface: &InterfaceName, inner: Ends<Ipv6Addr>) -> Result<()>;
    /// Removes an inner address. EADDRNOTAVAIL: the interface does not have it.
    fn remove_address(&mut self, interface: &InterfaceName, local: Ipv6Addr) -> Result<()>;
    /// The packets and bytes that have passed through an interface.
    fn traffic(&mut self, interface: &InterfaceName) -> Result<Traffic>;
    /// Opens a socket for ICMPv6 echo, whose requests bear this mark and take the routes of this FIB: that of the interface,
    /// which may differ from that of the process. With `local`, the requests are sent from this address, and no other
    /// client's replies wake this process up. EADDRNOTAVAIL: as for [`Kernel::try_bind`].
    fn open_echo(&mut self, mark: EchoMark, fib: i32, local: Option<Ipv6Addr>)
    -> Result<Box<dyn EchoSocket>>;
    /// When a process started, in the time since the system did; `None` if there is no process of this number. With the
    /// number it identifies a process: unlike the time of day, it does not change when somebody sets the clock.
    fn process_start(&mut self, pid: u32) -> Result<Option<Duration>>;
    /// Fails with EADDRNOTAVAIL if this host does not have this IPv4 address. Other errors say nothing of it.
    fn check_address(&mut self, address: Ipv4Addr) -> Result<()>;
    /// Binds a UDP socket to an address and port, and closes it. EADDRNOTAVAIL: this host does not have the address, or it
    /// is an IPv6 address that the kernel still checks for duplicates. EADDRINUSE: another socket has the port.
    fn try_bind(&mut self, local: SocketAddr) -> Result<()>;
}

/// A control socket of netgraph(4), with a node of its own. It is closed on drop; nodes made through it remain.
pub trait Netgraph {
    /// Sends a message to its node. Returns the arguments of the answer, which are empty for a message without one.
    fn send(&mut self, message: &Message) -> Result<Vec<u8>>;
}

/// A socket for ICMPv6 echo. It receives only the replies to its own requests.
pub trait EchoSocket {
    /// The descriptor, to poll for reading.
    fn as_fd(&self) -> BorrowedFd<'_>;
    /// Sends a request through an interface: to `peer`, or to all nodes of the link if the peer is not known. `size` is
    /// that of the IPv6 packet, in bytes.
    fn send(&mut self, via: &InterfaceName, peer: Option<Ipv6Addr>, sequence: u16, size: u16) -> Result<()>;
    /// The sequence numbers of the replies since the last call. Never waits.
    fn replies(&mut self) -> Vec<u16>;
}
