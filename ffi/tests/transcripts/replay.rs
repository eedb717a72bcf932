//! The rehearsal plays every scene of the recordings again, and does what the kernel did: the same errnos, the
//! same names, the same state.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use ffi::abi::numbers::{IFF_DRV_RUNNING, IFF_UP, ND6_IFF_IFDISABLED};
use ffi::abi::{Ifgroupreq, Ifreq, In6Aliasreq, In6Ifreq, In6IfruAddr, In6Ndireq, InAliasreq, NgMesg};
use ffi::abi::{SockaddrIn6, interface_name};
use ffi::errno::Errno;
use ffi::interface;
use ffi::kernel::{Ends, Kernel, Netgraph, Result};
use ffi::name::InterfaceName;
use ffi::netgraph::{IfaceNode, Message, interface_name as answered_name, socket_address};
use ffi::rehearsal::{Interface, Ksocket, Rehearsal};
use zerocopy::{FromBytes, IntoBytes, transmute};

use crate::RECORDINGS;
use crate::parse::{Call, Event, NETGRAPH, Scene, Step, content, iface_node, ipv4, path, scenes};

/// A source that no interface of the recorder's host has.
const FOREIGN: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// What the steps without bytes are taken to have been about: the recordings say so at their head.
const OUTER: Ends<Ipv4Addr> =
    Ends { local: Ipv4Addr::new(192, 0, 2, 1), remote: Ipv4Addr::new(192, 0, 2, 2) };
const PORT: u16 = 4028;
const FIRST_EPHEMERAL_PORT: u16 = 49152;
const GROUP: &str = "dtcp";
const DESCRIPTION: &str = "dtcpclient";

#[test]
fn the_rehearsal_does_what_the_kernel_did() {
    for (kernel, recording) in RECORDINGS {
        let mut replay = Replay::default();
        for scene in scenes(recording) {
            replay.scene(&scene);
        }
        let held = content(recording).filter(|line| line.starts_with("STEP ")).count();
        assert_eq!(replay.steps, held, "steps of {kernel}");
    }
}

/// A rehearsal on its way through a recording.
struct Replay {
    steps: usize,
    title: String,
    kernel: Rehearsal,
    /// The control socket, once it is open.
    control: Option<Box<dyn Netgraph>>,
    /// The latest interface, by the name that it has now.
    latest: Option<InterfaceName>,
}

impl Default for Replay {
    fn default() -> Self {
        Self { steps: 0, title: String::new(), kernel: host(), control: None, latest: None }
    }
}

fn host() -> Rehearsal {
    let host = Rehearsal::new(|_| {});
    host.lose_address(FOREIGN);
    host
}

fn routed_from(source: Option<Ipv4Addr>, kernel: Rehearsal) -> Rehearsal {
    kernel.set_route(source);
    kernel
}

/// Where a scene takes place; `None` where the one before it goes on.
fn place(title: &str) -> Option<Rehearsal> {
    match title {
        "without privilege" => Some(host().as_nobody()),
        "as root in a jail without a network stack of its own" => Some(host().in_jail()),
        "as root in a vnet jail" => Some(host().in_vnet_jail()),
        "modules: nothing loaded" | "modules: loaded, and loaded again" => {
            Some(routed_from(Some(Ipv4Addr::LOCALHOST), host().without_modules()))
        }
        "modules: from a vnet jail, with all loaded" => Some(routed_from(None, host().in_vnet_jail())),
        _ => None,
    }
}

impl Replay {
    fn scene(&mut self, scene: &Scene) {
        self.title.clone_from(&scene.title);
        if let Some(kernel) = place(&scene.title) {
            self.kernel = kernel;
            self.control = None;
        }
        for event in &scene.events {
            match event {
                Event::Step(step) => {
                    self.steps += 1;
                    self.step(step);
                }
                Event::Told(name) => assert_eq!(self.latest.as_ref(), Some(name), "{}", self.title),
                Event::Renamed { from, to } => {
                    assert!(self.kernel.meddle(from, |interface| interface.name = to.clone()));
                    self.latest = Some(to.clone());
                }
                Event::Route { .. } => {}
            }
        }
    }

    fn step(&mut self, step: &Step) {
        match (&step.calls[..], step.name.as_str()) {
            ([Call::Message { address, .. }, ..], _) => self.message(step, iface_node(path(address))),
            (_, "kldload") => self.load_module(step),
            (_, "socket(PF_NETGRAPH, SOCK_DGRAM, NG_CONTROL)" | "as nobody: netgraph socket") => {
                let opened = self.kernel.open_netgraph();
                self.control = self.same(step, opened);
            }
            ([], name) if NETGRAPH.contains(&name) => self.message(step, IfaceNode::OnHook),
            _ => self.ioctl(step),
        }
    }

