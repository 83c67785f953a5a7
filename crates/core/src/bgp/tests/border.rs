//! What crosses the border, either way: one test per rule.

use super::net::{Net, PUBLIC, listed, loopbacks, ms, prefix};
use crate::bgp::config::{Origination, Role};
use crate::bgp::policy::{Class, ExportRefusal, Policy, Tables, export_check};
use crate::bgp::rib::Route;
use crate::bgp::{ImportRefusal, Notice, SessionEnd, SessionState};
use crate::id::{Asn, Prefix};
use crate::wire::bgp::{
    Aggregator, AsPath, Attributes, Capability, Community, ExtendedCommunity, GracefulRestart,
    LargeCommunity, Refresh, UnknownAttribute, Update,
};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

pub(super) const PROVIDER: u32 = 150_369;
pub(super) const PEER: u32 = 63_790;
pub(super) const CUSTOMER: u32 = 131_000;

/// Routers 1 and 2 with the border, 1 - 2 - 3; a provider at 1, a peer at 3, a customer at 2, and a
/// second provider at 3. Router 2 originates, while it reaches 3 or 1.
pub(super) struct Border {
    pub net: Net,
    pub provider: [usize; 2],
    pub peer: [usize; 2],
    pub customer: [usize; 2],
    pub other: [usize; 2],
}

pub(super) const OTHER: u32 = 59_105;

pub(super) fn border(change: impl FnOnce(&mut Net)) -> Border {
    border_once(change, Net::all_established)
}

/// A border that is used as soon as its routers reach each other and `ready` says so.
pub(super) fn border_once(change: impl FnOnce(&mut Net), ready: impl Fn(&Net) -> bool) -> Border {
    let mut net = Net::routers(&[1, 2, 3]);
    net.link(0, 1, 1);
    net.link(1, 2, 5);
    for own in super::net::own_prefixes() {
        let while_reaching = [loopbacks(1), loopbacks(3)].concat();
        net.router_mut(1).config.originate.push(Origination { prefix: own, while_reaching, discard: true });
    }
    let provider = net.outside(0, Asn(PROVIDER), Role::Provider);
    let peer = net.outside(2, Asn(PEER), Role::Peer);
    let customer = net.outside(1, Asn(CUSTOMER), Role::Customer);
    let other = net.outside(2, Asn(OTHER), Role::Provider);
    for name in ["as131000 203", "as131000 2001"] {
        net.policy_mut(1, name).listed = listed(&["198.51.100.0/23", "43.228.174.64/28", "2400:1234::/32"]);
    }
    change(&mut net);
    net.start();
    net.run_until(ms(5000), |net| ready(net) && net.all_reach_all());
    net.run(ms(500));
    Border { net, provider, peer, customer, other }
}

impl Border {
    pub fn say(
        &mut self,
        stranger: usize,
        prefixes: &[&str],
        path: &[u32],
        change: impl FnOnce(&mut Attributes),
    ) {
        let bytes = self.net.stranger(stranger).announcement(prefixes, path, change);
        self.net.say(stranger, bytes);
        self.net.run(ms(500));
    }

    pub fn heard(&self, stranger: usize) -> Vec<String> {
        self.net.stranger(stranger).table.keys().map(Prefix::to_string).collect()
    }

    pub fn strangers(&self) -> Vec<usize> {
        [self.provider, self.peer, self.customer, self.other].concat()
    }

    pub fn refused(&self, node: usize, name: &str) -> Vec<(String, ImportRefusal)> {
        let status = self.net.status(node);
        let neighbour = status.neighbours.iter().find(|it| it.name.contains(name)).unwrap();
        neighbour.refused.iter().map(|it| (it.prefix.to_string(), it.reason)).collect()
    }

    pub fn knows(&self, node: usize, text: &str) -> bool {
        self.net.router(node).kernel.contains_key(&prefix(text))
    }
}

#[test]
fn own_prefixes_leave_exactly_and_with_the_public_number() {
    let border = border(|net| net.policy_mut(2, "as59105 203").extra_prepends = 1);
    for stranger in border.strangers() {
        let v4 = border.net.stranger(stranger).address.is_ipv4();
        let own = if v4 { "43.228.174.0/24" } else { "2402:3160::/32" };
        assert_eq!(border.heard(stranger), [own]);
        let path = border.net.stranger(stranger).path(own).unwrap();
        assert_eq!(path, if stranger == border.other[0] { "63806 63806" } else { "63806" });
        let attributes = &border.net.stranger(stranger).table[&prefix(own)];
        assert_eq!((attributes.large_communities.len(), attributes.med), (0, None));
        assert_eq!(border.net.stranger(stranger).ends_of_rib, 1);
    }
}

#[test]
fn who_hears_what() {
    let mut border = border(|_| {});
    let [p, q, c] = [border.provider[0], border.peer[0], border.customer[0]];
    border.say(p, &["8.8.8.0/24"], &[3356, 15169], |_| {});
    border.say(q, &["9.9.9.0/24"], &[], |_| {});
    border.say(c, &["198.51.100.0/24"], &[], |_| {});
    // A provider hears our own and our customers', and so does a peer; a customer hears all.
    assert_eq!(border.heard(border.other[0]), ["43.228.174.0/24", "198.51.100.0/24"]);
    assert_eq!(border.heard(p), ["43.228.174.0/24", "198.51.100.0/24"]);
    assert_eq!(border.heard(q), ["43.228.174.0/24", "198.51.100.0/24"]);
    assert_eq!(border.heard(c), ["8.8.8.0/24", "9.9.9.0/24", "43.228.174.0/24"]);
    assert_eq!(border.net.stranger(c).path("8.8.8.0/24").unwrap(), "63806 150369 3356 15169");
    assert_eq!(border.net.stranger(p).path("198.51.100.0/24").unwrap(), "63806 131000");
    // And forgets it.
    let bytes = border.net.stranger(c).withdrawal(&["198.51.100.0/24"]);
    border.net.say(c, bytes);
    border.net.run(ms(500));
    assert_eq!(border.heard(p), ["43.228.174.0/24"]);
    // IPv6 goes the same ways.
    border.say(border.customer[1], &["2400:1234::/32"], &[], |_| {});
    assert_eq!(border.heard(border.provider[1]), ["2400:1234::/32", "2402:3160::/32"]);
}

