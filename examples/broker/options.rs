//! The command line.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// The tunnel types of the protocol.
const TYPES: [&str; 3] = ["tunnelonly", "host", "network"];

/// A small DTCP broker.
///
/// Logs users in, assigns addresses and UDP ports, and keeps each tunnel as long as its connection lives. It does not
/// make the server's end of a tunnel: see --exec.
#[derive(Debug, Parser)]
#[command(name = "broker", after_long_help = EVENTS)]
pub(crate) struct Options {
    /// Address and port to listen on; with port 0 the system chooses a free one, and the first event names it
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:20200")]
    pub listen: SocketAddrV4,

    /// File of users: lines `server:user:password`; empty lines and lines that start with # are skipped
    #[arg(long, value_name = "FILE")]
    pub users: PathBuf,

    /// Tunnel types to grant; others are refused with `-ERR unsupported tunnel type`
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = TYPES, default_values = TYPES)]
    pub types: Vec<String>,

    /// Number of tunnels at the same time; further ones are refused with `-ERR tunnel interface sold out`
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub tunnels: usize,

    /// Program to run when a tunnel begins and when it ends
    ///
    /// It is run directly, not by a shell, for one tunnel at a time, and must exit before the session goes on. Its
    /// arguments are `up` or `down` and the words of the event `granted`, described below, with an empty string for a
    /// word that does not apply. Its output goes to standard error. If it fails on `up`, the login is refused as sold
    /// out.
    #[arg(long, value_name = "PROGRAM")]
    pub exec: Option<PathBuf>,

    /// The client's IPv4 address in the answer, as a NAT would change it [default: the connection's]
    #[arg(long, value_name = "ADDR")]
    pub me: Option<Ipv4Addr>,

    /// The server's IPv4 address in the answer [default: the connection's]
    #[arg(long, value_name = "ADDR")]
    pub her: Option<Ipv4Addr>,

    /// Inner addresses of the first tunnel, the client's first; later tunnels get the ones that follow
    #[arg(long, value_name = "ME6,HER6", default_value = "2001:db8::6,2001:db8::5", value_parser = pair)]
    pub host_addresses: [Ipv6Addr; 2],

    /// Prefix of the first tunnel of type network; later ones get those that follow
    #[arg(long, value_name = "PREFIX/LEN", default_value = "2001:db8:1::/48", value_parser = prefix)]
    pub prefix: Prefix,

    /// Give tunnels of type network inner addresses as well
    #[arg(long)]
    pub numbered: bool,

    /// First UDP port to assign; each tunnel in UDP gets the lowest free one
    #[arg(long = "udp-ports", value_name = "PORT", default_value_t = 4028, value_parser = clap::value_parser!(u16).range(1..))]
    pub first_port: u16,

    /// Time that a client has to log in before the broker hangs up
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub login_timeout: Duration,

    /// Time of silence on a tunnel's connection before the broker hangs up
    #[arg(long, value_name = "TIME", default_value = "300s", value_parser = humantime::parse_duration)]
    pub idle_timeout: Duration,

    /// Time between the answer to `quit` and the end of the tunnel
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    pub farewell_delay: Duration,
}

const EVENTS: &str = "\
Events are lines on standard output. USER is - before a login, as is any word that does not apply:
  listening on ADDR:PORT
  granted USER TUNTYPE ME HER ME6 HER6 PREFIX PROTO CLIENT_PORT SERVER_PORT TUNNEL
                                PROTO is ip or udp; TUNNEL is a number that no other tunnel has at the same time
  refused USER REASON           USER is - if there is no such user
  ping USER, help USER, invalid USER, quit USER, timeout USER
  failed up|down USER STATUS    the program of --exec failed
  closed USER                   the tunnel, if there was one, has ended, and its addresses and port are free

On SIGTERM and SIGINT the broker ends all tunnels, closes all connections and exits with status 0.";

/// An IPv6 prefix and its length in bits, 1 to 128; the bits after it are zero.
pub(crate) type Prefix = (Ipv6Addr, u8);

fn prefix(text: &str) -> Result<Prefix, &'static str> {
    let words = text
        .split_once('/')
        .and_then(|(address, length)| Some((address.parse().ok()?, length.parse().ok()?)));
    let (address, length): Prefix = words.ok_or("expected an IPv6 address, a slash and a length")?;
    match length {
        1..=128 if address.to_bits().trailing_zeros() >= 128 - u32::from(length) => Ok((address, length)),
        1..=128 => Err("the address has bits set after the prefix"),
        _ => Err("expected a length of 1 to 128"),
    }
}

fn pair(text: &str) -> Result<[Ipv6Addr; 2], &'static str> {
    let pair: Result<Vec<_>, _> = text.split(',').map(str::parse).collect();
    pair.ok().and_then(|pair| pair.try_into().ok()).ok_or("expected two IPv6 addresses separated by a comma")
}
