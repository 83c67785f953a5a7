//! A leak needs two mistakes in two places: here is each single one, and nobody hears what is not for it.
//!
//! Either somebody of ours has made it (a rule is missing at one neighbour, a word of the file is wrong, a
//! router runs a stale plan) while strangers say what they should; or a stranger has, and we have made none.

use super::border::{Border, CUSTOMER, OTHER, PEER, PROVIDER, border, border_once};
use super::net::{Net, PUBLIC, listed, ms};
use crate::bgp::config::{OutsidePolicy, Role, SpeakerConfig};
use crate::bgp::policy::Rules;
use crate::bgp::slots::Slot;
use crate::id::Asn;
use crate::wire::bgp::{Attributes, Capability, LargeCommunity};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// What everybody may hear: our own, and the customer's.
const FOR_ALL: [&str; 4] = ["43.228.174.0/24", "2402:3160::/32", "198.51.100.0/24", "2400:1234::/32"];
/// What customers may hear beside.
const FOR_CUSTOMERS: [&str; 6] =
    ["8.8.8.0/24", "9.9.9.0/24", "7.7.7.0/24", "2a00:8::/32", "2a00:9::/32", "2a00:7::/32"];

/// The borders' sessions: the router, the network, and what each of its two strangers truly has.
const SESSIONS: [(usize, u32); 4] = [(0, PROVIDER), (2, PEER), (1, CUSTOMER), (2, OTHER)];

