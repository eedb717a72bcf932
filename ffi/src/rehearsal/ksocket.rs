//! The netgraph nodes of a rehearsal, and FreeBSD's rules for them.

use std::net::{Ipv4Addr, SocketAddrV4};

use zerocopy::IntoBytes;

use crate::abi::{Nodeinfo, fixed};
use crate::errno::Errno;
use crate::name::InterfaceName;
use crate::netgraph::IfaceNode;

/// An iface node. It exists until it is shut down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name, which is its interface's first name.
    pub name: InterfaceName,
    /// The unit number of its interface.
    pub unit: u32,
    /// The node on its `inet6` hook.
    pub ksocket: Option<Ksocket>,
}

/// A UDP ksocket node. It is removed with its iface node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ksocket {
    /// Its local address and port, once it is bound.
    pub local: Option<SocketAddrV4>,
    /// The address and port that it is connected to.
    pub remote: Option<SocketAddrV4>,
}

/// All nodes except those of the control sockets.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    pub(super) all: Vec<Node>,
}

/// The first port for sockets that are not bound to one (`net.inet.ip.portrange.first`).
const FIRST_EPHEMERAL_PORT: u16 = 49152;

type Result<T> = std::result::Result<T, Errno>;

impl Nodes {
    /// The answer to a question for all nodes.
    pub(super) fn list(&self) -> Vec<u8> {
        let mut list = u32::try_from(self.all.len()).unwrap_or_default().to_ne_bytes().to_vec();
        for node in &self.all {
            let (id, hooks) = (node.unit, node.ksocket.is_some().into());
            let info = Nodeinfo { name: fixed(node.name.as_str()), r#type: fixed("iface"), id, hooks };
            list.extend(info.as_bytes());
        }
        list
    }

    /// The node of a new ng interface.
    pub(super) fn add(&mut self, name: InterfaceName, unit: u32) {
        self.all.push(Node { name, unit, ksocket: None });
    }

    /// The node with this address. `hooked` is the unit number of the one that the sender has made.
    pub(super) fn find(&mut self, iface: &IfaceNode, hooked: Option<u32>) -> Result<&mut Node> {
        let addressed = |node: &&mut Node| match iface {
            IfaceNode::OnHook => hooked == Some(node.unit),
            IfaceNode::Named(name) => node.name == *name,
        };
        self.all.iter_mut().find(addressed).ok_or(Errno::ENOENT)
    }

    /// Two ksockets cannot have the same port on the same address.
    pub(super) fn is_taken(&self, address: SocketAddrV4) -> bool {
        self.all.iter().filter_map(|node| node.ksocket?.local).any(|other| {
            let wildcard = address.ip().is_unspecified() || other.ip().is_unspecified();
            other.port() == address.port() && (wildcard || other.ip() == address.ip())
        })
    }

    pub(super) fn free_port(&self) -> u16 {
        let is_free = |port: &u16| !self.is_taken(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, *port));
        (FIRST_EPHEMERAL_PORT..=u16::MAX).find(is_free).unwrap_or(FIRST_EPHEMERAL_PORT)
    }

    pub(super) fn shut_down_ksocket(&mut self, node: &InterfaceName) {
        for node in self.all.iter_mut().filter(|each| each.name == *node) {
            node.ksocket = None;
        }
    }

    pub(super) fn remove(&mut self, unit: u32) {
        self.all.retain(|node| node.unit != unit);
    }
}

impl Node {
    pub(super) fn make_ksocket(&mut self) -> Result<()> {
        if self.ksocket.is_some() {
            return Err(Errno::EEXIST);
        }
        self.ksocket = Some(Ksocket::default());
        Ok(())
    }

    pub(super) fn ksocket(&mut self) -> Result<&mut Ksocket> {
        self.ksocket.as_mut().ok_or(Errno::ENOENT)
    }
}

impl Ksocket {
    /// A ksocket can be bound only once. `is_foreign`: this host does not have the address. `is_taken`: another ksocket
    /// has the address and port.
    pub(super) fn bind(&mut self, local: SocketAddrV4, is_foreign: bool, is_taken: bool) -> Result<()> {
        match self.local {
            Some(_) => return Err(Errno::EINVAL),
            None if is_foreign => return Err(Errno::EADDRNOTAVAIL),
            None if is_taken => return Err(Errno::EADDRINUSE),
            None => self.local = Some(local),
        }
        Ok(())
    }

    /// A ksocket without a local address gets `source`, the route's, and one without a port gets `port`. A connected
    /// one is disconnected first, and loses its local address.
    pub(super) fn connect(
        &mut self,
        remote: SocketAddrV4,
        source: Option<Ipv4Addr>,
        port: u16,
    ) -> Result<()> {
        if let (Some(local), Some(_)) = (&mut self.local, self.remote.take()) {
            local.set_ip(Ipv4Addr::UNSPECIFIED);
        }
        let source = source.ok_or(Errno::ENETUNREACH)?;
        let local = self.local.get_or_insert(SocketAddrV4::new(source, port));
        if local.ip().is_unspecified() {
            local.set_ip(source);
        }
        self.remote = Some(remote);
        Ok(())
    }
}
