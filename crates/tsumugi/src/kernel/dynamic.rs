//! The routes that BGP learned, kept in the kernel beside the plan's.
//!
//! They bear a protocol number and a metric of their own, so that this owner and the reconcile of the
//! plan never touch each other's. What an earlier life of the process left is kept until
//! [`DynamicRoutes::forget_stale`]: forwarding goes on while sessions come back.

use super::Namespace;
use super::apply::route_info;
use super::hop_objects::HopObjects;
use super::netlink::{Answer, Netlink, NetlinkError};
use super::route::{RouteInfo, RouteTemplate, TargetInfo, route_of, routes_request};
use super::wanted_routes::{Wanted, Way, WayId};
use netlink_packet_route::AddressFamily;
use nix::errno::Errno;
use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use tsumugi_core::desired::{BGP_ROUTE_METRIC, BGP_ROUTE_PROTOCOL, Route, RouteTarget};
use tsumugi_core::id::{IfName, Prefix};

/// Pieces of the kernel's table that are read in one turn, each of some three hundred routes.
const PIECES: usize = 16;
/// Routes of one turn that are written after a comparison.
const WRITTEN: usize = 4096;

/// One change of what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteUpdate {
    /// In place of what was wanted for its prefix. Its metric and MTU do not count.
    Set(Route),
    Remove(Prefix),
}

/// What is wanted, and what of it the kernel has not taken.
#[derive(Default)]
pub struct DynamicRoutes {
    wanted: Wanted,
    /// Where the kernel knows such things, routes name them.
    objects: HopObjects,
    /// Wanted but not in the kernel: its link is away, or the kernel refused it.
    missing: BTreeMap<Prefix, Absence>,
    /// What is in the kernel and not wanted may be removed.
    purge: bool,
    /// How much that was when the kernel was last read; `None`: it was not.
    leftovers: Option<usize>,
    /// What of it was removed.
    purged: u64,
    reading: Option<Reading>,
}

/// Why the kernel has no such route: without an error number its link is away.
type Absence = Option<Errno>;

/// How far a comparison is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    More,
    Done,
    /// Done, but the kernel's table changed meanwhile: something may have been overlooked.
    Interrupted,
}

/// The kernel's table as it is being read, and what has been found out.
struct Reading {
    /// Of its own: changes go on beside it.
    netlink: Netlink,
    /// The number of the dump that is under way, and the family after it; `None`: all is read.
    dump: Option<(u32, Option<AddressFamily>)>,
    whole: bool,
    /// Wanted ones that are there or were given since; until all is read.
    seen: HashSet<Prefix>,
    /// There and not wanted.
    stale: Vec<Prefix>,
    /// Wanted, and not there as wanted.
    wrong: Vec<Prefix>,
}

impl Reading {
    fn begin(namespace: &Namespace) -> Answer<Reading> {
        let mut netlink = Netlink::open_in(namespace)?;
        let number = netlink.begin_dump(routes_request(AddressFamily::Inet, BGP_ROUTE_PROTOCOL))?;
        Ok(Reading {
            netlink,
            dump: Some((number, Some(AddressFamily::Inet6))),
            whole: true,
            seen: HashSet::new(),
            stale: Vec::new(),
            wrong: Vec::new(),
        })
    }

    /// The next piece; `None`: all is read.
    fn read(&mut self) -> Answer<Option<Vec<RouteInfo>>> {
        let Some((number, next)) = self.dump else { return Ok(None) };
        let mut found = Vec::new();
        let piece = self.netlink.read_dump(number, &mut |message| {
            found.extend(route_of(&message).filter(ours));
        })?;
        self.whole &= piece.whole;
        if piece.last {
            self.dump = match next {
                Some(family) => {
                    let number = self.netlink.begin_dump(routes_request(family, BGP_ROUTE_PROTOCOL))?;
                    Some((number, None))
                }
                None => None,
            };
        }
        Ok(Some(found))
    }
}

