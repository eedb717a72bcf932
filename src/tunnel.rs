//! The tunnel: from what the server offers to calls to the kernel, and back.
//!
//! One interface serves all sessions of a run. It is made by the first, re-pointed by the later ones, and goes with
//! the [`Tunnel`].

mod error;
mod gif;
mod identity;
pub mod leftovers;
mod modules;
mod netgraph;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::BorrowedFd;

use ffi::errno::Errno;
use ffi::kernel::{AddressChange, IfaceNode, Inner, Kernel, Outer};
use ffi::name::InterfaceName;
use log::{error, info, warn};

use crate::protocol::Offer;
pub use error::{Error, Step};

/// The group that every tunnel joins, so that a firewall can name them all.
pub const GROUP: &str = "dtcpclient";

/// How the tunnel carries its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// gif(4): IPv6 in IPv4.
    Gif,
    /// `ng_iface` on `ng_ksocket`: IPv6 in UDP, from this port.
    Udp {
        /// The local port.
        port: u16,
    },
}

/// What stays the same for all sessions of a run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server's name, for the description.
    pub server: String,
    /// gif or UDP.
    pub carrier: Carrier,
    /// In bytes.
    pub mtu: u16,
}

/// Where a tunnel goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// This host's outer address: the local end of the connection, never what the server sees.
    pub source: Ipv4Addr,
    /// The server's outer address, with its UDP port where there is one.
    pub destination: SocketAddrV4,
    /// The inner addresses of a numbered tunnel.
    pub inner: Option<Inner>,
}

impl Ends {
    /// The ends that an offer names, over a connection whose local end is `source`.
    pub fn new(offer: &Offer, source: Ipv4Addr) -> Self {
        Self {
            source,
            destination: SocketAddrV4::new(offer.her, offer.udp_port.unwrap_or_default()),
            inner: offer.inner.map(|inner| Inner { local: inner.me6, remote: inner.her6 }),
        }
    }

    fn outer(&self) -> Outer {
        Outer { source: self.source, destination: *self.destination.ip() }
    }
}

/// An interface that exists, and what is on it by now.
#[derive(Debug, Clone)]
struct Live {
    interface: InterfaceName,
    /// The iface node of a UDP tunnel. It keeps the interface's first name, whatever that is renamed to.
    node: Option<IfaceNode>,
    inner: Option<Inner>,
    /// Where it was last pointed to with success.
    ends: Ends,
}

/// The tunnel of this process, if there is one.
pub struct Tunnel<'k> {
    kernel: &'k mut dyn Kernel,
    settings: Settings,
    live: Option<Live>,
}

impl<'k> Tunnel<'k> {
    /// No tunnel yet.
    pub fn new(kernel: &'k mut dyn Kernel, settings: Settings) -> Self {
        Self { kernel, settings, live: None }
    }

    /// Makes the tunnel, or re-points the one there is. A step that fails undoes the ones before it.
    pub fn make(&mut self, ends: Ends) -> Result<(), Error> {
        match self.find_again() {
            Some(live) => self.repoint(live, ends),
            None => self.build(ends),
        }
    }

    /// Takes the tunnel away, and tells where that is refused.
    pub fn take_down(&mut self) {
        if let Some(live) = self.find_again() {
            self.remove(&live);
        }
        self.live = None;
    }

    /// The interface, while there is one.
    pub fn interface(&self) -> Option<&InterfaceName> {
        self.live.as_ref().map(|live| &live.interface)
    }

    /// Sends a packet through the tunnel, so that a NAT keeps its mapping.
    pub fn keep_nat_open(&mut self) -> Result<(), ffi::kernel::Error> {
        match &self.live {
            Some(live) => self.kernel.send_keepalive(&live.interface),
            None => Ok(()),
        }
    }

    /// Takes down what a run that was killed has left behind.
    pub fn remove_leftovers(&mut self, lives: impl Fn(u32) -> bool) {
        leftovers::remove(self.kernel, lives);
    }

    /// Starts to watch the host's own addresses, one of which every tunnel needs.
    pub fn watch_addresses(&mut self) -> Result<(), ffi::kernel::Error> {
        self.kernel.watch_addresses()
    }

