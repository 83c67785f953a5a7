//! Random events: nothing panics, time never stands still, and a stranger's packets change nothing.

use super::*;
use crate::bfd::BfdDrop;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Act {
    Wait(u32),
    Hear { from: u16, known: bool, bytes: Vec<u8> },
    Say { repr: [u32; 5], flags: u8, state: u8, known: bool },
    Configure(Vec<(u8, u32, u8, bool)>),
    Stop,
}

fn any_act() -> impl Strategy<Value = Act> {
    let session = (0u8..3, prop_oneof![1u32..500, Just(u32::MAX)], 1u8..=255, any::<bool>());
    let say = (any::<[u32; 5]>(), any::<u8>(), any::<u8>(), any::<bool>());
    prop_oneof![
        4 => (0u32..3000).prop_map(Act::Wait),
        2 => (1u16..4, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(from, known, bytes)| Act::Hear { from, known, bytes }),
        6 => say.prop_map(|(repr, flags, state, known)| Act::Say { repr, flags, state, known }),
        1 => proptest::collection::vec(session, 0..3).prop_map(Act::Configure),
        1 => Just(Act::Stop),
    ]
}

fn configs(wanted: &[(u8, u32, u8, bool)]) -> Vec<SessionConfig> {
    let of = |&(far, interval, multiplier, there): &(u8, u32, u8, bool)| SessionConfig {
        name: alloc::format!("far{far}"),
        terms: terms(interval, multiplier),
        path: (multiplier != 9).then(|| Path { remote: address(u16::from(far) + 2), ..path() }),
        active: there,
    };
    wanted.iter().map(of).collect()
}

proptest! {
    #[test]
    fn nothing_panics_and_everything_goes_on(acts in proptest::collection::vec(any_act(), 1..80)) {
        let mut bfd = Bfd::new(0xfeed_5eed);
        let mut now = at(0);
        for act in acts {
            let mut actions = Vec::new();
            let own = bfd.status(now).first().map_or(1, |status| status.discriminator);
            match act {
                Act::Wait(milliseconds) => {
                    let until = now + ms(u64::from(milliseconds));
                    // So many steps as 3 s may need with three sessions at a millisecond's pace.
                    let mut steps = 0;
                    while let Some(due) = bfd.next_timeout().filter(|due| *due <= until) {
                        now = now.max(due);
                        bfd.step(now, Event::Awake, &mut actions);
                        bfd.step(now, Event::Timeout, &mut actions);
                        steps += 1;
                        prop_assert!(steps < 20_000);
                        prop_assert!(bfd.next_timeout().is_none_or(|due| due > now));
                    }
                    now = until;
                }
                Act::Hear { from, known, mut bytes } => {
                    if known && bytes.len() >= LEN {
                        (bytes[0], bytes[3]) = (bytes[0] & 0x1f | 0x20, LEN as u8);
                        bytes[8..12].copy_from_slice(&own.to_be_bytes());
                    }
                    let received = Received { from: address(from), ..arriving(&bytes) };
                    bfd.step(now, Event::Received(received), &mut actions);
                }
                Act::Say { repr: [mine, _, tx, rx, echo], flags, state, known } => {
                    let mut said = bytes(&Repr {
                        my_discriminator: mine,
                        your_discriminator: if known { own } else { 0 },
                        desired_min_tx: tx,
                        required_min_rx: rx,
                        required_min_echo_rx: echo,
                        multiplier: (mine >> 24) as u8,
                        ..up(0, 0)
                    });
                    said[1] = state & 0xc0 | flags & 0x3a;
                    bfd.step(now, Event::Received(arriving(&said)), &mut actions);
                }
                Act::Configure(wanted) => bfd.step(now, Event::Configure(configs(&wanted)), &mut actions),
                Act::Stop => bfd.step(now, Event::Stop, &mut actions),
            }
            for repr in sent(&actions) {
                prop_assert!(repr.my_discriminator != 0 && repr.multiplier != 0);
                prop_assert!(!(repr.poll && repr.is_final), "RFC 5880 6.5");
                prop_assert!(!repr.demand && !repr.independent && repr.required_min_echo_rx == 0);
                prop_assert!(repr.state == State::Up || repr.desired_min_tx >= 1_000_000);
            }
            let mut own: Vec<u32> = bfd.status(now).iter().map(|it| it.discriminator).collect();
            own.sort_unstable();
            own.dedup();
            prop_assert_eq!(own.len(), bfd.status(now).len());
        }
    }

    /// Whatever comes from elsewhere than the neighbour's address on its link, with our own numbers in it.
    #[test]
    fn a_stranger_changes_nothing(
        says in proptest::collection::vec((any::<[u32; 3]>(), any::<u8>(), 0u8..4, 0u32..60), 1..60),
    ) {
        let mut end = End::up(at(0), terms(100, 3));
        let mut quiet = End::up(at(0), terms(100, 3));
        let mut now = at(0);
        for ([mine, tx, rx], flags, way, wait) in says {
            let mut said = bytes(&Repr {
                my_discriminator: mine | 1,
                your_discriminator: end.mine,
                desired_min_tx: tx,
                required_min_rx: rx,
                ..up(0, 0)
            });
            said[1] = flags & 0xfa;
            let mut received = arriving(&said);
            match way {
                0 => received.from = address(3),
                1 => received.index = 3,
                2 => received.hops = Some(254),
                _ => received.to = address(4),
            }
            prop_assert_eq!(end.step(now, Event::Received(received)), []);
            // The neighbour itself goes on speaking to both.
            now = now + ms(u64::from(wait));
            prop_assert_eq!(end.run(now), quiet.run(now));
            let word = up(99, end.mine);
            prop_assert_eq!(end.hear(now, &word), quiet.hear(now, &word));
        }
        let taken: u64 = quiet.bfd.drops().values().sum();
        prop_assert_eq!(taken, 0);
        let known = [BfdDrop::Hops, BfdDrop::UnknownSession];
        prop_assert!(end.bfd.drops().keys().all(|reason| known.contains(reason)));
    }
}
