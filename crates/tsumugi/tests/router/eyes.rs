//! What others see of our table.

use super::inside::{established, start};
use super::others::Kind;
use super::outsiders::{begin, networks, plan, scene};
use super::plans::{provider, router};
use super::world::{Machine, World, wait};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use tsumugi_core::bgp::config::BmpConfig;
use tsumugi_core::id::Plane;
use tsumugi_core::wire::bgp::{Context, Message, frame};

const TSUMUGI: &str = env!("CARGO_BIN_EXE_tsumugi");

/// What bgpdump says against a file counts; not where else it says so.
const COMPLAINTS: &str = "2>&1 | grep -v 'logging to syslog'";

fn dump(machine: &Machine, file: &str) -> Value {
    let said = machine.run(&format!("{TSUMUGI} dump {file} --json --state {}", machine.state.display()));
    serde_json::from_str(&said).unwrap()
}

/// Debian's bgpdump reads what we wrote: every route, whose it is, its path and its next hop.
pub fn bgpdump_reads_our_table(world: &mut World) {
    let (r1, others) = scene(world, &networks(Kind::Bird));
    let machines: Vec<&Machine> = [&r1].into_iter().chain(others.iter().map(|it| &it.machine)).collect();
    let directory = world.directory("dump");
    let file = format!("{}/table.mrt", directory.display());
    // TYPE | time | B | peer | AS | prefix | path | origin | next hop | local preference | ...
    let expected = [
        "B|203.0.113.5|150369|8.8.8.0/24|150369|IGP|203.0.113.5|100|",
        "B|2001:db8:900:1::1|150369|2620:fe::/48|150369|IGP|2001:db8:900:1::1|100|",
        "B|203.0.113.13|38632|45.0.4.0/24|38632|IGP|203.0.113.13|300|",
        "B|2001:db8:900:3::1|38632|2a00:45::/48|38632|IGP|2001:db8:900:3::1|300|",
    ];
    wait("everything is in the dump", &machines, || {
        dump(&r1, &file);
        let read = r1.run(&format!("bgpdump -m {file} {COMPLAINTS}"));
        expected.iter().all(|line| read.contains(line))
    });
    let said = dump(&r1, &file);
    let read = r1.run(&format!("bgpdump -m {file} {COMPLAINTS}"));
    let lines: Vec<&str> = read.lines().collect();
    assert!(lines.iter().all(|line| line.starts_with("TABLE_DUMP2|")), "bgpdump complains: {read}");
    assert_eq!(said["routes"], lines.len(), "{said} {read}");
    for own in ["43.228.174.0/24", "2402:3160::/32"] {
        assert!(
            lines.iter().any(|line| line.contains(&format!("|0.0.0.0|4200000001|{own}||"))),
            "{own}: {read}"
        );
    }
    // What is refused is no part of the table.
    assert!(!read.contains("10.1.0.0/16") && !read.contains("46.0.4.0/24"), "{read}");
    // To a pipe it is the same, and no piece of it stays where it cannot be finished.
    let piped =
        r1.run(&format!("{TSUMUGI} dump - --state {} | bgpdump -m - {COMPLAINTS}", r1.state.display()));
    let without_time = |text: &str| {
        let strip = |line: &str| line.splitn(3, '|').nth(2).map(str::to_owned);
        text.lines().map(strip).collect::<Vec<_>>()
    };
    assert_eq!(without_time(&piped), without_time(&read));
    let nowhere = directory.display();
    assert!(!r1.succeeds(&format!("{TSUMUGI} dump {nowhere}/none.mrt --state {nowhere}")));
    assert_eq!(r1.run(&format!("ls {nowhere}")), "table.mrt\n");
}

/// BIRD that takes whatever a neighbour of AS64500 at its `eth1` tells it.
fn listening_bird(world: &mut World, machine: &Machine) -> PathBuf {
    let directory = world.directory(&format!("{}-files", machine.name));
    let d = directory.display();
    machine.run("ip address add 203.0.113.98/28 dev eth1; ip address add 2001:db8:98::98/64 dev eth1 nodad");
    machine.run("ip link set eth1 up");
    let session = |name: &str, ours: &str, theirs: &str| {
        format!(
            "protocol bgp {name} {{ local {ours} as 64999; neighbor {theirs} as 64500; passive;
             ipv4 {{ import all; export none; extended next hop; }}; ipv6 {{ import all; export none; }}; }}\n"
        )
    };
    let text = "log stderr all; router id 203.0.113.98; protocol device { scan time 1; }\n".to_owned()
        + &session("by4", "203.0.113.98", "203.0.113.97")
        + &session("by6", "2001:db8:98::98", "2001:db8:98::97");
    fs::write(directory.join("bird.conf"), text).unwrap();
    world.run_on(machine, &format!("exec bird -f -c {d}/bird.conf -s {d}/ctl"));
    wait("BIRD answers", &[machine], || machine.succeeds(&format!("birdc -s {d}/ctl show status")));
    directory
}

