//! Challenge and response: how the client proves that it knows the password.

use std::fmt;

use md5::{Digest, Md5};

/// Shown in the log in place of a response.
pub(crate) const MASK: &str = "********";

/// The answer to a challenge. It must not be logged: with the challenge, it allows the password to be guessed.
#[derive(Clone, PartialEq, Eq)]
pub struct Response(String);

impl Response {
    /// MD5 of user, challenge and password, as 32 upper-case hexadecimal digits, which KAME's server compares exactly
    /// (confirmed). The challenge is the second word of the greeting as it is: KAME's server sends 32 upper-case
    /// hexadecimal digits, Feel6's lower-case ones (confirmed).
    pub(crate) fn new(user: &str, challenge: &str, password: &[u8]) -> Self {
        let digest = Md5::new().chain_update(user).chain_update(challenge).chain_update(password).finalize();
        Self(digest.iter().map(|byte| format!("{byte:02X}")).collect())
    }

    /// The digits, to be sent but not logged.
    pub(crate) fn digits(&self) -> &str {
        &self.0
    }

    /// Masks the digits in a text, in upper and in lower case.
    pub(crate) fn mask(&self, text: &str) -> String {
        text.replace(&self.0, MASK).replace(&self.0.to_lowercase(), MASK)
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
        let response = Response::new("foo", "0B1517C87D516A5FA65BED722D51A04F", b"bar");
        assert_eq!(response.digits(), "DAC487C8DFBBF9EE5C7F8CDCC37B62A3");
        assert!(!format!("{response:?}").contains(response.digits()));
    }
}