    /// Asserts that a call ended as the recorded one did.
    fn same<T>(&self, step: &Step, result: Result<T>) -> Option<T> {
        let named = format!("{}: {}", self.title, step.name);
        match result {
            Ok(value) => {
                assert_eq!(step.errno(), None, "{named}: the rehearsal allows it");
                Some(value)
            }
            // The recorder gave up on the last steps of this scene without a word of why.
            Err(_) if self.title.contains("without a network stack") && step.errno().is_none() => None,
            Err(error) => {
                assert_eq!(Some(error.errno), step.errno(), "{named}: {error}");
                None
            }
        }
    }

    fn load_module(&mut self, step: &Step) {
        let module = step.notes[0].strip_prefix("kldload ").expect("a module");
        if self.title.contains("without the privilege of a jail") && module == "if_gif" {
            self.kernel = host().without_kldload();
        }
        let loaded = self.kernel.load_module(module);
        match step.errno() {
            Some(Errno::EEXIST) => assert_eq!(loaded, Ok(()), "what is loaded already is no error"),
            _ => _ = self.same(step, loaded),
        }
    }
}

/// Steps of netgraph.
impl Replay {
    /// Sends a message, which must end as the recorded one did, and returns its answer.
    fn send(&mut self, step: &Step, message: &Message) -> Option<Vec<u8>> {
        let open = || self.kernel.open_netgraph().expect("a control socket");
        let sent = self.control.get_or_insert_with(open).send(message);
        self.same(step, sent)
    }

    fn message(&mut self, step: &Step, iface: IfaceNode) {
        let (message, reply) = match step.calls.first() {
            Some(Call::Message { message, reply, .. }) => (Some(message), reply.as_ref()),
            _ => (None, None),
        };
        let reply = reply.map(|reply| &reply.message[..]);
        let address = |unrecorded| message.map_or(unrecorded, |message| ipv4(message));
        match step.name.as_str() {
            "mkpeer . iface" => _ = self.send(step, &Message::MakeIface),
            "getifname" => {
                let answer = self.send(step, &Message::GetInterfaceName).expect("an answer");
                self.latest = answered_name(&answer);
                if let Some(reply) = reply {
                    assert_eq!(self.latest, interface_name(&reply[size_of::<NgMesg>()..]), "{}", self.title);
                }
            }
            "mkpeer dtcp ksocket" => _ = self.send(step, &Message::MakeKsocket(iface)),
            "bind" => {
                let local = address(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT));
                self.send(step, &Message::Bind(iface, local));
            }
            "connect" => {
                let remote = address(SocketAddrV4::new(OUTER.remote, PORT));
                self.send(step, &Message::Connect(iface, remote));
            }
            "getname" => {
                let answer = self.send(step, &Message::GetName(iface)).expect("an answer");
                self.local_end(&answer, reply);
            }
            "getpeername" => {
                let answer = self.send(step, &Message::GetPeerName(iface));
                if let (Some(answer), Some(reply)) = (answer, reply) {
                    assert_eq!(socket_address(&answer), Some(ipv4(reply)), "{}", self.title);
                }
            }
            "nodeinfo of the ksocket" => _ = self.ksocket(),
            // The hook goes with the socket's node.
            "rmhook dtcp" => self.control = None,
            "shutdown" => _ = self.send(step, &Message::ShutDown(iface)),
            "message to a node that does not exist" => _ = self.send(step, &Message::GetName(iface)),
            "listhooks" => self.hooks(reply.expect("a list")),
            "listnodes" => self.nodes(reply.expect("a list")),
            // The seam has no words for these.
            "mkpeer . of an unknown type" => assert_eq!(step.errno(), Some(Errno::ENOENT)),
            "iface command to the socket node itself" => assert_eq!(step.errno(), None),
            name => panic!("{}: nothing is known of {name}", self.title),
        }
    }

    /// The latest ksocket.
    fn ksocket(&self) -> Ksocket {
        self.kernel.nodes().last().expect("a node").ksocket.expect("a ksocket")
    }

    /// A port that was not bound is the kernel's choice, and no two kernels choose alike.
    fn local_end(&self, answer: &[u8], reply: Option<&[u8]>) {
        let local = socket_address(answer).expect("an address");
        match reply.map(ipv4) {
            None => assert_eq!(local.port(), PORT, "{}", self.title),
            Some(chosen) if chosen.port() >= FIRST_EPHEMERAL_PORT => {
                assert_eq!(local.ip(), chosen.ip(), "{}", self.title);
                assert!(local.port() >= FIRST_EPHEMERAL_PORT, "{}", self.title);
            }
            Some(recorded) => assert_eq!(local, recorded, "{}", self.title),
        }
    }

    /// The iface node has one hook left, with a ksocket on it.
    fn hooks(&self, reply: &[u8]) {
        let iface = node(&reply[size_of::<NgMesg>()..]);
        let nodes = self.kernel.nodes();
        let ours = nodes.last().expect("a node");
        assert_eq!((iface.name.as_ref(), iface.node_type.as_str()), (Some(&ours.name), "iface"));
        assert_eq!(iface.hooks, usize::from(ours.ksocket.is_some()));
    }

    fn nodes(&self, reply: &[u8]) {
        let list = &reply[size_of::<NgMesg>() + size_of::<u32>()..];
        let recorded: Vec<NodeInfo> = list.chunks_exact(NODEINFO_SIZE).map(node).collect();
        let of_type = |node_type| recorded.iter().filter(move |node: &&NodeInfo| node.node_type == node_type);

        let ours = self.kernel.nodes();
        let names: Vec<_> = ours.iter().map(|node| Some(node.name.clone())).collect();
        assert_eq!(of_type("iface").map(|node| node.name.clone()).collect::<Vec<_>>(), names);
        let ksockets = ours.iter().filter(|node| node.ksocket.is_some()).count();
        assert_eq!(of_type("ksocket").count(), ksockets);
    }
}

