//! Sessions in virtual time: the client's session against a model of a server, hours of it in milliseconds.

mod model;

use std::time::Duration;

use dtcpclient::protocol::{
    Announcement, GREETING_TIMEOUT, KEEPALIVE_INTERVAL, OFFER_TIMEOUT, OfferError, PING_INTERVAL, Reason,
    TunnelType,
};
use model::{Fault, Seen, Server, World, login};
use proptest::prelude::*;

const NEVER: [Duration; 0] = [];
const HOUR: Duration = Duration::from_hours(1);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_session_lives_for_days_and_pings_every_minute() {
    let mut world = World::new(login(), Server::default());
    world.run_for(48 * HOUR);
    assert_eq!(world.ended(), None);
    assert_eq!(world.tunnels(), 1);
    // One at once, and one a minute after that.
    let pings = world.times_of(|seen| *seen == Seen::Sent("ping".to_owned()));
    assert_eq!(pings.len(), 48 * 60);
    assert!(pings.windows(2).all(|pair| pair[1].saturating_sub(pair[0]) == PING_INTERVAL));
}

#[test]
fn the_login_answers_the_challenge_with_the_password() {
    let mut world = World::new(login(), Server::default());
    world.run_for(SECOND);
    let first = world.seen().iter().find(|(_, seen)| matches!(seen, Seen::Sent(_)));
    let line = "tunnel foo DAC487C8DFBBF9EE5C7F8CDCC37B62A3 tunnelonly".to_owned();
    assert_eq!(first.map(|(_, seen)| seen), Some(&Seen::Sent(line)));
}

#[test]
fn the_round_trip_of_the_last_ping_is_known() {
    let mut world = World::new(login(), Server { latency: Duration::from_millis(21), ..Server::default() });
    world.run_for(HOUR);
    assert_eq!(world.session.round_trip(), Some(Duration::from_millis(42)));
}

#[test]
fn each_stage_has_its_time_limit() {
    for (fault, reason, limit) in [
        (Fault::MuteBeforeGreeting, Reason::NoGreeting, GREETING_TIMEOUT),
        (Fault::MuteAfterGreeting, Reason::NoOffer, OFFER_TIMEOUT),
    ] {
        assert!(reason.to_string().contains(&format!("within {} s", limit.as_secs())), "{reason}");
        let mut world = World::new(login(), Server { fault, latency: Duration::ZERO, ..Server::default() });
        world.run_for(HOUR);
        assert_eq!(world.ended(), Some((limit, reason)), "{fault:?}");
    }
}

#[test]
fn whenever_the_server_falls_silent_the_session_knows_within_two_minutes() {
    for silent_from in (0..HOUR.as_secs()).step_by(7).map(Duration::from_secs) {
        let silent_from = silent_from + SECOND;
        let mut world =
            World::new(login(), Server { fault: Fault::SilentFrom(silent_from), ..Server::default() });
        world.run_for(2 * HOUR);
        let (at, reason) = world.ended().expect("it ends");
        assert_eq!(reason, Reason::NoPong);
        assert!(at >= silent_from && at <= silent_from + 2 * PING_INTERVAL, "{silent_from:?} {at:?}");
    }
}

#[test]
fn slow_but_living_servers_are_waited_for() {
    for latency in [1, 5, 14, 29].map(Duration::from_secs) {
        let mut world = World::new(login(), Server { latency, ..Server::default() });
        world.run_for(10 * HOUR);
        assert_eq!((world.ended(), world.tunnels()), (None, 1), "{latency:?}");
    }
}

#[test]
fn refusals_are_told_apart_and_left_politely() {
    type Kind = fn(String) -> Reason;
    let cases: [(&str, Kind); 4] = [
        ("authentication failed.", |text| Reason::LoginRefused { text, udp: false }),
        ("unsupported tunnel type tunnelonly", Reason::UnsupportedTunnelType),
        ("tunnel interface sold out", Reason::NoTunnelFree),
        ("connection timed out, disconnecting", Reason::ServerError),
    ];
    for (text, kind) in cases {
        let mut world = World::new(login(), Server { fault: Fault::MuteBeforeGreeting, ..Server::default() });
        world.hear(format!("+OK 0123 hello\r\n-ERR {text}\r\n").as_bytes());
        let ended = (Duration::ZERO, Seen::Left(kind(text.to_owned())));
        assert_eq!((world.tunnels(), world.seen().last()), (0, Some(&ended)));
        // However the server takes it.
        for farewell in [&b"Goodbye\r\n"[..], &[b'A'; 2000], b"-ERR\r\n"] {
            world.hear(farewell);
        }
        assert_eq!((world.session.timer(), world.seen().last()), (None, Some(&ended)));
    }
}

#[test]
fn a_response_that_the_server_quotes_is_masked() {
    let mut world = World::new(login(), Server { fault: Fault::MuteBeforeGreeting, ..Server::default() });
    world.run_for(SECOND);
    world.hear(b"+OK 0B1517C87D516A5FA65BED722D51A04F hello\r\n");
    world.hear(b"-ERR what is tunnel foo DAC487C8DFBBF9EE5C7F8CDCC37B62A3 tunnelonly\r\n");
    world.run_for(HOUR);
    let (_, reason) = world.ended().expect("it ends");
    assert!(reason.to_string().contains("what is tunnel foo ******** tunnelonly"), "{reason}");
}

#[test]
fn a_refused_login_says_whether_it_was_for_udp() {
    let login = model::Login { udp: Some(Announcement::Port(4028)), ..login() };
    let mut world = World::new(login, Server { offer: "-ERR authentication failed.", ..Server::default() });
    world.run_for(HOUR);
    assert!(matches!(world.ended(), Some((_, Reason::LoginRefused { udp: true, .. }))));
}

