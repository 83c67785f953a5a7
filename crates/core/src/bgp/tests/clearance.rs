//! What is gone leaves the table in pieces: each bounded, and whatever happens in between, it comes to what
//! leaving at once would have come to.

use super::net::{Net, listed, ms};
use crate::bgp::config::Role;
use crate::bgp::{NeighbourStatus, RouteStatus, SessionState, SpeakerRoute};
use crate::id::{Asn, Prefix};
use crate::wire::bgp::{AfiSafi, Capability, GracefulRestart, Refresh};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use proptest::collection::vec as many;
use proptest::prelude::*;

const ASNS: [u32; 3] = [59_105, 63_790, 131_000];

/// One router with two providers, the second of which restarts gracefully, a customer, and a second router.
fn net() -> (Net, [usize; 3]) {
    net_of(|_| {})
}

fn net_of(change: impl FnOnce(&mut Net)) -> (Net, [usize; 3]) {
    let mut net = Net::routers(&[1, 2]);
    let roles = [Role::Provider, Role::Provider, Role::Customer];
    let strangers: Vec<usize> =
        ASNS.iter().zip(roles).map(|(&asn, role)| net.outside(0, Asn(asn), role)[0]).collect();
    net.policy_mut(0, "as131000 203").listed = listed(&["20.0.0.0/8"]);
    net.link(0, 1, 1);
    let restart =
        GracefulRestart { time: 5, families: [(AfiSafi::IPV4_UNICAST, true)].into(), ..Default::default() };
    for stranger in net.strangers_mut(Asn(ASNS[1])) {
        stranger.capabilities = [Capability::GracefulRestart(restart.clone())].into();
    }
    change(&mut net);
    net.start();
    net.run_until(ms(5000), Net::all_established);
    (net, strangers.try_into().unwrap())
}

/// Every other address with two prefixes, the longer one first.
fn names(range: core::ops::Range<usize>) -> Vec<String> {
    let name = |at: usize| format!("20.{}.{}.0/{}", at / 2 / 256, at / 2 % 256, 24 - at % 2);
    range.map(name).filter(|it| it.parse::<Prefix>().is_ok_and(|it| it == it.trunc())).collect()
}

fn say(net: &mut Net, stranger: usize, names: &[String], path: &[u32]) {
    for names in names.chunks(200) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let bytes = net.stranger(stranger).announcement(&names, path, |_| {});
        net.say(stranger, bytes);
    }
}

fn neighbour(net: &Net, asn: u32) -> NeighbourStatus {
    let is = |it: &NeighbourStatus| it.name.starts_with(&format!("as{asn} 203"));
    net.status(0).neighbours.into_iter().find(is).unwrap()
}

fn routes(net: &Net) -> Vec<RouteStatus> {
    net.router(0).speaker.as_ref().unwrap().routes().filter(|it| !it.paths.is_empty()).collect()
}

/// Routes in a dump of the table.
fn dumped(net: &Net) -> u64 {
    let speaker = net.router(0).speaker.as_ref().unwrap();
    let mut out = Vec::new();
    let mut dump = speaker.begin_dump(net.now, 1, &mut out);
    while speaker.poll_dump(&mut dump, 1 << 20, &mut out) {}
    dump.routes
}

