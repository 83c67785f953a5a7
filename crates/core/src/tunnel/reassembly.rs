//! Putting fragments together, bounded in datagrams, bytes and time, for each source and in all.
//!
//! It is strict: fragments that overlap end their datagram for good, those still to come included (RFC
//! 5722; we ask the same of IPv4, where pieces of two datagrams must never mix). An exact duplicate is
//! dropped alone (RFC 8200 4.5). Whoever floods us with first pieces loses the oldest of them, and no
//! more than its own share of the room.

use super::DropReason;
use super::drops::Counters;
use super::ecn::Marks;
use super::part::{Key, Part, Place};
use crate::time::{Duration, Instant};
use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::IpAddr;

/// What keeping a piece costs beside its own bytes: its place in a map and in the heap. Without it pieces
/// of eight bytes would take ten times what is allowed.
const PIECE_COST: usize = 128;
/// For how long pieces may have waited for us at the most: what comes later than that was late on its way.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How much may be under way.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Datagrams of which some pieces are here.
    pub datagrams: usize,
    /// Bytes of all pieces together, and what keeping them costs.
    pub bytes: usize,
    /// The same from one source.
    pub datagrams_of_source: usize,
    pub bytes_of_source: usize,
    /// From the first piece of a datagram to the last (RFC 8200 4.5 says 60 s; pieces that are
    /// that late serve nobody).
    pub timeout: Duration,
    /// The same in IPv4, whose identifications come again so soon (RFC 4963): ours after 49,151 datagrams
    /// ([`super::Identifications`]), which nobody sends in this time.
    pub timeout_v4: Duration,
    /// How many datagrams of a source of IPv4 may begin behind one that is still missing pieces. Whatever the
    /// rate, its number comes again only after many more.
    pub behind_v4: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            datagrams: 256,
            bytes: 1024 * 1024,
            datagrams_of_source: 64,
            bytes_of_source: 256 * 1024,
            timeout: Duration::from_secs(2),
            timeout_v4: Duration::from_millis(200),
            behind_v4: 4096,
        }
    }
}

/// An outer payload that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram<'a> {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    /// DSCP of the first piece; the ECN fields of all pieces make the one of the whole ([`Marks`]).
    pub traffic_class: u8,
    /// How many packets it came in.
    pub packets: usize,
    pub payload: Cow<'a, [u8]>,
}

#[derive(Debug)]
struct Pending {
    since: Instant,
    /// The order in which datagrams began.
    serial: u64,
    /// How many of the source had begun then.
    begun: u64,
    marks: Marks,
    /// The first piece without its bytes, once it is here.
    first: Option<Part>,
    /// Pieces by offset, without overlap.
    pieces: BTreeMap<usize, Vec<u8>>,
    /// Of all pieces.
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
    cost: usize,
    /// Datagrams that began while any was under way.
    begun: u64,
}

#[derive(Debug, Default)]
pub struct Reassembly {
    limits: Limits,
    pending: BTreeMap<Key, Pending>,
    /// By serial: oldest first.
    order: BTreeMap<u64, Key>,
    shares: BTreeMap<IpAddr, Share>,
    cost: usize,
    serial: u64,
    /// All that had come by then was taken in; `None`: whatever comes is taken in at once.
    emptied: Option<Instant>,
    /// Datagrams that had to make room.
    evicted: u64,
    /// Datagrams whose pieces did not come in time.
    missing: u64,
}

impl Reassembly {
    pub fn new(limits: Limits) -> Reassembly {
        Reassembly { limits, ..Reassembly::default() }
    }

    /// Says that what comes now came after this moment, if not just now: it waited for who takes it in, who had no
    /// turn. Such a pause is not the path's, and pieces are not late for it.
    pub fn was_emptied(&mut self, at: Instant) {
        self.emptied = Some(at);
    }

