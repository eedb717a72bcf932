//! The broker of the examples, spoken to in raw lines.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use harness::{Broker, DEADLINE, Directory, Process};
use md5::{Digest, Md5};
use nix::sys::signal::Signal;

const REFUSED: &str = "-ERR authentication failed.";
const SOLD_OUT: &str = "-ERR tunnel interface sold out";
const HELLO: &str = "+OK hi, happy to hear from you";
const GOODBYE: &str = "+OK see you soon.";
const TIMED_OUT: &str = "-ERR connection timed out, disconnecting";
const USERS: &str = "# server:user:password\n\nany:foo:bar\nany:anna: pass:word \n";

/// A broker with the users above.
fn broker(options: &[&str]) -> Broker {
    let directory = Directory::default();
    directory.write("auth", USERS, 0o600);
    Broker::start(&directory, options)
}

fn response(user: &str, challenge: &str, password: &str) -> String {
    let digest = Md5::new().chain_update(user).chain_update(challenge).chain_update(password).finalize();
    digest.iter().map(|byte| format!("{byte:02X}")).collect()
}

struct Client {
    stream: BufReader<TcpStream>,
    challenge: String,
}

impl Client {
    fn new(broker: &Broker) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", broker.port)).expect("a connection");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        let mut client = Self { stream: BufReader::new(stream), challenge: String::new() };
        let greeting = client.receive();
        Self { challenge: greeting.split(' ').nth(1).expect("a challenge").to_owned(), ..client }
    }

    fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        self.receive()
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("an open connection");
    }

    fn receive(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line");
        line.strip_suffix("\r\n").unwrap_or_else(|| panic!("{line:?} has no CR LF")).to_owned()
    }

    /// Logs in as one of the users above. The words after the response are `request`.
    fn log_in(&mut self, user: &str, request: &str) -> String {
        let password = if user == "foo" { "bar" } else { " pass:word " };
        let response = response(user, &self.challenge, password);
        self.ask(&format!("tunnel {user} {response} {request}"))
    }

    /// Logs in, which is to be granted in these words.
    fn granted(&mut self, user: &str, request: &str, words: &str) {
        assert_eq!(self.log_in(user, request), format!("+OK {words}"), "{request}");
    }

    /// Whether the broker has closed the connection without another word.
    fn closed(&mut self) -> bool {
        self.stream.read_to_end(&mut Vec::new()).is_ok_and(|length| length == 0)
    }
}

#[test]
fn only_the_right_response_in_a_line_of_the_right_form_logs_in() {
    let check = response("foo", "0B1517C87D516A5FA65BED722D51A04F", "bar");
    assert_eq!(check, "DAC487C8DFBBF9EE5C7F8CDCC37B62A3", "the published check value");
    let broker = broker(&["--types", "host,tunnelonly"]);
    let mut client = Client::new(&broker);
    let is_digit = |c| matches!(c, '0'..='9' | 'A'..='F');
    assert!(client.challenge.len() == 32 && client.challenge.chars().all(is_digit));
    let other = response("foo", &Client::new(&broker).challenge, "bar");
    let right = response("foo", &client.challenge, "bar");
    let unknown = response("nobody", &client.challenge, "bar");
    for refused in [
        "tunnel",
        "tunnel foo",
        &format!("tunnel foo {right}"),
        &format!("tunnel  foo {right} host"),
        &format!("tunnel {right} foo host"),
        &format!("tunnel foo {} host", right.to_lowercase()),
        &format!("tunnel foo {other} host"),
        &format!("tunnel nobody {unknown} host"),
        &format!("tunnel foo {right} host tcp"),
        &format!("tunnel foo {right} host 4028"),
        &format!("tunnel foo {right} host udp 0"),
        &format!("tunnel foo {right} host udp 65536"),
        &format!("tunnel foo {right} host udp 4028 more"),
    ] {
        assert_eq!(client.ask(refused), REFUSED, "{refused}");
    }
    for tuntype in ["network", "HOST", "h\u{7}"] {
        let answer = client.log_in("foo", tuntype);
        assert_eq!(answer, format!("-ERR unsupported tunnel type {}", tuntype.replace('\u{7}', "?")));
    }
    assert_eq!(client.ask(&format!("TUNNEL foo {right} tunnelonly")), "+OK 127.0.0.1 127.0.0.1");
    assert!(client.log_in("anna", "host").starts_with("+OK "), "a password with colons and blanks");
    broker.process.wait_for("granted anna");
    let events = broker.process.lines().join("\n");
    for refused in ["foo authentication", "- authentication", "foo unsupported tunnel type network"] {
        assert!(events.contains(&format!("refused {refused}")), "{events}");
    }
    assert!(!events.contains(&right) && !events.contains("pass:word"), "{events}");
}

