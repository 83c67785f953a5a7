//! Several paths to one prefix (RFC 7911), from neighbours and to them.

use super::net::{Net, ms, own_prefixes, prefix};
use crate::bgp::config::{AddPaths, Origination, Role};
use crate::bgp::{
    CollectorId, ImportRefusal, NeighbourId, NeighbourStatus, ReceivedRoute, SessionEnd, SessionState,
    Surroundings,
};
use crate::id::Asn;
use crate::time::Instant;
use crate::wire::bgp::{AddPath, AfiSafi, Capability, GracefulRestart, Refresh, UnicastNlri};
use crate::wire::mrt::{Content, Record};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

const P: Asn = Asn(150_496);
const Q: Asn = Asn(150_497);
const CUSTOMER: Asn = Asn(150_498);
const WORDS: AddPath = AddPath { receive: true, send: true };

/// A router with two providers that send several paths and a customer that takes them, each with a session of IPv4
/// and one of IPv6. `change` may give them other words.
struct Scene {
    net: Net,
    p: usize,
    q: usize,
    customer: usize,
}

const BOTH: AddPaths = AddPaths { receive: true, send: Some(8) };

fn scene(change: impl FnOnce(&mut Net)) -> Scene {
    let mut net = Net::routers(&[1]);
    for own in own_prefixes() {
        let own = Origination { prefix: own, while_reaching: Vec::new(), discard: true };
        net.router_mut(0).config.originate.push(own);
    }
    let [p, q] = [P, Q].map(|asn| net.outside(0, asn, Role::Provider)[0]);
    let customer = net.outside(0, CUSTOMER, Role::Customer)[0];
    for asn in [P, Q, CUSTOMER] {
        for stranger in net.strangers_mut(asn) {
            let families = [AfiSafi::IPV4_UNICAST, AfiSafi::IPV6_UNICAST].map(|family| (family, WORDS));
            stranger.capabilities.push(Capability::AddPath(families.to_vec()));
        }
    }
    for neighbour in &mut net.router_mut(0).config.neighbours {
        neighbour.terms.add_paths = BOTH;
    }
    net.policy_mut(0, "as150498 203").listed = super::net::listed(&["9.9.9.0/24"]);
    change(&mut net);
    net.start();
    net.run_until(ms(5000), Net::all_established);
    Scene { net, p, q, customer }
}

fn listed(text: &str, id: u32) -> UnicastNlri {
    UnicastNlri { prefix: prefix(text), path_id: Some(id) }
}

impl Scene {
    fn say(&mut self, who: usize, text: &str, id: u32, path: &[u32]) {
        let bytes = self.net.stranger(who).announcement_of(vec![listed(text, id)], path, |_| {});
        self.net.say(who, bytes);
        self.net.run(ms(500));
    }

    fn withdraw(&mut self, who: usize, text: &str, id: u32) {
        let bytes = self.net.stranger(who).withdrawal_of(&[listed(text, id)]);
        self.net.say(who, bytes);
        self.net.run(ms(500));
    }

    /// AS path and identifier of each path, the best first.
    fn table(&self, text: &str) -> Vec<(String, Option<u32>)> {
        let report = self.net.router(0).speaker.as_ref().unwrap().explain(&prefix(text));
        report.paths.into_iter().map(|path| (path.as_path, path.path_id)).collect()
    }

    /// What somebody was told, by identifier.
    fn heard(&self, who: usize, text: &str) -> Vec<(u32, String)> {
        let paths = self.net.stranger(who).paths.iter().filter(|((it, _), _)| *it == prefix(text));
        paths.map(|((_, id), attributes)| (*id, alloc::format!("{}", attributes.as_path))).collect()
    }

    fn status(&self, asn: Asn) -> NeighbourStatus {
        let neighbours = self.net.status(0).neighbours;
        neighbours.into_iter().find(|it| it.remote_asn == asn).unwrap()
    }

    /// What the kernel shall do with a prefix: the last AS of the path that is used.
    fn best(&self, text: &str) -> Option<String> {
        self.table(text).into_iter().next().map(|(path, _)| path)
    }
}

