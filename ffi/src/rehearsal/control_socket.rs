//! Netgraph's control socket in a rehearsal: what each message does to the nodes, and what they answer.

use std::net::{Ipv4Addr, SocketAddrV4};

use zerocopy::IntoBytes;

use super::interfaces::Kind;
use super::{Rehearsal, State, commands};
use crate::abi::SockaddrIn;
use crate::errno::Errno;
use crate::kernel::{Netgraph, Result};
use crate::netgraph::{IfaceNode, Message};

/// The name of a socket that is not bound.
const UNBOUND: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);

pub(super) struct ControlSocket {
    kernel: Rehearsal,
    /// The unit of the iface node on the socket's own hook.
    hooked: Option<u32>,
}

impl ControlSocket {
    pub(super) fn new(kernel: &Rehearsal) -> Self {
        Self { kernel: kernel.clone(), hooked: None }
    }
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
    /// The command that does the same.
    Done(String),
}

type Handled = std::result::Result<Outcome, Errno>;

impl State {
    fn handle(&mut self, message: &Message, hooked: &mut Option<u32>) -> Handled {
        match message {
            Message::MakeIface => self.make_iface(hooked),
            Message::GetInterfaceName => {
                let name = self.interfaces.of_node(hooked.ok_or(Errno::ENOENT)?)?.name.to_string();
                Ok(Outcome::Answer([name.as_bytes(), &[0]].concat()))
            }
            Message::MakeKsocket(node) => {
                let node = self.nodes.find(node, *hooked)?;
                node.make_ksocket()?;
                Ok(Outcome::Done(commands::make_ksocket(&node.name)))
            }
            Message::ShutDown(node) => {
                let node = self.nodes.find(node, *hooked)?.clone();
                self.nodes.remove(node.unit);
                self.interfaces.remove_of_node(node.unit);
                Ok(Outcome::Done(commands::shut_down(&node.name)))
            }
            Message::ShutDownKsocket(node) => {
                let node = self.nodes.find(node, *hooked)?;
                node.ksocket.take().ok_or(Errno::ENOENT)?;
                Ok(Outcome::Done(commands::shut_down_ksocket(&node.name)))
            }
            Message::GetName(node) => {
                let local = self.nodes.find(node, *hooked)?.ksocket()?.local.unwrap_or(UNBOUND);
                Ok(Outcome::Answer(SockaddrIn::new(*local.ip(), local.port()).as_bytes().to_owned()))
            }
            Message::Bind(node, local) => self.bind(node, *hooked, *local),
            Message::Connect(node, remote) => {
                let node = self.nodes.find(node, *hooked)?;
                node.ksocket()?.connect(*remote, self.routed)?;
                Ok(Outcome::Done(commands::connect(&node.name, *remote)))
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
        Ok(Outcome::Done(commands::make_iface()))
    }

    fn bind(&mut self, node: &IfaceNode, hooked: Option<u32>, local: SocketAddrV4) -> Handled {
        let taken = self.nodes.is_taken(local);
        let node = self.nodes.find(node, hooked)?;
        if self.foreign.contains(local.ip()) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        node.ksocket()?.bind(local, taken)?;
        Ok(Outcome::Done(commands::bind(&node.name, local)))
    }
}
