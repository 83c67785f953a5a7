//! What a collector knows is what the table has, whatever happens and however slowly it hears; another
//! implementation reads every message.

use super::net::{Net, ms, own_prefixes};
use crate::bgp::config::{Origination, Role};
use crate::bgp::{CollectorId, MonitorCounts, Surroundings};
use crate::id::{Asn, Prefix};
use crate::time::Instant;
use crate::wire::bgp::{Context, Message, PathIds, frame};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use netgauze_bmp_pkt::BmpMessage;
use netgauze_bmp_pkt::wire::deserializer::BmpParsingContext;
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput;
use proptest::prelude::*;

const COLLECTOR: CollectorId = CollectorId(3);
const PROVIDERS: [Asn; 2] = [Asn(64_496 + 86_000), Asn(64_497 + 86_000)];
const CONTEXT: Context =
    Context { four_octet: true, ipv4_over_ipv6: true, evpn: false, extended: true, path_ids: PathIds::NONE };

/// A peer as the header of each message names it: distinguisher and address.
type Peer = (u64, IpAddr);

/// A collector: what it was told so far.
#[derive(Default)]
struct Collector {
    greeted: bool,
    up: BTreeSet<Peer>,
    routes: BTreeMap<(Prefix, Peer), Vec<Asn>>,
    whole: BTreeSet<(Peer, u16)>,
    /// What the router has chosen, while it says so.
    chosen: Option<BTreeMap<Prefix, Vec<Asn>>>,
    chosen_whole: BTreeSet<u16>,
    theirs: BmpParsingContext,
}

impl Collector {
    fn hear(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let length = u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize;
            let (message, rest) = bytes.split_at(length);
            bytes = rest;
            let read = BmpMessage::parse(&mut SliceReader::new(message), &mut self.theirs);
            assert!(matches!(read, Ok(BmpMessage::V3(_))), "{read:?} {message:02x?}");
            self.message(message[5], &message[6..]);
        }
    }

    fn message(&mut self, kind: u8, body: &[u8]) {
        if kind == 4 {
            assert!(!core::mem::replace(&mut self.greeted, true), "two greetings");
            return;
        }
        assert!(self.greeted && body.len() >= 42);
        if body[0] == 3 {
            self.loc_rib(kind, body);
            return;
        }
        let octets: [u8; 16] = body[10..26].try_into().unwrap();
        let address = if body[1] & 0x80 != 0 {
            IpAddr::V6(Ipv6Addr::from(octets))
        } else {
            IpAddr::V4(Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]))
        };
        let peer = (u64::from_be_bytes(body[2..10].try_into().unwrap()), address);
        match kind {
            3 => assert!(self.up.insert(peer), "{peer:?} is up already"),
            2 => {
                assert!(self.up.remove(&peer), "{peer:?} is not up");
                self.routes.retain(|(_, whose), _| *whose != peer);
                self.whole.retain(|(whose, _)| *whose != peer);
            }
            0 => {
                assert!(self.up.contains(&peer), "a route of {peer:?}, which is not up");
                assert_eq!(body[1] & 0x40, 0x40, "as our policy has left it");
                self.update(peer, &body[42..]);
            }
            other => panic!("a message of type {other}"),
        }
    }

    fn loc_rib(&mut self, kind: u8, body: &[u8]) {
        const TABLE: &[u8] = b"\0\x03\0\x06global";
        assert_eq!(body[1..26], [0; 25], "all of the default table");
        match kind {
            3 => {
                assert!(self.chosen.replace(BTreeMap::new()).is_none(), "it is told already");
                assert!(body.ends_with(TABLE));
            }
            2 => {
                assert!(self.chosen.take().is_some(), "it is not told");
                self.chosen_whole.clear();
                assert_eq!((body[42], &body[43..]), (6, TABLE));
            }
            0 => {
                let (update, whole) = read(&body[42..]);
                self.chosen_whole.extend(whole);
                let chosen = self.chosen.as_mut().unwrap();
                for (prefix, path) in update {
                    match path {
                        Some(path) => chosen.insert(prefix, path),
                        None => chosen.remove(&prefix),
                    };
                }
            }
            other => panic!("a message of type {other}"),
        }
    }

    fn update(&mut self, peer: Peer, bytes: &[u8]) {
        let (update, whole) = read(bytes);
        self.whole.extend(whole.map(|afi| (peer, afi)));
        for (prefix, path) in update {
            match path {
                Some(path) => self.routes.insert((prefix, peer), path),
                None => self.routes.remove(&(prefix, peer)),
            };
        }
    }
}

