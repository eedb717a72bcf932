//! One client's connection: what is answered to what.

use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::os::fd::AsFd;
use std::time::Instant;

use clap::ValueEnum;

use crate::broker::Broker;
use crate::lines::{Heard, Lines};
use crate::options::TunnelType;
use crate::tunnel::{Request, Transport, Tunnel};

const AUTHENTICATION_FAILED: &str = "authentication failed.";
const SOLD_OUT: &str = "tunnel interface sold out";

/// Serves a client until either side closes, then ends its tunnel.
pub(crate) fn serve(broker: &Broker, stream: TcpStream, stop: &impl AsFd) {
    // An error is a connection that broke: to a broker, one more way to close it.
    let Ok(mut session) = Session::new(broker, stream) else { return };
    let ended = session.converse(stop);
    let user = session.user().to_owned();
    session.end_tunnel();
    broker.event(format_args!("closed {user}"));
    // Only now: whoever quits to come back at once finds the same port and addresses free.
    if let Ok(Some(farewell)) = ended {
        let _ = session.lines.say(farewell);
    }
}

/// A connection, and the tunnel that lives as long as it does.
struct Session<'a> {
    broker: &'a Broker,
    lines: Lines,
    challenge: String,
    /// The client's end of the connection.
    me: Ipv4Addr,
    /// Our end of it.
    her: Ipv4Addr,
    tunnel: Option<Tunnel>,
}

impl<'a> Session<'a> {
    fn new(broker: &'a Broker, stream: TcpStream) -> io::Result<Self> {
        Ok(Self {
            broker,
            challenge: broker.challenge()?,
            me: ipv4(stream.peer_addr()?.ip())?,
            her: ipv4(stream.local_addr()?.ip())?,
            lines: Lines::new(stream)?,
            tunnel: None,
        })
    }

    /// Answers until the connection is to be closed, and gives the line to close it with, if there is one to hear it.
    fn converse(&mut self, stop: &impl AsFd) -> io::Result<Option<&'static str>> {
        let options = &self.broker.options;
        let login_by = Instant::now() + options.login_timeout;
        self.lines.say(&format!("+OK {} DTCP broker", self.challenge))?;
        loop {
            let deadline = match self.tunnel {
                None => login_by,
                Some(_) => Instant::now() + options.idle_timeout,
            };
            match self.lines.hear(deadline, stop)? {
                Heard::Line(line) if command(&line) == "quit" => {
                    self.note("quit");
                    return Ok(Some("+OK see you soon."));
                }
                Heard::Line(line) => {
                    let answer = self.answer(&line);
                    self.lines.say(&answer)?;
                }
                Heard::Garbage => {
                    let answer = self.invalid();
                    self.lines.say(&answer)?;
                }
                Heard::Silence => {
                    self.note("timeout");
                    return Ok(Some("-ERR connection timed out, disconnecting"));
                }
                Heard::Closed | Heard::Stop => return Ok(None),
            }
        }
    }

    fn answer(&mut self, line: &str) -> String {
        match command(line).as_str() {
            "tunnel" => self.log_in(line).unwrap_or_else(|reason| format!("-ERR {reason}")),
            "ping" => {
                self.note("ping");
                "+OK hi, happy to hear from you".to_owned()
            }
            "help" => {
                self.note("help");
                "+OK valid commands are: TUNNEL PING QUIT".to_owned()
            }
            _ => self.invalid(),
        }
    }

    fn invalid(&self) -> String {
        self.note("invalid");
        "-ERR invalid command".to_owned()
    }

    /// `tunnel USER RESPONSE TUNTYPE [udp [PORT]]`, in exactly that many words. Gives the answer, or the refusal's
    /// reason. A second login takes the place of the first.
    fn log_in(&mut self, line: &str) -> Result<String, String> {
        let words: Vec<&str> = line.trim_end_matches(' ').split(' ').collect();
        let (user, response, tuntype, transport) = match words[1..] {
            [user, response, tuntype] => (user, response, tuntype, Some(Transport::Ip)),
            [user, response, tuntype, ref udp @ ..] => (user, response, tuntype, self.udp(udp)),
            _ => return Err(self.refuse("", AUTHENTICATION_FAILED)),
        };
        let Some(transport) = transport.filter(|_| self.broker.users.accept(user, &self.challenge, response))
        else {
            return Err(self.refuse(user, AUTHENTICATION_FAILED));
        };
        let supported = TunnelType::from_str(tuntype, false)
            .ok()
            .filter(|supported| self.broker.options.types.contains(supported))
            .ok_or_else(|| {
                let reason = format!("unsupported tunnel type {}", printable(tuntype));
                self.refuse(user, &reason)
            })?;
        self.end_tunnel();
        let request = Request { user, tuntype: supported, transport };
        let tunnel =
            self.broker.begin(&request, self.me, self.her).ok_or_else(|| self.refuse(user, SOLD_OUT))?;
        let words = tunnel.words().map(|word| if word.is_empty() { "-".to_owned() } else { word });
        self.broker.event(format_args!("granted {}", words.join(" ")));
        let answer = tunnel.answer(&self.broker.options);
        self.tunnel = Some(tunnel);
        Ok(answer)
    }

    /// What the words after TUNTYPE ask for, if they are any that this server knows.
    fn udp(&self, words: &[&str]) -> Option<Transport> {
        let client_port = match *words {
            _ if self.broker.options.udp.off => return None,
            ["udp"] => None,
            ["udp", port] => Some(port.parse().ok().filter(|&port| port != 0)?),
            _ => return None,
        };
        Some(Transport::Udp { client_port })
    }

    fn end_tunnel(&mut self) {
        if let Some(tunnel) = self.tunnel.take() {
            self.broker.end(&tunnel);
        }
    }

    fn refuse(&self, user: &str, reason: &str) -> String {
        // In a line gone wrong, the word in the user's place may be a response.
        let user = if self.broker.users.knows(user) { user } else { "-" };
        self.broker.event(format_args!("refused {user} {reason}"));
        reason.to_owned()
    }

    fn note(&self, event: &str) {
        self.broker.event(format_args!("{event} {}", self.user()));
    }

    fn user(&self) -> &str {
        self.tunnel.as_ref().map_or("-", |tunnel| &tunnel.user)
    }
}

/// The line's first word, in lower case: the case of a command does not matter.
fn command(line: &str) -> String {
    line.split(' ').next().unwrap_or_default().to_ascii_lowercase()
}

/// A client's word, fit for an event and an answer.
fn printable(word: &str) -> String {
    word.replace(char::is_control, "?")
}

fn ipv4(address: IpAddr) -> io::Result<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}
