//! The interfaces of a rehearsal with their nodes, and FreeBSD's rules for them.

use std::iter;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};
use std::ops::RangeInclusive;

use zerocopy::IntoBytes;

use super::Permitted;
use super::ksocket::Ksocket;
use crate::abi::{Nodeinfo, fixed};
use crate::errno::Errno;
use crate::interface::group_name;
use crate::kernel::{Count, Ends, Traffic};
use crate::name::InterfaceName;
use crate::netgraph::IfaceNode;

/// The first port for sockets that are not bound to one (`net.inet.ip.portrange.first`).
const FIRST_EPHEMERAL_PORT: u16 = 10000;

/// The kind of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// gif(4): IPv6 in IPv4.
    Gif,
    /// `ng_iface(4)`: packets go to its node.
    Ng,
}

impl Kind {
    /// The start of its name, its first MTU, and the permitted MTUs, in bytes (`GIF_MTU_MIN` to `_MAX`,
    /// `NG_IFACE_MTU_MIN` to `_MAX`).
    const fn rules(self) -> (&'static str, u16, RangeInclusive<u16>) {
        match self {
            Self::Gif => ("gif", 1280, 1280..=8192),
            Self::Ng => ("ng", 1500, 72..=65535),
        }
    }
}

/// The state of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its current name.
    pub name: InterfaceName,
    /// Its index.
    pub index: u32,
    /// Its first name, which its node keeps.
    pub first_name: InterfaceName,
    /// gif or ng.
    pub kind: Kind,
    /// Its description; empty if it has none.
    pub description: String,
    /// The groups of which it is a member.
    pub groups: Vec<String>,
    /// A gif's outer addresses.
    pub outer: Option<Ends<Ipv4Addr>>,
    /// The node on the `inet6` hook of an ng interface's node.
    pub ksocket: Option<Ksocket>,
    /// Its MTU, in bytes.
    pub mtu: u16,
    /// The FIB of the packets that leave through it.
    pub fib: i32,
    /// `IFF_UP`.
    pub up: bool,
    /// Whether `ND6_IFF_IFDISABLED` is cleared.
    pub ipv6_enabled: bool,
    /// Its IPv6 addresses, except the link-local one.
    pub addresses: Vec<Ends<Ipv6Addr>>,
    /// The packets that have passed through it.
    pub traffic: Traffic,
}

#[derive(Debug, Default)]
pub(super) struct Interfaces {
    pub(super) all: Vec<Interface>,
}

impl Interfaces {
    /// Creates an interface with the lowest free unit number, and returns its name.
    pub(super) fn create(&mut self, kind: Kind) -> Permitted<InterfaceName> {
        let is_taken =
            |name: &InterfaceName| self.all.iter().any(|each| each.first_name == *name || each.name == *name);
        let (word, mtu, _) = kind.rules();
        let name = (0..)
            .map_while(|unit| InterfaceName::new(&format!("{word}{unit}")))
            .find(|name| !is_taken(name))
            .ok_or(Errno::ENXIO)?;
        // The lowest that is free, as the kernel does it.
        let index = (1..=u32::MAX)
            .find(|index| self.all.iter().all(|each| each.index != *index))
            .ok_or(Errno::ENXIO)?;
        self.all.push(Interface {
            name: name.clone(),
            index,
            first_name: name.clone(),
            kind,
            description: String::new(),
            groups: Vec::new(),
            outer: None,
            ksocket: None,
            mtu,
            fib: 0,
            up: false,
            ipv6_enabled: false,
            addresses: Vec::new(),
            traffic: Traffic::default(),
        });
        Ok(name)
    }

    pub(super) fn find(&self, name: &InterfaceName) -> Permitted<&Interface> {
        self.all.iter().find(|each| each.name == *name).ok_or(Errno::ENXIO)
    }

    pub(super) fn find_mut(&mut self, name: &InterfaceName) -> Permitted<&mut Interface> {
        self.all.iter_mut().find(|each| each.name == *name).ok_or(Errno::ENXIO)
    }

    pub(super) fn rename(&mut self, name: &InterfaceName, to: &InterfaceName) -> Permitted<()> {
        let is_taken = self.find(to).is_ok();
        let interface = self.find_mut(name)?;
        if is_taken {
            return Err(Errno::EEXIST);
        }
        interface.name = to.clone();
        Ok(())
    }

