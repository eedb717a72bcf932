//! Users, logins, and the conversation around them.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::{CommandFactory, Parser};
use tempfile::TempDir;

use super::running::Running;
use crate::options::Options;
use crate::users::{Users, response};

const CHALLENGE: &str = "0B1517C87D516A5FA65BED722D51A04F";
const REFUSED: &str = "-ERR authentication failed.";

/// A users' file and the directory that it lives in.
fn file(text: &str) -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("users");
    fs::write(&file, text).expect("a users' file");
    (home, file)
}

#[test]
fn the_response_is_that_of_the_published_check_value() {
    assert_eq!(response("foo", CHALLENGE, "bar"), "DAC487C8DFBBF9EE5C7F8CDCC37B62A3");
}

#[test]
fn a_password_may_hold_colons_and_spaces() {
    let (_home, file) = file("# a comment\n\nhere:foo: b:a:r \n");
    let users = Users::load(&file, None).expect("good users");
    assert!(users.accept("foo", CHALLENGE, &response("foo", CHALLENGE, " b:a:r ")));
    assert!(!users.accept("foo", CHALLENGE, &response("foo", CHALLENGE, "b")));
}

#[test]
fn with_a_name_only_that_servers_users_are_known() {
    let (_home, file) = file("here:foo:bar\nthere:anna:bar\n");
    let users = Users::load(&file, Some("there")).expect("good users");
    assert!(users.knows("anna"));
    assert!(!users.knows("foo"));
}

