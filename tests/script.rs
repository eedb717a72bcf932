//! Runs of the script: what it is given, how long it may take, what becomes of its output.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use dtcpclient::options::{InputFile, Options, SCRIPT};
use dtcpclient::protocol::{Offer, Request, TunnelType};
use dtcpclient::script::{self, Event, Limits, Parameters, Runner, ScriptError, ScriptMode};
use harness::{DEADLINE, Directory, name};
#[cfg(target_os = "linux")]
use nix::sys::signal::{SigSet, SigmaskHow};

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

/// A script, and its runs.
struct Script {
    files: Directory,
    runner: Runner,
}

impl Script {
    fn new(body: &str) -> Self {
        Self::with_limits(body, Limits::default())
    }

    fn with_limits(body: &str, limits: Limits) -> Self {
        record();
        let files = Directory::default();
        let runner = Runner::new(Some(files.script(body).into()), ScriptMode::Run, limits);
        Self { files, runner }
    }

    fn run(&mut self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.runner.run(event, &parameters(), Instant::now());
        }
    }

    /// Does what the client's loop does, until the condition holds.
    fn wait_until(&mut self, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "it takes too long");
            thread::sleep(Duration::from_millis(5));
            let now = Instant::now();
            self.runner.handle_output();
            self.runner.handle_child(now);
            if self.runner.timer().is_some_and(|timer| timer <= now) {
                self.runner.handle_timer(now);
            }
        }
    }

    /// Waits until all runs have ended.
    fn wait(&mut self) {
        self.wait_until(|script| script.runner.is_idle());
    }

    /// Waits until the script has written this to its file `order`.
    fn wait_for(&mut self, order: &str) {
        self.wait_until(|script| script.files.read("order") == order);
    }

    /// Whether the process lives whose pid is in a file. One that is dead but not waited for does not.
    fn lives(&self, file: &str) -> bool {
        let pid = self.files.read(file);
        let output = Command::new("ps").args(["-o", "state=", "-p", pid.trim()]).output().expect("ps runs");
        output.stdout.first().is_some_and(|&state| state != b'Z')
    }
}

fn parameters() -> Parameters {
    let words =
        ["203.0.113.1", "192.0.2.2", "2001:db8::0002", "2001:db8::1", "2001:db8:1::/48"].map(str::to_owned);
    let tunnel_type = TunnelType::Network;
    let request = Request { tunnel_type, udp: false, local: Ipv4Addr::new(192, 0, 2, 1) };
    let (offer, _) = Offer::read(&words, request).expect("a good offer");
    let options = Options::read(["dtcpclient", "-u", "me", "broker.example"].map(Into::into))
        .expect("a good command line");
    Parameters::new(&options.tunnel, tunnel_type, Ipv4Addr::new(192, 0, 2, 1), &offer, &name("gif0"), Some(3))
}

