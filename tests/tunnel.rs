//! Tunnels on a rehearsed kernel: what is done, in what order, and what is left when something fails.

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use dtcpclient::tunnel::{Carrier, Ends, Error, Settings, Tunnel};
use ffi::errno::Errno;
use ffi::kernel::{Inner, Kernel};
use ffi::name::InterfaceName;
use ffi::rehearsal::Rehearsal;
use harness::Shared;

const GIF: Carrier = Carrier::Gif;
const UDP: Carrier = Carrier::Udp { port: 4028 };

/// More calls than any tunnel takes.
const MANY: u64 = 40;

fn settings(carrier: Carrier) -> Settings {
    Settings { server: "broker.example".to_owned(), carrier, mtu: 1400 }
}

fn ends(last: u8, inner: Option<(&str, &str)>) -> Ends {
    let inner = inner.map(|(local, remote)| Inner {
        local: local.parse().expect("an address"),
        remote: remote.parse().expect("an address"),
    });
    let destination = format!("192.0.2.{last}:4030").parse().expect("an address");
    Ends { source: Ipv4Addr::new(192, 0, 2, 1), destination, inner }
}

/// Without inner addresses.
fn bare() -> Ends {
    ends(2, None)
}

fn numbered() -> Ends {
    ends(2, Some(("2001:db8::2", "2001:db8::1")))
}

/// A rehearsal, and the commands that it has told so far.
fn rehearsal() -> (Rehearsal, Rc<RefCell<Vec<String>>>) {
    let told = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&told);
    (Rehearsal::new(move |line| sink.borrow_mut().push(line.to_owned())), told)
}

fn name(name: &str) -> InterfaceName {
    InterfaceName::new(name).expect("a good name")
}

/// Makes a tunnel and forgets it, as a process does that is killed.
fn make_and_forget(kernel: &mut Rehearsal, carrier: Carrier, ends: Ends) -> Result<(), Error> {
    let mut tunnel = Tunnel::new(kernel, settings(carrier));
    let made = tunnel.make(ends);
    std::mem::forget(tunnel);
    made
}

fn is_empty(kernel: &Rehearsal) -> bool {
    kernel.interfaces().is_empty() && kernel.nodes().is_empty()
}

#[test]
fn a_gif_is_made_and_removed_by_these_commands() {
    let (mut kernel, told) = rehearsal();
    Tunnel::new(&mut kernel, settings(GIF)).make(numbered()).unwrap();
    let description =
        format!("ifconfig gif0 description 'dtcpclient: broker.example, pid {}'", std::process::id());
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
    Tunnel::new(&mut kernel, settings(UDP)).make(bare()).unwrap();
    let description =
        format!("ifconfig ng0 description 'dtcpclient: broker.example, pid {}'", std::process::id());
    assert_eq!(
        *told.borrow(),
        [
            "ngctl mkpeer . iface dtcp inet",
            "ngctl mkpeer ng0: ksocket inet6 inet/dgram/udp",
            "ngctl msg ng0:inet6 bind inet/0.0.0.0:4028",
            "ngctl msg ng0:inet6 connect inet/192.0.2.2:4030",
            &description,
            "ifconfig ng0 group dtcpclient",
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
        make_and_forget(&mut kernel, carrier, numbered()).unwrap();
        let [interface] = kernel.interfaces() else { panic!("one interface") };
        assert!(interface.up && interface.ipv6_enabled && kernel.is_running(interface), "{interface:?}");
        assert_eq!(
            (interface.mtu, interface.groups.as_slice()),
            (1400, ["dtcpclient".to_owned()].as_slice())
        );
        assert_eq!(interface.addresses, [numbered().inner.unwrap()]);
    }
}

/// What re-pointing from one place to another tells.
fn repointing(carrier: Carrier, from: Ends, to: Ends) -> Vec<String> {
    let (mut kernel, told) = rehearsal();
    let mut tunnel = Tunnel::new(&mut kernel, settings(carrier));
    tunnel.make(from).expect("a tunnel");
    let before = tunnel.interface().cloned();
    told.borrow_mut().clear();
    tunnel.make(to).expect("a tunnel elsewhere");
    assert_eq!(tunnel.interface().cloned(), before, "the interface keeps its name");
    told.take()
}

#[test]
fn a_new_login_re_points_the_interface_and_changes_addresses_only_where_they_differ() {
    let other = ends(9, Some(("2001:db8::6", "2001:db8::5")));
    let renumber = [
        "ifconfig gif0 inet6 2001:db8::2 -alias",
        "ifconfig gif0 inet6 2001:db8::6 2001:db8::5 prefixlen 128",
    ];
    let point = "ifconfig gif0 tunnel 192.0.2.1 192.0.2.9";
    assert_eq!(repointing(GIF, numbered(), other), [point, renumber[0], renumber[1]]);
    assert_eq!(repointing(GIF, numbered(), Ends { inner: numbered().inner, ..other }), [point]);
    assert_eq!(repointing(GIF, bare(), bare()), ["ifconfig gif0 tunnel 192.0.2.1 192.0.2.2"]);
    assert_eq!(repointing(GIF, numbered(), ends(9, None)), [point, renumber[0]]);
    assert_eq!(repointing(UDP, bare(), ends(9, None)), ["ngctl msg ng0:inet6 connect inet/192.0.2.9:4030"]);
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
                    if let Err(error) = make_and_forget(&mut kernel, carrier, numbered()) {
                        failures += 1;
                        assert!(
                            is_empty(&kernel),
                            "call {n}, {errno}: {error} leaves {:?}",
                            kernel.interfaces()
                        );
                        assert!(!error.to_string().is_empty());
                        // The call that is to fail may still be ahead.
                        make_and_forget(&mut kernel, carrier, numbered()).unwrap();
                    }
                    assert_eq!(kernel.interfaces().len(), 1);
                }
                assert!(failures >= 7, "{carrier:?}, {errno}: only {failures} calls could fail");
            }
        }
    }
}