#[test]
fn a_bad_line_is_named_but_not_shown() {
    for bad in
        ["secret", "here:secret", "here::secret", "here:foo:", "here:f secret:bar", "here:f\u{7}:secret"]
    {
        let (_home, file) = file(&format!("here:foo:bar\n{bad}\n"));
        let error = Users::load(&file, None).err().expect("an error").to_string();
        assert!(error.ends_with("users, line 2: expected `server:user:password`"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn bad_values_are_usage_errors() {
    Options::command().debug_assert();
    for (option, value) in [
        ("--listen", "[::1]:20200"),
        ("--types", "host,other"),
        ("--prefix", "2001:db8::/0"),
        ("--prefix", "2001:db8::/129"),
        ("--prefix", "2001:db8::1/48"),
        ("--prefix", "2001:db8::"),
        ("--host-addresses", "2001:db8::1"),
        ("--udp-ports", "0"),
        ("--login-timeout", "0"),
    ] {
        let given = ["broker", "--users", "users", option, value];
        let error = Options::try_parse_from(given).expect_err("a usage error").to_string();
        assert!(error.contains(option), "{error}");
    }
}

#[test]
fn every_connection_is_greeted_with_a_challenge_of_its_own() {
    let broker = Running::new(&[]);
    let (first, second) = (broker.connect().challenge, broker.connect().challenge);
    for challenge in [&first, &second] {
        assert_eq!(challenge.len(), 32);
        assert!(challenge.chars().all(|c| matches!(c, '0'..='9' | 'A'..='F')), "{challenge}");
    }
    assert_ne!(first, second);
}

#[test]
fn after_a_wrong_password_the_right_one_is_taken_on_the_same_connection() {
    let mut broker = Running::new(&[]);
    let mut client = broker.connect();
    assert_eq!(client.log_in("foo", "wrong", "tunnelonly"), REFUSED);
    assert_eq!(client.log_in("nobody", "bar", "tunnelonly"), REFUSED);
    assert_eq!(client.log_in("foo", "bar", "tunnelonly"), "+OK 127.0.0.1 127.0.0.1");
    broker.expect("refused foo authentication failed.");
    broker.expect("refused - authentication failed.");
    broker.expect("granted foo tunnelonly 127.0.0.1 127.0.0.1 - - - ip - -");
}

#[test]
fn a_response_in_lower_case_is_refused() {
    let broker = Running::new(&[]);
    let mut client = broker.connect();
    let lower = response("foo", &client.challenge, "bar").to_lowercase();
    assert_eq!(client.ask(&format!("tunnel foo {lower} tunnelonly")), REFUSED);
}

#[test]
fn a_response_to_another_connections_challenge_is_refused() {
    let broker = Running::new(&[]);
    let other = response("foo", &broker.connect().challenge, "bar");
    assert_eq!(broker.connect().ask(&format!("tunnel foo {other} tunnelonly")), REFUSED);
}

#[test]
fn a_tunnel_line_has_exactly_its_words() {
    let broker = Running::new(&[]);
    let mut client = broker.connect();
    let right = response("foo", &client.challenge, "bar");
    for line in [
        "tunnel".to_owned(),
        "tunnel foo".to_owned(),
        format!("tunnel foo {right}"),
        format!("tunnel  foo {right} host"),
        format!("tunnel foo {right} host tcp"),
        format!("tunnel foo {right} host 4028"),
        format!("tunnel foo {right} host udp 0"),
        format!("tunnel foo {right} host udp 65536"),
        format!("tunnel foo {right} host udp port"),
        format!("tunnel foo {right} host udp 4028 more"),
    ] {
        assert_eq!(client.ask(&line), REFUSED, "{line}");
    }
    assert!(client.ask(&format!("TUNNEL foo {right} host")).starts_with("+OK "));
}

#[test]
fn ping_help_and_quit_are_answered_and_anything_else_is_invalid() {
    let mut broker = Running::new(&[]);
    let mut client = broker.connect();
    assert_eq!(client.ask("ping"), "+OK hi, happy to hear from you");
    assert_eq!(client.ask("help"), "+OK valid commands are: TUNNEL PING QUIT");
    assert_eq!(client.ask("status"), "-ERR invalid command");
    assert_eq!(client.ask(""), "-ERR invalid command");
    client.send(b"ping\n");
    assert_eq!(client.hear(), "+OK hi, happy to hear from you", "a bare LF ends a line too");
    client.log_in("foo", "bar", "tunnelonly");
    assert_eq!(client.ask("quit"), "+OK see you soon.");
    assert!(client.closed());
    for event in ["ping -", "help -", "invalid -", "invalid -", "ping -"] {
        broker.expect(event);
    }
    assert!(broker.next_event().starts_with("granted foo "));
    broker.expect("quit foo");
    broker.expect("closed foo");
}

#[test]
fn a_line_that_is_too_long_or_no_text_is_invalid_and_the_next_one_is_heard() {
    let broker = Running::new(&[]);
    let mut client = broker.connect();
    let padded_ping = |length: usize| [b"ping".to_vec(), vec![b' '; length - 4]].concat();
    // The broker reads 1,024 bytes at a time: what is left of this one looks like a good line.
    let good_tail = [vec![b'x'; 2048], b"ping".to_vec()].concat();
    for garbage in [padded_ping(1025), padded_ping(1_000_000), good_tail, b"ping \xFF".to_vec()] {
        client.send(&[&garbage[..], b"\r\n"].concat());
        assert_eq!(client.hear(), "-ERR invalid command", "{} bytes", garbage.len());
        client.send(&[&padded_ping(1024)[..], b"\r\n"].concat());
        assert_eq!(client.hear(), "+OK hi, happy to hear from you");
    }
}

#[test]
fn who_does_not_log_in_in_time_is_hung_up_on() {
    let mut broker = Running::new(&["--login-timeout", "1"]);
    let begun = Instant::now();
    let mut client = broker.connect();
    assert_eq!(client.ask("ping"), "+OK hi, happy to hear from you");
    assert_eq!(client.hear(), "-ERR connection timed out, disconnecting");
    assert!(client.closed());
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    broker.expect("ping -");
    broker.expect("timeout -");
    broker.expect("closed -");
}

#[test]
fn a_silent_tunnel_is_hung_up_on_and_a_ping_keeps_it() {
    let mut broker = Running::new(&["--login-timeout", "1", "--idle-timeout", "2"]);
    let mut client = broker.connect();
    client.log_in("foo", "bar", "tunnelonly");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert_eq!(client.ask("ping"), "+OK hi, happy to hear from you");
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(client.hear(), "-ERR connection timed out, disconnecting");
    assert!(client.closed());
    let rest = broker.stop();
    assert!(rest.ends_with("ping foo\ntimeout foo\nclosed foo\n"), "{rest}");
}

#[test]
fn no_event_shows_a_response_or_a_password() {
    let mut broker = Running::new(&[]);
    let mut client = broker.connect();
    let right = response("foo", &client.challenge, "bar");
    for line in [format!("tunnel {right} foo host"), format!("tunnel  foo {right}"), right.clone()] {
        assert!(client.ask(&line).starts_with("-ERR"));
    }
    client.log_in("anna", "pass:word", "host");
    let events = broker.stop();
    assert!(events.contains("granted anna host"), "{events}");
    assert!(!events.contains(&right) && !events.contains("pass:word"), "{events}");
}
