//! The client at work, for whoever wants to see it before installing it: `cargo run --example demo`.
//!
//! A broker on loopback grants the tunnels. The real dtcpclient logs in to it and rehearses: it prints what it
//! would do to FreeBSD's kernel, as commands, and so shows its whole job on any system, and as any user.
//!
//! It is also a check. Every line that is shown is one that was waited for, or comes before such a line; where one
//! is missing, or another comes in its place, the demonstration says so and fails. Nothing is left behind.
//!
//! Read on in `act` (what happens, and what is to be seen of it), then `stage` (how that is waited for and shown),
//! `process` and `lines` (a program that is run, and what it says), `folder` (the files that it is given) and
//! `programs` (where the client and the broker come from).

mod act;
mod error;
mod folder;
mod lines;
mod process;
mod programs;
mod stage;

use std::process::{Command, ExitCode};

use nix::sys::signal::Signal;

use crate::act::{Broker, GIF, UDP};
use crate::error::Error;
use crate::folder::{Folder, PASSWORDS};
use crate::process::Process;
use crate::programs::Programs;
use crate::stage::Stage;

fn main() -> ExitCode {
    match show() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show() -> Result<(), Error> {
    let programs = Programs::find()?;
    let mut stage = Stage::open()?;
    let folder = Folder::new()?;

    stage.step("A DTCP broker starts, with one user, whom the client finds in its auth file too")?;
    stage.say("auth", folder::PASSWORD_LINE)?;
    let mut command = Command::new(&programs.broker);
    command.args(["--listen", "127.0.0.1:0", "--users", PASSWORDS, "--numbered"]);
    let mut process = Process::start("broker", command.current_dir(folder.path()))?;
    let events = process.stdout("broker")?;
    let port = stage.expect_with(&events, "listening on 127.0.0.1:")?;
    let broker = Broker { port, events };

    for act in [GIF, UDP] {
        act.play(&mut stage, &broker, &programs.client, &folder)?;
    }

    stage.step("SIGTERM ends the broker")?;
    process.send(Signal::SIGTERM)?;
    stage.expect_end(&broker.events)?;
    process.expect_success()?;
    stage.say("exit", "status 0")?;
    stage.close()
}
