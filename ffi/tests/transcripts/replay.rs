//! The rehearsal plays every scene of the recordings again, and does what the kernel did: the same errnos, the
//! same names, the same state.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use ffi::abi::numbers::{IFF_DRV_RUNNING, IFF_UP, ND6_IFF_IFDISABLED};
use ffi::abi::{Ifgroupreq, Ifreq, In6Aliasreq, In6Ifreq, In6IfruAddr, In6Ndireq, InAliasreq, NgMesg};
use ffi::abi::{SockaddrIn6, interface_name};
use ffi::errno::Errno;
use ffi::kernel::{IfaceNode, Inner, Kernel, Outer, Result};
use ffi::name::InterfaceName;
use ffi::rehearsal::{Interface, Ksocket, Rehearsal};
use ffi::{interface, route_socket};
use zerocopy::{FromBytes, IntoBytes, transmute};

use crate::RECORDINGS;
use crate::parse::{Call, Event, NETGRAPH, Scene, Step, content, iface_node, ipv4, path, scenes};

/// A source that no interface of the recorder's host has.
const FOREIGN: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// What the steps without bytes are taken to have been about: the recordings say so at their head.
const OUTER: Outer = Outer { source: Ipv4Addr::new(192, 0, 2, 1), destination: Ipv4Addr::new(192, 0, 2, 2) };
const PORT: u16 = 4028;
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
    /// The latest interface, by the name that it has now.
    latest: Option<InterfaceName>,
}

impl Default for Replay {
    fn default() -> Self {
        Self { steps: 0, title: String::new(), kernel: host(), latest: None }
    }
}

fn host() -> Rehearsal {
    let mut host = Rehearsal::new(|_| {});
    host.lose_address(FOREIGN);
    host
}

/// Where a scene takes place; `None` where the one before it goes on.
fn place(title: &str) -> Option<Rehearsal> {
    match title {
        "without privilege" => Some(host().as_nobody()),
        "as root in a jail without a network stack of its own" => Some(host().in_jail()),
        "as root in a vnet jail" => Some(host().in_vnet_jail()),
        "modules: nothing loaded" | "modules: loaded, and loaded again" => Some(host().without_modules()),
        "modules: from a vnet jail, with all loaded" => {
            let mut jail = host().in_vnet_jail();
            jail.set_routed(false);
            Some(jail)
        }
        _ => None,
    }
}

impl Replay {
    fn scene(&mut self, scene: &Scene) {
        self.title.clone_from(&scene.title);
        if let Some(kernel) = place(&scene.title) {
            self.kernel = kernel;
        }
        for event in &scene.events {
            match event {
                Event::Step(step) => {
                    self.steps += 1;
                    self.step(step);
                }
                Event::Told(name) => assert_eq!(self.latest.as_ref(), Some(name), "{}", self.title),
                Event::Renamed { from, to } => {
                    assert!(self.kernel.rename(from, to));
                    self.latest = Some(to.clone());
                }
                Event::Route { message, .. } => self.route(message),
            }
        }
    }

    /// What the kernel reported is done to the rehearsal, which must report the same.
    fn route(&mut self, message: &[u8]) {
        self.kernel.watch_addresses().expect("a watch");
        let recorded = route_socket::address_changes(message);
        for change in &recorded {
            match *change {
                ffi::kernel::AddressChange::Removed(address) => self.kernel.lose_address(address),
                ffi::kernel::AddressChange::Added(address) => self.kernel.gain_address(address),
            }
        }
        assert_eq!(self.kernel.address_changes(), Ok(recorded));
    }

