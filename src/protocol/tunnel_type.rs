//! The tunnel types that a client can request.

use std::fmt;

/// A tunnel type (confirmed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelType {
    /// A tunnel without inner addresses.
    TunnelOnly,
    /// A tunnel with an inner address for each end.
    Host,
    /// A tunnel with a prefix for the client's network.
    Network,
}

impl TunnelType {
    /// All types.
    pub const ALL: [Self; 3] = [Self::TunnelOnly, Self::Host, Self::Network];

    /// Its name on the command line and in the protocol.
    pub const fn word(self) -> &'static str {
        match self {
            Self::TunnelOnly => "tunnelonly",
            Self::Host => "host",
            Self::Network => "network",
        }
    }
}

impl fmt::Display for TunnelType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
