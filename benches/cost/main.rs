//! What the program costs: one line for each figure, with its goal and what was measured.
//!
//! `cargo bench --bench cost` measures everything. `cargo test` measures only what other work on the same machine does
//! not disturb. The exit status is 1 if a goal is missed. On FreeBSD, as root, the tunnels are real; elsewhere they are
//! rehearsed.

mod far_end;
mod instructions;
mod login;
mod memory;
mod noise;
mod process;
mod report;
mod rest;
mod server;
#[path = "../session.rs"]
mod session;
mod trace;
#[cfg(target_os = "freebsd")]
mod tunnel;

use std::process::ExitCode;

use report::Report;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [mode, port, script] = &arguments[..]
        && mode == login::FLOOR
    {
        login::be_the_floor(port, script);
        return ExitCode::SUCCESS;
    }
    // As criterion has it, `cargo bench` says so and `cargo test` does not.
    let full = arguments.iter().any(|argument| argument == "--bench");
    let mut report = Report::default();
    noise::measure_sighups(&mut report);
    memory::measure_a_day(&mut report);
    trace::measure(&mut report);
    #[cfg(target_os = "freebsd")]
    tunnel::measure(&mut report, full);
    if full {
        login::measure(&mut report);
        instructions::measure(&mut report);
        noise::measure_flood(&mut report);
        noise::measure_routes(&mut report);
        memory::measure_logins(&mut report);
        rest::measure(&mut report);
    }
    report.exit()
}
