//! Tunnels on a rehearsed kernel: what is done, in what order, and what is left when something fails.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use dtcpclient::options::Options;
use dtcpclient::protocol::Offer;
use dtcpclient::tunnel::{Carrier, Error, Settings, Tunnel};
use ffi::errno::Errno;
use ffi::kernel::{Ends, Kernel};
use ffi::name::InterfaceName;
use ffi::netgraph::{IfaceNode, Message};
use ffi::rehearsal::{Place, Rehearsal};
use harness::{is_empty, name, rehearsal, silent};

const GIF: Carrier = Carrier::Gif;
const UDP: Carrier = Carrier::Udp { port: 4028 };

/// More calls than any tunnel takes.
const MANY: u64 = 40;

/// The tunnel of a process. The kernel that it borrows is leaked.
fn tunnel(kernel: &Rehearsal, carrier: Carrier) -> Tunnel<'static> {
    tunnel_with(kernel, carrier, &[])
}

/// The same, whose interface is to be called `wan6`.
fn named_tunnel(kernel: &Rehearsal, carrier: Carrier) -> Tunnel<'static> {
    tunnel_with(kernel, carrier, &["--interface", "wan6"])
}

fn tunnel_with(kernel: &Rehearsal, carrier: Carrier, options: &[&str]) -> Tunnel<'static> {
    let words = ["dtcpclient", "-m", "1400", "broker.example"].iter().chain(options);
    let options = Options::read(words.map(Into::into)).expect("a good command line");
    Tunnel::new(Box::leak(Box::new(kernel.clone())), Settings { carrier, ..options.tunnel })
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

/// A kernel with a tunnel.
fn up(carrier: Carrier, offer: &Offer) -> (Rehearsal, Tunnel<'static>) {
    let kernel = silent();
    let mut tunnel = tunnel(&kernel, carrier);
    tunnel.bring_up(LOCAL, offer).expect("a tunnel");
    (kernel, tunnel)
}

/// Makes a tunnel and forgets it, as a process does that is killed.
fn make_and_forget(kernel: &Rehearsal, carrier: Carrier, offer: &Offer) -> Result<(), Error> {
    forget(tunnel(kernel, carrier), offer)
}

fn forget(mut tunnel: Tunnel<'_>, offer: &Offer) -> Result<(), Error> {
    let made = tunnel.bring_up(LOCAL, offer);
    std::mem::forget(tunnel);
    made
}

fn names(kernel: &Rehearsal) -> Vec<String> {
    kernel.interfaces().iter().map(|interface| interface.name.to_string()).collect()
}

/// There is one interface, and it can carry packets.
fn assert_carries(kernel: &Rehearsal, offer: &Offer) {
    let [interface] = &kernel.interfaces()[..] else { panic!("one interface") };
    assert!(interface.up && interface.ipv6_enabled && kernel.is_running(interface), "{interface:?}");
    assert_eq!((interface.mtu, &interface.groups[..]), (1400, &["dtcpclient".to_owned()][..]));
    assert_eq!(interface.addresses, Vec::from_iter(offer.inner));
}

#[test]
fn a_tunnel_is_made_and_removed_by_these_commands_and_can_carry_packets() {
    let gif = [
        "ifconfig gif0 create",
        "ifconfig gif0 description dtcpclient: broker.example, pid PID, started 12.345000",
        "ifconfig gif0 group dtcpclient",
        "ifconfig gif0 tunnel 192.0.2.1 192.0.2.2",
        "ifconfig gif0 mtu 1400",
        "ifconfig gif0 inet6 -ifdisabled",
        "ifconfig gif0 up",
        "ifconfig gif0 inet6 2001:db8::2 2001:db8::1 prefixlen 128",
        "ifconfig gif0 destroy",
    ];
    let udp = [
        "ngctl mkpeer . iface dtcp inet",
        "ifconfig ng0 description dtcpclient: broker.example, pid PID, started 12.345000",
        "ifconfig ng0 group dtcpclient",
        "ngctl mkpeer ng0: ksocket inet6 inet/dgram/udp",
        "ngctl msg ng0:inet6 bind inet/192.0.2.1:4028",
        "ngctl msg ng0:inet6 connect inet/192.0.2.2:4030",
        "ifconfig ng0 mtu 1400",
        "ifconfig ng0 inet6 -ifdisabled",
        "ifconfig ng0 up",
        "ifconfig ng0 inet6 2001:db8::2 2001:db8::1 prefixlen 128",
        "ngctl shutdown ng0:",
    ];
    for (carrier, expected) in [(GIF, &gif[..]), (UDP, &udp)] {
        let (kernel, commands) = rehearsal();
        let mut tunnel = tunnel(&kernel, carrier);
        tunnel.bring_up(LOCAL, &numbered()).unwrap();
        assert_carries(&kernel, &numbered());
        drop(tunnel);
        let pid = std::process::id().to_string();
        assert_eq!(
            commands.take(),
            expected.iter().map(|line| line.replace("PID", &pid)).collect::<Vec<_>>()
        );
        assert!(is_empty(&kernel));
    }
}

