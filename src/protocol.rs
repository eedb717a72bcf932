//! DTCP, without sockets, clock or kernel: bytes and instants go in, actions come out.
//!
//! Comments distinguish facts that public implementations confirm from decisions of this project.

mod address;
mod challenge;
mod client_line;
mod line_buffer;
mod offer;
mod reply;
mod session;
mod text;
mod tunnel_type;

pub use address::Prefix;
pub use client_line::{Announcement, ClientLine};
pub use line_buffer::LineError;
pub use offer::{DEFAULT_UDP_PORT, Offer, OfferError, Request};
pub use reply::NotAReply;
pub use session::{
    Action, GREETING_TIMEOUT, Login, MOST_LINES, OFFER_TIMEOUT, PING_INTERVAL, Reason, Session, Stage,
};
pub(crate) use text::{LONGEST, clean};
pub use tunnel_type::TunnelType;
