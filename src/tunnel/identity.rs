//! A process recognizes its interface by the description.

use ffi::errno::Errno;
use ffi::kernel::Kernel;
use ffi::name::InterfaceName;

use super::GROUP;

/// The description of the interface of process `pid`, with a tunnel to `server`.
pub(super) fn description(server: &str, pid: u32) -> String {
    format!("dtcpclient: {server}, pid {pid}")
}

/// The pid in a description; `None` if it is not dtcpclient's.
pub(super) fn owner(description: &str) -> Option<u32> {
    let (_, pid) = description.strip_prefix("dtcpclient: ")?.rsplit_once(", pid ")?;
    pid.parse().ok()
}

/// The current name of the interface with the description `ours` and the last known name `was`: others may have renamed
/// or destroyed it. `None` if it is gone.
///
/// If the kernel refuses to answer, the name is assumed to be unchanged.
pub(super) fn find_again(kernel: &mut dyn Kernel, was: &InterfaceName, ours: &str) -> Option<InterfaceName> {
    let described = match kernel.description(was) {
        Ok(description) if description == ours => return Some(was.clone()),
        Ok(description) => Some(description),
        Err(cause) if cause.errno == Errno::ENXIO => None,
        Err(_) => return Some(was.clone()),
    };
    let Ok(members) = kernel.group_members(GROUP) else { return Some(was.clone()) };
    // An administrator has changed its description. That of another dtcpclient would have a pid.
    if members.contains(was) && described.is_some_and(|description| owner(&description).is_none()) {
        return Some(was.clone());
    }
    members.into_iter().find(|member| kernel.description(member).is_ok_and(|description| description == ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_description_of_ours_names_its_process() {
        assert_eq!(owner(&description("broker.example", 123)), Some(123));
        assert_eq!(owner(&description("odd, pid 7", 123)), Some(123));
        let cut_short = ["", "uplink", "dtcpclient: x", "dtcpclient: x, pid"];
        for other in cut_short.into_iter().chain(["dtcpclient: x, pid -1", "my dtcpclient: x, pid 1"]) {
            assert_eq!(owner(other), None, "{other}");
        }
    }
}
