//! The loop's decisions, one step at a time, with real sockets and virtual time.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};

use ffi::errno::Errno;
use ffi::kernel::{Ends, Kernel};
use ffi::name::InterfaceName;
use ffi::rehearsal::Rehearsal;
use harness::{Directory, is_empty, wait_until};
use nix::sys::socket::{setsockopt, sockopt::Linger};

use super::*;
use crate::options::{InputFile, Options};
use crate::protocol::{Announcement, GREETING_TIMEOUT, PING_INTERVAL, Reason, Stage, TunnelType};
use crate::script::{Event, Limits, ScriptMode};
use crate::tunnel;
use crate::{backoff, lookup};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const GREETING: &[u8] = b"+OK 0123 hello\r\n";
const OFFER: &[u8] = b"+OK 127.0.0.1 127.0.0.1\r\n";

fn options() -> Options {
    Options::read(["dtcpclient", "-u", "me", "127.0.0.1"].map(Into::into)).unwrap()
}

fn plan(port: u16, reconnect: bool) -> Plan {
    let login = Login {
        user: "me".to_owned(),
        password: b"x".to_vec().into(),
        tunnel_type: TunnelType::TunnelOnly,
        udp: None,
        nat_check: true,
    };
    let Options { account, tunnel, .. } = options();
    Plan { account, tunnel, port, login: Rc::new(login), reconnect }
}

/// A client without a script. The values that it borrows are leaked.
fn client(plan: Plan, kernel: Rehearsal, routes: Option<RouteSocket>) -> Client<'static> {
    let signals = Box::leak(Box::new(Signals::watch().expect("signals")));
    let tunnel = Tunnel::new(Box::leak(Box::new(kernel)), plan.tunnel.clone());
    Client::new(plan, tunnel, Runner::new(None, ScriptMode::Run, Limits::default()), signals, routes)
}

fn kernel() -> Rehearsal {
    Rehearsal::new(|_| {})
}

