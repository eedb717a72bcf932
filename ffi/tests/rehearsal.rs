//! The kernel kept in memory: what it reports, how it fails, and those of FreeBSD's rules that the recordings, which
//! `transcripts` replays on it, do not show.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use ffi::errno::Errno;
use ffi::kernel::{Ends, Error, Kernel, Netgraph, Result};
use ffi::name::InterfaceName;
use ffi::netgraph::{IfaceNode, Message, interface_name, socket_address};
use ffi::rehearsal::{Place, Rehearsal};
use harness::{name, rehearsal, silent};

const HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// Another address of this host.
const UPLINK: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const OUTER: Ends<Ipv4Addr> = Ends { local: HERE, remote: SERVER };
const LOCAL: SocketAddrV4 = SocketAddrV4::new(HERE, 4028);
const REMOTE: SocketAddrV4 = SocketAddrV4::new(SERVER, 4029);
const INNER: Ends<Ipv6Addr> = Ends {
    local: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
    remote: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
};

fn named(text: &str) -> IfaceNode {
    IfaceNode::Named(name(text))
}

fn errno<T>(result: Result<T>) -> Option<Errno> {
    result.err().map(|error| error.errno)
}

fn gif(kernel: &mut Rehearsal) -> Result<InterfaceName> {
    let gif = kernel.create_gif()?;
    kernel.set_outer_addresses(&gif, OUTER)?;
    Ok(gif)
}

/// Makes an iface node on the hook of a control socket.
fn iface(netgraph: &mut dyn Netgraph) -> Result<InterfaceName> {
    netgraph.send(&Message::MakeIface)?;
    let answer = netgraph.send(&Message::GetInterfaceName(IfaceNode::OnHook))?;
    Ok(interface_name(&answer).expect("a name"))
}

fn udp(kernel: &mut Rehearsal) -> Result<InterfaceName> {
    let mut netgraph = kernel.open_netgraph()?;
    let interface = iface(&mut *netgraph)?;
    let node = IfaceNode::OnHook;
    netgraph.send(&Message::MakeKsocket(node.clone()))?;
    netgraph.send(&Message::Bind(node.clone(), LOCAL))?;
    netgraph.send(&Message::Connect(node, REMOTE))?;
    Ok(interface)
}

/// Sends a message from a control socket of its own.
fn send(kernel: &Rehearsal, message: &Message) -> Result<Vec<u8>> {
    kernel.clone().open_netgraph()?.send(message)
}

#[test]
fn a_call_that_fails_or_only_looks_is_not_a_command() {
    let (mut kernel, commands) = rehearsal();
    let gif = name("gif0");
    kernel.check_privilege().expect("root");
    assert_eq!(errno(kernel.destroy_gif(&gif)), Some(Errno::ENXIO));
    assert_eq!(errno(kernel.description(&gif)), Some(Errno::ENXIO));
    assert_eq!(kernel.group_members("dtcpclient"), Ok(vec![]));
    kernel.fail_call(1, Errno::EBADMSG);
    assert_eq!(errno(kernel.create_gif()), Some(Errno::EBADMSG));
    assert_eq!(kernel.interfaces(), []);
    assert_eq!(*commands.borrow(), [""; 0]);

    udp(&mut kernel).expect("nodes");
    commands.borrow_mut().clear();
    assert_eq!(send(&kernel, &Message::GetName(named("ng0"))).map(|it| socket_address(&it)), Ok(Some(LOCAL)));
    assert_eq!(errno(send(&kernel, &Message::MakeKsocket(named("ng0")))), Some(Errno::EEXIST));
    assert_eq!(*commands.borrow(), [""; 0]);
}

#[test]
fn an_error_names_the_call() {
    let mut kernel = silent();
    let error = |call: &str, errno| Some(Error { call: call.to_owned(), errno });
    assert_eq!(kernel.set_mtu(&name("gif0"), 1280).err(), error("SIOCSIFMTU", Errno::ENXIO));
    let bind = Message::Bind(named("ng0"), LOCAL);
    assert_eq!(send(&kernel, &bind).err(), error("bind ng0:inet6", Errno::ENOENT));
    assert_eq!(kernel.load_module("ng_nosuch").err(), error("kldload ng_nosuch", Errno::ENOENT));
    for place in [Place::Nobody, Place::Jail] {
        let refused = silent().in_place(place).load_module("if_gif").err();
        assert_eq!(refused, error("kldload if_gif", Errno::EPERM), "{place:?}");
    }
}

