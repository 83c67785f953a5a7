//! Two ends, the way between them with delay and loss, and a clock that jumps from one event to the next.

use super::*;
use crate::bfd::BfdDown;
use proptest::prelude::*;

/// What is under way: when it arrives, at whom.
type UnderWay = (Instant, usize, [u8; LEN]);

struct Pair {
    now: Instant,
    ends: [Bfd; 2],
    delay: Duration,
    under_way: Vec<UnderWay>,
    /// In the direction from each end.
    cut: [bool; 2],
    /// Of a thousand packets.
    loss: u32,
    random: u32,
    told: Vec<(Instant, usize, Action)>,
}

fn path_of(end: usize) -> Path {
    let (near, far) = (end as u16 + 1, 2 - end as u16);
    Path { index: INDEX, local: address(near), remote: address(far), multihop: false }
}

impl Pair {
    fn new(terms: [BfdTerms; 2], delay: u64, seed: u32) -> Pair {
        let seeds = [u64::from(seed) << 32 | 5, (u64::from(seed) + 1) << 33 | 9];
        let mut pair = Pair {
            now: at(0),
            ends: seeds.map(Bfd::new),
            delay: ms(delay),
            under_way: Vec::new(),
            cut: [false; 2],
            loss: 0,
            random: seed | 1,
            told: Vec::new(),
        };
        for (end, terms) in terms.into_iter().enumerate() {
            pair.step(end, Event::Configure(vec![config(terms, path_of(end))]));
        }
        pair
    }

    fn step(&mut self, end: usize, event: Event<'_>) {
        let mut actions = Vec::new();
        self.ends[end].step(self.now, event, &mut actions);
        for action in actions {
            match action {
                Action::Send { bytes, .. } => {
                    self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let lost = self.random >> 8 & 1023 < self.loss;
                    if !lost && !self.cut[end] {
                        self.under_way.push((self.now + self.delay, 1 - end, bytes));
                    }
                }
                other => self.told.push((self.now, end, other)),
            }
        }
    }

    fn run(&mut self, until: Instant) {
        loop {
            let arrival = self.under_way.iter().map(|it| it.0).min();
            let due = self.ends.iter().filter_map(Bfd::next_timeout).min();
            let Some(next) = [arrival, due].into_iter().flatten().min().filter(|next| *next <= until) else {
                break;
            };
            self.now = self.now.max(next);
            while let Some(place) = self.under_way.iter().position(|it| it.0 <= self.now) {
                let (_, to, bytes) = self.under_way.remove(place);
                let Path { index, local, remote, .. } = path_of(to);
                let hops = Some(255);
                let received =
                    Received { index, from: remote, to: local, multihop: false, hops, bytes: &bytes };
                self.step(to, Event::Received(received));
            }
            for end in 0..2 {
                self.step(end, Event::Timeout);
            }
        }
        self.now = until;
    }

    fn states(&self) -> [State; 2] {
        [0, 1].map(|end: usize| self.ends[end].status(self.now)[0].state)
    }

    fn downs(&self) -> Vec<(Instant, usize, BfdDown)> {
        let of = |(at, end, action): &(Instant, usize, Action)| match action {
            Action::Down { cause, .. } => Some((*at, *end, *cause)),
            _ => None,
        };
        self.told.iter().filter_map(of).collect()
    }
}

#[test]
fn up_in_a_round_trip_or_two_and_fast_from_there_on() {
    let mut pair = Pair::new([terms(100, 3); 2], 10, 3);
    pair.run(at(40));
    assert_eq!(pair.states(), [State::Up; 2]);
    pair.run(at(200));
    for end in &pair.ends {
        let status = &end.status(at(200))[0];
        assert_eq!((status.interval_us, status.detection_us), (100_000, 300_000));
    }
}

#[test]
fn nobody_at_the_far_end_is_no_event() {
    let mut pair = Pair::new([terms(100, 3); 2], 10, 3);
    pair.cut = [true; 2];
    pair.under_way.clear();
    pair.run(at(60_000));
    assert_eq!(pair.told, []);
}

/// The process at one end dies and another takes its place.
#[test]
fn a_far_end_that_is_killed_and_comes_back() {
    let mut pair = Pair::new([terms(100, 3); 2], 5, 3);
    pair.run(at(1000));
    pair.ends[1] = Bfd::new(0xaaaa_bbbb_cccc_dddd);
    pair.step(1, Event::Configure(vec![config(terms(100, 3), path_of(1))]));
    pair.run(at(2500));
    assert!(matches!(pair.downs()[..], [(_, 0, BfdDown::NeighbourDown { .. })]), "{:?}", pair.downs());
    assert_eq!(pair.states(), [State::Up; 2]);
}

