//! The pid file, whose lock keeps a second daemon from starting.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// How often to open the pid file if its previous owner keeps removing it.
const ATTEMPTS: u32 = 10;
/// The longest content that can be a pid, in bytes.
const LONGEST_PID: u64 = 32;

/// Why the program cannot hold its pid file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PidFileError {
    /// Another process holds the lock on the pid file. Its content is normally the pid of that process.
    #[error("dtcpclient is already running{}: it holds {}", pid_of(*holder), path.display())]
    Running { path: PathBuf, holder: Option<u32> },
    #[error("cannot create the pid file {}", path.display())]
    Unusable { path: PathBuf, source: io::Error },
    /// A link, directory, device or pipe, or a file with other content, which would be lost.
    #[error("{} is not a pid file (a regular file that is empty or contains a pid)", .0.display())]
    NotAPidFile(PathBuf),
}

fn pid_of(holder: Option<u32>) -> String {
    holder.map(|pid| format!(" as process {pid}")).unwrap_or_default()
}

/// A locked pid file, which is removed on drop.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Creates the pid file or opens the one that a killed process left, and locks it. [`PidFile::write`] replaces its
    /// content. Anything that is not a pid file is left untouched.
    pub(crate) fn lock(path: &Path) -> Result<Self, PidFileError> {
        let failed = |source| PidFileError::Unusable { path: path.to_owned(), source };
        for _ in 0..ATTEMPTS {
            let file = open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(PidFileError::Running { path: path.to_owned(), holder: pid_in(&file) });
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            if is_still(&file, path) {
                if file.metadata().map_err(failed)?.len() > 0 && pid_in(&file).is_none() {
                    return Err(PidFileError::NotAPidFile(path.to_owned()));
                }
                return Ok(Self { path: path.to_owned(), file });
            }
        }
        Err(failed(io::Error::other("another process keeps removing it")))
    }

    /// Writes the pid of this process. All users may read the file, regardless of the umask.
    pub(crate) fn write(&mut self) -> Result<(), PidFileError> {
        self.try_write().map_err(|source| PidFileError::Unusable { path: self.path.clone(), source })
    }

    fn try_write(&mut self) -> io::Result<()> {
        self.file.set_permissions(Permissions::from_mode(0o644))?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        writeln!(self.file, "{}", std::process::id())
    }
}

/// Whether a process holds the lock on this pid file.
pub(crate) fn is_held(path: &Path) -> bool {
    let locked = File::open(path).map(|file| file.try_lock_shared());
    matches!(locked, Ok(Err(TryLockError::WouldBlock)))
}

impl AsRawFd for PidFile {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
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

/// Opens a regular file, or creates it. Does not follow a link at the end of the path, nor wait on a pipe.
fn open(path: &Path) -> Result<File, PidFileError> {
    let not_a_pid_file = || PidFileError::NotAPidFile(path.to_owned());
    let failed = |source| PidFileError::Unusable { path: path.to_owned(), source };
    // Opening a device can have effects. Checked again once it is open, since it may have been replaced.
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(not_a_pid_file());
    }
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).custom_flags(flags);
    let file = options.open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_file() { Ok(file) } else { Err(not_a_pid_file()) }
}

fn pid_in(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(LONGEST_PID + 1).read_to_string(&mut text).ok()?;
    let pid = text.trim_ascii_end();
    let is_a_pid = text.len() as u64 <= LONGEST_PID && pid.bytes().all(|byte| byte.is_ascii_digit());
    is_a_pid.then(|| pid.parse().ok())?
}

/// Whether `path` is still the open file: its previous owner may have removed it before we locked it.
fn is_still(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::pty::openpty;
    use nix::sys::stat::Mode;
    use nix::unistd::{mkfifo, ttyname};

    use super::*;
    use crate::exit::Exit;
    use crate::startup::StartError;

    #[test]
    fn the_file_is_locked_has_our_pid_can_be_read_by_all_and_is_removed_on_drop() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        // A file left by a killed process is reused.
        for stale in ["", "99999999", "4294967295  \n"] {
            fs::write(&path, stale).unwrap();
            let mut pid_file = PidFile::lock(&path).unwrap();
            pid_file.write().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()), "{stale:?}");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
            let error = PidFile::lock(&path).unwrap_err();
            assert!(error.to_string().contains(&format!("as process {}", std::process::id())), "{error}");
            drop(pid_file);
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_file_that_has_replaced_the_pid_file_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        let pid_file = PidFile::lock(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "other").unwrap();
        drop(pid_file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "other");
    }

    fn refused(path: &Path) {
        let error = PidFile::lock(path).unwrap_err();
        assert!(matches!(error, PidFileError::NotAPidFile(_)), "{error}");
        let refused = StartError::from(error);
        assert_eq!(Exit::from(&refused), Exit::CantCreate);
    }

    #[test]
    fn a_file_of_something_else_is_refused_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        let long = format!("1{}", " ".repeat(40));
        for content in ["99999999 and more\n", "\n", "+1\n", "-1\n", "1\n2\n", "4294967296\n", &long] {
            fs::write(&path, content).unwrap();
            refused(&path);
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
    }

    #[test]
    fn what_is_not_a_regular_file_is_refused_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let [pipe, link, stale, dangling] =
            ["pipe", "link", "stale", "dangling"].map(|name| directory.path().join(name));
        mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        fs::write(&stale, "1\n").unwrap();
        symlink(&stale, &link).unwrap();
        symlink(directory.path().join("none"), &dangling).unwrap();
        let terminal = openpty(None, None).unwrap();
        let device = ttyname(&terminal.slave).unwrap();
        for path in [&pipe, &link, &dangling, directory.path(), &device] {
            let before = fs::symlink_metadata(path).unwrap();
            refused(path);
            let after = fs::symlink_metadata(path).unwrap();
            assert_eq!((before.ino(), before.mode()), (after.ino(), after.mode()), "{}", path.display());
        }
        assert_eq!(fs::read_to_string(&stale).unwrap(), "1\n");
        assert!(!directory.path().join("none").exists());
    }

    #[test]
    fn a_missing_directory_is_an_error_that_names_the_file() {
        let error = PidFile::lock(Path::new("/nowhere/pid")).unwrap_err();
        assert!(error.to_string().starts_with("cannot create the pid file /nowhere/pid"), "{error}");
    }
}
