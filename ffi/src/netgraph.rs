//! netgraph(4): the nodes that carry IPv6 in UDP, and the messages that make them.
//!
//! An iface node (`ng_iface(4)`) brings an interface; a ksocket node (`ng_ksocket(4)`) on its
//! `inet6` hook is the UDP socket that its packets go through. A message goes to a node's address by sendto(2) on a control socket; what is wrong
//! with it is that call's errno. Some commands have an answer, which recvfrom(2) then gives.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

use zerocopy::{FromBytes, IntoBytes};

use crate::abi::numbers::{
    AF_NETGRAPH, NG_VERSION, NGF_RESP, NGM_GENERIC_COOKIE, NGM_IFACE_COOKIE, NGM_IFACE_GET_IFNAME,
    NGM_KSOCKET_BIND, NGM_KSOCKET_CONNECT, NGM_KSOCKET_COOKIE, NGM_MKPEER, NGM_RMHOOK, NGM_SHUTDOWN,
};
use crate::abi::{NgMesg, NgmMkpeer, NgmRmhook, SockaddrIn, SockaddrNg, fixed, interface_name};
use crate::kernel::IfaceNode;
use crate::name::InterfaceName;

/// The hook of our own socket's node, on which an iface node is made.
pub const OWN_HOOK: &str = "dtcp";
/// The hook of an iface node that our own is connected to. It stays silent: no IPv4 goes through the tunnel.
pub const SILENT_HOOK: &str = "inet";
/// The hook of an iface node through which IPv6 goes.
pub const IPV6_HOOK: &str = "inet6";
/// The hook of a ksocket node, which says what kind of socket it is.
pub const UDP_HOOK: &str = "inet/dgram/udp";

/// A command to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The node, as a netgraph address.
    path: String,
    /// What it is about, for people.
    subject: String,
    cookie: u32,
    number: u32,
    name: &'static str,
    arguments: Vec<u8>,
}

impl Command {
    /// Makes an iface node on our own hook.
    pub fn make_iface() -> Self {
        Self::make_peer(".".to_owned(), "iface", OWN_HOOK, SILENT_HOOK)
    }

    /// Makes a UDP ksocket on an iface node.
    pub fn make_ksocket(iface: &IfaceNode) -> Self {
        Self::make_peer(iface_path(iface), "ksocket", IPV6_HOOK, UDP_HOOK)
    }

    /// Makes a node of this type, connected by its `peer_hook` to the `own_hook` of the node at `path`.
    fn make_peer(path: String, node_type: &str, own_hook: &str, peer_hook: &str) -> Self {
        let arguments =
            NgmMkpeer { r#type: fixed(node_type), ourhook: fixed(own_hook), peerhook: fixed(peer_hook) };
        let subject = node_type.to_owned();
        Self { subject, ..Self::generic(path, NGM_MKPEER, "mkpeer", arguments.as_bytes()) }
    }

    /// Asks the iface node on our own hook for its interface's name; [`answered_name`] decodes the answer.
    pub fn get_interface_name() -> Self {
        Self::new(OWN_HOOK.to_owned(), NGM_IFACE_COOKIE, NGM_IFACE_GET_IFNAME, "getifname", &[])
    }

    /// Binds an iface node's ksocket to a port, on all of the host's addresses.
    pub fn bind(iface: &IfaceNode, port: u16) -> Self {
        Self::ksocket(iface, NGM_KSOCKET_BIND, "bind", SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))
    }

    /// Connects an iface node's ksocket.
    pub fn connect(iface: &IfaceNode, peer: SocketAddrV4) -> Self {
        Self::ksocket(iface, NGM_KSOCKET_CONNECT, "connect", peer)
    }

    /// Takes our own hook off; the node on its other side stays.
    pub fn remove_hook() -> Self {
        let arguments = NgmRmhook { ourhook: fixed(OWN_HOOK) };
        Self::generic(".".to_owned(), NGM_RMHOOK, "rmhook", arguments.as_bytes())
    }

    /// Shuts an iface node down, and its ksocket with it.
    pub fn shut_down(iface: &IfaceNode) -> Self {
        Self::generic(iface_path(iface), NGM_SHUTDOWN, "shutdown", &[])
    }

    fn generic(path: String, number: u32, name: &'static str, arguments: &[u8]) -> Self {
        Self::new(path, NGM_GENERIC_COOKIE, number, name, arguments)
    }

    fn ksocket(iface: &IfaceNode, number: u32, name: &'static str, address: SocketAddrV4) -> Self {
        let address = SockaddrIn::new(*address.ip(), address.port());
        Self::new(ksocket_path(iface), NGM_KSOCKET_COOKIE, number, name, address.as_bytes())
    }

    fn new(path: String, cookie: u32, number: u32, name: &'static str, arguments: &[u8]) -> Self {
        Self { subject: path.clone(), path, cookie, number, name, arguments: arguments.to_owned() }
    }

    /// The address for sendto(2): as many bytes of a `sockaddr_ng` as it uses.
    pub fn address(&self) -> Vec<u8> {
        address(&self.path)
    }

    /// The message for sendto(2). An answer will carry the same token.
    pub fn message(&self, token: u32) -> Vec<u8> {
        let header = NgMesg {
            version: NG_VERSION,
            spare: 0,
            spare2: 0,
            arglen: length(&self.arguments),
            cmd: self.number,
            flags: 0,
            token,
            typecookie: self.cookie,
            cmdstr: fixed(self.name),
        };
        [header.as_bytes(), &self.arguments].concat()
    }

