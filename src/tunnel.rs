//! The tunnel: from what the server offers to calls to the kernel, and back.
//!
//! One interface serves all sessions of a run. The first login makes it, each login sets all of its properties, and it
//! goes with the [`Tunnel`].

mod error;
mod gif;
mod identity;
pub mod leftovers;
mod modules;
mod netgraph;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use ffi::errno::Errno;
use ffi::kernel::{self, Ends, Kernel};
use ffi::name::InterfaceName;
use ffi::netgraph::IfaceNode;
use log::{error, info, warn};

use crate::protocol::{DEFAULT_UDP_PORT, Offer};
use crate::report::chain;
pub use error::Error;
pub(crate) use error::Step;

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

/// An interface that exists.
#[derive(Debug)]
struct Live {
    interface: InterfaceName,
    /// The iface node of a UDP tunnel. It keeps the interface's first name when the interface is renamed.
    node: Option<IfaceNode>,
    /// The inner addresses that this process has added: those it may remove.
    inner: Option<Ends<Ipv6Addr>>,
    /// The connection's local address and the offer that were last applied with success.
    applied: Option<(Ipv4Addr, Offer)>,
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

    /// Brings the tunnel to what the server offers, over a connection whose local end is `local`: makes the interface
    /// if there is none, then sets every property, whatever others have done to the interface meanwhile.
    ///
    /// If a step fails, a new interface is removed, and an older one brought back to where it was. If that fails too,
    /// it is removed as well: half a tunnel would take packets that it cannot deliver, or from anyone.
    pub fn bring_up(&mut self, local: Ipv4Addr, offer: &Offer) -> Result<(), Error> {
        self.find_again();
        if self.live.is_none() {
            self.create()?;
        }
        let before = self.live.as_ref().and_then(|live| live.applied.clone());
        if let Err(error) = self.apply(local, offer) {
            self.go_back(before);
            return Err(error);
        }
        if let Some(live) = &mut self.live {
            let verb = if before.is_some() { "updated" } else { "made" };
            info!("{verb} {}, a tunnel to {}", live.interface, offer.her);
            live.applied = Some((local, offer.clone()));
        }
        Ok(())
    }

    /// Removes the tunnel, and logs it if that is refused.
    pub fn take_down(&mut self) {
        self.find_again();
        let Some(live) = self.live.take() else { return };
        let removed = match live.node {
            None => self.kernel.destroy_gif(&live.interface),
            Some(node) => netgraph::shut_down(self.kernel, node),
        };
        match removed {
            Ok(()) => info!("removed {}", live.interface),
            // Gone already.
            Err(cause) if matches!(cause.errno, Errno::ENXIO | Errno::ENOENT) => {}
            Err(cause) => error!("{}", chain(&Error::new(Step::Remove, Some(&live.interface), cause))),
        }
    }

    /// The interface, while there is one.
    pub fn interface(&self) -> Option<&InterfaceName> {
        self.live.as_ref().map(|live| &live.interface)
    }

    /// Sends a packet through the tunnel, so that a NAT keeps its mapping.
    pub fn keep_nat_open(&mut self) -> kernel::Result<()> {
        match &self.live {
            Some(live) => self.kernel.send_keepalive(&live.interface),
            None => Ok(()),
        }
    }

    /// Removes what a run that was killed has left behind.
    pub fn remove_leftovers(&mut self, lives: impl Fn(u32) -> bool) {
        leftovers::remove(self.kernel, lives);
    }

    /// Checks that this process may make a tunnel at all, so that a lack of privilege is reported before the login.
    pub fn check_privilege(&mut self) -> Result<(), Error> {
        self.kernel.check_privilege().map_err(|cause| Error::new(Step::Create, None, cause))?;
        match self.settings.carrier {
            Carrier::Gif => Ok(()),
            Carrier::Udp { .. } => netgraph::open(self.kernel).map(drop),
        }
    }

    /// Makes the bare interface. From here on a panic takes it down, too.
    fn create(&mut self) -> Result<(), Error> {
        let (interface, node) = match self.settings.carrier {
            Carrier::Gif => (gif::make(self.kernel)?, None),
            Carrier::Udp { .. } => {
                let interface = netgraph::make_iface(self.kernel)?;
                (interface.clone(), Some(IfaceNode::Named(interface)))
            }
        };
        self.live = Some(Live { interface, node, inner: None, applied: None });
        Ok(())
    }

