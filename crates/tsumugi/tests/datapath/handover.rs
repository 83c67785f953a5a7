//! A process takes over from the one that runs.

use crate::bench::{Bench, Machine, Outside, ip, tunnel};
use crate::keepalive::{asking, has_carrier, keepalive, wait_for_carrier, wait_until};
use crate::stream::Streams;
use crate::wireguard;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tsumugi_core::router_plan::{Encapsulation, Engine, Tunnel};

/// Datagrams that pass before and after each restart.
const BETWEEN: u32 = 600;

/// What the kernel says of the fabric's links, addresses and routes while this lives.
struct Watcher(Child);

impl Watcher {
    fn start(machine: &Machine) -> Watcher {
        let command = || {
            Command::new("ip")
                .args(["-o", "monitor", "link", "address", "route"])
                .stdout(Stdio::piped())
                .spawn()
        };
        Watcher(machine.enter("fabric", command).unwrap())
    }

    fn finish(mut self) -> String {
        let _ = self.0.kill();
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        let _ = self.0.wait();
        said
    }
}

/// Restarts of both ends while streams pass: nothing is lost, nothing in the fabric is seen to change,
/// counters go on.
pub fn a_planned_restart_loses_nothing() {
    let gre = |key| Encapsulation::Gre { key: Some(key) };
    let kernel = Tunnel { engine: Engine::Kernel, ..tunnel("k-x", gre(77), Outside::V4, 1500, 1400) };
    let (by_us, auto) = (Engine::Userspace, Engine::Auto);
    for (what, kind, engine, outside, beside) in [
        ("EtherIP past the stack", Encapsulation::EtherIp, by_us, Outside::V6, None),
        ("EtherIP by the shortcut", Encapsulation::EtherIp, auto, Outside::V6, None),
        ("EtherIP by the shortcut, IPv4", Encapsulation::EtherIp, auto, Outside::V4, None),
        ("GRE past the stack", gre(1), by_us, Outside::V4, None),
        ("GRE through the stack", gre(1), by_us, Outside::V4, Some(kernel)),
        ("WireGuard over IPv6", wireguard(), by_us, Outside::V6, None),
        ("WireGuard over IPv4", wireguard(), by_us, Outside::V4, None),
    ] {
        let bench = Bench::new("handover", 1500);
        let a = Tunnel { engine, ..tunnel("a-x", kind, outside, 1500, 2400) };
        bench.start(&a);
        if let Some(beside) = beside {
            bench.machines[0].reload(&[a.clone(), beside]);
        }
        bench.reachable(Duration::from_secs(10));
        let streams = Streams::start(&bench);
        streams.pass(BETWEEN);
        for machine in [0, 0, 1, 0] {
            let machine = &bench.machines[machine];
            let of_a = |status: &Value| {
                let tunnels = status["tunnels"].as_array().unwrap().clone();
                tunnels.into_iter().find(|tunnel| tunnel["name"] == "a-x").unwrap()
            };
            // The streams pass the shortcut when they are interrupted; without clang there is none.
            let is_open = |status: &Value| {
                status["tunnels"][0]["shortcut-why"]["reason"] == "not-built"
                    || status["tunnels"][0]["shortcut"] == "open"
            };
            if engine == Engine::Auto {
                machine.wait_for("the shortcut", || is_open(&machine.status()));
                streams.pass(BETWEEN);
            }
            let (before, stood) = (machine.status(), machine.fabric());
            let watcher = Watcher::start(machine);
            machine.succeed();
            machine.wait_for("the new one answers", || machine.status()["pid"] == machine.pid().unwrap());
            let after = machine.status();
            assert_eq!(after["taken_over"]["pid"], before["pid"], "{after}");
            assert!(after["taken_over"]["tunnels"].as_u64() >= Some(1), "{after}");
            for way in ["received", "sent"] {
                let count = |status: &Value| of_a(status)[way]["packets"].as_u64().unwrap();
                assert!(count(&after) >= count(&before), "{before} {after}");
            }
            streams.pass(BETWEEN);
            // The shortcut's pair is made anew; all that the router and people see stays.
            let apart = |text: String| {
                let lines = text.lines().filter(|line| !line.contains("shortcut-"));
                lines.map(|line| format!("{line}\n")).collect::<String>()
            };
            assert_eq!(apart(machine.fabric()), apart(stood));
            assert_eq!(apart(watcher.finish()), "", "{what}");
            let path = |status: &Value| status["lines"][0]["path"].clone();
            assert_eq!(path(&machine.status()), path(&before));
        }
        streams.finish(what, &bench);
    }
}