/// A server's socket and its port.
fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind((HERE, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A client in its session, and the server's end of the connection.
fn in_session(
    reconnect: bool,
    kernel: Rehearsal,
    routes: Option<RouteSocket>,
    now: Instant,
) -> (Client<'static>, Phase, TcpStream) {
    let (listener, port) = listen();
    let mut client = client(plan(port, reconnect), kernel, routes);
    let phase = client.connect([HERE].into(), None, now);
    let server = listener.accept().unwrap().0;
    let phase = step(&mut client, phase, now);
    assert!(matches!(phase, Phase::Session(_)));
    (client, phase, server)
}

/// Waits for the next event and handles it.
fn step(client: &mut Client, phase: Phase, now: Instant) -> Phase {
    let ready = client.wait(&phase).unwrap();
    client.handle(phase, &ready, now)
}

/// The sources that are ready when the server's bytes, or its end of the connection, have come: on FreeBSD's loopback, a
/// moment after they were sent.
fn once_readable(client: &Client, phase: &Phase) -> Vec<Source> {
    let ready = || Some(client.wait(phase).unwrap()).filter(|ready| ready.contains(&Source::Socket));
    wait_until("the server's bytes", ready)
}

fn just_before(time: Duration) -> Duration {
    time.saturating_sub(Duration::from_millis(1))
}

fn exit_of(phase: &Phase) -> Option<Exit> {
    if let Phase::Ending(exit) = phase { Some(*exit) } else { None }
}

/// How long the client waits for the next attempt.
fn wait_from(phase: &Phase, now: Instant) -> Option<Duration> {
    match phase {
        Phase::Waiting { until, .. } => Some(until.saturating_duration_since(now)),
        _ => None,
    }
}

/// On Linux, all of 127.0.0.0/8 is this host, and a connection to an address without a listener is refused.
#[cfg(target_os = "linux")]
#[test]
fn all_addresses_of_the_server_are_tried_in_order() {
    let listener = TcpListener::bind("127.0.0.3:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"+OK\r\n"));
    let mut client = client(plan(port, false), kernel(), None);
    let addresses = (1..=3).map(|last| Ipv4Addr::new(127, 0, 0, last)).collect();
    let phase = client.connect(addresses, None, Instant::now());
    // The third address greets without a challenge.
    assert_eq!(client.run_from(phase), Exit::Protocol);
    server.join().unwrap().unwrap();
}

/// On Linux, 127.0.0.2 is this host, too.
#[cfg(target_os = "linux")]
#[test]
fn a_login_that_fails_at_one_address_of_the_server_is_tried_at_the_next_one() {
    for (words, other_is_tried) in [
        (vec![], true),
        (b"220 mail.example ESMTP\r\n".to_vec(), true),
        (b"-ERR go away\r\n".to_vec(), true),
        ([GREETING, b"-ERR server busy\r\n"].concat(), true),
        ([GREETING, b"-ERR tunnel interface sold out\r\n"].concat(), true),
        ([GREETING, b"+OK 127.0.0.1\r\n"].concat(), true),
        ([GREETING, b"-ERR authentication failed.\r\n"].concat(), false),
        ([GREETING, b"-ERR unsupported tunnel type\r\n"].concat(), false),
        ([GREETING, b"+OK 192.0.2.9 192.0.2.2\r\n"].concat(), false),
        ([GREETING, OFFER].concat(), false),
    ] {
        let (listener, port) = listen();
        let (mut client, now) = (client(plan(port, true), kernel(), None), Instant::now());
        let phase = client.connect([HERE, Ipv4Addr::new(127, 0, 0, 2)].into(), None, now);
        let mut server = listener.accept().unwrap().0;
        let mut phase = step(&mut client, phase, now);
        server.write_all(&words).unwrap();
        drop(server);
        while matches!(phase, Phase::Session(_) | Phase::Leaving(_)) {
            phase = step(&mut client, phase, now);
        }
        let words = String::from_utf8_lossy(&words);
        assert_eq!(matches!(phase, Phase::Connecting(_)), other_is_tried, "{words}: {}", phase.state());
    }
}

#[test]
fn the_next_address_is_tried_if_one_does_not_answer() {
    let (listener, port) = listen();
    let mut client = client(plan(port, false), kernel(), None);
    let mut now = Instant::now();
    let mut phase = client.connect([HERE, HERE].into(), None, now);
    for exit in [None, Some(Exit::Unavailable)] {
        phase = client.handle_timer(phase, now + just_before(CONNECT_TIMEOUT));
        assert!(matches!(phase, Phase::Connecting(_)));
        now += CONNECT_TIMEOUT;
        phase = client.handle_timer(phase, now);
        assert_eq!(exit_of(&phase), exit);
    }
    drop(listener);
}

#[test]
fn a_server_that_never_greets_is_left_after_thirty_seconds() {
    let now = Instant::now();
    let (mut client, phase, _server) = in_session(false, kernel(), None, now);
    let phase = client.handle_timer(phase, now + just_before(GREETING_TIMEOUT));
    assert_eq!(exit_of(&phase), None);
    assert_eq!(exit_of(&client.handle_timer(phase, now + GREETING_TIMEOUT)), Some(Exit::Unavailable));
}

#[test]
fn a_refusal_is_reported_when_the_server_closes_in_any_way() {
    type End = fn(TcpStream);
    let ends: [End; 4] = [
        |mut server| server.write_all(b"+OK see you soon.\r\n").unwrap(),
        |mut server| server.write_all(b"Goodbye\r\n").unwrap(),
        |mut server| server.write_all(&[b'A'; 2000]).unwrap(),
        |server| setsockopt(&server, Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 }).unwrap(),
    ];
    for end in ends {
        let now = Instant::now();
        let (mut client, phase, mut server) = in_session(false, kernel(), None, now);
        server.write_all(&[GREETING, b"-ERR authentication failed.\r\n"].concat()).unwrap();
        let mut phase = step(&mut client, phase, now);
        assert!(matches!(phase, Phase::Leaving(_)));
        end(server);
        while exit_of(&phase).is_none() {
            phase = step(&mut client, phase, now);
        }
        assert_eq!(exit_of(&phase), Some(Exit::NoPermission));
    }
}

#[test]
fn the_server_has_two_seconds_to_close_after_quit_even_if_it_answers() {
    for (next, after) in [
        (Next::LogIn, None),
        (Next::Stop, Some(Exit::Ok)),
        (Next::Failure(Failure::Closed(Stage::Up)), Some(Exit::Unavailable)),
    ] {
        let now = Instant::now();
        let (mut client, phase, mut server) = in_session(false, kernel(), None, now);
        let Phase::Session(active) = phase else { panic!("a session") };
        let phase = client.leave(*active, next, now);
        server.write_all(b"+OK see you soon.\r\n").unwrap();
        let phase = step(&mut client, phase, now);
        let phase = client.handle_timer(phase, now + just_before(QUIT_TIMEOUT));
        assert!(matches!(phase, Phase::Leaving(_)));
        let phase = client.handle_timer(phase, now + QUIT_TIMEOUT);
        assert_eq!(exit_of(&phase), after);
        assert!(after.is_some() || matches!(phase, Phase::Resolving(_)));
    }
}

#[test]
fn a_signal_while_leaving_changes_the_next_step_but_does_not_undo_a_stop() {
    let now = Instant::now();
    let (mut client, phase, server) = in_session(true, kernel(), None, now);
    let phase = client.log_in_again(phase, now);
    let phase = client.stop(phase, now);
    let phase = client.log_in_again(phase, now);
    drop(server);
    let ready = once_readable(&client, &phase);
    assert_eq!(exit_of(&client.handle(phase, &ready, now)), Some(Exit::Ok));
}

#[test]
fn sighup_reads_the_auth_file_again_and_keeps_the_password_if_it_cannot() {
    let directory = Directory::default();
    let now = Instant::now();
    let (mut client, phase, _held) = in_phase("waiting", now);
    client.plan.account.auth_file = InputFile { path: directory.file("auth").into(), named: true };
    for (content, mode, password) in [
        ("127.0.0.1:me:new\n", 0o600, "new"),
        ("127.0.0.1:me:unsafe\n", 0o666, "new"),
        ("127.0.0.1:you:other\n", 0o600, "new"),
        ("malformed\n", 0o600, "new"),
        ("127.0.0.1:me:newer\n", 0o600, "newer"),
    ] {
        directory.write("auth", content, mode);
        client.read_password_again();
        assert_eq!(**client.plan.login.password, *password.as_bytes(), "{content}");
    }
    directory.write("auth", "127.0.0.1:me:last\n", 0o600);
    assert_eq!(client.log_in_again(phase, now).state(), "looking up the server");
    assert_eq!(**client.plan.login.password, *b"last");
}

#[test]
fn the_starter_is_told_that_the_tunnel_is_up_once_the_script_has_ended() {
    let directory = Directory::default();
    let now = Instant::now();
    let (mut client, phase, _server) = tunneled(&kernel(), now);
    let Phase::Session(active) = &phase else { panic!("a session") };
    let parameters = active.up.as_ref().expect("a tunnel").parameters.clone();
    let script = directory.script("until [ -e $directory/go ]; do sleep 0.1; done");
    client.scripts = Runner::new(Some(script.into()), ScriptMode::Run, Limits::default());
    client.scripts.run(Event::Up, &parameters, now);
    let (mut pipe, starter) = Starter::reading();
    client.starter = Some(starter);
    client.tell_starter(&phase, now);
    assert!(client.starter.is_some(), "the script still runs");

    directory.write("go", "", 0o600);
    wait_until("the script to end", || {
        client.scripts.handle_child(now);
        client.scripts.is_idle().then_some(())
    });
    client.tell_starter(&phase, now);
    let mut marks = Vec::new();
    pipe.read_to_end(&mut marks).unwrap();
    assert_eq!(marks.len(), 1, "one mark, and the end: {marks:?}");
}

#[test]
fn each_signal_in_each_phase() {
    for (phase, on_sighup, on_sigterm) in [
        ("looking up the server", "looking up the server", "ending"),
        ("connecting", "looking up the server", "ending"),
        ("waiting for the greeting", "leaving", "leaving"),
        ("logging in", "leaving", "leaving"),
        ("up", "leaving", "leaving"),
        ("leaving", "leaving", "leaving"),
        ("waiting", "looking up the server", "ending"),
        ("ending", "ending", "ending"),
    ] {
        let now = Instant::now();
        let (mut client, at, _held) = in_phase(phase, now);
        assert!(
            client.status(&at, now).line().starts_with(&format!("{phase} since ")),
            "SIGUSR1 in phase {phase}"
        );
        let mut at = client.log_in_again(at, now);
        assert_eq!(at.state(), on_sighup, "SIGHUP in phase {phase}");
        if on_sighup == "leaving" {
            at = client.handle_timer(at, now + QUIT_TIMEOUT);
            assert_eq!(at.state(), "looking up the server", "SIGHUP in phase {phase}");
        }
        let (mut client, at, _held) = in_phase(phase, now);
        let at = client.stop(at, now);
        assert_eq!(at.state(), on_sigterm, "SIGTERM in phase {phase}");
        let at = client.handle_timer(at, now + QUIT_TIMEOUT);
        assert_eq!(at.state(), "ending", "SIGTERM in phase {phase}");
    }
}

/// A client in a phase, and what must be kept for the phase to last.
fn in_phase(phase: &str, now: Instant) -> (Client<'static>, Phase, Box<dyn std::any::Any>) {
    let lines = match phase {
        "looking up the server" | "connecting" | "waiting" | "ending" => {
            let (listener, port) = listen();
            let mut client = hanging(true, None);
            client.plan.port = port;
            let at = match phase {
                "looking up the server" => client.look_up(now),
                "connecting" => client.connect([HERE].into(), None, now),
                "waiting" => Phase::Waiting { until: now + REFUSAL_WAIT, address_may_help: false },
                _ => Phase::Ending(Exit::Ok),
            };
            client.note_state(&at);
            return (client, at, Box::new(listener));
        }
        "waiting for the greeting" => &[][..],
        "logging in" => &[GREETING],
        _ => &[GREETING, OFFER],
    };
    let (mut client, mut at, mut server) = in_session(true, kernel(), None, now);
    for line in lines {
        server.write_all(line).unwrap();
        at = step(&mut client, at, now);
    }
    if phase == "leaving" {
        let Phase::Session(active) = at else { panic!("a session") };
        at = client.leave(*active, Next::Failure(Failure::NoEcho), now);
    }
    client.note_state(&at);
    (client, at, Box::new(server))
}

#[test]
fn a_connection_that_ends_at_any_stage_leaves_nothing_behind() {
    type End = fn(TcpStream);
    let closes: End = drop;
    let resets: End = |server| {
        setsockopt(&server, Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
    };
    let closes_in_a_line: End = |mut server| server.write_all(b"+OK").unwrap();
    for (fault, lines, end) in [
        ("closed before the greeting", &[][..], closes),
        ("reset before the greeting", &[], resets),
        ("closed within the greeting", &[], closes_in_a_line),
        ("closed during the login", &[GREETING], closes),
        ("reset during the login", &[GREETING], resets),
        ("closed within the offer", &[GREETING], closes_in_a_line),
        ("closed while up", &[GREETING, OFFER], closes),
        ("reset while up", &[GREETING, OFFER], resets),
        ("closed within an answer", &[GREETING, OFFER], closes_in_a_line),
    ] {
        for reconnect in [false, true] {
            let (kernel, now) = (kernel(), Instant::now());
            let (mut client, mut phase, mut server) = in_session(reconnect, kernel.clone(), None, now);
            for line in lines {
                server.write_all(line).unwrap();
                phase = step(&mut client, phase, now);
            }
            end(server);
            while matches!(phase, Phase::Session(_)) {
                phase = step(&mut client, phase, now);
            }
            assert_eq!(exit_of(&phase), (!reconnect).then_some(Exit::Unavailable), "{fault}");
            assert_eq!(
                wait_from(&phase, now).is_some_and(|wait| wait < 2 * backoff::FIRST),
                reconnect,
                "{fault}"
            );
            client.run_from(Phase::Ending(Exit::Ok));
            assert!(is_empty(&kernel), "{fault}");
        }
    }
}

#[test]
fn what_the_server_refuses_is_final_unless_a_login_has_worked() {
    let refusals = [
        Reason::LoginRefused { text: String::new(), udp: false },
        Reason::UnsupportedTunnelType(String::new()),
        Reason::BehindNat { local: HERE, seen: HERE },
    ];
    for failure in refusals.map(Failure::from) {
        let (mut client, now) = (client(plan(1, true), kernel(), None), Instant::now());
        assert_eq!(exit_of(&client.fail(&failure, now)), Some(Exit::from(&failure)));
        client.logins = 1;
        assert_eq!(wait_from(&client.fail(&failure, now), now), Some(REFUSAL_WAIT));
    }
}

#[test]
fn no_login_is_tried_while_another_gif_has_the_outer_addresses() {
    let (mut kernel, now) = (kernel(), Instant::now());
    let other = kernel.create_gif().unwrap();
    kernel.set_outer_addresses(&other, Ends { local: HERE, remote: HERE }).unwrap();
    let (listener, port) = listen();
    let mut client = client(plan(port, true), kernel, None);
    let phase = client.connect([HERE].into(), None, now);
    let phase = step(&mut client, phase, now);
    assert!(wait_from(&phase, now).is_some());
    let mut sent = String::new();
    listener.accept().unwrap().0.read_to_string(&mut sent).unwrap();
    assert_eq!(sent, "");
}

#[test]
fn a_tunnel_that_the_kernel_refuses_is_never_pinged() {
    let (kernel, now) = (kernel(), Instant::now());
    let (mut client, phase, mut server) = in_session(true, kernel.clone(), None, now);
    // The first is the question when this process started.
    kernel.fail_call(2, Errno::EPERM);
    server.write_all(&[GREETING, OFFER].concat()).unwrap();
    let phase = step(&mut client, phase, now);
    assert!(matches!(phase, Phase::Leaving(_)));
    server.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(exit_of(&step(&mut client, phase, now)), Some(Exit::NoPermission));
    let mut sent = String::new();
    server.read_to_string(&mut sent).unwrap();
    assert!(sent.starts_with("tunnel me ") && sent.ends_with(" tunnelonly\r\nquit\r\n"), "{sent}");
}

/// A client whose name service never answers.
fn hanging(reconnect: bool, routes: Option<RouteSocket>) -> Client<'static> {
    let mut client = client(plan(1, reconnect), kernel(), routes);
    client.resolver = Resolver::new(|_| {
        loop {
            std::thread::park();
        }
    });
    client
}

#[test]
fn a_look_up_that_hangs_is_given_up_after_thirty_seconds() {
    let now = Instant::now();
    for (reconnect, expected) in [(false, Some(Exit::NoHost)), (true, None)] {
        let mut client = hanging(reconnect, None);
        let phase = client.look_up(now);
        let phase = client.handle_timer(phase, now + just_before(lookup::LIMIT));
        assert_eq!(phase.state(), "looking up the server");
        let phase = client.handle_timer(phase, now + lookup::LIMIT);
        assert_eq!(exit_of(&phase), expected);
        assert_eq!(wait_from(&phase, now + lookup::LIMIT).is_some(), reconnect);
    }
    let report = hanging(false, None).no_address(ErrorKind::TimedOut.into()).report();
    assert!(report.contains("127.0.0.1: timed out; "), "{report}");
}

#[test]
fn a_sighup_begins_a_look_up_again_but_few_hang_at_a_time() {
    let mut client = hanging(true, None);
    let mut now = Instant::now();
    let mut phase = client.look_up(now);
    for _ in 1..lookup::MOST_THREADS {
        now += Duration::from_secs(1);
        phase = client.log_in_again(phase, now);
        assert_eq!(phase.timer(), Some(now + lookup::LIMIT));
    }
    phase = client.log_in_again(phase, now + Duration::from_secs(1));
    assert_eq!(phase.timer(), Some(now + lookup::LIMIT), "it goes on");
    // They hang for ever, so that no other attempt can begin.
    phase = client.handle_timer(phase, now + lookup::LIMIT);
    phase = client.handle_timer(phase, now + 2 * lookup::LIMIT);
    assert!(wait_from(&phase, now + 2 * lookup::LIMIT).is_some());
    assert_eq!(exit_of(&client.stop(phase, now)), Some(Exit::Ok));
}

#[test]
fn a_name_service_that_fails_at_boot_is_asked_again_and_then_for_each_attempt() {
    static LOOKUPS: AtomicU8 = AtomicU8::new(0);
    let (_listener, port) = listen();
    let (mut client, mut now) = (client(plan(port, true), kernel(), None), Instant::now());
    client.resolver = Resolver::new(|_| match LOOKUPS.fetch_add(1, Ordering::SeqCst) {
        0 => Err(ErrorKind::HostUnreachable.into()),
        _ => Ok(vec![HERE]),
    });
    let mut phase = client.look_up(now);
    for state in ["waiting", "connecting", "connecting"] {
        while phase.state() == "looking up the server" {
            phase = step(&mut client, phase, now);
        }
        assert_eq!(phase.state(), state);
        if state == "waiting" {
            now = phase.timer().unwrap();
            phase = client.handle_timer(phase, now);
        } else {
            phase = client.log_in_again(phase, now);
        }
    }
    assert!(LOOKUPS.load(Ordering::SeqCst) >= 3);
}

#[test]
fn a_sighup_at_the_end_of_a_look_up_does_not_wait_for_the_next_one() {
    let (mut client, now) = (hanging(true, None), Instant::now());
    let hanging = client.resolver;
    client.resolver = Resolver::default();
    let phase = client.look_up(now);
    let ready = client.wait(&phase).unwrap();
    assert_eq!(ready, [Source::Lookup]);
    client.resolver = hanging;
    let phase = client.log_in_again(phase, now);
    let phase = client.handle(phase, &ready, now);
    assert_eq!(exit_of(&client.stop(phase, now)), Some(Exit::Ok));
}

/// A client whose tunnel is up, and the server's end of the connection.
fn tunneled(kernel: &Rehearsal, now: Instant) -> (Client<'static>, Phase, TcpStream) {
    let (mut client, mut phase, mut server) = in_session(false, kernel.clone(), None, now);
    for line in [GREETING, OFFER] {
        server.write_all(line).unwrap();
        phase = step(&mut client, phase, now);
    }
    assert_eq!(phase.state(), "up");
    (client, phase, server)
}

/// Lets a client run until `end`, in virtual time: its timers, and the answers to its pings and echo requests.
fn run_until(client: &mut Client, server: &mut TcpStream, mut phase: Phase, end: Instant) -> Phase {
    while let Phase::Session(_) = &phase {
        let now = [phase.timer(), client.look].into_iter().flatten().min().unwrap();
        if now > end {
            break;
        }
        phase = client.handle(phase, &[], now);
        phase = client.handle_echo(phase, now);
        if let Phase::Session(active) = &mut phase {
            active.session.handle_bytes(b"+OK pong\r\n", now);
        }
        // The pings are of no interest.
        server.set_nonblocking(true).unwrap();
        let _ = server.read(&mut [0; 1024]);
    }
    phase
}

#[test]
fn after_a_suspend_the_server_is_pinged_at_once() {
    for (suspended, pings) in [(Duration::ZERO, 1), (Duration::from_hours(1), 2)] {
        let (wall, now) = (SystemTime::now(), Instant::now());
        let (mut client, phase, mut server) = tunneled(&kernel(), now);
        client.clocks = Clocks::new(wall, now);
        server.write_all(b"+OK pong\r\n").unwrap();
        let ready = once_readable(&client, &phase);
        let mut phase = client.handle(phase, &ready, now);
        let later = Duration::from_secs(5);
        client.look_at_clocks(&mut phase, wall + suspended + later, now + later);
        // The first time, it is an echo request that is due.
        let phase = client.handle(phase, &[], now + later);
        drop(client.handle(phase, &[], now + later));
        let mut sent = String::new();
        server.read_to_string(&mut sent).unwrap();
        assert_eq!(sent.matches("ping").count(), pings, "{sent}");
    }
}

#[test]
fn a_client_that_was_stopped_for_an_hour_goes_on_if_the_server_is_still_there() {
    let (kernel, now) = (kernel(), Instant::now());
    let (mut client, phase, mut server) = tunneled(&kernel, now);
    // The answer to the first ping comes while the client is stopped.
    server.write_all(b"+OK pong\r\n").unwrap();
    let later = now + Duration::from_hours(1);
    let ready = once_readable(&client, &phase);
    let phase = client.handle(phase, &ready, later);
    let phase = client.handle(phase, &[], later);
    assert_eq!(phase.state(), "up");
    let phase = client.handle_timer(phase, later + PING_INTERVAL);
    let phase = client.handle_timer(phase, later + PING_INTERVAL);
    assert_eq!(exit_of(&phase), Some(Exit::Unavailable), "it was pinged at once, and has not answered");
}

#[test]
fn after_a_tunnel_was_up_for_two_minutes_the_next_wait_is_short() {
    for (held, short) in [(just_before(HELD), false), (HELD, true)] {
        let since = Instant::now();
        let (mut client, phase, _server) = tunneled(&kernel(), since);
        let Phase::Session(active) = phase else { panic!("a session") };
        client.plan.reconnect = true;
        for _ in 0..5 {
            client.backoff.next_wait();
        }
        let phase = client.end_session(*active, Failure::Closed(Stage::Up), since + held);
        let wait = wait_from(&phase, since + held).unwrap();
        assert_eq!(wait < 2 * backoff::FIRST, short, "{wait:?} after {held:?}");
    }
}

fn gif0() -> InterfaceName {
    InterfaceName::new("gif0").expect("a good name")
}

mod soak;
mod watch;
