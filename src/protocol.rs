//! DTCP, without sockets, clock or kernel: bytes, instants and closes go in, actions come out.
//!
//! What of it is confirmed by public implementations and what is this project's decision is said where it is coded.

pub mod address;
pub mod challenge;
pub mod command;
pub mod lines;
pub mod offer;
pub mod reply;
pub mod session;
pub mod text;
mod tunnel_type;

pub use command::{Announcement, Command};
pub use offer::Offer;
pub use session::{Action, Login, Reason, Session};
pub use tunnel_type::TunnelType;
