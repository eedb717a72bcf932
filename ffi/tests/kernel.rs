//! FreeBSD's own kernel, asked for all that the program asks of it.
//!
//! To be run as root, on a host or in a vnet jail, where `lo0` has 127.0.0.1; without the privilege to make
//! interfaces each test says so and passes, or fails if the environment has `DTCPCLIENT_REQUIRE_KERNEL`. A test removes
//! all that it has made. The modules that it has loaded stay.
#![cfg(target_os = "freebsd")]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ffi::errno::Errno;
use ffi::freebsd::FreeBsd;
use ffi::kernel::{self, IfaceNode, Inner, Kernel, Outer};
use ffi::name::InterfaceName;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// All nodes of a link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const GROUP: &str = "dtcp-test";
const NOBODY: u32 = 65534;
/// How long to wait for what the kernel does by itself, such as to check an address for duplicates.
const PATIENCE: Duration = Duration::from_secs(10);

/// A name that a test has given back may be the next that another gets.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The kernel, where this process may make interfaces, for as long as it is this test's turn.
fn kernel() -> Option<(FreeBsd, MutexGuard<'static, ()>)> {
    let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut kernel = FreeBsd::new().expect("a socket needs no privilege");
    if let Err(refused) = kernel.check_privilege() {
        skip(&format!("may not make interfaces here: {refused}"));
        return None;
    }
    for module in ["if_gif", "ng_socket"] {
        if let Err(refused) = kernel.load_module(module) {
            eprintln!("{refused}: going on without");
        }
    }
    Some((kernel, turn))
}

/// Says why a test is skipped, unless all of them are required to run.
fn skip(why: &str) {
    assert!(std::env::var_os("DTCPCLIENT_REQUIRE_KERNEL").is_none(), "{why}");
    eprintln!("skipped: {why}");
}

/// A gif that is destroyed with its test.
struct Gif(InterfaceName);

impl Gif {
    fn new(kernel: &mut FreeBsd) -> Self {
        Self(kernel.create_gif().expect("a gif"))
    }
}

impl Drop for Gif {
    fn drop(&mut self) {
        let Ok(mut kernel) = FreeBsd::new() else { return eprintln!("{} is left over", self.0) };
        match kernel.destroy_gif(&self.0) {
            Err(cause) if cause.errno != Errno::ENXIO => eprintln!("{} is left over: {cause}", self.0),
            _ => {}
        }
    }
}

/// An iface node, with a ksocket or not, that is shut down with its test.
struct Node(InterfaceName);

impl Node {
    /// On the own hook of `kernel`.
    fn new(kernel: &mut FreeBsd) -> Self {
        kernel.open_netgraph().expect("a control socket");
        kernel.make_iface_node().expect("an iface node");
        Self(kernel.iface_node_name().expect("its name"))
    }

    fn named(&self) -> IfaceNode {
        IfaceNode::Named(self.0.clone())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let Ok(mut kernel) = FreeBsd::new() else { return eprintln!("{} is left over", self.0) };
        match kernel.open_netgraph().and_then(|()| kernel.shut_down_node(&self.named())) {
            Err(cause) if cause.errno != Errno::ENOENT => eprintln!("{} is left over: {cause}", self.0),
            _ => {}
        }
    }
}

/// What an operation failed with.
fn errno<T: std::fmt::Debug>(outcome: kernel::Result<T>) -> Errno {
    outcome.expect_err("the kernel refuses this").errno
}

/// Outer addresses that no other test uses.
fn outer(test: u8) -> Outer {
    Outer { source: LOOPBACK, destination: Ipv4Addr::new(192, 0, 2, test) }
}

/// Inner addresses that no other test uses.
fn inner(test: u16) -> Inner {
    let address = |host| Ipv6Addr::new(0x2001, 0xdb8, 0, test, 0, 0, 0, host);
    Inner { local: address(2), remote: address(1) }
}

/// What getifaddrs(3) has of an interface, an entry for each of its addresses.
fn entries(interface: &InterfaceName) -> Vec<InterfaceAddress> {
    let all = getifaddrs().expect("a list of interfaces");
    all.filter(|entry| entry.interface_name == interface.as_str()).collect()
}