    fn step(&mut self, step: &Step) {
        match (&step.calls[..], step.name.as_str()) {
            ([Call::Message { address, .. }, ..], _) => self.message(step, &iface_node(path(address))),
            (_, "kldload") => self.load_module(step),
            (_, "socket(PF_NETGRAPH, SOCK_DGRAM, NG_CONTROL)" | "as nobody: netgraph socket") => {
                self.kernel.close_netgraph();
                let opened = self.kernel.open_netgraph();
                self.same(step, opened);
            }
            ([], name) if NETGRAPH.contains(&name) => self.message(step, &IfaceNode::OnHook),
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
    fn message(&mut self, step: &Step, iface: &IfaceNode) {
        if let IfaceNode::Named(_) = iface {
            self.kernel.open_netgraph().expect("a control socket");
        }
        let (message, reply) = match step.calls.first() {
            Some(Call::Message { message, reply, .. }) => (Some(message), reply.as_ref()),
            _ => (None, None),
        };
        let reply = reply.map(|reply| &reply.message[..]);
        match step.name.as_str() {
            "mkpeer . iface" => {
                let made = self.kernel.make_iface_node();
                self.same(step, made);
            }
            "getifname" => {
                let name = self.kernel.iface_node_name();
                let name = self.same(step, name);
                if let Some(reply) = reply {
                    assert_eq!(name, interface_name(&reply[size_of::<NgMesg>()..]), "{}", self.title);
                }
                self.latest = name;
            }
            "mkpeer dtcp ksocket" => {
                let made = self.kernel.make_ksocket_node(iface);
                self.same(step, made);
            }
            "bind" => {
                let port = message.map_or(PORT, |message| ipv4(message).port());
                let bound = self.kernel.bind_ksocket(iface, port);
                self.same(step, bound);
            }
            "connect" => {
                let unrecorded = SocketAddrV4::new(OUTER.destination, PORT);
                let peer = message.map_or(unrecorded, |message| ipv4(message));
                let connected = self.kernel.connect_ksocket(iface, peer);
                self.same(step, connected);
            }
            "getname" => self.local_end(reply),
            "getpeername" => self.far_end(reply, step.errno()),
            "nodeinfo of the ksocket" => _ = self.ksocket(),
            "rmhook dtcp" => {
                let released = self.kernel.release_hook();
                self.same(step, released);
            }
            "shutdown" => {
                let gone = self.kernel.shut_down_node(iface);
                self.same(step, gone);
            }
            "message to a node that does not exist" => {
                let nowhere = self.kernel.bind_ksocket(iface, PORT);
                self.same(step, nowhere);
            }
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
        let node = self.kernel.nodes().last().expect("a node");
        node.ksocket.expect("a ksocket")
    }

    /// A port that was not bound is the kernel's choice, and no two kernels choose alike.
    fn local_end(&self, reply: Option<&[u8]>) {
        let port = self.ksocket().port.expect("a port");
        match reply.map(|reply| ipv4(reply).port()) {
            Some(chosen) if chosen >= 49152 => assert!(port >= 49152, "{}", self.title),
            recorded => assert_eq!(port, recorded.unwrap_or(PORT), "{}", self.title),
        }
    }

    fn far_end(&self, reply: Option<&[u8]>, errno: Option<Errno>) {
        let peer = self.ksocket().peer;
        match (reply, errno) {
            (Some(reply), None) => assert_eq!(peer, Some(ipv4(reply)), "{}", self.title),
            (None, None) => assert!(peer.is_some(), "{}", self.title),
            (_, errno) => assert_eq!((peer, errno), (None, Some(Errno::ENOTCONN)), "{}", self.title),
        }
    }

    /// The iface node has one hook left, with a ksocket on it.
    fn hooks(&self, reply: &[u8]) {
        let iface = node(&reply[size_of::<NgMesg>()..]);
        let ours = self.kernel.nodes().last().expect("a node");
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
                let described = self.kernel.describe(&name, DESCRIPTION);
                let failed = step.notes == ["SIOCSIFDESCR failed"];
                assert_eq!(described.is_err(), failed, "{}", self.title);
            }
            "group" => {
                let joined = self.kernel.join_group(&name, &group(input));
                self.same(step, joined);
            }
            "phyaddr" => {
                let pointed = self.kernel.point_gif(&name, outer(input));
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

    fn interface(&self, name: &InterfaceName) -> Option<&Interface> {
        self.kernel.interfaces().iter().find(|interface| interface.name == *name)
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
            let running = self.kernel.is_running(interface);
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

fn outer(input: Option<&[u8]>) -> Outer {
    let Some(input) = input else { return OUTER };
    let request = InAliasreq::read_from_bytes(input).expect("an in_aliasreq");
    Outer { source: request.ifra_addr.address(), destination: request.ifra_dstaddr.address() }
}

fn inner(input: &[u8]) -> Inner {
    let request = In6Aliasreq::read_from_bytes(input).expect("an in6_aliasreq");
    Inner { local: ipv6(&request.ifra_addr), remote: ipv6(&request.ifra_dstaddr) }
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
