//! What stands between the outer IP header and the inner packet.

use super::DropReason;
use crate::wire::ethernet::{self, ethertype};
use crate::wire::ip::{self, protocol};
use crate::wire::{etherip, gre};
use core::ops::Range;

/// The longest header that [`encapsulate`] writes: GRE with a key.
pub const MAX_SHIM_LEN: usize = 8;

/// A tunnel header. Together with both outer addresses it says which tunnel a packet belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shim {
    /// IP in GRE.
    Gre { key: Option<u32> },
    /// Ethernet in GRE.
    Gretap { key: Option<u32> },
    /// Ethernet in EtherIP.
    EtherIp,
}

impl Shim {
    /// The IP protocol that carries it.
    pub fn protocol(self) -> u8 {
        match self {
            Shim::Gre { .. } | Shim::Gretap { .. } => protocol::GRE,
            Shim::EtherIp => protocol::ETHERIP,
        }
    }

    /// True if whole Ethernet frames are inside.
    pub fn carries_ethernet(self) -> bool {
        !matches!(self, Shim::Gre { .. })
    }

    /// Bytes of the header as we send it.
    pub fn header_len(self) -> usize {
        match self {
            Shim::Gre { key } | Shim::Gretap { key } => gre::Repr::new(0, key).buffer_len(),
            Shim::EtherIp => etherip::HEADER_LEN,
        }
    }
}

/// Writes the header in front of the inner packet that stands at `inner` in `buffer`, and returns
/// where header and packet stand together. At least [`Shim::header_len`] bytes must be free before
/// the packet: [`MAX_SHIM_LEN`] always suffice.
///
/// # Errors
/// `WrongInner` if the inner packet is not what the tunnel carries.
///
/// # Panics
/// If `inner` is no range of `buffer` or too little is free before it.
pub fn encapsulate(shim: Shim, buffer: &mut [u8], inner: Range<usize>) -> Result<Range<usize>, DropReason> {
    let start = inner.start - shim.header_len();
    let packet = &buffer[inner.clone()];
    if shim.carries_ethernet() && packet.len() < ethernet::HEADER_LEN {
        return Err(DropReason::WrongInner);
    }
    match shim {
        Shim::Gre { key } => {
            let protocol = match ip::version(packet) {
                Some(4) => ethertype::IPV4,
                Some(6) => ethertype::IPV6,
                _ => return Err(DropReason::WrongInner),
            };
            gre::Repr::new(protocol, key).emit(&mut buffer[start..inner.start]);
        }
        Shim::Gretap { key } => {
            gre::Repr::new(ethertype::BRIDGING, key).emit(&mut buffer[start..inner.start]);
        }
        Shim::EtherIp => etherip::Repr.emit(&mut buffer[start..inner.start]),
    }
    Ok(start..inner.end)
}

