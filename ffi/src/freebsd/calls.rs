//! The operations of [`Kernel`] as FreeBSD's calls.

use std::ffi::CString;
use std::io;
use std::mem::offset_of;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{if_indextoname, if_nametoindex};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, setsockopt, socket, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use zerocopy::FromBytes;

use super::echo_socket::RawEchoSocket;
use super::{ioctl, kldload, netgraph_socket, send_message, set_option, sysctl};
use crate::abi::ioctl::{Argument, Call};
use crate::abi::numbers::{IFDATA_GENERAL, IFF_UP, IFMIB_IFDATA, NETLINK_GENERIC};
use crate::abi::{Ifmibdata, Timeval, interface_name};
use crate::echo::EchoMark;
use crate::errno::Errno;
use crate::interface;
use crate::kernel::{Count, EchoSocket, Ends, Error, Kernel, Netgraph, Result, Traffic};
use crate::name::InterfaceName;
use crate::netgraph::Message;

/// The time limit for a node's answer, in seconds. Nodes answer at once: this is for an answer that was lost.
const ANSWER_TIMEOUT: i64 = 5;
/// Room for any answer: the longest is a list of all nodes, and must fit the socket.
const ANSWER_SIZE: usize = 1 << 16;
/// Room for a description, at first: the program's own are shorter.
const DESCRIPTION_SIZE: usize = 128;
/// The maximum size of the list of a group's members, in bytes.
const MOST_MEMBERS: usize = 1 << 20;

/// FreeBSD's kernel. Its sockets are not inherited by the script.
#[derive(Debug)]
pub struct FreeBsd {
    inet: OwnedFd,
    /// Opened when it is needed, since a kernel without IPv6 has none.
    inet6: Option<OwnedFd>,
}

impl FreeBsd {
    /// Opens a socket for requests about interfaces. Needs no privilege.
    pub fn new() -> io::Result<Self> {
        Ok(Self { inet: datagram_socket(AddressFamily::Inet)?, inet6: None })
    }

    fn ioctl<T: Argument>(&self, call: Call<T>) -> Result<Call<T>> {
        let name = call.request.name;
        ioctl(&self.inet, call).map_err(|cause| Error::new(name, cause))
    }

    /// Makes a request about IPv6 on an interface.
    fn ioctl_ipv6<T: Argument>(&mut self, call: Call<T>) -> Result<Call<T>> {
        let name = call.request.name;
        let socket = match &mut self.inet6 {
            Some(socket) => socket,
            None => self.inet6.insert(
                datagram_socket(AddressFamily::Inet6)
                    .map_err(|cause| Error::new("socket(PF_INET6)", cause))?,
            ),
        };
        ioctl(socket, call).map_err(|cause| Error::new(name, cause))
    }
}

impl Kernel for FreeBsd {
    fn check_privilege(&mut self) -> Result<()> {
        match self.ioctl(interface::create_nothing()) {
            Err(refused) if refused.errno == Errno::EINVAL => Ok(()),
            answered => answered.map(drop),
        }
    }

    fn load_module(&mut self, module: &str) -> Result<()> {
        let failed = |cause| Error::new(format_args!("kldload {module}"), cause);
        let name = CString::new(module).map_err(|_| failed(Errno::EINVAL))?;
        match kldload(&name) {
            Err(Errno::EEXIST) => Ok(()),
            loaded => loaded.map_err(failed),
        }
    }

    fn create_gif(&mut self) -> Result<InterfaceName> {
        let answer = self.ioctl(interface::create_gif())?;
        interface_name(&answer.argument.ifr_name)
            .ok_or_else(|| Error::new(answer.request.name, Errno::EBADMSG))
    }

    fn set_outer_addresses(&mut self, gif: &InterfaceName, outer: Ends<Ipv4Addr>) -> Result<()> {
        self.ioctl(interface::set_outer_addresses(gif, outer)).map(drop)
    }

    fn outer_addresses(&mut self, gif: &InterfaceName) -> Result<Option<Ends<Ipv4Addr>>> {
        let Ends { local, remote } = interface::outer_addresses(gif);
        match self.ioctl(local).and_then(|local| Ok((local, self.ioctl(remote)?))) {
            Ok((local, remote)) => {
                let [local, remote] = [local, remote].map(|answer| answer.argument.ifr_addr.address());
                Ok(Some(Ends { local, remote }))
            }
            Err(refused) if refused.errno == Errno::EADDRNOTAVAIL => Ok(None),
            Err(cause) => Err(cause),
        }
    }

    fn destroy_gif(&mut self, gif: &InterfaceName) -> Result<()> {
        self.ioctl(interface::destroy_gif(gif)).map(drop)
    }

    fn open_netgraph(&mut self) -> Result<Box<dyn Netgraph>> {
        match ControlSocket::open() {
            Ok(socket) => Ok(Box::new(socket)),
            Err(cause) => Err(Error::new("socket(PF_NETGRAPH)", cause)),
        }
    }

    fn rename(&mut self, interface: &InterfaceName, name: &InterfaceName) -> Result<()> {
        self.ioctl(interface::rename(interface, name)).map(drop)
    }

