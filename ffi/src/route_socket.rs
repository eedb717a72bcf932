//! route(4): the kernel's reports of changes of this host's addresses.

use std::fs::File;
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use zerocopy::FromBytes;

use crate::abi::numbers::{AF_INET, RTA_IFA, RTM_DELADDR, RTM_NEWADDR, RTM_VERSION};
use crate::abi::{IfaMsghdr, SockaddrIn};
use crate::errno::Errno;

/// Room for any routing message, in bytes: all are shorter than 1 KiB.
const MESSAGE_SIZE: usize = 4096;

/// How many messages are read at a time.
const MOST_MESSAGES: u32 = 256;

/// An IPv4 address of this host that came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressChange {
    /// This address was added to an interface.
    Added(Ipv4Addr),
    /// This address was removed from an interface.
    Removed(Ipv4Addr),
    /// Messages were lost: any address may have come or gone.
    Unknown,
}

/// A `PF_ROUTE` socket, on which the kernel reports changes.
#[derive(Debug)]
pub struct RouteSocket(File);

impl RouteSocket {
    /// Uses a nonblocking descriptor that returns a routing message for each read(2).
    pub fn new(descriptor: OwnedFd) -> Self {
        Self(descriptor.into())
    }

    /// Opens a socket that reports changes from now on. Needs no privilege.
    #[cfg(target_os = "freebsd")]
    pub fn open() -> io::Result<Self> {
        use crate::abi::numbers::SO_RERROR;
        use crate::freebsd::set_option;
        use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Route, SockType::Raw, flags, None)?;
        // Without it, messages that are lost go unnoticed, until the next one comes.
        let _ = set_option(&socket, libc::SOL_SOCKET, SO_RERROR, &1);
        Ok(Self::new(socket))
    }

    /// The descriptor to poll for reading.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// The changes since the last call. Does not block, and reads 256 messages at most: others may flood the socket.
    pub fn changes(&mut self) -> io::Result<Vec<AddressChange>> {
        let mut changes = Vec::new();
        let mut message = [0; MESSAGE_SIZE];
        for _ in 0..MOST_MESSAGES {
            match self.0.read(&mut message) {
                Ok(0) => return Ok(changes),
                Ok(length) => changes.extend(address_changes(&message[..length])),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(changes),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS.0) => {
                    changes.push(AddressChange::Unknown);
                }
                // Return the changes before the error; a lasting error will come again.
                Err(_) if !changes.is_empty() => return Ok(changes),
                Err(error) => return Err(error),
            }
        }
        Ok(changes)
    }
}

/// The size of the length at the start of a message, in bytes.
const MSGLEN_SIZE: usize = size_of::<u16>();

/// The changes of IPv4 addresses in the routing messages in `bytes`. Other messages are skipped, and so is everything
/// from the first truncated one.
pub fn address_changes(mut bytes: &[u8]) -> Vec<AddressChange> {
    let mut changes = Vec::new();
    while let Some((message, rest)) = split_message(bytes) {
        changes.extend(address_change(message));
        bytes = rest;
    }
    changes
}

/// The first message, and the bytes after it.
fn split_message(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, _) = u16::read_from_prefix(bytes).ok()?;
    let length = usize::from(length);
    (length >= MSGLEN_SIZE).then(|| bytes.split_at_checked(length))?
}

fn address_change(message: &[u8]) -> Option<AddressChange> {
    let (header, addresses) = IfaMsghdr::read_from_prefix(message).ok()?;
    let change = match header.ifam_type {
        RTM_NEWADDR => AddressChange::Added,
        RTM_DELADDR => AddressChange::Removed,
        _ => return None,
    };
    let socket_address = own_address(header.ifam_addrs, addresses)?;
    let (ipv4, _) = SockaddrIn::read_from_prefix(socket_address).ok()?;
    let is_ipv4 = header.ifam_version == RTM_VERSION && ipv4.sin_family == AF_INET;
    is_ipv4.then(|| change(ipv4.address()))
}

/// The socket address of `RTA_IFA`. `present` lists the addresses that follow the header, lowest bit first.
fn own_address(present: u32, mut addresses: &[u8]) -> Option<&[u8]> {
    if present & RTA_IFA == 0 {
        return None;
    }
    let before = present & (RTA_IFA - 1);
    for _ in 0..before.count_ones() {
        let length = usize::from(*addresses.first()?);
        addresses = addresses.get(padded(length)..)?;
    }
    let length = usize::from(*addresses.first()?);
    addresses.get(..length)
}

