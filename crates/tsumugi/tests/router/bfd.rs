//! BFD: among ours, with FRR on an unnumbered and on numbered links, with BIRD over one hop and several.

use super::inside::{sessions, start, wait_for_loopbacks, wait_for_sessions};
use super::plans::{inside, loopback_v4, originate, provider, router, sealed};
use super::world::{Cuttable, Machine, World, find, wait};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tsumugi_core::bfd::BfdTerms;
use tsumugi_core::router_plan::RouterPlan;

/// Every neighbour is watched so.
fn watch(plan: &mut RouterPlan, bfd: BfdTerms) {
    for neighbour in &mut plan.speaker.as_mut().unwrap().neighbours {
        neighbour.terms.bfd = Some(bfd);
    }
}

fn bfd(machine: &Machine) -> Vec<Value> {
    machine.status()["running"]["bfd"]["sessions"].as_array().cloned().unwrap_or_default()
}

fn is_up(machine: &Machine) -> bool {
    let all = bfd(machine);
    !all.is_empty() && all.iter().all(|session| session["state"] == "up")
}

fn wait_until_up(machines: &[&Machine]) {
    for machine in machines {
        wait(&format!("BFD of {} is up", machine.name), machines, || is_up(machine));
    }
}

/// A triangle, eth1 between r1 and r2, eth2 between r1 and r3, eth3 between r2 and r3: pings every 10 ms from
/// r1 to r2 tell how long the way was away.
pub fn bfd_repairs_a_silent_cut(world: &mut World) {
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
        watch(&mut plan, BfdTerms::INSIDE);
        start(world, &machines[at(id)], plan);
    }
    let [a, b, c] = &machines;
    wait_for_sessions(&[a, b, c]);
    wait_for_loopbacks(a, 1, 2);
    wait_until_up(&[a, b, c]);
    for how in ["silence", "carrier"] {
        let output = a.state.join("ping");
        let ping = format!("exec ping -n -D -i 0.01 -I {} {}", loopback_v4(1), loopback_v4(2));
        let ping = world.run_on_fabric(a, &ping, &output);
        wait("pings are answered", &[a], || answers(&output).len() > 20);
        if how == "silence" {
            cuttable.cut();
        } else {
            cuttable.pull_out();
        }
        let route = || a.run(&format!("ip route show {}", loopback_v4(2)));
        wait("the way leads round", &[a, b, c], || route().contains("via inet6 fe80::3 dev eth2"));
        let before = answers(&output).len();
        wait("pings are answered again", &[a, b, c], || answers(&output).len() > before + 20);
        world.kill(ping);
        let longest = longest_gap(&answers(&output));
        eprintln!("{how}: repaired in {} ms with 3 x 100 ms", longest.as_millis());
        assert!(longest < Duration::from_secs(2), "{longest:?}: no faster than the hold time");
        if how == "silence" {
            let end = sessions(a)[0]["last_end_words"].clone();
            assert!(end.as_str().unwrap().contains("BFD"), "{end}");
            cuttable.mend();
            wait_until_up(&[a, b, c]);
            wait_for_sessions(&[a, b, c]);
        }
    }
}

/// When the answers of `ping -D` came.
fn answers(output: &Path) -> Vec<f64> {
    let text = fs::read_to_string(output).unwrap_or_default();
    let of = |line: &str| {
        let time = line.strip_prefix('[')?.split_once(']')?.0.parse().ok()?;
        line.contains("bytes from").then_some(time)
    };
    text.lines().filter_map(of).collect()
}

fn longest_gap(times: &[f64]) -> Duration {
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    Duration::from_secs_f64(longest)
}

/// FRR's daemons with these configurations.
fn run_frr(world: &mut World, frr: &Machine, configurations: &[(&str, String)]) -> String {
    let directory = world.directory("frr-files");
    for (daemon, configuration) in configurations {
        fs::write(directory.join(format!("{daemon}.conf")), configuration).unwrap();
    }
    frr.run(&format!("chown -R frr:frr {}", directory.display()));
    let d = directory.display();
    for (daemon, _) in configurations {
        let program = find(daemon).unwrap();
        let more = if *daemon == "bfdd" { format!("--bfdctl {d}/bfdd.sock") } else { String::new() };
        let line = format!(
            "exec {} -f {d}/{daemon}.conf --vty_socket {d} -z {d}/zserv.api -i {d}/{daemon}.pid -P 0 \
             --log stdout {more}",
            program.display()
        );
        world.run_on(frr, &line);
        wait(&format!("{daemon} runs"), &[frr], || directory.join(format!("{daemon}.vty")).exists());
    }
    d.to_string()
}

