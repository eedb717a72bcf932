//! What can go wrong with a tunnel, in words that say what to do.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddrV4};

use ffi::errno::Errno;
use ffi::kernel::{self, Outer};
use ffi::name::InterfaceName;

use super::GROUP;
use crate::exit::Exit;

/// A step of making, pointing or removing a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make the interface.
    Create,
    /// Open the netgraph control socket.
    OpenNetgraph,
    /// Make a node, whose type the kernel loads by itself as this module.
    MakeNode(&'static str),
    /// Learn the interface's name from its node, and let go of it.
    FinishNodes,
    /// Bind the ksocket to this port.
    Bind(u16),
    /// Connect the ksocket.
    Connect(SocketAddrV4),
    /// Set the description.
    Describe,
    /// Join the group.
    JoinGroup,
    /// Set the outer addresses.
    Point(Outer),
    /// Set the MTU.
    SetMtu(u16),
    /// Clear IFDISABLED.
    EnableIpv6,
    /// Set the interface up.
    BringUp,
    /// Add an inner address.
    AddAddress(Ipv6Addr),
    /// Remove an inner address.
    RemoveAddress(Ipv6Addr),
    /// Remove the interface.
    Remove,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create => f.write_str("make the tunnel interface"),
            Self::OpenNetgraph => f.write_str("open a netgraph socket"),
            Self::MakeNode(module) => write!(f, "make a netgraph node ({module})"),
            Self::FinishNodes => f.write_str("finish the netgraph nodes"),
            Self::Bind(port) => write!(f, "bind to UDP port {port}"),
            Self::Connect(peer) => write!(f, "connect to {peer}"),
            Self::Describe => f.write_str("set the description"),
            Self::JoinGroup => write!(f, "join the group {GROUP}"),
            Self::Point(outer) => {
                write!(f, "set the outer addresses {} and {}", outer.source, outer.destination)
            }
            Self::SetMtu(mtu) => write!(f, "set the MTU {mtu}"),
            Self::EnableIpv6 => f.write_str("turn IPv6 on"),
            Self::BringUp => f.write_str("bring the interface up"),
            Self::AddAddress(address) => write!(f, "add the address {address}"),
            Self::RemoveAddress(address) => write!(f, "remove the address {address}"),
            Self::Remove => f.write_str("remove the interface"),
        }
    }
}

/// Why there is no tunnel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// EPERM.
    #[error("no permission to {0}{on}: run as root, and in a jail only with vnet", on = On(.1))]
    NotPermitted(Step, Option<InterfaceName>),
    /// Netgraph in a jail that shares the host's network stack.
    #[error(
        "no netgraph in a jail without a network stack of its own: give the jail vnet, or run on the host"
    )]
    JailWithoutNetwork,
    /// A module is missing, and a jail may not load it.
    #[error(
        "the kernel module {0} is not loaded and may not be loaded from here: run `kldload {0}` on the host"
    )]
    ModuleForbidden(&'static str),
    /// A module is missing, and cannot be loaded.
    #[error("cannot load the kernel module {0}: {1}: is it installed with the kernel?")]
    NoModule(&'static str, Errno),
    /// The local UDP port is taken.
    #[error("UDP port {0} is in use: choose another with -b")]
    PortInUse(u16),
    /// Another gif has the same outer addresses.
    #[error(
        "cannot point {interface} from {} to {}: another gif has these addresses: find it with ifconfig and destroy it",
        outer.source, outer.destination
    )]
    PairInUse {
        /// Our interface.
        interface: InterfaceName,
        /// The addresses.
        outer: Outer,
    },
    /// There is no route to the server's end.
    #[error("cannot connect the tunnel to {0}: no route to it: check this host's IPv4 routes")]
    NoRoute(SocketAddrV4),
    /// Anything else.
    #[error("cannot {step}{on}: {cause}{advice}", on = On(interface), advice = Advice(*step, interface))]
    Refused {
        /// What was tried.
        step: Step,
        /// On which interface, where there was one.
        interface: Option<InterfaceName>,
        /// What the kernel said.
        cause: kernel::Error,
    },
}

impl Error {
    /// What it means that the kernel refused a step.
    pub fn new(step: Step, interface: Option<&InterfaceName>, cause: kernel::Error) -> Self {
        let interface = interface.cloned();
        match (step, cause.errno, interface) {
            (Step::OpenNetgraph, Errno::EPROTONOSUPPORT, _) => Self::JailWithoutNetwork,
            // The control socket is open: what is not permitted is to load the module.
            (Step::MakeNode(module), Errno::EPERM | Errno::ENOENT, _) => Self::module(module, &cause),
            (Step::Bind(port), Errno::EADDRINUSE, _) => Self::PortInUse(port),
            (Step::Connect(peer), Errno::ENETUNREACH, _) => Self::NoRoute(peer),
            (Step::Point(outer), Errno::EADDRNOTAVAIL, Some(interface)) => {
                Self::PairInUse { interface, outer }
            }
            (step, Errno::EPERM, interface) => Self::NotPermitted(step, interface),
            (step, _, interface) => Self::Refused { step, interface, cause },
        }
    }

    /// What it means that a module could not be loaded.
    pub fn module(module: &'static str, cause: &kernel::Error) -> Self {
        match cause.errno {
            Errno::EPERM => Self::ModuleForbidden(module),
            errno => Self::NoModule(module, errno),
        }
    }

    /// Whether trying again cannot help.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::NoModule(..)) || self.exit() == Exit::NoPermission
    }

    /// The exit status that says it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NotPermitted(..) | Self::JailWithoutNetwork | Self::ModuleForbidden(_) => {
                Exit::NoPermission
            }
            _ => Exit::OsError,
        }
    }
}

struct On<'a>(&'a Option<InterfaceName>);

impl fmt::Display for On<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |interface| write!(f, " on {interface}"))
    }
}

/// What to do about a step that failed for a reason that has no name here.
struct Advice<'a>(Step, &'a Option<InterfaceName>);

impl fmt::Display for Advice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (Step::Remove, Some(interface)) => {
                write!(f, ": remove it with `ifconfig {interface} destroy` or `ngctl shutdown {interface}:`")
            }
            (Step::SetMtu(_), _) => f.write_str(": choose another with -m"),
            (Step::Connect(_), _) => f.write_str(": check this host's IPv4 addresses and routes"),
            _ => f.write_str(": see the kernel's messages with dmesg"),
        }
    }
}
