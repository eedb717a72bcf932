//! What is granted, in which words, for how long, and what the operator's program hears of it.

use std::fs;

use super::running::{Running, program};

const SOLD_OUT: &str = "-ERR tunnel interface sold out";

#[test]
fn each_tunnel_type_is_answered_with_its_words() {
    let ends = "+OK 127.0.0.1 127.0.0.1";
    for (options, tuntype, words) in [
        (vec![], "tunnelonly", ""),
        (vec![], "host", " 2001:0db8::0006 2001:0db8::0005"),
        (vec![], "network", " 2001:0db8:0001::/48"),
        (vec!["--numbered"], "network", " 2001:0db8::0006 2001:0db8::0005 2001:0db8:0001::/48"),
        (vec!["--numbered"], "host", " 2001:0db8::0006 2001:0db8::0005"),
        (vec!["--unnamed-prefix"], "network", ""),
        (vec!["--address-form", "canonical"], "host", " 2001:db8::6 2001:db8::5"),
        (vec!["--host-addresses", "fd00::1,fd00::2"], "host", " fd00::0001 fd00::0002"),
        (vec!["--prefix", "fd00:1::/64"], "network", " fd00:0001::/64"),
    ] {
        let broker = Running::new(&options);
        assert_eq!(broker.connect().log_in("foo", "bar", tuntype), format!("{ends}{words}"), "{options:?}");
    }
}

#[test]
fn the_outer_addresses_can_be_pretended() {
    let broker = Running::new(&["--me", "192.0.2.7", "--her", "198.51.100.1"]);
    assert_eq!(broker.connect().log_in("foo", "bar", "tunnelonly"), "+OK 192.0.2.7 198.51.100.1");
}

#[test]
fn only_the_supported_types_are_granted() {
    let mut broker = Running::new(&["--types", "host,tunnelonly"]);
    let mut client = broker.connect();
    assert_eq!(client.log_in("foo", "bar", "network"), "-ERR unsupported tunnel type network");
    assert_eq!(client.log_in("foo", "bar", "HOST"), "-ERR unsupported tunnel type HOST");
    assert_eq!(client.log_in("foo", "bar", "h\u{7}"), "-ERR unsupported tunnel type h?");
    assert!(client.log_in("foo", "bar", "host").starts_with("+OK "));
    broker.expect("refused foo unsupported tunnel type network");
}

#[test]
fn beyond_the_last_tunnel_is_sold_out_until_one_ends() {
    let mut broker = Running::new(&["--tunnels", "1"]);
    let (mut foo, mut anna) = (broker.connect(), broker.connect());
    foo.log_in("foo", "bar", "tunnelonly");
    assert_eq!(anna.log_in("anna", "pass:word", "tunnelonly"), SOLD_OUT);
    drop(foo);
    broker.expect("granted foo tunnelonly 127.0.0.1 127.0.0.1 - - - ip - -");
    broker.expect("refused anna tunnel interface sold out");
    broker.expect("closed foo");
    assert!(anna.log_in("anna", "pass:word", "tunnelonly").starts_with("+OK "));
}

#[test]
fn tunnels_do_not_share_addresses_and_a_user_finds_its_own_again() {
    let mut broker = Running::new(&["--numbered"]);
    let mut log_in = |user, password| {
        let mut client = broker.connect();
        client.log_in(user, password, "network");
        let event = broker.next_event();
        (client, event)
    };
    let (foo, foos) = log_in("foo", "bar");
    let (_anna, annas) = log_in("anna", "pass:word");
    let (_twin, twins) = log_in("foo", "bar");
    assert!(foos.contains(" 2001:db8::6 2001:db8::5 2001:db8:1::/48 "), "{foos}");
    assert!(annas.contains(" 2001:db8::a 2001:db8::9 2001:db8:2::/48 "), "{annas}");
    assert!(twins.contains(" 2001:db8::e 2001:db8::d 2001:db8:3::/48 "), "{twins}");
    drop(foo);
    broker.expect("closed foo");
    let mut berta = broker.connect();
    berta.log_in("berta", "third", "network");
    assert!(broker.next_event().contains(" 2001:db8:4::/48 "), "foo's are kept for foo");
    let mut again = broker.connect();
    again.log_in("foo", "bar", "network");
    assert_eq!(broker.next_event(), foos);
}

#[test]
fn addresses_that_are_far_apart_do_not_meet_those_of_the_next_tunnel() {
    let broker = Running::new(&["--host-addresses", "fd00::9,fd00::1"]);
    let (mut foo, mut anna) = (broker.connect(), broker.connect());
    assert!(foo.log_in("foo", "bar", "host").ends_with(" fd00::0009 fd00::0001"));
    assert!(anna.log_in("anna", "pass:word", "host").ends_with(" fd00::0012 fd00::000a"));
}