/// A prefix with the path of its route; `None`: it is withdrawn.
type Said = (Prefix, Option<Vec<Asn>>);

/// Each prefix with its path, or without when it is withdrawn; and the family whose End-of-RIB it is.
fn read(bytes: &[u8]) -> (Vec<Said>, Option<u16>) {
    let whole = frame(bytes, CONTEXT.message_max()).unwrap().unwrap();
    assert_eq!(whole.wire_len(), bytes.len());
    let Message::Update(decoded) = Message::parse(whole, CONTEXT).unwrap() else { panic!("no UPDATE") };
    assert!(decoded.errors.is_empty(), "{:?}", decoded.errors);
    let update = decoded.update;
    let gone = update.withdrawn.iter().chain(update.mp_unreach.iter().flat_map(|it| &it.prefixes));
    let come = update.announced.iter().chain(update.mp_reach.iter().flat_map(|it| &it.prefixes));
    let path = || update.attributes.as_ref().map(|it| it.as_path.asns().collect());
    let gone = gone.map(|route| (route.prefix, None));
    (gone.chain(come.map(|route| (route.prefix, path()))).collect(), update.end_of_rib().map(|it| it.afi))
}

/// A router with two providers and a router inside.
struct Scene {
    net: Net,
    providers: [usize; 2],
    collector: Collector,
}

impl Scene {
    fn new() -> Scene {
        let mut net = Net::routers(&[1, 2]);
        net.link(0, 1, 0);
        net.link(0, 1, 0);
        for own in own_prefixes() {
            let own = Origination { prefix: own, while_reaching: Vec::new(), discard: true };
            net.router_mut(0).config.originate.push(own);
        }
        let providers = PROVIDERS.map(|asn| net.outside(0, asn, Role::Provider)[0]);
        net.start();
        net.run_until(ms(8000), Net::all_established);
        Scene { net, providers, collector: Collector::default() }
    }

    fn come(&mut self) {
        self.net.router_mut(0).speaker.as_mut().unwrap().begin_monitor(COLLECTOR);
        self.collector = Collector::default();
    }

    /// One piece; whether there is more.
    fn poll(&mut self, budget: usize) -> bool {
        let ports = |_| Some((179, 40_000));
        let around = Surroundings {
            now: Instant(1 << 40),
            unix: 1_700_000_000,
            description: "tsumugi",
            name: "r1",
            ports: &ports,
        };
        let mut out = Vec::new();
        let speaker = self.net.router_mut(0).speaker.as_mut().unwrap();
        let more = speaker.poll_monitor(COLLECTOR, &around, budget, &mut out);
        assert_eq!(more, speaker.monitor_has_work(COLLECTOR));
        self.collector.hear(&out);
        more
    }

    fn counts(&self) -> MonitorCounts {
        self.net.router(0).speaker.as_ref().unwrap().monitor_counts(COLLECTOR)
    }

    fn tell(&mut self, provider: usize, prefixes: &[&str], second: u32) {
        let (place, asn) = (self.providers[provider], PROVIDERS[provider]);
        let bytes = self.net.stranger(place).announcement(prefixes, &[asn.0, second], |_| {});
        self.net.say(place, bytes);
    }

    fn withdraw(&mut self, provider: usize, prefixes: &[&str]) {
        let place = self.providers[provider];
        let bytes = self.net.stranger(place).withdrawal(prefixes);
        self.net.say(place, bytes);
    }

    /// What the table has of neighbours whose sessions stand.
    fn table(&self) -> BTreeMap<(Prefix, IpAddr, Vec<Asn>), usize> {
        let speaker = self.net.router(0).speaker.as_ref().unwrap();
        let mut all = BTreeMap::new();
        for (prefix, destination) in speaker.rib.iter() {
            for path in destination.paths() {
                let Some(Some(peer)) = speaker.peers.get(path.slot.index()) else { continue };
                if peer.session.established().is_some() {
                    let asns = path.route.attributes.as_path.asns().collect();
                    *all.entry((prefix, peer.session.remote().unwrap(), asns)).or_default() += 1;
                }
            }
        }
        all
    }

