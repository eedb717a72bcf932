//! The gif of a tunnel without UDP.
#![forbid(unsafe_code)]

use ffi::errno::Errno;
use ffi::kernel::Kernel;
use ffi::name::InterfaceName;

use super::error::{Error, Step};

/// The module that brings gif(4).
const MODULE: &str = "if_gif";

/// Makes a gif, loading the module where it is missing: a kernel without it says EINVAL.
pub fn make(kernel: &mut dyn Kernel) -> Result<InterfaceName, Error> {
    let made = match kernel.create_gif() {
        Err(cause) if cause.errno == Errno::EINVAL => {
            kernel.load_module(MODULE).map_err(|cause| Error::module(MODULE, &cause))?;
            kernel.create_gif()
        }
        made => made,
    };
    made.map_err(|cause| Error::new(Step::Create, None, cause))
}
