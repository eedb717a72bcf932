//! The kernel kept in memory: what it reports, what it keeps, and how it fails.

use std::cell::RefCell;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};
use std::rc::Rc;

use ffi::errno::Errno;
use ffi::kernel::{Ends, Error, Kernel, Netgraph, Result};
use ffi::name::InterfaceName;
use ffi::netgraph::{IfaceNode, Message, interface_name, socket_address};
use ffi::rehearsal::Rehearsal;

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

/// A rehearsal, and the commands that it reports.
fn listened_to() -> (Rehearsal, Rc<RefCell<Vec<String>>>) {
    let commands = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&commands);
    (Rehearsal::new(move |words| sink.borrow_mut().push(words.join(" "))), commands)
}

fn silent() -> Rehearsal {
    Rehearsal::new(|_| {})
}

fn name(text: &str) -> InterfaceName {
    InterfaceName::new(text).expect("a good name")
}

fn named(text: &str) -> IfaceNode {
    IfaceNode::Named(name(text))
}

fn errno<T>(result: Result<T>) -> Option<Errno> {
    result.err().map(|error| error.errno)
}

/// Everything that is done to an interface once it is there.
fn set_up(kernel: &mut Rehearsal, interface: &InterfaceName) -> Result<()> {
    kernel.set_description(interface, "dtcpclient: broker.example, pid 123")?;
    kernel.join_group(interface, "dtcpclient")?;
    kernel.set_mtu(interface, 1280)?;
    kernel.enable_ipv6(interface)?;
    kernel.bring_up(interface)?;
    kernel.add_address(interface, INNER)
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

/// The address and port that a node answers with.
fn address(kernel: &Rehearsal, question: &Message) -> std::result::Result<SocketAddrV4, Errno> {
    send(kernel, question)
        .map(|answer| socket_address(&answer).expect("an address"))
        .map_err(|error| error.errno)
}

fn is_empty(kernel: &Rehearsal) -> bool {
    kernel.interfaces().is_empty() && kernel.nodes().is_empty()
}

#[test]
fn a_gif_is_made_and_destroyed_with_ifconfig() {
    let (mut kernel, commands) = listened_to();
    let gif = gif(&mut kernel).expect("a gif");
    set_up(&mut kernel, &gif).expect("a tunnel");
    kernel.remove_address(&gif, INNER.local).expect("its address");
    kernel.destroy_gif(&gif).expect("its end");
    assert_eq!(
        *commands.borrow(),
        [
            "ifconfig gif0 create",
            "ifconfig gif0 tunnel 192.0.2.1 192.0.2.2",
            "ifconfig gif0 description dtcpclient: broker.example, pid 123",
            "ifconfig gif0 group dtcpclient",
            "ifconfig gif0 mtu 1280",
            "ifconfig gif0 inet6 -ifdisabled",
            "ifconfig gif0 up",
            "ifconfig gif0 inet6 2001:db8::2 2001:db8::1 prefixlen 128",
            "ifconfig gif0 inet6 2001:db8::2 -alias",
            "ifconfig gif0 destroy",
        ]
    );
    assert!(is_empty(&kernel));
}

#[test]
fn a_udp_tunnel_is_made_and_shut_down_with_ngctl() {
    let (mut kernel, commands) = listened_to();
    let interface = udp(&mut kernel).expect("nodes");
    kernel.send_keepalive(&interface).expect("a packet");
    send(&kernel, &Message::ShutDownKsocket(named("ng0"))).expect("its end");
    send(&kernel, &Message::ShutDown(named("ng0"))).expect("its end");
    assert_eq!(
        *commands.borrow(),
        [
            "ngctl mkpeer . iface dtcp inet",
            "ngctl mkpeer ng0: ksocket inet6 inet/dgram/udp",
            "ngctl msg ng0:inet6 bind inet/192.0.2.1:4028",
            "ngctl msg ng0:inet6 connect inet/192.0.2.2:4029",
            "ping -6 -c 1 ff02::1%ng0",
            "ngctl shutdown ng0:inet6",
            "ngctl shutdown ng0:",
        ]
    );
    assert!(is_empty(&kernel));
}

#[test]
fn a_call_that_fails_or_only_looks_is_not_a_command() {
    let (mut kernel, commands) = listened_to();
    let gif = name("gif0");
    kernel.check_privilege().expect("root");
    assert_eq!(errno(kernel.destroy_gif(&gif)), Some(Errno::ENXIO));
    assert_eq!(errno(kernel.description(&gif)), Some(Errno::ENXIO));
    assert_eq!(kernel.group_members("dtcpclient"), Ok(vec![]));
    assert_eq!(*commands.borrow(), [""; 0]);

    udp(&mut kernel).expect("nodes");
    commands.borrow_mut().clear();
    assert_eq!(address(&kernel, &Message::GetName(named("ng0"))), Ok(LOCAL));
    assert_eq!(errno(send(&kernel, &Message::MakeKsocket(named("ng0")))), Some(Errno::EEXIST));
    assert_eq!(*commands.borrow(), [""; 0]);
}

#[test]
fn the_nth_call_fails_once_and_changes_nothing() {
    for (make, calls) in [(gif as fn(&mut _) -> _, 8), (udp, 12)] {
        for n in 1..=calls {
            let (mut kernel, commands) = listened_to();
            kernel.fail_call(n, Errno::EBADMSG);
            let made = make(&mut kernel).and_then(|interface| set_up(&mut kernel, &interface));
            assert_eq!(errno(made), Some(Errno::EBADMSG), "call {n}");
            assert_eq!(kernel.calls(), n);

            let state = |kernel: &Rehearsal| (kernel.interfaces(), kernel.nodes(), commands.borrow().len());
            let before = state(&kernel);
            kernel.fail_call(1, Errno::EBADMSG);
            assert_eq!(errno(kernel.create_gif()), Some(Errno::EBADMSG));
            assert_eq!(state(&kernel), before);
            kernel.create_gif().expect("the failure is over");
        }
        let mut kernel = silent();
        kernel.fail_call(calls + 1, Errno::EBADMSG);
        let made = make(&mut kernel).expect("an interface");
        set_up(&mut kernel, &made).expect("as many calls as expected");
    }
}

#[test]
fn an_error_names_the_call() {
    let mut kernel = silent();
    let error = |call: &str, errno| Some(Error { call: call.to_owned(), errno });
    assert_eq!(kernel.set_mtu(&name("gif0"), 1280).err(), error("SIOCSIFMTU", Errno::ENXIO));
    let bind = Message::Bind(named("ng0"), LOCAL);
    assert_eq!(send(&kernel, &bind).err(), error("bind ng0:inet6", Errno::ENOENT));
    assert_eq!(kernel.load_module("ng_nosuch").err(), error("kldload ng_nosuch", Errno::ENOENT));
}

#[test]
fn modules_are_missing_until_they_are_loaded() {
    let (kernel, commands) = listened_to();
    let mut kernel = kernel.without_modules();
    assert_eq!(errno(kernel.create_gif()), Some(Errno::EINVAL));
    assert_eq!(errno(kernel.open_netgraph()), Some(Errno::EAFNOSUPPORT));
    for module in ["if_gif", "if_gif", "ng_socket", "ng_socket"] {
        kernel.load_module(module).expect("a module");
    }
    assert_eq!(*commands.borrow(), ["kldload if_gif", "kldload ng_socket"]);
    gif(&mut kernel).expect("a gif");
    udp(&mut kernel).expect("nodes");
}

/// What fails in each place: the privilege check, a gif, netgraph, a module.
#[test]
fn only_root_makes_tunnels_and_no_jail_loads_modules() {
    let refused = Some(Errno::EPERM);
    for (mut kernel, expected) in [
        (silent(), [None; 4]),
        (silent().as_nobody(), [refused; 4]),
        (silent().in_jail(), [refused, refused, Some(Errno::EPROTONOSUPPORT), refused]),
        (silent().in_vnet_jail(), [None, None, None, refused]),
        (silent().without_kldload(), [None, Some(Errno::EINVAL), Some(Errno::EAFNOSUPPORT), refused]),
    ] {
        let outcome = [
            errno(kernel.check_privilege()),
            errno(gif(&mut kernel)),
            errno(udp(&mut kernel)),
            errno(kernel.load_module("if_gif")),
        ];
        assert_eq!(outcome, expected);
    }
}

#[test]
fn units_are_the_lowest_that_are_free_and_stay_through_a_renaming() {
    let mut kernel = silent();
    let rename =
        |kernel: &Rehearsal, from, to| kernel.meddle(&name(from), |interface| interface.name = name(to));
    for unit in ["gif0", "gif1", "gif2"] {
        assert_eq!(kernel.create_gif(), Ok(name(unit)));
    }
    kernel.destroy_gif(&name("gif1")).expect("its end");
    assert!(rename(&kernel, "gif0", "wan6"));
    assert!(!rename(&kernel, "gif0", "wan7"), "it is not there any more");
    assert_eq!(kernel.create_gif(), Ok(name("gif1")));
    assert_eq!(kernel.create_gif(), Ok(name("gif3")));

    // An iface node keeps the first name of its interface.
    udp(&mut kernel).expect("nodes");
    assert!(rename(&kernel, "ng0", "wan7"));
    assert_eq!(errno(send(&kernel, &Message::ShutDown(named("wan7")))), Some(Errno::ENOENT));
    send(&kernel, &Message::ShutDown(named("ng0"))).expect("its end");
    assert_eq!(errno(kernel.description(&name("wan7"))), Some(Errno::ENXIO));
}

#[test]
fn a_gif_s_outer_addresses_are_set_in_place_but_never_to_another_s() {
    let mut kernel = silent();
    let first = gif(&mut kernel).expect("a gif");
    kernel.add_address(&first, INNER).expect("an address");
    kernel.set_outer_addresses(&first, OUTER).expect("the pair it has already");
    let second = kernel.create_gif().expect("another");
    assert_eq!(errno(kernel.set_outer_addresses(&second, OUTER)), Some(Errno::EADDRNOTAVAIL));
    kernel.set_outer_addresses(&first, Ends { remote: HERE, ..OUTER }).expect("another pair");
    kernel.set_outer_addresses(&second, OUTER).expect("the pair is free again");
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
    kernel.set_outer_addresses(&gif, OUTER).expect("a source that no interface has is accepted");
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
fn an_ng_interface_is_not_a_gif() {
    let mut kernel = silent();
    let ng = udp(&mut kernel).expect("nodes");
    assert_eq!(errno(kernel.destroy_gif(&ng)), Some(Errno::EINVAL));
    assert_eq!(errno(kernel.set_outer_addresses(&ng, OUTER)), Some(Errno::EINVAL));
}

#[test]
fn a_ksocket_is_bound_to_an_address_of_this_host_that_is_free() {
    let taken = Some(Errno::EADDRINUSE);
    let at = SocketAddrV4::new;
    for (first, second, expected) in [
        (LOCAL, LOCAL, taken),
        (LOCAL, at(ANY, 4028), taken),
        (at(ANY, 4028), LOCAL, taken),
        (LOCAL, at(UPLINK, 4028), None),
        (LOCAL, at(HERE, 4029), None),
        (LOCAL, at(SERVER, 4029), Some(Errno::EADDRNOTAVAIL)),
    ] {
        let kernel = silent();
        kernel.lose_address(SERVER);
        for _ in 0..2 {
            let mut netgraph = kernel.clone().open_netgraph().expect("a socket");
            iface(&mut *netgraph).expect("a node");
            netgraph.send(&Message::MakeKsocket(IfaceNode::OnHook)).expect("a ksocket");
        }
        let bind = |node, address| errno(send(&kernel, &Message::Bind(named(node), address)));
        assert_eq!(bind("ng0", first), None);
        assert_eq!(bind("ng0", at(HERE, 4030)), Some(Errno::EINVAL), "it is bound already");
        assert_eq!(bind("ng1", second), expected, "{second} after {first}");
        if expected == taken {
            send(&kernel, &Message::ShutDown(named("ng0"))).expect("its end");
            assert_eq!(bind("ng1", second), None, "{second} is free again");
        }
    }
}

#[test]
fn a_ksocket_answers_with_its_ends_and_is_left_unconnected_if_a_connect_fails() {
    let (gone, unconnected) = (Err(Errno::ENOENT), Err(Errno::ENOTCONN));
    let kernel = silent();
    let ends = || {
        let questions = [Message::GetName(named("ng0")), Message::GetPeerName(named("ng0"))];
        questions.map(|question| address(&kernel, &question))
    };
    let connect = |remote| errno(send(&kernel, &Message::Connect(named("ng0"), remote)));
    let at = |address, port| Ok(SocketAddrV4::new(address, port));

    assert_eq!(ends(), [gone; 2], "there is no node");
    iface(&mut *kernel.clone().open_netgraph().expect("a socket")).expect("a node");
    assert_eq!(ends(), [gone; 2], "there is no ksocket");
    send(&kernel, &Message::MakeKsocket(named("ng0"))).expect("a ksocket");
    assert_eq!(ends(), [at(ANY, 0), unconnected]);
    assert_eq!(connect(REMOTE), None);
    assert_eq!(ends(), [at(HERE, 49152), Ok(REMOTE)], "a port that is free, and the route's address");

    send(&kernel, &Message::ShutDownKsocket(named("ng0"))).expect("it is there");
    assert_eq!(ends(), [gone; 2]);
    assert_eq!(errno(send(&kernel, &Message::ShutDownKsocket(named("ng0")))), Some(Errno::ENOENT));
    assert_eq!((kernel.interfaces().len(), kernel.nodes().len()), (1, 1), "the iface node stays");
    send(&kernel, &Message::MakeKsocket(named("ng0"))).expect("another ksocket");
    assert_eq!(errno(send(&kernel, &Message::MakeKsocket(named("ng0")))), Some(Errno::EEXIST));

    send(&kernel, &Message::Bind(named("ng0"), LOCAL)).expect("its address");
    kernel.set_route(Some(UPLINK));
    assert_eq!(connect(REMOTE), None);
    assert_eq!(ends(), [Ok(LOCAL), Ok(REMOTE)], "not the route's address");
    assert_eq!(connect(LOCAL), None);
    assert_eq!(ends(), [at(UPLINK, 4028), Ok(LOCAL)], "to connect again loses the address");
    kernel.set_route(None);
    assert_eq!(connect(REMOTE), Some(Errno::ENETUNREACH));
    assert_eq!(ends(), [at(ANY, 4028), unconnected]);
    kernel.set_route(Some(HERE));
    assert_eq!(connect(REMOTE), None);
    assert_eq!(ends(), [Ok(LOCAL), Ok(REMOTE)]);
}

#[test]
fn closing_the_control_socket_leaves_nodes_and_frees_the_hook() {
    let mut kernel = silent();
    let mut netgraph = kernel.open_netgraph().expect("a socket");
    netgraph.send(&Message::MakeIface).expect("a node");
    assert_eq!(errno(netgraph.send(&Message::MakeIface)), Some(Errno::EEXIST), "our hook is taken");
    drop(netgraph);
    assert_eq!(kernel.nodes().len(), 1);
    let mut netgraph = kernel.open_netgraph().expect("a socket");
    let asked = netgraph.send(&Message::GetInterfaceName(IfaceNode::OnHook));
    assert_eq!(errno(asked), Some(Errno::ENOENT), "nothing is on the new hook");
    assert_eq!(iface(&mut *netgraph), Ok(name("ng1")));
    netgraph.send(&Message::ShutDown(IfaceNode::OnHook)).expect("its end");
    assert_eq!(iface(&mut *netgraph), Ok(name("ng1")), "the hook is free again");
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
    let moved = Ends { remote: Ipv6Addr::LOCALHOST, ..INNER };
    kernel.add_address(&gif, INNER).expect("an address");
    kernel.add_address(&gif, moved).expect("the same with another peer");
    assert_eq!(kernel.interfaces()[0].addresses, [moved]);
    kernel.remove_address(&gif, INNER.local).expect("its end");
    assert_eq!(errno(kernel.remove_address(&gif, INNER.local)), Some(Errno::EADDRNOTAVAIL));
}
