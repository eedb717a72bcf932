//! The broker over loopback, spoken to in raw lines.

mod logins;
mod running;
mod tunnels;
