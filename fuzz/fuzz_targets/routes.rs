//! Messages of route(4), as read(2) returns them.
#![no_main]

use ffi::abi::IfaMsghdr;
use ffi::abi::numbers::RTM_VERSION;
use ffi::route_socket::address_changes;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use zerocopy::IntoBytes;

/// A part of what is read.
#[derive(Arbitrary, Debug)]
enum Part<'a> {
    Any(&'a [u8]),
    /// A message, or nearly.
    Message {
        message_type: u8,
        version: Option<u8>,
        addresses: u32,
        length: Option<u16>,
        body: &'a [u8],
    },
}

fuzz_target!(|parts: Vec<Part>| {
    let parts: Vec<_> = parts.iter().map(Part::encode).collect();
    let bytes = parts.concat();
    let all = address_changes(&bytes);
    assert!(all.len() <= bytes.len() / size_of::<IfaMsghdr>());
    // What is cut off changes nothing before it.
    for kept in parts.iter().scan(0, |kept, part| {
        *kept += part.len();
        Some(*kept)
    }) {
        assert!(all.starts_with(&address_changes(&bytes[..kept])));
    }
});

impl Part<'_> {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Any(bytes) => bytes.to_vec(),
            Self::Message { message_type, version, addresses, length, body } => {
                let size = u16::try_from(size_of::<IfaMsghdr>() + body.len()).unwrap_or(u16::MAX);
                let header = IfaMsghdr {
                    ifam_msglen: length.unwrap_or(size),
                    ifam_version: version.unwrap_or(RTM_VERSION),
                    ifam_type: *message_type,
                    ifam_addrs: *addresses,
                    ifam_flags: 0,
                    ifam_index: 1,
                    ifam_spare1: 0,
                    ifam_metric: 0,
                };
                [header.as_bytes(), body].concat()
            }
        }
    }
}
