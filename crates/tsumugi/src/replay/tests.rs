use super::table::{Choice, LeftOut, NoTable, Set, Table};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use tsumugi_core::id::{Asn, Prefix};
use tsumugi_core::wire::bgp::{AsPath, Attributes, MpNextHop, Stored};
use tsumugi_core::wire::mrt::{Peer, PeerIndexTable, Rib, RibEntry, Skipped};

const OWN: Asn = Asn(64_500);

fn peer(number: u8) -> Peer {
    let address = Ipv4Addr::new(192, 0, 2, number);
    Peer { identifier: address, address: IpAddr::V4(address), asn: Asn(65_000 + u32::from(number)) }
}

/// Two peers, and for each prefix whose routes there are.
fn file(prefixes: &[(&str, &[u16])]) -> Vec<u8> {
    let mut out = Vec::new();
    let peers = vec![peer(1), peer(2)];
    PeerIndexTable { collector: Ipv4Addr::new(192, 0, 2, 9), view: String::new(), peers }.emit(1, &mut out);
    records(prefixes, false, &mut out);
    out
}

/// `path_ids`: each route has one (RFC 8050), and a path that holds it.
fn records(prefixes: &[(&str, &[u16])], path_ids: bool, out: &mut Vec<u8>) {
    for (sequence, (prefix, whose)) in (0..).zip(prefixes) {
        let attributes = |peer: u16, last: u32| {
            let as_path = AsPath::sequence([Asn(65_001 + u32::from(peer)), Asn(last)]);
            let attributes = Attributes { as_path, ..Attributes::default() };
            let next_hop = Some(MpNextHop::V4(Ipv4Addr::new(192, 0, 2, 1)));
            let mut bytes = Vec::new();
            Stored { attributes, local_preference: Some(100), next_hop }.emit(&mut bytes);
            bytes
        };
        let id = |at: u32| path_ids.then_some(at);
        let bytes: Vec<_> = (1..)
            .zip(*whose)
            .map(|(at, &peer)| (peer, id(at), attributes(peer, id(at).unwrap_or(3356))))
            .collect();
        let entries = bytes
            .iter()
            .map(|(peer, path_id, attributes)| RibEntry {
                peer: *peer,
                originated: 1,
                path_id: *path_id,
                attributes,
            })
            .collect();
        Rib { sequence, prefix: prefix.parse().unwrap(), entries }.emit(1, out);
    }
}

/// RFC 8050: of several paths of a peer the first; and a prefix may have a second record.
#[test]
fn of_several_paths_the_first() {
    let mut file = file(&[("10.0.0.0/8", &[0])]);
    records(&[("10.0.0.0/8", &[1, 1]), ("10.1.0.0/16", &[1, 1, 0])], true, &mut file);
    let read = |choice| paths(&Table::read(&file[..], choice, OWN).unwrap());
    let of =
        |path: [u32; 2], prefix: &str| (prefix.parse::<Prefix>().unwrap(), vec![OWN.0, path[0], path[1]]);
    assert_eq!(read(Choice::First), [of([65_001, 3356], "10.0.0.0/8"), of([65_002, 1], "10.1.0.0/16")]);
    let second = read(Choice::Asn(Asn(65_002)));
    assert_eq!(second, [of([65_002, 1], "10.0.0.0/8"), of([65_002, 1], "10.1.0.0/16")]);
}

const PREFIXES: [(&str, &[u16]); 4] =
    [("10.0.0.0/8", &[0, 1]), ("10.1.0.0/16", &[1]), ("10.2.0.0/16", &[0]), ("2001:db8::/32", &[0, 1])];

fn paths(table: &Table) -> Vec<(Prefix, Vec<u32>)> {
    let path = |set: &Set| set.attributes.as_path.asns().map(|asn| asn.0).collect::<Vec<_>>();
    let routes = |set: &Set| {
        let path = path(set);
        set.ipv4.iter().chain(&set.ipv6).map(|prefix| (*prefix, path.clone())).collect::<Vec<_>>()
    };
    let mut all: Vec<_> = table.sets.iter().flat_map(routes).collect();
    all.sort();
    all
}

