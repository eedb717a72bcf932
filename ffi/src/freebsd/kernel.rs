//! The operations of [`Kernel`] as FreeBSD's calls.

use std::ffi::CString;
use std::io;
use std::net::{Ipv6Addr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, setsockopt, socket, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::{ioctl, kldload, netgraph_socket, send_command};
use crate::abi::IfgReq;
use crate::abi::ioctl::Call;
use crate::errno::Errno;
use crate::kernel::{AddressChange, Error, IfaceNode, Inner, Kernel, Outer, Result};
use crate::name::InterfaceName;
use crate::netgraph::Command;
use crate::{gif, interface, netgraph, route_socket};

/// Seconds to wait for a node's answer. It is there as soon as the command is sent; this is for one that never comes.
const ANSWER_TIMEOUT: i64 = 5;
/// Room for any answer of the nodes in use, and for any routing message: none is a kilobyte long.
const MESSAGE_SIZE: usize = 4096;
/// Room for a description, at first: the program's own are shorter.
const DESCRIPTION_SIZE: usize = 128;
/// All nodes of a link (RFC 4291).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// The port that throws away what it gets (RFC 863).
const DISCARD: u16 = 9;

/// FreeBSD's kernel. No program that this process runs inherits a socket of it.
#[derive(Debug)]
pub struct FreeBsd {
    inet: OwnedFd,
    netgraph: Option<Netgraph>,
    routes: Option<OwnedFd>,
}

impl FreeBsd {
    /// Opens the socket that takes requests about interfaces. Needs no privilege.
    pub fn new() -> io::Result<Self> {
        Ok(Self { inet: datagram_socket(AddressFamily::Inet)?, netgraph: None, routes: None })
    }

    fn ioctl<T: FromBytes + IntoBytes + Copy>(&self, call: &Call<'_, T>) -> Result<T> {
        ioctl(&self.inet, call).map_err(|cause| error(call.request().name, cause))
    }

    fn netgraph(&mut self, command: &Command) -> Result<&mut Netgraph> {
        self.netgraph.as_mut().ok_or_else(|| error(command, Errno::EBADF))
    }

    fn command(&mut self, command: &Command) -> Result<()> {
        self.netgraph(command)?.send(command).map(drop)
    }
}

impl Kernel for FreeBsd {
    fn check_privilege(&mut self) -> Result<()> {
        match self.ioctl(&gif::create_nothing()) {
            Err(refused) if refused.errno == Errno::EINVAL => Ok(()),
            answered => answered.map(drop),
        }
    }

    fn load_module(&mut self, module: &str) -> Result<()> {
        let failed = |cause| error(&format_args!("kldload {module}"), cause);
        let name = CString::new(module).map_err(|_| failed(Errno::EINVAL))?;
        match kldload(&name) {
            Err(Errno::EEXIST) => Ok(()),
            loaded => loaded.map_err(failed),
        }
    }

    fn create_gif(&mut self) -> Result<InterfaceName> {
        let call = gif::create();
        let answer = self.ioctl(&call)?;
        gif::created(&answer).ok_or_else(|| error(call.request().name, Errno::EBADMSG))
    }

    fn point_gif(&mut self, gif: &InterfaceName, outer: Outer) -> Result<()> {
        self.ioctl(&gif::point(gif, outer)).map(drop)
    }

    fn destroy_gif(&mut self, gif: &InterfaceName) -> Result<()> {
        self.ioctl(&gif::destroy(gif)).map(drop)
    }

    fn open_netgraph(&mut self) -> Result<()> {
        if self.netgraph.is_none() {
            self.netgraph = Some(Netgraph::open().map_err(|cause| error("socket(PF_NETGRAPH)", cause))?);
        }
        Ok(())
    }

    fn close_netgraph(&mut self) {
        self.netgraph = None;
    }

    fn make_iface_node(&mut self) -> Result<()> {
        self.command(&Command::make_iface())
    }

    fn iface_node_name(&mut self) -> Result<InterfaceName> {
        let command = Command::get_interface_name();
        let answer = self.netgraph(&command)?.ask(&command)?;
        netgraph::answered_name(&answer).ok_or_else(|| error(&command, Errno::EBADMSG))
    }

    fn make_ksocket_node(&mut self, iface: &IfaceNode) -> Result<()> {
        self.command(&Command::make_ksocket(iface))
    }

    fn bind_ksocket(&mut self, iface: &IfaceNode, port: u16) -> Result<()> {
        self.command(&Command::bind(iface, port))
    }

    fn connect_ksocket(&mut self, iface: &IfaceNode, peer: SocketAddrV4) -> Result<()> {
        self.command(&Command::connect(iface, peer))
    }

    fn release_hook(&mut self) -> Result<()> {
        self.command(&Command::remove_hook())
    }

    fn shut_down_node(&mut self, iface: &IfaceNode) -> Result<()> {
        self.command(&Command::shut_down(iface))
    }

    fn describe(&mut self, interface: &InterfaceName, description: &str) -> Result<()> {
        let text = CString::new(description).map_err(|_| error("SIOCSIFDESCR", Errno::EINVAL))?;
        self.ioctl(&interface::describe(interface, &text)).map(drop)
    }

    fn description(&mut self, interface: &InterfaceName) -> Result<String> {
        let mut buffer = vec![0; DESCRIPTION_SIZE];
        loop {
            let size = match self.ioctl(&interface::description(interface, &mut buffer)) {
                Ok(answer) => interface::description_size(&answer),
                Err(none) if none.errno == Errno::ENOMSG => return Ok(String::new()),
                Err(cause) => return Err(cause),
            };
            if size <= buffer.len() {
                return Ok(interface::description_text(&buffer));
            }
            buffer.resize(size, 0);
        }
    }

    fn join_group(&mut self, interface: &InterfaceName, group: &str) -> Result<()> {
        let call = interface::join_group(interface, group).map_err(|cause| error("SIOCAIFGROUP", cause))?;
        self.ioctl(&call).map(drop)
    }

    fn group_members(&mut self, group: &str) -> Result<Vec<InterfaceName>> {
        let refused = |cause| error("SIOCGIFGMEMB", cause);
        let count = interface::count_members(group).map_err(refused)?;
        let mut counted_before = 0;
        loop {
            let needed = match self.ioctl(&count) {
                Ok(answer) => interface::members_size(&answer),
                Err(none) if none.errno == Errno::ENOENT => return Ok(Vec::new()),
                Err(cause) => return Err(cause),
            };
            let mut list = vec![IfgReq::new_zeroed(); needed.div_ceil(size_of::<IfgReq>())];
            match self.ioctl(&interface::members(group, &mut list).map_err(refused)?) {
                // The group has grown since its members were counted.
                Err(short) if short.errno == Errno::EINVAL && needed > counted_before => {
                    counted_before = needed;
                }
                Err(none) if none.errno == Errno::ENOENT => return Ok(Vec::new()),
                answered => return answered.map(|_| interface::member_names(&list)),
            }
        }
    }

    fn set_mtu(&mut self, interface: &InterfaceName, mtu: u16) -> Result<()> {
        self.ioctl(&interface::set_mtu(interface, mtu)).map(drop)
    }

    fn enable_ipv6(&mut self, interface: &InterfaceName) -> Result<()> {
        let found = ioctl_ipv6(&interface::get_neighbour_discovery(interface))?;
        ioctl_ipv6(&interface::enable_ipv6(&found)).map(drop)
    }

    fn bring_up(&mut self, interface: &InterfaceName) -> Result<()> {
        let found = self.ioctl(&interface::get_flags(interface))?;
        self.ioctl(&interface::bring_up(interface, &found)).map(drop)
    }

    fn add_address(&mut self, interface: &InterfaceName, inner: Inner) -> Result<()> {
        ioctl_ipv6(&interface::add_address(interface, inner)).map(drop)
    }

    fn remove_address(&mut self, interface: &InterfaceName, local: Ipv6Addr) -> Result<()> {
        ioctl_ipv6(&interface::remove_address(interface, local)).map(drop)
    }

    fn send_keepalive(&mut self, interface: &InterfaceName) -> Result<()> {
        let failed = |cause| error(&format_args!("send to {ALL_NODES}%{interface}"), cause);
        let index = if_nametoindex(interface.as_str()).map_err(|cause| failed(errno(cause)))?;
        let send = || {
            let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
            socket.set_multicast_loop_v6(false)?;
            socket.send_to(&[], SocketAddrV6::new(ALL_NODES, DISCARD, 0, index))
        };
        match send() {
            Ok(_) => Ok(()),
            Err(cause) => Err(failed(Errno(cause.raw_os_error().unwrap_or(libc::EIO)))),
        }
    }

    fn watch_addresses(&mut self) -> Result<()> {
        if self.routes.is_none() {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let made = socket(AddressFamily::Route, SockType::Raw, flags, None);
            self.routes = Some(made.map_err(|cause| error("socket(PF_ROUTE)", errno(cause)))?);
        }
        Ok(())
    }

    fn address_watch(&self) -> Option<BorrowedFd<'_>> {
        self.routes.as_ref().map(AsFd::as_fd)
    }

    fn address_changes(&mut self) -> Result<Vec<AddressChange>> {
        let Some(routes) = &self.routes else { return Ok(Vec::new()) };
        let mut changes = Vec::new();
        let mut message = [0; MESSAGE_SIZE];
        loop {
            match recv(routes.as_raw_fd(), &mut message, MsgFlags::empty()) {
                Ok(length) => changes.extend(route_socket::address_changes(&message[..length])),
                Err(nix::errno::Errno::EAGAIN) => return Ok(changes),
                Err(nix::errno::Errno::EINTR) => {}
                // What has been read counts; a lasting error comes again.
                Err(_) if !changes.is_empty() => return Ok(changes),
                Err(cause) => return Err(error("recv(PF_ROUTE)", errno(cause))),
            }
        }
    }
}

