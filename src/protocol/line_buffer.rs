//! Splits the received bytes into lines.

/// Why the bytes are not a line of text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// More than 1,024 bytes without an end of line.
    #[error("it sent a line of more than {} bytes", LineBuffer::LONGEST)]
    TooLong,
    /// Not UTF-8, or with a NUL.
    #[error("it sent bytes that are not text")]
    NotText,
}

/// Collects bytes and splits them into lines.
#[derive(Debug, Default)]
pub(crate) struct LineBuffer(Vec<u8>);

impl LineBuffer {
    /// The maximum length of a line, in bytes, without its end (this project's decision; KAME's lines are far shorter).
    pub(crate) const LONGEST: usize = 1024;

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Returns the next complete line without its CR LF or LF. After an error, the rest of the stream cannot be used.
    pub(crate) fn next_line(&mut self) -> Option<Result<String, LineError>> {
        let Some(end) = self.0.iter().position(|&byte| byte == b'\n') else {
            return (without_cr(&self.0).len() > Self::LONGEST).then_some(Err(LineError::TooLong));
        };
        let line: Vec<u8> = self.0.drain(..=end).take(end).collect();
        Some(text(without_cr(&line)))
    }
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn text(line: &[u8]) -> Result<String, LineError> {
    if line.len() > LineBuffer::LONGEST {
        return Err(LineError::TooLong);
    }
    match std::str::from_utf8(line) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        _ => Err(LineError::NotText),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines_of(chunks: &[&[u8]]) -> Vec<Result<String, LineError>> {
        let mut lines = LineBuffer::default();
        let mut found = Vec::new();
        for chunk in chunks {
            lines.push(chunk);
            while let Some(line) = lines.next_line() {
                let last = line.is_err();
                found.push(line);
                if last {
                    return found;
                }
            }
        }
        found
    }

    #[test]
    fn a_line_ends_with_cr_lf_or_lf_however_the_stream_is_split() {
        let expected = [Ok("+OK one".to_owned()), Ok(String::new()), Ok("two".to_owned())];
        assert_eq!(lines_of(&[b"+OK one\r\n\ntwo\r\nrest"]), expected);
        assert_eq!(lines_of(&[b"+OK", b" one\r", b"\n\n", b"tw", b"o\r\n"]), expected);
    }

    #[test]
    fn a_line_is_text_of_at_most_1024_bytes() {
        let longest = "x".repeat(1024);
        for (end, expected) in [
            (&b"\r\n"[..], Ok(longest.clone())),
            (b"x", Err(LineError::TooLong)),
            (b"x\n", Err(LineError::TooLong)),
        ] {
            assert_eq!(lines_of(&[longest.as_bytes(), end]), [expected]);
        }
        for not_text in [&b"\xff\xfe\n"[..], b"a\0b\n"] {
            assert_eq!(lines_of(&[not_text]), [Err(LineError::NotText)]);
        }
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_the_stream_is_split(bytes in any::<Vec<u8>>(), cut in any::<prop::sample::Index>()) {
            let (head, tail) = bytes.split_at(cut.index(bytes.len() + 1));
            prop_assert_eq!(lines_of(&[head, tail]), lines_of(&[&bytes]));
        }
    }
}
