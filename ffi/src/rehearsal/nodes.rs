//! The netgraph nodes of a rehearsal, and the rules by which FreeBSD keeps them.

use std::net::SocketAddrV4;

use crate::errno::Errno;
use crate::kernel::IfaceNode;
use crate::name::InterfaceName;

/// The first port that the kernel picks by itself (`net.inet.ip.portrange.first`).
const FIRST_EPHEMERAL_PORT: u16 = 49152;

/// An iface node. It lives until it is told to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name: the first that its interface had.
    pub name: InterfaceName,
    /// The unit of its interface.
    pub unit: u32,
    /// What is on its `inet6` hook.
    pub ksocket: Option<Ksocket>,
}

/// A UDP ksocket node. It goes with its iface node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ksocket {
    /// The local port, once it is bound.
    pub port: Option<u16>,
    /// Where it is connected to.
    pub peer: Option<SocketAddrV4>,
}

/// The control socket, open or not, and all nodes.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    open: bool,
    /// The unit of the iface node on our own hook.
    hooked: Option<u32>,
    all: Vec<Node>,
}

type Result<T> = std::result::Result<T, Errno>;

impl Nodes {
    pub(super) fn all(&self) -> &[Node] {
        &self.all
    }

    pub(super) fn open(&mut self) {
        self.open = true;
    }

    /// The hook goes with the socket's node, the nodes beyond it stay.
    pub(super) fn close(&mut self) {
        self.open = false;
        self.hooked = None;
    }

    /// That a message can be sent: the socket is open.
    pub(super) fn require_open(&self) -> Result<()> {
        if self.open { Ok(()) } else { Err(Errno::EBADF) }
    }

    /// That an iface node can be made: our hook is free.
    pub(super) fn require_free_hook(&self) -> Result<()> {
        self.require_open()?;
        if self.hooked.is_some() { Err(Errno::EEXIST) } else { Ok(()) }
    }

    /// The node of a new ng interface, on our own hook.
    pub(super) fn add(&mut self, name: InterfaceName, unit: u32) {
        self.all.push(Node { name, unit, ksocket: None });
        self.hooked = Some(unit);
    }

    pub(super) fn find(&mut self, iface: &IfaceNode) -> Result<&mut Node> {
        self.require_open()?;
        let hooked = self.hooked;
        let addressed = |node: &&mut Node| match iface {
            IfaceNode::OnHook => hooked == Some(node.unit),
            IfaceNode::Named(name) => node.name == *name,
        };
        self.all.iter_mut().find(addressed).ok_or(Errno::ENOENT)
    }

    pub(super) fn make_ksocket(&mut self, iface: &IfaceNode) -> Result<&Node> {
        let node = self.find(iface)?;
        if node.ksocket.is_some() {
            return Err(Errno::EEXIST);
        }
        node.ksocket = Some(Ksocket::default());
        Ok(node)
    }

    /// A ksocket that has a port keeps it; two cannot have the same.
    pub(super) fn bind(&mut self, iface: &IfaceNode, port: u16) -> Result<&Node> {
        let taken = self.port_is_taken(port);
        let node = self.find(iface)?;
        let ksocket = node.ksocket.as_mut().ok_or(Errno::ENOENT)?;
        if ksocket.port.is_some() {
            return Err(Errno::EINVAL);
        }
        if taken {
            return Err(Errno::EADDRINUSE);
        }
        ksocket.port = Some(port);
        Ok(node)
    }

    /// A ksocket without a port gets one.
    pub(super) fn connect(&mut self, iface: &IfaceNode, peer: SocketAddrV4, routed: bool) -> Result<&Node> {
        let free = (FIRST_EPHEMERAL_PORT..=u16::MAX).find(|&port| !self.port_is_taken(port));
        let node = self.find(iface)?;
        let ksocket = node.ksocket.as_mut().ok_or(Errno::ENOENT)?;
        if !routed {
            return Err(Errno::ENETUNREACH);
        }
        ksocket.port = ksocket.port.or(free);
        ksocket.peer = Some(peer);
        Ok(node)
    }

    fn port_is_taken(&self, port: u16) -> bool {
        self.all.iter().filter_map(|node| node.ksocket).any(|ksocket| ksocket.port == Some(port))
    }

    pub(super) fn release_hook(&mut self) -> Result<()> {
        self.require_open()?;
        self.hooked = None;
        Ok(())
    }

    /// Takes the node away, and its ksocket with it.
    pub(super) fn shut_down(&mut self, iface: &IfaceNode) -> Result<Node> {
        let unit = self.find(iface)?.unit;
        if self.hooked == Some(unit) {
            self.hooked = None;
        }
        let there = self.all.iter().position(|node| node.unit == unit).ok_or(Errno::ENOENT)?;
        Ok(self.all.remove(there))
    }
}
