//! Interfaces that killed processes left behind.

use ffi::errno::Errno;
use ffi::kernel::{self, Kernel};
use ffi::name::InterfaceName;
use ffi::netgraph::IfaceNode;
use log::{info, warn};

use super::{GROUP, identity, netgraph};

/// Removes the interfaces of our group whose description has the pid of a process that no longer exists. An interface
/// whose process exists, or without a pid, is never touched. A failure is only logged.
pub(super) fn remove(kernel: &mut dyn Kernel, lives: impl Fn(u32) -> bool) {
    let members = match kernel.group_members(GROUP) {
        Ok(members) => members,
        Err(cause) => return warn!("cannot look for interfaces of killed processes: {cause}"),
    };
    for interface in members {
        let Ok(description) = kernel.description(&interface) else { continue };
        let Some(pid) = identity::owner(&description).filter(|&pid| !lives(pid)) else { continue };
        match remove_one(kernel, &interface) {
            Ok(()) => info!("removed {interface}, left behind by process {pid}"),
            Err(cause) => warn!("cannot remove {interface}, left behind by process {pid}: {cause}"),
        }
    }
}

/// An ng interface refuses SIOCIFDESTROY with EINVAL: it is removed with its node.
fn remove_one(kernel: &mut dyn Kernel, interface: &InterfaceName) -> kernel::Result<()> {
    match kernel.destroy_gif(interface) {
        Err(cause) if cause.errno == Errno::EINVAL => {
            netgraph::shut_down(kernel, IfaceNode::Named(interface.clone()))
        }
        result => result,
    }
}

/// Whether another process with this pid exists. An interface with our own pid was left behind by an earlier process
/// with the same pid.
pub fn lives(pid: u32) -> bool {
    let Ok(raw) = i32::try_from(pid) else { return false };
    let exists =
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(raw), None) != Err(nix::errno::Errno::ESRCH);
    exists && pid != std::process::id()
}
