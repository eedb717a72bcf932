//! The inner addresses of a tunnel.

use std::net::Ipv6Addr;

use ffi::errno::Errno;
use ffi::kernel::{Ends, Kernel};
use ffi::name::InterfaceName;

use super::{Error, Step, allow};

/// Removes the inner addresses that this process has added, unless they are still wanted, and adds the wanted ones.
pub(super) fn renumber(
    kernel: &mut dyn Kernel,
    interface: &InterfaceName,
    added: &mut Option<Ends<Ipv6Addr>>,
    wanted: Option<Ends<Ipv6Addr>>,
) -> Result<(), Error> {
    if let Some(old) = added.take_if(|old| Some(*old) != wanted) {
        remove(kernel, interface, old)?;
    }
    if let Some(new) = wanted {
        check_unused(kernel, interface, new)?;
        add(kernel, interface, new)?;
        *added = wanted;
    }
    Ok(())
}

/// Removes inner addresses and adds them again, so that the kernel checks them for duplicates again.
pub(super) fn renew(
    kernel: &mut dyn Kernel,
    interface: &InterfaceName,
    inner: Ends<Ipv6Addr>,
) -> Result<(), Error> {
    check_unused(kernel, interface, inner)?;
    remove(kernel, interface, inner)?;
    add(kernel, interface, inner)
}

fn remove(kernel: &mut dyn Kernel, interface: &InterfaceName, inner: Ends<Ipv6Addr>) -> Result<(), Error> {
    let removed = allow(kernel.remove_address(interface, inner.local), Errno::EADDRNOTAVAIL);
    removed.map_err(|cause| Error::new(Step::RemoveAddress(inner.local), Some(interface), cause))
}

fn add(kernel: &mut dyn Kernel, interface: &InterfaceName, inner: Ends<Ipv6Addr>) -> Result<(), Error> {
    let added = kernel.add_address(interface, inner);
    added.map_err(|cause| Error::new(Step::AddAddress(inner), Some(interface), cause))
}

/// Checks that no other interface has the local address, and none the remote one. The kernel refuses the local address too,
/// but leaves a route to the remote one, which outlives the interface.
fn check_unused(
    kernel: &mut dyn Kernel,
    interface: &InterfaceName,
    inner: Ends<Ipv6Addr>,
) -> Result<(), Error> {
    let failed = |cause| Error::new(Step::ListAddresses, None, cause);
    let addresses = kernel.ipv6_addresses().map_err(failed)?;
    let is_taken = |(holder, address): &(InterfaceName, Ipv6Addr)| {
        *address == inner.remote || (*address == inner.local && holder != interface)
    };
    match addresses.into_iter().find(is_taken) {
        Some((holder, address)) => Err(Error::InnerInUse(holder, address)),
        None => Ok(()),
    }
}
