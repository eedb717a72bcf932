//! Tunnels on a rehearsed kernel: what is done, in what order, and what is left when something fails.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use dtcpclient::protocol::Offer;
use dtcpclient::tunnel::{Carrier, Error, Settings, Tunnel};
use ffi::errno::Errno;
use ffi::kernel::{Ends, Kernel};
use ffi::name::InterfaceName;
use ffi::netgraph::{IfaceNode, Message};
use ffi::rehearsal::Rehearsal;

const GIF: Carrier = Carrier::Gif;
const UDP: Carrier = Carrier::Udp { port: 4028 };

/// More calls than any tunnel takes.
const MANY: u64 = 40;

fn settings(carrier: Carrier) -> Settings {
    Settings { server: "broker.example".to_owned(), carrier, mtu: 1400 }
}

/// The connection's own address.
const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn offer(last: u8, inner: Option<(&str, &str)>) -> Offer {
    let inner = inner.map(|(local, remote)| Ends {
        local: local.parse().expect("an address"),
        remote: remote.parse().expect("an address"),
    });
    Offer { me: LOCAL, her: Ipv4Addr::new(192, 0, 2, last), inner, prefix: None, udp_port: Some(4030) }
}

/// Without inner addresses.
fn bare() -> Offer {
    offer(2, None)
}

fn numbered() -> Offer {
    offer(2, Some(("2001:db8::2", "2001:db8::1")))
}

/// To another server, with other addresses.
fn other() -> Offer {
    offer(9, Some(("2001:db8::6", "2001:db8::5")))
}

/// A rehearsal, and the commands that it has printed so far.
fn rehearsal() -> (Rehearsal, Rc<RefCell<Vec<String>>>) {
    let told = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&told);
    (Rehearsal::new(move |words| sink.borrow_mut().push(words.join(" "))), told)
}

fn name(name: &str) -> InterfaceName {
    InterfaceName::new(name).expect("a good name")
}

/// Makes a tunnel and forgets it, as a process does that is killed.
fn make_and_forget(kernel: &mut Rehearsal, carrier: Carrier, offer: &Offer) -> Result<(), Error> {
    let mut tunnel = Tunnel::new(kernel, settings(carrier));
    let made = tunnel.bring_up(LOCAL, offer);
    std::mem::forget(tunnel);
    made
}

fn is_empty(kernel: &Rehearsal) -> bool {
    kernel.interfaces().is_empty() && kernel.nodes().is_empty()
}

#[test]
fn a_gif_is_made_and_removed_by_these_commands() {
    let (mut kernel, told) = rehearsal();
    Tunnel::new(&mut kernel, settings(GIF)).bring_up(LOCAL, &numbered()).unwrap();
    let description =
        format!("ifconfig gif0 description dtcpclient: broker.example, pid {}", std::process::id());
    assert_eq!(
        *told.borrow(),
        [
            "ifconfig gif0 create",
            &description,
            "ifconfig gif0 group dtcpclient",
            "ifconfig gif0 tunnel 192.0.2.1 192.0.2.2",
            "ifconfig gif0 mtu 1400",
            "ifconfig gif0 inet6 -ifdisabled",
            "ifconfig gif0 up",
            "ifconfig gif0 inet6 2001:db8::2 2001:db8::1 prefixlen 128",
            "ifconfig gif0 destroy",
        ]
    );
    assert!(is_empty(&kernel));
}

#[test]
fn a_udp_tunnel_is_made_and_removed_by_these_commands() {
    let (mut kernel, told) = rehearsal();
    Tunnel::new(&mut kernel, settings(UDP)).bring_up(LOCAL, &bare()).unwrap();
    let description =
        format!("ifconfig ng0 description dtcpclient: broker.example, pid {}", std::process::id());
    assert_eq!(
        *told.borrow(),
        [
            "ngctl mkpeer . iface dtcp inet",
            &description,
            "ifconfig ng0 group dtcpclient",
            "ngctl mkpeer ng0: ksocket inet6 inet/dgram/udp",
            "ngctl msg ng0:inet6 bind inet/192.0.2.1:4028",
            "ngctl msg ng0:inet6 connect inet/192.0.2.2:4030",
            "ifconfig ng0 mtu 1400",
            "ifconfig ng0 inet6 -ifdisabled",
            "ifconfig ng0 up",
            "ngctl shutdown ng0:",
        ]
    );
    assert!(is_empty(&kernel));
}

