//! The seam on a kernel kept in memory: privilege, then the rules, then the command.

use std::net::{Ipv6Addr, SocketAddrV4};
use std::os::fd::BorrowedFd;

use super::interfaces::Kind;
use super::watch::Watch;
use super::{MODULES, Place, Rehearsal, commands};
use crate::abi::numbers::{
    SIOCAIFADDR_IN6, SIOCAIFGROUP, SIOCDIFADDR_IN6, SIOCGIFDESCR, SIOCGIFGMEMB, SIOCIFCREATE2, SIOCIFDESTROY,
    SIOCSIFDESCR, SIOCSIFFLAGS, SIOCSIFINFO_IN6, SIOCSIFMTU, SIOCSIFPHYADDR,
};
use crate::errno::Errno;
use crate::kernel::{AddressChange, IfaceNode, Inner, Kernel, Outer, Result};
use crate::name::InterfaceName;
use crate::netgraph::Command;

impl Kernel for Rehearsal {
    fn check_privilege(&mut self) -> Result<()> {
        self.look(SIOCIFCREATE2.name, |kernel| kernel.require_root())
    }

    fn load_module(&mut self, module: &str) -> Result<()> {
        let is_new = self.look(format_args!("kldload {module}"), |kernel| {
            if kernel.place != Place::Root {
                return Err(Errno::EPERM);
            }
            let module = MODULES.into_iter().find(|known| *known == module).ok_or(Errno::ENOENT)?;
            Ok(kernel.loaded.insert(module))
        })?;
        if is_new {
            (self.sink)(&commands::load_module(module));
        }
        Ok(())
    }

    fn create_gif(&mut self) -> Result<InterfaceName> {
        self.change(SIOCIFCREATE2.name, |kernel| {
            if !kernel.loaded.contains("if_gif") {
                return Err(Errno::EINVAL);
            }
            let name = kernel.interfaces.create(Kind::Gif)?.name.clone();
            let command = commands::create(&name);
            Ok((name, command))
        })
    }

    fn point_gif(&mut self, gif: &InterfaceName, outer: Outer) -> Result<()> {
        self.change(SIOCSIFPHYADDR.name, |kernel| {
            kernel.interfaces.point(gif, outer)?;
            Ok(((), commands::tunnel(gif, outer)))
        })
    }

    fn destroy_gif(&mut self, gif: &InterfaceName) -> Result<()> {
        self.change(SIOCIFDESTROY.name, |kernel| {
            kernel.interfaces.destroy_gif(gif)?;
            Ok(((), commands::destroy(gif)))
        })
    }

    fn open_netgraph(&mut self) -> Result<()> {
        self.look("socket(PF_NETGRAPH)", |kernel| {
            if !kernel.loaded.contains("ng_socket") {
                return Err(Errno::EAFNOSUPPORT);
            }
            match kernel.place {
                Place::Jail => Err(Errno::EPROTONOSUPPORT),
                Place::Nobody => Err(Errno::EPERM),
                Place::Root | Place::VnetJail => {
                    kernel.nodes.open();
                    Ok(())
                }
            }
        })
    }

    fn close_netgraph(&mut self) {
        self.nodes.close();
    }

    fn make_iface_node(&mut self) -> Result<()> {
        self.change(Command::make_iface(), |kernel| {
            kernel.nodes.require_free_hook()?;
            let interface = kernel.interfaces.create(Kind::Ng)?;
            kernel.nodes.add(interface.name.clone(), interface.unit);
            Ok(((), commands::make_iface()))
        })
    }

    fn iface_node_name(&mut self) -> Result<InterfaceName> {
        self.look(Command::get_interface_name(), |kernel| {
            let unit = kernel.nodes.find(&IfaceNode::OnHook)?.unit;
            Ok(kernel.interfaces.of_node(unit)?.name.clone())
        })
    }

    fn make_ksocket_node(&mut self, iface: &IfaceNode) -> Result<()> {
        self.change(Command::make_ksocket(iface), |kernel| {
            let node = kernel.nodes.make_ksocket(iface)?;
            Ok(((), commands::make_ksocket(&node.name)))
        })
    }

    fn bind_ksocket(&mut self, iface: &IfaceNode, port: u16) -> Result<()> {
        self.change(Command::bind(iface, port), |kernel| {
            let node = kernel.nodes.bind(iface, port)?;
            Ok(((), commands::bind(&node.name, port)))
        })
    }

