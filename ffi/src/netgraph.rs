//! netgraph(4): the nodes that carry IPv6 in UDP, and the messages that make them.
//!
//! An iface node (`ng_iface(4)`) has an interface; a ksocket node (`ng_ksocket(4)`) on its `inet6` hook is the UDP
//! socket that carries the interface's packets. sendto(2) on a control socket sends a message to a node, and fails with
//! the errno of the requested operation. recvfrom(2) then returns the answer, if there is one.

use std::fmt;
use std::net::SocketAddrV4;

use zerocopy::{FromBytes, IntoBytes};

use crate::abi::numbers::{
    AF_INET, AF_NETGRAPH, NG_VERSION, NGF_RESP, NGM_GENERIC_COOKIE, NGM_IFACE_COOKIE, NGM_IFACE_GET_IFNAME,
    NGM_KSOCKET_BIND, NGM_KSOCKET_CONNECT, NGM_KSOCKET_COOKIE, NGM_KSOCKET_GETNAME, NGM_KSOCKET_GETPEERNAME,
    NGM_LISTNODES, NGM_MKPEER, NGM_SHUTDOWN,
};
use crate::abi::{NgMesg, NgmMkpeer, Nodeinfo, SockaddrIn, SockaddrNg, fixed};
use crate::name::InterfaceName;

/// The name in the answer to [`Message::GetInterfaceName`].
pub use crate::abi::interface_name;

/// The control socket's hook, to which a new iface node is connected.
pub(crate) const OWN_HOOK: &str = "dtcp";
/// The iface node's hook that is connected to [`OWN_HOOK`]. It carries no packets, since the tunnel has no IPv4.
pub(crate) const SILENT_HOOK: &str = "inet";
/// The iface node's hook for IPv6.
pub(crate) const IPV6_HOOK: &str = "inet6";
/// The ksocket node's hook, whose name selects the kind of socket.
pub(crate) const UDP_HOOK: &str = "inet/dgram/udp";

/// The type of an iface node.
const IFACE: &str = "iface";

/// How a message reaches an iface node: see *addressing* in netgraph(4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfaceNode {
    /// The node that this control socket has made.
    OnHook,
    /// The node with this name, which is its interface's first name.
    Named(InterfaceName),
}

impl IfaceNode {
    fn path(&self) -> String {
        match self {
            Self::OnHook => OWN_HOOK.to_owned(),
            Self::Named(name) => format!("{name}:"),
        }
    }

    fn ksocket_path(&self) -> String {
        self.path() + if *self == Self::OnHook { "." } else { "" } + IPV6_HOOK
    }
}

/// A message to a node. EPERM or ENOENT from `mkpeer`: the module of the node type cannot be loaded, or does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Makes an iface node, and with it an ng interface.
    MakeIface,
    /// Asks for all nodes: see [`iface_nodes`].
    ListNodes,
    /// Asks an iface node for the present name of its interface: see [`interface_name`].
    GetInterfaceName(IfaceNode),
    /// Makes a UDP ksocket node on the `inet6` hook of an iface node. EEXIST: the hook is taken.
    MakeKsocket(IfaceNode),
    /// Gets the address and port to which an iface node's ksocket is bound: see [`socket_address`]. ENOENT: there is no
    /// ksocket.
    GetName(IfaceNode),
    /// Gets the address and port to which an iface node's ksocket is connected: see [`socket_address`]. ENOENT: there
    /// is no ksocket. ENOTCONN: it is not connected.
    GetPeerName(IfaceNode),
    /// Binds an iface node's ksocket. EINVAL: it is bound already. EADDRNOTAVAIL: this host does not have the address.
    /// EADDRINUSE: the port is taken; not reported in a vnet jail, since a kernel thread handles the message with the
    /// host's credentials, and the kernel compares ports within one jail only.
    Bind(IfaceNode, SocketAddrV4),
    /// Connects an iface node's ksocket. One that is connected already is disconnected first and loses its local
    /// address, but not its port: the route determines the new address. If it cannot be connected again, it remains
    /// unconnected, and on 13.2 accepts packets from anyone (observed).
    Connect(IfaceNode, SocketAddrV4),
    /// Shuts the ksocket of an iface node down, which frees its port.
    ShutDownKsocket(IfaceNode),
    /// Shuts an iface node down, which removes its interface, and soon after its ksocket and the port.
    ShutDown(IfaceNode),
}

impl Message {
    /// The address for sendto(2): as many bytes of a `sockaddr_ng` as it uses.
    pub fn address(&self) -> Vec<u8> {
        let path = self.path();
        let used = std::mem::offset_of!(SockaddrNg, sg_data) + path.len() + 1;
        let sg_len = u8::try_from(used).expect("an interface's name makes a short path");
        let address = SockaddrNg { sg_len, sg_family: AF_NETGRAPH, sg_data: fixed(&path) };
        address.as_bytes()[..used].to_owned()
    }