fn has_flag(interface: &InterfaceName, flag: InterfaceFlags) -> bool {
    let entries = entries(interface);
    !entries.is_empty() && entries.iter().all(|entry| entry.flags.contains(flag))
}

/// The IPv6 addresses of an interface, each with its peer.
fn addresses(interface: &InterfaceName) -> Vec<(Ipv6Addr, Option<Ipv6Addr>)> {
    let ipv6 = |address: Option<nix::sys::socket::SockaddrStorage>| Some(address?.as_sockaddr_in6()?.ip());
    let entries = entries(interface).into_iter();
    entries.filter_map(|entry| Some((ipv6(entry.address)?, ipv6(entry.destination)))).collect()
}

fn has_address(interface: &InterfaceName, inner: Inner) -> bool {
    addresses(interface).contains(&(inner.local, Some(inner.remote)))
}

/// The interface's index: another, if it was destroyed and made again.
fn index(interface: &InterfaceName) -> Option<u32> {
    if_nametoindex(interface.as_str()).ok()
}

/// Waits for something to be.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        sleep(Duration::from_millis(20));
    }
}

/// A UDP socket of this test, to be the far end of a tunnel.
fn far_end() -> (UdpSocket, SocketAddrV4) {
    let socket = UdpSocket::bind((LOOPBACK, 0)).expect("lo0 has 127.0.0.1");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let Ok(SocketAddr::V4(address)) = socket.local_addr() else { panic!("an IPv4 address") };
    (socket, address)
}

/// A UDP port that nobody has.
fn free_port() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
    socket.local_addr().expect("its number").port()
}

/// The next IPv6 packet for this address that comes out of the tunnel.
fn packet_for(far_end: &UdpSocket, address: Ipv6Addr) -> Vec<u8> {
    wait_for("a packet", || {
        let mut packet = vec![0; 2000];
        let length = far_end.recv(&mut packet).expect("a packet in time");
        packet.truncate(length);
        let destination = packet.get(24..40)?;
        (packet[0] >> 4 == 6 && destination == address.octets()).then_some(packet)
    })
}

/// Enables IPv6 on an interface and brings it up, and waits until it has a link-local address.
fn bring_up(kernel: &mut FreeBsd, interface: &InterfaceName) {
    kernel.enable_ipv6(interface).expect("IPv6 is enabled");
    kernel.bring_up(interface).expect("it is up");
    assert!(has_flag(interface, InterfaceFlags::IFF_UP));
    wait_for("a link-local address", || {
        addresses(interface).iter().any(|(local, _)| local.is_unicast_link_local()).then_some(())
    });
}

/// An iface node with a bound and connected ksocket, and IPv6 on it.
fn udp_tunnel(kernel: &mut FreeBsd, port: u16, peer: SocketAddrV4) -> Node {
    let node = Node::new(kernel);
    kernel.make_ksocket_node(&IfaceNode::OnHook).expect("a ksocket");
    kernel.bind_ksocket(&IfaceNode::OnHook, port).expect("its port");
    kernel.connect_ksocket(&IfaceNode::OnHook, peer).expect("its peer");
    kernel.release_hook().expect("the hook is released");
    kernel.close_netgraph();
    bring_up(kernel, &node.0);
    node
}

#[test]
fn a_gif_lives_as_the_program_wants_it() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let gif = Gif::new(&mut kernel);
    let name = &gif.0;
    assert!(name.as_str().starts_with("gif"), "{name}");
    let made = index(name).expect("it exists");

    kernel.point_gif(name, outer(1)).expect("outer addresses");
    assert!(has_flag(name, InterfaceFlags::IFF_RUNNING));
    kernel.set_mtu(name, 1400).expect("an MTU");
    assert!(!has_flag(name, InterfaceFlags::IFF_UP));
    bring_up(&mut kernel, name);

    kernel.add_address(name, inner(1)).expect("an inner address");
    assert!(has_address(name, inner(1)));
    kernel.add_address(name, inner(1)).expect("the same once more");
    kernel.point_gif(name, outer(2)).expect("other outer addresses");
    assert_eq!(index(name), Some(made), "it is still the same interface");
    assert!(has_address(name, inner(1)), "and its address stays");
    kernel.remove_address(name, inner(1).local).expect("an address it has");
    assert!(!has_address(name, inner(1)));
    assert_eq!(errno(kernel.remove_address(name, inner(1).local)), Errno::EADDRNOTAVAIL);

    kernel.destroy_gif(name).expect("it is destroyed");
    assert_eq!(index(name), None);
    assert_eq!(errno(kernel.destroy_gif(name)), Errno::ENXIO);
    assert_eq!(errno(kernel.point_gif(name, outer(1))), Errno::ENXIO);
    assert_eq!(errno(kernel.bring_up(name)), Errno::ENXIO);
}