    fn check(&mut self) {
        for _ in 0..10_000 {
            if !self.poll(4096) {
                break;
            }
        }
        let mut known = BTreeMap::new();
        for ((prefix, (_, address)), path) in &self.collector.routes {
            *known.entry((*prefix, *address, path.clone())).or_default() += 1;
        }
        assert_eq!(known, self.table());
        let speaker = self.net.router(0).speaker.as_ref().unwrap();
        let best = speaker.rib.iter().filter_map(|(prefix, destination)| {
            Some((prefix, destination.best()?.route.attributes.as_path.asns().collect()))
        });
        assert_eq!(self.collector.chosen, Some(best.collect()));
        assert_eq!(self.collector.chosen_whole, BTreeSet::from([1, 2]));
        let standing = speaker.peers.iter().flatten().filter(|peer| peer.session.established().is_some());
        assert_eq!(self.collector.up.len(), standing.count());
    }
}

#[test]
fn a_collector_is_told_all_and_what_changes() {
    let mut scene = Scene::new();
    scene.tell(0, &["11.0.1.0/24", "11.0.2.0/24"], 3356);
    scene.net.run(ms(500));
    scene.come();
    scene.check();
    // Both links to the other router have the same addresses at their ends.
    assert_eq!(scene.collector.up.iter().filter(|(distinguisher, _)| *distinguisher > 0).count(), 2);
    assert!(scene.collector.whole.iter().any(|(_, afi)| *afi == 2), "{:?}", scene.collector.whole);
    let before = scene.counts();
    scene.tell(1, &["11.0.1.0/24"], 174);
    scene.withdraw(0, &["11.0.2.0/24"]);
    scene.net.run(ms(500));
    scene.check();
    let routes = scene.counts().routes - before.routes;
    assert!((2..12).contains(&routes), "only what has changed: {routes}");
    let quiet = scene.counts();
    scene.net.run(ms(5000));
    scene.check();
    assert_eq!(scene.counts(), quiet);
}

#[test]
fn sessions_come_and_go() {
    let mut scene = Scene::new();
    scene.come();
    scene.tell(0, &["11.0.1.0/24"], 3356);
    scene.net.run(ms(500));
    scene.check();
    let up = scene.collector.up.len();
    scene.net.set_carrier(0, false);
    scene.net.run(ms(100));
    scene.check();
    assert_eq!(scene.collector.up.len(), up - 1);
    scene.net.set_carrier(0, true);
    scene.net.run_until(ms(60_000), Net::all_established);
    scene.net.run(ms(1000));
    scene.check();
    assert_eq!(scene.collector.up.len(), up);
    assert_eq!(scene.counts().resyncs, 0);
}

/// A hundred thousand changes wait: they are forgotten, and it is told everything anew.
#[test]
fn who_falls_behind_is_told_anew() {
    let mut scene = Scene::new();
    scene.come();
    scene.check();
    let prefixes: Vec<_> = (0..100_000u32)
        .map(|it| alloc::format!("11.{}.{}.{}/32", it >> 16, it >> 8 & 255, it & 255))
        .collect();
    let speaker = scene.net.router_mut(0).speaker.as_mut().unwrap();
    // As many changes as a full table has, of prefixes that need not be there.
    let slot = speaker.slots[0];
    for prefix in &prefixes {
        speaker.monitored_route(&prefix.parse().unwrap(), slot.into());
    }
    let counts = scene.counts();
    assert_eq!((counts.resyncs, counts.dropped > 60_000), (1, true), "{counts:?}");
    scene.tell(0, &["11.0.1.0/24"], 3356);
    scene.net.run(ms(500));
    scene.check();
    assert_eq!(scene.counts().resyncs, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_slow_collector_knows_what_the_table_has(
        steps in proptest::collection::vec((0u8..8, 0usize..2, 0u8..6, 1u32..4), 1..30),
        budget in 1usize..400,
    ) {
        let mut scene = Scene::new();
        scene.come();
        for (what, provider, prefix, second) in steps {
            let prefix = alloc::format!("11.0.{prefix}.0/24");
            match what {
                0..3 => scene.tell(provider, &[&prefix], 3000 + second),
                3 | 4 => scene.withdraw(provider, &[&prefix]),
                5 => scene.net.set_carrier(provider, false),
                6 => scene.net.set_carrier(provider, true),
                _ => scene.come(),
            }
            scene.net.run(ms(300));
            scene.poll(budget);
        }
        scene.check();
    }
}
