//! A process recognizes its interface by the description.

use std::time::Duration;

use ffi::errno::Errno;
use ffi::kernel::{self, Kernel};
use ffi::name::InterfaceName;

use super::{ALL, GROUP};

/// A process: its number may be used again, but not with the same start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) pid: u32,
    /// Since the system started.
    start: Duration,
}

impl Owner {
    /// This process.
    pub(super) fn this(kernel: &mut dyn Kernel) -> kernel::Result<Self> {
        let pid = std::process::id();
        let start = kernel.process_start(pid)?;
        let missing = || kernel::Error::new(format_args!("sysctl(kern.proc.pid.{pid})"), Errno::ESRCH);
        Ok(Self { pid, start: start.ok_or_else(missing)? })
    }

    /// The process that a description names; `None` if the description is not one of ours.
    pub(super) fn read(description: &str) -> Option<Self> {
        let (_, owner) = description.strip_prefix("dtcpclient: ")?.rsplit_once(", pid ")?;
        let (pid, start) = owner.split_once(", started ")?;
        let (seconds, microseconds) = start.split_once('.')?;
        let microseconds = microseconds.parse().ok().filter(|_| microseconds.len() == 6)?;
        let start = Duration::from_secs(seconds.parse().ok()?) + Duration::from_micros(microseconds);
        Some(Self { pid: pid.parse().ok()?, start })
    }

    /// The description of this owner's interface, with a tunnel to `server`.
    pub(super) fn description(&self, server: &str) -> String {
        let (seconds, microseconds) = (self.start.as_secs(), self.start.subsec_micros());
        format!("dtcpclient: {server}, pid {}, started {seconds}.{microseconds:06}", self.pid)
    }

    /// Whether this process still exists. If the kernel cannot be asked, it is taken to.
    pub(super) fn lives(&self, kernel: &mut dyn Kernel) -> bool {
        kernel.process_start(self.pid).map_or(true, |start| start == Some(self.start))
    }
}

/// The current name of the interface with the description `ours`, the last known name `was`, and this index: others may
/// have renamed it, described it in another way, or destroyed it. `None` if it is gone.
///
/// If the kernel refuses to answer, the name is assumed to be unchanged.
pub(super) fn find_again(
    kernel: &mut dyn Kernel,
    was: &InterfaceName,
    index: Option<u32>,
    ours: &str,
) -> Option<InterfaceName> {
    let described = match kernel.description(was) {
        Ok(description) if description == ours => return Some(was.clone()),
        Ok(description) => Some(description),
        Err(cause) if cause.errno == Errno::ENXIO => None,
        Err(_) => return Some(was.clone()),
    };
    let found = match by_index(kernel, index, ours) {
        Ok(None) => by_description(kernel, ours),
        found => found,
    };
    found.unwrap_or_else(|_| {
        // If another interface has the old name, it must not be taken for ours.
        let is_others = described.is_some_and(|description| Owner::read(&description).is_some())
            || kernel.index(was).is_ok_and(|other| Some(other) != index);
        (!is_others).then(|| was.clone())
    })
}

/// The interface with this index, unless another has got it: if it is not described as ours, it is in our group, and is no
/// other client's.
fn by_index(
    kernel: &mut dyn Kernel,
    index: Option<u32>,
    ours: &str,
) -> kernel::Result<Option<InterfaceName>> {
    let Some(index) = index else { return Ok(None) };
    let name = match kernel.name_of(index) {
        Ok(name) => name,
        Err(cause) if cause.errno == Errno::ENXIO => return Ok(None),
        Err(cause) => return Err(cause),
    };
    let description = kernel.description(&name)?;
    let is_ours = description == ours
        || (Owner::read(&description).is_none() && kernel.group_members(GROUP)?.contains(&name));
    Ok(is_ours.then_some(name))
}

/// The interface with this description: its index changes if it is lent to a jail.
fn by_description(kernel: &mut dyn Kernel, ours: &str) -> kernel::Result<Option<InterfaceName>> {
    let mut unknown = None;
    for name in kernel.group_members(ALL)? {
        match kernel.description(&name) {
            Ok(description) if description == ours => return Ok(Some(name)),
            Err(cause) if cause.errno != Errno::ENXIO => unknown = Some(cause),
            _ => {}
        }
    }
    unknown.map_or(Ok(None), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_description_by_somebody_else_names_no_process() {
        for other in [
            "",
            "uplink",
            "dtcpclient: x",
            "dtcpclient: x, pid",
            "dtcpclient: x, pid 1",
            "dtcpclient: x, pid -1, started 1.000000",
            "dtcpclient: x, pid 1, started 1.5",
            "my dtcpclient: x, pid 1, started 1.000000",
        ] {
            assert_eq!(Owner::read(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_description_names_its_process(pid: u32, seconds: u32, microseconds in 0..1_000_000_u32, server: String) {
            let owner = Owner { pid, start: Duration::new(seconds.into(), microseconds * 1000) };
            prop_assert_eq!(Owner::read(&owner.description(&server)), Some(owner));
            prop_assert_eq!(Owner::read(&owner.description(", pid 7, started 1.000000")), Some(owner));
        }
    }
}