fn datagram_socket(family: AddressFamily) -> nix::Result<OwnedFd> {
    socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
}

/// A request about IPv6 on an interface. Its socket is opened when it is needed: a host without IPv6 has none.
fn ioctl_ipv6<T: FromBytes + IntoBytes + Copy>(call: &Call<'_, T>) -> Result<T> {
    let made = datagram_socket(AddressFamily::Inet6);
    let socket = made.map_err(|cause| error("socket(PF_INET6)", errno(cause)))?;
    ioctl(&socket, call).map_err(|cause| error(call.request().name, cause))
}

/// A control socket, which is a node of netgraph itself.
#[derive(Debug)]
struct Netgraph {
    socket: OwnedFd,
    /// The token of the last command.
    token: u32,
}

impl Netgraph {
    fn open() -> std::result::Result<Self, Errno> {
        let socket = netgraph_socket()?;
        let timeout = TimeVal::seconds(ANSWER_TIMEOUT);
        setsockopt(&socket, sockopt::ReceiveTimeout, &timeout).map_err(errno)?;
        Ok(Self { socket, token: 0 })
    }

    /// Sends a command that has no answer, or whose answer [`Self::ask`] awaits; gives its token.
    fn send(&mut self, command: &Command) -> Result<u32> {
        self.token = self.token.wrapping_add(1);
        send_command(&self.socket, command, self.token).map_err(|cause| error(command, cause))?;
        Ok(self.token)
    }

