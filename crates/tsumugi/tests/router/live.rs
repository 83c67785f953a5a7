//! Plans that change while sessions stand: what changes comes into force, and the sessions go on, as the
//! neighbour sees them too.
//!
//! r1 --eth1-- bird (AS150369, provider: over IPv4 with route refresh and GTSM, over IPv6 with neither)
//! r1 --eth1-- r2 (both ours, two networks)

use super::inside::{established, sessions};
use super::others::{Kind, Other};
use super::outsiders;
use super::plans::{originate, prefix, provider, router, sealed};
use super::world::{Machine, World, wait};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use tsumugi_core::bfd::BfdTerms;
use tsumugi_core::bgp::config::{NeighbourConfig, OutsidePolicy, Relation, Role, Terms, Transport};
use tsumugi_core::id::{Asn, KeyName};
use tsumugi_core::router_plan::RouterPlan;

/// A router with its plan, which changes.
struct Live {
    machine: Machine,
    process: u32,
    plan: RouterPlan,
}

impl Live {
    fn start(world: &mut World, machine: Machine, plan: RouterPlan) -> Live {
        machine.write(&sealed(plan.clone()));
        let process = world.router(&machine);
        Live { machine, process, plan }
    }

    /// Another plan lies in the state folder.
    fn lay(&mut self, change: impl Fn(&mut NeighbourConfig)) {
        self.plan.speaker.as_mut().unwrap().neighbours.iter_mut().for_each(change);
        self.plan.generation += 1;
        self.machine.write(&sealed(self.plan.clone()));
    }

    fn hup(&self, world: &mut World) {
        world.signal(self.process, Signal::SIGHUP);
        wait("the plan is in force", &[&self.machine], || {
            self.machine.status()["plan"]["generation"] == self.plan.generation
        });
    }

    fn change(&mut self, world: &mut World, change: impl Fn(&mut NeighbourConfig)) {
        self.lay(change);
        self.hup(world);
    }

    /// No session has ended since the first began, and all stand.
    fn stands(&self, what: &str) {
        let sessions = sessions(&self.machine);
        assert!(!sessions.is_empty());
        for session in sessions {
            let seen = (&session["state"], &session["established_count"]);
            assert_eq!(seen, (&"established".into(), &1.into()), "{what}: {session}");
        }
    }

    fn routes(&self) -> String {
        self.machine.run("ip route show; ip -6 route show")
    }
}

type Change = fn(&mut NeighbourConfig);

fn policy(neighbour: &mut NeighbourConfig) -> &mut OutsidePolicy {
    let Relation::Outside(policy) = &mut neighbour.relation else { panic!("outside") };
    policy
}

fn of_ipv6(neighbour: &NeighbourConfig) -> bool {
    matches!(neighbour.transport, Transport::Numbered { local, .. } if local.is_ipv6())
}

fn write_secret(machine: &Machine, secret: &str) {
    let directory = machine.state.join("secrets");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("agreed"), format!("{secret}\n")).unwrap();
}

/// One of the kernel's counters (`/proc/net/netstat`) where the machine's BGP runs.
fn counter(machine: &Machine, name: &str) -> u64 {
    let text = machine.run("cat /proc/net/netstat");
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split_whitespace().position(|it| it == name).unwrap();
    values.split_whitespace().nth(at).unwrap().parse().unwrap()
}

/// How many segments the kernel has dropped there since they were not signed as agreed.
fn unagreed(machine: &Machine) -> u64 {
    ["TCPMD5Failure", "TCPMD5NotFound", "TCPMD5Unexpected"].iter().map(|name| counter(machine, name)).sum()
}

const ENDS: [(&str, &str); 2] =
    [("203.0.113.2/30", "203.0.113.1"), ("2001:db8:900:1::2/64", "2001:db8:900:1::1")];
const OWN: [&str; 2] = ["43.228.174.0/24", "2402:3160::/32"];
const THEIRS: [&str; 4] = ["8.8.8.0/24", "8.8.4.0/24", "2620:fe::/48", "2620:99::/48"];

struct Bird {
    machine: Machine,
    control: String,
}

