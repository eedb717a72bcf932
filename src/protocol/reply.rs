//! The lines that the server sends.

/// A line from the server. Its text is as the server sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply<'a> {
    /// `+OK` and the text after it.
    Ok(&'a str),
    /// `-ERR` and the text after it.
    Error(&'a str),
}

/// A line that is not a reply, cleaned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a DTCP reply")]
pub struct NotAReply(pub String);

impl<'a> Reply<'a> {
    /// Decodes a line, given without its end.
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
    fn replies_are_recognized_by_their_first_word() {
        for (line, expected) in [
            ("+OK", Some(Reply::Ok(""))),
            (" +OK hi, happy to hear from you", Some(Reply::Ok("hi, happy to hear from you"))),
            ("-ERR\tauthentication failed. ", Some(Reply::Error("authentication failed."))),
            ("220 mail", None),
            ("", None),
            ("+OKAY", None),
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
