//! Sessions in virtual time: the client's session against a model of a server, hours of it in milliseconds.

mod model;

use std::time::Duration;

use dtcpclient::protocol::session::{
    CONNECT_TIMEOUT, GREETING_TIMEOUT, KEEPALIVE_INTERVAL, OFFER_TIMEOUT, PING_INTERVAL, QUIT_TIMEOUT,
};
use dtcpclient::protocol::{Announcement, Reason, TunnelType};
use model::{Fault, Seen, Server, World, login};
use proptest::prelude::*;

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_session_lives_for_days_and_pings_every_minute() {
    let mut world = World::new(login(), Server::default());
    world.run_for(48 * HOUR);
    assert_eq!(world.closed(), None);
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
        (Fault::NoConnection, Reason::NoConnection, CONNECT_TIMEOUT),
        (Fault::MuteBeforeGreeting, Reason::NoGreeting, GREETING_TIMEOUT),
        (Fault::MuteAfterGreeting, Reason::NoOffer, OFFER_TIMEOUT),
    ] {
        let mut world = World::new(login(), Server { fault, latency: Duration::ZERO, ..Server::default() });
        world.run_for(HOUR);
        assert_eq!(world.closed(), Some((limit, reason)), "{fault:?}");
    }
}

#[test]
fn whenever_the_server_falls_silent_the_session_knows_within_two_minutes() {
    for silent_from in (0..HOUR.as_secs()).step_by(7).map(Duration::from_secs) {
        let silent_from = silent_from + SECOND;
        let mut world =
            World::new(login(), Server { fault: Fault::SilentFrom(silent_from), ..Server::default() });
        world.run_for(2 * HOUR);
        let (at, reason) = world.closed().expect("it closes");
        assert_eq!(reason, Reason::NoPong);
        assert!(at >= silent_from && at <= silent_from + 2 * PING_INTERVAL, "{silent_from:?} {at:?}");
    }
}

#[test]
fn whenever_the_server_closes_the_session_is_over_at_once() {
    for closes_at in (0..HOUR.as_secs()).step_by(11).map(Duration::from_secs) {
        let mut world =
            World::new(login(), Server { fault: Fault::ClosesAt(closes_at), ..Server::default() });
        world.run_for(2 * HOUR);
        assert_eq!(world.closed(), Some((closes_at, Reason::Closed)));
    }
}

#[test]
fn slow_but_living_servers_are_waited_for() {
    for latency in [1, 5, 14, 29].map(Duration::from_secs) {
        let mut world = World::new(login(), Server { latency, ..Server::default() });
        world.run_for(10 * HOUR);
        assert_eq!((world.closed(), world.tunnels()), (None, 1), "{latency:?}");
    }
}

#[test]
fn refusals_are_told_apart() {
    let refused = |text: &'static str| {
        let mut world = World::new(login(), Server { offer: text, ..Server::default() });
        world.run_for(HOUR);
        assert_eq!(world.tunnels(), 0);
        assert!(
            world.times_of(|seen| *seen == Seen::Sent("quit".to_owned())).len() == 1,
            "it takes its leave"
        );
        world.closed().expect("it closes").1
    };
    let text = "authentication failed.".to_owned();
    assert_eq!(refused("-ERR authentication failed."), Reason::LoginRefused { text, udp: false });
    let text = "unsupported tunnel type tunnelonly".to_owned();
    assert_eq!(refused("-ERR unsupported tunnel type tunnelonly"), Reason::UnsupportedTunnelType(text));
    assert_eq!(
        refused("-ERR tunnel interface sold out"),
        Reason::NoTunnelFree("tunnel interface sold out".to_owned())
    );
}

#[test]
fn a_refusal_stays_one_however_the_server_takes_the_farewell() {
    let refused = || {
        let fault = Fault::MuteBeforeGreeting;
        let mut world = World::new(login(), Server { fault, ..Server::default() });
        world.run_for(SECOND);
        world.hear(b"+OK 0123 hello\r\n-ERR authentication failed.\r\n");
        assert_eq!(world.closed(), None, "it waits for the answer to its farewell");
        world
    };
    let rude: [fn(&mut World); 4] = [
        |world| world.hear(b"Goodbye\r\n"),
        |world| world.hear(&[b'A'; 2000]),
        |world| world.break_off(Reason::Broken("connection reset by peer".to_owned())),
        |world| world.run_for(HOUR),
    ];
    for end in rude {
        let mut world = refused();
        end(&mut world);
        let (_, reason) = world.closed().expect("it closes");
        assert!(matches!(reason, Reason::LoginRefused { .. }), "{reason}");
    }
}

#[test]
fn a_response_that_the_server_quotes_is_masked() {
    let mut world = World::new(login(), Server { fault: Fault::MuteBeforeGreeting, ..Server::default() });
    world.run_for(SECOND);
    world.hear(b"+OK 0B1517C87D516A5FA65BED722D51A04F hello\r\n");
    world.hear(b"-ERR what is tunnel foo DAC487C8DFBBF9EE5C7F8CDCC37B62A3 tunnelonly\r\n");
    world.run_for(HOUR);
    let (_, reason) = world.closed().expect("it closes");
    assert!(reason.to_string().contains("what is tunnel foo ******** tunnelonly"), "{reason}");
}

