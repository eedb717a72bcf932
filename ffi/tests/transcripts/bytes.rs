//! Each call of the recordings that the program makes too is made here with the same bytes, and what the
//! kernel answered is read.

use std::net::{Ipv4Addr, Ipv6Addr};

use ffi::abi::ioctl::Call as Request;
use ffi::abi::numbers::{AF_NETGRAPH, NG_VERSION, NGF_RESP, RTM_DELADDR, RTM_NEWADDR};
use ffi::abi::{Ifgroupreq, Ifreq, In6Aliasreq, In6Ifreq, In6Ndireq, InAliasreq, NgMesg, interface_name};
use ffi::errno::Errno;
use ffi::kernel::Ends;
use ffi::name::InterfaceName;
use ffi::netgraph::{self, IfaceNode, Message};
use ffi::route_socket::{self, AddressChange};
use ffi::{gif, interface};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::RECORDINGS;
use crate::parse::{Call, Event, NETGRAPH, Reply, Scene, Step, content, iface_node, ipv4, path, scenes};

/// This host's own address, and the one that takes its place in the last scene.
const HOST: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 7)];

#[test]
fn every_call_has_the_bytes_that_the_kernel_was_given_and_every_answer_is_read() {
    for (kernel, recording) in RECORDINGS {
        let mut checked = Checked::default();
        for scene in scenes(recording) {
            checked.scene(&scene);
        }
        let held = |word: &str| content(recording).filter(|line| line.trim_start().starts_with(word)).count();
        assert_eq!(checked.steps, held("STEP "), "steps of {kernel}");
        assert_eq!(checked.ioctls, held("ioctl.in "), "ioctls of {kernel}");
        assert_eq!(checked.messages, held("sendto.msg "), "messages of {kernel}");
        assert_eq!(checked.replies, held("recv.msg "), "replies of {kernel}");
        assert_eq!(checked.lists, held("members "), "lists of members of {kernel}");
        assert_eq!(checked.routes, held("route.msg "), "routing messages of {kernel}");
    }
}

/// What has been looked at, and what one step hands to a later one.
#[derive(Default)]
struct Checked {
    steps: usize,
    ioctls: usize,
    messages: usize,
    replies: usize,
    lists: usize,
    routes: usize,
    flags: Option<Ifreq>,
    list_size: usize,
    /// The interfaces that are there, by the names that they have now, the latest last.
    interfaces: Vec<InterfaceName>,
}

impl Checked {
    fn scene(&mut self, scene: &Scene) {
        for event in &scene.events {
            match event {
                Event::Step(step) => self.step(&scene.title, step),
                Event::Told(name) => self.told(&scene.title, name),
                Event::Renamed { from, to } => {
                    self.remove(from);
                    self.interfaces.push(to.clone());
                }
                Event::Route { message_type, message } => self.route(*message_type, message),
            }
        }
    }

    /// What the recorder was told is what this crate read, where it had something to read.
    fn told(&self, title: &str, name: &InterfaceName) {
        assert!(title.contains("vnet jail") || self.interfaces.last() == Some(name), "{title}: {name}");
    }

    fn remove(&mut self, name: &InterfaceName) {
        assert!(self.interfaces.contains(name), "{name} was made before");
        self.interfaces.retain(|each| each != name);
    }

    fn route(&mut self, message_type: u8, message: &[u8]) {
        self.routes += 1;
        let expected = match message_type {
            RTM_DELADDR => vec![AddressChange::Removed(HOST[0])],
            RTM_NEWADDR => vec![AddressChange::Added(HOST[1])],
            _ => vec![],
        };
        assert_eq!(route_socket::address_changes(message), expected, "type {message_type}");
    }

    fn step(&mut self, title: &str, step: &Step) {
        self.steps += 1;
        let named = format!("{title}: {}", step.name);
        match &step.calls[..] {
            [] => self.without_bytes(step),
            [Call::Ioctl { .. }, ..] => self.ioctls(&named, step),
            [Call::Message { address, message, errno, reply }] => {
                self.messages += 1;
                same_message(&named, &step.name, address, message);
                self.reply(&named, &step.name, message, reply.as_ref());
                assert!(reply.is_none() || errno.is_none(), "{named}: an error has no reply");
                if let ("shutdown", None, IfaceNode::Named(name)) =
                    (step.name.as_str(), errno, iface_node(path(address)))
                {
                    self.remove(&name);
                }
            }
            _ => panic!("{named}: more than one message"),
        }
    }
}

/// Steps that may have nothing but their name, as [`NETGRAPH`] may: a socket has no bytes, and in jails none were
/// written down.
const BARE: [&str; 10] = [
    "socket(PF_NETGRAPH, SOCK_DGRAM, NG_CONTROL)",
    "as nobody: netgraph socket",
    "create",
    "descr",
    "group",
    "phyaddr",
    "mtu",
    "ndinfo",
    "getflags",
    "setflags up",
];

