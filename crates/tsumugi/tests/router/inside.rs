//! Among router processes alone.

use super::plans::{inside, loopback_v4, loopback_v6, originate, router, sealed};
use super::world::{Machine, World, wait};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::time::Duration;
use tsumugi_core::router_plan::RouterPlan;

pub fn established(machine: &Machine) -> usize {
    sessions(machine).iter().filter(|session| session["state"] == "established").count()
}

pub fn sessions(machine: &Machine) -> Vec<Value> {
    machine.status()["running"]["bgp"]["sessions"].as_array().cloned().unwrap_or_default()
}

/// Waits until every session of these machines stands.
pub fn wait_for_sessions(machines: &[&Machine]) {
    for machine in machines {
        wait(&format!("sessions of {}", machine.name), machines, || {
            let all = sessions(machine).len();
            all > 0 && established(machine) == all
        });
    }
}

/// Waits until `from` reaches the loopbacks of router `id`, from its own loopbacks.
pub fn wait_for_loopbacks(from: &Machine, from_id: u32, id: u32) -> Duration {
    let (v4, v6) = (loopback_v4(id), loopback_v6(id));
    let took = wait(&format!("{} reaches r{id}", from.name), &[from], || {
        from.reaches(&v4.to_string()) && from.reaches(&v6.to_string())
    });
    assert!(from.run(&format!("ip route get {v4}")).contains(&format!("src {}", loopback_v4(from_id))));
    assert!(from.run(&format!("ip -6 route get {v6}")).contains(&format!("src {}", loopback_v6(from_id))));
    took
}

pub fn start(world: &mut World, machine: &Machine, plan: RouterPlan) -> u32 {
    machine.write(&sealed(plan));
    world.router(machine)
}

/// r1 --eth1-- r2
struct Pair {
    machines: [Machine; 2],
    processes: [u32; 2],
}

fn pair(world: &mut World, links: &[&str]) -> Pair {
    let machines = [world.machine("r1"), world.machine("r2")];
    for link in links {
        world.wire((&machines[0], link), (&machines[1], link));
    }
    let processes = [(0, 1, 2), (1, 2, 1)].map(|(place, id, other): (usize, u32, u32)| {
        let mut plan = router(id);
        for link in links {
            inside(&mut plan, link, other, false);
        }
        start(world, &machines[place], plan)
    });
    Pair { machines, processes }
}

pub fn two_routers_reach_each_other(world: &mut World) {
    let Pair { machines: [a, b], .. } = pair(world, &["eth1"]);
    wait_for_sessions(&[&a, &b]);
    wait_for_loopbacks(&a, 1, 2);
    wait_for_loopbacks(&b, 2, 1);
    // Addresses on loopbacks, link-local ones on links, nothing else.
    let addresses = a.run("ip -o address show");
    let mut found: Vec<_> =
        addresses.lines().map(|line| line.split_whitespace().nth(3).unwrap().to_owned()).collect();
    found.sort();
    let loopbacks = [format!("{}/32", loopback_v4(1)), format!("{}/128", loopback_v6(1))];
    let mut expected = vec!["127.0.0.1/8".into(), "::1/128".into(), "fe80::1/64".into()];
    expected.extend(loopbacks);
    expected.sort();
    assert_eq!(found, expected, "{addresses}");
    // IPv4 by an IPv6 link-local next hop.
    let route = a.run(&format!("ip route show {}", loopback_v4(2)));
    assert!(route.contains("via inet6 fe80::2 dev eth1"), "{route}");
}

pub fn parallel_links_are_used_together(world: &mut World) {
    let Pair { machines: [a, b], .. } = pair(world, &["eth1", "eth2"]);
    wait_for_sessions(&[&a, &b]);
    for show in [format!("ip route show {}", loopback_v4(2)), format!("ip -6 route show {}", loopback_v6(2))]
    {
        wait("two next hops", &[&a, &b], || {
            let route = a.run(&show);
            route.contains("dev eth1") && route.contains("dev eth2")
        });
    }
    wait_for_loopbacks(&a, 1, 2);
    a.run("ip link set eth2 down");
    wait_for_loopbacks(&a, 1, 2);
}

