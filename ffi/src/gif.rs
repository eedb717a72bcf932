//! gif(4): interfaces that carry IPv6 in IPv4.

use std::net::Ipv4Addr;

use zerocopy::FromZeros;

use crate::abi::ioctl::Call;
use crate::abi::numbers::{SIOCIFCREATE2, SIOCIFDESTROY, SIOCSIFPHYADDR};
use crate::abi::{Ifreq, InAliasreq, SockaddrIn, fixed, ifname, interface_name};
use crate::kernel::Ends;
use crate::name::InterfaceName;

/// Makes a gif with the lowest free unit number; [`created`] tells its name.
pub fn create() -> Call<Ifreq> {
    Call::new(SIOCIFCREATE2, Ifreq::new(fixed("gif")))
}

/// Asks for an interface of no kind. The kernel looks at the privilege first: EPERM without it, else EINVAL.
/// Nothing is made.
pub fn create_nothing() -> Call<Ifreq> {
    Call::new(SIOCIFCREATE2, Ifreq::new(fixed("")))
}

/// The name of a new interface, from the argument as the kernel left it.
pub fn created(answer: &Ifreq) -> Option<InterfaceName> {
    interface_name(&answer.ifr_name)
}

/// Gives a gif its outer addresses.
pub fn set_outer_addresses(gif: &InterfaceName, outer: Ends<Ipv4Addr>) -> Call<InAliasreq> {
    let argument = InAliasreq {
        ifra_name: ifname(gif),
        ifra_addr: SockaddrIn::new(outer.local, 0),
        ifra_dstaddr: SockaddrIn::new(outer.remote, 0),
        ..FromZeros::new_zeroed()
    };
    Call::new(SIOCSIFPHYADDR, argument)
}

/// Destroys a gif.
pub fn destroy(gif: &InterfaceName) -> Call<Ifreq> {
    Call::new(SIOCIFDESTROY, Ifreq::new(ifname(gif)))
}
