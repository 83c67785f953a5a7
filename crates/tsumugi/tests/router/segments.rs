//! Segments over router processes: hosts behind ports, Ethernet between them by EVPN and VXLAN.

use super::inside::{start, wait_for_sessions};
use super::plans::{Segment, inside, loopback_v4, loopback_v6, router, segment};
use super::restart::{Stream, restart_of};
use super::world::{Machine, World, wait};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::net::IpAddr;

/// r1 --eth1-- r2, a host behind `lan1` of each: h1 and h2.
struct Sites {
    routers: [Machine; 2],
    hosts: [Machine; 2],
    processes: [u32; 2],
}

fn vtep(id: u32, ipv6: bool) -> IpAddr {
    if ipv6 { loopback_v6(id).into() } else { loopback_v4(id).into() }
}

fn host(world: &mut World, name: &str, router: &Machine, port: &str) -> Machine {
    let host = world.machine(name);
    world.wire((router, port), (&host, "eth0"));
    host
}

fn address(host: &Machine, number: u8) {
    host.run(&format!(
        "ip link set eth0 address 02:00:00:00:01:{number:02x} up; \
         ip address add 192.0.2.{number}/24 dev eth0; ip address add 2001:db8:2::{number}/64 dev eth0 nodad"
    ));
}

fn sites(world: &mut World, ipv6: bool, segment_of: impl Fn(u32) -> Segment) -> Sites {
    let routers = [world.machine("r1"), world.machine("r2")];
    world.wire((&routers[0], "eth1"), (&routers[1], "eth1"));
    let hosts = [host(world, "h1", &routers[0], "lan1"), host(world, "h2", &routers[1], "lan1")];
    let mut start_one = |id: u32, other: u32| {
        let mut plan = router(id);
        inside(&mut plan, "eth1", other, false);
        segment(&mut plan, &segment_of(id), vtep(id, ipv6));
        start(world, &routers[usize::from(id == 2)], plan)
    };
    let processes = [start_one(1, 2), start_one(2, 1)];
    Sites { routers, hosts, processes }
}

fn one_segment(machine: &Machine) -> Value {
    machine.status()["running"]["segments"]["segments"][0].clone()
}

fn port(machine: &Machine, link: &str) -> Value {
    let ports = one_segment(machine)["ports"].as_array().cloned().unwrap_or_default();
    ports.into_iter().find(|port| port["link"] == link).unwrap_or(Value::Null)
}

fn blocked(machine: &Machine, link: &str) -> Option<String> {
    port(machine, link)["blocked"]["because"].as_str().map(str::to_owned)
}

/// A whole frame each way that may not be cut.
fn exchange(from: &Machine, to: &str) -> bool {
    let overhead = if to.contains(':') { 48 } else { 28 };
    from.succeeds(&format!("ping -c 1 -W 1 -n -M do -s {} {to}", 1500 - overhead))
}

fn stretched(world: &mut World, ipv6: bool) {
    let Sites { routers: [a, b], hosts: [h1, h2], processes } =
        sites(world, ipv6, |_| Segment::new(&["lan1"]));
    address(&h1, 1);
    address(&h2, 2);
    wait_for_sessions(&[&a, &b]);
    let all = [&a, &b];
    wait("whole frames pass", &all, || ["192.0.2.2", "2001:db8:2::2"].iter().all(|to| exchange(&h1, to)));
    assert!(exchange(&h2, "192.0.2.1") && exchange(&h2, "2001:db8:2::1"));
    // Learned here, told there.
    let remote = |machine: &Machine| machine.run("bridge fdb show dev vx-test");
    wait("h1's MAC is behind r1 for r2", &all, || {
        let text = remote(&b);
        text.lines().any(|line| line.contains("02:00:00:00:01:01 dst") && line.contains("extern_learn"))
    });
    wait("the status says it", &all, || {
        let segment = one_segment(&b);
        segment["vteps"][0]["address"] == vtep(1, ipv6).to_string() && segment["vteps"][0]["flood"] == true
    });

    // Killed, the process leaves what it told the kernel; its next life takes nothing away that holds.
    let floods = |machine: &Machine| remote(machine).contains("00:00:00:00:00:00 dst");
    let before = remote(&a);
    world.kill(processes[0]);
    assert_eq!(remote(&a), before);
    let again = world.router(&a);
    let mut kept = true;
    wait_for_sessions(&[&a, &b]);
    wait("whole frames pass again", &all, || {
        kept &= floods(&a);
        exchange(&h1, "192.0.2.2")
    });
    assert!(kept, "the flood entry was missing between the two lives");
    // What a hand takes away is put back.
    for line in ["ip link delete vx-test", "ip link delete seg-test"] {
        a.run(line);
        wait(line, &all, || exchange(&h1, "192.0.2.2") && exchange(&h2, "2001:db8:2::1"));
    }
    world.signal(again, Signal::SIGTERM);
    wait("r2 forgets r1", &all, || !floods(&b));
    assert!(floods(&a), "the kernel is left as it is");
}

