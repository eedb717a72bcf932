//! Kernel modules: a call that shows that one is missing is made again after it is loaded.

use ffi::errno::Errno;
use ffi::kernel::{self, Kernel};

use super::error::{Error, Step};

/// How it shows that a module is missing, and what to load then.
pub(super) struct ModuleProbe {
    /// What a call fails with.
    pub(super) sign: Errno,
    /// The module.
    pub(super) module: &'static str,
    /// Others that will be needed next. If one of them cannot be loaded, that is reported when it is needed.
    pub(super) companions: &'static [&'static str],
}

/// Makes a call, and makes it again if a module was missing and has been loaded.
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
