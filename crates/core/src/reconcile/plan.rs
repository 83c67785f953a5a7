//! The comparison itself.
//!
//! The order of the changes: settings of the namespace and walls first, so that nothing is ever open
//! that should be closed; then what must go, routes before addresses before links; then what must
//! come, links (parents first, as the plan lists them), their settings, addresses, neighbours, and
//! routes, the direct ones first because others lead over them.

use super::{AddressOrigin, Change, Observed, ObservedKind, ObservedLink};
use crate::desired::{ALIAS_TAG, Desired, Link, LinkKind, NextHop, Route, RouteTarget, Sysctl};
use crate::id::{IfName, Prefix};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

/// What the kernel takes for an IPv6 route that states no metric (`IP6_RT_PRIO_USER`).
const IPV6_METRIC: u32 = 1024;

/// The changes that make `observed` what is `desired`, in the order in which they can be made. What
/// needs a link that is not there and cannot be made here (see [`waiting`]) is left out.
pub fn plan(desired: &Desired, observed: &Observed) -> Vec<Change> {
    let links = Links::of(desired, observed);
    let mut changes = Vec::new();
    sysctls(desired, observed, &mut changes);
    if !observed.walls_in_place {
        changes.push(Change::SetWalls);
    }
    let routes = Routes::of(desired, observed, &links);
    changes.extend(routes.removed.iter().cloned().map(Change::RemoveRoute));
    remove_neighbours(desired, observed, &links, &mut changes);
    let removed_addresses = remove_addresses(desired, observed, &links, &mut changes);
    changes.extend(links.removed.iter().cloned());
    for link in &desired.links {
        links.settle(link, &mut changes);
    }
    if let Some(lo) = links.observed.get(&IfName::loopback()).filter(|lo| !lo.up) {
        changes.push(Change::SetUp(lo.name.clone()));
    }
    interface_sysctls(desired, observed, &links, &mut changes);
    add_addresses(desired, observed, &links, &mut changes);
    set_neighbours(desired, observed, &links, &mut changes);
    routes.set(&links, &removed_addresses, &mut changes);
    changes
}

/// The links of the plan that are neither there nor can be made here yet: ports that are not plugged
/// in, tunnels whose process has not made them, names that something else bears.
pub fn waiting(desired: &Desired, observed: &Observed) -> Vec<IfName> {
    let present = Links::of(desired, observed).present;
    desired.links.iter().map(|link| &link.name).filter(|name| !present.contains(name)).cloned().collect()
}

/// What is there, what will be, and what goes.
struct Links<'a> {
    observed: BTreeMap<&'a IfName, &'a ObservedLink>,
    /// The plan's.
    wanted: BTreeSet<&'a IfName>,
    /// Of links that are made anew or taken, with how.
    made: BTreeMap<&'a IfName, Change>,
    /// All that will be there when the changes are made.
    present: BTreeSet<&'a IfName>,
    removed: Vec<Change>,
    /// What stands on these is lost with the changes.
    lost: BTreeSet<&'a IfName>,
    /// On these the kernel shall make no link-local addresses.
    quiet: BTreeSet<&'a IfName>,
}

