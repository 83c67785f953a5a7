//! Origin validation (RFC 6811), and the table of RFC 6483 2.

use super::{table, vrp};
use crate::id::{Asn, Prefix};
use crate::rpki::Validity::{self, Invalid, NotFound, Valid};
use crate::rpki::{Vrp, VrpTable, VrpTableBuilder};
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};
use proptest::prelude::*;

fn judge(vrps: &[Vrp], prefix: &str, origin: u32) -> Validity {
    table(vrps).validate(&prefix.parse().unwrap(), Some(Asn(origin)))
}

/// RFC 6483 2: where a route's prefix stands to a ROA's, with its AS and with another.
#[test]
fn the_table_of_rfc_6483() {
    let roa = [vrp("10.1.0.0/16", 16, 64496)];
    for (prefix, same, other) in [
        // Non-intersecting.
        ("10.2.0.0/16", NotFound, NotFound),
        // Covering aggregate.
        ("10.0.0.0/8", NotFound, NotFound),
        // The ROA's own prefix.
        ("10.1.0.0/16", Valid, Invalid),
        // More specific.
        ("10.1.2.0/24", Invalid, Invalid),
    ] {
        assert_eq!((judge(&roa, prefix, 64496), judge(&roa, prefix, 64497)), (same, other), "{prefix}");
    }
}

#[test]
fn one_that_matches_is_enough() {
    let vrps =
        [vrp("192.0.2.0/24", 24, 64496), vrp("192.0.0.0/16", 24, 64497), vrp("192.0.2.0/24", 26, 64498)];
    assert_eq!(judge(&vrps, "192.0.2.0/24", 64496), Valid);
    assert_eq!(judge(&vrps, "192.0.2.0/24", 64497), Valid);
    assert_eq!(judge(&vrps, "192.0.2.0/26", 64498), Valid);
    assert_eq!(judge(&vrps, "192.0.2.0/26", 64497), Invalid);
    assert_eq!(judge(&vrps, "192.0.2.0/27", 64498), Invalid);
    assert_eq!(judge(&vrps, "192.0.3.0/24", 64496), Invalid);
    assert_eq!(judge(&vrps, "192.1.0.0/24", 64496), NotFound);
}

/// "No VRP can match" a route whose origin is a set (RFC 6811 2), nor does AS 0 match anybody.
#[test]
fn nobody_is_no_origin() {
    let vrps = table(&[vrp("2001:db8::/32", 48, 0)]);
    let prefix: Prefix = "2001:db8:1::/48".parse().unwrap();
    assert_eq!(vrps.validate(&prefix, Some(Asn(0))), Invalid);
    assert_eq!(vrps.validate(&prefix, None), Invalid);
    assert_eq!(vrps.validate(&"2001:db9::/32".parse().unwrap(), None), NotFound);
}

#[test]
fn the_ends_of_the_lengths() {
    let vrps = [vrp("0.0.0.0/0", 0, 1), vrp("198.51.100.7/32", 32, 2), vrp("::/0", 128, 3)];
    assert_eq!(judge(&vrps, "0.0.0.0/0", 1), Valid);
    assert_eq!(judge(&vrps, "198.51.100.7/32", 2), Valid);
    assert_eq!(judge(&vrps, "198.51.100.8/32", 2), Invalid);
    assert_eq!(judge(&vrps, "2001:db8::1/128", 3), Valid);
}

#[test]
fn the_payloads_that_say_so_can_be_named() {
    let vrps = [
        vrp("10.0.0.0/8", 8, 1),
        vrp("10.1.0.0/16", 24, 2),
        vrp("10.1.2.0/24", 24, 3),
        vrp("10.2.0.0/16", 16, 4),
    ];
    assert_eq!(table(&vrps).covering(&"10.1.2.0/24".parse().unwrap()), vrps[..3]);
}

#[test]
fn a_payload_twice_is_noticed_and_kept_once() {
    let mut builder = VrpTableBuilder::default();
    for vrp in [vrp("10.0.0.0/8", 8, 1), vrp("10.0.0.0/8", 8, 2), vrp("10.0.0.0/8", 8, 1)] {
        builder.push(&vrp);
    }
    let (table, twice) = builder.finish();
    assert_eq!(table.len_v4(), 2);
    assert_eq!(twice, Some(vrp("10.0.0.0/8", 8, 1)));
}

