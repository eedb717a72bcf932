//! FreeBSD's error numbers, on every host: the rehearsal uses them on Linux, too.

use std::{fmt, io};

/// An errno(2) value of a FreeBSD kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

/// Makes a constant for each errno, and the function `text`.
macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        impl Errno {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// The text of strerror(3) on FreeBSD, for the numbers in the table.
            const fn text(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($text),)*
                    _ => None,
                }
            }
        }

        #[cfg(target_os = "freebsd")]
        const _: () = {
            $(assert!($number == libc::$name, stringify!($name));)*
        };
    };
}

errnos! {
    /// Not root, or not permitted in this jail.
    EPERM = 1, "Operation not permitted";
    /// No such netgraph node or type, or no such module.
    ENOENT = 2, "No such file or directory";
    /// No such process.
    ESRCH = 3, "No such process";
    /// An error of the standard library's that has no errno.
    EIO = 5, "Input/output error";
    /// No such interface.
    ENXIO = 6, "Device not configured";
    /// The interface or the module is there already, or the interface is in the group.
    EEXIST = 17, "File exists";
    /// A value out of range, or a cloner whose module is not loaded.
    EINVAL = 22, "Invalid argument";
    /// Netgraph in a jail without a network stack of its own.
    EPROTONOSUPPORT = 43, "Protocol not supported";
    /// `ng_socket` is not loaded.
    EAFNOSUPPORT = 47, "Address family not supported by protocol family";
    /// The UDP port is taken.
    EADDRINUSE = 48, "Address already in use";
    /// Another gif has this pair, or the address is not on the interface.
    EADDRNOTAVAIL = 49, "Can't assign requested address";
    /// No route to the far end.
    ENETUNREACH = 51, "Network is unreachable";
    /// A queue is full: messages were lost.
    ENOBUFS = 55, "No buffer space available";
    /// A ksocket without a peer.
    ENOTCONN = 57, "Socket is not connected";
    /// A node did not answer.
    ETIMEDOUT = 60, "Operation timed out";
    /// A description longer than `net.ifdescr_maxlen`, or an interface's name longer than 15 bytes.
    ENAMETOOLONG = 63, "File name too long";
    /// The interface has no description.
    ENOMSG = 83, "No message of desired type";
    /// An answer that cannot be decoded.
    EBADMSG = 89, "Bad message";
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        error.raw_os_error().map_or(Self::EIO, Self)
    }
}

#[cfg(target_os = "freebsd")]
impl From<nix::errno::Errno> for Errno {
    fn from(errno: nix::errno::Errno) -> Self {
        Self(errno as i32)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => f.write_str(text),
            None => f.write_str(&system_text(self.0)),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Errno({}: {self})", self.0)
    }
}

/// The system's text. Systems other than FreeBSD have different numbers, so their text would be wrong.
fn system_text(number: i32) -> String {
    if !cfg!(target_os = "freebsd") {
        return format!("errno {number}");
    }
    let text = io::Error::from_raw_os_error(number).to_string();
    text.strip_suffix(&format!(" (os error {number})")).unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errno_has_the_text_of_freebsd() {
        assert_eq!(Errno::ENXIO.to_string(), "Device not configured");
        let unnamed = if cfg!(target_os = "freebsd") { "Cannot allocate memory" } else { "errno 12" };
        assert_eq!(Errno(12).to_string(), unnamed);
    }

    #[cfg(target_os = "freebsd")]
    #[test]
    fn the_texts_are_the_systems() {
        for errno in (1..=99).map(Errno) {
            assert_eq!(errno.to_string(), system_text(errno.0));
        }
    }
}
