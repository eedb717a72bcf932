//! The password: from the auth file, or from the terminal.

mod auth_file;

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use log::warn;
use nix::fcntl::OFlag;
use nix::libc;
use zeroize::Zeroizing;

use crate::options::InputFile;
use crate::ownership::{self, Unsafe};
use crate::prompt::{self, Answer};
use crate::report::chain;
use crate::signals::Signals;
use auth_file::{BadLine, Entry};

/// A password, wiped from memory when it is dropped.
pub(crate) type Password = Zeroizing<Vec<u8>>;

/// The largest auth file that is read, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error("cannot read the auth file {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// It is a device, a pipe or a directory, or too large.
    #[error("the auth file {} is not a regular file of at most 1 MiB", .0.display())]
    NotAFile(PathBuf),
    /// Other users could change the passwords.
    #[error("the auth file {} is not safe", .0.display())]
    Unsafe(PathBuf, #[source] Unsafe),
    /// The line is not shown, since it may contain a password. The first line is 1.
    #[error("{}, line {line}: not of the form server:user:password", path.display())]
    BadLine { path: PathBuf, line: usize },
    #[error(
        "no password for {user} at {server}: add a line {server}:{user}:PASSWORD to {}, or start dtcpclient from a terminal",
        path.display()
    )]
    NoTerminal { user: String, server: String, path: PathBuf },
    #[error("cannot ask for the password on the terminal")]
    Terminal(#[source] io::Error),
    #[error("no password was typed")]
    Empty,
    /// rpassword cannot return bytes that are not UTF-8.
    #[error("the password is not UTF-8: add it to the auth file")]
    NotUtf8,
    #[error("interrupted: no password was typed")]
    Interrupted,
}

/// Returns the password of `user` at `server`: from the auth file or, if it has none, from the terminal.
pub(crate) fn find(
    auth_file: &InputFile,
    server: &str,
    user: &str,
    signals: &mut Signals,
) -> Result<Password, PasswordError> {
    match read_auth_file(auth_file, server, user)? {
        Some(password) => Ok(password),
        None => ask(&auth_file.path, server, user, signals),
    }
}

/// Returns the entry in the auth file, if there is one.
fn read_auth_file(
    auth_file: &InputFile,
    server: &str,
    user: &str,
) -> Result<Option<Password>, PasswordError> {
    let path = &auth_file.path;
    let unreadable = |source| PasswordError::Unreadable { path: path.clone(), source };
    // If it is a pipe, do not wait for a writer.
    let file = match OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path) {
        Ok(file) => file,
        Err(error) if !auth_file.named => {
            if error.kind() != io::ErrorKind::NotFound {
                warn!("{}", chain(&unreadable(error)));
            }
            return Ok(None);
        }
        Err(error) => return Err(unreadable(error)),
    };
    let size = check(&file, path)?;
    // Larger than the file: a buffer that is full is reallocated, which leaves a copy of the passwords in memory.
    let mut content = Zeroizing::new(Vec::with_capacity(size + 64));
    file.take(LARGEST_FILE).read_to_end(&mut content).map_err(unreadable)?;
    find_entry(&content, path, server, user)
}

