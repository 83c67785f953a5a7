//! Our own restart (RFC 4724 4.1): what stays, what waits and for whom, and what goes in the end.

use super::evpn::{flood, vtep};
use super::net::{Net, listed, loopbacks, ms, prefix};
use crate::bfd::BfdDown;
use crate::bgp::config::{Family, Role};
use crate::bgp::{DeferralEnd, Event, Forwarding, NeighbourId, Notice, Selected, SessionEnd, Waits, Within};
use crate::id::Asn;
use crate::time::Duration;
use crate::wire::bgp::{AfiSafi, Capability, GracefulRestart, Refresh, Update};
use alloc::vec;
use alloc::vec::Vec;
use proptest::collection::vec as many;
use proptest::prelude::*;

const PROVIDER: Asn = Asn(150_369);
const CUSTOMER: Asn = Asn(38_632);
const FAMILIES: [Family; 3] = [Family::Ipv4Unicast, Family::Ipv6Unicast, Family::Evpn];

fn seconds(time: u64) -> Duration {
    Duration::from_secs(time)
}

/// `found`: families of which the kernel has something.
fn forwarding(found: &[Family]) -> Forwarding {
    let session = Within { inside: seconds(10), outside: seconds(40) };
    Forwarding {
        families: FAMILIES.map(|family| (family, found.contains(&family))).into(),
        back: Within { inside: seconds(15), outside: seconds(60) },
        waits: Waits {
            link: seconds(1),
            session,
            telling: seconds(120),
            quiet: seconds(20),
            pause: seconds(3),
        },
    }
}

impl Net {
    /// As the shell finds it: what the kernel has tells whether this is a restart.
    fn begin(&mut self, node: usize) {
        let router = self.router(node);
        let has = |ipv4: bool| router.kernel.keys().any(|it| it.addr().is_ipv4() == ipv4);
        let there = [has(true), has(false), !router.segments.is_empty()];
        let found: Vec<Family> = FAMILIES.into_iter().zip(there).filter(|it| it.1).map(|it| it.0).collect();
        self.router_mut(node).forwarding = Some(forwarding(&found));
        self.power_on(node);
    }

    fn is_deferring(&self, node: usize) -> bool {
        self.router(node).speaker.as_ref().unwrap().is_deferring()
    }

    /// As the shell does once nothing is deferred: what nobody wants goes from the kernel.
    fn purge(&mut self, node: usize) {
        assert!(!self.is_deferring(node));
        let router = self.router_mut(node);
        let speaker = router.speaker.as_ref().unwrap();
        let wanted: Vec<_> = speaker.routes_wanted().into_iter().map(|it| it.prefix).collect();
        router.kernel.retain(|prefix, _| wanted.contains(prefix));
        let wanted: Vec<_> = speaker.evpn_routes().map(|it| it.route).collect();
        router.segments.retain(|route, _| wanted.contains(route));
    }

    fn selected(&self, node: usize) -> Vec<Selected> {
        self.status(node).restart.map_or_else(Vec::new, |it| it.selected)
    }

    fn says_end_of_rib(&mut self, stranger: usize, family: AfiSafi) {
        let mut bytes = Vec::new();
        Update::emit_end_of_rib(family, &mut bytes);
        self.say(stranger, bytes);
    }

    fn is_told(&self, node: usize, stranger: usize) -> bool {
        let address = self.stranger(stranger).address;
        self.status(node).neighbours.iter().any(|it| it.remote == Some(address) && it.pending == 0)
    }

    fn how_often_lost(&self, node: usize) -> usize {
        self.router(node).notices.iter().filter(|it| matches!(it, Notice::Lost { .. })).count()
    }
}

fn restart(open: Option<&crate::wire::bgp::Open>) -> GracefulRestart {
    open.and_then(|it| it.graceful_restart()).cloned().unwrap()
}

