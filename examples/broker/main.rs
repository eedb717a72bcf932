//! A small DTCP broker: the server's half of the protocol, to try a client with or to offer tunnels on FreeBSD.
//!
//! It logs users in, assigns addresses and UDP ports, and keeps each tunnel as long as its connection lives. It does
//! not make the server's end of a tunnel: the program named with `--exec` makes and removes it. `docs/broker.md`
//! describes how to use it with `samples/broker.script`. To try it:
//!
//! ```text
//! $ echo 'localhost:foo:bar' > users
//! $ cargo run --example broker -- --users users
//! ```
//!
//! Each TCP connection is a conversation in lines of text between the server (S) and the client (C):
//!
//! ```text
//! S: +OK 0B1517C87D516A5FA65BED722D51A04F DTCP broker      the second word is the challenge
//! C: tunnel foo DAC487C8DFBBF9EE5C7F8CDCC37B62A3 host      MD5 of user, challenge and password
//! S: +OK 192.0.2.7 198.51.100.1 2001:0db8::0006 2001:0db8::0005
//! C: ping                                                  every minute, or the server hangs up
//! S: +OK hi, happy to hear from you
//! C: quit
//! S: +OK see you soon.
//! ```
//!
//! It behaves like KAME's `dtcps`. In particular, it answers `quit`, then ends the tunnel, then closes the connection.
//! A client that logs in again before the connection is closed may find its old tunnel in the way.
//!
//! Start reading at `session` (the conversation); then `tunnel` (the words that describe a tunnel), `pool` (the
//! addresses and ports in use), `users` (the passwords), `lines` (the socket) and `broker` (what all sessions share).

mod broker;
mod lines;
mod options;
mod pool;
mod session;
mod tunnel;
mod users;

use std::error::Error;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use clap::Parser;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::broker::{Broker, event};
use crate::options::Options;
use crate::users::Users;

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("broker: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until SIGTERM or SIGINT.
fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let (stop, signalled) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT] {
        pipe::register(signal, signalled.try_clone()?)?;
    }
    let users = Users::load(&options.users)?;
    let address = options.listen;
    let listener = TcpListener::bind(address)
        .map_err(|error| format!("cannot listen on {address} (--listen): {error}"))?;
    let listening = listener.local_addr()?;
    event(format_args!("listening on {listening}"));
    Ok(Broker::new(options, users).serve(&listener, &stop)?)
}
