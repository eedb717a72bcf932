//! The raw ICMPv6 socket of the echo through the tunnel.

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn6, bind, setsockopt, socket, sockopt,
};

use super::set_option;
use crate::abi::numbers::ICMP6_FILTER;
use crate::echo::{ALL_NODES, ECHO_REPLY, EchoMark};
use crate::kernel::{EchoSocket, Error, Result};
use crate::name::InterfaceName;

/// Room for any reply: the largest request fills the largest MTU of a tunnel.
const REPLY_SIZE: usize = 8192;

/// A raw socket behind the standard library's calls for any datagram socket.
pub(super) struct RawEchoSocket {
    socket: UdpSocket,
    mark: EchoMark,
}

impl RawEchoSocket {
    pub(super) fn open(mark: EchoMark, fib: i32, local: Option<Ipv6Addr>) -> Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let raw = socket(AddressFamily::Inet6, SockType::Raw, flags, SockProtocol::IcmpV6);
        let raw = raw.map_err(|cause| Error::new("socket(IPPROTO_ICMPV6)", cause))?;
        setsockopt(&raw, sockopt::Fib, &fib).map_err(|cause| Error::new("setsockopt(SO_SETFIB)", cause))?;
        // `struct icmp6_filter` (`netinet/icmp6.h`): a bit for each type, set if it may pass.
        let mut filter = [0_u32; 8];
        filter[usize::from(ECHO_REPLY / 32)] = 1 << (ECHO_REPLY % 32);
        set_option(&raw, libc::IPPROTO_ICMPV6, ICMP6_FILTER, &filter)
            .map_err(|cause| Error::new("setsockopt(ICMP6_FILTER)", cause))?;
        if let Some(local) = local {
            let address = SockaddrIn6::from(SocketAddrV6::new(local, 0, 0, 0));
            bind(raw.as_raw_fd(), &address)
                .map_err(|cause| Error::new(format_args!("bind {local}"), cause))?;
        }
        let socket = UdpSocket::from(raw);
        let silenced = socket.set_multicast_loop_v6(false);
        silenced.map_err(|cause| Error::new("setsockopt(IPV6_MULTICAST_LOOP)", cause))?;
        Ok(Self { socket, mark })
    }
}

impl EchoSocket for RawEchoSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn send(&mut self, via: &InterfaceName, peer: Option<Ipv6Addr>, sequence: u16, size: u16) -> Result<()> {
        let request = self.mark.request(sequence, size);
        let address = match peer {
            Some(peer) => Ok(SocketAddrV6::new(peer, 0, 0, 0)),
            // Every link has these nodes. The index selects the link.
            None => if_nametoindex(via.as_str()).map(|index| SocketAddrV6::new(ALL_NODES, 0, 0, index)),
        };
        let sent = address.map_err(io::Error::from).and_then(|to| self.socket.send_to(&request, to));
        sent.map(drop).map_err(|cause| Error::new(format_args!("send through {via}"), cause))
    }

    fn replies(&mut self) -> Vec<u16> {
        let mut replies = Vec::new();
        let mut message = [0; REPLY_SIZE];
        loop {
            match self.socket.recv(&mut message) {
                Ok(length) => replies.extend(self.mark.sequence(&message[..length])),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                // Nothing more, or an error that the next request will meet too.
                Err(_) => return replies,
            }
        }
    }
}