fn path(first: Asn, rest: &[u32]) -> String {
    let all = core::iter::once(first.0).chain(rest.iter().copied());
    all.map(|asn| alloc::format!("{asn}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_neighbour_has_as_many_routes_as_identifiers() {
    let mut scene = scene(|_| {});
    let p = scene.p;
    scene.say(p, "9.9.9.0/24", 0, &[3356, 42]);
    scene.say(p, "9.9.9.0/24", 7, &[42]);
    scene.say(p, "9.9.9.0/24", 9, &[3356, 1299, 42]);
    let [short, middle, long] = [&[42][..], &[3356, 42], &[3356, 1299, 42]].map(|it| path(P, it));
    let all = [(short.clone(), Some(7)), (middle.clone(), Some(0)), (long.clone(), Some(9))];
    assert_eq!(scene.table("9.9.9.0/24"), all);
    assert_eq!(scene.status(P).accepted.ipv4, 3);
    // The best goes and the next takes over; what stands for nothing changes nothing.
    scene.withdraw(p, "9.9.9.0/24", 7);
    scene.withdraw(p, "9.9.9.0/24", 8);
    assert_eq!(scene.table("9.9.9.0/24"), all[1..]);
    // By the same identifier it is another route in the place of the first.
    scene.say(p, "9.9.9.0/24", 9, &[]);
    assert_eq!(scene.table("9.9.9.0/24"), [(path(P, &[]), Some(9)), (middle.clone(), Some(0))]);
    // What cannot be taken withdraws what its identifier stands for, and no more.
    scene.say(p, "9.9.9.0/24", 9, &[64_512]);
    assert_eq!(scene.table("9.9.9.0/24"), [(middle, Some(0))]);
    assert_eq!((scene.status(P).accepted.ipv4, scene.status(P).refused_now.ipv4), (1, 1));
    let speaker = scene.net.router(0).speaker.as_ref().unwrap();
    let received = speaker.received_from(NeighbourId(0), None, 100).items;
    let ids = received.iter().map(|route| match route {
        ReceivedRoute::Taken { path, .. } => (true, path.path_id),
        ReceivedRoute::Refused(refused) => (false, refused.path_id),
    });
    assert_eq!(ids.collect::<Vec<_>>(), [(true, Some(0)), (false, Some(9))]);
    scene.withdraw(p, "9.9.9.0/24", 9);
    assert_eq!(scene.status(P).refused_now.ipv4, 0);
    scene.withdraw(p, "9.9.9.0/24", 0);
    assert_eq!((scene.table("9.9.9.0/24"), scene.status(P).accepted.ipv4), (vec![], 0));
}

/// RFC 7606 2: attributes that are wrong withdraw the paths that stand there.
#[test]
fn wrong_attributes_withdraw_by_identifier() {
    let mut scene = scene(|_| {});
    let p = scene.p;
    scene.say(p, "9.9.9.0/24", 1, &[42]);
    scene.say(p, "9.9.9.0/24", 2, &[3356, 42]);
    let mut bytes = scene.net.stranger(p).announcement_of(vec![listed("9.9.9.0/24", 1)], &[42], |_| {});
    // ORIGIN comes first.
    let at = bytes.windows(4).position(|it| it == [0x40, 1, 1, 0]).unwrap();
    bytes[at + 3] = 9;
    scene.net.say(p, bytes);
    scene.net.run(ms(500));
    assert_eq!(scene.table("9.9.9.0/24"), [(path(P, &[3356, 42]), Some(2))]);
    assert_eq!(scene.status(P).refused[0].reason, ImportRefusal::TreatedAsWithdraw);
    assert_eq!(scene.status(P).refused[0].path_id, Some(1));
}

#[test]
fn without_the_word_of_both_there_are_no_identifiers() {
    let silent = AddPaths::default();
    let words = |receive, send: bool| AddPaths { receive, send: send.then_some(4) };
    for (ours, theirs, taken, told) in [
        (silent, WORDS, false, false),
        (words(true, false), WORDS, true, false),
        (words(false, true), WORDS, false, true),
        (words(true, true), AddPath { receive: true, send: false }, false, true),
        (words(true, true), AddPath { receive: false, send: true }, true, false),
    ] {
        let scene = scene(|net| {
            net.router_mut(0).config.neighbours.iter_mut().for_each(|it| it.terms.add_paths = ours);
            for stranger in net.strangers_mut(P) {
                let families = [AfiSafi::IPV4_UNICAST, AfiSafi::IPV6_UNICAST].map(|it| (it, theirs));
                stranger.capabilities = vec![Capability::AddPath(families.to_vec())];
            }
        });
        let status = scene.status(P);
        assert_eq!(
            (!status.paths_received.is_empty(), !status.paths_sent.is_empty()),
            (taken, told),
            "{ours:?}"
        );
        // And they hear of it only from who says something.
        let open = scene.net.stranger(scene.p).open.clone().unwrap();
        let said = open.add_path(AfiSafi::IPV4_UNICAST);
        assert_eq!((said.receive, said.send), (ours.receive, ours.send.is_some()));
        assert_eq!(open.add_path(AfiSafi::IPV6_UNICAST), AddPath::default());
        assert_eq!(open.add_path(AfiSafi::EVPN), AddPath::default());
    }
}

#[test]
fn the_limit_counts_every_path() {
    let mut scene = scene(|net| net.policy_mut(0, "as150496 203").prefix_limit = Some(3));
    let p = scene.p;
    for id in 1..=3 {
        scene.say(p, "9.9.9.0/24", id, &[3356, id]);
    }
    scene.say(p, "9.9.9.0/24", 3, &[42]);
    assert_eq!(scene.status(P).state, SessionState::Established);
    scene.say(p, "9.9.9.0/24", 4, &[42]);
    assert!(matches!(scene.status(P).last_end, Some(SessionEnd::PrefixLimit { limit: 3, .. })));
}

/// However many a neighbour invents, of one prefix so many are taken, and every further one is refused.
#[test]
fn no_more_paths_than_can_be_looked_at() {
    let mut scene = scene(|_| {});
    let p = scene.p;
    let many = (0..100).map(|id| listed("9.9.9.0/24", id)).collect();
    let bytes = scene.net.stranger(p).announcement_of(many, &[42], |_| {});
    scene.net.say(p, bytes);
    scene.net.run(ms(500));
    let status = scene.status(P);
    assert_eq!((status.accepted.ipv4, status.refused_now.ipv4), (64, 36));
    assert!(status.refused.iter().all(|it| it.reason == ImportRefusal::TooManyPaths));
    // Who is there may change, and where one goes another may come.
    scene.say(p, "9.9.9.0/24", 63, &[3356]);
    assert_eq!(scene.status(P).accepted.ipv4, 64);
    scene.withdraw(p, "9.9.9.0/24", 5);
    scene.say(p, "9.9.9.0/24", 99, &[42]);
    assert_eq!((scene.status(P).accepted.ipv4, scene.status(P).refused_now.ipv4), (64, 35));
}

/// A neighbour that restarts may give its paths other identifiers (RFC 7911 keeps none over sessions): they stand
/// beside those that it has not told again, and are neither too many nor beyond its limit.
#[test]
fn paths_of_other_identifiers_after_a_restart() {
    let restart =
        GracefulRestart { time: 30, families: vec![(AfiSafi::IPV4_UNICAST, true)], ..Default::default() };
    let mut scene = scene(|net| {
        net.policy_mut(0, "as150496 203").prefix_limit = Some(100);
        for stranger in net.strangers_mut(P) {
            stranger.capabilities.push(Capability::GracefulRestart(restart.clone()));
        }
    });
    let p = scene.p;
    let mut end = Vec::new();
    crate::wire::bgp::Update::emit_end_of_rib(AfiSafi::IPV4_UNICAST, &mut end);
    let tell = |scene: &mut Scene, first: u32| {
        let paths = (first..first + 64).map(|id| listed("9.9.9.0/24", id)).collect();
        let bytes = scene.net.stranger(p).announcement_of(paths, &[42], |_| {});
        scene.net.say(p, bytes);
        scene.net.say(p, end.clone());
        scene.net.run(ms(500));
    };
    tell(&mut scene, 1);
    assert_eq!(scene.status(P).accepted.ipv4, 64);
    let stood = scene.status(P).established_count;
    for first in [101, 201] {
        scene.net.restart(p);
        assert_eq!(scene.status(P).stale.ipv4, 64);
        scene.net.run_until(ms(20_000), Net::all_established);
        tell(&mut scene, first);
        let status = scene.status(P);
        assert_eq!((status.accepted.ipv4, status.refused_now.ipv4, status.stale.ipv4), (64, 0, 0));
        let of = |it: &Option<u32>| it.is_some_and(|id| (first..first + 64).contains(&id));
        assert!(scene.table("9.9.9.0/24").iter().all(|it| of(&it.1)));
    }
    assert_eq!(scene.status(P).established_count, stood + 2);
}

/// RFC 7313 and RFC 4724: what of a path was not told again goes, beside others of its prefix.
#[test]
fn stale_paths_go_one_by_one() {
    let restart =
        GracefulRestart { time: 30, families: vec![(AfiSafi::IPV4_UNICAST, true)], ..Default::default() };
    let mut scene = scene(|net| {
        for stranger in net.strangers_mut(P) {
            stranger
                .capabilities
                .extend([Capability::EnhancedRouteRefresh, Capability::GracefulRestart(restart.clone())]);
        }
    });
    let p = scene.p;
    let mut end = Vec::new();
    crate::wire::bgp::Update::emit_end_of_rib(AfiSafi::IPV4_UNICAST, &mut end);
    for id in 1..=3 {
        scene.say(p, "9.9.9.0/24", id, &[3356, id]);
    }
    scene.net.say(p, end.clone());
    scene.net.run(ms(500));
    let mut marked = Vec::new();
    AfiSafi::IPV4_UNICAST.emit_refresh(Refresh::Begin, &mut marked);
    scene.net.say(p, marked.clone());
    scene.say(p, "9.9.9.0/24", 1, &[3356, 1]);
    scene.say(p, "9.9.9.0/24", 3, &[3356, 3]);
    assert_eq!(scene.table("9.9.9.0/24").len(), 3);
    marked.clear();
    AfiSafi::IPV4_UNICAST.emit_refresh(Refresh::End, &mut marked);
    scene.net.say(p, marked);
    scene.net.run(ms(500));
    let ids = |scene: &Scene| scene.table("9.9.9.0/24").iter().map(|it| it.1).collect::<Vec<_>>();
    assert_eq!(ids(&scene), [Some(1), Some(3)]);
    // Its process restarts: both stay until it has told everything.
    scene.net.restart(p);
    assert_eq!(scene.table("9.9.9.0/24").len(), 2);
    scene.net.run_until(ms(20_000), Net::all_established);
    scene.say(p, "9.9.9.0/24", 3, &[3356, 3]);
    assert_eq!(ids(&scene).len(), 2);
    scene.net.say(p, end);
    scene.net.run(ms(500));
    assert_eq!(ids(&scene), [Some(3)]);
}

#[test]
fn a_customer_is_told_every_path_that_it_may_have() {
    let mut scene = scene(|_| {});
    let Scene { p, q, customer, .. } = scene;
    scene.say(p, "9.9.9.0/24", 1, &[42]);
    scene.say(p, "9.9.9.0/24", 2, &[3356, 42]);
    scene.say(q, "9.9.9.0/24", 1, &[1299, 1298, 42]);
    let ours = |first, rest: &[u32]| alloc::format!("63806 {}", path(first, rest));
    let [a, b, c] = [ours(P, &[42]), ours(P, &[3356, 42]), ours(Q, &[1299, 1298, 42])];
    assert_eq!(scene.heard(customer, "9.9.9.0/24"), [(1, a.clone()), (2, b.clone()), (3, c.clone())]);
    assert_eq!(scene.status(CUSTOMER).announced.ipv4, 3 + 1);
    // The best changes: nothing to say but that it is gone, and every other keeps its identifier.
    let updates = scene.net.stranger(customer).updates;
    scene.withdraw(p, "9.9.9.0/24", 1);
    assert_eq!(scene.heard(customer, "9.9.9.0/24"), [(2, b.clone()), (3, c.clone())]);
    assert_eq!(scene.net.stranger(customer).updates, updates + 1);
    scene.say(q, "9.9.9.0/24", 1, &[]);
    assert_eq!(scene.heard(customer, "9.9.9.0/24"), [(2, b.clone()), (3, ours(Q, &[]))]);
    assert_eq!(scene.net.stranger(customer).updates, updates + 2);
    // A session ends, and its paths go with it.
    let mut told = Vec::new();
    crate::wire::bgp::Notification::new(6, 2).emit_message(&mut told);
    scene.net.strangers_mut(Q).for_each(|it| it.listens = false);
    scene.net.say(q, told);
    scene.net.run(ms(500));
    assert_eq!(scene.heard(customer, "9.9.9.0/24"), [(2, b)]);
    scene.withdraw(p, "9.9.9.0/24", 2);
    assert_eq!(scene.heard(customer, "9.9.9.0/24"), []);
    assert_eq!(scene.status(CUSTOMER).announced.ipv4, 1);
}

/// Each by the policy for itself; and never to whom the best is from, since packets would come back.
#[test]
fn what_may_not_be_told_is_not_told_beside_what_may() {
    let mut scene = scene(|_| {});
    let Scene { p, q, customer, .. } = scene;
    scene.say(p, "9.9.9.0/24", 1, &[42]);
    scene.say(q, "9.9.9.0/24", 1, &[42]);
    assert_eq!(scene.heard(customer, "9.9.9.0/24").len(), 2);
    scene.say(customer, "9.9.9.0/24", 1, &[]);
    assert_eq!(scene.best("9.9.9.0/24"), Some(path(CUSTOMER, &[])));
    assert_eq!(scene.heard(customer, "9.9.9.0/24"), []);
    // Providers hear of the customer's path alone: another provider's is not for them.
    for provider in [p, q] {
        let told = alloc::format!("63806 {}", CUSTOMER.0);
        assert_eq!(scene.heard(provider, "9.9.9.0/24"), [(1, told)]);
    }
    scene.withdraw(customer, "9.9.9.0/24", 1);
    assert_eq!(scene.heard(customer, "9.9.9.0/24").len(), 2);
    assert_eq!(scene.heard(p, "9.9.9.0/24"), []);
}

#[test]
fn no_more_than_the_file_says_and_all_again_on_request() {
    let mut scene = scene(|net| {
        let few = AddPaths { receive: true, send: Some(2) };
        net.router_mut(0).config.neighbours.iter_mut().for_each(|it| it.terms.add_paths = few);
    });
    let Scene { p, q, customer, .. } = scene;
    scene.say(p, "9.9.9.0/24", 1, &[3356, 42]);
    scene.say(p, "9.9.9.0/24", 2, &[3356, 1299, 42]);
    scene.say(q, "9.9.9.0/24", 1, &[42]);
    let ours = |first, rest: &[u32]| alloc::format!("63806 {}", path(first, rest));
    // The new one has taken the place of the worst.
    assert_eq!(scene.heard(customer, "9.9.9.0/24"), [(1, ours(P, &[3356, 42])), (2, ours(Q, &[42]))]);
    let speaker = scene.net.router(0).speaker.as_ref().unwrap();
    let sent = speaker.sent_to(NeighbourId(4), None, 100).items;
    let sent: Vec<_> =
        sent.iter().filter(|it| it.prefix == prefix("9.9.9.0/24")).map(|it| it.path_id).collect();
    assert_eq!(sent, [Some(2), Some(1)]);
    let before = scene.heard(customer, "9.9.9.0/24");
    scene.net.strangers_mut(CUSTOMER).for_each(|it| it.paths.clear());
    let mut request = Vec::new();
    AfiSafi::IPV4_UNICAST.emit_refresh(Refresh::Request, &mut request);
    scene.net.say(customer, request);
    scene.net.run(ms(500));
    assert_eq!(scene.heard(customer, "9.9.9.0/24"), before);
    assert_eq!(scene.heard(customer, "43.228.174.0/24").len(), 1);
    // Another number is no reason to end a session; whether there are several at all is.
    let mut config = scene.net.router(0).config.clone();
    let stood = scene.status(CUSTOMER).established_count;
    for (send, new_sessions, paths) in [(Some(3), 0, 3), (Some(1), 0, 1), (None, 1, 0)] {
        config.neighbours.iter_mut().for_each(|it| it.terms.add_paths.send = send);
        replace(&mut scene.net, config.clone());
        scene.net.run_until(ms(30_000), Net::all_established);
        scene.net.run(ms(500));
        assert_eq!(scene.status(CUSTOMER).established_count, stood + new_sessions);
        let heard = scene.heard(customer, "9.9.9.0/24").len();
        assert_eq!(heard, if send.is_some() { paths } else { 0 }, "{send:?}");
    }
}

fn replace(net: &mut Net, config: crate::bgp::config::SpeakerConfig) {
    let now = net.now;
    let mut actions = Vec::new();
    net.router_mut(0).speaker.as_mut().unwrap().replace_config(now, config, &mut actions);
    net.carry_out(0, actions);
}

/// RFC 8050 4: routes with identifiers stand in a record of their own.
#[test]
fn a_dump_holds_every_path() {
    let mut scene = scene(|net| {
        net.router_mut(0).config.neighbours[2].terms.add_paths.receive = false;
    });
    let Scene { p, q, .. } = scene;
    scene.say(p, "9.9.9.0/24", 5, &[42]);
    scene.say(p, "9.9.9.0/24", 0, &[3356, 42]);
    let plain = scene.net.stranger(q).announcement(&["9.9.9.0/24"], &[1299, 1298, 42], |_| {});
    scene.net.say(q, plain);
    scene.net.run(ms(500));
    let speaker = scene.net.router(0).speaker.as_ref().unwrap();
    let mut out = Vec::new();
    let mut dump = speaker.begin_dump(Instant(60_000_000_000), 1, &mut out);
    while speaker.poll_dump(&mut dump, 4096, &mut out) {}
    let (mut file, mut found, mut sequence) = (&out[..], Vec::new(), 0);
    while let Some((record, length)) = Record::first(file).unwrap() {
        file = &file[length..];
        if let Content::Rib(rib) = record.parse().unwrap() {
            assert_eq!(rib.sequence, sequence);
            sequence += 1;
            let ids = rib.entries.iter().map(|it| (it.peer, it.path_id));
            found.extend((rib.prefix == prefix("9.9.9.0/24")).then(|| ids.collect::<Vec<_>>()));
        }
    }
    assert_eq!(found, [vec![(1, Some(5)), (1, Some(0))], vec![(3, None)]]);
    assert_eq!(dump.routes - u64::from(dump.prefixes), 2);
}

/// A collector learns from the OPENs of the session that there are identifiers (RFC 7854 5), and another implementation
/// reads them.
#[test]
fn a_collector_hears_of_every_path() {
    use netgauze_bgp_pkt::BgpMessage;
    use netgauze_bmp_pkt::{BmpMessage, PeerKey, v3::BmpMessageValue};
    use netgauze_parse_utils::{reader::SliceReader, traits::ParseFromWithOneInput};
    let mut scene = scene(|_| {});
    scene.net.router_mut(0).speaker.as_mut().unwrap().begin_monitor(CollectorId(0));
    let p = scene.p;
    scene.say(p, "9.9.9.0/24", 5, &[42]);
    scene.say(p, "9.9.9.0/24", 6, &[3356, 42]);
    let mut theirs = netgauze_bmp_pkt::wire::deserializer::BmpParsingContext::default();
    let mut heard = |net: &mut Net| {
        let around = Surroundings {
            now: net.now,
            unix: 1,
            description: "",
            name: "r1",
            ports: &|_| Some((179, 4000)),
        };
        let mut out = Vec::new();
        let speaker = net.router_mut(0).speaker.as_mut().unwrap();
        while speaker.poll_monitor(CollectorId(0), &around, 4096, &mut out) {}
        let (mut rest, mut updates) = (&out[..], Vec::new());
        while !rest.is_empty() {
            let length = u32::from_be_bytes(rest[1..5].try_into().unwrap()) as usize;
            let message = BmpMessage::parse(&mut SliceReader::new(&rest[..length]), &mut theirs).unwrap();
            rest = &rest[length..];
            match message {
                BmpMessage::V3(BmpMessageValue::RouteMonitoring(it)) => {
                    updates.push(alloc::format!("{it:?}"));
                }
                BmpMessage::V3(BmpMessageValue::PeerUpNotification(it)) => {
                    let BgpMessage::Open(open) = it.sent_message() else { panic!("an OPEN") };
                    let key = PeerKey::from_peer_header(it.peer_header());
                    let context = theirs.get_peer(&key).unwrap();
                    open.capabilities().iter().for_each(|said| context.update_capabilities(said, false));
                }
                _ => {}
            }
        }
        updates
    };
    let told = heard(&mut scene.net);
    let of =
        |told: &[String], id: u32| told.iter().any(|it| it.contains(&alloc::format!("path_id: Some({id})")));
    assert!(of(&told, 5) && of(&told, 6), "{told:#?}");
    scene.withdraw(p, "9.9.9.0/24", 5);
    let told = heard(&mut scene.net);
    assert!(of(&told, 5) && !of(&told, 6), "{told:#?}");
}