#[test]
fn a_second_login_on_a_connection_replaces_its_tunnel() {
    let mut broker = Running::new(&["--tunnels", "1"]);
    let mut client = broker.connect();
    client.log_in("foo", "bar", "tunnelonly");
    assert_eq!(client.log_in("foo", "wrong", "host"), "-ERR authentication failed.");
    assert!(client.log_in("anna", "pass:word", "host udp").starts_with("+OK "));
    drop(client);
    broker.expect("granted foo tunnelonly 127.0.0.1 127.0.0.1 - - - ip - -");
    broker.expect("refused foo authentication failed.");
    assert!(broker.next_event().starts_with("granted anna host "));
    broker.expect("closed anna");
}

#[test]
fn every_udp_tunnel_gets_the_lowest_free_port() {
    let mut broker = Running::new(&["--udp-ports", "5000"]);
    let (mut foo, mut anna, mut berta) = (broker.connect(), broker.connect(), broker.connect());
    assert_eq!(foo.log_in("foo", "bar", "tunnelonly udp 4028"), "+OK 127.0.0.1 127.0.0.1:5000");
    assert_eq!(anna.log_in("anna", "pass:word", "tunnelonly udp"), "+OK 127.0.0.1 127.0.0.1:5001");
    drop(foo);
    broker.expect("granted foo tunnelonly 127.0.0.1 127.0.0.1 - - - udp 4028 5000");
    broker.expect("granted anna tunnelonly 127.0.0.1 127.0.0.1 - - - udp - 5001");
    broker.expect("closed foo");
    assert_eq!(berta.log_in("berta", "third", "tunnelonly udp 9"), "+OK 127.0.0.1 127.0.0.1:5000");
}

#[test]
fn when_all_udp_ports_are_taken_other_tunnels_are_still_granted() {
    let broker = Running::new(&["--udp-ports", "65535"]);
    let (mut foo, mut anna) = (broker.connect(), broker.connect());
    assert!(foo.log_in("foo", "bar", "host udp").starts_with("+OK "));
    assert_eq!(anna.log_in("anna", "pass:word", "host udp"), SOLD_OUT);
    assert!(anna.log_in("anna", "pass:word", "host").starts_with("+OK "));
}

#[test]
fn the_udp_port_can_be_a_word_of_its_own() {
    let broker = Running::new(&["--port-word"]);
    let answer = broker.connect().log_in("foo", "bar", "host udp");
    assert_eq!(answer, "+OK 127.0.0.1 127.0.0.1 4028 2001:0db8::0006 2001:0db8::0005");
}

#[test]
fn a_server_without_udp_refuses_the_words_for_it() {
    let broker = Running::new(&["--no-udp"]);
    let mut client = broker.connect();
    assert_eq!(client.log_in("foo", "bar", "host udp"), "-ERR authentication failed.");
    assert_eq!(client.log_in("foo", "bar", "host udp 4028"), "-ERR authentication failed.");
    assert!(client.log_in("foo", "bar", "host").starts_with("+OK "));
}

#[test]
fn the_program_hears_of_every_tunnel_and_its_end() {
    let home = tempfile::tempdir().expect("a directory");
    let program = program(&home, 0);
    let heard = || fs::read_to_string(home.path().join("program.log")).expect("a log");
    let mut broker = Running::new(&["--numbered", "--exec", program.to_str().expect("a text")]);

    let mut client = broker.connect();
    client.log_in("foo", "wrong", "network udp 4028");
    client.log_in("foo", "bar", "network udp 4028");
    let words =
        "<foo><network><127.0.0.1><127.0.0.1><2001:db8::6><2001:db8::5><2001:db8:1::/48><udp><4028><4028>";
    assert_eq!(heard(), format!("<up>{words}"));
    client.ask("quit");
    assert_eq!(heard(), format!("<up>{words}<down>{words}"), "the farewell comes after the tunnel's end");
    assert!(client.closed());

    let mut client = broker.connect();
    client.log_in("foo", "bar", "tunnelonly");
    broker.stop();
    assert!(client.closed());
    let words = "<foo><tunnelonly><127.0.0.1><127.0.0.1><><><><ip><><>";
    assert!(heard().ends_with(&format!("<up>{words}<down>{words}")), "the broker's end ends its tunnels");
}

#[test]
fn a_tunnel_that_the_program_cannot_make_is_not_granted() {
    let home = tempfile::tempdir().expect("a directory");
    let program = program(&home, 3);
    let mut broker = Running::new(&["--tunnels", "1", "--exec", program.to_str().expect("a text")]);
    let mut client = broker.connect();
    assert_eq!(client.log_in("foo", "bar", "host udp"), SOLD_OUT);
    assert_eq!(client.log_in("foo", "bar", "host"), SOLD_OUT);
    let events = broker.stop();
    let failed = "failed up foo exit status: 3\nrefused foo tunnel interface sold out\n";
    assert_eq!(events, format!("{failed}{failed}closed -\n"));
    let log = fs::read_to_string(home.path().join("program.log")).expect("a log");
    assert_eq!(log.matches("<down>").count(), 0);
}
