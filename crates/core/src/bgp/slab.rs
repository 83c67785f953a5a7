//! Values at numbered places that stay where they are: grown a piece at a time, so that a full table is
//! never copied, and given back whole once it is empty.

use alloc::vec::Vec;

/// Values of one piece.
const PIECE: usize = 4096;

/// Where a value stands, for as long as it does; then another may stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u32);

#[derive(Debug)]
pub(super) struct Slab<T> {
    pieces: Vec<Vec<Option<T>>>,
    /// Places that were given up.
    free: Vec<Place>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { pieces: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<T> Slab<T> {
    pub fn insert(&mut self, value: T) -> Place {
        self.len += 1;
        if let Some(place) = self.free.pop() {
            let (piece, at) = place.split();
            self.pieces[piece][at] = Some(value);
            return place;
        }
        if self.pieces.last().is_none_or(|piece| piece.len() == PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        let piece = self.pieces.len() - 1;
        let at = self.pieces[piece].len();
        self.pieces[piece].push(Some(value));
        // Four billion destinations do not fit into any memory.
        Place((piece * PIECE + at) as u32)
    }

    pub fn get(&self, place: Place) -> Option<&T> {
        let (piece, at) = place.split();
        self.pieces.get(piece)?.get(at)?.as_ref()
    }

    pub fn get_mut(&mut self, place: Place) -> Option<&mut T> {
        let (piece, at) = place.split();
        self.pieces.get_mut(piece)?.get_mut(at)?.as_mut()
    }

    pub fn remove(&mut self, place: Place) -> Option<T> {
        let (piece, at) = place.split();
        let value = self.pieces.get_mut(piece)?.get_mut(at)?.take()?;
        self.len -= 1;
        if self.len == 0 {
            *self = Slab::default();
        } else {
            self.free.push(place);
        }
        Some(value)
    }

    /// In the order of places: about that in which they came.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Place, &mut T)> {
        let places = (0..).map(Place);
        places.zip(self.pieces.iter_mut().flatten()).filter_map(|(place, it)| Some((place, it.as_mut()?)))
    }

    pub fn iter(&self) -> impl Iterator<Item = (Place, &T)> {
        let places = (0..).map(Place);
        places.zip(self.pieces.iter().flatten()).filter_map(|(place, it)| Some((place, it.as_ref()?)))
    }
}

impl Place {
    fn split(self) -> (usize, usize) {
        (self.0 as usize / PIECE, self.0 as usize % PIECE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again_and_an_empty_slab_holds_nothing() {
        let mut slab = Slab::default();
        let places: Vec<Place> = (0..3 * PIECE).map(|it| slab.insert(it)).collect();
        for (value, &place) in places.iter().enumerate() {
            assert_eq!(slab.get(place), Some(&value));
        }
        assert_eq!(slab.remove(places[7]), Some(7));
        assert_eq!(slab.get(places[7]), None);
        assert_eq!(slab.remove(places[7]), None);
        assert_eq!(slab.iter().count(), 3 * PIECE - 1);
        assert_eq!(slab.insert(99), places[7]);
        for &place in &places {
            assert!(slab.remove(place).is_some());
        }
        assert_eq!((slab.pieces.capacity(), slab.free.capacity()), (0, 0));
        assert!(slab.iter_mut().next().is_none());
    }
}