#[test]
fn a_server_that_does_not_speak_dtcp_ends_the_session() {
    for (greeting, reason) in [
        ("220 mail.example ESMTP", "does not speak DTCP"),
        ("+OK", "has no challenge"),
        ("-ERR go away\u{7}", "the server reported an error (\"go away?\")"),
    ] {
        let mut world = World::new(login(), Server { greeting, ..Server::default() });
        world.run_for(HOUR);
        let (_, ended) = world.ended().expect("it ends");
        assert!(ended.to_string().contains(reason), "{greeting}: {ended}");
        assert_eq!(world.times_of(|seen| matches!(seen, Seen::Sent(_))), NEVER, "nothing is sent to it");
    }
}

#[test]
fn behind_a_nat_the_session_leaves_unless_that_is_not_checked() {
    let server = Server { offer: "+OK 203.0.113.9 192.0.2.2", ..Server::default() };
    let mut world = World::new(login(), server.clone());
    world.run_for(HOUR);
    let (_, reason) = world.ended().expect("it ends");
    assert!(matches!(reason, Reason::BehindNat { .. }), "{reason}");
    assert_eq!(world.tunnels(), 0);

    let mut world = World::new(model::Login { nat_check: false, ..login() }, server);
    world.run_for(HOUR);
    assert_eq!((world.ended(), world.tunnels()), (None, 1));
}

#[test]
fn an_offer_that_lacks_what_was_asked_for_ends_the_session_politely() {
    let login = model::Login { tunnel_type: TunnelType::Host, ..login() };
    let mut world = World::new(login, Server::default());
    world.run_for(HOUR);
    let reason = Reason::BadOffer(OfferError::NoInnerAddresses);
    assert_eq!(world.seen().last().map(|(_, seen)| seen), Some(&Seen::Left(reason)));
}

#[test]
fn unrecognized_words_are_reported_and_the_session_goes_on() {
    let mut world =
        World::new(login(), Server { offer: "+OK 192.0.2.1 192.0.2.2 bonus", ..Server::default() });
    world.run_for(HOUR);
    let ignored = world.times_of(|seen| *seen == Seen::Ignored("bonus".to_owned()));
    assert_eq!((ignored.len(), world.ended()), (1, None));
}

#[test]
fn a_session_that_is_left_sends_and_expects_nothing() {
    for when in [Duration::ZERO, SECOND, HOUR] {
        let mut world = World::new(login(), Server::default());
        world.run_for(when);
        let seen = world.seen().len();
        world.session.leave();
        world.run_for(HOUR);
        assert_eq!((world.seen().len(), world.session.timer()), (seen, None), "{when:?}");
    }
}

#[test]
fn without_a_tunnel_nothing_is_pinged() {
    let mut world = World::new(login(), Server { fault: Fault::NoTunnel, ..Server::default() });
    world.run_for(HOUR);
    assert_eq!(world.times_of(|seen| *seen == Seen::Sent("ping".to_owned())), NEVER);
}

#[test]
fn lines_that_come_with_the_offer_wait_for_the_tunnel() {
    let mut world = World::new(login(), Server { fault: Fault::MuteBeforeGreeting, ..Server::default() });
    world.hear(b"+OK 0123 hello\r\n+OK 192.0.2.1 192.0.2.2\r\n-ERR enough\r\n");
    assert_eq!(
        (world.tunnels(), world.ended()),
        (1, Some((Duration::ZERO, Reason::ServerError("enough".into()))))
    );
}

#[test]
fn a_nat_is_kept_open_if_no_port_was_announced() {
    let times = |udp| {
        let login = model::Login { udp: Some(udp), nat_check: false, ..login() };
        let mut world = World::new(login, Server { latency: Duration::ZERO, ..Server::default() });
        world.run_for(HOUR);
        world.times_of(|seen| *seen == Seen::KeepNatOpen)
    };
    assert_eq!(times(Announcement::Port(4028)), NEVER);
    let times = times(Announcement::Unknown);
    assert_eq!(times[..5], [Duration::ZERO, SECOND, 2 * SECOND, 3 * SECOND, 4 * SECOND]);
    assert!(times[4..].windows(2).all(|pair| pair[1].saturating_sub(pair[0]) == KEEPALIVE_INTERVAL));
    assert!(*times.last().expect("the last one") > HOUR.saturating_sub(KEEPALIVE_INTERVAL));
}

#[test]
fn a_server_s_own_time_out_ends_the_session() {
    let fault = Fault::SaysAt(HOUR, "-ERR connection timed out, disconnecting");
    let mut world = World::new(login(), Server { fault, ..Server::default() });
    world.run_for(2 * HOUR);
    assert_eq!(
        world.ended(),
        Some((HOUR, Reason::ServerError("connection timed out, disconnecting".to_owned())))
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_session_panic_or_go_on_after_its_end(
        chunks in prop::collection::vec(any::<Vec<u8>>(), 0..8),
        stage in 0..3usize,
    ) {
        let mut world = World::new(login(), Server { fault: Fault::MuteBeforeGreeting, ..Server::default() });
        world.run_for(SECOND);
        let lines = ["+OK 0123 hi\r\n", "+OK 192.0.2.1 192.0.2.2\r\n"];
        for line in lines.iter().take(stage) {
            world.hear(line.as_bytes());
        }
        for chunk in chunks {
            world.hear(&chunk);
            world.run_for(SECOND);
        }
        world.run_for(HOUR);
        prop_assert!(world.ended().is_some(), "nobody answers its pings");
    }
}
