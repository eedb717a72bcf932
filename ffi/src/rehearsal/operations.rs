//! The seam on a kernel in memory: each operation checks the privilege, applies the rules, and reports the command.

use std::fmt::Display;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::control_socket::ControlSocket;
use super::echo_socket::LoopedSocket;
use super::interfaces::Kind;
use super::{Command, Ksocket, MODULES, Place, Rehearsal, words};
use crate::abi::numbers::{
    SIOCAIFADDR_IN6, SIOCAIFGROUP, SIOCDIFADDR_IN6, SIOCGIFDESCR, SIOCGIFFIB, SIOCGIFFLAGS, SIOCGIFGMEMB,
    SIOCGIFINDEX, SIOCGIFPSRCADDR, SIOCIFCREATE2, SIOCIFDESTROY, SIOCSIFDESCR, SIOCSIFFLAGS, SIOCSIFINFO_IN6,
    SIOCSIFMTU, SIOCSIFNAME, SIOCSIFPHYADDR,
};
use crate::echo::EchoMark;
use crate::errno::Errno;
use crate::kernel::{EchoSocket, Ends, Error, Kernel, Netgraph, Result, Traffic};
use crate::name::InterfaceName;

impl Kernel for Rehearsal {
    fn check_privilege(&mut self) -> Result<()> {
        self.state().look(SIOCIFCREATE2.name, |kernel| kernel.require_root())
    }

    fn load_module(&mut self, module: &str) -> Result<()> {
        let mut state = self.state();
        let is_new = state.look(format_args!("kldload {module}"), |kernel| {
            if kernel.place != Place::Root {
                return Err(Errno::EPERM);
            }
            let module = MODULES.into_iter().find(|known| *known == module).ok_or(Errno::ENOENT)?;
            Ok(kernel.loaded.insert(module))
        })?;
        if is_new {
            (state.sink)(&words(&[&"kldload", &module]));
        }
        Ok(())
    }

    fn open_netgraph(&mut self) -> Result<Box<dyn Netgraph>> {
        self.state().look("socket(PF_NETGRAPH)", |kernel| match kernel.place {
            _ if !kernel.loaded.contains("ng_socket") => Err(Errno::EAFNOSUPPORT),
            Place::Jail => Err(Errno::EPROTONOSUPPORT),
            Place::Nobody => Err(Errno::EPERM),
            Place::Root | Place::VnetJail => Ok(()),
        })?;
        Ok(Box::new(ControlSocket { kernel: self.clone(), hooked: None }))
    }

    fn create_gif(&mut self) -> Result<InterfaceName> {
        self.state().change(SIOCIFCREATE2.name, |kernel| {
            if !kernel.loaded.contains("if_gif") {
                return Err(Errno::EINVAL);
            }
            let name = kernel.interfaces.create(Kind::Gif)?;
            let command = ifconfig(&name, &[&"create"]);
            Ok((name, command))
        })
    }

    fn set_outer_addresses(&mut self, gif: &InterfaceName, outer: Ends<Ipv4Addr>) -> Result<()> {
        self.state().change(SIOCSIFPHYADDR.name, |kernel| {
            kernel.interfaces.set_outer_addresses(gif, outer)?;
            Ok(((), ifconfig(gif, &[&"tunnel", &outer.local, &outer.remote])))
        })
    }

    fn outer_addresses(&mut self, gif: &InterfaceName) -> Result<Option<Ends<Ipv4Addr>>> {
        self.state().look(SIOCGIFPSRCADDR.name, |kernel| Ok(kernel.interfaces.find(gif)?.outer))
    }

    fn destroy_gif(&mut self, gif: &InterfaceName) -> Result<()> {
        self.state().change(SIOCIFDESTROY.name, |kernel| {
            let in_a_jail = kernel.place == Place::VnetJail;
            kernel.interfaces.destroy_gif(gif, in_a_jail)?;
            Ok(((), ifconfig(gif, &[&"destroy"])))
        })
    }

    fn rename(&mut self, interface: &InterfaceName, name: &InterfaceName) -> Result<()> {
        self.state().change(SIOCSIFNAME.name, |kernel| {
            kernel.interfaces.rename(interface, name)?;
            Ok(((), ifconfig(interface, &[&"name", name])))
        })
    }

    fn index(&mut self, interface: &InterfaceName) -> Result<u32> {
        self.state().look(SIOCGIFINDEX.name, |kernel| Ok(kernel.interfaces.find(interface)?.index))
    }

    fn name_of(&mut self, index: u32) -> Result<InterfaceName> {
        self.state().look("if_indextoname", |kernel| {
            let found = kernel.interfaces.all.iter().find(|each| each.index == index);
            found.map(|each| each.name.clone()).ok_or(Errno::ENXIO)
        })
    }

    fn fib(&mut self, interface: &InterfaceName) -> Result<i32> {
        self.state().look(SIOCGIFFIB.name, |kernel| Ok(kernel.interfaces.find(interface)?.fib))
    }

    fn set_description(&mut self, interface: &InterfaceName, description: &str) -> Result<()> {
        self.state().change(SIOCSIFDESCR.name, |kernel| {
            description.clone_into(&mut kernel.interfaces.find_mut(interface)?.description);
            Ok(((), ifconfig(interface, &[&"description", &description])))
        })
    }