/// What the other implementation says of all its sessions.
struct Far<'a> {
    is_up: &'a dyn Fn() -> bool,
    is_down: &'a dyn Fn() -> bool,
}

/// Cut without a word, known at both ends for what it is, and up again when mended.
fn cut_and_mend(wires: &[Cuttable], ours: &Machine, far: &Machine, says: &Far) {
    let both = [ours, far];
    wait("the far end says up", &both, says.is_up);
    assert!(bfd(ours).iter().all(|it| it["downs"] == 0), "{:?}", bfd(ours));
    let begin = Instant::now();
    wires.iter().for_each(Cuttable::cut);
    wait("BFD knows", &both, || bfd(ours).iter().all(|it| it["downs"] == 1));
    eprintln!("known after {} ms at the latest", begin.elapsed().as_millis());
    for session in bfd(ours) {
        assert_eq!(session["last_down"]["cause"], "silence", "{session}");
        let name = session["name"].as_str().unwrap().to_owned();
        let lost = format!("session with {name} has ended: BFD heard nothing for 300 ms");
        wait("BGP's sessions end for it", &both, || ours.log().contains(&lost));
    }
    wait("the far end says down", &both, says.is_down);
    wires.iter().for_each(Cuttable::mend);
    wait_for_sessions(&[ours]);
    wait_until_up(&[ours]);
    wait("the far end says up again", &both, says.is_up);
}

/// r1 --eth1 (unnumbered), eth2 (numbered)-- frr
pub fn frr_and_ours_watch_each_other(world: &mut World) {
    let [a, frr] = ["r1", "frr"].map(|name| world.machine(name));
    let wires = ["eth1", "eth2"].map(|link| world.cuttable_wire((&a, link), (&frr, link)));
    frr.run("sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv4.ip_forward=1");
    frr.run("ip link set eth1 mtu 2400 up; ip link set eth2 up");
    frr.run("ip address add 203.0.113.1/30 dev eth2; ip address add 2001:db8:900:1::1/64 dev eth2 nodad");
    let inside_bgp = "router bgp 4200000002\n bgp router-id 203.0.113.1\n no bgp ebgp-requires-policy\n \
         no bgp default ipv4-unicast\n \
         neighbor eth1 interface remote-as 4200000001\n neighbor eth1 timers connect 1\n neighbor eth1 bfd profile fast\n";
    let numbered = ["203.0.113.2", "2001:db8:900:1::2"].map(|address| {
        format!(
            " neighbor {address} remote-as 63806\n neighbor {address} local-as 59105 no-prepend replace-as\n \
             neighbor {address} timers connect 1\n neighbor {address} bfd profile fast\n"
        )
    });
    let families = " address-family ipv4 unicast\n  neighbor eth1 activate\n  neighbor 203.0.113.2 activate\n \
         exit-address-family\n address-family ipv6 unicast\n  neighbor eth1 activate\n  \
         neighbor 2001:db8:900:1::2 activate\n exit-address-family\n\nexit\n";
    let fast = "bfd\n profile fast\n  receive-interval 100\n  transmit-interval 100\n exit\nexit\n";
    let d = run_frr(
        world,
        &frr,
        &[
            ("zebra", "interface eth1\n no ipv6 nd suppress-ra\n ipv6 nd ra-lifetime 0\nexit\n".into()),
            ("bfdd", fast.into()),
            ("bgpd", format!("hostname frr\n{inside_bgp}{}{families}", numbered.concat())),
        ],
    );
    let mut plan = router(1);
    inside(&mut plan, "eth1", 2, true);
    let ends = [("203.0.113.2/30", "203.0.113.1"), ("2001:db8:900:1::2/64", "2001:db8:900:1::1")];
    provider(&mut plan, "eth2", 59_105, &ends);
    originate(&mut plan, &[]);
    watch(&mut plan, BfdTerms::INSIDE);
    start(world, &a, plan);
    wait_for_sessions(&[&a]);
    wait_until_up(&[&a]);
    let show = || frr.run(&format!("vtysh --vty_socket {d} -c 'show bfd peers'"));
    let ups = || show().matches("Status: up").count();
    wait("FRR's are up", &[&a, &frr], || ups() == 3);
    wait("both keep the pace", &[&a, &frr], || {
        bfd(&a).iter().all(|it| it["detection_us"] == 300_000 && it["interval_us"] == 100_000)
    });
    let far = Far { is_up: &|| ups() == 3, is_down: &|| show().matches("Status: down").count() == 3 };
    cut_and_mend(&wires, &a, &frr, &far);
}