/// The far end of a wire from `to`, from which is told.
fn teller(world: &mut World, to: &Machine) -> Machine {
    let teller = world.machine(&format!("tell-{}", to.name));
    world.wire((to, "eth1"), (&teller, "eth1"));
    teller.run("ip address add 203.0.113.97/28 dev eth1; ip address add 2001:db8:98::97/64 dev eth1 nodad");
    teller.run("ip link set eth1 up");
    teller
}

/// What BIRD wrote down is told to another BIRD, over either family, from files and pipes, packed and not.
pub fn what_bird_dumped_is_told_to_bird(world: &mut World) {
    let (_, others) = scene(world, &networks(Kind::Bird));
    let customer = &others[2];
    // What we told it, which it dumps with its own.
    let expected = [
        ("8.8.8.0/24", "64500 63806 150369"),
        ("9.9.9.0/24", "64500 63806 59105"),
        ("43.228.174.0/24", "64500 63806"),
        ("2620:fe::/48", "64500 63806 150369"),
        ("2402:3160::/32", "64500 63806"),
    ];
    for (prefix, path) in expected {
        wait(&format!("the customer has {prefix}"), &[&customer.machine], || {
            customer.path_of(prefix).is_some_and(|found| format!("64500 {found}") == path)
        });
    }
    let directory = world.directory("dump");
    let d = directory.display();
    for table in ["master4", "master6"] {
        customer.ask(&format!("mrt dump table \"{table}\" to \"{d}/{table}.mrt\""));
    }
    customer.machine.run(&format!("cat {d}/master4.mrt {d}/master6.mrt >{d}/both.mrt; gzip -k {d}/both.mrt"));

    let bird = world.machine("bird");
    let tell = teller(world, &bird);
    let files = listening_bird(world, &bird);
    let shown = |protocol: &str, prefix: &str| {
        bird.run(&format!(
            "birdc -r -s {}/ctl 'show route all protocol {protocol} {prefix}'; true",
            files.display()
        ))
    };
    let none = |protocol: &str| !shown(protocol, "").contains("BGP.as_path");
    for (protocol, words) in [
        ("by4", format!("{d}/both.mrt --to 203.0.113.98 --next-hop 2001:db8:98::97")),
        ("by6", format!("- --to 2001:db8:98::98 <{d}/both.mrt.gz")),
        ("by6", format!("- --to 2001:db8:98::98 --next-hop 203.0.113.97 <{d}/both.mrt")),
    ] {
        let log = tell.state.join("log");
        let _ = fs::remove_file(&log);
        let line = format!("exec {TSUMUGI} replay --as 64500 --json {words}");
        let process = world.run_on(&tell, &line);
        for (prefix, path) in expected {
            wait(&format!("BIRD has {prefix} of {words}"), &[&bird, &tell], || {
                let shown = shown(protocol, prefix);
                shown.lines().any(|line| line.trim() == format!("BGP.as_path: {path}"))
            });
        }
        let events = || events(&log);
        wait("all is told", &[&tell], || events().iter().any(|event| event["event"] == "told"));
        let told = events().into_iter().find(|event| event["event"] == "told").unwrap();
        assert_eq!(told["counts"]["no_way_ipv6"], 0, "{told}");
        // Interrupted, it says goodbye.
        world.signal(process, Signal::SIGINT);
        wait("BIRD has nothing of it any more", &[&bird, &tell], || none(protocol));
        wait("it says why it ended", &[&tell], || {
            events().last().is_some_and(|event| event["event"] == "ended" && event["why"] == "stopped")
        });
    }
    // A wrong word is told from a wrong file.
    let refused = |words: &str| {
        let line = format!("{TSUMUGI} replay {words} --as 64500 --to 203.0.113.98 --lang en 2>&1; echo = $?");
        tell.run(&line)
    };
    tell.run(&format!("head -c 150 {d}/both.mrt >{d}/cut.mrt"));
    let cut = refused(&format!("{d}/cut.mrt"));
    assert!(cut.contains("it is not complete") && cut.contains("= 2"), "{cut}");
    let nobody = refused(&format!("{d}/both.mrt --from AS1"));
    assert!(nobody.contains("has no routes of that peer") && nobody.contains("= 2"), "{nobody}");
}

