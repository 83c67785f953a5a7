//! The routes that BGP learned, kept in the kernel beside the plan's.
//!
//! They bear a protocol number and a metric of their own, so that this owner and the reconcile of the
//! plan never touch each other's. What an earlier life of the process left is kept until
//! [`DynamicRoutes::forget_stale`]: forwarding goes on while sessions come back.

use super::apply::route_info;
use super::netlink::{Answer, Netlink, NetlinkError};
use super::route::{RouteInfo, RouteTemplate};
use super::wanted_routes::{Wanted, Way, WayId};
use nix::errno::Errno;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use tsumugi_core::desired::{BGP_ROUTE_METRIC, BGP_ROUTE_PROTOCOL, Route, RouteTarget};
use tsumugi_core::id::{IfName, Prefix};

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
    /// Wanted but not in the kernel: its link is away, or the kernel refused it.
    missing: BTreeMap<Prefix, Option<Errno>>,
    /// What is in the kernel and not wanted may be removed.
    purge: bool,
    /// How much that was when the kernel was last read; `None`: it was not.
    leftovers: Option<usize>,
}

impl DynamicRoutes {
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
        self.set(netlink, indexes, set)
    }

    /// Compares with the kernel and makes it right: after a change by hand, a link that came or went,
    /// a lost announcement, or a start.
    ///
    /// # Errors
    /// Those of netlink.
    pub fn sync(&mut self, netlink: &mut Netlink, indexes: &BTreeMap<IfName, u32>) -> Answer<()> {
        let mut found: HashMap<Prefix, RouteInfo> = HashMap::new();
        for route in netlink.routes(BGP_ROUTE_PROTOCOL)? {
            if route.metric == Some(BGP_ROUTE_METRIC) {
                found.insert(route.prefix, route);
            }
        }
        let mut set = Vec::new();
        for (prefix, way) in self.wanted.iter() {
            let wanted = info(prefix, self.wanted.way(way), indexes);
            match (wanted, found.remove(&prefix)) {
                (Some(wanted), Some(found)) if wanted == found => {
                    self.missing.remove(&prefix);
                }
                _ => set.push(prefix),
            }
        }
        self.leftovers = Some(if self.purge { 0 } else { found.len() });
        if self.purge {
            let stale: Vec<Prefix> = found.into_keys().collect();
            self.remove(netlink, stale)?;
        }
        self.set(netlink, indexes, set)
    }

    /// From the next [`DynamicRoutes::sync`] on, what an earlier life left and nobody wants goes. True if
    /// there may be some.
    pub fn forget_stale(&mut self) -> bool {
        self.purge = true;
        self.leftovers != Some(0)
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
        // By its way and family, how a route is set; `None`: all its links are away.
        let mut templates: HashMap<(WayId, bool), Option<RouteTemplate>> = HashMap::new();
        let mut routes = Vec::with_capacity(set.len());
        for prefix in set {
            let Some(way) = self.wanted.get(&prefix) else { continue };
            let key = (way, prefix.addr().is_ipv4());
            let template = templates.entry(key).or_insert_with(|| {
                let route = info(prefix, self.wanted.way(way), indexes);
                route.as_ref().map(RouteTemplate::set)
            });
            if template.is_some() {
                self.missing.remove(&prefix);
                routes.push((prefix, key));
            } else {
                self.missing.insert(prefix, None);
            }
        }
        let write = |(prefix, key): &(Prefix, _), bytes: &mut Vec<u8>| {
            if let Some(Some(template)) = templates.get(key) {
                template.write(prefix, bytes);
            }
        };
        for (place, error) in netlink.batch_of(&routes, write)? {
            self.missing.insert(routes[place].0, error.errno());
        }
        Ok(())
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
        target: super::route::TargetInfo::Discard,
        source: None,
        mtu: None,
        metric: Some(BGP_ROUTE_METRIC),
        protocol: BGP_ROUTE_PROTOCOL,
    }
}

/// In the kernel's terms, without the next hops on links that are away; `None` if none is left.
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
