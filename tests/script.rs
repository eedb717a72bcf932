//! Runs of the script: what it is given, how long it may take, what becomes of what it prints.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use dtcpclient::options::{InputFile, SCRIPT};
use dtcpclient::protocol::{Offer, Request, TunnelType};
use dtcpclient::script::{self, Event, Limits, Parameters, Runner, ScriptError, ScriptMode};
use dtcpclient::tunnel::{Carrier, Settings};
use ffi::name::InterfaceName;
use tempfile::TempDir;

/// How long a test waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(20);

static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Recorder;

impl log::Log for Recorder {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }
    fn log(&self, record: &log::Record) {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).push(record.args().to_string());
    }
    fn flush(&self) {}
}

/// Records the log from the first test on.
fn record() {
    static START: Once = Once::new();
    START.call_once(|| {
        log::set_logger(&Recorder).expect("the only logger");
        log::set_max_level(log::LevelFilter::Debug);
    });
}

fn logged(text: &str) -> bool {
    LOG.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|line| line.contains(text))
}

/// A script in a directory of its own, which it finds as `$(dirname "$0")`.
struct Script {
    folder: TempDir,
}

impl Script {
    fn new(body: &str) -> Self {
        record();
        let script = Self { folder: tempfile::tempdir().expect("a folder") };
        fs::write(script.path(), format!("#!/bin/sh\nfolder=${{0%/*}}\n{body}\n")).expect("a script");
        script.set_mode(0o755);
        script
    }

    fn set_mode(&self, mode: u32) {
        fs::set_permissions(self.path(), fs::Permissions::from_mode(mode)).expect("a mode");
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("script")
    }

    fn runner(&self, limits: Limits) -> Runner {
        Runner::new(Some(self.path()), ScriptMode::Run, limits)
    }