/// r1 --eth1 (numbered: IPv4 over one hop, IPv6 as over several), eth2 (link-local)-- bird
pub fn bird_and_ours_watch_each_other(world: &mut World) {
    let [a, bird] = ["r1", "bird"].map(|name| world.machine(name));
    let wires = ["eth1", "eth2"].map(|link| world.cuttable_wire((&a, link), (&bird, link)));
    bird.run("ip link set eth1 up; ip address add 203.0.113.1/30 dev eth1");
    bird.run("ip address add 2001:db8:900:1::1/64 dev eth1 nodad");
    bird.run("ip link set eth2 addrgenmode none mtu 2400 up; ip address add fe80::2/64 dev eth2 nodad");
    let pace = "min rx interval 100 ms; min tx interval 100 ms; multiplier 3;";
    let terms = "connect retry time 1; error wait time 1, 2; bfd on;";
    let configuration = format!(
        "log stderr all;
        router id 203.0.113.1;
        protocol device {{ scan time 1; }}
        protocol bfd {{ interface \"eth*\" {{ {pace} }}; multihop {{ {pace} }}; }}
        protocol bgp p4 {{
            local 203.0.113.1 as 150369; neighbor 203.0.113.2 as 63806; {terms}
            ipv4 {{ import all; export none; }};
        }}
        protocol bgp p6 {{
            local 2001:db8:900:1::1 as 150369; neighbor 2001:db8:900:1::2 as 63806; multihop 3; {terms}
            ipv6 {{ import all; export none; }};
        }}
        protocol bgp inside {{
            local fe80::2 as 4200000002; neighbor fe80::1%'eth2' as 4200000001; {terms}
            ipv4 {{ extended next hop on; import all; export none; }};
            ipv6 {{ import all; export none; }};
        }}
        "
    );
    let directory = world.directory("bird-files");
    let d = directory.display();
    fs::write(directory.join("bird.conf"), configuration).unwrap();
    world.run_on(&bird, &format!("exec bird -f -c {d}/bird.conf -s {d}/bird.ctl"));
    let mut plan = router(1);
    let ends = [("203.0.113.2/30", "203.0.113.1"), ("2001:db8:900:1::2/64", "2001:db8:900:1::1")];
    provider(&mut plan, "eth1", 150_369, &ends);
    inside(&mut plan, "eth2", 2, false);
    originate(&mut plan, &[]);
    watch(&mut plan, BfdTerms::INSIDE);
    let far = &mut plan.speaker.as_mut().unwrap().neighbours[1];
    far.terms.bfd = Some(BfdTerms { multihop: true, ..BfdTerms::INSIDE });
    let process = start(world, &a, plan.clone());
    wait_for_sessions(&[&a]);
    wait_until_up(&[&a]);
    let show = || bird.run(&format!("birdc -r -s {d}/bird.ctl show bfd sessions"));
    let count = |state: &str| show().lines().filter(|line| line.contains(state)).count();
    wait("both keep the pace", &[&a, &bird], || {
        bfd(&a).iter().all(|it| it["detection_us"] == 300_000 && it["interval_us"] == 100_000)
    });
    let far = Far { is_up: &|| count("Up") == 3, is_down: &|| count("Up") == 0 };
    cut_and_mend(&wires, &a, &bird, &far);

    // Another pace, while all stands on.
    let before: Vec<_> = sessions(&a).iter().map(|it| it["established_count"].clone()).collect();
    let downs: Vec<_> = bfd(&a).iter().map(|it| it["downs"].clone()).collect();
    for neighbour in &mut plan.speaker.as_mut().unwrap().neighbours {
        let terms = neighbour.terms.bfd.unwrap();
        neighbour.terms.bfd = Some(BfdTerms { interval: 250, multiplier: 4, ..terms });
    }
    plan.generation = 2;
    a.write(&sealed(plan));
    world.signal(process, Signal::SIGHUP);
    wait("both keep the new pace", &[&a, &bird], || {
        bfd(&a).iter().all(|it| it["detection_us"] == 750_000 && it["interval_us"] == 250_000)
    });
    wait("BIRD waits for four intervals", &[&a, &bird], || count("1.000") == 3);
    assert_eq!(sessions(&a).iter().map(|it| it["established_count"].clone()).collect::<Vec<_>>(), before);
    assert_eq!(bfd(&a).iter().map(|it| it["downs"].clone()).collect::<Vec<_>>(), downs);

    // Stopped on purpose: it is told so, and no failure.
    world.signal(process, Signal::SIGTERM);
    wait("BIRD's go down", &[&a, &bird], || count("Up") == 0);
}
