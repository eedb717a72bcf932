//! What the fuzz targets share: lines like a server's, and the checks of what the client makes of them.

use std::collections::HashSet;
use std::error::Error;
use std::fmt::Write;
use std::iter::successors;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Once;

use dtcpclient::protocol::{Action, Announcement, ClientLine, Login, Offer, Reason, Request, TunnelType};
use dtcpclient::script::{Event, Parameters};
use dtcpclient::tunnel::{Carrier, Settings, Tunnel};
use ffi::rehearsal::Rehearsal;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use log::{LevelFilter, Log, Metadata, Record};

/// A line from the server.
#[derive(Arbitrary, Debug)]
pub enum Line<'a> {
    /// Any bytes.
    Any(&'a [u8]),
    /// `+OK` and words.
    Ok(Vec<Word<'a>>),
    /// `-ERR` and words.
    Error(Vec<Word<'a>>),
}

/// A word of a line. Without the ones that mean something, a fuzzer would need long to find any.
#[derive(Arbitrary, Debug)]
pub enum Word<'a> {
    /// Any text.
    Any(&'a str),
    /// An end of the tunnel that most connections can have.
    Outer(u8),
    /// Any IPv4 address.
    OtherOuter(u32),
    /// An IPv4 address and a port.
    OuterWithPort(u8, u16),
    /// An IPv6 address.
    Inner(u8),
    /// Any IPv6 address.
    OtherInner(u128),
    /// A prefix.
    Prefix(u128, u8),
    /// A number.
    Port(u32),
    /// A part of an error that the client knows.
    Error(u8),
}

const ERRORS: [&str; 6] = [
    "authentication failed.",
    "unsupported tunnel type",
    "tunnel interface sold out",
    "timed out",
    "internal error",
    "İ",
];

impl Line<'_> {
    /// The bytes of the line, with its end.
    pub fn bytes(&self) -> Vec<u8> {
        let spelled = |reply: &str, words: &[Word]| {
            words.iter().fold(reply.to_owned(), |line, word| line + " " + &word.spell()).into_bytes()
        };
        let line = match self {
            Self::Any(bytes) => bytes.to_vec(),
            Self::Ok(words) => spelled("+OK", words),
            Self::Error(words) => spelled("-ERR", words),
        };
        [&line, &b"\r\n"[..]].concat()
    }
}

impl Word<'_> {
    fn spell(&self) -> String {
        match self {
            Self::Any(text) => (*text).to_owned(),
            Self::Outer(last) => format!("192.0.2.{last}"),
            Self::OtherOuter(bits) => Ipv4Addr::from_bits(*bits).to_string(),
            Self::OuterWithPort(last, port) => format!("192.0.2.{last}:{port}"),
            Self::Inner(last) => format!("2001:db8::{last:04x}"),
            Self::OtherInner(bits) => Ipv6Addr::from_bits(*bits).to_string(),
            Self::Prefix(bits, length) => format!("{}/{length}", Ipv6Addr::from_bits(*bits)),
            Self::Port(number) => number.to_string(),
            Self::Error(index) => ERRORS[usize::from(*index) % ERRORS.len()].to_owned(),
        }
    }
}

/// What is requested.
#[derive(Arbitrary, Debug, Clone, Copy)]
pub struct Setup {
    tunnel_type: u8,
    udp: bool,
    port: Option<u16>,
    nat_check: bool,
}

impl Setup {
    /// The account and the request.
    pub fn login(self) -> Login {
        Login {
            user: "foo".to_owned(),
            password: b"bar".to_vec().into(),
            tunnel_type: TunnelType::ALL[usize::from(self.tunnel_type) % TunnelType::ALL.len()],
            udp: self.udp.then(|| self.port.map_or(Announcement::Unknown, Announcement::Port)),
            nat_check: self.nat_check,
        }
    }

    fn request(self, local: Ipv4Addr) -> Request {
        let Login { tunnel_type, udp, .. } = self.login();
        Request { tunnel_type, udp: udp.is_some(), local }
    }
}

/// Checks the actions of a session.
pub struct Checker {
    request: Request,
    /// The answer to the challenge, once there is one.
    response: Option<String>,
}

