//! FreeBSD's own kernel: the few calls that neither the standard library nor nix has.
//!
//! All `unsafe` of the project is here, behind functions that are safe to call. [`FreeBsd`] is made of them.
#![expect(unsafe_code, reason = "the calls to the kernel")]

mod calls;
mod echo_socket;
mod witnesses;

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulong};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::abi::ioctl::{Argument, Call};
use crate::abi::numbers::{AF_NETGRAPH, NG_CONTROL};
use crate::errno::Errno;
use crate::kernel;
use crate::netgraph::Message;

pub use calls::FreeBsd;

/// The options of jemalloc(3), FreeBSD's malloc(3), which reads this variable before `main`. Arenas and caches for each
/// thread are for programs in which many allocate at a time. Here they would add a tenth to the memory.
// SAFETY: jemalloc declares it as a `const char *`: this is a pointer to a string that ends with a NUL.
#[unsafe(export_name = "malloc_conf")]
pub static MALLOC_CONF: &[u8; 23] = b"narenas:1,tcache:false\0";

/// ioctl(2): makes a call, and returns it as the kernel left it.
fn ioctl<T: Argument>(socket: &OwnedFd, mut call: Call<T>) -> Result<Call<T>, Errno> {
    let Call { request, argument, buffer } = &mut call;
    let address = if buffer.is_empty() { 0 } else { buffer.as_mut_ptr().expose_provenance() };
    argument.point(address, buffer.len());
    #[allow(clippy::useless_conversion, reason = "on i386, an unsigned long is a u32")]
    let number: c_ulong = request.number().into();
    // SAFETY: the request's number gives the kernel the size of `T`, and it reads and writes no more at `argument`,
    // which may then hold any bytes, as `T` may. All pointers in `argument` are to `buffer`, which has no other user,
    // and has the length that is passed with them. The kernel does not write through a pointer without a length.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), number, &raw mut *argument) };
    check(outcome)?;
    Ok(call)
}

/// kldload(2): loads a kernel module.
fn kldload(module: &CStr) -> Result<(), Errno> {
    unsafe extern "C" {
        /// `sys/linker.h`; the libc crate has only `kld_load` of libutil.
        fn kldload(file: *const c_char) -> c_int;
    }
    // SAFETY: the kernel reads a string that ends with a NUL, and does not keep it.
    check(unsafe { kldload(module.as_ptr()) })
}

/// socket(2): opens a control socket of netgraph, with a node of its own.
fn netgraph_socket() -> Result<OwnedFd, Errno> {
    // Neither nix nor std can pass NG_CONTROL. SOCK_CLOEXEC: the script must not inherit it.
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: socket(2) takes numbers only.
    let descriptor = unsafe { libc::socket(AF_NETGRAPH.into(), kind, NG_CONTROL.into()) };
    check(descriptor)?;
    // SAFETY: the kernel has just made this descriptor, and it has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// sendto(2): sends a message to its node, and fails with the node's errno.
fn send_message(socket: &OwnedFd, message: &Message, token: u32) -> Result<(), Errno> {
    let (message, address) = (message.encode(token), message.address());
    let length = libc::socklen_t::try_from(address.len()).map_err(|_| Errno::ENAMETOOLONG)?;
    // SAFETY: both pointers are to bytes that live until the call has returned, and are passed with their lengths. The
    // kernel copies the sockaddr: it need not be aligned.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            message.as_ptr().cast(),
            message.len(),
            0,
            address.as_ptr().cast(),
            length,
        )
    };
    check(sent)
}

/// setsockopt(2): sets an option that neither nix nor the standard library has.
pub(crate) fn set_option<T: IntoBytes + Immutable>(
    socket: &OwnedFd,
    level: c_int,
    option: c_int,
    value: &T,
) -> Result<(), Errno> {
    let length = libc::socklen_t::try_from(size_of::<T>()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the kernel reads no more bytes than the value has, and does not keep the pointer.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const *value).cast(), length) })
}

/// sysctl(3): reads a variable of the kernel that is exactly a `T`.
fn sysctl<T: FromBytes + IntoBytes>(name: &[c_int]) -> Result<T, Errno> {
    let mut value = T::new_zeroed();
    let mut size = size_of::<T>();
    let levels = c_uint::try_from(name.len()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the kernel reads as many levels of the name as it has, and writes no more than `size` bytes to `value`,
    // which may hold any bytes.
    check(unsafe {
        libc::sysctl(name.as_ptr(), levels, (&raw mut value).cast(), &raw mut size, ptr::null(), 0)
    })?;
    if size == size_of::<T>() { Ok(value) } else { Err(Errno::EBADMSG) }
}

/// procctl(2): keeps all but root from tracing this process, which then leaves no core dump. Ends with execve(2).
pub fn deny_tracing() -> kernel::Result<()> {
    let mut control = libc::PROC_TRACE_CTL_DISABLE;
    let this = std::process::id().into();
    // SAFETY: PROC_TRACE_CTL reads an int, which lives until the call has returned.
    let outcome =
        unsafe { libc::procctl(libc::P_PID, this, libc::PROC_TRACE_CTL, (&raw mut control).cast()) };
    check(outcome).map_err(|cause| kernel::Error::new("procctl(PROC_TRACE_CTL)", cause))
}

/// The errno of a call, which has failed if its result is negative.
fn check<T: Copy + Default + PartialOrd>(outcome: T) -> Result<(), Errno> {
    if outcome < T::default() { Err(Errno(nix::errno::Errno::last_raw())) } else { Ok(()) }
}
