//! A broker that runs in this process, and a client that only sends and receives lines.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fs, io};

use clap::Parser;
use tempfile::TempDir;

use crate::broker::Broker;
use crate::options::Options;
use crate::users::{Users, response};

/// Longer than anything here takes; what waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

const USERS: &str = "# server:user:password\n\nany:foo:bar\nany:anna:pass:word\nany:berta:third\n";

/// A broker that ends with this value.
pub(super) struct Running {
    address: SocketAddr,
    events: BufReader<UnixStream>,
    signal: UnixStream,
    serving: Option<JoinHandle<io::Result<()>>>,
}

impl Running {
    /// Starts a broker for `foo` (`bar`), `anna` (`pass:word`) and `berta` (`third`).
    pub(super) fn new(arguments: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let file = home.path().join("users");
        fs::write(&file, USERS).expect("a users' file");
        let given = ["broker", "--listen", "127.0.0.1:0", "--users", file.to_str().expect("a text")];
        let options = Options::try_parse_from([&given, arguments].concat()).expect("good options");
        let users = Users::load(&options.users, None).expect("good users");
        let listener = TcpListener::bind(options.listen).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (events, sink) = UnixStream::pair().expect("a pair");
        events.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let (stop, signal) = UnixStream::pair().expect("a pair");
        let broker = Broker::new(options, users, Box::new(sink)).expect("a broker");
        let serving = Some(thread::spawn(move || broker.serve(&listener, &stop)));
        Self { address, events: BufReader::new(events), signal, serving }
    }

    pub(super) fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut client = Client { stream: BufReader::new(stream), challenge: String::new() };
        let greeting = client.hear();
        client.challenge = greeting.split(' ').nth(1).expect("a challenge").to_owned();
        client
    }

    /// The next event must be this one.
    pub(super) fn expect(&mut self, event: &str) {
        assert_eq!(self.next_event(), event);
    }

    pub(super) fn next_event(&mut self) -> String {
        let mut line = String::new();
        self.events.read_line(&mut line).expect("an event");
        line.trim_end().to_owned()
    }

    /// Ends the broker as a signal does, and gives the events that were left.
    pub(super) fn stop(&mut self) -> String {
        let Some(serving) = self.serving.take() else { return String::new() };
        self.signal.write_all(b"!").expect("a broker to stop");
        serving.join().expect("no panic").expect("a clean end");
        let mut rest = String::new();
        self.events.read_to_string(&mut rest).expect("the last events");
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.stop();
        }
    }
}

/// A client that knows nothing of the protocol but lines.
pub(super) struct Client {
    stream: BufReader<TcpStream>,
    pub challenge: String,
}

impl Client {
    /// Sends a line and gives the answer.
    pub(super) fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        self.hear()
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("a broker that reads");
    }

    /// The broker's next line, which must end with CR LF; without it.
    pub(super) fn hear(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line");
        line.strip_suffix("\r\n").unwrap_or_else(|| panic!("{line:?} has no CR LF")).to_owned()
    }

    /// Logs in with the right response; `rest` is what follows it.
    pub(super) fn log_in(&mut self, user: &str, password: &str, rest: &str) -> String {
        let response = response(user, &self.challenge, password);
        self.ask(&format!("tunnel {user} {response} {rest}"))
    }

    /// Whether the broker has closed the connection, with nothing more to say.
    pub(super) fn closed(&mut self) -> bool {
        self.stream.read_to_end(&mut Vec::new()).is_ok_and(|length| length == 0)
    }
}

/// A program in a directory that appends its arguments to a file beside it, and exits as told.
///
/// Another process writes it: while this one had it open for writing, a fork in another thread could keep it
/// open, and it could not be run.
pub(super) fn program(home: &TempDir, status: i32) -> PathBuf {
    let source = home.path().join("source");
    let program = home.path().join("program");
    let script = format!("#!/bin/sh\nprintf '<%s>' \"$@\" >> \"$0.log\"\nexit {status}\n");
    fs::write(&source, script).expect("a script");
    let installed = std::process::Command::new("install")
        .args(["-m", "755"])
        .args([&source, &program])
        .status()
        .expect("install(1)");
    assert!(installed.success());
    program
}
