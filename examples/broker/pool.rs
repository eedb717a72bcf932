//! Tunnels and UDP ports, of which there is a limited number.

use std::collections::BTreeSet;

/// The places for tunnels, and the UDP ports in use.
///
/// A tunnel's inner addresses follow from its place. A place is kept for its first user, so that a user who comes back
/// gets the same addresses, and no two tunnels that exist at the same time share any.
pub(crate) struct Pool {
    /// The number of tunnels that may exist at the same time.
    capacity: usize,
    first_port: u16,
    places: Vec<Place>,
    ports: BTreeSet<u16>,
}

struct Place {
    user: String,
    taken: bool,
}

/// What one tunnel has of the pool.
pub(crate) struct Share {
    /// Counted from zero.
    pub place: usize,
    /// The server's UDP port, if the tunnel is in UDP.
    pub port: Option<u16>,
}

impl Pool {
    pub(crate) fn new(capacity: usize, first_port: u16) -> Self {
        Self { capacity, first_port, places: Vec::new(), ports: BTreeSet::new() }
    }

    /// Takes a place, and the lowest free UDP port if `udp` is set; `None` if none is left.
    pub(crate) fn take(&mut self, user: &str, udp: bool) -> Option<Share> {
        if self.places.iter().filter(|place| place.taken).count() >= self.capacity {
            return None;
        }
        let port = if udp { Some(self.free_port()?) } else { None };
        self.ports.extend(port);
        Some(Share { place: self.take_place(user), port })
    }

    pub(crate) fn free(&mut self, share: &Share) {
        self.places[share.place].taken = false;
        if let Some(port) = share.port {
            self.ports.remove(&port);
        }
    }

    fn take_place(&mut self, user: &str) -> usize {
        let known = self.places.iter().position(|place| !place.taken && place.user == user);
        let place = known.unwrap_or_else(|| {
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