#[test]
fn a_made_tunnel_can_carry_packets() {
    for carrier in [GIF, UDP] {
        let (mut kernel, _) = rehearsal();
        make_and_forget(&mut kernel, carrier, &numbered()).unwrap();
        let [interface] = &kernel.interfaces()[..] else { panic!("one interface") };
        assert!(interface.up && interface.ipv6_enabled && kernel.is_running(interface), "{interface:?}");
        assert_eq!(
            (interface.mtu, interface.groups.as_slice()),
            (1400, ["dtcpclient".to_owned()].as_slice())
        );
        assert_eq!(interface.addresses, [numbered().inner.unwrap()]);
    }
}

/// The commands of a second login, after `meddle` has been at the interface.
fn second_login(
    carrier: Carrier,
    from: &Offer,
    to: &Offer,
    local: Ipv4Addr,
    meddle: fn(&Rehearsal, &InterfaceName),
) -> Vec<String> {
    let (kernel, told) = rehearsal();
    let mut shared = kernel.clone();
    let mut tunnel = Tunnel::new(&mut shared, settings(carrier));
    tunnel.bring_up(LOCAL, from).expect("a tunnel");
    let before = tunnel.interface().cloned().expect("an interface");
    meddle(&kernel, &before);
    told.borrow_mut().clear();
    tunnel.bring_up(local, to).expect("a tunnel elsewhere");
    assert_eq!(tunnel.interface(), Some(&before), "the interface keeps its name");
    let [interface] = &kernel.interfaces()[..] else { panic!("one interface") };
    assert!(interface.up && interface.ipv6_enabled && kernel.is_running(interface), "{interface:?}");
    assert_eq!((interface.mtu, &interface.groups[..]), (1400, &["dtcpclient".to_owned()][..]));
    assert_eq!(interface.addresses, Vec::from_iter(to.inner));
    told.take()
}

/// Those of the commands that tell this login from the first.
fn changes(carrier: Carrier, from: &Offer, to: &Offer) -> Vec<String> {
    let mut commands = second_login(carrier, from, to, LOCAL, |_, _| {});
    commands.retain(|command| [" tunnel ", " inet6 2001", "ngctl"].iter().any(|part| command.contains(part)));
    commands
}

#[test]
fn a_new_login_sets_the_outer_addresses_in_place_and_removes_the_inner_ones_that_differ() {
    let here = "ifconfig gif0 tunnel 192.0.2.1 192.0.2.2";
    let there = "ifconfig gif0 tunnel 192.0.2.1 192.0.2.9";
    let add = "ifconfig gif0 inet6 2001:db8::2 2001:db8::1 prefixlen 128";
    let remove = "ifconfig gif0 inet6 2001:db8::2 -alias";
    let renumber = "ifconfig gif0 inet6 2001:db8::6 2001:db8::5 prefixlen 128";
    assert_eq!(changes(GIF, &numbered(), &other()), [there, remove, renumber]);
    assert_eq!(changes(GIF, &numbered(), &numbered()), [here, add]);
    assert_eq!(changes(GIF, &bare(), &bare()), [here]);
    assert_eq!(changes(GIF, &numbered(), &offer(9, None)), [there, remove]);
}

#[test]
fn a_new_login_mends_what_others_did_to_the_interface() {
    for carrier in [GIF, UDP] {
        second_login(carrier, &numbered(), &numbered(), LOCAL, |kernel, interface| {
            assert!(kernel.meddle(interface, |interface| {
                (interface.up, interface.ipv6_enabled, interface.mtu) = (false, false, 1280);
                interface.addresses.clear();
                interface.groups.clear();
            }));
        });
    }
}

/// The netgraph commands of a second login.
fn messages(to: &Offer, local: Ipv4Addr, meddle: fn(&Rehearsal, &InterfaceName)) -> Vec<String> {
    let mut commands = second_login(UDP, &numbered(), to, local, meddle);
    commands.retain(|command| command.starts_with("ngctl"));
    commands
}

