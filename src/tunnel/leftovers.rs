//! What a run that was killed has left behind.

use ffi::errno::Errno;
use ffi::kernel::{self, Kernel};
use ffi::name::InterfaceName;
use ffi::netgraph::IfaceNode;
use log::{info, warn};

use super::{GROUP, identity, netgraph};

/// Takes down the interfaces of our group whose description names a process that is no more. One whose process lives,
/// or that names none, is never touched. What cannot be removed is logged, and no reason not to start.
pub fn remove(kernel: &mut dyn Kernel, lives: impl Fn(u32) -> bool) {
    let members = match kernel.group_members(GROUP) {
        Ok(members) => members,
        Err(cause) => return warn!("cannot look for what an earlier run left behind: {cause}"),
    };
    for interface in members {
        let Ok(description) = kernel.description(&interface) else { continue };
        let Some(pid) = identity::owner(&description).filter(|&pid| !lives(pid)) else { continue };
        match remove_one(kernel, &interface) {
            Ok(()) => info!("removed {interface}, which process {pid} left behind"),
            Err(cause) => warn!("cannot remove {interface}, which process {pid} left behind: {cause}"),
        }
    }
}

/// An ng interface refuses SIOCIFDESTROY with EINVAL: it goes with its node.
fn remove_one(kernel: &mut dyn Kernel, interface: &InterfaceName) -> kernel::Result<()> {
    match kernel.destroy_gif(interface) {
        Err(cause) if cause.errno == Errno::EINVAL => {
            netgraph::shut_down(kernel, IfaceNode::Named(interface.clone()))
        }
        result => result,
    }
}

/// Whether a process exists. The one that asks does not count: what bears its own pid was left by an earlier process
/// of that number.
pub fn lives(pid: u32) -> bool {
    let Ok(raw) = i32::try_from(pid) else { return false };
    let exists =
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(raw), None) != Err(nix::errno::Errno::ESRCH);
    exists && pid != std::process::id()
}
