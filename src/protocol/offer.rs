//! The server's offer: the words of a granted tunnel.
//!
//! The order of the words of a numbered network is inferred, and servers add different words, so each word is
//! recognized by its form: an IPv6 address (the first is the client's, the second the server's), an IPv6 prefix, or a
//! decimal number, which is the server's UDP port. Other words are ignored and logged (this project's decision).

use std::net::{Ipv4Addr, Ipv6Addr};

use ffi::kernel::Ends;

use super::TunnelType;
use super::address::{Prefix, is_inner, is_outer};
use super::text::clean;

/// The server's UDP port if the offer has none (confirmed as the default of both sides).
pub const DEFAULT_UDP_PORT: u16 = 4028;

/// A tunnel that the server grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The client's IPv4 address as the server sees it.
    pub me: Ipv4Addr,
    /// The server's IPv4 address, the far end of the tunnel.
    pub her: Ipv4Addr,
    /// The inner addresses of a numbered tunnel.
    pub inner: Option<Ends<Ipv6Addr>>,
    /// The prefix for the client's network.
    pub prefix: Option<Prefix>,
    /// The server's UDP port, for a UDP tunnel.
    pub udp_port: Option<u16>,
}

/// The request for an offer, and the connection on which it was sent.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// The type of tunnel.
    pub tunnel_type: TunnelType,
    /// Whether it is for a UDP tunnel.
    pub udp: bool,
    /// This host's end of the connection to the server.
    pub local: Ipv4Addr,
}

/// Why an offer cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what is wrong")]
pub enum OfferError {
    #[error("it does not contain the two IPv4 addresses of the tunnel")]
    NoOuterAddresses,
    #[error("\"{0}\", an end of the tunnel, is not a unicast IPv4 address")]
    BadOuterAddress(String),
    #[error("{0}, the server's end of the tunnel, is an address of this host")]
    OwnAddress(Ipv4Addr),
    #[error("the inner address {0} is not a unicast IPv6 address")]
    BadInnerAddress(Ipv6Addr),
    #[error("{0} is the inner address of both ends")]
    SameInnerAddress(Ipv6Addr),
    #[error("\"{0}\" is not an IPv6 unicast prefix with a length of 1 to 128")]
    BadPrefix(String),
    #[error("\"{0}\" is not a UDP port from 1 to 65535")]
    BadPort(String),
    #[error("it does not contain the two inner addresses of a tunnel of type host")]
    NoInnerAddresses,
}

/// The words after ME and HER, sorted by their form.
#[derive(Default)]
struct Words<'a> {
    addresses: Vec<(&'a str, Ipv6Addr)>,
    prefix: Option<Prefix>,
    port: Option<&'a str>,
    ignored: Vec<&'a str>,
}

impl Offer {
    /// Decodes the words after `+OK`. Returns the offer and the words that were ignored, cleaned.
    pub fn read(words: &[String], request: Request) -> Result<(Self, Vec<String>), OfferError> {
        let [me, her, rest @ ..] = words else { return Err(OfferError::NoOuterAddresses) };
        let (her, her_port) = match her.split_once(':') {
            Some((her, port)) if request.udp => (her, Some(port)),
            _ => (her.as_str(), None),
        };
        let (me, her) = (outer(me, request)?, outer(her, request)?);
        if [me, request.local].contains(&her) && !her.is_loopback() {
            return Err(OfferError::OwnAddress(her));
        }
        let mut words = Words { port: her_port, ..Words::default() };
        for word in rest {
            words.sort(word, request)?;
        }
        let inner = words.inner(request.tunnel_type)?;
        let udp_port = request.udp.then(|| words.udp_port()).transpose()?;
        let ignored = words.ignored.into_iter().map(clean).collect();
        Ok((Self { me, her, inner, prefix: words.prefix, udp_port }, ignored))
    }
}

fn outer(word: &str, request: Request) -> Result<Ipv4Addr, OfferError> {
    match word.parse() {
        Ok(address) if is_outer(address, request.local.is_loopback()) => Ok(address),
        _ => Err(OfferError::BadOuterAddress(clean(word))),
    }
}

