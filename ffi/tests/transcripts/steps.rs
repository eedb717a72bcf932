//! The steps of the recordings, one arm each: the call as this crate makes it, what it reads in the answer, and what
//! the rehearsal does.

use std::collections::HashMap;
use std::ffi::CString;
use std::fmt::Debug;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};
use std::str::FromStr;

use ffi::abi::numbers::{IFF_DRV_RUNNING, IFF_UP, ND6_IFF_IFDISABLED};
use ffi::abi::{IfgReq, IfreqFlags, In6Ndireq, NgMesg, interface_name};
use ffi::echo::EchoMark;
use ffi::errno::Errno;
use ffi::kernel::{EchoSocket, Ends, Error, Kernel, Netgraph};
use ffi::name::InterfaceName;
use ffi::netgraph::{IfaceNode, Message};
use ffi::rehearsal::{Kind, Place, Rehearsal};
use ffi::route_socket::{AddressChange, address_changes};
use ffi::{interface, netgraph};

use crate::parse::{Event, Step};

/// An address that no interface of the recorder's host has.
const FOREIGN: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The ports that the kernel chooses from (`net.inet.ip.portrange.first`); no two kernels choose alike.
const FIRST_EPHEMERAL_PORT: u16 = 10000;
/// Size of a `struct nodeinfo`.
const NODEINFO_SIZE: usize = 72;

/// The recorder's mark.
const MARK: EchoMark = EchoMark { identifier: 0x1234, token: *b"a token!" };

/// A rehearsal on its way through a recording.
pub(crate) struct Replay {
    kernel: Rehearsal,
    netgraph: Option<Box<dyn Netgraph>>,
    echo: Option<Box<dyn EchoSocket>>,
    /// The host's source address for each network of 24 bits to which it has a route.
    routes: HashMap<[u8; 3], Ipv4Addr>,
    /// What a route socket has to report.
    changes: Vec<AddressChange>,
    /// What the kernel answered last, to be written back with a change.
    flags: Option<IfreqFlags>,
    discovery: Option<In6Ndireq>,
}

impl Replay {
    pub(crate) fn at(place: &str) -> Self {
        let host = Rehearsal::new(|_| {});
        host.lose_address(FOREIGN);
        let (kernel, addresses) = match place {
            "host" => (host, vec![Ipv4Addr::new(192, 0, 2, 1)]),
            "nobody" => (host.in_place(Place::Nobody), vec![]),
            "jail" => (host.in_place(Place::Jail), vec![]),
            "vnet" => (host.in_place(Place::VnetJail), vec![Ipv4Addr::new(192, 0, 2, 2)]),
            "vnet-unrouted" => (host.in_place(Place::VnetJail), vec![]),
            "modules" => (host.without_modules(), vec![Ipv4Addr::LOCALHOST]),
            "modules-vnet" => (host.without_modules().in_place(Place::VnetJail), vec![]),
            _ => panic!("{place} is not known"),
        };
        Self {
            kernel,
            netgraph: None,
            echo: None,
            routes: addresses.into_iter().map(|address| (network(address), address)).collect(),
            changes: Vec::new(),
            flags: None,
            discovery: None,
        }
    }

    pub(crate) fn event(&mut self, event: Event) {
        match event {
            Event::Place(place) => *self = Self::at(&place),
            Event::Run(words) => self.run(&words.iter().map(String::as_str).collect::<Vec<_>>()),
            Event::Step(mut step) => {
                let words = step.words.clone();
                self.step(&mut step, &words.iter().map(String::as_str).collect::<Vec<_>>());
                assert_eq!(step.fields, [], "{}: not checked", step.title);
            }
        }
    }

    /// What the administrator did.
    fn run(&mut self, words: &[&str]) {
        match words {
            ["ifconfig", "epair0a", "inet", address, "delete" | "-alias"] => {
                self.routes.remove(&network(read(address)));
                self.kernel.lose_address(read(address));
                self.changes.push(AddressChange::Removed(read(address)));
            }
            ["ifconfig", "epair0a", "inet", address, ..] => {
                let address = read(address.trim_end_matches("/24"));
                self.routes.insert(network(address), address);
                self.kernel.gain_address(address);
                self.changes.push(AddressChange::Added(address));
            }
            ["jexec", "peer", "ifconfig", "gif0", "down"] => self.kernel.set_largest_echo(None),
            ["ifconfig", gif, "down"] => assert!(self.kernel.meddle(&name(gif), |it| it.up = false)),
            ["ifconfig", gif, "inet6", "ifdisabled"] => {
                assert!(self.kernel.meddle(&name(gif), |it| it.ipv6_enabled = false));
            }
            ["ifconfig", gif, "fib", fib] => {
                assert!(self.kernel.meddle(&name(gif), |it| it.fib = read(fib)));
            }
            ["sleep" | "sysctl", ..] | ["ifconfig", _, "create" | "destroy"] => {}
            _ => panic!("{words:?} is not known"),
        }
    }

