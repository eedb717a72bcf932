//! Cleans text from the server for the log.

/// The maximum length of a text in the log, in characters.
pub(crate) const LONGEST: usize = 200;

/// Replaces characters that could disturb a terminal or forge a line of the log, and truncates long text.
pub(crate) fn clean(text: &str) -> String {
    let mut cleaned: String =
        text.chars().take(LONGEST).map(|c| if is_harmless(c) { c } else { '?' }).collect();
    if text.chars().nth(LONGEST).is_some() {
        cleaned.push_str("...");
    }
    cleaned
}

/// Neither a control character nor one that changes how its neighbours are shown
/// (bidirectional controls, zero-width characters, line and paragraph separators).
fn is_harmless(c: char) -> bool {
    let invisible = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !c.is_control() && !invisible
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escape_sequences_and_line_breaks_are_replaced() {
        assert_eq!(clean("hi\x1b[2J\r\nroot: \u{202e}x"), "hi?[2J??root: ?x");
    }

    #[test]
    fn long_text_is_truncated_and_marked() {
        assert_eq!(clean(&"a".repeat(201)), "a".repeat(200) + "...");
        assert_eq!(clean(&"ä".repeat(200)), "ä".repeat(200));
    }

    proptest! {
        #[test]
        fn cleaned_text_has_no_control_characters(text in any::<String>()) {
            prop_assert!(!clean(&text).contains(char::is_control));
        }
    }
}
