//! The command line: every option of dtcpclient(8), its default and its range.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser, ValueParser};
use nix::unistd::{Uid, User};

use crate::exit::Exit;
use crate::protocol::{Announcement, TunnelType};

/// The script that is run when `-s` names no other.
pub const SCRIPT: &str = "/usr/local/etc/dtcpclient.script";
/// The auth file that is read when `--auth-file` names no other.
pub const AUTH_FILE: &str = "/usr/local/etc/dtcpclient.auth";
/// The pid file of a daemon when `-f` names no other.
pub const PID_FILE: &str = "/var/run/dtcpclient.pid";

/// The longest user name that is accepted, in bytes: it has to fit into a line of the protocol.
const LONGEST_USER: usize = 128;
/// The longest server name that DNS allows, in bytes.
const LONGEST_SERVER: usize = 253;

/// Log in to a DTCP broker and keep an IPv6 tunnel to it.
#[derive(Debug, Clone, Parser)]
#[command(name = "dtcpclient", version, args_override_self = true, after_help = format!("Exit status:\n{}", Exit::listing()))]
pub struct Options {
    /// Local UDP port of the tunnel, with -U
    #[arg(short = 'b', long, value_name = "PORT", default_value = "4028", value_parser = port)]
    pub udp_port: u16,

    /// UDP port that a NAT forwards to this host, told to the server instead of -b, with -U
    #[arg(short = 'B', long, value_name = "PORT", value_parser = port)]
    pub nat_port: Option<u16>,

    /// Log each line of the protocol
    #[arg(short = 'd', long)]
    pub debug: bool,

    /// Become a daemon: detach, write the pid file, log to syslog
    #[arg(short = 'D', long)]
    pub daemon: bool,

    /// Pid file; without -D one is written only where this is given [default: /var/run/dtcpclient.pid]
    #[arg(short = 'f', long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,

    /// Connect again whenever the connection is closed, instead of exiting
    #[arg(short = 'l', long)]
    pub reconnect: bool,

    /// MTU of the tunnel, in bytes, 1280 to 8192
    #[arg(short = 'm', long, default_value = "1280", value_parser = mtu)]
    pub mtu: u16,

    /// Do not compare this host's address with the one that the server sees
    #[arg(short = 'n', long)]
    pub no_nat_check: bool,

    /// TCP port of the server
    #[arg(short = 'p', long, default_value = "20200", value_parser = port)]
    pub port: u16,

    /// Program to run when the tunnel comes up and goes down [default: /usr/local/etc/dtcpclient.script]
    #[arg(short = 's', long, value_name = "FILE")]
    pub script: Option<PathBuf>,

    /// What to ask the server for
    #[arg(short = 't', long, value_name = "TYPE", default_value = "tunnelonly", value_parser = tunnel_type())]
    pub tunnel_type: TunnelType,

    /// User name at the server [default: the login name]
    #[arg(short = 'u', long, value_name = "NAME", value_parser = user_name)]
    pub user: Option<String>,

    /// Tunnel in UDP instead of gif(4)
    #[arg(short = 'U', long)]
    pub udp: bool,

    /// File of passwords, lines of server:user:password [default: /usr/local/etc/dtcpclient.auth]
    #[arg(long, value_name = "FILE")]
    pub auth_file: Option<PathBuf>,

    /// Touch nothing: log in for real, but print what would be done to the kernel
    #[arg(long)]
    pub rehearse: bool,

    /// Name or IPv4 address of the DTCP server
    #[arg(value_parser = server_name)]
    pub server: String,
}

impl Options {
    /// Reads a command line, the program's name first. An error is clap's, ready to be printed.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut options = Self::try_parse_from(arguments)?;
        if options.user.is_none() {
            options.user = Some(login_name()?);
        }
        Ok(options)
    }

    /// The user's name at the server.
    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or_default()
    }

    /// The script to run.
    pub fn script(&self) -> &Path {
        self.script.as_deref().unwrap_or(Path::new(SCRIPT))
    }

    /// The file to look for the password in.
    pub fn auth_file(&self) -> &Path {
        self.auth_file.as_deref().unwrap_or(Path::new(AUTH_FILE))
    }

    /// The pid file, where one is to be written: by a daemon, or because it was asked for.
    pub fn pid_file(&self) -> Option<&Path> {
        self.pid_file.as_deref().or_else(|| self.daemon.then_some(Path::new(PID_FILE)))
    }

    /// What the server is told of our UDP port; `None` for a gif tunnel.
    pub fn announcement(&self) -> Option<Announcement> {
        self.udp.then_some(match (self.nat_port, self.no_nat_check) {
            (Some(port), _) => Announcement::Port(port),
            (None, true) => Announcement::Untold,
            (None, false) => Announcement::Port(self.udp_port),
        })
    }

    /// What is odd about the options, though they can be followed.
    pub fn warnings(&self) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        if self.nat_port.is_some() && !self.udp {
            warnings.push("-B has no effect without -U: a gif tunnel has no port");
        }
        warnings
    }
}

fn port(word: &str) -> Result<u16, String> {
    number(word, 1..=65535)
}

fn mtu(word: &str) -> Result<u16, String> {
    number(word, 1280..=8192)
}

fn number(word: &str, range: RangeInclusive<u16>) -> Result<u16, String> {
    let number = word.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("not a number from {} to {}", range.start(), range.end()))
}

fn tunnel_type() -> ValueParser {
    PossibleValuesParser::new(TunnelType::ALL.map(TunnelType::word))
        .try_map(|word| word.parse::<TunnelType>())
        .into()
}

fn user_name(word: &str) -> Result<String, String> {
    name("a user name", word, LONGEST_USER)
}

