//! Address spaces: what lies within what, what overlaps what, without comparing everything with
//! everything.

use std::net::IpAddr;
use std::ops::Range;
use tsumugi_core::id::Prefix;

/// The first and the last address of a prefix, the family first.
pub(crate) fn ends(prefix: &Prefix) -> ((bool, u128), (bool, u128)) {
    (point(prefix.network()), point(prefix.broadcast()))
}

fn point(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(address) => (false, u32::from(address).into()),
        IpAddr::V6(address) => (true, address.into()),
    }
}

/// A set of prefixes that can be asked quickly.
#[derive(Debug, Default)]
pub(crate) struct Space {
    /// Sorted by their first address; none lies within another.
    prefixes: Vec<Prefix>,
}

impl Space {
    pub(crate) fn new(prefixes: impl IntoIterator<Item = Prefix>) -> Space {
        let mut all: Vec<Prefix> = prefixes.into_iter().collect();
        // The wider one first, so that what lies within it is dropped.
        all.sort_by_key(|prefix| (ends(prefix).0, prefix.prefix_len()));
        let mut prefixes: Vec<Prefix> = Vec::new();
        for prefix in all {
            if prefixes.last().is_none_or(|last| ends(last).1 < ends(&prefix).0) {
                prefixes.push(prefix);
            }
        }
        Space { prefixes }
    }

    /// A prefix of the set that has an address in common with this one.
    pub(crate) fn overlapping(&self, prefix: &Prefix) -> Option<Prefix> {
        let (first, last) = ends(prefix);
        let after = self.prefixes.partition_point(|known| ends(known).1 < first);
        self.prefixes.get(after).filter(|known| ends(known).0 <= last).copied()
    }

    /// The prefix of the set in which this one lies wholly.
    pub(crate) fn around(&self, prefix: &Prefix) -> Option<Prefix> {
        // Prefixes either lie within one another or have nothing in common.
        self.overlapping(prefix).filter(|known| known.prefix_len() <= prefix.prefix_len())
    }

    pub(crate) fn holding(&self, address: IpAddr) -> Option<Prefix> {
        self.overlapping(&address.into())
    }
}

/// Those of a list that have an address in common with an earlier one: each with that earlier one,
/// by their places in the list. Linear but for the sorting.
pub(crate) fn overlaps(prefixes: &[(Prefix, Range<usize>)]) -> Vec<(usize, usize)> {
    let mut order: Vec<usize> = (0..prefixes.len()).collect();
    order.sort_by_key(|at| (ends(&prefixes[*at].0).0, prefixes[*at].0.prefix_len(), *at));
    let mut found = Vec::new();
    // Those around the present place, the widest first.
    let mut around: Vec<usize> = Vec::new();
    for at in order {
        let first = ends(&prefixes[at].0).0;
        while around.last().is_some_and(|outer| ends(&prefixes[*outer].0).1 < first) {
            around.pop();
        }
        if let Some(outer) = around.last() {
            found.push((at.max(*outer), at.min(*outer)));
        }
        around.push(at);
    }
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefix() -> impl Strategy<Value = Prefix> {
        prop_oneof![
            (0u32..64, 26u8..=32)
                .prop_map(|(n, len)| Prefix::new(std::net::Ipv4Addr::from(n).into(), len).unwrap()),
            (0u128..64, 122u8..=128).prop_map(|(n, len)| Prefix::new(
                std::net::Ipv6Addr::from(n).into(),
                len
            )
            .unwrap()),
        ]
    }

    fn meet(a: &Prefix, b: &Prefix) -> bool {
        ends(a).0 <= ends(b).1 && ends(b).0 <= ends(a).1
    }

    proptest! {
        #[test]
        fn a_space_answers_as_a_comparison_with_everything_would(
            all in prop::collection::vec(prefix(), 0..12), asked in prefix()
        ) {
            let space = Space::new(all.clone());
            prop_assert_eq!(space.overlapping(&asked).is_some(), all.iter().any(|one| meet(one, &asked)));
            prop_assert_eq!(
                space.around(&asked).is_some(),
                all.iter().any(|one| ends(one).0 <= ends(&asked).0 && ends(&asked).1 <= ends(one).1)
            );
        }

        #[test]
        fn overlaps_are_found_where_there_are_any(all in prop::collection::vec(prefix(), 0..12)) {
            let listed: Vec<_> = all.iter().map(|one| (*one, 0..0)).collect();
            let found = overlaps(&listed);
            for (later, earlier) in &found {
                prop_assert!(later > earlier && meet(&all[*later], &all[*earlier]));
            }
            let any = (0..all.len()).any(|a| (0..a).any(|b| meet(&all[a], &all[b])));
            prop_assert_eq!(!found.is_empty(), any);
        }
    }
}
