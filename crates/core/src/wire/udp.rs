//! UDP (RFC 768; RFC 8200 8.1 for IPv6, where a checksum is a must).

use super::checksum::Checksum;
use super::ip::protocol;
use super::{Malformed, u16_at};
use core::net::IpAddr;

pub const HEADER_LEN: usize = 8;
/// Where in the header the checksum stands.
pub const CHECKSUM_AT: usize = 6;

/// A datagram whose length field agrees with its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a>(&'a [u8]);

impl<'a> Packet<'a> {
    /// Bytes after the length that the header states are cut off.
    ///
    /// # Errors
    /// `Truncated` or `Length`.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Packet<'a>, Malformed> {
        if bytes.len() < HEADER_LEN {
            return Err(Malformed::Truncated);
        }
        let len = usize::from(u16_at(bytes, 4));
        if len < HEADER_LEN {
            return Err(Malformed::Length);
        }
        bytes.get(..len).map(Packet).ok_or(Malformed::Truncated)
    }

    pub fn source_port(&self) -> u16 {
        u16_at(self.0, 0)
    }

    pub fn destination_port(&self) -> u16 {
        u16_at(self.0, 2)
    }

    pub fn payload(&self) -> &'a [u8] {
        &self.0[HEADER_LEN..]
    }

    /// Whether the checksum agrees; none at all is right in IPv4 only.
    pub fn verify_checksum(&self, source: IpAddr, destination: IpAddr) -> bool {
        if u16_at(self.0, 6) == 0 {
            return source.is_ipv4();
        }
        let len = u16_at(self.0, 4);
        Checksum::pseudo(source, destination, protocol::UDP, len)
            .is_some_and(|sum| sum.bytes(self.0).finish() == 0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repr {
    pub source_port: u16,
    pub destination_port: u16,
    /// Bytes after the header; at most 65,527.
    pub payload_len: usize,
}

impl Repr {
    /// # Errors
    /// `Checksum` if it does not agree.
    pub fn parse(packet: &Packet<'_>, source: IpAddr, destination: IpAddr) -> Result<Repr, Malformed> {
        if !packet.verify_checksum(source, destination) {
            return Err(Malformed::Checksum);
        }
        Ok(Repr {
            source_port: packet.source_port(),
            destination_port: packet.destination_port(),
            payload_len: packet.payload().len(),
        })
    }

    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN + self.payload_len
    }

    /// Writes the header in front of a payload that already stands in `buffer`, checksum included.
    ///
    /// # Errors
    /// `Length` if the payload does not fit UDP or the two addresses are not of one family.
    ///
    /// # Panics
    /// If `buffer` is shorter than [`Repr::buffer_len`].
    pub fn emit(&self, buffer: &mut [u8], source: IpAddr, destination: IpAddr) -> Result<(), Malformed> {
        buffer[..2].copy_from_slice(&self.source_port.to_be_bytes());
        buffer[2..4].copy_from_slice(&self.destination_port.to_be_bytes());
        complete(&mut buffer[..self.buffer_len()], &[], source, destination)
    }
}

/// Writes length and checksum into a header whose ports are there already. The datagram is `head`, of an
/// even length unless nothing follows it, and then `body`.
///
/// # Errors
/// As [`Repr::emit`].
///
/// # Panics
/// If `head` is shorter than the header.
pub fn complete(head: &mut [u8], body: &[u8], source: IpAddr, destination: IpAddr) -> Result<(), Malformed> {
    let len = u16::try_from(head.len() + body.len()).map_err(|_| Malformed::Length)?;
    let sum = Checksum::pseudo(source, destination, protocol::UDP, len).ok_or(Malformed::Length)?;
    head[4..6].copy_from_slice(&len.to_be_bytes());
    head[6..8].fill(0);
    let sum = match sum.bytes(head).bytes(body).finish() {
        // Zero means that there is none: its ones' complement is sent (RFC 768).
        0 => 0xffff,
        sum => sum,
    };
    head[6..8].copy_from_slice(&sum.to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etherparse_agrees() {
        for (source, destination) in [("192.0.2.1", "198.51.100.2"), ("2001:db8::1", "2001:db8::2")] {
            let (source, destination): (IpAddr, IpAddr) =
                (source.parse().unwrap(), destination.parse().unwrap());
            for payload in [&b""[..], b"odd", b"even"] {
                let repr = Repr { source_port: 20004, destination_port: 51820, payload_len: payload.len() };
                let mut bytes = [0; 16];
                bytes[8..8 + payload.len()].copy_from_slice(payload);
                repr.emit(&mut bytes, source, destination).unwrap();
                let header = match (source, destination) {
                    (IpAddr::V4(from), IpAddr::V4(to)) => etherparse::UdpHeader::with_ipv4_checksum(
                        20004,
                        51820,
                        &etherparse::Ipv4Header::new(
                            payload.len() as u16 + 8,
                            64,
                            etherparse::IpNumber::UDP,
                            from.octets(),
                            to.octets(),
                        )
                        .unwrap(),
                        payload,
                    ),
                    (IpAddr::V6(from), IpAddr::V6(to)) => etherparse::UdpHeader::with_ipv6_checksum(
                        20004,
                        51820,
                        &etherparse::Ipv6Header {
                            source: from.octets(),
                            destination: to.octets(),
                            ..Default::default()
                        },
                        payload,
                    ),
                    _ => unreachable!(),
                }
                .unwrap();
                assert_eq!(bytes[..8], header.to_bytes());
                let packet = Packet::new_checked(&bytes[..repr.buffer_len()]).unwrap();
                assert_eq!(Repr::parse(&packet, source, destination), Ok(repr));
                bytes[0] ^= 1;
                let packet = Packet::new_checked(&bytes[..repr.buffer_len()]).unwrap();
                assert_eq!(Repr::parse(&packet, source, destination), Err(Malformed::Checksum));
            }
        }
    }

    #[test]
    fn lengths_that_lie() {
        assert_eq!(Packet::new_checked(&[0; 7]).unwrap_err(), Malformed::Truncated);
        assert_eq!(Packet::new_checked(&[0, 1, 0, 2, 0, 7, 0, 0]).unwrap_err(), Malformed::Length);
        assert_eq!(Packet::new_checked(&[0, 1, 0, 2, 0, 9, 0, 0]).unwrap_err(), Malformed::Truncated);
    }
}
