//! The kernel kept in memory: what it says, what it keeps, and how it fails.

use std::cell::RefCell;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};
use std::rc::Rc;

use ffi::errno::Errno;
use ffi::kernel::{AddressChange, Error, IfaceNode, Inner, Kernel, Outer, Result};
use ffi::name::InterfaceName;
use ffi::rehearsal::Rehearsal;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

const HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const OUTER: Outer = Outer { source: HERE, destination: SERVER };
const PEER: SocketAddrV4 = SocketAddrV4::new(SERVER, 4029);
const INNER: Inner = Inner {
    local: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
    remote: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
};

/// A rehearsal, and the commands that it says.
fn listened_to() -> (Rehearsal, Rc<RefCell<Vec<String>>>) {
    let said = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&said);
    (Rehearsal::new(move |command| sink.borrow_mut().push(command.to_owned())), said)
}

fn silent() -> Rehearsal {
    Rehearsal::new(|_| {})
}

fn name(text: &str) -> InterfaceName {
    InterfaceName::new(text).expect("a good name")
}

fn errno<T>(result: Result<T>) -> Option<Errno> {
    result.err().map(|error| error.errno)
}

/// Everything that is done to an interface once it is there.
fn set_up(kernel: &mut Rehearsal, interface: &InterfaceName) -> Result<()> {
    kernel.describe(interface, "dtcpclient: broker.example, pid 123")?;
    kernel.join_group(interface, "dtcpclient")?;
    kernel.set_mtu(interface, 1280)?;
    kernel.enable_ipv6(interface)?;
    kernel.bring_up(interface)?;
    kernel.add_address(interface, INNER)
}

fn gif(kernel: &mut Rehearsal) -> Result<InterfaceName> {
    let gif = kernel.create_gif()?;
    kernel.point_gif(&gif, OUTER)?;
    Ok(gif)
}

fn udp(kernel: &mut Rehearsal) -> Result<InterfaceName> {
    kernel.open_netgraph()?;
    kernel.make_iface_node()?;
    let interface = kernel.iface_node_name()?;
    kernel.make_ksocket_node(&IfaceNode::OnHook)?;
    kernel.bind_ksocket(&IfaceNode::OnHook, 4028)?;
    kernel.connect_ksocket(&IfaceNode::OnHook, PEER)?;
    kernel.release_hook()?;
    kernel.close_netgraph();
    Ok(interface)
}

#[test]
fn a_gif_is_made_and_destroyed_with_ifconfig() {
    let (mut kernel, said) = listened_to();
    let gif = gif(&mut kernel).expect("a gif");
    set_up(&mut kernel, &gif).expect("a tunnel");
    kernel.remove_address(&gif, INNER.local).expect("its address");
    kernel.destroy_gif(&gif).expect("its end");
    assert_eq!(
        *said.borrow(),
        [
            "ifconfig gif0 create",
            "ifconfig gif0 tunnel 192.0.2.1 192.0.2.2",
            "ifconfig gif0 description 'dtcpclient: broker.example, pid 123'",
            "ifconfig gif0 group dtcpclient",
            "ifconfig gif0 mtu 1280",
            "ifconfig gif0 inet6 -ifdisabled",
            "ifconfig gif0 up",
            "ifconfig gif0 inet6 2001:db8::2 2001:db8::1 prefixlen 128",
            "ifconfig gif0 inet6 2001:db8::2 -alias",
            "ifconfig gif0 destroy",
        ]
    );
    assert_eq!(kernel.interfaces(), []);
}

#[test]
fn a_udp_tunnel_is_made_and_shut_down_with_ngctl() {
    let (mut kernel, said) = listened_to();
    let interface = udp(&mut kernel).expect("nodes");
    kernel.send_keepalive(&interface).expect("a packet");
    kernel.open_netgraph().expect("a socket");
    kernel.shut_down_node(&IfaceNode::Named(interface)).expect("its end");
    assert_eq!(
        *said.borrow(),
        [
            "ngctl mkpeer . iface dtcp inet",
            "ngctl mkpeer ng0: ksocket inet6 inet/dgram/udp",
            "ngctl msg ng0:inet6 bind inet/0.0.0.0:4028",
            "ngctl msg ng0:inet6 connect inet/192.0.2.2:4029",
            "ping -6 -c 1 ff02::1%ng0",
            "ngctl shutdown ng0:",
        ]
    );
    assert_eq!((kernel.interfaces(), kernel.nodes()), (&[][..], &[][..]));
}

