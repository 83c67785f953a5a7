//! Putting fragments together, bounded in datagrams, bytes and time, for each source and in all.
//!
//! It is strict: fragments that overlap end their datagram for good, those still to come included (RFC
//! 5722; we ask the same of IPv4, where pieces of two datagrams must never mix). An exact duplicate is
//! dropped alone (RFC 8200 4.5). Whoever floods us with first pieces loses the oldest of them, and no
//! more than its own share of the room.

use super::DropReason;
use super::drops::Counters;
use crate::time::{Duration, Instant};
use crate::wire::{ip, ipv4, ipv6};
use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::Range;

/// How much may be under way.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Datagrams of which some pieces are here.
    pub datagrams: usize,
    /// Bytes of all pieces together.
    pub bytes: usize,
    /// The same from one source.
    pub datagrams_of_source: usize,
    pub bytes_of_source: usize,
    /// From the first piece of a datagram to the last (RFC 8200 4.5 says 60 s; pieces that are
    /// that late serve nobody).
    pub timeout: Duration,
    /// The same in IPv4, whose identifications come again after 65,536 datagrams: in less than a second
    /// at full rate (RFC 4963).
    pub timeout_v4: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            datagrams: 256,
            bytes: 1024 * 1024,
            datagrams_of_source: 64,
            bytes_of_source: 256 * 1024,
            timeout: Duration::from_secs(2),
            timeout_v4: Duration::from_millis(500),
        }
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

/// What one packet is to its datagram: the whole of it, or a piece.
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
    place: Option<Place>,
}

/// Where a piece belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    identification: u32,
    offset: usize,
    more: bool,
}

impl Part {
    /// Looks at one IP packet of either family.
    ///
    /// # Errors
    /// `Malformed`.
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
                    }),
                })
            }
            ip::Packet::V6(packet) => {
                let walked = packet.walk()?;
                // An atomic fragment is a whole packet, whatever else is under way (RFC 6946).
                let fragment = walked.fragment.filter(|fragment| fragment.more || fragment.offset > 0);
                // Headers behind the fragment header are walked once the datagram is whole.
                let (protocol, offset) = match &fragment {
                    Some(fragment) => (fragment.next_header, walked.fragment_offset),
                    None => (walked.protocol, walked.offset),
                };
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
                    }),
                })
            }
        }
    }

    pub fn is_whole(&self) -> bool {
        self.place.is_none()
    }

    /// Whether this is the first of two pieces and `next` the second: together they are the datagram.
    pub fn is_completed_by(&self, next: &Part) -> bool {
        let (Some(first), Some(second)) = (self.place, next.place) else { return false };
        let len = self.payload.len();
        first.offset == 0
            && first.more
            && second.offset == len
            && len > 0
            && !second.more
            && !next.payload.is_empty()
            && len + next.payload.len() <= ipv6::MAX_PAYLOAD_LEN
            && self.key() == next.key()
    }

    /// `None` for a whole packet.
    fn key(&self) -> Option<Key> {
        Some(Key {
            source: self.source,
            destination: self.destination,
            protocol: self.source.is_ipv4().then_some(self.protocol),
            identification: self.place?.identification,
        })
    }

    /// What the payload of the whole datagram is, and where in it that begins: in IPv6 extension
    /// headers may stand behind the fragment header. `protocol` is the first piece's.
    ///
    /// # Errors
    /// `Malformed`; `BadFragment` for a fragment within a fragment.
    pub fn look_behind(&self, payload: &[u8]) -> Result<(u8, usize), DropReason> {
        if self.source.is_ipv4() {
            return Ok((self.protocol, 0));
        }
        let walked = ipv6::walk(self.protocol, payload)?;
        if walked.fragment.is_some() {
            return Err(DropReason::BadFragment);
        }
        Ok((walked.protocol, walked.offset))
    }
}

