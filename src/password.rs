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
        "no password for {user} at {server}: add a line {server}:{user}:PASSWORD to {}{otherwise}",
        path.display()
    )]
    NoEntry { user: String, server: String, path: PathBuf, otherwise: &'static str },
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

/// A user's account at a server, and the file with its password.
#[derive(Debug)]
pub struct Account {
    /// The server, as given on the command line.
    pub server: String,
    /// The user name.
    pub user: String,
    /// The auth file.
    pub auth_file: InputFile,
}

impl Account {
    /// Returns the password: from the auth file or, if it has none, from the terminal, unless nobody may be asked.
    pub(crate) fn password(&self, prompt: bool, signals: &mut Signals) -> Result<Password, PasswordError> {
        match self.password_in_file()? {
            Some(password) => Ok(password),
            None if prompt => self.ask(signals),
            None => Err(self.no_entry("")),
        }
    }

    /// Returns the password in the auth file, if there is one.
    pub(crate) fn password_in_file(&self) -> Result<Option<Password>, PasswordError> {
        let path = &self.auth_file.path;
        let unreadable = |source| PasswordError::Unreadable { path: path.clone(), source };
        // If it is a pipe, do not wait for a writer.
        let file = match OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path) {
            Ok(file) => file,
            Err(error) if !self.auth_file.named => {
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
        self.find_entry(&content)
    }

    fn find_entry(&self, content: &[u8]) -> Result<Option<Password>, PasswordError> {
        let path = &self.auth_file.path;
        let bad_line = |BadLine(line)| PasswordError::BadLine { path: path.clone(), line };
        let found = auth_file::find_entry(content, &self.server, &self.user).map_err(bad_line)?;
        Ok(found.map(|Entry { line, password }| {
            if password.ends_with(b" ") || password.ends_with(b"\t") {
                warn!("{}, line {line}: the blank at the end is part of the password", path.display());
            }
            Zeroizing::new(password.to_vec())
        }))
    }

    fn ask(&self, signals: &mut Signals) -> Result<Password, PasswordError> {
        match prompt::ask(&format!("Password of {} at {}: ", self.user, self.server), signals) {
            Ok(Answer::Typed(password)) if password.is_empty() => Err(PasswordError::Empty),
            // rpassword replaces invalid UTF-8 with this character.
            Ok(Answer::Typed(password)) if password.contains(char::REPLACEMENT_CHARACTER) => {
                Err(PasswordError::NotUtf8)
            }
            Ok(Answer::Typed(mut password)) => {
                Ok(Zeroizing::new(std::mem::take(&mut *password).into_bytes()))
            }
            Ok(Answer::Interrupted) => Err(PasswordError::Interrupted),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENXIO | libc::ENOENT)) => {
                Err(self.no_entry(", or start dtcpclient from a terminal"))
            }
            Err(error) => Err(PasswordError::Terminal(error)),
        }
    }

    fn no_entry(&self, otherwise: &'static str) -> PasswordError {
        let Self { server, user, auth_file } = self;
        PasswordError::NoEntry {
            user: user.clone(),
            server: server.clone(),
            path: auth_file.path.clone(),
            otherwise,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn account(auth_file: impl Into<PathBuf>) -> Account {
        let auth_file = InputFile { path: auth_file.into(), named: true };
        Account { server: "broker".to_owned(), user: "foo".to_owned(), auth_file }
    }

    fn find_in(content: &str) -> Result<Option<Password>, PasswordError> {
        account("/etc/auth").find_entry(content.as_bytes())
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
        account(path).password_in_file()
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
            let _ = account("x").find_entry(&content);
        }
    }
}
