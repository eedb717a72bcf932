//! FreeBSD's structs and numbers, laid out so that they have FreeBSD's layout on every host.
//!
//! All padding is spelt out, and what differs between architectures follows from two things: the width of
//! a pointer, and that of [`Time`]. [`facts`] asserts every size, alignment, offset and number.
//! Names are those of the C headers, in Rust's spelling. Integers are in host byte order, but for those of
//! the socket addresses, which are in network byte order as in C.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::name::{InterfaceName, LONGEST};

pub mod facts;
pub mod ioctl;
pub mod numbers;

use numbers::{AF_INET, AF_INET6, IFNAMSIZ, NG_CMDSTRSIZ, NG_HOOKSIZ, NG_TYPESIZ};

/// `time_t`: 64 bits wide, but for i386.
#[cfg(not(target_arch = "x86"))]
pub type Time = i64;
/// `time_t`: 32 bits wide on i386.
#[cfg(target_arch = "x86")]
pub type Time = i32;

/// A pointer in a struct, as the address that it holds.
pub type Address = usize;

/// Size of the union at the end of `ifreq`, in bytes: that of a `struct sockaddr`.
const IFRU_SIZE: usize = 16;
const WORD: usize = size_of::<Address>();
const INT: usize = size_of::<u32>();

/// The name of an interface as structs hold it, filled up with NULs.
pub type Ifname = [u8; IFNAMSIZ];

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

const _: () = assert!(IFNAMSIZ == LONGEST + 1);
const _: () = assert!(SockaddrIn::LEN as usize == size_of::<SockaddrIn>());
const _: () = assert!(SockaddrIn6::LEN as usize == size_of::<SockaddrIn6>());

/// `struct sockaddr_in` (`netinet/in.h`): an IPv4 address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SockaddrIn {
    /// Its own size.
    pub sin_len: u8,
    /// `AF_INET`.
    pub sin_family: u8,
    /// Port, in network byte order.
    pub sin_port: u16,
    /// Address, in network byte order.
    pub sin_addr: u32,
    /// Zero.
    pub sin_zero: [u8; 8],
}

impl SockaddrIn {
    const LEN: u8 = 16;

    /// One that names nothing, not even a family.
    pub const NONE: Self = Self { sin_len: 0, sin_family: 0, sin_port: 0, sin_addr: 0, sin_zero: [0; 8] };

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

/// `struct sockaddr_in6` (`netinet6/in6.h`): an IPv6 address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SockaddrIn6 {
    /// Its own size.
    pub sin6_len: u8,
    /// `AF_INET6`.
    pub sin6_family: u8,
    /// Port, in network byte order.
    pub sin6_port: u16,
    /// Flow label.
    pub sin6_flowinfo: u32,
    /// Address, first byte first.
    pub sin6_addr: [u8; 16],
    /// Index of the interface of a link-local address.
    pub sin6_scope_id: u32,
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

/// `struct ifreq` (`net/if.h`): most requests about an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Ifreq {
    /// The interface, or what to create.
    pub ifr_name: Ifname,
    /// A union in C: [`IfruFlags`], [`IfruMtu`] or [`IfruBuffer`], by the request.
    pub ifr_ifru: [Address; IFRU_SIZE / WORD],
}

impl Ifreq {
    /// A request that carries nothing but a name.
    pub fn new(ifr_name: Ifname) -> Self {
        Self { ifr_name, ifr_ifru: FromZeros::new_zeroed() }
    }
}

/// `ifr_flags` and `ifr_flagshigh`: an interface's flags, in two halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IfruFlags {
    /// The low 16 bits.
    pub ifr_flags: u16,
    /// The high 16 bits.
    pub ifr_flagshigh: u16,
    /// What the request leaves alone.
    pub rest: [u8; IFRU_SIZE - INT],
}

/// `ifr_mtu`: an interface's MTU, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IfruMtu {
    /// The MTU.
    pub ifr_mtu: i32,
    /// What the request leaves alone.
    pub rest: [u8; IFRU_SIZE - INT],
}

