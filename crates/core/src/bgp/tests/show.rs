//! Answers to "why": where each path lost, why a route was refused, who was told what.

use super::net::{Net, ms, own_prefixes, prefix};
use crate::bgp::config::{Origination, Role};
use crate::bgp::{
    ExportRefusal, ImportRefusal, LostAt, NeighbourId, Page, ReceivedRoute, RouteReport, SentRoute, Speaker,
    ToldState,
};
use crate::id::{Asn, Prefix};
use crate::wire::bgp::{Attributes, Community, Origin};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

const ONE: u32 = 64_496 + 86_000;
const TWO: u32 = ONE + 1;
const PEER: u32 = ONE + 2;
const CUSTOMER: u32 = ONE + 3;

/// One router: two providers, the first with two connections, a peer and a customer; IPv4 machines.
struct Border {
    net: Net,
    one: usize,
    again: usize,
    two: usize,
    peer: usize,
    customer: usize,
}

fn border(max_paths: u8) -> Border {
    let mut net = Net::routers(&[1]);
    for own in own_prefixes() {
        let own = Origination { prefix: own, while_reaching: Vec::new(), discard: true };
        net.router_mut(0).config.originate.push(own);
    }
    net.router_mut(0).config.max_paths = max_paths;
    let [one, again, two, peer, customer] = [
        (ONE, Role::Provider),
        (ONE, Role::Provider),
        (TWO, Role::Provider),
        (PEER, Role::Peer),
        (CUSTOMER, Role::Customer),
    ]
    .map(|(asn, role)| net.outside(0, Asn(asn), role)[0]);
    let customers = format!("as{CUSTOMER} 203");
    net.policy_mut(0, &customers).listed = super::net::listed(&["198.51.100.0/23"]);
    net.start();
    net.run_until(ms(5000), Net::all_established);
    net.run(ms(500));
    Border { net, one, again, two, peer, customer }
}

impl Border {
    fn say(&mut self, from: usize, prefixes: &[&str], path: &[u32], change: impl FnOnce(&mut Attributes)) {
        let bytes = self.net.stranger(from).announcement(prefixes, path, change);
        self.net.say(from, bytes);
        self.net.run(ms(500));
    }

    fn speaker(&self) -> &Speaker {
        self.net.router(0).speaker.as_ref().unwrap()
    }

    fn explain(&self, text: &str) -> RouteReport {
        self.speaker().explain(&prefix(text))
    }

    /// The session with the machine.
    fn neighbour(&self, machine: usize) -> NeighbourId {
        let remote = self.net.stranger(machine).address;
        let neighbours = self.net.status(0).neighbours;
        let at = neighbours.iter().position(|it| it.remote == Some(remote)).unwrap();
        NeighbourId(at as u16)
    }

    /// Where each path lost, the best first.
    fn lost(&self, text: &str) -> Vec<Option<LostAt>> {
        self.explain(text).paths.iter().map(|path| path.lost).collect()
    }

    fn told(&self, text: &str, machine: usize) -> ToldState {
        let name = &self.net.router(0).config.neighbours[usize::from(self.neighbour(machine).0)].name;
        self.explain(text).told.iter().find(|it| it.neighbour == *name).unwrap().state
    }
}

#[test]
fn every_step_names_what_it_leaves_behind() {
    let mut border = border(2);
    let [one, again, two, peer] = [border.one, border.again, border.two, border.peer];
    // 9.1.1: a peer is better than a provider, however long its path.
    border.say(one, &["8.8.1.0/24"], &[], |_| {});
    border.say(peer, &["8.8.1.0/24"], &[1, 2, 3], |_| {});
    assert_eq!(border.lost("8.8.1.0/24"), [None, Some(LostAt::LocalPreference)]);
    // 9.1.2.2 a)
    border.say(one, &["8.8.2.0/24"], &[1], |_| {});
    border.say(two, &["8.8.2.0/24"], &[], |_| {});
    assert_eq!(border.lost("8.8.2.0/24"), [None, Some(LostAt::PathLength)]);
    // b)
    border.say(one, &["8.8.3.0/24"], &[], |it| it.origin = Origin::Incomplete);
    border.say(two, &["8.8.3.0/24"], &[], |_| {});
    assert_eq!(border.lost("8.8.3.0/24"), [None, Some(LostAt::Origin)]);
    // c): between paths of one neighbouring AS only.
    border.say(one, &["8.8.4.0/24"], &[], |it| it.med = Some(7));
    border.say(again, &["8.8.4.0/24"], &[], |it| it.med = Some(8));
    border.say(two, &["8.8.4.0/24"], &[], |it| it.med = Some(9));
    assert_eq!(border.lost("8.8.4.0/24"), [None, Some(LostAt::UsedTogether), Some(LostAt::Med)]);
    // f): as many as may be are used together, by the order of their identifiers.
    for provider in [one, again, two] {
        border.say(provider, &["8.8.5.0/24"], &[], |_| {});
    }
    assert_eq!(border.lost("8.8.5.0/24"), [None, Some(LostAt::UsedTogether), Some(LostAt::MaxPaths)]);
    let report = border.explain("8.8.5.0/24");
    assert_eq!(report.forwarding.unwrap().next_hops.len(), 2);
    assert!(report.paths.is_sorted_by_key(|path| path.identifier));
}

