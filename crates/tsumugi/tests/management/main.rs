//! Management processes that find each other, each in namespaces of its own.
//!
//! ```text
//!   member a (fd63:806::1)  eth1 10.0.1.2 ──NAT──┐
//!                           eth2 2001:db8:2::2 ──┤  net (router; the test breaks it)
//!   member b (fd63:806::2)  eth1 10.0.3.2 ──NAT──┤
//!   hub      (fd63:806::3)  eth1 198.51.100.3 ───┤
//!            underlay plane: eth2 2001:db8:4::2 ─┘
//! ```
//!
//! a and b cannot be called; they meet at the hub. The lines of a pass 1280 bytes only.

#[allow(dead_code)]
#[path = "../router/world.rs"]
mod world;

use boringtun::x25519::{PublicKey, StaticSecret};
use libtest_mimic::{Arguments, Trial};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tsumugi_core::desired::{Address, Desired, Link, LinkKind, NextHop, Route, RouteTarget, Sysctl};
use tsumugi_core::evpn::config::EvpnConfig;
use tsumugi_core::id::{Asn, IfName, KeyName, Plane};
use tsumugi_core::router_plan::{
    ManagementPlan, Overlay, OverlayLine, OverlayNeighbour, OverlayPath, RouterPlan, SCHEMA,
};
use world::{Machine, World, in_world, missing};

const PORT: u16 = 51_900;
const MEMBERS: [&str; 3] = ["a", "b", "hub"];

