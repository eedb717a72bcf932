//! What gif and ng interfaces have in common: description, group, MTU, flags, IPv6 and its addresses.

use std::ffi::CStr;
use std::net::Ipv6Addr;

use zerocopy::{FromZeros, transmute};

use crate::abi::ioctl::{Call, Ioctl};
use crate::abi::numbers::{
    IFF_UP, ND6_IFF_IFDISABLED, ND6_INFINITE_LIFETIME, SIOCAIFADDR_IN6, SIOCAIFGROUP, SIOCDIFADDR_IN6,
    SIOCGIFDESCR, SIOCGIFFLAGS, SIOCGIFGMEMB, SIOCGIFINFO_IN6, SIOCSIFDESCR, SIOCSIFFLAGS, SIOCSIFINFO_IN6,
    SIOCSIFMTU,
};
use crate::abi::{
    IfgReq, Ifgroupreq, IfgruGroups, Ifname, Ifreq, IfruBuffer, IfruFlags, IfruMtu, In6Addrlifetime,
    In6Aliasreq, In6Ifreq, In6IfruAddr, In6Ndireq, NdIfinfo, SockaddrIn6, ifname, interface_name,
};
use crate::errno::Errno;
use crate::kernel::Ends;
use crate::name::InterfaceName;

/// Sets the description. The kernel refuses one of more than `net.ifdescr_maxlen` bytes with ENAMETOOLONG.
pub fn set_description<'text>(interface: &InterfaceName, description: &'text CStr) -> Call<'text, Ifreq> {
    let text = description.to_bytes_with_nul();
    with_buffer(SIOCSIFDESCR, interface, text.as_ptr().expose_provenance(), text.len())
}

/// Asks for the description, which the kernel puts into `buffer` with a NUL if there is room; see
/// [`description_size`]. An interface without one: ENOMSG.
pub fn description<'buffer>(interface: &InterfaceName, buffer: &'buffer mut [u8]) -> Call<'buffer, Ifreq> {
    let length = buffer.len();
    with_buffer(SIOCGIFDESCR, interface, buffer.as_mut_ptr().expose_provenance(), length)
}

/// How many bytes the description has with its NUL. Where the buffer has fewer, nothing is in it.
pub fn description_size(answer: &Ifreq) -> usize {
    let buffer: IfruBuffer = transmute!(answer.ifr_ifru);
    buffer.length
}

/// The description in a buffer, up to the NUL. What is not UTF-8 becomes U+FFFD.
pub fn description_text(buffer: &[u8]) -> String {
    let text = buffer.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

fn with_buffer<'a>(
    request: Ioctl<Ifreq>,
    interface: &InterfaceName,
    buffer: usize,
    length: usize,
) -> Call<'a, Ifreq> {
    let buffer = IfruBuffer { length, buffer, rest: FromZeros::new_zeroed() };
    Call::new(request, Ifreq { ifr_name: ifname(interface), ifr_ifru: transmute!(buffer) })
}

/// A group's name as structs hold it. EINVAL where no group could have it: it is empty or too long, has other
/// than visible ASCII characters, or ends in a digit, as an interface's name does.
pub fn group_name(group: &str) -> Result<Ifname, Errno> {
    let ends_in_digit = group.ends_with(|last: char| last.is_ascii_digit());
    let name = InterfaceName::new(group).filter(|_| !ends_in_digit);
    name.map(|name| ifname(&name)).ok_or(Errno::EINVAL)
}

/// Puts an interface into a group, which comes to be with its first member. In it already: EEXIST.
pub fn join_group(interface: &InterfaceName, group: &str) -> Result<Call<'static, Ifgroupreq>, Errno> {
    let argument = Ifgroupreq {
        ifgr_name: ifname(interface),
        ifgr_len: 0,
        padding: FromZeros::new_zeroed(),
        ifgr_ifgru: transmute!(group_name(group)?),
    };
    Ok(Call::new(SIOCAIFGROUP, argument))
}

