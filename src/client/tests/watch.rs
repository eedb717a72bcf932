//! What the client does about routing messages, this host's addresses, the interface and the echo.

use ffi::route_socket::AddressChange;
use harness::Routes;

use super::*;
use crate::client::watch::KEEPALIVE_INTERVAL;

#[test]
fn a_new_address_of_this_host_ends_a_wait_only_if_it_may_help() {
    let now = Instant::now();
    let peer = SocketAddrV4::new(HERE, 1);
    for (failure, helps) in [
        (Failure::NoAddress { server: String::new(), source: ErrorKind::TimedOut.into() }, true),
        (Failure::NoConnection { peer, source: ErrorKind::HostUnreachable.into() }, true),
        (Failure::AddressGone(HERE), true),
        (Reason::BehindNat { local: HERE, seen: HERE }.into(), true),
        (tunnel::Error::AddressGone(peer).into(), true),
        (Reason::LoginRefused { text: String::new(), udp: false }.into(), false),
        (Reason::NoTunnelFree(String::new()).into(), false),
        (Failure::Closed(Stage::Login), false),
    ] {
        let (reports, routes) = Routes::pair();
        let mut client = client(plan(1, true), kernel(), Some(routes));
        client.logins = 1;
        for _ in 0..9 {
            client.backoff.next_wait();
        }
        let phase = client.fail(&failure, now);
        let until = phase.timer().unwrap();
        reports.report(AddressChange::Added(HERE));
        let phase = step(&mut client, phase, now);
        let looked = now + ADDRESS_GRACE;
        let phase = client.handle(phase, &[], looked);
        let expected = if helps { looked + backoff::FIRST } else { until };
        assert_eq!(phase.timer(), Some(expected), "{failure:?}");
    }
}

/// Whether the lost ones had a new address is not known.
#[test]
fn if_routing_messages_were_lost_a_wait_is_shortened_as_by_a_new_address() {
    let unreadable = std::fs::OpenOptions::new().write(true).open("/dev/null").unwrap();
    let routes = RouteSocket::new(unreadable.into());
    let (mut client, now) = (client(plan(1, true), kernel(), Some(routes)), Instant::now());
    let phase = Phase::Waiting { until: now + REFUSAL_WAIT, address_may_help: true };
    client.unread = true;
    let phase = client.look(phase, now);
    assert_eq!(wait_from(&phase, now), Some(backoff::FIRST));
}

#[test]
fn many_new_addresses_begin_one_attempt_in_thirty_seconds() {
    let (reports, routes) = Routes::pair();
    let mut client = hanging(true, Some(routes));
    let start = Instant::now();
    let report = |client: &mut Client| {
        reports.report(AddressChange::Added(HERE));
        client.unread = true;
    };
    // The first ends a wait.
    let mut phase = Phase::Waiting { until: start + REFUSAL_WAIT, address_may_help: true };
    report(&mut client);
    phase = client.look(phase, start);
    assert_eq!(wait_from(&phase, start), Some(backoff::FIRST));
    phase = client.handle_timer(phase, start + backoff::FIRST);
    let begun = phase.timer();
    for (seconds, begins_again) in [(2, false), (29, false), (30, true)] {
        report(&mut client);
        phase = client.look(phase, start + Duration::from_secs(seconds));
        assert_eq!(phase.timer() != begun, begins_again, "after {seconds} s");
    }
    // One that comes too early is not forgotten.
    phase = Phase::Waiting { until: start + REFUSAL_WAIT, address_may_help: true };
    report(&mut client);
    phase = client.look(phase, start + Duration::from_secs(40));
    assert_eq!(wait_from(&phase, start), Some(Duration::from_mins(1) + backoff::FIRST));
}

#[test]
fn a_routing_message_is_only_a_hint_to_ask_the_kernel_for_the_address() {
    for lost in [false, true] {
        let ((reports, routes), kernel, now) = (Routes::pair(), kernel(), Instant::now());
        let (mut client, phase, _server) = in_session(false, kernel.clone(), Some(routes), now);
        reports.report(AddressChange::Removed(HERE));
        if lost {
            kernel.lose_address(HERE);
        }
        let phase = step(&mut client, phase, now);
        let phase = client.handle(phase, &[], now + just_before(ADDRESS_GRACE));
        assert_eq!(exit_of(&phase), None, "it may come back");
        let phase = client.handle(phase, &[], now + ADDRESS_GRACE);
        assert_eq!(exit_of(&phase), lost.then_some(Exit::Unavailable));
    }
}

#[test]
fn a_flood_of_routing_messages_is_not_read_until_the_kernel_is_asked() {
    let ((reports, routes), now) = (Routes::pair(), Instant::now());
    let (mut client, phase, mut server) = in_session(false, kernel(), Some(routes), now);
    for _ in 0..100 {
        reports.report(AddressChange::Removed(HERE));
    }
    let phase = step(&mut client, phase, now);
    server.write_all(GREETING).unwrap();
    assert_eq!(once_readable(&client, &phase), [Source::Socket]);
    client.handle(phase, &[], now + ADDRESS_GRACE);
    assert_eq!(client.look, None);
}

