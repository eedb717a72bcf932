//! Errors of a tunnel. Advice that names options is in `crate::advice`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use ffi::errno::Errno;
use ffi::kernel::{self, Ends};
use ffi::name::InterfaceName;

use super::GROUP;

/// A step of creating, changing or removing a tunnel; it completes "cannot".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Step {
    #[error("read the start time of this process")]
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
    #[error("rename the interface")]
    Rename,
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
    #[error("list the addresses of this host")]
    ListAddresses,
    #[error("add the address {}", .0.local)]
    AddAddress(Ends<Ipv6Addr>),
    #[error("remove the address {0}")]
    RemoveAddress(Ipv6Addr),
    #[error("remove the interface")]
    Remove,
}

/// Why a tunnel cannot be created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what was refused")]
pub enum Error {
    #[error("no permission to {0}{on}: run as root; in a jail, vnet is required", on = on(.1.as_ref()))]
    NotPermitted(Step, Option<InterfaceName>),
    #[error("netgraph is not available in a jail without vnet: enable vnet for the jail, or run on the host")]
    JailWithoutNetwork,
    #[error(
        "the kernel module {0} is not loaded, and a jail or kern.securelevel forbids loading it: run `kldload {0}` on \
         the host, or set {0}_load=\"YES\" in /boot/loader.conf"
    )]
    ModuleForbidden(&'static str),
    #[error("cannot load the kernel module {0}, which is normally installed with the kernel")]
    NoModule(&'static str, #[source] kernel::Error),
    #[error("there already is an interface {0}")]
    NameInUse(InterfaceName),
    /// The packet filter of FreeBSD's kernel does not survive it.
    #[error("there is a group of interfaces named {0}")]
    NameOfGroup(InterfaceName),
    #[error("the kernel has given a new interface the name {0}, which another one has")]
    NameTwice(InterfaceName),
    #[error("UDP port {} is in use on {}", .0.port(), .0.ip())]
    PortInUse(SocketAddrV4),
    #[error("cannot bind the tunnel to {}, which is no longer an address of this host", .0.ip())]
    AddressGone(SocketAddrV4),
    #[error("{gif} already has the outer addresses {1}: find it with ifconfig, and destroy it if it is not needed",
        gif = .0.as_ref().map_or("another gif", |gif| gif.as_str()))]
    PairInUse(Option<InterfaceName>, Ends<Ipv4Addr>),
    #[error("{0} already has the inner address {1}: remove it there if it is not needed")]
    InnerInUse(InterfaceName, Ipv6Addr),
    #[error(
        "there already is a route to the inner address {} or {}: find it with netstat -rn6, and delete it if it is not needed",
        .0.local, .0.remote
    )]
    RouteInUse(Ends<Ipv6Addr>),
    #[error("no route to {}, the far end of the tunnel: check this host's IPv4 routes", .0.ip())]
    NoRoute(SocketAddrV4),
    #[error("cannot {0}{on}{advice}", on = on(.1.as_ref()), advice = advice(*.0, .1.as_ref()))]
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
            (Step::AddAddress(inner), Errno::EEXIST, _) => Self::RouteInUse(inner),
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

fn on(interface: Option<&InterfaceName>) -> String {
    interface.map_or_else(String::new, |interface| format!(" on {interface}"))
}

/// Advice on [`Error::Refused`].
fn advice(step: Step, interface: Option<&InterfaceName>) -> String {
    match (step, interface) {
        (Step::Remove, Some(interface)) => {
            format!(" (remove it with `ifconfig {interface} destroy` or `ngctl shutdown {interface}:`)")
        }
        (Step::Connect(_), _) => " (check this host's IPv4 addresses and routes)".to_owned(),
        _ => String::new(),
    }
}
