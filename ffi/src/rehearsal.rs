//! A kernel kept in memory, with FreeBSD's rules and errnos.
//!
//! It says each change as the ifconfig(8), ngctl(8), kldload(8) or ping(8) command that would make it, and
//! touches nothing. It can be put into every place where dtcpclient may find itself (a jail, a kernel without
//! modules), and told to fail.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::net::Ipv4Addr;

use crate::errno::Errno;
use crate::kernel::{AddressChange, Error, Result};
use crate::name::InterfaceName;

mod commands;
mod interfaces;
mod kernel;
mod nodes;
mod watch;

use interfaces::Interfaces;
pub use interfaces::{Interface, Kind};
use nodes::Nodes;
pub use nodes::{Ksocket, Node};
use watch::Watch;

/// The modules that there are. The kernel loads the node types by itself when one is made.
const MODULES: [&str; 4] = ["if_gif", "ng_socket", "ng_iface", "ng_ksocket"];

/// What the process may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Root, with a network stack to itself.
    Root,
    /// A user other than root.
    Nobody,
    /// Root in a jail without a network stack of its own.
    Jail,
    /// Root in a jail with a network stack of its own: everything but loading modules.
    VnetJail,
}

/// The kernel that dtcpclient rehearses with.
pub struct Rehearsal {
    sink: Box<dyn FnMut(&str)>,
    place: Place,
    /// What is loaded of [`MODULES`].
    loaded: BTreeSet<&'static str>,
    interfaces: Interfaces,
    nodes: Nodes,
    /// Addresses that this host does not have; it has all others.
    foreign: BTreeSet<Ipv4Addr>,
    routed: bool,
    watch: Option<Watch>,
    changes: VecDeque<AddressChange>,
    calls: u64,
    /// Which call is to fail, and how.
    failure: Option<(u64, Errno)>,
}

/// Where the rehearsal takes place.
impl Rehearsal {
    /// A FreeBSD host as root, with gif and netgraph in the kernel and no tunnel yet. `sink` gets each command
    /// as one line without its newline.
    pub fn new(sink: impl FnMut(&str) + 'static) -> Self {
        Self {
            sink: Box::new(sink),
            place: Place::Root,
            loaded: MODULES.into(),
            interfaces: Interfaces::default(),
            nodes: Nodes::default(),
            foreign: BTreeSet::new(),
            routed: true,
            watch: None,
            changes: VecDeque::new(),
            calls: 0,
            failure: None,
        }
    }

    /// Has gif and netgraph as modules that are not loaded yet.
    pub fn without_modules(self) -> Self {
        Self { loaded: BTreeSet::new(), ..self }
    }

    /// The process is not root's.
    pub fn as_nobody(self) -> Self {
        Self { place: Place::Nobody, ..self }
    }

    /// The process is in a jail without a network stack of its own: it can make no tunnel.
    pub fn in_jail(self) -> Self {
        Self { place: Place::Jail, ..self }
    }

    /// The process is in a vnet jail: it can load no module.
    pub fn in_vnet_jail(self) -> Self {
        Self { place: Place::VnetJail, ..self }
    }

    /// The process is in a vnet jail, and what it needs is not loaded.
    pub fn without_kldload(self) -> Self {
        self.without_modules().in_vnet_jail()
    }
}

/// What happens to it from outside.
impl Rehearsal {
    /// Makes the `n`th call from now fail with this errno, once; the next call is the first. Every operation of
    /// the seam that can fail counts, also those that only look.
    pub fn fail_call(&mut self, n: u64, errno: Errno) {
        self.failure = Some((self.calls + n, errno));
    }

    /// Takes an IPv4 address off this host: a gif whose source it is no longer runs.
    pub fn lose_address(&mut self, address: Ipv4Addr) {
        if self.foreign.insert(address) {
            self.report(AddressChange::Removed(address));
        }
    }

    /// Gives this host an IPv4 address back.
    pub fn gain_address(&mut self, address: Ipv4Addr) {
        self.foreign.remove(&address);
        self.report(AddressChange::Added(address));
    }

    /// Whether there is an IPv4 route to anywhere; without one, connecting fails with ENETUNREACH.
    pub fn set_routed(&mut self, routed: bool) {
        self.routed = routed;
    }

    /// Renames an interface, as an administrator might. An iface node keeps its name.
    /// Whether there was one of the old name, and none of the new.
    pub fn rename(&mut self, from: &InterfaceName, to: &InterfaceName) -> bool {
        self.interfaces.rename(from, to)
    }

    fn report(&mut self, change: AddressChange) {
        if let Some(watch) = &self.watch {
            self.changes.push_back(change);
            watch.wake();
        }
    }
}

/// What is in it.
impl Rehearsal {
    /// The interfaces, in the order in which they were made.
    pub fn interfaces(&self) -> &[Interface] {
        self.interfaces.all()
    }

    /// Whether packets can flow through an interface: `IFF_DRV_RUNNING`.
    pub fn is_running(&self, interface: &Interface) -> bool {
        match interface.kind {
            Kind::Gif => interface.outer.is_some_and(|outer| !self.foreign.contains(&outer.source)),
            Kind::Ng => interface.up,
        }
    }

    /// The iface nodes with their ksockets, in the order in which they were made.
    pub fn nodes(&self) -> &[Node] {
        self.nodes.all()
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.calls
    }
}

impl Rehearsal {
    /// One call that only looks.
    fn look<T>(
        &mut self,
        call: impl fmt::Display,
        look: impl FnOnce(&mut Self) -> std::result::Result<T, Errno>,
    ) -> Result<T> {
        self.calls += 1;
        let failure = self.failure.take_if(|(due, _)| *due == self.calls);
        let result = match failure {
            Some((_, errno)) => Err(errno),
            None => look(self),
        };
        result.map_err(|errno| Error { call: call.to_string(), errno })
    }

    /// One call that changes something, which only root may: what it gives, and the command that does the same.
    fn change<T>(
        &mut self,
        call: impl fmt::Display,
        change: impl FnOnce(&mut Self) -> std::result::Result<(T, String), Errno>,
    ) -> Result<T> {
        let (value, command) = self.look(call, |kernel| {
            kernel.require_root()?;
            change(kernel)
        })?;
        (self.sink)(&command);
        Ok(value)
    }

    fn require_root(&self) -> std::result::Result<(), Errno> {
        match self.place {
            Place::Root | Place::VnetJail => Ok(()),
            Place::Nobody | Place::Jail => Err(Errno::EPERM),
        }
    }
}

impl fmt::Debug for Rehearsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rehearsal")
            .field("interfaces", &self.interfaces.all())
            .field("nodes", &self.nodes.all())
            .finish_non_exhaustive()
    }
}