fn any_terms() -> impl Strategy<Value = BfdTerms> {
    (20u32..400, 2u8..6).prop_map(|(interval, multiplier)| terms(interval, multiplier))
}

proptest! {
    /// Of either way or both, at any moment: both ends know it in time, once, and it heals by itself.
    #[test]
    fn a_cut_is_known_at_both_ends_in_time(
        a in any_terms(), b in any_terms(), delay in 0u64..40, seed in any::<u32>(), phase in 0u64..1500,
        ways in prop_oneof![Just([true, false]), Just([false, true]), Just([true, true])],
    ) {
        let mut pair = Pair::new([a, b], delay, seed);
        pair.run(at(3000 + phase));
        prop_assert_eq!(pair.states(), [State::Up; 2]);
        prop_assert_eq!(pair.downs(), []);
        pair.cut = ways;
        let cut = pair.now;
        let slower = u64::from(a.interval.max(b.interval));
        // Each end waits for the far end's multiplier of intervals, from a packet that may have been under
        // way. Where one way still works its far end is told of it at once.
        let longest = slower * u64::from(a.multiplier.max(b.multiplier)) + 2 * delay + 1;
        pair.run(cut + ms(longest));
        let downs = pair.downs();
        prop_assert_eq!(downs.len(), 2, "{:?}", downs);
        prop_assert!(downs[0].1 != downs[1].1);
        let silent = downs.iter().any(|(_, _, cause)| matches!(cause, BfdDown::Silence { .. }));
        prop_assert!(silent);
        let shortest = slower * u64::from(a.multiplier.min(b.multiplier));
        let least = ms(shortest.saturating_sub(slower));
        prop_assert!(downs.iter().all(|(at, ..)| at.since(cut) >= least), "{:?}", downs);
        pair.run(pair.now + ms(2000));
        prop_assert_eq!(pair.downs().len(), 2, "it does not flap");
        pair.cut = [false; 2];
        pair.run(pair.now + ms(2500));
        prop_assert_eq!(pair.states(), [State::Up; 2]);
    }

    /// One packet in fifty is lost, and as many intervals are waited for as make a failure by chance rare
    /// beyond this test's time.
    #[test]
    fn loss_is_not_failure(seed in any::<u32>(), delay in 0u64..40) {
        let mut pair = Pair::new([terms(100, 6), terms(50, 6)], delay, seed);
        pair.loss = 20;
        pair.run(at(60_000));
        prop_assert_eq!(pair.downs(), []);
        prop_assert_eq!(pair.states(), [State::Up; 2]);
    }

    /// The pace changes at either end, at any moments, over a way that loses: nothing breaks, and in the
    /// end both go by what was said last.
    #[test]
    fn changes_of_pace_break_nothing(
        changes in proptest::collection::vec((0usize..2, 20u32..800, 3u8..6, 0u64..1200), 1..12),
        seed in any::<u32>(), delay in 0u64..20,
    ) {
        let mut pair = Pair::new([terms(100, 5); 2], delay, seed);
        pair.run(at(2000));
        let mut last = [terms(100, 5); 2];
        for (end, interval, multiplier, after) in changes {
            last[end] = terms(interval, multiplier);
            pair.step(end, Event::Configure(vec![config(last[end], path_of(end))]));
            pair.run(pair.now + ms(after));
        }
        pair.run(pair.now + ms(6000));
        prop_assert_eq!(pair.downs(), []);
        let slower = u64::from(last[0].interval.max(last[1].interval)) * 1000;
        for end in 0..2 {
            let status = &pair.ends[end].status(pair.now)[0];
            prop_assert_eq!(status.interval_us, slower);
            prop_assert_eq!(status.detection_us, slower * u64::from(last[1 - end].multiplier));
        }
    }

    /// Whoever leaves tells the far end, over a way that loses a tenth of everything: it is no failure there.
    #[test]
    fn leaving_is_not_failing(seed in any::<u32>()) {
        let mut pair = Pair::new([terms(100, 6); 2], 5, seed);
        pair.run(at(2000));
        pair.loss = 100;
        pair.step(0, Event::Stop);
        pair.run(at(5000));
        let downs = pair.downs();
        prop_assert!(downs.len() == 1 && downs[0].1 == 1, "{:?}", downs);
        prop_assert_eq!(downs[0].2, BfdDown::NeighbourAdminDown);
    }
}
