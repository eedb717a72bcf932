//! The tunnel: applies the server's offer through calls to the kernel.
//!
//! One interface is used for all sessions. The first login creates it, each login sets all of its properties, and it is
//! removed with the [`Tunnel`].

mod error;
mod identity;
mod inner;
mod leftovers;
mod modules;
mod netgraph;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use ffi::echo::EchoMark;
use ffi::errno::Errno;
use ffi::kernel::{self, EchoSocket, Ends, Kernel, Traffic};
use ffi::name::InterfaceName;
use ffi::netgraph::IfaceNode;
use log::{debug, error, info, warn};

use crate::protocol::{DEFAULT_UDP_PORT, Offer};
use crate::report::chain;
pub use error::Error;
pub(crate) use error::Step;
use identity::Owner;
use modules::ModuleProbe;

/// The interface group of all tunnels, for firewall rules.
pub const GROUP: &str = "dtcpclient";

/// The group that the kernel puts every gif into.
const GIF_GROUP: &str = "gif";
/// Every interface is in this group.
const ALL: &str = "all";

/// The time between two attempts to set an interface up that others set down.
const PATIENCE: Duration = Duration::from_mins(1);

/// A kernel without gif(4) gives EINVAL.
const GIF_PROBE: ModuleProbe = ModuleProbe { sign: Errno::EINVAL, module: "if_gif", companions: &[] };

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

/// The settings of a tunnel, which are the same for all sessions.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server's name, for the description.
    pub server: String,
    /// How packets are carried.
    pub carrier: Carrier,
    /// In bytes.
    pub mtu: u16,
    /// The interface's name; `None` for the one that the kernel chooses.
    pub interface: Option<InterfaceName>,
}

/// The tunnel's interface.
#[derive(Debug)]
struct Live {
    interface: InterfaceName,
    /// The interface's index, unless the kernel could not be asked.
    index: Option<u32>,
    /// Marks the interface as this process's own.
    description: String,
    /// The iface node of a UDP tunnel. It keeps the interface's first name when the interface is renamed.
    node: Option<IfaceNode>,
    /// When the interface was last set up because somebody else had set it down.
    raised: Option<Instant>,
    /// Since the last login: when the inner address was last added again, or was first found not to be usable.
    renewed: Option<Instant>,
    /// The inner addresses that this process has added: those it may remove.
    inner: Option<Ends<Ipv6Addr>>,
    /// The connection's local address and the offer that were last applied successfully.
    applied: Option<(Ipv4Addr, Offer)>,
}

/// The tunnel of this process, if there is one.
pub struct Tunnel<'k> {
    kernel: &'k mut dyn Kernel,
    settings: Settings,
    live: Option<Live>,
    echo: Option<Box<dyn EchoSocket>>,
    mark: EchoMark,
}

impl<'k> Tunnel<'k> {
    /// A tunnel that does not exist yet.
    pub fn new(kernel: &'k mut dyn Kernel, settings: Settings) -> Self {
        let mark = EchoMark { identifier: fastrand::u16(..), token: fastrand::u64(..).to_ne_bytes() };
        Self { kernel, settings, live: None, echo: None, mark }
    }