#[test]
fn the_ksocket_is_left_alone_while_it_has_its_ends_and_else_made_again() {
    let elsewhere = Ipv4Addr::new(198, 51, 100, 7);
    let remove = "ngctl shutdown ng0:inet6";
    let make = "ngctl mkpeer ng0: ksocket inet6 inet/dgram/udp";
    let bind = "ngctl msg ng0:inet6 bind inet/192.0.2.1:4028";
    let connect = "ngctl msg ng0:inet6 connect inet/192.0.2.2:4030";
    assert_eq!(messages(&numbered(), LOCAL, |_, _| {}), [""; 0]);
    let gone = messages(&numbered(), LOCAL, Rehearsal::shut_down_ksocket);
    assert_eq!(gone, [make, bind, connect]);
    let moved = messages(&numbered(), elsewhere, |_, _| {});
    assert_eq!(moved, [remove, make, "ngctl msg ng0:inet6 bind inet/198.51.100.7:4028", connect]);
    let unconnected = messages(&numbered(), LOCAL, |kernel, node| {
        connect_in_vain(&mut kernel.clone(), node);
    });
    assert_eq!(unconnected, [remove, make, bind, connect]);
    // As on a host with two uplinks: a ksocket connected again in place would send from the route's address.
    let other_server = messages(&other(), LOCAL, |kernel, _| {
        kernel.set_route(Some(Ipv4Addr::new(198, 51, 100, 7)));
    });
    assert_eq!(other_server, [remove, make, bind, "ngctl msg ng0:inet6 connect inet/192.0.2.9:4030"]);
}

/// Leaves a ksocket unconnected, as a connect without a route does.
fn connect_in_vain(kernel: &mut Rehearsal, node: &InterfaceName) {
    kernel.set_route(None);
    let connect = Message::Connect(IfaceNode::Named(node.clone()), SocketAddrV4::new(LOCAL, 4030));
    assert!(kernel.open_netgraph().expect("a socket").send(&connect).is_err());
    kernel.set_route(Some(LOCAL));
}

/// Errnos that mean something to the code, and one that does not.
const ERRNOS: [Errno; 8] = [
    Errno::EPERM,
    Errno::ENOENT,
    Errno::ENXIO,
    Errno::EINVAL,
    Errno::EAFNOSUPPORT,
    Errno::EADDRINUSE,
    Errno::EADDRNOTAVAIL,
    Errno(12),
];

#[test]
fn whichever_call_fails_a_new_tunnel_fails_cleanly_and_works_the_next_time() {
    for carrier in [GIF, UDP] {
        for errno in ERRNOS {
            for modules in [true, false] {
                let mut failures = 0;
                for n in 1..=MANY {
                    let (kernel, _) = rehearsal();
                    let mut kernel = if modules { kernel } else { kernel.without_modules() };
                    kernel.fail_call(n, errno);
                    if let Err(error) = make_and_forget(&mut kernel, carrier, &numbered()) {
                        failures += 1;
                        assert!(
                            is_empty(&kernel),
                            "call {n}, {errno}: {error} leaves {:?}",
                            kernel.interfaces()
                        );
                        assert!(!error.to_string().is_empty());
                        // The call that is to fail may still be ahead.
                        make_and_forget(&mut kernel, carrier, &numbered()).unwrap();
                    }
                    assert_eq!(kernel.interfaces().len(), 1);
                }
                assert!(failures >= 7, "{carrier:?}, {errno}: only {failures} calls could fail");
            }
        }
    }
}

#[test]
fn whichever_call_fails_a_live_tunnel_stays_where_it_was_and_can_be_changed_the_next_time() {
    for (carrier, calls) in [(GIF, 8), (UDP, 12)] {
        let mut failures = 0;
        for n in 1..=MANY {
            let (kernel, _) = rehearsal();
            let mut shared = kernel.clone();
            let mut tunnel = Tunnel::new(&mut shared, settings(carrier));
            tunnel.bring_up(LOCAL, &numbered()).unwrap();
            let before = (kernel.interfaces(), kernel.nodes());
            kernel.fail_call(n, Errno(12));
            if tunnel.bring_up(LOCAL, &other()).is_ok() {
                continue;
            }
            failures += 1;
            assert_eq!((kernel.interfaces(), kernel.nodes()), before, "call {n}");
            tunnel.bring_up(LOCAL, &other()).unwrap();
            assert_eq!(kernel.interfaces()[0].addresses, [other().inner.unwrap()]);
            drop(tunnel);
            assert!(is_empty(&kernel));
        }
        assert_eq!(failures, calls, "{carrier:?}");
    }
}