/// Two strangers of one network, what they announce by IPv4 and by IPv6, and the path behind them.
type Said = ([usize; 2], [&'static [&'static str]; 2], &'static [u32]);
/// What a router does not know that it should.
type Mistake = fn(&mut SpeakerConfig);
/// What it is, its prefixes, the path behind the liar, and what else it says.
type Lie = (&'static str, &'static [&'static str], &'static [u32], fn(&mut Attributes));

/// Everybody announces what it has, the customer also an own part of ours that it was lent.
fn honest(border: &mut Border) {
    let said: [Said; 4] = [
        (border.provider, [&["8.8.8.0/24"], &["2a00:8::/32"]], &[15169]),
        (border.peer, [&["9.9.9.0/24"], &["2a00:9::/32"]], &[]),
        (border.customer, [&["198.51.100.0/24", "43.228.174.64/28"], &["2400:1234::/32"]], &[]),
        (border.other, [&["7.7.7.0/24"], &["2a00:7::/32"]], &[3356]),
    ];
    for (strangers, prefixes, path) in said {
        for (stranger, prefixes) in strangers.into_iter().zip(prefixes) {
            let asn = border.net.stranger(stranger).asn;
            if border.net.stranger(stranger).refused() {
                continue;
            }
            // Whoever speaks RFC 9234 marks what goes down or sideways.
            let otc = (asn != Asn(CUSTOMER)).then_some(asn);
            border.say(stranger, prefixes, path, |it| it.only_to_customer = otc);
        }
    }
}

/// What somebody hears that is not for it.
fn leaks(border: &Border) -> Vec<String> {
    let mut found = Vec::new();
    for stranger in border.strangers() {
        let customer = border.net.stranger(stranger).asn == Asn(CUSTOMER);
        for (prefix, attributes) in &border.net.stranger(stranger).table {
            let text = prefix.to_string();
            let fine =
                FOR_ALL.contains(&text.as_str()) || (customer && FOR_CUSTOMERS.contains(&text.as_str()));
            if !fine {
                let asn = border.net.stranger(stranger).asn;
                found.push(format!("{asn} hears {text} by {}", attributes.as_path));
            }
        }
    }
    found
}

/// All that a router would tell is told again, as after a change.
fn tell_again(border: &mut Border, node: usize) {
    let mut actions = Vec::new();
    let speaker = border.net.router_mut(node).speaker.as_mut().unwrap();
    for slot in 0..speaker.peers.len() as u16 {
        speaker.tell_again(Slot(slot), None, &mut actions);
    }
    border.net.carry_out(node, actions);
    border.net.run(ms(500));
}

fn rules_of(border: &mut Border, node: usize, asn: u32) -> Vec<&mut Rules> {
    let speaker = border.net.router_mut(node).speaker.as_mut().unwrap();
    let peers = speaker.peers.iter_mut().flatten().filter(|peer| peer.session.config.remote_asn == Asn(asn));
    peers.filter_map(|peer| peer.policy.as_mut()).map(|policy| &mut policy.rules).collect()
}

#[test]
fn without_a_mistake_everybody_hears_what_is_for_it() {
    let mut border = border(|_| {});
    honest(&mut border);
    assert_eq!(leaks(&border), Vec::<String>::new());
    let all = |stranger: usize| border.heard(stranger).len();
    assert_eq!([border.provider[0], border.peer[0], border.customer[0]].map(all), [2, 2, 4]);
    assert_eq!([border.provider[1], border.peer[1], border.customer[1]].map(all), [2, 2, 4]);
}

/// Each rule of each neighbour is left out once.
#[test]
fn one_missing_rule_leaks_nothing() {
    let mut tried = 0;
    for (node, asn) in SESSIONS {
        for rule in 0.. {
            let mut border = border(|_| {});
            let mut left_out = None;
            for rules in rules_of(&mut border, node, asn) {
                let (path, prefix) = (rules.path.len(), rules.prefix.len());
                left_out = if rule < path {
                    Some(format!("{:?}", rules.path.remove(rule)))
                } else if rule - path < prefix {
                    Some(format!("{:?}", rules.prefix.remove(rule - path)))
                } else if rule - path - prefix < rules.export.len() {
                    Some(format!("{:?}", rules.export.remove(rule - path - prefix)))
                } else {
                    None
                };
            }
            let Some(left_out) = left_out else { break };
            tried += 1;
            honest(&mut border);
            tell_again(&mut border, node);
            assert_eq!(leaks(&border), Vec::<String>::new(), "AS{asn} without {left_out}");
        }
    }
    assert!(tried > 80, "{tried}");
}

/// That the test above sees a leak: two missing rules make one.
#[test]
fn two_missing_rules_are_a_leak() {
    use crate::bgp::policy::rule::ExportRule;
    let mut border = border(|_| {});
    for rules in rules_of(&mut border, 2, PEER) {
        let guards = |rule: &ExportRule| {
            matches!(rule, ExportRule::KeepForCustomersOnly | ExportRule::OnlyClasses { .. })
        };
        rules.export.retain(|rule| !guards(rule));
    }
    honest(&mut border);
    let found = leaks(&border);
    assert!(found.contains(&"AS63790 hears 8.8.8.0/24 by 63806 150369 15169".to_string()), "{found:?}");
}

fn role(net: &mut Net, node: usize, asn: u32, change: impl Fn(&mut OutsidePolicy)) {
    for name in [format!("as{asn} 203"), format!("as{asn} 2001")] {
        change(net.policy_mut(node, &name));
    }
}

/// The word is wrong and nothing else: who is called a customer has no list, which `check` would have asked
/// for. Of those that are one the list says so.
#[test]
fn one_wrong_role_leaks_nothing() {
    for (node, asn) in SESSIONS {
        for wrong in [Role::Provider, Role::Peer, Role::Customer, Role::RouteServer] {
            let mut border = border(|net| role(net, node, asn, |policy| policy.role = wrong));
            honest(&mut border);
            assert_eq!(leaks(&border), Vec::<String>::new(), "AS{asn} is called {wrong:?}");
        }
    }
}

/// With a list the one word would do, were it not that the neighbour says what it is (RFC 9234).
#[test]
fn a_peer_with_a_list_that_is_called_a_customer_says_no() {
    for (node, asn, truly) in [(0, PROVIDER, Role::Provider), (2, PEER, Role::Peer)] {
        let mistake = |net: &mut Net| {
            role(net, node, asn, |policy| {
                policy.role = Role::Customer;
                policy.listed = listed(&["8.0.0.0/8", "9.0.0.0/8", "2a00::/12"]);
            });
            let says = Capability::Role(truly.agreed().0);
            net.strangers_mut(Asn(asn)).for_each(|it| it.capabilities = vec![says.clone()]);
        };
        let mut border = border_once(mistake, |_| true);
        border.net.run(ms(5000));
        honest(&mut border);
        assert!(!border.net.all_established());
        assert_eq!(leaks(&border), Vec::<String>::new());
    }
}

/// A router runs what was true once, or is missing a part of it.
#[test]
fn one_stale_plan_leaks_nothing() {
    let stale: [(&str, Mistake); 5] = [
        ("no prefixes of our own", |config| config.own_prefixes.clear()),
        ("one of our prefixes", |config| config.own_prefixes.truncate(1)),
        ("no bogons", |config| config.bogons.clear()),
        ("none of the other routers", |config| config.inside_asns = vec![config.asn]),
        ("a public number that we had before", |config| config.public_asn = Asn(64_496)),
    ];
    for (what, change) in stale {
        for node in 0..3 {
            let mut border = border(|net| change(&mut net.router_mut(node).config));
            honest(&mut border);
            assert_eq!(leaks(&border), Vec::<String>::new(), "router {node} knows {what}");
        }
    }
}

/// Ours is right, and one stranger says what it should not.
#[test]
fn one_stranger_that_lies_leaks_nothing() {
    let lies: [Lie; 10] = [
        ("others' routes, marked", &["1.1.1.0/24"], &[13335], |it| it.only_to_customer = Some(Asn(174))),
        ("others' routes, the mark stripped", &["1.1.1.0/24"], &[13335], |_| {}),
        ("its own, marked by others", &["198.51.101.0/24"], &[13335], |it| {
            it.only_to_customer = Some(Asn(174))
        }),
        ("that its routes are ours", &["1.1.1.0/24"], &[], |it| {
            it.large_communities = [LargeCommunity::new(PUBLIC.0, 1, 0)].into();
        }),
        ("that its routes are a customer's", &["1.1.1.0/24"], &[], |it| {
            it.large_communities = [1, 2].map(|state| LargeCommunity::new(PUBLIC.0, state, 1)).into();
        }),
        ("a default route", &["0.0.0.0/0"], &[], |_| {}),
        ("half of the world", &["128.0.0.0/1"], &[], |_| {}),
        ("what is nobody's", &["10.1.0.0/16"], &[], |_| {}),
        ("a part of ours", &["43.228.174.0/25", "43.228.174.0/24"], &[], |_| {}),
        ("one address", &["198.51.100.7/32"], &[], |_| {}),
    ];
    for (what, prefixes, path, change) in lies {
        for which in 0..4 {
            let mut border = border(|_| {});
            honest(&mut border);
            let liar = [border.provider, border.peer, border.customer, border.other][which][0];
            border.say(liar, prefixes, path, change);
            let asn = border.net.stranger(liar).asn;
            // What a provider or peer says of the world goes to the customer, as it should.
            let told: Vec<String> = leaks(&border)
                .into_iter()
                .filter(|leak| !leak.contains("AS131000 hears 1.1.1.0/24"))
                .collect();
            let told: Vec<String> =
                told.into_iter().filter(|leak| !leak.contains("AS131000 hears 198.51.101.0/24")).collect();
            assert_eq!(told, Vec::<String>::new(), "{asn} says {what}");
        }
    }
}
