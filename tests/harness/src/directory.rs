//! The files of a test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::{PASSWORD, Process, USER, client};

/// A temporary directory with the files that a client needs, removed on drop.
pub struct Directory(TempDir);

/// A directory with an auth file for 127.0.0.1.
impl Default for Directory {
    fn default() -> Self {
        let directory = Self(tempfile::tempdir().expect("a directory"));
        directory.write("auth", &format!("127.0.0.1:{USER}:{PASSWORD}\n"), 0o600);
        directory
    }
}

impl Directory {
    /// Its path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> String {
        self.path().join(name).into_os_string().into_string().expect("a path in ASCII")
    }

    /// Whether it has this file.
    pub fn has(&self, name: &str) -> bool {
        self.path().join(name).exists()
    }

    /// The contents of a file; empty if there is no such file.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// Writes a file, and returns its path.
    pub fn write(&self, name: &str, content: &str, mode: u32) -> String {
        let path = self.file(name);
        fs::write(&path, content).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
        path
    }

    /// Writes the shell script `script`, which has the path of this directory in `$directory`, and returns its path.
    pub fn script(&self, body: &str) -> String {
        self.write("script", &format!("#!/bin/sh\ndirectory=${{0%/*}}\n{body}\n"), 0o755)
    }

    /// The command line of a client that logs in to a server on loopback, with the auth file of this directory.
    pub fn client(&self, port: u16, arguments: &[&str]) -> Command {
        let mut command = client();
        command.args(["-u", USER, "-p", &port.to_string(), "--auth-file"]).arg(self.file("auth"));
        command.args(arguments).arg("127.0.0.1");
        command
    }

    /// Starts such a client, to rehearse.
    pub fn rehearse(&self, port: u16, arguments: &[&str]) -> Process {
        Process::start(self.client(port, &[&["--rehearse"], arguments].concat()))
    }
}