    /// Applies an offer, received over a connection with the local address `local`: creates the interface if there is
    /// none, then sets every property, since others may have changed the interface.
    ///
    /// If a step fails, a new interface is removed, and an existing one is restored. If that fails too, it is removed:
    /// a half-configured tunnel would accept packets that it cannot deliver, or packets from anyone.
    pub fn bring_up(&mut self, local: Ipv4Addr, offer: &Offer) -> Result<(), Error> {
        self.find_again();
        // The inner address to which it is bound, or the interface's FIB, may change.
        self.echo = None;
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
            live.renewed = None;
        }
        Ok(())
    }

    /// Checks the interface: follows it if it was renamed, and sets it up if it was set down, but at most once a minute,
    /// so that an administrator who insists wins. Returns whether the interface exists.
    pub fn look(&mut self, now: Instant) -> bool {
        self.find_again();
        let Some(Live { interface, raised, .. }) = &mut self.live else { return false };
        let is_down = self.kernel.is_up(interface).is_ok_and(|up| !up);
        if is_down && raised.is_none_or(|last| now.duration_since(last) >= PATIENCE) {
            *raised = Some(now);
            match self.kernel.bring_up(interface) {
                Ok(()) => info!("set {interface} up: somebody else had set it down"),
                Err(cause) => warn!("cannot set {interface} up again: {cause}"),
            }
        }
        true
    }

    /// Adds the inner address again if it cannot be used: the kernel has found that the far end has it too, or somebody has
    /// removed it. At most twice a minute, since the kernel checks it each time. Returns whether this was tried.
    pub fn renew_address(&mut self, now: Instant) -> bool {
        if self.is_usable() {
            return false;
        }
        let Self { kernel, live: Some(Live { interface, inner: Some(inner), renewed, .. }), .. } = self
        else {
            return false;
        };
        let last = *renewed.get_or_insert(now);
        if now.duration_since(last) < PATIENCE / 2 {
            return false;
        }
        *renewed = Some(now);
        match inner::renew(*kernel, interface, *inner) {
            Ok(()) => debug!("added {} to {interface} again", inner.local),
            Err(error) => debug!("cannot add {} to {interface} again: {}", inner.local, chain(&error)),
        }
        true
    }

    /// The FIB of the tunnel's interface, if there is one and the kernel can be asked.
    pub fn fib(&mut self) -> Option<i32> {
        let live = self.live.as_ref()?;
        self.kernel.fib(&live.interface).ok()
    }

    /// Whether this host has this IPv4 address. If the kernel cannot be asked, it is taken to.
    pub fn host_has(&mut self, address: Ipv4Addr) -> bool {
        let checked = self.kernel.check_address(address);
        !checked.is_err_and(|cause| cause.errno == Errno::EADDRNOTAVAIL)
    }

    /// Whether programs can bind to the tunnel's inner address, if it has one: not while the kernel still checks that it
    /// is no duplicate, which takes a second.
    pub fn is_usable(&mut self) -> bool {
        let Some(live) = &self.live else { return false };
        live.inner.is_none_or(|inner| self.kernel.try_bind(SocketAddr::new(inner.local.into(), 0)).is_ok())
    }

    /// What has passed through the tunnel, if there is one.
    pub fn traffic(&mut self) -> Option<Traffic> {
        let live = self.live.as_ref()?;
        self.kernel.traffic(&live.interface).ok()
    }

    /// Removes the tunnel. A failure is logged.
    pub fn take_down(&mut self) {
        self.find_again();
        let Some(live) = self.live.take() else { return };
        let removed = match live.node {
            None => self.kernel.destroy_gif(&live.interface),
            Some(node) => netgraph::shut_down(self.kernel, node),
        };
        match removed {
            Ok(()) => info!("removed {}", live.interface),
            // It is gone already.
            Err(cause) if matches!(cause.errno, Errno::ENXIO | Errno::ENOENT) => {}
            Err(cause) => error!("{}", chain(&Error::new(Step::Remove, Some(&live.interface), cause))),
        }
    }

    /// The interface, if it exists.
    pub fn interface(&self) -> Option<&InterfaceName> {
        self.live.as_ref().map(|live| &live.interface)
    }

    /// Sends an echo request through the tunnel, to the server's inner address if it has one.
    pub fn send_echo(&mut self, sequence: u16, full_size: bool) -> kernel::Result<()> {
        let Some(live) = &self.live else { return Ok(()) };
        let socket = if let Some(socket) = &mut self.echo {
            socket
        } else {
            let fib = self.kernel.fib(&live.interface)?;
            let local = live.inner.map(|inner| inner.local);
            self.echo.insert(self.kernel.open_echo(self.mark, fib, local)?)
        };
        let packet_size = if full_size { self.settings.mtu } else { 0 };
        socket.send(&live.interface, live.inner.map(|inner| inner.remote), sequence, packet_size)
    }

    /// The descriptor on which echo replies come, to poll for reading.
    pub fn echo_replies_fd(&self) -> Option<BorrowedFd<'_>> {
        self.echo.as_ref().map(|socket| socket.as_fd())
    }

    /// The sequence numbers of the echo replies since the last call.
    pub fn echo_replies(&mut self) -> Vec<u16> {
        self.echo.as_mut().map(|socket| socket.replies()).unwrap_or_default()
    }

    /// Removes what a run that was killed has left behind.
    pub fn remove_leftovers(&mut self) {
        leftovers::remove(self.kernel);
    }

    /// Checks that this process may create a tunnel, so that a lack of privilege is reported before the login.
    pub fn check_privilege(&mut self) -> Result<(), Error> {
        self.kernel.check_privilege().map_err(|cause| Error::new(Step::Create, None, cause))?;
        match self.settings.carrier {
            Carrier::Gif => Ok(()),
            Carrier::Udp { .. } => netgraph::open(self.kernel).map(drop),
        }
    }

    /// Checks that no other interface, and no group, has the name that ours is to have.
    pub fn check_name(&mut self) -> Result<(), Error> {
        let Some(name) = &self.settings.interface else { return Ok(()) };
        check_group(self.kernel, name)?;
        if self.interface() != Some(name) && self.kernel.description(name).is_ok() {
            return Err(Error::NameInUse(name.clone()));
        }
        Ok(())
    }

    /// Checks that nobody else has what the tunnel will need, so that this is reported before a login: the name, and the
    /// UDP port, or the outer addresses, if the far end is the server itself. If the kernel cannot be asked, the tunnel's
    /// creation will report why.
    pub fn check_free(&mut self, local: Ipv4Addr, server: Ipv4Addr) -> Result<(), Error> {
        // Under its new name, an interface that others renamed would seem to be theirs.
        self.find_again();
        // Whoever has it may have been killed since the start.
        self.remove_leftovers();
        self.check_name()?;
        let ours = self.interface().cloned();
        match self.settings.carrier {
            Carrier::Gif => {
                let outer = Ends { local, remote: server };
                let gifs = self.kernel.group_members(GIF_GROUP).unwrap_or_default();
                let mut others = gifs.into_iter().filter(|gif| Some(gif) != ours.as_ref());
                let has_pair = |gif: &InterfaceName| self.kernel.outer_addresses(gif) == Ok(Some(outer));
                others.find(has_pair).map_or(Ok(()), |gif| Err(Error::PairInUse(Some(gif), outer)))
            }
            // Our own interface has the port.
            Carrier::Udp { .. } if ours.is_some() => Ok(()),
            Carrier::Udp { port } => netgraph::check_free(self.kernel, SocketAddrV4::new(local, port)),
        }
    }

    /// Creates the interface, without any properties. From now on it is removed on drop.
    fn create(&mut self) -> Result<(), Error> {
        let owner = Owner::this(self.kernel).map_err(|cause| Error::new(Step::Identify, None, cause))?;
        let description = owner.description(&self.settings.server);
        let (interface, node) = match self.settings.carrier {
            Carrier::Gif => {
                (modules::call(self.kernel, Step::Create, &GIF_PROBE, |kernel| kernel.create_gif())?, None)
            }
            Carrier::Udp { .. } => {
                let interface = netgraph::make_iface(self.kernel)?;
                (interface.clone(), Some(IfaceNode::Named(interface)))
            }
        };
        self.live = Some(Live {
            interface,
            index: None,
            description,
            node,
            raised: None,
            renewed: None,
            inner: None,
            applied: None,
        });
        Ok(())
    }

    /// Sets every property of the interface.
    ///
    /// The order matters. The description is first: if this process is killed, the next start recognizes the interface
    /// by it. Name and group are set before the interface can carry packets, so that firewall rules apply to all of them.
    /// IPv6 is enabled before the interface is set up, since the kernel then adds a link-local address only if IPv6 is
    /// enabled. The inner addresses are last: routes through the tunnel depend on them.
    fn apply(&mut self, local: Ipv4Addr, offer: &Offer) -> Result<(), Error> {
        let Self { kernel, settings, live: Some(live), .. } = self else { return Ok(()) };
        let Live { interface, index, description, node, inner, .. } = live;
        let described = kernel.set_description(interface, description);
        described.map_err(|cause| Error::new(Step::SetDescription, Some(interface), cause))?;
        *index = kernel.index(interface).ok();
        rename(*kernel, interface, settings.interface.as_ref())?;
        let interface = &*interface;
        let failed = |step| move |cause| Error::new(step, Some(interface), cause);
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
        inner::renumber(*kernel, interface, inner, offer.inner)
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

    /// Updates the interface's name, or forgets the interface if it is gone.
    fn find_again(&mut self) {
        // Before its description is set, an interface can be known by its name alone.
        let Some(live) = self.live.as_mut().filter(|live| live.applied.is_some()) else { return };
        if let Some(interface) =
            identity::find_again(self.kernel, &live.interface, live.index, &live.description)
        {
            if interface != live.interface {
                info!("{} was renamed to {interface}", live.interface);
            }
            live.interface = interface;
        } else {
            warn!("{} is gone: somebody else has removed it", live.interface);
            self.live = None;
        }
    }
}

