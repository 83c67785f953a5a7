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

/// A neighbour's session in what destinations remember of whom they were told to: no two sessions have one
/// ear, not even of one neighbour, until all that was told to the earlier is forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ear(pub u16);

/// A set of ears: one word for the first 64, more on the heap where there are more neighbours.
#[derive(Debug, Clone)]
pub(super) enum EarSet {
    Few(u64),
    Many(Box<[u64]>),
}

impl Default for EarSet {
    fn default() -> EarSet {
        EarSet::Few(0)
    }
}

impl EarSet {
    fn words(&self) -> &[u64] {
        match self {
            EarSet::Few(word) => core::slice::from_ref(word),
            EarSet::Many(words) => words,
        }
    }

    fn words_mut(&mut self) -> &mut [u64] {
        match self {
            EarSet::Few(word) => core::slice::from_mut(word),
            EarSet::Many(words) => words,
        }
    }

    fn place(ear: Ear) -> (usize, u64) {
        (usize::from(ear.0) / 64, 1 << (ear.0 % 64))
    }

    pub fn contains(&self, ear: Ear) -> bool {
        let (at, bit) = EarSet::place(ear);
        self.words().get(at).is_some_and(|word| word & bit != 0)
    }

    /// True if it was not there.
    pub fn insert(&mut self, ear: Ear) -> bool {
        let (at, bit) = EarSet::place(ear);
        if at >= self.words().len() {
            let mut words = self.words().to_vec();
            words.resize(at + 1, 0);
            *self = EarSet::Many(words.into_boxed_slice());
        }
        let word = &mut self.words_mut()[at];
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// True if it was there.
    pub fn remove(&mut self, ear: Ear) -> bool {
        let (at, bit) = EarSet::place(ear);
        let Some(word) = self.words_mut().get_mut(at) else { return false };
        let there = *word & bit != 0;
        *word &= !bit;
        there
    }

    pub fn remove_all(&mut self, others: &EarSet) {
        for (word, others) in self.words_mut().iter_mut().zip(others.words()) {
            *word &= !others;
        }
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
        let mut set = EarSet::default();
        for ear in [0, 63, 64, 1000] {
            assert!(set.insert(Ear(ear)));
            assert!(!set.insert(Ear(ear)));
            assert!(set.contains(Ear(ear)));
        }
        assert!(!set.contains(Ear(65)));
        assert!(!set.contains(Ear(5000)));
        for ear in [0, 63, 64, 1000] {
            assert!(set.remove(Ear(ear)));
            assert!(!set.remove(Ear(ear)));
        }
        assert!(set.is_empty());
        for ear in [3, 70, 90] {
            set.insert(Ear(ear));
        }
        let mut others = EarSet::default();
        set.remove_all(&others);
        others.insert(Ear(3));
        set.remove_all(&others);
        others.insert(Ear(90));
        others.insert(Ear(200));
        set.remove_all(&others);
        assert!(set.contains(Ear(70)) && set.remove(Ear(70)) && set.is_empty());
    }
}
