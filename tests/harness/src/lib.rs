//! What the tests start and watch: the program and the broker as processes.

mod process;
mod routes;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use process::{DEADLINE, Process};
pub use routes::Routes;
use tempfile::TempDir;

/// Who logs in, in all tests.
pub const USER: &str = "me";
/// The password: one that a log would show plainly.
pub const PASSWORD: &str = "open:sesame";

/// Where the executables are: what a test was built with, unless the environment names others, as it must where test
/// executables have been copied to another machine.
#[derive(Debug, Clone)]
pub struct Programs {
    /// dtcpclient.
    pub client: PathBuf,
    /// The broker of the examples.
    pub broker: PathBuf,
}

impl Programs {
    /// Beside `client`, which is a test's `env!("CARGO_BIN_EXE_dtcpclient")`; or what the variables `DTCPCLIENT` and
    /// `DTCPCLIENT_BROKER` name.
    pub fn find(client: &str) -> Self {
        let client = std::env::var_os("DTCPCLIENT").map_or_else(|| PathBuf::from(client), PathBuf::from);
        let broker = std::env::var_os("DTCPCLIENT_BROKER")
            .map_or_else(|| client.with_file_name("examples").join("broker"), PathBuf::from);
        for program in [&client, &broker] {
            assert!(program.exists(), "{} is missing: run `cargo build --examples`", program.display());
        }
        Self { client, broker }
    }
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
    pub fn start(programs: &Programs, folder: &Folder, arguments: &[&str]) -> Self {
        Self::start_on(0, programs, folder, arguments)
    }

    /// Starts a broker on this port.
    pub fn start_on(port: u16, programs: &Programs, folder: &Folder, arguments: &[&str]) -> Self {
        let mut command = Command::new(&programs.broker);
        command
            .arg("--users")
            .arg(folder.auth_file())
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(arguments);
        let process = Process::start(command);
        let line = process.line_with("listening on 127.0.0.1:");
        let port =
            line.rsplit(':').next().and_then(|port| port.parse().ok()).expect("the broker names its port");
        Self { process, port }
    }
}

/// A temporary directory with the files that a client needs, removed on drop.
pub struct Folder(TempDir);

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Folder {
    /// A directory with an auth file for 127.0.0.1.
    pub fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a directory"));
        folder.write("auth", &format!("127.0.0.1:{USER}:{PASSWORD}\n"), 0o600);
        folder
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The auth file.
    pub fn auth_file(&self) -> PathBuf {
        self.file("auth")
    }

    /// The contents of a file; empty if there is no such file.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// Writes a file.
    pub fn write(&self, name: &str, content: &str, mode: u32) {
        let path = self.file(name);
        fs::write(&path, content).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
    }

    /// The command line of a client that logs in to a server on loopback, with the files of this directory.
    pub fn client(&self, programs: &Programs, port: u16, arguments: &[&str]) -> Command {
        let mut command = Command::new(&programs.client);
        command.args(["-u", USER, "-p", &port.to_string(), "--auth-file"]).arg(self.auth_file());
        command.args(arguments).arg("127.0.0.1");
        command
    }
}