/// A provider and a customer of router 1, each one that knows of restarts. Their IPv4 sessions.
fn border(telling: &[&str]) -> (Net, usize, usize) {
    let mut net = Net::routers(&[1]);
    let [provider, _] = net.outside(0, PROVIDER, Role::Provider);
    let [customer, _] = net.outside(0, CUSTOMER, Role::Customer);
    net.policy_mut(0, "as38632 203").listed = listed(&["45.0.4.0/24"]);
    // IPv4 alone.
    let config = &mut net.router_mut(0).config;
    config.neighbours.retain(|it| it.families == [Family::Ipv4Unicast]);
    for asn in [PROVIDER, CUSTOMER] {
        let terms = GracefulRestart {
            time: 60,
            families: vec![(AfiSafi::IPV4_UNICAST, true)],
            ..GracefulRestart::default()
        };
        let all = net.strangers_mut(asn);
        all.for_each(|it| it.capabilities = vec![Capability::GracefulRestart(terms.clone())]);
    }
    net.begin(0);
    net.run_until(ms(5000), Net::all_established);
    let bytes = net.stranger(provider).announcement(telling, &[], |_| {});
    net.say(provider, bytes);
    net.says_end_of_rib(provider, AfiSafi::IPV4_UNICAST);
    net.says_end_of_rib(customer, AfiSafi::IPV4_UNICAST);
    net.run(ms(100));
    (net, provider, customer)
}

#[test]
fn a_first_start_is_no_restart() {
    let (net, provider, customer) = border(&["8.8.8.0/24"]);
    let said = restart(net.stranger(provider).open.as_ref());
    let families = vec![(AfiSafi::IPV4_UNICAST, false)];
    assert_eq!(said, GracefulRestart { restarted: false, notification: true, time: 60, families });
    assert_eq!(net.status(0).restart, None);
    assert!(net.stranger(customer).path("8.8.8.0/24").is_some());
}

#[test]
fn nothing_is_told_before_everybody_has_told_everything() {
    let (mut net, provider, customer) = border(&["8.8.8.0/24", "8.8.4.0/24"]);
    let before = net.router(0).kernel.clone();
    net.crash(0);
    net.run(ms(200));
    let ends = net.stranger(customer).ends_of_rib;
    let updates = net.stranger(customer).updates;
    net.begin(0);
    net.run_until(ms(20_000), Net::all_established);
    let said = restart(net.stranger(provider).open.as_ref());
    assert!(said.restarted && said.families == [(AfiSafi::IPV4_UNICAST, true)], "{said:?}");
    // It has one route less now. The customer has told all, which is nothing.
    let bytes = net.stranger(provider).announcement(&["8.8.8.0/24"], &[], |_| {});
    net.say(provider, bytes);
    net.says_end_of_rib(customer, AfiSafi::IPV4_UNICAST);
    net.run(ms(5_000));
    let status = net.status(0).restart.unwrap();
    let waits: Vec<_> = status.deferred.iter().flat_map(|it| it.waits_for.keys().cloned()).collect();
    assert!(matches!(&waits[..], [one] if one.contains("as150369")), "{waits:?}");
    assert_eq!(net.stranger(customer).updates, updates, "nothing yet");
    assert_eq!(net.router(0).kernel, before);
    net.says_end_of_rib(provider, AfiSafi::IPV4_UNICAST);
    net.run(ms(100));
    let ended = net.selected(0);
    let why: Vec<_> = ended.iter().map(|it| (it.family, it.why)).collect();
    assert_eq!(why, [(Family::Ipv4Unicast, DeferralEnd::Told)]);
    assert_eq!(net.stranger(customer).ends_of_rib, ends + 1);
    assert!(net.stranger(customer).path("8.8.8.0/24").is_some());
    assert!(net.router(0).kernel.contains_key(&prefix("8.8.4.0/24")), "until it is purged");
    net.purge(0);
    assert!(net.kernels_are_current() && !net.router(0).kernel.contains_key(&prefix("8.8.4.0/24")));
    // Later sessions are none of a restart any more, and forwarding has gone on all the while.
    net.restart(provider);
    net.run_until(ms(20_000), Net::all_established);
    let said = restart(net.stranger(provider).open.as_ref());
    assert!(!said.restarted && said.families == [(AfiSafi::IPV4_UNICAST, true)], "{said:?}");
}

#[test]
fn a_request_for_refresh_is_answered_by_the_first_telling() {
    let (mut net, provider, customer) = border(&["8.8.8.0/24"]);
    net.crash(0);
    net.run(ms(200));
    for it in net.strangers_mut(CUSTOMER) {
        it.capabilities.push(Capability::EnhancedRouteRefresh);
    }
    net.begin(0);
    net.run_until(ms(20_000), Net::all_established);
    let mut bytes = Vec::new();
    AfiSafi::IPV4_UNICAST.emit_refresh(Refresh::Request, &mut bytes);
    net.say(customer, bytes);
    net.run(ms(1000));
    assert!(net.stranger(customer).marks.is_empty(), "it would take all as gone");
    let bytes = net.stranger(provider).announcement(&["8.8.8.0/24"], &[], |_| {});
    net.say(provider, bytes);
    for stranger in [provider, customer] {
        net.says_end_of_rib(stranger, AfiSafi::IPV4_UNICAST);
    }
    net.run(ms(100));
    assert!(net.stranger(customer).path("8.8.8.0/24").is_some());
}

