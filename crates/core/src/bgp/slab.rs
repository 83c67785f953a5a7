//! Values at numbered places that stay where they are: grown a piece at a time, so that a full table is
//! never copied, and given back a piece at a time, as pieces become empty.

use alloc::vec::Vec;

/// Values of one piece.
const PIECE: usize = 4096;

/// Where a value stands, for as long as it does; then another may stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place(u32);

#[derive(Debug)]
pub(super) struct Slab<T> {
    pieces: Vec<Piece<T>>,
    /// Pieces with places that were given up, the last one to be used first. Some may have none any more.
    open: Vec<u32>,
    /// Pieces of which nothing is left.
    gone: Vec<u32>,
    /// The piece that grows.
    growing: Option<usize>,
    len: usize,
}

#[derive(Debug)]
struct Piece<T> {
    values: Vec<Option<T>>,
    /// Places that were given up.
    free: Vec<u16>,
}

impl<T> Default for Piece<T> {
    fn default() -> Piece<T> {
        Piece { values: Vec::new(), free: Vec::new() }
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { pieces: Vec::new(), open: Vec::new(), gone: Vec::new(), growing: None, len: 0 }
    }
}

impl<T> Slab<T> {
    pub fn insert(&mut self, value: T) -> Place {
        self.len += 1;
        while let Some(&number) = self.open.last() {
            let piece = &mut self.pieces[number as usize];
            if let Some(at) = piece.free.pop() {
                piece.values[usize::from(at)] = Some(value);
                return Place::of(number as usize, at.into());
            }
            self.open.pop();
        }
        let number = self.growing.filter(|&number| self.pieces[number].values.len() < PIECE);
        let number = number.unwrap_or_else(|| self.new_piece());
        let values = &mut self.pieces[number].values;
        values.push(Some(value));
        Place::of(number, values.len() - 1)
    }

    fn new_piece(&mut self) -> usize {
        let number = self.gone.pop().map_or(self.pieces.len(), |gone| gone as usize);
        if number == self.pieces.len() {
            self.pieces.push(Piece::default());
        }
        self.pieces[number].values = Vec::with_capacity(PIECE);
        self.growing = Some(number);
        number
    }

    pub fn get(&self, place: Place) -> Option<&T> {
        let (piece, at) = place.split();
        self.pieces.get(piece)?.values.get(at)?.as_ref()
    }

    pub fn get_mut(&mut self, place: Place) -> Option<&mut T> {
        let (piece, at) = place.split();
        self.pieces.get_mut(piece)?.values.get_mut(at)?.as_mut()
    }

    pub fn remove(&mut self, place: Place) -> Option<T> {
        let (number, at) = place.split();
        let piece = self.pieces.get_mut(number)?;
        let value = piece.values.get_mut(at)?.take()?;
        self.len -= 1;
        if self.len == 0 {
            *self = Slab::default();
            return Some(value);
        }
        if piece.free.is_empty() {
            self.open.push(number as u32);
        }
        piece.free.push(at as u16);
        if piece.free.len() == piece.values.len() {
            *piece = Piece::default();
            self.gone.push(number as u32);
            self.growing = self.growing.filter(|&growing| growing != number);
        }
        Some(value)
    }

    /// Behind every place.
    pub fn end(&self) -> u32 {
        (self.pieces.len() * PIECE) as u32
    }

    /// The place with this number, if something stands there.
    pub fn place_at(&self, number: u32) -> Option<Place> {
        Some(Place(number)).filter(|&place| self.get(place).is_some())
    }

    /// In the order of places: about that in which they came.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Place, &mut T)> {
        self.pieces.iter_mut().enumerate().flat_map(|(number, piece)| {
            let values = piece.values.iter_mut().enumerate();
            values.filter_map(move |(at, it)| Some((Place::of(number, at), it.as_mut()?)))
        })
    }
}

impl Place {
    /// Four billion destinations do not fit into any memory.
    fn of(piece: usize, at: usize) -> Place {
        Place((piece * PIECE + at) as u32)
    }

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
        assert_eq!(slab.iter_mut().count(), 3 * PIECE - 1);
        assert_eq!(slab.insert(99), places[7]);
        for &place in &places {
            assert!(slab.remove(place).is_some());
        }
        assert_eq!((slab.pieces.capacity(), slab.open.capacity()), (0, 0));
        assert!(slab.iter_mut().next().is_none());
    }

    #[test]
    fn what_is_empty_is_given_back_though_others_stay() {
        let held = |slab: &Slab<usize>| slab.pieces.iter().filter(|it| it.values.capacity() > 0).count();
        let mut slab = Slab::default();
        let places: Vec<Place> = (0..5 * PIECE).map(|it| slab.insert(it)).collect();
        assert_eq!((held(&slab), slab.end()), (5, 5 * PIECE as u32));
        // One stays in the fourth piece.
        let stays = 3 * PIECE + 9;
        for (at, &place) in places.iter().enumerate().filter(|(at, _)| *at != stays) {
            assert_eq!(slab.remove(place), Some(at));
        }
        assert_eq!((held(&slab), slab.get(places[stays])), (1, Some(&stays)));
        // They come again, each to a place of its own, and no piece is made beyond those there were.
        let again: Vec<Place> = (0..5 * PIECE - 1).map(|it| slab.insert(it)).collect();
        assert_eq!((held(&slab), slab.pieces.len()), (5, 5));
        assert!(again.iter().enumerate().all(|(at, &place)| slab.get(place) == Some(&at)));
        let all: Vec<Place> = slab.iter_mut().map(|(place, _)| place).collect();
        assert_eq!(all.len(), 5 * PIECE);
        assert!(all.iter().all(|&place| slab.place_at(place.0) == Some(place)));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(16))]
        /// As a map of places holds them.
        #[test]
        fn a_place_has_one_value(steps in proptest::collection::vec((0..3_u8, 0..9000_usize), 1..16)) {
            let (mut slab, mut held) = (Slab::default(), alloc::collections::BTreeMap::new());
            for (at, (what, count)) in steps.into_iter().enumerate() {
                if what > 0 {
                    for value in 0..count {
                        let place: Place = slab.insert((at, value));
                        assert!(held.insert(place.0, (at, value)).is_none());
                    }
                } else {
                    let from = (at * 7919) as u32 % slab.end().max(1);
                    let taken: Vec<u32> = held.range(from..).map(|(&it, _)| it).take(count).collect();
                    for number in taken {
                        assert_eq!(slab.remove(Place(number)), held.remove(&number));
                    }
                }
            }
            assert!(slab.iter_mut().map(|(place, it)| (place.0, *it)).eq(held.iter().map(|(&a, &b)| (a, b))));
        }
    }
}
