//! Quotes command lines for sh(1).

/// A command line that sh(1) splits into these words.
pub(crate) fn line(words: &[String]) -> String {
    words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
}

/// A word, quoted if necessary.
fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"%+,-./:=@_".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_words_stay_and_others_are_quoted() {
        assert_eq!(quote("2001:db8::/48"), "2001:db8::/48");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's; rm *"), r"'it'\''s; rm *'");
    }

    proptest! {
        #[test]
        fn the_shell_restores_a_quoted_word(word in "[^\\x00]*") {
            let script = format!("printf %s {}", quote(&word));
            let output = std::process::Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
            prop_assert_eq!(output.stdout, word.into_bytes());
        }
    }
}
