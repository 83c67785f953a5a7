//! A small reassembly of fragments, bounded in datagrams, bytes and time.
//!
//! The shell lets the kernel reassemble; this one serves whoever reads packets before the kernel
//! does. It is strict: overlapping fragments end a datagram (RFC 5722; we ask the same of IPv4).

use super::DropReason;
use crate::time::{Duration, Instant};
use crate::wire::{ip, ipv4, ipv6};
use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

/// How much may be under way.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Datagrams of which some pieces are here.
    pub datagrams: usize,
    /// Bytes of all pieces together.
    pub bytes: usize,
    /// From the first piece of a datagram to the last (RFC 8200 4.5 says 60 s; pieces that are
    /// that late serve nobody).
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { datagrams: 64, bytes: 256 * 1024, timeout: Duration::from_secs(2) }
    }
}

/// An outer payload that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram<'a> {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    /// DSCP and ECN; a congestion mark on any piece is on the whole (RFC 3168 5.3).
    pub traffic_class: u8,
    /// How many packets it came in.
    pub packets: usize,
    pub payload: Cow<'a, [u8]>,
}

/// RFC 791 3.2 and RFC 8200 4.5: the protocol counts in IPv4 only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    protocol: Option<u8>,
    identification: u32,
}

#[derive(Debug)]
struct Pending {
    since: Instant,
    protocol: u8,
    traffic_class: u8,
    /// Pieces by offset, without overlap.
    pieces: BTreeMap<usize, Vec<u8>>,
    bytes: usize,
    /// The whole length, once the last piece is here.
    len: Option<usize>,
}

/// A piece of a datagram.
struct Piece<'a> {
    offset: usize,
    more: bool,
    protocol: u8,
    traffic_class: u8,
    payload: &'a [u8],
}

impl<'a> Piece<'a> {
    fn is_whole(&self) -> bool {
        self.offset == 0 && !self.more
    }

    fn datagram(&self, source: IpAddr, destination: IpAddr) -> Datagram<'a> {
        Datagram {
            source,
            destination,
            protocol: self.protocol,
            traffic_class: self.traffic_class,
            packets: 1,
            payload: Cow::Borrowed(self.payload),
        }
    }
}

#[derive(Debug, Default)]
pub struct Reassembly {
    limits: Limits,
    pending: BTreeMap<Key, Pending>,
    bytes: usize,
}

impl Reassembly {
    pub fn new(limits: Limits) -> Reassembly {
        Reassembly { limits, ..Reassembly::default() }
    }

    /// Bytes that are held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets datagrams whose pieces are late; returns how many
    /// ([`DropReason::FragmentsMissing`]).
    pub fn expire(&mut self, now: Instant) -> u64 {
        let before = self.pending.len();
        let timeout = self.limits.timeout;
        let bytes = &mut self.bytes;
        self.pending.retain(|_, pending| {
            let keep = now.since(pending.since) < timeout;
            if !keep {
                *bytes -= pending.bytes;
            }
            keep
        });
        (before - self.pending.len()) as u64
    }