    fn step(&mut self, step: &mut Step, words: &[&str]) {
        if let Some(message) = message(words) {
            return self.message(step, &message);
        }
        match words {
            ["open_netgraph"] => {
                let opened = self.kernel.open_netgraph();
                step.same(&step.outcome(), opened.map(|netgraph| self.netgraph = Some(netgraph)));
            }
            ["close_netgraph"] => self.netgraph = None,
            ["listnodes", "."] => self.nodes(step),
            ["load_module", module] => {
                step.same(&forgive(step.outcome(), Errno::EEXIST), self.kernel.load_module(module));
            }
            ["become_nobody"] => {}
            ["get_changes"] => self.changes(step),
            ["check_address", address] => {
                step.same(&step.outcome(), self.kernel.check_address(read(address)));
            }
            ["open_echo", local] => {
                let local = Some(read(local)).filter(|local: &Ipv6Addr| !local.is_unspecified());
                let opened = self.kernel.open_echo(MARK, 0, local);
                step.same(&step.outcome(), opened.map(|socket| self.echo = Some(socket)));
            }
            ["ping", ..] | ["get_echo"] => self.echo(step, words),
            _ => self.ioctl(step, words),
        }
    }

    fn ioctl(&mut self, step: &mut Step, words: &[&str]) {
        match words {
            ["create", "gif"] => {
                let made = step.ioctl(interface::create_gif());
                let made = made.map(|call| interface_name(&call.argument.ifr_name).expect("a name"));
                step.same(&made, self.kernel.create_gif());
            }
            ["create", ""] => {
                let asked = step.set(interface::create_nothing());
                step.same(&forgive(asked, Errno::EINVAL), self.kernel.check_privilege());
            }
            // The rehearsal has tunnels only.
            ["set_name", old, "lo0"] => {
                assert_eq!(step.set(interface::rename(&name(old), &name("lo0"))), Err(Errno::EEXIST));
            }
            // The program never asks for these.
            ["set_name", _, new] if InterfaceName::new(new).is_none() => _ = step.not_ours(),
            ["set_mtu", _, "99999"] => assert_eq!(step.not_ours(), Err(Errno::EINVAL)),
            ["mkpeer", ..] => assert_eq!(step.not_ours(), Err(Errno::ENOENT)),
            ["create", _] => assert!(step.not_ours().is_err(), "{}", step.title),
            ["get_address_flags", ..] => _ = step.not_ours(),
            [_, name, ..] if InterfaceName::new(name).is_none() => _ = step.not_ours(),
            [call, name, arguments @ ..] => {
                let name = InterfaceName::new(name).expect("checked before");
                self.about(step, call, &name, arguments);
            }
            _ => panic!("{} is not known", step.title),
        }
    }

    /// Calls about an interface, or members of a group.
    fn about(&mut self, step: &mut Step, call: &str, name: &InterfaceName, arguments: &[&str]) {
        let kernel = &mut self.kernel;
        match (call, arguments) {
            ("destroy", []) => step.done(interface::destroy_gif(name), kernel.destroy_gif(name)),
            ("set_outer", [local, remote]) => {
                let outer = Ends { local: read(local), remote: read(remote) };
                step.done(
                    interface::set_outer_addresses(name, outer),
                    kernel.set_outer_addresses(name, outer),
                );
            }
            ("set_name", [new]) => {
                let new = InterfaceName::new(new).expect("checked before");
                step.done(interface::rename(name, &new), kernel.rename(name, &new));
            }
            ("set_description", [text]) => self.describe(step, name, text),
            ("get_index", []) => {
                // The host has others.
                let got = step.ioctl(interface::index(name)).map(|answer| answer.argument.number > 0);
                step.same(&got, kernel.index(name).map(|index| index > 0));
            }
            ("get_fib", []) => {
                let got = step.ioctl(interface::fib(name)).map(|answer| answer.argument.number);
                step.same(&got, kernel.fib(name));
            }
            ("get_description", [room]) => self.description(step, name, read(room)),
            ("join_group", [group]) => {
                let joined = match interface::join_group(name, group) {
                    Ok(call) => step.set(call),
                    // The kernel was asked, and refused as this crate does.
                    Err(refused) => step.not_ours().inspect(|()| panic!("{group}: {refused}")),
                };
                step.same(&joined, kernel.join_group(name, group));
            }
            ("members", [room]) => self.members(step, name.as_str(), read(room)),
            ("set_mtu", [mtu]) => {
                let mtu = read(mtu);
                step.done(interface::set_mtu(name, mtu), kernel.set_mtu(name, mtu));
            }
            _ => self.read(step, call, name, arguments),
        }
    }