#[test]
fn who_never_says_that_it_is_done_is_waited_for_so_long() {
    let (mut net, provider, customer) = border(&["8.8.8.0/24"]);
    net.crash(0);
    net.run(ms(200));
    net.begin(0);
    let begun = net.now;
    net.run_until(ms(20_000), Net::all_established);
    net.says_end_of_rib(customer, AfiSafi::IPV4_UNICAST);
    // As long as it goes on.
    for _ in 0..11 {
        let bytes = net.stranger(provider).announcement(&["8.8.8.0/24"], &[], |_| {});
        net.say(provider, bytes);
        net.run(seconds(10));
        assert!(net.is_deferring(0));
    }
    net.run_until(seconds(130), |net| !net.is_deferring(0));
    assert_eq!(net.now.since(begun), seconds(120));
    let last = net.selected(0).into_iter().find(|it| it.family == Family::Ipv4Unicast);
    assert_eq!(last.map(|it| (it.why, it.after_ms)), Some((DeferralEnd::Late, 120_000)));
    net.run(ms(100));
    assert!(net.stranger(customer).path("8.8.8.0/24").is_some());
}

#[test]
fn who_falls_silent_is_not_waited_for_any_more() {
    let (mut net, provider, customer) = border(&["8.8.8.0/24"]);
    net.crash(0);
    net.run(ms(200));
    net.begin(0);
    net.run_until(ms(20_000), Net::all_established);
    net.says_end_of_rib(customer, AfiSafi::IPV4_UNICAST);
    let bytes = net.stranger(provider).announcement(&["8.8.8.0/24"], &[], |_| {});
    net.say(provider, bytes);
    net.run(ms(19_900));
    assert!(net.is_deferring(0));
    net.run(ms(200));
    assert!(!net.is_deferring(0) && net.stranger(customer).path("8.8.8.0/24").is_some());
}

/// RFC 4724 4.1: those that restart themselves, and those that know nothing of it.
#[test]
fn some_are_hardly_waited_for() {
    for says in [None, Some(true)] {
        let (mut net, provider, customer) = border(&["8.8.8.0/24"]);
        net.crash(0);
        net.run(ms(200));
        for it in net.strangers_mut(PROVIDER) {
            let terms = |restarted| GracefulRestart { restarted, time: 9, ..GracefulRestart::default() };
            it.capabilities = says.map(|it| Capability::GracefulRestart(terms(it))).into_iter().collect();
        }
        net.begin(0);
        net.run_until(ms(20_000), Net::all_established);
        net.says_end_of_rib(customer, AfiSafi::IPV4_UNICAST);
        // No longer than they tell.
        for _ in 0..3 {
            let bytes = net.stranger(provider).announcement(&["8.8.8.0/24"], &[], |_| {});
            net.say(provider, bytes);
            net.run(ms(2900));
            assert!(net.is_deferring(0));
        }
        net.run(ms(200));
        assert!(!net.is_deferring(0) && net.is_told(0, provider));
        assert_eq!(net.selected(0)[0].why, DeferralEnd::Told);
    }
}

#[test]
fn who_does_not_come_back_is_waited_for_less() {
    let (mut net, provider, customer) = border(&["8.8.8.0/24"]);
    net.crash(0);
    net.run(ms(200));
    net.strangers_mut(PROVIDER).for_each(|it| it.listens = false);
    net.begin(0);
    let begun = net.now;
    net.run(seconds(10));
    net.says_end_of_rib(customer, AfiSafi::IPV4_UNICAST);
    net.run_until(seconds(60), |net| !net.is_deferring(0));
    assert_eq!(net.now.since(begun), seconds(40));
    // One whose link is down, hardly at all.
    net.crash(0);
    net.run(ms(200));
    let cable = net.cables_of(provider)[0];
    net.cables[cable].up = false;
    net.begin(0);
    net.run(seconds(9));
    net.says_end_of_rib(customer, AfiSafi::IPV4_UNICAST);
    net.run(ms(100));
    assert!(!net.is_deferring(0));
}