/// Steps whose call's bytes were not written down.
impl Checked {
    fn without_bytes(&mut self, step: &Step) {
        let notes: Vec<&str> = step.notes.iter().map(String::as_str).collect();
        match (step.name.as_str(), &notes[..]) {
            ("kldload", [module]) => assert!(module.starts_with("kldload ")),
            ("descr", [outcome]) => {
                assert!(["SIOCSIFDESCR succeeded", "SIOCSIFDESCR failed"].contains(outcome));
            }
            ("SIOCGIFDESCR", ["0 dtcpclient len 11"]) => {
                let call = interface::set_description(&crate::parse::interface("gif0"), c"dtcpclient");
                assert_eq!(interface::description_size(call.argument()), 11);
            }
            ("SIOCGIFGMEMB members", ["0"]) => self.members(step),
            (name, notes) => {
                assert!(
                    (BARE.contains(&name) || NETGRAPH.contains(&name)) && notes.is_empty(),
                    "nothing is known of {name} with {notes:?}"
                );
            }
        }
    }

    fn members(&mut self, step: &Step) {
        self.lists += 1;
        let bytes = step.members.as_deref().expect("a list");
        assert_eq!(bytes.len(), self.list_size);
        let members = interface::member_names(<[_]>::ref_from_bytes(bytes).expect("whole names"));
        assert_eq!(members, self.interfaces);
    }
}

/// Steps of ioctl(2).
impl Checked {
    fn ioctls(&mut self, named: &str, step: &Step) {
        let mut discovery = None;
        for call in &step.calls {
            let Call::Ioctl { request, number, input, output, errno } = call else {
                panic!("{named}: not an ioctl")
            };
            self.ioctls += 1;
            let recorded = Recorded { named, request, number: *number, input };
            let name = interface_name(input).expect("a name");
            match (step.name.as_str(), request.as_str()) {
                ("create" | "as nobody: create", "SIOCIFCREATE2") => self.create(&recorded, output, *errno),
                ("group", "SIOCAIFGROUP") => {
                    let group = interface_name(read::<Ifgroupreq>(input).ifgr_ifgru.as_bytes());
                    let group = group.expect("a group");
                    recorded.is(&interface::join_group(&name, group.as_str()).expect("a group's name"));
                }
                ("phyaddr", "SIOCSIFPHYADDR") => {
                    let given: InAliasreq = read(input);
                    let outer =
                        Ends { local: given.ifra_addr.address(), remote: given.ifra_dstaddr.address() };
                    assert_ne!(outer.remote, HOST[0], "{named}");
                    recorded.is(&gif::set_outer_addresses(&name, outer));
                }
                ("mtu", "SIOCSIFMTU") => recorded.mtu(&name, *errno),
                ("ndinfo", "SIOCGIFINFO_IN6") => {
                    recorded.is(&interface::get_neighbour_discovery(&name));
                    let found: In6Ndireq = read(output);
                    assert_eq!(step.notes, [format!("nd flags {:x}", found.ndi.flags)]);
                    discovery = Some(found);
                }
                ("ndinfo", "SIOCSIFINFO_IN6") => {
                    recorded.is(&interface::enable_ipv6(&discovery.expect("read before")));
                }
                ("getflags", "SIOCGIFFLAGS") => {
                    recorded.is(&interface::get_flags(&name));
                    self.flags = errno.is_none().then(|| read(output));
                }
                ("setflags up", "SIOCSIFFLAGS") => {
                    let found = self.flags.expect("read before");
                    recorded.is(&interface::bring_up(&name, &found));
                }
                ("in6 alias", "SIOCAIFADDR_IN6") => {
                    let given: In6Aliasreq = read(input);
                    let inner = Ends {
                        local: Ipv6Addr::from(given.ifra_addr.sin6_addr),
                        remote: Ipv6Addr::from(given.ifra_dstaddr.sin6_addr),
                    };
                    recorded.is(&interface::add_address(&name, inner));
                }
                ("delete in6 address", "SIOCDIFADDR_IN6") => {
                    let given: [u8; 16] = read::<In6Ifreq>(input).as_bytes()[24..40].try_into().expect("16");
                    recorded.is(&interface::remove_address(&name, Ipv6Addr::from(given)));
                }
                ("SIOCGIFGMEMB length", "SIOCGIFGMEMB") => {
                    recorded.is(&interface::count_members(name.as_str()).expect("a group's name"));
                    self.list_size = interface::members_size(&read(output));
                }
                ("destroy", "SIOCIFDESTROY") => {
                    recorded.is(&gif::destroy(&name));
                    if errno.is_none() {
                        self.remove(&name);
                    }
                }
                (name, request) => panic!("{named}: nothing is known of {request} in step {name}"),
            }
            let kernel_writes = ["SIOCIFCREATE2", "SIOCGIFINFO_IN6", "SIOCGIFFLAGS", "SIOCGIFGMEMB"];
            assert!(input == output || kernel_writes.contains(&request.as_str()), "{named}");
        }
    }