#[test]
fn local_preference_follows_the_class_on_every_router() {
    let mut border = border(|net| {
        for name in ["as131000 203", "as131000 2001"] {
            let more = listed(&["9.9.9.0/24"]).unwrap();
            net.policy_mut(1, name).listed.as_mut().unwrap().extend(more);
        }
    });
    // The same prefix by all three; the customer's path is the longest, and wins everywhere.
    border.say(border.provider[0], &["9.9.9.0/24"], &[], |_| {});
    border.say(border.peer[0], &["9.9.9.0/24"], &[1], |_| {});
    let best = |border: &Border, node: usize| {
        let speaker = border.net.router(node).speaker.as_ref().unwrap();
        let route = speaker.routes().find(|route| route.prefix == prefix("9.9.9.0/24")).unwrap();
        (route.paths[0].local_preference, route.paths[0].large_communities.clone())
    };
    for node in 0..3 {
        assert_eq!(best(&border, node), (200, vec!["63806:1:2".to_string()]), "router {node}");
    }
    border.say(border.customer[0], &["9.9.9.0/24"], &[1, 2, 3, 4], |_| {});
    for node in 0..3 {
        assert_eq!(best(&border, node), (300, vec!["63806:1:1".to_string()]), "router {node}");
    }
}

#[test]
fn forged_communities_are_scrubbed() {
    let mut border = border(|_| {});
    let q = border.peer[0];
    border.say(q, &["9.9.9.0/24"], &[], |attributes| {
        attributes.large_communities =
            Box::new([LargeCommunity::new(PUBLIC.0, 1, 0), LargeCommunity::new(7, 7, 7)]);
        attributes.extended_communities = Box::new([
            ExtendedCommunity([0x40, 1, 0, 0, 0, 0, 0, 1]),
            ExtendedCommunity([0x00, 2, 0, 0, 0, 0, 0, 1]),
        ]);
        attributes.communities = Box::new([Community(0x0001_0001)]);
        attributes.med = Some(5);
        attributes.unknown = Box::new([UnknownAttribute { code: 99, value: Box::new([1, 2]) }]);
    });
    // As a peer's it goes to the customer only, with what is not ours.
    assert_eq!(border.heard(border.provider[0]), ["43.228.174.0/24"]);
    let heard = &border.net.stranger(border.customer[0]).table[&prefix("9.9.9.0/24")];
    assert_eq!(*heard.large_communities, [LargeCommunity::new(7, 7, 7)]);
    assert_eq!(*heard.extended_communities, [ExtendedCommunity([0x00, 2, 0, 0, 0, 0, 0, 1])]);
    assert_eq!((*heard.communities).to_vec(), [Community(0x0001_0001)]);
    assert_eq!(*heard.unknown, [UnknownAttribute { code: 99, value: Box::new([1, 2]) }]);
    assert_eq!(heard.med, None);
}

#[test]
fn a_next_hop_is_on_the_network_of_the_session() {
    let mut border = border(|_| {});
    let stranger = border.peer[0];
    let mut by = |next_hop: [u8; 4]| {
        let mut bytes = Vec::new();
        let attributes = Attributes { as_path: AsPath::sequence([Asn(PEER)]), ..Attributes::default() };
        Update {
            attributes: Some(attributes),
            next_hop: Some(next_hop.into()),
            announced: vec![prefix("9.9.9.0/24").into()],
            ..Update::default()
        }
        .emit(true, &mut bytes);
        border.net.say(stranger, bytes);
        border.net.run(ms(500));
        let taken = border.heard(border.customer[0]).contains(&"9.9.9.0/24".to_string());
        (taken, border.refused(2, "as63790 203"))
    };
    // Somebody elsewhere; a router of ours.
    for next_hop in [[198, 51, 100, 1], [43, 228, 174, 129]] {
        let reason = ImportRefusal::NextHop { next_hop: next_hop.into() };
        assert_eq!(by(next_hop), (false, vec![("9.9.9.0/24".to_string(), reason)]));
    }
}

#[test]
fn what_must_not_come_in() {
    let mut border = border(|_| {});
    let [p, c] = [border.provider[0], border.customer[0]];
    let own = ImportRefusal::OwnPrefix { within: prefix("43.228.174.0/24") };
    let bogon = ImportRefusal::Bogon { within: prefix("10.0.0.0/8") };
    type Case = (&'static str, &'static [u32], ImportRefusal);
    let cases: [Case; 14] = [
        ("0.0.0.0/0", &[], ImportRefusal::Default),
        ("10.1.0.0/16", &[], bogon),
        ("10.0.0.0/8", &[], bogon),
        ("9.9.9.0/25", &[], ImportRefusal::TooLong),
        ("0.0.0.0/1", &[], ImportRefusal::TooShort),
        ("128.0.0.0/1", &[], ImportRefusal::TooShort),
        ("43.228.174.0/24", &[], own),
        ("43.228.174.128/25", &[], own),
        ("1.1.1.0/24", &[PUBLIC.0], ImportRefusal::PublicAsInPath),
        ("1.1.2.0/24", &[64_512], ImportRefusal::BogonAsInPath { asn: Asn(64_512) }),
        ("1.1.3.0/24", &[4_200_000_099], ImportRefusal::BogonAsInPath { asn: Asn(4_200_000_099) }),
        ("1.1.4.0/24", &[23_456], ImportRefusal::BogonAsInPath { asn: Asn(23_456) }),
        ("1.1.5.0/24", &[0], ImportRefusal::TreatedAsWithdraw),
        ("1.1.6.0/24", &[4_200_000_001], ImportRefusal::OwnAsInPath { asn: Asn(4_200_000_001) }),
    ];
    for (text, path, reason) in cases {
        border.say(p, &[text], path, |_| {});
        assert!(border.refused(0, "as150369 203").contains(&(text.into(), reason)), "{text}");
        let known = (0..3).any(|node| border.knows(node, text) && text != "43.228.174.0/24");
        assert!(!known, "{text}");
    }
    let said = border.net.router(0).notices.iter().filter(|it| matches!(it, Notice::Refused { .. })).count();
    assert_eq!(said, cases.len());
    // Said again, the log is silent; gone, the list forgets it.
    border.say(p, &["0.0.0.0/0"], &[], |_| {});
    let bytes = border.net.stranger(p).withdrawal(&["0.0.0.0/0"]);
    border.net.say(p, bytes);
    border.net.run(ms(100));
    assert_eq!(border.refused(0, "as150369 203").len(), cases.len() - 1);
    // A path that begins with somebody else.
    border.say(p, &["1.1.7.0/24"], &[], |attributes| {
        attributes.as_path = crate::wire::bgp::AsPath::sequence([Asn(3356), Asn(PROVIDER)]);
    });
    let first = ImportRefusal::FirstAsNotNeighbours { first: Some(Asn(3356)) };
    assert!(border.refused(0, "as150369 203").contains(&("1.1.7.0/24".into(), first)));
    // A customer: only what is its own, and the part of ours that is lent to it.
    border.say(c, &["8.8.8.0/24", "198.51.101.0/24", "43.228.174.64/28"], &[], |_| {});
    assert_eq!(border.refused(1, "as131000 203"), [("8.8.8.0/24".into(), ImportRefusal::NotTheCustomers)]);
    assert!(border.knows(0, "43.228.174.64/28") && border.knows(0, "198.51.101.0/24"));
    assert_eq!(border.heard(p), ["43.228.174.0/24", "198.51.101.0/24"]);
    // IPv6.
    border.say(
        border.provider[1],
        &["::/0", "2001:db8:1::/48", "2a00::/49", "2402:3160:1::/48"],
        &[],
        |_| {},
    );
    let reasons: Vec<ImportRefusal> =
        border.refused(0, "as150369 2001").into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(
        reasons,
        [
            ImportRefusal::Default,
            ImportRefusal::Bogon { within: prefix("2001:db8::/32") },
            ImportRefusal::OwnPrefix { within: prefix("2402:3160::/32") },
            ImportRefusal::TooLong,
        ]
    );
}

