//! Sessions in virtual time: the client's session against a model of a server, hours of it in milliseconds.

mod faults;
mod model;

use std::time::Duration;

use dtcpclient::protocol::{
    Action, Announcement, ClientLine, GREETING_TIMEOUT, Login, MOST_LINES, OFFER_TIMEOUT, OfferError,
    PING_INTERVAL, Reason, TunnelType,
};
use model::{Server, World, login};
use proptest::prelude::*;

const NEVER: [Duration; 0] = [];
const NOW: Duration = Duration::ZERO;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

#[test]
fn a_session_lives_for_days_and_pings_every_minute() {
    let world = World::after(48 * HOUR, login(), Server::default());
    assert_eq!((world.ended(), world.tunnels()), (None, 1));
    // One at once, and one a minute after that.
    let pings = world.times_of(|action| *action == Action::Send(ClientLine::Ping));
    assert_eq!(pings.len(), 48 * 60);
    assert!(pings.windows(2).all(|pair| pair[1].saturating_sub(pair[0]) == PING_INTERVAL));
}

#[test]
fn a_session_knows_how_far_it_has_come() {
    let mut world = World::mute(login());
    for (line, stage) in [
        ("", "before its greeting"),
        ("+OK 0123 hello\r\n", "during the login"),
        ("+OK 192.0.2.1 192.0.2.2\r\n", "while the tunnel was up"),
    ] {
        world.hear(line.as_bytes());
        assert_eq!(world.session.stage().to_string(), stage);
    }
}

#[test]
fn the_login_answers_the_challenge_with_the_password() {
    let world = World::after(SECOND, login(), Server::default());
    let Some((_, Action::Send(line))) = world.seen().first() else { panic!("{:?}", world.seen()) };
    assert_eq!(line.line(), "tunnel foo DAC487C8DFBBF9EE5C7F8CDCC37B62A3 tunnelonly\r\n");
}

#[test]
fn the_round_trip_of_the_last_ping_is_known() {
    let latency = Duration::from_millis(21);
    let world = World::after(HOUR, login(), Server { latency, ..Server::default() });
    assert_eq!(world.session.round_trip(), Some(2 * latency));
}

#[test]
fn each_stage_has_its_time_limit() {
    let server = Server { latency: NOW, ..Server::default() };
    for (server, reason, limit) in [
        (Server { greeting: "", ..server }, Reason::NoGreeting, GREETING_TIMEOUT),
        (Server { offer: "", ..server }, Reason::NoOffer, OFFER_TIMEOUT),
    ] {
        assert!(reason.to_string().contains(&format!("within {} s", limit.as_secs())), "{reason}");
        assert_eq!(reason.to_string().ends_with("it may have no tunnel free"), reason == Reason::NoOffer);
        assert_eq!(World::after(HOUR, login(), server).ended(), Some((limit, reason)));
    }
}

#[test]
fn a_ping_can_be_sent_early_but_not_before_the_last_one_is_answered() {
    let mut world = World::mute(login());
    for (line, expected) in
        [("", 0), ("+OK 0123 hello\r\n", 0), ("+OK 192.0.2.1 192.0.2.2\r\n", 1), ("+OK pong\r\n", 2)]
    {
        world.hear(line.as_bytes());
        world.ping_early();
        world.run_for(SECOND);
        let pings = world.times_of(|action| *action == Action::Send(ClientLine::Ping));
        assert_eq!(pings.len(), expected, "after {line}");
    }
}

#[test]
fn whenever_the_server_falls_silent_the_session_knows_within_two_minutes() {
    for silent_from in (1..HOUR.as_secs()).step_by(7).map(Duration::from_secs) {
        let world = World::after(2 * HOUR, login(), Server { silent_from, ..Server::default() });
        let (at, reason) = world.ended().expect("it ends");
        assert_eq!(reason, Reason::NoPong);
        assert!(at >= silent_from && at <= silent_from + 2 * PING_INTERVAL, "{silent_from:?} {at:?}");
    }
}

#[test]
fn slow_but_living_servers_are_waited_for() {
    for latency in [1, 5, 14, 29].map(Duration::from_secs) {
        let world = World::after(10 * HOUR, login(), Server { latency, ..Server::default() });
        assert_eq!((world.ended(), world.tunnels()), (None, 1), "{latency:?}");
    }
}

#[test]
fn each_refusal_has_its_reason_and_is_left_politely() {
    type Kind = fn(String) -> Reason;
    let cases: [(&str, Option<Announcement>, Kind); 11] = [
        ("authentication failed.", None, |text| Reason::LoginRefused { text, udp: false }),
        ("authentication failed.", Some(Announcement::Unknown), |text| Reason::LoginRefused {
            text,
            udp: true,
        }),
        ("unsupported tunnel type tunnelonly", None, Reason::UnsupportedTunnelType),
        ("tunnel interface sold out", None, Reason::NoTunnelFree),
        ("connection timed out, disconnecting", None, Reason::ServerError),
        ("Not Authorized", None, |text| Reason::LoginRefused { text, udp: false }),
        ("authentication timed out", None, Reason::ServerError),
        ("server busy, try later", None, Reason::ServerError),
        ("already connected", None, Reason::ServerError),
        ("internal error: undefined method `[]' for nil", None, Reason::ServerError),
        ("internal error: cannot read the authentication data", None, Reason::ServerError),
    ];
    for (text, udp, kind) in cases {
        let mut world = World::mute(Login { udp, ..login() });
        world.hear(format!("+OK 0123 hello\r\n-ERR {text}\r\n").as_bytes());
        let left = (NOW, Action::Leave(kind(text.to_owned())));
        assert_eq!((world.tunnels(), world.seen().last()), (0, Some(&left)));
        // However the server takes it.
        for farewell in [&b"Goodbye\r\n"[..], b"-ERR\r\n", &b"+OK\r\n".repeat(1000), &[b'A'; 2000]] {
            world.hear(farewell);
        }
        assert_eq!((world.session.timer(), world.seen().last()), (None, Some(&left)));
    }
}

