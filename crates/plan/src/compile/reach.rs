//! What the hosts of a segment may send to: `allow` and `deny` as rules, first match first.
//!
//! Nothing is remembered of packets that were let through: an answer may come by another router than
//! the question went by. So what is denied is denied to answers as well.

use super::lines::{accept, drop};
use super::segments::{self, Carried};
use super::survey::Survey;
use crate::declaration::{Reach, Segment};
use tsumugi_core::desired::{DropReason, Match, ProtocolMatch, WallRule};
use tsumugi_core::id::Prefix;
use tsumugi_core::mtu::Ip;

/// TCP's port for mail between servers (RFC 5321).
const MAIL: u16 = 25;

/// The rules for what one segment's hosts send on, for the forward hook.
pub fn rules(survey: &Survey<'_>, carried: &Carried<'_>) -> Vec<WallRule> {
    let mut rules = Vec::new();
    let denies = carried.said.denies();
    if denies.is_empty() {
        return rules;
    }
    for reach in carried.said.allows() {
        rules.extend(matches(survey, carried, reach).into_iter().map(accept));
    }
    // What is narrower comes first; what lies outside is what is left when our own has been let by.
    let mut sorted: Vec<&Reach> = denies.iter().map(|reach| reach.get()).collect();
    sorted.sort_by_key(|reach| match reach {
        Reach::Mail => 0,
        Reach::Segment(_) | Reach::Segments | Reach::Management => 1,
        Reach::Network => 2,
        Reach::Outside => 3,
    });
    for reach in sorted {
        match reach {
            Reach::Mail => {
                let all = matches(survey, carried, reach);
                rules.extend(all.into_iter().map(|matches| drop(DropReason::MailFromSegment, matches)));
            }
            Reach::Network => {
                let pings = to(carried, survey.network().loopbacks.iter().map(|pool| **pool));
                rules.extend(
                    pings
                        .into_iter()
                        .map(|matches| accept(Match { protocol: Some(ProtocolMatch::Icmp), ..matches })),
                );
                rules.extend(matches(survey, carried, reach).into_iter().map(denied));
            }
            Reach::Outside => {
                rules.extend(matches(survey, carried, &Reach::Network).into_iter().map(accept));
                rules.push(denied(from(carried)));
            }
            Reach::Segments | Reach::Segment(_) => {
                rules.extend(matches(survey, carried, reach).into_iter().map(denied));
            }
            // There is no way from plane to plane that could be closed.
            Reach::Management => {}
        }
    }
    rules
}

fn denied(matches: Match) -> WallRule {
    drop(DropReason::DeniedToSegment, matches)
}

fn from(carried: &Carried<'_>) -> Match {
    Match { iif: vec![carried.bridge.clone()], ..Match::default() }
}

/// A match for each family of these destinations.
fn to(carried: &Carried<'_>, all: impl Iterator<Item = Prefix>) -> Vec<Match> {
    let all: Vec<Prefix> = all.collect();
    Ip::BOTH
        .into_iter()
        .map(|ip| -> Vec<Prefix> {
            all.iter().filter(|prefix| prefix.addr().is_ipv6() == (ip == Ip::V6)).copied().collect()
        })
        .filter(|of_family| !of_family.is_empty())
        .map(|of_family| Match { to: of_family, ..from(carried) })
        .collect()
}

/// What a word means, as destinations and ports.
fn matches(survey: &Survey<'_>, carried: &Carried<'_>, reach: &Reach) -> Vec<Match> {
    let networks = |segment: &Segment| -> Vec<Prefix> {
        segments::gateways(segment).map(|prefix| prefix.trunc()).collect()
    };
    let all = &survey.declaration.segments;
    match reach {
        Reach::Mail => {
            let protocol = Some(ProtocolMatch::Tcp { ports: vec![MAIL], either: false });
            vec![Match { protocol, ..from(carried) }]
        }
        Reach::Segments => {
            let others = all.iter().filter(|segment| segment.name != carried.said.name);
            to(carried, others.flat_map(networks))
        }
        Reach::Segment(name) => {
            let named = all.iter().filter(|segment| *segment.name == *name);
            to(carried, named.flat_map(networks))
        }
        Reach::Network => to(carried, survey.network().prefixes.iter().map(|prefix| **prefix)),
        // What is not the AS's own: said by what is left when that was refused.
        Reach::Outside | Reach::Management => Vec::new(),
    }
}
