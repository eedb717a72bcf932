//! The FreeBSD kernel as dtcpclient uses it.
//!
//! [`kernel::Kernel`] is the seam: the operations that the program needs, in the program's words.

pub mod abi;
pub mod echo;
pub mod errno;
#[cfg(target_os = "freebsd")]
pub mod freebsd;
pub mod interface;
pub mod kernel;
pub mod name;
pub mod netgraph;
pub mod rehearsal;
pub mod route_socket;