/// The commands of a second login, after `meddle` has been at the interface: those that set the ends of a gif, or to the
/// nodes of a UDP tunnel.
fn second_login(
    carrier: Carrier,
    [from, to]: [&Offer; 2],
    local: Ipv4Addr,
    meddle: fn(&Rehearsal, &InterfaceName),
) -> Vec<String> {
    let (kernel, commands) = rehearsal();
    let mut tunnel = tunnel(&kernel, carrier);
    tunnel.bring_up(LOCAL, from).expect("a tunnel");
    let before = tunnel.interface().cloned().expect("an interface");
    meddle(&kernel, &before);
    commands.take();
    tunnel.bring_up(local, to).expect("a tunnel elsewhere");
    assert_eq!(tunnel.interface(), Some(&before), "the interface keeps its name");
    assert_carries(&kernel, to);
    let parts = if carrier == GIF { [" tunnel ", " inet6 2001"] } else { ["ngctl"; 2] };
    commands.take().into_iter().filter(|command| parts.iter().any(|part| command.contains(part))).collect()
}

#[test]
fn a_new_login_sets_the_outer_addresses_in_place_and_removes_the_inner_ones_that_differ() {
    let here = "ifconfig gif0 tunnel 192.0.2.1 192.0.2.2";
    let there = "ifconfig gif0 tunnel 192.0.2.1 192.0.2.9";
    let add = "ifconfig gif0 inet6 2001:db8::2 2001:db8::1 prefixlen 128";
    let remove = "ifconfig gif0 inet6 2001:db8::2 -alias";
    let renumber = "ifconfig gif0 inet6 2001:db8::6 2001:db8::5 prefixlen 128";
    for (from, to, expected) in [
        (numbered(), other(), &[there, remove, renumber][..]),
        (numbered(), numbered(), &[here, add]),
        (bare(), bare(), &[here]),
        (numbered(), offer(9, None), &[there, remove]),
    ] {
        assert_eq!(second_login(GIF, [&from, &to], LOCAL, |_, _| {}), expected);
    }
}

#[test]
fn an_interface_gets_the_wanted_name_before_it_can_carry_packets_and_keeps_it() {
    for (carrier, first) in [(GIF, "gif0"), (UDP, "ng0")] {
        let (kernel, commands) = rehearsal();
        let mut tunnel = named_tunnel(&kernel, carrier);
        tunnel.check_free(LOCAL, bare().her).unwrap();
        tunnel.bring_up(LOCAL, &numbered()).unwrap();
        assert_carries(&kernel, &numbered());
        assert_eq!(commands.take()[2], format!("ifconfig {first} name wan6"));

        assert!(kernel.meddle(&name("wan6"), |interface| interface.name = name("away0")));
        assert!(tunnel.look(Instant::now()));
        assert_eq!(
            tunnel.interface(),
            Some(&name("away0")),
            "as the administrator wants it until the next login"
        );
        tunnel.check_free(LOCAL, bare().her).unwrap();
        tunnel.bring_up(LOCAL, &numbered()).unwrap();
        assert_eq!(names(&kernel), ["wan6"]);
        drop(tunnel);
        assert!(is_empty(&kernel));
    }
}

