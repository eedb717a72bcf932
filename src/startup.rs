//! From the command line to the client's loop: what can fail early fails before the program detaches.

use std::ffi::OsString;
use std::io::{self, Write};

use ffi::kernel::Kernel;
use ffi::rehearsal::Rehearsal;
use ffi::route_socket::RouteSocket;
use log::{error, info, warn};

use crate::client::Client;
use crate::daemon::{self, DaemonError, PidFile};
use crate::exit::Exit;
use crate::logging;
use crate::options::Options;
use crate::password::{self, PasswordError};
use crate::protocol::Login;
use crate::script::{self, Limits, Runner, ScriptError, Way};
use crate::shell;
use crate::signals::Signals;
use crate::tunnel::{self, Carrier, Settings, Tunnel};

/// Why the program does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no kernel that could make a tunnel.
    #[error("tunnels can be made on FreeBSD only: use --rehearse to see what would be done")]
    NotFreeBsd,
    /// The folder that relative paths begin at is not known.
    #[error("cannot tell the current folder: {0}: give the full paths of files")]
    NoFolder(io::Error),
    /// No password.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The script may not be run.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// No pid file, or not detached.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// No privilege to make a tunnel.
    #[error(transparent)]
    Tunnel(#[from] tunnel::Error),
    /// The system has no room for what the loop needs.
    #[error("cannot start: {0}")]
    Resources(io::Error),
}

impl StartError {
    fn exit(&self) -> Exit {
        match self {
            Self::NotFreeBsd => Exit::Unavailable,
            Self::NoFolder(_) | Self::Resources(_) => Exit::OsError,
            Self::Password(error) => error.exit(),
            Self::Script(error) => error.exit(),
            Self::Daemon(error) => error.exit(),
            Self::Tunnel(error) => crate::client::exit_of_tunnel(error),
        }
    }
}

/// Runs the program with these arguments, its name first, to its end.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let options = match Options::read(arguments) {
        Ok(options) => options,
        Err(error) => {
            // Help and version come this way too, and go to standard output.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok };
        }
    };
    logging::start(options.debug);
    for warning in options.warnings() {
        warn!("{warning}");
    }
    start(options).unwrap_or_else(|error| {
        error!("{error}");
        error.exit()
    })
}

fn start(mut options: Options) -> Result<Exit, StartError> {
    make_paths_absolute(&mut options).map_err(StartError::NoFolder)?;
    let mut kernel = kernel(&options)?;
    let mut tunnel = Tunnel::new(&mut *kernel, settings(&options));
    let program = script::check(&options)?;
    tunnel.check_privilege()?;
    // From here on there is something to bring back or to take away: the terminal's echo, the pid file, the tunnel.
    let mut signals = Signals::watch().map_err(StartError::Resources)?;
    let login = Login {
        user: options.user().to_owned(),
        password: password::find(&options, &mut signals)?,
        tunnel_type: options.tunnel_type,
        udp: options.announcement(),
        nat_check: !options.no_nat_check,
    };
    let mut pid_file = options.pid_file().map(PidFile::lock).transpose()?;
    tunnel.remove_leftovers();
    if options.daemon {
        daemon::detach()?;
        logging::use_syslog();
    }
    if let Some(pid_file) = &mut pid_file {
        pid_file.write()?;
    }
    info!("starting, for a tunnel of type {} from {}", options.tunnel_type, options.server);
    let routes = watch_addresses(&options);
    let scripts = Runner::new(program, way(&options), Limits::default());
    let mut client =
        Client::new(&options, login, tunnel, scripts, signals, routes).map_err(StartError::Resources)?;
    let exit = client.run();
    info!("ended");
    Ok(exit)
}

/// A daemon's current folder is the root.
fn make_paths_absolute(options: &mut Options) -> io::Result<()> {
    for path in [&mut options.pid_file, &mut options.script, &mut options.auth_file] {
        *path = path.as_deref().map(std::path::absolute).transpose()?;
    }
    Ok(())
}

fn kernel(options: &Options) -> Result<Box<dyn Kernel>, StartError> {
    if options.rehearse {
        return Ok(Box::new(Rehearsal::new(teller(options))));
    }
    freebsd()
}

#[cfg(target_os = "freebsd")]
fn freebsd() -> Result<Box<dyn Kernel>, StartError> {
    let kernel = ffi::freebsd::FreeBsd::new().map_err(StartError::Resources)?;
    Ok(Box::new(kernel))
}

#[cfg(not(target_os = "freebsd"))]
fn freebsd() -> Result<Box<dyn Kernel>, StartError> {
    Err(StartError::NotFreeBsd)
}

/// Reports of this host's addresses. A rehearsal has no use for them: it keeps nothing that an address could lose.
#[cfg(target_os = "freebsd")]
fn watch_addresses(options: &Options) -> Option<RouteSocket> {
    if options.rehearse {
        return None;
    }
    RouteSocket::open().inspect_err(|error| warn!("cannot watch this host's addresses: {error}")).ok()
}

#[cfg(not(target_os = "freebsd"))]
fn watch_addresses(_: &Options) -> Option<RouteSocket> {
    None
}

fn settings(options: &Options) -> Settings {
    let carrier = if options.udp { Carrier::Udp { port: options.udp_port } } else { Carrier::Gif };
    Settings { server: options.server.clone(), carrier, mtu: options.mtu }
}

fn way(options: &Options) -> Way {
    if options.rehearse { Way::Tell(Box::new(teller(options))) } else { Way::Run }
}

/// Where a rehearsal says what would be done: on standard output, or for a daemon in the log.
fn teller(options: &Options) -> impl Fn(&[String]) + 'static {
    let daemon = options.daemon;
    move |command| {
        let command = shell::line(command);
        if daemon {
            info!("would run: {command}");
        } else {
            // A rehearsal whose listener has gone goes on.
            let _ = writeln!(io::stdout(), "{command}");
        }
    }
}
