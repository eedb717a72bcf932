//! Why an attempt ended, what it means for the next one, and the exit status that says it.

use std::io;
use std::net::SocketAddrV4;

use crate::exit::Exit;
use crate::protocol::Reason;
use crate::report::chain;
use crate::tunnel;

/// Why an attempt to have a tunnel, or a session, ended.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server's name could not be looked up.
    #[error("cannot find the address of {server}: {error}: check the name, and the name service")]
    NoAddress {
        /// The server's name.
        server: String,
        /// What the resolver said.
        error: io::Error,
    },
    /// The server could not be reached.
    #[error("cannot connect to {address}: {error}: check the server's name and port (-p)")]
    NoConnection {
        /// The last address that was tried.
        address: SocketAddrV4,
        /// What the system said.
        error: io::Error,
    },
    /// The session ended.
    #[error("{0}")]
    Session(#[from] Reason),
    /// The tunnel could not be made.
    #[error("{}", chain(.0))]
    Tunnel(#[from] tunnel::Error),
}

/// What a failure means where the client is to come back (`-l`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It may be gone at the next attempt.
    Passing,
    /// Trying again without a change somewhere only annoys the server: final, unless a login has worked before.
    Refusal,
    /// It will not go away.
    Final,
}

impl Failure {
    /// What it means for the next attempt.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Session(Reason::LoginRefused { .. } | Reason::BehindNat { .. }) => Severity::Refusal,
            Self::Session(Reason::UnsupportedTunnelType(_)) => Severity::Final,
            Self::Tunnel(error) if is_lasting(error) => Severity::Final,
            _ => Severity::Passing,
        }
    }

    /// The exit status that says it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoAddress { .. } => Exit::NoHost,
            Self::NoConnection { .. } => Exit::Unavailable,
            Self::Tunnel(error) => exit_of_tunnel(error),
            Self::Session(reason) => exit_of(reason),
        }
    }
}

fn exit_of(reason: &Reason) -> Exit {
    match reason {
        Reason::NoConnection
        | Reason::NoGreeting
        | Reason::NoOffer
        | Reason::NoPong
        | Reason::Closed
        | Reason::Broken(_)
        | Reason::AddressGone(_)
        | Reason::Quit
        | Reason::ServerError(_)
        | Reason::UnsupportedTunnelType(_) => Exit::Unavailable,
        Reason::NoChallenge | Reason::BadLine(_) | Reason::BadReply(_) | Reason::BadOffer(_) => {
            Exit::Protocol
        }
        Reason::LoginRefused { .. } => Exit::NoPermission,
        Reason::NoTunnelFree(_) => Exit::TempFail,
        Reason::BehindNat { .. } => Exit::Config,
    }
}

fn is_lasting(error: &tunnel::Error) -> bool {
    matches!(error, tunnel::Error::NoModule(..)) || exit_of_tunnel(error) == Exit::NoPermission
}

/// The exit status of a tunnel that could not be made.
pub(crate) fn exit_of_tunnel(error: &tunnel::Error) -> Exit {
    use tunnel::Error as E;
    match error {
        E::NotPermitted(..) | E::JailWithoutNetwork | E::ModuleForbidden(_) => Exit::NoPermission,
        _ => Exit::OsError,
    }
}
