//! What the file says of one peer beside its role: one test per word.

use super::border::{Border, CUSTOMER, PEER, PROVIDER, border};
use super::net::{PUBLIC, listed, ms, prefix};
use crate::bgp::config::{OutsidePolicy, Relation, Role};
use crate::bgp::{ImportRefusal, Notice};
use crate::id::Asn;
use crate::wire::bgp::{AsPath, Attributes, Community, ExtendedCommunity, LargeCommunity, Update};
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

/// What a stranger announces under a path that is not its own.
fn say_by(border: &mut Border, stranger: usize, text: &str, path: &[u32]) {
    let IpAddr::V4(next_hop) = border.net.stranger(stranger).address else { panic!("IPv4 only") };
    let as_path = AsPath::sequence(path.iter().map(|&asn| Asn(asn)));
    let mut bytes = Vec::new();
    Update {
        attributes: Some(Attributes { as_path, ..Attributes::default() }),
        next_hop: Some(next_hop),
        announced: vec![prefix(text).into()],
        ..Update::default()
    }
    .emit(true, &mut bytes);
    border.net.say(stranger, bytes);
    border.net.run(ms(500));
}

#[test]
fn a_route_server_does_not_stand_in_the_path_and_is_a_way_to_peers() {
    let mut border = border(|net| {
        for name in ["as63790 203", "as63790 2001"] {
            net.policy_mut(2, name).role = Role::RouteServer;
        }
    });
    let q = border.peer[0];
    say_by(&mut border, q, "9.9.9.0/24", &[6939, 42]);
    // RFC 7947 2.2.2.1: its own number is not there, and nobody misses it.
    assert_eq!(border.net.stranger(border.customer[0]).path("9.9.9.0/24").unwrap(), "63806 6939 42");
    let speaker = border.net.router(0).speaker.as_ref().unwrap();
    let route = speaker.routes().find(|route| route.prefix == prefix("9.9.9.0/24")).unwrap();
    assert_eq!(route.paths[0].local_preference, 200);
    // What comes by it is for customers only (RFC 9234 5), and what goes to it is not marked by us.
    let heard = &border.net.stranger(border.customer[0]).table[&prefix("9.9.9.0/24")];
    assert_eq!(heard.only_to_customer, Some(Asn(PEER)));
    assert_eq!(border.heard(border.provider[0]), ["43.228.174.0/24"]);
    assert_eq!(border.net.stranger(q).table[&prefix("43.228.174.0/24")].only_to_customer, None);
    // A path without anybody is none.
    say_by(&mut border, q, "9.9.8.0/24", &[]);
    let reason = ImportRefusal::FirstAsNotNeighbours { first: None };
    assert_eq!(border.refused(2, "as63790 203"), [("9.9.8.0/24".to_string(), reason)]);
}

#[test]
fn a_list_says_what_a_peer_may_announce_origins_and_ways() {
    let mut border = border(|net| {
        let policy = net.policy_mut(2, "as63790 203");
        policy.listed = Some(vec!["9.9.8.0/23<=24".parse().unwrap(), "5.5.0.0/16".parse().unwrap()]);
        policy.origins = vec![Asn(PEER), Asn(42)];
        policy.never_via = vec![Asn(174)];
    });
    let q = border.peer[0];
    border.say(q, &["9.9.8.0/23", "9.9.9.0/24", "5.5.0.0/16"], &[], |_| {});
    border.say(q, &["5.5.5.0/24", "7.7.7.0/24"], &[42], |_| {});
    border.say(q, &["9.9.8.0/24"], &[174, 42], |_| {});
    border.say(q, &["9.9.9.0/24"], &[42, 43], |_| {});
    for text in ["9.9.8.0/23", "5.5.0.0/16"] {
        assert!(border.knows(0, text), "{text}");
    }
    let refused = [
        ("5.5.5.0/24", ImportRefusal::NotListed),
        ("7.7.7.0/24", ImportRefusal::NotListed),
        ("9.9.8.0/24", ImportRefusal::Via { asn: Asn(174) }),
        ("9.9.9.0/24", ImportRefusal::OriginNotListed { origin: Some(Asn(43)) }),
    ];
    assert_eq!(border.refused(2, "as63790 203"), refused.map(|(text, reason)| (text.to_string(), reason)));
    // What had been taken is not kept beside the refusal.
    assert!(!border.knows(0, "9.9.9.0/24"));
}

#[test]
fn what_is_announced_and_what_is_withheld() {
    let mut border = border(|net| {
        net.policy_mut(0, "as150369 203").withhold = vec![prefix("198.51.100.0/24")];
        net.policy_mut(2, "as63790 203").announce = Some(vec![prefix("198.51.100.0/23")]);
    });
    border.say(border.customer[0], &["198.51.100.0/24", "198.51.101.0/24"], &[], |_| {});
    assert_eq!(border.heard(border.provider[0]), ["43.228.174.0/24", "198.51.101.0/24"]);
    assert_eq!(border.heard(border.peer[0]), ["198.51.100.0/24", "198.51.101.0/24"]);
    assert_eq!(border.heard(border.other[0]).len(), 3);
}

