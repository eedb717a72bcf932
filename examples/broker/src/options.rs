//! The command line.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};

/// A small DTCP broker to try a client with.
///
/// Logs users in, hands out addresses and UDP ports, and keeps each tunnel for as long as its connection lives.
/// It makes no tunnel itself: see --exec.
#[derive(Debug, Parser)]
#[command(name = "broker", after_long_help = EVENTS)]
pub(crate) struct Options {
    /// Where to listen; port 0 takes any free one, and the first line on stdout names it
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:20200")]
    pub listen: SocketAddrV4,

    /// Who may log in: lines `server:user:password`, the password may hold colons, lines with # are skipped
    #[arg(long, value_name = "FILE")]
    pub users: PathBuf,

    /// Take from the users' file only the lines whose server field is NAME [default: all lines]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// The tunnel types to grant; any other is answered `-ERR unsupported tunnel type`
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "tunnelonly,host,network")]
    pub types: Vec<TunnelType>,

    /// How many tunnels there may be at once; one more is answered `-ERR tunnel interface sold out`
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub tunnels: usize,

    /// Seconds from the connection to the login, until the broker hangs up
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub login_timeout: Duration,

    /// Seconds of silence on a tunnel's connection, until the broker hangs up
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = seconds)]
    pub idle_timeout: Duration,

    /// A program to run when a tunnel is granted or has ended
    ///
    /// It is run directly, not through a shell, and waited for. Its arguments are `up` or `down` and the words of
    /// the event `granted`, below; one that the tunnel does not have is an empty string. Addresses are in canonical
    /// form. What it prints goes to stderr. If it fails on `up`, the login is refused as sold out.
    #[arg(long, value_name = "PROGRAM")]
    pub exec: Option<PathBuf>,

    #[command(flatten)]
    pub addresses: Addresses,

    #[command(flatten)]
    pub udp: Udp,
}

const EVENTS: &str = "\
Events, a line each on stdout (USER is - before a login, and so is any word that a tunnel does not have):
  listening on ADDR:PORT
  granted USER TUNTYPE ME HER ME6 HER6 PREFIX PROTO CLIENT_PORT SERVER_PORT
                                PROTO is ip or udp
  refused USER REASON           USER is - if the login failed for want of a known one
  ping USER, help USER, invalid USER, quit USER, timeout USER
  failed up|down USER STATUS    the program of --exec did
  closed USER                   the tunnel, if any, is gone and its port free

SIGTERM and SIGINT end it: every connection is closed, every tunnel ends as usual, the exit status is 0.";

/// The addresses in the broker's answers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Addresses")]
pub(crate) struct Addresses {
    /// The client's IPv4 address to answer, to pretend a NAT [default: the one that is seen]
    #[arg(long, value_name = "ADDR")]
    pub me: Option<Ipv4Addr>,

    /// The server's IPv4 address to answer [default: the connection's local end]
    #[arg(long, value_name = "ADDR")]
    pub her: Option<Ipv4Addr>,

    /// The inner addresses of the first tunnel, client's first; the next tunnels get the next ones
    #[arg(long = "host-addresses", value_name = "ME6,HER6", default_value = "2001:db8::6,2001:db8::5")]
    pub first_pair: HostAddresses,

    /// The prefix of the first `network` tunnel; the next tunnels get the next ones
    #[arg(long = "prefix", value_name = "P/LEN", default_value = "2001:db8:1::/48")]
    pub first_prefix: Prefix,

    /// Answer `network` with ME6 HER6 PREFIX
    #[arg(long, conflicts_with = "unnamed_prefix")]
    pub numbered: bool,

    /// Answer `network` without its prefix, as a server does whose users know theirs
    #[arg(long)]
    pub unnamed_prefix: bool,

    /// How to write IPv6 addresses: with leading zeros as KAME's server does, or canonically
    #[arg(long, value_name = "FORM", value_enum, default_value = "padded")]
    pub address_form: AddressForm,
}

/// Tunnels in UDP.
#[derive(Debug, Args)]
#[command(next_help_heading = "UDP tunnels")]
pub(crate) struct Udp {
    /// The first of the UDP ports; every tunnel gets the lowest one that is free
    #[arg(long = "udp-ports", value_name = "FIRST", default_value_t = 4028, value_parser = clap::value_parser!(u16).range(1..))]
    pub first_port: u16,

    /// Name the port as a word after HER [default: as HER:PORT]
    #[arg(long, conflicts_with = "off")]
    pub port_word: bool,

    /// Know nothing of UDP tunnels: a login for one is answered `-ERR authentication failed.`
    #[arg(long = "no-udp")]
    pub off: bool,
}

/// What is routed through a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
pub(crate) enum TunnelType {
    /// Nothing: no inner addresses
    TunnelOnly,
    /// One address at each end
    Host,
    /// A prefix
    Network,
}

impl fmt::Display for TunnelType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TunnelOnly => "tunnelonly",
            Self::Host => "host",
            Self::Network => "network",
        })
    }
}

/// How an IPv6 address is written in an answer.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum AddressForm {
    /// `2001:0db8::0006`
    Padded,
    /// `2001:db8::6` (RFC 5952)
    Canonical,
}

/// The inner addresses of the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HostAddresses {
    /// The client's.
    pub me: Ipv6Addr,
    /// The server's.
    pub her: Ipv6Addr,
}

impl FromStr for HostAddresses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (me, her) = text.split_once(',').ok_or("expected two addresses with a comma between")?;
        Ok(Self { me: address(me)?, her: address(her)? })
    }
}

/// An IPv6 prefix; its host bits are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub address: Ipv6Addr,
    /// In bits, 1 to 128.
    pub length: u8,
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (head, length) = text.split_once('/').ok_or("expected an address, a slash and a length")?;
        let prefix = Self { address: address(head)?, length: length.parse().unwrap_or(0) };
        if !(1..=128).contains(&prefix.length) {
            return Err(format!("expected a length of 1 to 128, not `{length}`"));
        }
        if prefix.address.to_bits().trailing_zeros() < 128 - u32::from(prefix.length) {
            return Err(format!("address has bits beyond the first {length}"));
        }
        Ok(prefix)
    }
}

fn address(text: &str) -> Result<Ipv6Addr, String> {
    text.parse().map_err(|_| format!("expected an IPv6 address, not `{text}`"))
}

/// At least one, so that nothing ends before it began; at most a day.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        _ => Err("expected 1 to 86400".to_owned()),
    }
}
