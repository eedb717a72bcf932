//! ICMPv6 echo (RFC 4443, section 4): requests that only their sender's replies answer.

use std::net::Ipv6Addr;

/// All nodes of a link (RFC 4291).
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Types of ICMPv6 messages.
const ECHO_REQUEST: u8 = 128;
pub(crate) const ECHO_REPLY: u8 = 129;
/// Type, code, checksum, identifier, sequence number.
const HEADER_SIZE: usize = 8;
/// Size of an IPv6 header, in bytes.
const IPV6_HEADER_SIZE: u16 = 40;
const TOKEN_SIZE: usize = 8;
/// The size of the IPv6 packet of a request with its mark alone, in bytes.
pub(crate) const SMALLEST_PACKET: u16 = IPV6_HEADER_SIZE + 16;

/// Marks the requests of one sender: anyone can send a reply with a guessed sequence number, but not with these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EchoMark {
    /// The identifier field, in host byte order.
    pub identifier: u16,
    /// The first bytes of the data.
    pub token: [u8; TOKEN_SIZE],
}

impl EchoMark {
    /// A request as a raw ICMPv6 socket takes it: the kernel fills the checksum in. `packet_size` is that of the whole
    /// IPv6 packet, in bytes; a request is never smaller than its mark needs.
    pub fn request(&self, sequence: u16, packet_size: u16) -> Vec<u8> {
        let mut message = vec![ECHO_REQUEST, 0, 0, 0];
        message.extend(self.identifier.to_be_bytes());
        message.extend(sequence.to_be_bytes());
        message.extend(self.token);
        let size = usize::from(packet_size.saturating_sub(IPV6_HEADER_SIZE));
        message.resize(size.max(message.len()), 0);
        message
    }

    /// The sequence number of a reply to one of our requests; `None` for any other message.
    pub fn sequence(&self, message: &[u8]) -> Option<u16> {
        let (header, data) = message.split_at_checked(HEADER_SIZE)?;
        let ours = header[..2] == [ECHO_REPLY, 0]
            && header[4..6] == self.identifier.to_be_bytes()
            && data.starts_with(&self.token);
        ours.then(|| u16::from_be_bytes([header[6], header[7]]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MARK: EchoMark = EchoMark { identifier: 0x1234, token: *b"a token!" };

    fn reply(request: &[u8]) -> Vec<u8> {
        [&[ECHO_REPLY], &request[1..]].concat()
    }

    #[test]
    fn a_request_fills_the_packet_and_is_never_smaller_than_its_mark() {
        assert_eq!(MARK.request(7, 0), b"\x80\0\0\0\x12\x34\0\x07a token!");
        assert_eq!(MARK.request(7, 1280).len(), 1240);
    }

    #[test]
    fn only_replies_to_our_own_requests_count() {
        let request = MARK.request(7, 0);
        assert_eq!(MARK.sequence(&reply(&request)), Some(7));
        assert_eq!(MARK.sequence(&request), None, "a request, as others send it to us");
        for other in [EchoMark { identifier: 1, ..MARK }, EchoMark { token: [0; 8], ..MARK }] {
            assert_eq!(MARK.sequence(&reply(&other.request(7, 0))), None);
        }
    }

    proptest! {
        #[test]
        fn a_sequence_number_comes_back_and_no_bytes_upset_the_reader(
            sequence: u16,
            size in 0..2000_u16,
            noise in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let reply = reply(&MARK.request(sequence, size));
            prop_assert_eq!(MARK.sequence(&reply), Some(sequence));
            let _ = (MARK.sequence(&noise), MARK.sequence(&reply[..noise.len().min(reply.len())]));
        }
    }
}
