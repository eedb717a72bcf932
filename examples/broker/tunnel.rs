//! A tunnel, and the words that describe it: in the answer to a login, in an event, and to the program of `--exec`.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::options::{Options, Prefix};
use crate::pool::Share;

/// What a user asks for, and the two ends of the connection.
pub(crate) struct Request<'a> {
    pub user: &'a str,
    pub tuntype: &'a str,
    /// What carries the tunnel's IPv6 packets: `ip` or `udp`.
    pub proto: &'static str,
    /// The client's UDP port. Without one, packets go to the source of its last one.
    pub client_port: Option<u16>,
    /// The client's IPv4 address, as the server sees it.
    pub me: Ipv4Addr,
    /// The server's IPv4 address.
    pub her: Ipv4Addr,
}

/// A tunnel that was granted.
pub(crate) struct Tunnel {
    pub share: Share,
    /// `USER TUNTYPE ME HER ME6 HER6 PREFIX PROTO CLIENT_PORT SERVER_PORT TUNNEL`; empty if a word does not apply.
    pub words: [String; 11],
    /// The answer to the login.
    pub answer: String,
}

impl Tunnel {
    pub(crate) fn new(request: &Request, share: Share, options: &Options) -> Self {
        let (me, her) = (options.me.unwrap_or(request.me), options.her.unwrap_or(request.her));
        let network = request.tuntype == "network";
        let numbered = request.tuntype == "host" || network && options.numbered;
        let inner = numbered.then(|| nth_pair(options.host_addresses, share.place));
        let prefix = network.then(|| nth_prefix(options.prefix, share.place));

        let mut answer = vec!["+OK".to_owned(), me.to_string(), her.to_string()];
        if let Some(port) = share.port {
            answer[2] = format!("{her}:{port}");
        }
        answer.extend(inner.iter().flatten().map(|&address| padded(address)));
        answer.extend(prefix.map(|(address, length)| format!("{}/{length}", padded(address))));

        let words = [
            request.user.to_owned(),
            request.tuntype.to_owned(),
            me.to_string(),
            her.to_string(),
            word(inner.map(|[me6, _]| me6)),
            word(inner.map(|[_, her6]| her6)),
            word(prefix.map(|(address, length)| format!("{address}/{length}"))),
            request.proto.to_owned(),
            word(request.client_port),
            word(share.port),
            share.place.to_string(),
        ];
        Self { share, words, answer: answer.join(" ") }
    }

    pub(crate) fn user(&self) -> &str {
        &self.words[0]
    }

    /// Runs the operator's program with `up` or `down`, and waits until it has ended.
    pub(crate) fn run(&self, program: &Path, change: &str) -> io::Result<ExitStatus> {
        // Standard output is for events alone.
        let output = io::stderr().as_fd().try_clone_to_owned()?;
        Command::new(program).arg(change).args(&self.words).stdin(Stdio::null()).stdout(output).status()
    }
}

fn word(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// The `n`th pair after the first: four addresses apart, like KAME's, or more if the pair itself spans more.
fn nth_pair(first: [Ipv6Addr; 2], n: usize) -> [Ipv6Addr; 2] {
    let span = first[0].to_bits().abs_diff(first[1].to_bits());
    let offset = span.saturating_add(1).max(4).wrapping_mul(n as u128);
    first.map(|address| Ipv6Addr::from_bits(address.to_bits().wrapping_add(offset)))
}

/// The `n`th prefix after the first.
fn nth_prefix((first, length): Prefix, n: usize) -> Prefix {
    let offset = (n as u128) << (128 - u32::from(length));
    (Ipv6Addr::from_bits(first.to_bits().wrapping_add(offset)), length)
}

/// An address with leading zeros in each group, as KAME's server writes it: `2001:0db8::0006`.
fn padded(address: Ipv6Addr) -> String {
    let address = address.to_string();
    let pad = |group: &str| if group.is_empty() { String::new() } else { format!("{group:0>4}") };
    address.split(':').map(pad).collect::<Vec<_>>().join(":")
}
