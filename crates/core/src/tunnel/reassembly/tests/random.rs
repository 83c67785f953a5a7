//! Reassembly under whatever anybody can send: against a slow model, and against the original.

use super::*;
use proptest::collection::vec as vec_of;
use proptest::prelude::*;

/// A datagram that is put together as the RFCs say it in words: every piece is kept and compared with every
/// other one. It has no limits.
#[derive(Default)]
struct Model {
    seen: Vec<(usize, bool, Vec<u8>)>,
    dead: bool,
}

impl Model {
    fn add(&mut self, offset: usize, more: bool, payload: &[u8]) -> Result<Option<Vec<u8>>, DropReason> {
        if payload.is_empty() || (more && !payload.len().is_multiple_of(8)) {
            return Err(DropReason::BadFragment);
        }
        if self.dead {
            return Err(DropReason::OverlappingFragment);
        }
        let piece = (offset, more, payload.to_vec());
        if self.seen.contains(&piece) {
            return Err(DropReason::DuplicateFragment);
        }
        let end = offset + payload.len();
        self.dead = self.seen.iter().any(|(at, has_more, bytes)| {
            let other = at + bytes.len();
            let overlaps = *at < end && offset < other;
            let beyond = !has_more && end > other || !more && other > end;
            let two_ends = !has_more && !more;
            overlaps || beyond || two_ends
        });
        if self.dead {
            return Err(DropReason::OverlappingFragment);
        }
        self.seen.push(piece);
        let len = self.seen.iter().find(|(_, more, _)| !more).map(|(at, _, bytes)| at + bytes.len());
        if len != Some(self.seen.iter().map(|(.., bytes)| bytes.len()).sum()) {
            return Ok(None);
        }
        let mut seen = core::mem::take(&mut self.seen);
        seen.sort();
        Ok(Some(seen.into_iter().flat_map(|(.., bytes)| bytes).collect()))
    }
}

/// The original, cut in several ways, each piece of some of them.
fn ways_to_cut() -> impl Strategy<Value = (bool, Vec<usize>)> {
    (any::<bool>(), vec_of(1usize..6, 1..8))
}

fn check_limits(reassembly: &Reassembly, limits: &Limits) {
    let held: usize = reassembly.pending.values().map(Pending::cost).sum();
    let shares: usize = reassembly.shares.values().map(|share| share.cost).sum();
    let real: usize = reassembly
        .pending
        .values()
        .flat_map(|pending| pending.pieces.values())
        .map(|piece| piece.capacity() + PIECE_COST)
        .sum();
    assert_eq!((held, shares, real), (reassembly.bytes(), held, held));
    assert!(held <= limits.bytes && reassembly.pending.len() <= limits.datagrams);
    assert_eq!(reassembly.order.len(), reassembly.pending.len());
    for share in reassembly.shares.values() {
        assert!(share.cost <= limits.bytes_of_source);
        assert!((1..=limits.datagrams_of_source).contains(&share.serials.len()));
    }
}

