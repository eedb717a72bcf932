//! Messages of ICMPv6, as recvfrom(2) returns them.
#![no_main]

use ffi::echo::EchoMark;
use libfuzzer_sys::fuzz_target;

const REPLY: u8 = 129;

fuzz_target!(|input: (u16, [u8; 8], u16, u16, &[u8])| {
    let (identifier, token, sequence, size, message) = input;
    let mark = EchoMark { identifier, token };
    if let Some(sequence) = mark.sequence(message) {
        // Nothing but the checksum and the rest of the data may differ from what was sent.
        let request = mark.request(sequence, 0);
        assert_eq!((message[0], &message[4..request.len()]), (REPLY, &request[4..]));
    }
    let mut reply = mark.request(sequence, size);
    reply[0] = REPLY;
    assert_eq!(mark.sequence(&reply), Some(sequence));
});