pub fn hosts_share_a_segment_over_ipv4(world: &mut World) {
    stretched(world, false);
}

pub fn hosts_share_a_segment_over_ipv6(world: &mut World) {
    stretched(world, true);
}

/// r1's process is killed and comes back: no frame is lost, nobody takes an entry away meanwhile, and one of which
/// nobody knows any more goes in the end.
pub fn a_restart_costs_no_frame(world: &mut World) {
    let Sites { routers: [a, b], hosts: [h1, h2], processes } =
        sites(world, false, |_| Segment::new(&["lan1"]));
    address(&h1, 1);
    address(&h2, 2);
    wait_for_sessions(&[&a, &b]);
    let all = [&a, &b];
    let remote = |machine: &Machine| -> Vec<String> {
        let text = machine.run("bridge fdb show dev vx-test");
        text.lines().filter(|line| line.contains(" dst ")).map(str::to_owned).collect()
    };
    let pairs = [("192.0.2.1", "192.0.2.2"), ("2001:db8:2::1", "2001:db8:2::2")];
    let stream = Stream::begin(world, &h1, &pairs, false);
    wait("each knows the other's MAC", &all, || remote(&a).len() == 2 && remote(&b).len() == 2);
    a.run("bridge fdb append 02:00:00:00:09:09 dev vx-test dst 43.228.174.130 self static");
    let (of_a, of_b) = (remote(&a), remote(&b));
    world.kill(processes[0]);
    wait("r2 keeps its routes", &all, || b.log().contains("seems to restart"));
    assert_eq!((remote(&a), remote(&b)), (of_a.clone(), of_b.clone()));
    world.router(&a);
    let stays = |of: &[String], now: &[String]| {
        of.iter().filter(|line| !line.contains("09:09")).all(|line| now.contains(line))
    };
    wait("it is back, and what is left over goes", &all, || {
        let now = remote(&a);
        assert!(stays(&of_a, &now), "{now:?} of {of_a:?}");
        assert_eq!(remote(&b), of_b);
        now.len() == 2
    });
    wait("r2 has been told all again", &all, || {
        b.status()["running"]["bgp"]["sessions"][0]["kept_ms"].is_null()
    });
    assert_eq!(remote(&b), of_b);
    let restart = restart_of(&a);
    assert!(restart["found"].to_string().contains("evpn"), "{restart}");
    assert!(restart["selected"].as_array().unwrap().iter().all(|it| it["why"] == "told"), "{restart}");
    stream.end(world, &h1);
}

/// h1 has a second leg at r2: when it moves there, everybody follows, and nothing stale stays.
pub fn a_host_moves(world: &mut World) {
    let Sites { routers: [a, b], hosts: [h1, h2], .. } =
        sites(world, false, |_| Segment::new(&["lan1", "lan2"]));
    world.wire((&b, "lan2"), (&h1, "eth9"));
    world.wire((&a, "lan2"), (&h2, "eth9"));
    address(&h1, 1);
    address(&h2, 2);
    wait_for_sessions(&[&a, &b]);
    let all = [&a, &b];
    wait("they meet", &all, || exchange(&h2, "192.0.2.1"));
    let at = |machine: &Machine| {
        let macs = one_segment(machine)["macs"].as_array().cloned().unwrap_or_default();
        let host = macs.into_iter().find(|mac| mac["mac"] == "02:00:00:00:01:01");
        host.map_or("nowhere".into(), |mac| mac["at"]["is"].as_str().unwrap_or("").to_owned())
    };
    wait("it is at r1", &all, || at(&b) == "vtep");
    h1.run("ip link set eth0 down; ip address flush dev eth0; ip link set eth0 address 02:00:00:00:09:09");
    h1.run("ip link set eth9 address 02:00:00:00:01:01 up; ip address add 192.0.2.1/24 dev eth9");
    let took = wait("it is reached at its new place", &all, || {
        h1.succeeds("ping -c 1 -W 1 -n 192.0.2.2") && exchange(&h2, "192.0.2.1")
    });
    eprintln!("a host moved: reached again after {} ms", took.as_millis());
    wait("everybody knows", &all, || at(&b) == "port" && at(&a) == "vtep");
    let stale = b.run("bridge fdb show dev vx-test");
    assert!(!stale.contains("02:00:00:00:01:01"), "{stale}");
}

