//! Networks find their ways, and find others when one breaks.

use super::net::{Net, link_local, loopbacks, ms, prefix};
use crate::bgp::{Event, LostAt, NextHop, Notice, SessionEnd, SessionState};
use crate::time::Duration;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::net::IpAddr;

fn settled(net: &Net) -> bool {
    net.all_established() && net.all_reach_all()
}

#[test]
fn a_pair() {
    let mut net = Net::routers(&[1, 2]);
    net.link(0, 1, 1);
    net.start();
    let took = net.run_until(ms(3000), settled);
    assert!(took < ms(200), "{took:?}");
    // IPv4 by an IPv6 next hop, with the loopback as source.
    let route = &net.router(0).kernel[&loopbacks(2)[0]];
    let via = IpAddr::V6(link_local(2));
    assert_eq!(route.next_hops, [NextHop { link: net.cables[0].names[0].clone(), via }]);
    assert_eq!(route.source, Some("43.228.174.129".parse().unwrap()));
    assert!(net.kernels_are_current());
    // One session and not one more, though both dialled.
    net.run(ms(20_000));
    for node in 0..2 {
        let neighbour = &net.status(node).neighbours[0];
        assert_eq!((neighbour.established_count, neighbour.hold_ms, neighbour.keepalive_ms), (1, 3000, 1000));
    }
}

#[test]
fn a_triangle_takes_the_cheap_way_round() {
    let mut net = Net::routers(&[1, 2, 3]);
    net.link(0, 1, 5);
    net.link(1, 2, 1);
    net.link(2, 0, 1);
    net.start();
    net.run_until(ms(3000), settled);
    net.run(ms(100));
    // 1 -> 3 -> 2 costs 2, the direct link 5.
    let via = net.router(0).kernel[&loopbacks(2)[0]].next_hops[0].via;
    assert_eq!(via, IpAddr::V6(link_local(3)));
    let speaker = net.router(0).speaker.as_ref().unwrap();
    let route = speaker.routes().find(|route| route.prefix == loopbacks(2)[0]).unwrap();
    assert_eq!(route.paths.len(), 2);
    assert_eq!(route.paths[0].as_path, "4200000003 4200000002");
    assert_eq!(route.paths[1].lost, Some(LostAt::PathLength));
}

#[test]
fn equal_ways_are_used_together() {
    // 1 - 2 - 4 and 1 - 3 - 4.
    let mut net = Net::routers(&[1, 2, 3, 4]);
    for (a, b) in [(0, 1), (0, 2), (1, 3), (2, 3)] {
        net.link(a, b, 1);
    }
    net.start();
    net.run_until(ms(3000), settled);
    net.run(ms(100));
    assert_eq!(net.router(0).kernel[&loopbacks(4)[1]].next_hops.len(), 2);
}

#[test]
fn parallel_tunnels_with_the_same_far_address() {
    let mut net = Net::routers(&[1, 2]);
    let first = net.link(0, 1, 1);
    net.link(0, 1, 1);
    net.start();
    net.run_until(ms(3000), settled);
    net.run(ms(100));
    let hops = |net: &Net| net.router(0).kernel[&loopbacks(2)[0]].next_hops.clone();
    assert_eq!(hops(&net).len(), 2);
    assert_ne!(hops(&net)[0].link, hops(&net)[1].link);
    assert_eq!(hops(&net)[0].via, hops(&net)[1].via);
    // Either alone, and both again.
    net.set_carrier(first, false);
    assert_eq!(hops(&net).len(), 1);
    net.set_carrier(first, true);
    net.run_until(ms(3000), |net| hops(net).len() == 2);
}

fn ring(n: u32) -> Net {
    let ids: Vec<u32> = (1..=n).collect();
    let mut net = Net::routers(&ids);
    for at in 0..n as usize {
        net.link(at, (at + 1) % n as usize, 1);
    }
    net.start();
    net
}

