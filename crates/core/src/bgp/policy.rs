//! What is taken from a neighbour and what is told to it. There is no neighbour without a policy
//! (RFC 8212): it follows from the neighbour's relation alone.
//!
//! A route's class says where the network got it from. It is set once, where the route comes in,
//! stands in a large community of ours while it is inside, and goes before the route leaves.

use super::config::{NeighbourConfig, OutsidePolicy, Relation, Role, SpeakerConfig, Transport};
use super::notice::ImportRefusal;
use super::rib::Route;
use crate::id::{Asn, Prefix};
use crate::rpki::Validity;
use crate::wire::bgp::{AsPath, Attributes, Community, LargeCommunity, MpNextHop, Origin};
use alloc::boxed::Box;
use core::net::{IpAddr, Ipv6Addr};
use prefix_trie::joint::JointPrefixSet;
use serde::{Deserialize, Serialize};

/// The first data part of our large communities: a route's class.
const CLASS: u32 = 1;
/// The longest prefixes that networks tell one another.
const LONGEST_V4: u8 = 24;
const LONGEST_V6: u8 = 48;
/// The shortest: whoever announces more claims parts of the world that are several registries', as
/// the two halves of a default route do.
const SHORTEST_V4: u8 = 8;
const SHORTEST_V6: u8 = 16;

/// Where the network got a route from. The order is that of trust, the most trusted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Class {
    Own,
    Customer,
    Peer,
    Provider,
}

impl Class {
    fn number(self) -> u32 {
        self as u32
    }

    /// As marked. Of several marks the least trusted counts.
    fn of(attributes: &Attributes, public_asn: Asn) -> Option<Class> {
        let marks = attributes.large_communities.iter();
        let ours = marks.filter(|it| it.global_administrator == public_asn.0 && it.data1 == CLASS);
        ours.filter_map(|mark| match mark.data2 {
            0 => Some(Class::Own),
            1 => Some(Class::Customer),
            2 => Some(Class::Peer),
            3 => Some(Class::Provider),
            _ => None,
        })
        .max()
    }

    fn local_preference(self) -> u32 {
        match self {
            Class::Own => 400,
            Class::Customer => 300,
            Class::Peer => 200,
            Class::Provider => 100,
        }
    }
}

impl From<Role> for Class {
    fn from(role: Role) -> Class {
        match role {
            Role::Provider => Class::Provider,
            Role::Peer => Class::Peer,
            Role::Customer => Class::Customer,
        }
    }
}

/// Why a route is not told to a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "not-told")]
pub enum ExportRefusal {
    /// It is the neighbour's own.
    BackToSource,
    /// The neighbour's AS number stands in the path: it would refuse it.
    WouldLoop,
    /// A well-known community keeps it here (RFC 1997).
    KeptByCommunity,
    /// To the outside: nothing says what it is, so nobody hears of it.
    NoClass,
    /// To the outside: a peer's or provider's route, and the neighbour is no customer.
    NotForThem,
    /// To the outside: for customers only, as somebody on its way has said (RFC 9234 5).
    OnlyToCustomers,
    /// To the outside: within our own prefixes and not one of them.
    NotExactlyOwn,
    /// To the outside: no other network takes such a prefix.
    NotForAnyone(ImportRefusal),
}

/// The lists of a configuration, ready for look-ups.
#[derive(Debug, Default)]
pub(super) struct Tables {
    bogons: JointPrefixSet<Prefix>,
    own: JointPrefixSet<Prefix>,
}

impl Tables {
    pub fn new(config: &SpeakerConfig) -> Tables {
        Tables { bogons: set(&config.bogons), own: set(&config.own_prefixes) }
    }

    /// Whether it is one of our own prefixes or within one.
    pub fn is_own(&self, prefix: &Prefix) -> bool {
        self.own.is_covered(prefix)
    }

    /// What no network tells another.
    fn check_global(&self, prefix: &Prefix) -> Result<(), ImportRefusal> {
        if prefix.prefix_len() == 0 {
            return Err(ImportRefusal::Default);
        }
        let shortest = if prefix.addr().is_ipv4() { SHORTEST_V4 } else { SHORTEST_V6 };
        match self.bogons.get_spm(prefix) {
            Some(within) => Err(ImportRefusal::Bogon { within }),
            None if prefix.prefix_len() < shortest => Err(ImportRefusal::TooShort),
            None => Ok(()),
        }
    }
}

pub(super) fn set(prefixes: &[Prefix]) -> JointPrefixSet<Prefix> {
    prefixes.iter().map(Prefix::trunc).collect()
}

fn check_length(prefix: &Prefix) -> Result<(), ImportRefusal> {
    let longest = if prefix.addr().is_ipv4() { LONGEST_V4 } else { LONGEST_V6 };
    if prefix.prefix_len() > longest { Err(ImportRefusal::TooLong) } else { Ok(()) }
}