    fn describe(&mut self, step: &mut Step, name: &InterfaceName, text: &str) {
        let c_text = CString::new(text).expect("no NUL");
        match step.set(interface::set_description(name, &c_text)) {
            // The administrator has set a limit that the rehearsal does not know of.
            Err(Errno::ENAMETOOLONG) => {}
            set => step.same(&set, self.kernel.set_description(name, text)),
        }
    }

    /// With too little room, the kernel answers only with the size.
    fn description(&mut self, step: &mut Step, name: &InterfaceName, room: usize) {
        let got = step.ioctl(interface::description(name, room)).map(|call| {
            let size = call.argument.length.get();
            (size, (size <= room).then(|| interface::description_text(&call.buffer)))
        });
        let got = match got {
            Err(Errno::ENOMSG) => Ok((1, Some(String::new()))),
            got => got,
        };
        let rehearsed = self.kernel.description(name).map(|text| {
            let size = text.len() + 1;
            (size, (size <= room).then_some(text))
        });
        step.same(&got, rehearsed);
    }

    /// Without room, the kernel counts. Too little room, and it refuses.
    fn members(&mut self, step: &mut Step, group: &str, room: usize) {
        let rehearsed = self.kernel.group_members(group).expect("members");
        let size = rehearsed.len() * size_of::<IfgReq>();
        match step.ioctl(interface::members(group, room).expect("a group's name")) {
            Ok(call) if room == 0 => {
                assert_eq!(call.argument.ifgr_len.get(), size, "{}", step.title);
            }
            Ok(call) => assert_eq!(interface::member_names(&call.buffer), rehearsed, "{}", step.title),
            Err(Errno::EINVAL) => assert!(size > room, "{}", step.title),
            Err(errno) => assert_eq!((errno, size), (Errno::ENOENT, 0), "{}", step.title),
        }
    }

    /// Calls about flags and IPv6.
    fn read(&mut self, step: &mut Step, call: &str, name: &InterfaceName, arguments: &[&str]) {
        let kernel = &mut self.kernel;
        let there = kernel.interfaces().into_iter().find(|each| each.name == *name);
        let there = there.ok_or(Error { call: String::new(), errno: Errno::ENXIO });
        match (call, arguments) {
            ("get_flags", []) => {
                let got = step.ioctl(interface::get_flags(name)).map(|call| {
                    self.flags = Some(call.argument);
                    let flags = interface::flags(&call.argument);
                    (flags & IFF_UP != 0, flags & IFF_DRV_RUNNING != 0)
                });
                step.same(&got, there.map(|it| (it.up, kernel.is_running(&it))));
            }
            ("set_up", []) => {
                let found = self.flags.expect("read before");
                step.done(interface::bring_up(name, &found), kernel.bring_up(name));
            }
            ("get_nd", []) => {
                let got = step.ioctl(interface::get_neighbour_discovery(name)).map(|call| {
                    self.discovery = Some(call.argument);
                    call.argument.ndi.flags & ND6_IFF_IFDISABLED == 0
                });
                step.same(&got, there.map(|it| it.ipv6_enabled));
            }
            ("enable_ipv6", []) => {
                let found = self.discovery.expect("read before");
                step.done(interface::enable_ipv6(&found), kernel.enable_ipv6(name));
            }
            ("add_address", [local, remote]) => {
                let inner = Ends { local: read(local), remote: read(remote) };
                step.done(interface::add_address(name, inner), kernel.add_address(name, inner));
            }
            ("remove_address", [local]) => {
                let local = read(local);
                step.done(interface::remove_address(name, local), kernel.remove_address(name, local));
            }
            _ => panic!("{} is not known", step.title),
        }
    }

    fn message(&mut self, step: &mut Step, message: &Message) {
        if let Message::Connect(_, remote) = message {
            self.kernel.set_route(self.routes.get(&network(*remote.ip())).copied());
        }
        let netgraph = self.netgraph.as_mut().expect("a control socket");
        let decoded = |arguments: Vec<u8>| answer(message, &arguments);
        let recorded = step.message(message).map(decoded);
        step.same(&recorded, netgraph.send(message).map(decoded));
    }