#[test]
fn what_fails_or_only_looks_says_nothing() {
    let (mut kernel, said) = listened_to();
    let gif = name("gif0");
    kernel.check_privilege().expect("root");
    assert_eq!(errno(kernel.destroy_gif(&gif)), Some(Errno::ENXIO));
    assert_eq!(errno(kernel.description(&gif)), Some(Errno::ENXIO));
    assert_eq!(kernel.group_members("dtcpclient"), Ok(vec![]));
    assert_eq!(*said.borrow(), [""; 0]);
}

#[test]
fn the_nth_call_fails_once_and_changes_nothing() {
    for (make, calls) in [(gif as fn(&mut _) -> _, 8), (udp, 13)] {
        for n in 1..=calls {
            let (mut kernel, said) = listened_to();
            kernel.fail_call(n, Errno::EBADMSG);
            let made = make(&mut kernel).and_then(|interface| set_up(&mut kernel, &interface));
            assert_eq!(errno(made), Some(Errno::EBADMSG), "call {n}");
            assert_eq!(kernel.calls(), n);

            let before = (kernel.interfaces().to_vec(), kernel.nodes().to_vec(), said.borrow().len());
            kernel.fail_call(1, Errno::EBADMSG);
            assert_eq!(errno(kernel.create_gif()), Some(Errno::EBADMSG));
            assert_eq!((kernel.interfaces(), kernel.nodes()), (&before.0[..], &before.1[..]));
            assert_eq!(said.borrow().len(), before.2);
            kernel.create_gif().expect("the failure is over");
        }
        let mut kernel = silent();
        kernel.fail_call(calls + 1, Errno::EBADMSG);
        let made = make(&mut kernel).expect("an interface");
        set_up(&mut kernel, &made).expect("as many calls as said");
    }
}

#[test]
fn an_error_names_the_call() {
    let mut kernel = silent();
    let error = |call: &str, errno| Some(Error { call: call.to_owned(), errno });
    assert_eq!(kernel.set_mtu(&name("gif0"), 1280).err(), error("SIOCSIFMTU", Errno::ENXIO));
    assert_eq!(kernel.make_iface_node().err(), error("mkpeer iface", Errno::EBADF));
    assert_eq!(kernel.load_module("ng_nosuch").err(), error("kldload ng_nosuch", Errno::ENOENT));
}

#[test]
fn modules_are_missing_until_they_are_loaded() {
    let (kernel, said) = listened_to();
    let mut kernel = kernel.without_modules();
    assert_eq!(errno(kernel.create_gif()), Some(Errno::EINVAL));
    assert_eq!(errno(kernel.open_netgraph()), Some(Errno::EAFNOSUPPORT));
    for module in ["if_gif", "if_gif", "ng_socket", "ng_socket"] {
        kernel.load_module(module).expect("a module");
    }
    assert_eq!(*said.borrow(), ["kldload if_gif", "kldload ng_socket"]);
    gif(&mut kernel).expect("a gif");
    udp(&mut kernel).expect("nodes");
}

#[test]
fn without_permission_nothing_can_be_made() {
    for (mut kernel, netgraph) in
        [(silent().as_nobody(), Errno::EPERM), (silent().in_jail(), Errno::EPROTONOSUPPORT)]
    {
        assert_eq!(errno(kernel.check_privilege()), Some(Errno::EPERM));
        assert_eq!(errno(kernel.create_gif()), Some(Errno::EPERM));
        assert_eq!(errno(kernel.load_module("if_gif")), Some(Errno::EPERM));
        assert_eq!(errno(kernel.open_netgraph()), Some(netgraph));
    }
}

#[test]
fn a_vnet_jail_makes_tunnels_but_loads_no_modules() {
    let mut kernel = silent().in_vnet_jail();
    kernel.check_privilege().expect("enough of it");
    gif(&mut kernel).expect("a gif");
    udp(&mut kernel).expect("nodes");

    let mut kernel = silent().without_kldload();
    assert_eq!(errno(kernel.create_gif()), Some(Errno::EINVAL));
    assert_eq!(errno(kernel.load_module("if_gif")), Some(Errno::EPERM));
}