    /// As SIOCIFDESTROY: an ng interface can only be removed with its node. In a jail, FreeBSD 13 looks for the cloner by
    /// the interface's name, and does not find the interface among the cloner's.
    pub(super) fn destroy_gif(&mut self, name: &InterfaceName, in_a_jail: bool) -> Permitted<()> {
        match self.find(name)?.kind {
            Kind::Gif => self.all.retain(|each| each.name != *name),
            Kind::Ng if in_a_jail && name.as_str().starts_with("gif") => return Err(Errno::ENXIO),
            Kind::Ng => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    /// The interface of a node. `hooked` is the name of the node that the sender has made.
    pub(super) fn of_node(
        &mut self,
        node: &IfaceNode,
        hooked: Option<&InterfaceName>,
    ) -> Permitted<&mut Interface> {
        let name = match node {
            IfaceNode::OnHook => hooked,
            IfaceNode::Named(name) => Some(name),
        };
        let is_addressed = |each: &&mut Interface| each.kind == Kind::Ng && Some(&each.first_name) == name;
        self.all.iter_mut().find(is_addressed).ok_or(Errno::ENOENT)
    }

    pub(super) fn ksocket_of(
        &mut self,
        node: &IfaceNode,
        hooked: Option<&InterfaceName>,
    ) -> Permitted<&mut Ksocket> {
        self.of_node(node, hooked)?.ksocket.as_mut().ok_or(Errno::ENOENT)
    }

    /// The answer to a question for all nodes.
    pub(super) fn list_nodes(&self) -> Vec<u8> {
        let nodes = (1..).zip(self.all.iter().filter(|each| each.kind == Kind::Ng));
        let infos: Vec<Nodeinfo> = nodes
            .map(|(id, each)| Nodeinfo {
                name: fixed(each.first_name.as_str()),
                r#type: fixed("iface"),
                id,
                hooks: each.ksocket.is_some().into(),
            })
            .collect();
        let count = u32::try_from(infos.len()).unwrap_or_default();
        [&count.to_ne_bytes(), infos.as_bytes()].concat()
    }

    /// Two ksockets cannot have the same port on the same address.
    pub(super) fn is_taken(&self, address: SocketAddrV4) -> bool {
        self.all.iter().filter_map(|each| each.ksocket?.local).any(|other| {
            let wildcard = address.ip().is_unspecified() || other.ip().is_unspecified();
            other.port() == address.port() && (wildcard || other.ip() == address.ip())
        })
    }

    pub(super) fn free_port(&self) -> u16 {
        let is_free = |port: &u16| !self.is_taken(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, *port));
        (FIRST_EPHEMERAL_PORT..=u16::MAX).find(is_free).unwrap_or(FIRST_EPHEMERAL_PORT)
    }

    /// Two gifs cannot have the same pair. A gif may be given its own pair again.
    pub(super) fn set_outer_addresses(
        &mut self,
        name: &InterfaceName,
        outer: Ends<Ipv4Addr>,
    ) -> Permitted<()> {
        let taken = self.all.iter().any(|each| each.name != *name && each.outer == Some(outer));
        let interface = self.find_mut(name)?;
        match interface.kind {
            Kind::Ng => return Err(Errno::EINVAL),
            Kind::Gif if taken => return Err(Errno::EADDRNOTAVAIL),
            Kind::Gif => interface.outer = Some(outer),
        }
        Ok(())
    }

    /// A packet of this size is sent, and may be answered by one that is as large.
    pub(super) fn count(&mut self, name: &InterfaceName, size: u16, answered: bool) -> Permitted<()> {
        let Traffic { received, sent } = &mut self.find_mut(name)?.traffic;
        for Count { packets, bytes } in iter::once(sent).chain(answered.then_some(received)) {
            *packets += 1;
            *bytes += u64::from(size);
        }
        Ok(())
    }

    pub(super) fn join(&mut self, name: &InterfaceName, group: &str) -> Permitted<()> {
        let interface = self.find_mut(name)?;
        group_name(group)?;
        if interface.groups.iter().any(|each| each == group) {
            return Err(Errno::EEXIST);
        }
        interface.groups.push(group.to_owned());
        Ok(())
    }

    /// Every interface is in the group `all`, and a gif in that of its cloner.
    pub(super) fn members(&self, group: &str) -> Vec<InterfaceName> {
        let is_member = |each: &&Interface| match group {
            "all" => true,
            "gif" => each.kind == Kind::Gif,
            _ => each.groups.iter().any(|other| other == group),
        };
        let members = self.all.iter().filter(is_member);
        members.map(|each| each.name.clone()).collect()
    }

    pub(super) fn set_mtu(&mut self, name: &InterfaceName, mtu: u16) -> Permitted<()> {
        let interface = self.find_mut(name)?;
        let (_, _, permitted) = interface.kind.rules();
        interface.mtu = permitted.contains(&mtu).then_some(mtu).ok_or(Errno::EINVAL)?;
        Ok(())
    }

    /// All addresses, each with its interface.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (&InterfaceName, Ipv6Addr)> {
        self.all.iter().flat_map(|each| each.addresses.iter().map(|inner| (&each.name, inner.local)))
    }

    pub(super) fn has(&self, address: Ipv6Addr) -> bool {
        self.addresses().any(|(_, each)| each == address)
    }

    /// An address that exists already gets the new peer.
    pub(super) fn add_address(&mut self, name: &InterfaceName, inner: Ends<Ipv6Addr>) -> Permitted<()> {
        let interface = self.find_mut(name)?;
        interface.addresses.retain(|each| each.local != inner.local);
        interface.addresses.push(inner);
        Ok(())
    }

    pub(super) fn remove_address(&mut self, name: &InterfaceName, local: Ipv6Addr) -> Permitted<()> {
        let addresses = &mut self.find_mut(name)?.addresses;
        let there = addresses.iter().position(|each| each.local == local).ok_or(Errno::EADDRNOTAVAIL)?;
        addresses.remove(there);
        Ok(())
    }
}