impl Bird {
    fn start(world: &mut World, machine: Machine) -> Bird {
        machine.run(
            "ip address add 203.0.113.1/30 dev eth1; ip address add 2001:db8:900:1::1/64 dev eth1 nodad",
        );
        machine.run("ip link set eth1 up");
        let [a, b, c, d] = THEIRS;
        let terms = "password \"a-secret\"; connect retry time 1; error wait time 1, 2;";
        let configuration = format!(
            "log stderr all;
            router id 203.0.113.1;
            debug protocols {{ states }};
            protocol device {{ scan time 1; }}
            protocol static s4 {{ ipv4; route {a} blackhole; route {b} blackhole; }}
            protocol static s6 {{ ipv6; route {c} blackhole; route {d} blackhole; }}
            protocol bgp p4 {{
                local 203.0.113.1 as 150369; neighbor 203.0.113.2 as 63806; {terms} ttl security on;
                ipv4 {{ import all; export where source = RTS_STATIC; }};
            }}
            protocol bgp p6 {{
                local 2001:db8:900:1::1 as 150369; neighbor 2001:db8:900:1::2 as 63806; {terms}
                enable route refresh off;
                ipv6 {{ import all; export where source = RTS_STATIC; }};
            }}
            "
        );
        let directory = world.directory("bird-files");
        let d = directory.display();
        fs::write(directory.join("bird.conf"), configuration).unwrap();
        world.run_on(&machine, &format!("exec bird -f -c {d}/bird.conf -s {d}/bird.ctl"));
        Bird { machine, control: format!("birdc -s {d}/bird.ctl") }
    }

    /// What it answers; that there is no such route is an answer, too.
    fn ask(&self, what: &str) -> String {
        self.machine.run(&format!("{} '{what}'; true", self.control))
    }

    fn has(&self, prefix: &str) -> bool {
        self.ask(&format!("show route {prefix}")).contains("AS63806i")
    }

    /// How often each session has come to stand.
    fn ups(&self) -> [usize; 2] {
        let log = self.machine.log();
        ["p4", "p6"].map(|name| log.matches(&format!("{name}: State changed to up")).count())
    }

    fn stands(&self, what: &str) {
        assert_eq!(self.ups(), [1, 1], "{what}");
        let said = self.ask("show protocols");
        assert_eq!(said.matches("Established").count(), 2, "{what}: {said}");
    }
}

/// r1 and BIRD with both sessions up.
fn scene(world: &mut World) -> (Live, Bird) {
    let [r1, bird] = ["r1", "bird"].map(|name| world.machine(name));
    world.wire((&r1, "eth1"), (&bird, "eth1"));
    let bird = Bird::start(world, bird);
    let mut plan = router(1);
    provider(&mut plan, "eth1", 150_369, &ENDS);
    originate(&mut plan, &[]);
    for neighbour in &mut plan.speaker.as_mut().unwrap().neighbours {
        neighbour.terms = Terms { password: Some(KeyName("agreed".into())), ..Terms::default() };
    }
    write_secret(&r1, "a-secret");
    let r1 = Live::start(world, r1, plan);
    let machines = [&r1.machine, &bird.machine];
    wait("both sessions stand", &machines, || established(&r1.machine) == 2);
    wait("BIRD's routes are there", &machines, || THEIRS.iter().all(|it| r1.routes().contains(it)));
    wait("BIRD has ours", &machines, || OWN.iter().all(|it| bird.has(it)));
    bird.stands("at first");
    (r1, bird)
}

