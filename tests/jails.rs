//! The real program between two hosts, with packets that flow: faults of the network, of the interface, and of others
//! that change either.
//!
//! To be run as root on a FreeBSD host with VIMAGE; otherwise each test reports that and passes, or fails if the
//! environment has `DTCPCLIENT_REQUIRE_KERNEL`. The host's own network is not touched: see `harness::jails`. Only
//! programs of the base system are used. With `DTCPCLIENT_SOAK_LOGINS` in the environment, that is the number of logins of the
//! soak.
#![cfg(target_os = "freebsd")]

use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use harness::freebsd::skip;
use harness::jails::{self, BOTH, CLIENT, CLIENT_INNER, Carrier, Jails, SERVER, SERVER_INNER};
use harness::{Process, client, poll, wait_until};
use nix::sys::signal::Signal;

/// Held by each test. The soak, which measures the whole kernel, holds it alone.
static KERNEL: RwLock<()> = RwLock::new(());

fn play(carriers: &[Carrier], scene: impl Fn(Jails) + Sync) {
    let _shared = KERNEL.read().unwrap_or_else(PoisonError::into_inner);
    jails::play(Jails::new, carriers, scene);
}

/// The lines of a client that contain these words.
fn count(client: &Process, words: &str) -> usize {
    client.lines().iter().filter(|line| line.contains(words)).count()
}

/// Sets the tunnel's interface down, and waits until the client has looked at it and set it up: proof that it has also
/// looked at this host's address.
fn assert_looks_and_stays(jails: &Jails, client: &Process) {
    let interface = jails.carrier.interface();
    jails.client.run(&format!("ifconfig {interface} down"));
    client.wait_for(&format!("set {interface} up: somebody else had set it down"));
    assert_eq!(count(client, "connected to"), 1, "{:#?}", client.lines());
}

/// Processor time that a process has used.
fn processor_time(jails: &Jails, pid: u32) -> Duration {
    let time = jails.client.run(&format!("ps -o time= -p {pid}"));
    let (minutes, seconds) = time.trim().split_once(':').expect("minutes and seconds");
    let [minutes, seconds] = [minutes, seconds].map(|number| number.parse::<f64>().expect("a number"));
    Duration::from_secs_f64(minutes * 60.0 + seconds)
}

#[test]
fn ipv6_flows_to_the_inner_address_and_the_prefix_and_sigterm_leaves_nothing() {
    play(BOTH, |jails| {
        let (before, interface) = (jails.traces(), jails.carrier.interface());
        let client = jails.start_client(&["-t", "network", "-f", &jails.directory.file("pid")]);
        client.wait_for(&format!("IPv6 flows through {interface}"));
        assert!(jails.directory.has("pid"));
        jails.client.run("ifconfig lo0 inet6 2001:db8:1::1 prefixlen 128");
        jails.server.run(&format!("route -n add -inet6 2001:db8:1::/48 -interface {interface}"));
        for address in [CLIENT_INNER, "2001:db8:1::1"] {
            jails.server.ping(address);
        }
        jails.client.run("ifconfig lo0 inet6 2001:db8:1::1 -alias");
        jails.end(client, &before);
        assert!(!jails.directory.has("pid"));
    });
}

#[test]
fn packets_that_are_dropped_on_the_way_are_warned_of_after_a_minute_until_they_pass() {
    play(BOTH, |jails| {
        jails.set_far_end("down");
        let start = Instant::now();
        let client = jails.start_client(&["-t", "host"]);
        let warning =
            client.line_with(&format!("no echo reply has come through {}", jails.carrier.interface()));
        assert!(start.elapsed() >= Duration::from_mins(1));
        let obstacle = match jails.carrier {
            Carrier::Gif => format!("IP protocol 41 between {CLIENT} and {SERVER}; behind a NAT try -U"),
            Carrier::Udp => format!("UDP between {CLIENT} port 4028 and {SERVER} port 4028"),
        };
        assert!(warning.contains(&obstacle), "{warning}");
        jails.set_far_end("up");
        client.wait_for("IPv6 flows");
        assert_eq!(count(&client, "connected to"), 1);
    });
}

