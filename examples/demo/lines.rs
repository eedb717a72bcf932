//! What a program says, line by line, for a listener who does not wait for ever.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Instant;

/// The lines of one stream, read by a thread that ends with it.
pub(crate) struct Lines {
    /// What they are called on the stage.
    pub label: &'static str,
    receiver: Receiver<String>,
}

impl Lines {
    pub(crate) fn of(label: &'static str, stream: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(stream).lines();
            // Nobody may be listening any more; the program is heard to its end all the same, lest it blocks.
            lines.map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        Self { label, receiver }
    }

    /// The next line.
    pub(crate) fn next_by(&self, deadline: Instant) -> Result<String, RecvTimeoutError> {
        self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    }
}
