//! What FreeBSD's headers say of all that [`abi`](super) holds.
//!
//! [`FACTS`] is the one list of it. Each entry is asserted at compile time against this crate's own structs
//! and numbers; a test compares the list with what a C compiler made of FreeBSD's headers.

use std::fmt;
use std::mem::offset_of;

use super::numbers::{
    AF_INET, AF_INET6, AF_NETGRAPH, IFF_DRV_RUNNING, IFF_UP, IFNAMSIZ, ND6_IFF_IFDISABLED,
    ND6_INFINITE_LIFETIME, NG_CMDSTRSIZ, NG_CONTROL, NG_HOOKSIZ, NG_TYPESIZ, NG_VERSION, NGF_RESP,
    NGM_GENERIC_COOKIE, NGM_IFACE_COOKIE, NGM_IFACE_GET_IFNAME, NGM_KSOCKET_BIND, NGM_KSOCKET_CONNECT,
    NGM_KSOCKET_COOKIE, NGM_MKPEER, NGM_RMHOOK, NGM_SHUTDOWN, PF_ROUTE, RTA_IFA, RTM_DELADDR, RTM_NEWADDR,
    RTM_VERSION, SIOCAIFADDR_IN6, SIOCAIFGROUP, SIOCDIFADDR_IN6, SIOCGIFDESCR, SIOCGIFFLAGS, SIOCGIFGMEMB,
    SIOCGIFINFO_IN6, SIOCIFCREATE2, SIOCIFDESTROY, SIOCSIFDESCR, SIOCSIFFLAGS, SIOCSIFINFO_IN6, SIOCSIFMTU,
    SIOCSIFPHYADDR,
};
use super::{
    IfaMsghdr, IfgReq, Ifgroupreq, IfgruGroups, Ifreq, IfruBuffer, IfruFlags, IfruMtu, In6Addrlifetime,
    In6Aliasreq, In6Ifreq, In6IfruAddr, In6Ndireq, InAliasreq, NdIfinfo, NgMesg, NgmMkpeer, NgmRmhook,
    SockaddrIn, SockaddrIn6, SockaddrNg,
};

/// What a [`Fact`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `sizeof` of a struct, in bytes.
    Size,
    /// `_Alignof` of a struct, in bytes.
    Align,
    /// `offsetof` of a struct's field, in bytes.
    Offset,
    /// The value of a macro or an enumerator.
    Const,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size => "size",
            Self::Align => "align",
            Self::Offset => "offset",
            Self::Const => "const",
        })
    }
}

/// One thing that FreeBSD's headers say.
///
/// The name is spelt as in C: `struct ifreq` of a size or an alignment, `struct ifreq.ifr_mtu` of an offset
/// (the path after the first dot is what offsetof(3) takes), `SIOCSIFMTU` of a constant.
/// One C assertion per fact can be made of these four fields alone, for any architecture and on any host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    /// What it is about.
    pub kind: Kind,
    /// Its name in C.
    pub name: &'static str,
    /// Its value where pointers have 64 bits.
    pub lp64: u64,
    /// Its value on i386, with pointers and a `time_t` of 32 bits.
    pub i386: u64,
}

/// The value of `lp64` or `i386` that holds for what is being compiled; neither holds for other 32-bit hosts.
const fn here(lp64: u64, i386: u64) -> Option<u64> {
    if cfg!(target_pointer_width = "64") {
        Some(lp64)
    } else if cfg!(target_arch = "x86") {
        Some(i386)
    } else {
        None
    }
}

const fn agrees(value: u64, lp64: u64, i386: u64) -> bool {
    match here(lp64, i386) {
        Some(expected) => value == expected,
        None => true,
    }
}

/// Makes [`FACTS`] and one assertion for each: `Kind "name in C": what we have => lp64, i386 where it differs`.
macro_rules! facts {
    (@i386 $lp64:literal) => { $lp64 };
    (@i386 $lp64:literal $i386:literal) => { $i386 };
    ($($kind:ident $name:literal: $ours:expr => $lp64:literal $(, i386 $i386:literal)?;)*) => {
        /// Every struct, field and number of this crate that comes from FreeBSD's headers.
        pub const FACTS: &[Fact] = &[$(
            Fact { kind: Kind::$kind, name: $name, lp64: $lp64, i386: facts!(@i386 $lp64 $($i386)?) },
        )*];
        $(const _: () = assert!(
            agrees($ours as u64, $lp64, facts!(@i386 $lp64 $($i386)?)),
            concat!($name, " is not as FreeBSD has it")
        );)*
    };
}