#[test]
fn a_route_that_becomes_refused_is_gone() {
    let mut border = border(|_| {});
    let p = border.provider[0];
    border.say(p, &["8.8.8.0/24"], &[1], |_| {});
    assert!(border.knows(2, "8.8.8.0/24"));
    border.say(p, &["8.8.8.0/24"], &[1, PUBLIC.0], |_| {});
    assert!(!border.knows(2, "8.8.8.0/24"));
    border.say(p, &["8.8.8.0/24"], &[1], |_| {});
    assert!(border.knows(2, "8.8.8.0/24"));
    assert_eq!(border.refused(0, "as150369 203"), []);
}

#[test]
fn private_numbers_of_a_customer_do_not_leave() {
    let private = 64_999;
    let mut border = border(|net| {
        for name in ["as131000 203", "as131000 2001"] {
            net.policy_mut(1, name).allowed_private_asns = vec![Asn(private)];
        }
    });
    border.say(border.customer[0], &["198.51.100.0/24"], &[private], |attributes| {
        attributes.aggregator = Some(Aggregator { asn: Asn(private), identifier: Ipv4Addr::new(1, 1, 1, 1) });
    });
    let heard = border.net.stranger(border.provider[0]);
    assert_eq!(heard.path("198.51.100.0/24").unwrap(), "63806 131000");
    assert_eq!(heard.table[&prefix("198.51.100.0/24")].aggregator, None);
}

#[test]
fn a_border_that_is_cut_off_withdraws() {
    let mut border = border(|_| {});
    // Router 2 loses both its links: it originates no more; 1 and 3 lose what they had from it.
    border.net.set_carrier(0, false);
    border.net.run(ms(500));
    assert_eq!(border.heard(border.provider[0]), Vec::<String>::new());
    assert_eq!(border.heard(border.customer[0]), ["43.228.174.0/24"]);
    assert!(border.net.router(1).kernel[&prefix("43.228.174.0/24")].discard);
    border.net.set_carrier(1, false);
    border.net.run(ms(500));
    for stranger in border.strangers() {
        assert_eq!(border.heard(stranger), Vec::<String>::new());
    }
    assert!(!border.knows(1, "43.228.174.0/24"));
    assert_eq!(border.net.status(1).held_back.len(), 2);
    border.net.set_carrier(0, true);
    border.net.run(ms(3000));
    assert_eq!(border.heard(border.provider[0]), ["43.228.174.0/24"]);
    let stopped = |notice: &&Notice| matches!(notice, Notice::OriginationStopped { .. });
    assert_eq!(border.net.router(1).notices.iter().filter(stopped).count(), 2);
}

#[test]
fn well_known_communities_keep_a_route_here() {
    let mut border = border(|_| {});
    let c = border.customer[0];
    border.say(c, &["198.51.100.0/24"], &[], |it| it.communities = Box::new([Community::NO_EXPORT]));
    assert!(border.knows(0, "198.51.100.0/24"));
    assert_eq!(border.heard(border.provider[0]), ["43.228.174.0/24"]);
    border.say(c, &["198.51.101.0/24"], &[], |it| it.communities = Box::new([Community::NO_ADVERTISE]));
    assert!(border.knows(1, "198.51.101.0/24") && !border.knows(0, "198.51.101.0/24"));
}

#[test]
fn a_customer_has_its_traffic_dropped() {
    let mut border = border(|_| {});
    let blackhole = |it: &mut Attributes| it.communities = Box::new([Community::BLACKHOLE]);
    let c = border.customer[0];
    border.say(c, &["198.51.100.0/24"], &[], |_| {});
    border.say(c, &["198.51.100.7/32", "43.228.174.65/32"], &[], blackhole);
    // Dropped at every border, and told nobody outside (RFC 7999 3.2).
    for node in 0..3 {
        for text in ["198.51.100.7/32", "43.228.174.65/32"] {
            let route = &border.net.router(node).kernel[&prefix(text)];
            assert!(route.discard && route.next_hops.is_empty(), "{text} on {node}");
        }
        assert!(!border.net.router(node).kernel[&prefix("198.51.100.0/24")].discard);
    }
    assert_eq!(border.heard(border.provider[0]), ["43.228.174.0/24", "198.51.100.0/24"]);
    // Only for what it may announce, and only from a customer.
    border.say(c, &["9.9.9.9/32"], &[], blackhole);
    assert!(!border.knows(1, "9.9.9.9/32"));
    border.say(border.provider[0], &["8.8.8.0/24"], &[], blackhole);
    border.say(border.provider[0], &["8.8.8.8/32"], &[], blackhole);
    assert!((0..3).all(|node| !border.net.router(node).kernel[&prefix("8.8.8.0/24")].discard));
    assert_eq!(border.refused(0, "as150369 203"), [("8.8.8.8/32".into(), ImportRefusal::TooLong)]);
    // It may think again.
    border.say(c, &["198.51.100.7/32"], &[], |_| {});
    assert!(!border.knows(0, "198.51.100.7/32"));
}

