//! Echo requests and replies (RFC 792, RFC 4443 4.1 and 4.2): ICMP messages with an identifier, a sequence and bytes
//! that come back as they went.

use super::checksum::Checksum;
use super::ip::protocol;
use super::{Malformed, ip, u16_at};
use core::net::IpAddr;

/// Type, code, checksum, identifier, sequence.
pub const HEADER_LEN: usize = 8;

const V4_REQUEST: u8 = 8;
const V4_REPLY: u8 = 0;
const V6_REQUEST: u8 = 128;
const V6_REPLY: u8 = 129;

/// The protocol of the messages between such addresses.
pub fn protocol_of(address: IpAddr) -> u8 {
    if address.is_ipv6() { protocol::ICMPV6 } else { protocol::ICMP }
}

/// What is asked, but for the bytes that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    pub identifier: u16,
    pub sequence: u16,
}

impl Request {
    /// Writes the header in front of the bytes that are to come back, which stand in the message already, from
    /// [`HEADER_LEN`] on.
    ///
    /// # Panics
    /// If `message` is shorter than [`HEADER_LEN`].
    pub fn emit(&self, source: IpAddr, destination: IpAddr, message: &mut [u8]) {
        message[..HEADER_LEN].fill(0);
        message[0] = if destination.is_ipv6() { V6_REQUEST } else { V4_REQUEST };
        message[4..6].copy_from_slice(&self.identifier.to_be_bytes());
        message[6..8].copy_from_slice(&self.sequence.to_be_bytes());
        // ICMPv6's covers the addresses as well (RFC 4443 2.3), ICMP's does not.
        let len = u16::try_from(message.len()).unwrap_or(u16::MAX);
        let pseudo = Checksum::pseudo(source, destination, protocol::ICMPV6, len);
        let sum = pseudo.filter(|_| destination.is_ipv6()).unwrap_or_default();
        let sum = sum.bytes(message).finish();
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
}

/// An answer, with the bytes that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    pub identifier: u16,
    pub sequence: u16,
    pub data: &'a [u8],
}

impl<'a> Reply<'a> {
    /// Of a whole ICMP message whose checksum somebody has looked at. `None` if it is another message.
    pub fn parse(message: &'a [u8], ipv6: bool) -> Option<Reply<'a>> {
        let (header, data) = message.split_at_checked(HEADER_LEN)?;
        let kind = if ipv6 { V6_REPLY } else { V4_REPLY };
        (header[..2] == [kind, 0]).then(|| Reply {
            identifier: u16_at(header, 4),
            sequence: u16_at(header, 6),
            data,
        })
    }

    /// Of a packet that bears one; a piece of a packet bears none.
    ///
    /// # Errors
    /// `Checksum`, and those of the packet.
    pub fn of_packet(packet: &'a [u8]) -> Result<Option<Reply<'a>>, Malformed> {
        let (source, destination, message) = match ip::Packet::new_checked(packet)? {
            ip::Packet::V4(packet) => {
                let is_piece = packet.more_fragments() || packet.fragment_offset() > 0;
                if packet.protocol() != protocol::ICMP || is_piece {
                    return Ok(None);
                }
                (packet.source().into(), packet.destination().into(), packet.payload())
            }
            ip::Packet::V6(packet) => {
                if packet.next_header() != protocol::ICMPV6 {
                    return Ok(None);
                }
                (IpAddr::V6(packet.source()), IpAddr::V6(packet.destination()), packet.payload())
            }
        };
        let ipv6 = source.is_ipv6();
        let Some(reply) = Reply::parse(message, ipv6) else { return Ok(None) };
        let len = u16::try_from(message.len()).map_err(|_| Malformed::Length)?;
        let pseudo = Checksum::pseudo(source, destination, protocol::ICMPV6, len);
        let sum = pseudo.filter(|_| ipv6).unwrap_or_default();
        if sum.bytes(message).finish() != 0 { Err(Malformed::Checksum) } else { Ok(Some(reply)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ipv4, ipv6};
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const REQUEST: Request = Request { identifier: 0x0102, sequence: 0x0304 };

    /// A request in a packet, as it would come back.
    fn answered(six: bool, data: &[u8]) -> Vec<u8> {
        let mut message = [&[0; HEADER_LEN], data].concat();
        let (header, ends): (Vec<u8>, (IpAddr, IpAddr)) = if six {
            let (source, destination) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
            let repr = ipv6::Repr {
                source,
                destination,
                next_header: protocol::ICMPV6,
                hop_limit: 64,
                traffic_class: 0,
                flow_label: 0,
                payload_len: message.len(),
            };
            let mut header = vec![0; repr.buffer_len()];
            repr.emit(&mut header);
            (header, (source.into(), destination.into()))
        } else {
            let (source, destination) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
            let repr = ipv4::Repr {
                source,
                destination,
                protocol: protocol::ICMP,
                hop_limit: 64,
                traffic_class: 0,
                identification: 7,
                dont_fragment: true,
                more_fragments: false,
                fragment_offset: 0,
                payload_len: message.len(),
            };
            let mut header = vec![0; repr.buffer_len()];
            repr.emit(&mut header);
            (header, (source.into(), destination.into()))
        };
        REQUEST.emit(ends.0, ends.1, &mut message);
        // The type alone changes, and the sum with it.
        let kind = if six { V6_REPLY } else { V4_REPLY };
        let sum = crate::wire::checksum::update(
            u16_at(&message, 2),
            u16::from(message[0]) << 8,
            u16::from(kind) << 8,
        );
        message[0] = kind;
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        [header, message].concat()
    }

    #[test]
    fn byte_by_byte() {
        let mut message = [0; HEADER_LEN + 2];
        message[HEADER_LEN..].copy_from_slice(&[0xab, 0xcd]);
        let [source, destination] = [[192, 0, 2, 1], [192, 0, 2, 2]].map(IpAddr::from);
        REQUEST.emit(source, destination, &mut message);
        assert_eq!(message, [8, 0, 0x48, 0x2c, 1, 2, 3, 4, 0xab, 0xcd]);
    }

    #[test]
    fn what_comes_back_is_known() {
        for six in [false, true] {
            let packet = answered(six, b"data");
            let reply = Reply { identifier: 0x0102, sequence: 0x0304, data: b"data" };
            assert_eq!(Reply::of_packet(&packet), Ok(Some(reply)));
            let mut wrong = packet.clone();
            *wrong.last_mut().unwrap() ^= 1;
            assert_eq!(Reply::of_packet(&wrong), Err(Malformed::Checksum));
        }
        let mut piece = answered(false, b"data");
        piece[6] = 0x20;
        assert_eq!(Reply::of_packet(&piece), Ok(None));
    }

    proptest! {
        #[test]
        fn round_trip(six: bool, data in proptest::collection::vec(any::<u8>(), 0..64)) {
            let packet = answered(six, &data);
            let reply = Reply::of_packet(&packet).unwrap().unwrap();
            prop_assert_eq!((reply.identifier, reply.sequence, reply.data), (0x0102, 0x0304, &data[..]));
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), six: bool) {
            let _ = Reply::of_packet(&bytes);
            let _ = Reply::parse(&bytes, six);
        }
    }
}