pub fn bird_keeps_its_sessions(world: &mut World) {
    let (mut r1, bird) = scene(world);
    let refreshes: Vec<bool> = sessions(&r1.machine).iter().map(|it| it["route_refresh"] == true).collect();
    assert_eq!(refreshes, [true, false]);
    let until = |r1: &Live, what: &str, holds: &dyn Fn(&Live) -> bool| {
        wait(what, &[&r1.machine, &bird.machine], || holds(r1));
        r1.stands(what);
        bird.stands(what);
    };
    let has = |r1: &Live, which: [bool; 4]| {
        THEIRS.iter().zip(which).all(|(it, has)| r1.routes().contains(it) == has)
    };
    // What is taken: over IPv4 it is asked again, over IPv6 it is judged by what was kept.
    r1.change(world, |it| policy(it).never_via = vec![Asn(150_369)]);
    until(&r1, "nothing is taken", &|r1| has(r1, [false; 4]));
    r1.change(world, |it| {
        policy(it).never_via = Vec::new();
        let listed = if of_ipv6(it) { THEIRS[2] } else { THEIRS[0] };
        policy(it).listed = Some(vec![listed.parse().unwrap()]);
    });
    until(&r1, "one of each family is taken", &|r1| has(r1, [true, false, true, false]));
    r1.change(world, |it| policy(it).listed = None);
    until(&r1, "all are taken", &|r1| has(r1, [true; 4]));
    // What it is told.
    let path = |prefix: &str, path: &str| {
        let said = bird.ask(&format!("show route all {prefix}"));
        said.lines().any(|line| line.trim_end().ends_with(&format!("as_path: {path}")))
    };
    r1.change(world, |it| policy(it).extra_prepends = 2);
    until(&r1, "the path is longer", &|_| OWN.iter().all(|it| path(it, "63806 63806 63806")));
    r1.change(world, |it| policy(it).withhold = OWN.map(prefix).into());
    until(&r1, "BIRD has nothing of ours", &|_| OWN.iter().all(|it| !bird.has(it)));
    r1.change(world, |it| (policy(it).withhold, policy(it).extra_prepends) = (Vec::new(), 0));
    until(&r1, "BIRD has ours again", &|_| OWN.iter().all(|it| path(it, "63806")));
    // What touches no route.
    let terms: [(&str, Change); 5] = [
        ("limit", |it| policy(it).prefix_limit = Some(100)),
        ("keepalive", |it| it.timers.keepalive = 10_000),
        ("retry", |it| it.timers.connect_retry = 700),
        ("rest", |it| it.terms.limit.rest = 1),
        ("name", |it| it.name = it.name.replace("provider", "upstream")),
    ];
    for (what, change) in terms {
        r1.change(world, change);
        until(&r1, what, &|r1| established(&r1.machine) == 2);
    }
    assert!(sessions(&r1.machine).iter().all(|it| it["name"].as_str().unwrap().starts_with("upstream")));
    assert!(sessions(&r1.machine).iter().all(|it| it["keepalive_ms"] == 10_000));
}

pub fn what_is_asked_of_packets_changes_under_sessions(world: &mut World) {
    let (mut r1, bird) = scene(world);
    let until = |r1: &Live, what: &str, holds: &dyn Fn() -> bool| {
        wait(what, &[&r1.machine, &bird.machine], holds);
        r1.stands(what);
        bird.stands(what);
    };
    // GTSM: BIRD sends over IPv4 as it must and over IPv6 with one hop left, which the kernel drops while it
    // is asked for; what is sent meanwhile comes through afterwards.
    r1.change(world, |it| it.terms.gtsm = !of_ipv6(it));
    r1.change(world, |it| policy(it).withhold = OWN.map(prefix).into());
    until(&r1, "BIRD has nothing of ours", &|| OWN.iter().all(|it| !bird.has(it)));
    assert_eq!(counter(&r1.machine, "TCPMinTTLDrop"), 0);
    r1.change(world, |it| it.terms.gtsm = true);
    r1.change(world, |it| policy(it).withhold = Vec::new());
    until(&r1, "IPv6 is dropped", &|| counter(&r1.machine, "TCPMinTTLDrop") > 0);
    r1.change(world, |it| it.terms.gtsm = false);
    until(&r1, "BIRD has ours again", &|| OWN.iter().all(|it| bird.has(it)));
    // The secret: while ours is another, BIRD's kernel drops what we say; with the old one all of it arrives.
    write_secret(&r1.machine, "another");
    r1.change(world, |it| policy(it).withhold = OWN.map(prefix).into());
    let failures = || counter(&bird.machine, "TCPMD5Failure");
    until(&r1, "BIRD's kernel drops what is signed otherwise", &|| failures() > 0);
    assert!(OWN.iter().all(|it| bird.has(it)));
    write_secret(&r1.machine, "a-secret");
    r1.hup(world);
    wait("the old secret is in use", &[&r1.machine, &bird.machine], || OWN.iter().all(|it| !bird.has(it)));
    until(&r1, "both stand", &|| established(&r1.machine) == 2);
}