proptest! {
    /// Step by step the same answer as the model's.
    #[test]
    fn as_the_model_has_it(
        six: bool,
        pieces in vec_of((0u16..2, 0usize..5, 0usize..26, any::<bool>(), 0u8..2), 1..40)
    ) {
        let mut models = [Model::default(), Model::default()];
        let mut reassembly = Reassembly::new(Limits::default());
        for (identification, offset, len, more, byte) in pieces {
            let (offset, payload) = (offset * 8, vec![byte; len]);
            let model = models[usize::from(identification)].add(offset, more, &payload);
            let whole = offset == 0 && !more;
            let packet = Forged { six, identification, offset, more, payload, ..Forged::default() }.build();
            let result = reassembly.receive(NOW, &packet);
            if whole {
                // No piece at all: nothing of the others is touched.
                prop_assert!(result.is_ok_and(|done| done.is_some()));
                models[usize::from(identification)] = Model::default();
                let key = Part::parse(&Forged { six, identification, ..Forged::default() }.build()).unwrap().key();
                reassembly.forget(&key.unwrap());
                continue;
            }
            prop_assert_eq!(result.map(|done| done.map(|done| done.payload.into_owned())), model);
        }
    }

    /// Cut in one way or in many, in any order, some twice, some with the bytes of another: the original or
    /// nothing.
    #[test]
    fn the_original_or_nothing(
        len in 33usize..200,
        (six, sizes) in ways_to_cut(),
        order in vec_of(any::<prop::sample::Index>(), 1..60)
    ) {
        let original = payload(len);
        let mut pieces = Vec::new();
        for size in sizes {
            for (at, bytes) in original.chunks(size * 8).enumerate() {
                let (offset, more) = (at * size * 8, at * size * 8 + bytes.len() < len);
                let forged = Forged { six, offset, more, payload: bytes.to_vec(), ..Forged::default() };
                pieces.push(forged.build());
            }
        }
        let mut reassembly = Reassembly::new(Limits::default());
        for index in order {
            if let Ok(Some(whole)) = reassembly.receive(NOW, &pieces[index.index(pieces.len())]) {
                prop_assert_eq!(&whole.payload[..], &original[..]);
            }
        }
    }

    /// Cut in one way, in any order, each once or twice: the original, once.
    #[test]
    fn what_is_cut_comes_together(len in 1300usize..9000, six: bool, order: u64, twice: u16) {
        let payload = payload(len);
        let mut packets = cut(six, 9, &payload);
        let count = packets.len();
        for at in 0..count {
            packets.swap(at, (order.rotate_left(at as u32) as usize) % count);
        }
        let mut reassembly = Reassembly::new(Limits::default());
        let mut whole = None;
        for (at, packet) in packets.iter().enumerate() {
            prop_assert!(whole.is_none());
            whole = reassembly.receive(NOW, packet).unwrap();
            if whole.is_none() && twice >> (at % 16) & 1 == 1 {
                prop_assert_eq!(reassembly.receive(NOW, packet), Err(DropReason::DuplicateFragment));
            }
        }
        prop_assert_eq!(&whole.unwrap().payload[..], &payload[..]);
        prop_assert_eq!(reassembly.bytes(), 0);
    }

    /// The way for two that come one after the other has no rules of its own.
    #[test]
    fn joining_two_is_the_same_as_adding_them(
        six: bool, sizes in (0usize..40, 0usize..40), second_offset in 0usize..5, mores: (bool, bool),
        classes in (0u8..4, 0u8..4), identification in 7u16..9
    ) {
        let first = Forged {
            six, more: mores.0, class: classes.0, payload: payload(sizes.0), ..Forged::default()
        }.build();
        let second = Forged {
            six, more: mores.1, class: classes.1, payload: payload(sizes.1), offset: second_offset * 8,
            identification, ..Forged::default()
        }.build();
        let (a, b) = (Part::parse(&first).unwrap(), Part::parse(&second).unwrap());
        let joined = Reassembly::new(Limits::default()).join(NOW, &a, &b);
        let mut reassembly = Reassembly::new(Limits::default());
        let (one, other) = (reassembly.receive(NOW, &first), reassembly.receive(NOW, &second));
        let completes = !a.is_whole() && !b.is_whole() && one == Ok(None) && other != Ok(None)
            && !matches!(other, Err(DropReason::BadFragment | DropReason::OverlappingFragment | DropReason::DuplicateFragment));
        // Two the wrong way round are added.
        if completes && a.place.unwrap().offset == 0 && second_offset > 0 {
            prop_assert_eq!(joined, Some(other.map(|whole| whole.unwrap().traffic_class)));
        } else {
            prop_assert_eq!(joined, None);
        }
    }

    /// Whatever many send, what is held stays within the limits, in all and of each.
    #[test]
    fn floods_cost_bounded_memory(
        pieces in vec_of((0u8..6, 0u16..20, 0usize..30, 0usize..20, any::<bool>(), 0u64..50), 0..400)
    ) {
        let limits = Limits {
            datagrams: 20, datagrams_of_source: 8, bytes: 6000, bytes_of_source: 3000, behind_v4: 10,
            ..Limits::default()
        };
        let mut reassembly = Reassembly::new(limits);
        let mut now = NOW;
        for (source, identification, offset, len, more, later) in pieces {
            now = now + Duration::from_millis(later / 10 * 20);
            let forged = Forged {
                source, six: source % 2 == 0, identification, offset: offset * 8, more, payload: payload(len * 8),
                ..Forged::default()
            };
            let _ = reassembly.receive(now, &forged.build());
            check_limits(&reassembly, &limits);
        }
    }

    /// Whatever one source sends, another's half is there still.
    #[test]
    fn nobody_floods_away_anothers_half(
        flood in vec_of((0u16..500, 0usize..100, 1usize..40, any::<bool>()), 0..400)
    ) {
        let limits = Limits {
            datagrams: 40, datagrams_of_source: 35, bytes: 20_000, bytes_of_source: 18_000, ..Limits::default()
        };
        let mut reassembly = Reassembly::new(limits);
        let (first, last) = pair(false, 3);
        prop_assert_eq!(reassembly.receive(NOW, &first), Ok(None));
        for (identification, offset, len, more) in flood {
            let forged = Forged {
                source: 66, identification, offset: offset * 8, more, payload: payload(len * 8), ..Forged::default()
            };
            let _ = reassembly.receive(NOW, &forged.build());
        }
        prop_assert!(reassembly.receive(NOW, &last).unwrap().is_some());
    }

    /// Mutated fragments never panic, and what is held stays within the limits.
    #[test]
    fn mutated_pieces(
        six: bool,
        mutations in vec_of((0usize..64, any::<u8>(), 0u32..4, 0usize..2), 0..200)
    ) {
        let limits = Limits { datagrams: 3, bytes: 5000, ..Limits::default() };
        let mut reassembly = Reassembly::new(limits);
        for (at, value, identification, which) in mutations {
            let mut packet = cut(six, identification, &payload(2404)).swap_remove(which);
            packet[at] = value;
            let _ = reassembly.receive(NOW, &packet);
            check_limits(&reassembly, &limits);
        }
    }

    #[test]
    fn random_bytes_never_panic(packets in vec_of(vec_of(any::<u8>(), 0..100), 0..20)) {
        let mut reassembly = Reassembly::new(Limits::default());
        for packet in &packets {
            let _ = reassembly.receive(NOW, packet);
        }
    }
}
