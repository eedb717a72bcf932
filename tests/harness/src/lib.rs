//! What the tests share: the program and the broker as processes, a directory for their files, and kernels.

mod directory;
#[cfg(target_os = "freebsd")]
pub mod freebsd;
#[cfg(target_os = "freebsd")]
pub mod jails;
mod process;
mod rehearsal;
mod routes;

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

pub use directory::Directory;
pub use process::Process;
pub use rehearsal::{is_empty, name, rehearsal, silent};
pub use routes::{Routes, routing_message};

/// How long a test waits for an event. Some take more than a minute, and a machine may be slow.
pub const DEADLINE: Duration = Duration::from_mins(3);
/// The user in all tests.
pub const USER: &str = "me";
/// The password: one that a log would show plainly.
pub const PASSWORD: &str = "open:sesame";

/// The path of an executable: the value of the environment variable, as on a machine that the tests were copied to, or
/// the file that cargo built along with this one, which is in `deps` or `examples`.
fn executable(variable: &str, path: &str) -> PathBuf {
    let built = || {
        let this = env::current_exe().expect("this executable has a path");
        this.ancestors().nth(2).expect("a target directory").join(path)
    };
    let found = env::var_os(variable).map_or_else(built, PathBuf::from);
    assert!(found.exists(), "{} is missing: run `cargo build --bins --examples`", found.display());
    found
}

/// A command that starts the program.
pub fn client() -> Command {
    Command::new(executable("DTCPCLIENT", "dtcpclient"))
}

/// A command that starts the broker of the examples.
pub fn broker() -> Command {
    Command::new(executable("DTCPCLIENT_BROKER", "examples/broker"))
}

/// A broker that runs on loopback.
pub struct Broker {
    /// The process, which prints its events.
    pub process: Process,
    /// Where it listens.
    pub port: u16,
}

impl Broker {
    /// Starts a broker on a free port.
    pub fn start(directory: &Directory, arguments: &[&str]) -> Self {
        Self::start_on(0, directory, arguments)
    }

    /// Starts a broker on this port.
    pub fn start_on(port: u16, directory: &Directory, arguments: &[&str]) -> Self {
        let mut command = broker();
        command.arg("--users").arg(directory.file("auth"));
        command.args(["--listen", &format!("127.0.0.1:{port}")]).args(arguments);
        let process = Process::start(command);
        let line = process.line_with("listening on 127.0.0.1:");
        let port = line.rsplit(':').next().and_then(|port| port.parse().ok());
        Self { process, port: port.expect("the broker names its port") }
    }
}

/// Waits until `look` finds something.
pub fn wait_until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    poll(look).unwrap_or_else(|| panic!("waited in vain for {what}"))
}

/// Looks again and again, until something is found or the deadline has passed.
pub fn poll<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        let found = look();
        if found.is_some() || start.elapsed() > DEADLINE {
            return found;
        }
        sleep(Duration::from_millis(5));
    }
}
