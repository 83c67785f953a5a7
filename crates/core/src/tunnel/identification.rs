//! The numbers of datagrams, by which the far end puts the right pieces together.
//!
//! IPv6 has 32 bits for all datagrams between two addresses, whatever the protocol (RFC 8200 4.5): at a
//! million a second they come again after an hour.
//!
//! IPv4 has 16 bits for each protocol between two addresses, and at full rate they come again in less than a
//! second, where RFC 791 has a piece wait for fifteen and others for thirty. So wrong pieces may meet (RFC
//! 4963). What is done about it:
//!
//! - Each pair of addresses and each protocol counts for itself, so that no tunnel uses up another's numbers.
//! - What leaves whole has numbers of its own. It needs some, because it goes without DF and a router may cut
//!   it (RFC 6864 4.1), but it does not use up those of what we cut: 49,151 datagrams that are cut have
//!   different numbers, however many whole ones pass between them.
//! - What the kernel makes for us, which cannot ask here, has others again: those from
//!   [`FIRST_OF_OTHERS`] on.
//! - Our own reassembly lets go of a datagram after 200 ms, and when 4,096 others of its source have begun
//!   ([`super::Limits`]): before its number can come again, below 245,000 cut datagrams a second by the time
//!   alone, above by the count, unless 45,000 in a row are lost.
//! - Linux lets go after 64 fragments of the source (`ipfrag_max_dist`). Of a far end by others that waits for
//!   longer we can only say what RFC 6864 4.3 says: numbers may be used again sooner where what is inside has
//!   checks of its own. TCP and UDP inside have 16 bits of sum, WireGuard an authentication of 128.

use super::outer::Outer;
use alloc::boxed::Box;
use core::net::IpAddr;

/// Counters. Pairs whose hashes agree share one: their numbers come again sooner, and never wrongly.
const SLOTS: usize = 512;

/// IPv4: what is cut has the numbers below, without zero; what leaves whole has those from here on. A kernel
/// that is handed an IPv4 header fills in a zero by itself, for each fragment another.
const FIRST_OF_WHOLE: u16 = 0xc000;
/// IPv4: none of ours from here on. Whoever else sends between the same ends, the datapath's programs in the
/// kernel, counts here.
pub const FIRST_OF_OTHERS: u16 = 0xe000;

/// How many datagrams that are cut have different numbers.
const CUT_NUMBERS: u16 = FIRST_OF_WHOLE - 1;
/// How many that leave whole.
const WHOLE_NUMBERS: u16 = FIRST_OF_OTHERS - FIRST_OF_WHOLE;

#[derive(Debug, Clone, Copy)]
struct Counters {
    v6: u32,
    /// Below [`CUT_NUMBERS`].
    cut: u16,
    /// Below [`WHOLE_NUMBERS`].
    whole: u16,
}

/// Numbers for the datagrams that leave by one line.
#[derive(Debug, Clone)]
pub struct Identifications {
    secret: u64,
    counters: Box<[Counters; SLOTS]>,
}

impl Identifications {
    /// `secret` should be random: whoever sees some of our numbers shall not know those of others, with which
    /// pieces could be forged (RFC 7739 5.1).
    pub fn new(secret: u64) -> Identifications {
        let mut state = secret;
        let counters = core::array::from_fn(|_| {
            state = mix(state);
            // Each takes bits of its own.
            let cut = (state >> 32) as u16 % CUT_NUMBERS;
            Counters { v6: state as u32, cut, whole: (state >> 48) as u16 % WHOLE_NUMBERS }
        });
        Identifications { secret, counters: Box::new(counters) }
    }

    /// The number of the next datagram with a payload of `len` bytes. Zero where it needs none: whole in IPv6.
    pub fn take(&mut self, outer: &Outer, len: usize) -> u32 {
        let cut = !outer.fits(len);
        let v6 = outer.source().is_ipv6();
        if v6 && !cut {
            return 0;
        }
        let mut hash = self.secret;
        for address in [outer.source(), outer.destination()] {
            match address {
                IpAddr::V4(address) => hash = mix(hash ^ u64::from(u32::from(address))),
                IpAddr::V6(address) => {
                    let bits = u128::from(address);
                    hash = mix(mix(hash ^ (bits >> 64) as u64) ^ bits as u64);
                }
            }
        }
        if !v6 {
            hash = mix(hash ^ u64::from(outer.protocol()));
        }
        // Below `SLOTS`, which fits any word.
        let counters = &mut self.counters[(hash % SLOTS as u64) as usize];
        match (v6, cut) {
            (true, _) => {
                counters.v6 = counters.v6.wrapping_add(1);
                counters.v6
            }
            (false, true) => {
                counters.cut = (counters.cut + 1) % CUT_NUMBERS;
                (1 + counters.cut).into()
            }
            (false, false) => {
                counters.whole = (counters.whole + 1) % WHOLE_NUMBERS;
                (FIRST_OF_WHOLE + counters.whole).into()
            }
        }
    }
}

