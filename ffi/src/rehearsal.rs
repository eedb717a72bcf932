//! A kernel kept in memory, with FreeBSD's rules and errnos.
//!
//! It reports each change as the equivalent ifconfig(8), ngctl(8), kldload(8) or ping(8) command. Nothing on the host
//! is changed. Tests can put it into the environments in which dtcpclient may run (a jail, a kernel without modules),
//! make its calls fail, and change it as an administrator might.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use crate::errno::Errno;
use crate::kernel::{Error, Result};
use crate::name::InterfaceName;

mod control_socket;
mod echo_socket;
mod interfaces;
mod ksocket;
mod operations;

use interfaces::Interfaces;
pub use interfaces::{Interface, Kind};
pub use ksocket::Ksocket;

/// The modules that exist. The kernel loads the node types by itself when a node is made.
const MODULES: [&str; 4] = ["if_gif", "ng_socket", "ng_iface", "ng_ksocket"];

/// When the process that rehearses is taken to have started.
const FIRST_PROCESS: Duration = Duration::from_millis(12_345);

/// The process's privilege and jail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Root, with a network stack to itself.
    Root,
    /// A user other than root.
    Nobody,
    /// Root in a jail without a network stack of its own, who cannot create tunnels.
    Jail,
    /// Root in a jail with a network stack of its own, who may do everything except load modules.
    VnetJail,
}

/// A kernel in memory. Clones share it.
#[derive(Clone)]
pub struct Rehearsal(Rc<RefCell<State>>);

/// Receives the words of each command.
type Sink = Box<dyn FnMut(&[String])>;

/// The words of a command.
type Command = Vec<String>;

/// What the kernel's rules permit.
type Permitted<T> = std::result::Result<T, Errno>;

fn words(words: &[&dyn fmt::Display]) -> Command {
    words.iter().map(ToString::to_string).collect()
}

struct State {
    sink: Sink,
    place: Place,
    /// The members of [`MODULES`] that are loaded.
    loaded: BTreeSet<&'static str>,
    interfaces: Interfaces,
    /// Addresses that this host does not have; it has all others.
    foreign: BTreeSet<Ipv4Addr>,
    /// The source address of the IPv4 default route, if there is one.
    route: Option<Ipv4Addr>,
    /// When this process started, since the system did. There is no other.
    process_start: Duration,
    /// The size of the largest packet that the peer answers, in bytes; `None` if it is mute.
    largest_echo: Option<u16>,
    calls: u64,
    /// The number of a call that fails, and its errno.
    failure: Option<(u64, Errno)>,
}

/// The environment.
impl Rehearsal {
    /// A FreeBSD host as root, with gif and netgraph in the kernel and no tunnel. `sink` receives each command as its
    /// words, not quoted for a shell.
    pub fn new(sink: impl FnMut(&[String]) + 'static) -> Self {
        Self(Rc::new(RefCell::new(State {
            sink: Box::new(sink),
            place: Place::Root,
            loaded: MODULES.into(),
            interfaces: Interfaces::default(),
            foreign: BTreeSet::new(),
            route: Some(Ipv4Addr::new(192, 0, 2, 1)),
            process_start: FIRST_PROCESS,
            largest_echo: Some(u16::MAX),
            calls: 0,
            failure: None,
        })))
    }

    /// gif and netgraph are modules that are not loaded.
    pub fn without_modules(self) -> Self {
        self.state().loaded.clear();
        self
    }

    /// The process has this privilege and jail.
    pub fn in_place(self, place: Place) -> Self {
        self.state().place = place;
        self
    }

    fn state(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }
}

/// Changes from outside.
impl Rehearsal {
    /// Makes the `n`th call from now fail once, with this errno; 1 is the next call. Calls that change nothing are
    /// counted, too.
    pub fn fail_call(&self, n: u64, errno: Errno) {
        let mut state = self.state();
        state.failure = Some((state.calls + n, errno));
    }

    /// Removes an IPv4 address from this host: a gif with this source stops running.
    pub fn lose_address(&self, address: Ipv4Addr) {
        self.state().foreign.insert(address);
    }

    /// Adds an IPv4 address that was removed.
    pub fn gain_address(&self, address: Ipv4Addr) {
        self.state().foreign.remove(&address);
    }

    /// Sets the source address of the IPv4 default route, which is 192.0.2.1 at first. Without a route, connecting
    /// fails with ENETUNREACH.
    pub fn set_route(&self, source: Option<Ipv4Addr>) {
        self.state().route = source;
    }

    /// Replaces the process that rehearses by one of the same number that started at another time, as if this one had
    /// been killed and its number used again.
    pub fn restart_process(&self) {
        self.state().process_start += FIRST_PROCESS;
    }

    /// Sets the size of the largest packet that the peer answers, in bytes; `None` makes it mute.
    pub fn set_largest_echo(&self, size: Option<u16>) {
        self.state().largest_echo = size;
    }

    /// Changes an interface, as an administrator might. Returns whether there is an interface with this name.
    pub fn meddle(&self, interface: &InterfaceName, change: impl FnOnce(&mut Interface)) -> bool {
        self.state().interfaces.find_mut(interface).map(change).is_ok()
    }
}

/// The state.
impl Rehearsal {
    /// The interfaces, in the order of their creation.
    pub fn interfaces(&self) -> Vec<Interface> {
        self.state().interfaces.all.clone()
    }

    /// How many calls have been made, those that failed or changed nothing among them.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Whether packets can flow through an interface: `IFF_DRV_RUNNING`.
    pub fn is_running(&self, interface: &Interface) -> bool {
        match interface.kind {
            Kind::Gif => interface.outer.is_some_and(|outer| !self.state().foreign.contains(&outer.local)),
            Kind::Ng => interface.up,
        }
    }
}

impl State {
    /// Makes one call that changes nothing.
    fn look<T>(
        &mut self,
        call: impl fmt::Display,
        look: impl FnOnce(&mut Self) -> Permitted<T>,
    ) -> Result<T> {
        self.calls += 1;
        let failure = self.failure.take_if(|(due, _)| *due == self.calls);
        let result = match failure {
            Some((_, errno)) => Err(errno),
            None => look(self),
        };
        result.map_err(|errno| Error::new(call, errno))
    }

    /// Makes one call that changes something, which only root may. `change` returns its value and the equivalent
    /// command.
    fn change<T>(
        &mut self,
        call: impl fmt::Display,
        change: impl FnOnce(&mut Self) -> Permitted<(T, Command)>,
    ) -> Result<T> {
        let (value, command) = self.look(call, |kernel| {
            kernel.require_root()?;
            change(kernel)
        })?;
        (self.sink)(&command);
        Ok(value)
    }

    fn require_root(&self) -> Permitted<()> {
        match self.place {
            Place::Root | Place::VnetJail => Ok(()),
            Place::Nobody | Place::Jail => Err(Errno::EPERM),
        }
    }
}