/// The part of import that looks at the prefix alone. `customers`: what the neighbour may announce
/// if it is a customer. `blackhole`: its traffic is to be dropped, which may be asked for any part of what
/// the customer may announce (RFC 7999 3.3).
pub(super) fn import_prefix(
    tables: &Tables,
    relation: &Relation,
    customers: &JointPrefixSet<Prefix>,
    prefix: &Prefix,
    blackhole: bool,
) -> Result<(), ImportRefusal> {
    let Relation::Outside(policy) = relation else { return Ok(()) };
    tables.check_global(prefix)?;
    let stated = policy.role == Role::Customer && customers.is_covered(prefix);
    if let Some(within) = tables.own.get_spm(prefix) {
        // A part of ours that we gave to the customer, of whatever length: it stays inside.
        return if stated { Ok(()) } else { Err(ImportRefusal::OwnPrefix { within }) };
    }
    if !(stated && blackhole) {
        check_length(prefix)?;
    }
    if policy.role == Role::Customer && !stated {
        return Err(ImportRefusal::NotTheCustomers);
    }
    Ok(())
}

/// The part of import that is the same for all prefixes of an UPDATE: what the route becomes here.
pub(super) fn import_attributes(
    config: &SpeakerConfig,
    neighbour: &NeighbourConfig,
    attributes: &Attributes,
    next_hop: IpAddr,
) -> Result<Route, ImportRefusal> {
    let path = &attributes.as_path;
    if path.contains(config.asn) {
        return Err(ImportRefusal::OwnAsInPath { asn: config.asn });
    }
    // RFC 4271 6.3.
    if path.first() != Some(neighbour.remote_asn) {
        return Err(ImportRefusal::FirstAsNotNeighbours { first: path.first() });
    }
    let mut attributes = attributes.clone();
    let class = match &neighbour.relation {
        Relation::Inside { .. } => {
            // The MED of an inside neighbour says nothing: it does not cross the inside.
            attributes.med = None;
            Class::of(&attributes, config.public_asn)
        }
        Relation::Outside(policy) => {
            check_outside_path(config, policy, path)?;
            check_leak(&mut attributes, policy.role, neighbour.remote_asn)?;
            let class = Class::from(policy.role);
            scrub(&mut attributes, config.public_asn);
            mark(&mut attributes, config.public_asn, class);
            take_requests(&mut attributes, neighbour, class);
            Some(class)
        }
    };
    let preference = preference(class, &attributes, config.public_asn);
    let blackhole = attributes.communities.contains(&Community::BLACKHOLE);
    Ok(Route {
        attributes,
        next_hop: Some(next_hop),
        class,
        local_preference: preference,
        discard: blackhole && class == Some(Class::Customer),
        body: None,
    })
}

/// By class and validity. Who has no class is the last choice, but for what is about to go (RFC 8326 4).
pub(super) fn preference(class: Option<Class>, attributes: &Attributes, public_asn: Asn) -> u32 {
    if attributes.communities.contains(&Community::GRACEFUL_SHUTDOWN) {
        return 0;
    }
    class.map_or(50, |class| Validity::of(attributes, public_asn).weigh(class.local_preference()))
}

/// RFC 9234 5, on the way in: a route for customers only does not come from below, nor from beside unless
/// that neighbour itself said so; and what comes from above or beside is for customers only.
fn check_leak(attributes: &mut Attributes, role: Role, neighbour: Asn) -> Result<(), ImportRefusal> {
    match (attributes.only_to_customer, role) {
        (Some(told_by), Role::Customer) => Err(ImportRefusal::Leak { told_by }),
        (Some(told_by), Role::Peer) if told_by != neighbour => Err(ImportRefusal::Leak { told_by }),
        (None, Role::Provider | Role::Peer) => {
            attributes.only_to_customer = Some(neighbour);
            Ok(())
        }
        (Some(_), Role::Provider | Role::Peer) | (None, Role::Customer) => Ok(()),
    }
}

/// What a neighbour outside asks for by well-known communities, put so that all of the inside does it.
fn take_requests(attributes: &mut Attributes, neighbour: &NeighbourConfig, class: Class) {
    if attributes.communities.contains(&Community::BLACKHOLE) {
        if class == Class::Customer {
            // RFC 7999 3.2: it is not to spread beyond us.
            add(attributes, Community::NO_EXPORT);
        } else {
            // RFC 7999 6: with nobody else it was agreed on.
            let others = attributes.communities.iter().filter(|&&it| it != Community::BLACKHOLE);
            attributes.communities = others.copied().collect();
        }
    }
    if neighbour.terms.drain {
        add(attributes, Community::GRACEFUL_SHUTDOWN);
    }
}

