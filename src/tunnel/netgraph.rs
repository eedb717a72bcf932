//! The nodes of a UDP tunnel: an iface node, and on its `inet6` hook a ksocket.

use std::net::SocketAddrV4;

use ffi::errno::Errno;
use ffi::kernel::{self, Ends, Kernel, Netgraph};
use ffi::name::InterfaceName;
use ffi::netgraph::{IfaceNode, Message, interface_name, socket_address};
use log::error;

use super::allow;
use super::error::{Error, Step};
use super::modules::{self, ModuleProbe};

/// A kernel without a control socket says EAFNOSUPPORT. The node types it loads by itself, but while it loads the
/// second, the interface of the first exists and is down; and devd(8) turns IPv6 off on a new interface that is down.
const PROBE: ModuleProbe =
    ModuleProbe { sign: Errno::EAFNOSUPPORT, module: "ng_socket", companions: &["ng_iface", "ng_ksocket"] };

/// Opens a control socket, and loads the module if it is missing.
pub(super) fn open(kernel: &mut dyn Kernel) -> Result<Box<dyn Netgraph>, Error> {
    modules::call(kernel, Step::OpenNetgraph, &PROBE, |kernel| kernel.open_netgraph())
}

/// Makes an iface node and returns its interface.
pub(super) fn make_iface(kernel: &mut dyn Kernel) -> Result<InterfaceName, Error> {
    let mut netgraph = open(kernel)?;
    let failed = |step| move |cause| Error::new(step, None, cause);
    netgraph.send(&Message::MakeIface).map_err(failed(Step::MakeNode("ng_iface")))?;
    ask(&mut *netgraph, &Message::GetInterfaceName, interface_name)
        .map_err(failed(Step::AskNode))
        .inspect_err(|_| {
            // The node would outlive the socket. If this fails too, the kernel has refused two messages in a row, and
            // the next start has no mark to find the node by.
            if let Err(cause) = netgraph.send(&Message::ShutDown(IfaceNode::OnHook)) {
                error!("cannot remove the new netgraph node: {cause}: find it with `ngctl list`");
            }
        })
}

/// Brings the ksocket of an iface node to these ends. One that has them already is left alone. Any other is made again:
/// a ksocket that is connected again in place loses the address it is bound to, and sends from the route's.
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

/// Shuts an iface node down, and with it the interface, the ksocket and its port.
pub(super) fn shut_down(kernel: &mut dyn Kernel, node: IfaceNode) -> kernel::Result<()> {
    kernel.open_netgraph()?.send(&Message::ShutDown(node)).map(drop)
}

/// Sends a message and decodes its answer.
fn ask<T>(
    netgraph: &mut dyn Netgraph,
    message: &Message,
    decode: fn(&[u8]) -> Option<T>,
) -> kernel::Result<T> {
    let answer = netgraph.send(message)?;
    decode(&answer).ok_or_else(|| kernel::Error { call: message.to_string(), errno: Errno::EBADMSG })
}