#[test]
fn an_address_that_is_lost_without_a_message_is_missed_with_the_next_ping() {
    let (kernel, now) = (kernel(), Instant::now());
    let (mut client, phase, mut server) = tunneled(&kernel, now);
    let phase = run_until(&mut client, &mut server, phase, now + Duration::from_secs(1));
    kernel.lose_address(HERE);
    let phase = run_until(&mut client, &mut server, phase, now + Duration::from_mins(1));
    assert_eq!(exit_of(&phase), Some(Exit::Unavailable));
}

#[test]
fn an_interface_that_is_set_down_is_set_up_again_but_not_more_than_once_a_minute() {
    let (kernel, now) = (kernel(), Instant::now());
    let (mut client, mut phase, _server) = tunneled(&kernel, now);
    for (seconds, up) in [(5, true), (30, false), (70, true)] {
        assert!(kernel.meddle(&gif0(), |interface| interface.up = false));
        phase = client.look(phase, now + Duration::from_secs(seconds));
        assert_eq!(kernel.interfaces()[0].up, up, "after {seconds} s");
    }
}

#[test]
fn an_interface_that_somebody_removed_is_made_by_a_new_login_even_without_reconnecting() {
    let (kernel, now) = (kernel(), Instant::now());
    let (mut client, phase, server) = tunneled(&kernel, now);
    ffi::kernel::Kernel::destroy_gif(&mut kernel.clone(), &gif0()).unwrap();
    let phase = client.look(phase, now);
    assert_eq!(phase.state(), "leaving");
    drop(server);
    let ready = once_readable(&client, &phase);
    let phase = client.handle(phase, &ready, now);
    assert!(wait_from(&phase, now).is_some_and(|wait| wait < 2 * backoff::FIRST));
}

#[test]
fn at_rest_a_client_wakes_up_once_a_minute_for_ping_echo_and_look() {
    let (kernel, start) = (kernel(), Instant::now());
    let (mut client, mut phase, mut server) = tunneled(&kernel, start);
    // The first echo is answered late, as on a new interface.
    phase = run_until(&mut client, &mut server, phase, start + Duration::from_secs(90));
    let mut wakings = Vec::new();
    while let Some(now) = [phase.timer(), client.look].into_iter().flatten().min()
        && now < start + Duration::from_secs(690)
    {
        wakings.push(now);
        phase = client.handle(phase, &[], now);
        phase = client.handle_echo(phase, now);
        if let Phase::Session(active) = &mut phase {
            active.session.handle_bytes(b"+OK pong\r\n", now);
        }
    }
    assert_eq!(wakings.len(), 10, "in ten minutes");
    assert!(wakings.windows(2).all(|pair| pair[1] - pair[0] == PING_INTERVAL));
}

#[test]
fn a_tunnel_through_which_nothing_comes_any_more_is_given_up_for_a_new_login() {
    let (kernel, now) = (kernel(), Instant::now());
    let (mut client, phase, mut server) = tunneled(&kernel, now);
    let phase = run_until(&mut client, &mut server, phase, now + Duration::from_mins(10));
    let status = client.status(&phase, now).line();
    assert!(status.contains(", echo "), "{status}");
    assert!(
        status.contains(", received 14 packets (3232 bytes), sent 14 packets (3232 bytes), "),
        "{status}"
    );
    kernel.set_largest_echo(None);
    let phase = run_until(&mut client, &mut server, phase, now + Duration::from_mins(15));
    assert_eq!(phase.state(), "leaving");
}

#[test]
fn echo_requests_keep_a_nat_open_if_the_server_was_not_told_a_port() {
    for (udp, interval) in
        [(Announcement::Port(4028), PING_INTERVAL), (Announcement::Unknown, KEEPALIVE_INTERVAL)]
    {
        let mut plan = plan(1, false);
        Rc::get_mut(&mut plan.login).unwrap().udp = Some(udp);
        let (client, now) = (client(plan, kernel(), None), Instant::now());
        let mut echo = client.new_echo(now);
        echo.handle_timer(now);
        echo.handle_reply(1, now);
        echo.handle_reply(2, now);
        assert_eq!(echo.timer(), now + interval);
    }
}

#[test]
fn a_tunnel_that_never_answers_is_kept() {
    let (kernel, now) = (kernel(), Instant::now());
    kernel.set_largest_echo(None);
    let (mut client, phase, mut server) = tunneled(&kernel, now);
    let phase = run_until(&mut client, &mut server, phase, now + Duration::from_hours(2));
    assert_eq!(phase.state(), "up");
}
