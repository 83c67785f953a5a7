//! What stands between the outer IP header and the inner packet.

use super::inside::{Link, locate};
use super::merge::flow;
use super::{DropReason, Outer};
use crate::id::Vni;
use crate::wire::ethernet::{self, ethertype};
use crate::wire::ip::{self, protocol};
use crate::wire::{Malformed, etherip, geneve, gre, udp};
use core::net::IpAddr;
use core::ops::Range;

/// The longest header that [`encapsulate`] writes: GENEVE with the UDP header in front of it.
pub const MAX_SHIM_LEN: usize = udp::HEADER_LEN + geneve::HEADER_LEN;

/// A tunnel header. Together with both outer addresses it says which tunnel a packet belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shim {
    /// IP in GRE.
    Gre { key: Option<u32> },
    /// Ethernet in GRE.
    Gretap { key: Option<u32> },
    /// Ethernet in EtherIP.
    EtherIp,
    /// Ethernet in GENEVE, its UDP header included.
    Geneve { vni: Vni },
}

impl Shim {
    /// The IP protocol that carries it.
    pub fn protocol(self) -> u8 {
        match self {
            Shim::Gre { .. } | Shim::Gretap { .. } => protocol::GRE,
            Shim::EtherIp => protocol::ETHERIP,
            Shim::Geneve { .. } => protocol::UDP,
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
            Shim::Geneve { .. } => MAX_SHIM_LEN,
        }
    }