#[test]
fn an_address_is_covered_by_the_longest_route() {
    let mut border = border(1);
    let one = border.one;
    border.say(one, &["8.0.0.0/9", "8.8.0.0/16", "8.8.8.0/25"], &[], |_| {});
    let covering = |text: &str| border.speaker().covering(&prefix(text)).map(|it| it.to_string());
    assert_eq!(covering("8.8.8.8/32").as_deref(), Some("8.8.0.0/16"));
    assert_eq!(covering("8.9.0.0/16").as_deref(), Some("8.0.0.0/9"));
    assert_eq!(covering("9.9.9.9/32"), None);
    // What is longer and was refused is named with its reason.
    let refused = border.speaker().refused_of(&prefix("8.8.8.8/32"));
    let [refused] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!(
        (refused.refused.prefix, refused.refused.reason),
        (prefix("8.8.8.0/25"), ImportRefusal::TooLong)
    );
    assert_eq!(refused.refused.as_path.as_deref(), Some(&*ONE.to_string()));
}

#[test]
fn who_is_told_and_who_is_not() {
    let mut border = border(1);
    let [one, two, peer, customer] = [border.one, border.two, border.peer, border.customer];
    border.say(one, &["8.8.8.0/24"], &[], |_| {});
    assert_eq!(border.told("8.8.8.0/24", customer), ToldState::Yes);
    let not = |why| ToldState::No { why };
    assert_eq!(border.told("8.8.8.0/24", one), not(ExportRefusal::BackToSource));
    // Of a provider, so for customers only: RFC 9234's word and the class agree.
    assert_eq!(border.told("8.8.8.0/24", two), not(ExportRefusal::OnlyToCustomers));
    assert_eq!(border.told("43.228.174.0/24", peer), ToldState::Yes);
    border.say(customer, &["198.51.100.0/24"], &[], |it| it.communities = [Community::NO_EXPORT].into());
    assert_eq!(border.told("198.51.100.0/24", peer), not(ExportRefusal::KeptByCommunity));
}

/// All of a long answer, by pages of `budget`.
fn all<T>(budget: usize, page: impl Fn(Option<&Prefix>, usize) -> Page<T>) -> Vec<T> {
    let mut items = Vec::new();
    let mut after = None;
    for _ in 0..10_000 {
        let page = page(after.as_ref(), budget);
        assert!(page.items.len() <= budget);
        items.extend(page.items);
        match page.next {
            None => return items,
            next => after = next,
        }
    }
    panic!("no end");
}

fn prefix_of(route: &ReceivedRoute) -> (Prefix, bool) {
    match route {
        ReceivedRoute::Taken { prefix, .. } => (*prefix, true),
        ReceivedRoute::Refused(refused) => (refused.prefix, false),
    }
}

#[test]
fn what_was_received_comes_in_pages_whole_and_in_order() {
    let mut border = border(1);
    let [one, two] = [border.one, border.two];
    let good: Vec<String> = (0..40).map(|n| format!("8.8.{n}.0/24")).collect();
    let bad: Vec<String> = (0..40).map(|n| format!("8.8.{n}.128/25")).collect();
    for texts in [&good, &bad] {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        border.say(one, &texts, &[], |_| {});
    }
    border.say(two, &["9.9.9.0/24"], &[], |_| {});
    let expected: Vec<(Prefix, bool)> =
        good.iter().zip(&bad).flat_map(|(good, bad)| [(prefix(good), true), (prefix(bad), false)]).collect();
    let id = border.neighbour(one);
    for budget in [1, 2, 7, 1000] {
        let received = all(budget, |after, budget| border.speaker().received_from(id, after, budget));
        assert_eq!(received.iter().map(prefix_of).collect::<Vec<_>>(), expected, "{budget}");
        let refused = all(budget, |after, budget| border.speaker().refused_from(id, after, budget));
        let only = expected.iter().copied().filter(|(_, taken)| !taken).collect::<Vec<_>>();
        assert_eq!(refused.iter().map(prefix_of).collect::<Vec<_>>(), only);
    }
    let status = &border.net.status(0).neighbours[usize::from(id.0)];
    assert_eq!((status.accepted.ipv4, status.refused_now.ipv4, status.refused_beyond), (40, 40, 0));
}

#[test]
fn what_was_sent_is_what_they_have() {
    let mut border = border(2);
    let [one, peer, customer] = [border.one, border.peer, border.customer];
    border.say(one, &["8.8.8.0/24", "8.8.9.0/24"], &[174, 3356], |it| it.med = Some(3));
    border.say(peer, &["9.9.9.0/24"], &[], |it| it.communities = [Community(0x0001_0002)].into());
    border.say(customer, &["198.51.100.0/24"], &[], |it| it.origin = Origin::Incomplete);
    let row = |prefix: Prefix, path: String, origin: Origin, communities: Vec<String>| {
        (prefix, path, origin, communities)
    };
    for machine in [border.one, border.again, border.two, peer, customer] {
        let id = border.neighbour(machine);
        let sent = all(3, |after, budget| border.speaker().sent_to(id, after, budget));
        let sent: Vec<_> = sent
            .into_iter()
            .inspect(|it: &SentRoute| assert!(!it.waits))
            .map(|it| row(it.prefix, it.as_path, it.origin, it.communities))
            .collect();
        let table = border.net.stranger(machine).table.iter();
        let has: Vec<_> = table
            .map(|(prefix, it)| {
                let communities = it.communities.iter().map(ToString::to_string).collect();
                row(*prefix, it.as_path.to_string(), it.origin, communities)
            })
            .collect();
        assert!(!has.is_empty());
        assert_eq!(sent, has, "machine {machine}");
    }
}

#[test]
fn a_peers_name_means_its_sessions() {
    let border = border(1);
    let named = |name: &str| border.speaker().neighbours_named(name).len();
    assert_eq!(named(&format!("as{PEER}")), 2);
    assert_eq!(named(&border.net.status(0).neighbours[0].name), 1);
    // No part of a name, and no name.
    assert_eq!((named("as15"), named(""), named("nobody")), (0, 0, 0));
}
