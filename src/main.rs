//! The program's entry: everything is in the library.

#[cfg(panic = "abort")]
compile_error!("a panic must unwind, which removes the tunnel: build with panic=unwind");

use std::io::Write;
use std::panic::{self, AssertUnwindSafe};

use dtcpclient::exit::Exit;

fn main() -> ! {
    // A daemon has no standard error: a panic goes to the log.
    panic::set_hook(Box::new(|panic| log::error!("internal error, please report it: {panic}")));
    // Unwinding removes the tunnel and the pid file.
    let exit = panic::catch_unwind(AssertUnwindSafe(|| dtcpclient::startup::run(std::env::args_os())));
    let exit = exit.unwrap_or(Exit::Software);
    let _ = std::io::stdout().flush();
    log::logger().flush();
    // By _exit(2): on FreeBSD, exit(3) waits for a lock that a thread in getaddrinfo(3) holds.
    signal_hook::low_level::exit(exit.code().into())
}