impl<'a> Words<'a> {
    fn sort(&mut self, word: &'a str, request: Request) -> Result<(), OfferError> {
        let numbered = request.tunnel_type != TunnelType::TunnelOnly;
        let network = request.tunnel_type == TunnelType::Network;
        if let Ok(address) = word.parse::<Ipv6Addr>() {
            if numbered && self.addresses.len() < 2 {
                if !is_inner(address) {
                    return Err(OfferError::BadInnerAddress(address));
                }
                self.addresses.push((word, address));
                return Ok(());
            }
        } else if looks_like_a_prefix(word) && network && self.prefix.is_none() {
            self.prefix = Some(Prefix::read(word).ok_or_else(|| OfferError::BadPrefix(clean(word)))?);
            return Ok(());
        } else if is_number(word) && request.udp && self.port.is_none() {
            self.port = Some(word);
            return Ok(());
        }
        self.ignored.push(word);
        Ok(())
    }

    fn inner(&mut self, tunnel_type: TunnelType) -> Result<Option<Ends<Ipv6Addr>>, OfferError> {
        match *self.addresses.as_slice() {
            [(_, me6), (_, her6), ..] if me6 == her6 => Err(OfferError::SameInnerAddress(me6)),
            [(_, me6), (_, her6), ..] => Ok(Some(Ends { local: me6, remote: her6 })),
            _ if tunnel_type == TunnelType::Host => Err(OfferError::NoInnerAddresses),
            // A single address could belong to either end.
            _ => {
                self.ignored.extend(self.addresses.iter().map(|(word, _)| *word));
                Ok(None)
            }
        }
    }

    fn udp_port(&self) -> Result<u16, OfferError> {
        let Some(word) = self.port else { return Ok(DEFAULT_UDP_PORT) };
        match word.parse() {
            Ok(port) if port > 0 && is_number(word) => Ok(port),
            _ => Err(OfferError::BadPort(clean(word))),
        }
    }
}