#[test]
fn a_gif_without_a_source_of_this_host_does_not_run() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let gif = Gif::new(&mut kernel);
    let elsewhere = Outer { source: Ipv4Addr::new(198, 51, 100, 1), ..outer(3) };
    kernel.point_gif(&gif.0, elsewhere).expect("a source that no interface has is accepted");
    assert!(!has_flag(&gif.0, InterfaceFlags::IFF_RUNNING));
    kernel.point_gif(&gif.0, outer(3)).expect("a source that lo0 has");
    assert!(has_flag(&gif.0, InterfaceFlags::IFF_RUNNING));
}

#[test]
fn two_gifs_cannot_have_the_same_outer_addresses() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let [first, second] = [Gif::new(&mut kernel), Gif::new(&mut kernel)];
    kernel.point_gif(&first.0, outer(4)).expect("nobody has them");
    kernel.point_gif(&first.0, outer(4)).expect("it has them itself");
    assert_eq!(errno(kernel.point_gif(&second.0, outer(4))), Errno::EADDRNOTAVAIL);
}

#[test]
fn a_gif_takes_an_mtu_from_1280_to_8192() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let gif = Gif::new(&mut kernel);
    for good in [1280, 8192] {
        kernel.set_mtu(&gif.0, good).expect("in range");
    }
    for bad in [1279, 8193] {
        assert_eq!(errno(kernel.set_mtu(&gif.0, bad)), Errno::EINVAL, "{bad}");
    }
}

#[test]
fn a_description_is_given_back() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let gif = Gif::new(&mut kernel);
    assert_eq!(kernel.description(&gif.0).expect("none"), "");
    for text in ["dtcpclient: broker.example, pid 4711", &"long ".repeat(100)] {
        kernel.describe(&gif.0, text).expect("a description");
        assert_eq!(kernel.description(&gif.0).expect("it has one"), text);
    }
    assert_eq!(errno(kernel.describe(&gif.0, &"too long ".repeat(1000))), Errno::ENAMETOOLONG);
    assert_eq!(errno(kernel.describe(&gif.0, "a\0b")), Errno::EINVAL);
}

#[test]
fn a_group_has_the_interfaces_that_joined_it() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    assert_eq!(kernel.group_members(GROUP).expect("no such group"), []);
    let [gif, other] = [Gif::new(&mut kernel), Gif::new(&mut kernel)];
    let node = Node::new(&mut kernel);
    for name in [&gif.0, &node.0] {
        kernel.join_group(name, GROUP).expect("it joins");
    }
    let members = kernel.group_members(GROUP).expect("a group");
    assert_eq!(members.len(), 2);
    assert!(members.contains(&gif.0) && members.contains(&node.0) && !members.contains(&other.0));
    assert_eq!(errno(kernel.join_group(&gif.0, GROUP)), Errno::EEXIST);
    assert_eq!(errno(kernel.join_group(&gif.0, "ends-in-1")), Errno::EINVAL);
}

#[test]
fn ipv6_in_udp_comes_out_at_the_far_end() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let (first, first_address) = far_end();
    let (second, second_address) = far_end();
    let port = free_port();
    let node = udp_tunnel(&mut kernel, port, first_address);
    let name = &node.0;
    let made = index(name).expect("it exists");
    kernel.add_address(name, inner(2)).expect("an inner address");
    assert!(has_address(name, inner(2)));

    wait_for("the link-local address to be checked", || kernel.send_keepalive(name).ok());
    packet_for(&first, ALL_NODES);

    kernel.open_netgraph().expect("a control socket");
    kernel.connect_ksocket(&node.named(), second_address).expect("re-connected");
    assert_eq!(index(name), Some(made), "it is still the same interface");
    assert!(has_address(name, inner(2)), "and its address stays");
    kernel.send_keepalive(name).expect("the address is good by now");
    packet_for(&second, ALL_NODES);

    assert_eq!(errno(kernel.destroy_gif(name)), Errno::EINVAL, "an interface of a node goes with the node");
    kernel.shut_down_node(&node.named()).expect("it is shut down");
    assert_eq!(index(name), None);
    // The kernel closes the socket in a thread of its own.
    wait_for("the port to be free", || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).ok());
    assert_eq!(errno(kernel.connect_ksocket(&node.named(), first_address)), Errno::ENOENT);
    assert_eq!(errno(kernel.shut_down_node(&node.named())), Errno::ENOENT);
}