/// `ifr_buffer`: where the caller keeps what does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IfruBuffer {
    /// Size in bytes.
    pub length: usize,
    /// Where it starts.
    pub buffer: Address,
    /// What the request leaves alone.
    pub rest: [u8; IFRU_SIZE - 2 * WORD],
}

/// `struct in_aliasreq` (`netinet/in_var.h`): an interface with two addresses and a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct InAliasreq {
    /// The interface.
    pub ifra_name: Ifname,
    /// Its own address.
    pub ifra_addr: SockaddrIn,
    /// The address at the far end.
    pub ifra_dstaddr: SockaddrIn,
    /// The mask.
    pub ifra_mask: SockaddrIn,
    /// Zero: no CARP group.
    pub ifra_vhid: i32,
}

/// `struct in6_addrlifetime` (`netinet6/in6_var.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct In6Addrlifetime {
    /// When the address ends; the kernel's to fill in.
    pub ia6t_expire: Time,
    /// When it is no longer preferred; the kernel's to fill in.
    pub ia6t_preferred: Time,
    /// How long it is valid, in seconds.
    pub ia6t_vltime: u32,
    /// How long it is preferred, in seconds.
    pub ia6t_pltime: u32,
}

/// `struct in6_aliasreq` (`netinet6/in6_var.h`): an interface with an address, its peer and a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct In6Aliasreq {
    /// The interface.
    pub ifra_name: Ifname,
    /// Its own address.
    pub ifra_addr: SockaddrIn6,
    /// The address at the far end.
    pub ifra_dstaddr: SockaddrIn6,
    /// The prefix as a mask.
    pub ifra_prefixmask: SockaddrIn6,
    /// `IN6_IFF_*`.
    pub ifra_flags: i32,
    /// How long the address lives.
    pub ifra_lifetime: In6Addrlifetime,
    /// Zero: no CARP group.
    pub ifra_vhid: i32,
    /// Fills up to the alignment of [`Time`].
    pub padding: [u8; size_of::<Time>() - INT],
}

/// Size of the union at the end of `in6_ifreq`, in 64-bit units: that of a `struct icmp6_ifstat`.
const IN6_IFRU_UNITS: usize = 34;

/// `struct in6_ifreq` (`netinet6/in6_var.h`): a request about an IPv6 address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct In6Ifreq {
    /// The interface.
    pub ifr_name: Ifname,
    /// A union in C: here always [`In6IfruAddr`].
    pub ifr_ifru: [u64; IN6_IFRU_UNITS],
}

/// `ifr_addr` of an `in6_ifreq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct In6IfruAddr {
    /// The address.
    pub ifr_addr: SockaddrIn6,
    /// What the request leaves alone.
    pub rest: [u8; IN6_IFRU_UNITS * size_of::<u64>() - size_of::<SockaddrIn6>()],
}

/// `struct nd_ifinfo` (`netinet6/nd6.h`): neighbour discovery on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NdIfinfo {
    /// `linkmtu` to `retrans`: written back as they were read.
    pub timing: [u32; 5],
    /// `ND6_IFF_*`.
    pub flags: u32,
    /// `recalctm` to `randomid`, and padding: written back as they were read.
    pub rest: [u32; 8],
}

/// `struct in6_ndireq` (`netinet6/nd6.h`): an interface with its neighbour discovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct In6Ndireq {
    /// The interface.
    pub ifname: Ifname,
    /// What it does.
    pub ndi: NdIfinfo,
}

/// `struct ifgroupreq` (`net/if.h`), naming one group: `ifgr_group` in C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Ifgroupreq {
    /// The interface; or the group whose members are asked for.
    pub ifgr_name: Ifname,
    /// Size of a list, in bytes.
    pub ifgr_len: u32,
    /// Fills up to the alignment of a pointer.
    pub padding: [u8; WORD - INT],
    /// A union in C: an [`Ifname`] (the group), or where a list of [`IfgReq`] starts ([`IfgruGroups`]).
    pub ifgr_ifgru: [Address; IFNAMSIZ / WORD],
}

