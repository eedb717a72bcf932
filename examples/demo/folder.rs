//! The files that the client and the broker are given, in a folder that goes with the demonstration.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The passwords' file: for the client and, in the same form, for the broker.
pub(crate) const PASSWORDS: &str = "auth";
/// What is in it.
pub(crate) const PASSWORD_LINE: &str = "127.0.0.1:me:secret";
/// The client's script. A rehearsal checks it, and prints its command line.
pub(crate) const SCRIPT: &str = "script";
/// The client's pid file.
pub(crate) const PID_FILE: &str = "pid";

/// The folder.
pub(crate) struct Folder {
    path: PathBuf,
    _removed_on_drop: TempDir,
}

impl Folder {
    /// Makes the folder, the passwords' file and the script.
    pub(crate) fn new() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("dtcpclient-demo").tempdir()?;
        // As the client sees it from inside, where a part of it is a symbolic link.
        let path = folder.path().canonicalize()?;
        write(&path.join(PASSWORDS), PASSWORD_LINE, 0o600)?;
        write(&path.join(SCRIPT), "#!/bin/sh", 0o755)?;
        Ok(Self { path, _removed_on_drop: folder })
    }

    /// Its full path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The full path of one of its files.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Writes a file that has this mode whatever the umask.
fn write(path: &Path, line: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.set_permissions(PermissionsExt::from_mode(mode))?;
    writeln!(file, "{line}")
}
