//! The program's entry: everything is in the library.

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use dtcpclient::exit::Exit;

fn main() -> ExitCode {
    // A daemon has no standard error: a panic goes to the log.
    panic::set_hook(Box::new(|panic| log::error!("internal error, please report it: {panic}")));
    // Unwinding removes the tunnel and the pid file.
    let exit = panic::catch_unwind(AssertUnwindSafe(|| dtcpclient::startup::run(std::env::args_os())));
    exit.unwrap_or(Exit::Software).into()
}