    /// Sends a command and gives its answer's arguments.
    fn ask(&mut self, command: &Command) -> Result<Vec<u8>> {
        let token = self.send(command)?;
        let mut message = [0; MESSAGE_SIZE];
        loop {
            match recv(self.socket.as_raw_fd(), &mut message, MsgFlags::empty()) {
                Ok(length) => {
                    if let Some(arguments) = command.answer(token, &message[..length]) {
                        return Ok(arguments.to_owned());
                    }
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(nix::errno::Errno::EAGAIN) => return Err(error(command, Errno::ETIMEDOUT)),
                Err(cause) => return Err(error(command, errno(cause))),
            }
        }
    }
}

fn error(call: &(impl ToString + ?Sized), errno: Errno) -> Error {
    Error { call: call.to_string(), errno }
}

fn errno(cause: nix::errno::Errno) -> Errno {
    Errno(cause as i32)
}

#[cfg(test)]
mod tests {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    use super::*;

    #[test]
    fn programs_that_are_run_get_no_socket_of_the_kernels() {
        let mut kernel = FreeBsd::new().expect("this socket needs no privilege");
        kernel.watch_addresses().expect("nor does this one");
        let mut sockets = vec![&kernel.inet];
        sockets.extend(&kernel.routes);
        let netgraph = netgraph_socket();
        match &netgraph {
            Ok(socket) => sockets.push(socket),
            Err(cause) => eprintln!("without a netgraph socket: {cause}"),
        }
        for socket in sockets {
            let flags = FdFlag::from_bits_retain(fcntl(socket, FcntlArg::F_GETFD).expect("it is open"));
            assert!(flags.contains(FdFlag::FD_CLOEXEC), "{socket:?}");
        }
    }

    #[test]
    fn nothing_is_sent_on_a_control_socket_that_is_not_open() {
        let mut kernel = FreeBsd::new().expect("this socket needs no privilege");
        assert_eq!(kernel.make_iface_node().expect_err("nowhere to send it").errno, Errno::EBADF);
    }

    #[test]
    fn addresses_are_watched_without_waiting() {
        let mut kernel = FreeBsd::new().expect("this socket needs no privilege");
        assert!(kernel.address_watch().is_none());
        kernel.watch_addresses().expect("a routing socket needs no privilege");
        assert!(kernel.address_watch().is_some());
        kernel.address_changes().expect("there may be changes or none");
    }
}
