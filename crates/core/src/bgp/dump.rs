//! The table written down for others (RFC 6396 4.3): every route that was taken, a piece at a time, while the
//! speaker goes on.

use super::rib::{Path, Route};
use super::speaker::{Peer, Speaker};
use crate::id::Prefix;
use crate::time::Instant;
use crate::wire::bgp::{AfiSafi, MpNextHop, PathIds, Stored};
use crate::wire::mrt;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::Range;

/// Prefixes looked at for one piece.
const PREFIXES: usize = 256;

/// A dump under way. What changes behind the place where it is, is in it as it will be then.
#[derive(Debug)]
pub struct TableDump {
    /// When it began, in seconds since 1970 (UTC).
    began: u32,
    /// By slot: the neighbour's name, and when its session came to stand, if one stands.
    peers: Vec<Option<(String, u32)>>,
    after: Option<Prefix>,
    records: u32,
    /// Prefixes written.
    pub prefixes: u32,
    /// Routes written.
    pub routes: u64,
}

/// A neighbour as routes name it.
#[derive(Debug, Clone, Copy)]
struct PlaceOf {
    /// In the table of peers.
    place: u16,
    /// Its session, in seconds since 1970 (UTC).
    since: u32,
    path_ids: PathIds,
}

impl TableDump {
    /// The routes to a prefix, if there are any, the best first: one record of those without path identifiers and one of those that
    /// have them (RFC 8050 4), that of the best first.
    fn destination(
        &mut self,
        prefix: Prefix,
        standing: &[&Path],
        peers: &[Option<PlaceOf>],
        out: &mut Vec<u8>,
    ) {
        let ourselves = PlaceOf { place: 0, since: self.began, path_ids: PathIds::NONE };
        let of_slot = |path: &Path| peers.get(path.slot.index()).copied().unwrap_or(Some(ourselves));
        let has_id = |path: &Path| {
            path.route.path_id != 0 || of_slot(path).is_some_and(|it| it.path_ids.of(AfiSafi::of(&prefix)))
        };
        let best = standing.first().copied().is_some_and(has_id);
        let before = self.routes;
        for ids in [best, !best] {
            let paths = standing.iter().copied().filter(|path| has_id(path) == ids);
            let known = paths.filter_map(|path| Some((path, of_slot(path)?))).collect::<Vec<_>>();
            self.record(prefix, ids, &known, out);
        }
        self.prefixes += u32::from(self.routes > before);
    }

    fn record(&mut self, prefix: Prefix, ids: bool, paths: &[(&Path, PlaceOf)], out: &mut Vec<u8>) {
        let mut attributes = Vec::new();
        let mut written = Vec::new();
        for (path, of) in paths {
            let start = attributes.len();
            stored(&prefix, &path.route).emit(&mut attributes);
            // The field's length has two octets.
            if attributes.len() - start > usize::from(u16::MAX) {
                attributes.truncate(start);
                continue;
            }
            written.push((of, ids.then_some(path.route.path_id), start..attributes.len()));
        }
        if written.is_empty() {
            return;
        }
        let entry = |(of, path_id, range): (&PlaceOf, Option<u32>, Range<usize>)| mrt::RibEntry {
            peer: of.place,
            originated: of.since,
            path_id,
            attributes: &attributes[range],
        };
        let entries: Vec<_> = written.into_iter().map(entry).collect();
        self.routes += entries.len() as u64;
        mrt::Rib { sequence: self.records, prefix, entries }.emit(self.began, out);
        self.records += 1;
    }
}

/// A route as the table has it: our own have no next hop, and none is written as such.
fn stored(prefix: &Prefix, route: &Route) -> Stored {
    let none = match prefix {
        Prefix::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Prefix::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    Stored {
        attributes: route.attributes.clone(),
        local_preference: Some(route.local_preference),
        next_hop: Some(match route.next_hop.unwrap_or(none) {
            IpAddr::V4(address) => MpNextHop::V4(address),
            IpAddr::V6(address) => MpNextHop::V6(address),
        }),
    }
}

impl Speaker {
    /// Appends whose routes will be written: ourselves first, with no address.
    pub fn begin_dump(&self, now: Instant, unix_seconds: u32, out: &mut Vec<u8>) -> TableDump {
        let ourselves = mrt::Peer {
            identifier: self.config.router_id,
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            asn: self.config.asn,
        };
        let peer = |peer: &Peer| mrt::Peer {
            identifier: peer.router_id.unwrap_or(Ipv4Addr::UNSPECIFIED),
            address: peer.session.remote().unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
            asn: peer.session.config.remote_asn,
        };
        let peers = self.peers.iter().flatten().map(peer);
        mrt::PeerIndexTable {
            collector: self.config.router_id,
            view: String::new(),
            peers: core::iter::once(ourselves).chain(peers).collect(),
        }
        .emit(unix_seconds, out);
        let since = |peer: &Peer| {
            let stood = peer.established_at.map_or(0, |at| now.since(at).as_secs());
            unix_seconds.saturating_sub(u32::try_from(stood).unwrap_or(u32::MAX))
        };
        let known = |peer: &Option<Peer>| peer.as_ref().map(|peer| (peer.name(), since(peer)));
        let peers = self.peers.iter().map(known).collect();
        TableDump { began: unix_seconds, peers, after: None, records: 0, prefixes: 0, routes: 0 }
    }

    /// Appends the routes to the next prefixes: some 256 of them, fewer once they take more than `budget` bytes.
    /// True if there may be more. As the time at which a route was heard stands that at which its session came to
    /// stand: it is not older.
    pub fn poll_dump(&self, dump: &mut TableDump, budget: usize, out: &mut Vec<u8>) -> bool {
        let places = self.places(dump);
        let start = out.len();
        let after = dump.after;
        for (taken, (prefix, destination)) in self.rib.after(after.as_ref()).enumerate() {
            if taken == PREFIXES || out.len() - start >= budget {
                return true;
            }
            dump.after = Some(prefix);
            let standing: Vec<&Path> = self.standing(&prefix, destination).collect();
            dump.destination(prefix, &standing, &places, out);
        }
        false
    }

    /// By slot; `None`: it is not in the table of peers, since it came after the dump began.
    fn places(&self, dump: &TableDump) -> Vec<Option<PlaceOf>> {
        let mut place = 0;
        let mut places = Vec::with_capacity(self.peers.len());
        for (at, peer) in self.peers.iter().enumerate() {
            let known = dump.peers.get(at).and_then(Option::as_ref);
            place += u16::from(known.is_some());
            let still = known.zip(peer.as_ref()).filter(|(known, peer)| known.0 == peer.session.config.name);
            let path_ids =
                |peer: &Peer| peer.session.established().map_or(PathIds::NONE, |it| it.context.path_ids);
            places.push(still.map(|(known, peer)| PlaceOf {
                place,
                since: known.1,
                path_ids: path_ids(peer),
            }));
        }
        places
    }
}
