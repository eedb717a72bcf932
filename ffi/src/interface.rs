//! Calls about interfaces: gif(4), and for gif and ng interfaces name, description, group, MTU, flags, IPv6 and
//! addresses.

use std::ffi::CStr;
use std::net::{Ipv4Addr, Ipv6Addr};

use zerocopy::FromZeros;

use crate::abi::ioctl::{Call, Ioctl};
use crate::abi::numbers::{
    IFF_UP, ND6_IFF_AUTO_LINKLOCAL, ND6_IFF_IFDISABLED, ND6_INFINITE_LIFETIME, SIOCAIFADDR_IN6, SIOCAIFGROUP,
    SIOCDIFADDR_IN6, SIOCGIFDESCR, SIOCGIFFIB, SIOCGIFFLAGS, SIOCGIFGMEMB, SIOCGIFINDEX, SIOCGIFINFO_IN6,
    SIOCGIFPDSTADDR, SIOCGIFPSRCADDR, SIOCIFCREATE2, SIOCIFDESTROY, SIOCSIFDESCR, SIOCSIFFLAGS,
    SIOCSIFINFO_IN6, SIOCSIFMTU, SIOCSIFNAME, SIOCSIFPHYADDR,
};
use crate::abi::{
    IfgReq, IfgroupreqGroup, IfgroupreqMembers, Ifname, Ifreq, IfreqAddr, IfreqBuffer, IfreqFlags,
    IfreqNumber, In6Addrlifetime, In6Aliasreq, In6IfreqAddr, In6Ndireq, InAliasreq, SockaddrIn, SockaddrIn6,
    fixed, ifname, interface_name,
};
use crate::errno::Errno;
use crate::kernel::Ends;
use crate::name::InterfaceName;

/// Creates a gif with the lowest free unit number. Its name is in the answer.
pub fn create_gif() -> Call<Ifreq> {
    Call::new(SIOCIFCREATE2, Ifreq::new(fixed("gif")))
}