fn main() -> ExitCode {
    let trial = |name: &str, test: fn(&mut World)| {
        let missing = missing(&["ip", "nft", "ping", "unshare", "nsenter", "setpriv"]);
        if let Some(missing) = &missing {
            eprintln!("skipped: {name}: {missing}");
        }
        Trial::test(name, move || in_world(test)).with_ignored_flag(missing.is_some())
    };
    let trials = vec![
        trial("members_that_nobody_can_call_meet", members_that_nobody_can_call_meet),
        trial("another_line_takes_over_within_seconds", another_line_takes_over_within_seconds),
        trial("a_killed_process_comes_back", a_killed_process_comes_back),
        trial("what_is_missing_is_waited_for", what_is_missing_is_waited_for),
        trial("a_false_source_is_dropped_and_counted", a_false_source_is_dropped_and_counted),
        trial("a_plan_that_is_not_understood_changes_nothing", a_plan_that_is_not_understood_changes_nothing),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn name(text: &str) -> IfName {
    IfName::new(text).unwrap()
}

fn key(member: &str, line: &str) -> KeyName {
    KeyName(format!("management.{member}.{line}"))
}

/// The same key for the same name in every test.
fn secret(name: &KeyName) -> StaticSecret {
    let mut bytes = [7; 32];
    for (to, from) in bytes.iter_mut().zip(name.0.bytes().rev()) {
        *to = from;
    }
    bytes.into()
}

fn overlay_address(member: &str) -> String {
    let id = MEMBERS.iter().position(|known| *known == member).unwrap() + 1;
    format!("fd63:806::{id}")
}

fn line(member: &str, line: &str, link: &str, plane: Plane) -> OverlayLine {
    OverlayLine {
        name: line.into(),
        plane,
        link: Some(name(link)),
        address: None,
        listen_port: PORT,
        key: key(member, line),
    }
}

fn path(line: &str, far: &str, far_line: &str, endpoint: Option<&str>) -> OverlayPath {
    OverlayPath {
        line: line.into(),
        remote_key: key(far, far_line),
        endpoint: endpoint.map(|address| SocketAddr::new(address.parse().unwrap(), PORT)),
        path_mtu: 1280,
    }
}

fn neighbour(member: &str, paths: Vec<OverlayPath>) -> OverlayNeighbour {
    OverlayNeighbour {
        name: member.into(),
        prefixes: vec![format!("{}/128", overlay_address(member)).parse().unwrap()],
        meeting: member == "hub",
        paths,
    }
}

fn plan(member: &str) -> RouterPlan {
    let (inet, ngn) = (Some("198.51.100.3"), Some("2001:db8:4::2"));
    let (lines, neighbours) = match member {
        "a" => {
            let lines = vec![
                line("a", "ngn", "eth2", Plane::Management),
                line("a", "lte", "eth1", Plane::Management),
            ];
            let paths = vec![path("ngn", "hub", "ngn", ngn), path("lte", "hub", "inet", inet)];
            (lines, vec![neighbour("hub", paths)])
        }
        "b" => {
            let paths = vec![path("lte", "hub", "inet", inet)];
            (vec![line("b", "lte", "eth1", Plane::Management)], vec![neighbour("hub", paths)])
        }
        _ => {
            let lines = vec![
                line("hub", "inet", "eth1", Plane::Management),
                line("hub", "ngn", "eth2", Plane::Underlay),
            ];
            let from_a = vec![path("ngn", "a", "ngn", None), path("inet", "a", "lte", None)];
            let from_b = vec![path("inet", "b", "lte", None)];
            (lines, vec![neighbour("a", from_a), neighbour("b", from_b)])
        }
    };
    let address = overlay_address(member);
    let desired = Desired {
        links: vec![Link {
            name: name("mgmt"),
            alias: "management overlay".into(),
            kind: LinkKind::Tunnel,
            mtu: 1280,
            mac: None,
            master: None,
        }],
        addresses: vec![Address { link: name("mgmt"), prefix: format!("{address}/128").parse().unwrap() }],
        routes: vec![Route {
            prefix: "fd63:806::/48".parse().unwrap(),
            target: RouteTarget::NextHops { next_hops: vec![NextHop { link: name("mgmt"), via: None }] },
            source: Some(address.parse().unwrap()),
            mtu: None,
            metric: None,
        }],
        sysctls: vec![Sysctl {
            key: "net/ipv6/conf/all/forwarding".into(),
            value: if member == "hub" { "1" } else { "0" }.into(),
            optional: false,
        }],
        ..Desired::default()
    };
    let overlay = Overlay {
        device: name("mgmt"),
        alias: "management overlay".into(),
        mtu: 1280,
        space: "fd63:806::/48".parse().unwrap(),
        lines,
        neighbours,
    };
    let mut plan = RouterPlan {
        schema: SCHEMA,
        generation: 1,
        hash: String::new(),
        network: "test".into(),
        public_asn: Asn(63806),
        name: member.into(),
        id: 1,
        site: String::new(),
        management: ManagementPlan { desired, overlay },
        underlay: Desired::default(),
        fabric: Desired::default(),
        tunnels: Vec::new(),
        speaker: None,
        routing: tsumugi_core::router_plan::Routing::default(),
        rpki: None,
        bmp: None,
        evpn: EvpnConfig::default(),
    };
    tsumugi_plan::hash::seal(&mut plan);
    plan
}

struct Bench<'a> {
    world: &'a mut World,
    net: Machine,
    members: BTreeMap<&'static str, Machine>,
    processes: BTreeMap<&'static str, u32>,
}

impl<'a> Bench<'a> {
    /// Wires, addresses and keys; no process yet.
    fn new(world: &'a mut World) -> Bench<'a> {
        let net = world.machine("net");
        let members: BTreeMap<_, _> = MEMBERS.map(|member| (member, world.machine(member))).into();
        let ring: BTreeMap<String, String> =
            [("a", "ngn"), ("a", "lte"), ("b", "lte"), ("hub", "inet"), ("hub", "ngn")]
                .map(|(member, line)| {
                    let name = key(member, line);
                    let secret = secret(&name);
                    let keys = members[member].state.join("keys");
                    fs::create_dir_all(&keys).unwrap();
                    fs::write(keys.join(&name.0), base64(secret.as_bytes())).unwrap();
                    (name.0, base64(PublicKey::from(&secret).as_bytes()))
                })
                .into();
        for (member, machine) in &members {
            fs::write(machine.state.join("keyring.json"), serde_json::to_string(&ring).unwrap()).unwrap();
            machine.write(&plan(member));
        }
        world.wire((&members["a"], "eth1"), (&net, "a1"));
        world.wire((&members["a"], "eth2"), (&net, "a2"));
        world.wire((&members["b"], "eth1"), (&net, "b1"));
        world.wire((&members["hub"], "eth1"), (&net, "h1"));
        world.wire((&members["hub"], "eth2"), (&net, "h2"));
        net.run(
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
             for port in a1 a2 b1 h1 h2; do ip link set $port up; done
             ip link set a1 mtu 1280; ip link set a2 mtu 1280
             ip addr add 10.0.1.1/24 dev a1; ip addr add 10.0.3.1/24 dev b1
             ip addr add 198.51.100.1/24 dev h1
             ip addr add 2001:db8:2::1/64 dev a2 nodad; ip addr add 2001:db8:4::1/64 dev h2 nodad
             nft -f - <<END
             table inet net {
               chain nat { type nat hook postrouting priority srcnat; oifname h1 masquerade; }
               chain forward {
                 type filter hook forward priority filter;
                 ct state established,related accept
                 oifname { a1, a2, b1 } drop
               }
               chain cut { type filter hook forward priority filter - 10; }
             }
END",
        );
        members["a"].run(
            "ip link set eth1 mtu 1280 up; ip link set eth2 mtu 1280 up
             ip addr add 10.0.1.2/24 dev eth1; ip route add default via 10.0.1.1
             ip addr add 2001:db8:2::2/64 dev eth2 nodad; ip route add default via 2001:db8:2::1",
        );
        members["b"]
            .run("ip link set eth1 up; ip addr add 10.0.3.2/24 dev eth1; ip route add default via 10.0.3.1");
        members["hub"].run(
            "ip link set eth1 up; ip addr add 198.51.100.3/24 dev eth1
             ip route add default via 198.51.100.1",
        );
        Bench { world, net, members, processes: BTreeMap::new() }
    }

    fn start(&mut self, member: &'static str) {
        let machine = &self.members[member];
        let program = env!("CARGO_BIN_EXE_tsumugi");
        let line = format!("exec {program} management --state {}", machine.state.display());
        let pid = self.world.run_on(machine, &line);
        self.processes.insert(member, pid);
    }

    /// What the datapath process would do: the hub's second port in the underlay.
    fn equip_underlay(&self) {
        let hub = &self.members["hub"];
        let underlay = hub.state.join("planes/underlay");
        self.wait("the hub's underlay", || {
            underlay.exists()
                && hub.succeeds(&format!("nsenter --net={} ip link set lo up", underlay.display()))
        });
        hub.run(&format!("ip link set eth2 netns {}", underlay.display()));
        hub.run(&format!(
            "nsenter --net={} sh -c 'ip link set eth2 up; ip addr add 2001:db8:4::2/64 dev eth2 nodad;
             ip route add default via 2001:db8:4::1'",
            underlay.display()
        ));
    }

    fn start_all(&mut self) {
        for member in MEMBERS {
            self.start(member);
        }
        self.equip_underlay();
        self.wait("every path is alive", || {
            alive(&self.status("a"), "hub") == 2 && alive(&self.status("b"), "hub") == 1
        });
        self.wait("a reaches b", || self.pings("a", "b"));
    }

    fn wait(&self, what: &str, mut holds: impl FnMut() -> bool) -> Duration {
        let start = Instant::now();
        while !holds() {
            if start.elapsed() > Duration::from_secs(15) {
                let said: String = MEMBERS
                    .iter()
                    .map(|member| {
                        format!("\n--- {member}\n{}\n{}", self.status(member), self.members[member].log())
                    })
                    .collect();
                panic!("not within 15 s: {what}{said}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        start.elapsed()
    }

    /// 1280 bytes inside, not to be cut.
    fn pings(&self, from: &str, to: &str) -> bool {
        self.members[from].succeeds(&format!("ping -c 1 -W 1 -n -M do -s 1232 {}", overlay_address(to)))
    }

    fn status(&self, member: &str) -> Value {
        let socket = self.members[member].state.join("management.sock");
        let Ok(mut stream) = UnixStream::connect(socket) else { return Value::Null };
        let mut text = String::new();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let _ = stream.read_to_string(&mut text);
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }
}

fn member<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    status["members"].as_array()?.iter().find(|member| member["name"] == name)
}

fn alive(status: &Value, name: &str) -> usize {
    let paths = member(status, name).and_then(|member| member["paths"].as_array());
    paths.map_or(0, |paths| paths.iter().filter(|path| path["alive"] == true).count())
}

fn line_in_use(status: &Value, name: &str) -> Option<String> {
    member(status, name)?["line"].as_str().map(str::to_owned)
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn members_that_nobody_can_call_meet(world: &mut World) {
    let mut bench = Bench::new(world);
    bench.start_all();
    for (from, to) in [("a", "hub"), ("hub", "a"), ("b", "a"), ("hub", "b"), ("a", "b")] {
        assert!(bench.pings(from, to), "{from} to {to}");
    }
    // In reserve is what is paid for by the byte.
    assert_eq!(line_in_use(&bench.status("a"), "hub").as_deref(), Some("ngn"));
    // What does not exist comes back as no storm between meeting points.
    assert!(!bench.members["a"].succeeds("ping -c 1 -W 1 -n fd63:806::99"));
    // The plane is what the plan says, and our own MTU holds.
    let link = bench.members["a"].run("ip link show mgmt");
    assert!(link.contains("mtu 1280") && link.contains("alias tsumugi: management overlay"), "{link}");
}

fn another_line_takes_over_within_seconds(world: &mut World) {
    let mut bench = Bench::new(world);
    bench.start_all();
    let cuts = [("ngn", "iifname a2 drop; add rule inet net cut oifname a2 drop", "lte")];
    for (line, cut, other) in cuts {
        assert_eq!(line_in_use(&bench.status("a"), "hub").as_deref(), Some(line));
        bench.net.run(&format!("nft 'add rule inet net cut {cut}'"));
        // Unplugged nowhere: only silence tells of it.
        let took = bench.wait("b reaches a again", || bench.pings("b", "a"));
        assert!(took < Duration::from_secs(8), "{took:?}");
        assert_eq!(line_in_use(&bench.status("a"), "hub").as_deref(), Some(other));
        bench.net.run("nft flush chain inet net cut");
        bench.wait("the preferred line is used again", || {
            line_in_use(&bench.status("a"), "hub").as_deref() == Some(line)
        });
        assert!(bench.pings("b", "a"));
    }
}

fn a_killed_process_comes_back(world: &mut World) {
    let mut bench = Bench::new(world);
    bench.start_all();
    let hub = bench.processes["hub"];
    bench.world.kill(hub);
    // Its interface, address and route stay.
    bench.members["hub"].run("ip addr show dev mgmt | grep -q fd63:806::3");
    assert!(!bench.pings("a", "b"));
    bench.start("hub");
    let took = bench.wait("a reaches b again", || bench.pings("a", "b"));
    assert!(took < Duration::from_secs(8), "{took:?}");
}

fn what_is_missing_is_waited_for(world: &mut World) {
    let mut bench = Bench::new(world);
    // The port of b is unplugged, a key of a is not there yet.
    bench.members["b"].run("ip link set eth1 name away");
    let key = bench.members["a"].state.join("keys/management.a.lte");
    fs::rename(&key, key.with_extension("away")).unwrap();
    for member in MEMBERS {
        bench.start(member);
    }
    bench.equip_underlay();
    bench.wait("a reaches the hub by its other line", || bench.pings("a", "hub"));
    let troubles = bench.status("a")["troubles"].to_string();
    assert!(troubles.contains("management.a.lte"), "{troubles}");
    let line = bench.status("b")["lines"][0].clone();
    assert_eq!((&line["open"], line["trouble"].is_object()), (&Value::Bool(false), true), "{line}");

    fs::rename(key.with_extension("away"), &key).unwrap();
    bench.members["b"].run(
        "ip link set away down; ip link set away name eth1; ip link set eth1 up
         ip route replace default via 10.0.3.1",
    );
    bench.wait("every path is alive", || {
        alive(&bench.status("a"), "hub") == 2 && alive(&bench.status("b"), "hub") == 1
    });
    // The interface of a line is taken away and comes back as another one (a USB modem).
    bench.members["b"].run("ip link del eth1");
    let b = &bench.members["b"];
    bench.world.wire((b, "eth1"), (&bench.net, "b1"));
    bench.net.run("ip link set b1 up; ip addr add 10.0.3.1/24 dev b1");
    bench.members["b"]
        .run("ip link set eth1 up; ip addr add 10.0.3.2/24 dev eth1; ip route add default via 10.0.3.1");
    bench.wait("b is reached again", || bench.pings("a", "b"));
}

fn a_false_source_is_dropped_and_counted(world: &mut World) {
    let mut bench = Bench::new(world);
    bench.start_all();
    bench.members["a"].run("ip addr add fd63:806::77/128 dev lo");
    assert!(!bench.members["a"].succeeds("ping -c 1 -W 1 -n -I fd63:806::77 fd63:806::3"));
    let drops = bench.status("hub")["drops"].clone();
    assert_eq!(drops["false-source"], 1, "{drops}");
    // Datagrams of strangers, and of somebody with no key of ours.
    bench.members["b"].run("echo hello | nc -u -w 1 198.51.100.3 51900 || true");
    assert!(bench.pings("a", "b"));
}

fn a_plan_that_is_not_understood_changes_nothing(world: &mut World) {
    let mut bench = Bench::new(world);
    bench.start_all();
    let mut other = plan("a");
    other.generation = 2;
    other.management.overlay.neighbours.clear();
    bench.members["a"].write(&other);
    let a = bench.processes["a"];
    bench.world.signal(a, Signal::SIGHUP);
    bench.wait("the refusal is told", || bench.status("a")["plan"]["refused"].is_object());
    assert!(bench.pings("a", "b"));
    // Sealed, it is taken; and with the old one again the sessions come back.
    tsumugi_plan::hash::seal(&mut other);
    bench.members["a"].write(&other);
    bench.world.signal(a, Signal::SIGHUP);
    bench.wait("the new plan is in force", || {
        bench.status("a")["members"].as_array().is_some_and(Vec::is_empty)
    });
    assert!(!bench.pings("a", "b"));
    bench.members["a"].write(&plan("a"));
    bench.world.signal(a, Signal::SIGHUP);
    bench.wait("a reaches b again", || bench.pings("a", "b"));
    // SIGTERM ends the process and leaves the plane as it is.
    bench.world.signal(a, Signal::SIGTERM);
    bench.wait("the process is gone", || bench.status("a").is_null());
    bench.members["a"].run("ip -6 route show fd63:806::/48 | grep -q 'dev mgmt proto 84'");
}