    /// Bytes that are held, and what it costs to hold them.
    pub fn bytes(&self) -> usize {
        self.cost
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

    /// Forgets datagrams whose pieces are late, so that they take no room. None of them would be put
    /// together any more anyway.
    pub fn expire(&mut self, now: Instant) {
        let late = |(key, pending): &(&Key, &Pending)| self.is_late(now, key, pending);
        let keys: Vec<Key> = self.pending.iter().filter(late).map(|(key, _)| *key).collect();
        for key in keys {
            self.give_up(&key);
        }
    }

    /// Counts the datagrams that were given up since the last time: [`DropReason::ReassemblyFull`] and
    /// [`DropReason::FragmentsMissing`].
    pub fn count_lost(&mut self, drops: &mut Counters) {
        drops.add(DropReason::ReassemblyFull, core::mem::take(&mut self.evicted));
        drops.add(DropReason::FragmentsMissing, core::mem::take(&mut self.missing));
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

    /// The two pieces of a datagram that came one after the other, as most do that come in pieces: nothing
    /// has to be kept. Returns the traffic class of the whole, whose payload is theirs one after the other.
    /// `None`: they are no such two, or of a datagram that is under way, and have to be added.
    ///
    /// # Errors
    /// `MixedEcn`. What is behind the pieces is for the caller to look at ([`Part::look_behind`]).
    pub fn join(&mut self, now: Instant, first: &Part, second: &Part) -> Option<Result<u8, DropReason>> {
        if !first.is_completed_by(second) {
            return None;
        }
        if !self.pending.is_empty() {
            let key = first.key()?;
            self.give_up_if_late(now, &key);
            if self.pending.contains_key(&key) {
                return None;
            }
            self.begin(first.source);
        }
        Some(Marks::of(first.traffic_class).with(second.traffic_class).whole(first.traffic_class))
    }

    /// Takes a piece whose bytes are `payload`. Returns the datagram if it is whole now.
    ///
    /// # Errors
    /// `BadFragment` for one that does not fit, which is dropped alone. `OverlappingFragment` for one that
    /// overlaps or contradicts others: they are dropped with it, and so are those still to come.
    /// `DuplicateFragment`; `ReassemblyFull` if it alone is more than may be held. Of the whole: `MixedEcn`,
    /// and as [`Part::look_behind`].
    pub fn add(
        &mut self,
        now: Instant,
        part: &Part,
        payload: &[u8],
    ) -> Result<Option<Datagram<'static>>, DropReason> {
        let (Some(key), Some(place)) = (part.key(), part.place) else { return Err(DropReason::BadFragment) };
        let end = place.offset + payload.len();
        // RFC 8200 4.5: each of these is discarded by itself.
        if payload.is_empty() || end > place.most || (place.more && !payload.len().is_multiple_of(8)) {
            return Err(DropReason::BadFragment);
        }
        self.give_up_if_late(now, &key);
        if let Some(known) = self.pending.get(&key) {
            if known.dead {
                return Err(DropReason::OverlappingFragment);
            }
            if known.has(place, payload) {
                return Err(DropReason::DuplicateFragment);
            }
            if !known.agrees(place, end) {
                self.bury(&key);
                return Err(DropReason::OverlappingFragment);
            }
        }
        self.make_room(&key, payload.len() + PIECE_COST)?;
        if !self.keep(now, key, part, place, payload) {
            return Ok(None);
        }
        let Some(done) = self.forget(&key) else { return Ok(None) };
        let packets = done.pieces.len();
        let mut payload: Vec<u8> = done.pieces.into_values().flatten().collect();
        let first = done.first.ok_or(DropReason::BadFragment)?;
        // The header of the whole is the first piece's.
        if first.place.is_some_and(|place| payload.len() > place.most) {
            return Err(DropReason::BadFragment);
        }
        let traffic_class = done.marks.whole(first.traffic_class)?;
        let (protocol, start) = first.look_behind(&payload)?;
        payload.drain(..start);
        Ok(Some(Datagram {
            source: key.source,
            destination: key.destination,
            protocol,
            traffic_class,
            packets,
            payload: Cow::Owned(payload),
        }))
    }

    /// Keeps a piece for which there is room. True if its datagram is whole now.
    fn keep(&mut self, now: Instant, key: Key, part: &Part, place: Place, payload: &[u8]) -> bool {
        if !self.pending.contains_key(&key) {
            let serial = self.serial;
            self.serial += 1;
            self.order.insert(serial, key);
            self.shares.entry(key.source).or_default().serials.insert(serial);
            let pending = Pending {
                since: now,
                serial,
                begun: self.shares.get(&key.source).map_or(0, |share| share.begun) + 1,
                marks: Marks::default(),
                first: None,
                pieces: BTreeMap::new(),
                bytes: 0,
                len: None,
                dead: false,
            };
            self.pending.insert(key, pending);
            self.begin(key.source);
        }
        let Some(pending) = self.pending.get_mut(&key) else { return false };
        if !place.more {
            pending.len = Some(place.offset + payload.len());
        }
        if place.offset == 0 {
            pending.first = Some(part.clone());
        }
        pending.marks = pending.marks.with(part.traffic_class);
        pending.pieces.insert(place.offset, payload.to_vec());
        pending.bytes += payload.len();
        let cost = payload.len() + PIECE_COST;
        self.shares.entry(key.source).or_default().cost += cost;
        self.cost += cost;
        // Without overlap, as many bytes as the whole has are the whole.
        pending.len == Some(pending.bytes)
    }

    /// Notes that another datagram of a source has begun. Those of IPv4 that are too far behind are given up:
    /// their numbers may come again.
    fn begin(&mut self, source: IpAddr) {
        let Some(share) = self.shares.get_mut(&source) else { return };
        share.begun += 1;
        let begun = share.begun;
        while source.is_ipv4()
            && let Some(serial) = self.shares.get(&source).and_then(|share| share.serials.first())
            && let Some(key) = self.order.get(serial).copied()
            && let Some(oldest) = self.pending.get(&key)
            && begun - oldest.begun > self.limits.behind_v4
        {
            self.give_up(&key);
        }
    }

    /// Sees to it that `cost` more may be held of a datagram: the oldest make room, those of the same source
    /// where its own share is used up, else those of whoever holds most. So no flood costs anybody anything
    /// who holds less.
    fn make_room(&mut self, key: &Key, cost: usize) -> Result<(), DropReason> {
        let own = self.pending.get(key).map(|pending| pending.serial);
        let new = usize::from(own.is_none());
        let Limits { datagrams, bytes, datagrams_of_source, bytes_of_source, .. } = self.limits;
        loop {
            let (count, held) =
                self.shares.get(&key.source).map_or((0, 0), |share| (share.serials.len(), share.cost));
            let of_source = count + new > datagrams_of_source || held + cost > bytes_of_source;
            let too_many = self.pending.len() + new > datagrams;
            let oldest = if of_source {
                self.shares.get(&key.source).and_then(|share| share.oldest_but(own))
            } else if too_many || self.cost + cost > bytes {
                let size = |share: &Share| if too_many { share.serials.len() } else { share.cost };
                let oldest = |share: &Share| Some((size(share), share.oldest_but(own)?));
                // Of equal ones whose oldest is older.
                let largest = self
                    .shares
                    .values()
                    .filter_map(oldest)
                    .max_by_key(|&(size, serial)| (size, core::cmp::Reverse(serial)));
                largest.map(|(_, serial)| serial)
            } else {
                return Ok(());
            };
            match oldest.and_then(|serial| self.order.get(&serial).copied()) {
                Some(oldest) => {
                    let evicted = self.forget(&oldest).filter(|pending| !pending.dead);
                    self.evicted += u64::from(evicted.is_some());
                }
                None => {
                    self.forget(key);
                    return Err(DropReason::ReassemblyFull);
                }
            }
        }
    }

    fn is_late(&self, now: Instant, key: &Key, pending: &Pending) -> bool {
        let v4 = key.source.is_ipv4();
        let longest_ago = Instant(now.0.saturating_sub(LONGEST_PAUSE.as_nanos() as u64));
        let came = self.emptied.map_or(now, |emptied| emptied.clamp(longest_ago, now));
        came.since(pending.since) >= if v4 { self.limits.timeout_v4 } else { self.limits.timeout }
    }

    fn give_up_if_late(&mut self, now: Instant, key: &Key) {
        if self.pending.get(key).is_some_and(|pending| self.is_late(now, key, pending)) {
            self.give_up(key);
        }
    }

    /// Forgets a datagram whose pieces did not come in time.
    fn give_up(&mut self, key: &Key) {
        let missing = self.forget(key).filter(|pending| !pending.dead);
        self.missing += u64::from(missing.is_some());
    }

    fn forget(&mut self, key: &Key) -> Option<Pending> {
        let pending = self.pending.remove(key)?;
        self.order.remove(&pending.serial);
        self.cost -= pending.cost();
        if let Some(share) = self.shares.get_mut(&key.source) {
            share.cost -= pending.cost();
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
        let cost = pending.cost();
        pending.pieces.clear();
        pending.bytes = 0;
        pending.dead = true;
        self.cost -= cost;
        if let Some(share) = self.shares.get_mut(&key.source) {
            share.cost -= cost;
        }
    }
}

impl Share {
    /// The oldest datagram that is not `own`.
    fn oldest_but(&self, own: Option<u64>) -> Option<u64> {
        self.serials.iter().copied().find(|serial| Some(*serial) != own)
    }
}

impl Pending {
    fn cost(&self) -> usize {
        self.bytes + self.pieces.len() * PIECE_COST
    }

    /// Whether this very piece is here.
    fn has(&self, place: Place, payload: &[u8]) -> bool {
        let is_last = self.len == Some(place.offset + payload.len());
        is_last != place.more && self.pieces.get(&place.offset).is_some_and(|bytes| bytes == payload)
    }

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
mod tests;