impl Checker {
    /// Begins with a new session over a connection with this local end.
    pub fn new(setup: Setup, local: Ipv4Addr) -> Self {
        Self { request: setup.request(local), response: None }
    }

    /// Checks the next actions.
    pub fn check<'a>(&mut self, actions: impl IntoIterator<Item = &'a Action>) {
        for action in actions {
            match action {
                Action::Send(line) => self.check_sent(line),
                Action::MakeTunnel(offer) => check_offer(offer, self.request),
                Action::Received(text) | Action::Ignored(text) => self.check_text(text),
                Action::Leave(reason) | Action::Close(reason) => self.check_reason(reason),
            }
        }
    }

    fn check_sent(&mut self, line: &ClientLine) {
        let sent = line.line();
        assert!(sent.ends_with("\r\n"));
        if let ClientLine::Tunnel { .. } = line {
            self.response = sent.split(' ').nth(2).map(str::to_owned);
        }
        self.check_text(&line.masked());
    }

    /// A reason and its sources are fit for the log.
    fn check_reason(&self, reason: &Reason) {
        for error in successors(Some(reason as &dyn Error), |&error| error.source()) {
            self.check_text(&error.to_string());
        }
    }

    /// Text for the log is short and has neither control characters nor the response.
    fn check_text(&self, text: &str) {
        assert!(text.chars().count() < 300, "{text}");
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(self.response.as_ref().is_none_or(|response| !text.contains(response)), "{text}");
    }
}

/// An offer can be carried out, and what is passed to the script can be read as the same offer.
fn check_offer(offer: &Offer, request: Request) {
    let carrier = if request.udp { Carrier::Udp { port: 4028 } } else { Carrier::Gif };
    let settings = Settings { server: "broker.example".to_owned(), carrier, mtu: 1280, interface: None };
    let kernel = Rehearsal::new(|_| {});
    let mut shared = kernel.clone();
    let mut tunnel = Tunnel::new(&mut shared, settings.clone());
    tunnel.bring_up(request.local, offer).expect("the kernel accepts the offer");
    let interface = tunnel.interface().expect("a tunnel");
    let parameters =
        Parameters::new(&settings, request.tunnel_type, request.local, offer, interface, Some(0));
    for event in [Event::Up, Event::Down] {
        check_parameters(&parameters, event, offer, request);
    }
    drop(tunnel);
    assert!(kernel.interfaces().is_empty(), "nothing is left behind");
}

fn check_parameters(parameters: &Parameters, event: Event, offer: &Offer, request: Request) {
    let arguments = parameters.arguments(event);
    let [_, _, myaddr, tuntype, offered @ ..] = &arguments[..] else { panic!("{arguments:?}") };
    assert_eq!((*myaddr, *tuntype), (&*request.local.to_string(), &*request.tunnel_type.to_string()));
    for argument in &arguments {
        assert!(!argument.starts_with('-') && argument.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    let environment = parameters.environment(event);
    assert!(arguments.iter().zip(&environment).all(|(argument, (_, value))| argument == value));
    let names: HashSet<_> = environment.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), environment.len());
    let port = offer.udp_port.map(|port| port.to_string());
    let words = offered.iter().filter(|word| !word.is_empty()).map(|word| (*word).to_owned());
    let words: Vec<_> = words.chain(port).collect();
    assert_eq!(Offer::read(&words, request), Ok((offer.clone(), Vec::new())));
}

/// This host's end of the connection.
pub const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The greeting of the server.
pub const GREETING: &[u8] = b"+OK 0B1517C87D516A5FA65BED722D51A04F hello\r\n";
/// The response of [`Setup::login`] to it, as published.
pub const RESPONSE: &str = "DAC487C8DFBBF9EE5C7F8CDCC37B62A3";

/// Has each line of the log written, but nowhere, so that all that can be logged is made.
pub fn log_everything() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Nowhere).expect("no other logger");
        log::set_max_level(LevelFilter::Trace);
    });
}

struct Nowhere;

impl Log for Nowhere {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        write!(String::new(), "{}", record.args()).expect("a message can be formatted");
    }

    fn flush(&self) {}
}