#[test]
fn the_conversation_ends_with_quit() {
    let broker = broker(&[]);
    let mut client = Client::new(&broker);
    assert_eq!(client.ask("ping"), HELLO);
    assert_eq!(client.ask("help"), "+OK valid commands are: TUNNEL PING QUIT");
    assert_eq!(client.ask(""), "-ERR invalid command");
    client.send(b"ping \xFF\n");
    assert_eq!(client.receive(), HELLO, "a bare LF ends a line too");
    client.log_in("foo", "tunnelonly");
    assert_eq!(client.ask("QUIT"), GOODBYE);
    assert!(client.closed());
    let granted = "granted foo tunnelonly 127.0.0.1 127.0.0.1 - - - ip - - 0";
    let events = ["ping -", "help -", "invalid -", "ping -", granted, "quit foo", "closed foo"];
    broker.process.wait_for("closed foo");
    assert_eq!(broker.process.lines()[1..], events);

    Client::new(&broker).send(&[b'x'; 4096]);
    broker.process.wait_for("closed -");
}

#[test]
fn silence_ends_the_session() {
    let broker = broker(&["--login-timeout", "1s", "--idle-timeout", "2s"]);
    let (mut silent, mut client) = (Client::new(&broker), Client::new(&broker));
    client.log_in("foo", "tunnelonly");
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(2500) {
        assert_eq!(client.ask("ping"), HELLO);
        thread::sleep(Duration::from_millis(100));
    }
    for (client, event) in [(&mut silent, "timeout -"), (&mut client, "timeout foo")] {
        assert_eq!((client.receive().as_str(), client.closed()), (TIMED_OUT, true));
        broker.process.wait_for(event);
    }
}

#[test]
fn each_tunnel_type_is_answered_with_its_words() {
    let (inner, prefix) = ("2001:0db8::0006 2001:0db8::0005", "2001:0db8:0001::/48");
    for (options, tuntype, words) in [
        (&[][..], "tunnelonly", ""),
        (&[], "host", &format!(" {inner}")),
        (&[], "network", &format!(" {prefix}")),
        (&["--numbered"], "network", &format!(" {inner} {prefix}")),
        (&["--numbered"], "host", &format!(" {inner}")),
        (&["--host-addresses", "fd00::1,fd00::2"], "host", " fd00::0001 fd00::0002"),
        (&["--prefix", "fd00:1::/64"], "network", " fd00:0001::/64"),
    ] {
        let broker = broker(options);
        Client::new(&broker).granted("foo", tuntype, &format!("127.0.0.1 127.0.0.1{words}"));
    }
    let broker = broker(&["--me", "192.0.2.7", "--her", "192.0.2.1"]);
    Client::new(&broker).granted("foo", "tunnelonly", "192.0.2.7 192.0.2.1");
}

#[test]
fn beyond_the_last_tunnel_is_sold_out_and_a_second_login_replaces_the_first() {
    let broker = broker(&["--tunnels", "1"]);
    let (mut client, mut other) = (Client::new(&broker), Client::new(&broker));
    client.log_in("foo", "tunnelonly");
    assert_eq!(client.ask("tunnel foo wrong host"), REFUSED);
    assert_eq!(other.log_in("anna", "tunnelonly"), SOLD_OUT);
    assert!(client.log_in("anna", "host udp").starts_with("+OK "));
    drop(client);
    broker.process.wait_for("closed anna");
    assert!(other.log_in("foo", "tunnelonly").starts_with("+OK "));
}

#[test]
fn tunnels_do_not_share_addresses_and_users_keep_theirs() {
    let broker = broker(&["--numbered", "--host-addresses", "fd00::9,fd00::1"]);
    let log_in = |user, words: &str| {
        let mut client = Client::new(&broker);
        let answer = client.log_in(user, "network");
        assert!(answer.ends_with(words), "{answer}");
        client
    };
    let foo = log_in("foo", " fd00::0009 fd00::0001 2001:0db8:0001::/48");
    let _anna = log_in("anna", " fd00::0012 fd00::000a 2001:0db8:0002::/48");
    let _twin = log_in("foo", " fd00::001b fd00::0013 2001:0db8:0003::/48");
    drop(foo);
    broker.process.wait_for("closed foo");
    let _twin = log_in("anna", " 2001:0db8:0004::/48");
    let _foo = log_in("foo", " 2001:0db8:0001::/48");
}

#[test]
fn each_udp_tunnel_gets_the_lowest_free_port() {
    let broker = broker(&["--udp-ports", "65534"]);
    let [mut first, mut second, mut third] = [(); 3].map(|()| Client::new(&broker));
    first.granted("foo", "tunnelonly udp 4028", "127.0.0.1 127.0.0.1:65534");
    second.granted("anna", "tunnelonly udp", "127.0.0.1 127.0.0.1:65535");
    assert_eq!(third.log_in("anna", "tunnelonly udp"), SOLD_OUT);
    third.granted("anna", "tunnelonly", "127.0.0.1 127.0.0.1");
    broker.process.wait_for("granted foo tunnelonly 127.0.0.1 127.0.0.1 - - - udp 4028 65534 0");
    broker.process.wait_for("granted anna tunnelonly 127.0.0.1 127.0.0.1 - - - udp - 65535 1");
    drop(first);
    broker.process.wait_for("closed foo");
    third.granted("anna", "tunnelonly udp 9", "127.0.0.1 127.0.0.1:65534");
}

