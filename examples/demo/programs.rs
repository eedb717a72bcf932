//! The client and the broker, built.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;

/// Where the two programs are.
pub(crate) struct Programs {
    pub client: PathBuf,
    pub broker: PathBuf,
}

impl Programs {
    /// Looks for them where cargo puts them: beside the examples, and among them. Under `cargo run`, which has built
    /// nothing but this example, builds them first.
    pub(crate) fn find() -> Result<Self, Error> {
        let demo = env::current_exe()?;
        let examples = demo.parent().unwrap_or(Path::new("."));
        let profile = examples.parent().unwrap_or(examples);
        if let Some(cargo) = env::var_os("CARGO") {
            build(Path::new(&cargo), profile)?;
        }
        Ok(Self { client: there(profile.join("dtcpclient"))?, broker: there(examples.join("broker"))? })
    }
}

/// Builds with the profile that this example was built with, which names the folder.
fn build(cargo: &Path, profile: &Path) -> Result<(), Error> {
    let profile = match profile.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => "dev",
        Some(name) => name,
    };
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let status = Command::new(cargo)
        .args(["build", "--manifest-path", manifest, "--profile", profile])
        .args(["--bin", "dtcpclient", "--example", "broker"])
        .status()
        .map_err(|error| Error::Start { program: cargo.to_owned(), error })?;
    if status.success() { Ok(()) } else { Err(Error::Build(status)) }
}

fn there(program: PathBuf) -> Result<PathBuf, Error> {
    if program.is_file() { Ok(program) } else { Err(Error::NoProgram(program)) }
}
