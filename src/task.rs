//! Work that may block, in a thread of its own, while signals are handled.

use std::io::{self, PipeReader};
use std::os::fd::{AsFd, BorrowedFd};
use std::thread::{self, JoinHandle};

/// A piece of work in a thread.
pub(crate) struct Task<T> {
    /// Ready when the work is done: the thread then closes the other end.
    done: PipeReader,
    thread: JoinHandle<io::Result<T>>,
}

impl<T: Send + 'static> Task<T> {
    pub(crate) fn spawn(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<Self> {
        let (done, running) = io::pipe()?;
        let thread = thread::Builder::new().spawn(move || {
            let _running = running;
            work()
        })?;
        Ok(Self { done, thread })
    }

    /// The descriptor to poll for reading: it is ready when the work is done.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }

    /// Whether the outcome is there.
    pub(crate) fn is_done(&self) -> bool {
        self.thread.is_finished()
    }

    /// Returns the outcome. Blocks until the work is done.
    pub(crate) fn finish(self) -> io::Result<T> {
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that does it panicked")))
    }
}