fn server_name(word: &str) -> Result<String, String> {
    name("a server's name", word, LONGEST_SERVER)
}

fn name(what: &str, word: &str, longest: usize) -> Result<String, String> {
    if !(1..=longest).contains(&word.len()) {
        return Err(format!("{what} has 1 to {longest} bytes"));
    }
    if word.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("{what} has no white space or control characters"));
    }
    Ok(word.to_owned())
}

fn login_name() -> Result<String, clap::Error> {
    let unknown = |why: String| {
        clap::Error::raw(clap::error::ErrorKind::MissingRequiredArgument, why + ": name one with -u\n")
    };
    match User::from_uid(Uid::current()) {
        Ok(Some(user)) => user_name(&user.name).map_err(unknown),
        _ => Err(unknown("the login name is not known".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    fn read(line: &str) -> Result<Options, clap::Error> {
        Options::read(std::iter::once("dtcpclient").chain(line.split_whitespace()).map(OsString::from))
    }

    fn complaint(line: &str) -> String {
        read(line).unwrap_err().to_string()
    }

    #[test]
    fn a_server_alone_gives_the_defaults_of_the_manual() {
        let options = read("-u me broker.example").unwrap();
        assert_eq!((options.udp_port, options.port, options.mtu), (4028, 20200, 1280));
        assert_eq!(options.tunnel_type, TunnelType::TunnelOnly);
        assert_eq!(options.script(), Path::new(SCRIPT));
        assert_eq!(options.auth_file(), Path::new(AUTH_FILE));
        assert_eq!(options.announcement(), None);
        assert!(!(options.daemon || options.reconnect || options.debug || options.udp || options.rehearse));
    }

    #[test]
    fn options_may_be_bundled_and_have_long_names() {
        let short = read("-Dldn -t network -p 1 -m 8192 -u me broker").unwrap();
        let long = "--daemon --reconnect --debug --no-nat-check --tunnel-type network --port 1 --mtu 8192 --user me broker";
        assert_eq!(format!("{short:?}"), format!("{:?}", read(long).unwrap()));
    }

    #[test]
    fn of_an_option_given_twice_the_last_counts() {
        // As with getopt(3): an rc.conf may hold an option that its script gives as well.
        let options = read("-l -l -u you -m 1400 -u me -m 1300 broker").unwrap();
        assert_eq!((options.user(), options.mtu), ("me", 1300));
    }

    #[test]
    fn a_value_out_of_range_names_the_option_the_value_and_the_range() {
        for (line, named) in [
            ("-b 0 s", ["--udp-port", "0", "from 1 to 65535"]),
            ("-B 65536 s", ["--nat-port", "65536", "from 1 to 65535"]),
            ("-p 99999 s", ["--port", "99999", "from 1 to 65535"]),
            ("-p abc s", ["--port", "abc", "from 1 to 65535"]),
            ("-m 1279 s", ["--mtu", "1279", "from 1280 to 8192"]),
            ("-m 8193 s", ["--mtu", "8193", "from 1280 to 8192"]),
            ("-t bridge s", ["--tunnel-type", "bridge", "tunnelonly, host, network"]),
        ] {
            let complaint = complaint(line);
            assert!(named.iter().all(|name| complaint.contains(name)), "{line}: {complaint}");
        }
    }

    #[test]
    fn names_with_white_space_or_control_characters_are_refused() {
        for name in ["a b", "a\tb", "a\nb", "a\u{7f}", "", &"a".repeat(129)] {
            assert!(user_name(name).is_err(), "{name:?}");
            let read = Options::read(["dtcpclient", "-u", name, "s"].map(OsString::from));
            assert!(read.unwrap_err().to_string().contains("--user"));
        }
        assert!(server_name("bro ker").is_err());
    }

    #[test]
    fn a_missing_server_is_an_error() {
        assert_eq!(read("-l").unwrap_err().kind(), ErrorKind::MissingRequiredArgument);
    }

    #[test]
    fn the_user_is_the_login_name_where_none_is_given() {
        let login = User::from_uid(Uid::current()).unwrap().unwrap().name;
        assert_eq!(read("broker").unwrap().user(), login);
    }

    #[test]
    fn what_the_server_is_told_of_the_udp_port_follows_b_and_n() {
        let announced = |line: &str| read(line).unwrap().announcement();
        assert_eq!(announced("-U s"), Some(Announcement::Port(4028)));
        assert_eq!(announced("-U -b 5000 s"), Some(Announcement::Port(5000)));
        assert_eq!(announced("-U -n s"), Some(Announcement::Untold));
        assert_eq!(announced("-U -n -B 6000 s"), Some(Announcement::Port(6000)));
    }

    #[test]
    fn a_nat_port_without_udp_is_warned_of() {
        assert_eq!(read("-B 5000 s").unwrap().warnings().len(), 1);
        assert!(read("-U -B 5000 s").unwrap().warnings().is_empty());
    }

    #[test]
    fn a_pid_file_is_for_a_daemon_or_for_whoever_asks() {
        assert_eq!(read("s").unwrap().pid_file(), None);
        assert_eq!(read("-D s").unwrap().pid_file(), Some(Path::new(PID_FILE)));
        assert_eq!(read("-f /tmp/pid s").unwrap().pid_file(), Some(Path::new("/tmp/pid")));
    }

    #[test]
    fn the_help_text_names_the_default_files_and_every_exit_status() {
        let help = Options::command().render_long_help().to_string();
        for default in [SCRIPT, AUTH_FILE, PID_FILE] {
            assert!(help.contains(&format!("[default: {default}]")), "{default}");
        }
        for (exit, meaning) in Exit::TABLE {
            assert!(help.contains(&format!("{:<3} {meaning}", exit.code())), "{exit:?}");
        }
    }
}