/// `ifgr_groups`: where the caller keeps a list of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IfgruGroups {
    /// Where it starts.
    pub ifgr_groups: Address,
    /// What the request leaves alone.
    pub rest: [u8; IFNAMSIZ - WORD],
}

/// `struct ifg_req` (`net/if.h`): one name of a list, `ifgrq_member` here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IfgReq {
    /// The name.
    pub ifgrq_member: Ifname,
}

/// `struct sockaddr_ng` (`netgraph/ng_socket.h`), as long as FreeBSD 14 and later have it. 13 has 16 bytes;
/// what counts for the kernel, either way, is `sg_len`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SockaddrNg {
    /// How much of it is used.
    pub sg_len: u8,
    /// `AF_NETGRAPH`.
    pub sg_family: u8,
    /// A node's address as text, with a NUL.
    pub sg_data: [u8; 32],
}

/// The header of a `struct ng_mesg` (`netgraph/ng_message.h`); its arguments follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NgMesg {
    /// `NG_VERSION`.
    pub version: u8,
    /// Zero.
    pub spare: u8,
    /// Zero.
    pub spare2: u16,
    /// Size of the arguments, in bytes.
    pub arglen: u32,
    /// Command, in the terms of `typecookie`.
    pub cmd: u32,
    /// `NGF_*`.
    pub flags: u32,
    /// The sender's, given back with the reply.
    pub token: u32,
    /// Whose command it is.
    pub typecookie: u32,
    /// The command's name, for people.
    pub cmdstr: [u8; NG_CMDSTRSIZ],
}

/// `struct ngm_mkpeer` (`netgraph/ng_message.h`): make a node and connect to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NgmMkpeer {
    /// Type of the new node.
    pub r#type: [u8; NG_TYPESIZ],
    /// Hook of the node that is addressed.
    pub ourhook: [u8; NG_HOOKSIZ],
    /// Hook of the new node.
    pub peerhook: [u8; NG_HOOKSIZ],
}

/// `struct ngm_rmhook` (`netgraph/ng_message.h`): take a hook off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NgmRmhook {
    /// Hook of the node that is addressed.
    pub ourhook: [u8; NG_HOOKSIZ],
}

/// `struct timeval` (`sys/_timeval.h`): a time in seconds and microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Timeval {
    /// Seconds.
    pub tv_sec: Time,
    /// Microseconds: a `long`.
    pub tv_usec: isize,
}

impl Timeval {
    /// The time, as long as it is not negative.
    pub fn duration(&self) -> Option<Duration> {
        let microseconds = u64::try_from(self.tv_usec).ok()?;
        Duration::from_secs(u64::try_from(self.tv_sec).ok()?).checked_add(Duration::from_micros(microseconds))
    }
}

/// `struct nodeinfo` (`netgraph/ng_message.h`): a node of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Nodeinfo {
    /// Its name, empty if it has none.
    pub name: [u8; 32],
    /// Its type.
    pub r#type: [u8; NG_TYPESIZ],
    /// Its number.
    pub id: u32,
    /// How many hooks it has.
    pub hooks: u32,
}

/// `struct ifa_msghdr` (`net/if.h`): an address of an interface came or went; socket addresses follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IfaMsghdr {
    /// Size of the whole message, in bytes.
    pub ifam_msglen: u16,
    /// `RTM_VERSION`.
    pub ifam_version: u8,
    /// `RTM_NEWADDR`, `RTM_DELADDR` or any other message.
    pub ifam_type: u8,
    /// Which socket addresses follow, as `RTA_*`.
    pub ifam_addrs: u32,
    /// `IFA_*`.
    pub ifam_flags: u32,
    /// Index of the interface.
    pub ifam_index: u16,
    /// Unused.
    pub ifam_spare1: u16,
    /// Metric.
    pub ifam_metric: i32,
}