pub fn a_plan_that_lies_there_says_what_it_would_do(world: &mut World) {
    let (mut r1, bird) = scene(world);
    let tsumugi = |r1: &Live, what: &str| {
        let program = env!("CARGO_BIN_EXE_tsumugi");
        r1.machine.run(&format!("{program} {what} --state {} 2>&1; true", r1.machine.state.display()))
    };
    let ahead = |r1: &Live| r1.machine.status()["running"]["ahead"].clone();
    assert_eq!(ahead(&r1), Value::Null);
    // Nothing of it is in force, and all of it is said.
    r1.lay(|it| {
        it.timers.hold = 30_000;
        if of_ipv6(it) {
            policy(it).role = Role::Peer;
        } else {
            policy(it).never_via = vec![Asn(42)];
        }
    });
    let said = ahead(&r1);
    let fates: Vec<&Value> = said["sessions"].as_array().unwrap().iter().map(|it| &it["session"]).collect();
    assert_eq!((&said["generation"], fates), (&2.into(), vec![&"stays".into(), &"resets".into()]), "{said}");
    let page = tsumugi(&r1, "status --lang en");
    for words in [
        "the plan in the state folder (generation 2) is not in force",
        "provider ipv4  stays; is asked to tell its routes again; with the next session: the hold time (OPEN)",
        "provider ipv6  is reset: the role (OPEN, RFC 9234)",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let page = tsumugi(&r1, "status --lang ja");
    assert!(page.contains("provider ipv6  張り直します: 役割 (OPEN、RFC 9234)"), "{page}");
    r1.stands("a plan lies there");
    // What was said is what happens.
    r1.hup(world);
    assert_eq!(ahead(&r1), Value::Null);
    wait("IPv6 is back", &[&r1.machine, &bird.machine], || established(&r1.machine) == 2);
    assert_eq!(bird.ups(), [1, 2]);
    let end = sessions(&r1.machine)[1]["last_end_words"].clone();
    assert_eq!(end, "the session's configuration changed: the role (OPEN, RFC 9234)");
    let hold = |r1: &Live, at: usize| sessions(&r1.machine)[at]["hold_ms"].clone();
    assert_eq!((hold(&r1, 0), hold(&r1, 1)), (90_000.into(), 30_000.into()));
    let page = tsumugi(&r1, "show bgp --lang en");
    assert_eq!(page.matches("with the next session: the hold time (OPEN)").count(), 1, "{page}");
    bird.ask("restart p4");
    wait("the next session has it", &[&r1.machine, &bird.machine], || hold(&r1, 0) == 30_000);
    assert!(!tsumugi(&r1, "show bgp --lang en").contains("next session"));
    // A plan that nobody could take is said to be one.
    fs::write(r1.machine.state.join("plan.json"), "{\"schema\": 2}").unwrap();
    assert_eq!(ahead(&r1)["refused"]["reason"], "schema");
    assert!(tsumugi(&r1, "status --lang en").contains("compile the network's file anew"));
}

/// Both ends are ours, so that both can change what neither BIRD nor FRR changes under a session.
pub fn both_ends_change_under_a_session(world: &mut World) {
    let [r1, r2] = ["r1", "r2"].map(|name| world.machine(name));
    world.wire((&r1, "eth1"), (&r2, "eth1"));
    let mut plan = router(1);
    provider(&mut plan, "eth1", 150_369, &ENDS);
    originate(&mut plan, &[]);
    let mut r1 = Live::start(world, r1, plan);
    let mut plan = router(2);
    plan.public_asn = Asn(150_369);
    let theirs = [("203.0.113.1/30", "203.0.113.2"), ("2001:db8:900:1::1/64", "2001:db8:900:1::2")];
    provider(&mut plan, "eth1", 63_806, &theirs);
    let speaker = plan.speaker.as_mut().unwrap();
    (speaker.public_asn, speaker.own_prefixes) =
        (Asn(150_369), vec![prefix("8.8.8.0/24"), prefix("2620:fe::/48")]);
    for neighbour in &mut speaker.neighbours {
        neighbour.local_asn = Asn(150_369);
        policy(neighbour).role = Role::Customer;
        let own = if of_ipv6(neighbour) { OWN[1] } else { OWN[0] };
        policy(neighbour).listed = Some(vec![own.parse().unwrap()]);
    }
    originate(&mut plan, &[]);
    let mut r2 = Live::start(world, r2, plan);
    let has = |live: &Live, all: &[&str]| all.iter().all(|it| live.routes().contains(it));
    let machines = |a: &Live, b: &Live, what: &str, holds: &dyn Fn() -> bool| {
        wait(what, &[&a.machine, &b.machine], holds);
        a.stands(what);
        b.stands(what);
    };
    wait("both stand", &[&r1.machine, &r2.machine], || {
        established(&r1.machine) == 2 && established(&r2.machine) == 2
    });
    machines(&r1, &r2, "routes", &|| has(&r1, &["8.8.8.0/24", "2620:fe::/48"]));
    // Unsigned, signed, signed otherwise, unsigned: one end after the other, as people do it.
    for (secret, named) in [(Some("first"), true), (Some("second"), true), (None, false)] {
        let before = unagreed(&r2.machine);
        for live in [&mut r1, &mut r2] {
            if let Some(secret) = secret {
                write_secret(&live.machine, secret);
            }
            live.lay(|it| it.terms.password = named.then(|| KeyName("agreed".into())));
        }
        r1.change(world, |it| policy(it).withhold = OWN.map(prefix).into());
        let dropped = || unagreed(&r2.machine) > before;
        machines(&r1, &r2, "the other end drops what is not as agreed", &dropped);
        r2.hup(world);
        machines(&r1, &r2, "the withdrawal arrives", &|| OWN.iter().all(|it| !r2.routes().contains(it)));
        r1.change(world, |it| policy(it).withhold = Vec::new());
        machines(&r1, &r2, "and the prefixes again", &|| OWN.iter().all(|it| r2.routes().contains(it)));
    }
    // BFD on, at another pace, and off.
    let bfd = |live: &Live| {
        let sessions =
            live.machine.status()["running"]["bfd"]["sessions"].as_array().cloned().unwrap_or_default();
        let up = sessions.iter().filter(|it| it["state"] == "up").count();
        (sessions.len(), up)
    };
    for (terms, standing) in [
        (Some(BfdTerms::OUTSIDE), (2, 2)),
        (Some(BfdTerms { interval: 200, multiplier: 5, multihop: false }), (2, 2)),
        (None, (0, 0)),
    ] {
        for live in [&mut r1, &mut r2] {
            live.change(world, |it| it.terms.bfd = terms);
        }
        machines(&r1, &r2, "BFD", &|| bfd(&r1) == standing && bfd(&r2) == standing);
    }
}

/// Policy alone, with a provider, a peer and a customer of one implementation.
fn policy_costs_nothing(world: &mut World, kind: Kind) {
    let networks = outsiders::networks(kind);
    let plan = outsiders::plan(&networks);
    let (machine, others) = outsiders::begin(world, &networks, plan.clone());
    wait("every session stands", &[&machine], || established(&machine) == 6);
    let status = machine.status();
    let process = u32::try_from(status["pid"].as_u64().unwrap()).unwrap();
    let mut r1 = Live { machine, process, plan };
    let [_, peer, customer] = &others[..] else { panic!("there are three") };
    let has =
        |other: &Other, all: &[&str], has: bool| all.iter().all(|it| other.path_of(it).is_some() == has);
    let taken = ["9.9.9.0/24", "2620:99::/48"];
    let until = |r1: &Live, what: &str, holds: &dyn Fn() -> bool| {
        wait(what, &[&r1.machine, &peer.machine], holds);
        r1.stands(what);
    };
    until(&r1, "the customer has the peer's", &|| has(customer, &taken, true));
    until(&r1, "the peer has ours", &|| has(peer, &OWN, true));
    let of_peer = |it: &NeighbourConfig| it.remote_asn == Asn(59_105);
    r1.change(world, |it| {
        if of_peer(it) {
            policy(it).never_via = vec![Asn(59_105)];
            policy(it).withhold = OWN.map(prefix).into();
        }
    });
    until(&r1, "the customer has nothing of the peer's", &|| has(customer, &taken, false));
    until(&r1, "the peer has nothing of ours", &|| has(peer, &OWN, false));
    r1.change(world, |it| {
        if of_peer(it) {
            (policy(it).never_via, policy(it).withhold) = (Vec::new(), Vec::new());
        }
    });
    until(&r1, "the customer has the peer's again", &|| has(customer, &taken, true));
    until(&r1, "the peer has ours again", &|| has(peer, &OWN, true));
}

pub fn policy_costs_bird_nothing(world: &mut World) {
    policy_costs_nothing(world, Kind::Bird);
}

pub fn policy_costs_frr_nothing(world: &mut World) {
    policy_costs_nothing(world, Kind::Frr);
}