    /// Sets every property of the interface.
    ///
    /// The order matters. The description comes first: by it the next start knows what a killed run left behind. The
    /// group comes before the interface can carry packets, so that a firewall's rules apply from the first one on.
    /// The kernel makes a link-local address when an interface goes up with IPv6 enabled, so IPv6 is enabled before.
    /// The inner addresses come last: routes through the tunnel depend on them.
    fn apply(&mut self, local: Ipv4Addr, offer: &Offer) -> Result<(), Error> {
        let description = self.description();
        let Self { kernel, settings, live: Some(live) } = self else { return Ok(()) };
        let Live { interface, node, inner, .. } = live;
        let interface = &*interface;
        let failed = |step| move |cause| Error::new(step, Some(interface), cause);
        kernel.set_description(interface, &description).map_err(failed(Step::SetDescription))?;
        allow(kernel.join_group(interface, GROUP), Errno::EEXIST).map_err(failed(Step::JoinGroup))?;
        if let (Carrier::Udp { port }, Some(node)) = (settings.carrier, node) {
            let remote = SocketAddrV4::new(offer.her, offer.udp_port.unwrap_or(DEFAULT_UDP_PORT));
            netgraph::connect(
                *kernel,
                interface,
                node,
                Ends { local: SocketAddrV4::new(local, port), remote },
            )?;
        } else {
            let outer = Ends { local, remote: offer.her };
            let set = kernel.set_outer_addresses(interface, outer);
            set.map_err(failed(Step::SetOuterAddresses(outer)))?;
        }
        kernel.set_mtu(interface, settings.mtu).map_err(failed(Step::SetMtu(settings.mtu)))?;
        kernel.enable_ipv6(interface).map_err(failed(Step::EnableIpv6))?;
        kernel.bring_up(interface).map_err(failed(Step::BringUp))?;
        renumber(*kernel, interface, inner, offer.inner)
    }

    /// Undoes a change that failed.
    fn go_back(&mut self, before: Option<(Ipv4Addr, Offer)>) {
        match before.map(|(local, offer)| self.apply(local, &offer)) {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                warn!("cannot restore the tunnel, removing it: {}", chain(&error));
                self.take_down();
            }
            None => self.take_down(),
        }
    }

    /// Finds the interface under the name that it has now, or that it is gone.
    fn find_again(&mut self) {
        let ours = self.description();
        // Before its description is set, an interface can be known by its name alone.
        let Some(live) = self.live.as_mut().filter(|live| live.applied.is_some()) else { return };
        if let Some(interface) = identity::find_again(self.kernel, &live.interface, &ours) {
            live.interface = interface;
        } else {
            warn!("{} is gone: somebody else has removed it", live.interface);
            self.live = None;
        }
    }

    /// What marks the interface as this process's own.
    fn description(&self) -> String {
        identity::description(&self.settings.server, std::process::id())
    }
}

/// Removes the inner addresses that this process has added if they are not wanted any more, and adds the wanted ones.
fn renumber(
    kernel: &mut dyn Kernel,
    interface: &InterfaceName,
    added: &mut Option<Ends<Ipv6Addr>>,
    wanted: Option<Ends<Ipv6Addr>>,
) -> Result<(), Error> {
    let failed = |step| move |cause| Error::new(step, Some(interface), cause);
    if let Some(old) = added.take_if(|old| Some(*old) != wanted) {
        let removed = kernel.remove_address(interface, old.local);
        allow(removed, Errno::EADDRNOTAVAIL).map_err(failed(Step::RemoveAddress(old.local)))?;
    }
    if let Some(new) = wanted {
        kernel.add_address(interface, new).map_err(failed(Step::AddAddress(new.local)))?;
        *added = wanted;
    }
    Ok(())
}

/// Takes an errno for success that says: it is so already.
fn allow(result: kernel::Result<()>, errno: Errno) -> kernel::Result<()> {
    match result {
        Err(cause) if cause.errno == errno => Ok(()),
        result => result,
    }
}

/// On every path out, a panic's among them.
impl Drop for Tunnel<'_> {
    fn drop(&mut self) {
        self.take_down();
    }
}
