//! The meaning of the command line: the values that the program works with.

mod command_line;

use std::ffi::OsString;
use std::path::{Path, PathBuf, absolute};
use std::time::Duration;

use clap::Parser;
use clap::error::ErrorKind;
use nix::unistd::{Uid, User};

use crate::password::Account;
use crate::protocol::{Announcement, TunnelType};
use crate::tunnel::{Carrier, Settings};
pub use command_line::CommandLine;

/// The default of `-s`.
pub const SCRIPT: &str = concat!(env!("DTCPCLIENT_PREFIX"), "/etc/dtcpclient.script");
/// The default of `--auth-file`.
pub const AUTH_FILE: &str = concat!(env!("DTCPCLIENT_PREFIX"), "/etc/dtcpclient.auth");
/// The default of `-f`, with `-D`.
pub const PID_FILE: &str = "/var/run/dtcpclient.pid";

/// A file that the program reads or runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Its absolute path.
    pub path: PathBuf,
    /// Whether it was given on the command line. The default file need not exist.
    pub named: bool,
}

/// What a command line requests.
#[derive(Debug)]
pub enum Request {
    /// A tunnel.
    Run(Box<Options>),
    /// `--status`: the status of the client with this pid file.
    Status(PathBuf),
}

impl Request {
    /// Parses a command line, which begins with the program's name. [`clap::Error::print`] prints an error.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let typed = CommandLine::try_parse_from(arguments)?;
        if typed.status {
            return full_path(typed.pid_file.as_deref().unwrap_or(Path::new(PID_FILE))).map(Self::Status);
        }
        Options::complete(typed).map(|options| Self::Run(Box::new(options)))
    }
}

/// The options, checked and complete.
#[derive(Debug)]
pub struct Options {
    /// `-d`: log each line of the protocol.
    pub debug: bool,
    /// `-D`: detach and log to syslogd(8).
    pub daemon: bool,
    /// `--rehearse`: print changes instead of making them.
    pub rehearse: bool,
    /// `-l`: try again after failures.
    pub reconnect: bool,
    /// The server's TCP port.
    pub port: u16,
    /// The server's name, the carrier, the MTU, and the interface's name.
    pub tunnel: Settings,
    /// The type of tunnel to request.
    pub tunnel_type: TunnelType,
    /// The UDP port to announce; `None` for a gif tunnel.
    pub announcement: Option<Announcement>,
    /// Without `-n`: check for a NAT between this host and the server.
    pub nat_check: bool,
    /// The account at the server, and the file with its password.
    pub account: Account,
    /// Without `--no-prompt`: ask for the password if the file has none.
    pub prompt: bool,
    /// The script to run when the tunnel comes up and goes down.
    pub script: InputFile,
    /// The pid file, if one is to be written.
    pub pid_file: Option<PathBuf>,
    /// `-w`: how long the process that starts the daemon waits for the tunnel.
    pub wait: Duration,
    /// A warning about an option without effect.
    pub warning: Option<&'static str>,
}

impl Options {
    /// Parses a command line that requests a tunnel.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::complete(CommandLine::try_parse_from(arguments)?)
    }

    fn complete(typed: CommandLine) -> Result<Self, clap::Error> {
        let server =
            typed.server.clone().ok_or_else(|| clap::Error::new(ErrorKind::MissingRequiredArgument))?;
        let (announcement, warning) = (announcement(&typed), without_effect(&typed));
        let pid_file = typed.pid_file.or_else(|| typed.daemon.then(|| PID_FILE.into()));
        Ok(Self {
            debug: typed.debug,
            daemon: typed.daemon,
            rehearse: typed.rehearse,
            reconnect: typed.reconnect,
            port: typed.port,
            tunnel: Settings {
                server: server.clone(),
                carrier: if typed.udp { Carrier::Udp { port: typed.udp_port } } else { Carrier::Gif },
                mtu: typed.mtu,
                interface: typed.interface,
            },
            tunnel_type: typed.tunnel_type,
            announcement,
            nat_check: !typed.no_nat_check,
            account: Account {
                server,
                user: typed.user.map_or_else(login_name, Ok)?,
                auth_file: input_file(typed.auth_file.as_deref(), AUTH_FILE)?,
            },
            prompt: !typed.no_prompt,
            script: input_file(typed.script.as_deref(), SCRIPT)?,
            pid_file: pid_file.as_deref().map(full_path).transpose()?,
            wait: Duration::from_secs(typed.wait.into()),
            warning,
        })
    }
}

