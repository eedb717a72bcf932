//! The lines that the server sends.

/// A line from the server. Its text is as the server sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply<'a> {
    /// `+OK` and the text after it.
    Ok(&'a str),
    /// `-ERR` and the text after it.
    Error(&'a str),
}

/// A line that is neither, cleaned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a DTCP reply")]
pub struct NotAReply(pub String);

impl<'a> Reply<'a> {
    /// Reads a line, which comes without its end.
    pub(crate) fn read(line: &'a str) -> Option<Self> {
        let line = line.trim();
        let (word, text) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match word {
            "+OK" => Some(Self::Ok(text.trim_start())),
            "-ERR" => Some(Self::Error(text.trim_start())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn replies_are_told_apart_by_their_first_word() {
        assert_eq!(Reply::read("+OK hi, happy to hear"), Some(Reply::Ok("hi, happy to hear")));
        assert_eq!(Reply::read(" +OK"), Some(Reply::Ok("")));
        assert_eq!(Reply::read("-ERR\t no "), Some(Reply::Error("no")));
    }

    #[test]
    fn anything_else_is_not_a_reply() {
        for line in ["220 mail", "", "+OKAY"] {
            assert_eq!(Reply::read(line), None, "{line}");
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
