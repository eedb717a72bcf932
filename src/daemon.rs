//! Detaching from the terminal, and the pid file.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// How often to open the pid file if its previous owner keeps removing it.
const ATTEMPTS: u32 = 10;

/// Why the program cannot detach or hold its pid file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DaemonError {
    /// Another process holds the lock on the pid file. Its content is normally the pid of that process.
    #[error("dtcpclient is already running{}: it holds {}", pid_of(*holder), path.display())]
    Running { path: PathBuf, holder: Option<u32> },
    #[error("cannot create the pid file {}", path.display())]
    PidFile { path: PathBuf, source: io::Error },
    #[error("cannot detach from the terminal")]
    Detach(#[source] Errno),
}

fn pid_of(holder: Option<u32>) -> String {
    holder.map(|pid| format!(" as process {pid}")).unwrap_or_default()
}

/// Detaches from the terminal: the caller continues in another process, with its standard streams on `/dev/null`.
pub(crate) fn detach() -> Result<(), DaemonError> {
    nix::unistd::daemon(false, false).map_err(DaemonError::Detach)
}

/// A locked pid file, which is removed on drop.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    file: Flock<File>,
}

impl PidFile {
    /// Creates the pid file or opens the one that a killed process left, and locks it. [`PidFile::write`] replaces its
    /// content.
    pub(crate) fn lock(path: &Path) -> Result<Self, DaemonError> {
        let failed = |source| DaemonError::PidFile { path: path.to_owned(), source };
        for _ in 0..ATTEMPTS {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
                .map_err(failed)?;
            let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => file,
                Err((file, Errno::EWOULDBLOCK)) => {
                    return Err(DaemonError::Running { path: path.to_owned(), holder: pid_in(file) });
                }
                Err((_, errno)) => return Err(failed(errno.into())),
            };
            if is_still(&file, path) {
                return Ok(Self { path: path.to_owned(), file });
            }
        }
        Err(failed(io::Error::other("another process keeps removing it")))
    }

    /// Writes the pid of this process. All users may read the file, regardless of the umask.
    pub(crate) fn write(&mut self) -> Result<(), DaemonError> {
        let prepared = self.file.set_permissions(Permissions::from_mode(0o644));
        let emptied = prepared.and_then(|()| self.file.set_len(0));
        let written = emptied.and_then(|()| writeln!(self.file, "{}", std::process::id()));
        written.map_err(|source| DaemonError::PidFile { path: self.path.clone(), source })
    }
}

/// Removes the file before it is closed, which releases the lock.
impl Drop for PidFile {
    fn drop(&mut self) {
        if is_still(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn pid_in(file: File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Whether `path` is still the open file: its previous owner may have removed it before we locked it.
fn is_still(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_locked_has_our_pid_can_be_read_by_all_and_is_removed_on_drop() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        // A file left by a killed process is reused.
        fs::write(&path, "99999999 and more\n").unwrap();
        let mut pid_file = PidFile::lock(&path).unwrap();
        pid_file.write().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        let error = PidFile::lock(&path).unwrap_err();
        assert!(error.to_string().contains(&format!("as process {}", std::process::id())), "{error}");
        drop(pid_file);
        assert!(!path.exists());
        PidFile::lock(&path).unwrap().write().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_missing_directory_is_an_error_that_names_the_file() {
        let error = PidFile::lock(Path::new("/nowhere/pid")).unwrap_err();
        assert!(error.to_string().starts_with("cannot create the pid file /nowhere/pid"), "{error}");
    }
}
