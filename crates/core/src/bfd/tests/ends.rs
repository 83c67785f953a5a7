//! One end: its pace, its polls, its silence.

use super::*;
use crate::bfd::BfdDown;

fn gaps(all: &[(Instant, Action)]) -> Vec<Duration> {
    let times: Vec<Instant> =
        all.iter().filter(|(_, action)| matches!(action, Action::Send { .. })).map(|(at, _)| *at).collect();
    times.windows(2).map(|pair| pair[1].since(pair[0])).collect()
}

/// RFC 5880 6.8.3 and 6.8.7.
#[test]
fn who_is_not_up_speaks_once_a_second() {
    let mut end = End::new(terms(100, 3));
    let gaps = gaps(&end.run(at(600_000)));
    assert!(gaps.len() > 600);
    assert!(gaps.iter().all(|gap| (ms(750)..=ms(1000)).contains(gap)), "{gaps:?}");
}

/// RFC 5880 6.8.7.
#[test]
fn jitter_keeps_its_bounds() {
    for (multiplier, most) in [(3, 100), (1, 90)] {
        let mut end = End::up(at(0), terms(100, multiplier));
        let mut all = Vec::new();
        for tick in 0..2000 {
            let now = at(tick * 50);
            all.extend(end.run(now));
            end.hear(now, &up(99, end.mine));
        }
        let gaps = gaps(&all);
        assert!(gaps.len() > 1000);
        assert!(gaps.iter().all(|gap| (ms(75)..=ms(most)).contains(gap)));
        let (least, largest) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
        assert!(*least < ms(77) && *largest > ms(most - 2), "{least:?} to {largest:?}");
    }
}

/// RFC 5880 6.8.4.
#[test]
fn silence_is_a_failure_after_the_far_ends_multiplier_and_the_slower_pace() {
    for (desired, multiplier, detection) in [(100_000, 3, 300), (50_000, 3, 300), (400_000, 2, 800)] {
        let mut end = End::up(at(0), terms(100, 5));
        end.hear(at(10), &Repr { desired_min_tx: desired, multiplier, ..up(99, end.mine) });
        let all = end.run(at(9 + detection));
        assert_eq!(all.iter().filter(|(_, action)| !matches!(action, Action::Send { .. })).count(), 0);
        let all = end.run(at(10 + detection));
        let cause = BfdDown::Silence { detection: detection as u32 };
        assert_eq!(all[0].1, Action::Down { name: name(), cause, independent: false });
        let said = sent(&[all[1].1.clone()])[0];
        assert_eq!((said.state, said.diagnostic), (State::Down, Diagnostic::TIME_EXPIRED));
        assert_eq!((said.your_discriminator, said.desired_min_tx), (0, 1_000_000));
    }
}

#[test]
fn the_far_ends_pace_is_kept_from_its_next_word_on() {
    let mut end = End::up(at(0), terms(100, 3));
    end.hear(at(10), &Repr { required_min_rx: 700_000, ..up(99, end.mine) });
    end.run(at(200));
    end.hear(at(200), &Repr { required_min_rx: 700_000, ..up(99, end.mine) });
    let mut times = Vec::new();
    for tick in 0..100 {
        times.extend(end.run(at(200 + tick * 100)));
        end.hear(at(200 + tick * 100), &Repr { required_min_rx: 700_000, ..up(99, end.mine) });
    }
    assert!(gaps(&times).iter().all(|gap| (ms(525)..=ms(700)).contains(gap)));
    // Faster: "the local system cannot wait longer than the new interval between the previous packet
    // transmission and the next one" (RFC 5880 6.8.3).
    let now = times.last().unwrap().0 + ms(150);
    end.hear(now, &Repr { required_min_rx: 20_000, ..up(99, end.mine) });
    assert!(end.bfd.next_timeout().unwrap() <= now, "it is overdue");
    // None at all: nothing is sent but answers.
    end.run(now);
    end.hear(now, &Repr { required_min_rx: 0, ..up(99, end.mine) });
    assert_eq!(sent(&end.run(now + ms(299)).into_iter().map(|it| it.1).collect::<Vec<_>>()).len(), 0);
    let answer = end.hear(now + ms(299), &Repr { required_min_rx: 0, poll: true, ..up(99, end.mine) });
    assert!(matches!(sent(&answer)[..], [Repr { is_final: true, poll: false, .. }]));
}