/// Size of a `struct nodeinfo`.
const NODEINFO_SIZE: usize = 72;

/// What the recorder was told of a node.
struct NodeInfo {
    name: Option<InterfaceName>,
    node_type: String,
    hooks: usize,
}

/// Reads a `struct nodeinfo`: name, type, number and count of hooks.
fn node(info: &[u8]) -> NodeInfo {
    let hooks = u32::from_ne_bytes(info[68..NODEINFO_SIZE].try_into().expect("four bytes"));
    NodeInfo {
        name: interface_name(&info[..32]),
        node_type: interface_name(&info[32..64]).expect("a type").to_string(),
        hooks: usize::try_from(hooks).expect("a small number"),
    }
}

/// Steps of ioctl(2).
impl Replay {
    fn ioctl(&mut self, step: &Step) {
        let recorded: Vec<(&[u8], &[u8])> = step
            .calls
            .iter()
            .map(|call| match call {
                Call::Ioctl { input, output, .. } => (&input[..], &output[..]),
                Call::Message { .. } => panic!("{}: no ioctl in {}", self.title, step.name),
            })
            .collect();
        let (input, output) = recorded.first().copied().unzip();
        let name = self.name(input);
        match step.name.as_str() {
            "create" | "as nobody: create" => {
                let made = self.kernel.create_gif();
                let made = self.same(step, made);
                if let Some(output) = output.filter(|_| step.errno().is_none()) {
                    assert_eq!(made, interface_name(output), "{}", self.title);
                }
                self.latest = made.or(self.latest.take());
            }
            "descr" => {
                let described = self.kernel.set_description(&name, DESCRIPTION);
                let failed = step.notes == ["SIOCSIFDESCR failed"];
                assert_eq!(described.is_err(), failed, "{}", self.title);
            }
            "group" => {
                let joined = self.kernel.join_group(&name, &group(input));
                self.same(step, joined);
            }
            "phyaddr" => {
                let pointed = self.kernel.set_outer_addresses(&name, outer(input));
                self.same(step, pointed);
            }
            "mtu" => self.mtu(step, &name, input),
            "ndinfo" => {
                assert_eq!(self.interface(&name).is_some_and(|it| it.ipv6_enabled), ipv6_enabled(output));
                let enabled = self.kernel.enable_ipv6(&name);
                self.same(step, enabled);
                assert!(self.interface(&name).is_some_and(|it| it.ipv6_enabled));
            }
            "getflags" => self.flags(step, &name, output),
            "setflags up" => {
                let up = self.kernel.bring_up(&name);
                self.same(step, up);
            }
            "in6 alias" => {
                let added = self.kernel.add_address(&name, inner(input.expect("bytes")));
                self.same(step, added);
            }
            "delete in6 address" => {
                let request = In6Ifreq::read_from_bytes(input.expect("bytes")).expect("an in6_ifreq");
                let request: In6IfruAddr = transmute!(request.ifr_ifru);
                let removed = self.kernel.remove_address(&name, ipv6(&request.ifr_addr));
                self.same(step, removed);
            }
            "SIOCGIFGMEMB length" => {
                let answer = Ifgroupreq::read_from_bytes(output.expect("bytes")).expect("an ifgroupreq");
                let members = self.kernel.group_members(GROUP).expect("members");
                assert_eq!(members.len() * 16, interface::members_size(&answer), "{}", self.title);
            }
            "SIOCGIFGMEMB members" => {
                let list = <[_]>::ref_from_bytes(step.members.as_deref().expect("a list")).expect("names");
                assert_eq!(self.kernel.group_members(GROUP), Ok(interface::member_names(list)));
            }
            "SIOCGIFDESCR" => {
                assert_eq!(step.notes, [format!("0 {DESCRIPTION} len {}", DESCRIPTION.len() + 1)]);
                assert_eq!(self.kernel.description(&name), Ok(DESCRIPTION.to_owned()));
            }
            "destroy" => {
                let destroyed = self.kernel.destroy_gif(&name);
                self.same(step, destroyed);
            }
            name => panic!("{}: nothing is known of {name}", self.title),
        }
    }

