//! One line from the server, as its greeting, its offer, and its answer to a ping.
#![no_main]

use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Instant;

use dtcpclient::protocol::{Action, Session};
use dtcpclient_fuzz::{Checker, GREETING, LOCAL, Line, Setup, log_everything};
use libfuzzer_sys::fuzz_target;

const OFFER: &[u8] = b"+OK 192.0.2.1 192.0.2.2 2001:db8::2 2001:db8::1 2001:db8:1::/48 4028\r\n";

fuzz_target!(|input: (Setup, bool, Line)| {
    log_everything();
    let (setup, on_loopback, line) = input;
    let local = if on_loopback { Ipv4Addr::LOCALHOST } else { LOCAL };
    let line = line.bytes();
    for lines in [&[&line[..]][..], &[GREETING, &line], &[GREETING, OFFER, &line]] {
        let mut session = Session::new(Rc::new(setup.login()), local, Instant::now());
        let mut checker = Checker::new(setup, local);
        for line in lines {
            hear(&mut session, line, &mut checker);
        }
    }
});

fn hear(session: &mut Session, line: &[u8], checker: &mut Checker) {
    let now = Instant::now();
    let mut actions = session.handle_bytes(line, now);
    if let Some(Action::MakeTunnel(_)) = actions.last() {
        actions.extend(session.tunnel_made(now));
    }
    checker.check(&actions);
}