#[test]
fn of_each_prefix_the_first_route_or_one_peers() {
    let file = file(&PREFIXES);
    let read = |choice| Table::read(&file[..], choice, OWN).unwrap();
    let first = read(Choice::First);
    assert_eq!((first.routes, first.sets.len(), first.left_out.len()), (4, 2, 0));
    let of = |first: u32, prefix: &str| (prefix.parse::<Prefix>().unwrap(), vec![OWN.0, first, 3356]);
    let expected =
        [(65_001, "10.0.0.0/8"), (65_002, "10.1.0.0/16"), (65_001, "10.2.0.0/16"), (65_001, "2001:db8::/32")];
    assert_eq!(paths(&first), expected.map(|(asn, prefix)| of(asn, prefix)));
    let second = read(Choice::Asn(Asn(65_002)));
    assert_eq!(second.routes, 3);
    assert_eq!(paths(&second), paths(&read(Choice::Address("192.0.2.2".parse().unwrap()))));
    // Who stands at the front already does not stand there twice.
    let own = Table::read(&file[..], Choice::First, Asn(65_001)).unwrap();
    assert!(paths(&own).iter().any(|(_, path)| *path == [65_001, 3356]));
    match Table::read(&file[..], Choice::Asn(Asn(1)), OWN) {
        Err(NoTable::NoSuchPeer(peers)) => assert_eq!(peers, [peer(1), peer(2)]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn gzip_is_unpacked_and_others_are_named() {
    let plain = file(&PREFIXES);
    let mut packed = Vec::new();
    // Two members, as two files behind each other are.
    for half in [&plain[..100], &plain[100..]] {
        let mut encoder = GzEncoder::new(&mut packed, Compression::default());
        encoder.write_all(half).unwrap();
        encoder.finish().unwrap();
    }
    let table = Table::read(&packed[..], Choice::First, OWN).unwrap();
    assert_eq!(paths(&table), paths(&Table::read(&plain[..], Choice::First, OWN).unwrap()));
    let cut = Table::read(&packed[..packed.len() - 20], Choice::First, OWN);
    assert!(matches!(cut, Err(NoTable::Cut { .. })), "{cut:?}");
    let bzip2 = Table::read(&b"BZh91AY&SY"[..], Choice::First, OWN);
    assert!(matches!(bzip2, Err(NoTable::Packed { unpack: "bzcat", .. })), "{bzip2:?}");
}

#[test]
fn a_broken_file_is_refused_whole_with_its_place() {
    let whole = file(&PREFIXES);
    let mut last = 0;
    for length in 1..whole.len() {
        match Table::read(&whole[..length], Choice::First, OWN) {
            Err(NoTable::Cut { at }) => {
                assert!((last..length as u64).contains(&at));
                last = at;
            }
            // Between two records a file may end.
            Ok(_) | Err(NoTable::Empty(_)) => {}
            other => panic!("{length}: {other:?}"),
        }
    }
    assert!(matches!(Table::read(&[][..], Choice::First, OWN), Err(NoTable::Empty(_))));
    let mut broken = whole.clone();
    let at = whole.len() as u64;
    broken.extend([0, 0, 0, 1, 0, 13, 0, 2, 0x7f, 0, 0, 0]);
    let broken = Table::read(&broken[..], Choice::First, OWN);
    assert!(matches!(broken, Err(NoTable::Broken { at: found, .. }) if found == at), "{broken:?}");
}

#[test]
fn what_is_left_out_is_counted_by_its_reason() {
    let mut bytes = file(&[("10.0.0.0/8", &[0, 7]), ("10.1.0.0/16", &[7])]);
    // OSPF, the first kind of table dump, and a prefix of 33 bits.
    bytes.extend([0, 0, 0, 1, 0, 11, 0, 0, 0, 0, 0, 0]);
    bytes.extend([0, 0, 0, 1, 0, 12, 0, 1, 0, 0, 0, 0]);
    bytes.extend([0, 0, 0, 1, 0, 13, 0, 2, 0, 0, 0, 12, 0, 0, 0, 0, 33, 192, 0, 2, 0, 0, 0, 0]);
    let table = Table::read(&bytes[..], Choice::First, OWN).unwrap();
    let left_out: Vec<_> = table.left_out.into_iter().collect();
    assert_eq!(left_out.len(), 4, "{left_out:?}");
    assert!(left_out.contains(&(LeftOut::Kind(Skipped::FirstTableDump), 1)), "{left_out:?}");
    assert!(left_out.contains(&(LeftOut::NoPeer, 1)), "{left_out:?}");
    for (why, _) in left_out {
        let [english, japanese] =
            [tsumugi_plan::explain::Lang::En, tsumugi_plan::explain::Lang::Ja].map(|it| why.words(it));
        assert!(!english.is_empty() && english != japanese);
    }
}