/// What the kernel holds of an earlier life may lead over what has failed.
#[test]
fn a_failure_ends_the_deferral() {
    let silence = BfdDown::Silence { detection: 300 };
    for by_bfd in [false, true] {
        let (mut net, provider, customer) = border(&["8.8.8.0/24"]);
        net.crash(0);
        net.run(ms(200));
        net.begin(0);
        net.run_until(ms(20_000), Net::all_established);
        net.run(ms(500));
        assert!(net.is_deferring(0));
        if by_bfd {
            let independent = false;
            net.event(0, Event::BfdDown { neighbour: NeighbourId(0), cause: silence, independent });
        } else {
            net.set_carrier(net.cables_of(provider)[0], false);
        }
        assert!(net.selected(0).iter().any(|it| it.why == DeferralEnd::Failure), "{:?}", net.selected(0));
        net.run(ms(100));
        assert!(!net.is_deferring(0) && net.stranger(customer).ends_of_rib > 0);
    }
}

#[test]
fn for_good_it_is_a_hard_reset_and_for_a_restart_no_word() {
    let (mut net, provider, _) = border(&["8.8.8.0/24"]);
    for it in net.strangers_mut(PROVIDER) {
        let terms = GracefulRestart { notification: true, time: 60, ..GracefulRestart::default() };
        it.capabilities = vec![Capability::GracefulRestart(terms)];
    }
    net.restart(provider);
    net.run_until(ms(20_000), Net::all_established);
    net.event(0, Event::Restart);
    net.run(ms(100));
    assert_eq!(net.stranger(provider).notifications, []);
    net.crash(0);
    net.begin(0);
    net.run_until(ms(20_000), Net::all_established);
    net.event(0, Event::Stop);
    net.run(ms(100));
    let said = &net.stranger(provider).notifications;
    assert_eq!(
        said.last().and_then(|it| it.behind_hard_reset()).map(|it| (it.code, it.subcode)),
        Some((6, 2))
    );
    // Who knows of no restarts is told of one.
    net.strangers_mut(PROVIDER).for_each(|it| it.capabilities.clear());
    net.crash(0);
    net.begin(0);
    net.run_until(ms(20_000), Net::all_established);
    net.event(0, Event::Restart);
    net.run(ms(100));
    let said = &net.stranger(provider).notifications;
    assert_eq!(said.last().map(|it| (it.code, it.subcode)), Some((6, 4)));
}

/// Routers 1 to 3 in a row, each with a VTEP.
fn row() -> Net {
    let mut net = Net::routers(&[1, 2, 3]);
    net.link(0, 1, 1);
    net.link(1, 2, 1);
    for node in 0..3 {
        let (route, path) = flood(node as u32 + 1, vtep(node as u32 + 1));
        net.router_mut(node).originated.insert(route, path);
        net.begin(node);
    }
    let whole = |net: &Net| (0..3).all(|node| net.router(node).segments.len() == 2);
    net.run_until(ms(5000), |net| net.all_established() && net.all_reach_all() && whole(net));
    net
}

#[test]
fn a_restart_between_our_own_withdraws_nothing() {
    let mut net = row();
    net.crash(1);
    net.run(ms(2000));
    net.begin(1);
    for _ in 0..400 {
        net.run(ms(10));
        assert!(net.all_reach_all());
        for node in [0, 2] {
            assert!(net.router(node).kernel.contains_key(&loopbacks(3 - node as u32)[0]));
            assert_eq!(net.router(node).segments.len(), 2);
        }
    }
    assert!(net.all_established() && !net.is_deferring(1));
    assert_eq!(net.selected(1).len(), 3);
    assert!(net.selected(1).iter().all(|it| it.why == DeferralEnd::Told));
    net.purge(1);
    assert!(net.kernels_are_current());
    for node in [0, 2] {
        let status = net.status(node);
        assert!(status.neighbours.iter().all(|it| it.kept_ms.is_none() && it.stale == Default::default()));
    }
    assert_eq!(net.how_often_lost(0), 1);
}

