//! The real program on FreeBSD's real kernel, against the broker on 127.0.0.1.
//!
//! To be run as root, on a host or in a vnet jail, in which `lo0` has 127.0.0.1; without the privilege to make
//! interfaces each test reports that and passes, or fails if the environment has `DTCPCLIENT_REQUIRE_KERNEL`.
#![cfg(target_os = "freebsd")]

use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};

use dtcpclient::tunnel::GROUP;
use ffi::freebsd::FreeBsd;
use ffi::kernel::{Ends, Kernel};
use ffi::name::InterfaceName;
use harness::freebsd::{far_end, free_port, has_address, has_flags, index, kernel, packet_for, run};
use harness::{Broker, Directory, Process, name, wait_until};
use nix::net::if_::InterfaceFlags;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The outer address that the broker claims to have: packets that came back to this host would upset the kernel's
/// search for duplicate addresses.
const HER: &str = "192.0.2.1";
/// The inner addresses that the broker gives first.
const INNER: Ends<Ipv6Addr> = Ends {
    local: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 6),
    remote: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5),
};

/// A directory with a script that does nothing, in place of the one that this host may have.
fn directory() -> Directory {
    let directory = Directory::default();
    directory.script("");
    directory
}

fn client(directory: &Directory, broker: &Broker, arguments: &[&str]) -> Process {
    let script = directory.file("script");
    Process::start(directory.client(broker.port, &[&["-s", &script], arguments].concat()))
}

/// The interface that a client reports to have made.
fn made(client: &Process) -> InterfaceName {
    let line = client.line_with("made ");
    name(line.split("made ").nth(1).and_then(|rest| rest.split(',').next()).expect("an interface's name"))
}

/// Ends a client; its interface goes with it.
fn stop(client: Process, interface: &InterfaceName) {
    client.stop(Signal::SIGTERM);
    assert_eq!(index(interface), None);
}

/// An interface is up and running, in the group, and bears the process's name.
fn assert_is_tunnel_of(kernel: &mut FreeBsd, interface: &InterfaceName, pid: u32) {
    let up = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING | InterfaceFlags::IFF_POINTOPOINT;
    assert!(has_flags(interface, up));
    assert!(kernel.group_members(GROUP).expect("the group").contains(interface));
    let description = kernel.description(interface).expect("a description");
    assert!(description.starts_with(&format!("dtcpclient: 127.0.0.1, pid {pid}, started ")), "{description}");
}

/// The interfaces of the group that name this process.
fn interfaces_of(kernel: &mut FreeBsd, pid: u32) -> Vec<InterfaceName> {
    let mut members = kernel.group_members(GROUP).expect("the group");
    let owner = format!(", pid {pid}, started ");
    members.retain(|each| kernel.description(each).is_ok_and(|text| text.contains(&owner)));
    members
}

/// The client has a tunnel with its inner addresses, and has it still after a login that follows `meddle`.
fn assert_stays_over_a_hup(kernel: &mut FreeBsd, client: &Process, meddle: &str) -> InterfaceName {
    let interface = made(client);
    let index_before = index(&interface);
    assert_is_tunnel_of(kernel, &interface, client.id());
    assert!(has_address(&interface, INNER));
    run(&meddle.replace("NAME", interface.as_str()));
    client.signal(Signal::SIGHUP);
    client.wait_for(&format!("updated {interface}"));
    assert_eq!(index(&interface), index_before);
    assert_is_tunnel_of(kernel, &interface, client.id());
    assert!(has_address(&interface, INNER));
    interface
}

#[test]
fn a_gif_comes_up_stays_over_a_hup_and_goes() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let directory = directory();
    let broker = Broker::start(&directory, &["--her", HER]);
    let client = client(&directory, &broker, &["-t", "host"]);
    let gif = assert_stays_over_a_hup(&mut kernel, &client, "ifconfig NAME down");
    assert!(gif.as_str().starts_with("gif"), "{gif}");
    stop(client, &gif);
}

#[test]
fn a_udp_tunnel_carries_packets_stays_over_a_hup_and_goes() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let (far_end, far_address) = far_end();
    let near_port = free_port();
    let bind = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, near_port));

    let directory = directory();
    let broker = Broker::start(&directory, &["--udp-ports", &far_address.port().to_string()]);
    let client = client(&directory, &broker, &["-U", "-n", "-t", "host", "-b", &near_port.to_string()]);
    made(&client);
    bind().expect_err("the tunnel has the port");
    packet_for(&far_end, INNER.remote);
    let ng = assert_stays_over_a_hup(&mut kernel, &client, "ngctl shutdown NAME:inet6");
    assert!(ng.as_str().starts_with("ng"), "{ng}");
    packet_for(&far_end, INNER.remote);
    stop(client, &ng);
    // The kernel closes the socket in a thread of its own.
    wait_until("the port to be free", || bind().ok());
}

#[test]
fn the_interface_of_a_killed_client_is_removed_at_the_next_start() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let directory = directory();
    let gif_broker = Broker::start(&directory, &["--her", HER]);
    // A ksocket needs a route to its peer, and a jail may have one to 127.0.0.1 alone.
    let udp_broker = Broker::start(&directory, &[]);
    let port = free_port().to_string();
    for (broker, carrier) in [(&gif_broker, &[][..]), (&udp_broker, &["-U", "-b", &port])] {
        let mut killed = client(&directory, broker, carrier);
        made(&killed);
        killed.signal(Signal::SIGKILL);
        killed.wait();
        assert_eq!(interfaces_of(&mut kernel, killed.id()).len(), 1, "it is left over");

        let next = client(&directory, broker, carrier);
        let interface = made(&next);
        assert_eq!(interfaces_of(&mut kernel, killed.id()), []);
        stop(next, &interface);
    }
}

#[test]
fn the_tunnel_of_another_client_is_left_alone() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let directory = directory();
    let brokers = [HER, "192.0.2.2"].map(|her| Broker::start(&directory, &["--her", her]));
    let [(first, of_first), (second, of_second)] = brokers.each_ref().map(|broker| {
        let client = client(&directory, broker, &[]);
        let interface = made(&client);
        (client, interface)
    });
    assert_is_tunnel_of(&mut kernel, &of_first, first.id());
    assert_is_tunnel_of(&mut kernel, &of_second, second.id());
    stop(second, &of_second);
    assert_is_tunnel_of(&mut kernel, &of_first, first.id());
    stop(first, &of_first);
}

#[test]
fn a_daemon_has_its_tunnel_until_sigterm() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let directory = directory();
    let broker = Broker::start(&directory, &["--her", HER]);
    client(&directory, &broker, &["-Dl", "-f", &directory.file("pid")]).ends(0, "");
    let pid: u32 = wait_until("the pid", || directory.read("pid").trim().parse().ok());
    broker.process.wait_for("ping me");
    let [gif] = &interfaces_of(&mut kernel, pid)[..] else { panic!("one interface") };
    assert_is_tunnel_of(&mut kernel, gif, pid);

    kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), Signal::SIGTERM).expect("the daemon is there");
    wait_until("the end", || (index(gif).is_none() && !directory.has("pid")).then_some(()));
}
