//! How long the parsers and the session take: bytes in, actions out.

mod session;

use std::hint::black_box;
use std::mem::offset_of;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion};
use dtcpclient::protocol::{MOST_LINES, Offer, Request, Session, TunnelType};
use ffi::abi::NgMesg;
use ffi::abi::numbers::NGF_RESP;
use ffi::kernel::Kernel;
use ffi::netgraph::{IfaceNode, Message, iface_nodes, socket_address};
use ffi::route_socket::{AddressChange, address_changes};
use harness::{routing_message, silent};
use session::{GREETING, HERE, Life, OFFER, PONG, login};

/// The first actions of a session that has seen `before`, when these bytes come.
fn bench_bytes(criterion: &mut Criterion, name: &str, before: &[u8], bytes: &[u8]) {
    let (login, now) = (login(), Instant::now());
    let begin = || {
        let mut session = Session::new(Rc::clone(&login), HERE, now);
        session.handle_bytes(before, now);
        session
    };
    let handle = |session: &mut Session| session.handle_bytes(black_box(bytes), now);
    criterion.bench_function(name, |bencher| bencher.iter_batched_ref(begin, handle, BatchSize::SmallInput));
}

fn lines(criterion: &mut Criterion) {
    bench_bytes(criterion, "greeting, challenge and response", b"", GREETING);
    bench_bytes(criterion, "line with the offer", GREETING, OFFER);
    let now = Instant::now();
    let flood = PONG.repeat(MOST_LINES as usize + 1);
    for (name, bytes) in [("answer to a ping", PONG), ("as many lines as a server may send", &flood)] {
        let begin = || {
            let mut session = Session::new(login(), HERE, now);
            session.handle_bytes(&[GREETING, OFFER].concat(), now);
            session.tunnel_made(now);
            session
        };
        let handle = |session: &mut Session| session.handle_bytes(black_box(bytes), now);
        criterion
            .bench_function(name, |bencher| bencher.iter_batched_ref(begin, handle, BatchSize::SmallInput));
    }
}

fn offers(criterion: &mut Criterion) {
    for (name, tunnel_type, udp, words) in [
        ("offer of a tunnel only", TunnelType::TunnelOnly, false, "192.0.2.2 192.0.2.1"),
        ("offer for a host", TunnelType::Host, false, "192.0.2.2 192.0.2.1 2001:db8::0006 2001:db8::0005"),
        (
            "offer for a network, in UDP",
            TunnelType::Network,
            true,
            "192.0.2.2 192.0.2.1 2001:db8::6 2001:db8::5 2001:db8:1::/48 4028",
        ),
    ] {
        let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
        let request = Request { tunnel_type, udp, local: HERE };
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| Offer::read(black_box(&words), request).expect("a good offer"));
        });
    }
}

fn sessions(criterion: &mut Criterion) {
    let (login, now) = (login(), Instant::now());
    for (name, age) in [("login", Duration::ZERO), ("day of a session", Duration::from_hours(24))] {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut life = Life::new(Rc::clone(&login), now);
                life.log_in();
                life.live_until(age);
                life.actions
            });
        });
    }
}

/// The answer to a message, as a node sends it.
fn answer_to(message: &Message, token: u32, arguments: &[u8]) -> Vec<u8> {
    let mut answer = message.encode(token);
    let length = u32::try_from(arguments.len()).expect("a few");
    for (offset, value) in [(offset_of!(NgMesg, arglen), length), (offset_of!(NgMesg, flags), NGF_RESP)] {
        answer[offset..offset + size_of::<u32>()].copy_from_slice(&value.to_ne_bytes());
    }
    [&answer[..size_of::<NgMesg>()], arguments].concat()
}

fn netgraph(criterion: &mut Criterion) {
    const TOKEN: u32 = 7;
    let mut kernel = silent();
    let mut sockets: Vec<_> = (0..100).map(|_| kernel.open_netgraph().expect("a control socket")).collect();
    for socket in &mut sockets {
        socket.send(&Message::MakeIface).expect("a node");
    }
    let list = sockets[0].send(&Message::ListNodes).expect("all nodes");
    let nodes = answer_to(&Message::ListNodes, TOKEN, &list);
    criterion.bench_function("netgraph's answer with 100 nodes", |bencher| {
        bencher.iter(|| iface_nodes(Message::ListNodes.answer(TOKEN, black_box(&nodes)).expect("an answer")));
    });
    let name = Message::GetName(IfaceNode::OnHook);
    let address = answer_to(&name, TOKEN, &[16, 2, 15, 188, 192, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
    criterion.bench_function("netgraph's answer with an address", |bencher| {
        bencher.iter(|| socket_address(name.answer(TOKEN, black_box(&address)).expect("an answer")));
    });
}

fn routes(criterion: &mut Criterion) {
    let message = routing_message(AddressChange::Added(Ipv4Addr::LOCALHOST));
    criterion.bench_function("routing message", |bencher| {
        bencher.iter(|| address_changes(black_box(&message)));
    });
}

fn main() {
    let criterion = Criterion::default();
    let criterion =
        criterion.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    let mut criterion = criterion.without_plots().configure_from_args();
    for bench in [lines, offers, sessions, netgraph, routes] {
        bench(&mut criterion);
    }
    criterion.final_summary();
}