    /// The message for sendto(2). Its answer will have the same token.
    pub fn encode(&self, token: u32) -> Vec<u8> {
        let (typecookie, cmd, name) = self.command();
        let arguments = self.arguments();
        let header = NgMesg {
            version: NG_VERSION,
            spare: 0,
            spare2: 0,
            arglen: u32::try_from(arguments.len()).expect("arguments are short"),
            cmd,
            flags: 0,
            token,
            typecookie,
            cmdstr: fixed(name),
        };
        [header.as_bytes(), &arguments].concat()
    }

    /// Whether the node answers this message.
    pub fn has_answer(&self) -> bool {
        matches!(self, Self::ListNodes | Self::GetInterfaceName(_) | Self::GetName(_) | Self::GetPeerName(_))
    }

    /// The arguments of the answer to this message, sent with `token`. `None`: the bytes are something else, of another
    /// version, or truncated.
    pub fn answer<'bytes>(&self, token: u32, bytes: &'bytes [u8]) -> Option<&'bytes [u8]> {
        let (header, rest) = NgMesg::read_from_prefix(bytes).ok()?;
        let arguments = rest.get(..usize::try_from(header.arglen).ok()?)?;
        let (cookie, number, _) = self.command();
        let is_reply = header.version == NG_VERSION && header.flags & NGF_RESP != 0;
        let is_ours = (header.token, header.typecookie, header.cmd) == (token, cookie, number);
        (is_reply && is_ours).then_some(arguments)
    }

    fn path(&self) -> String {
        match self {
            Self::MakeIface | Self::ListNodes => ".".to_owned(),
            Self::GetInterfaceName(node) | Self::MakeKsocket(node) | Self::ShutDown(node) => node.path(),
            Self::GetName(node)
            | Self::GetPeerName(node)
            | Self::Bind(node, _)
            | Self::Connect(node, _)
            | Self::ShutDownKsocket(node) => node.ksocket_path(),
        }
    }

    /// The cookie, number and name of the command.
    fn command(&self) -> (u32, u32, &'static str) {
        match self {
            Self::MakeIface | Self::MakeKsocket(_) => (NGM_GENERIC_COOKIE, NGM_MKPEER, "mkpeer"),
            Self::ShutDown(_) | Self::ShutDownKsocket(_) => (NGM_GENERIC_COOKIE, NGM_SHUTDOWN, "shutdown"),
            Self::ListNodes => (NGM_GENERIC_COOKIE, NGM_LISTNODES, "listnodes"),
            Self::GetInterfaceName(_) => (NGM_IFACE_COOKIE, NGM_IFACE_GET_IFNAME, "getifname"),
            Self::GetName(_) => (NGM_KSOCKET_COOKIE, NGM_KSOCKET_GETNAME, "getname"),
            Self::GetPeerName(_) => (NGM_KSOCKET_COOKIE, NGM_KSOCKET_GETPEERNAME, "getpeername"),
            Self::Bind(..) => (NGM_KSOCKET_COOKIE, NGM_KSOCKET_BIND, "bind"),
            Self::Connect(..) => (NGM_KSOCKET_COOKIE, NGM_KSOCKET_CONNECT, "connect"),
        }
    }

    fn arguments(&self) -> Vec<u8> {
        let mkpeer = |node_type: &str, ourhook: &str, peerhook: &str| {
            let arguments =
                NgmMkpeer { r#type: fixed(node_type), ourhook: fixed(ourhook), peerhook: fixed(peerhook) };
            arguments.as_bytes().to_owned()
        };
        match self {
            Self::MakeIface => mkpeer(IFACE, OWN_HOOK, SILENT_HOOK),
            Self::MakeKsocket(_) => mkpeer("ksocket", IPV6_HOOK, UDP_HOOK),
            Self::Bind(_, address) | Self::Connect(_, address) => {
                SockaddrIn::new(*address.ip(), address.port()).as_bytes().to_owned()
            }
            _ => Vec::new(),
        }
    }
}

/// The command, and the type of node that it makes or the node that it is sent to: `mkpeer iface`, `bind ng0:inet6`.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, _, name) = self.command();
        match self {
            Self::MakeIface => write!(f, "{name} iface"),
            Self::MakeKsocket(_) => write!(f, "{name} ksocket"),
            _ => write!(f, "{name} {}", self.path()),
        }
    }
}

/// The address and port in the answer to [`Message::GetName`] or [`Message::GetPeerName`]; a ksocket that is not bound
/// has 0.0.0.0 and 0.
pub fn socket_address(arguments: &[u8]) -> Option<SocketAddrV4> {
    let (address, _) = SockaddrIn::read_from_prefix(arguments).ok()?;
    (address.sin_family == AF_INET)
        .then(|| SocketAddrV4::new(address.address(), u16::from_be(address.sin_port)))
}

