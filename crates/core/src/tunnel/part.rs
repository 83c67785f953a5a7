//! What one IP packet is to its datagram: the whole of it, or a piece.

use super::DropReason;
use crate::wire::ip::{self, protocol};
use crate::wire::{ipv4, ipv6};
use core::net::IpAddr;
use core::ops::Range;

/// RFC 791 3.2 and RFC 8200 4.5: the protocol counts in IPv4 only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: Option<u8>,
    pub identification: u32,
}

/// What one packet is to its datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// What the payload is; of a piece in IPv6: what the fragment header says, extension headers perhaps.
    pub protocol: u8,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Where in the packet the payload stands.
    pub payload: Range<usize>,
    /// Of a piece.
    pub(super) place: Option<Place>,
}

/// Where a piece belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub identification: u32,
    pub offset: usize,
    pub more: bool,
    /// How long the payload of a datagram with this header may be: 65,535 bytes are counted with the header
    /// in IPv4 (RFC 791 3.1), with what stands before the fragment header in IPv6 (RFC 8200 4.5).
    pub most: usize,
}

impl Part {
    /// Looks at one IP packet of either family.
    ///
    /// # Errors
    /// `Malformed`; `UnknownOption` for extension headers that must not be skipped.
    pub fn parse(packet: &[u8]) -> Result<Part, DropReason> {
        match ip::Packet::new_checked(packet)? {
            ip::Packet::V4(packet) => {
                let repr = ipv4::Repr::parse(&packet)?;
                let is_piece = repr.more_fragments || repr.fragment_offset > 0;
                Ok(Part {
                    source: repr.source.into(),
                    destination: repr.destination.into(),
                    protocol: repr.protocol,
                    traffic_class: repr.traffic_class,
                    payload: packet.header_len()..packet.total_len(),
                    place: is_piece.then_some(Place {
                        identification: repr.identification.into(),
                        offset: repr.fragment_offset,
                        more: repr.more_fragments,
                        most: ipv4::MAX_LEN - packet.header_len(),
                    }),
                })
            }
            ip::Packet::V6(packet) => {
                let walked = packet.walk()?;
                // An atomic fragment is a whole packet, whatever else is under way (RFC 6946).
                let fragment = walked.fragment.filter(|fragment| fragment.more || fragment.offset > 0);
                // Headers behind the fragment header are judged once the datagram is whole.
                let (protocol, offset) = match &fragment {
                    Some(fragment) => (fragment.next_header, walked.fragment_offset),
                    None if walked.must_discard => return Err(DropReason::UnknownOption),
                    None => (walked.protocol, walked.offset),
                };
                // The walk has counted the fragment header.
                let before = offset.saturating_sub(ipv6::FRAGMENT_HEADER_LEN);
                Ok(Part {
                    source: packet.source().into(),
                    destination: packet.destination().into(),
                    protocol,
                    traffic_class: packet.traffic_class(),
                    payload: ipv6::HEADER_LEN + offset..packet.total_len(),
                    place: fragment.map(|fragment| Place {
                        identification: fragment.identification,
                        offset: fragment.offset,
                        more: fragment.more,
                        most: ipv6::MAX_PAYLOAD_LEN.saturating_sub(before),
                    }),
                })
            }
        }
    }

    pub fn is_whole(&self) -> bool {
        self.place.is_none()
    }

    /// Whether a tunnel may be inside, as far as this packet tells. What else comes by a line is the
    /// stack's: nothing of it is kept, and none of it is a drop.
    pub fn may_be_of_a_tunnel(&self) -> bool {
        match self.protocol {
            // Of UDP, GENEVE may be.
            protocol::GRE | protocol::ETHERIP | protocol::UDP => true,
            // Of a datagram that is whole they have been walked.
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS => !self.is_whole(),
            _ => false,
        }
    }

    /// `None` for a whole packet.
    pub(super) fn key(&self) -> Option<Key> {
        Some(Key {
            source: self.source,
            destination: self.destination,
            protocol: self.source.is_ipv4().then_some(self.protocol),
            identification: self.place?.identification,
        })
    }

    /// Whether this is the first of two pieces and `next` the second: together they are the datagram.
    pub(super) fn is_completed_by(&self, next: &Part) -> bool {
        let (Some(first), Some(second)) = (self.place, next.place) else { return false };
        let len = self.payload.len();
        first.offset == 0
            && first.more
            && second.offset == len
            && len > 0
            && !second.more
            && !next.payload.is_empty()
            && len + next.payload.len() <= first.most.min(second.most)
            && self.key() == next.key()
    }

    /// What the payload of the whole datagram is, and where in it that begins: in IPv6 extension
    /// headers may stand behind the fragment header. `self` is the first piece.
    ///
    /// # Errors
    /// `Malformed`; `UnknownOption`; `BadFragment` for a fragment within a fragment.
    pub fn look_behind(&self, payload: &[u8]) -> Result<(u8, usize), DropReason> {
        if self.source.is_ipv4() {
            return Ok((self.protocol, 0));
        }
        let walked = ipv6::walk(self.protocol, payload)?;
        if walked.fragment.is_some() {
            return Err(DropReason::BadFragment);
        }
        if walked.must_discard {
            return Err(DropReason::UnknownOption);
        }
        Ok((walked.protocol, walked.offset))
    }
}
