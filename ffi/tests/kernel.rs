//! FreeBSD's own kernel, asked for all that the program asks of it.
//!
//! To be run as root, on a host or in a vnet jail, in which `lo0` has 127.0.0.1; without the privilege to make
//! interfaces each test reports that and passes, or fails if the environment has `DTCPCLIENT_REQUIRE_KERNEL`. A test
//! removes all that it has made. The modules that it has loaded stay.
#![cfg(target_os = "freebsd")]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::ops::Deref;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::MutexGuard;

use ffi::echo::EchoMark;
use ffi::errno::Errno;
use ffi::freebsd::FreeBsd;
use ffi::kernel::{self, Count, Ends, Kernel, Netgraph, Traffic};
use ffi::name::InterfaceName;
use ffi::netgraph::{IfaceNode, Message, interface_name, socket_address};
use ffi::route_socket::{AddressChange, RouteSocket};
use harness::freebsd::{
    ALL_NODES, addresses, far_end, free_port, has_address, has_flags, index, packet_for, run, skip,
};
use harness::{DEADLINE, name, wait_until};
use nix::net::if_::InterfaceFlags;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
/// No host has this address (RFC 5737).
const FOREIGN: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const GROUP: &str = "dtcp-test";
const NOBODY: u32 = 65534;
const MARK: EchoMark = EchoMark { identifier: 1, token: *b"a token!" };

/// The kernel, with its modules, if this process may make interfaces, for as long as it is this test's turn.
fn kernel() -> Option<(FreeBsd, MutexGuard<'static, ()>)> {
    let (mut kernel, turn) = harness::freebsd::kernel()?;
    for module in ["if_gif", "ng_socket"] {
        if let Err(refused) = kernel.load_module(module) {
            eprintln!("{refused}: going on without");
        }
    }
    Some((kernel, turn))
}

/// An interface that is removed with its test.
struct Interface(InterfaceName);

impl Interface {
    fn gif(kernel: &mut FreeBsd) -> Self {
        Self(kernel.create_gif().expect("a gif"))
    }

    /// With an iface node on the hook of a control socket, and a ksocket on that.
    fn ng(netgraph: &mut dyn Netgraph) -> Self {
        netgraph.send(&Message::MakeIface).expect("an iface node");
        let answer = netgraph.send(&Message::GetInterfaceName(IfaceNode::OnHook)).expect("its name");
        let interface = Self(interface_name(&answer).expect("a name"));
        netgraph.send(&Message::MakeKsocket(IfaceNode::OnHook)).expect("a ksocket");
        interface
    }

    fn node(&self) -> IfaceNode {
        IfaceNode::Named(self.0.clone())
    }
}

impl Deref for Interface {
    type Target = InterfaceName;

    fn deref(&self) -> &InterfaceName {
        &self.0
    }
}

impl Drop for Interface {
    fn drop(&mut self) {
        // A gif is destroyed, an ng interface goes with its node; the test may have removed either.
        let _ = socket().destroy_gif(&self.0);
        let _ = send(&Message::ShutDown(self.node()));
        if index(&self.0).is_some() {
            eprintln!("{} is left over", self.0);
        }
    }
}

/// Another address of this host, which it has while its test runs.
struct Alias(Ipv4Addr);

impl Alias {
    fn new() -> Self {
        let alias = Self(Ipv4Addr::new(127, 13, 20, 28));
        run(&format!("ifconfig lo0 inet {}/32 alias", alias.0));
        alias
    }
}

impl Drop for Alias {
    fn drop(&mut self) {
        run(&format!("ifconfig lo0 inet {} -alias", self.0));
    }
}

fn is_jailed() -> bool {
    let sysctl = Command::new("sysctl").args(["-n", "security.jail.jailed"]).output().expect("sysctl(8)");
    sysctl.stdout.starts_with(b"1")
}

/// Sends an echo request to all nodes at the other end of a tunnel.
fn ping_all_nodes(kernel: &mut FreeBsd, interface: &InterfaceName) -> kernel::Result<()> {
    kernel.open_echo(MARK, 0, None)?.send(interface, None, 1, 0)
}

