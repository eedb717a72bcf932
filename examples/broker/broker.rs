//! What all sessions share, and the loop that starts one for each connection.

use std::fmt::Arguments;
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::lines::wait;
use crate::options::Options;
use crate::pool::Pool;
use crate::session;
use crate::tunnel::{Request, Tunnel};
use crate::users::Users;

/// How long to wait when a connection cannot be accepted, for instance for want of a file descriptor.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct Broker {
    pub options: Options,
    pub users: Users,
    pool: Mutex<Pool>,
    /// Held while the operator's program runs: it need not expect to be run twice at a time.
    program: Mutex<()>,
}

impl Broker {
    pub(crate) fn new(options: Options, users: Users) -> Self {
        let pool = Mutex::new(Pool::new(options.tunnels, options.first_port));
        Self { options, users, pool, program: Mutex::default() }
    }

    /// Serves each connection in its own thread until `stop` is readable, then waits until all have ended.
    pub(crate) fn serve(&self, listener: &TcpListener, stop: &(impl AsFd + Sync)) -> io::Result<()> {
        // A client that left between poll(2) and accept(2) must not block the loop.
        listener.set_nonblocking(true)?;
        thread::scope(|scope| {
            loop {
                match wait(listener, stop, None) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
                    Err(error) => return Err(error),
                }
                let started = listener.accept().and_then(|(stream, _)| {
                    thread::Builder::new().spawn_scoped(scope, move || session::serve(self, stream, stop))
                });
                match started {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => {
                        eprintln!("broker: cannot serve a connection: {error}");
                        thread::sleep(PAUSE);
                    }
                }
            }
        })
    }

    /// Makes a tunnel; `None` if the pool is empty or the operator's program fails.
    pub(crate) fn begin(&self, request: &Request) -> Option<Tunnel> {
        let share = self.pool().take(request.user, request.proto == "udp")?;
        let tunnel = Tunnel::new(request, share, &self.options);
        if self.run(&tunnel, "up") {
            return Some(tunnel);
        }
        self.pool().free(&tunnel.share);
        None
    }

    /// Ends a tunnel. What it had is free once the operator's program has ended.
    pub(crate) fn end(&self, tunnel: &Tunnel) {
        self.run(tunnel, "down");
        self.pool().free(&tunnel.share);
    }

    /// Whether the operator's program, if there is one, succeeded.
    fn run(&self, tunnel: &Tunnel, change: &str) -> bool {
        let Some(program) = &self.options.exec else { return true };
        let _turn = self.program.lock().unwrap_or_else(PoisonError::into_inner);
        let failure = match tunnel.run(program, change) {
            Ok(status) if status.success() => return true,
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        event(format_args!("failed {change} {} {failure}", tunnel.user()));
        false
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        // The pool is consistent at every instant, even if a thread panicked while it had the lock.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Prints a line on standard output. It must not contain a password or a response.
pub(crate) fn event(event: Arguments) {
    let mut output = io::stdout().lock();
    // If nothing reads the events, the tunnels go on.
    let _ = writeln!(output, "{event}").and_then(|()| output.flush());
}
