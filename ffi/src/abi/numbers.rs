//! FreeBSD's numbers, by the names that its headers give them.

use super::ioctl::Ioctl;
use super::{Ifgroupreq, Ifreq, In6Aliasreq, In6Ifreq, In6Ndireq, InAliasreq};

/// Room for an interface's name with its NUL (`net/if.h`).
pub const IFNAMSIZ: usize = 16;

/// IPv4 (`sys/socket.h`).
pub const AF_INET: u8 = 2;
/// IPv6 (`sys/socket.h`).
pub const AF_INET6: u8 = 28;
/// Netgraph (`netgraph/ng_socket.h`).
pub const AF_NETGRAPH: u8 = 32;
/// Routing messages (`sys/socket.h`).
pub const PF_ROUTE: u8 = 17;

/// Makes an interface; the kernel fills the unit number in.
pub const SIOCIFCREATE2: Ioctl<Ifreq> = Ioctl::read_write("SIOCIFCREATE2", b'i', 124);
/// Destroys an interface.
pub const SIOCIFDESTROY: Ioctl<Ifreq> = Ioctl::write("SIOCIFDESTROY", b'i', 121);
/// Sets the outer addresses of a tunnel.
pub const SIOCSIFPHYADDR: Ioctl<InAliasreq> = Ioctl::write("SIOCSIFPHYADDR", b'i', 70);
/// Sets the MTU.
pub const SIOCSIFMTU: Ioctl<Ifreq> = Ioctl::write("SIOCSIFMTU", b'i', 52);
/// Gets the flags.
pub const SIOCGIFFLAGS: Ioctl<Ifreq> = Ioctl::read_write("SIOCGIFFLAGS", b'i', 17);
/// Sets the flags.
pub const SIOCSIFFLAGS: Ioctl<Ifreq> = Ioctl::write("SIOCSIFFLAGS", b'i', 16);
/// Sets the description.
pub const SIOCSIFDESCR: Ioctl<Ifreq> = Ioctl::write("SIOCSIFDESCR", b'i', 41);
/// Gets the description.
pub const SIOCGIFDESCR: Ioctl<Ifreq> = Ioctl::read_write("SIOCGIFDESCR", b'i', 42);
/// Puts an interface into a group.
pub const SIOCAIFGROUP: Ioctl<Ifgroupreq> = Ioctl::write("SIOCAIFGROUP", b'i', 135);
/// Lists the interfaces of a group.
pub const SIOCGIFGMEMB: Ioctl<Ifgroupreq> = Ioctl::read_write("SIOCGIFGMEMB", b'i', 138);
/// Adds an IPv6 address.
pub const SIOCAIFADDR_IN6: Ioctl<In6Aliasreq> = Ioctl::write("SIOCAIFADDR_IN6", b'i', 27);
/// Removes an IPv6 address.
pub const SIOCDIFADDR_IN6: Ioctl<In6Ifreq> = Ioctl::write("SIOCDIFADDR_IN6", b'i', 25);
/// Gets how neighbour discovery works on an interface.
pub const SIOCGIFINFO_IN6: Ioctl<In6Ndireq> = Ioctl::read_write("SIOCGIFINFO_IN6", b'i', 108);
/// Sets how neighbour discovery works on an interface.
pub const SIOCSIFINFO_IN6: Ioctl<In6Ndireq> = Ioctl::read_write("SIOCSIFINFO_IN6", b'i', 109);

/// The interface is up (`net/if.h`).
pub const IFF_UP: u32 = 0x1;
/// The interface can send: for a gif, it has outer addresses, and the source is this host's (`net/if.h`).
pub const IFF_DRV_RUNNING: u32 = 0x40;
/// IPv6 is off on the interface (`netinet6/nd6.h`).
pub const ND6_IFF_IFDISABLED: u32 = 0x8;
/// An address with this lifetime stays (`netinet6/nd6.h`).
pub const ND6_INFINITE_LIFETIME: u32 = 0xffff_ffff;

/// Protocol of the netgraph sockets that carry messages (`netgraph/ng_socket.h`).
pub const NG_CONTROL: u8 = 2;
/// Version of netgraph's messages (`netgraph/ng_message.h`).
pub const NG_VERSION: u8 = 8;
/// The message is a reply (`netgraph/ng_message.h`).
pub const NGF_RESP: u32 = 1;
/// Room for a node type's name with its NUL.
pub const NG_TYPESIZ: usize = 32;
/// Room for a hook's name with its NUL.
pub const NG_HOOKSIZ: usize = 32;
/// Room for a command's name with its NUL.
pub const NG_CMDSTRSIZ: usize = 32;

/// Commands that every node knows (`netgraph/ng_message.h`).
pub const NGM_GENERIC_COOKIE: u32 = 0x43c6_511e;
/// Shut a node down.
pub const NGM_SHUTDOWN: u32 = 1;
/// Make a node and connect to it.
pub const NGM_MKPEER: u32 = 2;
/// Take a hook off.
pub const NGM_RMHOOK: u32 = 5;

/// List all nodes.
pub const NGM_LISTNODES: u32 = 9;

/// Commands of `ng_ksocket(4)` (`netgraph/ng_ksocket.h`).
pub const NGM_KSOCKET_COOKIE: u32 = 0x3830_9f8d;
/// bind(2).
pub const NGM_KSOCKET_BIND: u32 = 1;
/// connect(2).
pub const NGM_KSOCKET_CONNECT: u32 = 4;
/// getsockname(2).
pub const NGM_KSOCKET_GETNAME: u32 = 5;
/// getpeername(2).
pub const NGM_KSOCKET_GETPEERNAME: u32 = 6;

/// Commands of `ng_iface(4)` (`netgraph/ng_iface.h`).
pub const NGM_IFACE_COOKIE: u32 = 0x420f_81ef;
/// Tell the interface's name.
pub const NGM_IFACE_GET_IFNAME: u32 = 1;

/// Version of routing messages (`net/route.h`).
pub const RTM_VERSION: u8 = 5;
/// An interface has a new address (`net/route.h`).
pub const RTM_NEWADDR: u8 = 12;
/// An interface has lost an address (`net/route.h`).
pub const RTM_DELADDR: u8 = 13;
/// The address of the interface is among those that follow (`net/route.h`).
pub const RTA_IFA: u32 = 0x20;

/// The socket option that says which types of ICMPv6 a raw socket receives (`netinet/icmp6.h`).
pub const ICMP6_FILTER: i32 = 18;
