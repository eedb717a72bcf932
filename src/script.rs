//! The script that is run when the tunnel comes up and when it goes down.

mod check;
mod run;
mod runner;

use std::net::{Ipv4Addr, Ipv6Addr};

use ffi::kernel::Ends;
use ffi::name::InterfaceName;

use crate::protocol::{Offer, TunnelType};
use crate::tunnel::{Carrier, Settings};
pub use check::{ScriptError, check};
pub use runner::{Limits, Printer, Runner, ScriptMode};

/// The script's search path.
const PATH: &str = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin";

/// The event for which the script is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The tunnel has come up.
    Up,
    /// Its session has ended.
    Down,
}

impl Event {
    /// The script's first argument.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// The values of a tunnel that are passed to the script, as arguments and in the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    arguments: [(&'static str, String); 8],
    more: [(&'static str, String); 4],
}

impl Parameters {
    /// The values for the tunnel on `interface` that `offer` granted, over a connection whose local end is `local`.
    pub fn new(
        settings: &Settings,
        tunnel_type: TunnelType,
        local: Ipv4Addr,
        offer: &Offer,
        interface: &InterfaceName,
        fib: Option<i32>,
    ) -> Self {
        let inner = |pick: fn(Ends<Ipv6Addr>) -> Ipv6Addr| {
            offer.inner.map(pick).map(|address| address.to_string()).unwrap_or_default()
        };
        let proto = match settings.carrier {
            Carrier::Gif => "ip",
            Carrier::Udp { .. } => "udp",
        };
        Self {
            arguments: [
                ("server", settings.server.clone()),
                ("myaddr", local.to_string()),
                ("tuntype", tunnel_type.to_string()),
                ("me", offer.me.to_string()),
                ("her", offer.her.to_string()),
                ("me6", inner(|inner| inner.local)),
                ("her6", inner(|inner| inner.remote)),
                ("prefix", offer.prefix.map(|prefix| prefix.to_string()).unwrap_or_default()),
            ],
            more: [
                ("interface", interface.to_string()),
                ("mtu", settings.mtu.to_string()),
                ("proto", proto.to_owned()),
                ("fib", fib.map(|fib| fib.to_string()).unwrap_or_default()),
            ],
        }
    }

    /// The nine arguments, in the manual's order.
    pub fn arguments(&self, event: Event) -> Vec<&str> {
        let remaining = self.arguments.iter().map(|(_, value)| value.as_str());
        std::iter::once(event.word()).chain(remaining).collect()
    }

    /// The same values by name, and four variables that are not among the arguments.
    pub fn environment(&self, event: Event) -> Vec<(&'static str, &str)> {
        let named = self.arguments.iter().chain(&self.more).map(|(name, value)| (*name, value.as_str()));
        std::iter::once(("state", event.word())).chain(named).collect()
    }
}