#[test]
fn a_name_that_another_interface_has_is_refused_before_the_login_and_when_the_interface_is_made() {
    for carrier in [GIF, UDP] {
        let kernel = silent();
        let other = kernel.clone().create_gif().unwrap();
        assert!(kernel.meddle(&other, |interface| interface.name = name("wan6")));
        let mut tunnel = named_tunnel(&kernel, carrier);
        let taken = Err(Error::NameInUse(name("wan6")));
        assert_eq!(tunnel.check_name(), taken);
        assert_eq!(tunnel.check_free(LOCAL, bare().her), taken);
        assert_eq!(tunnel.bring_up(LOCAL, &bare()), taken);
        assert_eq!(names(&kernel), ["wan6"], "nothing of ours is left");
    }
}

/// pf(4) keeps interfaces and groups in one table, and the kernel panics.
#[test]
fn the_name_of_a_group_is_refused_before_the_login_and_when_the_interface_is_made() {
    for name in ["gif", "all", "dtcpclient", "lan"] {
        let mut kernel = silent();
        let other = kernel.create_gif().unwrap();
        kernel.join_group(&other, "lan").unwrap();
        let mut tunnel = tunnel_with(&kernel, GIF, &["--interface", name]);
        let refused = Err(Error::NameOfGroup(InterfaceName::new(name).unwrap()));
        assert_eq!(tunnel.check_name(), refused);
        assert_eq!(tunnel.bring_up(LOCAL, &bare()), refused);
        assert_eq!(kernel.interfaces().len(), 1, "{name}: nothing of ours is left");
    }
}

#[test]
fn a_name_that_a_killed_process_left_is_free_again() {
    for (carrier, place, name) in
        [(GIF, Place::Root, "wan6"), (UDP, Place::Root, "wan6"), (UDP, Place::VnetJail, "gif1")]
    {
        let kernel = silent().in_place(place);
        let tunnel = || tunnel_with(&kernel, carrier, &["--interface", name]);
        forget(tunnel(), &bare()).unwrap();
        kernel.restart_process();
        let mut tunnel = tunnel();
        assert!(tunnel.check_name().is_err());
        tunnel.remove_leftovers();
        assert_eq!(tunnel.check_name(), Ok(()));
        tunnel.bring_up(LOCAL, &bare()).unwrap();
        assert_eq!(names(&kernel), [name]);
    }
}

/// A call of the seam is at most four of the kernel's: see docs/cost.md.
#[test]
fn few_calls_are_made_from_the_grant_to_the_tunnel() {
    for (carrier, most) in [(GIF, 11), (UDP, 19)] {
        let kernel = silent();
        let mut tunnel = tunnel(&kernel, carrier);
        let before = kernel.calls();
        tunnel.bring_up(LOCAL, &numbered()).unwrap();
        assert_eq!(kernel.calls() - before, most, "{carrier:?}");
    }
}

#[test]
fn an_inner_address_that_cannot_be_used_is_added_again_but_not_more_than_twice_a_minute() {
    let (kernel, mut tunnel) = up(GIF, &numbered());
    let start = Instant::now();
    for (seconds, there) in [(0, false), (29, false), (30, true), (31, false), (60, true)] {
        // The far end has it, too, or somebody has removed it.
        assert!(kernel.meddle(&name("gif0"), |interface| interface.addresses.clear()));
        assert_eq!(tunnel.renew_address(start + Duration::from_secs(seconds)), there, "after {seconds} s");
        assert_eq!(tunnel.is_usable(), there, "after {seconds} s");
    }
    tunnel.bring_up(LOCAL, &other()).expect("a tunnel");
    assert!(kernel.meddle(&name("gif0"), |interface| interface.addresses.clear()));
    assert!(!tunnel.renew_address(start + Duration::from_mins(8)), "the kernel still checks the new one");
    tunnel.bring_up(LOCAL, &bare()).expect("a tunnel");
    assert!(!tunnel.renew_address(start + Duration::from_mins(9)));
    assert!(kernel.interfaces()[0].addresses.is_empty());
}

