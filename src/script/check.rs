//! Whether the script can be executed, and only root and this user can change it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use log::info;

use crate::options::InputFile;
use crate::ownership::{self, Unsafe};

/// The maximum length of the line with the interpreter, in bytes. FreeBSD takes a page at most, Linux less.
const LONGEST_LINE: u64 = 4096;

/// Why the script cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It does not exist, or cannot be read.
    #[error("cannot use the script {}", .0.display())]
    Missing(PathBuf, #[source] io::Error),
    /// It is a directory, or has no execute bit.
    #[error("the script {} is not executable: run chmod +x on it", .0.display())]
    NotExecutable(PathBuf),
    /// Other users could change it.
    #[error("the script {} is not safe", .0.display())]
    Unsafe(PathBuf, #[source] Unsafe),
    /// It is neither a binary nor begins with `#!`: the kernel does not execute it.
    #[error("the script {} names no interpreter: begin it with #!/bin/sh, for example", .0.display())]
    NoInterpreter(PathBuf),
    /// The interpreter does not exist or is not executable. Shown with escapes, since it often ends with a CR.
    #[error("the script {} names an interpreter that cannot be executed: {interpreter:?}", path.display())]
    BadInterpreter {
        /// The script.
        path: PathBuf,
        /// As named by its first line.
        interpreter: PathBuf,
    },
}

/// Checks the script. Returns `None` if the default script does not exist, which is only logged.
pub fn check(script: &InputFile) -> Result<Option<PathBuf>, ScriptError> {
    match check_program(&script.path) {
        Err(ScriptError::Missing(path, error))
            if !script.named && error.kind() == io::ErrorKind::NotFound =>
        {
            info!("{} does not exist: no script will be run", path.display());
            Ok(None)
        }
        checked => checked.map(|()| Some(script.path.clone())),
    }
}

/// Checks a script that must exist.
pub(super) fn check_program(path: &Path) -> Result<(), ScriptError> {
    let missing = |error| ScriptError::Missing(path.to_owned(), error);
    if !is_executable(path).map_err(missing)? {
        return Err(ScriptError::NotExecutable(path.to_owned()));
    }
    ownership::check(path).map_err(|error| ScriptError::Unsafe(path.to_owned(), error))?;
    match File::open(path).and_then(first_line) {
        Ok(line) => check_first_line(path, &line),
        // A binary need not be readable.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(missing(error)),
    }
}

fn is_executable(path: &Path) -> io::Result<bool> {
    let found = fs::metadata(path)?;
    Ok(found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn first_line(file: File) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    file.take(LONGEST_LINE).read_to_end(&mut line)?;
    line.truncate(line.iter().position(|&byte| byte == b'\n').unwrap_or(line.len()));
    Ok(line)
}

fn check_first_line(path: &Path, line: &[u8]) -> Result<(), ScriptError> {
    if line.starts_with(b"\x7fELF") {
        return Ok(());
    }
    let words = line.strip_prefix(b"#!").unwrap_or_default().split(|byte| matches!(byte, b' ' | b'\t'));
    let Some(interpreter) = words.into_iter().find(|word| !word.is_empty()) else {
        return Err(ScriptError::NoInterpreter(path.to_owned()));
    };
    // The script is run in the root directory.
    let interpreter = Path::new("/").join(OsStr::from_bytes(interpreter));
    if is_executable(&interpreter).unwrap_or(false) {
        return Ok(());
    }
    Err(ScriptError::BadInterpreter { path: path.to_owned(), interpreter })
}