/// What is known of a far end goes over: who is dead stays dead, for the same reason and since the same moment.
pub fn what_is_known_of_a_far_end_goes_over() {
    let bench = Bench::new("known", 1500);
    let gre = Encapsulation::Gre { key: None };
    let [near, far] = asking(tunnel("gre-x", gre, Outside::V4, 1500, 2400));
    bench.start_ends(&near, &far);
    for machine in 0..2 {
        wait_until(&bench, machine, "alive");
    }
    let known = |machine: usize| keepalive(&bench, machine);
    let number = |known: &Value, what: &str| known[what].as_u64().unwrap_or(0);
    let succeed = |machine: usize| {
        let before = known(machine);
        bench.machines[machine].succeed();
        bench.machines[machine].wait_for("the new one answers", || known(machine).is_object());
        let after = known(machine);
        for what in ["asked", "answered", "deaths", "since_ms"] {
            assert!(number(&after, what) >= number(&before, what), "{what}\n{before}\n{after}");
        }
        [before, after]
    };
    bench.machines[0].wait_for("the round trip is known", || number(&known(0), "rtt_min_us") > 0);
    let [before, after] = succeed(0);
    assert_eq!(after["far-end"], "alive", "{after}");
    assert!(number(&after, "rtt_min_us") <= number(&before, "rtt_min_us"), "{before}\n{after}");
    // What beta sends goes astray: it is deaf in alpha's word, and alpha silent in its own.
    let lead_to = |mac: &str| {
        let told = || ip(&format!("neighbour replace 192.0.2.1 lladdr {mac} dev eth1 nud permanent"));
        bench.machines[1].in_plane("underlay", told);
    };
    lead_to("02:00:00:00:09:09");
    let causes = ["silent", "deaf"];
    for (machine, cause) in causes.into_iter().enumerate() {
        wait_for_carrier(&bench, machine, "gre-x", false);
        bench.machines[machine].wait_for("the cause is known", || known(machine)["cause"] == cause);
    }
    let deaths = [0, 1].map(|machine| number(&known(machine), "deaths"));
    for machine in 0..2 {
        let [_, after] = succeed(machine);
        let asked = number(&after, "asked");
        bench.machines[machine].wait_for("it asks on", || number(&known(machine), "asked") > asked + 2);
        for (machine, cause) in causes.into_iter().enumerate() {
            let still = known(machine);
            assert_eq!((&still["far-end"], &still["cause"]), (&"dead".into(), &cause.into()), "{still}");
            assert_eq!(number(&still, "deaths"), deaths[machine], "{still}");
            assert!(!has_carrier(&bench, machine, "gre-x"));
        }
    }
    lead_to("02:00:00:00:01:01");
    for machine in 0..2 {
        wait_for_carrier(&bench, machine, "gre-x", true);
    }
    bench.reachable(Duration::from_secs(10));
}

/// Somebody at the socket.
pub struct Stranger(Socket);