fn events(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Our own table is told to another router of ours, as its provider.
pub fn our_table_is_told_to_ours(world: &mut World) {
    let (r1, _others) = scene(world, &networks(Kind::Bird));
    let directory = world.directory("dump");
    let file = format!("{}/table.mrt", directory.display());
    wait("everything is in the dump", &[&r1], || dump(&r1, &file)["routes"].as_u64().unwrap() >= 10);
    let r9 = world.machine("r9");
    let tell = teller(world, &r9);
    let mut plan = router(9);
    let ends = [("203.0.113.98/28", "203.0.113.97"), ("2001:db8:98::98/64", "2001:db8:98::97")];
    provider(&mut plan, "eth1", 64_500 + 86_000, &ends);
    start(world, &r9, plan);
    let routes = || r9.run("ip route show; ip -6 route show");
    for to in ["203.0.113.98", "2001:db8:98::98"] {
        let line = format!("exec {TSUMUGI} replay {file} --to {to} --as 150500 --from 150369 --stay 600");
        world.run_on(&tell, &line);
    }
    for prefix in ["8.8.8.0/24", "2620:fe::/48"] {
        wait(&format!("r9 has {prefix}"), &[&r9, &tell], || routes().contains(prefix));
    }
    assert!(!routes().contains("9.9.9.0/24"), "another peer's routes are told: {}", routes());
}

/// What a collector has heard on one connection (RFC 7854).
#[derive(Default)]
struct Heard {
    stream: Vec<u8>,
    greeted: bool,
    terminated: bool,
    /// Addresses of peers that are up, 16 bytes each, and of those that went down, with the reason.
    up: BTreeSet<Vec<u8>>,
    down: Vec<(Vec<u8>, u8)>,
    routes: BTreeSet<String>,
    /// What the router has chosen, while it says so (RFC 9069).
    chosen: Option<BTreeSet<String>>,
}

impl Heard {
    /// Takes what has come; false once the router has closed the connection.
    fn hear(&mut self, connection: &mut TcpStream) -> bool {
        let mut buffer = [0; 4096];
        let open = loop {
            match connection.read(&mut buffer) {
                Ok(0) => break false,
                Ok(length) => self.stream.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break true,
                Err(error) => panic!("{error}"),
            }
        };
        while self.stream.len() >= 6 {
            let length = u32::from_be_bytes(self.stream[1..5].try_into().unwrap()) as usize;
            if self.stream.len() < length {
                break;
            }
            let message: Vec<u8> = self.stream.drain(..length).collect();
            assert_eq!(message[0], 3);
            self.message(message[5], &message[6..]);
        }
        open
    }

    fn message(&mut self, kind: u8, body: &[u8]) {
        match kind {
            4 => self.greeted = true,
            5 => self.terminated = true,
            3 if body[0] == 3 => assert!(self.chosen.replace(BTreeSet::new()).is_none()),
            3 => assert!(self.up.insert(body[10..26].to_vec())),
            2 => {
                assert!(self.up.remove(&body[10..26]));
                self.down.push((body[10..26].to_vec(), body[42]));
            }
            0 => {
                let context = Context { four_octet: true, ..Context::default() };
                let whole = frame(&body[42..], context.message_max()).unwrap().unwrap();
                let Message::Update(decoded) = Message::parse(whole, context).unwrap() else {
                    panic!("no UPDATE")
                };
                let update = &decoded.update;
                let routes = match body[0] {
                    3 => self.chosen.as_mut().unwrap(),
                    _ => &mut self.routes,
                };
                let withdrawn = update.withdrawn.iter();
                for route in withdrawn.chain(update.mp_unreach.iter().flat_map(|it| &it.prefixes)) {
                    routes.remove(&route.prefix.to_string());
                }
                let announced = update.announced.iter();
                for route in announced.chain(update.mp_reach.iter().flat_map(|it| &it.prefixes)) {
                    routes.insert(route.prefix.to_string());
                }
            }
            other => panic!("a message of type {other}"),
        }
    }
}

fn accept(listener: &TcpListener, router: &Machine) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let mut connection = None;
    wait("the router calls its collector", &[router], || {
        connection = listener.accept().ok();
        connection.is_some()
    });
    let (connection, _) = connection.unwrap();
    connection.set_nonblocking(true).unwrap();
    connection
}

