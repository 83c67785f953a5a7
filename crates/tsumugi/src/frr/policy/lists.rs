//! Lists of communities and of prefixes.

use super::{CLASSES, FAMILIES, Side, asked, ip, paths, short};
use crate::frr::configuration::Text;
use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use tsumugi_core::bgp::config::{Family, PrefixRange, SpeakerConfig, Transport};
use tsumugi_core::bgp::policy::request::{self, Request};
use tsumugi_core::bgp::policy::rule::{ExportRule, PrefixRule};
use tsumugi_core::bgp::policy::{LONGEST_V4, LONGEST_V6, SHORTEST_V4, SHORTEST_V6};
use tsumugi_core::id::Prefix;

pub fn lists(text: &mut Text, config: &SpeakerConfig) {
    marks(text, config);
    communities(text);
    for family in FAMILIES {
        let mut sides = Side::all(config).filter(|side| side.family == family).peekable();
        if sides.peek().is_none() {
            continue;
        }
        text.comment("What no network tells another, and what is ours.");
        world(text, config, family);
        for side in sides {
            off_link(text, &side);
            listed(text, &side);
            told(text, &side);
        }
    }
    asked::lists(text, config);
    paths::lists(text, config);
}

fn marks(text: &mut Text, config: &SpeakerConfig) {
    let public = config.public_asn.0;
    text.comment("Marks of ours: where a route came from, what RPKI says of it, and what must not leave.");
    let standard = |name: &str, seq: u32, mark: &str| {
        format!("bgp large-community-list standard {name} seq {seq} permit {public}:{mark}")
    };
    for (_, name, number) in CLASSES {
        text.line(standard(name, 5, &format!("1:{number}")));
    }
    for (name, mark) in
        [("rpki-valid", "2:0"), ("rpki-invalid", "2:2"), ("no-export", "3:1"), ("no-export-subconfed", "3:2")]
    {
        text.line(standard(name, 5, mark));
    }
    text.line(standard("stays", 5, "3:1"));
    text.line(standard("stays", 10, "3:2"));
    let codes = |which: fn(Request) -> bool| {
        let codes = request::CODES.iter().filter(|(_, request, _)| which(*request));
        codes.map(|(code, ..)| code.to_string()).collect::<Vec<_>>().join("|")
    };
    let expanded = |name: &str, seq: u32, verdict: &str, expression: &str| {
        format!("bgp large-community-list expanded {name} seq {seq} {verdict} {expression}")
    };
    text.line(expanded("ours", 5, "permit", &format!("^{public}:")));
    text.line(expanded("kept-inside", 5, "permit", &format!("^{public}:3:")));
    let requests = codes(|_| true);
    text.line(expanded("ours-but-requests", 5, "deny", &format!("^{public}:({requests}):")));
    text.line(expanded("ours-but-requests", 10, "permit", &format!("^{public}:")));
    let only_to = codes(|request| request == Request::OnlyTo);
    text.line(expanded("asked-only-to", 5, "permit", &format!("_{public}:({only_to}):")));
}

fn communities(text: &mut Text) {
    let standard = |name: &str, seq: u32, community: &str| {
        format!("bgp community-list standard {name} seq {seq} permit {community}")
    };
    for (name, community) in [
        ("no-export", "no-export"),
        ("no-export-subconfed", "local-AS"),
        ("drained", "graceful-shutdown"),
        ("blackhole", "blackhole"),
    ] {
        text.line(standard(name, 5, community));
    }
    text.line(standard("not-for-ebgp", 5, "no-export"));
    text.line(standard("not-for-ebgp", 10, "local-AS"));
}

pub fn of_family(prefixes: &[Prefix], family: Family) -> Vec<Prefix> {
    let is_v4 = family == Family::Ipv4Unicast;
    let mut all: Vec<Prefix> =
        prefixes.iter().filter(|it| it.addr().is_ipv4() == is_v4).map(Prefix::trunc).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// What is in both sets, each prefix standing for itself and all within.
fn overlap(a: &[Prefix], b: &[Prefix]) -> Vec<Prefix> {
    let mut both = BTreeSet::new();
    for a in a {
        both.extend(b.iter().filter(|b| a.contains(*b)).copied());
        both.extend(b.iter().filter(|b| b.contains(a)).map(|_| *a));
    }
    both.into_iter().collect()
}

/// A list of prefixes: each entry with the lengths that it holds.
pub fn prefix_list(text: &mut Text, family: Family, name: &str, entries: impl Iterator<Item = String>) {
    let command = ip(family).0;
    let mut any = false;
    for (at, entry) in (1..).zip(entries) {
        any = true;
        text.line(format!("{command} prefix-list {name} seq {} permit {entry}", at * 5));
    }
    if !any {
        // A list that is not there would hold everything.
        text.line(format!("{command} prefix-list {name} seq 5 deny any"));
    }
}

/// All but what is in these prefixes.
fn prefix_list_without(text: &mut Text, family: Family, name: &str, prefixes: &[Prefix]) {
    let (command, most) = ip(family);
    let mut seq = 0;
    for prefix in prefixes {
        seq += 5;
        text.line(format!("{command} prefix-list {name} seq {seq} deny {}", within(prefix, most)));
    }
    text.line(format!("{command} prefix-list {name} seq {} permit any", seq + 5));
}

/// The prefix and all within.
fn within(prefix: &Prefix, most: u8) -> String {
    lengths(&PrefixRange { prefix: *prefix, least: prefix.prefix_len(), most })
}

fn lengths(range: &PrefixRange) -> String {
    let PrefixRange { prefix, least, most } = range;
    let from = if *least > prefix.prefix_len() { format!(" ge {least}") } else { String::new() };
    // What ends where it begins has no end of its own; of the longest, "at least" says it all.
    let to = if *most > prefix.prefix_len() && (from.is_empty() || *most < prefix.max_prefix_len()) {
        format!(" le {most}")
    } else {
        String::new()
    };
    format!("{prefix}{from}{to}")
}

fn world(text: &mut Text, config: &SpeakerConfig, family: Family) {
    let (_, most) = ip(family);
    let (everything, shortest, longest) = match family {
        Family::Ipv6Unicast => ("::/0", SHORTEST_V6, LONGEST_V6),
        _ => ("0.0.0.0/0", SHORTEST_V4, LONGEST_V4),
    };
    let name = |what: &str| format!("{what}-{}", short(family));
    let bogons = of_family(&config.bogons, family);
    let refused = std::iter::once(format!("{everything} le {}", shortest - 1));
    let refused = refused.chain(bogons.iter().map(|prefix| within(prefix, most)));
    prefix_list(text, family, &name("refused"), refused);
    prefix_list(text, family, &name("too-long"), std::iter::once(format!("{everything} ge {}", longest + 1)));
    let own = of_family(&config.own_prefixes, family);
    prefix_list(text, family, &name("within-own"), own.iter().map(|prefix| within(prefix, most)));
    prefix_list(text, family, &name("own"), own.iter().map(Prefix::to_string));
}

/// Next hops that are not on the session's own network: between neighbours on one network a next hop is on
/// that network too (RFC 4271 5.1.3).
fn off_link(text: &mut Text, side: &Side<'_>) {
    let Transport::Numbered { network, .. } = &side.neighbour.transport else { return };
    let mut on_link = vec![*network];
    if side.family == Family::Ipv6Unicast {
        on_link.push(Prefix::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0).into(), 10).unwrap_or(*network));
    }
    prefix_list_without(text, side.family, &side.list("off-link"), &of_family(&on_link, side.family));
}

