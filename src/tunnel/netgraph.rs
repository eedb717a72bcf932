//! The nodes of a UDP tunnel: an iface node, and on its `inet6` hook a ksocket.

use std::net::SocketAddrV4;

use ffi::errno::Errno;
use ffi::kernel::{self, Ends, Kernel, Netgraph};
use ffi::name::InterfaceName;
use ffi::netgraph::{IfaceNode, Message, iface_nodes, interface_name, socket_address};
use log::error;

use super::allow;
use super::error::{Error, Step};
use super::modules::{self, ModuleProbe};

/// A kernel without `ng_socket` gives EAFNOSUPPORT. It would load the node types by itself, but while it loads the
/// second, the interface of the first already exists and is down, and devd(8) disables IPv6 on a new interface that is
/// down.
const PROBE: ModuleProbe =
    ModuleProbe { sign: Errno::EAFNOSUPPORT, module: "ng_socket", companions: &["ng_iface", "ng_ksocket"] };

/// Opens a control socket, and loads the module if it is missing.
pub(super) fn open(kernel: &mut dyn Kernel) -> Result<Box<dyn Netgraph>, Error> {
    modules::call(kernel, Step::OpenNetgraph, &PROBE, |kernel| kernel.open_netgraph())
}

/// Creates an iface node and returns its interface. The kernel does not check whether an interface that was renamed has
/// its name already: a new interface has no description.
pub(super) fn make_iface(kernel: &mut dyn Kernel) -> Result<InterfaceName, Error> {
    let mut netgraph = open(kernel)?;
    let failed = |step| move |cause| Error::new(step, None, cause);
    netgraph.send(&Message::MakeIface).map_err(failed(Step::MakeNode("ng_iface")))?;
    ask(&mut *netgraph, &Message::GetInterfaceName(IfaceNode::OnHook), interface_name)
        .map_err(failed(Step::AskNode))
        .and_then(|interface| match kernel.description(&interface) {
            Ok(description) if !description.is_empty() => Err(Error::NameTwice(interface)),
            _ => Ok(interface),
        })
        .inspect_err(|_| {
            // The node would outlive the socket. If this fails too, the next start cannot recognize the interface,
            // which has no description yet.
            if let Err(cause) = netgraph.send(&Message::ShutDown(IfaceNode::OnHook)) {
                error!("cannot remove the new netgraph node: {cause}; find it with `ngctl list`");
            }
        })
}

/// Gives the ksocket of an iface node these ends. A ksocket that has them already is not changed. Otherwise it is
/// replaced: a ksocket that is connected again loses the address it is bound to, and sends from the route's.
pub(super) fn connect(
    kernel: &mut dyn Kernel,
    interface: &InterfaceName,
    node: &IfaceNode,
    ends: Ends<SocketAddrV4>,
) -> Result<(), Error> {
    let mut netgraph = open(kernel)?;
    let mut has = |question, address| ask(&mut *netgraph, &question, socket_address) == Ok(address);
    if has(Message::GetName(node.clone()), ends.local) && has(Message::GetPeerName(node.clone()), ends.remote)
    {
        return Ok(());
    }
    let failed = |step| move |cause| Error::new(step, Some(interface), cause);
    let removed = netgraph.send(&Message::ShutDownKsocket(node.clone())).map(drop);
    allow(removed, Errno::ENOENT).map_err(failed(Step::RemoveKsocket))?;
    let mut send = |step, message| netgraph.send(&message).map(drop).map_err(failed(step));
    send(Step::MakeNode("ng_ksocket"), Message::MakeKsocket(node.clone()))?;
    send(Step::Bind(ends.local), Message::Bind(node.clone(), ends.local))?;
    send(Step::Connect(ends.remote), Message::Connect(node.clone(), ends.remote))
}

/// Checks that no socket has this address and port. In a vnet jail, bind(2) does not see ksockets: those are asked.
pub(super) fn check_free(kernel: &mut dyn Kernel, local: SocketAddrV4) -> Result<(), Error> {
    if kernel.try_bind(local.into()).is_err_and(|cause| cause.errno == Errno::EADDRINUSE) {
        return Err(Error::PortInUse(local));
    }
    let has_port = |bound: SocketAddrV4| {
        bound.port() == local.port() && (bound.ip() == local.ip() || bound.ip().is_unspecified())
    };
    let holder = find_node(&mut *open(kernel)?, |netgraph, node| {
        ask(netgraph, &Message::GetName(node.clone()), socket_address).is_ok_and(has_port)
    });
    match holder.map_err(|cause| Error::new(Step::AskNode, None, cause))? {
        Some(_) => Err(Error::PortInUse(local)),
        None => Ok(()),
    }
}

/// Shuts an iface node down, which removes the interface and the ksocket and frees its port.
pub(super) fn shut_down(kernel: &mut dyn Kernel, node: IfaceNode) -> kernel::Result<()> {
    kernel.open_netgraph()?.send(&Message::ShutDown(node)).map(drop)
}

/// The iface node of an interface, which bears the interface's first name, whatever that is called now.
pub(super) fn node_of(
    kernel: &mut dyn Kernel,
    interface: &InterfaceName,
) -> kernel::Result<Option<IfaceNode>> {
    find_node(&mut *kernel.open_netgraph()?, |netgraph, node| {
        ask(netgraph, &Message::GetInterfaceName(node.clone()), interface_name).as_ref() == Ok(interface)
    })
}

/// The first iface node for which `is_it` holds. A node that goes meanwhile is not the one.
fn find_node(
    netgraph: &mut dyn Netgraph,
    mut is_it: impl FnMut(&mut dyn Netgraph, &IfaceNode) -> bool,
) -> kernel::Result<Option<IfaceNode>> {
    let nodes = iface_nodes(&netgraph.send(&Message::ListNodes)?);
    Ok(nodes.into_iter().find(|node| is_it(netgraph, node)))
}

/// Sends a message and decodes its answer.
fn ask<T>(socket: &mut dyn Netgraph, message: &Message, decode: fn(&[u8]) -> Option<T>) -> kernel::Result<T> {
    let answer = socket.send(message)?;
    decode(&answer).ok_or_else(|| kernel::Error::new(message, Errno::EBADMSG))
}
