//! The interfaces of a rehearsal, and FreeBSD's rules for them.

use std::iter;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use crate::errno::Errno;
use crate::interface::group_name;
use crate::kernel::{Count, Ends, Traffic};
use crate::name::InterfaceName;

/// The kind of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// gif(4): IPv6 in IPv4.
    Gif,
    /// `ng_iface(4)`: packets go to its node.
    Ng,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Gif => "gif",
            Self::Ng => "ng",
        }
    }

    /// The MTU of a new interface, in bytes.
    const fn first_mtu(self) -> u16 {
        match self {
            Self::Gif => 1280,
            Self::Ng => 1500,
        }
    }

    /// The permitted MTUs, in bytes (`GIF_MTU_MIN` to `GIF_MTU_MAX`, `NG_IFACE_MTU_MIN` to `_MAX`).
    const fn mtus(self) -> RangeInclusive<u16> {
        match self {
            Self::Gif => 1280..=8192,
            Self::Ng => 72..=65535,
        }
    }
}

/// The state of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its current name.
    pub name: InterfaceName,
    /// gif or ng.
    pub kind: Kind,
    /// The unit number of its first name, which does not change when it is renamed.
    pub unit: u32,
    /// Its description; empty if it has none.
    pub description: String,
    /// The groups of which it is a member.
    pub groups: Vec<String>,
    /// A gif's outer addresses.
    pub outer: Option<Ends<Ipv4Addr>>,
    /// Its MTU, in bytes.
    pub mtu: u16,
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

type Result<T> = std::result::Result<T, Errno>;

impl Interfaces {
    /// Creates an interface with the lowest free unit number.
    pub(super) fn create(&mut self, kind: Kind) -> Result<&Interface> {
        let taken = |unit, name: &InterfaceName| {
            self.all.iter().any(|each| each.kind == kind && each.unit == unit || each.name == *name)
        };
        let (unit, name) = (0..)
            .map_while(|unit| Some((unit, InterfaceName::new(&format!("{}{unit}", kind.word()))?)))
            .find(|(unit, name)| !taken(*unit, name))
            .ok_or(Errno::ENXIO)?;
        self.all.push(Interface {
            name,
            kind,
            unit,
            description: String::new(),
            groups: Vec::new(),
            outer: None,
            mtu: kind.first_mtu(),
            up: false,
            ipv6_enabled: false,
            addresses: Vec::new(),
            traffic: Traffic::default(),
        });
        self.all.last().ok_or(Errno::ENXIO)
    }

    pub(super) fn find(&self, name: &InterfaceName) -> Result<&Interface> {
        self.all.iter().find(|each| each.name == *name).ok_or(Errno::ENXIO)
    }

    pub(super) fn find_mut(&mut self, name: &InterfaceName) -> Result<&mut Interface> {
        self.all.iter_mut().find(|each| each.name == *name).ok_or(Errno::ENXIO)
    }

    /// As SIOCIFDESTROY: an ng interface can only be removed with its node.
    pub(super) fn destroy_gif(&mut self, name: &InterfaceName) -> Result<()> {
        match self.find(name)?.kind {
            Kind::Gif => self.all.retain(|each| each.name != *name),
            Kind::Ng => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    /// The interface of an iface node.
    pub(super) fn of_node(&self, unit: u32) -> Result<&Interface> {
        self.all.iter().find(|each| each.kind == Kind::Ng && each.unit == unit).ok_or(Errno::ENXIO)
    }

    pub(super) fn remove_of_node(&mut self, unit: u32) {
        self.all.retain(|each| each.kind != Kind::Ng || each.unit != unit);
    }

    /// Two gifs cannot have the same pair. A gif may be given its own pair again.
    pub(super) fn set_outer_addresses(&mut self, name: &InterfaceName, outer: Ends<Ipv4Addr>) -> Result<()> {
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
    pub(super) fn count(&mut self, name: &InterfaceName, size: u16, answered: bool) -> Result<()> {
        let Traffic { received, sent } = &mut self.find_mut(name)?.traffic;
        for Count { packets, bytes } in iter::once(sent).chain(answered.then_some(received)) {
            *packets += 1;
            *bytes += u64::from(size);
        }
        Ok(())
    }

    pub(super) fn join(&mut self, name: &InterfaceName, group: &str) -> Result<()> {
        let interface = self.find_mut(name)?;
        group_name(group)?;
        if interface.groups.iter().any(|each| each == group) {
            return Err(Errno::EEXIST);
        }
        interface.groups.push(group.to_owned());
        Ok(())
    }

    /// A gif is in the group of its cloner, too.
    pub(super) fn members(&self, group: &str) -> Vec<InterfaceName> {
        let is_member = |each: &&Interface| {
            each.kind == Kind::Gif && group == "gif" || each.groups.iter().any(|other| other == group)
        };
        let members = self.all.iter().filter(is_member);
        members.map(|each| each.name.clone()).collect()
    }

    pub(super) fn set_mtu(&mut self, name: &InterfaceName, mtu: u16) -> Result<()> {
        let interface = self.find_mut(name)?;
        if !interface.kind.mtus().contains(&mtu) {
            return Err(Errno::EINVAL);
        }
        interface.mtu = mtu;
        Ok(())
    }

    /// An address that exists already gets the new peer.
    pub(super) fn add_address(&mut self, name: &InterfaceName, inner: Ends<Ipv6Addr>) -> Result<()> {
        let interface = self.find_mut(name)?;
        interface.addresses.retain(|each| each.local != inner.local);
        interface.addresses.push(inner);
        Ok(())
    }

    pub(super) fn remove_address(&mut self, name: &InterfaceName, local: Ipv6Addr) -> Result<()> {
        let addresses = &mut self.find_mut(name)?.addresses;
        let there = addresses.iter().position(|each| each.local == local).ok_or(Errno::EADDRNOTAVAIL)?;
        addresses.remove(there);
        Ok(())
    }
}
