//! The names of interfaces, checked once and then trusted.

use std::fmt;

/// The longest interface name: `IFNAMSIZ` (net/if.h) less the NUL.
pub const LONGEST: usize = 15;

/// The name of a network interface, such as `gif0`: 1 to [`LONGEST`] bytes of text. The kernel accepts nearly any,
/// also with a blank.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// Checks `name`; `None` if no interface could have it.
    pub fn new(name: &str) -> Option<Self> {
        let fits = (1..=LONGEST).contains(&name.len());
        let printable = !name.contains(char::is_control);
        (fits && printable).then(|| Self(name.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_to_fifteen_bytes_of_text() {
        assert_eq!(InterfaceName::new("gif0").map(|name| name.to_string()), Some("gif0".to_owned()));
        assert!(InterfaceName::new("a23456789012345").is_some() && InterfaceName::new("a b").is_some());
        for bad in ["", "a234567890123456", "gif\n", "gif\0", "a2345678901234é"] {
            assert_eq!(InterfaceName::new(bad), None, "{bad:?}");
        }
    }
}