/// Whether an earlier life of the process has left routes of this family.
///
/// # Errors
/// Those of netlink.
pub fn found(namespace: &Namespace, family: AddressFamily) -> Answer<bool> {
    let mut netlink = Netlink::open_in(namespace)?;
    let number = netlink.begin_dump(routes_request(family, BGP_ROUTE_PROTOCOL))?;
    let mut found = false;
    loop {
        let piece = netlink
            .read_dump(number, &mut |message| found |= route_of(&message).is_some_and(|it| leads(&it)))?;
        // One is enough: the socket goes, and the kernel stops.
        if found || piece.last {
            return Ok(found);
        }
    }
}

/// What is discarded forwards nothing: our own prefixes stand so with FRR as well.
fn leads(route: &RouteInfo) -> bool {
    ours(route) && route.target != TargetInfo::Discard
}

fn ours(route: &RouteInfo) -> bool {
    route.protocol == BGP_ROUTE_PROTOCOL && route.metric == Some(BGP_ROUTE_METRIC)
}

/// Up to [`WRITTEN`] from the end.
fn split_last(prefixes: &mut Vec<Prefix>) -> Vec<Prefix> {
    prefixes.split_off(prefixes.len().saturating_sub(WRITTEN))
}

impl DynamicRoutes {
    #[cfg(test)]
    pub fn without_objects() -> DynamicRoutes {
        DynamicRoutes { objects: HopObjects::none(), ..DynamicRoutes::default() }
    }

    /// Takes the changes in and tells the kernel at once.
    ///
    /// # Errors
    /// Only those of the socket; what the kernel refused is counted by [`DynamicRoutes::missing`].
    pub fn change(
        &mut self,
        netlink: &mut Netlink,
        indexes: &BTreeMap<IfName, u32>,
        updates: impl IntoIterator<Item = RouteUpdate>,
    ) -> Answer<()> {
        let mut set = Vec::new();
        let mut remove = Vec::new();
        for update in updates {
            match update {
                RouteUpdate::Set(route) => {
                    let prefix = route.prefix.trunc();
                    self.wanted.insert(&prefix, way(route));
                    if let Some(reading) = self.reading.as_mut().filter(|it| it.dump.is_some()) {
                        reading.seen.insert(prefix);
                    }
                    set.push(prefix);
                }
                RouteUpdate::Remove(prefix) => {
                    let prefix = prefix.trunc();
                    self.missing.remove(&prefix);
                    if self.wanted.remove(&prefix) {
                        remove.push(prefix);
                    }
                }
            }
        }
        // A prefix may have been changed twice: what is wanted in the end counts.
        set.retain(|prefix| self.wanted.get(prefix).is_some());
        remove.retain(|prefix| self.wanted.get(prefix).is_none());
        self.remove(netlink, remove)?;
        self.set(netlink, indexes, set)?;
        self.forget_objects(netlink)
    }

    /// Makes the next-hop objects right: they are few, and need not wait for a comparison under way to end.
    ///
    /// # Errors
    /// Of the socket.
    pub fn compare_objects(&mut self, netlink: &mut Netlink, indexes: &BTreeMap<IfName, u32>) -> Answer<()> {
        self.objects.compare(netlink, self.wanted.ways().map(|way| &way.target), indexes)
    }

    /// Removes the next-hop objects that no route names any more, unless routes of an earlier life may.
    fn forget_objects(&mut self, netlink: &mut Netlink) -> Answer<()> {
        if self.purge && self.wanted.has_fewer_ways() {
            self.objects.forget_unused(netlink, self.wanted.ways().map(|way| &way.target))?;
        }
        Ok(())
    }

    /// Begins to compare with the kernel and to make it right: after a change by hand, a link that came or went,
    /// a lost announcement, or a start. Whatever was being read is let go.
    ///
    /// # Errors
    /// Those of sockets.
    pub fn begin_reading(
        &mut self,
        namespace: &Namespace,
        netlink: &mut Netlink,
        indexes: &BTreeMap<IfName, u32>,
    ) -> Answer<()> {
        // What routes name comes before routes.
        self.compare_objects(netlink, indexes)?;
        self.reading = Some(Reading::begin(namespace)?);
        Ok(())
    }

