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

/// A line that is neither, cleaned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a DTCP reply")]
pub struct NotAReply(pub String);

impl Reply {
    /// Reads a line, which comes without its end.
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
    fn replies_are_told_apart_by_their_first_word() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect();
        assert_eq!(
            Reply::read("+OK hi, happy to hear from you"),
            Ok(Reply::Ok(words("hi, happy to hear from you")))
        );
        assert_eq!(Reply::read("+OK"), Ok(Reply::Ok(Vec::new())));
        assert_eq!(
            Reply::read("-ERR authentication failed."),
            Ok(Reply::Error("authentication failed.".to_owned()))
        );
    }

    #[test]
    fn anything_else_is_not_a_reply_and_is_cleaned() {
        assert_eq!(Reply::read("220 mail\x07"), Err(NotAReply("220 mail?".to_owned())));
        assert!(Reply::read("").is_err());
        assert!(Reply::read("+OKAY").is_err());
    }

    proptest! {
        #[test]
        fn no_line_makes_the_reader_panic(line in any::<String>()) {
            let _ = Reply::read(&line);
            let _ = Reply::read(&format!("-ERR{line}"));
        }
    }
}
