//! Netgraph's control socket in a rehearsal: the effect of each message on the nodes, and their answers.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddrV4};

use zerocopy::IntoBytes;

use super::interfaces::Kind;
use super::{Command, Interface, Ksocket, Permitted, Rehearsal, State, words};
use crate::abi::SockaddrIn;
use crate::errno::Errno;
use crate::kernel::{Netgraph, Result};
use crate::name::InterfaceName;
use crate::netgraph::{IPV6_HOOK, IfaceNode, Message, OWN_HOOK, SILENT_HOOK, UDP_HOOK};

/// The address and port of a socket that is not bound.
const UNBOUND: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);

pub(super) struct ControlSocket {
    pub(super) kernel: Rehearsal,
    /// The name of the iface node that the socket has made.
    pub(super) hooked: Option<InterfaceName>,
}

impl Netgraph for ControlSocket {
    fn send(&mut self, message: &Message) -> Result<Vec<u8>> {
        let Self { kernel, hooked } = self;
        let mut state = kernel.state();
        let (answer, command) = state.look(message, |state| state.handle(message, hooked))?;
        if !command.is_empty() {
            (state.sink)(&command);
        }
        Ok(answer)
    }
}

/// The arguments of the answer, or the equivalent command; the other is empty.
type Outcome = (Vec<u8>, Command);
type Handled = Permitted<Outcome>;

impl State {
    fn handle(&mut self, message: &Message, made: &mut Option<InterfaceName>) -> Handled {
        let (interfaces, hooked) = (&mut self.interfaces, made.as_ref());
        match message {
            Message::MakeIface => self.make_iface(made),
            Message::ListNodes => Ok((interfaces.list_nodes(), Command::new())),
            Message::GetInterfaceName(node) => {
                let name = &interfaces.of_node(node, hooked)?.name;
                Ok(([name.as_str().as_bytes(), &[0]].concat(), Command::new()))
            }
            Message::MakeKsocket(node) => {
                let interface = interfaces.of_node(node, hooked)?;
                if interface.ksocket.is_some() {
                    return Err(Errno::EEXIST);
                }
                interface.ksocket = Some(Ksocket::default());
                Ok(ngctl(&[&"mkpeer", &path(interface, ""), &"ksocket", &IPV6_HOOK, &UDP_HOOK]))
            }
            Message::ShutDown(node) => {
                let interface = interfaces.of_node(node, hooked)?.clone();
                interfaces.all.retain(|each| *each != interface);
                Ok(ngctl(&[&"shutdown", &path(&interface, "")]))
            }
            Message::ShutDownKsocket(node) => {
                let interface = interfaces.of_node(node, hooked)?;
                interface.ksocket.take().ok_or(Errno::ENOENT)?;
                Ok(ngctl(&[&"shutdown", &path(interface, IPV6_HOOK)]))
            }
            Message::GetName(node) => {
                Ok(answer(interfaces.ksocket_of(node, hooked)?.local.unwrap_or(UNBOUND)))
            }
            Message::GetPeerName(node) => {
                interfaces.ksocket_of(node, hooked)?.remote.map(answer).ok_or(Errno::ENOTCONN)
            }
            Message::Bind(node, local) => self.bind(node, hooked, *local),
            Message::Connect(node, remote) => self.connect(node, hooked, *remote),
        }
    }

    fn bind(&mut self, node: &IfaceNode, hooked: Option<&InterfaceName>, local: SocketAddrV4) -> Handled {
        let interfaces = &mut self.interfaces;
        let (is_foreign, is_taken) = (self.foreign.contains(local.ip()), interfaces.is_taken(local));
        interfaces.ksocket_of(node, hooked)?.bind(local, is_foreign, is_taken)?;
        Ok(message_to(interfaces.of_node(node, hooked)?, "bind", local))
    }

    fn connect(&mut self, node: &IfaceNode, hooked: Option<&InterfaceName>, remote: SocketAddrV4) -> Handled {
        let port = self.interfaces.free_port();
        self.interfaces.ksocket_of(node, hooked)?.connect(remote, self.route, port)?;
        Ok(message_to(self.interfaces.of_node(node, hooked)?, "connect", remote))
    }

    fn make_iface(&mut self, made: &mut Option<InterfaceName>) -> Handled {
        if self.interfaces.of_node(&IfaceNode::OnHook, made.as_ref()).is_ok() {
            return Err(Errno::EEXIST);
        }
        *made = Some(self.interfaces.create(Kind::Ng)?);
        Ok(ngctl(&[&"mkpeer", &".", &"iface", &OWN_HOOK, &SILENT_HOOK]))
    }
}

fn answer(address: SocketAddrV4) -> Outcome {
    (SockaddrIn::new(*address.ip(), address.port()).as_bytes().to_owned(), Command::new())
}

/// A hook of an interface's node, or the node itself, as ngctl(8) writes it.
fn path(interface: &Interface, hook: &str) -> String {
    format!("{}:{hook}", interface.first_name)
}

fn message_to(interface: &Interface, message: &str, address: SocketAddrV4) -> Outcome {
    ngctl(&[&"msg", &path(interface, IPV6_HOOK), &message, &format!("inet/{address}")])
}

fn ngctl(arguments: &[&dyn Display]) -> Outcome {
    (Vec::new(), [&words(&[&"ngctl"])[..], &words(arguments)].concat())
}