#[test]
fn a_ring_survives_each_silent_cut() {
    let mut net = ring(6);
    net.run_until(ms(5000), settled);
    for cable in 0..6 {
        net.cables[cable].silent = true;
        let took = net.run_until(ms(6000), Net::all_reach_all_around(cable));
        assert!(took >= ms(2000) && took <= ms(3300), "the hold time is 3 s, it took {took:?}");
        net.cables[cable].silent = false;
        net.run_until(ms(6000), settled);
        assert!(net.kernels_are_current());
    }
}

impl Net {
    /// All reach all, and not over that cable.
    fn all_reach_all_around(cable: usize) -> impl Fn(&Net) -> bool {
        move |net| {
            let name = |node: usize| {
                let at = usize::from(net.cables[cable].ends[0] != node);
                net.cables[cable].names[at].clone()
            };
            let uses = |node: usize| {
                let mut hops = net.router(node).kernel.values().flat_map(|route| &route.next_hops);
                hops.any(|hop| hop.link == name(node))
            };
            !net.cables[cable].ends.into_iter().any(uses) && net.all_reach_all()
        }
    }
}

#[test]
fn carrier_loss_withdraws_at_once() {
    let mut net = ring(4);
    net.run_until(ms(5000), settled);
    net.set_carrier(0, false);
    let took = net.run_until(ms(1000), Net::all_reach_all_around(0));
    assert!(took <= ms(100), "{took:?}");
    let lost = |notice: &Notice| matches!(notice, Notice::Lost { reason: SessionEnd::LinkDown, .. });
    assert_eq!(net.router(0).notices.iter().filter(|it| lost(it)).count(), 1);
}

#[test]
fn no_counting_to_infinity() {
    // A full mesh of 6 loses one router: the paths to it are hunted through and then gone.
    let mut net = Net::routers(&[1, 2, 3, 4, 5, 6]);
    for a in 0..6 {
        for b in a + 1..6 {
            net.link(a, b, 1);
        }
    }
    net.start();
    net.run_until(ms(5000), settled);
    net.run(ms(500));
    net.messages = 0;
    net.kill(5);
    let gone = |net: &Net| (0..5).all(|node| !net.router(node).kernel.contains_key(&loopbacks(6)[0]));
    let took = net.run_until(ms(2000), gone);
    assert!(took < ms(100), "{took:?}");
    net.run(ms(300));
    assert!(net.messages < 400, "{} messages", net.messages);
}

#[test]
fn a_restarted_router_comes_back() {
    let mut net = ring(4);
    net.run_until(ms(5000), settled);
    net.kill(2);
    net.run_until(ms(5000), Net::all_reach_all);
    net.power_on(2);
    net.run_until(ms(5000), settled);
}

#[test]
fn stopping_says_so_and_leaves_the_kernel_alone() {
    let mut net = Net::routers(&[1, 2]);
    net.link(0, 1, 1);
    net.start();
    net.run_until(ms(3000), settled);
    net.event(0, Event::Stop);
    net.run(ms(100));
    assert!(net.router(0).kernel.contains_key(&loopbacks(2)[0]));
    assert!(!net.router(1).kernel.contains_key(&loopbacks(1)[0]));
    let said = net.router(1).notices.iter().any(|notice| match notice {
        Notice::Lost { reason: SessionEnd::NotificationReceived { notification }, .. } => {
            // Inside, no word is a restart, so that none has to be hard (RFC 8538).
            (notification.code, notification.subcode) == (6, 2)
                && notification.text() == Some("the router stops")
        }
        _ => false,
    });
    assert!(said, "{:?}", net.router(1).notices);
}

