//! FreeBSD's structs and numbers, with FreeBSD's layout on every host.
//!
//! The modules `structs` and `numbers` are the only table of them. It states the values of FreeBSD's headers. This crate is
//! checked against them when it is compiled, and the headers by `examples/abi-gate.rs`. Names are those of the headers,
//! in Rust's spelling. Padding is explicit. Integers are in host byte order, except those of socket addresses.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use zerocopy::FromZeros;

use crate::name::{InterfaceName, LONGEST};

#[macro_use]
pub mod facts;
pub mod ioctl;
pub mod numbers;
#[expect(missing_docs, reason = "the fields are the headers', which document them")]
mod structs;

use numbers::{AF_INET, AF_INET6, IFNAMSIZ};
pub use structs::*;

const _: () = assert!(IFNAMSIZ == LONGEST + 1);
const _: () = assert!(SockaddrIn::LEN as usize == size_of::<SockaddrIn>());
const _: () = assert!(SockaddrIn6::LEN as usize == size_of::<SockaddrIn6>());

/// An interface's name, as in structs.
pub fn ifname(name: &InterfaceName) -> Ifname {
    fixed(name.as_str())
}

/// Text as a C array, padded with NULs, and truncated to leave room for at least one.
pub(crate) fn fixed<const SIZE: usize>(text: &str) -> [u8; SIZE] {
    let mut array = [0; SIZE];
    for (byte, value) in array.iter_mut().zip(text.bytes().take(SIZE - 1)) {
        *byte = value;
    }
    array
}

/// The interface's name at the start of these bytes, up to a NUL or their end. `None`: it is not valid.
pub fn interface_name(bytes: &[u8]) -> Option<InterfaceName> {
    let text = bytes.split(|&byte| byte == 0).next()?;
    InterfaceName::new(std::str::from_utf8(text).ok()?)
}

impl SockaddrIn {
    const LEN: u8 = 16;

    /// An address and port, given in host byte order.
    pub fn new(address: Ipv4Addr, port: u16) -> Self {
        Self {
            sin_len: Self::LEN,
            sin_family: AF_INET,
            sin_port: port.to_be(),
            sin_addr: address.to_bits().to_be(),
            sin_zero: [0; 8],
        }
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32::from_be(self.sin_addr))
    }
}

impl SockaddrIn6 {
    const LEN: u8 = 28;

    /// An address without a port.
    pub fn new(address: Ipv6Addr) -> Self {
        Self {
            sin6_len: Self::LEN,
            sin6_family: AF_INET6,
            sin6_port: 0,
            sin6_flowinfo: 0,
            sin6_addr: address.octets(),
            sin6_scope_id: 0,
        }
    }
}

impl Timeval {
    /// The time, unless it is negative.
    pub fn duration(&self) -> Option<Duration> {
        let microseconds = u64::try_from(self.tv_usec).ok()?;
        Duration::from_secs(u64::try_from(self.tv_sec).ok()?).checked_add(Duration::from_micros(microseconds))
    }
}

impl Ifreq {
    /// A request with only a name.
    pub fn new(ifr_name: Ifname) -> Self {
        Self { ifr_name, ..Self::new_zeroed() }
    }
}