    /// The interface that a step is about: by its bytes, else the latest, else none that exists.
    fn name(&self, input: Option<&[u8]>) -> InterfaceName {
        let latest = || self.latest.clone().unwrap_or_else(|| crate::parse::interface("gif0"));
        input.and_then(interface_name).unwrap_or_else(latest)
    }

    fn interface(&self, name: &InterfaceName) -> Option<Interface> {
        self.kernel.interfaces().into_iter().find(|interface| interface.name == *name)
    }

    fn mtu(&mut self, step: &Step, name: &InterfaceName, input: Option<&[u8]>) {
        let mtu =
            input.map_or(1280, |input| u32::from_ne_bytes(input[16..20].try_into().expect("four bytes")));
        // What the seam has no room for stands for the most that it has.
        let set = self.kernel.set_mtu(name, u16::try_from(mtu).unwrap_or(u16::MAX));
        self.same(step, set);
    }

    fn flags(&self, step: &Step, name: &InterfaceName, output: Option<&[u8]>) {
        let interface = self.interface(name);
        assert_eq!(interface.is_none(), step.errno() == Some(Errno::ENXIO), "{}", self.title);
        if let (Some(interface), Some(output)) = (interface, output) {
            let flags = interface::flags(&Ifreq::read_from_bytes(output).expect("an ifreq"));
            let running = self.kernel.is_running(&interface);
            assert_eq!(interface.up, flags & IFF_UP != 0, "{}: IFF_UP", self.title);
            assert_eq!(running, flags & IFF_DRV_RUNNING != 0, "{}: IFF_DRV_RUNNING", self.title);
        }
    }
}

fn group(input: Option<&[u8]>) -> String {
    let Some(input) = input else { return GROUP.to_owned() };
    let request = Ifgroupreq::read_from_bytes(input).expect("an ifgroupreq");
    interface_name(request.ifgr_ifgru.as_bytes()).expect("a group").to_string()
}

fn outer(input: Option<&[u8]>) -> Ends<Ipv4Addr> {
    let Some(input) = input else { return OUTER };
    let request = InAliasreq::read_from_bytes(input).expect("an in_aliasreq");
    Ends { local: request.ifra_addr.address(), remote: request.ifra_dstaddr.address() }
}

fn inner(input: &[u8]) -> Ends<Ipv6Addr> {
    let request = In6Aliasreq::read_from_bytes(input).expect("an in6_aliasreq");
    Ends { local: ipv6(&request.ifra_addr), remote: ipv6(&request.ifra_dstaddr) }
}

fn ipv6(address: &SockaddrIn6) -> Ipv6Addr {
    Ipv6Addr::from(address.sin6_addr)
}

/// Whether IPv6 is on, from the answer where one was written down; in a new interface it is not.
fn ipv6_enabled(output: Option<&[u8]>) -> bool {
    output.is_some_and(|output| {
        let answer = In6Ndireq::read_from_bytes(output).expect("an in6_ndireq");
        answer.ndi.flags & ND6_IFF_IFDISABLED == 0
    })
}
