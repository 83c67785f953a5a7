//! Validated ROA payloads, and origin validation by them (RFC 6811).
//!
//! There may be half a million of them, so that the table is two sorted arrays: 12 bytes for a payload
//! of IPv4, 24 for one of IPv6. It is never changed, but made anew from the old one and what differs.

use crate::id::{Asn, Prefix};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use serde::{Deserialize, Serialize};

/// A validated ROA payload: `asn` may originate `prefix`, and what is within it up to `max_length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Vrp {
    /// Host bits are zero.
    pub prefix: Prefix,
    pub max_length: u8,
    pub asn: Asn,
}

impl fmt::Display for Vrp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{} {}", self.prefix, self.max_length, self.asn)
    }
}

/// What the payloads say of a route's origin (RFC 6811 2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Validity {
    /// One at least matches.
    Valid,
    /// None covers the prefix.
    #[default]
    NotFound,
    /// Some cover it, and none matches.
    Invalid,
}

/// An address as the table keeps it, in words of 32 bits so that nothing is lost to alignment.
trait Bits: Copy + Ord {
    fn masked(self, length: u8) -> Self;
    fn prefix(self, length: u8) -> Prefix;
}

impl Bits for u32 {
    fn masked(self, length: u8) -> u32 {
        self & u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0)
    }

    fn prefix(self, length: u8) -> Prefix {
        Prefix::new_assert(Ipv4Addr::from_bits(self).into(), length.min(32))
    }
}

impl Bits for [u32; 4] {
    fn masked(self, length: u8) -> [u32; 4] {
        let bits = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
        words(joined(self) & bits)
    }

    fn prefix(self, length: u8) -> Prefix {
        Prefix::new_assert(Ipv6Addr::from_bits(joined(self)).into(), length.min(128))
    }
}

fn joined(words: [u32; 4]) -> u128 {
    words.iter().fold(0, |bits, &word| bits << 32 | u128::from(word))
}

fn words(bits: u128) -> [u32; 4] {
    // Each is cut to its low 32 bits.
    [bits >> 96, bits >> 64, bits >> 32, bits].map(|part| part as u32)
}

/// In this order: the payloads of one prefix stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry<B> {
    address: B,
    length: u8,
    max_length: u8,
    asn: u32,
}

const _: () = assert!(size_of::<Entry<u32>>() == 12 && size_of::<Entry<[u32; 4]>>() == 24);

impl<B: Bits> Entry<B> {
    fn vrp(&self) -> Vrp {
        Vrp { prefix: self.address.prefix(self.length), max_length: self.max_length, asn: Asn(self.asn) }
    }
}

/// The payloads of one family, sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sorted<B> {
    entries: Box<[Entry<B>]>,
    /// Bit n: there is a prefix of length n.
    lengths: [u64; 3],
}

impl<B> Default for Sorted<B> {
    fn default() -> Sorted<B> {
        Sorted { entries: Box::default(), lengths: [0; 3] }
    }
}