    fn create(&mut self, recorded: &Recorded, output: &[u8], errno: Option<Errno>) {
        if interface_name(recorded.input).is_some_and(|name| name.as_str() == "gif") {
            recorded.is(&gif::create());
        } else {
            assert!(errno.is_some(), "{}: the program never asks for a unit", recorded.named);
        }
        if errno.is_none() {
            self.interfaces.push(gif::created(&read(output)).expect("a new name"));
        }
    }
}

/// An ioctl(2) as the recorder made it.
struct Recorded<'a> {
    named: &'a str,
    request: &'a str,
    number: usize,
    input: &'a [u8],
}

impl Recorded<'_> {
    /// Asserts that this crate makes the same call.
    fn is<T: IntoBytes + Immutable>(&self, ours: &Request<T>) {
        assert_eq!(ours.request().name, self.request, "{}", self.named);
        assert_eq!(ours.request().number, self.number, "{}", self.named);
        assert_eq!(ours.argument().as_bytes(), self.input, "{}", self.named);
    }

    fn mtu(&self, name: &InterfaceName, errno: Option<Errno>) {
        let mtu = u32::from_ne_bytes(self.input[16..20].try_into().expect("four bytes"));
        match u16::try_from(mtu) {
            Ok(mtu) => self.is(&interface::set_mtu(name, mtu)),
            Err(_) => assert_eq!(errno, Some(Errno::EINVAL), "{}: no program can ask for it", self.named),
        }
    }
}

/// Messages that the program never sends.
const RECORDERS_OWN: [&str; 6] = [
    "nodeinfo of the ksocket",
    "listhooks",
    "listnodes",
    "rmhook dtcp",
    "mkpeer . of an unknown type",
    "message to a node that does not exist",
];

/// Asserts that this crate makes the same message, or that it is one that only the recorder needs.
fn same_message(named: &str, step: &str, address: &[u8], message: &[u8]) {
    let (header, arguments) = NgMesg::read_from_prefix(message).expect("a header");
    assert_eq!((header.version, header.flags), (NG_VERSION, 0), "{named}");
    assert_eq!(usize::try_from(header.arglen), Ok(arguments.len()), "{named}");

    let Some(ours) = program_s_own(step, iface_node(path(address)), message) else {
        return assert!(RECORDERS_OWN.contains(&step), "{named}: nothing is known of this message");
    };
    // The recorder sent this one to a node that has no such message, too.
    assert!(ours.address() == address || step == "iface command to the socket node itself", "{named}");
    assert_eq!(ours.encode(header.token), message, "{named}");
}

/// The program's own message of a step.
fn program_s_own(step: &str, iface: IfaceNode, message: &[u8]) -> Option<Message> {
    Some(match step {
        "mkpeer . iface" => Message::MakeIface,
        "getifname" | "iface command to the socket node itself" => Message::GetInterfaceName,
        "mkpeer dtcp ksocket" => Message::MakeKsocket(iface),
        "bind" => Message::Bind(iface, ipv4(message)),
        "connect" => Message::Connect(iface, ipv4(message)),
        "getname" => Message::GetName(iface),
        "getpeername" => Message::GetPeerName(iface),
        "shutdown" => Message::ShutDown(iface),
        _ => return None,
    })
}

/// Answers to messages.
impl Checked {
    fn reply(&mut self, named: &str, step: &str, message: &[u8], reply: Option<&Reply>) {
        let asks =
            ["getifname", "getname", "getpeername", "nodeinfo of the ksocket", "listhooks", "listnodes"];
        assert_eq!(reply.is_some(), asks.contains(&step), "{named}: whether there is a reply");
        let Some(Reply { address, message: answer }) = reply else { return };
        self.replies += 1;
        assert_eq!((usize::from(address[0]), address[1]), (address.len(), AF_NETGRAPH), "{named}");

        let (sent, _) = NgMesg::read_from_prefix(message).expect("a header");
        let (reply, arguments) = NgMesg::read_from_prefix(answer).expect("a header");
        assert_eq!(reply.flags & NGF_RESP, NGF_RESP, "{named}");
        assert_eq!(
            (reply.typecookie, reply.cmd, reply.token),
            (sent.typecookie, sent.cmd, sent.token),
            "{named}"
        );
        let Some(ours) = program_s_own(step, IfaceNode::OnHook, message) else { return };
        assert_eq!(ours.answer(sent.token, answer), Some(arguments), "{named}");
        match ours {
            Message::GetInterfaceName => {
                self.interfaces.push(netgraph::interface_name(arguments).expect("a name"));
            }
            _ => assert_eq!(netgraph::socket_address(arguments), Some(ipv4(answer)), "{named}"),
        }
    }
}

fn read<T: FromBytes>(bytes: &[u8]) -> T {
    T::read_from_bytes(bytes).expect("a struct's size")
}
