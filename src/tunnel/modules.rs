//! Kernel modules: a call that shows that one is missing is made again once it is loaded.

use ffi::errno::Errno;
use ffi::kernel::{self, Kernel};

use super::error::{Error, Step};

/// How it shows that a module is missing, and what to load then.
pub(super) struct Missing {
    /// What a call fails with.
    pub sign: Errno,
    /// The module.
    pub module: &'static str,
    /// Others that will be needed next. Where one of them cannot be loaded, that is told when it is needed.
    pub companions: &'static [&'static str],
}

/// Makes a call, and makes it again where a module was missing and is loaded now.
pub(super) fn call<T>(
    kernel: &mut dyn Kernel,
    step: Step,
    missing: &Missing,
    call: fn(&mut dyn Kernel) -> kernel::Result<T>,
) -> Result<T, Error> {
    let result = match call(kernel) {
        Err(cause) if cause.errno == missing.sign => {
            let module = missing.module;
            kernel.load_module(module).map_err(|cause| Error::module(module, &cause))?;
            for companion in missing.companions {
                let _ = kernel.load_module(companion);
            }
            call(kernel)
        }
        result => result,
    };
    result.map_err(|cause| Error::new(step, None, cause))
}
