//! A proof that cannot fail is a defect: one thing of a running network is broken, and the proof that
//! watches it fails for the right reason, and no other does.
//!
//! The network is `files/breakable.toml`, for segments `files/stretched.toml`; each stands once for all
//! of its tests, which take turns. A test breaks it from outside (a command in a machine's namespace,
//! another plan for a process) and undoes it.

mod lab;
mod segments;

use lab::{Lab, missing};
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use tsumugi_core::bgp::config::{Origination, Relation, Role, Timers};
use tsumugi_core::desired::{Hook, Verdict};
use tsumugi_core::id::{Asn, Prefix};
use tsumugi_core::router_plan::{Keepalive, RouterPlan, TunnelClamp};

/// All that does not break the network itself for a while, and what does.
const QUICK: &[&str] = &[
    "sessions",
    "loopbacks",
    "addresses",
    "traceroute",
    "two-packets",
    "one-packet-tcp",
    "walls",
    "outside",
];
const NOT_CUT: &[&str] = &[
    "sessions",
    "loopbacks",
    "addresses",
    "traceroute",
    "two-packets",
    "one-packet-tcp",
    "walls",
    "outside",
    "planes",
];
const ALL: &[&str] = &[];

type Test = fn(&Lab) -> Result<(), Failed>;

const TESTS: &[(&str, Test)] = &[
    ("whole", whole),
    ("wrong_mtu_on_one_end", wrong_mtu_on_one_end),
    ("third_fragment", third_fragment),
    ("narrow_link_on_the_way", narrow_link_on_the_way),
    ("no_clamp", no_clamp),
    ("extra_address", extra_address),
    ("silent_hop", silent_hop),
    ("missing_wall", missing_wall),
    ("no_source_filter", no_source_filter),
    ("mistaken_role", mistaken_role),
    ("leaked_route", leaked_route),
    ("route_between_planes", route_between_planes),
    ("ipv4_route_between_planes", ipv4_route_between_planes),
    ("deaf_loopback", deaf_loopback),
    ("session_with_a_wrong_number", session_with_a_wrong_number),
    ("noticed_by_the_carrier", noticed_by_the_carrier),
    ("slow_to_notice", slow_to_notice),
    ("cut_that_leaks", cut_that_leaks),
    ("bad_route_taken", bad_route_taken),
];

