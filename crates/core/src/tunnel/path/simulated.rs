//! Measurements in virtual time over paths that are made up.

use super::*;
use crate::mtu::{Ip, Wrapping, outer_packets};
use crate::time::{Duration, Instant};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use proptest::prelude::*;

/// One direction of a path.
#[derive(Debug, Clone, Copy)]
struct Road {
    mtu: u16,
    passes_pieces: bool,
    passes_turned: bool,
    /// Of a thousand packets.
    lost: u64,
    doubled: u64,
    delay: Duration,
    /// Up to so much more; packets overtake each other.
    wavering: Duration,
}

const ROAD: Road = Road {
    mtu: 1500,
    passes_pieces: true,
    passes_turned: true,
    lost: 0,
    doubled: 0,
    delay: Duration::from_millis(5),
    wavering: Duration::ZERO,
};

#[derive(Debug, Clone, Copy)]
struct Net {
    way: Way,
    out: Road,
    back: Road,
    /// What the far end's line takes.
    their_most: u16,
    answerer: Answerer,
    /// Between these times nothing passes.
    silent: Option<(Duration, Duration)>,
    seed: u64,
}

impl Net {
    fn new(wrapping: Wrapping, outer: Ip) -> Net {
        let way = Way { wrapping, outer, path_mtu: 1500, mtu: 2400 };
        Net {
            way,
            out: ROAD,
            back: ROAD,
            their_most: 1500,
            answerer: Answerer::Datapath,
            silent: None,
            seed: 0x9e37_79b9_7f4a_7c15,
        }
    }
}

enum Event {
    Question {
        sequence: u32,
        question: Question,
    },
    Reply {
        sequence: u32,
        reply: Reply,
    },
    /// A request that comes to somebody who returns what he gets.
    Echo {
        sequence: u32,
        shape: Shape,
    },
    Echoed {
        sequence: u32,
    },
}

/// What came of it, after how long and how many questions.
struct Ran {
    outcome: Outcome,
    took: Duration,
    asked: usize,
}

impl Ran {
    #[track_caller]
    fn finding(&self) -> PathFinding {
        match self.outcome {
            Outcome::Found(finding) => finding,
            other => panic!("{other:?}"),
        }
    }
}

impl PathFinding {
    fn back(&self) -> Direction {
        self.back.expect("both directions are known")
    }
}

struct World {
    net: Net,
    random: u64,
    queue: BTreeMap<(Instant, usize), Event>,
    queued: usize,
}

impl World {
    /// Below `limit`.
    fn random(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit.max(1)
    }

    fn travel(&mut self, now: Instant, road: Road, shape: Shape, event: impl Fn() -> Event) {
        let passed = now.since(START);
        if self.net.silent.is_some_and(|(from, until)| (from..until).contains(&passed)) {
            return;
        }
        let payload = self.net.way.wrapping.payload(shape.inner.into());
        let packets = outer_packets(self.net.way.outer, shape.path.into(), payload);
        let in_pieces = packets.len() > 1;
        assert!((1..=2).contains(&packets.len()), "{shape:?}: {packets:?}");
        let barred = in_pieces && (!road.passes_pieces || (shape.turned && !road.passes_turned));
        let too_large = packets.iter().any(|size| *size > road.mtu.into());
        let mut lost = barred || too_large;
        for _ in &packets {
            lost |= self.random(1000) < road.lost;
        }
        if lost {
            return;
        }
        let copies = 1 + usize::from(self.random(1000) < road.doubled);
        for _ in 0..copies {
            let wavering = Duration::from_nanos(self.random(road.wavering.as_nanos() as u64));
            self.queued += 1;
            self.queue.insert((now + road.delay + wavering, self.queued), event());
        }
    }
}

const START: Instant = Instant(77_000_000_000);