/// Checks that only root and this user can write the open file. Returns its size in bytes.
fn check(file: &File, path: &Path) -> Result<usize, PasswordError> {
    let metadata =
        file.metadata().map_err(|source| PasswordError::Unreadable { path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode();
    match usize::try_from(metadata.len()) {
        Ok(size) if metadata.is_file() && metadata.len() <= LARGEST_FILE => {
            ownership::check(path).map_err(|source| PasswordError::Unsafe(path.to_owned(), source))?;
            if mode & 0o044 != 0 {
                warn!("the auth file {} is readable by group or others: run chmod 600 on it", path.display());
            }
            Ok(size)
        }
        _ => Err(PasswordError::NotAFile(path.to_owned())),
    }
}

fn find_entry(
    content: &[u8],
    path: &Path,
    server: &str,
    user: &str,
) -> Result<Option<Password>, PasswordError> {
    let bad_line = |BadLine(line)| PasswordError::BadLine { path: path.to_owned(), line };
    let found = auth_file::find_entry(content, server, user).map_err(bad_line)?;
    Ok(found.map(|Entry { line, password }| {
        if password.ends_with(b" ") || password.ends_with(b"\t") {
            warn!("{}, line {line}: the blank at the end is part of the password", path.display());
        }
        Zeroizing::new(password.to_vec())
    }))
}

fn ask(auth_file: &Path, server: &str, user: &str, signals: &mut Signals) -> Result<Password, PasswordError> {
    match prompt::ask(&format!("Password of {user} at {server}: "), signals) {
        Ok(Answer::Typed(password)) if password.is_empty() => Err(PasswordError::Empty),
        // rpassword replaces invalid UTF-8 with this character.
        Ok(Answer::Typed(password)) if password.contains(char::REPLACEMENT_CHARACTER) => {
            Err(PasswordError::NotUtf8)
        }
        Ok(Answer::Typed(mut password)) => Ok(Zeroizing::new(std::mem::take(&mut *password).into_bytes())),
        Ok(Answer::Interrupted) => Err(PasswordError::Interrupted),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENXIO | libc::ENOENT)) => {
            Err(PasswordError::NoTerminal {
                user: user.to_owned(),
                server: server.to_owned(),
                path: auth_file.to_owned(),
            })
        }
        Err(error) => Err(PasswordError::Terminal(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn find_in(content: &str) -> Result<Option<Password>, PasswordError> {
        find_entry(content.as_bytes(), Path::new("/etc/auth"), "broker", "foo")
    }

    #[test]
    fn the_first_entry_of_the_server_and_the_user_is_taken() {
        for (content, expected) in [
            ("# comment\n\n  \nother:foo:no\nbroker:bar:no\nBroker:foo:yes\nbroker:foo:late\n", Some("yes")),
            ("other:foo:no", None),
            ("broker:foo: a:b#c \r\n", Some(" a:b#c ")),
            ("\u{feff}broker:foo:yes", Some("yes")),
            ("\u{feff}# comment\r\n broker \t: foo :yes\r\n", Some("yes")),
        ] {
            let found = find_in(content).unwrap();
            assert_eq!(
                found.as_ref().map(|password| &***password),
                expected.map(str::as_bytes),
                "{content:?}"
            );
        }
    }

    #[test]
    fn a_bad_line_is_reported_by_its_number_and_never_shown() {
        for secret in [
            "broker:secret",
            "secret",
            "::secret",
            "broker::secret",
            ":foo:secret",
            " : :secret",
            "broker:foo:",
        ] {
            let error = find_in(&format!("broker:foo:bar\n\n{secret}\n")).unwrap_err().to_string();
            assert_eq!(error, "/etc/auth, line 3: not of the form server:user:password", "{secret}");
        }
    }

    fn read(path: &Path) -> Result<Option<Password>, PasswordError> {
        read_auth_file(&InputFile { path: path.to_owned(), named: true }, "broker", "foo")
    }

    #[test]
    fn a_named_file_must_be_a_regular_file_that_only_its_owner_may_write() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auth");
        assert!(matches!(read(&path), Err(PasswordError::Unreadable { .. })));
        assert!(matches!(read(directory.path()), Err(PasswordError::NotAFile(_))));
        fs::write(&path, "broker:foo:bar\n").unwrap();
        let set_mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        for mode in [0o620, 0o602, 0o666] {
            set_mode(mode);
            assert!(matches!(read(&path), Err(PasswordError::Unsafe(..))), "{mode:o}");
        }
        for mode in [0o600, 0o400, 0o644] {
            set_mode(mode);
            assert_eq!(**read(&path).unwrap().unwrap(), *b"bar", "{mode:o}");
        }
    }

    proptest! {
        #[test]
        fn no_file_makes_the_reader_panic(content in any::<Vec<u8>>()) {
            let _ = find_entry(&content, Path::new("x"), "broker", "foo");
        }
    }
}