#[test]
fn whichever_call_fails_a_live_tunnel_stays_where_it_was_and_can_be_pointed_the_next_time() {
    let other = ends(9, Some(("2001:db8::6", "2001:db8::5")));
    for (carrier, calls) in [(GIF, 3), (UDP, 4)] {
        let mut failures = 0;
        for n in 1..=MANY {
            let (kernel, mut shared) = Shared::new(rehearsal().0);
            let mut tunnel = Tunnel::new(&mut shared, settings(carrier));
            tunnel.make(numbered()).unwrap();
            let before = kernel.borrow().interfaces().to_vec();
            kernel.borrow_mut().fail_call(n, Errno(12));
            if tunnel.make(other).is_ok() {
                continue;
            }
            failures += 1;
            assert_eq!(kernel.borrow().interfaces(), before, "call {n}");
            tunnel.make(other).unwrap();
            assert_eq!(kernel.borrow().interfaces()[0].addresses, [other.inner.unwrap()]);
            drop(tunnel);
            assert!(is_empty(&kernel.borrow()));
        }
        assert_eq!(failures, calls, "{carrier:?}");
    }
}

#[test]
fn a_panic_takes_the_tunnel_down() {
    for carrier in [GIF, UDP] {
        let (kernel, shared) = Shared::new(rehearsal().0);
        let mut shared = shared.when_up(|_| panic!("as a fault of ours would"));
        let panicked =
            catch_unwind(AssertUnwindSafe(|| Tunnel::new(&mut shared, settings(carrier)).make(bare())));
        assert!(panicked.is_err());
        assert!(is_empty(&kernel.borrow()));
    }
}

#[test]
fn missing_modules_are_loaded_and_the_call_tried_again() {
    let netgraph = ["kldload ng_socket", "kldload ng_iface", "kldload ng_ksocket"];
    for (carrier, first) in [(GIF, &["kldload if_gif"][..]), (UDP, &netgraph)] {
        let (kernel, told) = rehearsal();
        make_and_forget(&mut kernel.without_modules(), carrier, bare()).unwrap();
        assert_eq!(told.borrow()[..first.len()], *first);
    }
}

fn complaint(kernel: Rehearsal, carrier: Carrier) -> String {
    let mut kernel = kernel;
    let error = make_and_forget(&mut kernel, carrier, bare()).expect_err("a refusal");
    assert!(is_empty(&kernel));
    error.to_string()
}

#[test]
fn a_refusal_says_what_to_do() {
    for (kernel, carrier, advice) in [
        (rehearsal().0.as_nobody(), GIF, "run as root"),
        (rehearsal().0.as_nobody(), UDP, "run as root"),
        (rehearsal().0.in_jail(), GIF, "in a jail only with vnet"),
        (rehearsal().0.in_jail(), UDP, "give the jail vnet"),
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
        let (mut kernel, _) = rehearsal();
        kernel.fail_call(2, errno);
        let complaint = complaint(kernel, UDP);
        assert!(complaint.contains(advice), "{complaint}");
    }
    let (mut kernel, _) = rehearsal();
    kernel.set_routed(false);
    assert!(complaint(kernel, UDP).contains("no route to it"));
}

