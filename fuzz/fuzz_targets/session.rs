//! A session: bytes, instants, and closes by either side, in any order.
//!
//! The model of the tests checks that each action follows the rules.
#![no_main]

use std::time::Duration;

use dtcpclient::protocol::{Action, ClientLine};
use dtcpclient_fuzz::{Checker, GREETING, LOCAL, Line, RESPONSE, Setup, log_everything};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use model::World;

#[expect(dead_code, reason = "its server is mute here")]
#[path = "../../tests/session/model.rs"]
mod model;

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Greet,
    Hear(&'a [u8]),
    HearLine(Line<'a>),
    /// A server quotes the client's line.
    HearResponse(&'a [u8]),
    HearMany(u8, Line<'a>),
    HearLate(u16, Line<'a>),
    Wait(u16),
    WaitLong(u8),
    /// The host was suspended.
    PingEarly,
    /// SIGHUP or SIGTERM.
    Leave,
    /// The kernel will refuse the tunnel.
    Refuse,
    /// By the server; or the connection breaks.
    Close,
}

fuzz_target!(|input: (Setup, Vec<Step>)| {
    log_everything();
    let (setup, steps) = input;
    let mut world = World::mute(setup.login());
    let mut lines = 0;
    for step in &steps {
        let heard = take(&mut world, step);
        lines += heard.split(|&byte| byte == b'\n').count() - 1;
        check(&world, lines);
        if matches!(step, Step::Close) {
            break;
        }
    }
    Checker::new(setup, LOCAL).check(world.seen().iter().map(|(_, action)| action));
});

/// Takes a step. Returns what the client has heard.
fn take(world: &mut World, step: &Step) -> Vec<u8> {
    let bytes = match step {
        Step::Greet => GREETING.to_vec(),
        Step::Hear(bytes) => bytes.to_vec(),
        Step::HearLine(line) | Step::HearLate(_, line) => line.bytes(),
        Step::HearResponse(rest) => [b"-ERR ", RESPONSE.as_bytes(), rest, b"\r\n"].concat(),
        Step::HearMany(times, line) => line.bytes().repeat(usize::from(*times)),
        _ => Vec::new(),
    };
    match step {
        Step::HearLate(seconds, _) => world.hear_late(Duration::from_secs((*seconds).into()), &bytes),
        Step::Wait(milliseconds) => world.run_for(Duration::from_millis((*milliseconds).into())),
        Step::WaitLong(minutes) => world.run_for(Duration::from_mins((*minutes).into())),
        Step::PingEarly => world.ping_early(),
        Step::Leave => world.leave(),
        Step::Refuse => world.kernel_refuses = true,
        Step::Close => assert!(!format!("{} {}", world.session.stage(), world.session.state()).is_empty()),
        _ => world.hear(&bytes),
    }
    bytes
}

/// The session ends, or has a timer. It pings once, and again only after an answer.
fn check(world: &World, lines: usize) {
    assert_eq!(world.session.timer().is_none(), world.is_over());
    let pings = world.times_of(|action| *action == Action::Send(ClientLine::Ping)).len();
    assert!(pings <= 1 + lines, "{pings} pings, {lines} lines");
}