/// The names of the iface nodes in the answer to [`Message::ListNodes`]: a count, then a `struct nodeinfo` each.
pub fn iface_nodes(arguments: &[u8]) -> Vec<IfaceNode> {
    let nodes = arguments.get(size_of::<u32>()..).unwrap_or_default().chunks_exact(size_of::<Nodeinfo>());
    let nodes = nodes.filter_map(|node| Nodeinfo::read_from_bytes(node).ok());
    nodes
        .filter(|node| node.r#type == fixed(IFACE))
        .filter_map(|node| crate::abi::interface_name(&node.name).map(IfaceNode::Named))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    /// The answer to a message, as from a node.
    fn answer_to(message: &Message, token: u32, arguments: &[u8]) -> Vec<u8> {
        let bytes = message.encode(token);
        let (mut header, _) = NgMesg::read_from_prefix(&bytes).expect("a header");
        header.flags = NGF_RESP;
        header.arglen = u32::try_from(arguments.len()).expect("a few");
        [header.as_bytes(), arguments].concat()
    }

    fn named(name: &str) -> IfaceNode {
        IfaceNode::Named(InterfaceName::new(name).expect("a good name"))
    }

    const ADDRESS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 4028);

    #[test]
    fn nodes_are_addressed_by_hook_or_name() {
        assert_eq!(Message::MakeKsocket(IfaceNode::OnHook).to_string(), "mkpeer ksocket");
        assert_eq!(Message::ShutDown(IfaceNode::OnHook).to_string(), "shutdown dtcp");
        assert_eq!(Message::ShutDown(named("ng0")).to_string(), "shutdown ng0:");
        assert_eq!(Message::ShutDownKsocket(named("ng0")).to_string(), "shutdown ng0:inet6");
        assert_eq!(Message::Bind(IfaceNode::OnHook, ADDRESS).to_string(), "bind dtcp.inet6");
        assert_eq!(Message::Bind(named("ng0"), ADDRESS).to_string(), "bind ng0:inet6");
    }

    #[test]
    fn the_longest_name_fits_an_address() {
        let address = Message::Bind(named("a23456789012345"), ADDRESS).address();
        assert_eq!(address[..2], [24, AF_NETGRAPH]);
        assert_eq!(&address[2..], b"a23456789012345:inet6\0");
    }

    #[test]
    fn only_a_reply_with_its_token_and_command_answers_a_message() {
        let message = Message::GetInterfaceName(IfaceNode::OnHook);
        let answer = answer_to(&message, 7, b"ng0\0");
        assert_eq!(message.answer(7, &answer), Some(&b"ng0\0"[..]));
        assert_eq!(message.answer(8, &answer), None);
        assert_eq!(Message::GetName(named("ng0")).answer(7, &answer), None);
        assert_eq!(message.answer(7, &message.encode(7)), None, "the message itself is not a reply");
        assert_eq!(message.answer(7, &answer[..answer.len() - 1]), None, "truncated");
        let mut other_version = answer;
        other_version[0] = 9;
        assert_eq!(message.answer(7, &other_version), None);
    }

    #[test]
    fn a_socket_s_name_is_an_ipv4_address_with_its_port() {
        let bytes = SockaddrIn::new(*ADDRESS.ip(), ADDRESS.port());
        assert_eq!(socket_address(bytes.as_bytes()), Some(ADDRESS));
        assert_eq!(socket_address(&bytes.as_bytes()[..8]), None);
        assert_eq!(socket_address(&[0; 16]), None);
    }

    proptest! {
        #[test]
        fn an_answer_comes_out_as_it_went_in(token: u32, arguments in prop::collection::vec(any::<u8>(), 0..99)) {
            let bytes = answer_to(&Message::GetInterfaceName(IfaceNode::OnHook), token, &arguments);
            prop_assert_eq!(Message::GetInterfaceName(IfaceNode::OnHook).answer(token, &bytes), Some(&arguments[..]));
        }

        #[test]
        fn no_bytes_make_the_decoders_panic(
            noise in prop::collection::vec(any::<u8>(), 0..99),
            arglen: u32,
            kept in 0..80_usize,
        ) {
            let mut bytes = answer_to(&Message::GetInterfaceName(IfaceNode::OnHook), 1, b"ng0\0\0\0\0\0\0\0\0\0\0\0\0\0");
            bytes[4..8].copy_from_slice(&arglen.to_ne_bytes());
            bytes.truncate(kept);
            for bytes in [&noise, &bytes] {
                let arguments = Message::GetInterfaceName(IfaceNode::OnHook).answer(1, bytes).unwrap_or_default();
                prop_assert!(arguments.len() <= bytes.len());
                let _ = (iface_nodes(&noise), interface_name(arguments), socket_address(arguments), socket_address(bytes));
            }
        }
    }
}
