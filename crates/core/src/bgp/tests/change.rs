//! What a changed configuration does to sessions: what is said beforehand, and that it is what happens.

use super::border::{Border, CUSTOMER, PEER, border};
use super::net::{loopbacks, ms, prefix};
use crate::bfd::BfdTerms;
use crate::bgp::change::{Fate, SessionTerm, session_changes};
use crate::bgp::config::{
    Family, Invalid, NeighbourConfig, OutsidePolicy, Relation, Role, SpeakerConfig, Transport,
};
use crate::bgp::{ImportRefusal, NeighbourStatus, Notice, SessionEnd};
use crate::id::{Asn, KeyName};
use crate::wire::bgp::{Community, Notification};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

const NAME: &str = "as63790 203";

fn find<'a>(config: &'a mut SpeakerConfig, name: &str) -> &'a mut NeighbourConfig {
    config.neighbours.iter_mut().find(|it| it.name.contains(name)).unwrap()
}

fn policy(neighbour: &mut NeighbourConfig) -> &mut OutsidePolicy {
    let Relation::Outside(policy) = &mut neighbour.relation else { panic!("outside") };
    policy
}

impl Border {
    /// Another configuration of the router with the peer; what was said beforehand of each session.
    fn change(
        &mut self,
        node: usize,
        change: impl Fn(&mut SpeakerConfig),
    ) -> Vec<(String, Fate, Vec<SessionTerm>)> {
        let old = self.net.router(node).config.clone();
        let mut new = old.clone();
        change(&mut new);
        let said = session_changes(&old, &new);
        self.net.replace(node, new);
        self.net.run(ms(200));
        said.into_iter().map(|it| (it.neighbour, it.session, it.terms)).collect()
    }

    fn neighbour(&self, node: usize, name: &str) -> NeighbourStatus {
        self.net.status(node).neighbours.into_iter().find(|it| it.name.contains(name)).unwrap()
    }

    fn lost(&self, node: usize) -> Vec<String> {
        let lost = |it: &Notice| match it {
            Notice::Lost { neighbour, reason: SessionEnd::ConfigurationChanged { .. } } => {
                Some(neighbour.clone())
            }
            Notice::Lost { .. } => panic!("{it:?}"),
            _ => None,
        };
        self.net.router(node).notices.iter().filter_map(lost).collect()
    }
}

type Change = fn(&mut NeighbourConfig);

/// So many of these end the session, and no other.
const RESETS: usize = 7;

/// One of each kind.
const CHANGES: [(Change, &[SessionTerm]); 30] = [
    (|it| it.local_asn = Asn(64_999), &[SessionTerm::LocalAs]),
    (|it| it.remote_asn = Asn(64_999), &[SessionTerm::RemoteAs, SessionTerm::Import, SessionTerm::Export]),
    (|it| it.families.push(Family::Ipv6Unicast), &[SessionTerm::Families]),
    (|it| policy(it).role = Role::Provider, &[SessionTerm::Role, SessionTerm::Import, SessionTerm::Export]),
    (|it| transport(it, |local, _| *local = "203.0.113.77".parse().unwrap()), &[SessionTerm::Ends]),
    (|it| it.terms.add_paths.receive = true, &[SessionTerm::AddPaths]),
    (|it| it.terms.add_paths.send = Some(4), &[SessionTerm::AddPaths]),
    (|it| it.timers.hold = 30_000, &[SessionTerm::HoldTime]),
    (|it| it.terms.strict_role = true, &[SessionTerm::StrictRole]),
    (|it| it.timers.keepalive = 5_000, &[SessionTerm::Keepalive]),
    (|it| it.timers.send_hold = Some(60_000), &[SessionTerm::SendHold]),
    (|it| it.timers.connect_retry = 1_000, &[SessionTerm::Retry]),
    (|it| it.timers.connect_timeout = 1_000, &[SessionTerm::Retry]),
    (|it| it.terms.gtsm = true, &[SessionTerm::Gtsm]),
    (|it| it.terms.password = Some(KeyName("agreed".into())), &[SessionTerm::Password]),
    (|it| it.terms.bfd = Some(BfdTerms::OUTSIDE), &[SessionTerm::Bfd]),
    (|it| policy(it).prefix_limit = Some(10), &[SessionTerm::Limit]),
    (|it| it.terms.limit.rest = 1, &[SessionTerm::Limit]),
    (|it| it.terms.limit.warn_percent = 1, &[SessionTerm::Limit]),
    (|it| policy(it).invalid = Invalid::Last, &[SessionTerm::Invalid]),
    (|it| policy(it).listed = Some(vec!["9.9.8.0/24".parse().unwrap()]), &[SessionTerm::Import]),
    (|it| policy(it).origins = vec![Asn(42)], &[SessionTerm::Import]),
    (|it| policy(it).never_via = vec![Asn(42)], &[SessionTerm::Import]),
    (|it| transport(it, |_, network| *network = "203.0.112.0/23".parse().unwrap()), &[SessionTerm::Import]),
    (|it| policy(it).announce = Some(Vec::new()), &[SessionTerm::Export]),
    (|it| policy(it).withhold = vec![prefix("192.0.2.0/24")], &[SessionTerm::Export]),
    (|it| policy(it).extra_prepends = 3, &[SessionTerm::Export]),
    (|it| it.terms.drain = true, &[SessionTerm::Import, SessionTerm::Export]),
    (|it| it.name = "another name 203".into(), &[SessionTerm::Name]),
    (|_| {}, &[]),
];

