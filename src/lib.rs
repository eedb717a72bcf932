//! dtcpclient: a client of the Dynamic Tunnel Configuration Protocol for FreeBSD.
//!
//! Data flows one way: options → client → protocol → offer → tunnel → kernel.

mod advice;
mod backoff;
pub mod client;
mod daemon;
mod echo;
pub mod exit;
mod logging;
mod lookup;
mod memory;
pub mod options;
mod ownership;
pub mod password;
mod pid_file;
mod prompt;
pub mod protocol;
mod report;
pub mod script;
mod shell;
pub mod signals;
pub mod startup;
mod status_socket;
mod task;
mod timeout;
pub mod tunnel;