#[test]
fn a_drained_session_is_left_by_both_ends_and_stands() {
    let mut border = border(|_| {});
    let (p, o) = (border.provider[0], border.other[0]);
    // The shorter path is the provider's at router 1: all use it.
    border.say(p, &["8.8.8.0/24"], &[15169], |_| {});
    border.say(o, &["8.8.8.0/24"], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 15169], |_| {});
    let by = |border: &Border, node: usize| {
        let speaker = border.net.router(node).speaker.as_ref().unwrap();
        let route = speaker.routes().find(|it| it.prefix == prefix("8.8.8.0/24")).unwrap();
        (route.paths[0].as_path.contains("150369"), route.paths[0].local_preference)
    };
    assert!((0..3).all(|node| by(&border, node).0));
    let own = prefix("43.228.174.0/24");
    let asked = |border: &Border, stranger: usize| {
        border.net.stranger(stranger).table[&own].communities.contains(&Community::GRACEFUL_SHUTDOWN)
    };
    assert!(!asked(&border, p));
    let drain = |border: &mut Border, drain: bool| {
        let mut config = border.net.router(0).config.clone();
        let found = config.neighbours.iter_mut().find(|it| it.name.contains("as150369 203"));
        found.unwrap().terms.drain = drain;
        border.net.replace(0, config);
        border.net.run(ms(100));
        // It was asked to tell again, and does.
        border.say(p, &["8.8.8.0/24"], &[15169], |_| {});
    };
    drain(&mut border, true);
    assert_eq!(border.net.stranger(p).refreshes, 1);
    assert!(asked(&border, p) && !asked(&border, o));
    assert!((0..3).all(|node| by(&border, node) == (false, 100)), "{:?}", by(&border, 0));
    drain(&mut border, false);
    assert!(!asked(&border, p));
    assert!((0..3).all(|node| by(&border, node) == (true, 100)));
    assert!(border.net.all_established());
    assert!(border.net.router(0).notices.iter().all(|it| !matches!(it, Notice::Lost { .. })));
}

#[test]
fn a_drained_router_is_left_by_inside_and_outside() {
    // The triangle's third side is dear: traffic from 1 to 3 goes over 2.
    let mut net = Net::routers(&[1, 2, 3]);
    net.link(0, 1, 1);
    net.link(1, 2, 1);
    net.link(0, 2, 9);
    let [p, _] = net.outside(1, Asn(PROVIDER), Role::Provider);
    for own in super::net::own_prefixes() {
        let while_reaching = loopbacks(1).to_vec();
        net.router_mut(1).config.originate.push(Origination { prefix: own, while_reaching, discard: true });
    }
    net.start();
    net.run_until(ms(5000), |net| net.all_established() && net.all_reach_all());
    net.run(ms(500));
    let over = |net: &Net| net.router(0).kernel[&loopbacks(3)[0]].next_hops[0].link.to_string();
    assert_eq!(over(&net), "l0-0");
    let mut config = net.router(1).config.clone();
    config.draining = true;
    net.replace(1, config.clone());
    net.run(ms(500));
    assert_eq!(over(&net), "l2-0");
    let told = |net: &Net| net.stranger(p).table[&prefix("43.228.174.0/24")].communities.clone();
    assert_eq!(*told(&net), [Community::GRACEFUL_SHUTDOWN]);
    assert!(net.all_reach_all() && net.all_established());
    config.draining = false;
    net.replace(1, config);
    net.run(ms(500));
    assert_eq!((over(&net).as_str(), told(&net).len()), ("l0-0", 0));
}

#[test]
fn more_prefixes_than_allowed_end_the_session() {
    let mut border = border(|net| net.policy_mut(0, "as150369 203").prefix_limit = Some(2));
    let p = border.provider[0];
    border.say(p, &["1.0.0.0/24", "1.0.1.0/24"], &[], |_| {});
    assert!(border.knows(2, "1.0.0.0/24"));
    border.say(p, &["1.0.2.0/24"], &[], |_| {});
    assert!(!border.knows(2, "1.0.0.0/24"));
    let status = border.net.status(0);
    let neighbour = status.neighbours.iter().find(|it| it.name.contains("as150369 203")).unwrap();
    assert_eq!(neighbour.last_end, Some(SessionEnd::PrefixLimit { limit: 2, rest: 900_000 }));
    assert_eq!(neighbour.state, SessionState::AwaitStart);
    let notification = border.net.stranger(p).notifications.last().unwrap();
    assert_eq!((notification.code, notification.subcode), (6, 1));
    assert_eq!(notification.data, [0, 1, 1, 0, 0, 0, 2]);
    // It rests a quarter of an hour, and only then tries again.
    border.net.run(ms(14 * 60_000));
    assert_eq!(border.net.status(0).neighbours.iter().filter(|it| it.established_count == 2).count(), 0);
    border.net.run(ms(2 * 60_000));
    assert_eq!(border.net.status(0).neighbours.iter().filter(|it| it.established_count == 2).count(), 1);
}

#[test]
fn a_limit_is_warned_of_and_changed_without_a_reset() {
    let mut border = border(|net| net.policy_mut(0, "as150369 203").prefix_limit = Some(4));
    let p = border.provider[0];
    let near = |border: &Border| {
        let notices = border.net.router(0).notices.iter();
        notices.filter(|it| matches!(it, Notice::LimitNear { count: 4, limit: 4, .. })).count()
    };
    border.say(p, &["1.0.0.0/24", "1.0.1.0/24", "1.0.2.0/24"], &[], |_| {});
    assert_eq!(near(&border), 0);
    border.say(p, &["1.0.3.0/24"], &[], |_| {});
    let bytes = border.net.stranger(p).withdrawal(&["1.0.3.0/24"]);
    border.net.say(p, bytes);
    border.say(p, &["1.0.3.0/24"], &[], |_| {});
    assert_eq!(near(&border), 1);
    let change = |border: &mut Border, limit: u32, rest: u32| {
        border.net.policy_mut(0, "as150369 203").prefix_limit = Some(limit);
        let mut config = border.net.router(0).config.clone();
        let found = config.neighbours.iter_mut().find(|it| it.name.contains("as150369 203"));
        found.unwrap().terms.limit = crate::bgp::config::LimitTerms { warn_percent: 100, rest };
        border.net.replace(0, config);
        border.net.run(ms(100));
    };
    change(&mut border, 5, 60_000);
    assert!(border.net.all_established());
    // A lower one than what is there counts at once, and the rest is as was said.
    change(&mut border, 3, 60_000);
    assert!(!border.knows(2, "1.0.0.0/24"));
    border.net.run(ms(59_000));
    assert!(!border.net.all_established());
    border.net.run(ms(10_000));
    assert!(border.net.all_established());
}

