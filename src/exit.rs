//! Exit statuses, as in sysexits(3), and the status of each error.

use crate::client::Failure;
use crate::password::PasswordError;
use crate::pid_file::PidFileError;
use crate::protocol::Reason;
use crate::script::ScriptError;
use crate::startup::StartError;
use crate::status_socket::StatusError;
use crate::tunnel;

/// Makes [`Exit`] and its table, in the order that `--help` lists them.
macro_rules! exits {
    ($($name:ident = $code:literal, $meaning:literal;)*) => {
        /// Why the program exits, as a status.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Exit {
            $(#[doc = $meaning] $name = $code,)*
        }

        impl Exit {
            /// Every status with its meaning.
            pub const TABLE: &[(Self, &str)] = &[$((Self::$name, $meaning),)*];
        }
    };
}

exits! {
    Ok = 0, "terminated by SIGTERM or SIGINT; with --status or -w, the tunnel is up";
    NotUp = 1, "with --status or -w, the tunnel is not up";
    Usage = 64, "the command line is invalid";
    NoInput = 66, "there is no password, or the auth file or the script cannot be read";
    NoHost = 68, "the server's name cannot be resolved";
    Unavailable = 69,
        "the server cannot be reached, the connection was closed, the tunnel type is not supported, or this is not FreeBSD";
    Software = 70, "internal error";
    OsError = 71, "the kernel refused the tunnel, or another system call failed";
    CantCreate = 73, "the pid file cannot be created, or the file is not a pid file";
    TempFail = 75, "another dtcpclient holds the pid file, or the server has no free tunnel";
    Protocol = 76, "the server sent an invalid or incomplete reply";
    NoPermission = 77, "the login was refused, or there is no permission to create the tunnel";
    Config = 78, "the auth file or the script is unsafe or malformed, or this host is behind a NAT";
}

impl Exit {
    /// The status as a number.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The table as lines of text.
    pub(crate) fn listing() -> String {
        Self::TABLE.iter().map(|(exit, meaning)| format!("  {:<3} {meaning}\n", exit.code())).collect()
    }
}

impl From<&StartError> for Exit {
    fn from(error: &StartError) -> Self {
        match error {
            StartError::NotFreeBsd => Self::Unavailable,
            StartError::Resources(_) | StartError::Detach(_) => Self::OsError,
            StartError::Password(error) => error.into(),
            StartError::Script(ScriptError::Missing(..)) => Self::NoInput,
            StartError::Script(_) => Self::Config,
            StartError::PidFile(PidFileError::Running { .. }) => Self::TempFail,
            StartError::PidFile(_) => Self::CantCreate,
            StartError::Tunnel(error) => error.into(),
        }
    }
}

impl From<&StatusError> for Exit {
    fn from(error: &StatusError) -> Self {
        match error {
            StatusError::NotPermitted(_) => Self::NoPermission,
            StatusError::NotRunning(_) | StatusError::Deaf(_) | StatusError::NoAnswer { .. } => {
                Self::Unavailable
            }
        }
    }
}

impl From<&PasswordError> for Exit {
    fn from(error: &PasswordError) -> Self {
        match error {
            PasswordError::NotAFile(_) | PasswordError::Unsafe { .. } | PasswordError::BadLine { .. } => {
                Self::Config
            }
            _ => Self::NoInput,
        }
    }
}

impl From<&Failure> for Exit {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::NoAddress { .. } => Self::NoHost,
            Failure::Session(reason) => reason.into(),
            Failure::Tunnel(error) => error.into(),
            _ => Self::Unavailable,
        }
    }
}

impl From<&Reason> for Exit {
    fn from(reason: &Reason) -> Self {
        match reason {
            Reason::NoChallenge
            | Reason::BadLine(_)
            | Reason::BadReply(_)
            | Reason::TooManyLines
            | Reason::BadOffer(_) => Self::Protocol,
            Reason::LoginRefused { .. } => Self::NoPermission,
            Reason::NoTunnelFree(_) => Self::TempFail,
            Reason::BehindNat { .. } => Self::Config,
            _ => Self::Unavailable,
        }
    }
}

impl From<&tunnel::Error> for Exit {
    fn from(error: &tunnel::Error) -> Self {
        use tunnel::Error;
        match error {
            Error::NotPermitted(..) | Error::JailWithoutNetwork | Error::ModuleForbidden(_) => {
                Self::NoPermission
            }
            _ => Self::OsError,
        }
    }
}
