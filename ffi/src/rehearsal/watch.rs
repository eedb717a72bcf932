//! What stands for a `PF_ROUTE` socket: something that poll(2) finds readable while changes are waiting.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

pub(super) struct Watch {
    reader: UnixStream,
    writer: UnixStream,
}

impl Watch {
    pub(super) fn new() -> io::Result<Self> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        Ok(Self { reader, writer })
    }

    /// What poll(2) waits on.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// Makes the descriptor readable. Where it is full of earlier wakings, it is readable already.
    pub(super) fn wake(&self) {
        let _ = (&self.writer).write(&[0]);
    }

    /// Makes the descriptor wait again.
    pub(super) fn rest(&self) {
        let mut bytes = [0; 64];
        while (&self.reader).read(&mut bytes).is_ok_and(|count| count > 0) {}
    }
}
