//! The rules that a neighbour's role and its own words come to. They are what the speaker runs, one after
//! the other, and what `explain policy` reads out: neither knows of anything that does not stand here.

use super::Class;
use crate::bgp::config::{Invalid, NeighbourConfig, OutsidePolicy, Relation, Role, SpeakerConfig};
use crate::id::Asn;
use alloc::vec;
use alloc::vec::Vec;
use serde::Serialize;

/// All that happens to routes on one session with a neighbour outside, in the order in which it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rules {
    /// On the way in, once for all prefixes of an UPDATE.
    pub path: Vec<PathRule>,
    /// On the way in, for each prefix.
    pub prefix: Vec<PrefixRule>,
    /// What becomes of those that RPKI calls invalid, after all of these.
    pub invalid: Invalid,
    /// What the routes are here: their class gives the local preference.
    pub class: Class,
    /// On the way out: who fails one of these is not told.
    pub export: Vec<ExportRule>,
    /// On the way out: what is told.
    pub change: Vec<ExportChange>,
}

/// Of a path with its attributes, on the way in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "rule")]
pub enum PathRule {
    /// It has been at this router (RFC 4271 9.1.2).
    RefuseOwnAs { asn: Asn },
    /// It begins with another than the neighbour (RFC 4271 6.3).
    RefuseOtherFirstAs { neighbour: Asn },
    /// It names nobody. A route server does not stand in the path itself (RFC 7947 2.2.2.1).
    RefuseNoFirstAs,
    /// It has been in our network.
    RefusePublicAs { asn: Asn },
    /// RFC 9774.
    RefuseAsSets,
    /// It names an AS number that nobody outside has, or one of our routers'.
    RefuseBogonAs { except: Vec<Asn> },
    /// It comes by one of these networks.
    RefuseVia { asns: Vec<Asn> },
    /// It begins at none of these networks.
    RefuseOtherOrigins { asns: Vec<Asn> },
    /// Somebody has said that it is for customers only, which we are not here (RFC 9234 5). `but_by`: who may
    /// have said so all the same.
    RefuseForCustomersOnly { but_by: Option<Asn> },
    /// RFC 9234 5: unless somebody has already.
    MarkForCustomersOnly { by: Asn },
    /// What only we may say, and what may not cross between networks (RFC 4360 2). `but_requests`: what a
    /// customer may ask for stays.
    TakeAwayOurs { asn: Asn, but_requests: bool },
    /// In a large community of ours.
    MarkClass { asn: Asn, class: Class },
    /// RFC 7999: its traffic is dropped, and nobody else is told (3.2).
    ObeyBlackhole,
    /// RFC 7999 6: it was agreed on with nobody else.
    IgnoreBlackhole,
    /// RFC 8326: the session is about to go.
    MarkShutdown,
}

/// Of a prefix, on the way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "rule")]
pub enum PrefixRule {
    RefuseDefault,
    /// What nobody may announce (RFC 6890).
    RefuseBogons,
    /// Shorter than /8 or /16.
    RefuseShort,
    /// Ours, or a part of it. `but_lent`: unless it is listed as the customer's. Such a part is taken as it is.
    RefuseOurs {
        but_lent: bool,
    },
    /// Longer than /24 or /48. `but_blackhole`: unless its traffic is to be dropped and it is within what is
    /// listed.
    RefuseLong {
        but_blackhole: bool,
    },
    /// Not listed. `customer`: the list says what the customer has.
    RefuseUnlisted {
        customer: bool,
    },
}

/// Of a route with its prefix, on the way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "rule")]
pub enum ExportRule {
    /// Well-known communities keep it here (RFC 1997).
    KeepByCommunity,
    /// Somebody has said that it is for customers only (RFC 9234 5).
    KeepForCustomersOnly,
    /// Nothing says what it is.
    KeepUnclassed,
    /// Of ours only the very prefixes of the file.
    KeepPartsOfOurs,
    /// No network takes it.
    KeepUnroutable,
    /// All other classes stay here.
    OnlyClasses { classes: Vec<Class> },
    /// The file says what may be announced: it is neither this nor within.
    OnlyAnnounced,
    /// The file says that it is withheld.
    KeepWithheld,
    /// The customer has asked for it, of `asn` or of its kind.
    ObeyRequests { asn: Asn, role: Role },
}

/// What a route that leaves becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum ExportChange {
    /// It says nothing to them of ours.
    TakeMed,
    /// Our routers' AS numbers and customers' private ones, from the path and the aggregator.
    StripInside,
    /// As many times more as the customer asks for, of `neighbour` or of its kind.
    Prepend { asn: Asn, times: u8, neighbour: Asn, role: Role },
    /// See [`PathRule::TakeAwayOurs`].
    TakeAwayOurs { asn: Asn },
    /// RFC 9234 5: unless somebody has already.
    MarkForCustomersOnly { by: Asn },
    /// RFC 8326: the session or the router is about to go.
    MarkShutdown,
}

