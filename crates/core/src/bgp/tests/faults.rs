//! Anything may go wrong for a while; once nothing does, everything stands again.

use super::evpn::{flood, vtep};
use super::net::{Net, ms};
use alloc::vec::Vec;
use proptest::collection::vec as many;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Fault {
    Carrier(usize, bool),
    Silent(usize, bool),
    Reset(usize),
    Inject(usize, Vec<u8>),
    Kill(usize),
    Start(usize),
    Latency(usize, u64),
}

const ROUTERS: usize = 4;
const CABLES: usize = 6;

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (0..CABLES, any::<bool>()).prop_map(|(cable, up)| Fault::Carrier(cable, up)),
        (0..CABLES, any::<bool>()).prop_map(|(cable, silent)| Fault::Silent(cable, silent)),
        (0..CABLES).prop_map(Fault::Reset),
        (0..CABLES, many(any::<u8>(), 1..80)).prop_map(|(cable, bytes)| Fault::Inject(cable, bytes)),
        (0..ROUTERS).prop_map(Fault::Kill),
        (0..ROUTERS).prop_map(Fault::Start),
        (0..CABLES, 1..400_u64).prop_map(|(cable, millis)| Fault::Latency(cable, millis)),
    ]
}

/// A ring of four, a chord, and a parallel link.
fn net() -> Net {
    let mut net = Net::routers(&[1, 2, 3, 4]);
    for (a, b, cost) in [(0, 1, 1), (1, 2, 2), (2, 3, 1), (3, 0, 5), (0, 2, 3), (0, 1, 1)] {
        net.link(a, b, cost);
    }
    net
}

impl Net {
    fn suffer(&mut self, fault: &Fault) {
        match *fault {
            Fault::Carrier(cable, up) => {
                if self.cables[cable].up != up {
                    self.set_carrier(cable, up);
                }
            }
            Fault::Silent(cable, silent) => self.cables[cable].silent = silent,
            Fault::Reset(cable) => self.reset_connections(cable),
            Fault::Inject(cable, ref bytes) => self.inject(cable, bytes),
            Fault::Kill(node) => self.kill(node),
            Fault::Start(node) => {
                if self.router(node).speaker.is_none() {
                    self.power_on(node);
                }
            }
            Fault::Latency(cable, millis) => self.cables[cable].latency = ms(millis),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn after_the_faults_everything_stands(faults in many((fault(), 0..3000_u64), 1..25)) {
        let mut net = net();
        for node in 0..ROUTERS {
            let (route, path) = flood(node as u32 + 1, vtep(node as u32 + 1));
            net.originate(node, route, Some(path));
        }
        net.start();
        net.run(ms(300));
        for (fault, wait) in &faults {
            net.suffer(fault);
            net.run(ms(*wait));
        }
        for cable in 0..CABLES {
            net.suffer(&Fault::Silent(cable, false));
            net.suffer(&Fault::Carrier(cable, true));
            net.suffer(&Fault::Latency(cable, 5));
        }
        for node in 0..ROUTERS {
            net.suffer(&Fault::Start(node));
        }
        net.run_until(ms(20_000), |net| net.all_established() && net.all_reach_all());
        net.run(ms(2_000));
        prop_assert!(net.all_established() && net.all_reach_all() && net.kernels_are_current());
        for node in 0..ROUTERS {
            let speaker = net.router(node).speaker.as_ref().unwrap();
            prop_assert_eq!(speaker.routes().count(), 2 * ROUTERS);
            prop_assert_eq!(net.router(node).segments.len(), ROUTERS - 1);
            // Bookkeeping survived: per neighbour what it holds from us is what we think it does.
            for neighbour in net.status(node).neighbours {
                let accepted: usize = speaker
                    .routes()
                    .flat_map(|route| route.paths)
                    .filter(|path| path.neighbour.as_ref() == Some(&neighbour.name))
                    .count();
                prop_assert_eq!((neighbour.accepted.ipv4 + neighbour.accepted.ipv6) as usize, accepted);
            }
        }
    }
}