impl<'a> Links<'a> {
    fn of(desired: &'a Desired, observed: &'a Observed) -> Links<'a> {
        let by_name = observed.links.iter().map(|link| (&link.name, link)).collect();
        let mut links = Links {
            present: observed.links.iter().map(|link| &link.name).collect(),
            observed: by_name,
            wanted: desired.links.iter().map(|link| &link.name).collect(),
            made: BTreeMap::new(),
            removed: Vec::new(),
            lost: BTreeSet::new(),
            quiet: BTreeSet::new(),
        };
        // What stands on another link goes first: with that one it would be gone already.
        let ours = observed.links.iter().filter(|link| link.is_ours());
        let (upper, lower): (Vec<&ObservedLink>, Vec<&ObservedLink>) =
            ours.partition(|link| matches!(link.kind, ObservedKind::Vlan { .. }));
        for link in upper.into_iter().chain(lower) {
            if !links.wanted.contains(&link.name) {
                links.let_go(link, observed.initial.is_some());
            }
        }
        let waiting_ports: BTreeMap<&IfName, &ObservedLink> =
            observed.initial.iter().flatten().map(|link| (&link.name, link)).collect();
        for link in &desired.links {
            links.bring(link, observed.initial.is_some(), &waiting_ports);
        }
        for link in &desired.links {
            let stated = desired.addresses.iter().any(|a| a.link == link.name && is_link_local(a.prefix));
            let ethernet = links.observed.get(&link.name).is_none_or(|observed| observed.mac.is_some());
            // A port of a bridge must not speak for itself on the segment, and a bridge without any
            // address is a switch: its hosts shall not reach the router by a link-local one.
            let port = link.master.is_some();
            let switch = link.kind == LinkKind::Bridge
                && !desired.addresses.iter().any(|address| address.link == link.name);
            if stated || !ethernet || port || switch {
                links.quiet.insert(&link.name);
            }
        }
        links
    }

    /// A link of ours that the plan no longer names.
    fn let_go(&mut self, link: &'a ObservedLink, moves: bool) {
        match link.kind {
            ref kind if is_made_here(kind) => {
                self.removed.push(Change::RemoveLink(link.name.clone()));
                self.present.remove(&link.name);
                self.lost.insert(&link.name);
            }
            ObservedKind::Port => {
                self.removed.push(Change::ReleasePort(link.name.clone()));
                if moves {
                    self.present.remove(&link.name);
                    self.lost.insert(&link.name);
                }
            }
            _ => {}
        }
    }

    /// Whether it has gone or will go with what it was made over.
    fn goes_with_parent(&self, link: &ObservedLink) -> bool {
        matches!(&link.kind, ObservedKind::Vlan { parent: Some(parent), .. } if self.lost.contains(parent))
    }

    /// A link of the plan: there as it is, made, taken, or waited for.
    fn bring(&mut self, link: &'a Link, moves: bool, initial: &BTreeMap<&'a IfName, &'a ObservedLink>) {
        let there = self.observed.get(&link.name).copied();
        if let Some(there) = there.filter(|there| !self.goes_with_parent(there)) {
            if is_the_same(&link.kind, &there.kind) {
                return;
            }
            self.present.remove(&link.name);
            // Something else bears the name. Only what we made ourselves gives way.
            if !there.is_ours() || !is_made_here(&there.kind) {
                return;
            }
            self.removed.push(Change::RemoveLink(link.name.clone()));
            self.lost.insert(&link.name);
        } else if there.is_some() {
            self.present.remove(&link.name);
            self.lost.insert(&link.name);
        }
        let change = match &link.kind {
            LinkKind::Port => {
                let waits = initial.get(&link.name).is_some_and(|port| port.kind == ObservedKind::Port);
                waits.then(|| Change::TakePort(link.name.clone()))
            }
            LinkKind::Macvlan { parent } => {
                let there = if moves {
                    let comes_back = self.removed.contains(&Change::ReleasePort(parent.clone()));
                    comes_back || initial.contains_key(parent) && !self.made.contains_key(parent)
                } else {
                    self.present.contains(parent)
                };
                there.then(|| Change::MakeMacvlan { name: link.name.clone(), parent: parent.clone() })
            }
            LinkKind::Bridge => Some(Change::MakeBridge(link.name.clone())),
            LinkKind::Vxlan { vni, local } => {
                Some(Change::MakeVxlan { name: link.name.clone(), vni: *vni, local: *local })
            }
            LinkKind::Vlan { parent, tag } => self.present.contains(parent).then(|| Change::MakeVlan {
                name: link.name.clone(),
                parent: parent.clone(),
                tag: *tag,
            }),
            LinkKind::Tunnel => None,
        };
        if let Some(change) = change {
            self.made.insert(&link.name, change);
            self.present.insert(&link.name);
        }
    }

    /// Makes the link if it must be made, and then what the plan says of it.
    fn settle(&self, link: &Link, changes: &mut Vec<Change>) {
        if !self.present.contains(&link.name) {
            return;
        }
        let made = self.made.get(&link.name);
        changes.extend(made.cloned());
        let there = if made.is_some() { None } else { self.observed.get(&link.name).copied() };
        let name = || link.name.clone();
        let alias = tagged(&link.alias);
        if there.is_none_or(|there| there.alias != alias) {
            changes.push(Change::SetAlias { link: name(), alias });
        }
        if let Some(mac) = link.mac
            && there.is_none_or(|there| there.mac.is_some_and(|found| found != mac))
        {
            changes.push(Change::SetMac { link: name(), mac });
        }
        if there.is_none_or(|there| there.mtu != link.mtu) {
            changes.push(Change::SetMtu { link: name(), mtu: link.mtu });
        }
        if self.quiet.contains(&link.name) && there.is_none_or(|there| there.makes_link_local) {
            changes.push(Change::StopLinkLocal(name()));
        }
        let master = link.master.as_ref().filter(|master| self.present.contains(master));
        // A bridge that is made anew has lost its ports.
        let found = there.and_then(|there| there.master.as_ref()).filter(|found| !self.lost.contains(found));
        if found != master {
            changes.push(Change::SetMaster { link: name(), master: master.cloned() });
        }
        let untuned = there.is_none_or(|there| !there.tuned);
        match link.kind {
            LinkKind::Bridge if untuned => changes.push(Change::TuneBridge(name())),
            // A port that has just become one is set as the kernel sets them.
            LinkKind::Vxlan { .. } if master.is_some() && (untuned || found != master) => {
                changes.push(Change::TunePort(name()));
            }
            _ => {}
        }
        if there.is_none_or(|there| !there.up) {
            changes.push(Change::SetUp(name()));
        }
    }

    /// Whether packets can leave by it when the changes are made: what the plan names is set up, and
    /// so is the loopback; what it does not name stays as it is.
    fn will_be_up(&self, link: &IfName) -> bool {
        let as_it_is = self.observed.get(link).is_some_and(|there| there.up);
        let ours = self.wanted.contains(link) || *link == IfName::loopback();
        self.present.contains(link) && (ours || as_it_is)
    }

    /// Whether what was observed on this link is still there when the changes are made.
    fn keeps(&self, link: &IfName) -> bool {
        !self.lost.contains(link) && self.observed.contains_key(link)
    }
}