impl Rules {
    /// `None`: another router of the network.
    pub fn of(config: &SpeakerConfig, neighbour: &NeighbourConfig) -> Option<Rules> {
        let Relation::Outside(policy) = &neighbour.relation else { return None };
        Some(Rules {
            path: path(config, neighbour, policy),
            prefix: prefix(policy),
            invalid: policy.invalid,
            class: policy.role.into(),
            export: export(neighbour, policy),
            change: change(config, neighbour, policy),
        })
    }
}

fn path(config: &SpeakerConfig, neighbour: &NeighbourConfig, policy: &OutsidePolicy) -> Vec<PathRule> {
    let (ours, theirs) = (config.public_asn, neighbour.remote_asn);
    let customer = policy.role == Role::Customer;
    let mut rules = vec![
        PathRule::RefuseOwnAs { asn: config.asn },
        match policy.role {
            Role::RouteServer => PathRule::RefuseNoFirstAs,
            _ => PathRule::RefuseOtherFirstAs { neighbour: theirs },
        },
        PathRule::RefusePublicAs { asn: ours },
        PathRule::RefuseAsSets,
        PathRule::RefuseBogonAs {
            except: if customer { policy.allowed_private_asns.clone() } else { Vec::new() },
        },
    ];
    if !policy.never_via.is_empty() {
        rules.push(PathRule::RefuseVia { asns: policy.never_via.clone() });
    }
    if !policy.origins.is_empty() {
        rules.push(PathRule::RefuseOtherOrigins { asns: policy.origins.clone() });
    }
    // RFC 9234 5, on the way in: a route for customers only does not come from below, nor from beside unless
    // that neighbour itself said so; and what comes from above or beside is for customers only.
    rules.extend(match policy.role {
        Role::Customer => vec![PathRule::RefuseForCustomersOnly { but_by: None }],
        Role::Peer => vec![
            PathRule::RefuseForCustomersOnly { but_by: Some(theirs) },
            PathRule::MarkForCustomersOnly { by: theirs },
        ],
        Role::Provider | Role::RouteServer => vec![PathRule::MarkForCustomersOnly { by: theirs }],
    });
    rules.extend([
        PathRule::TakeAwayOurs { asn: ours, but_requests: customer },
        PathRule::MarkClass { asn: ours, class: policy.role.into() },
        if customer { PathRule::ObeyBlackhole } else { PathRule::IgnoreBlackhole },
    ]);
    if neighbour.terms.drain {
        rules.push(PathRule::MarkShutdown);
    }
    rules
}

fn prefix(policy: &OutsidePolicy) -> Vec<PrefixRule> {
    let customer = policy.role == Role::Customer;
    let mut rules = vec![
        PrefixRule::RefuseDefault,
        PrefixRule::RefuseBogons,
        PrefixRule::RefuseShort,
        PrefixRule::RefuseOurs { but_lent: customer },
        PrefixRule::RefuseLong { but_blackhole: customer },
    ];
    // A customer of whom nothing is listed may announce nothing.
    if customer || policy.listed.is_some() {
        rules.push(PrefixRule::RefuseUnlisted { customer });
    }
    rules
}

fn export(neighbour: &NeighbourConfig, policy: &OutsidePolicy) -> Vec<ExportRule> {
    // The word alone makes no customer, which hears everything: something must be listed as its own, too.
    let listed = policy.listed.as_ref().is_some_and(|listed| !listed.is_empty());
    let customer = policy.role == Role::Customer && listed;
    let mut rules = vec![ExportRule::KeepByCommunity];
    if !customer {
        rules.push(ExportRule::KeepForCustomersOnly);
    }
    let mut classes = vec![Class::Own, Class::Customer];
    if customer {
        classes.extend([Class::Peer, Class::Provider]);
    }
    rules.extend([
        ExportRule::KeepUnclassed,
        ExportRule::KeepPartsOfOurs,
        ExportRule::KeepUnroutable,
        ExportRule::OnlyClasses { classes },
    ]);
    if policy.announce.is_some() {
        rules.push(ExportRule::OnlyAnnounced);
    }
    if !policy.withhold.is_empty() {
        rules.push(ExportRule::KeepWithheld);
    }
    rules.push(ExportRule::ObeyRequests { asn: neighbour.remote_asn, role: policy.role });
    rules
}

fn change(config: &SpeakerConfig, neighbour: &NeighbourConfig, policy: &OutsidePolicy) -> Vec<ExportChange> {
    let ours = config.public_asn;
    let times = policy.extra_prepends.saturating_add(1);
    let mut changes = vec![
        ExportChange::TakeMed,
        ExportChange::StripInside,
        ExportChange::Prepend { asn: ours, times, neighbour: neighbour.remote_asn, role: policy.role },
        ExportChange::TakeAwayOurs { asn: ours },
    ];
    // RFC 9234 5: towards those below and beside.
    if matches!(policy.role, Role::Customer | Role::Peer) {
        changes.push(ExportChange::MarkForCustomersOnly { by: ours });
    }
    if config.draining || neighbour.terms.drain {
        changes.push(ExportChange::MarkShutdown);
    }
    changes
}