/// What a neighbour may tell, as far as its rules ask.
fn listed(text: &mut Text, side: &Side<'_>) {
    let Side { config, policy, family, .. } = side;
    let (_, most) = ip(*family);
    let is_v4 = *family == Family::Ipv4Unicast;
    let ranges: Vec<PrefixRange> = policy
        .listed
        .iter()
        .flatten()
        .filter(|range| range.prefix.addr().is_ipv4() == is_v4)
        .copied()
        .collect();
    let covered = of_family(&ranges.iter().map(|range| range.prefix).collect::<Vec<_>>(), *family);
    let list = |what: &str| side.list(what);
    for rule in &side.rules.prefix {
        match rule {
            PrefixRule::RefuseDefault
            | PrefixRule::RefuseBogons
            | PrefixRule::RefuseShort
            | PrefixRule::RefuseOurs { but_lent: false }
            | PrefixRule::RefuseLong { but_blackhole: false } => {}
            PrefixRule::RefuseOurs { but_lent: true } => {
                let lent = overlap(&covered, &of_family(&config.own_prefixes, *family));
                prefix_list(text, *family, &list("lent"), lent.iter().map(|prefix| within(prefix, most)));
            }
            PrefixRule::RefuseLong { but_blackhole: true } => {
                let any_part = covered.iter().map(|prefix| within(prefix, most));
                prefix_list(text, *family, &list("parts"), any_part);
            }
            PrefixRule::RefuseUnlisted { .. } => {
                prefix_list(text, *family, &list("listed"), ranges.iter().map(lengths));
            }
        }
    }
}

/// What it is told, as far as its rules ask.
fn told(text: &mut Text, side: &Side<'_>) {
    let family = side.family;
    for rule in &side.rules.export {
        match rule {
            ExportRule::KeepByCommunity
            | ExportRule::KeepForCustomersOnly
            | ExportRule::KeepUnclassed
            | ExportRule::KeepPartsOfOurs
            | ExportRule::KeepUnroutable
            | ExportRule::OnlyClasses { .. }
            | ExportRule::ObeyRequests { .. } => {}
            ExportRule::OnlyAnnounced => {
                let announce = of_family(side.policy.announce.as_deref().unwrap_or_default(), family);
                prefix_list_without(text, family, &side.list("unannounced"), &announce);
            }
            ExportRule::KeepWithheld => {
                let withheld = of_family(&side.policy.withhold, family);
                let most = ip(family).1;
                let entries = withheld.iter().map(|prefix| within(prefix, most));
                prefix_list(text, family, &side.list("withheld"), entries);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_as_frr_reads_them() {
        for (said, told) in [
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.0/24<=28", "192.0.2.0/24 le 28"),
            ("192.0.2.0/24<=32", "192.0.2.0/24 le 32"),
            ("192.0.2.0/24>=26<=28", "192.0.2.0/24 ge 26 le 28"),
            ("192.0.2.0/24>=28<=28", "192.0.2.0/24 ge 28 le 28"),
            ("192.0.2.0/24>=26<=32", "192.0.2.0/24 ge 26"),
            ("192.0.2.1/32", "192.0.2.1/32"),
            ("2001:db8::/32>=48<=48", "2001:db8::/32 ge 48 le 48"),
        ] {
            assert_eq!(lengths(&said.parse().unwrap()), told);
        }
    }

    #[test]
    fn what_is_in_both_is_the_longer_of_each_two() {
        let set = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Prefix>>();
        let own = set(&["43.228.174.0/24", "45.0.0.0/22"]);
        let stated = set(&["43.228.174.64/27", "45.0.0.0/16", "46.0.0.0/24"]);
        assert_eq!(overlap(&stated, &own), set(&["43.228.174.64/27", "45.0.0.0/22"]));
    }
}