    /// Of the nodes of all types, the rehearsal has those of two.
    fn nodes(&self, step: &mut Step) {
        let answer = step.take("recv.msg").expect("an answer");
        let list = &answer[size_of::<NgMesg>() + size_of::<u32>()..];
        let of_type = |wanted: &str| {
            let nodes = list.chunks_exact(NODEINFO_SIZE);
            let is_wanted = |node: &&[u8]| node[32..].starts_with(wanted.as_bytes());
            nodes.filter(is_wanted).map(interface_name).collect::<Vec<_>>()
        };
        let mut ours = self.kernel.interfaces();
        ours.retain(|each| each.kind == Kind::Ng);
        assert_eq!(of_type("iface\0"), ours.iter().map(|it| Some(it.first_name.clone())).collect::<Vec<_>>());
        let ksockets = ours.iter().filter(|it| it.ksocket.is_some());
        assert_eq!(of_type("ksocket\0").len(), ksockets.count(), "{}", step.title);
        _ = step.not_ours();
    }

    fn echo(&mut self, step: &mut Step, words: &[&str]) {
        let socket = self.echo.as_mut().expect("a socket for echo");
        let ["ping", interface, to, sequence, size] = words else {
            let reply = step.take("echo.in").map(|message| MARK.sequence(&message).expect("a reply to us"));
            return assert_eq!(socket.replies(), Vec::from_iter(reply));
        };
        let (sequence, size) = (read(sequence), read(size));
        assert_eq!(step.take("echo.out"), Some(MARK.request(sequence, size)));
        let peer = Some(read(to)).filter(|to: &Ipv6Addr| !to.is_multicast());
        step.same(&step.outcome(), socket.send(&name(interface), peer, sequence, size));
    }

    fn changes(&mut self, step: &mut Step) {
        let mut reported = Vec::new();
        while let Some(messages) = step.take("route.msg") {
            reported.extend(address_changes(&messages));
        }
        assert_eq!(reported, std::mem::take(&mut self.changes), "{}", step.title);
    }
}

/// The message that the program sends for such a step, if it does.
fn message(words: &[&str]) -> Option<Message> {
    Some(match words {
        ["mkpeer", ".", "iface", "dtcp", "inet"] => Message::MakeIface,
        ["getifname", "dtcp"] => Message::GetInterfaceName(IfaceNode::OnHook),
        ["mkpeer", path, "ksocket", "inet6", "inet/dgram/udp"] => Message::MakeKsocket(node(path)),
        ["getname", path] => Message::GetName(node(path)),
        ["getpeername", path] => Message::GetPeerName(node(path)),
        ["bind", path, ip, port] => Message::Bind(node(path), address(ip, port)),
        ["connect", path, ip, port] => Message::Connect(node(path), address(ip, port)),
        ["shutdown", path] if path.ends_with(":inet6") => Message::ShutDownKsocket(node(path)),
        ["shutdown", path] => Message::ShutDown(node(path)),
        _ => return None,
    })
}

/// What this crate reads in the arguments of an answer.
fn answer(message: &Message, arguments: &[u8]) -> String {
    match message {
        Message::GetInterfaceName(_) => format!("{:?}", netgraph::interface_name(arguments)),
        Message::GetName(_) | Message::GetPeerName(_) => {
            let address = netgraph::socket_address(arguments).expect("an address");
            match address.port() {
                FIRST_EPHEMERAL_PORT.. => format!("{}, a port of the kernel's choice", address.ip()),
                port => format!("{}, port {port}", address.ip()),
            }
        }
        _ => format!("{arguments:?}"),
    }
}

/// The iface node that a path starts from.
fn node(path: &str) -> IfaceNode {
    path.split_once(':').map_or(IfaceNode::OnHook, |(node, _)| IfaceNode::Named(name(node)))
}

/// What the seam does not call an error.
fn forgive(outcome: Result<(), Errno>, forgiven: Errno) -> Result<(), Errno> {
    outcome.or_else(|errno| if errno == forgiven { Ok(()) } else { Err(errno) })
}

fn name(word: &str) -> InterfaceName {
    InterfaceName::new(word).expect("an interface's name")
}

fn address(ip: &str, port: &str) -> SocketAddrV4 {
    SocketAddrV4::new(read(ip), read(port))
}

/// The value that a word spells.
fn read<T: FromStr<Err: Debug>>(word: &str) -> T {
    word.parse().expect("a value")
}

/// The network of 24 bits that an address is in.
fn network(address: Ipv4Addr) -> [u8; 3] {
    let [a, b, c, _] = address.octets();
    [a, b, c]
}
