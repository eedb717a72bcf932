//! FreeBSD's structs. A struct with a union has a form for each use of it.

use std::mem::offset_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::facts::{Fact, check};
use super::ioctl::{Argument, Length, Pointer};
use super::numbers::{IFNAMSIZ, NG_CMDSTRSIZ, NG_HOOKSIZ, NG_TYPESIZ};

/// An interface's name, padded with NULs.
pub type Ifname = [u8; IFNAMSIZ];

/// `time_t`, in seconds: 64 bits wide, except on i386.
#[cfg(not(target_arch = "x86"))]
pub type Time = i64;
/// `time_t`, in seconds: 32 bits wide on i386.
#[cfg(target_arch = "x86")]
pub type Time = i32;

/// The widths of a pointer and of an `int`, in bytes.
const POINTER: usize = size_of::<usize>();
const INT: usize = size_of::<u32>();
/// The size of the union in an `ifreq`: that of a `struct sockaddr`.
const IFRU: usize = 16;

// NAME: "its name in C", size, align { field: type => offset, "its path in C if that is not its name"; }
// A second number is that of i386. A field without an offset is padding, or is passed on as it came.
// A pointer and the length of what it points to have types of their own: see `Argument`.
structs! {
    /// An IPv4 address and port (`netinet/in.h`), both in network byte order.
    SockaddrIn: "struct sockaddr_in", size 16, align 4 {
        sin_len: u8 => 0;
        sin_family: u8 => 1;
        sin_port: u16 => 2;
        sin_addr: u32 => 4;
        sin_zero: [u8; 8];
    }

    /// An IPv6 address and port (`netinet6/in6.h`), both in network byte order.
    SockaddrIn6: "struct sockaddr_in6", size 28, align 4 {
        sin6_len: u8 => 0;
        sin6_family: u8 => 1;
        sin6_port: u16 => 2;
        sin6_flowinfo: u32 => 4;
        sin6_addr: [u8; 16] => 8;
        sin6_scope_id: u32 => 24;
    }

    /// A request about an interface (`net/if.h`), with its name and optional data.
    Ifreq: "struct ifreq", size 32, align 8 | 4 {
        ifr_name: Ifname => 0;
        ifr_data: Pointer => 16;
        rest: [u8; IFRU - POINTER];
    }

    /// An `ifreq` with the interface's flags, in two halves of 16 bits.
    IfreqFlags: "struct ifreq", size 32, align 8 | 4 {
        ifr_name: Ifname => 0;
        ifr_flags: u16 => 16;
        ifr_flagshigh: u16 => 18;
        rest: [u8; IFRU - INT];
    }

    /// An `ifreq` with a number, such as the MTU in bytes.
    IfreqNumber: "struct ifreq", size 32, align 8 | 4 {
        ifr_name: Ifname => 0;
        number: i32 => 16, "ifr_mtu";
        rest: [u8; IFRU - INT];
    }

    /// An `ifreq` with an IPv4 address.
    IfreqAddr: "struct ifreq", size 32, align 8 | 4 {
        ifr_name: Ifname => 0;
        ifr_addr: SockaddrIn => 16;
    }

    /// An `ifreq` with a buffer.
    IfreqBuffer: "struct ifreq", size 32, align 8 | 4 {
        ifr_name: Ifname => 0;
        length: Length<usize> => 16, "ifr_buffer.length";
        buffer: Pointer => 24 | 20, "ifr_buffer.buffer";
        rest: [u8; IFRU - 2 * POINTER];
    }

    /// An interface with two IPv4 addresses and a mask (`netinet/in_var.h`).
    InAliasreq: "struct in_aliasreq", size 68, align 4 {
        ifra_name: Ifname => 0;
        ifra_addr: SockaddrIn => 16;
        ifra_dstaddr: SockaddrIn => 32;
        ifra_mask: SockaddrIn => 48;
        ifra_vhid: i32 => 64;
    }

    /// The lifetimes of an IPv6 address (`netinet6/in6_var.h`), in seconds. The kernel sets the first two, counted from
    /// boot; the others are counted from now.
    In6Addrlifetime: "struct in6_addrlifetime", size 24 | 16, align 8 | 4 {
        ia6t_expire: Time => 0;
        ia6t_preferred: Time => 8 | 4;
        ia6t_vltime: u32 => 16 | 8;
        ia6t_pltime: u32 => 20 | 12;
    }

    /// An interface with an IPv6 address, its peer and a prefix as a mask (`netinet6/in6_var.h`).
    In6Aliasreq: "struct in6_aliasreq", size 136 | 124, align 8 | 4 {
        ifra_name: Ifname => 0;
        ifra_addr: SockaddrIn6 => 16;
        ifra_dstaddr: SockaddrIn6 => 44;
        ifra_prefixmask: SockaddrIn6 => 72;
        ifra_flags: i32 => 100;
        ifra_lifetime: In6Addrlifetime => 104;
        ifra_vhid: i32 => 128 | 120;
        padding: [u8; size_of::<Time>() - INT];
    }

    /// A request about an IPv6 address of an interface (`netinet6/in6_var.h`).
    In6IfreqAddr: "struct in6_ifreq", size 288, align 8 | 4 {
        ifr_name: Ifname => 0;
        ifr_addr: SockaddrIn6 => 16;
        rest: [u8; 244];
    }

    /// Neighbour discovery on an interface (`netinet6/nd6.h`).
    NdIfinfo: "struct nd_ifinfo", size 56, align 4 {
        timing: [u32; 5];
        flags: u32 => 20;
        rest: [u32; 8];
    }

    /// An interface with its neighbour discovery (`netinet6/nd6.h`).
    In6Ndireq: "struct in6_ndireq", size 72, align 4 {
        ifname: Ifname => 0;
        ndi: NdIfinfo => 16;
    }

    /// An interface and a group (`net/if.h`).
    IfgroupreqGroup: "struct ifgroupreq", size 40 | 36, align 8 | 4 {
        ifgr_name: Ifname => 0;
        ifgr_len: u32 => 16;
        padding: [u8; POINTER - INT];
        ifgr_group: Ifname => 24 | 20;
    }

    /// A group, in `ifgr_name`, and a buffer for a list of its members, as [`IfgReq`].
    IfgroupreqMembers: "struct ifgroupreq", size 40 | 36, align 8 | 4 {
        ifgr_name: Ifname => 0;
        ifgr_len: Length<u32> => 16;
        padding: [u8; POINTER - INT];
        ifgr_groups: Pointer => 24 | 20;
        rest: [u8; IFNAMSIZ - POINTER];
    }

    /// A member of a group (`net/if.h`).
    IfgReq: "struct ifg_req", size 16, align 1 {
        ifgrq_member: Ifname => 0;
    }

    /// The address of a netgraph node, as text with a NUL (`netgraph/ng_socket.h`). It is 16 bytes long on FreeBSD 13,
    /// but the kernel of 13 and later uses `sg_len`.
    SockaddrNg: "struct sockaddr_ng", size 34, align 1 {
        sg_len: u8 => 0;
        sg_family: u8 => 1;
        sg_data: [u8; 32] => 2;
    }

    /// The header of a netgraph message (`netgraph/ng_message.h`), followed by `arglen` bytes of arguments. `cmd` is a
    /// command of `typecookie`; an answer has the `token` of its command; `cmdstr` is only for humans.
    NgMesg: "struct ng_mesg", size 56, align 4 {
        version: u8 => 0, "header.version";
        spare: u8 => 1, "header.spare";
        spare2: u16 => 2, "header.spare2";
        arglen: u32 => 4, "header.arglen";
        cmd: u32 => 8, "header.cmd";
        flags: u32 => 12, "header.flags";
        token: u32 => 16, "header.token";
        typecookie: u32 => 20, "header.typecookie";
        cmdstr: [u8; NG_CMDSTRSIZ] => 24, "header.cmdstr";
    }

    /// Makes a node of this type and connects a hook of it to one of the node that is addressed
    /// (`netgraph/ng_message.h`).
    NgmMkpeer: "struct ngm_mkpeer", size 96, align 1 {
        r#type: [u8; NG_TYPESIZ] => 0, "type";
        ourhook: [u8; NG_HOOKSIZ] => 32;
        peerhook: [u8; NG_HOOKSIZ] => 64;
    }

    /// A node of a list (`netgraph/ng_message.h`).
    Nodeinfo: "struct nodeinfo", size 72, align 4 {
        name: [u8; 32] => 0;
        r#type: [u8; NG_TYPESIZ] => 32, "type";
        id: u32 => 64;
        hooks: u32 => 68;
    }

    /// The data of an interface (`net/if_mib.h`), with its counters of packets and octets.
    Ifmibdata: "struct ifmibdata", size 208 | 204, align 8 | 4 {
        ifmd_name: Ifname => 0;
        queue: [u32; 9];
        padding: [u8; POINTER - INT];
        link: [u32; 4];
        ifi_baudrate: u64;
        ifi_ipackets: u64 => 80 | 76, "ifmd_data.ifi_ipackets";
        ifi_ierrors: u64;
        ifi_opackets: u64 => 96 | 92, "ifmd_data.ifi_opackets";
        errors: [u64; 2];
        ifi_ibytes: u64 => 120 | 116, "ifmd_data.ifi_ibytes";
        ifi_obytes: u64 => 128 | 124, "ifmd_data.ifi_obytes";
        rest: [u64; 9];
    }

    /// A time in seconds and microseconds (`sys/_timeval.h`).
    Timeval: "struct timeval", size 16 | 8, align 8 | 4 {
        tv_sec: Time => 0;
        tv_usec: Time => 8 | 4;
    }

    /// The header of a routing message about an address of an interface (`net/if.h`), `ifam_msglen` bytes long with the
    /// socket addresses that follow, as `ifam_addrs` (`RTA_*`) lists them.
    IfaMsghdr: "struct ifa_msghdr", size 20, align 4 {
        ifam_msglen: u16 => 0;
        ifam_version: u8 => 2;
        ifam_type: u8 => 3;
        ifam_addrs: u32 => 4;
        ifam_flags: u32 => 8;
        ifam_index: u16 => 12;
        ifam_spare1: u16;
        ifam_metric: i32 => 16;
    }
}
