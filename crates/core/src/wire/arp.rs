//! ARP for IPv4 over Ethernet (RFC 826).

use super::{Malformed, u16_at};
use crate::id::Mac;
use core::net::Ipv4Addr;

/// Bytes of a message.
pub const LEN: usize = 28;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Request,
    Reply,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repr {
    pub operation: Operation,
    pub sender_mac: Mac,
    /// `0.0.0.0` in a probe (RFC 5227 2.1.1).
    pub sender: Ipv4Addr,
    /// Zeros in a request.
    pub target_mac: Mac,
    pub target: Ipv4Addr,
}

impl Repr {
    /// Bytes after the message (Ethernet's padding) are not looked at.
    ///
    /// # Errors
    /// `Truncated`; `Version` of other hardware, protocol or operation; `Length`.
    pub fn parse(bytes: &[u8]) -> Result<Repr, Malformed> {
        if bytes.len() < LEN {
            return Err(Malformed::Truncated);
        }
        if (u16_at(bytes, 0), u16_at(bytes, 2)) != (1, 0x0800) {
            return Err(Malformed::Version);
        }
        if bytes[4..6] != [6, 4] {
            return Err(Malformed::Length);
        }
        let operation = match u16_at(bytes, 6) {
            1 => Operation::Request,
            2 => Operation::Reply,
            _ => return Err(Malformed::Version),
        };
        let mac = |at: usize| {
            let mut octets = [0; 6];
            octets.copy_from_slice(&bytes[at..at + 6]);
            Mac(octets)
        };
        let address = |at: usize| Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
        Ok(Repr {
            operation,
            sender_mac: mac(8),
            sender: address(14),
            target_mac: mac(18),
            target: address(24),
        })
    }

    pub const fn buffer_len(&self) -> usize {
        LEN
    }

    /// # Panics
    /// If `buffer` is shorter than [`Repr::buffer_len`].
    pub fn emit(&self, buffer: &mut [u8]) {
        let operation = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        buffer[..8].copy_from_slice(&[0, 1, 0x08, 0, 6, 4, 0, operation]);
        buffer[8..14].copy_from_slice(&self.sender_mac.0);
        buffer[14..18].copy_from_slice(&self.sender.octets());
        buffer[18..24].copy_from_slice(&self.target_mac.0);
        buffer[24..28].copy_from_slice(&self.target.octets());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn byte_by_byte() {
        let probe = Repr {
            operation: Operation::Request,
            sender_mac: Mac([2, 0, 0, 0, 0, 1]),
            sender: Ipv4Addr::UNSPECIFIED,
            target_mac: Mac([0; 6]),
            target: Ipv4Addr::new(43, 228, 174, 226),
        };
        let mut bytes = [0xaa; 28];
        probe.emit(&mut bytes);
        let want =
            [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 43, 228, 174, 226];
        assert_eq!(bytes, want);
        assert_eq!(Repr::parse(&bytes), Ok(probe));
        assert_eq!(Repr::parse(&bytes[..27]), Err(Malformed::Truncated));
        bytes[4] = 8;
        assert_eq!(Repr::parse(&bytes), Err(Malformed::Length));
    }

    proptest! {
        #[test]
        fn any_bytes_parse_to_what_they_print(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(repr) = Repr::parse(&bytes) {
                let mut again = [0; LEN];
                repr.emit(&mut again);
                prop_assert_eq!(&again[..], &bytes[..LEN]);
            }
        }
    }
}
