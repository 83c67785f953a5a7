//! A table: per prefix, or EVPN route, the routes of all neighbours (Adj-RIB-In after policy), which of them are
//! best (Loc-RIB), and who has been told (Adj-RIB-Out). RFC 4271 3.2.
//!
//! It is made for a million prefixes: what a route carries is shared, a destination holds a word
//! per neighbour, and what a neighbour was told is one bit, since it follows from the best route.

use super::decide::{Rank, decide};
use super::index::{Index, PrefixIndex};
use super::key::Key;
use super::policy::Class;
use super::slab::{Place, Slab};
use super::slots::{EarSet, Slot, Source};
use super::status::LostAt;
use crate::id::Prefix;
use crate::wire::bgp::{Attributes, EvpnBody};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hash};
use core::net::IpAddr;
use hashbrown::{DefaultHashBuilder, HashTable};

/// What a route carries, shared by all destinations that carry the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Route {
    pub attributes: Attributes,
    /// On the neighbour's link, or of EVPN the VTEP; `None`: our own prefix.
    pub next_hop: Option<IpAddr>,
    pub class: Option<Class>,
    pub local_preference: u32,
    /// The kernel shall drop what goes there: our own, or asked for by a customer (RFC 7999).
    pub discard: bool,
    /// Of EVPN only.
    pub body: Option<Box<EvpnBody>>,
    /// The neighbour's (RFC 7911); 0 where it says none. It stands here and not beside each route, of which there may be a
    /// million without: so what is shared is shared by identifier.
    pub path_id: u32,
}

/// One route to a destination: a neighbour has one, or several by their path identifiers (RFC 7911).
#[derive(Debug, Clone)]
pub(super) struct Path {
    pub route: Arc<Route>,
    pub slot: Slot,
    /// Where the decision left it behind.
    pub lost: Option<LostAt>,
    /// The neighbour's telling that brought it ([`super::rounds`]).
    pub round: u32,
}

impl Path {
    pub fn source(&self) -> Source {
        Source { slot: self.slot, path_id: self.route.path_id }
    }
}

/// All about one prefix or EVPN route.
#[derive(Debug, Default)]
pub(super) struct Destination {
    /// The best first.
    paths: Box<[Path]>,
    /// How many of them are used together.
    used: u8,
    /// Whoever uses the table's routes (the kernel, the segments) has been given one.
    pub delivered: bool,
    /// Waits in their queue.
    pub delivery_pending: bool,
    /// Neighbours that we have told of it.
    pub announced: EarSet,
    /// Neighbours in whose queue it waits.
    pub pending: EarSet,
}

/// There may be a million of them: whatever grows it, grows a full table by as many bytes a million
/// times.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Destination>() <= 56 && size_of::<Path>() <= 16);

/// What a new route has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Effect {
    /// The neighbour had a route to it before, of this round.
    pub replaced: Option<u32>,
    /// Neighbours must hear of it.
    pub best: bool,
    /// Those who are told several paths must: any of them is another, or they stand in another order.
    pub any: bool,
    /// The kernel must hear of it.
    pub forwarding: bool,
}

impl Effect {
    /// What this and a later effect come to.
    pub fn and(self, later: Effect) -> Effect {
        Effect {
            replaced: later.replaced,
            best: self.best || later.best,
            any: self.any || later.any,
            forwarding: self.forwarding || later.forwarding,
        }
    }
}

impl Destination {
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }

    pub fn best(&self) -> Option<&Path> {
        self.paths.first()
    }

    /// The paths that are used together.
    pub fn used(&self) -> &[Path] {
        &self.paths[..usize::from(self.used)]
    }

    pub fn path_of(&self, source: Source) -> Option<&Path> {
        self.paths.iter().find(|path| path.source() == source)
    }

    /// The neighbour has told the same again.
    fn refreshed(&mut self, source: Source, round: u32) {
        for path in self.paths.iter_mut().filter(|path| path.source() == source) {
            path.round = round;
        }
    }

    fn is_forgotten(&self) -> bool {
        self.paths.is_empty()
            && !self.delivery_pending
            && !self.delivered
            && self.announced.is_empty()
            && self.pending.is_empty()
    }

    /// Decides again, with `paths` in place of those there.
    fn redecide(&mut self, mut paths: Vec<Path>, rank: &impl Fn(Slot) -> Rank, max_paths: u8) -> Effect {
        let used = decide(&mut paths, rank, max_paths);
        let forwards = |path: &Path| (path.slot, path.route.next_hop, path.route.discard);
        let said = |path: &Path| (path.source(), Arc::as_ptr(&path.route));
        let effect = Effect {
            replaced: None,
            best: self.paths.first().map(said) != paths.first().map(said),
            any: !self.paths.iter().map(said).eq(paths.iter().map(said)),
            forwarding: !self.used().iter().map(forwards).eq(paths[..usize::from(used)].iter().map(forwards)),
        };
        self.paths = paths.into_boxed_slice();
        self.used = used;
        effect
    }
}