#[test]
fn a_refused_udp_login_hints_at_servers_without_udp() {
    let login = model::Login { udp: Some(Announcement::Port(4028)), ..login() };
    let mut world = World::new(login, Server { offer: "-ERR authentication failed.", ..Server::default() });
    world.run_for(HOUR);
    let (_, reason) = world.closed().expect("it closes");
    assert!(reason.to_string().contains("a server without UDP tunnels"), "{reason}");
}

#[test]
fn what_is_no_dtcp_ends_the_session() {
    for (greeting, reason) in [
        ("220 mail.example ESMTP", "is it a DTCP server?"),
        ("+OK", "has no challenge"),
        ("-ERR go away\u{7}", "the server said: go away?"),
    ] {
        let mut world = World::new(login(), Server { greeting, ..Server::default() });
        world.run_for(HOUR);
        let (_, ended) = world.closed().expect("it closes");
        assert!(ended.to_string().contains(reason), "{greeting}: {ended}");
        assert_eq!(
            world.times_of(|seen| matches!(seen, Seen::Sent(_))),
            [Duration::ZERO; 0],
            "nothing is sent to it"
        );
    }
}

#[test]
fn behind_a_nat_the_session_leaves_unless_told_not_to_look() {
    let server = Server { offer: "+OK 203.0.113.9 192.0.2.2", ..Server::default() };
    let mut world = World::new(login(), server.clone());
    world.run_for(HOUR);
    let (_, reason) = world.closed().expect("it closes");
    assert!(matches!(reason, Reason::BehindNat { .. }), "{reason}");
    assert_eq!(world.tunnels(), 0);

    let mut world = World::new(model::Login { nat_check: false, ..login() }, server);
    world.run_for(HOUR);
    assert_eq!((world.closed(), world.tunnels()), (None, 1));
}

#[test]
fn an_offer_that_lacks_what_was_asked_for_ends_the_session_politely() {
    let login = model::Login { tunnel_type: TunnelType::Host, ..login() };
    let mut world = World::new(login, Server::default());
    world.run_for(HOUR);
    let (_, reason) = world.closed().expect("it closes");
    assert!(reason.to_string().contains("without both inner addresses"), "{reason}");
    assert_eq!(world.times_of(|seen| *seen == Seen::Sent("quit".to_owned())).len(), 1);
}

#[test]
fn words_that_are_not_understood_are_told_and_the_session_goes_on() {
    let mut world =
        World::new(login(), Server { offer: "+OK 192.0.2.1 192.0.2.2 bonus", ..Server::default() });
    world.run_for(HOUR);
    let notices = world.times_of(|seen| matches!(seen, Seen::Notice(text) if text.contains("bonus")));
    assert_eq!((notices.len(), world.closed()), (1, None));
}

#[test]
fn quit_is_answered_or_the_session_ends_all_the_same() {
    let mut world = World::new(login(), Server { latency: Duration::from_millis(30), ..Server::default() });
    world.run_for(HOUR);
    world.quit();
    world.run_for(HOUR);
    assert_eq!(world.closed(), Some((HOUR + Duration::from_millis(60), Reason::Quit)));

    let mut world = World::new(login(), Server { fault: Fault::SilentFrom(HOUR), ..Server::default() });
    world.run_for(HOUR + SECOND);
    world.quit();
    world.run_for(HOUR);
    assert_eq!(world.closed(), Some((HOUR + SECOND + QUIT_TIMEOUT, Reason::Quit)));
}

#[test]
fn the_answer_to_an_earlier_ping_is_not_taken_for_the_farewell() {
    let latency = Duration::from_millis(200);
    let mut world = World::new(login(), Server { latency, ..Server::default() });
    // The second ping goes out a minute after the tunnel came up, at four latencies.
    world.run_for(4 * latency + PING_INTERVAL + Duration::from_millis(100));
    let asked = world.now();
    world.quit();
    world.run_for(HOUR);
    assert_eq!(world.closed(), Some((asked + 2 * latency, Reason::Quit)));
}

#[test]
fn a_nat_is_kept_open_where_the_server_was_told_no_port() {
    let told = |udp| {
        let login = model::Login { udp: Some(udp), nat_check: false, ..login() };
        let mut world = World::new(login, Server { latency: Duration::ZERO, ..Server::default() });
        world.run_for(HOUR);
        world.times_of(|seen| *seen == Seen::KeepNatOpen)
    };
    assert_eq!(told(Announcement::Port(4028)), [Duration::ZERO; 0]);
    let times = told(Announcement::Untold);
    assert_eq!(times[..5], [Duration::ZERO, SECOND, 2 * SECOND, 3 * SECOND, 4 * SECOND]);
    assert!(times[4..].windows(2).all(|pair| pair[1].saturating_sub(pair[0]) == KEEPALIVE_INTERVAL));
    assert!(*times.last().expect("the last one") > HOUR.saturating_sub(KEEPALIVE_INTERVAL));
}

#[test]
fn a_server_s_own_time_out_is_told() {
    let fault = Fault::SaysAt(HOUR, "-ERR connection timed out, disconnecting");
    let mut world = World::new(login(), Server { fault, ..Server::default() });
    world.run_for(2 * HOUR);
    assert_eq!(
        world.closed(),
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
        prop_assert!(world.closed().is_some(), "nobody answers its pings");
        prop_assert!(matches!(world.seen().last(), Some((_, Seen::Closed(_)))), "nothing comes after the close");
    }
}
