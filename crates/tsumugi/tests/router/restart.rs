//! Our own restart (RFC 4724 4.1): the process is killed, or makes room for another one, and nobody loses a route
//! that still holds, nor a packet.
//!
//!     provider --eth1-- r1 --eth2-- customer --eth2-- r9 (ours, of a network of its own: it counts)

use super::inside::{established, sessions, start, wait_for_loopbacks, wait_for_sessions};
use super::others::{Kind, Other};
use super::outsiders::{OF_CUSTOMER, OF_PROVIDER, networks, plan};
use super::plans::{inside, loopback_v4, loopback_v6, provider, router};
use super::stranger::Stranger;
use super::world::{Machine, World, wait};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tsumugi_core::bfd::BfdTerms;
use tsumugi_core::id::Asn;
use tsumugi_core::wire::bgp::{AfiSafi, Capability, GracefulRestart, Open};

/// What the provider no longer announces when we are back.
const VANISHES: [&str; 2] = ["8.8.4.0/24", "2620:fd::/48"];
const FAR: u32 = 131_072;

fn kernel(machine: &Machine) -> String {
    machine.run("ip route show; ip -6 route show")
}

pub fn restart_of(machine: &Machine) -> Value {
    machine.status()["running"]["bgp"]["restart"].clone()
}

fn updates_in(machine: &Machine) -> Vec<Value> {
    sessions(machine).iter().map(|it| it["updates_in"].clone()).collect()
}

/// Pings on the way from a machine, one every 20 ms for each address, a minute at the most.
pub struct Stream {
    pings: Vec<(u32, PathBuf)>,
}

impl Stream {
    pub fn begin(world: &mut World, from: &Machine, pairs: &[(&str, &str)], in_fabric: bool) -> Stream {
        for (source, to) in pairs {
            let once = format!("ping -n -c 1 -W 1 -I {source} {to}");
            wait("the way leads there and back", &[from], || from.succeeds(&once));
        }
        let mut pings = Vec::new();
        for (place, (source, to)) in pairs.iter().enumerate() {
            let output = from.state.join(format!("ping{place}"));
            let line = format!("exec ping -n -i 0.02 -c 3000 -I {source} {to}");
            let process = if in_fabric {
                world.run_on_fabric(from, &line, &output)
            } else {
                world.run_on(from, &format!("exec sh -c '{line} >{} 2>&1'", output.display()))
            };
            pings.push((process, output));
        }
        let stream = Stream { pings };
        wait("pings are answered", &[from], || stream.answered().iter().all(|answers| *answers > 10));
        stream
    }

    fn answered(&self) -> Vec<usize> {
        let answers = |(_, output): &(u32, PathBuf)| {
            fs::read_to_string(output).unwrap_or_default().matches("bytes from").count()
        };
        self.pings.iter().map(answers).collect()
    }

    /// All that was sent has been answered, the last on its way excepted.
    pub fn end(self, world: &mut World, on: &Machine) {
        let before = self.answered();
        wait("pings are still answered", &[on], || {
            self.answered().iter().zip(&before).all(|(now, before)| *now > before + 10)
        });
        for (process, output) in self.pings {
            world.kill(process);
            let text = fs::read_to_string(&output).unwrap();
            let number =
                |line: &str| line.split_once("icmp_seq=")?.1.split_once(' ')?.0.parse::<usize>().ok();
            let heard: Vec<usize> =
                text.lines().filter(|line| line.contains("bytes from")).filter_map(number).collect();
            let last = heard.iter().max().copied().unwrap_or(0);
            assert_eq!(heard.len(), last, "of {last} pings {} were answered: {text}", heard.len());
        }
    }
}

struct Scene {
    r1: Machine,
    process: u32,
    provider: Other,
    customer: Other,
    r9: Machine,
}