/// With `-n` the echo is sent each 20 s, else each minute.
#[test]
fn three_packets_that_are_not_answered_any_more_begin_a_new_login() {
    play(&[Carrier::Udp], |jails| {
        let client = jails.start_client(&["-n", "-t", "host"]);
        client.wait_for("IPv6 flows");
        jails.set_far_end("down");
        client.wait_for("IPv6 no longer flows through the tunnel");
        jails.set_far_end("up");
        client.wait_for_count("IPv6 flows", 2);
    });
}

/// The kernel then sends no `RTM_DELADDR`.
#[test]
fn an_address_that_is_replaced_by_an_alias_of_its_network_is_missed() {
    play(BOTH, |jails| {
        let client = jails.log_in();
        let outer = &jails.client.outer;
        jails.client.run(&format!("ifconfig {outer} 192.0.2.3/24 alias; ifconfig {outer} {CLIENT} -alias"));
        client.wait_for(&format!("this host no longer has the address {CLIENT}"));
        client.wait_for("from 192.0.2.3");
        jails.point_far_end_at("192.0.2.3");
        client.wait_for_count("IPv6 flows", 2);
        jails.server.ping(CLIENT_INNER);
    });
}

#[test]
fn an_address_that_goes_while_more_messages_come_than_a_stopped_client_can_take_is_missed() {
    play(&[Carrier::Gif], |jails| {
        let client = jails.log_in();
        client.signal(Signal::SIGSTOP);
        jails.client.run(&format!(
            "for i in $(jot 80); do
                 route -qn add 198.51.100.$i {SERVER} >/dev/null
                 route -qn delete 198.51.100.$i >/dev/null
             done
             ifconfig {} {CLIENT} -alias",
            jails.client.outer
        ));
        client.signal(Signal::SIGCONT);
        client.wait_for(&format!("this host no longer has the address {CLIENT}"));
        jails.client.run(&format!("ifconfig {} {CLIENT}/24", jails.client.outer));
        // The broker may not have seen the end of the session yet, and then gives other inner addresses.
        client.wait_for("updated gif0");
    });
}

#[test]
fn an_outer_interface_that_is_down_for_some_seconds_is_no_reason_to_log_in() {
    play(BOTH, |jails| {
        let client = jails.log_in();
        jails.client.run(&format!("ifconfig {} down", jails.client.outer));
        assert_looks_and_stays(&jails, &client);
        jails.client.run(&format!("ifconfig {} up", jails.client.outer));
        jails.server.ping(CLIENT_INNER);
        assert_eq!(count(&client, "connected to"), 1);
    });
}

#[test]
fn an_address_that_another_interface_had_too_is_not_missed_when_that_loses_it() {
    play(&[Carrier::Gif], |jails| {
        jails.client.run(&format!("ifconfig gif7 create; ifconfig gif7 inet {CLIENT} 198.51.100.1"));
        let client = jails.log_in();
        jails.client.run(&format!("ifconfig gif7 inet {CLIENT} -alias"));
        assert_looks_and_stays(&jails, &client);
    });
}

/// A routing socket gets only the messages of its own FIB.
#[test]
fn in_another_fib_ipv6_flows_and_an_address_that_goes_is_missed() {
    play(BOTH, |jails| {
        let client = match jails.start_client_in_fib_1(&["-l", "-t", "host"]) {
            Ok(client) => client,
            Err(why) => return skip(&format!("no second FIB: {why}")),
        };
        client.wait_for("IPv6 flows through");
        jails.client.run(&format!("ifconfig {} {CLIENT} -alias", jails.client.outer));
        client.wait_for(&format!("this host no longer has the address {CLIENT}"));
    });
}

