//! A tunnel: its words in the answer to a login, in an event, and to the program of `--exec`.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::options::{AddressForm, Addresses, HostAddresses, Options, Prefix, TunnelType};
use crate::pool::Share;

/// What a user asks for.
pub(crate) struct Request<'a> {
    pub user: &'a str,
    pub tuntype: TunnelType,
    pub transport: Transport,
}

/// What carries the tunnel's IPv6 packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// IPv4, as protocol 41.
    Ip,
    /// UDP, with the client's port if it told one; if not, it is where its last packet came from.
    Udp { client_port: Option<u16> },
}

/// A tunnel that was granted.
pub(crate) struct Tunnel {
    pub user: String,
    tuntype: TunnelType,
    /// The client's IPv4 address, as the server sees it.
    me: Ipv4Addr,
    /// The server's IPv4 address.
    her: Ipv4Addr,
    inner: Option<HostAddresses>,
    prefix: Option<Prefix>,
    transport: Transport,
    pub share: Share,
}

impl Tunnel {
    /// The tunnel between the two ends of a connection.
    pub(crate) fn new(
        request: &Request,
        me: Ipv4Addr,
        her: Ipv4Addr,
        share: Share,
        addresses: &Addresses,
    ) -> Self {
        let network = request.tuntype == TunnelType::Network;
        let numbered = request.tuntype == TunnelType::Host || network && addresses.numbered;
        Self {
            user: request.user.to_owned(),
            tuntype: request.tuntype,
            me: addresses.me.unwrap_or(me),
            her: addresses.her.unwrap_or(her),
            inner: numbered.then(|| nth_pair(addresses.first_pair, share.place)),
            prefix: network.then(|| nth_prefix(addresses.first_prefix, share.place)),
            transport: request.transport,
            share,
        }
    }

    /// The answer to the login that this tunnel was granted to.
    pub(crate) fn answer(&self, options: &Options) -> String {
        let form = options.addresses.address_form;
        let mut words = vec!["+OK".to_owned(), self.me.to_string()];
        match self.share.port {
            None => words.push(self.her.to_string()),
            Some(port) if options.udp.port_word => words.extend([self.her.to_string(), port.to_string()]),
            Some(port) => words.push(format!("{}:{port}", self.her)),
        }
        if let Some(HostAddresses { me, her }) = self.inner {
            words.extend([written(me, form), written(her, form)]);
        }
        if let Some(Prefix { address, length }) = self.prefix.filter(|_| !options.addresses.unnamed_prefix) {
            words.push(format!("{}/{length}", written(address, form)));
        }
        words.join(" ")
    }

    /// `USER TUNTYPE ME HER ME6 HER6 PREFIX PROTO CLIENT_PORT SERVER_PORT`; empty where there is none.
    pub(crate) fn words(&self) -> [String; 10] {
        let (proto, client_port) = match self.transport {
            Transport::Ip => ("ip", None),
            Transport::Udp { client_port } => ("udp", client_port),
        };
        [
            self.user.clone(),
            self.tuntype.to_string(),
            self.me.to_string(),
            self.her.to_string(),
            self.inner.map_or_else(String::new, |inner| inner.me.to_string()),
            self.inner.map_or_else(String::new, |inner| inner.her.to_string()),
            self.prefix.map_or_else(String::new, |prefix| format!("{}/{}", prefix.address, prefix.length)),
            proto.to_owned(),
            client_port.map_or_else(String::new, |port| port.to_string()),
            self.share.port.map_or_else(String::new, |port| port.to_string()),
        ]
    }

    /// Runs the operator's program, `up` or `down`, and waits for it.
    pub(crate) fn run(&self, program: &Path, change: &str) -> io::Result<ExitStatus> {
        // Stdout is for events alone.
        let output = io::stderr().as_fd().try_clone_to_owned()?;
        Command::new(program).arg(change).args(self.words()).stdin(Stdio::null()).stdout(output).status()
    }
}

/// The `n`th pair after the first. They are as far apart as KAME's, four, or further if the pair itself is wider.
fn nth_pair(first: HostAddresses, n: usize) -> HostAddresses {
    let width = first.me.to_bits().abs_diff(first.her.to_bits());
    let step = width.saturating_add(1).max(4).wrapping_mul(n as u128);
    let moved = |address: Ipv6Addr| Ipv6Addr::from_bits(address.to_bits().wrapping_add(step));
    HostAddresses { me: moved(first.me), her: moved(first.her) }
}

/// The `n`th prefix of the same length after the first.
fn nth_prefix(first: Prefix, n: usize) -> Prefix {
    let step = (n as u128) << (128 - u32::from(first.length));
    Prefix { address: Ipv6Addr::from_bits(first.address.to_bits().wrapping_add(step)), ..first }
}

fn written(address: Ipv6Addr, form: AddressForm) -> String {
    let canonical = address.to_string();
    match form {
        AddressForm::Canonical => canonical,
        AddressForm::Padded => {
            let groups = canonical.split(':').map(|group| match group {
                "" => String::new(),
                digits => format!("{digits:0>4}"),
            });
            groups.collect::<Vec<_>>().join(":")
        }
    }
}
