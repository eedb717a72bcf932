//! Errors as one line of text.

use std::error::Error;

/// An error and its sources, each after a colon.
pub(crate) fn chain(error: &dyn Error) -> String {
    let sources = std::iter::successors(error.source(), |&error| error.source());
    sources.fold(error.to_string(), |line, source| line + ": " + &as_clause(&source.to_string()))
}

/// The same, followed by advice, which may be empty.
pub(crate) fn report(error: &dyn Error, advice: &str) -> String {
    let separator = if error.source().is_some() { "; " } else { ": " };
    if advice.is_empty() { chain(error) } else { chain(error) + separator + advice }
}

/// Fits a system error into a line: `Connection refused (os error 61)` becomes `connection refused`.
fn as_clause(text: &str) -> String {
    let text = text.split_once(" (os error ").map_or(text, |(text, _)| text);
    let mut characters = text.chars();
    match (characters.next(), characters.clone().next()) {
        // Not an abbreviation, such as SIOCSIFMTU.
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Trouble {
        #[error("cannot connect")]
        Connect(#[source] io::Error),
        #[error("no tunnel")]
        Outer(#[source] Box<Self>),
    }

    #[test]
    fn a_report_is_the_message_its_sources_and_the_advice() {
        let refused = || Trouble::Connect(io::Error::from_raw_os_error(nix::libc::ECONNREFUSED));
        assert_eq!(chain(&refused()), "cannot connect: connection refused");
        let nested = Trouble::Outer(Box::new(refused()));
        assert_eq!(report(&nested, "look"), "no tunnel: cannot connect: connection refused; look");
        assert_eq!(report(&io::Error::other("Odd"), "look"), "Odd: look");
        assert_eq!(
            chain(&Trouble::Connect(io::Error::other("SIOCSIFMTU: x"))),
            "cannot connect: SIOCSIFMTU: x"
        );
    }
}