/// The socket for requests about interfaces.
fn socket() -> FreeBsd {
    FreeBsd::new().expect("a socket needs no privilege")
}

/// Sends a message from a control socket of its own.
fn send(message: &Message) -> kernel::Result<Vec<u8>> {
    socket().open_netgraph()?.send(message)
}

/// The two ends of an interface's ksocket: what it is bound to, and what it is connected to.
fn ends(interface: &Interface) -> [Result<SocketAddrV4, Errno>; 2] {
    [Message::GetName(interface.node()), Message::GetPeerName(interface.node())].map(|question| {
        let answer = send(&question).map_err(|error| error.errno)?;
        Ok(socket_address(&answer).expect("an address"))
    })
}

/// What an operation failed with.
fn errno<T>(outcome: kernel::Result<T>) -> Errno {
    outcome.map(drop).expect_err("the kernel refuses this").errno
}

/// Outer addresses that no other test uses.
fn outer(test: u8) -> Ends<Ipv4Addr> {
    Ends { local: LOOPBACK, remote: Ipv4Addr::new(192, 0, 2, test) }
}

/// Inner addresses that no other test uses.
fn inner(test: u16) -> Ends<Ipv6Addr> {
    let address = |host| Ipv6Addr::new(0x2001, 0xdb8, 0, test, 0, 0, 0, host);
    Ends { local: address(2), remote: address(1) }
}

/// Whether an address can be used: it cannot while it is tentative.
fn is_usable(address: Ipv6Addr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// Waits until the kernel has checked an address for duplicates.
fn wait_until_usable(address: Ipv6Addr) {
    wait_until("the address to be checked", || is_usable(address).then_some(()));
}

/// Enables IPv6 on an interface and brings it up, and waits until it has a link-local address.
fn bring_up(kernel: &mut FreeBsd, interface: &InterfaceName) {
    kernel.enable_ipv6(interface).expect("IPv6 is enabled");
    kernel.bring_up(interface).expect("it is up");
    assert!(has_flags(interface, InterfaceFlags::IFF_UP));
    wait_until("a link-local address", || {
        addresses(interface).iter().any(|(local, _)| local.is_unicast_link_local()).then_some(())
    });
}

/// An ng interface whose ksocket has these ends, with IPv6.
fn udp_tunnel(kernel: &mut FreeBsd, local: SocketAddrV4, remote: SocketAddrV4) -> Interface {
    let mut netgraph = kernel.open_netgraph().expect("a control socket");
    let interface = Interface::ng(&mut *netgraph);
    netgraph.send(&Message::Bind(IfaceNode::OnHook, local)).expect("its address");
    netgraph.send(&Message::Connect(IfaceNode::OnHook, remote)).expect("its peer");
    bring_up(kernel, &interface);
    interface
}

#[test]
fn a_gif_lives_as_the_program_wants_it() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let gif = Interface::gif(&mut kernel);
    assert!(gif.as_str().starts_with("gif"), "{}", *gif);
    let made = index(&gif).expect("it exists");

    assert_eq!(kernel.outer_addresses(&gif), Ok(None));
    kernel.set_outer_addresses(&gif, outer(1)).expect("outer addresses");
    assert_eq!(kernel.outer_addresses(&gif), Ok(Some(outer(1))));
    assert!(kernel.group_members("gif").expect("its cloner's group").contains(&gif));
    assert!(has_flags(&gif, InterfaceFlags::IFF_RUNNING));
    kernel.set_mtu(&gif, 1400).expect("an MTU");
    assert!(!has_flags(&gif, InterfaceFlags::IFF_UP));
    run(&format!("ifconfig {} inet6 -auto_linklocal", *gif));
    bring_up(&mut kernel, &gif);

    kernel.add_address(&gif, inner(1)).expect("an inner address");
    assert!(has_address(&gif, inner(1)));
    let all = kernel.ipv6_addresses().expect("a list");
    assert!(all.contains(&(gif.clone(), inner(1).local)), "even while it is checked for duplicates");
    kernel.set_outer_addresses(&gif, outer(2)).expect("other outer addresses");
    assert_eq!(index(&gif), Some(made), "it is still the same interface");
    assert!(has_address(&gif, inner(1)), "and its address stays");
    kernel.remove_address(&gif, inner(1).local).expect("an address it has");
    assert!(!has_address(&gif, inner(1)));
    assert_eq!(errno(kernel.remove_address(&gif, inner(1).local)), Errno::EADDRNOTAVAIL);

    kernel.destroy_gif(&gif).expect("it is destroyed");
    assert_eq!(index(&gif), None);
    assert_eq!(errno(kernel.destroy_gif(&gif)), Errno::ENXIO);
    assert_eq!(errno(kernel.set_outer_addresses(&gif, outer(1))), Errno::ENXIO);
    assert_eq!(errno(kernel.bring_up(&gif)), Errno::ENXIO);
}

