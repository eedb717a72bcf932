//! The interfaces that a killed run left behind.

use ffi::errno::Errno;
use ffi::kernel::{self, Kernel};
use ffi::name::InterfaceName;
use log::{info, warn};

use super::identity::Owner;
use super::{ALL, GROUP, netgraph};

/// The number of init(8), which every process outside of jails sees.
const INIT: u32 = 1;

/// Removes the interfaces whose description names a process that does not exist any more. An interface whose process
/// lives, or that names no process, is never touched. On a host, they need not be in our group: the process may have been
/// killed before it joined, and an interface that was lent to a jail has lost its groups. In a jail, such an interface may
/// be the host's, whose processes are not seen there. A failure is logged only.
pub(super) fn remove(kernel: &mut dyn Kernel) {
    let is_jailed = kernel.process_start(INIT) == Ok(None);
    let members = match kernel.group_members(if is_jailed { GROUP } else { ALL }) {
        Ok(members) => members,
        Err(cause) => return warn!("cannot look for interfaces of killed processes: {cause}"),
    };
    for interface in members {
        let Ok(description) = kernel.description(&interface) else { continue };
        let Some(owner) = Owner::read(&description) else { continue };
        if owner.lives(kernel) {
            continue;
        }
        let pid = owner.pid;
        match remove_one(kernel, &interface) {
            Ok(()) => info!("removed {interface}, left behind by process {pid}"),
            // Another client that starts has removed it.
            Err(_) if kernel.description(&interface).is_err_and(|cause| cause.errno == Errno::ENXIO) => {}
            Err(cause) => warn!("cannot remove {interface}, left behind by process {pid}: {cause}"),
        }
    }
}

/// An ng interface refuses SIOCIFDESTROY: it is removed with its node.
fn remove_one(kernel: &mut dyn Kernel, interface: &InterfaceName) -> kernel::Result<()> {
    match kernel.destroy_gif(interface) {
        Err(cause) if matches!(cause.errno, Errno::EINVAL | Errno::ENXIO) => {
            let node = netgraph::node_of(kernel, interface)?.ok_or(cause)?;
            netgraph::shut_down(kernel, node)
        }
        result => result,
    }
}
