//! The table written down for others (RFC 6396 4.3): every route that was taken, a piece at a time, while the
//! speaker goes on.

use super::rib::{Destination, Route};
use super::speaker::{Peer, Speaker};
use crate::id::Prefix;
use crate::time::Instant;
use crate::wire::bgp::{MpNextHop, Stored};
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
    /// Prefixes written.
    pub prefixes: u32,
    /// Routes written.
    pub routes: u64,
}

impl TableDump {
    /// One record of all routes to a prefix, if there is one.
    fn destination(
        &mut self,
        prefix: Prefix,
        destination: &Destination,
        places: &[Option<(u16, u32)>],
        out: &mut Vec<u8>,
    ) {
        let mut attributes = Vec::new();
        let mut written = Vec::new();
        for path in destination.paths() {
            // Beyond all slots stand our own routes. Of a neighbour that came after the dump began nothing is said.
            let place = places.get(path.slot.index()).copied().unwrap_or(Some((0, self.began)));
            let Some((peer, originated)) = place else { continue };
            let start = attributes.len();
            stored(&prefix, &path.route).emit(&mut attributes);
            // The field's length has two octets.
            if attributes.len() - start > usize::from(u16::MAX) {
                attributes.truncate(start);
                continue;
            }
            written.push((peer, originated, start..attributes.len()));
        }
        if written.is_empty() {
            return;
        }
        let entry = |(peer, originated, range): (u16, u32, Range<usize>)| mrt::RibEntry {
            peer,
            originated,
            path_id: None,
            attributes: &attributes[range],
        };
        let entries: Vec<_> = written.into_iter().map(entry).collect();
        self.routes += entries.len() as u64;
        mrt::Rib { sequence: self.prefixes, prefix, entries }.emit(self.began, out);
        self.prefixes += 1;
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
        TableDump { began: unix_seconds, peers, after: None, prefixes: 0, routes: 0 }
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
            dump.destination(prefix, destination, &places, out);
        }
        false
    }

    /// By slot: the place in the table of peers, and since when; `None`: it is not in it.
    fn places(&self, dump: &TableDump) -> Vec<Option<(u16, u32)>> {
        let mut place = 0;
        let mut places = Vec::with_capacity(self.peers.len());
        for (at, peer) in self.peers.iter().enumerate() {
            let known = dump.peers.get(at).and_then(Option::as_ref);
            place += u16::from(known.is_some());
            let still = known.zip(peer.as_ref()).filter(|(known, peer)| known.0 == peer.session.config.name);
            places.push(still.map(|(known, _)| (place, known.1)));
        }
        places
    }
}
