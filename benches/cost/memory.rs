//! What grows with time and with the number of logins: nothing should.

use std::env;
use std::time::{Duration, Instant};

use harness::Directory;
use nix::sys::signal::Signal;

use crate::process::{Measured, client, ps};
use crate::report::{Report, note};
use crate::server::{Event, Manner, Server};
use crate::session::{Life, login};

/// The name of the variable with the number of logins, at most four a second.
const LOGINS: &str = "DTCPCLIENT_SOAK_LOGINS";

/// A session's actions and this process's memory over a day of virtual time.
pub(crate) fn measure_a_day(report: &mut Report) {
    let begin = || {
        let mut life = Life::new(login(), Instant::now());
        life.log_in();
        life
    };
    // What this process itself needs is there before the first look.
    begin().live_until(Duration::from_hours(24));
    ps("rss", std::process::id());
    let mut life = begin();
    let mut curve = Vec::new();
    let mut first = None;
    let mut last = 0;
    for hour in [1, 6, 12, 24] {
        life.live_until(Duration::from_hours(hour));
        last = ps("rss", std::process::id());
        first.get_or_insert(last);
        curve.push(format!("hour {hour}: {} actions, {last} KiB", life.actions));
    }
    note("a day in virtual time", curve.join("; "));
    let grown = last.saturating_sub(first.unwrap_or_default());
    report.at_most("growth of memory between hours 1 and 24", grown, 256, "KiB");
    // The login, its tunnel, and a ping a minute.
    report.at_most("actions of a day", life.actions, 2 + 24 * 60, "actions");
}

/// The resident memory of a client that logs in again and again.
pub(crate) fn measure_logins(report: &mut Report) {
    let logins: usize = env::var(LOGINS).map_or(100, |text| text.parse().expect("a number"));
    // By then, whatever is allocated once has been: on FreeBSD, that takes some hundred logins.
    let settled = logins / 2;
    let (directory, server) = (Directory::default(), Server::start(Manner::Kind));
    let process = Measured::start(client(&directory, server.port, &[]));
    let mut early = 0;
    for login in 1..=logins {
        server.wait_for(Event::Ping, login);
        if login == settled {
            early = process.resident();
        }
        if login < logins {
            process.signal(Signal::SIGHUP);
        }
    }
    let late = process.resident();
    let what = format!("resident memory after {logins} logins");
    if cfg!(target_os = "freebsd") {
        report.at_most(&what, late, 3 * 1024, "KiB");
    } else {
        note(&what, format!("{late} KiB"));
    }
    report.at_most(&format!("  growth of it since login {settled}"), late.saturating_sub(early), 64, "KiB");
    process.signal(Signal::SIGTERM);
    process.wait();
}
