//! The broker: what its connections share, and the loop that accepts them.

use std::fmt::Arguments;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::lines::{Woken, wait};
use crate::options::Options;
use crate::pool::Pool;
use crate::session;
use crate::tunnel::{Request, Transport, Tunnel};
use crate::users::{Users, hex};

/// How long the broker pauses when it has no descriptor left for one more connection.
const PAUSE: Duration = Duration::from_millis(100);

/// What all connections share.
pub(crate) struct Broker {
    pub options: Options,
    pub users: Users,
    pool: Mutex<Pool>,
    events: Mutex<Box<dyn Write + Send>>,
    random: File,
}

impl Broker {
    pub(crate) fn new(options: Options, users: Users, events: Box<dyn Write + Send>) -> io::Result<Self> {
        let pool = Mutex::new(Pool::new(options.tunnels, options.udp.first_port));
        Ok(Self { options, users, pool, events: Mutex::new(events), random: File::open("/dev/urandom")? })
    }

    /// Serves every connection in a thread of its own until `stop` is readable, then waits until all have ended.
    pub(crate) fn serve(&self, listener: &TcpListener, stop: &(impl AsFd + Sync)) -> io::Result<()> {
        // A client that left between the poll and the accept must not block the loop.
        listener.set_nonblocking(true)?;
        thread::scope(|scope| {
            while let Woken::Ready = wait(listener, stop, None)? {
                let served = listener.accept().and_then(|(stream, _)| {
                    thread::Builder::new().spawn_scoped(scope, move || session::serve(self, stream, stop))
                });
                match served {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => {
                        eprintln!("broker: cannot serve a connection: {error}");
                        thread::sleep(PAUSE);
                    }
                }
            }
            Ok(())
        })
    }

    /// A fresh challenge. Not from a seeded generator: whoever can guess one can replay a response to it.
    pub(crate) fn challenge(&self) -> io::Result<String> {
        let mut bytes = [0; 16];
        (&self.random).read_exact(&mut bytes)?;
        Ok(hex(&bytes))
    }

    /// Makes a tunnel between two addresses; none if everything is taken, or the operator's program fails.
    pub(crate) fn begin(&self, request: &Request, me: Ipv4Addr, her: Ipv4Addr) -> Option<Tunnel> {
        let udp = request.transport != Transport::Ip;
        let share = locked(&self.pool).take(request.user, udp)?;
        let tunnel = Tunnel::new(request, me, her, share, &self.options.addresses);
        if self.run(&tunnel, "up") {
            return Some(tunnel);
        }
        locked(&self.pool).free(&tunnel.share);
        None
    }

    /// Ends a tunnel; only then may others have what it held.
    pub(crate) fn end(&self, tunnel: &Tunnel) {
        self.run(tunnel, "down");
        locked(&self.pool).free(&tunnel.share);
    }

    /// Whether the operator's program, if there is one, did its work.
    fn run(&self, tunnel: &Tunnel, change: &str) -> bool {
        let Some(program) = &self.options.exec else { return true };
        let failure = match tunnel.run(program, change) {
            Ok(status) if status.success() => return true,
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        self.event(format_args!("failed {change} {} {failure}", tunnel.user));
        false
    }

    /// Tells whoever follows the broker what has happened. Never a password or a response.
    pub(crate) fn event(&self, event: Arguments) {
        let mut events = locked(&self.events);
        // Nobody may be following, and that must not end the tunnels.
        let _ = writeln!(events, "{event}").and_then(|()| events.flush());
    }
}

/// What is behind these locks is whole at every instant: a thread that died with one has broken nothing.
fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
