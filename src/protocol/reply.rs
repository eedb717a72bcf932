//! The lines that the server sends.

use super::text::clean;

/// A line from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// `+OK` and the words after it.
    Ok(Vec<String>),
    /// `-ERR` and the text after it, cleaned.
    Error(String),
}

/// A line that is not a reply, cleaned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a DTCP reply")]
pub struct NotAReply(pub String);

impl Reply {
    /// Decodes a line, given without its end.
    pub(crate) fn read(line: &str) -> Result<Self, NotAReply> {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("+OK") => Ok(Self::Ok(words.map(str::to_owned).collect())),
            Some("-ERR") => Ok(Self::Error(clean(line.trim_start()["-ERR".len()..].trim()))),
            _ => Err(NotAReply(clean(line))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn replies_are_recognized_by_their_first_word() {
        let ok = |words: &[&str]| Ok(Reply::Ok(words.iter().map(ToString::to_string).collect()));
        let bad = |line: &str| Err(NotAReply(line.to_owned()));
        for (line, expected) in [
            ("+OK", ok(&[])),
            ("+OK hi, happy to hear from you", ok(&["hi,", "happy", "to", "hear", "from", "you"])),
            ("-ERR authentication failed.", Ok(Reply::Error("authentication failed.".to_owned()))),
            ("220 mail\x07", bad("220 mail?")),
            ("", bad("")),
            ("+OKAY", bad("+OKAY")),
        ] {
            assert_eq!(Reply::read(line), expected);
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_the_reader_panic(line in any::<String>()) {
            let _ = Reply::read(&line);
            let _ = Reply::read(&format!("-ERR{line}"));
        }
    }
}
