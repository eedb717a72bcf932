//! What a hostile server, a storm of signals and a flood of routing messages cost.

use std::ffi::OsString;
use std::os::unix::net::UnixDatagram;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use dtcpclient::client::{Client, Plan};
use dtcpclient::options::Options;
use dtcpclient::protocol::Login;
use dtcpclient::script::{Limits, Runner, ScriptMode};
use dtcpclient::signals::Signals;
use dtcpclient::tunnel::Tunnel;
use ffi::route_socket::{AddressChange, RouteSocket};
use harness::{Directory, PASSWORD, USER, routing_message, silent};
use nix::sys::resource::UsageWho;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::{Measured, children, client, milliseconds, processor_time};
use crate::report::{Report, median, note};
use crate::server::{Event, Manner, Server};

const SECOND: Duration = Duration::from_secs(1);
/// The shortest time between two logins that SIGHUP begins.
const AGAIN: Duration = Duration::from_millis(250);

/// A thousand signals in a second, more if this machine is too slow for that.
pub(crate) fn measure_sighups(report: &mut Report) {
    const SIGNALS: u32 = 1000;
    let (directory, server) = (Directory::default(), Server::start(Manner::Kind));
    let process = Measured::start(client(&directory, server.port, &[]));
    server.wait_for(Event::Ping, 1);
    let start = Instant::now();
    for signal in 0..SIGNALS {
        process.signal(Signal::SIGHUP);
        thread::sleep((start + signal * SECOND / SIGNALS).saturating_duration_since(Instant::now()));
    }
    let took = start.elapsed();
    // The last one has to be obeyed, too.
    thread::sleep(2 * AGAIN);
    let logins = server.count(Event::Grant) - 1;
    // The first at once, and one after each interval.
    let goal = 1 + took.as_micros().div_ceil(AGAIN.as_micros());
    let what = format!("logins, on 1000 SIGHUPs in {:.2} s", took.as_secs_f64());
    report.at_most(&what, logins as u128, goal, "logins");
    process.signal(Signal::SIGTERM);
    process.wait();
}

/// A server that sends a gigabyte after the grant, in turns with one that does not.
pub(crate) fn measure_flood(report: &mut Report) {
    const TURNS: usize = 20;
    let directory = Directory::default();
    let [kind, flooding] = [Manner::Kind, Manner::Flooding].map(Server::start);
    let mut costs = [Vec::new(), Vec::new()];
    for turn in 1..=TURNS {
        for (server, costs) in [&kind, &flooding].into_iter().zip(&mut costs) {
            let before = children();
            let process = Measured::start(client(&directory, server.port, &[]));
            if server.port == kind.port {
                server.wait_for(Event::Ping, turn);
                process.signal(Signal::SIGTERM);
            }
            process.wait();
            costs.push(children() - before);
        }
    }
    let [without, with] = costs.map(median);
    report.at_most(
        "server that sends 1 GB, processor time over that of a quiet one",
        with - without,
        1.0,
        "ms",
    );
    let sent = flooding.so_far().into_iter().filter_map(|(_, event)| match event {
        Event::Flood(bytes) => Some(bytes),
        _ => None,
    });
    let sent = sent.max().unwrap_or_default();
    note("  bytes that it could send, most of them into the kernel's buffers", sent);
}

/// Ten thousand routing messages a second while a tunnel is up, against none. The client is in this process: the loop,
/// and a rehearsed kernel.
pub(crate) fn measure_routes(report: &mut Report) {
    let mut signals = Signals::watch().expect("signals");
    let [quiet, flooded] = [0, 10].map(|each_millisecond| share_of_core(&mut signals, each_millisecond));
    report.at_most(
        "share of a core, at 10000 routing messages a second over none",
        flooded - quiet,
        5.0,
        "%",
    );
}

/// The share of a core that a client takes for a few seconds, in percent.
fn share_of_core(signals: &mut Signals, each_millisecond: u32) -> f64 {
    let server = Server::start(Manner::Kind);
    let port = server.port;
    let (kernel, client) = UnixDatagram::pair().expect("a pair of sockets");
    for end in [&kernel, &client] {
        end.set_nonblocking(true).expect("a socket that does not block");
    }
    let flood = thread::spawn(move || {
        server.wait_for(Event::Ping, 1);
        send_routes(&kernel, each_millisecond);
        kill(Pid::this(), Signal::SIGTERM).expect("this process is there");
    });
    let (start, before) = (Instant::now(), processor_time(UsageWho::RUSAGE_THREAD));
    run_client(port, signals, RouteSocket::new(client.into()));
    let took = processor_time(UsageWho::RUSAGE_THREAD) - before;
    flood.join().expect("it ends");
    100.0 * took / milliseconds(start, Instant::now())
}

/// Sends messages for five seconds. The kernel, too, drops what the client does not read.
fn send_routes(socket: &UnixDatagram, each_millisecond: u32) {
    let message = routing_message(AddressChange::Added([192, 0, 2, 9].into()));
    let start = Instant::now();
    for milliseconds in 1..=5000 {
        for _ in 0..each_millisecond {
            let _ = socket.send(&message);
        }
        let next = start + Duration::from_millis(milliseconds);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// Runs a client in this thread until SIGTERM.
fn run_client(port: u16, signals: &mut Signals, routes: RouteSocket) {
    let words = format!("dtcpclient -u {USER} -p {port} --rehearse -t host 127.0.0.1");
    let options = Options::read(words.split(' ').map(OsString::from)).expect("good options");
    let login = Login {
        user: USER.to_owned(),
        password: PASSWORD.as_bytes().to_vec().into(),
        tunnel_type: options.tunnel_type,
        udp: None,
        nat_check: true,
    };
    let mut kernel = silent();
    let tunnel = Tunnel::new(&mut kernel, options.tunnel.clone());
    let scripts = Runner::new(None, ScriptMode::Run, Limits::default());
    let Options { account, tunnel: settings, port, .. } = options;
    let plan = Plan { account, tunnel: settings, port, login: Rc::new(login), reconnect: false };
    Client::new(plan, tunnel, scripts, signals, Some(routes)).run();
}
