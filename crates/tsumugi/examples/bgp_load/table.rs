//! A full table of our own making, the same in every run: prefixes scattered over the unicast space in small
//! runs, some within others, about 3.3 in an UPDATE and 11 to a set of attributes, as the Internet's come.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tsumugi_core::id::{Asn, Prefix};
use tsumugi_core::wire::bgp::{AsPath, Attributes, Community, MESSAGE_MAX, MpNextHop, announce};

/// The first octets of IPv4 that no prefix of the table begins with: parts of them are nobody's.
const AVOIDED: [u8; 9] = [0, 10, 100, 127, 169, 172, 192, 198, 203];
/// Prefixes of an UPDATE, in turn by chance.
const RUNS: [usize; 10] = [1, 1, 2, 2, 3, 4, 4, 5, 5, 6];
/// Prefixes to a set of attributes.
const PER_SET: usize = 11;

/// What a feeder tells in one UPDATE.
struct Run {
    first: usize,
    length: usize,
    set: u64,
}

pub struct Table {
    pub ipv4: Vec<Prefix>,
    pub ipv6: Vec<Prefix>,
}

/// A number that looks like chance and is not (splitmix64).
pub fn scatter(seed: u64) -> u64 {
    let mut it = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    it ^ (it >> 31)
}

impl Table {
    pub fn new(ipv4: usize, ipv6: usize) -> Table {
        // An odd factor: every block once.
        let blocks = (1u32..).map(|at| at.wrapping_mul(2_654_435_761) & 0x3f_ffff);
        let usable = |block: &u32| {
            let octet = (block >> 14) as u8;
            octet < 224 && !AVOIDED.contains(&octet)
        };
        let v4 = blocks.take(1 << 22).filter(usable).flat_map(|block| within_v4(block << 10));
        let v6 = (1u32..1 << 20)
            .flat_map(|at| within_v6(0x2a00_0000 | (at.wrapping_mul(2_654_435_761) & 0xf_ffff)));
        let table = Table { ipv4: v4.take(ipv4).collect(), ipv6: v6.take(ipv6).collect() };
        assert!(table.ipv4.len() == ipv4 && table.ipv6.len() == ipv6, "the generator has no more");
        table
    }

    /// The bytes that a feeder sends for one family, and how many UPDATEs they are.
    pub fn stream(&self, ipv6: bool, feeder: u8, next_hop: IpAddr) -> (Vec<u8>, u64) {
        let prefixes = if ipv6 { &self.ipv6 } else { &self.ipv4 };
        let sets = (prefixes.len() / PER_SET).max(1) as u64;
        let mut runs = Vec::new();
        let mut first = 0;
        while first < prefixes.len() {
            let chance = scatter(first as u64);
            let length = RUNS[chance as usize % RUNS.len()].min(prefixes.len() - first);
            runs.push(Run { first, length, set: (chance >> 8) % sets });
            first += length;
        }
        // Each feeder has an order of its own.
        runs.sort_by_key(|run| scatter(run.first as u64 ^ u64::from(feeder) << 40));
        let mut bytes = Vec::new();
        let mut messages = 0;
        for run in &runs {
            let mut shared = Vec::new();
            let (classic, mp) = match next_hop {
                IpAddr::V4(next_hop) => (Some(next_hop), None),
                IpAddr::V6(next_hop) => (None, Some(MpNextHop::V6(next_hop))),
            };
            attributes(run.set << 1 | u64::from(ipv6), feeder).emit(true, classic, &mut shared);
            let part = &prefixes[run.first..run.first + run.length];
            messages += u64::from(announce(MESSAGE_MAX, &shared, mp, part, &mut bytes).expect("it fits"));
        }
        (bytes, messages)
    }
}

/// Four prefixes of a /22.
fn within_v4(base: u32) -> [Prefix; 4] {
    let prefix = |offset: u32, length| {
        Prefix::new(Ipv4Addr::from(base + offset).into(), length).expect("short enough")
    };
    if scatter(base.into()).is_multiple_of(4) {
        [prefix(0, 22), prefix(0, 23), prefix(0, 24), prefix(512, 24)]
    } else {
        [prefix(0, 24), prefix(256, 24), prefix(512, 24), prefix(768, 24)]
    }
}

/// Four prefixes of a /32.
fn within_v6(base: u32) -> [Prefix; 4] {
    let prefix = |part: u128, length| {
        let address = Ipv6Addr::from(u128::from(base) << 96 | part << 80);
        Prefix::new(address.into(), length).expect("short enough")
    };
    [prefix(0, 32), prefix(1, 48), prefix(2, 48), prefix(0x100, 40)]
}

/// The AS number of a feeder.
pub fn asn(feeder: u8) -> Asn {
    Asn(20_000 + u32::from(feeder))
}

fn attributes(set: u64, feeder: u8) -> Attributes {
    let chance = scatter(set ^ u64::from(feeder) << 48);
    let hops = 1 + chance as usize % 5;
    let others = (0..hops as u64).map(|hop| Asn(1_000 + (scatter(chance ^ hop) % 18_000) as u32));
    // The origin is the same whoever tells it, and so is the set: no two sets carry the same.
    let origin = Asn(200_000 + set as u32);
    let communities = (0..(chance >> 16) % 6)
        .map(|at| Community(asn(feeder).0 << 16 | (scatter(chance ^ at << 8) & 0xfff) as u32));
    Attributes {
        as_path: AsPath::sequence([asn(feeder)].into_iter().chain(others).chain([origin])),
        communities: communities.collect(),
        ..Attributes::default()
    }
}