#[test]
fn packets_are_no_longer_than_the_mtu() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let (far_end, address) = far_end();
    let node = udp_tunnel(&mut kernel, free_port(), address);
    kernel.set_mtu(&node.0, 1280).expect("an MTU");
    kernel.add_address(&node.0, inner(3)).expect("an inner address");
    let send = || {
        let socket = UdpSocket::bind((inner(3).local, 0)).ok()?;
        socket.send_to(&[0; 1400], SocketAddrV6::new(inner(3).remote, 9, 0, 0)).ok()
    };
    wait_for("the address to be checked", send);
    assert_eq!([(); 2].map(|()| packet_for(&far_end, inner(3).remote).len() <= 1280), [true, true]);
}

#[test]
fn a_port_is_bound_once() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let taken = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
    let port = taken.local_addr().expect("its number").port();
    let _node = Node::new(&mut kernel);
    kernel.make_ksocket_node(&IfaceNode::OnHook).expect("a ksocket");
    assert_eq!(errno(kernel.bind_ksocket(&IfaceNode::OnHook, port)), Errno::EADDRINUSE);
    kernel.bind_ksocket(&IfaceNode::OnHook, free_port()).expect("a free port");
    assert_eq!(errno(kernel.bind_ksocket(&IfaceNode::OnHook, free_port())), Errno::EINVAL);
}

#[test]
fn a_module_is_loaded_once_and_found_loaded_thereafter() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    match kernel.load_module("if_gif") {
        Ok(()) => {
            kernel.load_module("if_gif").expect("it is loaded");
            assert_eq!(errno(kernel.load_module("dtcp_nosuch")), Errno::ENOENT);
        }
        Err(refused) => assert_eq!(refused.errno, Errno::EPERM, "a jail may not load modules"),
    }
}

#[test]
fn a_change_of_addresses_wakes_the_watch() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    kernel.watch_addresses().expect("a routing socket");
    let gif = Gif::new(&mut kernel);
    kernel.add_address(&gif.0, inner(4)).expect("an inner address");
    let watch = kernel.address_watch().expect("it watches");
    let timeout = PollTimeout::try_from(PATIENCE).expect("a short time");
    assert_eq!(poll(&mut [PollFd::new(watch, PollFlags::POLLIN)], timeout), Ok(1));
    kernel.address_changes().expect("an IPv6 address is no change that is told");
}

/// As root, runs itself as nobody.
#[test]
fn without_privilege_nothing_is_made() {
    if !nix::unistd::geteuid().is_root() {
        let mut kernel = FreeBsd::new().expect("a socket needs no privilege");
        assert_eq!(errno(kernel.check_privilege()), Errno::EPERM);
        assert_eq!(errno(kernel.create_gif()), Errno::EPERM);
        let not_loaded_or_refused = [Errno::EAFNOSUPPORT, Errno::EPERM];
        assert!(not_loaded_or_refused.contains(&errno(kernel.open_netgraph())));
        assert_eq!(errno(kernel.load_module("if_gif")), Errno::EPERM);
        return;
    }
    let Some((_kernel, _turn)) = kernel() else { return };
    let this = std::env::current_exe().expect("this test has a path");
    let as_nobody = Command::new(&this)
        .args(["--exact", "without_privilege_nothing_is_made"])
        .uid(NOBODY)
        .gid(NOBODY)
        .current_dir("/")
        .output();
    match as_nobody {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.contains("1 passed"), "{said}");
        }
        Err(cause) => skip(&format!("nobody may not run {}: {cause}", this.display())),
    }
}