/// A step of SplitMix64: every bit of the result depends on every bit of `state`.
fn mix(state: u64) -> u64 {
    let a = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let b = (a ^ (a >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let c = (b ^ (b >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    c ^ (c >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Duration, Instant};
    use crate::tunnel::part::{Part, Place};
    use crate::tunnel::{Limits, Reassembly};
    use alloc::collections::BTreeMap;
    use alloc::vec;
    use alloc::vec::Vec;

    fn outer(remote: u8, protocol: u8) -> Outer {
        let remote = IpAddr::from([198, 51, 100, remote]);
        Outer::new("192.0.2.1".parse().unwrap(), remote, protocol, 1500).unwrap()
    }

    fn outer_v6(remote: u16, protocol: u8) -> Outer {
        let remote = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, remote]);
        Outer::new("2001:db8:1::1".parse().unwrap(), remote, protocol, 1500).unwrap()
    }

    /// Whatever else is sent between them, to whomever: the last one of what is cut comes again after 49,151.
    #[test]
    fn nothing_else_uses_up_the_numbers_of_what_is_cut() {
        let mut numbers = Identifications::new(5);
        let mut last_seen = BTreeMap::new();
        for at in 0..120_000u32 {
            for _ in 0..at % 3 {
                let whole = numbers.take(&outer(1, 97), 1480);
                assert!((0xc000..0xe000).contains(&whole));
                numbers.take(&outer(2, 97), 2418);
                numbers.take(&outer(1, 47), 2404);
            }
            let number = numbers.take(&outer(1, 97), 2418);
            assert!((1..0xc000).contains(&number));
            let distance = last_seen.insert(number, at).map_or(u32::from(CUT_NUMBERS), |last| at - last);
            assert_eq!(distance, u32::from(CUT_NUMBERS));
        }
    }

    #[test]
    fn ipv6_counts_between_addresses_and_only_what_is_cut() {
        let mut numbers = Identifications::new(7);
        let first = numbers.take(&outer_v6(2, 97), 2418);
        assert_eq!(numbers.take(&outer_v6(2, 97), 1460), 0);
        assert_eq!(numbers.take(&outer_v6(2, 47), 2404), first.wrapping_add(1));
        assert_ne!(numbers.take(&outer_v6(3, 97), 2418), first.wrapping_add(2), "another's are elsewhere");
        assert_ne!(Identifications::new(8).take(&outer_v6(2, 97), 2418), first, "and so are another life's");
    }

    /// How many datagrams come out whole, and how many of them are half of one and half of another: twice
    /// round all numbers, at half a million a second, one piece in fifty lost, one in fifty late.
    fn whole_and_mixed(limits: Limits) -> (usize, usize) {
        let mut numbers = Identifications::new(11);
        let mut reassembly = Reassembly::new(limits);
        let outer = Outer::new([192, 0, 2, 1].into(), [192, 0, 2, 2].into(), 97, 68).unwrap();
        let mut random = 1;
        let mut late = Vec::new();
        let mut seen = (0, 0);
        for datagram in 0..110_000u32 {
            let now = Instant(0) + Duration::from_micros(u64::from(datagram) * 2);
            let identification = numbers.take(&outer, 80);
            let piece = |offset| Part {
                source: outer.source(),
                destination: outer.destination(),
                protocol: outer.protocol(),
                traffic_class: 0,
                payload: 0..40,
                place: Some(Place { identification, offset, more: offset == 0, most: 65_515 }),
            };
            let mut pieces = vec![(piece(0), datagram), (piece(40), datagram)];
            random = mix(random);
            let one = usize::from(random >> 40 & 1 == 1);
            match random % 50 {
                0 => drop(pieces.remove(one)),
                1 => late.push(pieces.remove(one)),
                _ => {}
            }
            if random >> 50 & 7 == 0 {
                pieces.append(&mut late);
            }
            for (part, of) in &pieces {
                let bytes = [of.to_be_bytes(); 10].concat();
                let Ok(Some(done)) = reassembly.add(now, part, &bytes) else { continue };
                seen.0 += 1;
                seen.1 += usize::from(done.payload[..4] != done.payload[40..44]);
            }
        }
        seen
    }

    /// And each of the two guards is needed: with what others have they meet.
    #[test]
    fn pieces_of_two_datagrams_never_meet() {
        let (whole, mixed) = whole_and_mixed(Limits::default());
        assert!(whole > 105_000 && mixed == 0, "{whole} {mixed}");
        let patient = Limits { timeout_v4: Duration::from_secs(30), ..Limits::default() };
        assert_eq!(
            whole_and_mixed(Limits { datagrams_of_source: 256, ..patient }).1,
            0,
            "the count is enough"
        );
        let unguarded = Limits { behind_v4: u64::MAX, datagrams_of_source: 8192, datagrams: 8192, ..patient };
        assert!(whole_and_mixed(Limits { bytes: 1 << 24, bytes_of_source: 1 << 24, ..unguarded }).1 > 0);
    }
}