/// The room for a socket address of this length, in bytes: a multiple of a C `long`, and at least one.
fn padded(length: usize) -> usize {
    length.max(1).next_multiple_of(size_of::<usize>())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use proptest::prelude::*;
    use zerocopy::{FromZeros, IntoBytes};

    use super::*;
    use crate::abi::numbers::AF_INET6;

    const HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    fn ipv4(address: Ipv4Addr) -> Vec<u8> {
        SockaddrIn::new(address, 0).as_bytes().to_owned()
    }

    /// A message of this type with these socket addresses, each padded as the kernel does.
    fn message(message_type: u8, present: u32, addresses: &[Vec<u8>]) -> Vec<u8> {
        let mut body = Vec::new();
        for address in addresses {
            body.extend_from_slice(address);
            body.resize(body.len() - address.len() + padded(address.len()), 0);
        }
        let header = IfaMsghdr {
            ifam_msglen: u16::try_from(size_of::<IfaMsghdr>() + body.len()).expect("a short message"),
            ifam_version: RTM_VERSION,
            ifam_type: message_type,
            ifam_addrs: present,
            ..FromZeros::new_zeroed()
        };
        [header.as_bytes(), &body].concat()
    }

    #[test]
    fn socket_addresses_before_the_interfaces_own_are_skipped() {
        let empty_mask = Vec::new();
        let odd_length = vec![7, 18, 0, 0, 0, 0, 0];
        let bytes = message(RTM_NEWADDR, 0x4 | 0x10 | RTA_IFA, &[empty_mask, odd_length, ipv4(HERE)]);
        assert_eq!(address_changes(&bytes), [AddressChange::Added(HERE)]);
    }

    #[test]
    fn other_messages_are_skipped_and_one_without_a_length_is_the_last() {
        let mut ipv6 = ipv4(HERE);
        ipv6[1] = AF_INET6;
        let good = message(RTM_NEWADDR, RTA_IFA, &[ipv4(HERE)]);
        let mut other_version = good.clone();
        other_version[2] = 4;
        for (bytes, next) in [
            (message(RTM_NEWADDR, RTA_IFA, &[ipv6]), &[AddressChange::Added(HERE)][..]),
            (message(RTM_NEWADDR, 0x4, &[ipv4(HERE)]), &[AddressChange::Added(HERE)]),
            (message(1, RTA_IFA, &[ipv4(HERE)]), &[AddressChange::Added(HERE)]),
            (other_version, &[AddressChange::Added(HERE)]),
            (vec![0, 0, 0, 0], &[]),
            (vec![1, 0, 0, 0], &[]),
        ] {
            assert_eq!(address_changes(&[&bytes[..], &good].concat()), next, "{bytes:?}");
        }
    }

    #[test]
    fn a_route_socket_reports_the_changes_since_the_last_time() {
        let (kernel, ours) = UnixDatagram::pair().expect("a pair of sockets");
        ours.set_nonblocking(true).expect("a socket that does not block");
        let mut routes = RouteSocket::new(ours.into());
        assert_eq!(routes.changes().expect("no changes yet"), []);
        for (message_type, address) in [(RTM_DELADDR, HERE), (1, HERE), (RTM_NEWADDR, Ipv4Addr::LOCALHOST)] {
            kernel.send(&message(message_type, RTA_IFA, &[ipv4(address)])).expect("room for it");
        }
        let expected = [AddressChange::Removed(HERE), AddressChange::Added(Ipv4Addr::LOCALHOST)];
        assert_eq!(routes.changes().expect("two changes"), expected);
        assert_eq!(routes.changes().expect("no more changes"), []);
    }

    proptest! {
        #[test]
        fn an_address_is_decoded_as_it_was_encoded(
            address: u32,
            lengths in prop::collection::vec(0..60_u8, 5),
            present in 0..0x20_u32,
        ) {
            let address = Ipv4Addr::from_bits(address);
            let others = lengths.iter().take(present.count_ones() as usize);
            let mut addresses: Vec<Vec<u8>> = others.map(|&length| vec![length; length.into()]).collect();
            addresses.push(ipv4(address));
            let bytes = message(RTM_NEWADDR, present | RTA_IFA, &addresses);
            prop_assert_eq!(address_changes(&bytes), [AddressChange::Added(address)]);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(
            noise in prop::collection::vec(any::<u8>(), 0..99),
            present: u32,
            kept in 0..60_usize,
            length: u8,
        ) {
            let _ = address_changes(&noise);
            let mut bytes = message(RTM_DELADDR, present, &[ipv4(HERE), ipv4(HERE)]);
            bytes[20] = length;
            bytes.truncate(kept);
            let _ = address_changes(&bytes);
            bytes.extend(noise);
            let _ = address_changes(&bytes);
        }
    }
}
