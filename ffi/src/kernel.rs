//! The seam: what the program asks of a kernel, in the program's words.
//!
//! Each operation is one call to the kernel, so that a failure has one place and one undo.
//! Behind the trait stand FreeBSD's kernel and the rehearsal.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};
use std::os::fd::BorrowedFd;

use crate::errno::Errno;
use crate::name::InterfaceName;

/// A call that the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {errno}")]
pub struct Error {
    /// What was called, in the kernel's own terms: `SIOCSIFPHYADDR`, `kldload if_gif`, `mkpeer iface`.
    pub call: String,
    /// Why it failed.
    pub errno: Errno,
}

/// What a call to the kernel gives.
pub type Result<T> = std::result::Result<T, Error>;

/// The outer addresses of a gif tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outer {
    /// This host's end.
    pub source: Ipv4Addr,
    /// The server's end.
    pub destination: Ipv4Addr,
}

/// The inner addresses of a numbered tunnel, each a /128.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inner {
    /// This host's end.
    pub local: Ipv6Addr,
    /// The server's end.
    pub remote: Ipv6Addr,
}

/// How a message reaches an iface node: see *addressing* in netgraph(4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfaceNode {
    /// The one on the far side of our socket's own hook, while it is being made.
    OnHook,
    /// By its name, which is its interface's first name.
    Named(InterfaceName),
}

/// An IPv4 address of this host that came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressChange {
    /// An interface has it now.
    Added(Ipv4Addr),
    /// An interface had it, and has it no more.
    Removed(Ipv4Addr),
}

/// A kernel that can make tunnels.
///
/// An operation that fails has changed nothing.
pub trait Kernel {
    /// Whether this process may make interfaces at all; changes nothing.
    fn check_privilege(&mut self) -> Result<()>;
    /// Loads a kernel module by its name, as kldload(2). One that is loaded already is success.
    fn load_module(&mut self, module: &str) -> Result<()>;

    /// Makes a gif(4) interface and gives the name that the kernel chose.
    fn create_gif(&mut self) -> Result<InterfaceName>;
    /// Gives a gif its outer addresses, or re-points a live one in place.
    fn point_gif(&mut self, gif: &InterfaceName, outer: Outer) -> Result<()>;
    /// Destroys a gif and all that is on it. An ng interface refuses with EINVAL.
    fn destroy_gif(&mut self, gif: &InterfaceName) -> Result<()>;

    /// Opens the control socket that the other netgraph operations use. Open already: nothing happens.
    fn open_netgraph(&mut self) -> Result<()>;
    /// Closes the control socket; the nodes stay.
    fn close_netgraph(&mut self);
    /// Makes an iface node, and with it an ng interface, on our own hook.
    fn make_iface_node(&mut self) -> Result<()>;
    /// The name of the interface (and node) on our own hook.
    fn iface_node_name(&mut self) -> Result<InterfaceName>;
    /// Makes a UDP ksocket node on the `inet6` hook of an iface node.
    fn make_ksocket_node(&mut self, iface: &IfaceNode) -> Result<()>;
    /// Binds the ksocket of an iface node to 0.0.0.0 and this port.
    fn bind_ksocket(&mut self, iface: &IfaceNode, port: u16) -> Result<()>;
    /// Connects the ksocket of an iface node, or re-connects a live one in place.
    fn connect_ksocket(&mut self, iface: &IfaceNode, peer: SocketAddrV4) -> Result<()>;
    /// Takes our own hook off the iface node; the nodes stay.
    fn release_hook(&mut self) -> Result<()>;
    /// Shuts an iface node down: its interface goes with it, its ksocket and the port soon after.
    fn shut_down_node(&mut self, iface: &IfaceNode) -> Result<()>;

    /// Sets the description that ifconfig(8) shows. No NUL may be in it.
    fn describe(&mut self, interface: &InterfaceName, description: &str) -> Result<()>;
    /// The description of an interface; empty where it has none.
    fn description(&mut self, interface: &InterfaceName) -> Result<String>;
    /// Puts an interface into a group.
    fn join_group(&mut self, interface: &InterfaceName, group: &str) -> Result<()>;
    /// The interfaces of a group; none where there is no such group.
    fn group_members(&mut self, group: &str) -> Result<Vec<InterfaceName>>;
    /// Sets the MTU, in bytes.
    fn set_mtu(&mut self, interface: &InterfaceName, mtu: u16) -> Result<()>;
    /// Clears `ND6_IFF_IFDISABLED`, which a new interface has and which keeps IPv6 off.
    fn enable_ipv6(&mut self, interface: &InterfaceName) -> Result<()>;
    /// Sets `IFF_UP`.
    fn bring_up(&mut self, interface: &InterfaceName) -> Result<()>;
    /// Adds an inner address with its peer, both as /128.
    fn add_address(&mut self, interface: &InterfaceName, inner: Inner) -> Result<()>;
    /// Removes an inner address.
    fn remove_address(&mut self, interface: &InterfaceName, local: Ipv6Addr) -> Result<()>;
    /// Sends one packet through the tunnel to `ff02::1`, so that a NAT on the way keeps its mapping.
    fn send_keepalive(&mut self, interface: &InterfaceName) -> Result<()>;

    /// Starts to watch the host's own IPv4 addresses. Watching already: nothing happens.
    fn watch_addresses(&mut self) -> Result<()>;
    /// What to poll for reading, where the kernel watches addresses.
    fn address_watch(&self) -> Option<BorrowedFd<'_>>;
    /// The changes since the last call; never waits.
    fn address_changes(&mut self) -> Result<Vec<AddressChange>>;
}
