//! BGP's routes in the kernel.
//!
//! Changes go there as they come; a comparison of everything, after anything in the kernel has
//! changed, puts back what was changed by hand or fell with an interface. Routes of an earlier life
//! of this process forward packets until the sessions stand again.

use super::links::Links;
use crate::kernel::netlink::{Answer, Netlink, NetlinkError};
use crate::kernel::route::{NextHopInfo, RouteInfo, TargetInfo, delete_message, set_message};
use crate::observe::status::RouteCounts;
use nix::errno::Errno;
use std::collections::BTreeMap;
use tsumugi_core::bgp::{RouteChange, SpeakerRoute};
use tsumugi_core::desired::{BGP_ROUTE_METRIC, BGP_ROUTE_PROTOCOL};
use tsumugi_core::id::Prefix;

pub struct Fib {
    netlink: Netlink,
    /// Whether routes that nobody asks for are still left alone.
    keeps_unknown: bool,
    counts: RouteCounts,
    /// Why routes are not in the kernel that should be, by prefix.
    failed: BTreeMap<Prefix, String>,
}

impl Fib {
    /// `netlink` in the fabric. Until [`Fib::settle`], routes that nobody asks for stay.
    pub fn new(netlink: Netlink) -> Fib {
        Fib { netlink, keeps_unknown: true, counts: RouteCounts::default(), failed: BTreeMap::new() }
    }

    /// From now on a comparison removes what nobody asks for.
    pub fn settle(&mut self) {
        self.keeps_unknown = false;
    }

    /// The sender of our own changes, in the kernel's notifications.
    pub fn port(&self) -> u32 {
        self.netlink.port()
    }

    pub fn counts(&self) -> RouteCounts {
        self.counts
    }

    pub fn failed(&self) -> &BTreeMap<Prefix, String> {
        &self.failed
    }

    /// Makes these changes. One that the kernel refuses is remembered, and tried again by the next
    /// comparison: the interface may be on its way.
    ///
    /// # Errors
    /// Only those of the netlink socket.
    pub fn apply(&mut self, links: &Links, changes: &[RouteChange]) -> Answer<()> {
        let mut messages = Vec::with_capacity(changes.len());
        let mut prefixes = Vec::with_capacity(changes.len());
        for change in changes {
            self.failed.remove(&change.prefix);
            let route = change.route.as_ref().and_then(|route| route_info(links, change.prefix, route));
            match route {
                Some(route) => messages.push(set_message(&route)),
                None => messages.push((delete_message(&nothing(change.prefix)), 0)),
            }
            if change.route.is_some() && messages.last().is_some_and(|(_, flags)| *flags == 0) {
                self.failed.insert(change.prefix, "no interface of its next hops is up".into());
            }
            prefixes.push(change.prefix);
        }
        let refused = self.netlink.batch(messages)?;
        self.note(&prefixes, refused);
        Ok(())
    }

    /// Compares everything and makes the difference.
    ///
    /// # Errors
    /// Only those of the netlink socket.
    pub fn compare(&mut self, links: &Links, wanted: &[RouteChange]) -> Answer<()> {
        let mut missing: BTreeMap<Prefix, RouteInfo> = wanted
            .iter()
            .filter_map(|change| {
                Some((change.prefix, route_info(links, change.prefix, change.route.as_ref()?)?))
            })
            .collect();
        let mut counts = RouteCounts::default();
        for route in missing.values() {
            count(&mut counts, route);
        }
        let (mut messages, mut prefixes) = (Vec::new(), Vec::new());
        for found in self.netlink.routes(BGP_ROUTE_PROTOCOL)? {
            match missing.get(&found.prefix) {
                Some(route) if *route == found => {
                    missing.remove(&found.prefix);
                }
                // Set below, in its place.
                Some(route) if route.metric == found.metric => {}
                None if self.keeps_unknown => {
                    count(&mut counts, &found);
                    counts.stale += 1;
                }
                _ => {
                    prefixes.push(found.prefix);
                    messages.push((delete_message(&found), 0));
                }
            }
        }
        for (prefix, route) in &missing {
            prefixes.push(*prefix);
            messages.push(set_message(route));
        }
        self.counts = counts;
        self.failed.clear();
        let refused = self.netlink.batch(messages)?;
        self.note(&prefixes, refused);
        Ok(())
    }

    fn note(&mut self, prefixes: &[Prefix], refused: Vec<(usize, NetlinkError)>) {
        for (place, error) in refused {
            // What should go is gone already.
            if error.is(Errno::ESRCH) {
                continue;
            }
            if let Some(prefix) = prefixes.get(place) {
                tracing::debug!(%prefix, %error, "route refused by the kernel");
                self.failed.insert(*prefix, error.to_string());
            }
        }
    }
}

fn count(counts: &mut RouteCounts, route: &RouteInfo) {
    let family = if route.prefix.addr().is_ipv4() { &mut counts.ipv4 } else { &mut counts.ipv6 };
    *family += 1;
    match &route.target {
        TargetInfo::NextHops(next_hops) if next_hops.len() > 1 => counts.multipath += 1,
        TargetInfo::Discard => counts.discard += 1,
        _ => {}
    }
}

/// The route in the kernel's terms; `None` while none of its next hops has an interface that is up.
fn route_info(links: &Links, prefix: Prefix, route: &SpeakerRoute) -> Option<RouteInfo> {
    let target = if route.discard {
        TargetInfo::Discard
    } else {
        let mut next_hops: Vec<_> = route
            .next_hops
            .iter()
            .filter(|next_hop| links.is_up(&next_hop.link))
            .filter_map(|next_hop| {
                Some(NextHopInfo { link: links.index(&next_hop.link)?, via: Some(next_hop.via) })
            })
            .collect();
        next_hops.sort();
        if next_hops.is_empty() {
            return None;
        }
        TargetInfo::NextHops(next_hops)
    };
    let source = if route.discard { None } else { route.source };
    Some(RouteInfo { target, source, ..nothing(prefix) })
}

/// A route of ours for `prefix`, as far as its removal asks.
fn nothing(prefix: Prefix) -> RouteInfo {
    RouteInfo {
        prefix,
        target: TargetInfo::Discard,
        source: None,
        mtu: None,
        metric: Some(BGP_ROUTE_METRIC),
        protocol: BGP_ROUTE_PROTOCOL,
    }
}