fn add(attributes: &mut Attributes, community: Community) {
    if !attributes.communities.contains(&community) {
        attributes.communities = attributes.communities.iter().copied().chain([community]).collect();
    }
}

fn check_outside_path(
    config: &SpeakerConfig,
    policy: &OutsidePolicy,
    path: &AsPath,
) -> Result<(), ImportRefusal> {
    if path.contains(config.public_asn) {
        return Err(ImportRefusal::PublicAsInPath);
    }
    if path.has_set() {
        return Err(ImportRefusal::AsSetInPath);
    }
    let allowed = |asn: Asn| policy.role == Role::Customer && policy.allowed_private_asns.contains(&asn);
    // One of our routers' numbers is never somebody else's, whatever was allowed.
    let bogon = |asn: &Asn| config.inside_asns.contains(asn) || (asn.is_bogon() && !allowed(*asn));
    match path.asns().find(bogon) {
        Some(asn) => Err(ImportRefusal::BogonAsInPath { asn }),
        None => Ok(()),
    }
}

/// Takes away what only we may say, and what may not cross between networks.
fn scrub(attributes: &mut Attributes, public_asn: Asn) {
    let foreign = |it: &&LargeCommunity| it.global_administrator != public_asn.0;
    attributes.large_communities = attributes.large_communities.iter().filter(foreign).copied().collect();
    let transitive = attributes.extended_communities.iter().filter(|it| it.is_transitive());
    attributes.extended_communities = transitive.copied().collect();
}

fn mark(attributes: &mut Attributes, public_asn: Asn, class: Class) {
    let mark = LargeCommunity::new(public_asn.0, CLASS, class.number());
    attributes.large_communities = attributes.large_communities.iter().copied().chain([mark]).collect();
}

/// A route that begins here.
pub(super) fn own_route(config: &SpeakerConfig, discard: bool) -> Route {
    let mut attributes = Attributes { origin: Origin::Igp, ..Attributes::default() };
    mark(&mut attributes, config.public_asn, Class::Own);
    let local_preference = Class::Own.local_preference();
    Route { attributes, next_hop: None, class: Some(Class::Own), local_preference, discard, body: None }
}

/// The next hop on the neighbour's link that an UPDATE means.
pub(super) fn import_next_hop(
    neighbour: &NeighbourConfig,
    remote: IpAddr,
    announced: MpNextHop,
) -> Result<IpAddr, ImportRefusal> {
    let link_local = |address: Ipv6Addr| address.is_unicast_link_local();
    let next_hop = match (&neighbour.transport, announced) {
        // Between two link-local addresses the far end is the only router there is: a global
        // address of it says nothing about how to reach it.
        (Transport::Unnumbered { .. }, MpNextHop::V6Pair { link_local: it, .. } | MpNextHop::V6(it))
            if link_local(it) =>
        {
            IpAddr::V6(it)
        }
        (Transport::Unnumbered { .. }, _) => remote,
        (_, MpNextHop::V4(it)) => IpAddr::V4(it),
        (_, MpNextHop::V6(it)) => IpAddr::V6(it),
        (_, MpNextHop::V6Pair { global, link_local: it }) => {
            let usable = !global.is_unspecified() && !link_local(global);
            IpAddr::V6(if usable { global } else { it })
        }
    };
    let ours = match neighbour.transport {
        Transport::Unnumbered { local, .. } => IpAddr::V6(local),
        Transport::Numbered { local, .. } => local,
    };
    let router = match next_hop {
        IpAddr::V4(it) => !(it.octets()[0] == 0 || it.is_loopback() || it.octets()[0] >= 224),
        IpAddr::V6(it) => !(it.is_unspecified() || it.is_loopback() || it.is_multicast()),
    };
    // RFC 4271 6.3, 5.1.3: between neighbours on one network a next hop is on that network too; by any
    // other nothing can be forwarded.
    let on_link = match (&neighbour.transport, next_hop) {
        (Transport::Numbered { network, .. }, next_hop) => {
            network.contains(&next_hop) || matches!(next_hop, IpAddr::V6(it) if link_local(it))
        }
        (Transport::Unnumbered { .. }, _) => true,
    };
    if router && on_link && next_hop != ours {
        Ok(next_hop)
    } else {
        Err(ImportRefusal::NextHop { next_hop })
    }
}

