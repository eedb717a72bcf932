//! FreeBSD's kernel, and what programs other than dtcpclient see of it.

use std::env;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::panicking;

use ffi::freebsd::FreeBsd;
use ffi::kernel::{Ends, Kernel};
use ffi::name::InterfaceName;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::SockaddrStorage;

use crate::{DEADLINE, wait_until};

/// All nodes of a link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// All tests make interfaces, and a name that one has given back may be the next that another gets.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The kernel, if this process may make interfaces, for as long as it is this test's turn.
pub fn kernel() -> Option<(FreeBsd, MutexGuard<'static, ()>)> {
    let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut kernel = FreeBsd::new().expect("a socket needs no privilege");
    match kernel.check_privilege() {
        Ok(()) => Some((kernel, turn)),
        Err(refused) => {
            skip(&format!("may not make interfaces here: {refused}"));
            None
        }
    }
}

/// Reports why a test is skipped, unless all of them are required to run.
pub fn skip(why: &str) {
    assert!(env::var_os("DTCPCLIENT_REQUIRE_KERNEL").is_none(), "{why}");
    eprintln!("skipped: {why}");
}

/// Runs a command as an administrator might.
pub fn run(command: &str) {
    let mut words = command.split(' ');
    let status = Command::new(words.next().unwrap_or_default()).args(words).status();
    assert!(status.is_ok_and(|status| status.success()) || panicking(), "{command}");
}

/// What getifaddrs(3) has of an interface, an entry for each of its addresses.
fn entries(interface: &InterfaceName) -> Vec<InterfaceAddress> {
    let all = getifaddrs().expect("a list of interfaces");
    all.filter(|entry| entry.interface_name == interface.as_str()).collect()
}

/// Whether an interface is there and has these flags.
pub fn has_flags(interface: &InterfaceName, flags: InterfaceFlags) -> bool {
    let entries = entries(interface);
    !entries.is_empty() && entries.iter().all(|entry| entry.flags.contains(flags))
}

/// The IPv6 addresses of an interface, each with its peer.
pub fn addresses(interface: &InterfaceName) -> Vec<(Ipv6Addr, Option<Ipv6Addr>)> {
    let ipv6 = |address: Option<SockaddrStorage>| Some(address?.as_sockaddr_in6()?.ip());
    let entries = entries(interface).into_iter();
    entries.filter_map(|entry| Some((ipv6(entry.address)?, ipv6(entry.destination)))).collect()
}

/// Whether an interface has these inner addresses.
pub fn has_address(interface: &InterfaceName, inner: Ends<Ipv6Addr>) -> bool {
    addresses(interface).contains(&(inner.local, Some(inner.remote)))
}

/// An interface's index: another, if it was destroyed and made again.
pub fn index(interface: &InterfaceName) -> Option<u32> {
    if_nametoindex(interface.as_str()).ok()
}

/// A UDP port that nobody has.
pub fn free_port() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| socket.local_addr());
    socket.expect("a port").port()
}

/// A UDP socket of this test, to be the far end of a tunnel.
pub fn far_end() -> (UdpSocket, SocketAddrV4) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("lo0 has 127.0.0.1");
    socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let Ok(SocketAddr::V4(address)) = socket.local_addr() else { panic!("an IPv4 address") };
    (socket, address)
}

/// The next IPv6 packet for this address that comes out of the tunnel, and its source.
pub fn packet_for(far_end: &UdpSocket, address: Ipv6Addr) -> (Vec<u8>, SocketAddr) {
    wait_until("a packet", || {
        let mut packet = vec![0; 2000];
        let (length, source) = far_end.recv_from(&mut packet).expect("a packet in time");
        packet.truncate(length);
        let destination = packet.get(24..40)?;
        (packet[0] >> 4 == 6 && destination == address.octets()).then_some((packet, source))
    })
}