#[test]
fn what_differs_is_told_by_its_outermost_prefixes() {
    let old = table(&[vrp("10.0.0.0/8", 8, 1), vrp("10.1.0.0/16", 16, 1), vrp("192.0.2.0/24", 24, 1)]);
    let new = table(&[vrp("10.1.0.0/16", 17, 1), vrp("192.0.2.0/24", 24, 1), vrp("2001:db8::/32", 32, 1)]);
    let expected: Vec<Prefix> = ["10.0.0.0/8", "2001:db8::/32"].map(|it| it.parse().unwrap()).to_vec();
    assert_eq!(old.differing(&new), expected);
    assert_eq!(new.differing(&old), expected);
    assert!(old.differing(&old).is_empty());
}

/// Few addresses, so that prefixes meet.
fn prefixes() -> impl Strategy<Value = Prefix> {
    prop_oneof![
        (0u32..16, 0u8..=32).prop_map(|(high, length)| {
            Prefix::new(Ipv4Addr::from_bits(high << 28 | high << 12).into(), length).unwrap().trunc()
        }),
        (0u128..16, 0u8..=128).prop_map(|(high, length)| {
            Prefix::new(Ipv6Addr::from_bits(high << 124 | high << 60 | high).into(), length).unwrap().trunc()
        }),
    ]
}

fn payloads() -> impl Strategy<Value = Vec<Vrp>> {
    let one = (prefixes(), 0u8..8, 0u32..4).prop_map(|(prefix, more, asn)| Vrp {
        prefix,
        max_length: (prefix.prefix_len() + more).min(prefix.max_prefix_len()),
        asn: Asn(asn),
    });
    prop::collection::vec(one, 0..40)
}

/// RFC 6811 2, word for word over the whole list.
fn naive(vrps: &[Vrp], prefix: &Prefix, origin: Option<Asn>) -> Validity {
    let covered: Vec<&Vrp> = vrps.iter().filter(|vrp| vrp.prefix.contains(prefix)).collect();
    let matched = covered
        .iter()
        .any(|vrp| prefix.prefix_len() <= vrp.max_length && Some(vrp.asn) == origin && vrp.asn != Asn(0));
    match (covered.is_empty(), matched) {
        (true, _) => NotFound,
        (false, true) => Valid,
        (false, false) => Invalid,
    }
}

proptest! {
    #[test]
    fn as_the_rfc_says(vrps in payloads(), prefix in prefixes(), origin in prop::option::of((0u32..4).prop_map(Asn))) {
        let table = table(&vrps);
        prop_assert_eq!(table.validate(&prefix, origin), naive(&vrps, &prefix, origin));
        let mut expected: Vec<Vrp> = vrps.iter().copied().filter(|vrp| vrp.prefix.contains(&prefix)).collect();
        expected.sort_by_key(|vrp| (vrp.prefix.prefix_len(), *vrp));
        expected.dedup();
        prop_assert_eq!(table.covering(&prefix), expected);
    }

    /// Whatever is of another validity than before stands within a prefix that was told.
    #[test]
    fn nothing_changes_unsaid(old in payloads(), new in payloads(), prefix in prefixes(), origin in (0u32..4).prop_map(Asn)) {
        let (old, new): (VrpTable, VrpTable) = (table(&old), table(&new));
        if old.validate(&prefix, Some(origin)) != new.validate(&prefix, Some(origin)) {
            prop_assert!(old.differing(&new).iter().any(|outer| outer.contains(&prefix)));
        }
    }

    #[test]
    fn a_table_says_what_was_put_in(vrps in payloads()) {
        let mut expected = vrps.clone();
        expected.sort();
        expected.dedup();
        let table = table(&vrps);
        let mut said: Vec<Vrp> = table.iter().collect();
        said.sort();
        prop_assert_eq!(said, expected);
        prop_assert!(vrps.iter().all(|vrp| table.contains(vrp)));
    }
}