impl Scene {
    fn begin(world: &mut World, kind: Kind) -> Scene {
        let [mut above, _, mut below] = networks(kind);
        for network in [&mut above, &mut below] {
            network.graceful = true;
            network.password = None;
            network.announces.truncate(2);
        }
        above.announces.extend(VANISHES);
        below.tells = Some(FAR);
        let two = [above, below];
        let [r1, up, down, r9] = ["r1", "provider", "customer", "r9"].map(|name| world.machine(name));
        world.wire((&r1, "eth1"), (&up, "eth1"));
        world.wire((&r1, "eth2"), (&down, "eth1"));
        world.wire((&down, "eth2"), (&r9, "eth1"));
        let ours = plan(&two);
        let [above, below] = two;
        let above = Other::start(world, up, above);
        let customer = Other::start(world, down, below);
        let process = start(world, &r1, ours);
        let mut far = router(9);
        let ends = customer.network.ends_to_customer();
        let ends = ends.each_ref().map(|(ours, theirs)| (ours.as_str(), theirs.as_str()));
        provider(&mut far, "eth1", customer.network.asn, &ends);
        let speaker = far.speaker.as_mut().unwrap();
        speaker.public_asn = Asn(FAR);
        speaker.own_prefixes.clear();
        speaker.neighbours.iter_mut().for_each(|it| it.local_asn = Asn(FAR));
        start(world, &r9, far);
        let scene = Scene { r1, process, provider: above, customer, r9 };
        wait("all is known everywhere", &scene.machines(), || {
            let has = |prefix: &&str| kernel(&scene.r9).contains(*prefix);
            established(&scene.r1) == 4 && OF_PROVIDER.iter().chain(&VANISHES).all(has)
        });
        scene
    }

    fn machines(&self) -> [&Machine; 4] {
        [&self.r1, &self.provider.machine, &self.customer.machine, &self.r9]
    }

    /// A host behind the customer and one behind the provider: what they send goes through r1's kernel.
    fn hosts(&self) -> [(&'static str, &'static str); 2] {
        let pairs = [("45.0.4.1", "8.8.8.8"), ("2a00:45::1", "2620:fe::8")];
        let [(near4, far4), (near6, far6)] = pairs;
        let ends =
            [(&self.customer, [near4, near6], OF_PROVIDER), (&self.provider, [far4, far6], OF_CUSTOMER)];
        for (other, [own4, own6], [to4, to6]) in ends {
            let [ours4, ours6] = other.network.ours();
            other.machine.run(&format!(
                "ip address add {own4}/32 dev lo; ip -6 address add {own6}/128 dev lo; \
                 ip route replace {to4} via {ours4}; ip -6 route replace {to6} via {ours6}"
            ));
        }
        pairs
    }
}

/// Killed, a route vanishes meanwhile, and it comes back.
fn is_helped(world: &mut World, kind: Kind) {
    let mut scene = Scene::begin(world, kind);
    assert_eq!(restart_of(&scene.r1), Value::Null, "the first start is no restart");
    let pairs = scene.hosts();
    let stream = Stream::begin(world, &scene.customer.machine, &pairs, false);
    let mut told = (updates_in(&scene.r9), Instant::now());
    wait("the third party has heard everything", &scene.machines(), || {
        let now = updates_in(&scene.r9);
        if now != told.0 {
            told = (now, Instant::now());
        }
        told.1.elapsed() > Duration::from_secs(1)
    });
    let (told, _) = told;
    world.kill(scene.process);
    for prefix in VANISHES {
        scene.provider.withdraw(prefix);
    }
    world.router(&scene.r1);
    let all = scene.machines();
    let has = |prefix: &str| kernel(&scene.r1).contains(prefix);
    wait("it is back, and what vanished is gone", &all, || {
        assert!(
            OF_PROVIDER.into_iter().chain(OF_CUSTOMER).all(has),
            "{}\n{}\n{}",
            kernel(&scene.r1),
            scene.r1.log(),
            scene.r1.status()["running"]["bgp"]
        );
        established(&scene.r1) == 4 && VANISHES.into_iter().all(|prefix| !has(prefix))
    });
    wait("the third party hears of that, too", &all, || {
        let there = kernel(&scene.r9);
        assert!(OF_PROVIDER.into_iter().all(|prefix| there.contains(prefix)), "{there}");
        // One withdrawal of each family, and nothing else: no route was told anew. GoBGP may tell one that stays again.
        let more = updates_in(&scene.r9).iter().zip(&told).all(|(now, told)| {
            now.as_u64().unwrap_or(0) <= told.as_u64().unwrap_or(0) + 1 + u64::from(kind == Kind::GoBgp)
        });
        assert!(more, "{:?} after {told:?}: {}", updates_in(&scene.r9), scene.customer.machine.log());
        VANISHES.into_iter().all(|prefix| !there.contains(prefix))
    });
    assert!(OF_PROVIDER.into_iter().chain(OF_CUSTOMER).all(has));
    let restart = restart_of(&scene.r1);
    assert_eq!(restart["found"].as_array().map(Vec::len), Some(2), "{restart}");
    assert!(restart["selected"].as_array().unwrap().iter().all(|it| it["why"] == "told"), "{restart}");
    stream.end(world, &scene.customer.machine);
}

