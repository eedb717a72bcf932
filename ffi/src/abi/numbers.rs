//! FreeBSD's numbers, by the names that its headers give them.

use super::facts::{Fact, check};
use super::ioctl::Ioctl;
use super::structs::{
    IfgroupreqGroup, IfgroupreqMembers, Ifreq, IfreqAddr, IfreqBuffer, IfreqFlags, IfreqNumber, In6Aliasreq,
    In6IfreqAddr, In6Ndireq, InAliasreq,
};

numbers! {
    "net/if.h" {
        /// Room for an interface's name with its NUL, in bytes.
        IFNAMSIZ: usize = 16;
        IFF_UP: u32 = 0x1;
        /// The interface can send: a gif has outer addresses, and the source is this host's.
        IFF_DRV_RUNNING: u32 = 0x40;
    }
    "net/if_mib.h" {
        /// The branch of sysctl(3) with the data of each interface, by its index.
        NETLINK_GENERIC: i32 = 0;
        IFMIB_IFDATA: i32 = 2;
        IFDATA_GENERAL: i32 = 1;
    }
    "sys/socket.h" {
        /// The socket option that makes the next read fail with ENOBUFS if the kernel had no room for a message.
        SO_RERROR: i32 = 0x2_0000;
        AF_INET: u8 = 2;
        AF_INET6: u8 = 28;
        AF_NETGRAPH: u8 = 32;
    }
    "netinet6/nd6.h" {
        /// IPv6 is off on the interface.
        ND6_IFF_IFDISABLED: u32 = 0x8;
        /// The kernel adds a link-local address.
        ND6_IFF_AUTO_LINKLOCAL: u32 = 0x20;
        /// The lifetime of a permanent address.
        ND6_INFINITE_LIFETIME: u32 = 0xffff_ffff;
    }
    "netgraph/ng_socket.h" {
        /// The protocol of the netgraph sockets that carry messages.
        NG_CONTROL: u8 = 2;
    }
    "netgraph/ng_message.h" {
        NG_VERSION: u8 = 8;
        /// The message is a reply.
        NGF_RESP: u32 = 1;
        NG_TYPESIZ: usize = 32;
        NG_HOOKSIZ: usize = 32;
        NG_CMDSTRSIZ: usize = 32;
        /// The commands that every node knows.
        NGM_GENERIC_COOKIE: u32 = 0x43c6_511e;
        NGM_SHUTDOWN: u32 = 1;
        NGM_MKPEER: u32 = 2;
        NGM_LISTNODES: u32 = 0x3000_0009;
    }
    "netgraph/ng_ksocket.h" {
        NGM_KSOCKET_COOKIE: u32 = 0x3830_9f8d;
        NGM_KSOCKET_BIND: u32 = 1;
        NGM_KSOCKET_CONNECT: u32 = 4;
        NGM_KSOCKET_GETNAME: u32 = 5;
        NGM_KSOCKET_GETPEERNAME: u32 = 6;
    }
    "netgraph/ng_iface.h" {
        NGM_IFACE_COOKIE: u32 = 0x420f_81ef;
        NGM_IFACE_GET_IFNAME: u32 = 1;
    }
    "net/route.h" {
        RTM_VERSION: u8 = 5;
        RTM_NEWADDR: u8 = 12;
        RTM_DELADDR: u8 = 13;
        /// The address of the interface is among those that follow the header.
        RTA_IFA: u32 = 0x20;
    }
    "netinet/icmp6.h" {
        /// The socket option that selects the types of ICMPv6 that a raw socket receives.
        ICMP6_FILTER: i32 = 18;
    }
}

// NAME: argument = number | its number on i386;
ioctls! {
    /// Creates an interface. The kernel adds the unit number to the name.
    SIOCIFCREATE2: Ifreq = 0xc020_697c;
    SIOCIFDESTROY: Ifreq = 0x8020_6979;
    /// Sets the outer addresses of a tunnel.
    SIOCSIFPHYADDR: InAliasreq = 0x8044_6946;
    /// Gets this host's end of a gif.
    SIOCGIFPSRCADDR: IfreqAddr = 0xc020_6947;
    /// Gets the far end of a gif.
    SIOCGIFPDSTADDR: IfreqAddr = 0xc020_6948;
    SIOCSIFMTU: IfreqNumber = 0x8020_6934;
    SIOCGIFFLAGS: IfreqFlags = 0xc020_6911;
    SIOCSIFFLAGS: IfreqFlags = 0x8020_6910;
    /// Renames an interface.
    SIOCSIFNAME: Ifreq = 0x8020_6928;
    SIOCGIFINDEX: IfreqNumber = 0xc020_6920;
    /// Gets the FIB of the packets that leave through an interface.
    SIOCGIFFIB: IfreqNumber = 0xc020_695c;
    SIOCSIFDESCR: IfreqBuffer = 0x8020_6929;
    SIOCGIFDESCR: IfreqBuffer = 0xc020_692a;
    SIOCAIFGROUP: IfgroupreqGroup = 0x8028_6987 | 0x8024_6987;
    SIOCGIFGMEMB: IfgroupreqMembers = 0xc028_698a | 0xc024_698a;
    SIOCAIFADDR_IN6: In6Aliasreq = 0x8088_691b | 0x807c_691b;
    SIOCDIFADDR_IN6: In6IfreqAddr = 0x8120_6919;
    /// Gets the parameters of neighbour discovery on an interface, `ND6_IFF_IFDISABLED` among them.
    SIOCGIFINFO_IN6: In6Ndireq = 0xc048_696c;
    SIOCSIFINFO_IN6: In6Ndireq = 0xc048_696d;
}
