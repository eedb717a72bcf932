//! Advice on errors, in terms of options and files: the last part of a report.

use crate::client::Failure;
use crate::password::PasswordError;
use crate::pid_file::PidFileError;
use crate::protocol::{OfferError, Reason};
use crate::script::ScriptError;
use crate::startup::StartError;
use crate::status_socket::StatusError;
use crate::tunnel::{self, Step};

/// Advice on why the program does not start; empty if the message is sufficient.
pub(crate) fn about_start(error: &StartError) -> &'static str {
    match error {
        StartError::NotFreeBsd => "use --rehearse to see what would be done",
        StartError::Tunnel(error) => about_tunnel(error),
        StartError::Password(PasswordError::Terminal(_)) => "add it to the auth file",
        StartError::Script(ScriptError::Missing(..)) => "specify another with -s",
        StartError::PidFile(PidFileError::Running { .. }) => "stop it, or specify another file with -f",
        StartError::PidFile(_) => "specify another file with -f",
        _ => "",
    }
}

/// Advice on why the status is not known; empty if the message is sufficient.
pub(crate) fn about_status(error: &StatusError) -> &'static str {
    match error {
        StatusError::NotRunning(_) => "if it was started with -f, specify the same file",
        StatusError::NotPermitted(_) => "run it as root",
        StatusError::Deaf(_) | StatusError::NoAnswer { .. } => "",
    }
}

/// Advice on a failure of the client; empty if the message is sufficient.
pub(crate) fn about_failure(failure: &Failure) -> &'static str {
    match failure {
        Failure::NoAddress { .. } => "check the name and the name service",
        Failure::NoConnection { .. } => "check the server's name and port (-p)",
        Failure::Session(reason) => about_reason(reason),
        Failure::Tunnel(error) => about_tunnel(error),
        _ => "",
    }
}

fn about_reason(reason: &Reason) -> &'static str {
    match reason {
        Reason::NoGreeting | Reason::NoChallenge | Reason::BadLine(_) | Reason::BadReply(_) => {
            "check that it is a DTCP server"
        }
        Reason::BadOffer(OfferError::NoInnerAddresses) => "try -t tunnelonly",
        Reason::LoginRefused { udp: false, .. } => "check the user name (-u) and the password",
        Reason::LoginRefused { udp: true, .. } => {
            "check the user name (-u) and the password, \
             or try without -U: a server that does not support tunnels in UDP gives the same answer"
        }
        Reason::UnsupportedTunnelType(_) => "choose another type with -t",
        Reason::BehindNat { .. } => "use -n, and -U if the server supports tunnels in UDP",
        _ => "",
    }
}

fn about_tunnel(error: &tunnel::Error) -> &'static str {
    match error {
        tunnel::Error::NameInUse(_) => {
            "choose another name with --interface, or destroy it if it is not needed"
        }
        tunnel::Error::NameOfGroup(_) => "choose another name with --interface",
        tunnel::Error::NameTwice(_) => "give that one another name, not ng and a number",
        tunnel::Error::PortInUse(_) => "choose another with -b",
        tunnel::Error::Refused(Step::SetMtu(_), ..) => "choose another with -m",
        _ => "",
    }
}