#[test]
fn a_flood_of_routing_messages_costs_little_and_delays_neither_timers_nor_signals() {
    play(&[Carrier::Gif], |jails| {
        let before = jails.traces();
        let client = jails.log_in();
        let flood = jails.client.start(&format!(
            "sh -c 'for n in 1 2 3 4 5 6 7 8; do
                 while :; do
                     route -qn add 198.51.100.$n {SERVER} >/dev/null
                     route -qn delete 198.51.100.$n >/dev/null
                     echo again
                 done &
             done
             wait'"
        ));
        let (start, used) = (Instant::now(), processor_time(&jails, client.id()));
        assert_looks_and_stays(&jails, &client);
        client.signal(Signal::SIGINFO);
        client.wait_for("up since");
        flood.wait_for_count("again", 100);
        let used = processor_time(&jails, client.id()).saturating_sub(used);
        println!("a flood of {:?} cost {used:?}", start.elapsed());
        assert!(used < start.elapsed() / 20, "{used:?} of {:?}", start.elapsed());
        jails.end(client, &before);
    });
}

#[test]
fn an_interface_that_others_remove_is_made_again_by_a_new_login() {
    play(BOTH, |jails| {
        let client = jails.log_in();
        jails.client.run(match jails.carrier {
            Carrier::Gif => "ifconfig gif0 destroy",
            Carrier::Udp => "ngctl shutdown ng0:",
        });
        client.wait_for("somebody else has removed the tunnel's interface");
        client.wait_for_count("IPv6 flows", 2);
        jails.server.ping(CLIENT_INNER);
    });
}

#[test]
fn an_interface_that_others_set_down_is_set_up_but_not_twice_in_a_minute() {
    play(BOTH, |jails| {
        let client = jails.log_in();
        let interface = jails.carrier.interface();
        assert_looks_and_stays(&jails, &client);
        jails.server.ping(CLIENT_INNER);
        // The new name is a sign that the client has looked.
        jails.client.run(&format!("ifconfig {interface} down; ifconfig {interface} name wan6"));
        client.wait_for(&format!("{interface} was renamed to wan6"));
        let flags = jails.client.run("ifconfig wan6 | head -1");
        assert!(!flags.contains("UP"), "{flags}");
    });
}

#[test]
fn an_interface_is_known_by_any_name_and_removed_under_it() {
    play(BOTH, |jails| {
        let before = jails.traces();
        let client = jails.log_in();
        let interface = jails.carrier.interface();
        jails.client.run(&format!("ifconfig {interface} name wan6; ifconfig wan6 description uplink"));
        client.signal(Signal::SIGHUP);
        client.wait_for("updated wan6");
        client.wait_for("IPv6 flows through wan6");
        jails.client.run("ifconfig wan6 name 'a b'; ifconfig lo0 down; ifconfig lo0 up");
        client.wait_for("wan6 was renamed to a b");
        jails.end(client, &before);
    });
}

/// What starts later and binds to the tunnel's address then finds it.
#[test]
fn with_w_the_tunnel_can_be_used_when_the_command_returns() {
    play(BOTH, |jails| {
        let before = jails.traces();
        let pid_file = jails.directory.file("pid");
        jails.directory.script("sleep 2; touch $directory/done");
        let files = ["-f", &pid_file, "--interface", "wan6"];
        let start = [&["-Dl", "-w", "60", "-t", "host"], &files[..]].concat();
        jails.start_client(&start).ends(0, "");
        assert!(jails.directory.has("done"), "the script has ended");
        jails.client.run(&format!("ping -6 -n -c 1 -S {CLIENT_INNER} {SERVER_INNER}"));
        let status = Process::start(jails.client.inside(client().args(["--status", "-f", &pid_file])));
        let status = status.ends(0, "state: up");
        for part in ["interface: wan6", "inner: 2001:db8::6 to 2001:db8::5", "mtu: 1280"] {
            assert!(status.contains(part), "{part}: {status}");
        }
        jails.client.run(&format!("kill $(cat {pid_file})"));
        wait_until("everything to be as before", || (jails.traces() == before).then_some(()));
        assert!(!jails.directory.has("pid") && !jails.directory.has("pid.socket"));
    });
}