#[test]
fn descriptions_and_members_of_a_group_are_given_back() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    assert_eq!(kernel.group_members(GROUP).expect("no such group"), []);
    let [gif, other] = [Interface::gif(&mut kernel), Interface::gif(&mut kernel)];
    assert_eq!(kernel.description(&gif).expect("none"), "");
    for text in ["dtcpclient: broker.example, pid 4711", &"long ".repeat(100)] {
        kernel.set_description(&gif, text).expect("a description");
        assert_eq!(kernel.description(&gif).expect("it has one"), text);
    }
    assert_eq!(errno(kernel.set_description(&gif, &"too long ".repeat(1000))), Errno::ENAMETOOLONG);
    assert_eq!(errno(kernel.set_description(&gif, "a\0b")), Errno::EINVAL);

    let ng = Interface::ng(&mut *kernel.open_netgraph().expect("a control socket"));
    for interface in [&gif, &ng] {
        kernel.join_group(interface, GROUP).expect("it joins");
    }
    let members = kernel.group_members(GROUP).expect("a group");
    assert_eq!(members.len(), 2);
    assert!(members.contains(&gif) && members.contains(&ng) && !members.contains(&other));
    assert_eq!(errno(kernel.join_group(&gif, "ends-in-1")), Errno::EINVAL);
}

#[test]
fn an_interface_is_renamed_unless_another_has_the_name_and_its_fib_is_told() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let (ours, longest) = (name("dtcp.test-0"), name("a2345678901234_"));
    let ng = Interface::ng(&mut *kernel.open_netgraph().expect("a control socket"));
    let gif = Interface::gif(&mut kernel);
    for interface in [&gif, &ng] {
        let made = index(interface).expect("it exists");
        assert_eq!(errno(kernel.rename(interface, &name("lo0"))), Errno::EEXIST);
        for (from, to) in [(&**interface, &ours), (&ours, &longest), (&longest, &**interface)] {
            kernel.rename(from, to).expect("a new name");
            assert_eq!((index(from), kernel.index(to)), (None, Ok(made)));
            assert_eq!(kernel.name_of(made).as_ref(), Ok(to));
            assert_eq!(errno(kernel.rename(from, &ours)), Errno::ENXIO);
        }
        assert_eq!(kernel.fib(interface), Ok(0));
        assert_eq!(errno(kernel.fib(&ours)), Errno::ENXIO);
        assert_eq!(errno(kernel.index(&ours)), Errno::ENXIO);
    }
    let made = index(&gif).expect("it exists");
    drop(gif);
    assert_eq!(errno(kernel.name_of(made)), Errno::ENXIO);
}

/// Sets every property, as each login does. `joins`: the interface is not in the group yet.
fn set_all(kernel: &mut FreeBsd, interface: &Interface, inner: Ends<Ipv6Addr>, joins: bool) {
    kernel.set_description(interface, "dtcpclient: broker.example, pid 4711").expect("a description");
    let joined = kernel.join_group(interface, GROUP).map_err(|error| error.errno);
    assert_eq!(joined, if joins { Ok(()) } else { Err(Errno::EEXIST) });
    if interface.as_str().starts_with("gif") {
        kernel.set_outer_addresses(interface, outer(5)).expect("outer addresses");
    }
    kernel.set_mtu(interface, 1280).expect("an MTU");
    kernel.enable_ipv6(interface).expect("IPv6 is enabled");
    kernel.bring_up(interface).expect("it is up");
    kernel.add_address(interface, inner).expect("an inner address");
}

