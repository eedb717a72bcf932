//! What there is a limited number of: tunnels, and UDP ports.

use std::collections::BTreeSet;

/// The places for tunnels, and the UDP ports that are taken.
///
/// A place is what a tunnel's inner addresses are derived from. It stays its first user's for good, so that a
/// user who comes back finds the same addresses, and no two live tunnels ever share any.
pub(crate) struct Pool {
    /// How many tunnels there may be at once.
    capacity: usize,
    /// Where the UDP ports begin.
    first_port: u16,
    places: Vec<Place>,
    ports: BTreeSet<u16>,
}

struct Place {
    user: String,
    taken: bool,
}

/// A tunnel's share of the pool.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// Counted from zero.
    pub place: usize,
    /// The server's UDP port.
    pub port: Option<u16>,
}

impl Pool {
    pub(crate) fn new(capacity: usize, first_port: u16) -> Self {
        Self { capacity, first_port, places: Vec::new(), ports: BTreeSet::new() }
    }

    /// A place, and a UDP port if one is wanted; nothing when sold out.
    pub(crate) fn take(&mut self, user: &str, udp: bool) -> Option<Share> {
        if self.places.iter().filter(|place| place.taken).count() >= self.capacity {
            return None;
        }
        let port = if udp { Some(self.free_port()?) } else { None };
        self.ports.extend(port);
        Some(Share { place: self.take_place(user), port })
    }

    /// Gives a share back.
    pub(crate) fn free(&mut self, share: &Share) {
        self.places[share.place].taken = false;
        if let Some(port) = share.port {
            self.ports.remove(&port);
        }
    }

    fn take_place(&mut self, user: &str) -> usize {
        let own = self.places.iter().position(|place| !place.taken && place.user == user);
        let place = own.unwrap_or_else(|| {
            self.places.push(Place { user: user.to_owned(), taken: false });
            self.places.len() - 1
        });
        self.places[place].taken = true;
        place
    }

    fn free_port(&self) -> Option<u16> {
        (self.first_port..=u16::MAX).find(|port| !self.ports.contains(port))
    }
}
