//! Kernel modules are loaded when a call fails without them.

use ffi::errno::Errno;
use ffi::kernel::{self, Kernel};

use super::error::{Error, Step};

/// The sign that a module is missing, and the modules to load.
pub(super) struct ModuleProbe {
    /// The errno of a call without the module.
    pub(super) sign: Errno,
    pub(super) module: &'static str,
    /// Modules that will be needed next. If one cannot be loaded, this is reported when it is needed.
    pub(super) companions: &'static [&'static str],
}

/// Makes a call, and repeats it if a module was missing and has been loaded.
pub(super) fn call<T>(
    kernel: &mut dyn Kernel,
    step: Step,
    probe: &ModuleProbe,
    call: fn(&mut dyn Kernel) -> kernel::Result<T>,
) -> Result<T, Error> {
    let result = match call(kernel) {
        Err(cause) if cause.errno == probe.sign => {
            let module = probe.module;
            kernel.load_module(module).map_err(|cause| Error::module(module, cause))?;
            for companion in probe.companions {
                let _ = kernel.load_module(companion);
            }
            call(kernel)
        }
        result => result,
    };
    result.map_err(|cause| Error::new(step, None, cause))
}
