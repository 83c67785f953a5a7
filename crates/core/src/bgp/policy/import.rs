//! On the way in: the rules carried out.

use super::rule::{PathRule, PrefixRule};
use super::{
    Class, LONGEST_V4, LONGEST_V6, Policy, SHORTEST_V4, SHORTEST_V6, Tables, add, preference, request, scrub,
};
use crate::bgp::config::{NeighbourConfig, SpeakerConfig};
use crate::bgp::notice::ImportRefusal;
use crate::bgp::rib::Route;
use crate::id::{Asn, Prefix};
use crate::wire::bgp::{Attributes, Community, LargeCommunity};
use core::net::IpAddr;

/// The part of import that looks at the prefix alone. `policy`: `None` inside. `blackhole`: its traffic is
/// to be dropped, which may be asked for any part of what is listed (RFC 7999 3.3).
pub(in crate::bgp) fn import_prefix(
    tables: &Tables,
    policy: Option<&Policy>,
    prefix: &Prefix,
    blackhole: bool,
) -> Result<(), ImportRefusal> {
    let Some(policy) = policy else { return Ok(()) };
    for rule in &policy.rules.prefix {
        match rule {
            PrefixRule::RefuseDefault => tables.check_default(prefix)?,
            PrefixRule::RefuseBogons => tables.check_bogon(prefix)?,
            PrefixRule::RefuseShort => check_short(prefix)?,
            PrefixRule::RefuseOurs { but_lent } => {
                if let Some(within) = tables.own.get_spm(prefix) {
                    // A part of ours that we gave to the customer, of whatever length: it stays inside.
                    let lent = *but_lent && policy.listed.covers(prefix);
                    return if lent { Ok(()) } else { Err(ImportRefusal::OwnPrefix { within }) };
                }
            }
            PrefixRule::RefuseLong { but_blackhole } => {
                if !(*but_blackhole && blackhole && policy.listed.covers(prefix)) {
                    check_long(prefix)?;
                }
            }
            PrefixRule::RefuseUnlisted { customer } => {
                let within = *customer && blackhole && policy.listed.covers(prefix);
                match (within || policy.listed.admits(prefix), customer) {
                    (true, _) => {}
                    (false, true) => return Err(ImportRefusal::NotTheCustomers),
                    (false, false) => return Err(ImportRefusal::NotListed),
                }
            }
        }
    }
    Ok(())
}

pub(super) fn check_short(prefix: &Prefix) -> Result<(), ImportRefusal> {
    let shortest = if prefix.addr().is_ipv4() { SHORTEST_V4 } else { SHORTEST_V6 };
    if prefix.prefix_len() < shortest { Err(ImportRefusal::TooShort) } else { Ok(()) }
}

pub(super) fn check_long(prefix: &Prefix) -> Result<(), ImportRefusal> {
    let longest = if prefix.addr().is_ipv4() { LONGEST_V4 } else { LONGEST_V6 };
    if prefix.prefix_len() > longest { Err(ImportRefusal::TooLong) } else { Ok(()) }
}

/// The part of import that is the same for all prefixes of an UPDATE: what the route becomes here.
/// `policy`: `None` inside.
pub(in crate::bgp) fn import_attributes(
    config: &SpeakerConfig,
    neighbour: &NeighbourConfig,
    policy: Option<&Policy>,
    attributes: &Attributes,
    next_hop: IpAddr,
) -> Result<Route, ImportRefusal> {
    let mut attributes = attributes.clone();
    match policy {
        Some(policy) => {
            for rule in &policy.rules.path {
                carry_out(rule, config, &mut attributes)?;
            }
        }
        None => {
            check_own_as(config.asn, &attributes)?;
            check_first(neighbour.remote_asn, &attributes)?;
            // The MED of an inside neighbour says nothing: it does not cross the inside.
            attributes.med = None;
        }
    }
    // What a neighbour outside is, is what the rules have marked: who is not marked is nothing.
    let class = Class::of(&attributes, config.public_asn);
    let preference = preference(class, &attributes, config.public_asn);
    let blackhole = attributes.communities.contains(&Community::BLACKHOLE);
    Ok(Route {
        attributes,
        next_hop: Some(next_hop),
        class,
        local_preference: preference,
        discard: blackhole && class == Some(Class::Customer),
        body: None,
        path_id: 0,
    })
}

