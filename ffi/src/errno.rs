//! FreeBSD's error numbers, the same on every host: the rehearsal speaks them on Linux too.

use std::fmt;

/// An errno(2) value as a FreeBSD kernel numbers it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// Operation not permitted: not root, or in a jail that may not.
    pub const EPERM: Self = Self(1);
    /// No such file or directory: no such netgraph node or type, or no such module.
    pub const ENOENT: Self = Self(2);
    /// No such process.
    pub const ESRCH: Self = Self(3);
    /// Device not configured: no such interface.
    pub const ENXIO: Self = Self(6);
    /// Bad file descriptor: the netgraph socket is not open.
    pub const EBADF: Self = Self(9);
    /// File exists: the interface or the module is there already.
    pub const EEXIST: Self = Self(17);
    /// Invalid argument: a value out of range, or a cloner whose module is not loaded.
    pub const EINVAL: Self = Self(22);
    /// Protocol not supported: netgraph in a jail without a network stack of its own.
    pub const EPROTONOSUPPORT: Self = Self(43);
    /// Address family not supported by protocol family: `ng_socket` is not loaded.
    pub const EAFNOSUPPORT: Self = Self(47);
    /// Address already in use: the UDP port is taken.
    pub const EADDRINUSE: Self = Self(48);
    /// Can't assign requested address: another gif has this pair, or the address is not on the interface.
    pub const EADDRNOTAVAIL: Self = Self(49);
    /// Network is unreachable: no route to the far end.
    pub const ENETUNREACH: Self = Self(51);
    /// Socket is not connected.
    pub const ENOTCONN: Self = Self(57);
    /// Operation timed out: a node did not answer.
    pub const ETIMEDOUT: Self = Self(60);
    /// File name too long: a description longer than `net.ifdescr_maxlen`.
    pub const ENAMETOOLONG: Self = Self(63);
    /// No message of desired type: the interface has no description.
    pub const ENOMSG: Self = Self(83);
    /// Bad message: an answer that makes no sense.
    pub const EBADMSG: Self = Self(89);

    /// FreeBSD's own wording, as strerror(3) has it, for the numbers named here.
    pub const fn text(self) -> Option<&'static str> {
        Some(match self {
            Self::EPERM => "Operation not permitted",
            Self::ENOENT => "No such file or directory",
            Self::ESRCH => "No such process",
            Self::ENXIO => "Device not configured",
            Self::EBADF => "Bad file descriptor",
            Self::EEXIST => "File exists",
            Self::EINVAL => "Invalid argument",
            Self::EPROTONOSUPPORT => "Protocol not supported",
            Self::EAFNOSUPPORT => "Address family not supported by protocol family",
            Self::EADDRINUSE => "Address already in use",
            Self::EADDRNOTAVAIL => "Can't assign requested address",
            Self::ENETUNREACH => "Network is unreachable",
            Self::ENOTCONN => "Socket is not connected",
            Self::ETIMEDOUT => "Operation timed out",
            Self::ENAMETOOLONG => "File name too long",
            Self::ENOMSG => "No message of desired type",
            Self::EBADMSG => "Bad message",
            _ => return None,
        })
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => f.write_str(text),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Errno({}: {self})", self.0)
    }
}
