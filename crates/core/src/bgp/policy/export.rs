//! On the way out: the rules carried out.

use super::import::{check_long, check_short};
use super::rule::{ExportChange, ExportRule};
use super::{Class, ExportRefusal, Policy, Tables, add, request, scrub};
use crate::bgp::config::{NeighbourConfig, Relation, SpeakerConfig};
use crate::bgp::rib::Route;
use crate::id::{Asn, Prefix};
use crate::wire::bgp::{Attributes, Community};

/// The part of export that all routes have in common.
pub(in crate::bgp) fn export_check_inside(
    neighbour: &NeighbourConfig,
    route: &Route,
) -> Result<(), ExportRefusal> {
    if route.attributes.communities.contains(&Community::NO_ADVERTISE) {
        return Err(ExportRefusal::KeptByCommunity);
    }
    let inside = matches!(neighbour.relation, Relation::Inside { .. });
    if inside && route.attributes.as_path.contains(neighbour.remote_asn) {
        return Err(ExportRefusal::WouldLoop);
    }
    Ok(())
}

/// The part of export that looks at a route and its prefix: whether the neighbour hears of it. `policy`:
/// `None` inside.
pub(in crate::bgp) fn export_check(
    config: &SpeakerConfig,
    tables: &Tables,
    neighbour: &NeighbourConfig,
    policy: Option<&Policy>,
    prefix: &Prefix,
    route: &Route,
) -> Result<(), ExportRefusal> {
    export_check_inside(neighbour, route)?;
    let Some(policy) = policy else {
        let inside = matches!(neighbour.relation, Relation::Inside { .. });
        return if inside { Ok(()) } else { Err(ExportRefusal::NotForThem) };
    };
    let reason = |rule: &ExportRule| refusal(rule, config, tables, policy, prefix, route);
    policy.rules.export.iter().find_map(reason).map_or(Ok(()), Err)
}

/// Why a rule keeps a route here, if it does.
fn refusal(
    rule: &ExportRule,
    config: &SpeakerConfig,
    tables: &Tables,
    policy: &Policy,
    prefix: &Prefix,
    route: &Route,
) -> Option<ExportRefusal> {
    let (refused, reason) = match rule {
        ExportRule::KeepByCommunity => {
            let kept = [Community::NO_EXPORT, Community::NO_EXPORT_SUBCONFED, Community::NO_ADVERTISE];
            let communities = &route.attributes.communities;
            (communities.iter().any(|it| kept.contains(it)), ExportRefusal::KeptByCommunity)
        }
        // RFC 9234 5, on the way out: beside what the class says, and without it.
        ExportRule::KeepForCustomersOnly => {
            (route.attributes.only_to_customer.is_some(), ExportRefusal::OnlyToCustomers)
        }
        ExportRule::KeepUnclassed => (route.class.is_none(), ExportRefusal::NoClass),
        ExportRule::KeepPartsOfOurs => {
            let ours = route.class == Some(Class::Own);
            let exactly = ours && tables.own.contains(prefix);
            ((ours || tables.own.is_covered(prefix)) && !exactly, ExportRefusal::NotExactlyOwn)
        }
        ExportRule::KeepUnroutable => {
            // What an inside router let in by mistake goes no further. That ours may be announced, the
            // compiler has seen.
            let check = || {
                tables.check_default(prefix)?;
                tables.check_bogon(prefix)?;
                check_short(prefix)?;
                check_long(prefix)
            };
            let ours = route.class == Some(Class::Own) && tables.own.contains(prefix);
            return if ours { None } else { check().err().map(ExportRefusal::NotForAnyone) };
        }
        ExportRule::OnlyClasses { classes } => {
            (!route.class.is_some_and(|class| classes.contains(&class)), ExportRefusal::NotForThem)
        }
        ExportRule::OnlyAnnounced => (!policy.announce.is_covered(prefix), ExportRefusal::NotAnnounced),
        ExportRule::KeepWithheld => (policy.withhold.is_covered(prefix), ExportRefusal::Withheld),
        ExportRule::ObeyRequests { asn, role } => {
            let asked = request::asked(&route.attributes, route.class, config.public_asn, *asn, *role);
            (asked.withheld, ExportRefusal::AskedNotTo)
        }
    };
    refused.then_some(reason)
}

/// The part of export that looks at the route alone: what the neighbour hears. `policy`: `None` inside.
pub(in crate::bgp) fn export_attributes(
    config: &SpeakerConfig,
    neighbour: &NeighbourConfig,
    policy: Option<&Policy>,
    route: &Route,
) -> Attributes {
    let mut attributes = route.attributes.clone();
    if let Some(policy) = policy {
        for change in &policy.rules.change {
            carry_out(change, config, route, &mut attributes);
        }
        return attributes;
    }
    attributes.med = None;
    let prepends = match neighbour.relation {
        Relation::Inside { prepends } => prepends.max(1),
        Relation::Outside(_) => 1,
    };
    attributes.as_path = attributes.as_path.prepended(config.asn, prepends.into());
    if config.draining || neighbour.terms.drain {
        add(&mut attributes, Community::GRACEFUL_SHUTDOWN);
    }
    attributes
}

fn carry_out(change: &ExportChange, config: &SpeakerConfig, route: &Route, attributes: &mut Attributes) {
    match change {
        ExportChange::TakeMed => attributes.med = None,
        ExportChange::StripInside => {
            // Exactly our routers' numbers are ours to strip. A private one that is left is a
            // customer's who was allowed it: towards others we speak for that customer.
            let inside = |asn: Asn| config.inside_asns.contains(&asn) || asn == config.asn;
            let strip = |asn: Asn| inside(asn) || asn.is_private();
            attributes.as_path = attributes.as_path.without(strip);
            attributes.aggregator = attributes.aggregator.filter(|aggregator| !strip(aggregator.asn));
        }
        ExportChange::Prepend { asn, times, neighbour, role } => {
            let asked = request::asked(&route.attributes, route.class, config.public_asn, *neighbour, *role);
            let times = usize::from(*times) + usize::from(asked.prepends);
            attributes.as_path = attributes.as_path.prepended(*asn, times);
        }
        ExportChange::TakeAwayOurs { asn } => scrub(attributes, *asn, |_| false),
        ExportChange::MarkForCustomersOnly { by } => {
            attributes.only_to_customer.get_or_insert(*by);
        }
        ExportChange::MarkShutdown => add(attributes, Community::GRACEFUL_SHUTDOWN),
    }
}