    /// The arguments of the answer to this command, sent with `token`; `None` where this message is not it.
    pub fn answer<'message>(&self, token: u32, message: &'message [u8]) -> Option<&'message [u8]> {
        let reply = Reply::decode(message)?;
        let ours = reply.token == token && reply.cookie == self.cookie && reply.command == self.number;
        ours.then_some(reply.arguments)
    }
}

/// The command, and what it makes or where it goes: `mkpeer iface`, `bind ng0:inet6`.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.subject)
    }
}

/// The reply to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'message> {
    /// Whose command it was.
    pub cookie: u32,
    /// The command, in the terms of `cookie`.
    pub command: u32,
    /// What the command was sent with.
    pub token: u32,
    /// What the node answers.
    pub arguments: &'message [u8],
}

impl<'message> Reply<'message> {
    /// Reads a message; `None` where it is cut short, of another version, or no reply.
    pub fn decode(message: &'message [u8]) -> Option<Self> {
        let (header, rest) = NgMesg::read_from_prefix(message).ok()?;
        let arguments = rest.get(..usize::try_from(header.arglen).ok()?)?;
        let is_reply = header.version == NG_VERSION && header.flags & NGF_RESP != 0;
        is_reply.then_some(Self {
            cookie: header.typecookie,
            command: header.cmd,
            token: header.token,
            arguments,
        })
    }
}

/// The name that an iface node answers [`Command::get_interface_name`] with.
pub fn answered_name(arguments: &[u8]) -> Option<InterfaceName> {
    interface_name(arguments)
}

/// The address of an iface node.
fn iface_path(iface: &IfaceNode) -> String {
    match iface {
        IfaceNode::OnHook => OWN_HOOK.to_owned(),
        IfaceNode::Named(name) => format!("{name}:"),
    }
}

/// The address of an iface node's ksocket.
fn ksocket_path(iface: &IfaceNode) -> String {
    match iface {
        IfaceNode::OnHook => format!("{OWN_HOOK}.{IPV6_HOOK}"),
        IfaceNode::Named(name) => format!("{name}:{IPV6_HOOK}"),
    }
}

fn address(path: &str) -> Vec<u8> {
    let used = std::mem::offset_of!(SockaddrNg, sg_data) + path.len() + 1;
    let sg_len = u8::try_from(used).expect("an interface's name makes a short path");
    let address = SockaddrNg { sg_len, sg_family: AF_NETGRAPH, sg_data: fixed(path) };
    address.as_bytes()[..used].to_owned()
}

fn length(arguments: &[u8]) -> u32 {
    u32::try_from(arguments.len()).expect("arguments are short")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The answer to a command, as a node would make it.
    fn answer_to(command: &Command, token: u32, arguments: &[u8]) -> Vec<u8> {
        let command = Command { arguments: arguments.to_owned(), ..command.clone() };
        let mut message = command.message(token);
        let flags = std::mem::offset_of!(NgMesg, flags);
        message[flags..flags + 4].copy_from_slice(&NGF_RESP.to_ne_bytes());
        message
    }

    fn named(name: &str) -> IfaceNode {
        IfaceNode::Named(InterfaceName::new(name).expect("a good name"))
    }

    #[test]
    fn nodes_are_reached_by_hook_or_name() {
        assert_eq!(Command::make_ksocket(&IfaceNode::OnHook).to_string(), "mkpeer ksocket");
        assert_eq!(Command::shut_down(&IfaceNode::OnHook).to_string(), "shutdown dtcp");
        assert_eq!(Command::shut_down(&named("ng0")).to_string(), "shutdown ng0:");
        assert_eq!(Command::bind(&IfaceNode::OnHook, 4028).to_string(), "bind dtcp.inet6");
        assert_eq!(Command::bind(&named("ng0"), 4028).to_string(), "bind ng0:inet6");
    }

    #[test]
    fn the_longest_name_fits_an_address() {
        let address = Command::bind(&named("a23456789012345"), 4028).address();
        assert_eq!(address[..2], [24, AF_NETGRAPH]);
        assert_eq!(&address[2..], b"a23456789012345:inet6\0");
    }

    #[test]
    fn only_a_reply_with_its_token_and_command_answers_a_command() {
        let command = Command::get_interface_name();
        let answer = answer_to(&command, 7, b"ng0\0");
        assert_eq!(command.answer(7, &answer), Some(&b"ng0\0"[..]));
        assert_eq!(command.answer(8, &answer), None);
        assert_eq!(Command::remove_hook().answer(7, &answer), None);
        assert_eq!(command.answer(7, &command.message(7)), None, "the command itself is no reply");
        assert_eq!(command.answer(7, &answer[..answer.len() - 1]), None, "cut short");
        let mut other_version = answer;
        other_version[0] = 9;
        assert_eq!(command.answer(7, &other_version), None);
    }

    proptest! {
        #[test]
        fn an_answer_comes_out_as_it_went_in(token: u32, arguments in prop::collection::vec(any::<u8>(), 0..99)) {
            let command = Command::get_interface_name();
            let message = answer_to(&command, token, &arguments);
            prop_assert_eq!(command.answer(token, &message), Some(&arguments[..]));
        }

        #[test]
        fn no_bytes_upset_the_decoder(
            bytes in prop::collection::vec(any::<u8>(), 0..99),
            arglen: u32,
            kept in 0..80_usize,
        ) {
            let _ = Reply::decode(&bytes);
            let mut message = answer_to(&Command::get_interface_name(), 1, b"ng0\0\0\0\0\0\0\0\0\0\0\0\0\0");
            message[4..8].copy_from_slice(&arglen.to_ne_bytes());
            message.truncate(kept);
            let arguments = Reply::decode(&message).map_or(&[][..], |reply| reply.arguments);
            prop_assert!(arguments.len() <= message.len());
            let _ = answered_name(arguments);
        }
    }
}
