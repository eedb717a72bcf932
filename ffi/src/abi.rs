//! FreeBSD's structs and numbers, laid out so that they have FreeBSD's layout on every host.
//!
//! [`structs`] and [`numbers`] are the one table of them. Everything in it is held to the value that FreeBSD's headers
//! give: here when this crate is compiled, and in the headers themselves when [`facts`] are.
//! Names are those of the headers, in Rust's spelling. Padding is spelt out. Integers are in host byte order, except
//! those of socket addresses.

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

/// An interface's name as structs hold it.
pub fn ifname(name: &InterfaceName) -> Ifname {
    fixed(name.as_str())
}

/// Text as a C array holds it, filled up with NULs; cut where it would leave no room for one.
pub(crate) fn fixed<const SIZE: usize>(text: &str) -> [u8; SIZE] {
    let mut array = [0; SIZE];
    for (byte, value) in array.iter_mut().zip(text.bytes().take(SIZE - 1)) {
        *byte = value;
    }
    array
}

/// The name in a struct, or at the start of any bytes that end it with a NUL or with themselves.
pub fn interface_name(bytes: &[u8]) -> Option<InterfaceName> {
    let text = bytes.split(|&byte| byte == 0).next()?;
    InterfaceName::new(std::str::from_utf8(text).ok()?)
}

impl SockaddrIn {
    const LEN: u8 = 16;

    /// This address and port.
    pub fn new(address: Ipv4Addr, port: u16) -> Self {
        Self {
            sin_len: Self::LEN,
            sin_family: AF_INET,
            sin_port: port.to_be(),
            sin_addr: address.to_bits().to_be(),
            sin_zero: [0; 8],
        }
    }

    /// The address that it names.
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32::from_be(self.sin_addr))
    }
}

impl SockaddrIn6 {
    const LEN: u8 = 28;

    /// This address without a port.
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
    /// A request that has nothing but a name.
    pub fn new(ifr_name: Ifname) -> Self {
        Self { ifr_name, ..Self::new_zeroed() }
    }
}