/// A cable between two ports of the segment.
pub fn a_loop_is_blocked_and_reopened(world: &mut World) {
    let Sites { routers: [a, b], hosts: [h1, h2], .. } =
        sites(world, false, |_| Segment::new(&["lan1", "lan2"]));
    address(&h1, 1);
    address(&h2, 2);
    wait_for_sessions(&[&a, &b]);
    let all = [&a, &b];
    wait("they meet", &all, || exchange(&h1, "192.0.2.2"));
    let cable = world.cuttable_wire((&a, "lan2"), (&b, "lan2"));
    let took = wait("one end of the loop is blocked", &all, || {
        blocked(&a, "lan2").is_some() || blocked(&b, "lan2").is_some()
    });
    eprintln!("a loop was blocked after {} ms", took.as_millis());
    assert!(blocked(&a, "lan1").is_none() && blocked(&b, "lan1").is_none());
    wait("hosts still meet", &all, || exchange(&h1, "192.0.2.2") && exchange(&h2, "192.0.2.1"));
    cable.cut();
    wait("the port is open again", &all, || blocked(&a, "lan2").is_none() && blocked(&b, "lan2").is_none());
    assert!((a.log() + &b.log()).contains("lan2 is open again"));
}

/// Both routers are the hosts' gateway 192.0.2.254.
pub fn each_site_has_its_own_gateway(world: &mut World) {
    let Sites { routers: [a, b], hosts: [h1, h2], processes } =
        sites(world, false, |id| Segment::new(&["lan1"]).with_gateway(id));
    wait_for_sessions(&[&a, &b]);
    let all = [&a, &b];
    // IPv4 by DHCP, IPv6 by router advertisement.
    for (host, number) in [(&h1, 1), (&h2, 2)] {
        host.run("sysctl -qw net.ipv6.conf.eth0.accept_ra=1 net.ipv6.conf.eth0.accept_dad=0");
        host.run(&format!("ip link set eth0 address 02:00:00:00:01:{number:02x} up"));
        let route = "ip -6 route show default";
        wait("a router advertisement", &all, || host.run(route).contains("via fe80::e0 dev eth0"));
        assert!(host.run("ip -6 address show dev eth0").contains("2001:db8:2::ff:fe00:10"), "autonomous");
    }
    let script = world.directory("files").join("lease");
    let lines = "#!/bin/sh\n[ \"$1\" = bound ] && ip address add $ip/24 dev eth0 && ip route add default via $router\n";
    std::fs::write(&script, lines).unwrap();
    h1.run(&format!("chmod 755 {}", script.display()));
    let lease = |host: &Machine| {
        host.succeeds(&format!("busybox udhcpc -i eth0 -n -q -f -t 5 -T 1 -s {}", script.display()))
    };
    wait("a lease", &all, || lease(&h1));
    wait("a lease", &all, || lease(&h2));
    for (host, own) in [(&h1, 1), (&h2, 2)] {
        let loopback = loopback_v4(own).to_string();
        wait("its own gateway answers", &all, || host.reaches("192.0.2.254") && host.reaches(&loopback));
        assert!(host.run("ip neighbour show 192.0.2.254").contains("02:00:5e:00:00:e0"));
    }
    assert_eq!(a.status()["running"]["dhcp"]["leases"].as_array().map(Vec::len), Some(1));
    // From afar: by whichever router is nearest, then over the segment.
    let v4 = |host: &Machine| {
        let text = host.run("ip -4 -o address show dev eth0");
        text.split_whitespace().nth(3).unwrap().split('/').next().unwrap().to_owned()
    };
    let far = v4(&h2);
    // Not from the gateway's address: the answer to that goes to the host's own gateway.
    let from_afar = |to: &str| a.succeeds(&format!("ping -c 1 -W 1 -n -I {} {to}", loopback_v4(1)));
    wait("r1 reaches h2 through the segment", &all, || from_afar(&far));
    assert!(exchange(&h1, &far), "hosts meet");
    // A host that has said nothing yet: asked for behind the other router.
    h2.run("ip address flush dev eth0; ip link set eth0 address 02:00:00:00:01:33");
    h2.run("ip address add 192.0.2.99/24 dev eth0; ip route replace default via 192.0.2.254");
    wait("r1 finds a silent host behind r2", &all, || from_afar("192.0.2.99"));
    // Never two servers: the child ends with its parent, and the next life's knows the leases.
    let configuration = a.state.join("dhcp.conf").display().to_string();
    assert!(runs_with(&configuration));
    world.kill(processes[0]);
    wait("the DHCP server ends with the router process", &all, || !runs_with(&configuration));
    world.router(&a);
    wait("a server again", &all, || a.status()["running"]["dhcp"]["running"] == true);
    assert_eq!(a.status()["running"]["dhcp"]["leases"][0], v4(&h1).as_str());
}