const BREAKABLE: &str = "files/breakable.toml";
const STRETCHED: &str = "files/stretched.toml";

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let missing = missing();
    if let Some(missing) = &missing {
        eprintln!("skipped: proofs on a broken network: {missing}");
    }
    // Raised by the first test that wants it, ended by one that wants another, or with this function.
    let shared: Arc<Mutex<Option<(&str, Lab)>>> = Arc::default();
    let of = |file: &'static str, tests: &'static [(&'static str, Test)]| {
        tests.iter().map(move |(name, test)| (file, *name, *test))
    };
    let trials = of(BREAKABLE, TESTS)
        .chain(of(STRETCHED, segments::TESTS))
        .map(|(file, name, test)| {
            let shared = Arc::clone(&shared);
            let run = move || {
                let mut standing = shared.lock().unwrap_or_else(PoisonError::into_inner);
                if standing.as_ref().is_none_or(|(other, _)| *other != file) {
                    // The one before ends first: they would share a name.
                    drop(standing.take());
                    *standing = Some((file, Lab::up(file)?));
                }
                standing.as_ref().map_or(Ok(()), |(_, lab)| test(lab))
            };
            Trial::test(name, run).with_ignored_flag(missing.is_some())
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(shared.lock().unwrap_or_else(PoisonError::into_inner).take());
    conclusion.exit_code()
}

/// Nothing is broken: every proof holds.
fn whole(lab: &Lab) -> Result<(), Failed> {
    lab.prove(ALL)?.only_fails(&[])
}

fn wrong_mtu_on_one_end(lab: &Lab) -> Result<(), Failed> {
    let _undo = lab.replan("ra", |plan| {
        for link in plan.fabric.links.iter_mut().filter(|link| link.name.as_str() == "gre-rb") {
            link.mtu = 1400;
        }
        for tunnel in plan.tunnels.iter_mut().filter(|tunnel| tunnel.name.as_str() == "gre-rb") {
            tunnel.mtu = 1400;
        }
    })?;
    lab.until("ra", &["ip", "link", "show", "gre-rb"], "mtu 1400")?;
    let found = lab.prove(QUICK)?;
    found.only_fails(&["two-packets"])?;
    found.says("two-packets", "ra → rb", "2400 bytes cannot be sent")
}

/// An end that cuts smaller than the path asks for; TCP is clamped to fit all the same.
fn third_fragment(lab: &Lab) -> Result<(), Failed> {
    let _undo = lab.replan("ra", |plan| {
        for tunnel in plan.tunnels.iter_mut().filter(|tunnel| tunnel.name.as_str() == "wg-rc") {
            tunnel.path_mtu = 1000;
        }
        for rule in plan.fabric.walls.iter_mut().flat_map(|wall| &mut wall.rules) {
            if let Verdict::ClampMss { mss } = &mut rule.verdict {
                *mss = 800;
            }
        }
    })?;
    lab.until("ra", &["nft", "list", "table", "inet", "tsumugi"], "maxseg size set 800")?;
    let found = lab.prove(QUICK)?;
    found.only_fails(&["two-packets"])?;
    found.says("two-packets", "ra → rc", "3 outer packets at the sender's line instead of 2")
}

/// A router in the underlay whose link is smaller than the path that the file states: it cuts again,
/// and TCP as well.
fn narrow_link_on_the_way(lab: &Lab) -> Result<(), Failed> {
    lab.exec("ra.inet", &["ip", "link", "set", "dev", "up", "mtu", "1490"])?;
    let found = lab.prove(QUICK);
    lab.exec("ra.inet", &["ip", "link", "set", "dev", "up", "mtu", "1500"])?;
    let found = found?;
    found.only_fails(&["two-packets", "one-packet-tcp"])?;
    found.says("two-packets", "ra → rc", "3 outer packets at the receiver's line instead of 2")
}

fn no_clamp(lab: &Lab) -> Result<(), Failed> {
    let unclamp = |plan: &mut tsumugi_core::router_plan::RouterPlan| {
        for wall in &mut plan.fabric.walls {
            wall.rules.retain(|rule| !matches!(rule.verdict, Verdict::ClampMss { .. }));
        }
        for tunnel in &mut plan.tunnels {
            tunnel.clamp = TunnelClamp::Off;
        }
    };
    let _undo = (lab.replan("ra", unclamp)?, lab.replan("rb", unclamp)?);
    for router in ["ra", "rb"] {
        lab.until_not(router, &["nft", "list", "table", "inet", "tsumugi"], "maxseg")?;
    }
    let found = lab.prove(QUICK)?;
    found.only_fails(&["one-packet-tcp"])?;
    found.says("one-packet-tcp", "ra-up", "are fragments")?;
    found.says("one-packet-tcp", "ra-rb", "are fragments")
}

fn extra_address(lab: &Lab) -> Result<(), Failed> {
    lab.exec("rb", &["ip", "address", "add", "203.0.113.99/32", "dev", "lo"])?;
    let found = lab.prove(QUICK);
    lab.exec("rb", &["ip", "address", "del", "203.0.113.99/32", "dev", "lo"])?;
    let found = found?;
    found.only_fails(&["addresses"])?;
    found.says("addresses", "rb", "has no place in the fabric: 203.0.113.99/32 (lo)")
}

fn silent_hop(lab: &Lab) -> Result<(), Failed> {
    lab.nft(
        "rb",
        "table inet broken {\n chain output {\n type filter hook output priority 0\n \
         icmp type { destination-unreachable, time-exceeded } drop\n }\n}\n",
    )?;
    let found = lab.prove(QUICK);
    lab.nft("rb", "delete table inet broken\n")?;
    let found = found?;
    found.only_fails(&["traceroute"])?;
    found.says("traceroute", "→ rb", "IPv4: hop 1 does not answer")
}

fn missing_wall(lab: &Lab) -> Result<(), Failed> {
    let _undo = lab.replan("ra", |plan| {
        for wall in plan.fabric.walls.iter_mut().filter(|wall| wall.hook == Hook::Input) {
            wall.rules.retain(|rule| matches!(rule.verdict, Verdict::ClampMss { .. }));
            wall.otherwise = None;
        }
    })?;
    lab.until_not("ra", &["nft", "list", "table", "inet", "tsumugi"], "not-for-routers")?;
    let found = lab.prove(QUICK)?;
    found.only_fails(&["walls"])?;
    found.says("walls", "up → ra", "let through or answered")
}

fn no_source_filter(lab: &Lab) -> Result<(), Failed> {
    let _undo = lab.replan("rb", |plan| plan.fabric.walls.retain(|wall| wall.hook != Hook::Prerouting))?;
    lab.until_not("rb", &["nft", "list", "table", "inet", "tsumugi"], "false-source")?;
    let found = lab.prove(QUICK)?;
    found.only_fails(&["walls"])?;
    found.says("walls", "guest host-hall → rb: false source", "let through or answered")
}

/// The border takes the exchange for a customer. The exchange knows better, and there is no session: one
/// mistake leaks nothing (RFC 9234).
fn mistaken_role(lab: &Lab) -> Result<(), Failed> {
    let _undo = lab.replan("rc", |plan| {
        for neighbour in plan.speaker.iter_mut().flat_map(|speaker| &mut speaker.neighbours) {
            if let Relation::Outside(policy) = &mut neighbour.relation {
                policy.role = Role::Customer;
            }
        }
    })?;
    let found = lab.prove(QUICK)?;
    found.only_fails(&["sessions", "outside"])?;
    found.says("outside", "ix ← rc", "no session")
}

/// The border announces what is not the network's.
fn leaked_route(lab: &Lab) -> Result<(), Failed> {
    let prefix: Prefix = "45.99.0.0/24".parse().expect("a prefix");
    let _undo = lab.replan("rc", |plan| {
        if let Some(speaker) = &mut plan.speaker {
            speaker.own_prefixes.push(prefix);
            speaker.originate.push(Origination { prefix, while_reaching: Vec::new(), discard: true });
        }
    })?;
    let found = lab.prove(QUICK)?;
    found.only_fails(&["outside"])?;
    found.says("outside", "ix ← rc", "too much: 45.99.0.0/24")
}

/// A wire from the fabric into the management plane, and a route over it.
fn route_between_planes(lab: &Lab) -> Result<(), Failed> {
    let fabric = "/run/tsumugi/state/rb/planes/fabric";
    lab.exec("rb:management", &["ip", "link", "add", "leak", "type", "veth", "peer", "name", "leak2"])?;
    lab.exec("rb:management", &["ip", "link", "set", "leak", "up"])?;
    lab.exec("rb:management", &["ip", "address", "add", "fe80::99/64", "dev", "leak", "nodad"])?;
    lab.exec("rb:management", &["ip", "link", "set", "leak2", "netns", fabric])?;
    lab.exec("rb", &["ip", "link", "set", "leak2", "up"])?;
    lab.exec("rb", &["ip", "address", "add", "fe80::98/64", "dev", "leak2", "nodad"])?;
    lab.exec("rb", &["ip", "route", "add", "fd63:806::/48", "via", "fe80::99", "dev", "leak2"])?;
    let found = lab.prove(NOT_CUT);
    lab.exec("rb:management", &["ip", "link", "del", "leak"])?;
    let found = found?;
    found.only_fails(&["planes"])?;
    found.says("planes", "→ management", "rb (fabric) → rb")
}

/// The same, but for IPv4 alone and without an address: a default route into the management plane.
fn ipv4_route_between_planes(lab: &Lab) -> Result<(), Failed> {
    let fabric = "/run/tsumugi/state/rb/planes/fabric";
    lab.exec("rb:management", &["ip", "link", "add", "leak", "type", "veth", "peer", "name", "leak2"])?;
    lab.exec("rb:management", &["ip", "link", "set", "leak", "up"])?;
    lab.exec("rb:management", &["ip", "link", "set", "leak2", "netns", fabric])?;
    lab.exec("rb", &["ip", "link", "set", "leak2", "up"])?;
    lab.exec(
        "rb",
        &["ip", "neighbour", "add", "45.254.0.66", "lladdr", "02:00:00:00:00:01", "dev", "leak2"],
    )?;
    lab.exec("rb", &["ip", "route", "add", "default", "dev", "leak2"])?;
    let found = lab.prove(NOT_CUT);
    lab.exec("rb:management", &["ip", "link", "del", "leak"])?;
    let found = found?;
    found.only_fails(&["planes"])?;
    found.says("planes", "→ management", "rb (fabric) → rb")
}

fn deaf_loopback(lab: &Lab) -> Result<(), Failed> {
    lab.nft(
        "rb",
        "table inet broken {\n chain input {\n type filter hook input priority -10\n \
         ip saddr 43.228.174.129 ip daddr 43.228.174.130 ip length < 100 icmp type echo-request drop\n }\n}\n",
    )?;
    let found = lab.prove(QUICK);
    lab.nft("rb", "delete table inet broken\n")?;
    let found = found?;
    found.only_fails(&["loopbacks"])?;
    found.says("loopbacks", "ra", "no answer: rb (43.228.174.130)")
}

fn session_with_a_wrong_number(lab: &Lab) -> Result<(), Failed> {
    let _undo = lab.replan("ra", |plan| {
        for neighbour in plan.speaker.iter_mut().flat_map(|speaker| &mut speaker.neighbours) {
            if neighbour.transport.link().as_str() == "gre-rb" {
                neighbour.remote_asn = Asn(64_999);
            }
        }
    })?;
    let found = lab.prove(QUICK)?;
    found.only_fails(&["sessions"])?;
    found.says("sessions", "ra", "not established: rb/gre-rb")
}

/// Two ends whose BGP waits a minute and a half before it believes that the other is gone, and that has no BFD to
/// tell it.
fn patient(link: &'static str, plan: &mut RouterPlan) {
    for neighbour in plan.speaker.iter_mut().flat_map(|speaker| &mut speaker.neighbours) {
        if neighbour.transport.link().as_str() == link {
            neighbour.timers = Timers { connect_retry: 500, ..Timers::OUTSIDE };
            neighbour.terms.bfd = None;
        }
    }
}

/// It need not wait: the tunnel's carrier tells it.
fn noticed_by_the_carrier(lab: &Lab) -> Result<(), Failed> {
    let _undo = (
        lab.replan("rb", |plan| patient("gre-rc", plan))?,
        lab.replan("rc", |plan| patient("gre-rb", plan))?,
    );
    lab.prove(&["sessions", "cut"])?.only_fails(&[])
}

/// Nor is the far end asked whether it lives.
fn slow_to_notice(lab: &Lab) -> Result<(), Failed> {
    let slow = |link: &'static str| {
        move |plan: &mut RouterPlan| {
            patient(link, plan);
            for tunnel in plan.tunnels.iter_mut().filter(|tunnel| tunnel.name.as_str() == link) {
                tunnel.keepalive = Keepalive::Off;
            }
        }
    };
    let _undo = (lab.replan("rb", slow("gre-rc"))?, lab.replan("rc", slow("gre-rb"))?);
    let found = lab.prove(&["sessions", "loopbacks", "two-packets", "cut"])?;
    found.only_fails(&["cut"])?;
    found.says("cut", "rb-rc", "though there is a second way: rb-rc")
}

/// A way around the cut, one direction of a link, below where the cut drops.
fn cut_that_leaks(lab: &Lab) -> Result<(), Failed> {
    let past = |device: &str, next: &str, out: &str| {
        format!(
            "table netdev broken {{\n chain in {{\n type filter hook ingress device \"{device}\" priority 0\n \
             ip6 saddr 2001:db8:101::1 ip6 daddr 2001:db8:102::1 meta l4proto 47 \
             fwd ip6 to {next} device \"{out}\"\n }}\n}}\n"
        )
    };
    lab.nft("ra.ngn", &past("line", "fe80::1", "up"))?;
    lab.nft("rb.ngn", &past("up", "2001:db8:102::1", "line"))?;
    let found = lab.prove(&["sessions", "loopbacks", "two-packets", "cut"]);
    for machine in ["ra.ngn", "rb.ngn"] {
        lab.nft(machine, "delete table netdev broken\n")?;
    }
    let found = found?;
    found.only_fails(&["cut"])?;
    found.says("cut", "ra-rb", "outer packets passed although the link is cut")
}

/// A border's kernel follows a route that is to be refused.
fn bad_route_taken(lab: &Lab) -> Result<(), Failed> {
    let route = ["45.16.2.0/25", "via", "203.0.113.1"];
    lab.exec("ra", &[&["ip", "route", "add"][..], &route].concat())?;
    let found = lab.prove(QUICK);
    lab.exec("ra", &[&["ip", "route", "del"][..], &route].concat())?;
    let found = found?;
    found.only_fails(&["outside"])?;
    found.says("outside", "up → ra, bad", "packets came although it is to be refused: 45.16.2.0/25")
}