/// A firewall rule or rc.conf(5) can then rely on the name.
#[test]
fn a_tunnel_has_the_wanted_name_also_after_a_killed_client() {
    const NAMED: &[&str] = &["-t", "host", "--interface", "gif1"];
    play(BOTH, |jails| {
        let before = jails.traces();
        let mut killed = jails.start_client(NAMED);
        killed.wait_for("IPv6 flows through gif1");
        killed.signal(Signal::SIGKILL);
        killed.wait();
        let next = jails.start_client(NAMED);
        next.wait_for(&format!("removed gif1, left behind by process {}", killed.id()));
        next.wait_for("IPv6 flows through gif1");
        jails.client.run("ifconfig gif1 name wan6; ifconfig lo0 down; ifconfig lo0 up");
        next.wait_for("gif1 was renamed to wan6");
        next.signal(Signal::SIGHUP);
        next.wait_for("updated gif1");
        jails.server.ping(CLIENT_INNER);
        jails.end(next, &before);
    });
}

#[test]
fn an_interface_that_has_the_wanted_name_is_named_and_left_alone() {
    play(BOTH, |jails| {
        jails.client.run("ifconfig lo7 create; ifconfig lo7 name wan6");
        let before = jails.traces();
        let command = ["-t", "host", "--interface", "wan6"];
        jails.start_client(&command).ends(71, "there already is an interface wan6: choose another name");
        assert_eq!(jails.traces(), before);
        // One that takes the name later.
        jails.client.run("ifconfig wan6 destroy");
        let client = jails.start_client(&["-l", "-t", "host", "--interface", "wan6"]);
        client.wait_for("IPv6 flows through wan6");
        jails.client.run("ifconfig wan6 name away0; ifconfig lo7 create; ifconfig lo7 name wan6");
        client.signal(Signal::SIGHUP);
        client.wait_for("there already is an interface wan6");
        jails.client.run("ifconfig wan6 destroy");
        client.wait_for("updated wan6");
        jails.end(client, &before.replace(" wan6", ""));
    });
}

#[test]
fn a_login_mends_what_others_did_to_the_interface() {
    play(BOTH, |jails| {
        let client = jails.log_in();
        let interface = jails.carrier.interface();
        jails.client.run(&format!(
            "ifconfig {interface} -group dtcpclient; ifconfig {interface} inet6 {CLIENT_INNER} -alias
             ifconfig {interface} inet6 ifdisabled; ifconfig {interface} mtu 1300"
        ));
        if jails.carrier == Carrier::Udp {
            jails.client.run("ngctl shutdown ng0:inet6");
        }
        client.signal(Signal::SIGHUP);
        client.wait_for(&format!("updated {interface}"));
        client.wait_for_count("IPv6 flows", 2);
        jails.server.ping(CLIENT_INNER);
        let state = jails.client.run(&format!("ifconfig {interface}; ifconfig -g dtcpclient"));
        assert!(state.contains("mtu 1280") && !state.contains("IFDISABLED"), "{state}");
        assert!(state.ends_with(&format!("\n{interface}\n")), "{state}");
    });
}

#[test]
fn what_a_killed_client_left_is_removed_under_any_name_at_the_next_start() {
    play(BOTH, |jails| {
        let before = jails.traces();
        let mut killed = jails.log_in();
        jails.client.run(&format!("ifconfig {} name wan6", jails.carrier.interface()));
        killed.signal(Signal::SIGKILL);
        killed.wait();
        let next = jails.log_in();
        next.wait_for(&format!("removed wan6, left behind by process {}", killed.id()));
        jails.end(next, &before);
    });
}

#[test]
fn what_a_killed_client_left_is_removed_even_if_its_number_is_used_again() {
    play(BOTH, |jails| {
        let mut killed = jails.log_in();
        killed.signal(Signal::SIGKILL);
        killed.wait();
        let other = jails.client.start("sleep 1000");
        let interface = jails.carrier.interface();
        jails.client.run(&format!(
            "ifconfig {interface} description \"$(ifconfig {interface} | sed -n 's/.*description: //p' |
                 sed 's/ pid {},/ pid {},/')\"",
            killed.id(),
            other.id()
        ));
        let next = jails.log_in();
        next.wait_for(&format!("removed {interface}, left behind by process {}", other.id()));
    });
}

/// The complaint of a client whose outer addresses, or whose port, are taken.
fn taken(carrier: Carrier) -> &'static str {
    match carrier {
        Carrier::Gif => "gif0 already has the outer addresses 192.0.2.2 to 192.0.2.1",
        Carrier::Udp => "UDP port 4028 is in use on 192.0.2.2",
    }
}

