//! What BGP wants in the kernel, small: a full table of IPv4 takes some twenty megabytes.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tsumugi_core::desired::RouteTarget;
use tsumugi_core::id::Prefix;

/// Less room than for so many routes is not worth giving back.
const ROOM: usize = 4096;

/// Where routes lead. Many share a few.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Way {
    pub target: RouteTarget,
    pub source: Option<IpAddr>,
}

/// Three bytes: with the five of an IPv4 prefix an entry has eight. More ways than that are more sets of
/// neighbours than there can be routes in any memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WayId([u8; 3]);

#[derive(Default)]
pub struct Wanted {
    /// By address and length.
    ipv4: HashMap<[u8; 5], WayId>,
    ipv6: HashMap<[u8; 17], WayId>,
    ways: Vec<Held>,
    ids: HashMap<Way, WayId>,
    /// Ids that no way has.
    free: Vec<WayId>,
    /// The way of the last insertion: most often it is the next one's, too.
    last: Option<WayId>,
    /// Some way was given up since that was asked.
    fewer: bool,
}

struct Held {
    way: Way,
    /// Routes that lead there.
    routes: usize,
}

impl Wanted {
    /// In place of what was wanted for the prefix.
    pub fn insert(&mut self, prefix: &Prefix, way: Way) {
        let id = self.id(way);
        self.ways[id.place()].routes += 1;
        let before = match prefix {
            Prefix::V4(_) => self.ipv4.insert(key(prefix), id),
            Prefix::V6(_) => self.ipv6.insert(key(prefix), id),
        };
        self.release(before);
        self.last = Some(id);
    }

    /// True if it was wanted.
    pub fn remove(&mut self, prefix: &Prefix) -> bool {
        let before = match prefix {
            Prefix::V4(_) => self.ipv4.remove(&key(prefix)),
            Prefix::V6(_) => self.ipv6.remove(&key(prefix)),
        };
        give_back(&mut self.ipv4);
        give_back(&mut self.ipv6);
        self.release(before);
        before.is_some()
    }

    pub fn get(&self, prefix: &Prefix) -> Option<WayId> {
        match prefix {
            Prefix::V4(_) => self.ipv4.get(&key(prefix)).copied(),
            Prefix::V6(_) => self.ipv6.get(&key(prefix)).copied(),
        }
    }

    /// The way of a route that is wanted.
    pub fn way(&self, id: WayId) -> &Way {
        &self.ways[id.place()].way
    }

    /// All that routes lead to.
    pub fn ways(&self) -> impl Iterator<Item = &Way> {
        self.ids.keys()
    }

    /// Whether some way was given up since this was last asked.
    pub fn has_fewer_ways(&mut self) -> bool {
        std::mem::take(&mut self.fewer)
    }

    pub fn len(&self) -> usize {
        self.ipv4.len() + self.ipv6.len()
    }

    /// In no order.
    pub fn iter(&self) -> impl Iterator<Item = (Prefix, WayId)> {
        let ipv4 = self.ipv4.iter().map(|(key, id)| (prefix(key), *id));
        ipv4.chain(self.ipv6.iter().map(|(key, id)| (prefix(key), *id)))
    }

    fn id(&mut self, way: Way) -> WayId {
        if let Some(last) = self.last.filter(|last| self.ways[last.place()].way == way) {
            return last;
        }
        if let Some(known) = self.ids.get(&way) {
            return *known;
        }
        let held = Held { way: way.clone(), routes: 0 };
        let id = match self.free.pop() {
            Some(free) => {
                self.ways[free.place()] = held;
                free
            }
            None => {
                self.ways.push(held);
                WayId::of(self.ways.len() - 1)
            }
        };
        self.ids.insert(way, id);
        id
    }

    fn release(&mut self, id: Option<WayId>) {
        let Some(id) = id else { return };
        let held = &mut self.ways[id.place()];
        held.routes -= 1;
        if held.routes == 0 {
            self.ids.remove(&held.way);
            self.free.push(id);
            self.fewer = true;
            self.last = self.last.filter(|last| *last != id);
        }
    }
}

/// Of a table that was full and is not any more, its room.
fn give_back<K: Eq + Hash>(map: &mut HashMap<K, WayId>) {
    if map.capacity() > ROOM && map.len() < map.capacity() / 8 {
        map.shrink_to(map.len() * 2);
    }
}

impl WayId {
    fn of(place: usize) -> WayId {
        let [_, a, b, c] = (place as u32).to_be_bytes();
        WayId([a, b, c])
    }

    fn place(self) -> usize {
        let [a, b, c] = self.0;
        u32::from_be_bytes([0, a, b, c]) as usize
    }
}

/// The octets of the network, then the length.
fn key<const N: usize>(prefix: &Prefix) -> [u8; N] {
    let mut key = [0; N];
    match prefix.network() {
        IpAddr::V4(it) => key[..4].copy_from_slice(&it.octets()),
        IpAddr::V6(it) => key[..16].copy_from_slice(&it.octets()),
    }
    key[N - 1] = prefix.prefix_len();
    key
}

fn prefix<const N: usize>(key: &[u8; N]) -> Prefix {
    let (octets, length) = (&key[..N - 1], key[N - 1]);
    let address = match <[u8; 4]>::try_from(octets) {
        Ok(octets) => IpAddr::V4(Ipv4Addr::from(octets)),
        Err(_) => {
            let mut all = [0; 16];
            all[..octets.len()].copy_from_slice(octets);
            IpAddr::V6(Ipv6Addr::from(all))
        }
    };
    // Lengths come from prefixes.
    Prefix::new_assert(address, length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn way(number: u8) -> Way {
        Way { target: RouteTarget::Discard, source: Some([192, 0, 2, number].into()) }
    }

    #[test]
    fn a_table_that_goes_gives_its_room_back() {
        let mut wanted = Wanted::default();
        let prefix = |at: u32| Prefix::new_assert(Ipv4Addr::from_bits(at << 8).into(), 24);
        (0..100_000).for_each(|at| wanted.insert(&prefix(at), way(1)));
        assert!(wanted.ipv4.capacity() >= 100_000);
        (0..99_990).for_each(|at| assert!(wanted.remove(&prefix(at))));
        assert!(wanted.ipv4.capacity() <= 2 * ROOM && wanted.len() == 10);
        assert!((99_990..100_000).all(|at| wanted.get(&prefix(at)).is_some()));
    }

    #[test]
    fn it_holds_what_was_said_last_and_forgets_ways_that_nobody_takes() {
        let prefixes = ["0.0.0.0/0", "198.51.100.0/24", "203.0.113.7/32", "::/0", "2001:db8::/32", "::1/128"];
        let prefixes = prefixes.map(|it| it.parse::<Prefix>().unwrap());
        let mut wanted = Wanted::default();
        let mut expected = BTreeMap::new();
        for round in 0..200_u8 {
            let prefix = prefixes[usize::from(round.wrapping_mul(7)) % prefixes.len()];
            if round % 5 == 4 {
                assert_eq!(wanted.remove(&prefix), expected.remove(&prefix).is_some());
            } else {
                wanted.insert(&prefix, way(round % 3));
                expected.insert(prefix, way(round % 3));
            }
            let held = wanted.iter().map(|(prefix, id)| (prefix, wanted.way(id).clone()));
            assert_eq!(held.collect::<BTreeMap<_, _>>(), expected);
            assert_eq!(wanted.len(), expected.len());
            assert!(wanted.ways.len() <= 4 && wanted.ids.len() + wanted.free.len() == wanted.ways.len());
        }
    }
}