#[test]
fn units_are_the_lowest_that_are_free() {
    let mut kernel = silent();
    for unit in ["gif0", "gif1", "gif2"] {
        assert_eq!(kernel.create_gif(), Ok(name(unit)));
    }
    kernel.destroy_gif(&name("gif1")).expect("its end");
    let rename = |to| kernel.meddle(&name("gif0"), |interface| interface.name = name(to));
    assert!(rename("wan6"));
    assert!(!rename("wan7"), "it is not there any more");
    assert_eq!(kernel.create_gif(), Ok(name("gif1")), "gif0 has another name, but is still there");
    assert_eq!(kernel.create_gif(), Ok(name("gif3")));
}

#[test]
fn a_gif_keeps_its_inner_addresses_and_runs_while_this_host_has_its_source() {
    let mut kernel = silent();
    let first = gif(&mut kernel).expect("a gif");
    let moved = Ends { remote: Ipv6Addr::LOCALHOST, ..INNER };
    kernel.add_address(&first, INNER).expect("an address");
    kernel.add_address(&first, moved).expect("the same with another peer");
    kernel.set_outer_addresses(&first, Ends { remote: HERE, ..OUTER }).expect("another pair");
    gif(&mut kernel).expect("the pair is free again");
    assert_eq!(kernel.interfaces()[0].addresses, [moved]);

    let runs = |kernel: &Rehearsal| kernel.is_running(&kernel.interfaces()[0]);
    assert!(runs(&kernel));
    kernel.lose_address(HERE);
    assert!(!runs(&kernel));

    kernel.join_group(&first, "dtcpclient").expect("a group");
    kernel.destroy_gif(&first).expect("its end");
    assert_eq!(kernel.group_members("dtcpclient"), Ok(vec![]), "a group ends with its last member");
}

#[test]
fn an_ng_interface_has_its_own_mtus_and_is_not_a_gif() {
    let mut kernel = silent();
    gif(&mut kernel).expect("a gif");
    let ng = udp(&mut kernel).expect("nodes");
    assert_eq!(kernel.interfaces().iter().map(|each| each.mtu).collect::<Vec<_>>(), [1280, 1500]);
    for (mtu, expected) in [(72, None), (65535, None), (71, Some(Errno::EINVAL)), (0, Some(Errno::EINVAL))] {
        assert_eq!(errno(kernel.set_mtu(&ng, mtu)), expected, "{mtu}");
    }
    assert_eq!(errno(kernel.set_outer_addresses(&ng, OUTER)), Some(Errno::EINVAL));
}

#[test]
fn two_ksockets_may_have_a_port_at_two_addresses() {
    let taken = Some(Errno::EADDRINUSE);
    let at = SocketAddrV4::new;
    for (first, second, expected) in [
        (LOCAL, LOCAL, taken),
        (LOCAL, at(ANY, 4028), taken),
        (at(ANY, 4028), LOCAL, taken),
        (LOCAL, at(UPLINK, 4028), None),
        (LOCAL, at(HERE, 4029), None),
    ] {
        let kernel = silent();
        for _ in 0..2 {
            let mut netgraph = kernel.clone().open_netgraph().expect("a socket");
            iface(&mut *netgraph).expect("a node");
            netgraph.send(&Message::MakeKsocket(IfaceNode::OnHook)).expect("a ksocket");
        }
        let bind = |node, address| errno(send(&kernel, &Message::Bind(named(node), address)));
        assert_eq!(bind("ng0", first), None);
        assert_eq!(bind("ng1", second), expected, "{second} after {first}");
        if expected == taken {
            send(&kernel, &Message::ShutDown(named("ng0"))).expect("its end");
            assert_eq!(bind("ng1", second), None, "{second} is free again");
        }
    }
}

#[test]
fn closing_the_control_socket_leaves_nodes_and_frees_the_hook() {
    let mut kernel = silent();
    let mut netgraph = kernel.open_netgraph().expect("a socket");
    netgraph.send(&Message::MakeIface).expect("a node");
    assert_eq!(errno(netgraph.send(&Message::MakeIface)), Some(Errno::EEXIST), "our hook is taken");
    drop(netgraph);
    assert_eq!(kernel.interfaces().len(), 1);
    let mut netgraph = kernel.open_netgraph().expect("a socket");
    let asked = netgraph.send(&Message::GetInterfaceName(IfaceNode::OnHook));
    assert_eq!(errno(asked), Some(Errno::ENOENT), "nothing is on the new hook");
    assert_eq!(iface(&mut *netgraph), Ok(name("ng1")));
    netgraph.send(&Message::ShutDown(IfaceNode::OnHook)).expect("its end");
    assert_eq!(iface(&mut *netgraph), Ok(name("ng1")), "the hook is free again");
}
