//! Who may log in, and the check of a response.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

use md5::{Digest, Md5};

/// What is wrong with the users' file. It never shows a line: there may be a password in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot read {file} (--users): {source}", file = file.display())]
    Read { file: PathBuf, source: io::Error },
    #[error("{file}, line {line}: expected `server:user:password`", file = file.display())]
    Line { file: PathBuf, line: usize },
}

/// The users and their passwords.
pub(crate) struct Users(HashMap<String, String>);

impl Users {
    /// Reads the users' file; with a name, only the lines of the server of that name. A user's first line counts.
    pub(crate) fn load(file: &Path, name: Option<&str>) -> Result<Self, Error> {
        let text =
            fs::read_to_string(file).map_err(|source| Error::Read { file: file.to_owned(), source })?;
        let mut users = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let (server, user, password) =
                entry(line).ok_or_else(|| Error::Line { file: file.to_owned(), line: index + 1 })?;
            if name.is_none_or(|name| name == server) {
                users.entry(user.to_owned()).or_insert_with(|| password.to_owned());
            }
        }
        Ok(Self(users))
    }

    pub(crate) fn knows(&self, user: &str) -> bool {
        self.0.contains_key(user)
    }

    /// Whether this is the response to the challenge of someone who knows the user's password.
    pub(crate) fn accept(&self, user: &str, challenge: &str, given: &str) -> bool {
        self.0.get(user).is_some_and(|password| response(user, challenge, password) == given)
    }
}

fn entry(line: &str) -> Option<(&str, &str, &str)> {
    let (server, rest) = line.split_once(':')?;
    let (user, password) = rest.split_once(':')?;
    let word = !user.is_empty() && !user.contains(|c: char| c.is_whitespace() || c.is_control());
    let usable = word && !password.is_empty();
    usable.then_some((server, user, password))
}

/// MD5 over user, challenge and password, one after the other.
pub(crate) fn response(user: &str, challenge: &str, password: &str) -> String {
    hex(&Md5::new().chain_update(user).chain_update(challenge).chain_update(password).finalize())
}

/// In upper case: KAME's server compares text, so the case matters.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02X}");
        text
    })
}
