//! Exit statuses, after sysexits(3).

use std::process::ExitCode;

/// Why the program ends, as its exit status says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Ended by SIGTERM or SIGINT, as asked.
    Ok = 0,
    /// `EX_USAGE`
    Usage = 64,
    /// `EX_NOINPUT`
    NoInput = 66,
    /// `EX_NOHOST`
    NoHost = 68,
    /// `EX_UNAVAILABLE`
    Unavailable = 69,
    /// `EX_SOFTWARE`
    Software = 70,
    /// `EX_OSERR`
    OsError = 71,
    /// `EX_CANTCREAT`
    CantCreate = 73,
    /// `EX_TEMPFAIL`
    TempFail = 75,
    /// `EX_PROTOCOL`
    Protocol = 76,
    /// `EX_NOPERM`
    NoPermission = 77,
    /// `EX_CONFIG`
    Config = 78,
}

impl Exit {
    /// Every status with its meaning, in the order that `--help` lists them.
    pub const TABLE: &[(Self, &str)] = &[
        (Self::Ok, "ended by SIGTERM or SIGINT"),
        (Self::Usage, "the command line is wrong"),
        (Self::NoInput, "the password, the auth file or the script cannot be had or read"),
        (Self::NoHost, "the server's name does not resolve"),
        (Self::Unavailable, "no server, the connection closed, no such tunnel type, or this is not FreeBSD"),
        (Self::Software, "an internal fault"),
        (Self::OsError, "the kernel refused the tunnel"),
        (Self::CantCreate, "the pid file cannot be made"),
        (Self::TempFail, "another dtcpclient holds the pid file, or the server has no tunnel free"),
        (Self::Protocol, "the server's words make no sense"),
        (Self::NoPermission, "the login was refused, or there is no privilege to make a tunnel"),
        (Self::Config, "the auth file or the script is unsafe or malformed, or a NAT is in the way"),
    ];

    /// The status as a number.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The table as lines of text.
    pub fn listing() -> String {
        Self::TABLE.iter().map(|(exit, meaning)| format!("  {:<3} {meaning}\n", exit.code())).collect()
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
