//! Challenge and response: how the client proves that it knows the password.

use std::fmt;

use md5::{Digest, Md5};

/// The word that the server greets with. Opaque: KAME sends 32 upper-case hexadecimal digits, Feel6 lower-case ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge(String);

impl Challenge {
    /// Takes a word of the greeting as the challenge.
    pub(crate) fn new(word: &str) -> Self {
        Self(word.to_owned())
    }

    /// The response: MD5 over user, challenge and password, as 32 upper-case hexadecimal digits (KAME's server
    /// compares them exactly).
    pub(crate) fn response(&self, user: &str, password: &[u8]) -> Response {
        let digest = Md5::new().chain_update(user).chain_update(&self.0).chain_update(password).finalize();
        Response(digest.iter().map(|byte| format!("{byte:02X}")).collect())
    }
}

/// Replaces a response in a log.
pub(crate) const MASK: &str = "********";

/// The answer to a challenge. It must not be logged: with the challenge, it lets anyone guess at the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Response(String);

impl Response {
    /// The digits, for the wire alone.
    pub(crate) fn digits(&self) -> &str {
        &self.0
    }

    /// The text with the digits masked.
    pub(crate) fn mask(&self, text: &str) -> String {
        text.replace(&self.0, MASK)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Response(masked)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_check_value_comes_out_and_debug_does_not_show_it() {
        let response = Challenge::new("0B1517C87D516A5FA65BED722D51A04F").response("foo", b"bar");
        assert_eq!(response.digits(), "DAC487C8DFBBF9EE5C7F8CDCC37B62A3");
        assert!(!format!("{response:?}").contains(response.digits()));
    }
}