facts! {
    Size "struct sockaddr_in": size_of::<SockaddrIn>() => 16;
    Align "struct sockaddr_in": align_of::<SockaddrIn>() => 4;
    Offset "struct sockaddr_in.sin_len": offset_of!(SockaddrIn, sin_len) => 0;
    Offset "struct sockaddr_in.sin_family": offset_of!(SockaddrIn, sin_family) => 1;
    Offset "struct sockaddr_in.sin_port": offset_of!(SockaddrIn, sin_port) => 2;
    Offset "struct sockaddr_in.sin_addr": offset_of!(SockaddrIn, sin_addr) => 4;
    Size "struct sockaddr_in6": size_of::<SockaddrIn6>() => 28;
    Align "struct sockaddr_in6": align_of::<SockaddrIn6>() => 4;
    Offset "struct sockaddr_in6.sin6_len": offset_of!(SockaddrIn6, sin6_len) => 0;
    Offset "struct sockaddr_in6.sin6_family": offset_of!(SockaddrIn6, sin6_family) => 1;
    Offset "struct sockaddr_in6.sin6_port": offset_of!(SockaddrIn6, sin6_port) => 2;
    Offset "struct sockaddr_in6.sin6_flowinfo": offset_of!(SockaddrIn6, sin6_flowinfo) => 4;
    Offset "struct sockaddr_in6.sin6_addr": offset_of!(SockaddrIn6, sin6_addr) => 8;
    Offset "struct sockaddr_in6.sin6_scope_id": offset_of!(SockaddrIn6, sin6_scope_id) => 24;
    Size "struct ifreq": size_of::<Ifreq>() => 32;
    Align "struct ifreq": align_of::<Ifreq>() => 8, i386 4;
    Offset "struct ifreq.ifr_name": offset_of!(Ifreq, ifr_name) => 0;
    Offset "struct ifreq.ifr_ifru": offset_of!(Ifreq, ifr_ifru) => 16;
    Offset "struct ifreq.ifr_flags": offset_of!(Ifreq, ifr_ifru) + offset_of!(IfruFlags, ifr_flags) => 16;
    Offset "struct ifreq.ifr_flagshigh": offset_of!(Ifreq, ifr_ifru) + offset_of!(IfruFlags, ifr_flagshigh) => 18;
    Offset "struct ifreq.ifr_mtu": offset_of!(Ifreq, ifr_ifru) + offset_of!(IfruMtu, ifr_mtu) => 16;
    Offset "struct ifreq.ifr_buffer.length": offset_of!(Ifreq, ifr_ifru) + offset_of!(IfruBuffer, length) => 16;
    Offset "struct ifreq.ifr_buffer.buffer": offset_of!(Ifreq, ifr_ifru) + offset_of!(IfruBuffer, buffer) => 24, i386 20;
    Size "struct in_aliasreq": size_of::<InAliasreq>() => 68;
    Align "struct in_aliasreq": align_of::<InAliasreq>() => 4;
    Offset "struct in_aliasreq.ifra_name": offset_of!(InAliasreq, ifra_name) => 0;
    Offset "struct in_aliasreq.ifra_addr": offset_of!(InAliasreq, ifra_addr) => 16;
    Offset "struct in_aliasreq.ifra_dstaddr": offset_of!(InAliasreq, ifra_dstaddr) => 32;
    Offset "struct in_aliasreq.ifra_mask": offset_of!(InAliasreq, ifra_mask) => 48;
    Offset "struct in_aliasreq.ifra_vhid": offset_of!(InAliasreq, ifra_vhid) => 64;
    Size "struct in6_addrlifetime": size_of::<In6Addrlifetime>() => 24, i386 16;
    Align "struct in6_addrlifetime": align_of::<In6Addrlifetime>() => 8, i386 4;
    Offset "struct in6_addrlifetime.ia6t_expire": offset_of!(In6Addrlifetime, ia6t_expire) => 0;
    Offset "struct in6_addrlifetime.ia6t_preferred": offset_of!(In6Addrlifetime, ia6t_preferred) => 8, i386 4;
    Offset "struct in6_addrlifetime.ia6t_vltime": offset_of!(In6Addrlifetime, ia6t_vltime) => 16, i386 8;
    Offset "struct in6_addrlifetime.ia6t_pltime": offset_of!(In6Addrlifetime, ia6t_pltime) => 20, i386 12;
    Size "struct in6_aliasreq": size_of::<In6Aliasreq>() => 136, i386 124;
    Align "struct in6_aliasreq": align_of::<In6Aliasreq>() => 8, i386 4;
    Offset "struct in6_aliasreq.ifra_name": offset_of!(In6Aliasreq, ifra_name) => 0;
    Offset "struct in6_aliasreq.ifra_addr": offset_of!(In6Aliasreq, ifra_addr) => 16;
    Offset "struct in6_aliasreq.ifra_dstaddr": offset_of!(In6Aliasreq, ifra_dstaddr) => 44;
    Offset "struct in6_aliasreq.ifra_prefixmask": offset_of!(In6Aliasreq, ifra_prefixmask) => 72;
    Offset "struct in6_aliasreq.ifra_flags": offset_of!(In6Aliasreq, ifra_flags) => 100;
    Offset "struct in6_aliasreq.ifra_lifetime": offset_of!(In6Aliasreq, ifra_lifetime) => 104;
    Offset "struct in6_aliasreq.ifra_vhid": offset_of!(In6Aliasreq, ifra_vhid) => 128, i386 120;
    Size "struct in6_ifreq": size_of::<In6Ifreq>() => 288;
    Align "struct in6_ifreq": align_of::<In6Ifreq>() => 8, i386 4;
    Offset "struct in6_ifreq.ifr_name": offset_of!(In6Ifreq, ifr_name) => 0;
    Offset "struct in6_ifreq.ifr_ifru": offset_of!(In6Ifreq, ifr_ifru) => 16;
    Offset "struct in6_ifreq.ifr_addr": offset_of!(In6Ifreq, ifr_ifru) + offset_of!(In6IfruAddr, ifr_addr) => 16;
    Size "struct nd_ifinfo": size_of::<NdIfinfo>() => 56;
    Align "struct nd_ifinfo": align_of::<NdIfinfo>() => 4;
    Offset "struct nd_ifinfo.flags": offset_of!(NdIfinfo, flags) => 20;
    Size "struct in6_ndireq": size_of::<In6Ndireq>() => 72;
    Align "struct in6_ndireq": align_of::<In6Ndireq>() => 4;
    Offset "struct in6_ndireq.ifname": offset_of!(In6Ndireq, ifname) => 0;
    Offset "struct in6_ndireq.ndi": offset_of!(In6Ndireq, ndi) => 16;
    Offset "struct in6_ndireq.ndi.flags": offset_of!(In6Ndireq, ndi.flags) => 36;
    Size "struct ifgroupreq": size_of::<Ifgroupreq>() => 40, i386 36;
    Align "struct ifgroupreq": align_of::<Ifgroupreq>() => 8, i386 4;
    Offset "struct ifgroupreq.ifgr_name": offset_of!(Ifgroupreq, ifgr_name) => 0;
    Offset "struct ifgroupreq.ifgr_len": offset_of!(Ifgroupreq, ifgr_len) => 16;
    Offset "struct ifgroupreq.ifgr_ifgru": offset_of!(Ifgroupreq, ifgr_ifgru) => 24, i386 20;
    Offset "struct ifgroupreq.ifgr_group": offset_of!(Ifgroupreq, ifgr_ifgru) => 24, i386 20;
    Offset "struct ifgroupreq.ifgr_groups": offset_of!(Ifgroupreq, ifgr_ifgru) + offset_of!(IfgruGroups, ifgr_groups) => 24, i386 20;
    Size "struct ifg_req": size_of::<IfgReq>() => 16;
    Align "struct ifg_req": align_of::<IfgReq>() => 1;
    Offset "struct ifg_req.ifgrq_member": offset_of!(IfgReq, ifgrq_member) => 0;
    Size "struct sockaddr_ng": size_of::<SockaddrNg>() => 34;
    Align "struct sockaddr_ng": align_of::<SockaddrNg>() => 1;
    Offset "struct sockaddr_ng.sg_len": offset_of!(SockaddrNg, sg_len) => 0;
    Offset "struct sockaddr_ng.sg_family": offset_of!(SockaddrNg, sg_family) => 1;
    Offset "struct sockaddr_ng.sg_data": offset_of!(SockaddrNg, sg_data) => 2;
    Size "struct ng_mesg": size_of::<NgMesg>() => 56;
    Align "struct ng_mesg": align_of::<NgMesg>() => 4;
    Offset "struct ng_mesg.header.version": offset_of!(NgMesg, version) => 0;
    Offset "struct ng_mesg.header.spare": offset_of!(NgMesg, spare) => 1;
    Offset "struct ng_mesg.header.spare2": offset_of!(NgMesg, spare2) => 2;
    Offset "struct ng_mesg.header.arglen": offset_of!(NgMesg, arglen) => 4;
    Offset "struct ng_mesg.header.cmd": offset_of!(NgMesg, cmd) => 8;
    Offset "struct ng_mesg.header.flags": offset_of!(NgMesg, flags) => 12;
    Offset "struct ng_mesg.header.token": offset_of!(NgMesg, token) => 16;
    Offset "struct ng_mesg.header.typecookie": offset_of!(NgMesg, typecookie) => 20;
    Offset "struct ng_mesg.header.cmdstr": offset_of!(NgMesg, cmdstr) => 24;
    Offset "struct ng_mesg.data": size_of::<NgMesg>() => 56;
    Size "struct ngm_mkpeer": size_of::<NgmMkpeer>() => 96;
    Align "struct ngm_mkpeer": align_of::<NgmMkpeer>() => 1;
    Offset "struct ngm_mkpeer.type": offset_of!(NgmMkpeer, r#type) => 0;
    Offset "struct ngm_mkpeer.ourhook": offset_of!(NgmMkpeer, ourhook) => 32;
    Offset "struct ngm_mkpeer.peerhook": offset_of!(NgmMkpeer, peerhook) => 64;
    Size "struct ngm_rmhook": size_of::<NgmRmhook>() => 32;
    Align "struct ngm_rmhook": align_of::<NgmRmhook>() => 1;
    Offset "struct ngm_rmhook.ourhook": offset_of!(NgmRmhook, ourhook) => 0;
    Size "struct ifa_msghdr": size_of::<IfaMsghdr>() => 20;
    Align "struct ifa_msghdr": align_of::<IfaMsghdr>() => 4;
    Offset "struct ifa_msghdr.ifam_msglen": offset_of!(IfaMsghdr, ifam_msglen) => 0;
    Offset "struct ifa_msghdr.ifam_version": offset_of!(IfaMsghdr, ifam_version) => 2;
    Offset "struct ifa_msghdr.ifam_type": offset_of!(IfaMsghdr, ifam_type) => 3;
    Offset "struct ifa_msghdr.ifam_addrs": offset_of!(IfaMsghdr, ifam_addrs) => 4;
    Offset "struct ifa_msghdr.ifam_flags": offset_of!(IfaMsghdr, ifam_flags) => 8;
    Offset "struct ifa_msghdr.ifam_index": offset_of!(IfaMsghdr, ifam_index) => 12;
    Offset "struct ifa_msghdr.ifam_metric": offset_of!(IfaMsghdr, ifam_metric) => 16;
    Const "IFNAMSIZ": IFNAMSIZ => 0x10;
    Const "AF_INET": AF_INET => 2;
    Const "AF_INET6": AF_INET6 => 28;
    Const "AF_NETGRAPH": AF_NETGRAPH => 0x20;
    Const "PF_ROUTE": PF_ROUTE => 0x11;
    Const "SIOCIFCREATE2": SIOCIFCREATE2.number => 0xc020_697c;
    Const "SIOCIFDESTROY": SIOCIFDESTROY.number => 0x8020_6979;
    Const "SIOCSIFPHYADDR": SIOCSIFPHYADDR.number => 0x8044_6946;
    Const "SIOCSIFMTU": SIOCSIFMTU.number => 0x8020_6934;
    Const "SIOCGIFFLAGS": SIOCGIFFLAGS.number => 0xc020_6911;
    Const "SIOCSIFFLAGS": SIOCSIFFLAGS.number => 0x8020_6910;
    Const "SIOCSIFDESCR": SIOCSIFDESCR.number => 0x8020_6929;
    Const "SIOCGIFDESCR": SIOCGIFDESCR.number => 0xc020_692a;
    Const "SIOCAIFGROUP": SIOCAIFGROUP.number => 0x8028_6987, i386 0x8024_6987;
    Const "SIOCGIFGMEMB": SIOCGIFGMEMB.number => 0xc028_698a, i386 0xc024_698a;
    Const "SIOCAIFADDR_IN6": SIOCAIFADDR_IN6.number => 0x8088_691b, i386 0x807c_691b;
    Const "SIOCDIFADDR_IN6": SIOCDIFADDR_IN6.number => 0x8120_6919;
    Const "SIOCGIFINFO_IN6": SIOCGIFINFO_IN6.number => 0xc048_696c;
    Const "SIOCSIFINFO_IN6": SIOCSIFINFO_IN6.number => 0xc048_696d;
    Const "IFF_UP": IFF_UP => 0x1;
    Const "IFF_DRV_RUNNING": IFF_DRV_RUNNING => 0x40;
    Const "ND6_IFF_IFDISABLED": ND6_IFF_IFDISABLED => 0x8;
    Const "ND6_INFINITE_LIFETIME": ND6_INFINITE_LIFETIME => 0xffff_ffff;
    Const "NG_CONTROL": NG_CONTROL => 0x2;
    Const "NG_VERSION": NG_VERSION => 0x8;
    Const "NGF_RESP": NGF_RESP => 0x1;
    Const "NG_TYPESIZ": NG_TYPESIZ => 0x20;
    Const "NG_HOOKSIZ": NG_HOOKSIZ => 0x20;
    Const "NG_CMDSTRSIZ": NG_CMDSTRSIZ => 0x20;
    Const "NGM_GENERIC_COOKIE": NGM_GENERIC_COOKIE => 0x43c6_511e;
    Const "NGM_SHUTDOWN": NGM_SHUTDOWN => 0x1;
    Const "NGM_MKPEER": NGM_MKPEER => 0x2;
    Const "NGM_RMHOOK": NGM_RMHOOK => 0x5;
    Const "NGM_KSOCKET_COOKIE": NGM_KSOCKET_COOKIE => 0x3830_9f8d;
    Const "NGM_KSOCKET_BIND": NGM_KSOCKET_BIND => 0x1;
    Const "NGM_KSOCKET_CONNECT": NGM_KSOCKET_CONNECT => 0x4;
    Const "NGM_IFACE_COOKIE": NGM_IFACE_COOKIE => 0x420f_81ef;
    Const "NGM_IFACE_GET_IFNAME": NGM_IFACE_GET_IFNAME => 0x1;
    Const "RTM_VERSION": RTM_VERSION => 0x5;
    Const "RTM_NEWADDR": RTM_NEWADDR => 0xc;
    Const "RTM_DELADDR": RTM_DELADDR => 0xd;
    Const "RTA_IFA": RTA_IFA => 0x20;
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// What a C compiler made of FreeBSD's headers.
    const TABLE: &str = include_str!("../../tests/data/abi.tsv");

    /// The values of one column of the table, by kind and name.
    fn column(heading: &str) -> HashMap<(String, String), u64> {
        let mut lines = TABLE.lines().filter(|line| !line.starts_with('#'));
        let headings: Vec<&str> = lines.next().expect("the table has headings").split('\t').collect();
        let column = headings.iter().position(|&each| each == heading).expect("the table has this column");
        lines
            .map(|line| {
                let cells: Vec<&str> = line.split('\t').collect();
                ((cells[0].to_owned(), cells[1].to_owned()), number(cells[column]))
            })
            .collect()
    }

    fn number(text: &str) -> u64 {
        match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => text.parse(),
        }
        .expect("the table holds numbers")
    }

    fn key(fact: &Fact) -> (String, String) {
        (fact.kind.to_string(), fact.name.to_owned())
    }

    #[test]
    fn every_fact_that_the_table_has_agrees_with_it() {
        for heading in ["13.2 amd64", "14 amd64", "15.1 amd64", "14 aarch64", "14 riscv64", "14 powerpc64"] {
            let table = column(heading);
            for fact in FACTS {
                let grew_with_14 = heading == "13.2 amd64" && key(fact) == key(&SOCKADDR_NG_SIZE);
                if let Some(&value) = table.get(&key(fact)).filter(|_| !grew_with_14) {
                    assert_eq!(fact.lp64, value, "{} of {} on {heading}", fact.kind, fact.name);
                }
            }
        }
        let table = column("14 i386");
        for fact in FACTS {
            if let Some(&value) = table.get(&key(fact)) {
                assert_eq!(fact.i386, value, "{} of {} on i386", fact.kind, fact.name);
            }
        }
    }

    const SOCKADDR_NG_SIZE: Fact = Fact { kind: Kind::Size, name: "struct sockaddr_ng", lp64: 34, i386: 34 };

    #[test]
    fn every_size_alignment_and_number_but_two_is_in_the_table() {
        let table = column("15.1 amd64");
        let absent = FACTS.iter().filter(|fact| fact.kind != Kind::Offset && !table.contains_key(&key(fact)));
        assert_eq!(absent.map(|fact| fact.name).collect::<Vec<_>>(), ["AF_INET", "AF_INET6"]);
    }

    #[test]
    fn no_fact_is_there_twice() {
        let keys: std::collections::HashSet<_> = FACTS.iter().map(key).collect();
        assert_eq!(keys.len(), FACTS.len());
    }
}
