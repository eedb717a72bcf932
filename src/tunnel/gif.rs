//! The gif interface of a tunnel without UDP.

use ffi::errno::Errno;
use ffi::kernel::Kernel;
use ffi::name::InterfaceName;

use super::error::{Error, Step};
use super::modules::{self, ModuleProbe};

/// A kernel without gif(4) gives EINVAL.
const PROBE: ModuleProbe = ModuleProbe { sign: Errno::EINVAL, module: "if_gif", companions: &[] };

/// Creates a gif, and loads the module if it is missing.
pub(super) fn make(kernel: &mut dyn Kernel) -> Result<InterfaceName, Error> {
    modules::call(kernel, Step::Create, &PROBE, |kernel| kernel.create_gif())
}
