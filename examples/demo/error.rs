//! What can be missing from the demonstration.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Why the demonstration ends before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot build the client and the broker: cargo ended with {0}")]
    Build(ExitStatus),
    #[error("there is no {}: run `cargo build --bin dtcpclient --example broker` first", .0.display())]
    NoProgram(PathBuf),
    #[error("cannot start {}: {error}", program.display())]
    Start { program: PathBuf, error: io::Error },
    /// Nothing came in time.
    #[error("missing ({who}): `{expected}`: its time is up")]
    Late { who: &'static str, expected: String },
    /// Something else came.
    #[error("missing ({who}): `{expected}`: in its place came `{said}`")]
    Other { who: &'static str, expected: String, said: String },
    /// Nothing more can come.
    #[error("missing ({who}): `{expected}`: the program has ended")]
    Ended { who: &'static str, expected: String },
    #[error("the pid file should hold {expected}, not {found:?}")]
    PidFile { expected: u32, found: String },
    #[error("the pid file {} is still there", .0.display())]
    PidFileLeft(PathBuf),
    #[error("the {who} should have ended with status 0: {status}")]
    Failed { who: &'static str, status: ExitStatus },
    #[error("interrupted")]
    Interrupted,
    #[error(transparent)]
    Io(#[from] io::Error),
}