#[test]
fn a_full_session_goes_in_pieces() {
    let (mut net, [one, two, customer]) = net();
    let names = names(0..4000);
    say(&mut net, one, &names, &[]);
    say(&mut net, two, &names, &[3356]);
    net.run(ms(500));
    let told = |net: &Net, at: usize| net.stranger(customer).path(&names[at]).unwrap();
    assert_eq!(told(&net, 7), "63806 59105");
    net.clears_by_hand = true;
    net.restart(one);
    // It counts no longer, and nothing of it has gone yet.
    assert_eq!(neighbour(&net, ASNS[0]).accepted.ipv4, 0);
    assert_eq!(dumped(&net), routes(&net).iter().map(|it| it.paths.len() as u64).sum::<u64>());
    let by_one = |net: &Net, length: u8| {
        let of_one = |(prefix, route): &(&Prefix, &SpeakerRoute)| {
            prefix.prefix_len() == length && route.next_hops.iter().any(|hop| hop.link.as_str() == "o0-0")
        };
        net.router(0).kernel.iter().filter(of_one).count()
    };
    let (all, mut pieces) = ([by_one(&net, 24), by_one(&net, 23)], 0);
    assert_eq!(all, [2000, 1000]);
    let mut left = all;
    loop {
        let more = net.clear(0, 100);
        let now = [by_one(&net, 24), by_one(&net, 23)];
        assert!(left.iter().sum::<usize>() - now.iter().sum::<usize>() <= 100, "{left:?} to {now:?}");
        // The longer go before the shorter.
        assert!(now[0] == 0 || now[1] == all[1]);
        (left, pieces) = (now, pieces + 1);
        if !more {
            break;
        }
        // Others have their turn.
        net.run(ms(200));
        assert!(net.status(0).neighbours[1..].iter().all(|it| it.state == SessionState::Established));
    }
    assert!(left == [0, 0] && pieces >= names.len() / 100, "{left:?} left after {pieces}");
    net.run(ms(500));
    assert_eq!(told(&net, 7), "63806 63790 3356");
    assert!(net.kernels_are_current());
}

/// Somebody tells everything again in every turn, and so leaves something behind that is gone: what others have left
/// goes all the same.
#[test]
fn nobody_keeps_what_is_gone_in_the_table() {
    let (mut net, [one, _, customer]) = net_of(|net| {
        let customers = net.strangers_mut(Asn(ASNS[2]));
        customers.for_each(|it| it.capabilities.push(Capability::EnhancedRouteRefresh));
    });
    let names = names(0..4000);
    say(&mut net, one, &names, &[]);
    net.run(ms(500));
    net.clears_by_hand = true;
    net.restart(one);
    let by_one = |net: &Net| {
        let of_one = |route: &SpeakerRoute| route.next_hops.iter().any(|hop| hop.link.as_str() == "o0-0");
        net.router(0).kernel.values().filter(|route| of_one(route)).count()
    };
    assert_eq!(by_one(&net), names.len());
    let refresh = |what: Refresh| {
        let mut bytes = Vec::new();
        AfiSafi::IPV4_UNICAST.emit_refresh(what, &mut bytes);
        bytes
    };
    // A look at all places takes twenty of these turns, and what has gone three hundred.
    let turns = (0..1000).take_while(|_| {
        say(&mut net, customer, &["20.250.0.0/24".into()], &[]);
        net.say(customer, refresh(Refresh::Begin));
        net.say(customer, refresh(Refresh::End));
        net.run(ms(1));
        net.clear(0, 10);
        by_one(&net) > 0
    });
    let turns = turns.count();
    assert_eq!(by_one(&net), 0, "after {turns}");
}

#[test]
fn all_is_decided_again_in_pieces() {
    let (mut net, [one, ..]) = net();
    let names = names(0..3000);
    say(&mut net, one, &names, &[]);
    net.run(ms(500));
    net.clears_by_hand = true;
    let mut config = net.router(0).config.clone();
    config.source_v4 = Some("43.228.174.200".parse().unwrap());
    let source = config.source_v4;
    net.replace(0, config);
    let new = |net: &Net| {
        let kernel = net.router(0).kernel.values();
        kernel.filter(|it| source.is_some_and(|source| it.source == Some(source.into()))).count()
    };
    let mut done = new(&net);
    assert!(done < 100);
    while net.clear(0, 100) {
        assert!(new(&net) - done <= 100);
        done = new(&net);
    }
    assert!(new(&net) >= names.len() && net.kernels_are_current());
}