fn transport(
    neighbour: &mut NeighbourConfig,
    change: impl Fn(&mut core::net::IpAddr, &mut crate::id::Prefix),
) {
    let Transport::Numbered { local, network, .. } = &mut neighbour.transport else { panic!("numbered") };
    change(local, network);
}

#[test]
fn what_is_said_beforehand_is_what_happens() {
    for (at, (change, terms)) in CHANGES.into_iter().enumerate() {
        let mut border = border(|_| {});
        let stood = border.net.router(2).config.neighbours.len();
        let said = border.change(2, |config| change(find(config, NAME)));
        let resets = at < RESETS;
        assert_eq!(said.len(), stood, "{terms:?}");
        for (name, session, found) in said {
            let concerned = name.contains(" 203") && (name.contains("as63790") || name.contains("another"));
            let expected = if concerned { terms } else { &[] };
            assert_eq!(found, expected, "{name}");
            assert_eq!(
                session,
                if concerned && resets { Fate::Resets } else { Fate::Stays },
                "{name}: {terms:?}"
            );
        }
        assert_eq!(border.lost(2).len(), usize::from(resets), "{terms:?}");
        let refreshes = border.net.stranger(border.peer[0]).refreshes;
        let judged = terms.contains(&SessionTerm::Import) && !resets;
        assert_eq!(refreshes, usize::from(judged), "{terms:?}");
        let told = border.net.stranger(border.peer[0]).notifications.iter();
        let told = told.filter(|it| it.code == Notification::CEASE).count();
        assert_eq!(told, usize::from(resets), "{terms:?}");
        // The status goes on with what was, and says why.
        if resets && terms[0] != SessionTerm::RemoteAs {
            let status = border.neighbour(2, NAME);
            let expected = SessionEnd::ConfigurationChanged { terms: terms[..1].to_vec() };
            assert_eq!((status.last_end, status.established_count >= 1), (Some(expected), true));
        }
    }
}