#[test]
fn the_script_gets_nine_arguments_and_the_same_as_variables() {
    let body = r#"printf '[%s]' "$@" >"$directory/arguments"; env | sort >"$directory/environment""#;
    let mut script = Script::new(body);
    script.run([Event::Up]);
    script.wait();
    let arguments = "[up][broker.example][192.0.2.1][network][203.0.113.1][192.0.2.2][2001:db8::2][2001:db8::1][2001:db8:1::/48]";
    assert_eq!(script.files.read("arguments"), arguments);
    let environment = script.files.read("environment");
    let names: Vec<_> = environment.lines().filter_map(|line| line.split('=').next()).collect();
    let ours = "fib her her6 interface me me6 mtu myaddr prefix proto server state tuntype";
    assert!(ours.split(' ').all(|name| names.contains(&name)), "{environment}");
    // The shell adds those from PWD on.
    let expected = format!("{ours} HOME PATH TZ PWD OLDPWD _ SHLVL");
    assert!(names.iter().all(|name| expected.split(' ').any(|word| word == *name)), "{environment}");
    for value in ["interface=gif0", "mtu=1280", "proto=ip", "fib=3", "me6=2001:db8::2", "PATH=/sbin:/bin"] {
        assert!(environment.contains(value), "{value}: {environment}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn no_signal_is_blocked_in_the_script() {
    let mut script = Script::new(r#"grep SigBlk: /proc/self/status >"$directory/mask""#);
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK).unwrap();
    script.run([Event::Up]);
    before.thread_set_mask().unwrap();
    script.wait();
    assert_eq!(script.files.read("mask"), "SigBlk:\t0000000000000000\n");
}

#[test]
fn its_output_and_a_bad_status_are_logged() {
    let mut script = Script::new("echo to-output; echo to-error >&2; printf 'no\\033end'; exit 3");
    script.run([Event::Down]);
    script.wait();
    for text in ["script: to-output", "script: to-error", "script: no?end", "exit status: 3 (down)"] {
        assert!(logged(text), "{text}");
    }
}

/// Notes its begin and its end, between which `up` waits for the file `go`.
const WAIT_FOR_GO: &str = r#"
    echo "begin $1" >>"$directory/order"
    [ "$1" = down ] || while ! [ -e "$directory/go" ]; do sleep 0.01; done
    echo "end $1" >>"$directory/order""#;

#[test]
fn down_waits_for_an_unfinished_up_and_an_up_that_never_started_needs_no_down() {
    for events in [&[Event::Up, Event::Down][..], &[Event::Up, Event::Down, Event::Up, Event::Down]] {
        let mut script = Script::new(WAIT_FOR_GO);
        script.run(events.iter().copied());
        script.wait_for("begin up\n");
        script.files.write("go", "", 0o600);
        script.wait();
        assert_eq!(script.files.read("order"), "begin up\nend up\nbegin down\nend down\n");
    }
}

#[test]
fn a_script_that_hangs_is_terminated_with_what_it_started_and_killed_if_it_ignores_sigterm() {
    let child = r#"sleep 1000 & echo $! >"$directory/child"; echo $$ >"$directory/pid"; wait"#;
    let stubborn = r#"trap '' TERM; echo $$ >"$directory/pid"; while :; do sleep 0.05; done"#;
    let stopped = r#"echo $$ >"$directory/pid"; kill -STOP $$"#;
    for (body, grace, reason) in [
        (child, 60_000, "the script takes too long"),
        (stubborn, 200, "did not exit on SIGTERM"),
        (stopped, 200, "did not exit on SIGTERM"),
    ] {
        let limits = Limits { run: Duration::from_secs(1), grace: Duration::from_millis(grace) };
        let mut script = Script::with_limits(body, limits);
        script.run([Event::Up]);
        script.wait();
        assert!(logged(reason));
        script.wait_until(|script| !script.lives("child") && !script.lives("pid"));
    }
}

#[test]
fn in_a_hurry_a_down_that_is_under_way_has_the_time_of_both_runs() {
    for (event, left) in [(Event::Up, 1500), (Event::Down, 3500)] {
        let mut script = Script::new("while :; do sleep 0.05; done");
        script.run([event]);
        let now = Instant::now();
        for later in [0, 1000] {
            script.runner.hurry(now + Duration::from_millis(later));
            assert_eq!(script.runner.timer(), Some(now + Duration::from_millis(left)), "{event:?}");
        }
    }
}

#[test]
fn in_a_hurry_no_up_starts_any_more_and_the_last_down_has_its_time() {
    let body = r#"
        echo "begin $1" >>"$directory/order"
        [ "$1" = down ] || { trap '' TERM; while :; do sleep 0.05; done; }
        sleep 0.3
        echo "end $1" >>"$directory/order""#;
    let mut script = Script::new(body);
    // A session has ended and another begun while the script of the first still hangs.
    script.run([Event::Up, Event::Down, Event::Up]);
    script.wait_for("begin up\n");
    let hurried = Instant::now();
    script.runner.hurry(hurried);
    script.run([Event::Down]);
    script.wait();
    assert_eq!(script.files.read("order"), "begin up\nbegin down\nend down\n");
    assert!(hurried.elapsed() < Duration::from_secs(5), "{:?}", hurried.elapsed());
}

#[test]
fn a_runner_that_is_dropped_leaves_no_process() {
    let mut script = Script::new(r#"echo $$ >"$directory/pid"; while :; do sleep 0.05; done"#);
    script.run([Event::Up]);
    script.wait_until(|script| script.files.read("pid").ends_with('\n'));
    script.runner = Runner::new(None, ScriptMode::Run, Limits::default());
    assert!(!script.lives("pid"));
}

#[test]
fn a_script_that_misbehaves_is_survived_and_logged() {
    // Each body, and what it leaves in the log.
    for (fault, body, line) in [
        ("is killed", "kill -KILL $$", "the script failed: signal: 9 (SIGKILL) (up)"),
        ("writes a line without end", "head -c 9999 /dev/zero | tr '\\0' x; exit 4", "exit status: 4 (up)"),
        ("writes much", "awk 'BEGIN { while (i++ < 50000) print i }' && exit 5", "exit status: 5 (up)"),
        ("writes what is not text", "printf '\\377\\000\\n'; exit 6", "script: \u{fffd}?"),
        ("reads its input", "read line || exit 7", "exit status: 7 (up)"),
        ("closes its output", "exec >&- 2>&-; sleep 0.2; exit 8", "exit status: 8 (up)"),
        ("ignores SIGHUP", "trap '' HUP; kill -HUP $$; exit 9", "exit status: 9 (up)"),
    ] {
        let mut script = Script::new(body);
        script.run([Event::Up]);
        script.wait();
        assert!(logged(line), "a script that {fault}");
    }
}

#[test]
fn a_script_that_is_gone_or_no_script_any_more_is_reported_at_each_run() {
    let changes: [fn(&Directory); 3] = [
        |files| std::fs::remove_file(files.file("script")).unwrap(),
        |files| drop(files.write("script", "#!/bin/sh\n", 0o644)),
        |files| drop(files.write("script", "#!/nowhere/sh\n", 0o755)),
    ];
    for change in changes {
        let mut script = Script::new("");
        change(&script.files);
        script.run([Event::Up, Event::Down]);
        assert!(script.runner.is_idle() && logged(&script.files.file("script")));
    }
}

/// Runs itself again, as a user whom the limits concern.
#[cfg(target_os = "linux")]
#[test]
fn a_script_for_which_there_is_no_process_or_descriptor_is_passed_over() {
    use nix::sys::resource::{Resource, setrlimit};
    const LIMIT: &str = "TEST_LIMIT";
    let this = "a_script_for_which_there_is_no_process_or_descriptor_is_passed_over";
    let Ok(limit) = std::env::var(LIMIT) else {
        for (limit, cause) in [("processes", "emporarily unavailable"), ("descriptors", "oo many open files")]
        {
            let mut again = Command::new(std::env::current_exe().unwrap());
            let output = again.args(["--exact", this, "--nocapture"]).env(LIMIT, limit).output().unwrap();
            let output = String::from_utf8_lossy(&output.stdout);
            assert!(output.contains("1 passed") && output.contains(cause), "{limit}: {output}");
        }
        return;
    };
    record();
    let mut runner = Runner::new(Some("/bin/sh".into()), ScriptMode::Run, Limits::default());
    let resource = if limit == "processes" { Resource::RLIMIT_NPROC } else { Resource::RLIMIT_NOFILE };
    setrlimit(resource, 0, 0).unwrap();
    if nix::unistd::geteuid().is_root() {
        nix::unistd::setuid(65534.into()).unwrap();
    }
    for event in [Event::Up, Event::Down] {
        runner.run(event, &parameters(), Instant::now());
    }
    assert!(runner.is_idle());
    LOG.lock().unwrap().iter().for_each(|line| println!("{line}"));
}

#[test]
fn a_process_that_the_script_leaves_running_is_not_waited_for() {
    let mut script = Script::new(r#"sleep 1000 & echo $! >"$directory/child""#);
    script.run([Event::Up]);
    script.wait();
    assert!(script.lives("child"), "it may be a daemon that the script was meant to start");
    let killed = Command::new("kill").arg(script.files.read("child").trim()).status().unwrap();
    assert!(killed.success());
}

#[test]
fn a_rehearsal_prints_the_command_line_instead() {
    static PRINTED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let print = ScriptMode::Rehearse(Box::new(|words| PRINTED.lock().unwrap().push(words.join(" "))));
    let files = Directory::default();
    let path = files.script(r#"echo >"$directory/ran""#);
    let mut runner = Runner::new(Some(path.clone().into()), print, Limits::default());
    runner.run(Event::Up, &parameters(), Instant::now());
    assert!(runner.is_idle());
    let arguments =
        "up broker.example 192.0.2.1 network 203.0.113.1 192.0.2.2 2001:db8::2 2001:db8::1 2001:db8:1::/48";
    assert_eq!(*PRINTED.lock().unwrap(), [format!("{path} {arguments}")]);
    assert!(!files.has("ran"));
}

#[test]
fn a_script_that_is_unsafe_is_refused_and_a_missing_one_too_but_not_the_default() {
    let files = Directory::default();
    let check = |path: &str| script::check(&InputFile { path: path.into(), named: true });
    let with_mode = |mode| check(&files.write("script", "#!/bin/sh\n", mode));
    assert!(with_mode(0o755).unwrap().is_some());
    for mode in [0o775, 0o757] {
        assert!(matches!(with_mode(mode), Err(ScriptError::Unsafe(..))), "{mode:o}");
    }
    assert!(matches!(with_mode(0o644), Err(ScriptError::NotExecutable(_))));
    assert!(matches!(check(&files.file("")), Err(ScriptError::NotExecutable(_))));
    assert!(matches!(check(&files.file("none")), Err(ScriptError::Missing(..))));

    record();
    let there = Path::new(SCRIPT).exists();
    let default = InputFile { path: SCRIPT.into(), named: false };
    assert_eq!(script::check(&default).unwrap().is_some(), there);
    assert_eq!(logged("no script will be run"), !there);
}

#[test]
fn a_script_that_the_kernel_would_not_execute_is_refused() {
    let files = Directory::default();
    let check = |content: &[u8]| {
        let path = files.write("script", "", 0o755);
        fs::write(&path, content).expect("it is ours");
        script::check(&InputFile { path: path.into(), named: true })
    };
    for good in ["#!/bin/sh\n", "#! \t/bin/sh -e\n", "#!/bin/sh", "#!bin/sh\n"] {
        assert!(check(good.as_bytes()).is_ok(), "{good:?}");
    }
    assert!(check(&fs::read("/bin/sh").unwrap()).is_ok());
    for bad in ["", "echo up\n", "\u{feff}#!/bin/sh\n", "#!\n", " #!/bin/sh\n"] {
        assert!(matches!(check(bad.as_bytes()), Err(ScriptError::NoInterpreter(_))), "{bad:?}");
    }
    for bad in ["#!/bin/sh\r\n", "#!/nowhere/sh\n", "#!/bin\n", "#!/etc/passwd\n"] {
        assert!(matches!(check(bad.as_bytes()), Err(ScriptError::BadInterpreter { .. })), "{bad:?}");
    }
}

#[test]
fn a_script_that_has_become_unsafe_is_not_run() {
    let mut script = Script::new(r#"echo "$1" >>"$directory/order""#);
    let directory = script.files.path().to_owned();
    let set_mode = |mode| fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
    script.run([Event::Up]);
    script.wait();
    set_mode(0o777);
    script.run([Event::Down]);
    assert!(script.runner.is_idle());
    assert!(logged("the script is not run (down): the script "));
    assert!(logged(&format!("{} is writable by group or others", directory.display())));
    set_mode(0o755);
    script.run([Event::Down]);
    script.wait();
    assert_eq!(script.files.read("order"), "up\ndown\n");
}