/// Reads the header of a whole outer payload that came as IP `protocol`, and says where in it the
/// inner packet stands. Whether anybody may send us such a packet is for the caller to look up.
///
/// # Errors
/// `Malformed`, `WrongInner`, or `UnknownTunnel` for a protocol that is no tunnel.
pub fn decapsulate(protocol: u8, payload: &[u8]) -> Result<(Shim, Range<usize>), DropReason> {
    let (shim, at, version) = match protocol {
        protocol::GRE => {
            let header = gre::Repr::parse(payload)?;
            let (shim, version) = match header.protocol {
                ethertype::IPV4 => (Shim::Gre { key: header.key }, Some(4)),
                ethertype::IPV6 => (Shim::Gre { key: header.key }, Some(6)),
                ethertype::BRIDGING => (Shim::Gretap { key: header.key }, None),
                _ => return Err(DropReason::WrongInner),
            };
            (shim, header.buffer_len(), version)
        }
        protocol::ETHERIP => {
            etherip::Repr::parse(payload)?;
            (Shim::EtherIp, etherip::HEADER_LEN, None)
        }
        _ => return Err(DropReason::UnknownTunnel),
    };
    let inner = &payload[at..];
    let right = match version {
        Some(_) => ip::version(inner) == version,
        None => inner.len() >= ethernet::HEADER_LEN,
    };
    if right { Ok((shim, at..payload.len())) } else { Err(DropReason::WrongInner) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn shims() -> impl Strategy<Value = Shim> {
        prop_oneof![
            any::<Option<u32>>().prop_map(|key| Shim::Gre { key }),
            any::<Option<u32>>().prop_map(|key| Shim::Gretap { key }),
            Just(Shim::EtherIp),
        ]
    }

    #[track_caller]
    fn check(shim: Shim, inner: &[u8], header: &[u8]) {
        let mut buffer = vec![0; MAX_SHIM_LEN];
        buffer.extend_from_slice(inner);
        let range = encapsulate(shim, &mut buffer, MAX_SHIM_LEN..MAX_SHIM_LEN + inner.len()).unwrap();
        let payload = &buffer[range];
        assert_eq!(&payload[..header.len()], header);
        assert_eq!(&payload[header.len()..], inner);
        assert_eq!(decapsulate(shim.protocol(), payload), Ok((shim, header.len()..payload.len())));
    }

    #[test]
    fn headers_byte_by_byte() {
        let (four, six, frame) = ([0x45; 20], [0x60; 40], [2; 14]);
        check(Shim::Gre { key: None }, &four, &[0, 0, 8, 0]);
        check(Shim::Gre { key: None }, &six, &[0, 0, 0x86, 0xdd]);
        check(Shim::Gre { key: Some(7) }, &six, &[0x20, 0, 0x86, 0xdd, 0, 0, 0, 7]);
        check(Shim::Gretap { key: None }, &frame, &[0, 0, 0x65, 0x58]);
        check(Shim::Gretap { key: Some(1) }, &frame, &[0x20, 0, 0x65, 0x58, 0, 0, 0, 1]);
        check(Shim::EtherIp, &frame, &[0x30, 0]);
    }

    #[test]
    fn what_the_tunnel_does_not_carry_is_refused() {
        for (shim, inner) in [
            (Shim::Gre { key: None }, &[][..]),
            (Shim::Gre { key: None }, &[0x50; 20]),
            (Shim::EtherIp, &[0; 13]),
            (Shim::Gretap { key: None }, &[0; 13]),
        ] {
            let mut buffer = vec![0; MAX_SHIM_LEN];
            buffer.extend_from_slice(inner);
            let range = MAX_SHIM_LEN..buffer.len();
            assert_eq!(encapsulate(shim, &mut buffer, range), Err(DropReason::WrongInner));
        }
        // IPv4 by the header, IPv6 by its bytes; ARP; a frame that is cut; no tunnel at all.
        assert_eq!(decapsulate(47, &[0, 0, 8, 0, 0x60]), Err(DropReason::WrongInner));
        assert_eq!(decapsulate(47, &[0, 0, 8, 6, 0x45]), Err(DropReason::WrongInner));
        assert_eq!(decapsulate(97, &[0x30; 15]), Err(DropReason::Malformed));
        assert_eq!(decapsulate(97, &[0x30, 0, 1, 2]), Err(DropReason::WrongInner));
        assert_eq!(decapsulate(17, &[0; 20]), Err(DropReason::UnknownTunnel));
    }

    proptest! {
        #[test]
        fn round_trip(shim in shims(), mut inner in proptest::collection::vec(any::<u8>(), 14..200), six: bool) {
            inner[0] = if six { 0x60 } else { 0x45 };
            let mut buffer = vec![0; MAX_SHIM_LEN];
            buffer.extend_from_slice(&inner);
            let end = buffer.len();
            let range = encapsulate(shim, &mut buffer, MAX_SHIM_LEN..end).unwrap();
            let payload: Vec<u8> = buffer[range].to_vec();
            let (read, at) = decapsulate(shim.protocol(), &payload).unwrap();
            prop_assert_eq!(read, shim);
            prop_assert_eq!(&payload[at], &inner[..]);
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), protocol: u8) {
            for protocol in [protocol, 47, 97] {
                if let Ok((_, range)) = decapsulate(protocol, &bytes) {
                    prop_assert!(!bytes[range].is_empty());
                }
            }
        }
    }
}
