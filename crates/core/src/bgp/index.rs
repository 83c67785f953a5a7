//! Which key stands where in a table, in the order of keys.

use super::slab::Place;
use crate::id::Prefix;
use crate::wire::bgp::EvpnRoute;
use alloc::collections::BTreeMap;
use core::fmt::Debug;
use core::net::IpAddr;
use core::ops::Bound;

pub(super) trait Index<K>: Default + Debug {
    fn get(&self, key: &K) -> Option<Place>;
    fn insert(&mut self, key: &K, place: Place);
    fn remove(&mut self, key: &K);
    /// All places, in the order of keys.
    fn iter(&self) -> impl Iterator<Item = Place>;
}

/// Of prefixes: IPv4 first, then by address, the shorter first. Keys are numbers, as there may be a
/// million.
#[derive(Debug, Default)]
pub(super) struct PrefixIndex {
    /// Address and length.
    ipv4: BTreeMap<u64, Place>,
    ipv6: BTreeMap<(u64, u64, u8), Place>,
}

enum Number {
    V4(u64),
    V6((u64, u64, u8)),
}

fn number(prefix: &Prefix) -> Number {
    let length = prefix.prefix_len();
    match prefix.addr() {
        IpAddr::V4(address) => Number::V4(u64::from(address.to_bits()) << 8 | u64::from(length)),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            Number::V6(((bits >> 64) as u64, bits as u64, length))
        }
    }
}

impl PrefixIndex {
    /// Those from a prefix on.
    pub fn from<'a>(&'a self, prefix: &Prefix, inclusive: bool) -> impl Iterator<Item = Place> + use<'a> {
        fn bound<T>(it: T, inclusive: bool) -> Bound<T> {
            if inclusive { Bound::Included(it) } else { Bound::Excluded(it) }
        }
        let (ipv4, ipv6) = match number(prefix) {
            Number::V4(it) => (Some(bound(it, inclusive)), Bound::Unbounded),
            Number::V6(it) => (None, bound(it, inclusive)),
        };
        let ipv4 = ipv4.map(|from| self.ipv4.range((from, Bound::Unbounded)));
        let ipv6 = self.ipv6.range((ipv6, Bound::Unbounded)).map(|(_, &place)| place);
        ipv4.into_iter().flatten().map(|(_, &place)| place).chain(ipv6)
    }
}

impl Index<Prefix> for PrefixIndex {
    fn get(&self, key: &Prefix) -> Option<Place> {
        match number(key) {
            Number::V4(it) => self.ipv4.get(&it).copied(),
            Number::V6(it) => self.ipv6.get(&it).copied(),
        }
    }

    fn insert(&mut self, key: &Prefix, place: Place) {
        match number(key) {
            Number::V4(it) => self.ipv4.insert(it, place),
            Number::V6(it) => self.ipv6.insert(it, place),
        };
    }

    fn remove(&mut self, key: &Prefix) {
        match number(key) {
            Number::V4(it) => self.ipv4.remove(&it),
            Number::V6(it) => self.ipv6.remove(&it),
        };
    }

    fn iter(&self) -> impl Iterator<Item = Place> {
        self.ipv4.values().chain(self.ipv6.values()).copied()
    }
}

impl Index<EvpnRoute> for BTreeMap<EvpnRoute, Place> {
    fn get(&self, key: &EvpnRoute) -> Option<Place> {
        self.get(key).copied()
    }

    fn insert(&mut self, key: &EvpnRoute, place: Place) {
        self.insert(key.clone(), place);
    }

    fn remove(&mut self, key: &EvpnRoute) {
        self.remove(key);
    }

    fn iter(&self) -> impl Iterator<Item = Place> {
        self.values().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::slab::Slab;
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn in_the_order_of_prefixes() {
        let sorted = ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/9", "10.1.0.0/16", "::/0", "2001:db8::/32"];
        let sorted = sorted.map(|it| it.parse::<Prefix>().unwrap());
        let mut slab = Slab::default();
        let mut index = PrefixIndex::default();
        for prefix in sorted.iter().rev() {
            let place = slab.insert(*prefix);
            index.insert(prefix, place);
        }
        let told = |places: Vec<Place>| places.iter().map(|&it| *slab.get(it).unwrap()).collect::<Vec<_>>();
        assert_eq!(told(index.iter().collect()), sorted);
        for at in 0..sorted.len() {
            assert_eq!(told(index.from(&sorted[at], true).collect()), sorted[at..]);
            assert_eq!(told(index.from(&sorted[at], false).collect()), sorted[at + 1..]);
        }
        // What is not there stands somewhere, too.
        assert_eq!(told(index.from(&"10.0.0.0/24".parse().unwrap(), false).collect()), sorted[3..]);
        index.remove(&sorted[3]);
        assert_eq!((index.get(&sorted[3]), index.iter().count()), (None, 5));
    }
}