#[test]
fn bad_attributes_withdraw_the_route_and_leave_the_session() {
    let mut border = border(|_| {});
    let p = border.provider[0];
    border.say(p, &["8.8.8.0/24", "8.8.4.0/24"], &[1], |_| {});
    let mut bytes = border.net.stranger(p).announcement(&["8.8.8.0/24"], &[1], |_| {});
    // ORIGIN is the first attribute: its value stands 4 bytes after the two lengths.
    assert_eq!(bytes[23..27], [0x40, 1, 1, 0]);
    bytes[26] = 7;
    border.net.say(p, bytes);
    border.net.run(ms(500));
    assert!(!border.knows(2, "8.8.8.0/24") && border.knows(2, "8.8.4.0/24"));
    assert_eq!(border.refused(0, "as150369 203"), [("8.8.8.0/24".into(), ImportRefusal::TreatedAsWithdraw)]);
    let said = |notice: &&Notice| matches!(notice, Notice::AttributeError { .. });
    assert_eq!(border.net.router(0).notices.iter().filter(said).count(), 1);
    assert!(border.net.all_established());
}

#[test]
fn a_neighbour_of_two_octets() {
    let mut net = Net::routers(&[1]);
    let [v4, _] = net.outside(0, Asn(3000), Role::Customer);
    net.policy_mut(0, "as3000 203").listed = listed(&["198.51.100.0/24"]);
    let [provider, _] = net.outside(0, Asn(150_369), Role::Provider);
    if let super::net::Machine::Stranger(stranger) = &mut net.machines[v4] {
        stranger.four_octet = false;
    }
    net.start();
    net.run_until(ms(5000), Net::all_established);
    let bytes = net.stranger(provider).announcement(&["8.8.8.0/24"], &[400_000], |_| {});
    net.say(provider, bytes);
    net.run(ms(200));
    // AS_TRANS in AS_PATH, the truth in AS4_PATH, joined again by who reads both.
    assert_eq!(net.stranger(v4).path("8.8.8.0/24").unwrap(), "63806 150369 400000");
}

