//! Paths by provider authorizations (draft-ietf-sidrops-aspa-verification 6).

use crate::id::Asn;
use crate::rpki::{AspaTable, PathValidity, Side};
use alloc::vec::Vec;
use proptest::prelude::*;

/// 1 and 2 are each other's peers at the top and have no provider (AS 0); 10 is 1's customer, 20 is 2's,
/// 100 is 10's and 20's, 30 is 20's and has signed nothing, 300 is 30's.
fn world() -> AspaTable {
    [(1, &[0][..]), (2, &[0]), (10, &[1]), (20, &[2]), (100, &[10, 20]), (300, &[30])]
        .into_iter()
        .map(|(customer, providers)| (Asn(customer), providers.iter().copied().map(Asn).collect()))
        .collect()
}

fn verify(path: &[u32], side: Side) -> &'static str {
    let path: Vec<Asn> = path.iter().copied().map(Asn).collect();
    match world().verify(&path, side) {
        PathValidity::Valid => "valid",
        PathValidity::Unknown => "unknown",
        PathValidity::Invalid { .. } => "invalid",
    }
}

#[test]
fn from_below_a_path_only_goes_up() {
    for (path, expected) in [
        (&[100][..], "valid"),
        (&[10, 100], "valid"),
        (&[1, 10, 100], "valid"),
        (&[1, 1, 1, 10, 10, 100, 100], "valid"),
        // A lateral peer that hands on what another peer said.
        (&[2, 1, 10, 100], "invalid"),
        // A customer that hands on what its provider said.
        (&[100, 20], "invalid"),
        (&[10, 100, 20, 2], "invalid"),
        // Who has signed nothing says nothing.
        (&[20, 30, 300], "unknown"),
        (&[30, 300], "valid"),
        // A forged neighbour of the origin.
        (&[666, 100], "invalid"),
        (&[666, 30], "unknown"),
        // One that is unknown does not hide one that is wrong.
        (&[666, 30, 10, 100], "invalid"),
    ] {
        assert_eq!(verify(path, Side::Below), expected, "{path:?}");
    }
}

#[test]
fn from_above_a_path_goes_up_and_down() {
    for (path, expected) in [
        (&[2][..], "valid"),
        (&[2, 1], "valid"),
        (&[20, 2, 1, 10], "valid"),
        (&[20, 2, 1, 10, 100], "valid"),
        (&[100, 10, 1], "valid"),
        (&[30, 20, 2, 1, 10], "unknown"),
        // 100 hands its provider 10's routes to its provider 20: up again after down.
        (&[20, 100, 10, 1], "invalid"),
        (&[2, 20, 100, 10, 1], "invalid"),
        // Two steps between the ramps.
        (&[20, 2, 666, 1, 10], "invalid"),
        (&[30, 666, 667, 1], "unknown"),
    ] {
        assert_eq!(verify(path, Side::Above), expected, "{path:?}");
    }
}

/// The step that says so is named.
#[test]
fn a_reason_can_be_given() {
    let path = [20, 100, 10, 1].map(Asn);
    let expected = PathValidity::Invalid { customer: Asn(1), not_provider: Asn(10) };
    assert_eq!(world().verify(&path, Side::Above), expected);
    let path = [10, 100, 20].map(Asn);
    let expected = PathValidity::Invalid { customer: Asn(20), not_provider: Asn(100) };
    assert_eq!(world().verify(&path, Side::Below), expected);
}

#[test]
fn customers_that_differ() {
    let (old, mut new) = (world(), world());
    assert!(old.differing(&new).is_empty());
    new.remove(Asn(10));
    new.insert(Asn(20), [Asn(2), Asn(1)]);
    new.insert(Asn(7), [Asn(8)]);
    assert_eq!(old.differing(&new), [7, 10, 20].map(Asn));
    assert_eq!(new.differing(&old), [7, 10, 20].map(Asn));
}

/// Every way to place the top of the path, by the definition: all steps before it go up and all after
/// it go down, as far as is known; at the top at most one step is between equals.
fn naive(table: &AspaTable, path: &[Asn], side: Side) -> &'static str {
    let mut hops: Vec<Asn> = path.iter().rev().copied().collect();
    hops.dedup();
    let says = |customer: Asn, provider: Asn| table.providers_of(customer).map(|it| it.contains(&provider));
    let count = hops.len();
    let (mut valid, mut possible) = (false, false);
    for top in 0..count {
        for other in [top, top + 1] {
            if other >= count || (side == Side::Below && (top + 1 < count || other != top)) {
                continue;
            }
            let up = (0..top).map(|at| says(hops[at], hops[at + 1]));
            let down = (other + 1..count).map(|at| says(hops[at], hops[at - 1]));
            let steps: Vec<Option<bool>> = up.chain(down).collect();
            valid |= steps.iter().all(|it| *it == Some(true));
            possible |= steps.iter().all(|it| *it != Some(false));
        }
    }
    match (valid, possible) {
        (true, _) => "valid",
        (false, true) => "unknown",
        (false, false) => "invalid",
    }
}

proptest! {
    #[test]
    fn as_the_definition_says(
        signed in prop::collection::vec((0u32..6, prop::collection::vec(0u32..6, 0..4)), 0..6),
        path in prop::collection::vec(0u32..6, 1..8),
        below in any::<bool>(),
    ) {
        let table: AspaTable =
            signed.into_iter().map(|(it, providers)| (Asn(it), providers.into_iter().map(Asn).collect())).collect();
        let path: Vec<Asn> = path.into_iter().map(Asn).collect();
        let side = if below { Side::Below } else { Side::Above };
        let found = match table.verify(&path, side) {
            PathValidity::Valid => "valid",
            PathValidity::Unknown => "unknown",
            PathValidity::Invalid { .. } => "invalid",
        };
        prop_assert_eq!(found, naive(&table, &path, side));
    }
}
