//! What stands for a `PF_ROUTE` socket: something that poll(2) finds readable while changes are waiting.
#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

pub struct Watch {
    reader: UnixStream,
    writer: UnixStream,
}

impl Watch {
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        Ok(Self { reader, writer })
    }

    /// What poll(2) waits on.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// Makes the descriptor readable. Where it is full of earlier wakings, it is readable already.
    pub fn wake(&self) {
        let _ = (&self.writer).write(&[0]);
    }

    /// Makes the descriptor wait again.
    pub fn rest(&self) {
        let mut bytes = [0; 64];
        while (&self.reader).read(&mut bytes).is_ok_and(|count| count > 0) {}
    }
}