impl Stranger {
    pub fn knock(machine: &Machine) -> Stranger {
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        socket.connect(&SockAddr::unix(machine.state.join("handover.sock")).unwrap()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        Stranger(socket)
    }

    fn say(&self, message: &Value) {
        (&self.0).write_all(message.to_string().as_bytes()).unwrap();
    }

    pub fn hello(&self, version: u32) {
        self.say(&json!({"message": "hello", "version": version, "program": "test"}));
    }

    /// The next message of this kind; others are let pass. Descriptors that come with them are closed by the
    /// kernel, as there is no room for them.
    pub fn hear(&self, kind: &str) -> Value {
        let mut buffer = vec![0; 100_000];
        loop {
            let len = (&self.0).read(&mut buffer).unwrap();
            assert!(len > 0, "hung up before {kind}");
            let message: Value = serde_json::from_slice(&buffer[..len]).unwrap();
            if message["message"] == kind {
                return message;
            }
        }
    }
}

/// Whoever knocks and does not take over in the end: what ran goes on, and says why.
pub fn who_does_not_take_over_changes_nothing() {
    let bench = Bench::new("stranger", 1500);
    bench.start(&tunnel("a-x", wireguard(), Outside::V6, 1500, 2400));
    bench.reachable(Duration::from_secs(10));
    let alpha = &bench.machines[0];
    let pid = alpha.status()["pid"].clone();
    let stood = alpha.fabric();
    let refused = |reason: &str| {
        let all = alpha.status()["handovers_refused"].as_array().cloned().unwrap_or_default();
        let of_reason = all.into_iter().find(|refused| refused["reason"] == reason);
        of_reason.and_then(|refused| refused["count"].as_u64()).unwrap_or(0)
    };
    let streams = Streams::start(&bench);
    streams.pass(BETWEEN);

    let other = Stranger::knock(alpha);
    (&other.0).write_all(b"GET / HTTP/1.1").unwrap();
    assert_eq!(other.hear("refused")["why"]["reason"], "not-understood");
    let other = Stranger::knock(alpha);
    other.say(&json!({"message": "taken"}));
    assert_eq!(other.hear("refused")["why"]["reason"], "not-understood");
    let older = Stranger::knock(alpha);
    older.hello(0);
    assert_eq!(older.hear("refused")["why"], json!({"reason": "version", "found": 0, "known": 1}));
    let silent = Stranger::knock(alpha);
    let second = Stranger::knock(alpha);
    assert_eq!(second.hear("refused")["why"]["reason"], "busy");
    assert_eq!(silent.hear("refused")["why"]["reason"], "silent");

    // It is shown everything and dies.
    let dying = Stranger::knock(alpha);
    dying.hello(1);
    dying.hear("all");
    // A plan comes meanwhile, and is taken afterwards.
    let later = Tunnel { mtu: 2300, ..tunnel("a-x", wireguard(), Outside::V6, 1500, 2400) };
    alpha.write_plan(vec![later]);
    alpha.signal(Signal::SIGHUP);
    drop(dying);
    alpha.wait_for("it is noticed", || refused("gone") == 1);
    alpha.wait_for("the plan is taken", || alpha.status()["tunnels"][0]["mtu"] == 2300);
    // It dies when it should begin.
    let dying = Stranger::knock(alpha);
    dying.hello(1);
    dying.hear("all");
    dying.say(&json!({"message": "ready"}));
    dying.hear("yours");
    drop(dying);
    alpha.wait_for("it is noticed", || refused("gone") == 2);
    // One that does not understand the plan does not begin.
    let plan = std::fs::read(alpha.state.join("plan.json")).unwrap();
    std::fs::write(alpha.state.join("plan.json"), r#"{"schema": 99}"#).unwrap();
    assert!(!alpha.start_beside().wait().unwrap().success());
    std::fs::write(alpha.state.join("plan.json"), plan).unwrap();
    streams.pass(BETWEEN);
    streams.finish("strangers", &bench);

    // It hangs when it should begin: packets have waited for two seconds then, longer than there is room.
    let hanging = Stranger::knock(alpha);
    hanging.hello(1);
    hanging.hear("all");
    hanging.say(&json!({"message": "ready"}));
    hanging.hear("yours");
    alpha.wait_for("it is given up", || refused("silent") == 2);
    let said = (&hanging.0).write_all(json!({"message": "taken"}).to_string().as_bytes());
    assert!(said.is_err(), "it cannot begin any more");
    bench.reachable(Duration::from_secs(5));
    assert_eq!(alpha.status()["pid"], pid);
    assert_eq!(alpha.fabric().replace("mtu 2300", "mtu 2400"), stood);

    // And the right one still can.
    alpha.succeed();
    bench.reachable(Duration::from_secs(5));
    assert_eq!(alpha.status()["taken_over"]["pid"], pid);
}

/// A process that does not answer is ended by the one that is started: a plain restart.
pub fn a_process_that_hangs_is_replaced() {
    let bench = Bench::new("hangs", 1500);
    bench.start(&tunnel("a-x", Encapsulation::EtherIp, Outside::V6, 1500, 2400));
    bench.reachable(Duration::from_secs(10));
    let alpha = &bench.machines[0];
    let index = alpha.index_of("a-x");
    alpha.signal(Signal::SIGSTOP);
    let start = Instant::now();
    alpha.succeed();
    bench.reachable(Duration::from_secs(10));
    println!("replaced after {:?}", start.elapsed());
    assert_eq!(alpha.index_of("a-x"), index);
    assert_eq!(alpha.status()["taken_over"], Value::Null);
}
