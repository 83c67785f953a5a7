//! A router whose BGP is FRR's (`routing = "frr"`) beside one of the embedded speaker.

use super::inside::{established, sessions, start, wait_for_loopbacks, wait_for_sessions};
use super::plans::{inside, loopback_v4, originate, router};
use super::world::{Machine, World, wait};
use nix::sys::signal::Signal;
use std::fs;
use tsumugi_core::bgp::config::Relation;
use tsumugi_core::router_plan::{RouterPlan, Routing};

/// r1, by FRR, with its neighbours inside.
fn by_frr(neighbours: &[(&str, u32)]) -> RouterPlan {
    let mut plan = router(1);
    plan.routing = Routing::Frr;
    for (link, id) in neighbours {
        inside(&mut plan, link, *id, false);
    }
    plan
}

fn vtysh(machine: &Machine, command: &str) -> String {
    machine.run(&format!("vtysh --vty_socket {}/frr -c '{command}'", machine.state.display()))
}

fn process_of(machine: &Machine, daemon: &str) -> i32 {
    let file = machine.state.join(format!("frr/{daemon}.pid"));
    fs::read_to_string(file).unwrap().trim().parse().unwrap()
}

/// r1 (FRR) --eth1-- r2 (ours)
pub fn both_engines_reach_each_other(world: &mut World) {
    let [a, b] = ["r1", "r2"].map(|name| world.machine(name));
    world.wire((&a, "eth1"), (&b, "eth1"));
    let process = start(world, &a, by_frr(&[("eth1", 2)]));
    let mut far = router(2);
    inside(&mut far, "eth1", 1, false);
    let far_process = start(world, &b, far);
    wait_for_sessions(&[&a, &b]);
    wait_for_loopbacks(&a, 1, 2);
    wait_for_loopbacks(&b, 2, 1);
    let route = a.run(&format!("ip route show {}", loopback_v4(2)));
    assert!(route.contains("via inet6 fe80::2 dev eth1") && route.contains("proto bgp"), "{route}");
    // The same document as ever, and who speaks.
    wait("the document says so", &[&a], || sessions(&a)[0]["accepted"]["ipv4"] == 1);
    let status = a.status();
    assert_eq!(status["running"]["frr"]["in_force"], true, "{status}");

    // The AS's prefixes are announced while the far router is reached; the session stands on.
    let since = sessions(&b)[0]["established_count"].clone();
    let mut plan = by_frr(&[("eth1", 2)]);
    originate(&mut plan, &[2]);
    plan.generation = 2;
    a.write(&super::plans::sealed(plan));
    world.signal(process, Signal::SIGHUP);
    wait("its prefixes arrive", &[&a, &b], || {
        b.run("ip route show")
            .lines()
            .any(|it| it.starts_with("43.228.174.0/24 ") && it.contains("via inet6 fe80::1 dev eth1"))
            && b.run("ip -6 route show").contains("2402:3160::/32 ")
    });
    assert!(a.run("ip route show").contains("blackhole 43.228.174.0/24"));
    assert_eq!(sessions(&b)[0]["established_count"], since, "a change resets nothing");
    wait("the changed plan is in force", &[&a], || a.status()["running"]["frr"]["in_force"] == true);

    // A cost, too.
    let mut plan = by_frr(&[("eth1", 2)]);
    originate(&mut plan, &[2]);
    plan.speaker.as_mut().unwrap().neighbours[0].relation = Relation::Inside { prepends: 3 };
    plan.generation = 3;
    a.write(&super::plans::sealed(plan));
    world.signal(process, Signal::SIGHUP);
    wait("the cost is in force", &[&a], || {
        a.status()["plan"]["generation"] == 3 && a.status()["running"]["frr"]["in_force"] == true
    });
    // FRR waits some seconds for a map to be changed whole (`bgp route-map delay-timer`).
    wait("the cost is told", &[&a], || {
        let sent = vtysh(&a, "show bgp ipv4 unicast neighbors eth1 advertised-routes");
        sent.contains("4200000001 4200000001")
    });
    assert_eq!(sessions(&b)[0]["established_count"], since, "a change resets nothing");

    // One that hangs keeps nobody waiting: the document says that it does not answer.
    let pid = nix::unistd::Pid::from_raw(process_of(&a, "bgpd"));
    nix::sys::signal::kill(pid, Signal::SIGSTOP).unwrap();
    let trouble = |a: &Machine| a.status()["running"]["frr"]["trouble"]["reason"].clone();
    wait("it is said to be silent", &[&a], || trouble(&a) == "no-answer");
    nix::sys::signal::kill(pid, Signal::SIGCONT).unwrap();
    wait("it answers again", &[&a], || trouble(&a).is_null());
    wait_for_sessions(&[&a, &b]);
    wait_for_loopbacks(&a, 1, 2);

    // A killed daemon is back, and says why it was away.
    for daemon in ["bgpd", "zebra"] {
        let pid = process_of(&a, daemon);
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        wait("another runs", &[&a], || {
            let file = a.state.join(format!("frr/{daemon}.pid"));
            fs::read_to_string(file).is_ok_and(|text| !text.is_empty() && text.trim() != pid.to_string())
        });
        wait_for_sessions(&[&a, &b]);
        wait_for_loopbacks(&a, 1, 2);
        assert!(a.log().contains(&format!("{daemon} ended by itself: signal: 9")), "{}", a.log());
    }
    // Cut off from the rest it announces nothing of the AS.
    world.signal(far_process, Signal::SIGTERM);
    wait("the session ends", &[&a, &b], || established(&a) == 0);
    wait("nothing is announced", &[&a], || !a.run("ip route show").contains("43.228.174.0/24"));
    world.router(&b);
    wait_for_sessions(&[&a, &b]);
    wait_for_loopbacks(&b, 2, 1);
    // The daemons end with their router process.
    let pids = ["zebra", "bgpd"].map(|daemon| process_of(&a, daemon));
    world.kill(process);
    for pid in pids {
        wait("the daemon ends", &[&a], || !fs::exists(format!("/proc/{pid}/cmdline")).unwrap());
    }
}
