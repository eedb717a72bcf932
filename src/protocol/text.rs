//! Text from the server, made fit for a log.

/// The longest piece of the server's text that is logged, in characters.
pub(crate) const LONGEST: usize = 200;

/// Replaces characters that could disturb a terminal or forge a line of the log, and cuts a text that is too long.
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
    fn escape_sequences_and_line_breaks_are_taken_out() {
        assert_eq!(clean("hi\x1b[2J\r\nroot: \u{202e}x"), "hi?[2J??root: ?x");
    }

    #[test]
    fn long_text_is_cut_and_says_so() {
        assert_eq!(clean(&"a".repeat(201)), "a".repeat(200) + "...");
        assert_eq!(clean(&"ä".repeat(200)), "ä".repeat(200));
    }

    proptest! {
        #[test]
        fn nothing_that_is_logged_has_a_control_character(text in any::<String>()) {
            prop_assert!(!clean(&text).contains(char::is_control));
        }
    }
}