#[derive(Debug)]
struct Pending {
    since: Instant,
    /// The order in which datagrams began.
    serial: u64,
    traffic_class: u8,
    /// The first piece without its bytes, once it is here.
    first: Option<Part>,
    /// Pieces by offset, without overlap.
    pieces: BTreeMap<usize, Vec<u8>>,
    bytes: usize,
    /// The whole length, once the last piece is here.
    len: Option<usize>,
    /// Pieces overlapped: whatever still comes of it is dropped.
    dead: bool,
}

/// What one source has under way: the serials of its datagrams, oldest first.
#[derive(Debug, Default)]
struct Share {
    serials: BTreeSet<u64>,
    bytes: usize,
}

#[derive(Debug, Default)]
pub struct Reassembly {
    limits: Limits,
    pending: BTreeMap<Key, Pending>,
    /// By serial: oldest first.
    order: BTreeMap<u64, Key>,
    shares: BTreeMap<IpAddr, Share>,
    bytes: usize,
    serial: u64,
    /// Datagrams that had to make room.
    evicted: u64,
}

impl Reassembly {
    pub fn new(limits: Limits) -> Reassembly {
        Reassembly { limits, ..Reassembly::default() }
    }

    /// Bytes that are held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Datagrams that are under way.
    pub fn datagrams(&self) -> usize {
        self.pending.len()
    }

    /// When the youngest datagram began whose pieces are still waited for.
    pub fn youngest(&self) -> Option<Instant> {
        let alive = |key: &Key| self.pending.get(key).filter(|pending| !pending.dead);
        self.order.values().rev().find_map(alive).map(|pending| pending.since)
    }

    /// Forgets datagrams whose pieces are late; returns how many
    /// ([`DropReason::FragmentsMissing`]).
    pub fn expire(&mut self, now: Instant) -> u64 {
        let late = |key: &Key, pending: &Pending| {
            let v4 = key.source.is_ipv4();
            now.since(pending.since) >= if v4 { self.limits.timeout_v4 } else { self.limits.timeout }
        };
        let keys: Vec<Key> =
            self.pending.iter().filter(|(key, pending)| late(key, pending)).map(|(key, _)| *key).collect();
        let missing = keys.iter().filter_map(|key| self.forget(key)).filter(|pending| !pending.dead);
        missing.count() as u64
    }

    /// Counts the datagrams that had to make room for others since the last time.
    pub fn count_evicted(&mut self, drops: &mut Counters) {
        drops.add(DropReason::ReassemblyFull, core::mem::take(&mut self.evicted));
    }

    /// Whether pieces of the same datagram are here.
    pub fn holds(&self, part: &Part) -> bool {
        !self.pending.is_empty() && part.key().is_some_and(|key| self.pending.contains_key(&key))
    }

