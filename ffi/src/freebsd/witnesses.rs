//! Two other crates know some of FreeBSD's structs and numbers. They must agree with [`abi`](crate::abi).

use std::mem::offset_of;

use crate::abi::numbers::{
    AF_INET, AF_INET6, AF_NETGRAPH, IFF_DRV_RUNNING, IFF_UP, IFNAMSIZ, RTA_IFA, RTM_DELADDR, RTM_NEWADDR,
    RTM_VERSION,
};
use crate::abi::{IfaMsghdr, Ifreq, IfreqBuffer, InAliasreq, SockaddrIn, SockaddrIn6, Time, Timeval};

/// Asserts that our struct has the size, the alignment and the offsets of the other one. A field that has another name
/// there is written `ours = theirs`.
macro_rules! same_layout {
    (@offset $theirs:path, $field:ident) => { offset_of!($theirs, $field) };
    (@offset $theirs:path, $field:ident $their_field:ident) => { offset_of!($theirs, $their_field) };
    ($($ours:ident, $theirs:path { $($field:ident $(= $their_field:ident)?)* })*) => { $(const _: () = {
        assert!(size_of::<$ours>() == size_of::<$theirs>());
        assert!(align_of::<$ours>() == align_of::<$theirs>());
        $(assert!(offset_of!($ours, $field) == same_layout!(@offset $theirs, $field $($their_field)?));)*
    };)* };
}

same_layout! {
    Ifreq, ifstructs::ifreq { ifr_name ifr_data = ifr_ifru }
    Ifreq, libc::ifreq { ifr_name ifr_data = ifr_ifru }
    InAliasreq, libc::ifaliasreq { ifra_name ifra_addr ifra_dstaddr = ifra_broadaddr ifra_mask ifra_vhid }
    SockaddrIn, libc::sockaddr_in { sin_len sin_family sin_port sin_addr }
    SockaddrIn6, libc::sockaddr_in6 { sin6_len sin6_family sin6_port sin6_flowinfo sin6_addr sin6_scope_id }
    Timeval, libc::timeval { tv_sec tv_usec }
    IfaMsghdr, libc::ifa_msghdr {
        ifam_msglen ifam_version ifam_type ifam_addrs ifam_flags ifam_index ifam_metric
    }
}

const _: () = {
    const UNION: usize = offset_of!(ifstructs::ifreq, ifr_ifru);
    assert!(size_of::<Time>() == size_of::<libc::time_t>());
    assert!(offset_of!(IfreqBuffer, length) == UNION + offset_of!(ifstructs::ifreq_buffer, length));
    assert!(offset_of!(IfreqBuffer, buffer) == UNION + offset_of!(ifstructs::ifreq_buffer, buffer));
};

/// Asserts that these numbers are libc's of the same name.
macro_rules! same_numbers {
    ($($name:ident)*) => { $(const _: () = assert!($name as i128 == libc::$name as i128);)* };
}

same_numbers! {
    AF_INET AF_INET6 AF_NETGRAPH IFF_UP IFNAMSIZ RTA_IFA RTM_DELADDR RTM_NEWADDR RTM_VERSION
}
const _: () = assert!(IFF_DRV_RUNNING as i128 == libc::IFF_RUNNING as i128);
