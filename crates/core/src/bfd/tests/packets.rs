//! Whose packets are taken, and why others are not.

use super::*;
use crate::bfd::BfdDrop;

fn drops(end: &End) -> Vec<(BfdDrop, u64)> {
    end.bfd.drops().iter().map(|(reason, count)| (*reason, *count)).collect()
}

#[test]
fn what_is_dropped_changes_nothing_and_is_counted_for_its_reason() {
    let down = |mine| Repr { state: State::Down, ..up(99, mine) };
    type Change = fn(&mut Received<'_>);
    let ways: [(Change, BfdDrop); 6] = [
        (|it| it.hops = Some(254), BfdDrop::Hops),
        (|it| it.hops = None, BfdDrop::Hops),
        (|it| it.index = 8, BfdDrop::UnknownSession),
        (|it| it.from = address(3), BfdDrop::UnknownSession),
        (|it| it.to = address(9), BfdDrop::UnknownSession),
        (|it| it.multihop = true, BfdDrop::UnknownSession),
    ];
    let check = |end: &mut End, received: Received<'_>, reason| {
        let before = end.bfd.status(at(5));
        assert_eq!(end.step(at(5), Event::Received(received)), []);
        assert_eq!(end.bfd.status(at(5)), before);
        assert_eq!(drops(end), [(reason, 1)], "{received:?}");
    };
    for (change, reason) in ways {
        let mut end = End::up(at(0), terms(100, 3));
        let bytes = bytes(&down(end.mine));
        let mut received = arriving(&bytes);
        change(&mut received);
        check(&mut end, received, reason);
    }
    let mut end = End::up(at(0), terms(100, 3));
    let good = bytes(&down(end.mine));
    let with = |at: usize, byte: u8| {
        let mut bytes = good;
        bytes[at] = byte;
        bytes
    };
    let none = |at: usize| {
        let mut bytes = good;
        bytes[at..at + 4].fill(0);
        bytes
    };
    let mut unnamed = none(8);
    unnamed[1] = 0xc0;
    let mut foreign = none(8);
    foreign[8] = 1;
    for (bytes, reason) in [
        (with(0, 0x40), BfdDrop::Version),
        (with(3, 23), BfdDrop::Length),
        (with(3, 200), BfdDrop::Truncated),
        (with(2, 0), BfdDrop::NoMultiplier),
        (with(1, 0x41), BfdDrop::Multipoint),
        (none(4), BfdDrop::NoDiscriminator),
        (foreign, BfdDrop::UnknownSession),
        (unnamed, BfdDrop::Unnamed),
    ] {
        let mut end = End::up(at(0), terms(100, 3));
        check(&mut end, arriving(&bytes), reason);
    }
    check(&mut end, arriving(&good[..20]), BfdDrop::Truncated);
    // With an authentication section, of the session itself.
    let mut end = End::up(at(0), terms(100, 3));
    let mut long = [0; 28];
    long[..LEN].copy_from_slice(&bytes(&down(end.mine)));
    (long[1], long[3]) = (0x44, 28);
    check(&mut end, arriving(&long), BfdDrop::Authenticated);
}

#[test]
fn strangers_have_no_session() {
    let mut end = End::new(terms(100, 3));
    let first = bytes(&Repr { state: State::Down, ..up(5, 0) });
    let ways: [fn(&mut Received<'_>); 3] =
        [|it| it.from = address(3), |it| it.index = 1, |it| it.to = address(7)];
    for change in ways {
        let mut received = arriving(&first);
        change(&mut received);
        assert_eq!(end.step(at(1), Event::Received(received)), []);
    }
    assert_eq!(drops(&end), [(BfdDrop::Stranger, 3)]);
    assert_eq!(end.state(), State::Down);
}

#[test]
fn a_neighbour_that_is_not_watched_now_is_no_stranger() {
    let mut end = End::up(at(0), terms(100, 3));
    let inactive = SessionConfig { active: false, ..config(terms(100, 3), path()) };
    assert_eq!(end.step(at(1), Event::Configure(vec![inactive])), []);
    for _ in 0..2 {
        assert_eq!(end.hear(at(2), &Repr { state: State::Down, ..up(5, 0) }), []);
    }
    assert_eq!(drops(&end), [(BfdDrop::Inactive, 2)]);
    assert!(end.run(at(9000)).is_empty());
}

/// RFC 5883: another port, any interface, any hop limit.
#[test]
fn over_several_hops_the_hop_limit_says_nothing() {
    let mut bfd = Bfd::new(1);
    let far = Path { multihop: true, ..path() };
    let terms = BfdTerms { multihop: true, ..terms(100, 3) };
    let mut actions = Vec::new();
    bfd.step(at(0), Event::Configure(vec![config(terms, far)]), &mut actions);
    let first = bytes(&Repr { state: State::Down, ..up(5, 0) });
    let received = Received { multihop: true, hops: Some(61), index: 3, ..arriving(&first) };
    bfd.step(at(1), Event::Received(received), &mut actions);
    assert_eq!(bfd.status(at(1))[0].state, State::Init);
    // On the other port it is nobody's.
    bfd.step(at(1), Event::Received(arriving(&first)), &mut actions);
    assert_eq!(bfd.drops().get(&BfdDrop::Stranger), Some(&1));
}

/// A far end that has lost its memory says so with its first word, and is another session.
#[test]
fn a_far_end_that_begins_anew_is_known_at_once() {
    let mut end = End::up(at(0), terms(100, 3));
    let actions = end.hear(at(10), &Repr { state: State::Down, ..up(7, 0) });
    assert!(matches!(told(&actions)[..], [Action::Down { .. }]));
    let said = sent(&actions);
    assert_eq!((said[0].state, said[0].your_discriminator), (State::Down, 7));
}

#[test]
fn discriminators_are_not_used_again_soon() {
    let mut bfd = Bfd::new(77);
    let mut seen = alloc::collections::BTreeSet::new();
    for round in 0..2000u64 {
        let mut actions = Vec::new();
        bfd.step(at(round * 2), Event::Configure(vec![config(terms(100, 3), path())]), &mut actions);
        let own = bfd.status(at(0))[0].discriminator;
        assert!(own != 0 && seen.insert(own));
        bfd.step(at(round * 2 + 1), Event::Configure(Vec::new()), &mut actions);
    }
}
