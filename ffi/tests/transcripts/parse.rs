//! Reads the recordings. What a line means is told at the head of each of them.

use std::iter::Peekable;
use std::net::{Ipv4Addr, SocketAddrV4};

use ffi::abi::SockaddrIn;
use ffi::errno::Errno;
use ffi::name::InterfaceName;
use ffi::netgraph::IfaceNode;
use zerocopy::FromBytes;

/// The steps of netgraph that were also made where no bytes were written down.
pub(crate) const NETGRAPH: [&str; 9] = [
    "mkpeer . iface",
    "getifname",
    "mkpeer dtcp ksocket",
    "bind",
    "connect",
    "getname",
    "getpeername",
    "nodeinfo of the ksocket",
    "rmhook dtcp",
];

/// A scene, which starts from the state that the one before it left.
pub(crate) struct Scene {
    pub title: String,
    pub events: Vec<Event>,
}

/// Something that happened.
pub(crate) enum Event {
    /// The recorder did something.
    Step(Step),
    /// The recorder was told this name of an interface.
    Told(InterfaceName),
    /// Someone else gave an interface another name.
    Renamed { from: InterfaceName, to: InterfaceName },
    /// A message of this type came on a `PF_ROUTE` socket.
    Route { message_type: u8, message: Vec<u8> },
}

/// One operation.
#[derive(Debug)]
pub(crate) struct Step {
    pub name: String,
    pub calls: Vec<Call>,
    /// The buffer that `SIOCGIFGMEMB` filled.
    pub members: Option<Vec<u8>>,
    /// What the recorder said in its own words.
    pub notes: Vec<String>,
    /// Why a step failed whose call has no bytes.
    pub errno: Option<Errno>,
}

/// A call to the kernel with its bytes.
#[derive(Debug)]
pub(crate) enum Call {
    Ioctl { request: String, number: usize, input: Vec<u8>, output: Vec<u8>, errno: Option<Errno> },
    Message { address: Vec<u8>, message: Vec<u8>, errno: Option<Errno>, reply: Option<Reply> },
}

/// What recvfrom(2) gave.
#[derive(Debug)]
pub(crate) struct Reply {
    pub address: Vec<u8>,
    pub message: Vec<u8>,
}

impl Step {
    /// Why its last call failed, or the step as a whole.
    pub(crate) fn errno(&self) -> Option<Errno> {
        let last = self.calls.last().and_then(|call| match call {
            Call::Ioctl { errno, .. } | Call::Message { errno, .. } => *errno,
        });
        last.or(self.errno)
    }
}

/// Reads all scenes of a recording. Panics on a line that it does not know.
pub(crate) fn scenes(recording: &str) -> Vec<Scene> {
    let mut scenes = Vec::new();
    let mut lines = content(recording).peekable();
    while let Some(line) = lines.next() {
        let title = line.strip_prefix("@@ ").unwrap_or_else(|| panic!("no scene begins with {line:?}"));
        if title == "end" {
            assert_eq!(lines.next(), None, "something follows the end");
            return scenes;
        }
        let mut events = Vec::new();
        while lines.peek().is_some_and(|line| !line.starts_with("@@ ")) {
            events.push(event(&mut lines));
        }
        scenes.push(Scene { title: title.to_owned(), events });
    }
    panic!("the recording has no end");
}

/// The lines that say something.
pub(crate) fn content(recording: &str) -> impl Iterator<Item = &str> {
    recording.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn event<'a>(lines: &mut Peekable<impl Iterator<Item = &'a str>>) -> Event {
    let heading = lines.next().expect("an event has a heading");
    if let Some(name) = heading.strip_prefix("STEP ") {
        Event::Step(step(name, lines))
    } else if let Some(name) = heading.strip_prefix("IFNAME ") {
        Event::Told(interface(name))
    } else if let Some(message_type) = heading.strip_prefix("ROUTE type ") {
        let message_type = message_type.parse().expect("a type is a number");
        Event::Route { message_type, message: field(lines, "route.msg").expect("a message follows its type") }
    } else if let Some((from, to)) = heading.split_once(": changing name to ") {
        Event::Renamed { from: interface(from), to: interface(to.trim_matches('\'')) }
    } else {
        panic!("no event is {heading:?}");
    }
}

