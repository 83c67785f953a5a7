//! What whoever uses a table's best routes (the kernel, the segments) is still to hear.

use super::event::Action;
use super::key::Key;
use super::rib::{Destination, Rib};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

#[derive(Debug)]
pub(super) struct Outlet<K> {
    /// Each key at most once: a destination knows whether it waits.
    queue: VecDeque<K>,
    /// The shell has been told that something waits and has not yet come to the end of it.
    told: bool,
}

impl<K> Default for Outlet<K> {
    fn default() -> Outlet<K> {
        Outlet { queue: VecDeque::new(), told: false }
    }
}

impl<K: Key> Outlet<K> {
    pub fn push(&mut self, key: &K, destination: &mut Destination, actions: &mut Vec<Action>) {
        if core::mem::replace(&mut destination.delivery_pending, true) {
            return;
        }
        self.queue.push_back(key.clone());
        if !core::mem::replace(&mut self.told, true) {
            actions.push(K::ready());
        }
    }

    /// Delivers at most `budget` changes; `wanted` says what should be known of a destination. True if
    /// there are more.
    pub fn poll<T>(
        &mut self,
        rib: &mut Rib<K>,
        budget: usize,
        wanted: impl Fn(&K, &Destination) -> Option<T>,
        mut deliver: impl FnMut(K, Option<T>),
    ) -> bool {
        let mut left = budget;
        while left > 0 {
            let Some(key) = self.queue.pop_front() else { break };
            let Some(destination) = rib.get_mut(&key) else { continue };
            destination.delivery_pending = false;
            let wanted = wanted(&key, destination);
            let changed = wanted.is_some() || destination.delivered;
            destination.delivered = wanted.is_some();
            rib.tidy(&key);
            if changed {
                deliver(key, wanted);
                left -= 1;
            }
        }
        self.told = !self.queue.is_empty();
        self.told
    }
}