#[test]
fn what_went_meanwhile_is_gone_in_the_end() {
    let mut net = row();
    net.crash(1);
    net.run(ms(500));
    let kept = net.status(0).neighbours[0].clone();
    assert!(kept.kept_ms.is_some_and(|it| it <= 15_000) && kept.stale.ipv4 == 2 && kept.stale.evpn == 2);
    // Router 3 is switched off while nobody could have told router 1.
    net.kill(2);
    net.begin(1);
    net.run_until(seconds(20), |net| !net.is_deferring(1));
    net.purge(1);
    net.run(ms(500));
    for node in [0, 1] {
        assert!(!net.router(node).kernel.contains_key(&loopbacks(3)[0]));
        assert_eq!(net.router(node).segments.len(), 1);
    }
    assert!(net.router(0).kernel.contains_key(&loopbacks(2)[1]));
}

#[test]
fn who_is_not_back_in_time_is_forgotten_and_silence_is_no_restart() {
    let mut net = row();
    net.crash(1);
    net.run(ms(14_900));
    assert!(net.router(0).kernel.contains_key(&loopbacks(3)[0]));
    net.run(ms(200));
    assert!(!net.router(0).kernel.contains_key(&loopbacks(3)[0]));
    let mut net = row();
    net.cables[0].silent = true;
    net.run(ms(4000));
    assert!(!net.router(0).kernel.contains_key(&loopbacks(3)[0]));
    let end = net.status(0).neighbours[0].last_end.clone();
    assert!(!matches!(end, None | Some(SessionEnd::Closed)), "{end:?}");
}

/// Two at once: neither waits for the other.
#[test]
fn neighbours_that_restart_together_do_not_wait_for_each_other() {
    let mut net = row();
    net.crash(0);
    net.crash(1);
    net.run(ms(300));
    net.begin(0);
    net.begin(1);
    net.run_until(ms(5000), |net| net.all_established() && !net.is_deferring(0) && !net.is_deferring(1));
    net.run(ms(500));
    for node in [0, 1] {
        net.purge(node);
    }
    assert!(net.all_reach_all() && net.kernels_are_current());
}

#[derive(Debug, Clone)]
enum Fate {
    Crash(usize),
    Begin(usize),
    Carrier(usize, bool),
    Reset(usize),
    Restart(usize),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        (0..4_usize).prop_map(Fate::Crash),
        (0..4_usize).prop_map(Fate::Begin),
        (0..5_usize, any::<bool>()).prop_map(|(cable, up)| Fate::Carrier(cable, up)),
        (0..5_usize).prop_map(Fate::Reset),
        (0..4_usize).prop_map(Fate::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Whatever restarts and fails: in the end every kernel holds what is right, and nothing else.
    #[test]
    fn in_the_end_kernels_are_right(fates in many((fate(), 0..3000_u64), 1..25)) {
        let mut net = Net::routers(&[1, 2, 3, 4]);
        for (a, b) in [(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)] {
            net.link(a, b, 1);
        }
        for node in 0..4 {
            let (route, path) = flood(node as u32 + 1, vtep(node as u32 + 1));
            net.router_mut(node).originated.insert(route, path);
            net.begin(node);
        }
        net.run(ms(300));
        for (fate, wait) in &fates {
            match *fate {
                Fate::Crash(node) => net.crash(node),
                Fate::Begin(node) if net.router(node).speaker.is_none() => net.begin(node),
                Fate::Begin(_) => {}
                Fate::Carrier(cable, up) if net.cables[cable].up != up => net.set_carrier(cable, up),
                Fate::Carrier(..) => {}
                Fate::Reset(cable) => net.reset_connections(cable),
                Fate::Restart(node) => {
                    net.event(node, Event::Restart);
                    net.crash(node);
                }
            }
            net.run(ms(*wait));
        }
        for cable in 0..5 {
            if !net.cables[cable].up {
                net.set_carrier(cable, true);
            }
        }
        for node in 0..4 {
            if net.router(node).speaker.is_none() {
                net.begin(node);
            }
        }
        net.run_until(seconds(40), |net| {
            net.all_established() && (0..4).all(|node| !net.is_deferring(node))
        });
        net.run(seconds(2));
        for node in 0..4 {
            net.purge(node);
        }
        prop_assert!(net.all_established() && net.all_reach_all() && net.kernels_are_current());
        for node in 0..4 {
            prop_assert_eq!(net.router(node).segments.len(), 3);
            prop_assert!(net.status(node).neighbours.iter().all(|it| it.kept_ms.is_none()));
        }
    }
}
