//! Several paths to one prefix (RFC 7911): which are told to a neighbour that takes them, and by which identifiers.
//!
//! Every next hop that we tell is our own, so whatever a neighbour chooses among them, its packets go by our best
//! path. So none is told where the best itself is not: to whom it came from, packets would come back.

use super::adj_out::{Telling, outgoing};
use super::key::Key;
use super::rib::{Destination, Path, Route};
use super::slab::Place;
use super::slots::Source;
use alloc::sync::Arc;
use alloc::vec::Vec;
use hashbrown::HashMap;

/// So many paths of one neighbour to one prefix are taken at most: each is looked at whenever one of them changes.
pub(super) const TAKEN_MAX: usize = 64;

/// A path that a neighbour was told.
#[derive(Debug, Clone)]
pub(super) struct ToldPath {
    /// Ours, from 1 on: the same for as long as the neighbour is told the path, however good it is among the others.
    pub id: u32,
    pub source: Source,
    /// As it was told; `None`: it shall be told again, whether it has changed or not.
    pub said: Option<Arc<Route>>,
}

/// What one neighbour was told, by destination. Of a neighbour that takes one path only there is nothing in it: that is
/// a bit in the table.
#[derive(Debug, Default)]
pub(super) struct ToldPaths(HashMap<Place, Vec<ToldPath>>);

/// What follows for one destination.
#[derive(Debug, Default)]
pub(super) struct Next {
    /// To be told now; the others are known as they are.
    pub announced: Vec<(u32, Arc<Route>)>,
    pub withdrawn: Vec<u32>,
    /// How many are told from now on, and how many were.
    pub counts: (usize, usize),
}

impl ToldPaths {
    pub fn of(&self, place: Place) -> &[ToldPath] {
        self.0.get(&place).map_or(&[], Vec::as_slice)
    }

    /// All of a destination shall be told again.
    pub fn tell_anew(&mut self, place: Place) {
        for told in self.0.get_mut(&place).into_iter().flatten() {
            told.said = None;
        }
    }

    /// Notes that from now on `wanted` is told, and says what has to be sent. A path that is new takes the lowest
    /// identifier that none of them has: mostly that of one that goes, in whose place it is then.
    pub fn change(&mut self, place: Place, wanted: Vec<(Source, Arc<Route>)>) -> Next {
        let before = self.0.remove(&place).unwrap_or_default();
        let mut next = Next { counts: (wanted.len(), before.len()), ..Next::default() };
        let known = |source: Source| before.iter().find(|told| told.source == source);
        let mut taken: Vec<u32> = wanted.iter().filter_map(|&(it, _)| Some(known(it)?.id)).collect();
        let mut told = Vec::with_capacity(wanted.len());
        for (source, route) in wanted {
            let id = known(source).map_or_else(|| lowest_free(&mut taken), |told| told.id);
            let said = known(source).and_then(|told| told.said.as_ref());
            if !said.is_some_and(|said| Arc::ptr_eq(said, &route)) {
                next.announced.push((id, route.clone()));
            }
            told.push(ToldPath { id, source, said: Some(route) });
        }
        next.withdrawn = before.iter().map(|it| it.id).filter(|id| !taken.contains(id)).collect();
        if !told.is_empty() {
            self.0.insert(place, told);
        }
        next
    }
}

fn lowest_free(taken: &mut Vec<u32>) -> u32 {
    let mut id = 1;
    while taken.contains(&id) {
        id += 1;
    }
    taken.push(id);
    id
}

/// The paths that the neighbour should hear of, the best first, `most` of them: each must pass the policy by itself.
pub(super) fn outgoing_paths<K: Key>(
    telling: &Telling<'_>,
    key: &K,
    destination: &Destination,
    most: u8,
) -> Vec<(Source, Arc<Route>)> {
    if !matches!(outgoing(telling, key, destination), Ok(Some(_))) {
        return Vec::new();
    }
    let goes = |path: &&Path| path.slot != telling.slot && key.export_check(telling, &path.route).is_ok();
    let paths = destination.paths().iter().filter(goes).take(usize::from(most));
    paths.map(|path| (path.source(), path.route.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::slab::Slab;
    use super::super::slots::Slot;
    use super::*;
    use crate::wire::bgp::Attributes;
    use alloc::vec;

    fn route() -> Arc<Route> {
        Arc::new(Route {
            attributes: Attributes::default(),
            next_hop: None,
            class: None,
            local_preference: 100,
            discard: false,
            body: None,
            path_id: 0,
        })
    }

    #[test]
    fn a_path_keeps_its_identifier_while_it_is_told() {
        let place = Slab::default().insert(());
        let mut told = ToldPaths::default();
        let [a, b, c] = [1, 2, 3].map(|slot| Source::from(Slot(slot)));
        let [of_a, of_b, of_c] = [route(), route(), route()];
        let ids = |next: Next| (next.announced.iter().map(|it| it.0).collect::<Vec<_>>(), next.withdrawn);
        assert_eq!(ids(told.change(place, vec![(a, of_a.clone()), (b, of_b.clone())])), (vec![1, 2], vec![]));
        // Another is the best: nothing to say.
        assert_eq!(ids(told.change(place, vec![(b, of_b.clone()), (a, of_a.clone())])), (vec![], vec![]));
        // One is another than it was.
        let new_b = route();
        assert_eq!(ids(told.change(place, vec![(b, new_b.clone()), (a, of_a)])), (vec![2], vec![]));
        // One goes and another comes: it is told in its place.
        assert_eq!(ids(told.change(place, vec![(c, of_c.clone()), (b, new_b.clone())])), (vec![1], vec![]));
        assert_eq!(ids(told.change(place, vec![(c, of_c.clone())])), (vec![], vec![2]));
        told.tell_anew(place);
        assert_eq!(ids(told.change(place, vec![(c, of_c)])), (vec![1], vec![]));
        assert_eq!(ids(told.change(place, vec![])), (vec![], vec![1]));
        assert!(told.0.is_empty());
    }
}