    fn connect_ksocket(&mut self, iface: &IfaceNode, peer: SocketAddrV4) -> Result<()> {
        self.change(Command::connect(iface, peer), |kernel| {
            let node = kernel.nodes.connect(iface, peer, kernel.routed)?;
            Ok(((), commands::connect(&node.name, peer)))
        })
    }

    /// No command: the hook of an ngctl(8) goes with it.
    fn release_hook(&mut self) -> Result<()> {
        self.look(Command::remove_hook(), |kernel| kernel.nodes.release_hook())
    }

    fn shut_down_node(&mut self, iface: &IfaceNode) -> Result<()> {
        self.change(Command::shut_down(iface), |kernel| {
            let node = kernel.nodes.shut_down(iface)?;
            kernel.interfaces.remove_of_node(node.unit);
            Ok(((), commands::shut_down(&node.name)))
        })
    }

    fn describe(&mut self, interface: &InterfaceName, description: &str) -> Result<()> {
        self.change(SIOCSIFDESCR.name, |kernel| {
            description.clone_into(&mut kernel.interfaces.find_mut(interface)?.description);
            Ok(((), commands::description(interface, description)))
        })
    }

    fn description(&mut self, interface: &InterfaceName) -> Result<String> {
        self.look(SIOCGIFDESCR.name, |kernel| Ok(kernel.interfaces.find(interface)?.description.clone()))
    }

    fn join_group(&mut self, interface: &InterfaceName, group: &str) -> Result<()> {
        self.change(SIOCAIFGROUP.name, |kernel| {
            kernel.interfaces.join(interface, group)?;
            Ok(((), commands::group(interface, group)))
        })
    }

    fn group_members(&mut self, group: &str) -> Result<Vec<InterfaceName>> {
        self.look(SIOCGIFGMEMB.name, |kernel| Ok(kernel.interfaces.members(group)))
    }

    fn set_mtu(&mut self, interface: &InterfaceName, mtu: u16) -> Result<()> {
        self.change(SIOCSIFMTU.name, |kernel| {
            kernel.interfaces.set_mtu(interface, mtu)?;
            Ok(((), commands::mtu(interface, mtu)))
        })
    }

    fn enable_ipv6(&mut self, interface: &InterfaceName) -> Result<()> {
        self.change(SIOCSIFINFO_IN6.name, |kernel| {
            kernel.interfaces.find_mut(interface)?.ipv6_enabled = true;
            Ok(((), commands::enable_ipv6(interface)))
        })
    }

    fn bring_up(&mut self, interface: &InterfaceName) -> Result<()> {
        self.change(SIOCSIFFLAGS.name, |kernel| {
            kernel.interfaces.find_mut(interface)?.up = true;
            Ok(((), commands::up(interface)))
        })
    }

    fn add_address(&mut self, interface: &InterfaceName, inner: Inner) -> Result<()> {
        self.change(SIOCAIFADDR_IN6.name, |kernel| {
            kernel.interfaces.add_address(interface, inner)?;
            Ok(((), commands::add_address(interface, inner)))
        })
    }

    fn remove_address(&mut self, interface: &InterfaceName, local: Ipv6Addr) -> Result<()> {
        self.change(SIOCDIFADDR_IN6.name, |kernel| {
            kernel.interfaces.remove_address(interface, local)?;
            Ok(((), commands::remove_address(interface, local)))
        })
    }

    fn send_keepalive(&mut self, interface: &InterfaceName) -> Result<()> {
        self.change("sendto(ff02::1)", |kernel| {
            kernel.interfaces.find(interface)?;
            Ok(((), commands::keepalive(interface)))
        })
    }

    fn watch_addresses(&mut self) -> Result<()> {
        self.look("socket(PF_ROUTE)", |kernel| {
            if kernel.watch.is_none() {
                let failed = |error: std::io::Error| Errno(error.raw_os_error().unwrap_or(Errno::EINVAL.0));
                kernel.watch = Some(Watch::new().map_err(failed)?);
            }
            Ok(())
        })
    }

    fn address_watch(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(Watch::fd)
    }

    fn address_changes(&mut self) -> Result<Vec<AddressChange>> {
        self.look("read(PF_ROUTE)", |kernel| {
            if let Some(watch) = &kernel.watch {
                watch.rest();
            }
            Ok(kernel.changes.drain(..).collect())
        })
    }
}