/// Checks that no group has this name, or will have it: pf(4) keeps both in one table, and an interface that is named like
/// a group that it is in makes the kernel panic.
fn check_group(kernel: &mut dyn Kernel, name: &InterfaceName) -> Result<(), Error> {
    let is_group = kernel.group_members(name.as_str()).is_ok_and(|members| !members.is_empty());
    if is_group || [GROUP, GIF_GROUP, ALL].contains(&name.as_str()) {
        return Err(Error::NameOfGroup(name.clone()));
    }
    Ok(())
}

/// Gives the interface the name that it is to have, unless it has it already.
fn rename(
    kernel: &mut dyn Kernel,
    interface: &mut InterfaceName,
    wanted: Option<&InterfaceName>,
) -> Result<(), Error> {
    let Some(name) = wanted.filter(|name| *name != interface) else { return Ok(()) };
    check_group(kernel, name)?;
    match kernel.rename(interface, name) {
        Ok(()) => name.clone_into(interface),
        Err(cause) if cause.errno == Errno::EEXIST => return Err(Error::NameInUse(name.clone())),
        Err(cause) => return Err(Error::new(Step::Rename, Some(interface), cause)),
    }
    Ok(())
}

/// Treats `errno`, which means that the change is already made, as success.
fn allow(result: kernel::Result<()>, errno: Errno) -> kernel::Result<()> {
    match result {
        Err(cause) if cause.errno == errno => Ok(()),
        result => result,
    }
}

/// Also after a panic.
impl Drop for Tunnel<'_> {
    fn drop(&mut self) {
        self.take_down();
    }
}