/// The alias in the kernel, cut to what it can hold (255 bytes).
fn tagged(alias: &str) -> String {
    let mut whole = String::from(ALIAS_TAG) + alias;
    while whole.len() > 255 {
        whole.pop();
    }
    whole
}

fn is_the_same(wanted: &LinkKind, found: &ObservedKind) -> bool {
    match (wanted, found) {
        (LinkKind::Macvlan { parent }, ObservedKind::Macvlan { parent: found }) => {
            found.as_ref().is_none_or(|found| found == parent)
        }
        (LinkKind::Vxlan { vni, local }, ObservedKind::Vxlan { vni: found, local: from, plain }) => {
            vni == found && from.as_ref() == Some(local) && *plain
        }
        (LinkKind::Vlan { parent, tag }, ObservedKind::Vlan { parent: over, tag: found }) => {
            tag == found && over.as_ref().is_none_or(|over| over == parent)
        }
        (LinkKind::Port, ObservedKind::Port)
        | (LinkKind::Bridge, ObservedKind::Bridge)
        | (LinkKind::Tunnel, ObservedKind::Tunnel) => true,
        _ => false,
    }
}

/// What tsumugi makes and removes from this reconcile.
fn is_made_here(kind: &ObservedKind) -> bool {
    matches!(
        kind,
        ObservedKind::Bridge
            | ObservedKind::Macvlan { .. }
            | ObservedKind::Vxlan { .. }
            | ObservedKind::Vlan { .. }
    )
}

