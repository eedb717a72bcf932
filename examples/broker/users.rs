//! The users and their passwords, the challenge, and the check of a response.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use md5::{Digest, Md5};

/// Passwords by user name.
pub(crate) struct Users(HashMap<String, String>);

impl Users {
    /// Reads a file of lines `server:user:password`, the form of the client's auth file. The first line of a user
    /// counts. An error does not show the line, which may hold a password.
    pub(crate) fn load(file: &Path) -> Result<Self, String> {
        let name = file.display();
        let text =
            fs::read_to_string(file).map_err(|error| format!("cannot read {name} (--users): {error}"))?;
        let mut users = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let (user, password) = account(line)
                .ok_or_else(|| format!("{name}, line {}: expected `server:user:password`", index + 1))?;
            users.entry(user.to_owned()).or_insert_with(|| password.to_owned());
        }
        Ok(Self(users))
    }

    pub(crate) fn knows(&self, user: &str) -> bool {
        self.0.contains_key(user)
    }

    /// Whether this is the response that the user's password gives for this challenge.
    pub(crate) fn accept(&self, user: &str, challenge: &str, given: &str) -> bool {
        self.0.get(user).is_some_and(|password| {
            hex(&Md5::new().chain_update(user).chain_update(challenge).chain_update(password).finalize())
                == given
        })
    }
}

/// The user and the password in a line. The password may contain colons.
fn account(line: &str) -> Option<(&str, &str)> {
    let (user, password) = line.split_once(':')?.1.split_once(':')?;
    let is_word = !user.is_empty() && !user.contains(|c: char| c.is_whitespace() || c.is_control());
    (is_word && !password.is_empty()).then_some((user, password))
}

/// A new challenge, from the system's random numbers: if it could be guessed, an old response could be replayed.
pub(crate) fn challenge() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex(&bytes))
}

/// Upper-case hexadecimal digits: KAME's server compares responses as text.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