/// The VTEP of EVPN routes. It is reached through the table of prefixes, from wherever the route came,
/// and may be of either family on any session.
pub(super) fn import_vtep(config: &SpeakerConfig, next_hop: MpNextHop) -> Result<IpAddr, ImportRefusal> {
    let next_hop = match next_hop {
        MpNextHop::V4(it) => IpAddr::V4(it),
        MpNextHop::V6(it) | MpNextHop::V6Pair { global: it, .. } => IpAddr::V6(it),
    };
    let host = match next_hop {
        IpAddr::V4(it) => {
            !(it.octets()[0] == 0 || it.is_loopback() || it.is_link_local() || it.octets()[0] >= 224)
        }
        IpAddr::V6(it) => {
            !(it.is_unspecified() || it.is_loopback() || it.is_unicast_link_local() || it.is_multicast())
        }
    };
    let ours = [config.source_v4.map(IpAddr::V4), config.source_v6.map(IpAddr::V6)];
    // RFC 4271 5.1.3: nobody sends to itself.
    if host && !ours.contains(&Some(next_hop)) {
        Ok(next_hop)
    } else {
        Err(ImportRefusal::NextHop { next_hop })
    }
}

/// The part of export that all routes have in common. Returns the policy of a neighbour outside, which
/// has more to say.
pub(super) fn export_check_inside<'a>(
    neighbour: &'a NeighbourConfig,
    route: &Route,
) -> Result<Option<&'a OutsidePolicy>, ExportRefusal> {
    if route.attributes.communities.contains(&Community::NO_ADVERTISE) {
        return Err(ExportRefusal::KeptByCommunity);
    }
    match &neighbour.relation {
        Relation::Inside { .. } if route.attributes.as_path.contains(neighbour.remote_asn) => {
            Err(ExportRefusal::WouldLoop)
        }
        Relation::Inside { .. } => Ok(None),
        Relation::Outside(policy) => Ok(Some(policy)),
    }
}

/// The part of export that looks at a route and its prefix: whether the neighbour hears of it.
pub(super) fn export_check(
    tables: &Tables,
    neighbour: &NeighbourConfig,
    prefix: &Prefix,
    route: &Route,
) -> Result<(), ExportRefusal> {
    let Some(policy) = export_check_inside(neighbour, route)? else { return Ok(()) };
    let communities = &route.attributes.communities;
    if communities.contains(&Community::NO_EXPORT) || communities.contains(&Community::NO_EXPORT_SUBCONFED) {
        return Err(ExportRefusal::KeptByCommunity);
    }
    // RFC 9234 5, on the way out: beside what the class says, and without it.
    if route.attributes.only_to_customer.is_some() && policy.role != Role::Customer {
        return Err(ExportRefusal::OnlyToCustomers);
    }
    let class = route.class.ok_or(ExportRefusal::NoClass)?;
    if class == Class::Own || tables.own.is_covered(prefix) {
        let exactly = class == Class::Own && tables.own.contains(prefix);
        return if exactly { Ok(()) } else { Err(ExportRefusal::NotExactlyOwn) };
    }
    // What an inside router let in by mistake goes no further.
    tables.check_global(prefix).and_then(|()| check_length(prefix)).map_err(ExportRefusal::NotForAnyone)?;
    match class {
        Class::Customer | Class::Own => Ok(()),
        _ if policy.role == Role::Customer => Ok(()),
        _ => Err(ExportRefusal::NotForThem),
    }
}

/// The part of export that looks at the route alone: what the neighbour hears.
pub(super) fn export_attributes(
    config: &SpeakerConfig,
    neighbour: &NeighbourConfig,
    route: &Route,
) -> Attributes {
    let mut attributes = route.attributes.clone();
    attributes.med = None;
    match &neighbour.relation {
        Relation::Inside { prepends } => {
            let times = usize::from((*prepends).max(1));
            attributes.as_path = attributes.as_path.prepended(config.asn, times);
        }
        Relation::Outside(policy) => {
            // Exactly our routers' numbers are ours to strip. A private one that is left is a
            // customer's who was allowed it: towards others we speak for that customer.
            let inside = |asn: Asn| config.inside_asns.contains(&asn) || asn == config.asn;
            let path = attributes.as_path.without(|asn| inside(asn) || asn.is_private());
            let times = 1 + usize::from(policy.extra_prepends);
            attributes.as_path = path.prepended(config.public_asn, times);
            let leaks = |asn: Asn| inside(asn) || asn.is_private();
            attributes.aggregator = attributes.aggregator.filter(|aggregator| !leaks(aggregator.asn));
            scrub(&mut attributes, config.public_asn);
            // RFC 9234 5.
            if policy.role != Role::Provider && attributes.only_to_customer.is_none() {
                attributes.only_to_customer = Some(config.public_asn);
            }
        }
    }
    if config.draining || neighbour.terms.drain {
        add(&mut attributes, Community::GRACEFUL_SHUTDOWN);
    }
    attributes
}

/// What may be announced by a neighbour that is a customer.
pub(super) fn customers_of(relation: &Relation) -> Box<JointPrefixSet<Prefix>> {
    Box::new(match relation {
        Relation::Inside { .. } => JointPrefixSet::default(),
        Relation::Outside(policy) => set(&policy.customer_prefixes),
    })
}
