//! dtcpclient: a client of the Dynamic Tunnel Configuration Protocol for FreeBSD.
//!
//! Data flows one way: options → client → protocol → offer → tunnel → kernel.
#![forbid(unsafe_code)]

pub mod backoff;
pub mod client;
pub mod daemon;
mod echo;
pub mod exit;
pub mod logging;
pub mod lookup;
pub mod options;
pub mod password;
pub mod prompt;
pub mod protocol;
mod report;
pub mod script;
mod shell;
pub mod signals;
pub mod startup;
pub mod tunnel;