fn without_effect(typed: &CommandLine) -> Option<&'static str> {
    if typed.nat_port.is_some() && !typed.udp {
        Some("-B has no effect without -U: a gif tunnel has no port")
    } else if typed.wait > 0 && !typed.daemon {
        Some("-w has no effect without -D")
    } else {
        None
    }
}

fn announcement(typed: &CommandLine) -> Option<Announcement> {
    typed.udp.then_some(match (typed.nat_port, typed.no_nat_check) {
        (Some(port), _) => Announcement::Port(port),
        (None, true) => Announcement::Unknown,
        (None, false) => Announcement::Port(typed.udp_port),
    })
}

fn input_file(typed: Option<&Path>, default: &str) -> Result<InputFile, clap::Error> {
    Ok(InputFile { path: full_path(typed.unwrap_or(Path::new(default)))?, named: typed.is_some() })
}

/// Makes a path absolute, since a daemon changes its working directory.
fn full_path(path: &Path) -> Result<PathBuf, clap::Error> {
    absolute(path).map_err(|error| {
        let message = format!("cannot determine the current directory: {error}; use absolute paths\n");
        clap::Error::raw(ErrorKind::ValueValidation, message)
    })
}

fn login_name() -> Result<String, clap::Error> {
    let unknown = |why| {
        clap::Error::raw(ErrorKind::MissingRequiredArgument, format!("{why}: specify a user with -u\n"))
    };
    match User::from_uid(Uid::current()) {
        Ok(Some(user)) => command_line::user_name(&user.name).map_err(unknown),
        _ => Err(unknown("the login name is unknown".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use clap::CommandFactory;

    fn read(line: &str) -> Result<Options, clap::Error> {
        Options::read(std::iter::once("dtcpclient").chain(line.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn a_server_alone_gives_the_defaults_of_the_manual() {
        let options = read("-u me broker.example").unwrap();
        assert_eq!((options.port, options.tunnel.mtu, options.tunnel.carrier), (20200, 1280, Carrier::Gif));
        assert_eq!((options.tunnel_type, options.announcement), (TunnelType::TunnelOnly, None));
        assert_eq!(options.script, InputFile { path: SCRIPT.into(), named: false });
        assert_eq!(options.account.auth_file, InputFile { path: AUTH_FILE.into(), named: false });
        assert!(!(options.daemon || options.reconnect || options.debug || options.rehearse));
        assert_eq!(read("-U s").unwrap().tunnel.carrier, Carrier::Udp { port: 4028 });
    }

    #[test]
    fn options_may_be_bundled_and_have_long_names() {
        let short = read("-Dldn -t network -p 1 -m 8192 -u me broker").unwrap();
        let long = "--daemon --reconnect --debug --no-nat-check --tunnel-type network --port 1 --mtu 8192 --user me broker";
        assert_eq!(format!("{short:?}"), format!("{:?}", read(long).unwrap()));
    }

    #[test]
    fn if_an_option_is_repeated_the_last_one_counts() {
        // As with getopt(3): rc.conf may repeat an option that the rc.d script sets.
        let options = read("-l -l -u you -m 1400 -u me -m 1300 broker").unwrap();
        assert_eq!((&*options.account.user, options.tunnel.mtu), ("me", 1300));
    }

    #[test]
    fn a_value_out_of_range_names_the_option_the_value_and_the_range() {
        for (line, named) in [
            ("-D -w 3601 s", ["--wait", "3601", "from 0 to 3600"]),
            ("-b 0 s", ["--udp-port", "0", "from 1 to 65535"]),
            ("-B 65536 s", ["--nat-port", "65536", "from 1 to 65535"]),
            ("-p 99999 s", ["--port", "99999", "from 1 to 65535"]),
            ("-p abc s", ["--port", "abc", "from 1 to 65535"]),
            ("-m 1279 s", ["--mtu", "1279", "from 1280 to 8192"]),
            ("-m 8193 s", ["--mtu", "8193", "from 1280 to 8192"]),
            ("-t bridge s", ["--tunnel-type", "bridge", "tunnelonly, host, network"]),
        ] {
            let complaint = read(line).unwrap_err().to_string();
            assert!(named.iter().all(|name| complaint.contains(name)), "{line}: {complaint}");
        }
    }

    #[test]
    fn names_with_white_space_or_control_characters_are_refused() {
        for name in ["a b", "a\tb", "a\nb", "a\u{7f}", "", &"a".repeat(129)] {
            let read = Options::read(["dtcpclient", "-u", name, "s"].map(OsString::from));
            assert!(read.unwrap_err().to_string().contains("--user"), "{name:?}");
        }
        assert!(Options::read(["dtcpclient", "bro ker"].map(OsString::from)).is_err());
    }

    #[test]
    fn a_server_with_a_port_or_an_ipv6_address_is_refused() {
        let complaint = |server| read(server).unwrap_err().to_string();
        for server in ["127.0.0.1:20200", "broker.example:1", "broker:", ":1", "[broker]:1"] {
            assert!(complaint(server).contains("specify the port with -p"), "{server}");
        }
        for server in ["::1", "2001:db8::1", "fe80::1%em0", "[::1]", "[2001:db8::1]:20200"] {
            assert!(complaint(server).contains("IPv4 only"), "{server}");
        }
    }

    #[test]
    fn an_interface_has_a_name_that_the_kernel_and_a_shell_can_take() {
        let name = read("--interface wan6 s").unwrap().tunnel.interface;
        assert_eq!(name.as_ref().map(ToString::to_string), Some("wan6".to_owned()));
        assert!(read("--interface a.2_4-678901234 s").is_ok(), "15 bytes");
        for bad in ["", "6to4", "-x", "a b", "a/b", "w\u{e4}n", "wan\n", "a234567890123456"] {
            let read = Options::read(["dtcpclient", &format!("--interface={bad}"), "s"].map(OsString::from));
            let complaint = read.unwrap_err().to_string();
            assert!(complaint.contains("--interface") && complaint.contains("1 to 15"), "{complaint}");
        }
    }

    #[test]
    fn the_status_is_that_of_a_pid_file_and_has_no_server() {
        let request = |line: &str| {
            Request::read(std::iter::once("dtcpclient").chain(line.split_whitespace()).map(OsString::from))
        };
        for (line, pid_file) in [("--status", PID_FILE), ("--status -f /tmp/pid", "/tmp/pid")] {
            assert!(
                matches!(request(line), Ok(Request::Status(path)) if path == Path::new(pid_file)),
                "{line}"
            );
        }
        assert!(matches!(request("-w 5 -D s"), Ok(Request::Run(options)) if options.wait.as_secs() == 5));
        assert!(request("--status s").unwrap_err().to_string().contains("--status"));
        assert_eq!(request("-D").unwrap_err().kind(), ErrorKind::MissingRequiredArgument);
    }

    #[test]
    fn the_server_is_required_and_the_user_is_the_login_name_by_default() {
        assert_eq!(read("-l").unwrap_err().kind(), ErrorKind::MissingRequiredArgument);
        let login = User::from_uid(Uid::current()).unwrap().unwrap().name;
        assert_eq!(read("broker").unwrap().account.user, login);
    }

    #[test]
    fn the_announced_udp_port_follows_b_and_n() {
        for (line, announced, warned) in [
            ("-U s", Some(Announcement::Port(4028)), false),
            ("-U -b 5000 s", Some(Announcement::Port(5000)), false),
            ("-U -n s", Some(Announcement::Unknown), false),
            ("-U -n -B 6000 s", Some(Announcement::Port(6000)), false),
            ("-B 5000 s", None, true),
            ("-w 5 s", None, true),
            ("-w 5 -D s", None, false),
        ] {
            let options = read(line).unwrap();
            assert_eq!((options.announcement, options.warning.is_some()), (announced, warned), "{line}");
        }
    }

    #[test]
    fn files_have_absolute_paths_since_a_daemon_changes_its_directory() {
        let here = |name| std::env::current_dir().unwrap().join(name);
        for (line, pid_file) in [
            ("s", None),
            ("-D s", Some(PID_FILE.into())),
            ("-f /tmp/pid s", Some("/tmp/pid".into())),
            ("-f pid s", Some(here("pid"))),
        ] {
            assert_eq!(read(line).unwrap().pid_file, pid_file, "{line}");
        }
        let options = read("-s script --auth-file auth s").unwrap();
        assert_eq!(options.script, InputFile { path: here("script"), named: true });
        assert_eq!(options.account.auth_file, InputFile { path: here("auth"), named: true });
    }

    #[test]
    fn the_help_text_names_the_default_files_and_every_exit_status() {
        let help = CommandLine::command().render_long_help().to_string();
        for default in [SCRIPT, AUTH_FILE, PID_FILE] {
            assert!(help.contains(&format!("[default: {default}]")), "{default}");
        }
        for (exit, meaning) in Exit::TABLE {
            assert!(help.contains(&format!("{:<3} {meaning}", exit.code())), "{exit:?}");
        }
    }
}