#[test]
fn the_far_address_is_learned_from_router_advertisements() {
    let mut net = Net::routers(&[1, 2]);
    net.link(0, 1, 1);
    for node in 0..2 {
        if let crate::bgp::config::Transport::Unnumbered { remote, .. } =
            &mut net.router_mut(node).config.neighbours[0].transport
        {
            *remote = None;
        }
    }
    net.start();
    net.run(ms(2000));
    assert_eq!(net.status(0).neighbours[0].state, SessionState::AwaitRemote);
    let neighbour = crate::bgp::NeighbourId(0);
    net.event(0, Event::RemoteHeard { neighbour, address: link_local(2) });
    net.event(1, Event::RemoteHeard { neighbour, address: link_local(1) });
    net.run_until(ms(1000), settled);
    // Heard again: nothing. Another address: another session.
    net.event(0, Event::RemoteHeard { neighbour, address: link_local(2) });
    assert_eq!(net.status(0).neighbours[0].state, SessionState::Established);
    net.event(0, Event::RemoteHeard { neighbour, address: link_local(77) });
    assert_eq!(net.status(0).neighbours[0].remote, Some(IpAddr::V6(link_local(77))));
    assert_eq!(net.status(0).neighbours[0].last_end, Some(SessionEnd::RemoteChanged));
}

#[test]
fn a_new_configuration_disturbs_only_what_changed() {
    let mut net = Net::routers(&[1, 2, 3]);
    net.link(0, 1, 1);
    net.link(0, 2, 1);
    net.link(1, 2, 1);
    net.start();
    net.run_until(ms(3000), settled);
    // The first neighbour of router 1 goes, and with it the numbering of the rest.
    let mut config = net.router(0).config.clone();
    config.neighbours.remove(0);
    config.originate.push(crate::bgp::config::Origination {
        prefix: prefix("43.228.174.0/24"),
        while_reaching: Vec::new(),
        discard: true,
    });
    net.replace(0, config);
    let took = net.run_until(ms(1000), |net| {
        net.reaches(0, &loopbacks(2)[0]) == BTreeSet::from([1])
            && net.router(0).kernel[&loopbacks(2)[0]].next_hops[0].via == IpAddr::V6(link_local(3))
            && net.router(1).kernel.contains_key(&prefix("43.228.174.0/24"))
    });
    assert!(took <= ms(200), "{took:?}");
    let status = net.status(0);
    assert_eq!(status.neighbours.len(), 1);
    assert_eq!(
        (status.neighbours[0].state, status.neighbours[0].established_count),
        (SessionState::Established, 1)
    );
    assert!(net.router(0).kernel[&prefix("43.228.174.0/24")].discard);
    // Costs change without ending a session; what is no longer originated goes.
    let mut config = net.router(0).config.clone();
    config.neighbours[0].relation = crate::bgp::config::Relation::Inside { prepends: 4 };
    config.originate.pop();
    net.replace(0, config);
    net.run(ms(100));
    assert_eq!(net.status(0).neighbours[0].established_count, 1);
    let speaker = net.router(2).speaker.as_ref().unwrap();
    let route = speaker.routes().find(|route| route.prefix == loopbacks(1)[0]).unwrap();
    assert_eq!(route.paths[0].as_path, "4200000001 4200000001 4200000001 4200000001");
    assert!(!net.router(0).kernel.contains_key(&prefix("43.228.174.0/24")));
    assert!(!net.router(1).kernel.contains_key(&prefix("43.228.174.0/24")));
    assert!(net.kernels_are_current());
}

impl Net {
    pub fn replace(&mut self, node: usize, config: crate::bgp::config::SpeakerConfig) {
        let now = self.now;
        let router = self.router_mut(node);
        router.config = config.clone();
        let mut actions = Vec::new();
        router.speaker.as_mut().unwrap().replace_config(now, config, &mut actions);
        self.carry_out(node, actions);
    }
}

#[test]
fn sixty_routers_and_more_neighbours_than_a_word_has_bits() {
    // A hub with 70 homes: the sets of neighbours need more than one word.
    let ids: Vec<u32> = (1..=71).collect();
    let mut net = Net::routers(&ids);
    for home in 1..71 {
        net.link(0, home, 1);
    }
    net.start();
    net.run_until(Duration::from_secs(10), |net| {
        net.all_established() && net.reaches(70, &loopbacks(2)[0]) == BTreeSet::from([1])
    });
    net.set_carrier(69, false);
    net.run(ms(100));
    assert!(!net.router(1).kernel.contains_key(&loopbacks(71)[0]));
}
