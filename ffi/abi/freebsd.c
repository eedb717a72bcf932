/*
 * What the Rust side of this crate believes of FreeBSD's headers, put to the
 * headers themselves. To compile this file for an architecture is to check it:
 *
 *	cc -fsyntax-only freebsd.c
 *
 * The facts are those of ../src/abi/facts.rs: ../tests/abi.rs fails when one is
 * here and not there, or there and not here. Each comes with its value for
 * 64-bit architectures, and that for i386.
 */
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <net/if.h>
#include <net/route.h>
#include <netgraph/ng_iface.h>
#include <netgraph/ng_ksocket.h>
#include <netgraph/ng_message.h>
#include <netgraph/ng_socket.h>
#include <netinet/in.h>
#include <netinet/in_var.h>
#include <netinet6/nd6.h>

#include <stddef.h>

/* Added to every value, so that one can see each assertion fail. */
#ifndef WRONG_BY
#define	WRONG_BY 0
#endif

#ifdef __i386__
#define	VALUE(lp64, i386) ((i386) + WRONG_BY)
#else
#define	VALUE(lp64, i386) ((lp64) + WRONG_BY)
#endif

#define	SIZE(type, lp64, i386)						\
	_Static_assert(sizeof(type) == VALUE(lp64, i386), "size of " #type);
#define	ALIGN(type, lp64, i386)						\
	_Static_assert(_Alignof(type) == VALUE(lp64, i386), "alignment of " #type);
#define	OFFSET(type, field, lp64, i386)					\
	_Static_assert(offsetof(type, field) == VALUE(lp64, i386),	\
	    "offset of " #type "." #field);
#define	CONST(name, lp64, i386)						\
	_Static_assert((name) == VALUE(lp64, i386), "value of " #name);

SIZE(struct sockaddr_in, 16, 16)
ALIGN(struct sockaddr_in, 4, 4)
OFFSET(struct sockaddr_in, sin_len, 0, 0)
OFFSET(struct sockaddr_in, sin_family, 1, 1)
OFFSET(struct sockaddr_in, sin_port, 2, 2)
OFFSET(struct sockaddr_in, sin_addr, 4, 4)

SIZE(struct sockaddr_in6, 28, 28)
ALIGN(struct sockaddr_in6, 4, 4)
OFFSET(struct sockaddr_in6, sin6_len, 0, 0)
OFFSET(struct sockaddr_in6, sin6_family, 1, 1)
OFFSET(struct sockaddr_in6, sin6_port, 2, 2)
OFFSET(struct sockaddr_in6, sin6_flowinfo, 4, 4)
OFFSET(struct sockaddr_in6, sin6_addr, 8, 8)
OFFSET(struct sockaddr_in6, sin6_scope_id, 24, 24)

SIZE(struct ifreq, 32, 32)
ALIGN(struct ifreq, 8, 4)
OFFSET(struct ifreq, ifr_name, 0, 0)
OFFSET(struct ifreq, ifr_ifru, 16, 16)
OFFSET(struct ifreq, ifr_flags, 16, 16)
OFFSET(struct ifreq, ifr_flagshigh, 18, 18)
OFFSET(struct ifreq, ifr_mtu, 16, 16)
OFFSET(struct ifreq, ifr_buffer.length, 16, 16)
OFFSET(struct ifreq, ifr_buffer.buffer, 24, 20)

SIZE(struct in_aliasreq, 68, 68)
ALIGN(struct in_aliasreq, 4, 4)
OFFSET(struct in_aliasreq, ifra_name, 0, 0)
OFFSET(struct in_aliasreq, ifra_addr, 16, 16)
OFFSET(struct in_aliasreq, ifra_dstaddr, 32, 32)
OFFSET(struct in_aliasreq, ifra_mask, 48, 48)
OFFSET(struct in_aliasreq, ifra_vhid, 64, 64)

SIZE(struct in6_addrlifetime, 24, 16)
ALIGN(struct in6_addrlifetime, 8, 4)
OFFSET(struct in6_addrlifetime, ia6t_expire, 0, 0)
OFFSET(struct in6_addrlifetime, ia6t_preferred, 8, 4)
OFFSET(struct in6_addrlifetime, ia6t_vltime, 16, 8)
OFFSET(struct in6_addrlifetime, ia6t_pltime, 20, 12)

SIZE(struct in6_aliasreq, 136, 124)
ALIGN(struct in6_aliasreq, 8, 4)
OFFSET(struct in6_aliasreq, ifra_name, 0, 0)
OFFSET(struct in6_aliasreq, ifra_addr, 16, 16)
OFFSET(struct in6_aliasreq, ifra_dstaddr, 44, 44)
OFFSET(struct in6_aliasreq, ifra_prefixmask, 72, 72)
OFFSET(struct in6_aliasreq, ifra_flags, 100, 100)
OFFSET(struct in6_aliasreq, ifra_lifetime, 104, 104)
OFFSET(struct in6_aliasreq, ifra_vhid, 128, 120)

SIZE(struct in6_ifreq, 288, 288)
ALIGN(struct in6_ifreq, 8, 4)
OFFSET(struct in6_ifreq, ifr_name, 0, 0)
OFFSET(struct in6_ifreq, ifr_ifru, 16, 16)
OFFSET(struct in6_ifreq, ifr_addr, 16, 16)

SIZE(struct nd_ifinfo, 56, 56)
ALIGN(struct nd_ifinfo, 4, 4)
OFFSET(struct nd_ifinfo, flags, 20, 20)

SIZE(struct in6_ndireq, 72, 72)
ALIGN(struct in6_ndireq, 4, 4)
OFFSET(struct in6_ndireq, ifname, 0, 0)
OFFSET(struct in6_ndireq, ndi, 16, 16)
OFFSET(struct in6_ndireq, ndi.flags, 36, 36)

SIZE(struct ifgroupreq, 40, 36)
ALIGN(struct ifgroupreq, 8, 4)
OFFSET(struct ifgroupreq, ifgr_name, 0, 0)
OFFSET(struct ifgroupreq, ifgr_len, 16, 16)
OFFSET(struct ifgroupreq, ifgr_ifgru, 24, 20)
OFFSET(struct ifgroupreq, ifgr_group, 24, 20)
OFFSET(struct ifgroupreq, ifgr_groups, 24, 20)

SIZE(struct ifg_req, 16, 16)
ALIGN(struct ifg_req, 1, 1)
OFFSET(struct ifg_req, ifgrq_member, 0, 0)

SIZE(struct sockaddr_ng, 34, 34)
ALIGN(struct sockaddr_ng, 1, 1)
OFFSET(struct sockaddr_ng, sg_len, 0, 0)
OFFSET(struct sockaddr_ng, sg_family, 1, 1)
OFFSET(struct sockaddr_ng, sg_data, 2, 2)

SIZE(struct ng_mesg, 56, 56)
ALIGN(struct ng_mesg, 4, 4)
OFFSET(struct ng_mesg, header.version, 0, 0)
OFFSET(struct ng_mesg, header.spare, 1, 1)
OFFSET(struct ng_mesg, header.spare2, 2, 2)
OFFSET(struct ng_mesg, header.arglen, 4, 4)
OFFSET(struct ng_mesg, header.cmd, 8, 8)
OFFSET(struct ng_mesg, header.flags, 12, 12)
OFFSET(struct ng_mesg, header.token, 16, 16)
OFFSET(struct ng_mesg, header.typecookie, 20, 20)
OFFSET(struct ng_mesg, header.cmdstr, 24, 24)
OFFSET(struct ng_mesg, data, 56, 56)

SIZE(struct ngm_mkpeer, 96, 96)
ALIGN(struct ngm_mkpeer, 1, 1)
OFFSET(struct ngm_mkpeer, type, 0, 0)
OFFSET(struct ngm_mkpeer, ourhook, 32, 32)
OFFSET(struct ngm_mkpeer, peerhook, 64, 64)

SIZE(struct ngm_rmhook, 32, 32)
ALIGN(struct ngm_rmhook, 1, 1)
OFFSET(struct ngm_rmhook, ourhook, 0, 0)

SIZE(struct ifa_msghdr, 20, 20)
ALIGN(struct ifa_msghdr, 4, 4)
OFFSET(struct ifa_msghdr, ifam_msglen, 0, 0)
OFFSET(struct ifa_msghdr, ifam_version, 2, 2)
OFFSET(struct ifa_msghdr, ifam_type, 3, 3)
OFFSET(struct ifa_msghdr, ifam_addrs, 4, 4)
OFFSET(struct ifa_msghdr, ifam_flags, 8, 8)
OFFSET(struct ifa_msghdr, ifam_index, 12, 12)
OFFSET(struct ifa_msghdr, ifam_metric, 16, 16)

CONST(IFNAMSIZ, 0x10, 0x10)
CONST(AF_INET, 0x2, 0x2)
CONST(AF_INET6, 0x1c, 0x1c)
CONST(AF_NETGRAPH, 0x20, 0x20)
CONST(PF_ROUTE, 0x11, 0x11)
CONST(SIOCIFCREATE2, 0xc020697c, 0xc020697c)
CONST(SIOCIFDESTROY, 0x80206979, 0x80206979)
CONST(SIOCSIFPHYADDR, 0x80446946, 0x80446946)
CONST(SIOCSIFMTU, 0x80206934, 0x80206934)
CONST(SIOCGIFFLAGS, 0xc0206911, 0xc0206911)
CONST(SIOCSIFFLAGS, 0x80206910, 0x80206910)
CONST(SIOCSIFDESCR, 0x80206929, 0x80206929)
CONST(SIOCGIFDESCR, 0xc020692a, 0xc020692a)
CONST(SIOCAIFGROUP, 0x80286987, 0x80246987)
CONST(SIOCGIFGMEMB, 0xc028698a, 0xc024698a)
CONST(SIOCAIFADDR_IN6, 0x8088691b, 0x807c691b)
CONST(SIOCDIFADDR_IN6, 0x81206919, 0x81206919)
CONST(SIOCGIFINFO_IN6, 0xc048696c, 0xc048696c)
CONST(SIOCSIFINFO_IN6, 0xc048696d, 0xc048696d)
CONST(IFF_UP, 0x1, 0x1)
CONST(IFF_DRV_RUNNING, 0x40, 0x40)
CONST(ND6_IFF_IFDISABLED, 0x8, 0x8)
CONST(ND6_INFINITE_LIFETIME, 0xffffffff, 0xffffffff)
CONST(NG_CONTROL, 0x2, 0x2)
CONST(NG_VERSION, 0x8, 0x8)
CONST(NGF_RESP, 0x1, 0x1)
CONST(NG_TYPESIZ, 0x20, 0x20)
CONST(NG_HOOKSIZ, 0x20, 0x20)
CONST(NG_CMDSTRSIZ, 0x20, 0x20)
CONST(NGM_GENERIC_COOKIE, 0x43c6511e, 0x43c6511e)
CONST(NGM_SHUTDOWN, 0x1, 0x1)
CONST(NGM_MKPEER, 0x2, 0x2)
CONST(NGM_RMHOOK, 0x5, 0x5)
CONST(NGM_KSOCKET_COOKIE, 0x38309f8d, 0x38309f8d)
CONST(NGM_KSOCKET_BIND, 0x1, 0x1)
CONST(NGM_KSOCKET_CONNECT, 0x4, 0x4)
CONST(NGM_IFACE_COOKIE, 0x420f81ef, 0x420f81ef)
CONST(NGM_IFACE_GET_IFNAME, 0x1, 0x1)
CONST(RTM_VERSION, 0x5, 0x5)
CONST(RTM_NEWADDR, 0xc, 0xc)
CONST(RTM_DELADDR, 0xd, 0xd)
CONST(RTA_IFA, 0x20, 0x20)
