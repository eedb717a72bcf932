//! The command line as typed: each option of dtcpclient(8) with its default and range.

use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Parser, ValueEnum};

use ffi::name::{InterfaceName, LONGEST as LONGEST_INTERFACE};

use super::{AUTH_FILE, PID_FILE, SCRIPT};
use crate::exit::Exit;
use crate::protocol::TunnelType;

/// The maximum length of a user name, in bytes: it must fit into a line of the protocol.
const LONGEST_USER: usize = 128;
/// The maximum length of a server name, in bytes, as in DNS.
const LONGEST_SERVER: usize = 253;

/// Log in to a DTCP broker and keep an IPv6 tunnel to it.
#[derive(Debug, Clone, Parser)]
#[command(name = "dtcpclient", version, args_override_self = true, after_help = format!("Exit status:\n{}", Exit::listing()))]
pub struct CommandLine {
    /// Local UDP port of the tunnel, with -U
    #[arg(short = 'b', long, value_name = "PORT", default_value = "4028", value_parser = port)]
    pub(super) udp_port: u16,

    /// UDP port that a NAT forwards to this host, sent to the server instead of -b, with -U
    #[arg(short = 'B', long, value_name = "PORT", value_parser = port)]
    pub(super) nat_port: Option<u16>,

    /// Log each line of the protocol; the response is masked
    #[arg(short = 'd', long)]
    pub(super) debug: bool,

    /// Detach, write the pid file, log to syslogd(8)
    #[arg(short = 'D', long)]
    pub(super) daemon: bool,

    #[arg(short = 'f', long, value_name = "FILE", help = format!("Pid file; without -D, one is written only if this option is given [default: {PID_FILE}]"))]
    pub(super) pid_file: Option<PathBuf>,

    /// Reconnect when the connection fails or is closed, instead of exiting
    #[arg(short = 'l', long)]
    pub(super) reconnect: bool,

    /// MTU of the tunnel, in bytes, 1280 to 8192
    #[arg(short = 'm', long, default_value = "1280", value_parser = mtu)]
    pub(super) mtu: u16,

    /// Do not compare this host's address with the one that the server sees
    #[arg(short = 'n', long)]
    pub(super) no_nat_check: bool,

    /// Do not ask for the password on the terminal
    #[arg(long)]
    pub(super) no_prompt: bool,

    /// TCP port of the server
    #[arg(short = 'p', long, default_value = "20200", value_parser = port)]
    pub(super) port: u16,

    #[arg(short = 's', long, value_name = "FILE", help = format!("Script to run when the tunnel comes up and goes down [default: {SCRIPT}]"))]
    pub(super) script: Option<PathBuf>,

    /// Type of tunnel to request
    #[arg(short = 't', long, value_name = "TYPE", default_value = "tunnelonly")]
    pub(super) tunnel_type: TunnelType,

    /// User name at the server [default: the login name]
    #[arg(short = 'u', long, value_name = "NAME", value_parser = user_name)]
    pub(super) user: Option<String>,

    /// Tunnel in UDP instead of gif(4)
    #[arg(short = 'U', long)]
    pub(super) udp: bool,

    #[arg(long, value_name = "FILE", help = format!("File with passwords, in lines of server:user:password [default: {AUTH_FILE}]"))]
    pub(super) auth_file: Option<PathBuf>,

    /// Name of the tunnel's interface, instead of the kernel's choice
    #[arg(long, value_name = "NAME", value_parser = interface_name)]
    pub(super) interface: Option<InterfaceName>,

    /// Log in, but only print what would be done
    #[arg(long)]
    pub(super) rehearse: bool,

    /// Print the status of the daemon with the pid file of -f; status 0 if its tunnel is up, 1 if not, 69 if none runs
    #[arg(long, conflicts_with = "server")]
    pub(super) status: bool,

    /// With -D: return when the tunnel is up, or after this time; 0 to 3600
    #[arg(short = 'w', long, value_name = "SECONDS", default_value = "0", value_parser = wait)]
    pub(super) wait: u16,

    /// Name or IPv4 address of the DTCP server
    #[arg(value_parser = server_name, required_unless_present = "status")]
    pub(super) server: Option<String>,
}

fn port(word: &str) -> Result<u16, String> {
    number(word, 1..=65535)
}

fn mtu(word: &str) -> Result<u16, String> {
    number(word, 1280..=8192)
}

fn wait(word: &str) -> Result<u16, String> {
    number(word, 0..=3600)
}

fn number(word: &str, range: RangeInclusive<u16>) -> Result<u16, String> {
    let number = word.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("not a number from {} to {}", range.start(), range.end()))
}

impl ValueEnum for TunnelType {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(self.word().into())
    }
}

/// What a shell, rc.conf(5) and pf.conf(5) can use without quotes; the kernel allows more.
fn interface_name(word: &str) -> Result<InterfaceName, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let plain = word.starts_with(|c: char| c.is_ascii_alphabetic()) && word.chars().all(is_plain);
    InterfaceName::new(word).filter(|_| plain).ok_or_else(|| {
        format!("not a name of 1 to {LONGEST_INTERFACE} letters, digits, '.', '_' and '-' that begins with a letter")
    })
}

pub(super) fn user_name(word: &str) -> Result<String, String> {
    name("a user name", word, LONGEST_USER)
}

fn server_name(word: &str) -> Result<String, String> {
    let address = word.trim_start_matches('[').split(['%', ']']).next().unwrap_or_default();
    if address.parse::<Ipv6Addr>().is_ok() {
        return Err("DTCP is used over IPv4 only: specify a name or an IPv4 address".to_owned());
    }
    if word.contains(':') {
        return Err("a server name has no colon: specify the port with -p".to_owned());
    }
    name("a server name", word, LONGEST_SERVER)
}

fn name(what: &str, word: &str, longest: usize) -> Result<String, String> {
    if !(1..=longest).contains(&word.len()) {
        return Err(format!("{what} must have 1 to {longest} bytes"));
    }
    if word.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("{what} must not contain white space or control characters"));
    }
    Ok(word.to_owned())
}