#[test]
fn what_a_client_has_that_lives_is_left_alone_by_the_next_one() {
    play(BOTH, |jails| {
        let living = jails.log_in();
        living.signal(Signal::SIGSTOP);
        let next = jails.start_client(&["-t", "host"]);
        next.ends(71, taken(jails.carrier));
        living.signal(Signal::SIGCONT);
        jails.server.ping(CLIENT_INNER);
    });
}

#[test]
fn outer_addresses_or_a_port_that_others_have_are_named_and_nothing_is_left() {
    play(BOTH, |jails| {
        let command = match jails.carrier {
            Carrier::Gif => format!("ifconfig gif0 create; ifconfig gif0 tunnel {CLIENT} {SERVER}"),
            Carrier::Udp => format!(
                "ngctl mkpeer iface x inet6; ngctl mkpeer ng0: ksocket inet6 inet/dgram/udp
                 ngctl msg ng0:inet6 bind inet/{CLIENT}:4028
                 ngctl msg ng0:inet6 connect inet/{SERVER}:4028"
            ),
        };
        jails.client.run(&command);
        let before = jails.traces();
        jails.start_client(&["-t", "host"]).ends(71, taken(jails.carrier));
        wait_until("everything to be as before", || (jails.traces() == before).then_some(()));
    });
}

#[test]
fn an_inner_address_that_this_host_has_is_named_and_the_tunnel_comes_up_without_it() {
    play(BOTH, |jails| {
        let before = jails.traces();
        for address in [CLIENT_INNER, SERVER_INNER] {
            jails.client.run(&format!("ifconfig lo0 inet6 {address} prefixlen 128"));
            let client = jails.start_client(&["-l", "-t", "host"]);
            client.wait_for(&format!("lo0 already has the inner address {address}: "));
            jails.client.run(&format!("ifconfig lo0 inet6 {address} -alias"));
            client.wait_for("IPv6 flows");
            jails.end(client, &before);
        }
    });
}

/// The kernel finds a duplicate, and does not look again.
#[test]
fn an_inner_address_that_the_far_end_has_too_is_named_and_used_once_the_far_end_gives_it_up() {
    play(&[Carrier::Gif], |jails| {
        let far_end = |old: &str, new: &str| {
            jails.server.run(&format!("ifconfig gif0 inet6 {old} -alias; ifconfig gif0 inet6 {new}"));
            // If both ends check it at the same time, either of them may find the duplicate.
            let is_checked = || !jails.server.run("ifconfig gif0").contains("tentative");
            wait_until("the address to be checked", || is_checked().then_some(()));
        };
        far_end(SERVER_INNER, CLIENT_INNER);
        let client = jails.start_client(&["-l", "-t", "host"]);
        client.wait_for(&format!("this host cannot use {CLIENT_INNER}: check that the interface has it"));
        far_end(CLIENT_INNER, &format!("{SERVER_INNER} {CLIENT_INNER} prefixlen 128"));
        client.wait_for("IPv6 flows");
        assert_eq!(count(&client, "connected to"), 1);
    });
}

#[test]
fn a_broker_that_is_killed_is_logged_in_to_when_it_is_back() {
    play(BOTH, |mut jails| {
        let client = jails.log_in();
        jails.broker = None;
        client.wait_for("the server closed the connection");
        client.wait_for("cannot connect to 192.0.2.1:20200");
        jails.start_broker();
        client.wait_for_count("IPv6 flows", 2);
    });
}

/// It has not seen the end of the session before, so that it gives other inner addresses.
#[test]
fn a_broker_that_cannot_be_reached_is_logged_in_to_when_it_can() {
    play(BOTH, |jails| {
        let client = jails.log_in();
        jails.server.run(&format!("ifconfig {} down", jails.server.outer));
        client.signal(Signal::SIGHUP);
        client.wait_for("cannot connect to 192.0.2.1:20200");
        jails.server.run(&format!("ifconfig {} up", jails.server.outer));
        client.wait_for(&format!("updated {}", jails.carrier.interface()));
    });
}