#[derive(Debug, Clone)]
enum Step {
    Say { who: usize, from: usize, count: usize, longer: bool },
    Withdraw { who: usize, from: usize, count: usize },
    Reset(usize),
    Clear(usize),
    Run(u64),
    MaxPaths(u8),
    Forget(bool),
}

const PREFIXES: usize = 60;

fn step() -> impl Strategy<Value = Step> {
    let range = || (0..3_usize, 0..PREFIXES, 1..PREFIXES);
    prop_oneof![
        4 => (range(), any::<bool>())
            .prop_map(|((who, from, count), longer)| Step::Say { who, from, count, longer }),
        1 => range().prop_map(|(who, from, count)| Step::Withdraw { who, from, count }),
        3 => (0..3_usize).prop_map(Step::Reset),
        4 => (1..30_usize).prop_map(Step::Clear),
        3 => (1..1500_u64).prop_map(Step::Run),
        1 => (1..3_u8).prop_map(Step::MaxPaths),
        1 => any::<bool>().prop_map(Step::Forget),
    ]
}

impl Net {
    fn take(&mut self, strangers: [usize; 3], step: &Step, whole: &crate::bgp::config::SpeakerConfig) {
        let stands = |net: &Net, who: usize| {
            let name = format!("as{} 203", ASNS[who]);
            let neighbours = net.status(0).neighbours;
            neighbours.iter().any(|it| it.name.starts_with(&name) && it.state == SessionState::Established)
        };
        let range = |from: usize, count: usize| names(from..(from + count).min(PREFIXES));
        match *step {
            Step::Say { who, from, count, longer } if stands(self, who) => {
                let path: &[u32] = if longer { &[3356, 174] } else { &[2914] };
                say(self, strangers[who], &range(from, count), path);
            }
            Step::Withdraw { who, from, count } if stands(self, who) => {
                let names = range(from, count);
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let bytes = self.stranger(strangers[who]).withdrawal(&names);
                self.say(strangers[who], bytes);
            }
            Step::Reset(who) => self.restart(strangers[who]),
            Step::Clear(budget) => drop(self.clear(0, budget)),
            Step::Run(millis) => self.run(ms(millis)),
            Step::MaxPaths(max_paths) => {
                let config = self.router(0).config.clone();
                self.replace(0, crate::bgp::config::SpeakerConfig { max_paths, ..config });
            }
            // The first provider is none any more, and is one again.
            Step::Forget(forget) => {
                let mut config = whole.clone();
                config.max_paths = self.router(0).config.max_paths;
                config.neighbours.retain(|it| !forget || !it.name.starts_with("as59105 203"));
                self.replace(0, config);
            }
            Step::Say { .. } | Step::Withdraw { .. } => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn whatever_happens_in_between(steps in many(step(), 1..40)) {
        let ((mut at_once, strangers), (mut in_pieces, _)) = (net(), net());
        let whole = at_once.router(0).config.clone();
        in_pieces.clears_by_hand = true;
        for step in &steps {
            at_once.take(strangers, step, &whole);
            in_pieces.take(strangers, step, &whole);
        }
        for net in [&mut at_once, &mut in_pieces] {
            net.run(ms(12_000));
            while net.clear(0, 7) {}
            net.run(ms(1000));
            prop_assert!(net.kernels_are_current());
        }
        prop_assert_eq!(routes(&at_once), routes(&in_pieces));
        prop_assert_eq!(&at_once.router(1).kernel, &in_pieces.router(1).kernel);
        for (at, stranger) in strangers.into_iter().enumerate() {
            prop_assert_eq!(&at_once.stranger(stranger).table, &in_pieces.stranger(stranger).table);
            let of = |net: &Net| {
                let found = net.status(0).neighbours.into_iter().find(|it| it.remote_asn.0 == ASNS[at]);
                found.map(|it| (it.accepted, it.announced))
            };
            prop_assert_eq!(of(&at_once), of(&in_pieces));
        }
    }
}