#[test]
fn every_property_can_be_set_again_and_mends_what_others_did() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let gif = Interface::gif(&mut kernel);
    let ng = udp_tunnel(&mut kernel, SocketAddrV4::new(LOOPBACK, 0), far_end().1);
    for (interface, inner) in [(&gif, inner(5)), (&ng, inner(6))] {
        set_all(&mut kernel, interface, inner, true);
        wait_until_usable(inner.local);
        set_all(&mut kernel, interface, inner, false);
        assert!(is_usable(inner.local), "it is not checked again");
        assert_eq!(addresses(interface).iter().filter(|(local, _)| *local == inner.local).count(), 1);

        let moved = Ends { remote: self::inner(8).remote, ..inner };
        kernel.add_address(interface, moved).expect("another peer");
        assert!(has_address(interface, moved) && !has_address(interface, inner) && is_usable(inner.local));

        run(&format!("ifconfig {} down", **interface));
        run(&format!("ifconfig {} inet6 ifdisabled", **interface));
        run(&format!("ifconfig {} inet6 {} -alias", **interface, inner.local));
        set_all(&mut kernel, interface, inner, false);
        assert!(has_flags(interface, InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING));
        assert!(has_address(interface, inner));
        wait_until_usable(inner.local);
    }
}

#[test]
fn packets_are_no_longer_than_the_mtu() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let (far_end, remote) = far_end();
    let ng = udp_tunnel(&mut kernel, SocketAddrV4::new(LOOPBACK, 0), remote);
    kernel.set_mtu(&ng, 1280).expect("an MTU");
    kernel.add_address(&ng, inner(3)).expect("an inner address");
    let send = || {
        let socket = UdpSocket::bind((inner(3).local, 0)).ok()?;
        socket.send_to(&[0; 1400], SocketAddrV6::new(inner(3).remote, 9, 0, 0)).ok()
    };
    wait_until("the address to be checked", send);
    assert_eq!([(); 2].map(|()| packet_for(&far_end, inner(3).remote).0.len() <= 1280), [true, true]);
    let Traffic { received, sent } = kernel.traffic(&ng).expect("counters");
    assert!(sent.packets > 2 && sent.bytes > 1400, "{sent}");
    assert_eq!(received, Count::default());
}

#[test]
fn an_echo_socket_gets_the_replies_to_its_own_address_alone() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let gif = Interface::gif(&mut kernel);
    kernel.set_outer_addresses(&gif, outer(3)).expect("outer addresses");
    bring_up(&mut kernel, &gif);
    let open = |local| socket().open_echo(MARK, 0, Some(local));
    assert_eq!(errno(open(inner(2).local)), Errno::EADDRNOTAVAIL);
    let [mut asking, mut other] = [inner(2), inner(4)].map(|inner| {
        kernel.add_address(&gif, inner).expect("an inner address");
        wait_until("the address to be checked", || open(inner.local).ok())
    });
    // This host answers itself. With the second reply, the first has reached all that it was to reach.
    for sequence in 1..=2 {
        asking.send(&gif, Some(inner(2).local), sequence, 0).expect("a request");
        assert_eq!(wait_until("a reply", || asking.replies().pop()), sequence);
    }
    assert_eq!(other.replies(), []);
}

#[test]
fn a_ksocket_is_bound_to_an_address_of_this_host_that_is_free() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let alias = Alias::new();
    for (taken, refused, accepted) in
        [(LOOPBACK, [LOOPBACK, ANY], alias.0), (ANY, [LOOPBACK, alias.0], FOREIGN)]
    {
        let socket = UdpSocket::bind((taken, 0)).expect("a port");
        let port = socket.local_addr().expect("its number").port();
        let mut netgraph = kernel.open_netgraph().expect("a control socket");
        let _ng = Interface::ng(&mut *netgraph);
        let mut bind = |address, port| {
            let bound = netgraph.send(&Message::Bind(IfaceNode::OnHook, SocketAddrV4::new(address, port)));
            bound.map(drop).map_err(|error| error.errno)
        };
        // See `Message::Bind`.
        for address in refused.into_iter().filter(|_| !is_jailed()) {
            assert_eq!(bind(address, port), Err(Errno::EADDRINUSE), "{address} while {taken} is taken");
        }
        assert_eq!(bind(FOREIGN, port), Err(Errno::EADDRNOTAVAIL));
        if accepted != FOREIGN {
            assert_eq!(bind(accepted, port), Ok(()), "{accepted} while {taken} is taken");
            assert_eq!(bind(accepted, free_port()), Err(Errno::EINVAL), "it is bound already");
        }
    }
}

