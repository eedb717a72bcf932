//! Whether this crate makes a recorded call with the same bytes, and what it reads in the answer.

use std::fmt::Debug;

use ffi::abi::NgMesg;
use ffi::abi::ioctl::{Argument, Call};
use ffi::abi::numbers::AF_NETGRAPH;
use ffi::errno::Errno;
use ffi::kernel;
use ffi::netgraph::Message;
use zerocopy::FromBytes;

use crate::parse::Step;

/// Where the recorder keeps what arguments point to.
const BUFFER: usize = 0x10000;
impl Step {
    /// The bytes of this name, which are then done with.
    pub(crate) fn take(&mut self, name: &str) -> Option<Vec<u8>> {
        let index = self.fields.iter().position(|(field, _)| field == name)?;
        Some(self.fields.remove(index).1)
    }

    /// How the call ended.
    pub(crate) fn outcome(&self) -> Result<(), Errno> {
        self.errno.map_or(Ok(()), Err)
    }

    /// How a call ended that this crate does not make.
    pub(crate) fn not_ours(&mut self) -> Result<(), Errno> {
        self.fields.clear();
        self.outcome()
    }

    /// Asserts that `call` is the recorded one. Gives it back as the kernel left it.
    pub(crate) fn ioctl<T: Argument>(&mut self, mut call: Call<T>) -> Result<Call<T>, Errno> {
        let title = self.title.clone();
        let address = if call.buffer.is_empty() { 0 } else { BUFFER };
        call.argument.point(address, call.buffer.len());
        let request = (call.request.name.to_owned(), call.request.number());
        assert_eq!(self.request.as_ref(), Some(&request), "{title}");
        let input = self.take("ioctl.in").expect("an argument");
        assert_eq!(call.argument.as_bytes(), input, "{title}");
        assert_eq!(call.buffer, self.take("buffer.in").unwrap_or_default(), "{title}");

        let output = self.take("ioctl.out").expect("an argument");
        call.argument = T::read_from_bytes(&output).expect("its size");
        call.buffer = self.take("buffer.out").unwrap_or_default();
        self.outcome().map(|()| call)
    }

    /// Asserts that `call`, to which the kernel has no answer, is the recorded one.
    pub(crate) fn set<T: Argument>(&mut self, call: Call<T>) -> Result<(), Errno> {
        let field = |name| self.fields.iter().find(|(field, _)| field == name).map(|(_, bytes)| bytes);
        assert_eq!(field("ioctl.in"), field("ioctl.out"), "{}", self.title);
        assert_eq!(field("buffer.in"), field("buffer.out"), "{}", self.title);
        self.ioctl(call).map(drop)
    }

    /// Asserts that `call` is the recorded one, and that the rehearsal's kernel ends it alike.
    pub(crate) fn done<T: Argument>(&mut self, call: Call<T>, rehearsed: kernel::Result<()>) {
        let recorded = self.set(call);
        self.same(&recorded, rehearsed);
    }

    /// Asserts that `message` is the recorded one. Gives the arguments of the answer.
    pub(crate) fn message(&mut self, message: &Message) -> Result<Vec<u8>, Errno> {
        let title = self.title.clone();
        let sent = self.take("sendto.msg").expect("a message");
        let (header, _) = NgMesg::read_from_prefix(&sent).expect("a header");
        assert_eq!(message.address(), self.take("sendto.addr").expect("an address"), "{title}");
        assert_eq!(message.encode(header.token), sent, "{title}");
        self.outcome()?;
        let Some(reply) = self.take("recv.msg") else {
            assert!(!message.has_answer(), "{title}: it has an answer");
            return Ok(Vec::new());
        };
        let sender = self.take("recv.addr").expect("a sender");
        assert_eq!((usize::from(sender[0]), sender[1]), (sender.len(), AF_NETGRAPH), "{title}");
        Ok(message.answer(header.token, &reply).expect("its answer").to_owned())
    }

    /// Asserts that the rehearsal's kernel does what the recorded one did.
    pub(crate) fn same<T: PartialEq + Debug>(
        &self,
        recorded: &Result<T, Errno>,
        rehearsed: kernel::Result<T>,
    ) {
        assert_eq!(rehearsed.map_err(|error| error.errno), *recorded, "{}", self.title);
    }
}
