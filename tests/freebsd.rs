//! The real program on FreeBSD's real kernel, against the broker on 127.0.0.1.
//!
//! To be run as root, on a host or in a vnet jail, where `lo0` has 127.0.0.1; without the privilege to make
//! interfaces each test says so and passes, or fails if the environment has `DTCPCLIENT_REQUIRE_KERNEL`.
#![cfg(target_os = "freebsd")]

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use dtcpclient::tunnel::GROUP;
use ffi::freebsd::FreeBsd;
use ffi::kernel::Kernel;
use ffi::name::InterfaceName;
use harness::{Broker, DEADLINE, Folder, Process, Programs};
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The outer address that the broker claims to have: packets that came back to this host would upset the kernel's
/// search for duplicate addresses.
const HER: &str = "192.0.2.1";
/// The inner addresses that the broker gives first.
const INNER: (Ipv6Addr, Option<Ipv6Addr>) =
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 6), Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5)));
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// All tests make tunnels of the same group with the same addresses.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The kernel, where this process may make interfaces, for as long as it is this test's turn.
fn kernel() -> Option<(FreeBsd, MutexGuard<'static, ()>)> {
    let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut kernel = FreeBsd::new().expect("a socket needs no privilege");
    match kernel.check_privilege() {
        Ok(()) => Some((kernel, turn)),
        Err(refused) => {
            let skip = std::env::var_os("DTCPCLIENT_REQUIRE_KERNEL").is_none();
            assert!(skip, "may not make interfaces here: {refused}");
            eprintln!("skipped: may not make interfaces here: {refused}");
            None
        }
    }
}

fn programs() -> Programs {
    Programs::find(env!("CARGO_BIN_EXE_dtcpclient"))
}

/// A folder with a script that does nothing, in place of the one that this host may have.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("script", "#!/bin/sh\n", 0o755);
    folder
}

fn client(folder: &Folder, broker: &Broker, arguments: &[&str]) -> Process {
    let script = folder.file("script").display().to_string();
    Process::start(folder.client(&programs(), broker.port, &[&["-s", &script], arguments].concat()))
}

/// A UDP port that nobody has.
fn free_port() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
    socket.local_addr().expect("its number").port()
}

/// The interface that a client says it has made.
fn made(client: &Process) -> InterfaceName {
    let line = client.line_with("made ");
    let name = line.split("made ").nth(1).and_then(|rest| rest.split(',').next());
    name.and_then(InterfaceName::new).expect("an interface's name")
}

/// Ends a client as an administrator does; its interface goes with it.
fn stop(mut client: Process, interface: &InterfaceName) {
    client.signal(Signal::SIGTERM);
    let (status, output) = client.wait(DEADLINE);
    assert_eq!(status.code(), Some(0), "{output}");
    assert_eq!(index(interface), None);
}

fn entries(interface: &InterfaceName) -> Vec<InterfaceAddress> {
    let all = getifaddrs().expect("a list of interfaces");
    all.filter(|entry| entry.interface_name == interface.as_str()).collect()
}

/// The IPv6 addresses of an interface, each with its peer.
fn addresses(interface: &InterfaceName) -> Vec<(Ipv6Addr, Option<Ipv6Addr>)> {
    let ipv6 = |address: Option<nix::sys::socket::SockaddrStorage>| Some(address?.as_sockaddr_in6()?.ip());
    let entries = entries(interface).into_iter();
    entries.filter_map(|entry| Some((ipv6(entry.address)?, ipv6(entry.destination)))).collect()
}

/// The interface's index: it changes where an interface is destroyed and made again beside another.
fn index(interface: &InterfaceName) -> Option<u32> {
    if_nametoindex(interface.as_str()).ok()
}

/// An interface is up and running, in the group, and bears the process's name.
fn assert_is_tunnel_of(kernel: &mut FreeBsd, interface: &InterfaceName, pid: u32) {
    let entries = entries(interface);
    let up = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING | InterfaceFlags::IFF_POINTOPOINT;
    assert!(!entries.is_empty() && entries.iter().all(|entry| entry.flags.contains(up)), "{entries:?}");
    assert!(kernel.group_members(GROUP).expect("the group").contains(interface));
    let description = kernel.description(interface).expect("a description");
    assert_eq!(description, format!("dtcpclient: 127.0.0.1, pid {pid}"));
}

/// Does what an administrator might do.
fn run(command: &str) {
    let mut words = command.split(' ');
    let status = Command::new(words.next().unwrap_or_default()).args(words).status();
    assert!(status.is_ok_and(|status| status.success()), "{command}");
}

/// Waits for the packet that keeps a NAT open.
fn receive_keepalive(far_end: &UdpSocket) {
    let mut packet = [0; 2000];
    while packet[24..40] != ALL_NODES.octets() {
        far_end.recv(&mut packet).expect("it comes in time");
    }
}

/// The interfaces of the group that name this process.
fn interfaces_of(kernel: &mut FreeBsd, pid: u32) -> Vec<InterfaceName> {
    let ending = format!(", pid {pid}");
    let mut members = kernel.group_members(GROUP).expect("the group");
    members
        .retain(|member| kernel.description(member).is_ok_and(|description| description.ends_with(&ending)));
    members
}

