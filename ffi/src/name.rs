//! The names of interfaces, checked once and then trusted.

use std::fmt;

/// The longest interface name: `IFNAMSIZ` (net/if.h) less the NUL.
pub const LONGEST: usize = 15;

/// The name of a network interface, such as `gif0`: 1 to [`LONGEST`] visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// Checks `name`; `None` if no interface could have it.
    pub fn new(name: &str) -> Option<Self> {
        let fits = (1..=LONGEST).contains(&name.len());
        let visible = name.bytes().all(|byte| byte.is_ascii_graphic());
        (fits && visible).then(|| Self(name.to_owned()))
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
    fn a_name_has_one_to_fifteen_visible_characters() {
        assert_eq!(InterfaceName::new("gif0").map(|name| name.to_string()), Some("gif0".to_owned()));
        assert!(InterfaceName::new("a23456789012345").is_some());
        for bad in ["", "a234567890123456", "gif 0", "gif\n", "gïf0"] {
            assert_eq!(InterfaceName::new(bad), None, "{bad:?}");
        }
    }
}