    /// What the script left in a file beside it.
    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

fn parameters() -> Parameters {
    let words =
        ["203.0.113.1", "192.0.2.2", "2001:db8::0002", "2001:db8::1", "2001:db8:1::/48"].map(str::to_owned);
    let tunnel_type = TunnelType::Network;
    let request = Request { tunnel_type, udp: false, on_loopback: false };
    let (offer, _) = Offer::read(&words, request).expect("a good offer");
    let gif0 = InterfaceName::new("gif0").expect("a good name");
    let settings = Settings { server: "broker.example".to_owned(), carrier: Carrier::Gif, mtu: 1280 };
    Parameters::new(&settings, tunnel_type, Ipv4Addr::new(192, 0, 2, 1), &offer, &gif0)
}

/// Does what the client's loop does, until the condition holds.
fn run_until(runner: &mut Runner, condition: impl Fn(&Runner) -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition(runner) {
        assert!(Instant::now() < deadline, "it takes too long");
        thread::sleep(Duration::from_millis(5));
        let now = Instant::now();
        runner.handle_output();
        runner.handle_child(now);
        if runner.timer().is_some_and(|timer| timer <= now) {
            runner.handle_timer(now);
        }
    }
}

/// A process that is dead but not waited for does not live.
fn lives(pid: &str) -> bool {
    let output = Command::new("ps").args(["-o", "state=", "-p", pid.trim()]).output().expect("ps runs");
    output.stdout.first().is_some_and(|&state| state != b'Z')
}

#[test]
fn the_script_gets_nine_arguments_and_the_same_as_variables() {
    let script = Script::new(r#"printf '[%s]' "$@" >"$folder/arguments"; env | sort >"$folder/environment""#);
    let mut runner = script.runner(Limits::default());
    runner.run(Event::Up, &parameters(), Instant::now());
    run_until(&mut runner, Runner::is_idle);
    let arguments = "[up][broker.example][192.0.2.1][network][203.0.113.1][192.0.2.2][2001:db8::2][2001:db8::1][2001:db8:1::/48]";
    assert_eq!(script.file("arguments"), arguments);
    let environment = script.file("environment");
    let names: Vec<_> =
        environment.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    let ours = [
        "her",
        "her6",
        "interface",
        "me",
        "me6",
        "mtu",
        "myaddr",
        "prefix",
        "proto",
        "server",
        "state",
        "tuntype",
    ];
    // The shell adds two of its own.
    let expected = |name: &&str| {
        ours.contains(name) || ["HOME", "PATH", "TZ", "PWD", "OLDPWD", "_", "SHLVL"].contains(name)
    };
    assert!(names.iter().all(expected), "{environment}");
    assert!(ours.iter().all(|name| names.contains(name)), "{environment}");
    for value in ["interface=gif0", "mtu=1280", "proto=ip", "me6=2001:db8::2", "PATH=/sbin:/bin"] {
        assert!(environment.contains(value), "{value}: {environment}");
    }
}

#[test]
fn what_it_prints_and_a_bad_status_are_logged() {
    let script = Script::new("echo to-output; echo to-error >&2; printf 'no\\033end'; exit 3");
    let mut runner = script.runner(Limits::default());
    runner.run(Event::Down, &parameters(), Instant::now());
    run_until(&mut runner, Runner::is_idle);
    for text in ["script: to-output", "script: to-error", "script: no?end", "exit status: 3 (down)"] {
        assert!(logged(text), "{text}");
    }
}

#[test]
fn down_waits_for_an_unfinished_up() {
    let body = r#"
        echo "begin $1" >>"$folder/order"
        [ "$1" = down ] || while ! [ -e "$folder/go" ]; do sleep 0.01; done
        echo "end $1" >>"$folder/order""#;
    let script = Script::new(body);
    let mut runner = script.runner(Limits::default());
    runner.run(Event::Up, &parameters(), Instant::now());
    runner.run(Event::Down, &parameters(), Instant::now());
    run_until(&mut runner, |_| script.file("order") == "begin up\n");
    fs::write(script.folder.path().join("go"), "").unwrap();
    run_until(&mut runner, Runner::is_idle);
    assert_eq!(script.file("order"), "begin up\nend up\nbegin down\nend down\n");
}

#[test]
fn an_up_that_never_started_needs_no_down() {
    let script =
        Script::new(r#"while ! [ -e "$folder/go" ]; do sleep 0.01; done; echo "$1" >>"$folder/order""#);
    let mut runner = script.runner(Limits::default());
    for event in [Event::Up, Event::Down, Event::Up, Event::Down] {
        runner.run(event, &parameters(), Instant::now());
    }
    fs::write(script.folder.path().join("go"), "").unwrap();
    run_until(&mut runner, Runner::is_idle);
    assert_eq!(script.file("order"), "up\ndown\n");
}

#[test]
fn a_script_that_hangs_is_terminated_and_what_it_started_too() {
    let script = Script::new(r#"sleep 1000 & echo $! >"$folder/child"; echo $$ >"$folder/pid"; wait"#);
    let mut runner = script.runner(Limits { run: Duration::from_millis(300), grace: Duration::from_mins(1) });
    runner.run(Event::Up, &parameters(), Instant::now());
    run_until(&mut runner, Runner::is_idle);
    assert!(logged("the script takes too long"));
    run_until(&mut runner, |_| !lives(&script.file("child")) && !lives(&script.file("pid")));
}

#[test]
fn a_script_that_ignores_sigterm_is_killed() {
    let script = Script::new(r#"trap '' TERM; echo $$ >"$folder/pid"; while :; do sleep 0.05; done"#);
    let limits = Limits { run: Duration::from_millis(300), grace: Duration::from_millis(200) };
    let mut runner = script.runner(limits);
    runner.run(Event::Up, &parameters(), Instant::now());
    run_until(&mut runner, Runner::is_idle);
    assert!(logged("did not exit on SIGTERM"));
    assert!(!lives(&script.file("pid")));
}

#[test]
fn in_a_hurry_both_runs_end_within_five_seconds() {
    let script = Script::new(r#"echo "$1" >>"$folder/order"; trap '' TERM; while :; do sleep 0.05; done"#);
    let mut runner = script.runner(Limits::default());
    let start = Instant::now();
    runner.run(Event::Up, &parameters(), start);
    run_until(&mut runner, |_| script.file("order") == "up\n");
    let hurried = Instant::now();
    runner.hurry(hurried);
    runner.run(Event::Down, &parameters(), hurried);
    run_until(&mut runner, |_| script.file("order") == "up\ndown\n");
    runner.hurry(Instant::now());
    run_until(&mut runner, Runner::is_idle);
    assert_eq!(script.file("order"), "up\ndown\n");
    assert!(hurried.elapsed() < Duration::from_secs(5), "{:?}", hurried.elapsed());
}

#[test]
fn in_a_hurry_no_up_starts_any_more_and_the_last_down_has_its_time() {
    let body = r#"
        echo "begin $1" >>"$folder/order"
        [ "$1" = down ] || { trap '' TERM; while :; do sleep 0.05; done; }
        sleep 0.3
        echo "end $1" >>"$folder/order""#;
    let script = Script::new(body);
    let mut runner = script.runner(Limits::default());
    // A session has ended and another begun while the script of the first still hangs.
    for event in [Event::Up, Event::Down, Event::Up] {
        runner.run(event, &parameters(), Instant::now());
    }
    run_until(&mut runner, |_| script.file("order") == "begin up\n");
    let hurried = Instant::now();
    runner.hurry(hurried);
    runner.run(Event::Down, &parameters(), hurried);
    run_until(&mut runner, Runner::is_idle);
    assert_eq!(script.file("order"), "begin up\nbegin down\nend down\n");
    assert!(hurried.elapsed() < Duration::from_secs(5), "{:?}", hurried.elapsed());
}

#[test]
fn a_runner_that_is_dropped_leaves_no_process() {
    let script = Script::new(r#"echo $$ >"$folder/pid"; while :; do sleep 0.05; done"#);
    let mut runner = script.runner(Limits::default());
    runner.run(Event::Up, &parameters(), Instant::now());
    run_until(&mut runner, |_| script.file("pid").ends_with('\n'));
    drop(runner);
    assert!(!lives(&script.file("pid")));
}

#[test]
fn a_process_that_the_script_leaves_running_is_not_waited_for() {
    let script = Script::new(r#"sleep 1000 & echo $! >"$folder/child""#);
    let mut runner = script.runner(Limits::default());
    runner.run(Event::Up, &parameters(), Instant::now());
    run_until(&mut runner, Runner::is_idle);
    let child = script.file("child");
    assert!(lives(&child), "it may be a daemon that the script was meant to start");
    let killed = Command::new("kill").arg(child.trim()).status().unwrap();
    assert!(killed.success());
}

#[test]
fn a_rehearsal_prints_the_command_line_instead() {
    static PRINTED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let script = Script::new("echo ran >$folder/ran");
    let print = ScriptMode::Rehearse(Box::new(|words| PRINTED.lock().unwrap().push(words.join(" "))));
    let mut runner = Runner::new(Some(script.path()), print, Limits::default());
    runner.run(Event::Up, &parameters(), Instant::now());
    assert!(runner.is_idle());
    let arguments =
        "up broker.example 192.0.2.1 network 203.0.113.1 192.0.2.2 2001:db8::2 2001:db8::1 2001:db8:1::/48";
    assert_eq!(*PRINTED.lock().unwrap(), [format!("{} {arguments}", script.path().display())]);
    assert_eq!(script.file("ran"), "");
}

#[test]
fn a_script_that_is_missing_or_unsafe_is_refused() {
    let script = Script::new("");
    let with = |path: &Path| script::check(&InputFile { path: path.to_owned(), named: true });
    assert!(with(&script.path()).unwrap().is_some());
    for mode in [0o775, 0o757] {
        script.set_mode(mode);
        assert!(matches!(with(&script.path()), Err(ScriptError::Writable(_))), "{mode:o}");
    }
    script.set_mode(0o644);
    assert!(matches!(with(&script.path()), Err(ScriptError::NotExecutable(_))));
    assert!(matches!(with(script.folder.path()), Err(ScriptError::NotExecutable(_))));
    assert!(matches!(with(&script.folder.path().join("none")), Err(ScriptError::Missing { .. })));
}

#[test]
fn a_missing_default_script_is_no_error() {
    record();
    let there = Path::new(SCRIPT).exists();
    let default = InputFile { path: SCRIPT.into(), named: false };
    assert_eq!(script::check(&default).unwrap().is_some(), there);
    assert_eq!(logged("no script will be run"), !there);
}