    /// What to poll for reading, where addresses are watched.
    pub fn address_watch(&self) -> Option<BorrowedFd<'_>> {
        self.kernel.address_watch()
    }

    /// How the host's addresses have changed since the last call.
    pub fn address_changes(&mut self) -> Result<Vec<AddressChange>, ffi::kernel::Error> {
        self.kernel.address_changes()
    }

    /// Whether this process may make a tunnel at all; so that it is said before anyone logs in.
    pub fn check_privilege(&mut self) -> Result<(), Error> {
        self.kernel.check_privilege().map_err(|cause| Error::new(Step::Create, None, cause))?;
        match self.settings.carrier {
            Carrier::Gif => Ok(()),
            Carrier::Udp { .. } => netgraph::check(self.kernel),
        }
    }

    fn build(&mut self, ends: Ends) -> Result<(), Error> {
        let mut live = self.create(ends)?;
        // From here on it is taken down even where something panics.
        self.live = Some(live.clone());
        if let Err(error) = self.set_up(&mut live) {
            self.remove(&live);
            self.live = None;
            return Err(error);
        }
        info!("made {}, a tunnel to {}", live.interface, ends.destination.ip());
        self.live = Some(live);
        Ok(())
    }

    /// The bare interface; the nodes of a UDP tunnel are connected from the start.
    fn create(&mut self, ends: Ends) -> Result<Live, Error> {
        let (interface, node) = match self.settings.carrier {
            Carrier::Gif => (gif::make(self.kernel)?, None),
            Carrier::Udp { port } => {
                let interface = netgraph::make_nodes(self.kernel, port, ends.destination)?;
                let node = IfaceNode::Named(interface.clone());
                (interface, Some(node))
            }
        };
        Ok(Live { interface, node, ends, inner: None })
    }

    fn set_up(&mut self, live: &mut Live) -> Result<(), Error> {
        let (description, mtu) = (self.description(), self.settings.mtu);
        self.run(live, Step::Describe, |kernel, name| kernel.describe(name, &description))?;
        self.run(live, Step::JoinGroup, |kernel, name| kernel.join_group(name, GROUP))?;
        if live.node.is_none() {
            self.point(live, live.ends)?;
        }
        self.run(live, Step::SetMtu(mtu), |kernel, name| kernel.set_mtu(name, mtu))?;
        self.run(live, Step::EnableIpv6, |kernel, name| kernel.enable_ipv6(name))?;
        self.run(live, Step::BringUp, |kernel, name| kernel.bring_up(name))?;
        self.number(live, live.ends.inner)
    }

    /// Re-points a live tunnel. Where a step fails, it is brought back to where it was.
    fn repoint(&mut self, mut live: Live, ends: Ends) -> Result<(), Error> {
        let before = live.ends;
        let result = self.bring_to(&mut live, ends);
        match &result {
            Ok(()) => info!("pointed {} to {}", live.interface, ends.destination.ip()),
            Err(_) => {
                if let Err(error) = self.bring_to(&mut live, before) {
                    warn!("cannot bring the tunnel back to where it was: {error}");
                }
            }
        }
        self.live = Some(live);
        result
    }

    fn bring_to(&mut self, live: &mut Live, ends: Ends) -> Result<(), Error> {
        // Even to where it points already: the kernel then picks up what has changed underneath.
        self.point(live, ends)?;
        self.number(live, ends.inner)?;
        live.ends = ends;
        Ok(())
    }

    fn point(&mut self, live: &Live, ends: Ends) -> Result<(), Error> {
        match &live.node {
            None => {
                let outer = ends.outer();
                self.run(live, Step::Point(outer), |kernel, name| kernel.point_gif(name, outer))
            }
            Some(node) => netgraph::reconnect(self.kernel, &live.interface, node, ends.destination),
        }
    }

    /// Changes the inner addresses where they differ.
    fn number(&mut self, live: &mut Live, inner: Option<Inner>) -> Result<(), Error> {
        if live.inner == inner {
            return Ok(());
        }
        if let Some(old) = live.inner {
            self.run(live, Step::RemoveAddress(old.local), |kernel, name| {
                match kernel.remove_address(name, old.local) {
                    // Somebody else has removed it already.
                    Err(cause) if cause.errno == Errno::EADDRNOTAVAIL => Ok(()),
                    removed => removed,
                }
            })?;
            live.inner = None;
        }
        if let Some(new) = inner {
            self.run(live, Step::AddAddress(new.local), |kernel, name| kernel.add_address(name, new))?;
            live.inner = inner;
        }
        Ok(())
    }

    fn remove(&mut self, live: &Live) {
        let removed = match &live.node {
            None => self.kernel.destroy_gif(&live.interface),
            Some(node) => netgraph::shut_down(self.kernel, node),
        };
        match removed {
            Ok(()) => info!("removed {}", live.interface),
            // Gone already.
            Err(cause) if matches!(cause.errno, Errno::ENXIO | Errno::ENOENT) => {}
            Err(cause) => error!("{}", Error::new(Step::Remove, Some(&live.interface), cause)),
        }
    }

    /// The live tunnel, under the name that its interface has now; `None` where there is none any more.
    fn find_again(&mut self) -> Option<Live> {
        let live = self.live.clone()?;
        let ours = self.description();
        let found = identity::find_again(self.kernel, &live.interface, &ours);
        if found.is_none() {
            warn!("{} is gone: somebody else has removed it", live.interface);
        }
        self.live = found.map(|interface| Live { interface, ..live });
        self.live.clone()
    }

    /// What marks the interface as this process's own.
    fn description(&self) -> String {
        identity::description(&self.settings.server, std::process::id())
    }

    fn run(
        &mut self,
        live: &Live,
        step: Step,
        call: impl FnOnce(&mut dyn Kernel, &InterfaceName) -> ffi::kernel::Result<()>,
    ) -> Result<(), Error> {
        call(self.kernel, &live.interface).map_err(|cause| Error::new(step, Some(&live.interface), cause))
    }
}

/// On every path out, a panic's among them.
impl Drop for Tunnel<'_> {
    fn drop(&mut self) {
        self.take_down();
    }
}