#[test]
fn what_is_of_all_sessions() {
    let old = border(|_| {}).net.router(2).config.clone();
    let all = |change: &dyn Fn(&mut SpeakerConfig)| {
        let mut new = old.clone();
        change(&mut new);
        let said = session_changes(&old, &new);
        assert_eq!(said.len(), old.neighbours.len());
        said
    };
    for it in all(&|new| new.router_id = Ipv4Addr::new(9, 9, 9, 9)) {
        assert_eq!((it.session, it.terms), (Fate::Resets, vec![SessionTerm::Identifier]));
    }
    // Neighbours inside are told again what a list of our own lets out; they are believed as before.
    for it in all(&|new| new.bogons.push(prefix("192.0.2.0/24"))) {
        let both = [SessionTerm::Import, SessionTerm::Export];
        let expected = if it.neighbour.starts_with("as") { &both[..] } else { &both[1..] };
        assert_eq!((it.session, &*it.terms), (Fate::Stays, expected), "{}", it.neighbour);
    }
    for it in all(&|new| new.draining = true) {
        assert_eq!((it.session, it.terms), (Fate::Stays, vec![SessionTerm::Export]));
    }
    for it in all(&|new| new.max_paths = 2) {
        assert_eq!((it.session, it.terms), (Fate::Stays, vec![]));
    }
    // The order says nothing, and who comes or goes concerns nobody else.
    for it in all(&|new| new.neighbours.reverse()) {
        assert_eq!((it.session, it.terms), (Fate::Stays, vec![]));
    }
    let mut new = old.clone();
    let gone = new.neighbours.remove(0);
    let fates = |said: Vec<crate::bgp::change::SessionChange>| -> Vec<_> {
        said.into_iter().filter(|it| it.session != Fate::Stays).map(|it| (it.neighbour, it.session)).collect()
    };
    assert_eq!(fates(session_changes(&old, &new)), [(gone.name.clone(), Fate::Ends)]);
    assert_eq!(fates(session_changes(&new, &old)), [(gone.name, Fate::Begins)]);
}

#[test]
fn a_neighbour_that_cannot_be_asked_again_keeps_its_session() {
    let mut border = border(|net| {
        net.strangers_mut(Asn(PEER)).for_each(|it| it.refreshes_on_request = false);
        net.policy_mut(2, NAME).listed = Some(vec!["9.9.8.0/24".parse().unwrap()]);
    });
    let q = border.peer[0];
    border.say(q, &["9.9.8.0/24", "9.9.9.0/24", "9.9.7.0/24"], &[42], |_| {});
    // What could not be read stays so.
    let mut unreadable = border.net.stranger(q).announcement(&["9.9.6.0/24"], &[42], |_| {});
    let origin = unreadable.windows(4).position(|it| it == [0x40, 1, 1, 0]).unwrap();
    unreadable[origin + 3] = 9;
    border.net.say(q, unreadable);
    border.net.run(ms(100));
    let knows = |border: &Border| ["9.9.7.0/24", "9.9.8.0/24", "9.9.9.0/24"].map(|it| border.knows(0, it));
    assert_eq!(knows(&border), [false, true, false]);
    let set = |border: &mut Border, change: fn(&mut OutsidePolicy)| {
        border.change(2, |config| change(policy(find(config, NAME))));
    };
    // What was refused is taken, without a word of the neighbour, and what was taken is refused.
    set(&mut border, |it| it.listed = Some(vec!["9.9.9.0/24".parse().unwrap()]));
    assert_eq!(knows(&border), [false, false, true]);
    set(&mut border, |it| it.listed = None);
    assert_eq!(knows(&border), [true, true, true]);
    set(&mut border, |it| it.never_via = vec![Asn(42)]);
    assert_eq!(knows(&border), [false, false, false]);
    let refused = border.refused(2, NAME);
    assert_eq!(refused[0], ("9.9.6.0/24".into(), ImportRefusal::TreatedAsWithdraw));
    assert_eq!(refused[1], ("9.9.7.0/24".into(), ImportRefusal::Via { asn: Asn(42) }));
    set(&mut border, |it| it.never_via = Vec::new());
    assert_eq!(knows(&border), [true, true, true]);
    // The network's own lists.
    border.change(2, |config| config.bogons.push(prefix("9.9.8.0/23")));
    assert_eq!(knows(&border), [true, false, false]);
    // As what it is taken: the neighbour is about to go.
    border.change(2, |config| find(config, NAME).terms.drain = true);
    let route =
        border.net.router(2).speaker.as_ref().unwrap().routes().find(|it| it.prefix == prefix("9.9.7.0/24"));
    assert_eq!(route.unwrap().paths[0].local_preference, 0);
    // What it takes back is not there to be judged.
    let bytes = border.net.stranger(q).withdrawal(&["9.9.9.0/24"]);
    border.net.say(q, bytes);
    border.change(2, |config| config.bogons.clear());
    assert_eq!(knows(&border), [true, true, false]);
    assert_eq!((border.net.stranger(q).refreshes, border.lost(2)), (0, Vec::new()));
    let status = border.neighbour(2, NAME);
    assert_eq!((status.route_refresh, status.judging, status.established_count), (false, false, 1));
}