fn run(net: Net) -> Ran {
    let mut world = World { net, random: net.seed, queue: BTreeMap::new(), queued: 0 };
    let mut measurement =
        Measurement::new(START, Subject { way: net.way, most: 1500, answerer: net.answerer });
    let mut reflector = Reflector::default();
    let (mut now, mut asked) = (START, 0);
    loop {
        let mut trials = Vec::new();
        measurement.poll(now, &mut trials);
        assert!(trials.len() <= 4, "in one breath");
        asked += trials.len();
        for trial in trials {
            let mtu = net.way.mtu;
            assert!(net.answerer != Answerer::Neighbour || u32::from(trial.shape.inner) <= mtu, "{trial:?}");
            let event = || match net.answerer {
                Answerer::Datapath => Event::Question { sequence: trial.sequence, question: trial.question },
                _ => Event::Echo { sequence: trial.sequence, shape: trial.shape },
            };
            world.travel(now, net.out, trial.shape, event);
        }
        if let Some(outcome) = measurement.outcome() {
            assert_eq!(measurement.next_timeout(now), None);
            assert_eq!(measurement.progress(now), None);
            return Ran { outcome, took: now.since(START), asked };
        }
        let due = measurement.next_timeout(now).expect("something is waited for");
        let arrives = world.queue.first_key_value().map(|((at, _), _)| *at);
        assert!(due >= now, "the time for it was before");
        now = arrives.map_or(due, |at| at.min(due));
        assert!(now.since(START) < Duration::from_secs(120), "it takes for ever: {measurement:?}");
        while let Some(entry) = world.queue.first_entry().filter(|entry| entry.key().0 <= now) {
            match entry.remove() {
                Event::Question { sequence, question } => {
                    // Their clock is another.
                    let theirs = Instant(now.0 - 50_000_000_000);
                    let heard = reflector.hear(theirs, (&net.way, net.their_most), (1, sequence), question);
                    if let Ok((shape, reply)) = heard {
                        world.travel(now, net.back, shape, || Event::Reply { sequence, reply });
                    }
                }
                Event::Echo { sequence, shape } => {
                    // It cuts where it thinks that the path ends.
                    let shape = Shape { path: net.their_most, turned: false, ..shape };
                    world.travel(now, net.back, shape, || Event::Echoed { sequence });
                }
                Event::Echoed { sequence } => measurement.handle_echo(now, sequence),
                Event::Reply { sequence, reply } => measurement.handle_reply(now, sequence, &reply),
            }
        }
    }
}

const GRE: Wrapping = Wrapping::Gre { key: false };

#[test]
fn a_path_without_fault() {
    for outer in Ip::BOTH {
        let ran = run(Net::new(GRE, outer));
        let found = ran.finding();
        for direction in [found.out, found.back()] {
            assert_eq!(direction.mtu, Some(1500));
            assert_eq!(direction.train, Tally { sent: 100, arrived: 100 });
            assert_eq!(direction.pieces, Tally { sent: 4, arrived: 4 });
            assert_eq!(direction.turned, Tally { sent: 4, arrived: 4 });
            assert_eq!(direction.jitter_us, 0);
        }
        assert_eq!((found.least_rtt_us, found.median_rtt_us), (10_000, 10_000));
        assert!(!found.drops_pieces() && !found.out.drops_turned() && !found.back().drops_turned());
        assert!(ran.took < Duration::from_secs(3), "{:?}", ran.took);
    }
}

#[test]
fn the_narrowest_place_is_found_to_the_byte() {
    for (outer, mtus) in [(Ip::V6, [1280, 1281, 1400, 1454, 1499]), (Ip::V4, [576, 1000, 1280, 1438, 1492])] {
        for mtu in mtus {
            let mut net = Net::new(Wrapping::EtherIp { vlan: false }, outer);
            net.out.mtu = mtu;
            let found = run(net).finding();
            assert_eq!((found.out.mtu, found.back().mtu, found.mtu()), (Some(mtu), Some(1500), Some(mtu)));
            assert_eq!(found.out.pieces.arrived, 4, "cut where they pass");
        }
    }
}

#[test]
fn no_more_is_asked_for_than_their_line_takes() {
    let mut net = Net::new(GRE, Ip::V6);
    net.their_most = 1454;
    let found = run(net).finding();
    assert_eq!((found.out.mtu, found.back().mtu), (Some(1500), Some(1454)));
}

#[test]
fn wireguard_has_sizes_in_steps_of_16() {
    for (mtu, found) in [(1500, 1488), (1488, 1488), (1487, 1472), (1280, 1280)] {
        let mut net = Net::new(Wrapping::WireGuard, Ip::V6);
        net.back.mtu = mtu;
        assert_eq!(run(net).finding().back().mtu, Some(found));
    }
}

