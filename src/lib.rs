//! dtcpclient: a client of the Dynamic Tunnel Configuration Protocol for FreeBSD.
//!
//! Data flows one way: options → client → protocol → offer → tunnel → kernel.
#![forbid(unsafe_code)]

pub mod exit;
pub mod options;
pub mod protocol;