/// A directory with a program that appends its arguments to `log` and exits.
fn with_program(status: i32) -> (Directory, String) {
    let directory = Directory::default();
    let program = directory.script(&format!("printf '<%s>' \"$@\" >>$directory/log; exit {status}"));
    (directory, program)
}

#[test]
fn quit_is_answered_then_the_tunnel_ends_then_the_connection_is_closed() {
    let (directory, program) = with_program(0);
    let broker = broker(&["--numbered", "--exec", &program, "--farewell-delay", "1s"]);
    let mut client = Client::new(&broker);
    client.log_in("foo", "network udp 4028");
    let words =
        "<foo><network><127.0.0.1><127.0.0.1><2001:db8::6><2001:db8::5><2001:db8:1::/48><udp><4028><4028><0>";
    let start = Instant::now();
    assert_eq!(client.ask("quit"), GOODBYE);
    assert_eq!(directory.read("log"), format!("<up>{words}"));
    assert!(client.closed());
    assert_eq!(directory.read("log"), format!("<up>{words}<down>{words}"));
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn until_its_connection_is_closed_a_tunnel_keeps_its_port_and_addresses_and_sigterm_ends_all() {
    let (directory, program) = with_program(0);
    let broker = broker(&["--exec", &program, "--farewell-delay", "1h"]);
    let (mut leaving, mut client) = (Client::new(&broker), Client::new(&broker));
    leaving.granted("foo", "host udp", "127.0.0.1 127.0.0.1:4028 2001:0db8::0006 2001:0db8::0005");
    assert_eq!(leaving.ask("quit"), GOODBYE);
    client.granted("foo", "host udp", "127.0.0.1 127.0.0.1:4029 2001:0db8::000a 2001:0db8::0009");
    broker.process.stop(Signal::SIGTERM);
    assert!(client.closed() && leaving.closed());
    for words in
        ["<2001:db8::6><2001:db8::5><><udp><><4028><0>", "<2001:db8::a><2001:db8::9><><udp><><4029><1>"]
    {
        assert!(directory.read("log").contains(&format!("<down><foo><host><127.0.0.1><127.0.0.1>{words}")));
    }
}

#[test]
fn the_program_is_run_for_one_tunnel_at_a_time() {
    let directory = Directory::default();
    let program = directory.script("mkdir $directory/turn && sleep 0.2 && rmdir $directory/turn");
    let broker = broker(&["--exec", &program]);
    thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| assert!(Client::new(&broker).log_in("foo", "tunnelonly").starts_with("+OK ")));
        }
    });
    broker.process.wait_for_count("closed foo", 5);
    assert!(!broker.process.lines().iter().any(|line| line.starts_with("failed ")));
}

#[test]
fn a_tunnel_that_the_program_cannot_make_is_not_granted() {
    let (directory, program) = with_program(3);
    let broker = broker(&["--tunnels", "1", "--exec", &program]);
    let mut client = Client::new(&broker);
    assert_eq!(client.log_in("foo", "host udp"), SOLD_OUT);
    assert_eq!(client.log_in("foo", "host"), SOLD_OUT);
    drop(client);
    broker.process.wait_for("closed -");
    broker.process.wait_for_count("failed up foo exit status: 3", 2);
    broker.process.wait_for_count("refused foo tunnel interface sold out", 2);
    assert!(!directory.read("log").contains("<down>"));
}

#[test]
fn a_wrong_command_line_or_users_file_is_an_error() {
    let start = |users: &str, option: &str| {
        let mut command = harness::broker();
        command.args(["--users", users, option]);
        let (status, output) = Process::start(command).wait();
        assert_ne!(status, Some(0));
        output
    };
    for wrong in [
        "--listen=[::1]:20200",
        "--types=host,other",
        "--prefix=2001:db8::/0",
        "--prefix=2001:db8::/129",
        "--prefix=2001:db8::1/48",
        "--prefix=2001:db8::",
        "--host-addresses=2001:db8::1",
        "--udp-ports=0",
        "--farewell-delay=-1",
    ] {
        let output = start("users", wrong);
        assert!(output.contains(wrong.split('=').next().unwrap()), "{output}");
    }
    let directory = Directory::default();
    for bad in ["secret", "any:secret", "any::secret", "any:foo:", "any:f secret:bar", "any:f\u{7}:secret"] {
        directory.write("users", &format!("any:foo:bar\n{bad}\n"), 0o600);
        let output = start(&directory.file("users"), "--numbered");
        assert!(output.ends_with("users, line 2: expected `server:user:password`"), "{output}");
        assert!(!output.contains("secret"), "{output}");
    }
}