fn carry_out(
    rule: &PathRule,
    config: &SpeakerConfig,
    attributes: &mut Attributes,
) -> Result<(), ImportRefusal> {
    let path = &attributes.as_path;
    match rule {
        PathRule::RefuseOwnAs { asn } => check_own_as(*asn, attributes)?,
        PathRule::RefuseOtherFirstAs { neighbour } => check_first(*neighbour, attributes)?,
        PathRule::RefuseNoFirstAs => {
            path.first().ok_or(ImportRefusal::FirstAsNotNeighbours { first: None })?;
        }
        PathRule::RefusePublicAs { asn } if path.contains(*asn) => return Err(ImportRefusal::PublicAsInPath),
        PathRule::RefusePublicAs { .. } => {}
        PathRule::RefuseAsSets if path.has_set() => return Err(ImportRefusal::AsSetInPath),
        PathRule::RefuseAsSets => {}
        PathRule::RefuseBogonAs { except } => {
            // One of our routers' numbers is never somebody else's, whatever was allowed.
            let bogon =
                |asn: &Asn| config.inside_asns.contains(asn) || (asn.is_bogon() && !except.contains(asn));
            if let Some(asn) = path.asns().find(bogon) {
                return Err(ImportRefusal::BogonAsInPath { asn });
            }
        }
        PathRule::RefuseVia { asns } => {
            if let Some(asn) = path.asns().find(|asn| asns.contains(asn)) {
                return Err(ImportRefusal::Via { asn });
            }
        }
        PathRule::RefuseOtherOrigins { asns } => {
            let origin = path.asns().last();
            if !origin.is_some_and(|origin| asns.contains(&origin)) {
                return Err(ImportRefusal::OriginNotListed { origin });
            }
        }
        PathRule::RefuseForCustomersOnly { but_by } => match attributes.only_to_customer {
            Some(told_by) if Some(told_by) != *but_by => return Err(ImportRefusal::Leak { told_by }),
            _ => {}
        },
        PathRule::MarkForCustomersOnly { by } => {
            attributes.only_to_customer.get_or_insert(*by);
        }
        PathRule::TakeAwayOurs { asn, but_requests } => {
            scrub(attributes, *asn, |it| *but_requests && request::is_request(it, *asn));
        }
        PathRule::MarkClass { asn, class } => mark(attributes, *asn, *class),
        PathRule::ObeyBlackhole => {
            if attributes.communities.contains(&Community::BLACKHOLE) {
                // RFC 7999 3.2: it is not to spread beyond us.
                add(attributes, Community::NO_EXPORT);
            }
        }
        PathRule::IgnoreBlackhole => {
            if attributes.communities.contains(&Community::BLACKHOLE) {
                let others = attributes.communities.iter().filter(|&&it| it != Community::BLACKHOLE);
                attributes.communities = others.copied().collect();
            }
        }
        PathRule::MarkShutdown => add(attributes, Community::GRACEFUL_SHUTDOWN),
    }
    Ok(())
}

fn check_own_as(asn: Asn, attributes: &Attributes) -> Result<(), ImportRefusal> {
    if attributes.as_path.contains(asn) { Err(ImportRefusal::OwnAsInPath { asn }) } else { Ok(()) }
}

/// RFC 4271 6.3.
fn check_first(neighbour: Asn, attributes: &Attributes) -> Result<(), ImportRefusal> {
    match attributes.as_path.first() {
        Some(first) if first == neighbour => Ok(()),
        first => Err(ImportRefusal::FirstAsNotNeighbours { first }),
    }
}

pub(super) fn mark(attributes: &mut Attributes, public_asn: Asn, class: Class) {
    let mark = LargeCommunity::new(public_asn.0, super::CLASS, class.number());
    attributes.large_communities = attributes.large_communities.iter().copied().chain([mark]).collect();
}
