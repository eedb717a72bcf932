//! Netgraph's control socket in a rehearsal: the effect of each message on the nodes, and their answers.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddrV4};

use zerocopy::IntoBytes;

use super::interfaces::Kind;
use super::{Command, Node, Rehearsal, State, words};
use crate::abi::SockaddrIn;
use crate::errno::Errno;
use crate::kernel::{Netgraph, Result};
use crate::netgraph::{IPV6_HOOK, IfaceNode, Message, OWN_HOOK, SILENT_HOOK, UDP_HOOK};

/// The address and port of a socket that is not bound.
const UNBOUND: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);

pub(super) struct ControlSocket {
    pub(super) kernel: Rehearsal,
    /// The unit number of the iface node that the socket has made.
    pub(super) hooked: Option<u32>,
}

impl Netgraph for ControlSocket {
    fn send(&mut self, message: &Message) -> Result<Vec<u8>> {
        let Self { kernel, hooked } = self;
        let mut state = kernel.state();
        let outcome = state.look(message, |state| state.handle(message, hooked))?;
        match outcome {
            Outcome::Answer(arguments) => Ok(arguments),
            Outcome::Done(command) => {
                (state.sink)(&command);
                Ok(Vec::new())
            }
        }
    }
}

enum Outcome {
    /// The arguments of the answer.
    Answer(Vec<u8>),
    /// The equivalent command.
    Done(Command),
}

type Handled = std::result::Result<Outcome, Errno>;

impl State {
    fn handle(&mut self, message: &Message, hooked: &mut Option<u32>) -> Handled {
        match message {
            Message::MakeIface => self.make_iface(hooked),
            Message::ListNodes => Ok(Outcome::Answer(self.nodes.list())),
            Message::GetInterfaceName(node) => {
                let name = self.interfaces.of_node(self.nodes.find(node, *hooked)?.unit)?.name.to_string();
                Ok(Outcome::Answer([name.as_bytes(), &[0]].concat()))
            }
            Message::MakeKsocket(node) => {
                let node = self.nodes.find(node, *hooked)?;
                node.make_ksocket()?;
                Ok(ngctl(&[&"mkpeer", &path(node, ""), &"ksocket", &IPV6_HOOK, &UDP_HOOK]))
            }
            Message::ShutDown(node) => {
                let node = self.nodes.find(node, *hooked)?.clone();
                self.nodes.remove(node.unit);
                self.interfaces.remove_of_node(node.unit);
                Ok(ngctl(&[&"shutdown", &path(&node, "")]))
            }
            Message::ShutDownKsocket(node) => {
                let node = self.nodes.find(node, *hooked)?;
                node.ksocket.take().ok_or(Errno::ENOENT)?;
                Ok(ngctl(&[&"shutdown", &path(node, IPV6_HOOK)]))
            }
            Message::GetName(node) => {
                Ok(answer(self.nodes.find(node, *hooked)?.ksocket()?.local.unwrap_or(UNBOUND)))
            }
            Message::GetPeerName(node) => {
                let remote = self.nodes.find(node, *hooked)?.ksocket()?.remote;
                remote.map(answer).ok_or(Errno::ENOTCONN)
            }
            Message::Bind(node, local) => self.bind(node, *hooked, *local),
            Message::Connect(node, remote) => {
                let port = self.nodes.free_port();
                let node = self.nodes.find(node, *hooked)?;
                node.ksocket()?.connect(*remote, self.route, port)?;
                Ok(message_to(node, "connect", *remote))
            }
        }
    }

    fn make_iface(&mut self, hooked: &mut Option<u32>) -> Handled {
        if hooked.is_some_and(|unit| self.interfaces.of_node(unit).is_ok()) {
            return Err(Errno::EEXIST);
        }
        let interface = self.interfaces.create(Kind::Ng)?;
        *hooked = Some(interface.unit);
        self.nodes.add(interface.name.clone(), interface.unit);
        Ok(ngctl(&[&"mkpeer", &".", &"iface", &OWN_HOOK, &SILENT_HOOK]))
    }

    fn bind(&mut self, node: &IfaceNode, hooked: Option<u32>, local: SocketAddrV4) -> Handled {
        let taken = self.nodes.is_taken(local);
        let is_foreign = self.foreign.contains(local.ip());
        let node = self.nodes.find(node, hooked)?;
        node.ksocket()?.bind(local, is_foreign, taken)?;
        Ok(message_to(node, "bind", local))
    }
}

fn answer(address: SocketAddrV4) -> Outcome {
    Outcome::Answer(SockaddrIn::new(*address.ip(), address.port()).as_bytes().to_owned())
}

/// A hook of a node, or the node itself, as ngctl(8) writes it.
fn path(node: &Node, hook: &str) -> String {
    format!("{}:{hook}", node.name)
}

fn message_to(node: &Node, message: &str, address: SocketAddrV4) -> Outcome {
    ngctl(&[&"msg", &path(node, IPV6_HOOK), &message, &format!("inet/{address}")])
}

fn ngctl(arguments: &[&dyn Display]) -> Outcome {
    Outcome::Done([&words(&[&"ngctl"])[..], &words(arguments)].concat())
}