    /// Takes one IP packet of either family. Returns the datagram if it is whole now, `None` if
    /// pieces are missing still.
    ///
    /// # Errors
    /// As [`Part::parse`] and [`Reassembly::add`].
    pub fn receive<'a>(
        &mut self,
        now: Instant,
        packet: &'a [u8],
    ) -> Result<Option<Datagram<'a>>, DropReason> {
        let part = Part::parse(packet)?;
        let payload = &packet[part.payload.clone()];
        if !part.is_whole() {
            return self.add(now, &part, payload);
        }
        Ok(Some(Datagram {
            source: part.source,
            destination: part.destination,
            protocol: part.protocol,
            traffic_class: part.traffic_class,
            packets: 1,
            payload: Cow::Borrowed(payload),
        }))
    }

    /// Takes a piece whose bytes are `payload`. Returns the datagram if it is whole now.
    ///
    /// # Errors
    /// `BadFragment` for one that does not fit, which is dropped alone, and for one that overlaps or
    /// contradicts others: they are dropped with it, and so are those still to come.
    /// `DuplicateFragment`; `ReassemblyFull` if it alone is more than may be held.
    pub fn add(
        &mut self,
        now: Instant,
        part: &Part,
        payload: &[u8],
    ) -> Result<Option<Datagram<'static>>, DropReason> {
        let (Some(key), Some(place)) = (part.key(), part.place) else { return Err(DropReason::BadFragment) };
        let end = place.offset + payload.len();
        // RFC 8200 4.5: each of these is discarded by itself.
        if payload.is_empty()
            || end > ipv6::MAX_PAYLOAD_LEN
            || (place.more && !payload.len().is_multiple_of(8))
        {
            return Err(DropReason::BadFragment);
        }
        if let Some(known) = self.pending.get(&key) {
            if known.dead {
                return Err(DropReason::BadFragment);
            }
            if known.pieces.get(&place.offset).is_some_and(|bytes| bytes == payload) {
                return Err(DropReason::DuplicateFragment);
            }
            if !known.agrees(place, end) {
                self.bury(&key);
                return Err(DropReason::BadFragment);
            }
        }
        self.make_room(&key, payload.len())?;
        let serial = self.serial;
        let pending = self.pending.entry(key).or_insert_with(|| Pending {
            since: now,
            serial,
            traffic_class: part.traffic_class,
            first: None,
            pieces: BTreeMap::new(),
            bytes: 0,
            len: None,
            dead: false,
        });
        let share = self.shares.entry(key.source).or_default();
        if pending.serial == serial {
            self.order.insert(serial, key);
            share.serials.insert(serial);
            self.serial += 1;
        }
        if !place.more {
            pending.len = Some(end);
        }
        if place.offset == 0 {
            pending.first = Some(part.clone());
        }
        if part.traffic_class & 3 == 3 {
            pending.traffic_class |= 3;
        }
        pending.pieces.insert(place.offset, payload.to_vec());
        pending.bytes += payload.len();
        share.bytes += payload.len();
        self.bytes += payload.len();
        if pending.len != Some(pending.bytes) {
            return Ok(None);
        }
        // Without overlap, as many bytes as the whole has are the whole.
        let Some(done) = self.forget(&key) else { return Ok(None) };
        let packets = done.pieces.len();
        let mut payload: Vec<u8> = done.pieces.into_values().flatten().collect();
        let first = done.first.ok_or(DropReason::BadFragment)?;
        let (protocol, start) = first.look_behind(&payload)?;
        payload.drain(..start);
        Ok(Some(Datagram {
            source: key.source,
            destination: key.destination,
            protocol,
            traffic_class: done.traffic_class,
            packets,
            payload: Cow::Owned(payload),
        }))
    }

    /// Sees to it that `len` more bytes of a datagram may be held: the oldest make room, those of the
    /// same source where its own share is used up.
    fn make_room(&mut self, key: &Key, len: usize) -> Result<(), DropReason> {
        let own = self.pending.get(key).map(|pending| pending.serial);
        let new = usize::from(own.is_none());
        let Limits { datagrams, bytes, datagrams_of_source, bytes_of_source, .. } = self.limits;
        loop {
            let (count, held) =
                self.shares.get(&key.source).map_or((0, 0), |share| (share.serials.len(), share.bytes));
            let of_source = count + new > datagrams_of_source || held + len > bytes_of_source;
            let of_all = self.pending.len() + new > datagrams || self.bytes + len > bytes;
            let oldest = if of_source {
                let serials = self.shares.get(&key.source).map(|share| &share.serials);
                serials.and_then(|serials| serials.iter().copied().find(|serial| Some(*serial) != own))
            } else if of_all {
                self.order.keys().copied().find(|serial| Some(*serial) != own)
            } else {
                return Ok(());
            };
            match oldest.and_then(|serial| self.order.get(&serial).copied()) {
                Some(oldest) => {
                    self.forget(&oldest);
                    self.evicted += 1;
                }
                None => {
                    self.forget(key);
                    return Err(DropReason::ReassemblyFull);
                }
            }
        }
    }

    fn forget(&mut self, key: &Key) -> Option<Pending> {
        let pending = self.pending.remove(key)?;
        self.order.remove(&pending.serial);
        self.bytes -= pending.bytes;
        if let Some(share) = self.shares.get_mut(&key.source) {
            share.bytes -= pending.bytes;
            share.serials.remove(&pending.serial);
            if share.serials.is_empty() {
                self.shares.remove(&key.source);
            }
        }
        Some(pending)
    }

    /// Lets go of a datagram's bytes, and remembers until its time is over that it is dead.
    fn bury(&mut self, key: &Key) {
        let Some(pending) = self.pending.get_mut(key) else { return };
        let bytes = core::mem::take(&mut pending.bytes);
        pending.pieces.clear();
        pending.dead = true;
        self.bytes -= bytes;
        if let Some(share) = self.shares.get_mut(&key.source) {
            share.bytes -= bytes;
        }
    }
}