#[test]
fn a_live_tunnel_that_can_neither_be_changed_nor_restored_is_removed() {
    let (kernel, _) = rehearsal();
    let mut shared = kernel.clone();
    let mut tunnel = Tunnel::new(&mut shared, settings(UDP));
    tunnel.bring_up(LOCAL, &numbered()).unwrap();
    // On a real kernel, the ksocket would now take packets from anyone.
    kernel.set_route(None);
    assert!(tunnel.bring_up(LOCAL, &other()).is_err());
    assert!(is_empty(&kernel));
    kernel.set_route(Some(LOCAL));
    tunnel.bring_up(LOCAL, &other()).unwrap();
    assert_eq!(kernel.interfaces().len(), 1);
}

#[test]
fn a_panic_takes_the_tunnel_down() {
    for carrier in [GIF, UDP] {
        let kernel = Rehearsal::new(|words| assert!(words[2] != "up", "as a fault of ours would"));
        let mut shared = kernel.clone();
        let bring_up = || Tunnel::new(&mut shared, settings(carrier)).bring_up(LOCAL, &bare());
        assert!(catch_unwind(AssertUnwindSafe(bring_up)).is_err());
        assert!(is_empty(&kernel));
    }
}

#[test]
fn missing_modules_are_loaded_and_the_call_tried_again() {
    let netgraph = ["kldload ng_socket", "kldload ng_iface", "kldload ng_ksocket"];
    for (carrier, first) in [(GIF, &["kldload if_gif"][..]), (UDP, &netgraph)] {
        let (kernel, told) = rehearsal();
        make_and_forget(&mut kernel.without_modules(), carrier, &bare()).unwrap();
        assert_eq!(told.borrow()[..first.len()], *first);
    }
}

fn complaint(kernel: Rehearsal, carrier: Carrier) -> String {
    let mut kernel = kernel;
    let error = make_and_forget(&mut kernel, carrier, &bare()).expect_err("a refusal");
    assert!(is_empty(&kernel));
    error.to_string()
}

#[test]
fn a_refusal_says_what_to_do() {
    for (kernel, carrier, advice) in [
        (rehearsal().0.as_nobody(), GIF, "run as root"),
        (rehearsal().0.as_nobody(), UDP, "run as root"),
        (rehearsal().0.in_jail(), GIF, "in a jail, vnet is required"),
        (rehearsal().0.in_jail(), UDP, "enable vnet for the jail"),
        (rehearsal().0.without_kldload(), GIF, "run `kldload if_gif` on the host"),
        (rehearsal().0.without_kldload(), UDP, "run `kldload ng_socket` on the host"),
    ] {
        let complaint = complaint(kernel, carrier);
        assert!(complaint.contains(advice), "{complaint}");
    }
    // The calls are: open the control socket, make the iface node.
    for (errno, advice) in [
        (Errno::EPERM, "run `kldload ng_iface` on the host"),
        (Errno::ENOENT, "cannot load the kernel module ng_iface"),
    ] {
        let (kernel, _) = rehearsal();
        kernel.fail_call(2, errno);
        let complaint = complaint(kernel, UDP);
        assert!(complaint.contains(advice), "{complaint}");
    }
    let (kernel, _) = rehearsal();
    kernel.set_route(None);
    assert!(complaint(kernel, UDP).contains("no route to 192.0.2.2"));
}

#[test]
fn a_port_or_a_pair_that_is_taken_is_named() {
    let (mut kernel, _) = rehearsal();
    make_and_forget(&mut kernel, UDP, &bare()).unwrap();
    let error = make_and_forget(&mut kernel, UDP, &bare()).unwrap_err();
    assert_eq!(error.to_string(), "UDP port 4028 is in use on 192.0.2.1");
    make_and_forget(&mut kernel, GIF, &bare()).unwrap();
    let error = make_and_forget(&mut kernel, GIF, &bare()).unwrap_err().to_string();
    assert!(
        error.contains("another gif has the outer addresses 192.0.2.1 to 192.0.2.2, wanted for gif1"),
        "{error}"
    );
    assert_eq!(kernel.interfaces().len(), 2, "the others are not touched");
}