pub fn bird_helps(world: &mut World) {
    is_helped(world, Kind::Bird);
}

pub fn frr_helps(world: &mut World) {
    is_helped(world, Kind::Frr);
}

pub fn gobgp_helps(world: &mut World) {
    is_helped(world, Kind::GoBgp);
}

pub fn openbgpd_helps(world: &mut World) {
    is_helped(world, Kind::OpenBgpd);
}

/// r1 --eth1-- r2 --eth2-- r3 --eth3-- r4, each link unnumbered and watched by BFD: r2 goes.
struct Row {
    machines: [Machine; 4],
    r2: u32,
}

fn row(world: &mut World) -> Row {
    let machines = ["r1", "r2", "r3", "r4"].map(|name| world.machine(name));
    for at in 0..3 {
        let link = format!("eth{}", at + 1);
        world.wire((&machines[at], &link), (&machines[at + 1], &link));
    }
    let mut processes = Vec::new();
    for id in 1..=4_u32 {
        let mut plan = router(id);
        for (link, other) in [(id - 1, id - 1), (id, id + 1)].into_iter().filter(|it| (1..=3).contains(&it.0))
        {
            inside(&mut plan, &format!("eth{link}"), other, false);
        }
        for neighbour in &mut plan.speaker.as_mut().unwrap().neighbours {
            neighbour.terms.bfd = Some(BfdTerms::INSIDE);
        }
        processes.push(start(world, &machines[id as usize - 1], plan));
    }
    let all: Vec<&Machine> = machines.iter().collect();
    wait_for_sessions(&all);
    wait_for_loopbacks(&machines[0], 1, 4);
    wait("BFD is up everywhere", &all, || {
        machines.iter().all(|it| {
            let all = it.status()["running"]["bfd"]["sessions"].as_array().cloned().unwrap_or_default();
            !all.is_empty() && all.iter().all(|session| session["state"] == "up")
        })
    });
    Row { machines, r2: processes[1] }
}

impl Row {
    /// Ends r2's process by `end`, starts it again, and nobody notices.
    fn nobody_notices(&self, world: &mut World, end: impl FnOnce(&mut World, &Machine)) {
        let [r1, r2, r3, r4] = &self.machines;
        let all: Vec<&Machine> = self.machines.iter().collect();
        let (from4, to4) = (loopback_v4(1).to_string(), loopback_v4(4).to_string());
        let (from6, to6) = (loopback_v6(1).to_string(), loopback_v6(4).to_string());
        let stream = Stream::begin(world, r1, &[(&from4, &to4), (&from6, &to6)], true);
        let told = updates_in(r4);
        end(world, r2);
        wait("its neighbours keep its routes", &all, || {
            [r1, r3].iter().all(|it| sessions(it).iter().any(|it| it["kept_ms"].is_u64()))
        });
        assert!(r1.log().contains("seems to restart") && r3.log().contains("seems to restart"));
        // For longer than BFD takes to know.
        let silent = Instant::now();
        wait("BFD would know", &all, || silent.elapsed() > Duration::from_millis(600));
        world.router(r2);
        wait("it is back, and all is settled", &all, || {
            assert!(kernel(r1).contains(&to4) && kernel(r1).contains(&to6), "{}", kernel(r1));
            assert_eq!(updates_in(r4), told, "a third party has heard of it");
            established(r2) == 2
                && r2.status()["running"]["routes"]["keeps_stale"] == false
                && [r1, r3].iter().all(|it| sessions(it).iter().all(|it| it["kept_ms"].is_null()))
        });
        let restart = restart_of(r2);
        assert!(restart["selected"].as_array().unwrap().iter().all(|it| it["why"] == "told"), "{restart}");
        assert_eq!(updates_in(r4), told);
        stream.end(world, r1);
    }
}

pub fn our_own_restarts_unnoticed(world: &mut World) {
    let row = row(world);
    let process = row.r2;
    row.nobody_notices(world, |world, _| world.kill(process));
}

