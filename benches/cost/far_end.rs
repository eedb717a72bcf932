//! The far end of a tunnel in UDP: it answers echo requests, so that IPv6 flows.

use std::net::{Ipv4Addr, UdpSocket};
use std::thread;

/// Offsets in an IPv6 packet (RFC 8200, section 3) with an ICMPv6 message.
const NEXT_HEADER: usize = 6;
const SOURCE: usize = 8;
const DESTINATION: usize = 24;
const TYPE: usize = 40;
const CHECKSUM: usize = 42;

const ICMPV6: u8 = 58;
const ECHO_REQUEST: u8 = 128;

/// Starts a far end on loopback, and returns its port.
pub(crate) fn start() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = socket.local_addr().expect("an address").port();
    thread::spawn(move || {
        let mut packet = [0; 2000];
        // The near end may be gone: an error is as good as silence.
        loop {
            if let Ok((length, source)) = socket.recv_from(&mut packet)
                && let Some(reply) = reply(&packet[..length])
            {
                let _ = socket.send_to(&reply, source);
            }
        }
    });
    port
}

/// The answer to an echo request; to all other packets there is none.
fn reply(packet: &[u8]) -> Option<Vec<u8>> {
    let is_request = packet.get(NEXT_HEADER) == Some(&ICMPV6) && packet.get(TYPE) == Some(&ECHO_REQUEST);
    let mut reply = packet.get(..CHECKSUM + 2).filter(|_| is_request)?.to_vec();
    reply.extend(&packet[CHECKSUM + 2..]);
    reply[SOURCE..DESTINATION].copy_from_slice(&packet[DESTINATION..TYPE]);
    reply[DESTINATION..TYPE].copy_from_slice(&packet[SOURCE..DESTINATION]);
    reply[TYPE] += 1;
    // The sum is the same but for the type, which is the high byte of a word.
    let sum = u32::from(!u16::from_be_bytes([packet[CHECKSUM], packet[CHECKSUM + 1]])) + 0x100;
    let sum = u16::try_from((sum & 0xffff) + (sum >> 16)).expect("a word");
    reply[CHECKSUM..CHECKSUM + 2].copy_from_slice(&(!sum).to_be_bytes());
    Some(reply)
}

/// The options of a client whose tunnel is in UDP, on a port that nobody has.
pub(crate) fn options() -> [String; 3] {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
    let port = socket.local_addr().expect("an address").port();
    ["-U".to_owned(), "-b".to_owned(), port.to_string()]
}
