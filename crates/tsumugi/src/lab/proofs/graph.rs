//! What the file joins to what: computed from its links, never asked of a router.

use super::Context;
use crate::lab::Wire;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The routers of the file and the links between them.
pub struct Graph<'a> {
    neighbours: BTreeMap<&'a str, Vec<(&'a str, &'a str)>>,
}

impl<'a> Graph<'a> {
    /// All links, but those of these names.
    pub fn without(context: &Context<'a>, missing: &[&str]) -> Graph<'a> {
        let inside = context.lab.wires.iter().filter(|wire| !wire.outside);
        let routers = context.routers().into_iter().map(|router| router.name.as_str());
        Graph::of(routers, inside.filter(|wire| !missing.contains(&wire.name.as_str())))
    }

    fn of(routers: impl Iterator<Item = &'a str>, wires: impl Iterator<Item = &'a Wire>) -> Graph<'a> {
        let mut neighbours: BTreeMap<&str, Vec<(&str, &str)>> =
            routers.map(|router| (router, Vec::new())).collect();
        for wire in wires {
            let [a, b] = &wire.ends;
            for (from, to) in [(a, b), (b, a)] {
                let list = neighbours.entry(from.machine.as_str()).or_default();
                list.push((to.machine.as_str(), wire.name.as_str()));
            }
        }
        Graph { neighbours }
    }

    pub fn joins(&self, from: &str, to: &str) -> bool {
        self.neighbours.get(from).is_some_and(|list| list.iter().any(|(far, _)| *far == to))
    }

    /// How many links away each router is that can be reached at all.
    pub fn distances(&self, from: &str) -> BTreeMap<&'a str, usize> {
        let mut distances = BTreeMap::new();
        let mut queue: VecDeque<(&str, usize)> = VecDeque::new();
        if let Some((name, _)) = self.neighbours.get_key_value(from) {
            distances.insert(*name, 0);
            queue.push_back((name, 0));
        }
        while let Some((here, distance)) = queue.pop_front() {
            for (far, _) in self.neighbours.get(here).into_iter().flatten() {
                if !distances.contains_key(far) {
                    distances.insert(*far, distance + 1);
                    queue.push_back((far, distance + 1));
                }
            }
        }
        distances
    }

    /// Pairs of routers, each once, that no way joins.
    pub fn separated(&self) -> BTreeSet<(&'a str, &'a str)> {
        let mut pairs = BTreeSet::new();
        for from in self.neighbours.keys() {
            let reached = self.distances(from);
            let unreached = self.neighbours.keys().filter(|to| !reached.contains_key(*to));
            pairs.extend(unreached.map(|to| if from < to { (*from, *to) } else { (*to, *from) }));
        }
        pairs
    }

    /// Pairs of routers, the farthest apart first; in both orders.
    pub fn farthest(&self) -> Vec<(&'a str, &'a str, usize)> {
        let mut pairs = Vec::new();
        for from in self.neighbours.keys() {
            let distances = self.distances(from);
            pairs.extend(distances.into_iter().filter(|(_, far)| *far > 0).map(|(to, far)| (*from, to, far)));
        }
        pairs.sort_by_key(|(_, _, distance)| std::cmp::Reverse(*distance));
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// a - b - c, and d alone.
    fn chain() -> Graph<'static> {
        let mut neighbours: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
        neighbours.insert("a", vec![("b", "a-b")]);
        neighbours.insert("b", vec![("a", "a-b"), ("c", "b-c")]);
        neighbours.insert("c", vec![("b", "b-c")]);
        neighbours.insert("d", vec![]);
        Graph { neighbours }
    }

    #[test]
    fn ways_and_their_absence() {
        let graph = chain();
        assert!(graph.joins("a", "b") && !graph.joins("a", "c"));
        assert_eq!(graph.distances("a"), BTreeMap::from([("a", 0), ("b", 1), ("c", 2)]));
        assert_eq!(graph.separated(), BTreeSet::from([("a", "d"), ("b", "d"), ("c", "d")]));
        assert_eq!(graph.farthest()[..2], [("a", "c", 2), ("c", "a", 2)]);
    }
}