/// Requests an interface without a type. The kernel checks the privilege first: EPERM without it, otherwise EINVAL.
/// Nothing is created.
pub fn create_nothing() -> Call<Ifreq> {
    Call::new(SIOCIFCREATE2, Ifreq::new(fixed("")))
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
pub fn destroy_gif(gif: &InterfaceName) -> Call<Ifreq> {
    Call::new(SIOCIFDESTROY, Ifreq::new(ifname(gif)))
}

/// Renames an interface. EEXIST: there is an interface with the new name.
pub fn rename(interface: &InterfaceName, name: &InterfaceName) -> Call<Ifreq> {
    let buffer = [name.as_str().as_bytes(), &[0]].concat();
    Call { request: SIOCSIFNAME, argument: Ifreq::new(ifname(interface)), buffer }
}

/// Gets the index of an interface, in the answer's `number`.
pub fn index(interface: &InterfaceName) -> Call<IfreqNumber> {
    Call::new(SIOCGIFINDEX, with_number(interface, 0))
}

/// Gets the FIB of an interface, a number of setfib(1), in the answer's `number`.
pub fn fib(interface: &InterfaceName) -> Call<IfreqNumber> {
    Call::new(SIOCGIFFIB, with_number(interface, 0))
}

/// Sets the description. The kernel refuses one of more than `net.ifdescr_maxlen` bytes with ENAMETOOLONG.
pub fn set_description(interface: &InterfaceName, description: &CStr) -> Call<IfreqBuffer> {
    with_buffer(SIOCSIFDESCR, interface, description.to_bytes_with_nul().to_owned())
}

/// Gets the description. The kernel writes it into the buffer with its NUL if it fits into `room` bytes; if
/// not, it only returns the length. ENOMSG: there is none.
pub fn description(interface: &InterfaceName, room: usize) -> Call<IfreqBuffer> {
    with_buffer(SIOCGIFDESCR, interface, vec![0; room])
}

/// The description in a buffer, up to the NUL. Invalid UTF-8 becomes U+FFFD.
pub fn description_text(buffer: &[u8]) -> String {
    let text = buffer.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

fn with_buffer(request: Ioctl<IfreqBuffer>, interface: &InterfaceName, buffer: Vec<u8>) -> Call<IfreqBuffer> {
    let argument = IfreqBuffer { ifr_name: ifname(interface), ..FromZeros::new_zeroed() };
    Call { request, argument, buffer }
}

/// A group's name, as in structs. EINVAL: it is empty or too long, has characters other than visible ASCII, or ends in
/// a digit, as names of interfaces do.
pub fn group_name(group: &str) -> Result<Ifname, Errno> {
    let ends_in_digit = group.ends_with(|last: char| last.is_ascii_digit());
    let visible = group.bytes().all(|byte| byte.is_ascii_graphic());
    let name = InterfaceName::new(group).filter(|_| visible && !ends_in_digit);
    name.map(|name| ifname(&name)).ok_or(Errno::EINVAL)
}

/// Adds an interface to a group, which is created with its first member. EEXIST: it is a member already.
pub fn join_group(interface: &InterfaceName, group: &str) -> Result<Call<IfgroupreqGroup>, Errno> {
    let (ifgr_name, ifgr_group) = (ifname(interface), group_name(group)?);
    let argument = IfgroupreqGroup { ifgr_name, ifgr_group, ..FromZeros::new_zeroed() };
    Ok(Call::new(SIOCAIFGROUP, argument))
}

/// Lists the members of a group in the buffer. Without room, the kernel only returns the length of the list.
/// EINVAL: too little room. ENOENT: no such group.
pub fn members(group: &str, room: usize) -> Result<Call<IfgroupreqMembers>, Errno> {
    let argument = IfgroupreqMembers { ifgr_name: group_name(group)?, ..FromZeros::new_zeroed() };
    Ok(Call { request: SIOCGIFGMEMB, argument, buffer: vec![0; room] })
}

/// The names in a list of members. Empty entries are skipped.
pub fn member_names(list: &[u8]) -> Vec<InterfaceName> {
    list.chunks(size_of::<IfgReq>()).filter_map(interface_name).collect()
}

/// Sets the MTU, in bytes. EINVAL: out of range.
pub fn set_mtu(interface: &InterfaceName, mtu: u16) -> Call<IfreqNumber> {
    Call::new(SIOCSIFMTU, with_number(interface, i32::from(mtu)))
}

fn with_number(interface: &InterfaceName, number: i32) -> IfreqNumber {
    IfreqNumber { ifr_name: ifname(interface), number, rest: FromZeros::new_zeroed() }
}

/// Gets the flags: see [`flags`].
pub fn get_flags(interface: &InterfaceName) -> Call<IfreqFlags> {
    Call::new(SIOCGIFFLAGS, with_flags(interface, 0))
}

/// The flags, `IFF_*`, in the answer to [`get_flags`].
pub fn flags(answer: &IfreqFlags) -> u32 {
    u32::from(answer.ifr_flagshigh) << 16 | u32::from(answer.ifr_flags)
}

/// Sets `IFF_UP` in addition to the flags in the answer to [`get_flags`].
pub fn bring_up(interface: &InterfaceName, found: &IfreqFlags) -> Call<IfreqFlags> {
    Call::new(SIOCSIFFLAGS, with_flags(interface, flags(found) | IFF_UP))
}

fn with_flags(interface: &InterfaceName, flags: u32) -> IfreqFlags {
    let [a, b, c, d] = flags.to_le_bytes();
    IfreqFlags {
        ifr_name: ifname(interface),
        ifr_flags: u16::from_le_bytes([a, b]),
        ifr_flagshigh: u16::from_le_bytes([c, d]),
        rest: FromZeros::new_zeroed(),
    }
}

/// Gets the parameters of neighbour discovery. Needs an `AF_INET6` socket.
pub fn get_neighbour_discovery(interface: &InterfaceName) -> Call<In6Ndireq> {
    Call::new(SIOCGIFINFO_IN6, In6Ndireq { ifname: ifname(interface), ndi: FromZeros::new_zeroed() })
}

/// Clears `ND6_IFF_IFDISABLED` in the answer to [`get_neighbour_discovery`], and sets `ND6_IFF_AUTO_LINKLOCAL`, which is
/// clear on a new interface if `net.inet6.ip6.auto_linklocal` is 0. Needs an `AF_INET6` socket.
pub fn enable_ipv6(found: &In6Ndireq) -> Call<In6Ndireq> {
    let mut argument = *found;
    argument.ndi.flags &= !ND6_IFF_IFDISABLED;
    argument.ndi.flags |= ND6_IFF_AUTO_LINKLOCAL;
    Call::new(SIOCSIFINFO_IN6, argument)
}

/// Adds a permanent address with its peer, both as /128. Needs an `AF_INET6` socket.
pub fn add_address(interface: &InterfaceName, inner: Ends<Ipv6Addr>) -> Call<In6Aliasreq> {
    let permanent = In6Addrlifetime {
        ia6t_vltime: ND6_INFINITE_LIFETIME,
        ia6t_pltime: ND6_INFINITE_LIFETIME,
        ..FromZeros::new_zeroed()
    };
    let argument = In6Aliasreq {
        ifra_name: ifname(interface),
        ifra_addr: SockaddrIn6::new(inner.local),
        ifra_dstaddr: SockaddrIn6::new(inner.remote),
        ifra_prefixmask: SockaddrIn6::new(Ipv6Addr::from_bits(u128::MAX)),
        ifra_lifetime: permanent,
        ..FromZeros::new_zeroed()
    };
    Call::new(SIOCAIFADDR_IN6, argument)
}

/// Removes an address. EADDRNOTAVAIL: it is not on this interface. Needs an `AF_INET6` socket.
pub fn remove_address(interface: &InterfaceName, local: Ipv6Addr) -> Call<In6IfreqAddr> {
    let (ifr_name, ifr_addr) = (ifname(interface), SockaddrIn6::new(local));
    Call::new(SIOCDIFADDR_IN6, In6IfreqAddr { ifr_name, ifr_addr, rest: FromZeros::new_zeroed() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zerocopy::{FromBytes, IntoBytes};

    use super::*;

    #[test]
    fn a_group_is_named_as_the_kernel_allows() {
        assert!(group_name("dtcpclient").is_ok());
        for bad in ["", "dtcpclient6", "a-name-that-is-too-long", "with space"] {
            assert_eq!(group_name(bad), Err(Errno::EINVAL), "{bad:?}");
        }
    }

    #[test]
    fn a_description_ends_at_its_nul() {
        assert_eq!(description_text(b"dtcpclient\0left over"), "dtcpclient");
        assert_eq!(description_text(b""), "");
        assert_eq!(description_text(b"caf\xe9"), "caf\u{fffd}");
    }

    fn names() -> impl Strategy<Value = InterfaceName> {
        "[!-~]{1,15}".prop_map(|name| InterfaceName::new(&name).expect("visible and short"))
    }

    /// The flags that enabling IPv6 changes.
    const CHANGED: u32 = ND6_IFF_IFDISABLED | ND6_IFF_AUTO_LINKLOCAL;

    proptest! {
        #[test]
        fn a_name_is_decoded_as_it_was_encoded(name in names()) {
            prop_assert_eq!(interface_name(&ifname(&name)), Some(name));
        }

        #[test]
        fn flags_are_decoded_as_they_were_encoded(name in names(), value: u32) {
            prop_assert_eq!(flags(&with_flags(&name, value)), value);
        }

        #[test]
        fn members_are_decoded_as_they_were_encoded(members in prop::collection::vec(names(), 0..20)) {
            let list: Vec<u8> = members.iter().flat_map(ifname).collect();
            prop_assert_eq!(member_names(&list), members);
        }

        #[test]
        fn enabling_ipv6_changes_nothing_else(bytes: [[u8; 36]; 2]) {
            let found = In6Ndireq::read_from_bytes(bytes.as_bytes()).expect("72 bytes");
            let enabled = enable_ipv6(&found).argument;
            prop_assert_eq!(enabled.ndi.flags & CHANGED, ND6_IFF_AUTO_LINKLOCAL);
            let mut before = enabled;
            before.ndi.flags = enabled.ndi.flags & !CHANGED | found.ndi.flags & CHANGED;
            prop_assert_eq!(before, found);
        }

        #[test]
        fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), fixed: [u8; 32]) {
            let _ = interface_name(&bytes);
            let _ = description_text(&bytes);
            let _ = flags(&IfreqFlags::read_from_bytes(&fixed).expect("its size"));
            let _ = IfreqBuffer::read_from_bytes(&fixed).expect("its size").length.get();
            let _ = member_names(&bytes);
        }
    }
}
