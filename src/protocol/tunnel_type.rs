//! The three kinds of tunnel that a client can ask for.

use std::fmt;

/// What the client asks the server for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelType {
    /// A tunnel, and no addresses for it.
    TunnelOnly,
    /// A tunnel with an inner address for each end.
    Host,
    /// A tunnel with a prefix for the client's network.
    Network,
}

impl TunnelType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::TunnelOnly, Self::Host, Self::Network];

    /// The word for it on the command line and on the wire.
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