/// A collector hears of sessions and routes as they are and as they change, on every connection anew; one that cannot
/// be reached holds nothing up.
pub fn a_collector_is_told_by_bmp(world: &mut World) {
    const TAKEN: [&str; 6] =
        ["8.8.8.0/24", "2620:fe::/48", "9.9.9.0/24", "2620:99::/48", "45.0.4.0/24", "2a00:45::/48"];
    let networks = networks(Kind::Bird);
    let mut plan = plan(&networks);
    let collectors = ["127.0.0.1:11019", "127.0.0.1:11020"].map(|at| at.parse().unwrap()).to_vec();
    plan.bmp = Some(BmpConfig { collectors, plane: Plane::Management });
    let (r1, others) = begin(world, &networks, plan);
    let machines: Vec<&Machine> = [&r1].into_iter().chain(others.iter().map(|it| &it.machine)).collect();
    // Nobody listens yet.
    wait("every session stands", &machines, || established(&r1) == 2 * networks.len());
    let collector = |place: usize| r1.status()["running"]["bmp"]["collectors"][place].clone();
    wait("it is said that nobody is there", &[&r1], || collector(0)["last_end"]["end"] == "connect-failed");

    let listener = r1.listen("127.0.0.1:11019");
    let mut connection = accept(&listener, &r1);
    let mut heard = Heard::default();
    let all = |heard: &Heard| {
        let told = |prefix: &&str| heard.routes.contains(*prefix);
        let chosen = |prefix: &&str| heard.chosen.as_ref().is_some_and(|it| it.contains(*prefix));
        TAKEN.iter().all(|prefix| told(prefix) && chosen(prefix))
    };
    wait("the collector knows everything", &machines, || {
        heard.hear(&mut connection) && heard.greeted && heard.up.len() == 6 && all(&heard)
    });
    assert_eq!(heard.routes.len(), TAKEN.len(), "what is refused is told: {:?}", heard.routes);

    // A neighbour withdraws; another one is gone.
    let customer = &others[2];
    customer.ask("disable s_ipv4");
    wait("a withdrawal is told", &machines, || {
        let has = |routes: &BTreeSet<String>| routes.contains("45.0.4.0/24");
        heard.hear(&mut connection) && !has(&heard.routes) && !heard.chosen.as_ref().is_some_and(has)
    });
    customer.ask("disable b_ipv6");
    wait("the end of a session is told", &machines, || heard.hear(&mut connection) && !heard.down.is_empty());
    let address: std::net::Ipv6Addr = "2001:db8:900:3::1".parse().unwrap();
    // 3: the neighbour has sent a NOTIFICATION.
    assert_eq!(heard.down, [(address.octets().to_vec(), 3)]);
    customer.ask("enable s_ipv4");
    customer.ask("enable b_ipv6");
    wait("they are back", &machines, || heard.hear(&mut connection) && heard.up.len() == 6);

    // A new connection begins from the beginning.
    drop(connection);
    let mut connection = accept(&listener, &r1);
    let mut heard = Heard::default();
    wait("the collector knows everything again", &machines, || {
        heard.hear(&mut connection) && heard.greeted && heard.up.len() == 6 && all(&heard)
    });
    let said = collector(0);
    assert_eq!((&said["connected_count"], &said["counts"]["dropped"]), (&2.into(), &0.into()), "{said}");
    assert!(collector(1)["connected_ms"].is_null(), "{}", collector(1));
    let page = r1.run(&format!("{TSUMUGI} status --state {} --lang ja; true", r1.state.display()));
    assert!(page.contains("127.0.0.1:11020  警告、知らせていません"), "{page}");

    // A plan without collectors says goodbye.
    let mut without = super::outsiders::plan(&networks);
    without.generation += 1;
    r1.write(&super::plans::sealed(without));
    let process = r1.status()["pid"].as_u64().unwrap();
    world.signal(process.try_into().unwrap(), Signal::SIGHUP);
    wait("the router says goodbye", &[&r1], || !heard.hear(&mut connection) && heard.terminated);
}
