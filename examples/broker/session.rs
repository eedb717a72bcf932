//! One client's connection: the answers to its lines, and the tunnel that lives as long as the connection.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::Instant;

use crate::broker::{Broker, event};
use crate::lines::{Lines, wait};
use crate::tunnel::{Request, Tunnel};
use crate::users;

const AUTHENTICATION_FAILED: &str = "authentication failed.";
const SOLD_OUT: &str = "tunnel interface sold out";

/// Serves a client, then ends its tunnel, then closes the connection.
pub(crate) fn serve(broker: &Broker, stream: TcpStream, stop: &impl AsFd) {
    let Ok(mut session) = Session::new(broker, stream) else { return };
    // An error ends the conversation too; the rest is the same.
    let _ = session.converse(stop);
    let user = session.user().to_owned();
    session.end_tunnel();
    event(format_args!("closed {user}"));
}

struct Session<'a> {
    broker: &'a Broker,
    lines: Lines,
    challenge: String,
    /// The client's end of the connection.
    me: Ipv4Addr,
    /// The server's end of the connection.
    her: Ipv4Addr,
    tunnel: Option<Tunnel>,
}

impl<'a> Session<'a> {
    fn new(broker: &'a Broker, stream: TcpStream) -> io::Result<Self> {
        let (SocketAddr::V4(me), SocketAddr::V4(her)) = (stream.peer_addr()?, stream.local_addr()?) else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let (challenge, lines) = (users::challenge()?, Lines::new(stream)?);
        Ok(Self { broker, lines, challenge, me: *me.ip(), her: *her.ip(), tunnel: None })
    }

    /// Answers the client until the session is to end.
    fn converse(&mut self, stop: &impl AsFd) -> io::Result<()> {
        let options = &self.broker.options;
        let login_by = Instant::now() + options.login_timeout;
        self.lines.send(&format!("+OK {} DTCP broker", self.challenge))?;
        loop {
            let deadline = self.tunnel.as_ref().map_or(login_by, |_| Instant::now() + options.idle_timeout);
            let Some(line) = self.lines.receive(deadline, stop)? else {
                self.note("timeout");
                return self.lines.send("-ERR connection timed out, disconnecting");
            };
            if command(&line) == "quit" {
                self.note("quit");
                self.lines.send("+OK see you soon.")?;
                return wait(stop, stop, Some(Instant::now() + options.farewell_delay)).map(drop);
            }
            let answer = self.answer(&line);
            self.lines.send(&answer)?;
        }
    }

    fn answer(&mut self, line: &str) -> String {
        let command = command(line);
        let (event, answer) = match command.as_str() {
            "tunnel" => return self.log_in(line).unwrap_or_else(|reason| format!("-ERR {reason}")),
            "ping" => ("ping", "+OK hi, happy to hear from you"),
            "help" => ("help", "+OK valid commands are: TUNNEL PING QUIT"),
            _ => ("invalid", "-ERR invalid command"),
        };
        self.note(event);
        answer.to_owned()
    }

    /// Answers `tunnel USER RESPONSE TUNTYPE [udp [PORT]]`, or gives the reason of the refusal. A second login
    /// replaces the tunnel of the first.
    fn log_in(&mut self, line: &str) -> Result<String, String> {
        let words: Vec<&str> = line.trim_end_matches(' ').split(' ').collect();
        let [_, user, response, tuntype, ref udp @ ..] = words[..] else {
            return Err(self.refuse("", AUTHENTICATION_FAILED));
        };
        let accepted = self.broker.users.accept(user, &self.challenge, response);
        let Some((proto, client_port)) = transport(udp).filter(|_| accepted) else {
            return Err(self.refuse(user, AUTHENTICATION_FAILED));
        };
        if !self.broker.options.types.iter().any(|supported| supported == tuntype) {
            // A control character must not become part of an event or an answer.
            let word = tuntype.replace(char::is_control, "?");
            return Err(self.refuse(user, &format!("unsupported tunnel type {word}")));
        }
        self.end_tunnel();
        let request = Request { user, tuntype, proto, client_port, me: self.me, her: self.her };
        let tunnel = self.broker.begin(&request).ok_or_else(|| self.refuse(user, SOLD_OUT))?;
        let words = tunnel.words.each_ref().map(|word| if word.is_empty() { "-" } else { word });
        event(format_args!("granted {}", words.join(" ")));
        let answer = tunnel.answer.clone();
        self.tunnel = Some(tunnel);
        Ok(answer)
    }

    fn end_tunnel(&mut self) {
        if let Some(tunnel) = self.tunnel.take() {
            self.broker.end(&tunnel);
        }
    }

    fn refuse(&self, user: &str, reason: &str) -> String {
        // In a malformed line, the second word may be a response, which must not become an event.
        let user = if self.broker.users.knows(user) { user } else { "-" };
        event(format_args!("refused {user} {reason}"));
        reason.to_owned()
    }

    fn note(&self, what: &str) {
        event(format_args!("{what} {}", self.user()));
    }

    fn user(&self) -> &str {
        self.tunnel.as_ref().map_or("-", Tunnel::user)
    }
}

/// The first word of a line in lower case: commands are case-insensitive.
fn command(line: &str) -> String {
    line.split(' ').next().unwrap_or_default().to_ascii_lowercase()
}

/// The protocol and the client's port that the words after the tunnel type ask for; `None` if they are unknown.
fn transport(words: &[&str]) -> Option<(&'static str, Option<u16>)> {
    match *words {
        [] => Some(("ip", None)),
        ["udp"] => Some(("udp", None)),
        ["udp", port] => Some(("udp", Some(port.parse().ok().filter(|&port| port != 0)?))),
        _ => None,
    }
}