/// Asks how much room [`members`] needs; [`members_size`] tells. No such group: ENOENT.
pub fn count_members(group: &str) -> Result<Call<'static, Ifgroupreq>, Errno> {
    list(group, 0, 0)
}

/// Size of the list of a group's members, in bytes.
pub fn members_size(answer: &Ifgroupreq) -> usize {
    usize::try_from(answer.ifgr_len).unwrap_or(usize::MAX)
}

/// Asks for the members of a group. The list is too small, as when the group has grown: EINVAL.
pub fn members<'list>(
    group: &str,
    list_of_names: &'list mut [IfgReq],
) -> Result<Call<'list, Ifgroupreq>, Errno> {
    let size = u32::try_from(size_of_val(list_of_names)).map_err(|_| Errno::EINVAL)?;
    list(group, size, list_of_names.as_mut_ptr().expose_provenance())
}

fn list<'a>(group: &str, ifgr_len: u32, start: usize) -> Result<Call<'a, Ifgroupreq>, Errno> {
    let groups = IfgruGroups { ifgr_groups: start, rest: FromZeros::new_zeroed() };
    let argument = Ifgroupreq {
        ifgr_name: group_name(group)?,
        ifgr_len,
        padding: FromZeros::new_zeroed(),
        ifgr_ifgru: transmute!(groups),
    };
    Ok(Call::new(SIOCGIFGMEMB, argument))
}

/// The names in a list of members. Entries that the kernel left empty are passed over.
pub fn member_names(list: &[IfgReq]) -> Vec<InterfaceName> {
    list.iter().filter_map(|member| interface_name(&member.ifgrq_member)).collect()
}

/// Sets the MTU, in bytes. Out of range: EINVAL.
pub fn set_mtu(interface: &InterfaceName, mtu: u16) -> Call<'static, Ifreq> {
    let mtu = IfruMtu { ifr_mtu: i32::from(mtu), rest: FromZeros::new_zeroed() };
    Call::new(SIOCSIFMTU, Ifreq { ifr_name: ifname(interface), ifr_ifru: transmute!(mtu) })
}

/// Asks for the flags; [`flags`] tells them.
pub fn get_flags(interface: &InterfaceName) -> Call<'static, Ifreq> {
    Call::new(SIOCGIFFLAGS, Ifreq::new(ifname(interface)))
}

/// The flags, `IFF_*`, from the argument as the kernel left it.
pub fn flags(answer: &Ifreq) -> u32 {
    let flags: IfruFlags = transmute!(answer.ifr_ifru);
    u32::from(flags.ifr_flagshigh) << 16 | u32::from(flags.ifr_flags)
}

/// Sets `IFF_UP` beside the flags that [`get_flags`] found.
pub fn bring_up(interface: &InterfaceName, found: &Ifreq) -> Call<'static, Ifreq> {
    set_flags(interface, flags(found) | IFF_UP)
}

fn set_flags(interface: &InterfaceName, flags: u32) -> Call<'static, Ifreq> {
    let [low, high]: [u16; 2] = halves(flags);
    let flags = IfruFlags { ifr_flags: low, ifr_flagshigh: high, rest: FromZeros::new_zeroed() };
    Call::new(SIOCSIFFLAGS, Ifreq { ifr_name: ifname(interface), ifr_ifru: transmute!(flags) })
}

/// The low and the high 16 bits.
fn halves(flags: u32) -> [u16; 2] {
    let [a, b, c, d] = flags.to_le_bytes();
    [u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])]
}

/// Asks how neighbour discovery works on an interface. On an `AF_INET6` socket.
pub fn get_neighbour_discovery(interface: &InterfaceName) -> Call<'static, In6Ndireq> {
    let ndi = NdIfinfo { timing: FromZeros::new_zeroed(), flags: 0, rest: FromZeros::new_zeroed() };
    Call::new(SIOCGIFINFO_IN6, In6Ndireq { ifname: ifname(interface), ndi })
}

