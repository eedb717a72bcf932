//! FreeBSD's numbers, by the names that its headers give them.

use super::facts::{Fact, check};
use super::ioctl::Ioctl;
use super::structs::{
    IfgroupreqGroup, IfgroupreqMembers, Ifreq, IfreqBuffer, IfreqFlags, IfreqMtu, In6Aliasreq, In6IfreqAddr,
    In6Ndireq, InAliasreq,
};

numbers! {
    /// Room for an interface's name with its NUL (`net/if.h`).
    IFNAMSIZ: usize = 16;

    /// IPv4 (`sys/socket.h`).
    AF_INET: u8 = 2;
    /// IPv6 (`sys/socket.h`).
    AF_INET6: u8 = 28;
    /// Netgraph (`netgraph/ng_socket.h`).
    AF_NETGRAPH: u8 = 32;

    /// The interface is up (`net/if.h`).
    IFF_UP: u32 = 0x1;
    /// The interface can send: a gif has outer addresses, and the source is this host's (`net/if.h`).
    IFF_DRV_RUNNING: u32 = 0x40;
    /// IPv6 is off on the interface (`netinet6/nd6.h`).
    ND6_IFF_IFDISABLED: u32 = 0x8;
    /// The lifetime of an address that stays (`netinet6/nd6.h`).
    ND6_INFINITE_LIFETIME: u32 = 0xffff_ffff;

    /// Protocol of the netgraph sockets that carry messages (`netgraph/ng_socket.h`).
    NG_CONTROL: u8 = 2;
    /// Version of netgraph's messages (`netgraph/ng_message.h`).
    NG_VERSION: u8 = 8;
    /// The message is a reply (`netgraph/ng_message.h`).
    NGF_RESP: u32 = 1;
    /// Room for a node type's name with its NUL.
    NG_TYPESIZ: usize = 32;
    /// Room for a hook's name with its NUL.
    NG_HOOKSIZ: usize = 32;
    /// Room for a command's name with its NUL.
    NG_CMDSTRSIZ: usize = 32;

    /// Commands that every node knows (`netgraph/ng_message.h`).
    NGM_GENERIC_COOKIE: u32 = 0x43c6_511e;
    /// Shuts a node down.
    NGM_SHUTDOWN: u32 = 1;
    /// Makes a node and connects to it.
    NGM_MKPEER: u32 = 2;

    /// List all nodes.
    NGM_LISTNODES: u32 = 9;

    /// Commands of `ng_ksocket(4)` (`netgraph/ng_ksocket.h`).
    NGM_KSOCKET_COOKIE: u32 = 0x3830_9f8d;
    /// bind(2).
    NGM_KSOCKET_BIND: u32 = 1;
    /// connect(2).
    NGM_KSOCKET_CONNECT: u32 = 4;
    /// getsockname(2).
    NGM_KSOCKET_GETNAME: u32 = 5;
    /// getpeername(2).
    NGM_KSOCKET_GETPEERNAME: u32 = 6;

    /// Commands of `ng_iface(4)` (`netgraph/ng_iface.h`).
    NGM_IFACE_COOKIE: u32 = 0x420f_81ef;
    /// Answers with the interface's name.
    NGM_IFACE_GET_IFNAME: u32 = 1;

    /// Version of routing messages (`net/route.h`).
    RTM_VERSION: u8 = 5;
    /// An interface has a new address (`net/route.h`).
    RTM_NEWADDR: u8 = 12;
    /// An interface has lost an address (`net/route.h`).
    RTM_DELADDR: u8 = 13;
    /// The address of the interface is among those that follow (`net/route.h`).
    RTA_IFA: u32 = 0x20;

    /// The socket option that selects the types of ICMPv6 that a raw socket receives (`netinet/icmp6.h`).
    ICMP6_FILTER: i32 = 18;
}

// NAME: argument = number | its number on i386;
ioctls! {
    /// Makes an interface; the kernel fills the unit number in.
    SIOCIFCREATE2: Ifreq = 0xc020_697c;
    /// Destroys an interface.
    SIOCIFDESTROY: Ifreq = 0x8020_6979;
    /// Sets the outer addresses of a tunnel.
    SIOCSIFPHYADDR: InAliasreq = 0x8044_6946;
    /// Sets the MTU.
    SIOCSIFMTU: IfreqMtu = 0x8020_6934;
    /// Gets the flags.
    SIOCGIFFLAGS: IfreqFlags = 0xc020_6911;
    /// Sets the flags.
    SIOCSIFFLAGS: IfreqFlags = 0x8020_6910;
    /// Sets the description.
    SIOCSIFDESCR: IfreqBuffer = 0x8020_6929;
    /// Gets the description.
    SIOCGIFDESCR: IfreqBuffer = 0xc020_692a;
    /// Puts an interface into a group.
    SIOCAIFGROUP: IfgroupreqGroup = 0x8028_6987 | 0x8024_6987;
    /// Lists the interfaces of a group.
    SIOCGIFGMEMB: IfgroupreqMembers = 0xc028_698a | 0xc024_698a;
    /// Adds an IPv6 address.
    SIOCAIFADDR_IN6: In6Aliasreq = 0x8088_691b | 0x807c_691b;
    /// Removes an IPv6 address.
    SIOCDIFADDR_IN6: In6IfreqAddr = 0x8120_6919;
    /// Gets how neighbour discovery works on an interface.
    SIOCGIFINFO_IN6: In6Ndireq = 0xc048_696c;
    /// Sets how neighbour discovery works on an interface.
    SIOCSIFINFO_IN6: In6Ndireq = 0xc048_696d;
}
