//! Answers of netgraph(4) nodes, as recvfrom(2) returns them.
#![no_main]

use ffi::abi::numbers::NGF_RESP;
use ffi::abi::{NgMesg, Nodeinfo};
use ffi::name::{InterfaceName, LONGEST};
use ffi::netgraph::{IfaceNode, Message, iface_nodes, interface_name, socket_address};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use zerocopy::{FromBytes, IntoBytes};

const IFACE: &[u8] = b"iface";
const TOKEN: u32 = 7;

/// The bytes that are received.
#[derive(Arbitrary, Debug)]
enum Received<'a> {
    Any(&'a [u8]),
    /// An answer to the message, or nearly.
    Answer {
        version: Option<u8>,
        flags: Option<u32>,
        token: Option<u32>,
        length: Option<u32>,
        arguments: Arguments<'a>,
    },
}

#[derive(Arbitrary, Debug)]
enum Arguments<'a> {
    Any(&'a [u8]),
    /// Iface nodes with these names.
    Nodes(Vec<[u8; 32]>),
}

fuzz_target!(|input: (u8, Received)| {
    let (kind, received) = input;
    let message = message(kind);
    let bytes = received.encode(&message);
    let Some(arguments) = message.answer(TOKEN, &bytes) else { return };
    assert!(bytes[size_of::<NgMesg>()..].starts_with(arguments));
    let names = iface_nodes(arguments).into_iter().map(|node| match node {
        IfaceNode::Named(name) => name,
        IfaceNode::OnHook => panic!("a node of another process"),
    });
    names.chain(interface_name(arguments)).for_each(|name| check_name(&name));
    if let Some(address) = socket_address(arguments) {
        assert_eq!(address.to_string().parse(), Ok(address));
    }
});

/// Those that are answered, and one that is not.
fn message(kind: u8) -> Message {
    let node = IfaceNode::OnHook;
    match kind % 5 {
        0 => Message::ListNodes,
        1 => Message::GetInterfaceName(node),
        2 => Message::GetName(node),
        3 => Message::GetPeerName(node),
        _ => Message::MakeIface,
    }
}

impl Received<'_> {
    fn encode(&self, message: &Message) -> Vec<u8> {
        match self {
            Self::Any(bytes) => bytes.to_vec(),
            Self::Answer { version, flags, token, length, arguments } => {
                let arguments = arguments.encode();
                let message = message.encode(token.unwrap_or(TOKEN));
                let (mut header, _) = NgMesg::read_from_prefix(&message).expect("a header");
                header.version = version.unwrap_or(header.version);
                header.flags = flags.unwrap_or(NGF_RESP);
                header.arglen = length.unwrap_or(u32::try_from(arguments.len()).expect("a short input"));
                [header.as_bytes(), &arguments].concat()
            }
        }
    }
}

impl Arguments<'_> {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Any(bytes) => bytes.to_vec(),
            Self::Nodes(names) => {
                let nodes = names.iter().flat_map(|name| {
                    let mut node = Nodeinfo { name: *name, r#type: [0; _], id: 1, hooks: 0 };
                    node.r#type[..IFACE.len()].copy_from_slice(IFACE);
                    node.as_bytes().to_owned()
                });
                [0; size_of::<u32>()].into_iter().chain(nodes).collect()
            }
        }
    }
}

/// A name that the kernel gave can be used in messages, and is read as the same.
fn check_name(name: &InterfaceName) {
    assert!(name.as_str().len() <= LONGEST && InterfaceName::new(name.as_str()) == Some(name.clone()));
    let address = Message::ShutDown(IfaceNode::Named(name.clone())).address();
    assert_eq!(address[2..], [name.as_str().as_bytes(), b":\0"].concat());
}
