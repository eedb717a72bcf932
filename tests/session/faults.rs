//! What a server, or someone on the way, may do wrong at each stage of a session.

use std::error::Error;
use std::time::Duration;

use dtcpclient::protocol::Stage;

use crate::model::{World, login};

const GREETING: &[u8] = b"+OK 0123 hello\r\n";
const OFFER: &[u8] = b"+OK 192.0.2.1 192.0.2.2\r\n";

/// Bytes that come to the client, each with the second at which they come.
type Chunks = Vec<(u64, Vec<u8>)>;

fn once(bytes: impl AsRef<[u8]>) -> Chunks {
    vec![(0, bytes.as_ref().to_vec())]
}

/// These bytes again and again, once a second.
fn each_second(bytes: &[u8], seconds: u64) -> Chunks {
    (0..seconds).map(|second| (second, bytes.to_vec())).collect()
}

/// A byte a second.
fn drip(bytes: &[u8]) -> Chunks {
    (0..).zip(bytes.iter().map(|&byte| vec![byte])).collect()
}

/// In two packets, the second of which comes after this time.
fn in_two(bytes: &[u8], seconds: u64) -> Chunks {
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    vec![(0, head.to_vec()), (seconds, tail.to_vec())]
}

/// A session that has reached this stage, in which the server then says nothing but these bytes.
fn world(stage: Stage, chunks: &Chunks) -> World {
    let mut world = World::mute(login());
    let before = match stage {
        Stage::Greeting => &[][..],
        Stage::Login => &[GREETING],
        Stage::Up => &[GREETING, OFFER],
    };
    for line in before {
        world.hear(line);
    }
    let mut now = 0;
    for (second, bytes) in chunks {
        world.run_for(Duration::from_secs(second - now));
        now = *second;
        world.hear(bytes);
    }
    world.run_for(Duration::from_hours(1));
    world
}

/// Each fault ends the session this many seconds after it began, with these words, and never with another tunnel.
fn assert_ends(stage: Stage, faults: &[(&str, Chunks, u64, &str)]) {
    for (name, chunks, seconds, words) in faults {
        let world = world(stage, chunks);
        let (at, reason) = world.ended().unwrap_or_else(|| panic!("{name}: it goes on"));
        let report = reason.source().map_or(reason.to_string(), |source| format!("{reason}: {source}"));
        assert!(report.contains(words), "{name}: {report}");
        assert_eq!((at.as_secs(), world.session.timer()), (*seconds, None), "{name}");
        assert!(world.tunnels() <= 1, "{name}");
    }
}

#[test]
fn faults_before_the_greeting() {
    let none = "did not greet within 30 s";
    let not_dtcp = "does not speak DTCP: ";
    assert_ends(
        Stage::Greeting,
        &[
            ("silence", vec![], 30, none),
            ("half a greeting", once("+OK 01"), 30, none),
            ("a line that drips without end", drip(&[b'A'; 100]), 30, none),
            ("a line without end", once([b'A'; 1025]), 0, "more than 1024 bytes"),
            ("an empty line", once("\r\n"), 0, not_dtcp),
            ("another protocol", once("220 mail.example ESMTP\r\n"), 0, not_dtcp),
            ("a reply in lower case", once("+ok 0123\r\n"), 0, not_dtcp),
            ("a NUL", once("+OK 01\x0023\r\n"), 0, "bytes that are not text"),
            ("bytes beyond ASCII", once(b"+OK \xff\xfe\r\n"), 0, "bytes that are not text"),
            ("no challenge", once("+OK \r\n"), 0, "has no challenge"),
            ("an error", once("-ERR go away\r\n"), 0, "reported an error (\"go away\")"),
            // It is only slow: what ends the session is the next fault.
            ("a greeting that drips", drip(GREETING), 15 + 60, "did not answer the login"),
            ("a greeting in two packets", in_two(GREETING, 29), 29 + 60, "did not answer the login"),
            ("an offer before the login", once([GREETING, OFFER].concat()), 60, "did not answer a ping"),
            ("a second greeting at once", once(GREETING.repeat(2)), 0, "\"0123\", an end of the tunnel"),
        ],
    );
}

#[test]
fn faults_during_the_login() {
    let none = "did not answer the login within 60 s: it may have no tunnel free";
    let not_dtcp = "does not speak DTCP: ";
    let no_addresses = "does not contain the two IPv4 addresses";
    assert_ends(
        Stage::Login,
        &[
            ("silence", vec![], 60, none),
            ("half an offer", once("+OK 192.0.2.1 192.0"), 60, none),
            ("a line that drips without end", drip(&[b'A'; 100]), 60, none),
            ("a line without end", once([b'A'; 1025]), 0, "more than 1024 bytes"),
            ("an empty line", once("\n"), 0, not_dtcp),
            ("another protocol", once("250 ok\r\n"), 0, not_dtcp),
            ("a NUL", once("+OK 192.0.2.1\0 192.0.2.2\r\n"), 0, "bytes that are not text"),
            ("bytes beyond ASCII", once(b"-ERR \xe9\r\n"), 0, "bytes that are not text"),
            ("an error without words", once("-ERR\r\n"), 0, "reported an error (\"\")"),
            ("an empty offer", once("+OK\r\n"), 0, no_addresses),
            ("a flood", once(b"+OK\r\n".repeat(100_000)), 0, no_addresses),
            ("a second greeting", once(GREETING), 0, "an end of the tunnel, is not a unicast IPv4 address"),
            ("an offer that drips", drip(OFFER), 24 + 60, "did not answer a ping"),
            ("an offer in two packets", in_two(OFFER, 59), 59 + 60, "did not answer a ping"),
        ],
    );
}

#[test]
fn faults_while_the_tunnel_is_up() {
    let none = "did not answer a ping within 60 s";
    let not_dtcp = "does not speak DTCP: ";
    assert_ends(
        Stage::Up,
        &[
            ("silence", vec![], 60, none),
            ("half an answer", once("+OK po"), 60, none),
            ("a line that drips without end", drip(&[b'A'; 100]), 60, none),
            ("a line without end", once([b'A'; 1025]), 0, "more than 1024 bytes"),
            ("an empty line", once("\r\n"), 0, not_dtcp),
            ("another protocol", once("HTTP/1.1 400 Bad Request\r\n"), 0, not_dtcp),
            ("a NUL", once("+OK\0\r\n"), 0, "bytes that are not text"),
            ("bytes beyond ASCII", once(b"+OK \xff\r\n"), 0, "bytes that are not text"),
            (
                "an error",
                once("-ERR connection timed out\r\n"),
                0,
                "reported an error (\"connection timed out\")",
            ),
            ("a flood", once(b"+OK\r\n".repeat(100_000)), 0, "more than 200 lines between two pings"),
            ("four answers a second", each_second(&b"+OK\r\n".repeat(4), 60), 50, "more than 200 lines"),
            // These count as answers, so that it is the next ping but one that is missed.
            ("a second offer", once("+OK 203.0.113.1 203.0.113.2\r\n"), 120, none),
            ("a second greeting", once(GREETING), 120, none),
            ("an answer that drips", drip(b"+OK pong\r\n"), 120, none),
            ("an answer in two packets", in_two(b"+OK pong\r\n", 59), 120, none),
            ("answers to no question", each_second(b"+OK hi\r\n", 600), 660, none),
        ],
    );
}