impl<B: Bits> Sorted<B> {
    /// The payloads sorted, and one that stood there twice.
    fn new(mut entries: Vec<Entry<B>>) -> (Sorted<B>, Option<Vrp>) {
        entries.sort_unstable();
        let twice = entries.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].vrp());
        if twice.is_some() {
            entries.dedup();
        }
        let mut lengths = [0; 3];
        for entry in &entries {
            lengths[usize::from(entry.length / 64)] |= 1 << (entry.length % 64);
        }
        (Sorted { entries: entries.into_boxed_slice(), lengths }, twice)
    }

    /// Those whose prefix covers, the shortest prefix first.
    fn covering(&self, address: B, length: u8) -> impl Iterator<Item = &Entry<B>> {
        let present = |length: &u8| self.lengths[usize::from(length / 64)] >> (length % 64) & 1 == 1;
        (0..=length).filter(present).flat_map(move |length| {
            let key = (address.masked(length), length);
            let from = self.entries.partition_point(|entry| (entry.address, entry.length) < key);
            self.entries[from..].iter().take_while(move |entry| (entry.address, entry.length) == key)
        })
    }

    /// Prefixes about which the two do not say the same, in order, each once.
    fn differing(&self, other: &Sorted<B>, out: &mut Vec<Prefix>) {
        let (mut a, mut b) = (self.entries.iter().peekable(), other.entries.iter().peekable());
        loop {
            let differs = match (a.peek(), b.peek()) {
                (None, None) => return,
                (Some(left), Some(right)) if left == right => {
                    a.next();
                    b.next();
                    continue;
                }
                (Some(left), Some(right)) if left < right => a.next(),
                (Some(_), None) => a.next(),
                (_, Some(_)) => b.next(),
            };
            if let Some(entry) = differs {
                let prefix = entry.address.prefix(entry.length);
                if out.last() != Some(&prefix) {
                    out.push(prefix);
                }
            }
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VrpTable {
    v4: Sorted<u32>,
    v6: Sorted<[u32; 4]>,
}

impl VrpTable {
    pub fn len_v4(&self) -> usize {
        self.v4.entries.len()
    }

    pub fn len_v6(&self) -> usize {
        self.v6.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.v4.entries.is_empty() && self.v6.entries.is_empty()
    }

    /// IPv4 first, each family in order.
    pub fn iter(&self) -> impl Iterator<Item = Vrp> + '_ {
        self.v4.entries.iter().map(Entry::vrp).chain(self.v6.entries.iter().map(Entry::vrp))
    }

    pub fn contains(&self, vrp: &Vrp) -> bool {
        match key_of(vrp) {
            Key::V4(entry) => self.v4.entries.binary_search(&entry).is_ok(),
            Key::V6(entry) => self.v6.entries.binary_search(&entry).is_ok(),
        }
    }

    /// The payloads whose prefix covers `prefix` (RFC 6811 2, "Covered").
    pub fn covering(&self, prefix: &Prefix) -> Vec<Vrp> {
        match prefix.addr() {
            IpAddr::V4(address) => {
                self.v4.covering(address.to_bits(), prefix.prefix_len()).map(Entry::vrp).collect()
            }
            IpAddr::V6(address) => {
                self.v6.covering(words(address.to_bits()), prefix.prefix_len()).map(Entry::vrp).collect()
            }
        }
    }

    /// RFC 6811 2. `origin`: `None` where the path names none, which nothing matches.
    pub fn validate(&self, prefix: &Prefix, origin: Option<Asn>) -> Validity {
        match prefix.addr() {
            IpAddr::V4(address) => {
                judge(self.v4.covering(address.to_bits(), prefix.prefix_len()), prefix, origin)
            }
            IpAddr::V6(address) => {
                judge(self.v6.covering(words(address.to_bits()), prefix.prefix_len()), prefix, origin)
            }
        }
    }

    /// Prefixes about which the two tables do not say the same. What is within another is left out.
    pub fn differing(&self, other: &VrpTable) -> Vec<Prefix> {
        let mut all = Vec::new();
        self.v4.differing(&other.v4, &mut all);
        self.v6.differing(&other.v6, &mut all);
        let mut outermost: Vec<Prefix> = Vec::new();
        // In the order of addresses a prefix stands before all that is within it.
        for prefix in all {
            if !outermost.last().is_some_and(|outer| outer.contains(&prefix)) {
                outermost.push(prefix);
            }
        }
        outermost
    }
}

fn judge<'a, B: Bits + 'a>(
    covering: impl Iterator<Item = &'a Entry<B>>,
    prefix: &Prefix,
    origin: Option<Asn>,
) -> Validity {
    let mut validity = Validity::NotFound;
    for entry in covering {
        // AS 0 is nobody (RFC 7607): its payloads only make invalid (RFC 6483 4).
        let matches = origin == Some(Asn(entry.asn)) && entry.asn != 0;
        if matches && prefix.prefix_len() <= entry.max_length {
            return Validity::Valid;
        }
        validity = Validity::Invalid;
    }
    validity
}

enum Key {
    V4(Entry<u32>),
    V6(Entry<[u32; 4]>),
}

fn key_of(vrp: &Vrp) -> Key {
    let (length, max_length, asn) = (vrp.prefix.prefix_len(), vrp.max_length, vrp.asn.0);
    match vrp.prefix.addr() {
        IpAddr::V4(address) => {
            Key::V4(Entry { address: address.to_bits().masked(length), length, max_length, asn })
        }
        IpAddr::V6(address) => {
            Key::V6(Entry { address: words(address.to_bits()).masked(length), length, max_length, asn })
        }
    }
}

/// A table on its way: as compact as the table, in any order.
#[derive(Debug, Clone, Default)]
pub struct VrpTableBuilder {
    v4: Vec<Entry<u32>>,
    v6: Vec<Entry<[u32; 4]>>,
}

impl VrpTableBuilder {
    pub fn push(&mut self, vrp: &Vrp) {
        match key_of(vrp) {
            Key::V4(entry) => self.v4.push(entry),
            Key::V6(entry) => self.v6.push(entry),
        }
    }

    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The table, each payload once, and one that was pushed twice, if any was.
    pub fn finish(self) -> (VrpTable, Option<Vrp>) {
        let (v4, twice_v4) = Sorted::new(self.v4);
        let (v6, twice_v6) = Sorted::new(self.v6);
        (VrpTable { v4, v6 }, twice_v4.or(twice_v6))
    }
}

impl FromIterator<Vrp> for VrpTable {
    fn from_iter<I: IntoIterator<Item = Vrp>>(vrps: I) -> VrpTable {
        let mut builder = VrpTableBuilder::default();
        for vrp in vrps {
            builder.push(&vrp);
        }
        builder.finish().0
    }
}
