//! What a neighbour's paths may not hold: one list for each, of what is refused.

use super::word;
use crate::frr::asn;
use crate::frr::configuration::Text;
use tsumugi_core::bgp::config::{NeighbourConfig, SpeakerConfig};
use tsumugi_core::bgp::policy::Rules;
use tsumugi_core::bgp::policy::rule::PathRule;
use tsumugi_core::id::Asn;

/// What a map asks of the neighbour's list.
pub fn refused(neighbour: &NeighbourConfig) -> String {
    format!("match as-path {}-path", word(&neighbour.name))
}

pub fn lists(text: &mut Text, config: &SpeakerConfig) {
    for neighbour in &config.neighbours {
        if let Some(rules) = Rules::of(config, neighbour) {
            list(text, config, neighbour, &rules.path);
        }
    }
}

fn list(text: &mut Text, config: &SpeakerConfig, neighbour: &NeighbourConfig, rules: &[PathRule]) {
    let numbers = |asns: &[Asn]| asns.iter().map(|asn| asn.0.to_string()).collect::<Vec<_>>();
    let mut refused = Vec::new();
    let mut allowed = Vec::new();
    for rule in rules {
        match rule {
            // FRR's own check, and `enforce-first-as`.
            PathRule::RefuseOwnAs { .. } | PathRule::RefuseOtherFirstAs { .. } => {}
            PathRule::RefuseNoFirstAs => refused.push("^$".to_owned()),
            PathRule::RefusePublicAs { asn } => refused.push(format!("_{}_", asn.0)),
            PathRule::RefuseAsSets => refused.push("[{(]".to_owned()),
            PathRule::RefuseBogonAs { except } => refused.push(asn::refused(except, &config.inside_asns)),
            PathRule::RefuseVia { asns } => refused.push(asn::anywhere(&numbers(asns))),
            PathRule::RefuseOtherOrigins { asns } => {
                allowed.push(format!("_({})$", numbers(asns).join("|")));
            }
            // `local-role`.
            PathRule::RefuseForCustomersOnly { .. } | PathRule::MarkForCustomersOnly { .. } => {}
            // Changes of the map.
            PathRule::TakeAwayOurs { .. }
            | PathRule::MarkClass { .. }
            | PathRule::ObeyBlackhole
            | PathRule::IgnoreBlackhole
            | PathRule::MarkShutdown => {}
        }
    }
    text.comment("Never in a path of it: our own number, AS_SETs, numbers that are nobody's.");
    let mut seq = 0;
    let mut entry = |verdict: &str, expression: &str| {
        seq += 5;
        let name = word(&neighbour.name);
        text.line(format!("bgp as-path access-list {name}-path seq {seq} {verdict} {expression}"));
    };
    refused.iter().for_each(|expression| entry("permit", expression));
    if !allowed.is_empty() {
        allowed.iter().for_each(|expression| entry("deny", expression));
        entry("permit", ".*");
    }
}
