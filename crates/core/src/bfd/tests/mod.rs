//! Two ends with virtual time, single ends against packets made by hand, and random events.

mod ends;
mod packets;
mod pair;
mod random;

use crate::bfd::{Action, Bfd, BfdTerms, Event, Path, Received, SessionConfig};
use crate::time::{Duration, Instant};
use crate::wire::bfd::{Diagnostic, LEN, Packet, Repr, State};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn at(milliseconds: u64) -> Instant {
    Instant::default() + ms(milliseconds)
}

fn address(last: u16) -> IpAddr {
    IpAddr::V6(core::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last))
}

/// From fe80::1 to fe80::2 by interface 7.
const INDEX: u32 = 7;

fn path() -> Path {
    Path { index: INDEX, local: address(1), remote: address(2), multihop: false }
}

fn terms(interval: u32, multiplier: u8) -> BfdTerms {
    BfdTerms { interval, multiplier, multihop: false }
}

fn config(terms: BfdTerms, path: Path) -> SessionConfig {
    SessionConfig { name: "far".into(), terms, path: Some(path), active: true }
}

/// What the far end says that is up with session `yours`.
fn up(mine: u32, yours: u32) -> Repr {
    Repr {
        diagnostic: Diagnostic::NONE,
        state: State::Up,
        poll: false,
        is_final: false,
        independent: false,
        demand: false,
        multiplier: 3,
        my_discriminator: mine,
        your_discriminator: yours,
        desired_min_tx: 100_000,
        required_min_rx: 100_000,
        required_min_echo_rx: 0,
    }
}

fn bytes(repr: &Repr) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    repr.emit(&mut bytes);
    bytes
}

/// As it arrives from fe80::2.
fn arriving(bytes: &[u8]) -> Received<'_> {
    Received { index: INDEX, from: address(2), to: address(1), multihop: false, hops: Some(255), bytes }
}

fn sent(actions: &[Action]) -> Vec<Repr> {
    let of = |action: &Action| match action {
        Action::Send { bytes, .. } => Some(Repr::parse(&Packet::new_checked(bytes).unwrap())),
        _ => None,
    };
    actions.iter().filter_map(of).collect()
}

fn told(actions: &[Action]) -> Vec<Action> {
    actions.iter().filter(|action| !matches!(action, Action::Send { .. })).cloned().collect()
}

/// One end whose far end is the test itself.
struct End {
    bfd: Bfd,
    /// Of its session.
    mine: u32,
}

impl End {
    fn new(terms: BfdTerms) -> End {
        let mut bfd = Bfd::new(0x1234_5678_9abc_def0);
        let mut actions = Vec::new();
        bfd.step(at(0), Event::Configure(vec![config(terms, path())]), &mut actions);
        let first = sent(&actions);
        assert_eq!(first.len(), 1, "it speaks first");
        assert_eq!((first[0].state, first[0].your_discriminator), (State::Down, 0));
        End { bfd, mine: first[0].my_discriminator }
    }

    /// Up with the far end's session 99 at `now`.
    fn up(now: Instant, terms: BfdTerms) -> End {
        let mut end = End::new(terms);
        end.hear(now, &Repr { state: State::Down, your_discriminator: 0, ..up(99, 0) });
        let actions = end.hear(now, &Repr { state: State::Init, ..up(99, end.mine) });
        assert!(matches!(told(&actions)[..], [Action::Up { .. }]));
        // The end of the poll that says that it is fast from here on.
        assert!(sent(&actions)[0].poll);
        end.hear(now, &Repr { is_final: true, ..up(99, end.mine) });
        end
    }

    fn step(&mut self, now: Instant, event: Event<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        self.bfd.step(now, event, &mut actions);
        actions
    }

    fn hear(&mut self, now: Instant, repr: &Repr) -> Vec<Action> {
        self.step(now, Event::Received(arriving(&bytes(repr))))
    }

    fn state(&self) -> State {
        self.bfd.status(at(0))[0].state
    }

    /// Everything that happens by itself until then, with its time.
    fn run(&mut self, until: Instant) -> Vec<(Instant, Action)> {
        let mut all = Vec::new();
        while let Some(due) = self.bfd.next_timeout().filter(|due| *due <= until) {
            all.extend(self.step(due, Event::Timeout).into_iter().map(|action| (due, action)));
        }
        all
    }
}

fn name() -> String {
    "far".into()
}
