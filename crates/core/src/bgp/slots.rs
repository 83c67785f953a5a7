//! Small numbers for neighbours, and sets of them: what a destination remembers per neighbour.

use alloc::boxed::Box;

/// A neighbour within the table. Unlike a `NeighbourId` it outlives a change of configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(pub u16);

impl Slot {
    /// Our own routes.
    pub const LOCAL: Slot = Slot(u16::MAX);

    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Who told a path, and by which path identifier (RFC 7911): 0 where none is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Source {
    pub slot: Slot,
    pub path_id: u32,
}

impl From<Slot> for Source {
    fn from(slot: Slot) -> Source {
        Source { slot, path_id: 0 }
    }
}

/// A set of slots: one word for the first 64, more on the heap where there are more neighbours.
#[derive(Debug, Clone)]
pub(super) enum SlotSet {
    Few(u64),
    Many(Box<[u64]>),
}

impl Default for SlotSet {
    fn default() -> SlotSet {
        SlotSet::Few(0)
    }
}

impl SlotSet {
    fn words(&self) -> &[u64] {
        match self {
            SlotSet::Few(word) => core::slice::from_ref(word),
            SlotSet::Many(words) => words,
        }
    }

    fn words_mut(&mut self) -> &mut [u64] {
        match self {
            SlotSet::Few(word) => core::slice::from_mut(word),
            SlotSet::Many(words) => words,
        }
    }

    fn place(slot: Slot) -> (usize, u64) {
        (slot.index() / 64, 1 << (slot.index() % 64))
    }

    pub fn contains(&self, slot: Slot) -> bool {
        let (at, bit) = SlotSet::place(slot);
        self.words().get(at).is_some_and(|word| word & bit != 0)
    }

    /// True if it was not there.
    pub fn insert(&mut self, slot: Slot) -> bool {
        let (at, bit) = SlotSet::place(slot);
        if at >= self.words().len() {
            let mut words = self.words().to_vec();
            words.resize(at + 1, 0);
            *self = SlotSet::Many(words.into_boxed_slice());
        }
        let word = &mut self.words_mut()[at];
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// True if it was there.
    pub fn remove(&mut self, slot: Slot) -> bool {
        let (at, bit) = SlotSet::place(slot);
        let Some(word) = self.words_mut().get_mut(at) else { return false };
        let there = *word & bit != 0;
        *word &= !bit;
        there
    }

    pub fn is_empty(&self) -> bool {
        self.words().iter().all(|&word| word == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_first_word() {
        let mut set = SlotSet::default();
        for slot in [0, 63, 64, 1000] {
            assert!(set.insert(Slot(slot)));
            assert!(!set.insert(Slot(slot)));
            assert!(set.contains(Slot(slot)));
        }
        assert!(!set.contains(Slot(65)));
        assert!(!set.contains(Slot(5000)));
        for slot in [0, 63, 64, 1000] {
            assert!(set.remove(Slot(slot)));
            assert!(!set.remove(Slot(slot)));
        }
        assert!(set.is_empty());
    }
}