#[test]
fn units_are_the_lowest_that_are_free_and_stay_through_a_renaming() {
    let mut kernel = silent();
    for unit in ["gif0", "gif1", "gif2"] {
        assert_eq!(kernel.create_gif(), Ok(name(unit)));
    }
    kernel.destroy_gif(&name("gif1")).expect("its end");
    assert!(kernel.rename(&name("gif0"), &name("wan6")));
    assert!(!kernel.rename(&name("gif0"), &name("wan7")), "it is not there any more");
    assert!(!kernel.rename(&name("gif2"), &name("wan6")), "there is one of that name");
    assert_eq!(kernel.create_gif(), Ok(name("gif1")));
    assert_eq!(kernel.create_gif(), Ok(name("gif3")));
}

#[test]
fn a_renamed_ng_interface_keeps_its_node() {
    let mut kernel = silent();
    let first = udp(&mut kernel).expect("nodes");
    assert!(kernel.rename(&first, &name("wan6")));
    kernel.open_netgraph().expect("a socket");
    assert_eq!(errno(kernel.shut_down_node(&IfaceNode::Named(name("wan6")))), Some(Errno::ENOENT));
    kernel.shut_down_node(&IfaceNode::Named(first)).expect("its end");
    assert_eq!(kernel.interfaces(), []);
}

#[test]
fn a_gif_is_pointed_in_place_but_never_to_the_pair_of_another() {
    let mut kernel = silent();
    let first = gif(&mut kernel).expect("a gif");
    kernel.add_address(&first, INNER).expect("an address");
    kernel.point_gif(&first, OUTER).expect("the pair it has already");
    let second = kernel.create_gif().expect("another");
    assert_eq!(errno(kernel.point_gif(&second, OUTER)), Some(Errno::EADDRNOTAVAIL));
    kernel.point_gif(&first, Outer { destination: HERE, ..OUTER }).expect("another pair");
    kernel.point_gif(&second, OUTER).expect("the pair is free again");
    assert_eq!(kernel.interfaces()[0].addresses, [INNER]);
}

#[test]
fn a_gif_runs_while_this_host_has_its_source() {
    let mut kernel = silent();
    let gif = gif(&mut kernel).expect("a gif");
    let runs = |kernel: &Rehearsal| kernel.is_running(&kernel.interfaces()[0]);
    assert!(runs(&kernel));
    kernel.lose_address(HERE);
    assert!(!runs(&kernel));
    kernel.point_gif(&gif, OUTER).expect("a source that no interface has is accepted");
    assert!(!runs(&kernel));
    kernel.gain_address(HERE);
    assert!(runs(&kernel));
}

#[test]
fn each_kind_has_its_mtus() {
    let mut kernel = silent();
    let gif = gif(&mut kernel).expect("a gif");
    let ng = udp(&mut kernel).expect("nodes");
    assert_eq!(kernel.interfaces().iter().map(|each| each.mtu).collect::<Vec<_>>(), [1280, 1500]);
    for (interface, good, bad) in [(gif, [1280, 8192], [1279, 8193]), (ng, [72, 65535], [71, 0])] {
        for mtu in good {
            kernel.set_mtu(&interface, mtu).expect("within the range");
        }
        for mtu in bad {
            assert_eq!(errno(kernel.set_mtu(&interface, mtu)), Some(Errno::EINVAL), "{interface} {mtu}");
        }
    }
}

#[test]
fn an_ng_interface_is_no_gif() {
    let mut kernel = silent();
    let ng = udp(&mut kernel).expect("nodes");
    assert_eq!(errno(kernel.destroy_gif(&ng)), Some(Errno::EINVAL));
    assert_eq!(errno(kernel.point_gif(&ng, OUTER)), Some(Errno::EINVAL));
}