/// Waits until a file has text in it that can be read as a pid.
fn pid_in(folder: &Folder, file: &str) -> u32 {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Ok(pid) = folder.read(file).trim().parse() {
            return pid;
        }
        assert!(Instant::now() < deadline, "no pid in {file}");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_gif_comes_up_stays_over_a_hup_and_goes() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let folder = folder();
    let broker = Broker::start(&programs(), &folder, &["--her", HER]);
    let client = client(&folder, &broker, &["-t", "host"]);
    let gif = made(&client);
    assert!(gif.as_str().starts_with("gif"), "{gif}");
    assert_is_tunnel_of(&mut kernel, &gif, client.id());
    assert!(addresses(&gif).contains(&INNER), "{:?}", addresses(&gif));

    let index_before = index(&gif);
    run(&format!("ifconfig {gif} down"));
    client.signal(Signal::SIGHUP);
    client.wait_for(&format!("updated {gif}"));
    assert_eq!(index(&gif), index_before);
    assert_is_tunnel_of(&mut kernel, &gif, client.id());
    assert!(addresses(&gif).contains(&INNER), "{:?}", addresses(&gif));
    stop(client, &gif);
}

#[test]
fn a_udp_tunnel_carries_packets_stays_over_a_hup_and_goes() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let far_end = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("lo0 has 127.0.0.1");
    far_end.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let far_port = far_end.local_addr().expect("its port").port().to_string();
    let near_port = free_port();

    let folder = folder();
    let broker = Broker::start(&programs(), &folder, &["--udp-ports", &far_port]);
    let client = client(&folder, &broker, &["-U", "-n", "-t", "host", "-b", &near_port.to_string()]);
    let ng = made(&client);
    assert!(ng.as_str().starts_with("ng"), "{ng}");
    assert_is_tunnel_of(&mut kernel, &ng, client.id());
    assert!(addresses(&ng).contains(&INNER), "{:?}", addresses(&ng));
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, near_port)).expect_err("the tunnel has the port");
    receive_keepalive(&far_end);

    let index_before = index(&ng);
    run(&format!("ngctl shutdown {ng}:inet6"));
    client.signal(Signal::SIGHUP);
    client.wait_for(&format!("updated {ng}"));
    assert_eq!(index(&ng), index_before);
    receive_keepalive(&far_end);
    assert!(addresses(&ng).contains(&INNER), "{:?}", addresses(&ng));
    stop(client, &ng);
    // The kernel closes the socket in a thread of its own.
    let deadline = Instant::now() + DEADLINE;
    while UdpSocket::bind((Ipv4Addr::UNSPECIFIED, near_port)).is_err() {
        assert!(Instant::now() < deadline, "the port is not free again");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_a_killed_client_left_is_gone_after_the_next_start() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let folder = folder();
    let gif_broker = Broker::start(&programs(), &folder, &["--her", HER]);
    // A ksocket needs a route to its peer, which a jail may have to 127.0.0.1 alone.
    let udp_broker = Broker::start(&programs(), &folder, &[]);
    let port = free_port().to_string();
    for (broker, carrier) in [(&gif_broker, &[][..]), (&udp_broker, &["-U", "-b", &port])] {
        let mut killed = client(&folder, broker, carrier);
        made(&killed);
        killed.signal(Signal::SIGKILL);
        killed.wait(DEADLINE);
        assert_eq!(interfaces_of(&mut kernel, killed.id()).len(), 1, "it is left over");

        let next = client(&folder, broker, carrier);
        let interface = made(&next);
        assert_eq!(interfaces_of(&mut kernel, killed.id()), []);
        stop(next, &interface);
    }
}

#[test]
fn a_living_clients_tunnel_is_left_alone() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let folder = folder();
    let broker = Broker::start(&programs(), &folder, &["--her", HER]);
    let other_broker = Broker::start(&programs(), &folder, &["--her", "192.0.2.2"]);
    let first = client(&folder, &broker, &[]);
    let of_first = made(&first);
    let second = client(&folder, &other_broker, &[]);
    let of_second = made(&second);
    assert_is_tunnel_of(&mut kernel, &of_first, first.id());
    assert_is_tunnel_of(&mut kernel, &of_second, second.id());
    stop(second, &of_second);
    assert_is_tunnel_of(&mut kernel, &of_first, first.id());
    stop(first, &of_first);
}

#[test]
fn a_daemon_has_its_tunnel_until_it_is_told_to_go() {
    let Some((mut kernel, _turn)) = kernel() else { return };
    let folder = folder();
    let broker = Broker::start(&programs(), &folder, &["--her", HER]);
    let pid_file = folder.file("pid").display().to_string();
    let mut starter = client(&folder, &broker, &["-Dl", "-f", &pid_file]);
    let (status, output) = starter.wait(DEADLINE);
    assert_eq!(status.code(), Some(0), "{output}");
    let pid = pid_in(&folder, "pid");
    broker.process.wait_for("ping me");
    let [gif] = &interfaces_of(&mut kernel, pid)[..] else { panic!("one interface") };
    assert_is_tunnel_of(&mut kernel, gif, pid);

    kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), Signal::SIGTERM).expect("the daemon is there");
    let deadline = Instant::now() + DEADLINE;
    while index(gif).is_some() || fs::exists(&pid_file).expect("a folder") {
        assert!(Instant::now() < deadline, "the daemon is still there");
        sleep(Duration::from_millis(20));
    }
}