    pub fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Goes on with it for some five thousand routes: with a full table others have their turn in between.
    ///
    /// # Errors
    /// Those of netlink: it has to be begun again.
    pub fn read_on(&mut self, netlink: &mut Netlink, indexes: &BTreeMap<IfName, u32>) -> Answer<Progress> {
        let Some(mut reading) = self.reading.take() else { return Ok(Progress::Done) };
        let mut expected = HashMap::new();
        for _ in 0..PIECES {
            let Some(found) = reading.read()? else { break };
            for route in found {
                self.compare(netlink, route, indexes, &mut expected, &mut reading)?;
            }
            if reading.dump.is_none() {
                self.end_of_dump(&mut reading);
            }
        }
        if reading.dump.is_none() {
            let stale = split_last(&mut reading.stale);
            let stale: Vec<Prefix> =
                stale.into_iter().filter(|prefix| self.wanted.get(prefix).is_none()).collect();
            self.purged += u64::try_from(Vec::len(&stale)).unwrap_or(u64::MAX);
            self.remove(netlink, stale)?;
            if reading.stale.is_empty() {
                let wrong = split_last(&mut reading.wrong);
                self.set(netlink, indexes, wrong)?;
            }
            if reading.stale.is_empty() && reading.wrong.is_empty() {
                self.forget_objects(netlink)?;
                if self.purge {
                    self.objects.forget_found(netlink)?;
                }
                return Ok(if reading.whole { Progress::Done } else { Progress::Interrupted });
            }
        }
        self.reading = Some(reading);
        Ok(Progress::More)
    }

    /// A route of the kernel's. `expected`: what a way comes to, in one piece of the dump.
    fn compare(
        &mut self,
        netlink: &mut Netlink,
        route: RouteInfo,
        indexes: &BTreeMap<IfName, u32>,
        expected: &mut HashMap<(WayId, bool), Result<RouteInfo, Absence>>,
        reading: &mut Reading,
    ) -> Answer<()> {
        let prefix = route.prefix;
        let Some(way) = self.wanted.get(&prefix) else {
            reading.stale.push(prefix);
            return Ok(());
        };
        reading.seen.insert(prefix);
        let expected = match expected.entry((way, prefix.addr().is_ipv4())) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(new) => new.insert(self.info(netlink, prefix, way, indexes)?),
        };
        if let Ok(expected) = expected {
            expected.prefix = prefix;
        }
        if expected.as_ref() == Ok(&route) {
            self.missing.remove(&prefix);
        } else {
            reading.wrong.push(prefix);
        }
        Ok(())
    }

    /// What was not there is wanting, and what was there and nobody wants may go.
    fn end_of_dump(&mut self, reading: &mut Reading) {
        let unseen = self.wanted.iter().map(|(prefix, _)| prefix).filter(|it| !reading.seen.contains(it));
        reading.wrong.extend(unseen);
        reading.seen = HashSet::new();
        if self.purge {
            self.leftovers = Some(0);
            // Taken from the end: the longest go first, see `remove`.
            reading.stale.sort_by_key(Prefix::prefix_len);
        } else {
            self.leftovers = Some(reading.stale.len());
            reading.stale = Vec::new();
        }
    }

    /// From the next reading on, what an earlier life left and nobody wants goes. True if
    /// there may be some.
    pub fn forget_stale(&mut self) -> bool {
        self.purge = true;
        self.leftovers != Some(0) || self.objects.has_found()
    }

    /// Routes of an earlier life that nobody wanted when the kernel was last read, and how many were removed.
    pub fn stale(&self) -> (usize, u64) {
        (self.leftovers.unwrap_or(0), self.purged)
    }

    /// How many are wanted, and how many of them the kernel does not have.
    pub fn count(&self) -> (usize, usize) {
        (self.wanted.len(), self.missing.len())
    }

    /// Those that the kernel does not have; without an error number: their link is away.
    pub fn missing(&self) -> &BTreeMap<Prefix, Option<Errno>> {
        &self.missing
    }

    fn set(
        &mut self,
        netlink: &mut Netlink,
        indexes: &BTreeMap<IfName, u32>,
        set: Vec<Prefix>,
    ) -> Answer<()> {
        // By its way and family, how a route is set.
        let mut templates: HashMap<(WayId, bool), Result<RouteTemplate, Absence>> = HashMap::new();
        let mut routes = Vec::with_capacity(set.len());
        for prefix in set {
            let Some(way) = self.wanted.get(&prefix) else { continue };
            let key = (way, prefix.addr().is_ipv4());
            let template = match templates.entry(key) {
                Entry::Occupied(there) => there.into_mut(),
                Entry::Vacant(new) => {
                    let route = self.info(netlink, prefix, way, indexes)?;
                    new.insert(route.map(|route| RouteTemplate::set(&route)))
                }
            };
            match template {
                Ok(_) => {
                    self.missing.remove(&prefix);
                    routes.push((prefix, key));
                }
                Err(absence) => drop(self.missing.insert(prefix, *absence)),
            }
        }
        let write = |(prefix, key): &(Prefix, _), bytes: &mut Vec<u8>| {
            if let Some(Ok(template)) = templates.get(key) {
                template.write(prefix, bytes);
            }
        };
        for (place, error) in netlink.batch_of(&routes, write)? {
            self.missing.insert(routes[place].0, error.errno());
        }
        Ok(())
    }

    /// How a route to a way is in the kernel's terms, with what it names made.
    fn info(
        &mut self,
        netlink: &mut Netlink,
        prefix: Prefix,
        way: WayId,
        indexes: &BTreeMap<IfName, u32>,
    ) -> Answer<Result<RouteInfo, Absence>> {
        let way = self.wanted.way(way);
        Ok(match self.objects.id(netlink, &way.target, indexes) {
            None => info(prefix, way, indexes).ok_or(None),
            Some(Ok(id)) => {
                let named =
                    |id| RouteInfo { target: TargetInfo::Object(id), source: way.source, ..bare(prefix) };
                id.map(named).ok_or(None)
            }
            Some(Err(NetlinkError::Refused { errno, .. })) => Err(Some(errno)),
            Some(Err(error)) => return Err(error),
        })
    }

    fn remove(&mut self, netlink: &mut Netlink, mut prefixes: Vec<Prefix>) -> Answer<()> {
        // Where two have one address the longer goes first: else the kernel looks through half of its table
        // for another of the shorter's length (`node_pull_suffix`; 127.0.0.0/8 lies in its middle).
        prefixes.sort_by_key(|prefix| Reverse(prefix.prefix_len()));
        let ipv4 = RouteTemplate::delete(&bare(Prefix::V4(Default::default())));
        let ipv6 = RouteTemplate::delete(&bare(Prefix::V6(Default::default())));
        let write = |prefix: &Prefix, bytes: &mut Vec<u8>| match prefix {
            Prefix::V4(_) => ipv4.write(prefix, bytes),
            Prefix::V6(_) => ipv6.write(prefix, bytes),
        };
        // A route that is not there any more was removed by somebody or with its link: just as well.
        netlink.batch_of(&prefixes, write).map(drop)
    }
}

