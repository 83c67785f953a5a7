//! A customer that takes part in its session and stops to read, with every buffer on the way full.
//!
//!     deaf (AS150369) -eth1- r1 (AS63806) -eth2- good (AS59105)

use super::inside::{sessions, start};
use super::malformed::{BAD, BAD_V4, GOOD, GOOD_V4, open, route};
use super::plans::{originate, provider, router};
use super::stranger::Stranger;
use super::world::{Machine, World, wait};
use serde_json::Value;
use tsumugi_core::bgp::config::{OutsidePolicy, Relation, Role};
use tsumugi_core::wire::bgp::AfiSafi;

/// Each in an UPDATE of its own, for its path: some 1.8 MB, and no buffer on the way holds more than a few kB.
const ROUTES: u32 = 4_000;
/// How often all of them change while nothing is read.
const ROUNDS: u32 = 12;
/// In milliseconds; eight minutes where nothing is said.
const SEND_HOLD: u32 = 12_000;
/// What the router may have grown by then, in kB: all that was never read would be 20 MB.
const GROWTH_MAX: u64 = 12 * 1024;

fn session(r1: &Machine, name: &str) -> Value {
    sessions(r1).into_iter().find(|session| session["name"] == name).unwrap()
}

/// In kB.
fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// All routes, by other networks in every round.
fn all(round: u32) -> Vec<u8> {
    let path = |n: u32| {
        let asns = std::iter::once(GOOD).chain([100_000 + 10_000 * round + n; 99]);
        [2, 100].into_iter().chain(asns.flat_map(u32::to_be_bytes)).collect::<Vec<u8>>()
    };
    let prefix = |n: u32| [11, n.to_be_bytes()[2], n.to_be_bytes()[3]];
    (0..ROUTES).flat_map(|n| route(&path(n), GOOD_V4, prefix(n))).collect()
}

/// What the kernel of r1 has not got rid of, in bytes, as `ss` has it.
fn unsent(r1: &Machine) -> u64 {
    let text = r1.run("ss -Htn state established dst 203.0.113.1");
    text.split_whitespace().nth(1).map_or(0, |it| it.parse().unwrap())
}

pub fn who_stops_reading_is_given_up(world: &mut World) {
    let [r1, deaf, good] = ["r1", "deaf", "good"].map(|name| world.machine(name));
    world.wire((&r1, "eth1"), (&deaf, "eth1"));
    world.wire((&r1, "eth2"), (&good, "eth1"));
    for (machine, address) in [(&deaf, "203.0.113.1/30"), (&good, "203.0.113.5/30")] {
        machine.run(&format!("ip address add {address} dev eth1 && ip link set eth1 up"));
    }
    deaf.run("echo 4096 4096 4096 >/proc/sys/net/ipv4/tcp_rmem");
    r1.run("echo 4096 4096 4096 >/proc/sys/net/ipv4/tcp_wmem");
    let mut plan = router(1);
    provider(&mut plan, "eth1", BAD, &[("203.0.113.2/30", "203.0.113.1")]);
    provider(&mut plan, "eth2", GOOD, &[("203.0.113.6/30", "203.0.113.5")]);
    originate(&mut plan, &[]);
    let neighbours = &mut plan.speaker.as_mut().unwrap().neighbours;
    for (neighbour, name) in neighbours.iter_mut().zip(["deaf", "good"]) {
        neighbour.name = name.into();
    }
    // Who has something listed is a customer, and hears everything.
    let listed = Some(vec!["198.51.100.0/24".parse().unwrap()]);
    let policy = OutsidePolicy { listed, ..OutsidePolicy::of(Role::Customer) };
    neighbours[0].relation = Relation::Outside(policy);
    neighbours[0].timers.send_hold = Some(SEND_HOLD);
    let pid = start(world, &r1, plan);
    wait("r1 listens", &[&r1], || sessions(&r1).iter().all(|it| it["last_end"]["end"] == "connect-failed"));
    let to = "203.0.113.6:179".parse().unwrap();
    let mut good = Stranger::begin(good.dial(to), &open(GOOD, GOOD_V4, AfiSafi::IPV4_UNICAST));
    good.say(&all(0));
    let heard = |n: u32| r1.run("ip route show").contains(&format!("8.{n}.0.0/24 "));
    let sentinel = |n: u32| {
        let n = u8::try_from(n).unwrap();
        route(&[&[2, 1][..], &GOOD.to_be_bytes()].concat(), GOOD_V4, [8, n, 0])
    };
    good.say(&sentinel(0));
    wait("all routes are there", &[&r1], || heard(0));
    let before = resident(pid);

    // It goes on to say that it lives.
    let to = "203.0.113.2:179".parse().unwrap();
    let deaf = Stranger::deaf_and_silent(deaf.dial(to), &open(BAD, BAD_V4, AfiSafi::IPV4_UNICAST)).speaking();
    wait("it stands", &[&r1], || session(&r1, "deaf")["state"] == "established");
    wait("every buffer is full", &[&r1], || {
        unsent(&r1) > 0 && session(&r1, "deaf")["pending"].as_u64().unwrap() > u64::from(ROUTES) / 2
    });
    for round in 1..=ROUNDS {
        good.say(&all(round));
        good.say(&sentinel(round));
        wait("the good one is heard", &[&r1], || heard(round));
        // Each route waits once, however often it has changed, and what was packed when nobody had changed yet.
        let pending = session(&r1, "deaf")["pending"].as_u64().unwrap();
        assert!(pending <= u64::from(2 * (ROUTES + ROUNDS + 2)), "{pending}");
    }
    let grown = resident(pid).saturating_sub(before);
    assert!(grown <= GROWTH_MAX, "{grown} kB");
    wait("it is given up", &[&r1], || session(&r1, "deaf")["state"] != "established");
    let end = session(&r1, "deaf");
    let log = r1.log();
    assert!(log.contains("the neighbour did not read for too long (RFC 9687)"), "{end} {log}");
    wait("nothing waits for it", &[&r1], || session(&r1, "deaf")["pending"] == 0);
    let session = session(&r1, "good");
    assert_eq!((&session["state"], &session["established_count"]), (&"established".into(), &1.into()));
    assert!(!good.is_closed());
    drop(deaf);
}