#[test]
fn a_path_below_the_floor_has_no_size() {
    let mut net = Net::new(GRE, Ip::V6);
    net.out.mtu = 1279;
    let found = run(net).finding();
    assert_eq!((found.out.mtu, found.mtu()), (None, None));
    assert_eq!(found.out.pieces, Tally::default());
    assert_eq!(found.back().mtu, Some(1500));
}

#[test]
fn pieces_that_vanish_are_told_by_direction() {
    let mut net = Net::new(GRE, Ip::V6);
    net.back.passes_pieces = false;
    let found = run(net).finding();
    assert!(found.back().pieces.none_arrived() && !found.out.pieces.none_arrived());
    assert!(found.drops_pieces() && !found.back().drops_turned());
    assert_eq!(found.mtu(), Some(1500));
    net.back.passes_pieces = true;
    net.out.passes_turned = false;
    let found = run(net).finding();
    assert!(!found.drops_pieces() && found.out.drops_turned());
    assert!(found.out.turned.none_arrived() && found.back().turned.arrived == 4);
}

#[test]
fn what_is_lost_is_counted_where_it_is_lost() {
    let mut net = Net::new(GRE, Ip::V6);
    (net.out.lost, net.back.lost) = (200, 0);
    let found = run(net).finding();
    assert!((8..=35).contains(&found.out.train.lost()), "{found:?}");
    assert_eq!(found.back().train.lost(), 0);
    net.out.wavering = Duration::from_millis(4);
    let found = run(net).finding();
    assert!((500..3000).contains(&found.out.jitter_us), "{found:?}");
    assert_eq!(found.back().jitter_us, 0);
}

#[test]
fn silence_has_a_name() {
    let mut net = Net::new(GRE, Ip::V6);
    net.out.lost = 1000;
    let ran = run(net);
    assert_eq!((ran.outcome, ran.asked), (Outcome::Unanswered, 20));
    assert!(ran.took < Duration::from_secs(5));
    let mut net = Net::new(GRE, Ip::V6);
    net.out.mtu = 1400;
    for dies in [1000, 1600, 2500] {
        net.silent = Some((Duration::from_millis(dies), Duration::MAX));
        let ran = run(net);
        assert_eq!(ran.outcome, Outcome::WentSilent, "{dies}");
    }
}

/// A moment without a packet in the middle of it is not taken for a size that does not pass.
#[test]
fn a_pause_is_not_taken_for_the_path() {
    for from in [1300, 1500, 1700] {
        let mut net = Net::new(GRE, Ip::V4);
        net.out.mtu = 1300;
        net.silent = Some((Duration::from_millis(from), Duration::from_millis(from + 250)));
        let found = run(net).finding();
        assert_eq!((found.out.mtu, found.back().mtu), (Some(1300), Some(1500)));
        assert_eq!((found.out.pieces.arrived, found.back().pieces.arrived), (4, 4));
    }
}

#[test]
fn a_long_way_takes_longer() {
    let mut net = Net::new(GRE, Ip::V4);
    net.out.mtu = 1300;
    net.back.delay = Duration::from_millis(900);
    let found = run(net).finding();
    assert_eq!((found.out.mtu, found.back().mtu), (Some(1300), Some(1500)));
    assert_eq!(found.median_rtt_us, 905_000);
}

/// Who returns what he gets tells less: that is not made up.
#[test]
fn an_echo_tells_of_both_directions_as_one() {
    for answerer in [Answerer::Neighbour, Answerer::Machine] {
        for outer in Ip::BOTH {
            let mut net = Net::new(Wrapping::EtherIp { vlan: false }, outer);
            net.answerer = answerer;
            let found = run(net).finding();
            assert_eq!((found.answered_by, found.back, found.mtu()), (answerer, None, Some(1500)));
            let all = Tally { sent: 4, arrived: 4 };
            assert_eq!((found.out.pieces, found.out.turned), (all, all));
            assert_eq!((found.out.train.arrived, found.median_rtt_us), (100, 10_000));
            net.out.mtu = 1400;
            assert_eq!(run(net).finding().mtu(), Some(1400));
            (net.out.mtu, net.back.mtu) = (1500, 1400);
            let found = run(net).finding();
            assert_eq!(found.mtu(), Some(1400), "nobody knows which it was");
            let force = InForce::found(&net.way, true, &found, Mover::Datapath);
            let narrower =
                PathTrouble::Narrower { affected: Affected::Either, measured: 1400, planned: 1500 };
            assert_eq!(force.path_mtu, 1400);
            assert!(force.troubles.contains(&narrower), "{force:?}");
        }
    }
}