#[test]
fn a_port_is_bound_once_and_free_when_its_node_is_gone() {
    let mut kernel = silent();
    let first = IfaceNode::Named(udp(&mut kernel).expect("nodes"));
    kernel.open_netgraph().expect("a socket");
    assert_eq!(errno(kernel.bind_ksocket(&first, 4030)), Some(Errno::EINVAL));
    assert_eq!(errno(udp(&mut kernel)), Some(Errno::EADDRINUSE));
    kernel.shut_down_node(&IfaceNode::OnHook).expect("the half-made one");
    kernel.shut_down_node(&first).expect("its end");
    assert_eq!((kernel.interfaces(), kernel.nodes()), (&[][..], &[][..]));
    udp(&mut kernel).expect("the port is free");
}

#[test]
fn closing_the_control_socket_leaves_nodes_and_frees_the_hook() {
    let mut kernel = silent();
    kernel.open_netgraph().expect("a socket");
    kernel.make_iface_node().expect("a node");
    assert_eq!(errno(kernel.make_iface_node()), Some(Errno::EEXIST), "our hook is taken");
    kernel.close_netgraph();
    assert_eq!(kernel.nodes().len(), 1);
    assert_eq!(errno(kernel.make_iface_node()), Some(Errno::EBADF));
    kernel.open_netgraph().expect("a socket");
    assert_eq!(errno(kernel.iface_node_name()), Some(Errno::ENOENT), "nothing is on the new hook");
    kernel.make_iface_node().expect("another node");
    assert_eq!(kernel.iface_node_name(), Ok(name("ng1")));
}

#[test]
fn without_a_route_a_ksocket_cannot_connect() {
    let mut kernel = silent();
    kernel.set_routed(false);
    assert_eq!(errno(udp(&mut kernel)), Some(Errno::ENETUNREACH));
    kernel.set_routed(true);
    kernel.connect_ksocket(&IfaceNode::OnHook, PEER).expect("a route");
    assert_eq!(kernel.nodes()[0].ksocket.and_then(|ksocket| ksocket.peer), Some(PEER));
}

#[test]
fn a_group_is_there_as_long_as_it_has_members() {
    let mut kernel = silent();
    let gif = gif(&mut kernel).expect("a gif");
    kernel.join_group(&gif, "dtcpclient").expect("a group");
    assert_eq!(errno(kernel.join_group(&gif, "dtcpclient")), Some(Errno::EEXIST));
    assert_eq!(errno(kernel.join_group(&gif, "dtcp6")), Some(Errno::EINVAL));
    assert_eq!(kernel.group_members("dtcpclient"), Ok(vec![gif.clone()]));
    kernel.destroy_gif(&gif).expect("its end");
    assert_eq!(kernel.group_members("dtcpclient"), Ok(vec![]));
}

#[test]
fn an_address_takes_its_new_peer_and_is_removed_once() {
    let mut kernel = silent();
    let gif = gif(&mut kernel).expect("a gif");
    let moved = Inner { remote: Ipv6Addr::LOCALHOST, ..INNER };
    kernel.add_address(&gif, INNER).expect("an address");
    kernel.add_address(&gif, moved).expect("the same with another peer");
    assert_eq!(kernel.interfaces()[0].addresses, [moved]);
    kernel.remove_address(&gif, INNER.local).expect("its end");
    assert_eq!(errno(kernel.remove_address(&gif, INNER.local)), Some(Errno::EADDRNOTAVAIL));
}

#[test]
fn a_watch_tells_what_came_and_went_since_it_began() {
    let mut kernel = silent();
    kernel.lose_address(HERE);
    assert!(kernel.address_watch().is_none());
    kernel.watch_addresses().expect("a watch");
    kernel.watch_addresses().expect("the same");
    assert!(!readable(&kernel));
    kernel.gain_address(HERE);
    kernel.lose_address(SERVER);
    kernel.lose_address(SERVER);
    assert!(readable(&kernel));
    let changes = vec![AddressChange::Added(HERE), AddressChange::Removed(SERVER)];
    assert_eq!(kernel.address_changes(), Ok(changes));
    assert_eq!(kernel.address_changes(), Ok(vec![]));
    assert!(!readable(&kernel));
}

/// Whether poll(2) would return at once.
fn readable(kernel: &Rehearsal) -> bool {
    let watch = kernel.address_watch().expect("a watch");
    poll(&mut [PollFd::new(watch, PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(1)
}