    fn index(&mut self, interface: &InterfaceName) -> Result<u32> {
        Ok(self.ioctl(interface::index(interface))?.argument.number.cast_unsigned())
    }

    fn name_of(&mut self, index: u32) -> Result<InterfaceName> {
        let failed = |cause| Error::new("if_indextoname", cause);
        let name = if_indextoname(index).map_err(|cause| failed(cause.into()))?;
        // nix does not notice a failure, and returns an empty name.
        if name.is_empty() {
            return Err(failed(nix::errno::Errno::last().into()));
        }
        let name = name.to_str().ok().and_then(InterfaceName::new);
        name.ok_or_else(|| failed(Errno::EBADMSG))
    }

    fn fib(&mut self, interface: &InterfaceName) -> Result<i32> {
        Ok(self.ioctl(interface::fib(interface))?.argument.number)
    }

    fn set_description(&mut self, interface: &InterfaceName, description: &str) -> Result<()> {
        let text = CString::new(description).map_err(|_| Error::new("SIOCSIFDESCR", Errno::EINVAL))?;
        self.ioctl(interface::set_description(interface, &text)).map(drop)
    }

    fn description(&mut self, interface: &InterfaceName) -> Result<String> {
        let mut room = DESCRIPTION_SIZE;
        loop {
            let answer = match self.ioctl(interface::description(interface, room)) {
                Err(refused) if refused.errno == Errno::ENOMSG => return Ok(String::new()),
                answered => answered?,
            };
            match answer.argument.length.get() {
                size if size <= room => return Ok(interface::description_text(&answer.buffer)),
                size => room = size,
            }
        }
    }

    fn join_group(&mut self, interface: &InterfaceName, group: &str) -> Result<()> {
        let call =
            interface::join_group(interface, group).map_err(|cause| Error::new("SIOCAIFGROUP", cause))?;
        self.ioctl(call).map(drop)
    }

    fn group_members(&mut self, group: &str) -> Result<Vec<InterfaceName>> {
        let mut room = 0;
        loop {
            let call = interface::members(group, room).map_err(|cause| Error::new("SIOCGIFGMEMB", cause))?;
            match self.ioctl(call) {
                Ok(answer) => match answer.argument.ifgr_len.get() {
                    // Without room, the kernel has only returned the size.
                    size if room == 0 && size > 0 => room = size,
                    _ => return Ok(interface::member_names(&answer.buffer)),
                },
                // The group has grown since.
                Err(refused) if refused.errno == Errno::EINVAL && room < MOST_MEMBERS => room *= 2,
                Err(refused) if refused.errno == Errno::ENOENT => return Ok(Vec::new()),
                Err(cause) => return Err(cause),
            }
        }
    }

    fn set_mtu(&mut self, interface: &InterfaceName, mtu: u16) -> Result<()> {
        self.ioctl(interface::set_mtu(interface, mtu)).map(drop)
    }

    fn enable_ipv6(&mut self, interface: &InterfaceName) -> Result<()> {
        let found = self.ioctl_ipv6(interface::get_neighbour_discovery(interface))?;
        self.ioctl_ipv6(interface::enable_ipv6(&found.argument)).map(drop)
    }

    fn is_up(&mut self, interface: &InterfaceName) -> Result<bool> {
        let found = self.ioctl(interface::get_flags(interface))?;
        Ok(interface::flags(&found.argument) & IFF_UP != 0)
    }

    fn bring_up(&mut self, interface: &InterfaceName) -> Result<()> {
        let found = self.ioctl(interface::get_flags(interface))?;
        self.ioctl(interface::bring_up(interface, &found.argument)).map(drop)
    }

    fn add_address(&mut self, interface: &InterfaceName, inner: Ends<Ipv6Addr>) -> Result<()> {
        self.ioctl_ipv6(interface::add_address(interface, inner)).map(drop)
    }

    fn remove_address(&mut self, interface: &InterfaceName, local: Ipv6Addr) -> Result<()> {
        self.ioctl_ipv6(interface::remove_address(interface, local)).map(drop)
    }

    fn traffic(&mut self, interface: &InterfaceName) -> Result<Traffic> {
        let failed = |cause| Error::new("sysctl(net.link.generic.ifdata)", cause);
        let index = if_nametoindex(interface.as_str()).map_err(|cause| failed(cause.into()))?;
        let row = i32::try_from(index).map_err(|_| failed(Errno::ENXIO))?;
        let name = [libc::CTL_NET, libc::PF_LINK, NETLINK_GENERIC, IFMIB_IFDATA, row, IFDATA_GENERAL];
        let data: Ifmibdata = sysctl(&name).map_err(failed)?;
        Ok(Traffic {
            received: Count { packets: data.ifi_ipackets, bytes: data.ifi_ibytes },
            sent: Count { packets: data.ifi_opackets, bytes: data.ifi_obytes },
        })
    }

    fn open_echo(
        &mut self,
        mark: EchoMark,
        fib: i32,
        local: Option<Ipv6Addr>,
    ) -> Result<Box<dyn EchoSocket>> {
        Ok(Box::new(RawEchoSocket::open(mark, fib, local)?))
    }