    fn description(&mut self, interface: &InterfaceName) -> Result<String> {
        self.state()
            .look(SIOCGIFDESCR.name, |kernel| Ok(kernel.interfaces.find(interface)?.description.clone()))
    }

    fn join_group(&mut self, interface: &InterfaceName, group: &str) -> Result<()> {
        self.state().change(SIOCAIFGROUP.name, |kernel| {
            kernel.interfaces.join(interface, group)?;
            Ok(((), ifconfig(interface, &[&"group", &group])))
        })
    }

    fn group_members(&mut self, group: &str) -> Result<Vec<InterfaceName>> {
        self.state().look(SIOCGIFGMEMB.name, |kernel| Ok(kernel.interfaces.members(group)))
    }

    fn set_mtu(&mut self, interface: &InterfaceName, mtu: u16) -> Result<()> {
        self.state().change(SIOCSIFMTU.name, |kernel| {
            kernel.interfaces.set_mtu(interface, mtu)?;
            Ok(((), ifconfig(interface, &[&"mtu", &mtu])))
        })
    }

    fn enable_ipv6(&mut self, interface: &InterfaceName) -> Result<()> {
        self.state().change(SIOCSIFINFO_IN6.name, |kernel| {
            kernel.interfaces.find_mut(interface)?.ipv6_enabled = true;
            Ok(((), ifconfig(interface, &[&"inet6", &"-ifdisabled"])))
        })
    }

    fn is_up(&mut self, interface: &InterfaceName) -> Result<bool> {
        self.state().look(SIOCGIFFLAGS.name, |kernel| Ok(kernel.interfaces.find(interface)?.up))
    }

    fn bring_up(&mut self, interface: &InterfaceName) -> Result<()> {
        self.state().change(SIOCSIFFLAGS.name, |kernel| {
            kernel.interfaces.find_mut(interface)?.up = true;
            Ok(((), ifconfig(interface, &[&"up"])))
        })
    }

    fn add_address(&mut self, interface: &InterfaceName, inner: Ends<Ipv6Addr>) -> Result<()> {
        self.state().change(SIOCAIFADDR_IN6.name, |kernel| {
            kernel.interfaces.add_address(interface, inner)?;
            Ok(((), ifconfig(interface, &[&"inet6", &inner.local, &inner.remote, &"prefixlen", &128])))
        })
    }

    fn remove_address(&mut self, interface: &InterfaceName, local: Ipv6Addr) -> Result<()> {
        self.state().change(SIOCDIFADDR_IN6.name, |kernel| {
            kernel.interfaces.remove_address(interface, local)?;
            Ok(((), ifconfig(interface, &[&"inet6", &local, &"-alias"])))
        })
    }

    fn traffic(&mut self, interface: &InterfaceName) -> Result<Traffic> {
        self.state()
            .look("sysctl(net.link.generic.ifdata)", |kernel| Ok(kernel.interfaces.find(interface)?.traffic))
    }

    fn open_echo(&mut self, _: EchoMark, _: i32, local: Option<Ipv6Addr>) -> Result<Box<dyn EchoSocket>> {
        self.state().look("socket(IPPROTO_ICMPV6)", |kernel| kernel.require_root())?;
        if let Some(local) = local {
            self.try_bind(SocketAddr::new(local.into(), 0))?;
        }
        let socket = LoopedSocket::new(self, local).map_err(|cause| Error::new("socketpair", cause))?;
        Ok(Box::new(socket))
    }

    fn process_start(&mut self, pid: u32) -> Result<Option<Duration>> {
        self.state().look("sysctl(kern.proc.pid)", |kernel| {
            let is_seen = pid == std::process::id() || (pid == 1 && kernel.place == Place::Root);
            Ok(is_seen.then_some(kernel.process_start))
        })
    }

    fn ipv6_addresses(&mut self) -> Result<Vec<(InterfaceName, Ipv6Addr)>> {
        self.state().look("getifaddrs", |kernel| {
            let all = kernel.interfaces.addresses();
            Ok(all.map(|(name, address)| (name.clone(), address)).collect())
        })
    }

    fn check_address(&mut self, address: Ipv4Addr) -> Result<()> {
        self.state().look("setsockopt(IP_MULTICAST_IF)", |kernel| {
            if kernel.foreign.contains(&address) { Err(Errno::EADDRNOTAVAIL) } else { Ok(()) }
        })
    }

    fn try_bind(&mut self, local: SocketAddr) -> Result<()> {
        self.state().look(format_args!("bind {local}"), |kernel| match local {
            SocketAddr::V4(local) => {
                let is_foreign = kernel.foreign.contains(local.ip());
                let is_taken = local.port() != 0 && kernel.interfaces.is_taken(local);
                Ksocket::default().bind(local, is_foreign, is_taken)
            }
            SocketAddr::V6(local) if kernel.interfaces.has(*local.ip()) => Ok(()),
            SocketAddr::V6(_) => Err(Errno::EADDRNOTAVAIL),
        })
    }
}

fn ifconfig(interface: &InterfaceName, arguments: &[&dyn Display]) -> Command {
    [&words(&[&"ifconfig", interface])[..], &words(arguments)].concat()
}