    /// Writes what depends on a whole outer payload: UDP's length and checksum. `head` begins with what
    /// [`header`] gave, and `body` follows it; `head` has an even length.
    ///
    /// # Errors
    /// `TooLarge` for more than UDP holds.
    ///
    /// # Panics
    /// If `head` is shorter than the header.
    pub fn complete(self, outer: &Outer, head: &mut [u8], body: &[u8]) -> Result<(), DropReason> {
        match self {
            Shim::Gre { .. } | Shim::Gretap { .. } | Shim::EtherIp => Ok(()),
            // A right checksum in both families: RFC 8926 3.3 has it so unless both ends agree otherwise.
            Shim::Geneve { .. } => udp::complete(head, body, outer.source(), outer.destination())
                .map_err(|_| DropReason::TooLarge),
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

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

/// The header that goes in front of an inner packet, but for what [`Shim::complete`] writes. All segments
/// of one packet have the same.
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
        Shim::Geneve { vni } => {
            bytes[..2].copy_from_slice(&source_port(inner).to_be_bytes());
            bytes[2..4].copy_from_slice(&geneve::PORT.to_be_bytes());
            geneve::Repr { protocol: ethertype::BRIDGING, vni }.emit(&mut bytes[udp::HEADER_LEN..]);
        }
    }
    Ok(header)
}

/// The same for all frames of one flow, so that the way outside keeps their order, and seldom the same
/// for two: a dynamic port of a hash over the frame's headers (RFC 8926 3.3). Pieces of an inner packet
/// have no ports: all of them go by their Ethernet addresses.
fn source_port(frame: &[u8]) -> u16 {
    let located = locate(Link::Ethernet, frame).filter(|located| !located.is_cut);
    let hash = match located {
        Some(located) => {
            let has_ports = matches!(located.protocol, protocol::TCP | protocol::UDP);
            let ports = frame.get(located.transport..located.transport + 4).filter(|_| has_ports);
            flow(&frame[located.ip..], located.ipv6, ports.unwrap_or(&[0; 4]))
        }
        None => frame[..12].iter().fold(0, |hash: u64, byte| {
            (hash.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        }),
    };
    // The top bits of a product are the best mixed.
    0xc000 | (hash >> 50) as u16
}

/// Writes the header in front of the inner packet that stands at `inner` in `buffer`, and returns
/// where header and packet stand together. At least [`Shim::header_len`] bytes must be free before
/// the packet: [`MAX_SHIM_LEN`] always suffice.
///
/// # Errors
/// As [`header`] and [`Shim::complete`].
///
/// # Panics
/// If `inner` is no range of `buffer` or too little is free before it.
pub fn encapsulate(
    shim: Shim,
    outer: &Outer,
    buffer: &mut [u8],
    inner: Range<usize>,
) -> Result<Range<usize>, DropReason> {
    let header = header(shim, &buffer[inner.clone()])?;
    let start = inner.start - header.len;
    buffer[start..inner.start].copy_from_slice(header.bytes());
    shim.complete(outer, &mut buffer[start..inner.end], &[])?;
    Ok(start..inner.end)
}

/// A whole outer payload, and what was said of it.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The IP protocol.
    pub protocol: u8,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub payload: &'a [u8],
    /// Whether a checksum of UDP is not to be looked at: somebody has already, or the packet was on no
    /// wire yet and nobody has completed it.
    pub is_checked: bool,
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

/// Reads the header of a whole outer payload, and says where in it the inner packet stands. Whether
/// anybody may send us such a packet is for the caller to look up.
///
/// # Errors
/// `Malformed`, `EtherIpVersion`, `EtherIpReserved`, those of [`decapsulate_datagram`], `ShortFrame`,
/// `WrongInner`, or `UnknownTunnel` for a protocol or a port that is no tunnel.
pub fn decapsulate(received: &Received<'_>) -> Result<Decapsulated, DropReason> {
    let payload = received.payload;
    let mut reversed = false;
    let (shim, at, version) = match received.protocol {
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
        protocol::UDP => {
            let datagram = udp::Packet::new_checked(payload)?;
            if datagram.destination_port() != geneve::PORT {
                return Err(DropReason::UnknownTunnel);
            }
            // In IPv6 one of zero is none, and wrong: nobody has agreed on RFC 6936 with us.
            if !received.is_checked && !datagram.verify_checksum(received.source, received.destination) {
                return Err(DropReason::Malformed);
            }
            let read = decapsulate_datagram(datagram.payload())?;
            let (start, end) = (udp::HEADER_LEN + read.inner.start, udp::HEADER_LEN + read.inner.end);
            return Ok(Decapsulated { inner: start..end, ..read });
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

/// As [`decapsulate`], of what a UDP socket at GENEVE's port gives.
///
/// # Errors
/// `Malformed`, `GeneveVersion`, `GeneveControl`, `GeneveCritical`, `WrongInner` or `ShortFrame`.
pub fn decapsulate_datagram(datagram: &[u8]) -> Result<Decapsulated, DropReason> {
    let header = geneve::Packet::new_checked(datagram).map_err(|malformed| match malformed {
        Malformed::Version => DropReason::GeneveVersion,
        _ => DropReason::Malformed,
    })?;
    if header.is_control() {
        return Err(DropReason::GeneveControl);
    }
    if header.has_critical_option() {
        return Err(DropReason::GeneveCritical);
    }
    if header.protocol() != ethertype::BRIDGING {
        return Err(DropReason::WrongInner);
    }
    let inner = header.header_len()..datagram.len();
    if inner.len() < ethernet::HEADER_LEN {
        return Err(DropReason::ShortFrame);
    }
    Ok(Decapsulated { shim: Shim::Geneve { vni: header.vni() }, inner, reversed: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::samples::Sample;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn shims() -> impl Strategy<Value = Shim> {
        prop_oneof![
            any::<Option<u32>>().prop_map(|key| Shim::Gre { key }),
            any::<Option<u32>>().prop_map(|key| Shim::Gretap { key }),
            Just(Shim::EtherIp),
            (0u32..1 << 24).prop_map(|vni| Shim::Geneve { vni: Vni(vni) }),
        ]
    }

    fn ends(six: bool) -> (IpAddr, IpAddr) {
        let (source, destination) =
            if six { ("2001:db8:101::1", "2001:db8:102::1") } else { ("192.0.2.1", "198.51.100.2") };
        (source.parse().unwrap(), destination.parse().unwrap())
    }

    fn sent(shim: Shim, six: bool, inner: &[u8]) -> Result<Vec<u8>, DropReason> {
        let (source, destination) = ends(six);
        let outer = Outer::new(source, destination, shim.protocol(), 1500).unwrap();
        let mut buffer = vec![0; MAX_SHIM_LEN];
        buffer.extend_from_slice(inner);
        let range = MAX_SHIM_LEN..buffer.len();
        encapsulate(shim, &outer, &mut buffer, range).map(|range| buffer[range].to_vec())
    }

    fn read(protocol: u8, six: bool, payload: &[u8]) -> Result<Decapsulated, DropReason> {
        let (source, destination) = ends(six);
        decapsulate(&Received { protocol, source, destination, payload, is_checked: false })
    }

    #[track_caller]
    fn check(shim: Shim, inner: &[u8], header: &[u8]) {
        let payload = sent(shim, true, inner).unwrap();
        assert_eq!(&payload[..header.len()], header);
        assert_eq!(&payload[header.len()..], inner);
        let inner = header.len()..payload.len();
        assert_eq!(read(shim.protocol(), true, &payload), Ok(Decapsulated { shim, inner, reversed: false }));
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
            (Shim::Geneve { vni: Vni(7) }, &[0; 13]),
        ] {
            assert_eq!(sent(shim, false, inner), Err(DropReason::WrongInner));
        }
        let decapsulate = |protocol, payload: &[u8]| read(protocol, false, payload);
        // IPv4 by the header, IPv6 by its bytes; ARP; a frame that is cut; no tunnel at all.
        assert_eq!(decapsulate(47, &[0, 0, 8, 0, 0x60]), Err(DropReason::WrongInner));
        assert_eq!(decapsulate(47, &[0, 0, 8, 6, 0x45]), Err(DropReason::WrongInner));
        assert_eq!(decapsulate(97, &[0x30]), Err(DropReason::Malformed));
        assert_eq!(decapsulate(97, &[0x30; 17]), Err(DropReason::EtherIpReserved));
        assert_eq!(decapsulate(97, &[0x40; 17]), Err(DropReason::EtherIpVersion));
        assert_eq!(decapsulate(97, &[&[0x30, 0][..], &[0; 13]].concat()), Err(DropReason::ShortFrame));
        assert_eq!(decapsulate(47, &[0, 0, 0x65, 0x58, 1, 2]), Err(DropReason::ShortFrame));
        // No tunnel's protocol, and no tunnel's port.
        assert_eq!(decapsulate(6, &[0; 20]), Err(DropReason::UnknownTunnel));
        assert_eq!(decapsulate(17, &[0, 9, 0, 9, 0, 8, 0, 0]), Err(DropReason::UnknownTunnel));
    }

    /// UDP from a port of the flow's own to 6081, its checksum, and eight bytes of GENEVE.
    #[test]
    fn geneve_byte_by_byte() {
        let shim = Shim::Geneve { vni: Vni(0x01_0203) };
        let geneve = [0, 0, 0x65, 0x58, 1, 2, 3, 0];
        for (six, udp) in [
            (false, [0xde, 0x40, 0x17, 0xc1, 0, 30, 0xa6, 0x10]),
            (true, [0xde, 0x40, 0x17, 0xc1, 0, 30, 0x34, 0xd1]),
        ] {
            let payload = sent(shim, six, &[2; 14]).unwrap();
            assert_eq!(payload[..8], udp, "{:x?}", &payload[..8]);
            assert_eq!(payload[8..], [&geneve[..], &[2; 14]].concat());
            let found = Decapsulated { shim, inner: 16..30, reversed: false };
            assert_eq!(read(17, six, &payload), Ok(found.clone()));
            assert_eq!(decapsulate_datagram(&payload[8..]).unwrap().inner, 8..22);
            // Without a checksum: right in IPv4, wrong in IPv6 unless somebody else answers for it.
            let bare = [&payload[..6], &[0, 0], &payload[8..]].concat();
            assert_eq!(
                read(17, six, &bare),
                if six { Err(DropReason::Malformed) } else { Ok(found.clone()) }
            );
            let (source, destination) = ends(six);
            let checked = Received { protocol: 17, source, destination, payload: &bare, is_checked: true };
            assert_eq!(decapsulate(&checked), Ok(found));
            let wrong = [&payload[..29], &[3]].concat();
            assert_eq!(read(17, six, &wrong), Err(DropReason::Malformed));
        }
    }

    #[test]
    fn geneve_is_strict() {
        let frame = [2; 14];
        for (header, reason) in [
            (&[0x40, 0, 0x65, 0x58, 0, 0, 7, 0][..], DropReason::GeneveVersion),
            (&[0, 0x80, 0x65, 0x58, 0, 0, 7, 0], DropReason::GeneveControl),
            (&[1, 0x40, 0x65, 0x58, 0, 0, 7, 0, 0, 0, 0x80, 0], DropReason::GeneveCritical),
            (&[0, 0, 0x08, 0x00, 0, 0, 7, 0], DropReason::WrongInner),
            (&[4, 0, 0x65, 0x58, 0, 0, 7, 0], DropReason::Malformed),
            (&[3, 0, 0x65, 0x58, 0, 0, 7, 0, 0, 0, 0, 1, 0, 0, 0, 0], DropReason::ShortFrame),
        ] {
            assert_eq!(decapsulate_datagram(&[header, &frame].concat()), Err(reason));
        }
        // An option that nobody has to know is skipped.
        let option = [2, 0, 0x65, 0x58, 0, 0, 7, 0, 1, 3, 5, 1, 9, 9, 9, 9];
        let found = decapsulate_datagram(&[&option[..], &frame].concat()).unwrap();
        assert_eq!((found.shim, found.inner), (Shim::Geneve { vni: Vni(7) }, 16..30));
    }

    /// A flow keeps its port, whatever it carries; other flows have others, and pieces go together.
    #[test]
    fn source_ports_are_of_the_flow() {
        let sample = |ipv6, port, payload: usize| Sample {
            ipv6,
            port,
            tags: Some(1),
            payload: vec![9; payload],
            ..Sample::default()
        };
        for ipv6 in [false, true] {
            let ports: Vec<u16> =
                (40_000..40_064).map(|port| source_port(&sample(ipv6, port, 9).build())).collect();
            assert!(ports.iter().all(|port| *port >= 49_152));
            let different: alloc::collections::BTreeSet<&u16> = ports.iter().collect();
            assert!(different.len() > 56, "{ports:?}");
            assert_eq!(source_port(&sample(ipv6, 40_000, 900).build()), ports[0]);
        }
        let mut first = sample(false, 40_000, 9).build();
        let whole = source_port(&first);
        first[18 + 6] = 0x20;
        let mut later = first.clone();
        later[18 + 7] = 3;
        assert_ne!(source_port(&first), whole);
        assert_eq!(source_port(&first), source_port(&later));
    }

    #[test]
    fn the_header_of_old_bsds_is_told() {
        let bytes = [&[0x03, 0][..], &[0; 14]].concat();
        let decapsulated = Decapsulated { shim: Shim::EtherIp, inner: 2..16, reversed: true };
        assert_eq!(read(97, true, &bytes), Ok(decapsulated));
    }

    proptest! {
        #[test]
        fn round_trip(shim in shims(), mut inner in proptest::collection::vec(any::<u8>(), 14..200), six: bool) {
            inner[0] = if six { 0x60 } else { 0x45 };
            let payload = sent(shim, six, &inner).unwrap();
            let read = read(shim.protocol(), six, &payload).unwrap();
            prop_assert_eq!(read.shim, shim);
            prop_assert_eq!(&payload[read.inner], &inner[..]);
        }

        /// What was cut from one packet is completed piece by piece: the same as in one.
        #[test]
        fn completed_in_two_parts(inner in proptest::collection::vec(any::<u8>(), 30..200), at in 0usize..15, six: bool) {
            let shim = Shim::Geneve { vni: Vni(7) };
            let whole = sent(shim, six, &inner).unwrap();
            let (source, destination) = ends(six);
            let outer = Outer::new(source, destination, 17, 1500).unwrap();
            let (head, body) = inner.split_at(2 * at);
            let mut head = [header(shim, &inner).unwrap().bytes(), head].concat();
            shim.complete(&outer, &mut head, body).unwrap();
            prop_assert_eq!([&head[..], body].concat(), whole);
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), protocol: u8) {
            let geneve = [&[0xc0, 0, 0x17, 0xc1, 0, 8 + bytes.len() as u8, 0, 0][..], &bytes].concat();
            for (protocol, bytes) in [(protocol, &bytes), (47, &bytes), (97, &bytes), (17, &geneve)] {
                if let Ok(read) = read(protocol, false, bytes) {
                    prop_assert!(!bytes[read.inner].is_empty());
                }
            }
        }
    }
}
