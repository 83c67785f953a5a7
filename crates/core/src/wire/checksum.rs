//! The Internet checksum (RFC 1071) and the pseudo-headers it covers.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A ones' complement sum under way. Every piece but the last must have an even length.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checksum(u64);

impl Checksum {
    pub fn new() -> Checksum {
        Checksum(0)
    }

    /// Summed in the machine's own byte order and turned at the end: a ones' complement sum does not
    /// mind (RFC 1071 2 B).
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Checksum {
        let mut lanes = [0u64; 4];
        let mut blocks = bytes.chunks_exact(16);
        for block in &mut blocks {
            for (lane, word) in lanes.iter_mut().zip(block.chunks_exact(4)) {
                *lane += u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
            }
        }
        let mut sum: u64 = lanes.iter().sum();
        let mut words = blocks.remainder().chunks_exact(2);
        for word in &mut words {
            sum += u64::from(u16::from_ne_bytes([word[0], word[1]]));
        }
        if let [last] = words.remainder() {
            sum += u64::from(u16::from_ne_bytes([*last, 0]));
        }
        Checksum(self.0 + u64::from(u16::from_be(fold(sum))))
    }

    #[must_use]
    pub fn word(self, word: u16) -> Checksum {
        Checksum(self.0 + u64::from(word))
    }

    /// The pseudo-header of RFC 768 (IPv4).
    pub fn pseudo_v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, len: u16) -> Checksum {
        Checksum::new()
            .bytes(&source.octets())
            .bytes(&destination.octets())
            .word(u16::from(protocol))
            .word(len)
    }

    /// The pseudo-header of RFC 8200 8.1 (IPv6).
    pub fn pseudo_v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, len: u32) -> Checksum {
        Checksum::new()
            .bytes(&source.octets())
            .bytes(&destination.octets())
            .bytes(&len.to_be_bytes())
            .word(u16::from(protocol))
    }

    /// The pseudo-header of whichever family the source is; `None` if the families differ.
    pub fn pseudo(source: IpAddr, destination: IpAddr, protocol: u8, len: u16) -> Option<Checksum> {
        match (source, destination) {
            (IpAddr::V4(from), IpAddr::V4(to)) => Some(Checksum::pseudo_v4(from, to, protocol, len)),
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                Some(Checksum::pseudo_v6(from, to, protocol, u32::from(len)))
            }
            _ => None,
        }
    }

    /// The checksum: zero over bytes that hold a right one.
    pub fn finish(self) -> u16 {
        !fold(self.0)
    }

    /// The sum itself: what stands in a checksum field that somebody else is to complete.
    pub fn partial(self) -> u16 {
        fold(self.0)
    }
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // The loop above ends with at most sixteen bits.
    sum as u16
}

/// The checksum after one 16-bit word of what it covers went from `old` to `new` (RFC 1624, eqn. 3).
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    Checksum::new().word(!checksum).word(!old).word(new).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Checksum::new().bytes(&bytes).finish(), !0xddf2);
    }

    #[test]
    fn an_odd_last_byte_is_the_high_one() {
        assert_eq!(Checksum::new().bytes(&[0x12]).finish(), !0x1200);
    }

    #[test]
    fn update_is_the_same_as_anew() {
        let before = [0x45, 0x00, 0x12, 0x34];
        let after = [0x45, 0x03, 0x12, 0x34];
        let old = Checksum::new().bytes(&before).finish();
        assert_eq!(update(old, 0x4500, 0x4503), Checksum::new().bytes(&after).finish());
    }
    proptest! {
        #[test]
        fn word_by_word_is_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut sum = 0u64;
            for word in bytes.chunks(2) {
                sum += u64::from(word[0]) << 8 | u64::from(*word.get(1).unwrap_or(&0));
            }
            prop_assert_eq!(Checksum::new().bytes(&bytes).partial(), fold(sum));
        }
    }
}