#[test]
fn without_the_privilege_it_is_said_before_anyone_logs_in() {
    for carrier in [GIF, UDP] {
        let check = |mut kernel: Rehearsal| Tunnel::new(&mut kernel, settings(carrier)).check_privilege();
        assert_eq!(check(rehearsal().0), Ok(()));
        assert_eq!(check(rehearsal().0.without_modules()), Ok(()));
        for kernel in [rehearsal().0.as_nobody(), rehearsal().0.in_jail()] {
            assert!(check(kernel).is_err());
        }
    }
}

#[test]
fn an_interface_that_was_renamed_is_found_and_removed() {
    for carrier in [GIF, UDP] {
        let (kernel, _) = rehearsal();
        let mut shared = kernel.clone();
        let mut tunnel = Tunnel::new(&mut shared, settings(carrier));
        tunnel.bring_up(LOCAL, &numbered()).unwrap();
        let was = tunnel.interface().cloned().unwrap();
        assert!(kernel.meddle(&was, |interface| interface.name = name("wan6")));
        tunnel.bring_up(LOCAL, &offer(9, None)).unwrap();
        assert_eq!(tunnel.interface(), Some(&name("wan6")));
        assert!(kernel.meddle(&name("wan6"), |interface| interface.name = name("wan7")));
        drop(tunnel);
        assert!(is_empty(&kernel));
    }
}

#[test]
fn an_interface_with_another_description_is_still_ours() {
    let (kernel, _) = rehearsal();
    let mut shared = kernel.clone();
    let mut tunnel = Tunnel::new(&mut shared, settings(GIF));
    tunnel.bring_up(LOCAL, &bare()).unwrap();
    kernel.clone().set_description(&name("gif0"), "uplink").unwrap();
    tunnel.bring_up(LOCAL, &bare()).unwrap();
    assert_eq!(kernel.interfaces().len(), 1);
    drop(tunnel);
    assert!(is_empty(&kernel));
}

#[test]
fn an_interface_that_somebody_removed_is_made_again_and_another_s_is_not_touched() {
    let (kernel, _) = rehearsal();
    let mut shared = kernel.clone();
    let mut tunnel = Tunnel::new(&mut shared, settings(GIF));
    tunnel.bring_up(LOCAL, &bare()).unwrap();
    kernel.clone().destroy_gif(&name("gif0")).unwrap();
    // The name is given to somebody else.
    assert_eq!(kernel.clone().create_gif().unwrap(), name("gif0"));
    tunnel.bring_up(LOCAL, &bare()).unwrap();
    assert_eq!(tunnel.interface(), Some(&name("gif1")));
    drop(tunnel);
    let names: Vec<_> = kernel.interfaces().iter().map(|interface| interface.name.to_string()).collect();
    assert_eq!(names, ["gif0"]);
}

#[test]
fn what_a_killed_run_left_is_removed_and_nothing_else() {
    let (mut kernel, _) = rehearsal();
    make_and_forget(&mut kernel, GIF, &bare()).unwrap();
    make_and_forget(&mut kernel, UDP, &bare()).unwrap();
    let foreign = kernel.create_gif().unwrap();
    kernel.join_group(&foreign, "dtcpclient").unwrap();
    kernel.set_description(&foreign, "uplink").unwrap();
    let me = std::process::id();
    Tunnel::new(&mut kernel, settings(GIF)).remove_leftovers(|pid| pid == me);
    assert_eq!(kernel.interfaces().len(), 3, "the process lives");
    Tunnel::new(&mut kernel, settings(GIF)).remove_leftovers(|_| false);
    let names: Vec<_> = kernel.interfaces().iter().map(|interface| interface.name.clone()).collect();
    assert_eq!(names, [foreign]);
    make_and_forget(&mut kernel, UDP, &bare()).expect("the port is free again");
}

#[test]
fn a_process_lives_or_does_not() {
    use dtcpclient::tunnel::leftovers::lives;
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    assert!(lives(child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!lives(child.id()));
    assert!(
        !lives(std::process::id()),
        "an interface with our own pid was left behind by an earlier process"
    );
    assert!(!lives(u32::MAX));
}
