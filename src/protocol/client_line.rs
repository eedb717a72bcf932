//! The lines that the client sends.

use super::TunnelType;
use super::challenge::{MASK, Response};

/// The client's UDP port, as announced in `tunnel`. That it is announced is confirmed; the words are this project's
/// decision: `udp PORT`, or `udp` alone if the server should use the source of the packets that it receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announcement {
    /// This port.
    Port(u16),
    /// Unknown: a NAT will choose it.
    Unknown,
}

/// A line to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientLine {
    /// Asks for a tunnel, and logs in.
    Tunnel {
        /// The user's name.
        user: String,
        /// The answer to the server's challenge.
        response: Response,
        /// The type of tunnel that is requested.
        tunnel_type: TunnelType,
        /// `None` for a gif tunnel.
        udp: Option<Announcement>,
    },
    /// Keeps the connection alive.
    Ping,
    /// Ends the session.
    Quit,
}

impl ClientLine {
    /// The line with its CR LF, to be sent.
    pub fn line(&self) -> String {
        let response = if let Self::Tunnel { response, .. } = self { response.digits() } else { "" };
        self.spell(response) + "\r\n"
    }

    /// The line for the log, without its end and with the response masked.
    pub fn masked(&self) -> String {
        self.spell(MASK)
    }

    fn spell(&self, response: &str) -> String {
        match self {
            Self::Tunnel { user, tunnel_type, udp, .. } => {
                let tunnel = format!("tunnel {user} {response} {tunnel_type}");
                match udp {
                    None => tunnel,
                    Some(Announcement::Unknown) => tunnel + " udp",
                    Some(Announcement::Port(port)) => format!("{tunnel} udp {port}"),
                }
            }
            Self::Ping => "ping".to_owned(),
            Self::Quit => "quit".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_cr_lf_and_the_log_does_not_show_the_response() {
        let tunnel = |udp| {
            let response = Response::new("foo", "0B1517C87D516A5FA65BED722D51A04F", b"bar");
            ClientLine::Tunnel { user: "foo".to_owned(), response, tunnel_type: TunnelType::Network, udp }
        };
        let start = "tunnel foo DAC487C8DFBBF9EE5C7F8CDCC37B62A3 network";
        for (line, expected) in [
            (tunnel(None), format!("{start}\r\n")),
            (tunnel(Some(Announcement::Port(4028))), format!("{start} udp 4028\r\n")),
            (tunnel(Some(Announcement::Unknown)), format!("{start} udp\r\n")),
            (ClientLine::Ping, "ping\r\n".to_owned()),
            (ClientLine::Quit, "quit\r\n".to_owned()),
        ] {
            assert_eq!(line.line(), expected);
        }
        assert_eq!(tunnel(None).masked(), "tunnel foo ******** network");
    }
}