fn asking(border: &mut Border, requests: &[(u32, u32)]) {
    let requests = requests.iter().map(|&(code, target)| LargeCommunity::new(PUBLIC.0, code, target));
    let large_communities = requests.chain([LargeCommunity::new(7, 7, 7)]).collect();
    let c = border.customer[0];
    border.say(c, &["198.51.100.0/24"], &[], |it| it.large_communities = large_communities);
}

#[test]
fn a_customer_chooses_who_hears_its_routes() {
    let mut border = border(|_| {});
    let [p, q, o] = [border.provider[0], border.peer[0], border.other[0]];
    let paths =
        |border: &Border| [p, q, o].map(|stranger| border.net.stranger(stranger).path("198.51.100.0/24"));
    let once = || Some("63806 131000".to_string());
    let times = |count: usize| Some("63806 ".repeat(count) + "131000");
    asking(&mut border, &[]);
    assert_eq!(paths(&border), [once(), once(), once()]);
    asking(&mut border, &[(10, PROVIDER)]);
    assert_eq!(paths(&border), [None, once(), once()]);
    asking(&mut border, &[(20, 3)]);
    assert_eq!(paths(&border), [None, once(), None]);
    asking(&mut border, &[(24, 2)]);
    assert_eq!(paths(&border), [None, once(), None]);
    asking(&mut border, &[(12, PROVIDER), (21, 2)]);
    assert_eq!(paths(&border), [times(3), times(2), once()]);
    asking(&mut border, &[(14, PEER), (14, PROVIDER), (23, 0)]);
    assert_eq!(paths(&border), [times(4), times(4), None]);
    // What was asked for goes before the route leaves, other networks' marks do not.
    let heard = &border.net.stranger(p).table[&prefix("198.51.100.0/24")];
    assert_eq!(*heard.large_communities, [LargeCommunity::new(7, 7, 7)]);
    // And it can be taken back.
    asking(&mut border, &[]);
    assert_eq!(paths(&border), [once(), once(), once()]);
}

/// A stranger cannot have our own or others' routes withheld, nor claim that its own are something else.
#[test]
fn nobody_but_a_customer_asks_for_anything() {
    let mut border = border(|_| {});
    let q = border.peer[0];
    let marks = [(1, 1), (1, 0), (2, 0), (20, 0), (24, 3), (13, CUSTOMER)];
    let marks: Vec<_> = marks.iter().map(|&(a, b)| LargeCommunity::new(PUBLIC.0, a, b)).collect();
    border.say(q, &["9.9.9.0/24"], &[], |it| it.large_communities = marks.clone().into());
    assert_eq!(border.net.stranger(border.customer[0]).path("9.9.9.0/24").unwrap(), "63806 63790");
    assert_eq!(border.heard(border.provider[0]), ["43.228.174.0/24"]);
    // A customer neither says what it is.
    let c = border.customer[0];
    border.say(c, &["198.51.100.0/24"], &[], |it| {
        it.large_communities =
            [(1, 3), (1, 0), (2, 2)].map(|(a, b)| LargeCommunity::new(PUBLIC.0, a, b)).into();
    });
    assert_eq!(border.heard(border.provider[0]), ["43.228.174.0/24", "198.51.100.0/24"]);
}

/// RFC 1997, RFC 7999, RFC 8326: each by whom it comes.
#[test]
fn well_known_communities_by_who_says_them() {
    let of = |community: Community, by: fn(&Border) -> usize| {
        let mut border = border(|_| {});
        let (stranger, text) =
            (by(&border), if by(&border) == border.customer[0] { "198.51.100.0/24" } else { "8.8.8.0/24" });
        border.say(stranger, &[text], &[], |it| it.communities = Box::new([community]));
        let taken = (0..3).filter(|&node| border.knows(node, text)).count();
        let told = border.strangers().into_iter().filter(|&it| border.heard(it).contains(&text.to_string()));
        let dropped =
            (0..3).any(|node| border.net.router(node).kernel.get(&prefix(text)).is_some_and(|it| it.discard));
        (taken, told.count(), dropped)
    };
    let customer: fn(&Border) -> usize = |border| border.customer[0];
    let provider: fn(&Border) -> usize = |border| border.provider[0];
    // A customer's goes to three strangers, a provider's to the customer.
    assert_eq!(of(Community::GRACEFUL_SHUTDOWN, customer), (3, 3, false));
    assert_eq!(of(Community::GRACEFUL_SHUTDOWN, provider), (3, 1, false));
    for kept in [Community::NO_EXPORT, Community::NO_EXPORT_SUBCONFED] {
        assert_eq!(of(kept, customer), (3, 0, false));
        assert_eq!(of(kept, provider), (3, 0, false));
    }
    assert_eq!(of(Community::NO_ADVERTISE, customer), (1, 0, false));
    assert_eq!(of(Community::NO_ADVERTISE, provider), (1, 0, false));
    assert_eq!(of(Community::BLACKHOLE, customer), (3, 0, true));
    assert_eq!(of(Community::BLACKHOLE, provider), (3, 1, false));
}

