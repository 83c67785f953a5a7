//! What stands between the outer IP header and the inner packet.

use super::DropReason;
use crate::wire::ethernet::{self, ethertype};
use crate::wire::ip::{self, protocol};
use crate::wire::{Malformed, etherip, gre};
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

/// The bytes of a tunnel header.
#[derive(Debug, Clone, Copy)]
pub struct ShimHeader {
    bytes: [u8; MAX_SHIM_LEN],
    len: usize,
}

impl ShimHeader {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The header that goes in front of an inner packet. All segments of one packet have the same.
///
/// # Errors
/// `WrongInner` if the inner packet is not what the tunnel carries.
pub fn header(shim: Shim, inner: &[u8]) -> Result<ShimHeader, DropReason> {
    let mut header = ShimHeader { bytes: [0; MAX_SHIM_LEN], len: shim.header_len() };
    let bytes = &mut header.bytes[..header.len];
    if shim.carries_ethernet() && inner.len() < ethernet::HEADER_LEN {
        return Err(DropReason::WrongInner);
    }
    match shim {
        Shim::Gre { key } => {
            let protocol = match ip::version(inner) {
                Some(4) => ethertype::IPV4,
                Some(6) => ethertype::IPV6,
                _ => return Err(DropReason::WrongInner),
            };
            gre::Repr::new(protocol, key).emit(bytes);
        }
        Shim::Gretap { key } => gre::Repr::new(ethertype::BRIDGING, key).emit(bytes),
        Shim::EtherIp => etherip::Repr::default().emit(bytes),
    }
    Ok(header)
}

/// Writes the header in front of the inner packet that stands at `inner` in `buffer`, and returns
/// where header and packet stand together. At least [`Shim::header_len`] bytes must be free before
/// the packet: [`MAX_SHIM_LEN`] always suffice.
///
/// # Errors
/// As [`header`].
///
/// # Panics
/// If `inner` is no range of `buffer` or too little is free before it.
pub fn encapsulate(shim: Shim, buffer: &mut [u8], inner: Range<usize>) -> Result<Range<usize>, DropReason> {
    let header = header(shim, &buffer[inner.clone()])?;
    let start = inner.start - header.len;
    buffer[start..inner.start].copy_from_slice(header.bytes());
    Ok(start..inner.end)
}

/// What a tunnel header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decapsulated {
    pub shim: Shim,
    /// Where in the payload the inner packet stands.
    pub inner: Range<usize>,
    /// An EtherIP header as old BSDs sent it: only for a tunnel that accepts it.
    pub reversed: bool,
}

/// Reads the header of a whole outer payload that came as IP `protocol`, and says where in it the
/// inner packet stands. Whether anybody may send us such a packet is for the caller to look up.
///
/// # Errors
/// `Malformed`, `EtherIpVersion`, `EtherIpReserved`, `ShortFrame`, `WrongInner`, or `UnknownTunnel` for
/// a protocol that is no tunnel.
pub fn decapsulate(protocol: u8, payload: &[u8]) -> Result<Decapsulated, DropReason> {
    let mut reversed = false;
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
            reversed = etherip::Repr::parse(payload)
                .map_err(|malformed| match malformed {
                    Malformed::Version => DropReason::EtherIpVersion,
                    Malformed::Reserved => DropReason::EtherIpReserved,
                    _ => DropReason::Malformed,
                })?
                .reversed;
            (Shim::EtherIp, etherip::HEADER_LEN, None)
        }
        _ => return Err(DropReason::UnknownTunnel),
    };
    let inner = &payload[at..];
    match version {
        Some(_) if ip::version(inner) != version => Err(DropReason::WrongInner),
        None if inner.len() < ethernet::HEADER_LEN => Err(DropReason::ShortFrame),
        _ => Ok(Decapsulated { shim, inner: at..payload.len(), reversed }),
    }
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
        let inner = header.len()..payload.len();
        assert_eq!(decapsulate(shim.protocol(), payload), Ok(Decapsulated { shim, inner, reversed: false }));
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
        assert_eq!(decapsulate(97, &[0x30]), Err(DropReason::Malformed));
        assert_eq!(decapsulate(97, &[0x30; 17]), Err(DropReason::EtherIpReserved));
        assert_eq!(decapsulate(97, &[0x40; 17]), Err(DropReason::EtherIpVersion));
        assert_eq!(decapsulate(97, &[&[0x30, 0][..], &[0; 13]].concat()), Err(DropReason::ShortFrame));
        assert_eq!(decapsulate(47, &[0, 0, 0x65, 0x58, 1, 2]), Err(DropReason::ShortFrame));
        assert_eq!(decapsulate(17, &[0; 20]), Err(DropReason::UnknownTunnel));
    }

    #[test]
    fn the_header_of_old_bsds_is_told() {
        let bytes = [&[0x03, 0][..], &[0; 14]].concat();
        let decapsulated = Decapsulated { shim: Shim::EtherIp, inner: 2..16, reversed: true };
        assert_eq!(decapsulate(97, &bytes), Ok(decapsulated));
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
            let read = decapsulate(shim.protocol(), &payload).unwrap();
            prop_assert_eq!(read.shim, shim);
            prop_assert_eq!(&payload[read.inner], &inner[..]);
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), protocol: u8) {
            for protocol in [protocol, 47, 97] {
                if let Ok(read) = decapsulate(protocol, &bytes) {
                    prop_assert!(!bytes[read.inner].is_empty());
                }
            }
        }
    }
}
