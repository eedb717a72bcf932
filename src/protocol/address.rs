//! Checks addresses and prefixes from the server before they are used.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether `address` can be an outer end of a tunnel: unicast, and a loopback address only if the connection to
/// the server is on loopback itself.
pub(crate) fn is_outer(address: Ipv4Addr, on_loopback: bool) -> bool {
    let reserved = address.octets()[0] >= 240;
    let this_network = address.octets()[0] == 0;
    !(this_network || address.is_multicast() || reserved || (address.is_loopback() && !on_loopback))
}

/// Whether `address` can be an inner end of a tunnel: IPv6 unicast with more than link-local scope.
pub(crate) fn is_inner(address: Ipv6Addr) -> bool {
    !(address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || address.is_unicast_link_local()
        || address.to_ipv4_mapped().is_some())
}

/// An IPv6 prefix with its host bits cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    network: Ipv6Addr,
    length: u8,
}

impl Prefix {
    /// The prefix of `length` bits that `address` is in. `None`: the length is not 1 to 128, or the prefix not unicast.
    fn new(address: Ipv6Addr, length: u8) -> Option<Self> {
        if !(1..=128).contains(&length) {
            return None;
        }
        let mask = u128::MAX << (128 - u32::from(length));
        let network = Ipv6Addr::from_bits(address.to_bits() & mask);
        is_inner(network).then_some(Self { network, length })
    }

    /// Decodes a word like `2001:db8::/48`.
    pub(crate) fn read(word: &str) -> Option<Self> {
        let (address, length) = word.split_once('/')?;
        let digits_alone = length.bytes().all(|byte| byte.is_ascii_digit());
        if digits_alone { Self::new(address.parse().ok()?, length.parse().ok()?) } else { None }
    }
}

/// In canonical form (RFC 5952).
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn outer_addresses_are_unicast_and_loopback_only_on_loopback() {
        let accepted =
            |word: &str| [true, false].map(|on_loopback| is_outer(word.parse().unwrap(), on_loopback));
        for good in ["192.0.2.1", "10.0.0.1", "223.255.255.255"] {
            assert_eq!(accepted(good), [true, true], "{good}");
        }
        for bad in ["0.0.0.0", "0.1.2.3", "224.0.0.1", "240.0.0.1", "255.255.255.255"] {
            assert_eq!(accepted(bad), [false, false], "{bad}");
        }
        assert_eq!(accepted("127.0.0.1"), [true, false]);
    }

    #[test]
    fn inner_addresses_are_unicast_and_reachable_from_elsewhere() {
        for good in ["2001:db8::2", "fd00::1"] {
            assert!(is_inner(good.parse().unwrap()), "{good}");
        }
        for bad in ["::", "::1", "ff02::1", "fe80::1", "::ffff:192.0.2.1"] {
            assert!(!is_inner(bad.parse().unwrap()), "{bad}");
        }
    }

    #[test]
    fn a_prefix_is_printed_in_canonical_form_without_host_bits() {
        for (word, printed) in
            [("2001:03e0:03c3::1/48", "2001:3e0:3c3::/48"), ("2001:db8::0006/128", "2001:db8::6/128")]
        {
            assert_eq!(Prefix::read(word).unwrap().to_string(), printed);
        }
    }

    #[test]
    fn a_word_that_is_not_the_prefix_of_a_network_is_refused() {
        let lengths = ["2001:db8::/0", "2001:db8::/129", "2001:db8::/+4", "2001:db8::/", "/48"];
        for bad in lengths.into_iter().chain(["ff00::/8", "::/1", "192.0.2.0/24"]) {
            assert_eq!(Prefix::read(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_printed_prefix_is_parsed_to_the_same_value(bits in any::<u128>(), length in 1u8..=128) {
            if let Some(prefix) = Prefix::new(Ipv6Addr::from_bits(bits), length) {
                prop_assert_eq!(Prefix::read(&prefix.to_string()), Some(prefix));
            }
        }

        #[test]
        fn no_word_makes_the_parser_panic(word in any::<String>()) {
            let _ = Prefix::read(&word);
        }
    }
}