#[test]
fn a_port_or_a_pair_that_is_taken_is_named() {
    let (mut kernel, _) = rehearsal();
    make_and_forget(&mut kernel, UDP, bare()).unwrap();
    let error = make_and_forget(&mut kernel, UDP, bare()).unwrap_err();
    assert_eq!(error.to_string(), "UDP port 4028 is in use: choose another with -b");
    make_and_forget(&mut kernel, GIF, bare()).unwrap();
    let error = make_and_forget(&mut kernel, GIF, bare()).unwrap_err().to_string();
    assert!(
        error.contains("cannot point gif1 from 192.0.2.1 to 192.0.2.2: another gif has these"),
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
            assert!(check(kernel).unwrap_err().is_lasting());
        }
    }
}

#[test]
fn an_interface_that_was_renamed_is_found_and_removed() {
    for carrier in [GIF, UDP] {
        let (kernel, mut shared) = Shared::new(rehearsal().0);
        let mut tunnel = Tunnel::new(&mut shared, settings(carrier));
        tunnel.make(numbered()).unwrap();
        let was = tunnel.interface().cloned().unwrap();
        assert!(kernel.borrow_mut().rename(&was, &name("wan6")));
        tunnel.make(ends(9, None)).unwrap();
        assert_eq!(tunnel.interface(), Some(&name("wan6")));
        assert!(kernel.borrow_mut().rename(&name("wan6"), &name("wan7")));
        drop(tunnel);
        assert!(is_empty(&kernel.borrow()));
    }
}

#[test]
fn an_interface_that_was_described_anew_is_still_ours() {
    let (kernel, mut shared) = Shared::new(rehearsal().0);
    let mut tunnel = Tunnel::new(&mut shared, settings(GIF));
    tunnel.make(bare()).unwrap();
    kernel.borrow_mut().describe(&name("gif0"), "uplink").unwrap();
    tunnel.make(bare()).unwrap();
    assert_eq!(kernel.borrow().interfaces().len(), 1);
    drop(tunnel);
    assert!(is_empty(&kernel.borrow()));
}

#[test]
fn an_interface_that_somebody_removed_is_made_anew_and_another_s_is_not_touched() {
    let (kernel, mut shared) = Shared::new(rehearsal().0);
    let mut tunnel = Tunnel::new(&mut shared, settings(GIF));
    tunnel.make(bare()).unwrap();
    kernel.borrow_mut().destroy_gif(&name("gif0")).unwrap();
    // The name is given to somebody else.
    assert_eq!(kernel.borrow_mut().create_gif().unwrap(), name("gif0"));
    tunnel.make(bare()).unwrap();
    assert_eq!(tunnel.interface(), Some(&name("gif1")));
    drop(tunnel);
    let kernel = kernel.borrow();
    let names: Vec<_> = kernel.interfaces().iter().map(|interface| interface.name.to_string()).collect();
    assert_eq!(names, ["gif0"]);
}

#[test]
fn what_a_killed_run_left_is_removed_and_nothing_else() {
    let (mut kernel, _) = rehearsal();
    make_and_forget(&mut kernel, GIF, bare()).unwrap();
    make_and_forget(&mut kernel, UDP, bare()).unwrap();
    let foreign = kernel.create_gif().unwrap();
    kernel.join_group(&foreign, "dtcpclient").unwrap();
    kernel.describe(&foreign, "uplink").unwrap();
    let me = std::process::id();
    Tunnel::new(&mut kernel, settings(GIF)).remove_leftovers(|pid| pid == me);
    assert_eq!(kernel.interfaces().len(), 3, "the process lives");
    Tunnel::new(&mut kernel, settings(GIF)).remove_leftovers(|_| false);
    let names: Vec<_> = kernel.interfaces().iter().map(|interface| interface.name.clone()).collect();
    assert_eq!(names, [foreign]);
    make_and_forget(&mut kernel, UDP, bare()).expect("the port is free again");
}

#[test]
fn a_process_lives_or_does_not() {
    use dtcpclient::tunnel::leftovers::lives;
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    assert!(lives(child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!lives(child.id()));
    assert!(!lives(std::process::id()), "what bears our own pid was left by an earlier process");
    assert!(!lives(u32::MAX));
}