    /// Takes one IP packet of either family. Returns the datagram if it is whole now, `None` if
    /// pieces are missing still.
    ///
    /// # Errors
    /// `Malformed`, `BadFragment` (the whole datagram is forgotten) or `ReassemblyFull`.
    pub fn receive<'a>(
        &mut self,
        now: Instant,
        packet: &'a [u8],
    ) -> Result<Option<Datagram<'a>>, DropReason> {
        match ip::Packet::new_checked(packet)? {
            ip::Packet::V4(packet) => {
                let repr = ipv4::Repr::parse(&packet)?;
                let (source, destination) = (repr.source.into(), repr.destination.into());
                let piece = Piece {
                    offset: repr.fragment_offset,
                    more: repr.more_fragments,
                    protocol: repr.protocol,
                    traffic_class: repr.traffic_class,
                    payload: packet.payload(),
                };
                if piece.is_whole() {
                    return Ok(Some(piece.datagram(source, destination)));
                }
                let identification = u32::from(repr.identification);
                self.insert(
                    now,
                    Key { source, destination, protocol: Some(repr.protocol), identification },
                    &piece,
                )
            }
            ip::Packet::V6(packet) => {
                let walked = packet.walk()?;
                let (source, destination) = (packet.source().into(), packet.destination().into());
                let mut piece = Piece {
                    offset: 0,
                    more: false,
                    protocol: walked.protocol,
                    traffic_class: packet.traffic_class(),
                    payload: &packet.payload()[walked.offset..],
                };
                let Some(fragment) = walked.fragment.filter(|fragment| fragment.more || fragment.offset > 0)
                else {
                    return Ok(Some(piece.datagram(source, destination)));
                };
                // Headers behind the fragment header are walked once the datagram is whole.
                piece.offset = fragment.offset;
                piece.more = fragment.more;
                piece.protocol = fragment.next_header;
                piece.payload = &packet.payload()[walked.fragment_offset..];
                let key =
                    Key { source, destination, protocol: None, identification: fragment.identification };
                self.insert(now, key, &piece)
            }
        }
    }

    fn insert<'a>(
        &mut self,
        now: Instant,
        key: Key,
        piece: &Piece<'_>,
    ) -> Result<Option<Datagram<'a>>, DropReason> {
        let end = piece.offset + piece.payload.len();
        let fits = !piece.payload.is_empty()
            && end <= ipv6::MAX_PAYLOAD_LEN
            && (!piece.more || piece.payload.len().is_multiple_of(8));
        let room = self.bytes + piece.payload.len() <= self.limits.bytes;
        let known = self.pending.contains_key(&key);
        if fits && (!room || (!known && self.pending.len() >= self.limits.datagrams)) {
            return Err(DropReason::ReassemblyFull);
        }
        if !fits {
            self.forget(&key);
            return Err(DropReason::BadFragment);
        }
        let pending = self.pending.entry(key).or_insert_with(|| Pending {
            since: now,
            protocol: piece.protocol,
            traffic_class: piece.traffic_class,
            pieces: BTreeMap::new(),
            bytes: 0,
            len: None,
        });
        if !pending.agrees(piece, end) {
            self.forget(&key);
            return Err(DropReason::BadFragment);
        }
        if !piece.more {
            pending.len = Some(end);
        }
        if piece.offset == 0 {
            pending.protocol = piece.protocol;
        }
        if piece.traffic_class & 3 == 3 {
            pending.traffic_class |= 3;
        }
        pending.pieces.insert(piece.offset, piece.payload.to_vec());
        pending.bytes += piece.payload.len();
        self.bytes += piece.payload.len();
        if pending.len != Some(pending.bytes) {
            return Ok(None);
        }
        // Without overlap, as many bytes as the whole has are the whole.
        let Some(done) = self.forget(&key) else { return Ok(None) };
        let packets = done.pieces.len();
        let mut payload: Vec<u8> = done.pieces.into_values().flatten().collect();
        let mut protocol = done.protocol;
        if key.source.is_ipv6() {
            let walked = ipv6::walk(protocol, &payload)?;
            if walked.fragment.is_some() {
                return Err(DropReason::BadFragment);
            }
            protocol = walked.protocol;
            payload.drain(..walked.offset);
        }
        Ok(Some(Datagram {
            source: key.source,
            destination: key.destination,
            protocol,
            traffic_class: done.traffic_class,
            packets,
            payload: Cow::Owned(payload),
        }))
    }

    fn forget(&mut self, key: &Key) -> Option<Pending> {
        let pending = self.pending.remove(key)?;
        self.bytes -= pending.bytes;
        Some(pending)
    }
}