/// RFC 5880 6.5: answered at once, whatever the timer says, and the timer goes on.
#[test]
fn a_poll_is_answered_at_once() {
    let mut end = End::up(at(0), terms(100, 3));
    let due = end.bfd.next_timeout();
    let answer = sent(&end.hear(at(1), &Repr { poll: true, ..up(99, end.mine) }));
    assert!(matches!(answer[..], [Repr { is_final: true, poll: false, state: State::Up, .. }]));
    assert_eq!(end.bfd.next_timeout(), due);
}

/// RFC 5880 6.8.3: a slower pace is asked about before it is gone by; so is a shorter detection time.
#[test]
fn a_change_of_pace_is_asked_about_and_breaks_nothing() {
    let mut end = End::up(at(0), terms(100, 3));
    let change = |end: &mut End, now: Instant, interval: u32| {
        end.step(now, Event::Configure(vec![config(terms(interval, 3), path())]))
    };
    let asked = sent(&change(&mut end, at(10), 500));
    assert!(matches!(
        asked[..],
        [Repr { poll: true, desired_min_tx: 500_000, required_min_rx: 500_000, .. }]
    ));
    let status = |end: &End| end.bfd.status(at(0)).remove(0);
    assert_eq!(status(&end).interval_us, 100_000, "not before it is answered");
    assert_eq!(status(&end).detection_us, 1_500_000, "a longer one at once");
    end.hear(at(20), &Repr { is_final: true, ..up(99, end.mine) });
    assert_eq!(status(&end).interval_us, 500_000);
    assert!(
        sent(&end.run(at(2000)).into_iter().map(|it| it.1).collect::<Vec<_>>()).iter().all(|it| !it.poll)
    );
    let mut end = End::up(at(0), terms(500, 3));
    change(&mut end, at(10), 100);
    assert_eq!((status(&end).interval_us, status(&end).detection_us), (100_000, 1_500_000));
    // Changed again while the first question is open: its answer is not to the second one.
    change(&mut end, at(11), 200);
    end.hear(at(20), &Repr { is_final: true, ..up(99, end.mine) });
    assert_eq!(status(&end).detection_us, 1_500_000);
    end.hear(at(30), &Repr { is_final: true, ..up(99, end.mine) });
    assert_eq!((status(&end).interval_us, status(&end).detection_us), (200_000, 600_000));
    assert_eq!((status(&end).ups, status(&end).downs, status(&end).state), (1, 0, State::Up));
}

/// RFC 5880 6.6: who asks for demand mode is sent nothing more of itself; its polls are answered.
#[test]
fn a_far_end_may_ask_for_demand_mode() {
    let mut end = End::up(at(0), terms(100, 3));
    end.hear(at(10), &Repr { demand: true, desired_min_tx: 60_000_000, ..up(99, end.mine) });
    assert!(end.run(at(60_000)).is_empty());
    let answer = end.hear(at(60_000), &Repr { demand: true, poll: true, ..up(99, end.mine) });
    assert!(matches!(sent(&answer)[..], [Repr { is_final: true, demand: false, .. }]));
    end.hear(at(60_010), &up(99, end.mine));
    assert!(end.bfd.next_timeout().unwrap() <= at(60_110), "periodic again");
}