/// `tsumugi restart`: the process ends, and whoever supervises it starts another.
pub fn it_makes_room_when_told(world: &mut World) {
    let row = row(world);
    // Not for another one that would run nothing.
    let plan = row.machines[1].state.join("plan.json");
    let sound = fs::read(&plan).unwrap();
    fs::write(&plan, "{\"schema\": 2}").unwrap();
    let before = row.machines[1].status()["pid"].clone();
    let refused = row.machines[1]
        .command(&format!("{} --lang en restart --state .", env!("CARGO_BIN_EXE_tsumugi")))
        .current_dir(&row.machines[1].state)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && words.contains("schema is 2"), "{words}");
    assert_eq!(row.machines[1].status()["pid"], before);
    fs::write(&plan, sound).unwrap();
    let said = row.machines[1].state.join("said");
    let line = format!(
        "exec {} --lang en restart --state {}",
        env!("CARGO_BIN_EXE_tsumugi"),
        row.machines[1].state.display()
    );
    let verb = said.clone();
    row.nobody_notices(world, move |world, r2| {
        world.run_on_fabric(r2, &line, &verb);
        wait("it has ended", &[r2], || r2.log().contains("making room") && r2.status().is_null());
    });
    let words = || fs::read_to_string(&said).unwrap_or_default();
    wait("the verb says who is there now", &[&row.machines[1]], || {
        words().contains("has taken the place of")
    });
    // For good it is said, and nobody keeps anything.
    let now = row.machines[1].status()["pid"].as_u64().unwrap();
    world.signal(u32::try_from(now).unwrap(), Signal::SIGTERM);
    let [r1, .., r4] = &row.machines;
    wait("its routes are gone", &[r1, r4], || !kernel(r1).contains(&loopback_v4(4).to_string()));
}

/// A neighbour that agrees to restarts and never says that it has told everything.
pub fn who_is_never_done_is_waited_for_so_long(world: &mut World) {
    let [a, other] = ["r1", "other"].map(|name| world.machine(name));
    world.wire((&a, "eth1"), (&other, "eth1"));
    other.run("ip link set eth1 addrgenmode none mtu 2400 up; ip address add fe80::2/64 dev eth1 nodad");
    let mut plan = router(1);
    inside(&mut plan, "eth1", 2, false);
    plan.speaker.as_mut().unwrap().neighbours[0].timers.connect_retry = 60_000;
    let process = start(world, &a, plan);
    wait("it runs", &[&a], || !a.status().is_null());
    // Of an earlier life, as far as the kernel is concerned.
    wait("the link is there", &[&a], || {
        a.succeeds("ip route add 192.0.2.77/32 dev eth1 proto 85 metric 2048")
    });
    world.kill(process);
    world.router(&a);
    wait("it waits", &[&a], || !restart_of(&a).is_null());
    let restart = GracefulRestart {
        time: 60,
        families: vec![(AfiSafi::IPV4_UNICAST, true)],
        ..GracefulRestart::default()
    };
    let capabilities = vec![
        Capability::Multiprotocol(AfiSafi::IPV4_UNICAST),
        Capability::ExtendedNextHop(vec![(AfiSafi::IPV4_UNICAST, 2)]),
        Capability::GracefulRestart(restart),
    ];
    let open = Open::new(Asn::of_router(2), 90, loopback_v4(2), capabilities);
    let _stranger = Stranger::begin(other.call("eth1", "fe80::1".parse().unwrap()), &open);
    wait("the session stands", &[&a], || established(&a) == 1);
    let said =
        a.run(&format!("{} --lang en show bgp --state {}", env!("CARGO_BIN_EXE_tsumugi"), a.state.display()));
    assert!(said.contains("IPv4: nothing is chosen or told yet, waits for r2 eth1 for up to"), "{said}");
    let begun = Instant::now();
    while restart_of(&a)["deferred"][0]["family"] == "ipv4-unicast" {
        assert!(a.run("ip route show").contains("192.0.2.77"), "gone before its time");
        assert!(begun.elapsed() < Duration::from_secs(40), "{}", restart_of(&a));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(begun.elapsed() > Duration::from_secs(15), "{}", restart_of(&a));
    assert_eq!(restart_of(&a)["selected"][0]["why"], "late");
    wait("what nobody confirms goes", &[&a], || !a.run("ip route show").contains("192.0.2.77"));
    assert_eq!(a.status()["running"]["routes"]["purged"], 1);
}
