//! What is kept of one neighbour's routes, each by its prefix and its path identifier (RFC 7911).

use crate::id::Prefix;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::iter::Peekable;
use prefix_trie::joint::JointPrefixMap;

/// A prefix and a path identifier, 0 where none is said.
pub(super) type PathOf = (Prefix, u32);

#[derive(Debug)]
pub(super) struct ByPath<T> {
    /// With the identifier 0: all of a neighbour that says none, so that none of them takes more room.
    plain: JointPrefixMap<Prefix, T>,
    further: BTreeMap<PathOf, T>,
}

impl<T> Default for ByPath<T> {
    fn default() -> ByPath<T> {
        ByPath { plain: JointPrefixMap::new(), further: BTreeMap::new() }
    }
}

impl<T> ByPath<T> {
    pub fn len(&self) -> usize {
        self.plain.len() + self.further.len()
    }

    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.further.is_empty()
    }

    pub fn get(&self, path: &PathOf) -> Option<&T> {
        if path.1 == 0 { self.plain.get(&path.0) } else { self.further.get(path) }
    }

    pub fn get_mut(&mut self, path: &PathOf) -> Option<&mut T> {
        if path.1 == 0 { self.plain.get_mut(&path.0) } else { self.further.get_mut(path) }
    }

    pub fn insert(&mut self, path: PathOf, value: T) {
        if path.1 == 0 {
            self.plain.insert(path.0, value);
        } else {
            self.further.insert(path, value);
        }
    }

    pub fn remove(&mut self, path: &PathOf) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        if path.1 == 0 { self.plain.remove(&path.0) } else { self.further.remove(path) }
    }

    /// All of one prefix, in the order of identifiers.
    pub fn of<'a>(&'a self, prefix: &Prefix) -> impl Iterator<Item = (u32, &'a T)> + use<'a, T> {
        let further = self.further.range((*prefix, 1)..=(*prefix, u32::MAX));
        let plain = self.plain.get(prefix).map(|value| (0, value));
        plain.into_iter().chain(further.map(|((_, id), value)| (*id, value)))
    }

    /// The identifiers of one prefix.
    pub fn ids_of<'a>(&'a self, prefix: &Prefix) -> impl Iterator<Item = u32> + use<'a, T> {
        self.of(prefix).map(|(id, _)| id)
    }

    /// In the order of the table, the prefixes behind `after`; all of them without one.
    pub fn keys_after<'a>(&'a self, after: Option<&Prefix>) -> impl Iterator<Item = Prefix> + use<'a, T> {
        // IPv4 comes first, and nothing before its default route.
        let first = Prefix::V4(Default::default());
        self.prefixes_from(after.unwrap_or(&first), after.is_none())
    }

    /// Those of prefixes that hold all of one, the shortest first.
    pub fn covering(&self, prefix: &Prefix) -> Vec<(PathOf, &T)> {
        let mut all: Vec<(PathOf, &T)> =
            self.plain.cover(prefix).map(|(it, value)| ((it, 0), value)).collect();
        if !self.further.is_empty() {
            let shorter = (0..=prefix.prefix_len()).filter_map(|it| Prefix::new(prefix.addr(), it).ok());
            let further = |it: Prefix| self.further.range((it.trunc(), 1)..=(it.trunc(), u32::MAX));
            all.extend(shorter.flat_map(further).map(|(path, value)| (*path, value)));
            all.sort_by_key(|(path, _)| *path);
        }
        all
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Prefix, &mut T)> {
        let further = self.further.iter_mut().map(|(path, value)| (path.0, value));
        self.plain.iter_mut().chain(further)
    }

    pub fn retain(&mut self, mut stays: impl FnMut(&Prefix, &T) -> bool) {
        self.plain.retain(|prefix, value| stays(&prefix, value));
        self.further.retain(|path, value| stays(&path.0, value));
    }

    /// Their prefixes in the order of the table, each once, from one on.
    pub fn prefixes_from<'a>(
        &'a self,
        from: &Prefix,
        inclusive: bool,
    ) -> impl Iterator<Item = Prefix> + use<'a, T> {
        let plain = self.plain.iter_from(from, inclusive).map(|(prefix, _)| prefix).peekable();
        // Behind all identifiers of the first, if it is not wanted.
        let first = if inclusive { (*from, 1) } else { (*from, u32::MAX) };
        let behind = *from;
        let further = self.further.range(first..).map(|(path, _)| path.0);
        let further = further.skip_while(move |&it| !inclusive && it == behind).peekable();
        Merged { plain, further, last: None }
    }
}

/// Two orders as one, of what is the same one only.
struct Merged<A: Iterator<Item = Prefix>, B: Iterator<Item = Prefix>> {
    plain: Peekable<A>,
    further: Peekable<B>,
    last: Option<Prefix>,
}

impl<A: Iterator<Item = Prefix>, B: Iterator<Item = Prefix>> Iterator for Merged<A, B> {
    type Item = Prefix;

    fn next(&mut self) -> Option<Prefix> {
        loop {
            let next = match (self.plain.peek(), self.further.peek()) {
                (Some(plain), Some(further)) if further < plain => self.further.next(),
                (None, _) => self.further.next(),
                _ => self.plain.next(),
            };
            if next.is_none() || next != self.last {
                self.last = next;
                return next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn in_the_order_of_prefixes_whatever_their_identifiers() {
        let mut map = ByPath::default();
        let all = [("10.0.0.0/8", 0), ("10.0.0.0/8", 7), ("10.0.0.0/9", 1), ("10.1.0.0/16", 0), ("::/0", 2)];
        for (text, id) in all {
            map.insert((prefix(text), id), id);
        }
        let sorted = ["10.0.0.0/8", "10.0.0.0/9", "10.1.0.0/16", "::/0"].map(prefix);
        for at in 0..sorted.len() {
            assert_eq!(map.prefixes_from(&sorted[at], true).collect::<Vec<_>>(), sorted[at..]);
            assert_eq!(map.prefixes_from(&sorted[at], false).collect::<Vec<_>>(), sorted[at + 1..]);
        }
        assert_eq!(map.of(&sorted[0]).collect::<Vec<_>>(), [(0, &0), (7, &7)]);
        let covering = map.covering(&prefix("10.1.0.0/24"));
        let covering: Vec<PathOf> = covering.into_iter().map(|(path, _)| path).collect();
        assert_eq!(covering, [(sorted[0], 0), (sorted[0], 7), (sorted[1], 1), (sorted[2], 0)]);
        assert_eq!((map.remove(&(sorted[0], 7)), map.remove(&(sorted[0], 8))), (Some(7), None));
        map.retain(|prefix, _| *prefix != sorted[3]);
        assert_eq!((map.len(), map.get(&(sorted[3], 2)), map.get(&(sorted[2], 0))), (3, None, Some(&0)));
    }
}