/// A triangle, eth1 between r1 and r2, eth2 between r1 and r3, eth3 between r2 and r3.
pub fn a_silent_cut_is_routed_around(world: &mut World) {
    let machines = ["r1", "r2", "r3"].map(|name| world.machine(name));
    let wires = [("eth1", 1, 2), ("eth2", 1, 3), ("eth3", 2, 3)];
    let at = |id: u32| usize::try_from(id).unwrap() - 1;
    let wire = |(link, a, b)| world.cuttable_wire((&machines[at(a)], link), (&machines[at(b)], link));
    let [cuttable, ..] = wires.map(wire);
    for id in [1, 2, 3] {
        let mut plan = router(id);
        for (link, a, b) in wires.iter().filter(|(_, a, b)| *a == id || *b == id) {
            inside(&mut plan, link, if *a == id { *b } else { *a }, false);
        }
        start(world, &machines[at(id)], plan);
    }
    let [a, b, c] = &machines;
    wait_for_sessions(&[a, b, c]);
    wait_for_loopbacks(a, 1, 2);
    cuttable.cut();
    wait("the session over the cut link ends", &[a, b, c], || established(a) == 1);
    wait_for_loopbacks(a, 1, 2);
    let route = a.run(&format!("ip route show {}", loopback_v4(2)));
    assert!(route.contains("via inet6 fe80::3 dev eth2"), "{route}");
}

pub fn a_killed_process_costs_nothing(world: &mut World) {
    let Pair { machines: [a, b], processes } = pair(world, &["eth1"]);
    wait_for_sessions(&[&a, &b]);
    wait_for_loopbacks(&a, 1, 2);
    // One route of an earlier life that nobody announces any more.
    a.run("ip route add 192.0.2.77/32 dev eth1 proto 85 metric 2048");
    let before = a.run("ip route show; ip -6 route show");
    world.kill(processes[0]);
    assert_eq!(a.run("ip route show; ip -6 route show"), before, "routes outlive the process");
    let again = world.router(&a);
    let mut kept = true;
    wait("sessions stand again", &[&a, &b], || {
        kept &= a.run("ip route show").contains(&loopback_v4(2).to_string());
        established(&a) == 1
    });
    assert!(kept, "a route was missing between the two lives");
    wait_for_loopbacks(&a, 1, 2);
    wait("the stale route goes", &[&a], || !a.run("ip route show").contains("192.0.2.77"));
    // Told to stop it says goodbye, and leaves all as it is.
    world.signal(again, Signal::SIGTERM);
    wait("the neighbour hears it", &[&b], || established(&b) == 0);
    let end = sessions(&b)[0]["last_end_words"].clone();
    assert!(end.as_str().unwrap().contains("Administrative Shutdown"), "{end}");
    assert!(a.run("ip route show").contains(&loopback_v4(2).to_string()));
}

/// The neighbour does not come back: what leads to it stays for a while, but not for ever.
pub fn what_is_not_confirmed_goes(world: &mut World) {
    let Pair { machines: [a, b], processes } = pair(world, &["eth1"]);
    wait_for_sessions(&[&a, &b]);
    wait_for_loopbacks(&a, 1, 2);
    for process in processes {
        world.kill(process);
    }
    world.router(&a);
    let far = loopback_v4(2).to_string();
    wait("the process is back", &[&a], || !a.status().is_null());
    assert!(a.run("ip route show").contains(&far), "gone at once");
    let took = wait("the route goes", &[&a], || !a.run("ip route show").contains(&far));
    assert!(took > Duration::from_secs(5), "gone after {took:?}");
}

