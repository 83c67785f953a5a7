//! What customers ask for with their routes, where those leave: lists and a map for each network to which
//! they do, and which has one role.

use super::Side;
use super::map::Map;
use crate::frr::configuration::Text;
use std::collections::BTreeSet;
use tsumugi_core::bgp::config::{Role, SpeakerConfig};
use tsumugi_core::bgp::policy::request::{self, CODES, Request, Target};
use tsumugi_core::bgp::policy::rule::ExportRule;
use tsumugi_core::id::Asn;

/// Its map, and the beginning of its lists' names.
pub fn name(asn: Asn, role: Role) -> String {
    format!("asked-{}-{}", asn.0, request::kind(role))
}

/// The list of the communities that ask for it there.
fn list(name: &str, request: Request) -> String {
    match request {
        Request::NotTo => format!("{name}-not-to"),
        Request::Prepend(times) => format!("{name}-prepend-{times}"),
        Request::OnlyTo => format!("{name}-to"),
    }
}

/// Who may be asked about.
fn concerned(config: &SpeakerConfig) -> BTreeSet<(Asn, u32, String)> {
    let sides = Side::all(config);
    let rules = sides.flat_map(|side| side.rules.export);
    let asking = rules.filter_map(|rule| match rule {
        ExportRule::ObeyRequests { asn, role } => Some((asn, request::kind(role), name(asn, role))),
        _ => None,
    });
    asking.collect()
}

pub fn lists(text: &mut Text, config: &SpeakerConfig) {
    let public = config.public_asn.0;
    text.comment("What customers may ask for with a route of theirs, towards each.");
    for (asn, kind, name) in concerned(config) {
        text.line(format!("bgp as-path access-list {name}-own seq 5 permit _{}_", asn.0));
        let mut seq = 0;
        for (code, request, target) in CODES {
            let targets = match target {
                Target::As => vec![asn.0],
                Target::Kind => vec![0, kind],
            };
            for target in targets {
                seq += 5;
                let list = list(&name, request);
                text.line(format!(
                    "bgp large-community-list standard {list} seq {seq} permit {public}:{code}:{target}"
                ));
            }
        }
    }
}

/// Nobody else's routes come here with such a community: it was taken away where they came in.
pub fn maps(text: &mut Text, config: &SpeakerConfig) {
    for (_, _, name) in concerned(config) {
        let matches = |request| format!("match large-community {}", list(&name, request));
        let mut map = Map::new(text, &name, "As customers ask.");
        // FRR would tell a neighbour its own routes.
        map.deny(&format!("match as-path {name}-own"));
        map.deny(&matches(Request::NotTo));
        // To some only: is this one of them?
        map.skip_one(&matches(Request::OnlyTo));
        map.deny("match large-community asked-only-to");
        for times in [3, 2, 1] {
            let prepend = prepend(config.public_asn, times.into());
            map.entry("permit", &[&matches(Request::Prepend(times)), &prepend]);
        }
        map.end();
    }
}

pub fn prepend(asn: Asn, times: usize) -> String {
    format!("set as-path prepend {}", vec![asn.0.to_string(); times].join(" "))
}