fn step<'a>(name: &str, lines: &mut Peekable<impl Iterator<Item = &'a str>>) -> Step {
    let mut step =
        Step { name: name.to_owned(), calls: Vec::new(), members: None, notes: Vec::new(), errno: None };
    loop {
        if let Some(input) = field(lines, "ioctl.in") {
            let (request, number) = request(lines);
            let errno = errno(lines);
            let output = field(lines, "ioctl.out").expect("an ioctl leaves its argument");
            step.calls.push(Call::Ioctl { request, number, input, output, errno });
        } else if let Some(address) = field(lines, "sendto.addr") {
            let message = field(lines, "sendto.msg").expect("a message follows its address");
            let errno = errno(lines);
            let reply = field(lines, "recv.addr").map(|address| Reply {
                address,
                message: field(lines, "recv.msg").expect("a reply follows its address"),
            });
            step.calls.push(Call::Message { address, message, errno, reply });
        } else if let Some(members) = field(lines, "members") {
            step.members = Some(members);
        } else if let Some(errno) = errno(lines) {
            step.errno = Some(errno);
        } else if let Some(note) = lines.next_if(|line| line.starts_with("  ") && !is_field(line)) {
            step.notes.push(note.trim().to_owned());
        } else {
            return step;
        }
    }
}

/// Whether a line is one of those that hold bytes; where none is expected it is no event either.
fn is_field(line: &str) -> bool {
    line.split_whitespace().next().is_some_and(|word| word.contains('.'))
}

/// The bytes of the next line, if it is this field.
fn field<'a>(lines: &mut Peekable<impl Iterator<Item = &'a str>>, name: &str) -> Option<Vec<u8>> {
    let line = lines.next_if(|line| line.split_whitespace().next() == Some(name))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, length, digits] = words[..] else { panic!("no bytes in {line:?}") };
    let byte = |start| u8::from_str_radix(&digits[start..start + 2], 16).expect("hexadecimal digits");
    let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
    assert_eq!(length.parse(), Ok(bytes.len()), "the length of {line:?}");
    Some(bytes)
}

fn request<'a>(lines: &mut Peekable<impl Iterator<Item = &'a str>>) -> (String, usize) {
    let line = lines.next().expect("a request follows the argument");
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["request", name, number] = words[..] else { panic!("no request is {line:?}") };
    let digits = number.strip_prefix("0x").expect("a hexadecimal number");
    (name.to_owned(), usize::from_str_radix(digits, 16).expect("a hexadecimal number"))
}

/// The errno of the next line, which also says it in FreeBSD's words.
fn errno<'a>(lines: &mut Peekable<impl Iterator<Item = &'a str>>) -> Option<Errno> {
    let starts = |line: &str| line.starts_with("  -> errno ") || line.starts_with("  -1 errno ");
    let line = lines.next_if(|line| starts(line))?;
    let (_, rest) = line.split_once("errno ")?;
    let (number, text) = rest.split_once(' ').expect("an errno has words");
    let errno = Errno(number.parse().expect("an errno is a number"));
    assert_eq!(errno.to_string(), text);
    Some(errno)
}

/// An interface's name, which must be one.
pub(crate) fn interface(name: &str) -> InterfaceName {
    InterfaceName::new(name).unwrap_or_else(|| panic!("no interface is called {name:?}"))
}

/// The text in a `sockaddr_ng`: where a message goes.
pub(crate) fn path(address: &[u8]) -> &str {
    let text = address[2..].strip_suffix(b"\0").expect("a path ends in a NUL");
    std::str::from_utf8(text).expect("a path is text")
}

/// The iface node that a path starts from.
pub(crate) fn iface_node(path: &str) -> IfaceNode {
    match path.split_once(':') {
        Some((name, _)) => IfaceNode::Named(interface(name)),
        None => IfaceNode::OnHook,
    }
}

/// The socket address at the end of a message to or from a ksocket.
pub(crate) fn ipv4(message: &[u8]) -> SocketAddrV4 {
    let (_, address) = SockaddrIn::read_from_suffix(message).expect("a socket address");
    let port = u16::from_be(address.sin_port);
    SocketAddrV4::new(Ipv4Addr::from_bits(u32::from_be(address.sin_addr)), port)
}