#[test]
fn a_response_that_the_server_quotes_is_masked() {
    for response in ["DAC487C8DFBBF9EE5C7F8CDCC37B62A3", "dac487c8dfbbf9ee5c7f8cdcc37b62a3"] {
        let mut world = World::mute(login());
        world.hear(b"+OK 0B1517C87D516A5FA65BED722D51A04F hello\r\n");
        world.hear(format!("-ERR what is tunnel foo {response} tunnelonly\r\n").as_bytes());
        let reason = world.reason().to_string();
        assert!(reason.contains("what is tunnel foo ******** tunnelonly"), "{reason}");
    }
}

#[test]
fn a_server_that_does_not_speak_dtcp_ends_the_session() {
    for (greeting, reason) in [
        ("220 mail.example ESMTP", "does not speak DTCP"),
        ("+OK", "has no challenge"),
        ("-ERR go away\u{7}", "the server reported an error (\"go away?\")"),
    ] {
        let world = World::after(HOUR, login(), Server { greeting, ..Server::default() });
        assert!(world.reason().to_string().contains(reason), "{greeting}: {}", world.reason());
        assert_eq!(world.times_of(|action| matches!(action, Action::Send(_))), NEVER);
    }
}

#[test]
fn behind_a_nat_the_session_leaves_unless_that_is_not_checked() {
    let server = Server { offer: "+OK 203.0.113.9 192.0.2.2", ..Server::default() };
    let world = World::after(HOUR, login(), server.clone());
    assert!(matches!(world.reason(), Reason::BehindNat { .. }) && world.tunnels() == 0);
    let world = World::after(HOUR, Login { nat_check: false, ..login() }, server);
    assert_eq!((world.ended(), world.tunnels()), (None, 1));
}

#[test]
fn an_offer_that_lacks_what_was_asked_for_ends_the_session_politely() {
    let login = Login { tunnel_type: TunnelType::Host, ..login() };
    let world = World::after(HOUR, login, Server::default());
    let left = Action::Leave(Reason::BadOffer(OfferError::NoInnerAddresses));
    assert_eq!(world.seen().last().map(|(_, action)| action), Some(&left));
}

#[test]
fn unrecognized_words_are_reported_and_the_session_goes_on() {
    let server = Server { offer: "+OK 192.0.2.1 192.0.2.2 bonus", ..Server::default() };
    let world = World::after(HOUR, login(), server);
    let ignored = world.times_of(|action| *action == Action::Ignored("bonus".to_owned()));
    assert_eq!((ignored.len(), world.ended()), (1, None));
}

#[test]
fn a_session_that_is_left_sends_and_expects_nothing() {
    for when in [NOW, SECOND, HOUR] {
        let mut world = World::after(when, login(), Server::default());
        let seen = world.seen().len();
        world.leave();
        world.run_for(HOUR);
        assert_eq!((world.seen().len(), world.session.timer()), (seen, None), "{when:?}");
    }
}

#[test]
fn lines_that_come_with_the_offer_wait_for_the_tunnel() {
    let mut world = World::mute(login());
    world.hear(b"+OK 0123 hello\r\n+OK 192.0.2.1 192.0.2.2\r\n-ERR enough\r\n");
    let ended = (NOW, Reason::ServerError("enough".into()));
    assert_eq!((world.tunnels(), world.ended()), (1, Some(ended)));
}

#[test]
fn a_server_that_floods_the_client_with_lines_between_two_pings_is_left() {
    let lines = |count| "+OK\r\n".repeat(usize::try_from(count).expect("a small number"));
    let mut world = World::after(NOW, login(), Server { latency: NOW, ..Server::default() });
    for _ in 0..5 {
        world.run_for(PING_INTERVAL);
        // One more is the answer to the ping.
        world.hear(lines(MOST_LINES - 1).as_bytes());
        assert_eq!(world.ended(), None);
    }
    world.hear(lines(1_000_000).as_bytes());
    assert_eq!(world.ended(), Some((5 * PING_INTERVAL, Reason::TooManyLines)));
}

#[test]
fn a_server_s_own_time_out_ends_the_session() {
    let mut world = World::after(HOUR, login(), Server::default());
    world.hear(b"-ERR connection timed out, disconnecting\r\n");
    let reason = Reason::ServerError("connection timed out, disconnecting".to_owned());
    assert_eq!(world.ended(), Some((HOUR, reason)));
}

proptest! {
    #[test]
    fn no_bytes_make_the_session_panic_or_go_on_after_its_end(
        chunks in prop::collection::vec(any::<Vec<u8>>(), 0..8),
        stage in 0..3usize,
        kernel_refuses: bool,
        late in 0..100u64,
    ) {
        let mut world = World::mute(login());
        world.kernel_refuses = kernel_refuses;
        world.run_for(SECOND);
        let lines = ["+OK 0123 hi\r\n", "+OK 192.0.2.1 192.0.2.2\r\n"];
        for line in lines.iter().take(stage) {
            world.hear(line.as_bytes());
        }
        for chunk in chunks {
            world.hear_late(Duration::from_secs(late), &chunk);
            world.run_for(SECOND);
        }
        world.run_for(HOUR);
        prop_assert!(world.is_over(), "nobody answers its pings");
    }
}
