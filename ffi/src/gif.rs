//! gif(4): interfaces that carry IPv6 in IPv4.

use std::net::Ipv4Addr;

use zerocopy::FromZeros;

use crate::abi::ioctl::Call;
use crate::abi::numbers::{SIOCGIFPDSTADDR, SIOCGIFPSRCADDR, SIOCIFCREATE2, SIOCIFDESTROY, SIOCSIFPHYADDR};
use crate::abi::{Ifreq, IfreqAddr, InAliasreq, SockaddrIn, fixed, ifname, interface_name};
use crate::kernel::Ends;
use crate::name::InterfaceName;

/// Creates a gif with the lowest free unit number. [`created`] returns its name.
pub fn create() -> Call<Ifreq> {
    Call::new(SIOCIFCREATE2, Ifreq::new(fixed("gif")))
}

/// Requests an interface without a type. The kernel checks the privilege first: EPERM without it, otherwise EINVAL.
/// Nothing is created.
pub fn create_nothing() -> Call<Ifreq> {
    Call::new(SIOCIFCREATE2, Ifreq::new(fixed("")))
}

/// The name of a new interface, in the answer to [`create`].
pub fn created(answer: &Ifreq) -> Option<InterfaceName> {
    interface_name(&answer.ifr_name)
}

/// Sets the outer addresses of a gif.
pub fn set_outer_addresses(gif: &InterfaceName, outer: Ends<Ipv4Addr>) -> Call<InAliasreq> {
    let argument = InAliasreq {
        ifra_name: ifname(gif),
        ifra_addr: SockaddrIn::new(outer.local, 0),
        ifra_dstaddr: SockaddrIn::new(outer.remote, 0),
        ..FromZeros::new_zeroed()
    };
    Call::new(SIOCSIFPHYADDR, argument)
}

/// Gets the two outer addresses of a gif. EADDRNOTAVAIL: it has none.
pub fn outer_addresses(gif: &InterfaceName) -> Ends<Call<IfreqAddr>> {
    let get = |request| Call::new(request, IfreqAddr { ifr_name: ifname(gif), ..FromZeros::new_zeroed() });
    Ends { local: get(SIOCGIFPSRCADDR), remote: get(SIOCGIFPDSTADDR) }
}

/// Destroys a gif.
pub fn destroy(gif: &InterfaceName) -> Call<Ifreq> {
    Call::new(SIOCIFDESTROY, Ifreq::new(ifname(gif)))
}
