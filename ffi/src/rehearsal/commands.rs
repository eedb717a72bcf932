//! The commands that make each change: what a person at a shell would type.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use crate::kernel::Ends;
use crate::name::InterfaceName;
use crate::netgraph::{IPV6_HOOK, OWN_HOOK, SILENT_HOOK, UDP_HOOK};
use crate::shell::quote;

pub(super) fn load_module(module: &str) -> String {
    format!("kldload {}", quote(module))
}

pub(super) fn create(interface: &InterfaceName) -> String {
    ifconfig(interface, "create")
}

pub(super) fn destroy(interface: &InterfaceName) -> String {
    ifconfig(interface, "destroy")
}

pub(super) fn tunnel(gif: &InterfaceName, outer: Ends<Ipv4Addr>) -> String {
    ifconfig(gif, &format!("tunnel {} {}", outer.local, outer.remote))
}

pub(super) fn description(interface: &InterfaceName, text: &str) -> String {
    ifconfig(interface, &format!("description {}", quote(text)))
}

pub(super) fn group(interface: &InterfaceName, group: &str) -> String {
    ifconfig(interface, &format!("group {}", quote(group)))
}

pub(super) fn mtu(interface: &InterfaceName, mtu: u16) -> String {
    ifconfig(interface, &format!("mtu {mtu}"))
}

pub(super) fn enable_ipv6(interface: &InterfaceName) -> String {
    ifconfig(interface, "inet6 -ifdisabled")
}

pub(super) fn up(interface: &InterfaceName) -> String {
    ifconfig(interface, "up")
}

pub(super) fn add_address(interface: &InterfaceName, inner: Ends<Ipv6Addr>) -> String {
    ifconfig(interface, &format!("inet6 {} {} prefixlen 128", inner.local, inner.remote))
}

pub(super) fn remove_address(interface: &InterfaceName, local: Ipv6Addr) -> String {
    ifconfig(interface, &format!("inet6 {local} -alias"))
}

pub(super) fn keepalive(interface: &InterfaceName) -> String {
    format!("ping -6 -c 1 {}", quote(&format!("ff02::1%{interface}")))
}

/// Each ngctl(8) has a socket node of its own, so that its hook goes with it.
pub(super) fn make_iface() -> String {
    format!("ngctl mkpeer . iface {OWN_HOOK} {SILENT_HOOK}")
}

pub(super) fn make_ksocket(node: &InterfaceName) -> String {
    format!("ngctl mkpeer {} ksocket {IPV6_HOOK} {UDP_HOOK}", path(node, ""))
}

pub(super) fn bind(node: &InterfaceName, local: SocketAddrV4) -> String {
    ksocket(node, "bind", local)
}

pub(super) fn connect(node: &InterfaceName, remote: SocketAddrV4) -> String {
    ksocket(node, "connect", remote)
}

pub(super) fn shut_down(node: &InterfaceName) -> String {
    format!("ngctl shutdown {}", path(node, ""))
}

pub(super) fn shut_down_ksocket(node: &InterfaceName) -> String {
    format!("ngctl shutdown {}", path(node, IPV6_HOOK))
}

fn ksocket(node: &InterfaceName, command: &str, address: SocketAddrV4) -> String {
    format!("ngctl msg {} {command} inet/{address}", path(node, IPV6_HOOK))
}

fn path(node: &InterfaceName, hook: &str) -> String {
    quote(&format!("{node}:{hook}"))
}

fn ifconfig(interface: &InterfaceName, arguments: &str) -> String {
    format!("ifconfig {} {arguments}", quote(interface.as_str()))
}
