//! The nodes of a UDP tunnel: an iface node, and on its `inet6` hook a ksocket.

use std::net::SocketAddrV4;

use ffi::errno::Errno;
use ffi::kernel::{self, IfaceNode, Kernel};
use ffi::name::InterfaceName;

use super::error::{Error, Step};
use super::modules::{self, Missing};

/// A kernel without a control socket says EAFNOSUPPORT. The node types it loads by itself, but while it does so for the
/// second, the interface of the first is there and down; and devd(8) takes a new interface that is down for one that
/// wants no IPv6.
const MISSING: Missing =
    Missing { sign: Errno::EAFNOSUPPORT, module: "ng_socket", companions: &["ng_iface", "ng_ksocket"] };

/// Makes the nodes, bound and connected, and gives the interface's name. A step that fails undoes the ones before it.
pub(super) fn make_nodes(
    kernel: &mut dyn Kernel,
    port: u16,
    peer: SocketAddrV4,
) -> Result<InterfaceName, Error> {
    with_control_socket(kernel, |kernel| {
        kernel.make_iface_node().map_err(|cause| Error::new(Step::MakeNode("ng_iface"), None, cause))?;
        finish_nodes(kernel, port, peer).inspect_err(|_| {
            // The iface node lives until it is told to go. Should even this fail, the next start finds nothing to
            // know it by; but then the kernel has refused two commands in a row.
            if let Err(cause) = kernel.shut_down_node(&IfaceNode::OnHook) {
                log::error!("cannot remove the new netgraph node: {cause}: find it with `ngctl list`");
            }
        })
    })
}

fn finish_nodes(kernel: &mut dyn Kernel, port: u16, peer: SocketAddrV4) -> Result<InterfaceName, Error> {
    let unnamed = |step| move |cause| Error::new(step, None, cause);
    let interface = kernel.iface_node_name().map_err(unnamed(Step::FinishNodes))?;
    let on = Some(&interface);
    let named = |step| move |cause| Error::new(step, on, cause);
    kernel.make_ksocket_node(&IfaceNode::OnHook).map_err(named(Step::MakeNode("ng_ksocket")))?;
    kernel.bind_ksocket(&IfaceNode::OnHook, port).map_err(named(Step::Bind(port)))?;
    kernel.connect_ksocket(&IfaceNode::OnHook, peer).map_err(named(Step::Connect(peer)))?;
    kernel.release_hook().map_err(named(Step::FinishNodes))?;
    Ok(interface)
}

/// Connects the ksocket of a live tunnel again: to another peer, or to the same from a new source address.
pub(super) fn reconnect(
    kernel: &mut dyn Kernel,
    interface: &InterfaceName,
    node: &IfaceNode,
    peer: SocketAddrV4,
) -> Result<(), Error> {
    with_control_socket(kernel, |kernel| {
        kernel
            .connect_ksocket(node, peer)
            .map_err(|cause| Error::new(Step::Connect(peer), Some(interface), cause))
    })
}

/// Shuts an iface node down, and with it the interface, the ksocket and its port.
pub(super) fn shut_down(kernel: &mut dyn Kernel, node: &IfaceNode) -> kernel::Result<()> {
    kernel.open_netgraph()?;
    let result = kernel.shut_down_node(node);
    kernel.close_netgraph();
    result
}

/// Whether this process may use netgraph at all; loads the module if need be.
pub(super) fn check(kernel: &mut dyn Kernel) -> Result<(), Error> {
    with_control_socket(kernel, |_| Ok(()))
}

/// Opens the control socket, loading the module where it is missing, and closes it after `work`.
fn with_control_socket<T>(
    kernel: &mut dyn Kernel,
    work: impl FnOnce(&mut dyn Kernel) -> Result<T, Error>,
) -> Result<T, Error> {
    modules::call(kernel, Step::OpenNetgraph, &MISSING, |kernel| kernel.open_netgraph())?;
    let result = work(kernel);
    kernel.close_netgraph();
    result
}
