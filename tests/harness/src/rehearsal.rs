//! Kernels to rehearse with.

use std::cell::RefCell;
use std::rc::Rc;

use ffi::name::InterfaceName;
use ffi::rehearsal::Rehearsal;

/// A rehearsal, and the commands that it has reported so far.
pub fn rehearsal() -> (Rehearsal, Rc<RefCell<Vec<String>>>) {
    let commands = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&commands);
    (Rehearsal::new(move |words| sink.borrow_mut().push(words.join(" "))), commands)
}

/// A rehearsal that nobody listens to.
pub fn silent() -> Rehearsal {
    Rehearsal::new(|_| {})
}

/// Whether nothing is left on a kernel.
pub fn is_empty(kernel: &Rehearsal) -> bool {
    kernel.interfaces().is_empty()
}

/// An interface's name.
pub fn name(text: &str) -> InterfaceName {
    InterfaceName::new(text).expect("a good name")
}
