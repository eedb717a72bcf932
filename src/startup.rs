//! From the command line to the client's loop. Everything that can fail early is checked before detaching.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use ffi::kernel::Kernel;
use ffi::rehearsal::Rehearsal;
use ffi::route_socket::RouteSocket;
use log::{error, info, warn};

use crate::client::{Client, Plan};
use crate::daemon::{self, Starter};
use crate::exit::Exit;
use crate::options::{Options, Request};
use crate::password::{Password, PasswordError};
use crate::pid_file::{PidFile, PidFileError};
use crate::protocol::Login;
use crate::report::report;
use crate::script::{self, Limits, Runner, ScriptError, ScriptMode};
use crate::signals::Signals;
use crate::status_socket::{self, StatusSocket};
use crate::tunnel::{self, Tunnel};
use crate::{advice, logging, memory, shell};

/// Why the program does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[cfg_attr(target_os = "freebsd", expect(dead_code, reason = "it is for other systems"))]
    #[error("tunnels can only be created on FreeBSD")]
    NotFreeBsd,
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Script(#[from] ScriptError),
    #[error(transparent)]
    PidFile(#[from] PidFileError),
    #[error("cannot detach from the terminal")]
    Detach(#[source] io::Error),
    #[error(transparent)]
    Tunnel(#[from] tunnel::Error),
    /// The system has no more descriptors or threads.
    #[error("cannot start")]
    Resources(#[source] io::Error),
}

/// Runs the program. The first argument is its name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let options = match Request::read(arguments) {
        Ok(Request::Run(options)) => *options,
        Ok(Request::Status(pid_file)) => return print_status(&pid_file),
        Err(error) => {
            // For clap, help and version are errors that are printed on standard output.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok };
        }
    };
    logging::start(options.debug);
    if let Some(warning) = options.warning {
        warn!("{warning}");
    }
    start(options).unwrap_or_else(|error| {
        error!("{}", report(&error, advice::about_start(&error)));
        Exit::from(&error)
    })
}

/// Prints the status of a running client, and returns what it means.
fn print_status(pid_file: &Path) -> Exit {
    logging::start(false);
    match status_socket::ask(pid_file) {
        Ok(status) => {
            let mut output = io::stdout();
            if let Err(error) = write!(output, "{status}").and_then(|()| output.flush()) {
                error!("cannot write the status: {error}");
                return Exit::OsError;
            }
            if status_socket::is_up(&status) { Exit::Ok } else { Exit::NotUp }
        }
        Err(error) => {
            error!("{}", report(&error, advice::about_status(&error)));
            Exit::from(&error)
        }
    }
}

fn start(options: Options) -> Result<Exit, StartError> {
    memory::protect();
    let mut signals = Signals::watch().map_err(StartError::Resources)?;
    let (mut kernel, routes) = host(&options)?;
    let mut tunnel = Tunnel::new(&mut *kernel, options.tunnel.clone());
    let program = script::check(&options.script)?;
    tunnel.check_privilege()?;
    let mut pid_file = options.pid_file.as_deref().map(PidFile::lock).transpose()?;
    let password = options.account.password(options.prompt, &mut signals)?;
    tunnel.remove_leftovers();
    tunnel.check_name()?;
    let lock = pid_file.as_ref().map(PidFile::as_raw_fd);
    let starter = options.daemon.then(|| daemon::detach(options.wait, lock)).transpose();
    let starter = starter.map_err(StartError::Detach)?;
    let status_socket = options.pid_file.as_deref().and_then(open_status_socket);
    if let Some(pid_file) = &mut pid_file {
        pid_file.write()?;
    }
    let starter = starter.map(|starter| run_as_daemon(starter, options.wait)).transpose();
    let starter = starter.map_err(StartError::Detach)?.flatten();
    info!("starting: tunnel type {}, server {}", options.tunnel_type, options.account.server);
    let scripts = Runner::new(program, script_mode(&options), Limits::default());
    let client = Client::new(plan(options, password), tunnel, scripts, &mut signals, routes);
    let exit = client.with_status_socket(status_socket).with_starter(starter).run();
    info!("exiting");
    Ok(exit)
}

/// Leaves the terminal, and returns the starter if it waits for the tunnel.
fn run_as_daemon(mut starter: Starter, wait: Duration) -> io::Result<Option<Starter>> {
    starter.running()?;
    let starter = Some(starter).filter(|_| !wait.is_zero());
    logging::use_syslog(starter.as_ref().map(Starter::console).transpose()?);
    Ok(starter)
}

/// A tunnel without a status is better than none.
fn open_status_socket(pid_file: &Path) -> Option<StatusSocket> {
    let path = status_socket::beside(pid_file);
    let failed = |error: &io::Error| warn!("cannot tell the status on {}: {error}", path.display());
    StatusSocket::open(&path).inspect_err(failed).ok()
}

fn plan(options: Options, password: Password) -> Plan {
    let login = Login {
        user: options.account.user.clone(),
        password,
        tunnel_type: options.tunnel_type,
        udp: options.announcement,
        nat_check: options.nat_check,
    };
    let Options { account, tunnel, port, reconnect, .. } = options;
    Plan { account, tunnel, port, login: Rc::new(login), reconnect }
}

/// A kernel, and a socket that reports changes of this host's addresses, if available.
type Host = (Box<dyn Kernel>, Option<RouteSocket>);

/// A rehearsal does not watch this host's addresses, since it changes nothing here.
fn host(options: &Options) -> Result<Host, StartError> {
    if options.rehearse {
        return Ok((Box::new(Rehearsal::new(printer(options))), None));
    }
    freebsd()
}

#[cfg(target_os = "freebsd")]
fn freebsd() -> Result<Host, StartError> {
    let kernel = ffi::freebsd::FreeBsd::new().map_err(StartError::Resources)?;
    let failed = |error: &io::Error| warn!("cannot watch this host's addresses: {error}");
    Ok((Box::new(kernel), RouteSocket::open().inspect_err(failed).ok()))
}

#[cfg(not(target_os = "freebsd"))]
fn freebsd() -> Result<Host, StartError> {
    Err(StartError::NotFreeBsd)
}

fn script_mode(options: &Options) -> ScriptMode {
    if options.rehearse { ScriptMode::Rehearse(Box::new(printer(options))) } else { ScriptMode::Run }
}

/// Prints the commands of a rehearsal on standard output, or logs them in a daemon.
fn printer(options: &Options) -> impl Fn(&[String]) + 'static {
    let daemon = options.daemon;
    move |command| {
        let command = shell::line(command);
        if daemon {
            info!("would run: {command}");
        } else {
            // The rehearsal continues if standard output is closed.
            let _ = writeln!(io::stdout(), "{command}");
        }
    }
}
