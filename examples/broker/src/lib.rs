//! A small DTCP broker: the server's half of the protocol, to try a client with.
//!
//! It behaves as KAME's `dtcps` does, but makes no tunnel by itself: it logs users in, hands out addresses and
//! UDP ports, keeps each tunnel for as long as its connection lives, and tells a program of the operator's
//! (`--exec`) when one comes and goes. To try it:
//!
//! ```text
//! $ echo 'localhost:foo:bar' > users
//! $ cargo run --example broker -- --users users
//! ```
//!
//! One TCP connection is one conversation, in lines of text, server (S) and client (C):
//!
//! ```text
//! S: +OK 0B1517C87D516A5FA65BED722D51A04F DTCP broker      the challenge is the second word
//! C: tunnel foo DAC487C8DFBBF9EE5C7F8CDCC37B62A3 host      MD5 over user, challenge and password
//! S: +OK 192.0.2.7 198.51.100.1 2001:0db8::0006 2001:0db8::0005
//! C: ping                                                  every minute, or the server hangs up
//! S: +OK hi, happy to hear from you
//! C: quit
//! S: +OK see you soon.
//! ```
//!
//! Read on in `session` (what is answered to what), then `tunnel` (the words of an answer), `pool` (who gets
//! which addresses and port), `users` (the login) and `lines` (the socket).

mod broker;
mod lines;
mod options;
mod pool;
mod session;
mod tunnel;
mod users;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{SocketAddrV4, TcpListener};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use clap::Parser;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::broker::Broker;
use crate::options::Options;
use crate::users::Users;

/// Why the broker could not start, or stopped before it was told to.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Users(#[from] users::Error),
    #[error("cannot listen on {address} (--listen): {source}")]
    Listen { address: SocketAddrV4, source: io::Error },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the command line, and serves until a signal ends it.
pub fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("broker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), Error> {
    let (stop, signalled) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT] {
        pipe::register(signal, signalled.try_clone()?)?;
    }
    let users = Users::load(&options.users, options.name.as_deref())?;
    let address = options.listen;
    let listener = TcpListener::bind(address).map_err(|source| Error::Listen { address, source })?;
    let listening = listener.local_addr()?;
    let broker = Broker::new(options, users, Box::new(io::stdout()))?;
    broker.event(format_args!("listening on {listening}"));
    Ok(broker.serve(&listener, &stop)?)
}
