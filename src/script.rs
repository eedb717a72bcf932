//! The script that is run when the tunnel comes up and when it goes down.

mod process;
mod runner;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use ffi::kernel::Ends;
use ffi::name::InterfaceName;
use log::info;

use crate::exit::Exit;
use crate::options::Options;
use crate::protocol::Offer;
pub use runner::{Limits, Runner, Way};

/// Where the script finds its programs.
pub const PATH: &str = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin";

/// Why the script may not be run.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It is not there, or cannot be looked at.
    #[error("cannot use the script {}: {error}: name another with -s", path.display())]
    Missing {
        /// The script.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It is a folder, or has no execute bit.
    #[error("the script {} is not executable: chmod +x it", .0.display())]
    NotExecutable(PathBuf),
    /// Others could have it do as they please.
    #[error("the script {} may be written by others than root and its owner: chmod go-w it", .0.display())]
    Writable(PathBuf),
}

impl ScriptError {
    /// The exit status that says it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Missing { .. } => Exit::NoInput,
            Self::NotExecutable(_) | Self::Writable(_) => Exit::Config,
        }
    }
}

/// Checks the script before it is needed. That the default one is not there is only worth a notice.
pub fn check(options: &Options) -> Result<Option<PathBuf>, ScriptError> {
    let path = options.script().to_owned();
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if options.script.is_none() && error.kind() == io::ErrorKind::NotFound => {
            info!("there is no {}: no script will be run", path.display());
            return Ok(None);
        }
        Err(error) => return Err(ScriptError::Missing { path, error }),
    };
    let mode = metadata.permissions().mode();
    if !metadata.is_file() || mode & 0o111 == 0 {
        return Err(ScriptError::NotExecutable(path));
    }
    if mode & 0o022 != 0 {
        return Err(ScriptError::Writable(path));
    }
    Ok(Some(path))
}

/// Why the script is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A tunnel has been made.
    Up,
    /// Its session is over.
    Down,
}

impl State {
    /// The word that the script is given.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// What the script is told of a tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    arguments: [(&'static str, String); 8],
    more: [(&'static str, String); 3],
}

impl Facts {
    /// The facts of a tunnel that `offer` granted, over a connection from `myaddr`, on `interface`.
    pub fn new(options: &Options, myaddr: Ipv4Addr, offer: &Offer, interface: &InterfaceName) -> Self {
        let inner = |pick: fn(Ends<Ipv6Addr>) -> Ipv6Addr| {
            offer.inner.map(pick).map(|address| address.to_string()).unwrap_or_default()
        };
        Self {
            arguments: [
                ("server", options.server.clone()),
                ("myaddr", myaddr.to_string()),
                ("tuntype", options.tunnel_type.to_string()),
                ("me", offer.me.to_string()),
                ("her", offer.her.to_string()),
                ("me6", inner(|inner| inner.local)),
                ("her6", inner(|inner| inner.remote)),
                ("prefix", offer.prefix.map(|prefix| prefix.to_string()).unwrap_or_default()),
            ],
            more: [
                ("interface", interface.to_string()),
                ("mtu", options.mtu.to_string()),
                ("proto", if options.udp { "udp" } else { "ip" }.to_owned()),
            ],
        }
    }

    /// The nine arguments, in the manual's order.
    pub fn arguments(&self, state: State) -> Vec<&str> {
        let rest = self.arguments.iter().map(|(_, value)| value.as_str());
        std::iter::once(state.word()).chain(rest).collect()
    }

    /// The same with their names, and what the arguments have no place for.
    pub fn environment(&self, state: State) -> Vec<(&'static str, &str)> {
        let named = self.arguments.iter().chain(&self.more).map(|(name, value)| (*name, value.as_str()));
        std::iter::once(("state", state.word())).chain(named).collect()
    }
}
