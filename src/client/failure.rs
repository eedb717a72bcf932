//! Failures of an attempt or a session, and their severity.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use crate::protocol::{Reason, Stage};
use crate::report::report;
use crate::{advice, tunnel};

/// Why an attempt or a session failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("cannot find the address of {server}")]
    NoAddress { server: String, source: io::Error },
    #[error("cannot connect to {peer}")]
    NoConnection { peer: SocketAddrV4, source: io::Error },
    #[error("the server closed the connection {0}")]
    Closed(Stage),
    #[error("the connection to the server broke")]
    Broken(#[source] io::Error),
    /// This host has lost the connection's local address.
    #[error("this host no longer has the address {0}")]
    AddressGone(Ipv4Addr),
    #[error("somebody else has removed the tunnel's interface")]
    InterfaceGone,
    /// Echo requests were answered before.
    #[error("IPv6 no longer flows through the tunnel")]
    NoEcho,
    #[error(transparent)]
    Session(#[from] Reason),
    #[error(transparent)]
    Tunnel(#[from] tunnel::Error),
}

/// How a failure affects the next attempt, with `-l`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    /// The next attempt may succeed.
    Passing,
    /// The server will refuse until something is changed. This is final unless an earlier login succeeded.
    Refusal,
    /// Another attempt is useless.
    Final,
}

impl Failure {
    /// The line for the log.
    pub(super) fn report(&self) -> String {
        report(self, advice::about_failure(self))
    }

    /// Whether the connection was well, and this end has decided to log in again, even without `-l`.
    pub(super) fn is_local(&self) -> bool {
        matches!(self, Self::InterfaceGone | Self::NoEcho)
    }

    /// Whether the login may work at another address of the server.
    pub(super) fn is_of_one_address(&self) -> bool {
        matches!(self, Self::Closed(_) | Self::Broken(_) | Self::Session(_))
            && self.severity() == Severity::Passing
    }

    /// Whether a new IPv4 address of this host may help.
    pub(super) fn is_of_this_host(&self) -> bool {
        use tunnel::Error;
        matches!(
            self,
            Self::NoAddress { .. }
                | Self::NoConnection { .. }
                | Self::AddressGone(_)
                | Self::Session(Reason::BehindNat { .. })
                | Self::Tunnel(Error::AddressGone(_) | Error::NoRoute(_))
        )
    }

    pub(super) fn severity(&self) -> Severity {
        use tunnel::Error;
        match self {
            Self::Session(
                Reason::LoginRefused { .. } | Reason::UnsupportedTunnelType(_) | Reason::BehindNat { .. },
            ) => Severity::Refusal,
            Self::Tunnel(
                Error::NotPermitted(..)
                | Error::JailWithoutNetwork
                | Error::ModuleForbidden(_)
                | Error::NoModule(..),
            ) => Severity::Final,
            _ => Severity::Passing,
        }
    }
}
