//! The client's loop in this process, on a rehearsed kernel but with real scripts: what the program does on FreeBSD,
//! but for the kernel.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use dtcpclient::client::{Client, Plan};
use dtcpclient::exit::Exit;
use dtcpclient::options::Options;
use dtcpclient::protocol::Login;
use dtcpclient::script::{self, Limits, Runner, ScriptMode};
use dtcpclient::signals::Signals;
use dtcpclient::tunnel::Tunnel;
use ffi::rehearsal::Rehearsal;
use ffi::route_socket::{AddressChange, RouteSocket};
use harness::{Broker, Folder, PASSWORD, Programs, Routes, USER};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Signals are the whole process's, and taken over once: one test at a time.
static SIGNALS: LazyLock<Mutex<Signals>> = LazyLock::new(|| Mutex::new(Signals::watch().expect("signals")));

fn alone() -> MutexGuard<'static, Signals> {
    let mut signals = SIGNALS.lock().unwrap_or_else(PoisonError::into_inner);
    // Those that an earlier test has left.
    signals.take();
    signals
}

fn programs() -> Programs {
    Programs::find(env!("CARGO_BIN_EXE_dtcpclient"))
}

fn options(folder: &Folder, port: u16, more: &str) -> Options {
    let script = folder.file("script");
    let line = format!("dtcpclient -u {USER} -p {port} -s {} {more} 127.0.0.1", script.display());
    Options::read(line.split_whitespace().map(OsString::from)).expect("good options")
}

/// Runs a client to its end.
fn run(options: Options, kernel: &Rehearsal, signals: &mut Signals, routes: Option<RouteSocket>) -> Exit {
    let login = Login {
        user: options.user,
        password: PASSWORD.as_bytes().to_vec().into(),
        tunnel_type: options.tunnel_type,
        udp: options.announcement,
        nat_check: true,
    };
    let program = script::check(&options.script).expect("a good script");
    let scripts = Runner::new(program, ScriptMode::Run, Limits::default());
    let mut kernel = kernel.clone();
    let tunnel = Tunnel::new(&mut kernel, options.tunnel.clone());
    let plan = Plan { tunnel: options.tunnel, port: options.port, login: Rc::new(login), reconnect: false };
    Client::new(plan, tunnel, scripts, signals, routes).run()
}

fn signal(signal: Signal) {
    kill(Pid::this(), signal).expect("this process is there");
}

/// Does something in another thread once the broker has printed `text` `count` times.
fn when(
    broker: Broker,
    text: &'static str,
    count: usize,
    act: impl FnOnce() + Send + 'static,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        broker.process.wait_for_count(text, count);
        act();
        // Keeps the broker until the client has left.
        broker.process.wait_for("quit me");
    })
}

fn rehearsal() -> Rehearsal {
    Rehearsal::new(|_| {})
}

#[test]
fn the_script_runs_up_and_down_and_everything_is_gone_at_the_end() {
    let mut signals = alone();
    let folder = Folder::new();
    folder.write("script", "#!/bin/sh\necho \"$1 $interface\" >>\"${0%/*}/runs\"\n", 0o755);
    let broker = Broker::start(&programs(), &folder, &[]);
    let options = options(&folder, broker.port, "");
    let act = when(broker, "ping me", 1, || signal(Signal::SIGTERM));
    let kernel = rehearsal();
    assert_eq!(run(options, &kernel, &mut signals, None), Exit::Ok);
    act.join().unwrap();
    assert_eq!(folder.read("runs"), "up gif0\ndown gif0\n");
    assert!(kernel.interfaces().is_empty());
}

#[test]
fn many_logins_run_many_scripts_and_leave_no_child() {
    const LOGINS: usize = 50;
    let mut signals = alone();
    let folder = Folder::new();
    folder.write("script", "#!/bin/sh\necho \"$1\" >>\"${0%/*}/runs\"\n", 0o755);
    let broker = Broker::start(&programs(), &folder, &[]);
    let options = options(&folder, broker.port, "-t host");
    let acts = thread::spawn(move || {
        for login in 1..=LOGINS {
            broker.process.wait_for_count("ping me", login);
            signal(if login < LOGINS { Signal::SIGHUP } else { Signal::SIGTERM });
        }
        broker.process.wait_for_count("quit me", LOGINS);
    });
    let kernel = rehearsal();
    assert_eq!(run(options, &kernel, &mut signals, None), Exit::Ok);
    acts.join().unwrap();
    let runs = folder.read("runs");
    let states: Vec<_> = runs.lines().collect();
    assert!(states.chunks(2).all(|pair| pair == ["up", "down"]), "{runs}");
    assert!(kernel.interfaces().is_empty());
    // Only the broker may be left, and it is gone with the thread that kept it.
    assert_eq!(nix::sys::wait::waitpid(None, None), Err(nix::errno::Errno::ECHILD));
}

#[test]
fn a_script_that_hangs_does_not_keep_the_client_from_ending_within_five_seconds() {
    let mut signals = alone();
    let folder = Folder::new();
    folder.write(
        "script",
        "#!/bin/sh\necho $1 >>\"${0%/*}/runs\"\ntrap '' TERM\nwhile :; do sleep 0.1; done\n",
        0o755,
    );
    let broker = Broker::start(&programs(), &folder, &[]);
    let options = options(&folder, broker.port, "");
    let act = when(broker, "ping me", 1, || signal(Signal::SIGTERM));
    let kernel = rehearsal();
    let start = Instant::now();
    assert_eq!(run(options, &kernel, &mut signals, None), Exit::Ok);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    act.join().unwrap();
    assert_eq!(folder.read("runs"), "up\ndown\n");
    assert!(kernel.interfaces().is_empty());
}

#[test]
fn while_a_script_hangs_the_client_still_hears_the_server() {
    let mut signals = alone();
    let folder = Folder::new();
    folder.write("script", "#!/bin/sh\nwhile ! [ -e \"${0%/*}/go\" ]; do sleep 0.01; done\n", 0o755);
    let broker = Broker::start(&programs(), &folder, &[]);
    let options = options(&folder, broker.port, "");
    let go = folder.file("go");
    // The second login comes although the script of the first has not ended.
    let acts = thread::spawn(move || {
        broker.process.wait_for("ping me");
        signal(Signal::SIGHUP);
        broker.process.wait_for_count("ping me", 2);
        std::fs::write(go, "").expect("a file");
        signal(Signal::SIGTERM);
        broker.process.wait_for_count("quit me", 2);
    });
    let kernel = rehearsal();
    assert_eq!(run(options, &kernel, &mut signals, None), Exit::Ok);
    acts.join().unwrap();
    assert!(kernel.interfaces().is_empty());
}

#[test]
fn when_the_host_has_lost_its_address_the_connection_is_given_up() {
    let mut signals = alone();
    let folder = Folder::new();
    folder.write("script", "#!/bin/sh\n", 0o755);
    let broker = Broker::start(&programs(), &folder, &[]);
    let options = options(&folder, broker.port, "");
    let (reports, routes) = Routes::pair();
    let acts = thread::spawn(move || {
        broker.process.wait_for("ping me");
        reports.report(AddressChange::Removed(Ipv4Addr::LOCALHOST));
        broker.process.wait_for("closed me");
    });
    let kernel = rehearsal();
    assert_eq!(run(options, &kernel, &mut signals, Some(routes)), Exit::Unavailable);
    acts.join().unwrap();
    assert!(kernel.interfaces().is_empty());
}