fn is_link_local(prefix: Prefix) -> bool {
    matches!(prefix.addr(), IpAddr::V6(address) if address.is_unicast_link_local())
}

/// The interface that a setting's key names: `net/ipv6/conf/eth1/accept_ra`.
fn interface_of(sysctl: &Sysctl) -> Option<&str> {
    let mut parts = sysctl.key.split('/').skip(2);
    if !matches!(parts.next(), Some("conf" | "neigh")) {
        return None;
    }
    parts.next().filter(|name| !matches!(*name, "all" | "default"))
}

/// Those of the namespace.
fn sysctls(desired: &Desired, observed: &Observed, changes: &mut Vec<Change>) {
    for sysctl in desired.sysctls.iter().filter(|sysctl| interface_of(sysctl).is_none()) {
        let missing_is_well = sysctl.optional;
        if observed.sysctls.get(&sysctl.key).map_or(!missing_is_well, |found| !same_words(found, sysctl)) {
            changes.push(Change::SetSysctl(sysctl.clone()));
        }
    }
}

/// Those of interfaces that are there or will be: a new interface has no value that we know.
fn interface_sysctls(desired: &Desired, observed: &Observed, links: &Links<'_>, changes: &mut Vec<Change>) {
    for sysctl in &desired.sysctls {
        let Some(name) = interface_of(sysctl) else { continue };
        let Some(link) = links.present.iter().find(|link| link.as_str() == name) else { continue };
        // An interface that is there and has no such setting never will have.
        let missing_is_well = sysctl.optional && links.keeps(link);
        let found = observed.sysctls.get(&sysctl.key).filter(|_| links.keeps(link));
        if found.map_or(!missing_is_well, |found| !same_words(found, sysctl)) {
            changes.push(Change::SetSysctl(sysctl.clone()));
        }
    }
}

fn same_words(found: &str, sysctl: &Sysctl) -> bool {
    found.split_whitespace().eq(sysctl.value.split_whitespace())
}

fn remove_neighbours(desired: &Desired, observed: &Observed, links: &Links<'_>, changes: &mut Vec<Change>) {
    for found in observed.neighbours.iter().filter(|found| found.ours) {
        let found = &found.neighbour;
        let wanted = desired.neighbours.iter().any(|n| n.link == found.link && n.address == found.address);
        if !wanted && links.keeps(&found.link) {
            changes.push(Change::RemoveNeighbour { link: found.link.clone(), address: found.address });
        }
    }
}

/// Returns the addresses that are taken away: routes that prefer them as source go with them.
fn remove_addresses(
    desired: &Desired,
    observed: &Observed,
    links: &Links<'_>,
    changes: &mut Vec<Change>,
) -> BTreeSet<IpAddr> {
    let mut removed = BTreeSet::new();
    for found in &observed.addresses {
        let ours = match found.origin {
            AddressOrigin::Ours => true,
            AddressOrigin::Generated => links.quiet.contains(&found.link),
            AddressOrigin::Foreign => false,
        };
        let wanted = desired.addresses.iter().any(|a| a.link == found.link && a.prefix == found.prefix);
        if ours && !wanted && links.keeps(&found.link) {
            removed.insert(found.prefix.addr());
            let address = crate::desired::Address { link: found.link.clone(), prefix: found.prefix };
            changes.push(Change::RemoveAddress(address));
        }
    }
    removed
}

fn add_addresses(desired: &Desired, observed: &Observed, links: &Links<'_>, changes: &mut Vec<Change>) {
    for address in &desired.addresses {
        let there = links.keeps(&address.link)
            && observed.addresses.iter().any(|a| a.link == address.link && a.prefix == address.prefix);
        if !there && links.present.contains(&address.link) {
            changes.push(Change::AddAddress(address.clone()));
        }
    }
}

fn set_neighbours(desired: &Desired, observed: &Observed, links: &Links<'_>, changes: &mut Vec<Change>) {
    for wanted in &desired.neighbours {
        let there =
            links.keeps(&wanted.link) && observed.neighbours.iter().any(|found| found.neighbour == *wanted);
        if !there && links.present.contains(&wanted.link) {
            changes.push(Change::SetNeighbour(wanted.clone()));
        }
    }
}

