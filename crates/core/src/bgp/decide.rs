//! Which path is best (RFC 4271 9.1.2.2): a set of candidates, narrowed one named step at a time.
//!
//! What the RFC says and we leave out: every session is between ASes, so there is no step for
//! internal routes and none for the cost of the way to the next hop.

use super::rib::Path;
use super::slots::Slot;
use super::status::LostAt;
use core::cmp::Reverse;
use core::net::Ipv4Addr;

/// What orders paths that are equally good: the neighbour's BGP identifier, then its slot.
pub(super) type Rank = (Ipv4Addr, Slot);

/// Orders `paths`, the best first, notes for each where it lost, and returns how many are used
/// together: zero only if there is none.
pub(super) fn decide(paths: &mut [Path], rank: impl Fn(Slot) -> Rank, max_paths: u8) -> u8 {
    for path in paths.iter_mut() {
        path.lost = None;
    }
    // a) of RFC 4271 9.1.1: the degree of preference.
    narrow(paths, LostAt::LocalPreference, |path| Reverse(path.route.local_preference));
    // 9.1.2.2 a): the number of ASes in the path, a set counting as one.
    narrow(paths, LostAt::PathLength, |path| path.route.attributes.as_path.length());
    // b): the lowest origin.
    narrow(paths, LostAt::Origin, |path| path.route.attributes.origin);
    narrow_by_med(paths);
    // f) and g): the lowest BGP identifier, then the neighbour itself; two neighbours may have the
    // same address on different links, so the slot stands for it. Of one neighbour, its lowest identifier.
    let lost = |path: &Path| Reverse(path.lost.map_or(u8::MAX, |lost| lost as u8));
    paths.sort_by_key(|path| (lost(path), rank(path.slot), path.route.path_id));
    let mut used = 0;
    for path in paths.iter_mut().filter(|path| path.lost.is_none()) {
        path.lost = match used {
            0 => None,
            _ if used < max_paths => Some(LostAt::UsedTogether),
            _ => Some(LostAt::MaxPaths),
        };
        used = used.saturating_add(1);
    }
    used.min(max_paths.max(1))
}

/// Leaves only those candidates that have the least `measure`.
fn narrow<M: Ord>(paths: &mut [Path], step: LostAt, measure: impl Fn(&Path) -> M) {
    let Some(least) = paths.iter().filter(|path| path.lost.is_none()).map(&measure).min() else { return };
    for path in paths.iter_mut().filter(|path| path.lost.is_none()) {
        if measure(path) > least {
            path.lost = Some(step);
        }
    }
}

/// 9.1.2.2 c): the multi-exit discriminator says something only between paths through the same
/// neighbouring AS; none counts as zero.
fn narrow_by_med(paths: &mut [Path]) {
    let of = |path: &Path| (path.route.attributes.as_path.first(), path.route.attributes.med.unwrap_or(0));
    for at in 0..paths.len() {
        let (neighbour, med) = of(&paths[at]);
        if neighbour.is_none() || paths[at].lost.is_some() {
            continue;
        }
        let lower = |other: &Path| other.lost.is_none() && of(other).0 == neighbour && of(other).1 < med;
        if paths.iter().any(lower) {
            paths[at].lost = Some(LostAt::Med);
        }
    }
}