/// Destinations stand at places that queues remember, so that a key is looked up once for each thing
/// that a neighbour says of it. In the order of places they are as scattered as they came, which is
/// what the kernel's table is quick with.
#[derive(Debug)]
pub(super) struct Rib<K: Key> {
    index: K::Index,
    entries: Slab<Entry<K>>,
}

#[derive(Debug)]
struct Entry<K> {
    key: K,
    destination: Destination,
}

impl<K: Key> Default for Rib<K> {
    fn default() -> Rib<K> {
        Rib { index: K::Index::default(), entries: Slab::default() }
    }
}

impl<K: Key> Rib<K> {
    pub fn place(&self, key: &K) -> Option<Place> {
        self.index.get(key)
    }

    pub fn get(&self, key: &K) -> Option<&Destination> {
        self.at(self.place(key)?).map(|(_, destination)| destination)
    }

    pub fn at(&self, place: Place) -> Option<(&K, &Destination)> {
        self.entries.get(place).map(|entry| (&entry.key, &entry.destination))
    }

    pub fn at_mut(&mut self, place: Place) -> Option<(&K, &mut Destination)> {
        self.entries.get_mut(place).map(|entry| (&entry.key, &mut entry.destination))
    }

    /// The place of a destination, made if there is none.
    pub fn ensure(&mut self, key: &K) -> Place {
        self.place(key).unwrap_or_else(|| {
            let place = self.entries.insert(Entry { key: key.clone(), destination: Destination::default() });
            self.index.insert(key, place);
            place
        })
    }

    /// A neighbour's new route to a destination, in place of its earlier one by that identifier; `None`: it has none.
    /// `round`: of its telling.
    pub fn set(
        &mut self,
        place: Place,
        source: Source,
        round: u32,
        route: Option<Arc<Route>>,
        rank: &impl Fn(Slot) -> Rank,
        max_paths: u8,
    ) -> Effect {
        let Some((_, destination)) = self.at_mut(place) else { return Effect::default() };
        let before = destination.path_of(source).map(|path| Arc::as_ptr(&path.route));
        let replaced = destination.path_of(source).map(|path| path.round);
        if before == route.as_ref().map(Arc::as_ptr) {
            destination.refreshed(source, round);
            return Effect { replaced, ..Effect::default() };
        }
        let others = destination.paths.iter().filter(|path| path.source() != source).cloned();
        let path = route.map(|route| Path { route, slot: source.slot, lost: None, round });
        let paths: Vec<Path> = others.chain(path).collect();
        Effect { replaced, ..destination.redecide(paths, rank, max_paths) }
    }

    /// Takes out what is gone, and decides again.
    pub fn take_out(
        &mut self,
        place: Place,
        gone: impl Fn(&Path) -> bool,
        rank: &impl Fn(Slot) -> Rank,
        max_paths: u8,
    ) -> (Effect, Vec<Path>) {
        let Some((_, destination)) = self.at_mut(place) else { return Default::default() };
        let (taken, left) = destination.paths.iter().cloned().partition(gone);
        (destination.redecide(left, rank, max_paths), taken)
    }

    /// Decides again about one destination.
    pub fn redecide(&mut self, place: Place, rank: &impl Fn(Slot) -> Rank, max_paths: u8) -> Effect {
        let Some((_, destination)) = self.at_mut(place) else { return Effect::default() };
        let paths = destination.paths.to_vec();
        destination.redecide(paths, rank, max_paths)
    }