/// By what the kernel tells routes apart.
type RouteKey = (Prefix, u32);

struct Routes {
    wanted: BTreeMap<RouteKey, Route>,
    found: BTreeMap<RouteKey, Route>,
    removed: Vec<Route>,
}

impl Routes {
    fn of(desired: &Desired, observed: &Observed, links: &Links<'_>) -> Routes {
        let mut routes = Routes { wanted: BTreeMap::new(), found: BTreeMap::new(), removed: Vec::new() };
        for route in desired.routes.iter().filter_map(|route| plain(route, links)) {
            routes.wanted.entry(key_of(&route)).or_insert(route);
        }
        for route in &observed.routes {
            let key = key_of(route);
            let twice = routes.found.remove(&key).is_some();
            if twice || !routes.wanted.contains_key(&key) {
                routes.removed.push(route.clone());
            } else {
                routes.found.insert(key, route.clone());
            }
        }
        routes
    }

    fn set(self, links: &Links<'_>, removed_addresses: &BTreeSet<IpAddr>, changes: &mut Vec<Change>) {
        let (direct, via): (Vec<&Route>, Vec<&Route>) =
            self.wanted.values().partition(|route| match &route.target {
                RouteTarget::NextHops { next_hops } => next_hops.iter().all(|hop| hop.via.is_none()),
                RouteTarget::Discard | RouteTarget::Unreachable => true,
            });
        for route in direct.into_iter().chain(via) {
            let kept = self.found.get(&key_of(route)).is_some_and(|found| {
                same_route(found, route)
                    && route.source.is_none_or(|source| !removed_addresses.contains(&source))
                    && !leaves_by(route).any(|link| links.lost.contains(link))
            });
            if !kept {
                changes.push(Change::SetRoute(route.clone()));
            }
        }
    }
}

/// The route in the one form that the kernel gives back, without next hops on links that are not
/// there or down; `None` if none is left.
fn plain(route: &Route, links: &Links<'_>) -> Option<Route> {
    let mut plain = Route { prefix: route.prefix.trunc(), ..route.clone() };
    plain.metric = route.metric.filter(|metric| *metric != default_metric(route.prefix));
    match &mut plain.target {
        RouteTarget::NextHops { next_hops } => {
            next_hops.retain(|hop| links.will_be_up(&hop.link));
            next_hops.sort();
            next_hops.dedup();
            if next_hops.is_empty() {
                return None;
            }
        }
        RouteTarget::Discard | RouteTarget::Unreachable => {
            plain.source = None;
            plain.mtu = None;
        }
    }
    Some(plain)
}

fn default_metric(prefix: Prefix) -> u32 {
    if prefix.addr().is_ipv4() { 0 } else { IPV6_METRIC }
}

fn key_of(route: &Route) -> RouteKey {
    (route.prefix.trunc(), route.metric.unwrap_or(default_metric(route.prefix)))
}

/// Both have the same key; next hops are compared as a set.
fn same_route(found: &Route, wanted: &Route) -> bool {
    let target = match (&found.target, &wanted.target) {
        (RouteTarget::NextHops { next_hops: found }, RouteTarget::NextHops { next_hops: wanted }) => {
            let found: BTreeSet<&NextHop> = found.iter().collect();
            found.len() == wanted.len() && wanted.iter().all(|hop| found.contains(hop))
        }
        (found, wanted) => found == wanted,
    };
    target && found.source == wanted.source && found.mtu == wanted.mtu
}

fn leaves_by(route: &Route) -> impl Iterator<Item = &IfName> {
    let next_hops = match &route.target {
        RouteTarget::NextHops { next_hops } => next_hops.as_slice(),
        RouteTarget::Discard | RouteTarget::Unreachable => &[],
    };
    next_hops.iter().map(|hop| &hop.link)
}