#[test]
fn the_whole_table_is_told_again_on_request_and_packed() {
    let mut border = border(|_| {});
    let c = border.customer[0];
    let many: Vec<String> = (0..500).map(|n| alloc::format!("20.{}.{}.0/24", n / 256, n % 256)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let before = border.net.stranger(c).updates;
    border.say(border.provider[0], &many, &[7], |_| {});
    assert_eq!(border.net.stranger(c).table.len(), 501);
    let updates = border.net.stranger(c).updates - before;
    assert!(updates < 30, "{updates} UPDATEs");
    if let super::net::Machine::Stranger(stranger) = &mut border.net.machines[c] {
        stranger.table.clear();
    }
    let mut refresh = Vec::new();
    crate::wire::bgp::AfiSafi::IPV4_UNICAST.emit_refresh(Refresh::Request, &mut refresh);
    border.net.say(c, refresh);
    border.net.run(ms(500));
    assert_eq!(border.net.stranger(c).table.len(), 501);
    // The session ends, and all of it goes from everywhere.
    border.net.set_carrier(2, false);
    border.net.run(ms(500));
    assert_eq!(border.net.stranger(c).table.len(), 1);
    assert!(border.net.kernels_are_current());
}

#[test]
fn a_telling_on_request_has_a_beginning_and_an_end() {
    let mut border = border(|net| {
        net.strangers_mut(Asn(CUSTOMER))
            .for_each(|it| it.capabilities = vec![Capability::EnhancedRouteRefresh]);
    });
    let c = border.customer[0];
    let many: Vec<String> = (0..300).map(|n| alloc::format!("20.{}.{}.0/24", n / 256, n % 256)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    border.say(border.provider[0], &many, &[7], |_| {});
    let before = border.net.stranger(c).updates;
    let mut request = Vec::new();
    let ipv4 = crate::wire::bgp::AfiSafi::IPV4_UNICAST;
    ipv4.emit_refresh(Refresh::Request, &mut request);
    ipv4.emit_refresh(Refresh::Request, &mut request);
    // Of a family that the session does not carry, and a subtype that nobody knows: nothing.
    crate::wire::bgp::AfiSafi::IPV6_UNICAST.emit_refresh(Refresh::Request, &mut request);
    ipv4.emit_refresh(Refresh::Unknown(7), &mut request);
    border.net.say(c, request);
    border.net.run(ms(500));
    let stranger = border.net.stranger(c);
    let middle = stranger.marks[1].1;
    assert!(middle > before && stranger.updates > middle);
    let said = [
        (Refresh::Begin, before),
        (Refresh::End, middle),
        (Refresh::Begin, middle),
        (Refresh::End, stranger.updates),
    ];
    assert_eq!(stranger.marks, said);
    assert!(border.net.all_established());
}

#[test]
fn what_is_not_told_again_is_gone() {
    let mut border = border(|net| {
        net.strangers_mut(Asn(PROVIDER))
            .for_each(|it| it.capabilities = vec![Capability::EnhancedRouteRefresh]);
    });
    let p = border.provider[0];
    border.say(p, &["8.8.8.0/24", "8.8.4.0/24", "9.9.0.0/16", "10.0.0.0/24", "10.0.1.0/24"], &[], |_| {});
    let ipv4 = crate::wire::bgp::AfiSafi::IPV4_UNICAST;
    // An end without a beginning says nothing.
    let mut bytes = Vec::new();
    ipv4.emit_refresh(Refresh::End, &mut bytes);
    border.net.say(p, bytes);
    border.net.run(ms(100));
    assert!(border.knows(2, "8.8.8.0/24"));
    let mut bytes = Vec::new();
    ipv4.emit_refresh(Refresh::Begin, &mut bytes);
    bytes.extend(border.net.stranger(p).announcement(&["8.8.8.0/24", "10.0.1.0/24"], &[], |_| {}));
    bytes.extend(border.net.stranger(p).announcement(&["9.9.0.0/16"], &[77], |_| {}));
    border.net.say(p, bytes);
    border.net.run(ms(100));
    // Until the end nothing is taken away.
    assert!(border.knows(2, "8.8.4.0/24"));
    let mut bytes = Vec::new();
    ipv4.emit_refresh(Refresh::End, &mut bytes);
    border.net.say(p, bytes);
    border.net.run(ms(500));
    assert!(border.knows(2, "8.8.8.0/24") && border.knows(2, "9.9.0.0/16") && !border.knows(2, "8.8.4.0/24"));
    let refused = border.refused(0, "as150369 203");
    assert_eq!(refused.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(), ["10.0.1.0/24"]);
    assert!(border.net.all_established() && border.net.kernels_are_current());
}

#[test]
fn new_filters_ask_for_everything_again() {
    let mut border = border(|_| {});
    let p = border.provider[0];
    border.say(p, &["8.8.8.0/24"], &[], |_| {});
    let mut config = border.net.router(0).config.clone();
    config.bogons.push(prefix("8.0.0.0/8"));
    border.net.replace(0, config);
    border.net.run(ms(100));
    assert_eq!(border.net.stranger(p).refreshes, 1);
    // The stranger tells again, and the route is refused now.
    border.say(p, &["8.8.8.0/24"], &[], |_| {});
    assert!(!border.knows(1, "8.8.8.0/24"));
    assert!(border.net.all_established());
}

#[test]
fn attributes_without_room_are_not_sent_and_said() {
    // A route that came in an extended message reaches the whole inside, and outside who takes such
    // messages (RFC 8654 4).
    let mut border = border(|net| {
        for name in [PEER, CUSTOMER] {
            net.strangers_mut(Asn(name)).for_each(|it| it.capabilities = vec![Capability::ExtendedMessage]);
        }
    });
    let value: Box<[u8]> = vec![0; 5000].into();
    border.say(border.customer[0], &["198.51.100.0/24"], &[], |it| {
        it.unknown = Box::new([UnknownAttribute { code: 99, value }]);
    });
    assert!((0..3).all(|node| border.knows(node, "198.51.100.0/24")));
    assert_eq!(border.heard(border.peer[0]), ["43.228.174.0/24", "198.51.100.0/24"]);
    assert_eq!(border.heard(border.provider[0]), ["43.228.174.0/24"]);
    border.net.run(ms(3000));
    let said = |notice: &Notice| matches!(notice, Notice::TooLarge { neighbour, .. } if neighbour.contains("150369"));
    assert!(border.net.router(0).notices.iter().any(said));
    assert!(
        !border
            .net
            .router(2)
            .notices
            .iter()
            .any(|it| matches!(it, Notice::TooLarge { neighbour, .. } if neighbour.contains("63790")))
    );
    assert!(border.net.all_established());
}

#[test]
fn a_long_message_that_was_not_agreed_on_ends_the_session() {
    let mut border = border(|_| {});
    let value: Box<[u8]> = vec![0; 5000].into();
    border.say(border.customer[0], &["198.51.100.0/24"], &[], |it| {
        it.unknown = Box::new([UnknownAttribute { code: 99, value }]);
    });
    // Header Error, Bad Message Length, with the length (RFC 4271 6.1).
    let notification = border.net.stranger(border.customer[0]).notifications.last().unwrap();
    assert_eq!((notification.code, notification.subcode, notification.data.len()), (1, 2, 2));
}

#[test]
fn only_to_customers_is_said_and_obeyed_at_the_border() {
    let mut border = border(|_| {});
    let [p, q, c] = [border.provider[0], border.peer[0], border.customer[0]];
    let otc = |border: &Border, stranger: usize, text: &str| {
        border.net.stranger(stranger).table.get(&prefix(text)).map(|it| it.only_to_customer)
    };
    let own = "43.228.174.0/24";
    assert_eq!(otc(&border, p, own), Some(None));
    assert_eq!(otc(&border, q, own), Some(Some(PUBLIC)));
    assert_eq!(otc(&border, c, own), Some(Some(PUBLIC)));
    // From above and from beside: said by us in their name, unless they said it themselves; unchanged
    // through the inside.
    border.say(p, &["8.8.8.0/24"], &[], |_| {});
    border.say(p, &["8.8.4.0/24"], &[3356], |it| it.only_to_customer = Some(Asn(3356)));
    border.say(q, &["9.9.9.0/24"], &[], |_| {});
    border.say(q, &["9.9.8.0/24"], &[], |it| it.only_to_customer = Some(Asn(PEER)));
    assert_eq!(otc(&border, c, "8.8.8.0/24"), Some(Some(Asn(PROVIDER))));
    assert_eq!(otc(&border, c, "8.8.4.0/24"), Some(Some(Asn(3356))));
    assert_eq!(otc(&border, c, "9.9.9.0/24"), Some(Some(Asn(PEER))));
    assert_eq!(otc(&border, c, "9.9.8.0/24"), Some(Some(Asn(PEER))));
    // A customer's own: upwards without a word, sideways with one of ours.
    border.say(c, &["198.51.100.0/24"], &[], |_| {});
    assert_eq!(otc(&border, p, "198.51.100.0/24"), Some(None));
    assert_eq!(otc(&border, q, "198.51.100.0/24"), Some(Some(PUBLIC)));
    // Leaks, caught on the way in.
    border.say(c, &["198.51.101.0/24"], &[], |it| it.only_to_customer = Some(Asn(174)));
    border.say(q, &["9.9.7.0/24"], &[], |it| it.only_to_customer = Some(Asn(174)));
    let leak = |text: &str| (text.to_string(), ImportRefusal::Leak { told_by: Asn(174) });
    assert_eq!(border.refused(1, "as131000 203"), [leak("198.51.101.0/24")]);
    assert_eq!(border.refused(2, "as63790 203"), [leak("9.9.7.0/24")]);
}

/// What is for customers only is kept from others by its class, and by its mark where the class is wrong.
#[test]
fn each_guard_against_a_leak_holds_without_the_other() {
    let border = border(|_| {});
    let config = &border.net.router(2).config;
    let peer = config.neighbours.iter().find(|it| it.remote_asn == Asn(PEER)).unwrap();
    let told = |class: Class, only_to_customer: Option<Asn>| {
        let route = Route {
            attributes: Attributes { only_to_customer, ..Attributes::default() },
            next_hop: None,
            class: Some(class),
            local_preference: 100,
            discard: false,
            body: None,
            path_id: 0,
        };
        let policy = Policy::new(config, peer);
        export_check(config, &Tables::new(config), peer, policy.as_deref(), &prefix("8.8.8.0/24"), &route)
    };
    assert_eq!(told(Class::Provider, Some(Asn(PROVIDER))), Err(ExportRefusal::OnlyToCustomers));
    assert_eq!(told(Class::Customer, Some(Asn(PROVIDER))), Err(ExportRefusal::OnlyToCustomers));
    assert_eq!(told(Class::Provider, None), Err(ExportRefusal::NotForThem));
    assert_eq!(told(Class::Customer, None), Ok(()));
}

#[test]
fn roles_are_agreed_on_or_there_is_no_session() {
    use crate::wire::bgp::BgpRole;
    let attempt = |role: Role, says: &[BgpRole], strict: bool| {
        let mut net = Net::routers(&[1]);
        let [v4, _] = net.outside(0, Asn(PROVIDER), role);
        net.router_mut(0).config.neighbours.iter_mut().for_each(|it| it.terms.strict_role = strict);
        let says: Vec<Capability> = says.iter().map(|&role| Capability::Role(role)).collect();
        net.strangers_mut(Asn(PROVIDER)).for_each(|it| it.capabilities = says.clone());
        net.start();
        net.run(ms(1000));
        let open = net.stranger(v4).open.clone().unwrap();
        let ours: Vec<BgpRole> = open.roles().collect();
        let notification = net.stranger(v4).notifications.last().map(|it| (it.code, it.subcode));
        (ours, net.all_established(), notification)
    };
    let (provider, customer, peer) = (BgpRole::PROVIDER, BgpRole::CUSTOMER, BgpRole::PEER);
    let mismatch = Some((2, 11));
    assert_eq!(attempt(Role::Provider, &[provider], true), (vec![customer], true, None));
    assert_eq!(attempt(Role::Customer, &[customer], true), (vec![provider], true, None));
    assert_eq!(attempt(Role::Peer, &[peer, peer], true), (vec![peer], true, None));
    let (server, client) = (BgpRole::ROUTE_SERVER, BgpRole::ROUTE_SERVER_CLIENT);
    assert_eq!(attempt(Role::RouteServer, &[server], true), (vec![client], true, None));
    assert_eq!(attempt(Role::RouteServer, &[peer], false), (vec![client], false, mismatch));
    assert_eq!(attempt(Role::Provider, &[], false), (vec![customer], true, None));
    assert_eq!(attempt(Role::Provider, &[], true), (vec![customer], false, mismatch));
    assert_eq!(attempt(Role::Provider, &[customer], false), (vec![customer], false, mismatch));
    assert_eq!(attempt(Role::Provider, &[provider, peer], false), (vec![customer], false, mismatch));
    assert_eq!(attempt(Role::Peer, &[BgpRole(77)], false), (vec![peer], false, mismatch));
}

/// A border whose first provider restarts gracefully, with two routes of its.
fn restarting(families: Vec<(crate::wire::bgp::AfiSafi, bool)>) -> Border {
    let mut border =
        border(|net| net.strangers_mut(Asn(PROVIDER)).for_each(|it| it.capabilities = says(&families)));
    border.say(border.provider[0], &["8.8.8.0/24", "8.8.4.0/24"], &[], |_| {});
    assert!(border.knows(2, "8.8.8.0/24"));
    border
}

fn says(families: &[(crate::wire::bgp::AfiSafi, bool)]) -> Vec<Capability> {
    let restart = GracefulRestart { time: 30, families: families.to_vec(), ..GracefulRestart::default() };
    vec![Capability::GracefulRestart(restart), Capability::EnhancedRouteRefresh]
}

const IPV4: crate::wire::bgp::AfiSafi = crate::wire::bgp::AfiSafi::IPV4_UNICAST;

#[test]
fn a_neighbour_that_restarts_is_used_until_it_has_told_everything() {
    let mut border = restarting(vec![(IPV4, true)]);
    let p = border.provider[0];
    let c = border.customer[0];
    border.net.restart(p);
    border.net.run(ms(1000));
    assert!(border.knows(0, "8.8.8.0/24") && border.knows(2, "8.8.4.0/24"));
    assert!(border.net.stranger(c).table.contains_key(&prefix("8.8.8.0/24")));
    border.net.run(ms(9000));
    assert!(border.net.all_established() && border.knows(2, "8.8.4.0/24"));
    // A refresh before End-of-RIB says nothing (RFC 7313 4.2).
    let mut bytes = Vec::new();
    IPV4.emit_refresh(Refresh::Begin, &mut bytes);
    bytes.extend(border.net.stranger(p).announcement(&["8.8.8.0/24"], &[], |_| {}));
    border.net.say(p, bytes);
    border.net.run(ms(500));
    assert!(border.knows(2, "8.8.4.0/24"));
    let mut bytes = Vec::new();
    Update::emit_end_of_rib(IPV4, &mut bytes);
    border.net.say(p, bytes);
    border.net.run(ms(500));
    assert!(border.knows(2, "8.8.8.0/24") && !border.knows(2, "8.8.4.0/24"));
    let status = border.net.status(0);
    let neighbour = status.neighbours.iter().find(|it| it.name.contains("as150369 203")).unwrap();
    assert_eq!(neighbour.accepted.ipv4, 1);
    // Long after, nothing more happens.
    border.net.run(ms(400_000));
    assert!(border.knows(2, "8.8.8.0/24") && border.net.kernels_are_current());
    assert!(!border.net.router(0).notices.iter().any(|it| matches!(it, Notice::RoutesKeptNoLonger { .. })));
}

#[test]
fn a_neighbour_that_does_not_come_back_is_forgotten() {
    let mut border = restarting(vec![(IPV4, true)]);
    let p = border.provider[0];
    border.net.strangers_mut(Asn(PROVIDER)).for_each(|it| it.listens = false);
    border.net.restart(p);
    border.net.run(ms(29_000));
    assert!(border.knows(2, "8.8.8.0/24"));
    border.net.run(ms(2000));
    assert!(!border.knows(0, "8.8.8.0/24") && !border.knows(2, "8.8.8.0/24"));
    assert!(border.net.router(0).notices.iter().any(|it| matches!(it, Notice::RoutesKeptNoLonger { .. })));
}

#[test]
fn what_was_not_forwarded_by_is_not_kept() {
    // Back with the forwarding bit clear, and back without the capability.
    for back in [says(&[(IPV4, false)]), Vec::new()] {
        let mut border = restarting(vec![(IPV4, true)]);
        border.net.strangers_mut(Asn(PROVIDER)).for_each(|it| it.capabilities = back.clone());
        border.net.restart(border.provider[0]);
        border.net.run(ms(200));
        assert!(border.knows(2, "8.8.8.0/24"));
        border.net.run(ms(10_000));
        assert!(border.net.all_established() && !border.knows(2, "8.8.8.0/24"));
    }
    // Never: of a neighbour that says nothing of it, that ends the session on purpose, or whose link is down.
    let mut quiet = restarting(Vec::new());
    quiet.net.restart(quiet.provider[0]);
    quiet.net.run(ms(100));
    assert!(!quiet.knows(2, "8.8.8.0/24"));
    let mut stopped = restarting(vec![(IPV4, true)]);
    let mut bytes = Vec::new();
    crate::wire::bgp::Notification::shutdown("going").emit_message(&mut bytes);
    stopped.net.say(stopped.provider[0], bytes);
    stopped.net.run(ms(100));
    assert!(!stopped.knows(2, "8.8.8.0/24"));
    let mut down = restarting(vec![(IPV4, true)]);
    down.net.restart(down.provider[0]);
    down.net.run(ms(100));
    assert!(down.knows(2, "8.8.8.0/24"));
    down.net.set_carrier(2, false);
    down.net.run(ms(500));
    assert!(!down.knows(2, "8.8.8.0/24"));
    // And not of one that is none any more.
    let mut gone = restarting(vec![(IPV4, true)]);
    gone.net.restart(gone.provider[0]);
    gone.net.run(ms(100));
    let mut config = gone.net.router(0).config.clone();
    config.neighbours.retain(|it| !it.name.contains("as150369 203"));
    gone.net.replace(0, config);
    gone.net.run(ms(500));
    assert!(!gone.knows(2, "8.8.8.0/24") && !gone.knows(0, "8.8.8.0/24"));
}

#[test]
fn a_word_is_a_restart_too_unless_it_is_hard() {
    use crate::wire::bgp::Notification;
    let after = |bytes: &dyn Fn() -> Vec<u8>| {
        let says =
            GracefulRestart { notification: true, time: 30, families: vec![(IPV4, true)], restarted: false };
        let mut border = border(|net| {
            net.policy_mut(0, "as150369 203").prefix_limit = Some(2);
            let says = vec![Capability::GracefulRestart(says)];
            net.strangers_mut(Asn(PROVIDER)).for_each(|it| it.capabilities = says.clone());
        });
        let p = border.provider[0];
        border.say(p, &["8.8.8.0/24"], &[], |_| {});
        let mut bytes = bytes();
        if bytes.is_empty() {
            bytes = border.net.stranger(p).announcement(&["9.0.0.0/24", "9.0.1.0/24"], &[], |_| {});
        }
        border.net.say(p, bytes);
        border.net.run(ms(200));
        let last = border.net.stranger(p).notifications.last().cloned();
        (border.knows(2, "8.8.8.0/24"), last)
    };
    let message = |notification: Notification| {
        move || {
            let mut bytes = Vec::new();
            notification.emit_message(&mut bytes);
            bytes
        }
    };
    let reset = Notification::new(Notification::CEASE, 4);
    assert!(after(&message(reset.clone())).0);
    assert!(!after(&message(reset.clone().hard())).0);
    assert_eq!(reset.clone().hard().data, [6, 4]);
    assert_eq!(reset.clone().hard().behind_hard_reset(), Some(reset));
    // Ours for good: more prefixes than allowed.
    let (knows, last) = after(&Vec::new);
    let expected = Notification { code: 6, subcode: 1, data: vec![0, 1, 1, 0, 0, 0, 2] }.hard();
    assert_eq!((knows, last), (false, Some(expected)));
}

#[test]
fn who_does_not_read_is_given_up() {
    let mut border = border(|_| {});
    let c = border.customer[0];
    let name = "as131000 203";
    let neighbours = &border.net.router(1).config.neighbours;
    let at = neighbours.iter().position(|it| it.name.contains(name)).unwrap();
    border.net.router_mut(1).stuck.insert(crate::bgp::NeighbourId(at as u16));
    border.say(border.provider[0], &["8.8.8.0/24"], &[], |_| {});
    // RFC 9687 5: 8 minutes, though the neighbour itself speaks.
    border.net.run(ms(7 * 60_000));
    assert!(border.net.router(1).notices.iter().all(|it| !matches!(it, Notice::Lost { .. })));
    border.net.run(ms(61_000));
    let status = border.net.status(1);
    let neighbour = status.neighbours.iter().find(|it| it.name.contains(name)).unwrap();
    assert_eq!(neighbour.last_end, Some(SessionEnd::SendHoldExpired));
    let notification = border.net.stranger(c).notifications.last().unwrap();
    assert_eq!((notification.code, notification.subcode), (8, 0));
    assert!(border.heard(border.peer[0]).contains(&"43.228.174.0/24".into()));
}

#[test]
fn the_wrong_number_in_open() {
    let mut net = Net::routers(&[1]);
    let [v4, _] = net.outside(0, Asn(3000), Role::Peer);
    if let super::net::Machine::Stranger(stranger) = &mut net.machines[v4] {
        stranger.asn = Asn(3001);
    }
    net.start();
    net.run(ms(1000));
    let status = net.status(0);
    let end = SessionEnd::WrongAsn { expected: Asn(3000), found: Asn(3001) };
    assert_eq!(status.neighbours[0].last_end, Some(end.clone()));
    assert_eq!(net.stranger(v4).notifications[0].subcode, 2);
    // Said once, tried again seldom.
    net.run(ms(300_000));
    let said = |notice: &&Notice| matches!(notice, Notice::Failing { .. });
    assert_eq!(net.router(0).notices.iter().filter(said).count(), 1);
    assert!(net.stranger(v4).notifications.len() < 10);
}