fn looks_like_a_prefix(word: &str) -> bool {
    word.split_once('/').is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok())
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOCAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const HOST: Request = Request { tunnel_type: TunnelType::Host, udp: false, local: LOCAL };
    const NETWORK: Request = Request { tunnel_type: TunnelType::Network, ..HOST };
    const TUNNEL_ONLY: Request = Request { tunnel_type: TunnelType::TunnelOnly, ..HOST };
    const UDP: Request = Request { udp: true, ..TUNNEL_ONLY };

    const NUMBERED: &str = " 2001:db8::2 to 2001:db8::1 2001:db8:1::/48";
    const HER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const MULTICAST: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

    fn read(words: &str, request: Request) -> Result<(Offer, Vec<String>), OfferError> {
        Offer::read(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>(), request)
    }

    /// An offer as text: ME, HER, inner addresses, prefix and port.
    fn shown(offer: &Offer) -> String {
        let inner = offer.inner.map_or_else(String::new, |inner| format!(" {inner}"));
        let prefix = offer.prefix.map_or_else(String::new, |prefix| format!(" {prefix}"));
        let port = offer.udp_port.map_or_else(String::new, |port| format!(" {port}"));
        format!("{} {}{inner}{prefix}{port}", offer.me, offer.her)
    }

    #[test]
    fn each_word_is_recognized_by_its_form() {
        for (request, words, expected, ignored) in [
            (TUNNEL_ONLY, "", "", &[][..]),
            (HOST, " 2001:db8::0006 2001:db8::0005", " 2001:db8::6 to 2001:db8::5", &[]),
            // As Feel6 sends it.
            (NETWORK, " 2001:03e0:03c3::/48", " 2001:3e0:3c3::/48", &[]),
            (NETWORK, " 2001:db8::2 2001:db8::1 2001:db8:1::/48", NUMBERED, &[]),
            (NETWORK, " 2001:db8:1::/48 2001:db8::2 2001:db8::1", NUMBERED, &[]),
            (NETWORK, "", "", &[]),
            (NETWORK, " 2001:db8::5 2001:db8:1::/48", " 2001:db8:1::/48", &["2001:db8::5"]),
            (UDP, ":4031", " 4031", &[]),
            (UDP, " 4031", " 4031", &[]),
            (UDP, "", " 4028", &[]),
            (
                TUNNEL_ONLY,
                " 2001:db8::2 2001:db8::/48 4028 \u{1b}[m",
                "",
                &["2001:db8::2", "2001:db8::/48", "4028", "?[m"],
            ),
        ] {
            let (offer, passed_over) = read(&format!("192.0.2.1 192.0.2.2{words}"), request).unwrap();
            assert_eq!(shown(&offer), format!("192.0.2.1 192.0.2.2{expected}"), "{words}");
            assert_eq!(passed_over, ignored, "{words}");
        }
    }

    #[test]
    fn an_offer_that_cannot_be_used_says_what_is_wrong_with_it() {
        let outer = |word: &str| OfferError::BadOuterAddress(word.to_owned());
        let port = |word: &str| OfferError::BadPort(word.to_owned());
        for (request, words, error) in [
            (HOST, "192.0.2.1", OfferError::NoOuterAddresses),
            (HOST, "192.0.2.1 192.0.2.2 2001:db8::2", OfferError::NoInnerAddresses),
            (TUNNEL_ONLY, "127.0.0.1 192.0.2.2", outer("127.0.0.1")),
            (TUNNEL_ONLY, "192.0.2.1 224.0.0.1", outer("224.0.0.1")),
            (TUNNEL_ONLY, "192.0.2.1 0.0.0.0", outer("0.0.0.0")),
            (TUNNEL_ONLY, "x 192.0.2.2", outer("x")),
            (TUNNEL_ONLY, "192.0.2.1 192.0.2.2:4028", outer("192.0.2.2:4028")),
            (HOST, "192.0.2.1 192.0.2.2 ff02::1 2001:db8::1", OfferError::BadInnerAddress(MULTICAST)),
            (HOST, "192.0.2.1 192.0.2.2 2001:db8::1 2001:db8::1", OfferError::SameInnerAddress(HER6)),
            (NETWORK, "192.0.2.1 192.0.2.2 2001:db8::/129", OfferError::BadPrefix("2001:db8::/129".into())),
            (UDP, "192.0.2.1 192.0.2.2:0", port("0")),
            (UDP, "192.0.2.1 192.0.2.2:+4", port("+4")),
            (UDP, "192.0.2.1 192.0.2.2 65536", port("65536")),
        ] {
            assert_eq!(read(words, request), Err(error), "{words}");
        }
    }

    #[test]
    fn the_server_s_end_is_another_host_unless_it_is_on_loopback() {
        for bad in ["192.0.2.1 192.0.2.1", "192.0.2.1 10.0.0.1"] {
            assert!(matches!(read(bad, TUNNEL_ONLY), Err(OfferError::OwnAddress(_))), "{bad}");
        }
        let on_loopback = Request { local: Ipv4Addr::LOCALHOST, ..TUNNEL_ONLY };
        for good in ["127.0.0.1 127.0.0.1", "192.0.2.1 127.0.0.1"] {
            assert!(read(good, on_loopback).is_ok(), "{good}");
        }
        assert_eq!(
            read("192.0.2.1 192.0.2.1", on_loopback),
            Err(OfferError::OwnAddress(Ipv4Addr::new(192, 0, 2, 1)))
        );
    }

    proptest! {
        #[test]
        fn an_offer_that_is_accepted_has_only_checked_addresses(
            words in prop::collection::vec("[0-9a-f:./x]{0,20}|192\\.0\\.2\\.1|2001:db8::[1-9]|2001:db8::/[0-9]{1,3}", 0..7),
            udp in any::<bool>(),
        ) {
            for tunnel_type in TunnelType::ALL {
                if let Ok((offer, _)) = Offer::read(&words, Request { tunnel_type, udp, local: LOCAL }) {
                    prop_assert!(offer.her != offer.me && offer.her != LOCAL);
                    prop_assert!(is_outer(offer.me, false) && is_outer(offer.her, false));
                    prop_assert!(offer.inner.is_none_or(|inner| is_inner(inner.local) && is_inner(inner.remote)));
                    prop_assert!(offer.udp_port.is_some() == udp && offer.udp_port != Some(0));
                }
            }
        }
    }
}