impl Pending {
    /// Whether a piece overlaps no other and does not contradict where the datagram ends.
    fn agrees(&self, place: Place, end: usize) -> bool {
        let before = self.pieces.range(..=place.offset).next_back().map_or(0, |(at, bytes)| at + bytes.len());
        let after = self.pieces.range(place.offset..).next().map_or(usize::MAX, |(at, _)| *at);
        let furthest = self.pieces.last_key_value().map_or(0, |(at, bytes)| at + bytes.len());
        let ends_right = match (self.len, place.more) {
            (Some(len), true) => end < len,
            (Some(_), false) => false,
            (None, true) => true,
            (None, false) => furthest <= place.offset,
        };
        before <= place.offset && end <= after && ends_right
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

    /// The two pieces of a datagram, the second moved by `by` bytes.
    fn moved(six: bool, by: isize) -> [Vec<u8>; 2] {
        let [first, mut second] = <[Vec<u8>; 2]>::try_from(cut(six, 7, &payload(2404))).unwrap();
        if six {
            let offset = isize::from(i16::from_be_bytes([second[42], second[43]]) & -8) + by;
            second[42..44].copy_from_slice(&(offset as u16).to_be_bytes());
        } else {
            let offset = isize::from(u16::from_be_bytes([second[6], second[7]]) as i16) + by / 8;
            second[6..8].copy_from_slice(&(offset as u16).to_be_bytes());
            second[10..12].fill(0);
            let sum = crate::wire::checksum::Checksum::new().bytes(&second[..20]).finish();
            second[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        [first, second]
    }

    #[test]
    fn overlap_ends_the_datagram_for_good() {
        for six in [false, true] {
            let packets = cut(six, 7, &payload(2404));
            let [_, overlapping] = moved(six, -8);
            let mut reassembly = Reassembly::new(Limits::default());
            assert_eq!(reassembly.receive(NOW, &packets[0]), Ok(None));
            assert_eq!(reassembly.receive(NOW, &overlapping), Err(DropReason::BadFragment));
            assert_eq!(reassembly.bytes(), 0);
            for packet in &packets {
                assert_eq!(reassembly.receive(NOW, packet), Err(DropReason::BadFragment));
            }
            // Its time is over: the number may be another datagram's.
            assert_eq!(reassembly.expire(NOW + Duration::from_secs(2)), 0);
            assert_eq!(reassembly.receive(NOW, &packets[0]), Ok(None));
            assert!(reassembly.receive(NOW, &packets[1]).unwrap().is_some());
        }
    }

    #[test]
    fn a_duplicate_is_dropped_alone() {
        for six in [false, true] {
            let packets = cut(six, 7, &payload(2404));
            let mut reassembly = Reassembly::new(Limits::default());
            assert_eq!(reassembly.receive(NOW, &packets[0]), Ok(None));
            assert_eq!(reassembly.receive(NOW, &packets[0]), Err(DropReason::DuplicateFragment));
            assert!(reassembly.receive(NOW, &packets[1]).unwrap().is_some());
            // The same bytes but one are no duplicate.
            let mut other = packets[0].clone();
            *other.last_mut().unwrap() ^= 1;
            assert_eq!(reassembly.receive(NOW, &packets[0]), Ok(None));
            assert_eq!(reassembly.receive(NOW, &other), Err(DropReason::BadFragment));
        }
    }

    #[test]
    fn a_gap_is_waited_for() {
        for six in [false, true] {
            let [first, second] = moved(six, 8);
            let mut reassembly = Reassembly::new(Limits::default());
            assert_eq!(reassembly.receive(NOW, &first), Ok(None));
            assert_eq!(reassembly.receive(NOW, &second), Ok(None));
        }
    }

    #[test]
    fn a_first_piece_of_eight_bytes() {
        let (source, destination) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
        let payload = payload(40);
        let outer = Outer::new(source, destination, 97, 56).unwrap();
        let packets: Vec<Vec<u8>> = outer
            .fragments(&payload, 1)
            .unwrap()
            .map(|fragment| [fragment.header(), fragment.payload].concat())
            .collect();
        assert_eq!(packets.len(), 5);
        let mut reassembly = Reassembly::new(Limits::default());
        let results: Vec<_> = packets.iter().map(|packet| reassembly.receive(NOW, packet).unwrap()).collect();
        assert_eq!(results[4].as_ref().unwrap().payload[..], payload);
    }

    #[test]
    fn two_pieces_in_order_are_known() {
        for six in [false, true] {
            let packets = cut(six, 7, &payload(2404));
            let other = cut(six, 8, &payload(2404));
            let parts: Vec<Part> = packets.iter().map(|packet| Part::parse(packet).unwrap()).collect();
            assert!(parts[0].is_completed_by(&parts[1]));
            assert!(!parts[1].is_completed_by(&parts[0]));
            assert!(!parts[0].is_completed_by(&Part::parse(&other[1]).unwrap()));
            assert!(!parts[0].is_completed_by(&Part::parse(&moved(six, 8)[1]).unwrap()));
            let three = cut(six, 7, &payload(3000));
            assert!(!parts[0].is_completed_by(&Part::parse(&three[1]).unwrap()));
        }
    }

    #[test]
    fn late_pieces() {
        for (six, timeout) in [(true, 2000), (false, 500)] {
            let mut reassembly = Reassembly::new(Limits::default());
            for identification in 0..2 {
                let packets = cut(six, identification, &payload(2404));
                assert_eq!(reassembly.receive(NOW, &packets[0]), Ok(None));
            }
            assert_eq!(reassembly.expire(NOW + Duration::from_millis(timeout - 1)), 0);
            assert_eq!(reassembly.expire(NOW + Duration::from_millis(timeout)), 2);
            assert_eq!((reassembly.bytes(), reassembly.datagrams()), (0, 0));
        }
    }

    #[test]
    fn a_flood_of_first_pieces_costs_the_oldest() {
        let limits = Limits { datagrams: 4, datagrams_of_source: 2, ..Limits::default() };
        let mut reassembly = Reassembly::new(limits);
        let pieces = |identification| cut(true, identification, &payload(2404));
        for identification in 0..5 {
            assert_eq!(reassembly.receive(NOW, &pieces(identification)[0]), Ok(None));
            assert!(reassembly.datagrams() <= 2);
        }
        // The two youngest are there still.
        assert_eq!(reassembly.receive(NOW, &pieces(2)[1]), Ok(None));
        assert!(reassembly.receive(NOW, &pieces(4)[1]).unwrap().is_some());
        let mut drops = Counters::default();
        reassembly.count_evicted(&mut drops);
        assert_eq!(drops.get(DropReason::ReassemblyFull), 4);
        // Another source is not hurt by it.
        assert_eq!(reassembly.receive(NOW, &cut(false, 1, &payload(2404))[0]), Ok(None));
        for identification in 10..20 {
            let _ = reassembly.receive(NOW, &pieces(identification)[0]);
        }
        assert!(reassembly.receive(NOW, &cut(false, 1, &payload(2404))[1]).unwrap().is_some());
    }

    #[test]
    fn one_that_is_more_than_all_room() {
        let limits = Limits { bytes_of_source: 2000, ..Limits::default() };
        let mut reassembly = Reassembly::new(limits);
        let packets = cut(true, 1, &payload(3000));
        assert_eq!(reassembly.receive(NOW, &packets[0]), Ok(None));
        assert_eq!(reassembly.receive(NOW, &packets[1]), Err(DropReason::ReassemblyFull));
        assert_eq!((reassembly.bytes(), reassembly.datagrams()), (0, 0));
    }

    #[test]
    fn a_datagram_cannot_be_larger_than_ip_allows() {
        for offset in [0xfff8u16, 0xfff0] {
            let mut packet = cut(true, 7, &payload(2404)).remove(1);
            packet[42..44].copy_from_slice(&offset.to_be_bytes());
            let mut reassembly = Reassembly::new(Limits::default());
            assert_eq!(reassembly.receive(NOW, &packet), Err(DropReason::BadFragment));
            assert_eq!(reassembly.datagrams(), 0);
        }
    }

    #[test]
    fn pieces_that_end_at_the_very_limit() {
        // 65,535 bytes, the last seven at offset 65,528.
        let whole = payload(65_535);
        let mut reassembly = Reassembly::new(Limits::default());
        let packets = cut(true, 7, &whole);
        let (last, others) = packets.split_last().unwrap();
        for packet in others {
            assert_eq!(reassembly.receive(NOW, packet), Ok(None));
        }
        assert_eq!(reassembly.receive(NOW, last).unwrap().unwrap().payload[..], whole);
    }

    #[test]
    fn a_size_that_is_no_multiple_of_eight() {
        let mut packets = cut(true, 7, &payload(2404));
        let len = u16::from_be_bytes([packets[0][4], packets[0][5]]) - 1;
        let whole = packets[0].clone();
        packets[0][4..6].copy_from_slice(&len.to_be_bytes());
        let mut reassembly = Reassembly::new(Limits::default());
        assert_eq!(reassembly.receive(NOW, &packets[1]), Ok(None));
        assert_eq!(reassembly.receive(NOW, &packets[0]), Err(DropReason::BadFragment));
        // It was dropped alone.
        assert!(reassembly.receive(NOW, &whole).unwrap().is_some());
    }

    #[test]
    fn an_atomic_fragment_is_a_whole_packet() {
        let pieces = cut(true, 7, &payload(2404));
        let mut atomic = pieces[0][..40 + 8 + 16].to_vec();
        atomic[4..6].copy_from_slice(&24u16.to_be_bytes());
        atomic[42..44].fill(0);
        let mut reassembly = Reassembly::new(Limits::default());
        assert_eq!(reassembly.receive(NOW, &pieces[0]), Ok(None));
        let whole = reassembly.receive(NOW, &atomic).unwrap().unwrap();
        assert_eq!((whole.protocol, whole.payload.len()), (47, 16));
        assert!(reassembly.receive(NOW, &pieces[1]).unwrap().is_some(), "with the same number");
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
            let limits = Limits { datagrams: 3, bytes: 5000, ..Limits::default() };
            let mut reassembly = Reassembly::new(limits);
            for (at, value, identification, which) in mutations {
                let mut packet = cut(six, identification, &payload(2404)).swap_remove(which);
                packet[at] = value;
                let _ = reassembly.receive(NOW, &packet);
                prop_assert!(reassembly.bytes() <= limits.bytes && reassembly.pending.len() <= limits.datagrams);
                let held: usize = reassembly.pending.values().map(|pending| pending.bytes).sum();
                prop_assert_eq!(held, reassembly.bytes());
                let shares: usize = reassembly.shares.values().map(|share| share.bytes).sum();
                prop_assert_eq!(shares, held);
                prop_assert_eq!(reassembly.order.len(), reassembly.pending.len());
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