impl Pending {
    /// Whether a piece overlaps no other and does not contradict where the datagram ends.
    fn agrees(&self, piece: &Piece<'_>, end: usize) -> bool {
        let before = self.pieces.range(..=piece.offset).next_back().map_or(0, |(at, bytes)| at + bytes.len());
        let after = self.pieces.range(piece.offset..).next().map_or(usize::MAX, |(at, _)| *at);
        let furthest = self.pieces.last_key_value().map_or(0, |(at, bytes)| at + bytes.len());
        let ends_right = match (self.len, piece.more) {
            (Some(len), true) => end < len,
            (Some(_), false) => false,
            (None, true) => true,
            (None, false) => furthest <= piece.offset,
        };
        before <= piece.offset && end <= after && ends_right
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::Outer;
    use proptest::prelude::*;

    const NOW: Instant = Instant(0);

    fn cut(six: bool, identification: u32, payload: &[u8]) -> Vec<Vec<u8>> {
        let (source, destination) =
            if six { ("2001:db8::1", "2001:db8::2") } else { ("192.0.2.1", "192.0.2.2") };
        let outer = Outer::new(source.parse().unwrap(), destination.parse().unwrap(), 47, 1280).unwrap();
        let fragments = outer.fragments(payload, identification).unwrap();
        fragments.map(|fragment| [fragment.header(), fragment.payload].concat()).collect()
    }

    fn payload(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at / 7) as u8).collect()
    }

    #[test]
    fn in_any_order_of_both_families() {
        for six in [false, true] {
            let payload = payload(5000);
            let mut packets = cut(six, 7, &payload);
            packets.rotate_left(2);
            let mut reassembly = Reassembly::new(Limits::default());
            let last = packets.pop().unwrap();
            for packet in &packets {
                assert_eq!(reassembly.receive(NOW, packet), Ok(None));
            }
            let whole = reassembly.receive(NOW, &last).unwrap().unwrap();
            assert_eq!(
                (whole.protocol, whole.packets, &whole.payload[..]),
                (47, packets.len() + 1, &payload[..])
            );
            assert_eq!(reassembly.bytes(), 0);
        }
    }

    #[test]
    fn what_is_whole_passes_without_a_copy() {
        let packets = cut(true, 7, &[1; 100]);
        let mut reassembly = Reassembly::new(Limits::default());
        let whole = reassembly.receive(NOW, &packets[0]).unwrap().unwrap();
        assert!(matches!(whole.payload, Cow::Borrowed(bytes) if bytes == [1; 100]));
        assert_eq!(whole.packets, 1);
    }

    #[test]
    fn a_congestion_mark_on_one_piece_is_on_the_whole() {
        let mut packets = cut(true, 7, &payload(2404));
        ipv6::set_traffic_class(&mut packets[1], 3);
        let mut reassembly = Reassembly::new(Limits::default());
        reassembly.receive(NOW, &packets[0]).unwrap();
        assert_eq!(reassembly.receive(NOW, &packets[1]).unwrap().unwrap().traffic_class, 3);
    }

    #[test]
    fn overlap_ends_the_datagram() {
        for six in [false, true] {
            let packets = cut(six, 7, &payload(2404));
            let mut reassembly = Reassembly::new(Limits::default());
            assert_eq!(reassembly.receive(NOW, &packets[0]), Ok(None));
            assert_eq!(reassembly.receive(NOW, &packets[0]), Err(DropReason::BadFragment));
            assert_eq!(reassembly.bytes(), 0);
            assert_eq!(reassembly.receive(NOW, &packets[1]), Ok(None));
        }
    }

    #[test]
    fn late_pieces_and_too_many_datagrams() {
        let limits = Limits { datagrams: 2, bytes: 10_000, timeout: Duration::from_secs(2) };
        let mut reassembly = Reassembly::new(limits);
        for identification in 0..2 {
            assert_eq!(reassembly.receive(NOW, &cut(true, identification, &payload(2404))[0]), Ok(None));
        }
        assert_eq!(
            reassembly.receive(NOW, &cut(true, 2, &payload(2404))[0]),
            Err(DropReason::ReassemblyFull)
        );
        assert_eq!(reassembly.expire(NOW + Duration::from_millis(1999)), 0);
        assert_eq!(reassembly.expire(NOW + Duration::from_secs(2)), 2);
        assert_eq!(reassembly.bytes(), 0);
    }

    #[test]
    fn a_datagram_cannot_be_larger_than_ip_allows() {
        let mut packet = cut(true, 7, &payload(2404)).remove(1);
        packet[42..44].copy_from_slice(&0xfff8u16.to_be_bytes());
        let mut reassembly = Reassembly::new(Limits::default());
        assert_eq!(reassembly.receive(NOW, &packet), Err(DropReason::BadFragment));
    }

    proptest! {
        #[test]
        fn what_is_cut_comes_together(len in 1300usize..9000, six: bool, order: u64, twice: bool) {
            let payload = payload(len);
            let mut packets = cut(six, 9, &payload);
            let count = packets.len();
            for at in 0..count {
                packets.swap(at, (order.rotate_left(at as u32) as usize) % count);
            }
            let mut reassembly = Reassembly::new(Limits::default());
            let mut whole = None;
            for packet in &packets {
                prop_assert!(whole.is_none());
                whole = reassembly.receive(NOW, packet).unwrap();
            }
            prop_assert_eq!(&whole.unwrap().payload[..], &payload[..]);
            if twice {
                prop_assert_eq!(reassembly.receive(NOW, &packets[0]), Ok(None));
            }
        }

        /// Mutated fragments never panic, and what is held stays within the limits.
        #[test]
        fn strangers_cost_bounded_memory(
            six: bool,
            mutations in proptest::collection::vec((0usize..64, any::<u8>(), 0u32..4, 0usize..2), 0..200)
        ) {
            let limits = Limits { datagrams: 3, bytes: 5000, timeout: Duration::from_secs(2) };
            let mut reassembly = Reassembly::new(limits);
            for (at, value, identification, which) in mutations {
                let mut packet = cut(six, identification, &payload(2404)).swap_remove(which);
                packet[at] = value;
                let _ = reassembly.receive(NOW, &packet);
                prop_assert!(reassembly.bytes() <= limits.bytes && reassembly.pending.len() <= limits.datagrams);
                let held: usize = reassembly.pending.values().map(|pending| pending.bytes).sum();
                prop_assert_eq!(held, reassembly.bytes());
            }
        }

        #[test]
        fn random_bytes_never_panic(packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 0..20)) {
            let mut reassembly = Reassembly::new(Limits::default());
            for packet in &packets {
                let _ = reassembly.receive(NOW, packet);
            }
        }
    }
}