#[test]
fn what_of_pieces_an_echo_tells() {
    let mut net = Net::new(GRE, Ip::V6);
    net.answerer = Answerer::Machine;
    net.out.passes_turned = false;
    let troubles = |net: Net| InForce::found(&net.way, true, &run(net).finding(), Mover::Datapath).troubles;
    assert_eq!(troubles(net), [PathTrouble::TurnedDropped { affected: Affected::Out }]);
    net.back.passes_pieces = false;
    let dropped = PathTrouble::PiecesDropped { affected: Affected::Either, inner: 1456, tcp: TcpThen::Fits };
    assert_eq!(troubles(net), [dropped]);
    (net.out.lost, net.back.lost) = (100, 100);
    let train = run(net).finding().out.train;
    assert!((5..50).contains(&train.lost()), "{train:?}");
}

/// A neighbour gets no larger packets than the tunnel's MTU allows: what they come to is as much as can be known,
/// and enough.
#[test]
fn a_neighbour_is_asked_no_more_than_fits_the_tunnel() {
    for (mtu, known) in [(1500, 1500), (1400, 1456), (1230, 1286), (1200, 1256)] {
        let mut net = Net::new(Wrapping::EtherIp { vlan: false }, Ip::V6);
        (net.answerer, net.way.mtu) = (Answerer::Neighbour, mtu);
        let found = run(net).finding();
        assert_eq!(found.mtu(), Some(known), "{mtu}");
        assert_eq!(found.out.pieces, Tally { sent: 4, arrived: 4 }, "cut where it need not be");
        let force = InForce::found(&net.way, true, &found, Mover::Datapath);
        assert_eq!((force.path_mtu, force.troubles), (1500, Vec::new()), "{mtu}");
    }
}

/// The kernel goes by its routes: what was found is said and changes nothing.
#[test]
fn what_is_not_ours_to_drive_is_only_said() {
    let mut net = Net::new(GRE, Ip::V4);
    (net.answerer, net.out.mtu, net.out.passes_pieces) = (Answerer::Machine, 1400, false);
    let found = run(net).finding();
    let force = InForce::found(&net.way, false, &found, Mover::Kernel);
    assert_eq!((force.path_mtu, force.clamp), (1500, None));
    let tcp = TcpThen::Hangs;
    let dropped = PathTrouble::PiecesDropped { affected: Affected::Either, inner: 1376, tcp };
    assert_eq!(force.troubles[0], dropped);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Up to 20 % of loss each way, doubles, overtaking: what is found is what is there, in bounded time
    /// and with a bounded number of questions.
    #[test]
    fn chance_is_not_taken_for_the_path(
        seed in 1u64..,
        outer in prop_oneof![Just(Ip::V4), Just(Ip::V6)],
        mtus in (1280u16..=1500, 1280u16..=1500),
        lost in (0u64..=200, 0u64..=200),
        pieces: (bool, bool),
        turned: (bool, bool),
        wavering in 0u64..20,
    ) {
        let mut net = Net::new(GRE, outer);
        net.seed = seed;
        let road = |mtu, lost, passes_pieces, passes_turned| Road {
            mtu,
            lost,
            passes_pieces,
            passes_turned,
            doubled: 50,
            wavering: Duration::from_millis(wavering),
            ..ROAD
        };
        net.out = road(mtus.0, lost.0, pieces.0, turned.0);
        net.back = road(mtus.1, lost.1, pieces.1, turned.1);
        let ran = run(net);
        let found = ran.finding();
        for (found, road) in [(found.out, net.out), (found.back(), net.back)] {
            prop_assert_eq!(found.mtu, Some(road.mtu));
            prop_assert_eq!(found.pieces.none_arrived(), !road.passes_pieces);
            prop_assert_eq!(found.turned.none_arrived(), !(road.passes_pieces && road.passes_turned));
        }
        prop_assert!(ran.took < Duration::from_secs(40), "{:?}", ran.took);
        prop_assert!(ran.asked < 2500, "{}", ran.asked);
    }
}