/// The echo then goes to all nodes of the link, from the tunnel's link-local address.
#[test]
fn a_tunnel_without_inner_addresses_has_link_local_ones_even_if_the_system_gives_none() {
    play(BOTH, |jails| {
        jails.client.run("sysctl net.inet6.ip6.auto_linklocal=0");
        let client = jails.start_client(&["-t", "tunnelonly"]);
        client.wait_for("IPv6 flows");
    });
}

#[test]
fn a_jail_without_its_own_network_is_refused_before_the_login() {
    play(BOTH, |jails| {
        let client = jails.client_command(&["-t", "host"]);
        let mut jail = std::process::Command::new("jail");
        jail.args(["-c", "path=/", "ip4=inherit", "ip6=inherit"]);
        jail.arg(format!("command={}", client.get_program().display())).args(client.get_args());
        let (_, output) = Process::start(jail).wait();
        assert!(output.contains("vnet"), "{output}");
        assert!(!output.contains("connect"), "{output}");
    });
}

/// Threads and children of a process, open files of the whole system, and what is in the host. The client lets nobody see
/// its own descriptors.
fn holdings(jails: &Jails, pid: u32) -> String {
    let process = format!("procstat -ht {pid} | wc -l; pgrep -P {pid} || :; sysctl -n kern.openfiles");
    jails.client.run(&process) + &jails.traces()
}

/// The allocations in use for interfaces and nodes, of the whole system, by their kinds.
fn kernel_memory(jails: &Jails) -> Vec<(String, u64)> {
    let rows =
        jails.client.run("vmstat -m | awk '/^ *(ifnet|ifaddr|gif|netgraph[a-z_]*) / { print $1, $2 }'");
    let row = |line: &str| {
        let (kind, used) = line.split_once(' ').expect("two words");
        (kind.to_owned(), used.parse().expect("a number"))
    };
    rows.lines().map(row).collect()
}

/// Waits until the kernel has given back its memory. It may use less than before, since a jail of an earlier test is
/// kept with all that is in it until its connections have timed out.
fn assert_not_more(before: &[(String, u64)], jails: &Jails) {
    let more = || -> Vec<_> {
        let pairs = kernel_memory(jails).into_iter().zip(before);
        pairs.filter(|((_, now), (_, before))| now > before).collect()
    };
    let _ = poll(|| more().is_empty().then_some(()));
    assert_eq!(more(), []);
}

fn resident_kib(jails: &Jails, pid: u32) -> u64 {
    jails.client.run(&format!("ps -o rss= -p {pid}")).trim().parse().expect("a size")
}

#[test]
fn many_logins_leave_nothing() {
    let logins =
        std::env::var("DTCPCLIENT_SOAK_LOGINS").map_or(5, |number| number.parse().expect("a number"));
    let _alone = KERNEL.write().unwrap_or_else(PoisonError::into_inner);
    for carrier in BOTH {
        jails::play(Jails::new, &[*carrier], |jails| soak(&jails, logins));
    }
}

fn soak(jails: &Jails, logins: usize) {
    let nothing = jails.traces();
    // The kernel keeps some of what it makes for the first tunnel of a host.
    jails.end(jails.log_in(), &nothing);
    let without_client = kernel_memory(jails);
    let client = jails.log_in();
    let (pid, start) = (client.id(), Instant::now());
    let with_client = (holdings(jails, pid), kernel_memory(jails));
    let mut resident = 0;
    for login in 1..=logins {
        if login == logins.min(50) {
            resident = resident_kib(jails, pid);
        }
        client.signal(Signal::SIGHUP);
        client.wait_for_count("updated ", login);
    }
    let (took, interface) = (start.elapsed(), jails.carrier.interface());
    let growth = resident_kib(jails, pid).saturating_sub(resident);
    println!(
        "{logins} logins with {interface} in {took:?}: {resident} KiB and {growth} more; {with_client:?}"
    );
    assert!(growth <= 256, "{growth} KiB more than after 50 logins");
    wait_until("what the client had", || (holdings(jails, pid) == with_client.0).then_some(()));
    assert_not_more(&with_client.1, jails);
    jails.end(client, &nothing);
    assert_not_more(&without_client, jails);
}
