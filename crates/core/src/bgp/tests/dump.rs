//! The table as others read it.

use super::net::{Net, ms, own_prefixes, prefix};
use crate::bgp::Speaker;
use crate::bgp::config::{Origination, Role};
use crate::id::{Asn, Prefix};
use crate::time::Instant;
use crate::wire::bgp::Stored;
use crate::wire::mrt::{Content, PeerIndexTable, Record};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

const PROVIDERS: [Asn; 2] = [Asn(64_496 + 86_000), Asn(64_497 + 86_000)];
const BEGAN: u32 = 1_700_000_000;
const NOW: Instant = Instant(60_000_000_000);

/// A router with two providers, each of which announces `count` prefixes.
fn network(count: u32) -> (Net, [usize; 2]) {
    let mut net = Net::routers(&[1]);
    for own in own_prefixes() {
        let own = Origination { prefix: own, while_reaching: Vec::new(), discard: true };
        net.router_mut(0).config.originate.push(own);
    }
    let providers = PROVIDERS.map(|asn| net.outside(0, asn, Role::Provider)[0]);
    net.start();
    net.run_until(ms(5000), Net::all_established);
    let told: Vec<_> =
        (0..count).map(|number| alloc::format!("11.{}.{}.0/24", number >> 8, number & 255)).collect();
    let told: Vec<&str> = told.iter().map(|text| &**text).collect();
    for (place, asn) in providers.into_iter().zip(PROVIDERS) {
        for told in told.chunks(200) {
            let bytes = net.stranger(place).announcement(told, &[asn.0, 3356], |_| {});
            net.say(place, bytes);
        }
    }
    net.run(ms(500));
    (net, providers)
}

/// A whole dump, in pieces.
fn dumped(net: &mut Net, mut between: impl FnMut(&mut Net)) -> (Vec<u8>, u32, u64) {
    let mut out = Vec::new();

    let mut dump = speaker(net).begin_dump(NOW, BEGAN, &mut out);
    while speaker(net).poll_dump(&mut dump, 4096, &mut out) {
        between(net);
    }
    (out, dump.prefixes, dump.routes)
}

fn speaker(net: &Net) -> &Speaker {
    net.router(0).speaker.as_ref().unwrap()
}

/// By prefix: whose route, its first AS.
type Routes = BTreeMap<Prefix, Vec<(u16, Option<Asn>)>>;

fn read(mut file: &[u8]) -> (PeerIndexTable, Routes) {
    let (mut table, mut ribs) = (None, BTreeMap::new());
    while let Some((record, length)) = Record::first(file).unwrap() {
        file = &file[length..];
        assert_eq!(record.timestamp, BEGAN);
        match record.parse().unwrap() {
            Content::PeerIndexTable(it) => table = Some(it),
            Content::Rib(rib) => {
                assert_eq!(rib.sequence as usize, ribs.len());
                let entry = |entry: &crate::wire::mrt::RibEntry<'_>| {
                    let decoded = Stored::parse(entry.attributes).unwrap();
                    assert!(decoded.errors.is_empty() && decoded.stored.next_hop.is_some());
                    (entry.peer, decoded.stored.attributes.as_path.asns().next())
                };
                assert!(ribs.insert(rib.prefix, rib.entries.iter().map(entry).collect()).is_none());
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(file.is_empty());
    (table.unwrap(), ribs)
}

#[test]
fn every_route_of_everybody_is_in_it() {
    let (mut net, providers) = network(600);
    let addresses = providers.map(|place| net.stranger(place).address);
    let (file, prefixes, routes) = dumped(&mut net, |_| {});
    let (table, ribs) = read(&file);
    assert_eq!(table.peers[0].address, Ipv4Addr::UNSPECIFIED);
    let place = |address| table.peers.iter().position(|peer| peer.address == address).unwrap() as u16;
    let [one, two] = addresses.map(place);
    let mut found = ribs[&prefix("11.1.7.0/24")].clone();
    found.sort();
    assert_eq!(found, [(one, Some(PROVIDERS[0])), (two, Some(PROVIDERS[1]))]);
    assert_eq!(ribs[&own_prefixes()[0]][0], (0, None));
    assert!(ribs.len() > 600, "{}", ribs.len());
    assert_eq!((prefixes as usize, routes as usize), (ribs.len(), ribs.values().map(Vec::len).sum()));
}

#[test]
fn what_changes_meanwhile_harms_nothing() {
    let (mut net, [one, _]) = network(1000);
    let mut round = 0;
    let (file, ..) = dumped(&mut net, |net| {
        round += 1;
        // What was written last, and what comes next, are withdrawn and come again.
        let change = [alloc::format!("11.0.{round}.0/24"), alloc::format!("11.3.{round}.0/24")];
        let change: Vec<&str> = change.iter().map(|text| &**text).collect();
        let bytes = net.stranger(one).announcement(&change, &[PROVIDERS[0].0, 174], |_| {});
        net.say(one, bytes);
        net.run(ms(10));
    });
    let (_, ribs) = read(&file);
    assert!(round >= 3 && ribs.len() >= 1000, "{round} {}", ribs.len());
}

#[test]
fn of_a_neighbour_that_is_gone_nothing_is_said() {
    let (mut net, [one, _]) = network(1000);
    let mut out = Vec::new();
    let mut dump = speaker(&net).begin_dump(NOW, BEGAN, &mut out);
    assert!(speaker(&net).poll_dump(&mut dump, 4096, &mut out));
    // Another one is in its place from here on.
    let address = net.stranger(one).address;
    let mut config = net.router(0).speaker.as_ref().unwrap().config().clone();
    let gone = speaker(&net).status(NOW).neighbours;
    let at = gone.iter().position(|it| it.remote == Some(address)).unwrap();
    config.neighbours[at].name = "another".into();
    net.router_mut(0).speaker.as_mut().unwrap().replace_config(NOW, config, &mut Vec::new());
    while speaker(&net).poll_dump(&mut dump, 4096, &mut out) {}
    let (table, ribs) = read(&out);
    let place = table.peers.iter().position(|peer| peer.address == address).unwrap() as u16;
    let last = ribs[&prefix("11.3.200.0/24")].clone();
    assert!(last.iter().all(|(peer, _)| *peer != place) && !last.is_empty(), "{last:?}");
}