/// RFC 1997, RFC 4360, RFC 8092: what is nobody's here passes as it came.
#[test]
fn communities_of_others_pass() {
    let mut border = border(|_| {});
    let c = border.customer[0];
    border.say(c, &["198.51.100.0/24"], &[], |it| {
        it.communities = Box::new([Community(0x0007_0008), Community(0xffff_1234)]);
        it.extended_communities = Box::new([
            ExtendedCommunity([0, 2, 0, 7, 0, 0, 0, 1]),
            ExtendedCommunity([0x43, 0, 0, 0, 0, 0, 0, 0]),
        ]);
        it.large_communities =
            Box::new([LargeCommunity::new(7, 8, 9), LargeCommunity::new(4_200_000_001, 1, 1)]);
    });
    let heard = &border.net.stranger(border.other[0]).table[&prefix("198.51.100.0/24")];
    assert_eq!(heard.communities.to_vec(), [Community(0x0007_0008), Community(0xffff_1234)]);
    assert_eq!(heard.extended_communities.to_vec(), [ExtendedCommunity([0, 2, 0, 7, 0, 0, 0, 1])]);
    assert_eq!(heard.large_communities.len(), 2);
}

/// A changed word counts, and a longer list takes what was refused.
#[test]
fn other_words_in_a_new_configuration() {
    let mut border = border(|_| {});
    let q = border.peer[0];
    let mut config = border.net.router(2).config.clone();
    for neighbour in config.neighbours.iter_mut().filter(|it| it.name.contains("as63790 203")) {
        if let crate::bgp::config::Relation::Outside(policy) = &mut neighbour.relation {
            policy.listed = listed(&["9.9.9.0/24"]);
        }
    }
    border.net.replace(2, config);
    border.net.run(ms(20_000));
    border.say(q, &["9.9.9.0/24", "8.8.8.0/24"], &[], |_| {});
    assert_eq!(border.refused(2, "as63790 203"), [("8.8.8.0/24".to_string(), ImportRefusal::NotListed)]);
    assert!(border.knows(0, "9.9.9.0/24"));
}

#[test]
fn words_that_change_cost_no_session() {
    let mut border = border(|net| {
        net.policy_mut(2, "as63790 203").listed = Some(vec!["9.9.8.0/24".parse().unwrap()]);
    });
    let q = border.peer[0];
    border.say(q, &["9.9.8.0/24", "9.9.9.0/24"], &[], |_| {});
    assert!(border.knows(0, "9.9.8.0/24") && !border.knows(0, "9.9.9.0/24"));
    let change = |border: &mut Border, change: &dyn Fn(&mut OutsidePolicy)| {
        let mut config = border.net.router(2).config.clone();
        let found = config.neighbours.iter_mut().find(|it| it.name.contains("as63790 203")).unwrap();
        let Relation::Outside(policy) = &mut found.relation else { panic!("outside") };
        change(policy);
        border.net.replace(2, config);
        border.net.run(ms(100));
    };
    // What it may announce: it is asked to tell again, and does.
    let again = |border: &mut Border| border.say(q, &["9.9.8.0/24", "9.9.9.0/24"], &[], |_| {});
    change(&mut border, &|it| it.listed = Some(vec!["9.9.9.0/24".parse().unwrap()]));
    assert_eq!(border.net.stranger(q).refreshes, 1);
    again(&mut border);
    assert!(!border.knows(0, "9.9.8.0/24") && border.knows(0, "9.9.9.0/24"));
    change(&mut border, &|it| it.never_via = vec![Asn(PEER)]);
    assert_eq!(border.net.stranger(q).refreshes, 2);
    again(&mut border);
    assert!(!border.knows(0, "9.9.9.0/24"));
    change(&mut border, &|it| (it.never_via, it.origins) = (Vec::new(), vec![Asn(42)]));
    assert_eq!(border.net.stranger(q).refreshes, 3);
    change(&mut border, &|it| it.origins = Vec::new());
    assert_eq!(border.net.stranger(q).refreshes, 4);
    // What it is told: at once, and nothing is asked.
    assert_eq!(border.heard(q), ["43.228.174.0/24"]);
    change(&mut border, &|it| it.withhold = vec![prefix("43.228.174.0/24")]);
    assert!(border.heard(q).is_empty());
    change(&mut border, &|it| (it.withhold, it.announce) = (Vec::new(), Some(vec![prefix("192.0.2.0/24")])));
    assert!(border.heard(q).is_empty());
    change(&mut border, &|it| it.announce = None);
    assert_eq!(border.heard(q), ["43.228.174.0/24"]);
    assert_eq!(border.net.stranger(q).refreshes, 4);
    assert!(border.net.all_established());
    assert!(border.net.router(2).notices.iter().all(|it| !matches!(it, Notice::Lost { .. })));
}