/// Whether a process of ours has this text in its command line.
fn runs_with(text: &str) -> bool {
    let me = std::fs::read_link("/proc/thread-self/ns/mnt").unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    processes.filter(|path| std::fs::read_link(path.join("ns/mnt")).is_ok_and(|ns| ns == me)).any(|path| {
        let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    })
}

/// One LAN on both routers, r1's port before r2's; r3 has another host.
///
/// ```text
/// r1 -- r3 -- r2      h3 on r3
///   \        /
///    lan (h1)
/// ```
pub fn a_standby_takes_over(world: &mut World) {
    let routers = ["r1", "r2", "r3"].map(|name| world.machine(name));
    let [a, b, c] = &routers;
    world.wire((a, "eth1"), (c, "eth1"));
    world.wire((b, "eth1"), (c, "eth2"));
    let lan = world.machine("lan");
    lan.run("ip link add lan type bridge; ip link set lan up");
    for (router, port) in [(a, "p1"), (b, "p2")] {
        world.wire((router, "lan1"), (&lan, port));
        lan.run(&format!("ip link set {port} master lan up"));
    }
    let h1 = host(world, "h1", &lan, "p3");
    lan.run("ip link set p3 master lan up");
    let h3 = host(world, "h3", c, "lan1");
    let mut plans = [1, 2, 3].map(router);
    inside(&mut plans[0], "eth1", 3, false);
    inside(&mut plans[1], "eth1", 3, false);
    inside(&mut plans[2], "eth1", 1, false);
    inside(&mut plans[2], "eth2", 2, false);
    let mut processes = Vec::new();
    for (place, mut plan) in plans.into_iter().enumerate() {
        let at = Segment::new(&["lan1"]);
        let at = if place < 2 { at.on_a_shared_lan(u16::try_from(place).unwrap()) } else { at };
        let id = plan.id;
        segment(&mut plan, &at, vtep(id, false));
        processes.push(start(world, &routers[place], plan));
    }
    let all = [a, b, c];
    address(&h1, 1);
    address(&h3, 3);
    wait_for_sessions(&all);
    wait("the active port forwards", &all, || exchange(&h3, "192.0.2.1"));
    wait("the standby waits", &all, || blocked(b, "lan1").as_deref() == Some("standby"));
    assert_eq!(blocked(a, "lan1"), None);
    let forwards = |machine: &Machine| machine.run("nft list set bridge tsumugi forwarding").contains("lan1");
    assert!(forwards(a) && !forwards(b));

    // The process dies, its kernel lives: it must stop before the other begins.
    world.kill(processes[0]);
    let took = wait("the standby forwards", &all, || {
        let (first, second) = (forwards(a), forwards(b));
        assert!(!(first && second), "both forward");
        second
    });
    eprintln!("a standby took over after {} ms", took.as_millis());
    wait("hosts meet again", &all, || exchange(&h3, "192.0.2.1") && exchange(&h1, "192.0.2.3"));
    // It comes back, and takes the LAN again.
    world.router(a);
    wait("the active port forwards again", &all, || {
        let (first, second) = (forwards(a), forwards(b));
        assert!(!(first && second), "both forward");
        first
    });
    wait("hosts meet as before", &all, || exchange(&h3, "192.0.2.1") && exchange(&h1, "192.0.2.3"));
    // Its link to the LAN is cut.
    lan.run("ip link set p1 down");
    wait("the standby forwards", &all, || forwards(b));
    wait("hosts meet once more", &all, || exchange(&h3, "192.0.2.1") && exchange(&h1, "192.0.2.3"));
}
