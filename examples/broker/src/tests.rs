//! The broker over loopback, spoken to in raw lines.
#![forbid(unsafe_code)]

mod logins;
mod running;
mod tunnels;