    /// Forgets a destination that nobody needs to hear of any more.
    pub fn tidy(&mut self, place: Place) {
        if self.at(place).is_some_and(|(_, destination)| destination.is_forgotten())
            && let Some(entry) = self.entries.remove(place)
        {
            self.index.remove(&entry.key);
        }
    }

    /// In the order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (K, &Destination)> {
        self.index.iter().filter_map(|place| self.at(place)).map(|(key, it)| (key.clone(), it))
    }

    /// Behind every place.
    pub fn end(&self) -> u32 {
        self.entries.end()
    }

    /// The place with this number, if a destination stands there.
    pub fn place_at(&self, number: u32) -> Option<Place> {
        self.entries.place_at(number)
    }

    /// In the order of places.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Place, &K, &mut Destination)> {
        self.entries.iter_mut().map(|(place, entry)| (place, &entry.key, &mut entry.destination))
    }

    /// Prefixes within a range, in the order of keys, from one on.
    pub fn within<'a>(
        &'a self,
        range: &'a Prefix,
        from: &'a Prefix,
        inclusive: bool,
    ) -> impl Iterator<Item = Prefix> + 'a
    where
        K: Key<Index = PrefixIndex> + Into<Prefix>,
    {
        let keys =
            self.index.from(from, inclusive).filter_map(|place| Some(self.at(place)?.0.clone().into()));
        keys.take_while(|prefix| range.contains(prefix))
    }

    /// The longest prefix to which there is a route and that holds all of `prefix`.
    pub fn covering(&self, prefix: &Prefix) -> Option<Prefix>
    where
        K: From<Prefix>,
    {
        let shorter = (0..=prefix.prefix_len()).rev();
        let shorter =
            shorter.filter_map(|length| Prefix::new(prefix.addr(), length).ok()).map(|it| it.trunc());
        let mut shorter = shorter.filter(|&it| self.get(&it.into()).is_some_and(|it| it.best().is_some()));
        shorter.next()
    }

    /// In the order of keys, what is behind `after`; all of it without one.
    pub fn after<'a>(
        &'a self,
        after: Option<&Prefix>,
    ) -> impl Iterator<Item = (Prefix, &'a Destination)> + use<'a, K>
    where
        K: Key<Index = PrefixIndex> + Into<Prefix>,
    {
        // IPv4 comes first, and nothing before its default route.
        let first = Prefix::V4(Default::default());
        let places = self.index.from(after.unwrap_or(&first), after.is_none());
        places.filter_map(|place| self.at(place)).map(|(key, it)| (key.clone().into(), it))
    }
}

/// Keeps one copy of each set of attributes.
pub(super) type Shared = Interner<Route>;

/// Keeps one copy of each value.
#[derive(Debug)]
pub(super) struct Interner<T> {
    values: HashTable<Arc<T>>,
    hasher: DefaultHashBuilder,
    /// When there are so many, what nobody uses is dropped.
    sweep_at: usize,
}

/// No fewer are worth looking for what nobody uses.
const SWEEP: usize = 1024;

impl<T> Default for Interner<T> {
    fn default() -> Interner<T> {
        Interner { values: HashTable::new(), hasher: DefaultHashBuilder::default(), sweep_at: SWEEP }
    }
}

impl<T: Eq + Hash> Interner<T> {
    pub fn share(&mut self, value: T) -> Arc<T> {
        let hash = self.hasher.hash_one(&value);
        if let Some(known) = self.values.find(hash, |known| **known == value) {
            return known.clone();
        }
        if self.values.len() >= self.sweep_at {
            self.sweep();
        }
        let value = Arc::new(value);
        self.values.insert_unique(hash, value.clone(), |value| self.hasher.hash_one(value));
        value
    }

    /// Drops a value if this was the last use of it.
    pub fn release(&mut self, value: Arc<T>) {
        if Arc::strong_count(&value) == 2
            && let Ok(known) =
                self.values.find_entry(self.hasher.hash_one(&value), |known| Arc::ptr_eq(known, &value))
        {
            known.remove();
        }
    }

    /// Drops what nobody uses.
    pub fn sweep(&mut self) {
        self.values.retain(|value| Arc::strong_count(value) > 1);
        self.sweep_at = (self.values.len() * 2).max(SWEEP);
        if self.values.capacity() > 4 * self.sweep_at {
            self.values.shrink_to(self.sweep_at, |value| self.hasher.hash_one(value));
        }
    }
}