#[test]
fn what_waits_for_the_next_session_is_said_until_then() {
    let mut border = border(|net| net.strangers_mut(Asn(PEER)).for_each(|it| it.hold_time = 180));
    let q = border.peer[0];
    let before = border.neighbour(2, NAME);
    assert_eq!((before.hold_ms, before.keepalive_ms, before.waits), (90_000, 30_000, vec![]));
    border.change(2, |config| {
        let neighbour = find(config, NAME);
        (neighbour.timers.hold, neighbour.timers.keepalive) = (30_000, 8_000);
        neighbour.terms.strict_role = true;
    });
    let after = border.neighbour(2, NAME);
    // The stranger has said no role and would be refused.
    assert_eq!((after.hold_ms, after.keepalive_ms), (90_000, 8_000));
    assert_eq!(after.waits, [SessionTerm::HoldTime, SessionTerm::StrictRole]);
    border.change(2, |config| find(config, NAME).terms.strict_role = false);
    assert_eq!(border.neighbour(2, NAME).waits, [SessionTerm::HoldTime]);
    assert_eq!(border.lost(2), Vec::<String>::new());
    border.net.restart(q);
    border.net.run_until(ms(60_000), |net| net.all_established());
    let next = border.neighbour(2, NAME);
    assert_eq!((next.hold_ms, next.keepalive_ms, next.waits), (30_000, 8_000, vec![]));
}

#[test]
fn a_lower_limit_counts_at_once() {
    let mut border = border(|_| {});
    border.say(border.peer[0], &["9.9.8.0/24", "9.9.9.0/24"], &[], |_| {});
    border.change(2, |config| policy(find(config, NAME)).prefix_limit = Some(2));
    let near = |it: &Notice| matches!(it, Notice::LimitNear { .. });
    assert!(border.net.router(2).notices.iter().any(near) && border.lost(2).is_empty());
    let old = border.net.router(2).config.clone();
    let mut new = old.clone();
    policy(find(&mut new, NAME)).prefix_limit = Some(1);
    border.net.replace(2, new);
    let exceeded =
        |it: &Notice| matches!(it, Notice::Lost { reason: SessionEnd::PrefixLimit { limit: 1, .. }, .. });
    assert!(border.net.router(2).notices.iter().any(exceeded));
}

#[test]
fn the_networks_own_number_changes_without_a_session_inside() {
    let mut border = border(|_| {});
    border.say(border.customer[0], &["198.51.100.0/24"], &[], |_| {});
    let [asn, old] = [Asn(64_511), border.net.router(0).config.public_asn];
    for node in 0..3 {
        let said = border.change(node, |config| {
            config.public_asn = asn;
            for neighbour in config.neighbours.iter_mut().filter(|it| it.local_asn == old) {
                neighbour.local_asn = asn;
            }
        });
        for (name, session, _) in said {
            assert_eq!(session == Fate::Resets, name.starts_with("as"), "{name}");
        }
    }
    border.net.run_until(ms(60_000), |net| net.all_established());
    assert!((0..3).all(|node| border.lost(node).iter().all(|name| name.starts_with("as"))));
    assert!(border.net.reaches(2, &loopbacks(1)[0]).contains(&0));
    // Marks of the new number are read: a customer's route is one again on every router.
    border.say(border.customer[0], &["198.51.100.0/24"], &[], |attributes| {
        attributes.communities = [Community(7)].into();
    });
    let speaker = border.net.router(0).speaker.as_ref().unwrap();
    let route = speaker.routes().find(|it| it.prefix == prefix("198.51.100.0/24")).unwrap();
    assert_eq!(route.paths[0].local_preference, 300);
    assert_eq!(border.net.stranger(border.provider[0]).path("198.51.100.0/24").unwrap(), "64511 131000");
    assert_eq!(CUSTOMER, 131_000);
}