    fn process_start(&mut self, pid: u32) -> Result<Option<Duration>> {
        let started = match process_start(pid) {
            Err(Errno::ESRCH) => return Ok(None),
            started => started.map_err(|cause| Error::new("sysctl(kern.proc.pid)", cause))?,
        };
        let booted: Timeval = sysctl(&[libc::CTL_KERN, libc::KERN_BOOTTIME])
            .map_err(|cause| Error::new("sysctl(kern.boottime)", cause))?;
        let since_boot = started.duration().zip(booted.duration());
        let since_boot = since_boot.and_then(|(started, booted)| started.checked_sub(booted));
        since_boot.map(Some).ok_or_else(|| Error::new("sysctl(kern.boottime)", Errno::EBADMSG))
    }

    fn ipv6_addresses(&mut self) -> Result<Vec<(InterfaceName, Ipv6Addr)>> {
        let all = getifaddrs().map_err(|cause| Error::new("getifaddrs", cause))?;
        let ipv6 = |entry: InterfaceAddress| {
            let address = entry.address?.as_sockaddr_in6()?.ip();
            Some((InterfaceName::new(&entry.interface_name)?, address))
        };
        Ok(all.filter_map(ipv6).collect())
    }

    /// Nothing is sent from this socket, so that the option has no effect. A bind(2) would take a new socket each time.
    fn check_address(&mut self, address: Ipv4Addr) -> Result<()> {
        let set = set_option(&self.inet, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &address.octets());
        set.map_err(|cause| Error::new("setsockopt(IP_MULTICAST_IF)", cause))
    }

    fn try_bind(&mut self, local: SocketAddr) -> Result<()> {
        let bound = UdpSocket::bind(local);
        bound.map(drop).map_err(|cause| Error::new(format_args!("bind {local}"), cause))
    }
}

/// When a process started, as time of day.
fn process_start(pid: u32) -> std::result::Result<Timeval, Errno> {
    let pid = i32::try_from(pid).map_err(|_| Errno::ESRCH)?;
    let process: [u8; size_of::<libc::kinfo_proc>()] =
        sysctl(&[libc::CTL_KERN, libc::KERN_PROC, libc::KERN_PROC_PID, pid])?;
    let start = &process[offset_of!(libc::kinfo_proc, ki_start)..];
    Timeval::read_from_prefix(start).map(|(start, _)| start).map_err(|_| Errno::EBADMSG)
}

fn datagram_socket(family: AddressFamily) -> nix::Result<OwnedFd> {
    socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
}

/// A control socket of netgraph, which is a node itself.
#[derive(Debug)]
struct ControlSocket {
    socket: OwnedFd,
    /// The token of the last message.
    token: u32,
}

impl ControlSocket {
    fn open() -> std::result::Result<Self, Errno> {
        let socket = netgraph_socket()?;
        let timeout = TimeVal::seconds(ANSWER_TIMEOUT);
        setsockopt(&socket, sockopt::ReceiveTimeout, &timeout)?;
        Ok(Self { socket, token: 0 })
    }

    fn receive_answer(&self, message: &Message) -> std::result::Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; ANSWER_SIZE];
        loop {
            match recv(self.socket.as_raw_fd(), &mut bytes, MsgFlags::empty()) {
                Ok(length) => {
                    if let Some(arguments) = message.answer(self.token, &bytes[..length]) {
                        return Ok(arguments.to_owned());
                    }
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(nix::errno::Errno::EAGAIN) => return Err(Errno::ETIMEDOUT),
                Err(cause) => return Err(cause.into()),
            }
        }
    }
}

impl Netgraph for ControlSocket {
    fn send(&mut self, message: &Message) -> Result<Vec<u8>> {
        self.token = self.token.wrapping_add(1);
        let sent = send_message(&self.socket, message, self.token);
        let answered = match sent {
            Ok(()) if message.has_answer() => self.receive_answer(message),
            sent => sent.map(|()| Vec::new()),
        };
        answered.map_err(|cause| Error::new(message, cause))
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    use super::*;
    use crate::route_socket::RouteSocket;

    #[test]
    fn sockets_are_not_inherited_and_the_route_socket_does_not_block() {
        let kernel = FreeBsd::new().expect("this socket needs no privilege");
        let mut routes = RouteSocket::open().expect("nor does this one");
        routes.changes().expect("there may be changes or not");
        let mut sockets = vec![kernel.inet.as_fd(), routes.as_fd()];
        let netgraph = netgraph_socket();
        match &netgraph {
            Ok(socket) => sockets.push(socket.as_fd()),
            Err(cause) => eprintln!("no netgraph socket: {cause}"),
        }
        for socket in sockets {
            let flags = FdFlag::from_bits_retain(fcntl(socket, FcntlArg::F_GETFD).expect("it is open"));
            assert!(flags.contains(FdFlag::FD_CLOEXEC), "{socket:?}");
        }
    }

    #[test]
    fn a_process_denies_tracing_without_privilege() {
        super::super::deny_tracing().expect("nothing traces this test");
    }
}