/// A ksocket on its own goes at once, and its port with it, also with packets under way.
#[test]
fn a_ksocket_is_made_again_under_a_living_interface() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let alias = Alias::new();
    let (far_end, remote) = far_end();
    let port = free_port();
    let ng = udp_tunnel(&mut kernel, SocketAddrV4::new(LOOPBACK, port), remote);
    kernel.add_address(&ng, inner(7)).expect("an inner address");
    wait_until("the link-local address to be checked", || ping_all_nodes(&mut kernel, &ng).ok());
    let made = index(&ng);
    for turn in 0..50 {
        let local = SocketAddrV4::new([alias.0, LOOPBACK][turn % 2], port);
        send(&Message::ShutDownKsocket(ng.node())).expect("it is there");
        assert_eq!(ends(&ng), [Err(Errno::ENOENT); 2]);
        assert_eq!(errno(send(&Message::ShutDownKsocket(ng.node()))), Errno::ENOENT);
        send(&Message::MakeKsocket(ng.node())).expect("the hook is free");
        assert_eq!(errno(send(&Message::MakeKsocket(ng.node()))), Errno::EEXIST);
        send(&Message::Bind(ng.node(), local)).expect("the port is free");
        send(&Message::Connect(ng.node(), remote)).expect("a route");
        assert_eq!(ends(&ng), [Ok(local), Ok(remote)]);
        ping_all_nodes(&mut kernel, &ng).expect("the interface is as it was");
        wait_until("a packet from the new socket", || {
            (packet_for(&far_end, ALL_NODES).1 == local.into()).then_some(())
        });
    }
    assert_eq!(index(&ng), made);
    assert!(has_address(&ng, inner(7)));
}

#[test]
fn a_module_is_loaded_once_and_found_loaded_thereafter() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let outcome = ["if_gif", "if_gif", "dtcp_nosuch"]
        .map(|module| kernel.load_module(module).err().map(|error| error.errno));
    let in_a_jail = [Some(Errno::EPERM); 3];
    assert!([[None, None, Some(Errno::ENOENT)], in_a_jail].contains(&outcome), "{outcome:?}");
}

#[test]
fn the_route_socket_reports_what_comes_and_goes() {
    let Some((_kernel, _turn)) = kernel() else { return };
    let mut routes = RouteSocket::open().expect("a routing socket");
    let alias = Alias::new();
    let address = alias.0;
    let timeout = PollTimeout::try_from(DEADLINE).expect("a short time");
    assert_eq!(poll(&mut [PollFd::new(routes.as_fd(), PollFlags::POLLIN)], timeout), Ok(1));
    drop(alias);
    let mut changes = Vec::new();
    wait_until("both changes", || {
        changes.extend(routes.changes().expect("it can be read"));
        (changes == [AddressChange::Added(address), AddressChange::Removed(address)]).then_some(())
    });
}

#[test]
fn the_route_socket_reports_that_messages_were_lost() {
    let Some((_kernel, _turn)) = kernel() else { return };
    let mut routes = RouteSocket::open().expect("a routing socket");
    // The socket has room for 8 KiB.
    for _ in 0..100 {
        drop(Alias::new());
    }
    let changes = routes.changes().expect("it can be read");
    assert!(changes.contains(&AddressChange::Unknown), "{changes:?}");
}

/// As root, runs itself as nobody.
#[test]
fn without_privilege_nothing_is_made() {
    if !nix::unistd::geteuid().is_root() {
        let mut kernel = socket();
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
            let passed = String::from_utf8_lossy(&output.stdout).contains("1 passed");
            assert!(output.status.success() && passed, "{output:?}");
        }
        Err(cause) => skip(&format!("nobody may not run {}: {cause}", this.display())),
    }
}