/// Clears `ND6_IFF_IFDISABLED` in what [`get_neighbour_discovery`] found. On an `AF_INET6` socket.
pub fn enable_ipv6(found: &In6Ndireq) -> Call<'static, In6Ndireq> {
    let mut argument = *found;
    argument.ndi.flags &= !ND6_IFF_IFDISABLED;
    Call::new(SIOCSIFINFO_IN6, argument)
}

/// Adds an address with its peer, for ever. On an `AF_INET6` socket.
pub fn add_address(interface: &InterfaceName, inner: Ends<Ipv6Addr>) -> Call<'static, In6Aliasreq> {
    let for_ever = In6Addrlifetime {
        ia6t_expire: 0,
        ia6t_preferred: 0,
        ia6t_vltime: ND6_INFINITE_LIFETIME,
        ia6t_pltime: ND6_INFINITE_LIFETIME,
    };
    let argument = In6Aliasreq {
        ifra_name: ifname(interface),
        ifra_addr: SockaddrIn6::new(inner.local),
        ifra_dstaddr: SockaddrIn6::new(inner.remote),
        ifra_prefixmask: SockaddrIn6::new(Ipv6Addr::from_bits(u128::MAX)),
        ifra_flags: 0,
        ifra_lifetime: for_ever,
        ifra_vhid: 0,
        padding: FromZeros::new_zeroed(),
    };
    Call::new(SIOCAIFADDR_IN6, argument)
}

/// Removes an address. Not on this interface: EADDRNOTAVAIL. On an `AF_INET6` socket.
pub fn remove_address(interface: &InterfaceName, local: Ipv6Addr) -> Call<'static, In6Ifreq> {
    let address = In6IfruAddr { ifr_addr: SockaddrIn6::new(local), rest: FromZeros::new_zeroed() };
    Call::new(SIOCDIFADDR_IN6, In6Ifreq { ifr_name: ifname(interface), ifr_ifru: transmute!(address) })
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

    proptest! {
        #[test]
        fn a_name_comes_out_as_it_went_in(name in names()) {
            prop_assert_eq!(interface_name(&ifname(&name)), Some(name));
        }

        #[test]
        fn flags_come_out_as_they_went_in(name in names(), value: u32) {
            prop_assert_eq!(flags(set_flags(&name, value).argument()), value);
        }

        #[test]
        fn members_come_out_as_they_went_in(members in prop::collection::vec(names(), 0..20)) {
            let list: Vec<IfgReq> =
                members.iter().map(|name| IfgReq { ifgrq_member: ifname(name) }).collect();
            prop_assert_eq!(member_names(&list), members);
        }

        #[test]
        fn ipv6_is_enabled_and_all_else_left(bytes: [[u8; 36]; 2]) {
            let found = In6Ndireq::read_from_bytes(bytes.as_bytes()).expect("72 bytes");
            let enabled = *enable_ipv6(&found).argument();
            prop_assert_eq!(enabled.ndi.flags & ND6_IFF_IFDISABLED, 0);
            let mut disabled = enabled;
            disabled.ndi.flags |= found.ndi.flags & ND6_IFF_IFDISABLED;
            prop_assert_eq!(disabled, found);
        }

        #[test]
        fn no_bytes_upset_a_decoder(bytes in prop::collection::vec(any::<u8>(), 0..64), fixed: [u8; 32]) {
            let _ = interface_name(&bytes);
            let _ = description_text(&bytes);
            let answer = Ifreq::read_from_bytes(&fixed).expect("32 bytes");
            let _ = flags(&answer);
            let _ = description_size(&answer);
            let (list, _) = <[IfgReq]>::ref_from_prefix_with_elems(&bytes, bytes.len() / 16).expect("it fits");
            let _ = member_names(list);
        }
    }
}