/// Where a route leads, in one order whichever was first.
fn way(route: Route) -> Way {
    let (mut target, mut source) = (route.target, route.source);
    match &mut target {
        RouteTarget::NextHops { next_hops } => {
            next_hops.sort();
            next_hops.dedup();
        }
        RouteTarget::Discard | RouteTarget::Unreachable => source = None,
    }
    Way { target, source }
}

/// A route with nothing but what the kernel tells it apart by.
fn bare(prefix: Prefix) -> RouteInfo {
    RouteInfo {
        prefix,
        target: TargetInfo::Discard,
        source: None,
        mtu: None,
        metric: Some(BGP_ROUTE_METRIC),
        protocol: BGP_ROUTE_PROTOCOL,
    }
}

/// In the kernel's terms without objects, without the next hops on links that are away; `None` if none is left.
fn info(prefix: Prefix, way: &Way, indexes: &BTreeMap<IfName, u32>) -> Option<RouteInfo> {
    let mut route = Route {
        prefix,
        target: way.target.clone(),
        source: way.source,
        mtu: None,
        metric: Some(BGP_ROUTE_METRIC),
    };
    if let RouteTarget::NextHops { next_hops } = &mut route.target {
        next_hops.retain(|hop| indexes.contains_key(&hop.link));
        if next_hops.is_empty() {
            return None;
        }
    }
    let index = |link: &IfName| indexes.get(link).copied().ok_or(NetlinkError::refused(Errno::ENODEV));
    route_info(&route, BGP_ROUTE_PROTOCOL, index).ok()
}
