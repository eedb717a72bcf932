//! The client's loop in this process, on a rehearsed kernel but with real scripts: what the program does on FreeBSD,
//! except for the kernel.

use std::ffi::OsString;
use std::rc::Rc;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use dtcpclient::client::{Client, Plan};
use dtcpclient::exit::Exit;
use dtcpclient::options::Options;
use dtcpclient::protocol::Login;
use dtcpclient::script::{self, Limits, Runner, ScriptMode};
use dtcpclient::signals::Signals;
use dtcpclient::tunnel::Tunnel;
use harness::{Broker, Directory, PASSWORD, Process, USER, is_empty, silent, wait_until};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

/// Signals are the whole process's, and taken over once: one test at a time.
static SIGNALS: LazyLock<Mutex<Signals>> = LazyLock::new(|| Mutex::new(Signals::watch().expect("signals")));

fn options(directory: &Directory, port: u16) -> Options {
    let script = directory.file("script");
    let line = format!("dtcpclient -u {USER} -p {port} -s {script} 127.0.0.1");
    Options::read(line.split_whitespace().map(OsString::from)).expect("good options")
}

/// Runs a client with this script to its end, while `act` acts in another thread on what the broker prints. The tunnel
/// is gone afterwards, and no child is left.
fn run(body: &str, act: impl FnOnce(&Process, &Directory) + Send) -> (Exit, Directory) {
    let mut signals = SIGNALS.lock().unwrap_or_else(PoisonError::into_inner);
    // Those that an earlier test has left.
    signals.take();
    let directory = Directory::default();
    directory.script(body);
    let broker = Broker::start(&directory, &[]);
    let options = options(&directory, broker.port);
    let login = Login {
        user: options.account.user.clone(),
        password: PASSWORD.as_bytes().to_vec().into(),
        tunnel_type: options.tunnel_type,
        udp: options.announcement,
        nat_check: true,
    };
    let program = script::check(&options.script).expect("a good script");
    let scripts = Runner::new(program, ScriptMode::Run, Limits::default());
    let kernel = silent();
    let mut shared = kernel.clone();
    let tunnel = Tunnel::new(&mut shared, options.tunnel.clone());
    let Options { account, tunnel: settings, port, .. } = options;
    let plan = Plan { account, tunnel: settings, port, login: Rc::new(login), reconnect: false };
    let files = &directory;
    let exit = thread::scope(|scope| {
        // Should a wait in it fail, the broker goes with it, and the client ends.
        scope.spawn(move || act(&{ broker }.process, files));
        Client::new(plan, tunnel, scripts, &mut signals, None).run()
    });
    assert!(is_empty(&kernel));
    // The broker is gone too.
    assert_eq!(waitpid(None, None), Err(Errno::ECHILD));
    (exit, directory)
}

fn signal(signal: Signal) {
    kill(Pid::this(), signal).expect("this process is there");
}

#[test]
fn each_login_runs_the_script_up_and_down() {
    const LOGINS: usize = 50;
    let (exit, directory) = run(r#"echo "$1 $interface" >>"$directory/runs""#, |broker, _| {
        for login in 1..=LOGINS {
            broker.wait_for_count("ping me", login);
            signal(if login < LOGINS { Signal::SIGHUP } else { Signal::SIGTERM });
        }
        broker.wait_for_count("quit me", LOGINS);
    });
    assert_eq!(exit, Exit::Ok);
    let runs = directory.read("runs");
    let runs: Vec<_> = runs.lines().collect();
    assert!(!runs.is_empty() && runs.chunks(2).all(|pair| pair == ["up gif0", "down gif0"]), "{runs:?}");
}

#[test]
fn a_script_that_hangs_does_not_keep_the_client_from_ending_within_five_seconds() {
    let body = r#"echo $1 >>"$directory/runs"; trap '' TERM; while :; do sleep 0.1; done"#;
    let mut start = Instant::now();
    let (exit, directory) = run(body, |broker, _| {
        broker.wait_for("ping me");
        start = Instant::now();
        signal(Signal::SIGTERM);
        broker.wait_for("quit me");
    });
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!((exit, directory.read("runs")), (Exit::Ok, "up\ndown\n".to_owned()));
}

#[test]
fn while_a_script_hangs_the_client_still_hears_the_server() {
    let body = r#"while ! [ -e "$directory/go" ]; do sleep 0.01; done"#;
    // The second login comes although the script of the first has not ended.
    let (exit, _) = run(body, |broker, directory| {
        broker.wait_for("ping me");
        signal(Signal::SIGHUP);
        broker.wait_for_count("ping me", 2);
        directory.write("go", "", 0o600);
        signal(Signal::SIGTERM);
        broker.wait_for_count("quit me", 2);
    });
    assert_eq!(exit, Exit::Ok);
}

#[test]
fn a_script_that_floods_the_log_keeps_the_client_from_nothing() {
    let (exit, _) = run(r#"[ "$1" = down ] || while :; do echo flood; done"#, |broker, _| {
        broker.wait_for("ping me");
        signal(Signal::SIGHUP);
        broker.wait_for_count("ping me", 2);
        signal(Signal::SIGTERM);
        broker.wait_for_count("quit me", 2);
    });
    assert_eq!(exit, Exit::Ok);
}

#[test]
fn a_sigterm_while_the_last_down_hangs_ends_the_client_within_five_seconds() {
    let body = r#"echo $1 >>"$directory/runs"; [ "$1" = up ] || while :; do sleep 0.1; done"#;
    let mut start = Instant::now();
    let (exit, _) = run(body, |broker, files| {
        broker.wait_for("ping me");
        broker.signal(Signal::SIGKILL);
        wait_until("down to run", || files.read("runs").contains("down").then_some(()));
        start = Instant::now();
        signal(Signal::SIGTERM);
    });
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(exit, Exit::Unavailable, "it was ending anyway");
}

#[test]
fn in_a_storm_of_sighups_the_runs_of_the_script_still_alternate() {
    let (_, directory) = run(r#"echo $1 >>"$directory/runs""#, |broker, _| {
        broker.wait_for("ping me");
        for _ in 0..1000 {
            signal(Signal::SIGHUP);
            thread::sleep(Duration::from_millis(1));
        }
        signal(Signal::SIGTERM);
        broker.wait_for("quit me");
    });
    let runs = directory.read("runs");
    let runs: Vec<_> = runs.lines().collect();
    assert!(runs.chunks(2).all(|pair| pair == ["up", "down"]), "{runs:?}");
}
