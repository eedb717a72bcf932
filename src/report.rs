//! Errors as one line of text.

use std::error::Error;
use std::fmt::Write;

/// An error and its sources, each after a colon.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a string cannot fail.
        let _ = write!(line, ": {error}");
        source = error.source();
    }
    line
}