#[test]
fn echo_requests_are_sent_from_the_inner_address_of_the_last_login() {
    let (_kernel, mut tunnel) = up(GIF, &bare());
    for (sequence, offer) in (1..).zip([numbered(), other(), bare(), numbered()]) {
        tunnel.bring_up(LOCAL, &offer).expect("a tunnel");
        tunnel.send_echo(sequence, false).expect("a request");
        assert_eq!(tunnel.echo_replies(), [sequence], "{offer:?}");
    }
}

#[test]
fn a_tunnel_can_be_used_once_its_inner_address_can_be_bound() {
    for carrier in [GIF, UDP] {
        let kernel = silent();
        let mut tunnel = tunnel(&kernel, carrier);
        assert!(!tunnel.is_usable(), "there is none");
        tunnel.bring_up(LOCAL, &numbered()).unwrap();
        assert!(tunnel.is_usable());
        kernel.fail_call(1, Errno::EADDRNOTAVAIL);
        assert!(!tunnel.is_usable(), "the kernel still checks the address");
        tunnel.bring_up(LOCAL, &bare()).unwrap();
        assert!(tunnel.is_usable(), "it has no inner address");
    }
}

#[test]
fn a_new_login_mends_what_others_did_to_the_interface() {
    for carrier in [GIF, UDP] {
        second_login(carrier, [&numbered(); 2], LOCAL, |kernel, interface| {
            assert!(kernel.meddle(interface, |interface| {
                (interface.up, interface.ipv6_enabled, interface.mtu) = (false, false, 1280);
                interface.addresses.clear();
                interface.groups.clear();
            }));
        });
    }
}

