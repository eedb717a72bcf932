//! The program's entry: everything is in the library.
#![forbid(unsafe_code)]

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use dtcpclient::exit::Exit;

fn main() -> ExitCode {
    // A daemon has no standard error: a panic is told where everything is told.
    panic::set_hook(Box::new(|panic| log::error!("internal fault, please report it: {panic}")));
    // Unwinding takes the tunnel down and the pid file away.
    let exit = panic::catch_unwind(AssertUnwindSafe(|| dtcpclient::startup::run(std::env::args_os())));
    exit.unwrap_or(Exit::Software).into()
}
