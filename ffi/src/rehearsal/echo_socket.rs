//! Echo in a rehearsal: a peer that answers at once, or is mute.

use std::io;
use std::net::Ipv6Addr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;

use super::{Rehearsal, words};
use crate::echo::{ALL_NODES, SMALLEST_PACKET};
use crate::kernel::{EchoSocket, Result};
use crate::name::InterfaceName;

pub(super) struct LoopedSocket {
    kernel: Rehearsal,
    /// The address to which it is bound, if it is.
    local: Option<Ipv6Addr>,
    peer: UnixDatagram,
    ours: UnixDatagram,
}

impl LoopedSocket {
    pub(super) fn new(kernel: &Rehearsal, local: Option<Ipv6Addr>) -> io::Result<Self> {
        let (peer, ours) = UnixDatagram::pair()?;
        ours.set_nonblocking(true)?;
        peer.set_nonblocking(true)?;
        Ok(Self { kernel: kernel.clone(), local, peer, ours })
    }
}

impl EchoSocket for LoopedSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ours.as_fd()
    }

    fn send(&mut self, via: &InterfaceName, peer: Option<Ipv6Addr>, sequence: u16, size: u16) -> Result<()> {
        let mut state = self.kernel.state();
        let answers = state.change(format_args!("send through {via}"), |state| {
            let mtu = state.interfaces.find(via)?.mtu;
            let target = peer.map_or_else(|| format!("{ALL_NODES}%{via}"), |peer| peer.to_string());
            let arrives = self.local.is_none_or(|local| state.interfaces.has(local));
            let answers = arrives && state.largest_echo.is_some_and(|largest| size.min(mtu) <= largest);
            state.interfaces.count(via, size.max(SMALLEST_PACKET), answers)?;
            Ok((answers, words(&[&"ping", &"-6", &"-c", &1, &target])))
        })?;
        if answers {
            // A queue that is full drops packets, as a network does.
            let _ = self.peer.send(&sequence.to_ne_bytes());
        }
        Ok(())
    }

    fn replies(&mut self) -> Vec<u16> {
        let mut sequence = [0; 2];
        std::iter::from_fn(|| match self.ours.recv(&mut sequence) {
            Ok(2) => Some(u16::from_ne_bytes(sequence)),
            _ => None,
        })
        .collect()
    }
}