#[test]
fn the_ksocket_is_made_again_unless_it_has_its_ends() {
    const UPLINK: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
    let remove = "ngctl shutdown ng0:inet6";
    let make = "ngctl mkpeer ng0: ksocket inet6 inet/dgram/udp";
    let bind = "ngctl msg ng0:inet6 bind inet/192.0.2.1:4028";
    let bind_elsewhere = "ngctl msg ng0:inet6 bind inet/198.51.100.7:4028";
    let connect = "ngctl msg ng0:inet6 connect inet/192.0.2.2:4030";
    let connect_elsewhere = "ngctl msg ng0:inet6 connect inet/192.0.2.9:4030";
    let login = |to, local, meddle| second_login(UDP, [&numbered(), &to], local, meddle);
    assert_eq!(login(numbered(), LOCAL, |_, _| {}), [""; 0]);
    let shut_down = |kernel: &Rehearsal, node: &InterfaceName| {
        assert!(kernel.meddle(node, |interface| interface.ksocket = None));
    };
    assert_eq!(login(numbered(), LOCAL, shut_down), [make, bind, connect]);
    assert_eq!(login(numbered(), UPLINK, |_, _| {}), [remove, make, bind_elsewhere, connect]);
    let unconnected = login(numbered(), LOCAL, |kernel, node| {
        kernel.set_route(None);
        let connect = Message::Connect(IfaceNode::Named(node.clone()), SocketAddrV4::new(LOCAL, 4030));
        assert!(kernel.clone().open_netgraph().expect("a socket").send(&connect).is_err());
        kernel.set_route(Some(LOCAL));
    });
    assert_eq!(unconnected, [remove, make, bind, connect]);
    // As on a host with two uplinks: a ksocket connected again in place would send from the route's address.
    let other_server = login(other(), LOCAL, |kernel, _| kernel.set_route(Some(UPLINK)));
    assert_eq!(other_server, [remove, make, bind, connect_elsewhere]);
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
fn if_a_call_fails_a_new_tunnel_fails_cleanly_and_works_the_next_time() {
    let with_or_without_modules: [fn(Rehearsal) -> Rehearsal; 2] =
        [|kernel| kernel, Rehearsal::without_modules];
    for carrier in [GIF, UDP] {
        for (errno, change) in
            ERRNOS.into_iter().flat_map(|errno| with_or_without_modules.map(|it| (errno, it)))
        {
            let mut failures = 0;
            for n in 1..=MANY {
                let kernel = change(silent());
                kernel.fail_call(n, errno);
                if let Err(error) = forget(named_tunnel(&kernel, carrier), &numbered()) {
                    failures += 1;
                    assert!(is_empty(&kernel), "call {n}, {errno}: {error} leaves {:?}", kernel.interfaces());
                    assert!(!error.to_string().is_empty());
                    // The call that is to fail may still be ahead.
                    forget(named_tunnel(&kernel, carrier), &numbered()).unwrap();
                }
                assert_eq!(kernel.interfaces().len(), 1);
            }
            assert!(failures >= 7, "{carrier:?}, {errno}: only {failures} calls could fail");
        }
    }
}

#[test]
fn if_a_call_fails_a_live_tunnel_stays_where_it_was_and_can_be_changed_the_next_time() {
    for (carrier, calls) in [(GIF, 9), (UDP, 13)] {
        let mut failures = 0;
        for n in 1..=MANY {
            let (kernel, mut tunnel) = up(carrier, &numbered());
            let before = kernel.interfaces();
            kernel.fail_call(n, Errno(12));
            if tunnel.bring_up(LOCAL, &other()).is_ok() {
                continue;
            }
            failures += 1;
            assert_eq!(kernel.interfaces(), before, "call {n}");
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
    let (kernel, mut tunnel) = up(UDP, &numbered());
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
        let bring_up = || tunnel(&kernel, carrier).bring_up(LOCAL, &bare());
        assert!(catch_unwind(AssertUnwindSafe(bring_up)).is_err());
        assert!(is_empty(&kernel));
    }
}

#[test]
fn missing_modules_are_loaded_and_the_call_tried_again() {
    let netgraph = ["kldload ng_socket", "kldload ng_iface", "kldload ng_ksocket"];
    for (carrier, first) in [(GIF, &["kldload if_gif"][..]), (UDP, &netgraph)] {
        let (kernel, commands) = rehearsal();
        make_and_forget(&kernel.without_modules(), carrier, &bare()).unwrap();
        assert_eq!(commands.borrow()[..first.len()], *first);
    }
}

#[test]
fn a_refusal_says_what_to_do() {
    let with = |change: fn(&Rehearsal)| {
        let kernel = silent();
        change(&kernel);
        kernel
    };
    for (kernel, carrier, advice) in [
        (silent().in_place(Place::Nobody), GIF, "run as root"),
        (silent().in_place(Place::Nobody), UDP, "run as root"),
        (silent().in_place(Place::Jail), GIF, "in a jail, vnet is required"),
        (silent().in_place(Place::Jail), UDP, "enable vnet for the jail"),
        (silent().without_modules().in_place(Place::VnetJail), GIF, "run `kldload if_gif` on the host"),
        (silent().without_modules().in_place(Place::VnetJail), UDP, "run `kldload ng_socket` on the host"),
        // The first call opens the control socket, the second makes the iface node.
        (with(|kernel| kernel.fail_call(3, Errno::EPERM)), UDP, "run `kldload ng_iface` on the host"),
        (with(|kernel| kernel.fail_call(3, Errno::ENOENT)), UDP, "cannot load the kernel module ng_iface"),
        (with(|kernel| kernel.set_route(None)), UDP, "no route to 192.0.2.2"),
    ] {
        let error = make_and_forget(&kernel, carrier, &bare()).expect_err("a refusal").to_string();
        assert!(is_empty(&kernel) && error.contains(advice), "{error}");
    }
}

#[test]
fn an_error_names_the_port_or_the_pair_that_is_taken() {
    let kernel = silent();
    for (carrier, taken) in [
        (UDP, "UDP port 4028 is in use on 192.0.2.1"),
        (
            GIF,
            "another gif already has the outer addresses 192.0.2.1 to 192.0.2.2: find it with ifconfig, and destroy it if it is not needed",
        ),
    ] {
        make_and_forget(&kernel, carrier, &bare()).unwrap();
        let error = make_and_forget(&kernel, carrier, &bare()).unwrap_err().to_string();
        assert_eq!(error, taken);
    }
    assert_eq!(names(&kernel), ["ng0", "gif0"], "the others are not touched");
}

#[test]
fn a_port_or_a_pair_that_is_taken_is_found_before_the_login() {
    let kernel = silent();
    let check = |carrier| tunnel(&kernel, carrier).check_free(LOCAL, bare().her);
    for (carrier, complaint) in [
        (UDP, "UDP port 4028 is in use on 192.0.2.1"),
        (GIF, "gif0 already has the outer addresses 192.0.2.1 to 192.0.2.2"),
    ] {
        assert_eq!(check(carrier), Ok(()));
        let mut ours = tunnel(&kernel, carrier);
        ours.bring_up(LOCAL, &bare()).expect("a tunnel");
        assert_eq!(ours.check_free(LOCAL, bare().her), Ok(()), "its own do not count");
        let error = check(carrier).unwrap_err().to_string();
        assert!(error.starts_with(complaint), "{error}");
        drop(ours);
        assert_eq!(check(carrier), Ok(()));
    }
}

#[test]
fn what_a_process_has_that_is_killed_after_our_start_is_free_at_the_next_login() {
    for carrier in [GIF, UDP] {
        let kernel = silent();
        let mut ours = named_tunnel(&kernel, carrier);
        forget(named_tunnel(&kernel, carrier), &bare()).expect("a tunnel");
        assert!(ours.check_free(LOCAL, bare().her).is_err(), "it lives");
        kernel.restart_process();
        assert_eq!(ours.check_free(LOCAL, bare().her), Ok(()));
        assert!(is_empty(&kernel));
    }
}

#[test]
fn an_inner_address_that_this_host_has_is_named_and_not_added() {
    let inner = numbered().inner.expect("a numbered offer");
    for taken in [inner.local, inner.remote] {
        let mut kernel = silent();
        let foreign = kernel.create_gif().expect("a gif");
        let elsewhere = "2001:db8:f::1".parse().expect("an address");
        kernel.add_address(&foreign, Ends { local: taken, remote: elsewhere }).expect("an address");
        let mut tunnel = tunnel(&kernel, GIF);
        let error = tunnel.bring_up(LOCAL, &numbered()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("gif0 already has the inner address {taken}: ")), "{error}");
        assert_eq!(names(&kernel), ["gif0"]);
        kernel.remove_address(&foreign, taken).expect("it is there");
        assert_eq!(tunnel.bring_up(LOCAL, &numbered()), Ok(()));
    }
}

#[test]
fn a_route_to_an_inner_address_is_what_the_kernel_says_exists() {
    let complaints = (1..=MANY).filter_map(|n| {
        let kernel = silent();
        kernel.fail_call(n, Errno::EEXIST);
        make_and_forget(&kernel, GIF, &numbered()).err()
    });
    let line = "there already is a route to the inner address 2001:db8::2 or 2001:db8::1: ";
    assert_eq!(complaints.filter(|error| error.to_string().starts_with(line)).count(), 1);
}

#[test]
fn a_missing_privilege_is_reported_before_the_login() {
    for carrier in [GIF, UDP] {
        let check = |kernel| tunnel(&kernel, carrier).check_privilege();
        assert_eq!(check(silent()), Ok(()));
        assert_eq!(check(silent().without_modules()), Ok(()));
        for kernel in [silent().in_place(Place::Nobody), silent().in_place(Place::Jail)] {
            assert!(check(kernel).is_err());
        }
    }
}

#[test]
fn an_interface_that_was_renamed_is_found_and_removed() {
    for carrier in [GIF, UDP] {
        let (kernel, mut tunnel) = up(carrier, &numbered());
        let was = tunnel.interface().cloned().unwrap();
        assert!(kernel.meddle(&was, |interface| interface.name = name("wan6")));
        assert_eq!(tunnel.check_free(LOCAL, numbered().her), Ok(()), "it is not another's");
        tunnel.bring_up(LOCAL, &offer(9, None)).unwrap();
        assert_eq!(tunnel.interface(), Some(&name("wan6")));
        assert!(kernel.meddle(&name("wan6"), |interface| interface.name = name("wan 7")));
        drop(tunnel);
        assert!(is_empty(&kernel));
    }
}

#[test]
fn a_renamed_interface_is_not_lost_if_the_kernel_fails_once_to_answer() {
    // Its description, the name of its index, and the description there.
    for n in 1..=3 {
        let (kernel, mut tunnel) = up(GIF, &bare());
        assert!(kernel.meddle(&name("gif0"), |interface| interface.name = name("wan6")));
        kernel.fail_call(n, Errno::ENOBUFS);
        assert!(tunnel.look(Instant::now()), "{n}");
        drop(tunnel);
        assert!(is_empty(&kernel), "{n}");
    }
}

/// As rc.conf(5) does it with `ifconfig_gif0_name` and `ifconfig_gif0_descr`.
#[test]
fn an_interface_with_another_name_and_description_is_still_ours() {
    for carrier in [GIF, UDP] {
        let (kernel, mut tunnel) = up(carrier, &bare());
        let was = tunnel.interface().cloned().unwrap();
        assert!(kernel.meddle(&was, |interface| {
            (interface.name, interface.description) = (name("wan6"), "uplink".to_owned());
        }));
        assert!(tunnel.look(Instant::now()));
        assert_eq!(tunnel.interface(), Some(&name("wan6")));
        tunnel.bring_up(LOCAL, &bare()).unwrap();
        // After a while in a jail, it has another index, and no group.
        assert!(kernel.meddle(&name("wan6"), |interface| {
            (interface.name, interface.index) = (name("wan7"), 7);
            interface.groups.clear();
        }));
        assert!(tunnel.look(Instant::now()));
        drop(tunnel);
        assert!(is_empty(&kernel));
    }
}

#[test]
fn an_interface_with_another_description_is_still_ours() {
    let (mut kernel, mut tunnel) = up(GIF, &bare());
    kernel.set_description(&name("gif0"), "uplink").unwrap();
    tunnel.bring_up(LOCAL, &bare()).unwrap();
    assert_eq!(names(&kernel), ["gif0"]);
    drop(tunnel);
    assert!(is_empty(&kernel));
}

#[test]
fn an_interface_that_somebody_removed_is_made_again_and_another_s_is_not_touched() {
    let (mut kernel, mut tunnel) = up(GIF, &bare());
    kernel.destroy_gif(&name("gif0")).unwrap();
    // The name is given to somebody else.
    assert_eq!(kernel.create_gif().unwrap(), name("gif0"));
    tunnel.bring_up(LOCAL, &bare()).unwrap();
    assert_eq!(tunnel.interface(), Some(&name("gif1")));
    drop(tunnel);
    assert_eq!(names(&kernel), ["gif0"]);
}

#[test]
fn the_interfaces_of_a_killed_run_are_removed_and_no_others() {
    let mut kernel = silent();
    make_and_forget(&kernel, GIF, &bare()).unwrap();
    make_and_forget(&kernel, UDP, &bare()).unwrap();
    let foreign = kernel.create_gif().unwrap();
    kernel.join_group(&foreign, "dtcpclient").unwrap();
    kernel.set_description(&foreign, "uplink").unwrap();
    tunnel(&kernel, GIF).remove_leftovers();
    assert_eq!(kernel.interfaces().len(), 3, "the process lives");
    // Its number is used again, and somebody has renamed an interface that it left.
    kernel.restart_process();
    assert!(kernel.meddle(&name("ng0"), |interface| interface.name = name("wan6")));
    // The process was killed before this one was in the group.
    assert!(kernel.meddle(&name("gif0"), |interface| interface.groups.clear()));
    tunnel(&kernel, GIF).remove_leftovers();
    assert_eq!(names(&kernel), [foreign.to_string()]);
    make_and_forget(&kernel, UDP, &bare()).expect("the port is free again");
}

/// The host has lent it to the jail, in which the host's processes are not seen.
#[test]
fn in_a_jail_an_interface_of_the_host_is_left_alone() {
    let kernel = silent();
    make_and_forget(&kernel, GIF, &bare()).unwrap();
    assert!(kernel.meddle(&name("gif0"), |interface| interface.groups.clear()));
    kernel.restart_process();
    let kernel = kernel.in_place(Place::VnetJail);
    tunnel(&kernel, GIF).remove_leftovers();
    assert_eq!(names(&kernel), ["gif0"]);
}
