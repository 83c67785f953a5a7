//! A route's attributes apart from any session, as table dumps hold them (RFC 6396 4.3.4): AS numbers of four
//! octets, and of MP_REACH_NLRI the next hop alone.

use super::attributes::{self, Attributes, Collector, OPTIONAL, RawAttribute, TRANSITIVE, code};
use super::error::{AttributeError, MessageError};
use super::update::MpNextHop;
use alloc::vec::Vec;

/// What stands beside one route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    pub attributes: Attributes,
    /// Inside the AS that stored it.
    pub local_preference: Option<u32>,
    pub next_hop: Option<MpNextHop>,
}

/// Stored attributes as far as they could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedStored {
    pub stored: Stored,
    /// What was wrong with them, in the order found.
    pub errors: Vec<AttributeError>,
}

impl Stored {
    /// Reads a field of attributes. Of MP_REACH_NLRI the whole is taken as well, as some have always written
    /// it: it begins with an AFI, whose first byte is zero, where the length of a next hop never is.
    ///
    /// # Errors
    /// What ends a session (RFC 4271 6.3): it cannot be told where an attribute ends, a well-known one that
    /// nobody knows, or a next hop that is none.
    pub fn parse(mut field: &[u8]) -> Result<DecodedStored, MessageError> {
        let mut collector = Collector::new(true);
        let mut stored = Stored::default();
        let mut seen = [false; 256];
        while !field.is_empty() {
            let raw = attributes::split(&mut field).ok_or(MessageError::MalformedAttributeList)?;
            if core::mem::replace(&mut seen[usize::from(raw.code)], true) {
                return Err(MessageError::MalformedAttributeList);
            }
            match raw.code {
                code::MP_REACH_NLRI => {
                    let next_hop = stored_next_hop(raw.value).and_then(MpNextHop::parse);
                    let unreadable = || MessageError::OptionalAttribute(raw.whole.to_vec());
                    stored.next_hop = Some(next_hop.ok_or_else(unreadable)?);
                }
                code::LOCAL_PREF => {
                    stored.local_preference = raw.value.try_into().ok().map(u32::from_be_bytes);
                }
                // BIRD 2 stores it with no flags at all. Which ones it has to have is known.
                code::NEXT_HOP => collector.take(RawAttribute { flags: TRANSITIVE, ..raw })?,
                // Of the inside of whoever stored it.
                code::ORIGINATOR_ID | code::CLUSTER_LIST => {}
                _ => collector.take(raw)?,
            }
        }
        collector.check_mandatory(stored.next_hop.is_none());
        collector.finish();
        stored.next_hop = stored.next_hop.or(collector.next_hop.map(MpNextHop::V4));
        stored.attributes = collector.attributes;
        Ok(DecodedStored { stored, errors: collector.errors })
    }

    /// Appends the attributes.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let (classic, mp) = match self.next_hop {
            Some(MpNextHop::V4(address)) => (Some(address), None),
            other => (None, other),
        };
        self.attributes.emit(true, classic, out);
        if let Some(preference) = self.local_preference {
            attributes::put(out, TRANSITIVE, code::LOCAL_PREF, &preference.to_be_bytes());
        }
        if let Some(next_hop) = mp {
            let mut value = alloc::vec![next_hop.wire_len() as u8];
            next_hop.emit(&mut value);
            attributes::put(out, OPTIONAL, code::MP_REACH_NLRI, &value);
        }
    }
}

/// The bytes of a next hop, short or behind AFI and SAFI.
fn stored_next_hop(value: &[u8]) -> Option<&[u8]> {
    match value {
        [0, _, _, length, rest @ ..] => rest.get(..usize::from(*length)),
        [length, rest @ ..] if rest.len() == usize::from(*length) => Some(rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Asn;
    use crate::wire::bgp::AsPath;
    use core::net::{Ipv4Addr, Ipv6Addr};

    fn stored(next_hop: MpNextHop) -> Stored {
        let as_path = AsPath::sequence([Asn(65_000), Asn(4_200_000_001)]);
        Stored {
            attributes: Attributes { as_path, ..Attributes::default() },
            local_preference: Some(100),
            next_hop: Some(next_hop),
        }
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        let global = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        for next_hop in [
            MpNextHop::V4(Ipv4Addr::new(192, 0, 2, 1)),
            MpNextHop::V6(link_local),
            MpNextHop::V6Pair { global, link_local },
        ] {
            let stored = stored(next_hop);
            let mut bytes = Vec::new();
            stored.emit(&mut bytes);
            assert_eq!(Stored::parse(&bytes), Ok(DecodedStored { stored, errors: Vec::new() }));
        }
    }

    #[test]
    fn a_whole_mp_reach_is_taken_for_its_next_hop() {
        let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        let head = [0x40, 1, 1, 0, 0x40, 2, 0, 0x80, 14, 26, 0, 2, 1, 16];
        // A reserved byte and a prefix of 32 bits follow.
        let bytes = [&head[..], &address.octets(), &[0, 32, 0x20, 0x01, 0x0d, 0xb8]].concat();
        let decoded = Stored::parse(&bytes).unwrap();
        assert_eq!((decoded.stored.next_hop, decoded.errors.len()), (Some(MpNextHop::V6(address)), 0));
    }

    /// BIRD 2.0.12's: NEXT_HOP and LOCAL_PREF with no flags.
    #[test]
    fn what_bird_stores_is_read() {
        let bytes = [
            &[0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xf9, 0x3e][..],
            &[0, 3, 4, 203, 0, 113, 14, 0, 5, 4, 0, 0, 0, 100],
        ];
        let decoded = Stored::parse(&bytes.concat()).unwrap();
        assert_eq!(decoded.errors, []);
        assert_eq!(decoded.stored.next_hop, Some(MpNextHop::V4(Ipv4Addr::new(203, 0, 113, 14))));
        assert_eq!(decoded.stored.local_preference, Some(100));
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for bytes in [
            &[0x40, 1][..],
            &[0x40, 1, 9, 0],
            &[0x40, 1, 1, 0, 0x40, 1, 1, 0],
            &[0x80, 14, 2, 16, 0],
            &[0x80, 14, 4, 0, 2, 1, 16],
        ] {
            assert!(Stored::parse(bytes).is_err(), "{bytes:?}");
        }
    }
}
