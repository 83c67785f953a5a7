//! What follows from BFD for sessions and routes (RFC 5882 4.3, 10.2).

use super::net::{Net, loopbacks, ms, prefix};
use crate::bfd::{BfdDown, BfdTerms, Diagnostic};
use crate::bgp::config::{Role, Terms};
use crate::bgp::{Event, NeighbourId, Notice, SessionEnd, SessionState};
use crate::id::Asn;
use crate::wire::bgp::{AfiSafi, Capability, GracefulRestart, Notification};
use alloc::vec;
use alloc::vec::Vec;

const SILENCE: BfdDown = BfdDown::Silence { detection: 300 };

fn down(net: &mut Net, node: usize, cause: BfdDown, independent: bool) {
    net.event(node, Event::BfdDown { neighbour: NeighbourId(0), cause, independent });
}

/// A triangle whose first cable is cut without a word.
#[test]
fn the_session_ends_at_once_and_routes_go_another_way() {
    let mut net = Net::routers(&[1, 2, 3]);
    let cable = net.link(0, 1, 1);
    net.link(1, 2, 1);
    net.link(2, 0, 1);
    net.start();
    net.run_until(ms(3000), |net| net.all_established() && net.all_reach_all());
    net.cables[cable].silent = true;
    for node in [0, 1] {
        down(&mut net, node, SILENCE, false);
        let status = &net.status(node).neighbours[0];
        assert_eq!(status.last_end, Some(SessionEnd::BfdDown { bfd: SILENCE }));
        assert_ne!(status.state, SessionState::Established);
    }
    net.run(ms(50));
    assert!(net.all_reach_all() && net.kernels_are_current());
    let link = &net.cables[cable].names[0];
    let route = &net.router(0).kernel[&loopbacks(2)[0]];
    assert!(route.next_hops.iter().all(|hop| hop.link != *link), "{route:?}");
}

#[test]
fn the_far_end_is_told_why() {
    let mut net = Net::routers(&[1, 2]);
    net.link(0, 1, 1);
    net.start();
    net.run_until(ms(3000), Net::all_established);
    down(&mut net, 0, BfdDown::NeighbourDown { diagnostic: Diagnostic::TIME_EXPIRED }, false);
    net.run(ms(20));
    let said = net.router(1).notices.iter().any(|notice| match notice {
        Notice::Lost { reason: SessionEnd::NotificationReceived { notification }, .. } => {
            // RFC 9384. Inside, no word is a restart, so that none has to be hard (RFC 8538).
            *notification == Notification::new(6, 10)
        }
        _ => false,
    });
    assert!(said, "{:?}", net.router(1).notices);
    net.run_until(ms(3000), Net::all_established);
}

/// RFC 5882 3.2.
#[test]
fn switched_off_at_the_far_end_is_no_failure() {
    let mut net = Net::routers(&[1, 2]);
    net.link(0, 1, 1);
    net.start();
    net.run_until(ms(3000), Net::all_established);
    down(&mut net, 0, BfdDown::NeighbourAdminDown, false);
    assert!(net.all_established());
    // Nor is that of a neighbour who is none any more.
    net.event(0, Event::BfdDown { neighbour: NeighbourId(9), cause: SILENCE, independent: false });
    assert!(net.all_established());
}

/// RFC 5882 4.3: BFD may go with the routing that restarts, unless the far end says that it does not.
#[test]
fn a_restart_is_not_cut_short_unless_the_far_end_no_longer_forwards() {
    let knows = |net: &Net| net.router(0).kernel.contains_key(&prefix("8.8.8.0/24"));
    for (independent, kept) in [(false, true), (true, false)] {
        let mut net = Net::routers(&[1]);
        let [provider, _] = net.outside(0, Asn(150_369), Role::Provider);
        let restart = GracefulRestart {
            time: 30,
            families: vec![(AfiSafi::IPV4_UNICAST, true)],
            ..GracefulRestart::default()
        };
        net.strangers_mut(Asn(150_369))
            .for_each(|it| it.capabilities = vec![Capability::GracefulRestart(restart.clone())]);
        net.start();
        net.run_until(ms(5000), Net::all_established);
        let bytes = net.stranger(provider).announcement(&["8.8.8.0/24"], &[], |_| {});
        net.say(provider, bytes);
        net.run(ms(500));
        assert!(knows(&net));
        net.restart(provider);
        net.run(ms(300));
        assert!(knows(&net));
        down(&mut net, 0, SILENCE, independent);
        net.run(ms(100));
        assert_eq!(knows(&net), kept);
        net.run_until(ms(20_000), Net::all_established);
        // Without a restart under way it is the path, whoever says so.
        let bytes = net.stranger(provider).announcement(&["8.8.8.0/24"], &[], |_| {});
        net.say(provider, bytes);
        let mut bytes = Vec::new();
        crate::wire::bgp::Update::emit_end_of_rib(AfiSafi::IPV4_UNICAST, &mut bytes);
        net.say(provider, bytes);
        net.run(ms(500));
        assert!(knows(&net));
        down(&mut net, 0, SILENCE, false);
        net.run(ms(100));
        assert!(!knows(&net));
    }
}

#[test]
fn another_pace_resets_nothing() {
    let mut net = Net::routers(&[1, 2]);
    net.link(0, 1, 1);
    net.start();
    net.run_until(ms(3000), Net::all_established);
    for bfd in [Some(BfdTerms::INSIDE), Some(BfdTerms { interval: 500, ..BfdTerms::INSIDE }), None] {
        let mut config = net.router(0).config.clone();
        config.neighbours[0].terms = Terms { bfd, ..Terms::default() };
        let now = net.now;
        let mut actions = Vec::new();
        net.router_mut(0).speaker.as_mut().unwrap().replace_config(now, config, &mut actions);
        net.carry_out(0, actions);
        net.run(ms(200));
        assert!(net.all_established());
    }
    assert_eq!(net.status(0).neighbours[0].established_count, 1);
}
