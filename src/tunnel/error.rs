//! Errors of a tunnel. Advice that names options is in `crate::advice`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use ffi::errno::Errno;
use ffi::kernel::{self, Ends};
use ffi::name::InterfaceName;

use super::GROUP;

/// A step of creating, changing or removing a tunnel; it completes "cannot".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Step {
    #[error("read when this process started")]
    Identify,
    #[error("make the tunnel interface")]
    Create,
    #[error("open a netgraph socket")]
    OpenNetgraph,
    /// The kernel loads the node's type by itself, as this module.
    #[error("create a netgraph node ({0})")]
    MakeNode(&'static str),
    /// For its interface or its address.
    #[error("query a netgraph node")]
    AskNode,
    #[error("remove the old UDP socket")]
    RemoveKsocket,
    #[error("bind to {0}")]
    Bind(SocketAddrV4),
    #[error("connect to {0}")]
    Connect(SocketAddrV4),
    #[error("set the description")]
    SetDescription,
    #[error("join the group {GROUP}")]
    JoinGroup,
    #[error("set the outer addresses {0}")]
    SetOuterAddresses(Ends<Ipv4Addr>),
    #[error("set the MTU {0}")]
    SetMtu(u16),
    #[error("enable IPv6")]
    EnableIpv6,
    #[error("set the interface up")]
    BringUp,
    #[error("add the address {0}")]
    AddAddress(Ipv6Addr),
    #[error("remove the address {0}")]
    RemoveAddress(Ipv6Addr),
    #[error("remove the interface")]
    Remove,
}

/// Why a tunnel cannot be created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// EPERM.
    #[error("no permission to {0}{on}: run as root; in a jail, vnet is required", on = On(.1))]
    NotPermitted(Step, Option<InterfaceName>),
    /// Netgraph in a jail that shares the host's network stack.
    #[error("netgraph is not available in a jail without vnet: enable vnet for the jail, or run on the host")]
    JailWithoutNetwork,
    /// A module is missing, and this process may not load it.
    #[error(
        "the kernel module {0} is not loaded, and a jail or kern.securelevel forbids loading it: run `kldload {0}` on \
         the host, or set {0}_load=\"YES\" in /boot/loader.conf"
    )]
    ModuleForbidden(&'static str),
    /// A module is missing, and cannot be loaded.
    #[error("cannot load the kernel module {0}, which is normally installed with the kernel")]
    NoModule(&'static str, #[source] kernel::Error),
    /// The local UDP port is taken.
    #[error("UDP port {} is in use on {}", .0.port(), .0.ip())]
    PortInUse(SocketAddrV4),
    /// The connection's local address is gone.
    #[error("cannot bind the tunnel to {}, which is no longer an address of this host", .0.ip())]
    AddressGone(SocketAddrV4),
    /// Another gif has the same outer addresses.
    #[error("{gif} has the outer addresses {1} already: see ifconfig, and destroy it if it is not needed", gif = Gif(.0))]
    PairInUse(Option<InterfaceName>, Ends<Ipv4Addr>),
    /// Another interface has the inner address.
    #[error(
        "another interface has the inner address {1}, wanted for {0}: find it with ifconfig and remove it"
    )]
    InnerInUse(InterfaceName, Ipv6Addr),
    /// No route to the server's end.
    #[error("no route to {}, the far end of the tunnel: check this host's IPv4 routes", .0.ip())]
    NoRoute(SocketAddrV4),
    /// Any other error.
    #[error("cannot {0}{on}{advice}", on = On(.1), advice = Advice(*.0, .1))]
    Refused(Step, Option<InterfaceName>, #[source] kernel::Error),
}

impl Error {
    /// The error for a step that the kernel refused.
    pub(super) fn new(step: Step, interface: Option<&InterfaceName>, source: kernel::Error) -> Self {
        let interface = interface.cloned();
        match (step, source.errno, interface) {
            (Step::OpenNetgraph, Errno::EPROTONOSUPPORT, _) => Self::JailWithoutNetwork,
            // The control socket is open, so the module cannot be loaded.
            (Step::MakeNode(module), Errno::EPERM | Errno::ENOENT, _) => Self::module(module, source),
            (Step::Bind(local), Errno::EADDRINUSE, _) => Self::PortInUse(local),
            (Step::Bind(local), Errno::EADDRNOTAVAIL, _) => Self::AddressGone(local),
            (Step::Connect(remote), Errno::ENETUNREACH, _) => Self::NoRoute(remote),
            (Step::SetOuterAddresses(outer), Errno::EADDRNOTAVAIL, _) => Self::PairInUse(None, outer),
            (Step::AddAddress(address), Errno::EEXIST, Some(interface)) => {
                Self::InnerInUse(interface, address)
            }
            (step, Errno::EPERM, interface) => Self::NotPermitted(step, interface),
            (step, _, interface) => Self::Refused(step, interface, source),
        }
    }

    /// The error for a module that could not be loaded.
    pub(super) fn module(module: &'static str, source: kernel::Error) -> Self {
        match source.errno {
            Errno::EPERM => Self::ModuleForbidden(module),
            _ => Self::NoModule(module, source),
        }
    }
}

struct On<'a>(&'a Option<InterfaceName>);

impl fmt::Display for On<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |interface| write!(f, " on {interface}"))
    }
}

struct Gif<'a>(&'a Option<InterfaceName>);

impl fmt::Display for Gif<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref().map_or("another gif", InterfaceName::as_str))
    }
}

/// Advice on [`Error::Refused`].
struct Advice<'a>(Step, &'a Option<InterfaceName>);

impl fmt::Display for Advice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (Step::Remove, Some(interface)) => {
                write!(f, " (remove it with `ifconfig {interface} destroy` or `ngctl shutdown {interface}:`)")
            }
            (Step::Connect(_), _) => f.write_str(" (check this host's IPv4 addresses and routes)"),
            _ => Ok(()),
        }
    }
}