/// RFC 5882 3.2.
#[test]
fn switched_off_at_the_far_end_is_no_failure() {
    let mut end = End::up(at(0), terms(100, 3));
    let off = Repr { state: State::AdminDown, diagnostic: Diagnostic::ADMIN_DOWN, ..up(99, end.mine) };
    let actions = end.hear(at(10), &off);
    let cause = BfdDown::NeighbourAdminDown;
    assert_eq!(told(&actions), [Action::Down { name: name(), cause, independent: false }]);
    assert!(!cause.is_failure());
    assert_eq!(sent(&actions)[0].diagnostic, Diagnostic::NEIGHBOUR_DOWN);
    assert_eq!(told(&end.hear(at(20), &off)), []);
    assert_eq!(end.state(), State::Down);
}

#[test]
fn the_far_ends_failure_is_ours_with_its_reason() {
    let mut end = End::up(at(0), terms(100, 3));
    let down = Repr {
        state: State::Down,
        diagnostic: Diagnostic::TIME_EXPIRED,
        independent: true,
        ..up(99, end.mine)
    };
    let cause = BfdDown::NeighbourDown { diagnostic: Diagnostic::TIME_EXPIRED };
    assert_eq!(told(&end.hear(at(10), &down)), [Action::Down { name: name(), cause, independent: true }]);
}

#[test]
fn leaving_is_told_until_it_is_believed() {
    let mut end = End::up(at(0), terms(100, 3));
    let said = sent(&end.step(at(10), Event::Stop));
    assert!(matches!(said[..], [Repr { state: State::AdminDown, diagnostic: Diagnostic::ADMIN_DOWN, .. }]));
    assert!(end.bfd.is_leaving() && end.bfd.status(at(10)).is_empty());
    // The word was lost: the far end still says that it is up.
    let said = sent(&end.hear(at(50), &up(99, end.mine)));
    assert!(matches!(said[..], [Repr { state: State::AdminDown, .. }]));
    end.hear(at(60), &Repr { state: State::Down, ..up(99, end.mine) });
    assert!(!end.bfd.is_leaving());
    // A far end that says nothing is waited for no longer than it would wait.
    let mut end = End::up(at(0), terms(100, 3));
    end.step(at(10), Event::Stop);
    end.run(at(310));
    assert!(!end.bfd.is_leaving());
}

#[test]
fn a_link_that_goes_and_comes_begins_anew_without_a_word() {
    let mut end = End::up(at(0), terms(100, 3));
    let without = SessionConfig { path: None, ..config(terms(100, 3), path()) };
    assert_eq!(end.step(at(10), Event::Configure(vec![without])), []);
    assert!(end.run(at(10_000)).is_empty());
    let again = end.step(at(10_000), Event::Configure(vec![config(terms(100, 3), path())]));
    assert!(matches!(sent(&again)[..], [Repr { state: State::Down, diagnostic: Diagnostic::PATH_DOWN, .. }]));
}

/// A busy machine is no dead neighbour: what waits is read first, and time in which nobody could be heard is
/// nobody's silence.
#[test]
fn who_was_not_run_declares_nobody_dead() {
    let mut end = End::up(at(0), terms(100, 3));
    end.step(at(900), Event::Awake);
    assert_eq!(told(&end.step(at(900), Event::Timeout)), []);
    // Not for ever.
    end.step(at(5000), Event::Awake);
    let told = told(&end.step(at(5000), Event::Timeout));
    assert!(matches!(told[..], [Action::Down { .. }]));
    // In small pieces up to as much again.
    let mut end = End::up(at(0), terms(100, 3));
    let mut now = at(0);
    while end.state() == State::Up {
        now = end.bfd.next_timeout().unwrap() + ms(40);
        end.step(now, Event::Awake);
        end.step(now, Event::Timeout);
    }
    assert!((at(400)..at(720)).contains(&now), "{now:?}");
    // What came meanwhile is read before anybody is judged.
    let mut end = End::up(at(0), terms(100, 3));
    end.hear(at(900), &up(99, end.mine));
    assert_eq!(super::told(&end.step(at(900), Event::Timeout)), []);
}