pub fn a_new_plan_takes_over_whole_or_not(world: &mut World) {
    let Pair { machines: [a, b], processes } = pair(world, &["eth1"]);
    wait_for_sessions(&[&a, &b]);
    // Not what its hash says: refused, and what runs is kept.
    let mut plan = router(1);
    inside(&mut plan, "eth1", 2, false);
    plan = sealed(plan);
    plan.generation = 2;
    a.write(&plan);
    world.signal(processes[0], Signal::SIGHUP);
    wait("the refusal is shown", &[&a], || a.status()["plan"]["refused"]["reason"] == "hash");
    assert_eq!(a.status()["plan"]["generation"], 1);
    assert_eq!(established(&a), 1);
    // A good one: the AS's prefixes are now announced, too, and the session stands on.
    let since = sessions(&a)[0]["established_count"].clone();
    let mut plan = router(1);
    inside(&mut plan, "eth1", 2, false);
    originate(&mut plan, &[2]);
    plan.generation = 3;
    a.write(&sealed(plan));
    world.signal(processes[0], Signal::SIGHUP);
    wait("the new plan is in force", &[&a], || a.status()["plan"]["generation"] == 3);
    wait("its prefixes arrive", &[&a, &b], || {
        b.run("ip route show")
            .lines()
            .any(|it| it.starts_with("43.228.174.0/24 ") && it.contains("via inet6 fe80::1 dev eth1"))
    });
    assert!(a.run("ip route show").contains("blackhole 43.228.174.0/24"));
    assert_eq!(sessions(&a)[0]["established_count"], since);
    assert_eq!(a.status()["plan"]["refused"], Value::Null);
}

pub fn what_a_hand_changed_is_put_back(world: &mut World) {
    let Pair { machines: [a, b], .. } = pair(world, &["eth1"]);
    wait_for_sessions(&[&a, &b]);
    wait_for_loopbacks(&a, 1, 2);
    let far = loopback_v4(2);
    a.run(&format!("ip route delete {far}"));
    wait("the route is back", &[&a], || a.run("ip route show").contains(&far.to_string()));
    a.run(&format!("ip address delete {}/32 dev lo", loopback_v4(1)));
    wait("the address is back", &[&a], || a.run("ip address show lo").contains(&loopback_v4(1).to_string()));
    wait_for_loopbacks(&a, 1, 2);
}

pub fn links_come_and_go(world: &mut World) {
    let Pair { machines: [a, b], .. } = pair(world, &["eth1"]);
    wait_for_sessions(&[&a, &b]);
    for _ in 0..3 {
        // Both ends of the wire vanish, and another takes its place.
        a.run("ip link delete eth1");
        wait("the session ends", &[&a, &b], || established(&a) == 0 && established(&b) == 0);
        world.wire((&a, "eth1"), (&b, "eth1"));
        wait_for_sessions(&[&a, &b]);
        wait_for_loopbacks(&a, 1, 2);
    }
}

/// r1 knows its neighbour on eth1 and nobody on eth2; a stranger on eth2 and one on eth1 call.
pub fn strangers_are_refused(world: &mut World) {
    let Pair { machines: [a, b], .. } = pair(world, &["eth1"]);
    wait_for_sessions(&[&a, &b]);
    b.run("ip address add fe80::bad/64 dev eth1 nodad");
    let call = "import socket; s = socket.socket(socket.AF_INET6); s.settimeout(3); \
                s.bind(('fe80::bad', 0, 0, socket.if_nametoindex('eth1'))); \
                s.connect(('fe80::1', 179, 0, socket.if_nametoindex('eth1'))); \
                assert s.recv(1) == b''";
    b.run(&format!("python3 -c \"{call}\""));
    wait("the stranger is counted", &[&a], || {
        a.status()["running"]["refused_connections"]["not-a-neighbour"] == 1
    });
    assert_eq!(established(&a), 1);
}
