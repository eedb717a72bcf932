//! The ksocket nodes of a rehearsal, and FreeBSD's rules for them.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::Permitted;
use crate::errno::Errno;

/// A UDP ksocket node on the `inet6` hook of an iface node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ksocket {
    /// Its local address and port, once it is bound.
    pub local: Option<SocketAddrV4>,
    /// The address and port that it is connected to.
    pub remote: Option<SocketAddrV4>,
}

impl Ksocket {
    /// A ksocket can be bound only once. `is_foreign`: this host does not have the address. `is_taken`: another ksocket
    /// has the address and port.
    pub(super) fn bind(&mut self, local: SocketAddrV4, is_foreign: bool, is_taken: bool) -> Permitted<()> {
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
    ) -> Permitted<()> {
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
