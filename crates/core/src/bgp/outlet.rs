//! What whoever uses a table's best routes (the kernel, the segments) is still to hear.

use super::event::Action;
use super::key::Key;
use super::rib::{Destination, Rib};
use super::slab::Place;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

#[derive(Debug, Default)]
pub(super) struct Outlet {
    /// Of which something was given that no longer holds: packets go astray until it is corrected. Each
    /// destination stands in one queue at most: it knows whether it waits.
    corrections: VecDeque<Place>,
    /// Of which nothing was given.
    additions: VecDeque<Place>,
    /// The shell has been told that something waits and has not yet come to the end of it.
    told: bool,
}

impl Outlet {
    pub fn push<K: Key>(&mut self, place: Place, destination: &mut Destination, actions: &mut Vec<Action>) {
        if core::mem::replace(&mut destination.delivery_pending, true) {
            return;
        }
        let queue = if destination.delivered { &mut self.corrections } else { &mut self.additions };
        queue.push_back(place);
        if !core::mem::replace(&mut self.told, true) {
            actions.push(K::ready());
        }
    }

    /// Whether something that was given no longer holds.
    pub fn has_corrections(&self) -> bool {
        !self.corrections.is_empty()
    }

    /// Delivers at most `budget` changes, corrections first; `wanted` says what should be known of a destination. True if
    /// there are more.
    pub fn poll<K: Key, T>(
        &mut self,
        rib: &mut Rib<K>,
        budget: usize,
        wanted: impl Fn(&K, &Destination) -> Option<T>,
        mut deliver: impl FnMut(K, Option<T>),
    ) -> bool {
        let mut left = budget;
        while left > 0 {
            let next = self.corrections.pop_front().or_else(|| self.additions.pop_front());
            let Some(place) = next else { break };
            let Some((key, destination)) = rib.at_mut(place) else { continue };
            destination.delivery_pending = false;
            let wanted = wanted(key, destination);
            let changed = wanted.is_some() || destination.delivered;
            destination.delivered = wanted.is_some();
            if changed {
                deliver(key.clone(), wanted);
                left -= 1;
            }
            rib.tidy(place);
        }
        for queue in [&mut self.corrections, &mut self.additions].into_iter().filter(|it| it.is_empty()) {
            *queue = VecDeque::new();
        }
        self.told = !self.corrections.is_empty() || !self.additions.is_empty();
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Prefix;

    #[test]
    fn what_no_longer_holds_comes_before_what_is_new() {
        let [old, new, newer] = ["10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16"].map(|it| it.parse().unwrap());
        let (mut rib, mut outlet, mut actions) = (Rib::<Prefix>::default(), Outlet::default(), Vec::new());
        let push = |rib: &mut Rib<Prefix>, outlet: &mut Outlet, key, actions: &mut Vec<Action>| {
            let place = rib.ensure(key);
            outlet.push::<Prefix>(place, rib.at_mut(place).unwrap().1, actions);
        };
        let poll = |rib: &mut Rib<Prefix>, outlet: &mut Outlet, budget| {
            let mut told = Vec::new();
            let wanted = |key: &Prefix, _: &Destination| (*key != new).then_some(());
            let more = outlet.poll(rib, budget, wanted, |key, it| told.push((key, it)));
            (told, more)
        };
        push(&mut rib, &mut outlet, &old, &mut actions);
        assert_eq!(poll(&mut rib, &mut outlet, 9), (Vec::from([(old, Some(()))]), false));
        for key in [&new, &newer, &old, &old] {
            push(&mut rib, &mut outlet, key, &mut actions);
        }
        assert!(outlet.has_corrections());
        assert_eq!(poll(&mut rib, &mut outlet, 1), (Vec::from([(old, Some(()))]), true));
        assert!(!outlet.has_corrections());
        // Of what is not wanted, and was not given, nothing is said.
        assert_eq!(poll(&mut rib, &mut outlet, 1), (Vec::from([(newer, Some(()))]), false));
        // Asked to poll once for each time that there was nothing.
        assert_eq!(actions, [Action::RoutesReady, Action::RoutesReady]);
    }
}
