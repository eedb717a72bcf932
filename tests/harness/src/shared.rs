//! A rehearsed kernel that a test can reach beside the tunnel, as an administrator can.

use std::cell::RefCell;
use std::net::{Ipv6Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use ffi::kernel::{AddressChange, IfaceNode, Inner, Kernel, Outer, Result};
use ffi::name::InterfaceName;
use ffi::rehearsal::Rehearsal;

/// The tunnel's end of it.
pub struct Shared {
    kernel: Rc<RefCell<Rehearsal>>,
    watch: Option<OwnedFd>,
    when_up: Box<dyn FnMut(&mut Rehearsal)>,
}

impl Shared {
    /// A rehearsal that the test keeps, and the end of it for a tunnel.
    pub fn new(kernel: Rehearsal) -> (Rc<RefCell<Rehearsal>>, Self) {
        let kernel = Rc::new(RefCell::new(kernel));
        let shared = Self { kernel: Rc::clone(&kernel), watch: None, when_up: Box::new(|_| {}) };
        (kernel, shared)
    }

    /// Does something to the kernel whenever an interface has come up.
    pub fn when_up(self, act: impl FnMut(&mut Rehearsal) + 'static) -> Self {
        Self { when_up: Box::new(act), ..self }
    }
}

macro_rules! hand_on {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {
        impl Kernel for Shared {
            $(fn $name(&mut self, $($argument: $kind),*) -> $result {
                self.kernel.borrow_mut().$name($($argument),*)
            })*

            fn bring_up(&mut self, interface: &InterfaceName) -> Result<()> {
                let mut kernel = self.kernel.borrow_mut();
                kernel.bring_up(interface)?;
                (self.when_up)(&mut kernel);
                Ok(())
            }

            fn watch_addresses(&mut self) -> Result<()> {
                let mut kernel = self.kernel.borrow_mut();
                kernel.watch_addresses()?;
                self.watch = kernel.address_watch().and_then(|fd| fd.try_clone_to_owned().ok());
                Ok(())
            }

            fn address_watch(&self) -> Option<BorrowedFd<'_>> {
                self.watch.as_ref().map(AsFd::as_fd)
            }
        }
    };
}

hand_on! {
    check_privilege() -> Result<()>;
    load_module(module: &str) -> Result<()>;
    create_gif() -> Result<InterfaceName>;
    point_gif(gif: &InterfaceName, outer: Outer) -> Result<()>;
    destroy_gif(gif: &InterfaceName) -> Result<()>;
    open_netgraph() -> Result<()>;
    close_netgraph() -> ();
    make_iface_node() -> Result<()>;
    iface_node_name() -> Result<InterfaceName>;
    make_ksocket_node(iface: &IfaceNode) -> Result<()>;
    bind_ksocket(iface: &IfaceNode, port: u16) -> Result<()>;
    connect_ksocket(iface: &IfaceNode, peer: SocketAddrV4) -> Result<()>;
    release_hook() -> Result<()>;
    shut_down_node(iface: &IfaceNode) -> Result<()>;
    describe(interface: &InterfaceName, description: &str) -> Result<()>;
    description(interface: &InterfaceName) -> Result<String>;
    join_group(interface: &InterfaceName, group: &str) -> Result<()>;
    group_members(group: &str) -> Result<Vec<InterfaceName>>;
    set_mtu(interface: &InterfaceName, mtu: u16) -> Result<()>;
    enable_ipv6(interface: &InterfaceName) -> Result<()>;
    add_address(interface: &InterfaceName, inner: Inner) -> Result<()>;
    remove_address(interface: &InterfaceName, local: Ipv6Addr) -> Result<()>;
    send_keepalive(interface: &InterfaceName) -> Result<()>;
    address_changes() -> Result<Vec<AddressChange>>;
}
