//! Keeps this process's memory, which holds the password, out of core dumps and from debuggers.

use std::io;
use std::sync::OnceLock;

use log::warn;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// The soft limit on core dumps that this program was started with.
static CORE_LIMIT: OnceLock<rlim_t> = OnceLock::new();

/// Protects this process for the rest of its life. A program that it executes is not protected.
pub(crate) fn protect() {
    limit_cores(|limit| {
        // The limit of the first call is the one that the script gets.
        CORE_LIMIT.get_or_init(|| limit);
        0
    });
    if let Err(error) = deny_tracing() {
        // FreeBSD refuses this to a process that is being traced.
        warn!("cannot keep debuggers from the password: {error}");
    }
}

/// Calls `start`, which starts a program, with the limit on core dumps that the program is to inherit.
pub(crate) fn with_former_core_limit<T>(start: impl FnOnce() -> T) -> T {
    let Some(&former) = CORE_LIMIT.get() else { return start() };
    // In between, this process still leaves no core, since it denies tracing.
    limit_cores(|_| former);
    let started = start();
    limit_cores(|_| 0);
    started
}

/// Replaces the soft limit by what `replace` makes of it.
fn limit_cores(replace: impl FnOnce(rlim_t) -> rlim_t) {
    let limited = getrlimit(Resource::RLIMIT_CORE)
        .and_then(|(soft, hard)| setrlimit(Resource::RLIMIT_CORE, replace(soft), hard));
    if let Err(error) = limited {
        warn!("cannot set the limit on core dumps: {error}");
    }
}

#[cfg(target_os = "freebsd")]
fn deny_tracing() -> io::Result<()> {
    ffi::freebsd::deny_tracing().map_err(io::Error::other)
}

#[cfg(target_os = "linux")]
fn deny_tracing() -> io::Result<()> {
    Ok(nix::sys::prctl::set_dumpable(false)?)
}

#[cfg(not(any(target_os = "freebsd", target_os = "linux")))]
fn deny_tracing() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_leaves_no_core_but_a_program_that_it_starts_may() {
        let soft = || getrlimit(Resource::RLIMIT_CORE).unwrap().0;
        let (_, hard) = getrlimit(Resource::RLIMIT_CORE).unwrap();
        setrlimit(Resource::RLIMIT_CORE, hard, hard).unwrap();
        protect();
        assert_eq!(soft(), 0);
        assert_eq!(with_former_core_limit(soft), hard);
        assert_eq!(soft(), 0);
        #[cfg(target_os = "linux")]
        assert!(!nix::sys::prctl::get_dumpable().unwrap());
    }
}
