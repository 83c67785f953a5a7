//! The shortcut in the kernel: what takes it, what does not, and what happens without it.

use crate::bench::{Bench, Outside, ip, tunnel};
use crate::bulk::stream;
use crate::hostile::Forged;
use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt};
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;
use tsumugi_core::router_plan::{Encapsulation, Engine, Tunnel};
use tsumugi_core::wire::{ipv4, ipv6};

pub const PATIENCE: Duration = Duration::from_secs(10);

pub fn plan(outside: Outside) -> Tunnel {
    Tunnel { engine: Engine::Auto, ..tunnel("eip-x", Encapsulation::EtherIp, outside, 1500, 2400) }
}

/// Why these tests cannot be run, where the binary has no shortcut.
pub fn missing() -> Option<String> {
    let program = include_bytes!(concat!(env!("OUT_DIR"), "/pop.bpf"));
    program.is_empty().then(|| "built without clang".into())
}

/// Waits until both ends say the same of the shortcut.
#[track_caller]
pub fn shortcut_is(bench: &Bench, state: &str) {
    for (index, machine) in bench.machines.iter().enumerate() {
        machine.wait_for(state, || bench.status(index)["tunnels"][0]["shortcut"] == state);
    }
}

pub fn counted(bench: &Bench, way: &str) -> u64 {
    bench.status(0)["tunnels"][0][way]["packets"].as_u64().unwrap_or_default()
}

/// Packets that have come out of the shortcut into the fabric and gone into it, as the pair itself counts.
pub fn by_the_pair(bench: &Bench) -> (u64, u64) {
    let text = bench.machines[0].in_plane("fabric", || ip("-s -j link show shortcut-in"));
    let links: serde_json::Value = serde_json::from_str(&text).unwrap();
    let count = |way: &str| links[0]["stats64"][way]["packets"].as_u64().unwrap();
    (count("rx"), count("tx"))
}

/// The kernel moves the frames that fit and the processes the others, and both are counted. A process that
/// stands still moves nothing, and soon the kernel moves nothing for it either.
pub fn frames_that_fit_take_the_shortcut_while_the_process_lives() {
    for outside in [Outside::V6, Outside::V4] {
        let bench = Bench::new("shortcut", 1500);
        bench.start(&plan(outside));
        bench.reachable(PATIENCE);
        shortcut_is(&bench, "open");
        // The largest that fits, 1500 less the outer header, EtherIP's and Ethernet's.
        let fits = if outside == Outside::V6 { 1444 } else { 1464 };
        for ipv6 in [false, true] {
            bench.ping(ipv6, 2400, 2);
            let (sent, received) = (counted(&bench, "sent"), counted(&bench, "received"));
            let (came, left) = by_the_pair(&bench);
            assert!(bench.try_ping(ipv6, 100, 3));
            assert!(bench.try_ping(ipv6, fits, 3));
            let (came_now, left_now) = by_the_pair(&bench);
            assert!(came_now >= came + 6 && left_now >= left + 6, "{came_now} {came} {left_now} {left}");
            assert!(bench.try_ping(ipv6, fits + 1, 3));
            assert_eq!(by_the_pair(&bench), (came_now, left_now));
            assert!(counted(&bench, "sent") >= sent + 9, "{}", bench.status(0));
            assert!(counted(&bench, "received") >= received + 9, "{}", bench.status(0));
        }
        for machine in &bench.machines {
            machine.signal(Signal::SIGSTOP);
        }
        bench.machines[0].wait_for("the shortcut's end", || !bench.try_ping(true, 100, 1));
        for machine in &bench.machines {
            machine.signal(Signal::SIGCONT);
        }
        bench.reachable(PATIENCE);
        shortcut_is(&bench, "open");
    }
}

/// TCP begins through the process, where its segment size is lowered, and goes on by the shortcut.
pub fn streams_arrive_whole_by_the_shortcut() {
    for outside in [Outside::V6, Outside::V4] {
        let bench = Bench::new("shortstream", 1500);
        bench.start(&plan(outside));
        bench.reachable(PATIENCE);
        shortcut_is(&bench, "open");
        for ipv6 in [false, true] {
            stream(&bench, ipv6, 0);
            stream(&bench, ipv6, 1);
        }
        assert_eq!(bench.status(0)["tunnels"][0]["drops"], serde_json::json!({}));
    }
}

/// What strangers send, and what is not EtherIP, comes to the process and is counted there.
pub fn strangers_do_not_get_in_by_the_shortcut() {
    let bench = Bench::new("shortwrong", 1500);
    bench.start(&plan(Outside::V4));
    bench.reachable(PATIENCE);
    shortcut_is(&bench, "open");
    bench.quiet();
    let received = counted(&bench, "received");
    // Of UDP and padded: what is neither goes to the process anyway, be it well-formed or not.
    let mut inner = bench.inner_packet();
    inner[9] = 17;
    let frame = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..], &inner, &[0; 64]].concat();
    let behind = |header: [u8; 2]| [&header[..], &frame].concat();
    // The same frame, well-formed and from the far end, does go this way: what follows is about the rest.
    let (came, _) = by_the_pair(&bench);
    bench.forge("192.0.2.2", 97, &behind([0x30, 0]));
    bench.machines[0].wait_for("a well-formed frame", || by_the_pair(&bench).0 == came + 1);
    bench.machines[0].wait_for("its count", || counted(&bench, "received") == received + 1);
    bench.forge("192.0.2.77", 97, &behind([0x30, 0]));
    bench.forge("192.0.2.2", 97, &behind([0x40, 0]));
    bench.forge("192.0.2.2", 97, &behind([0x30, 1]));
    bench.forge("192.0.2.2", 97, &behind([0x03, 0]));
    let alpha = &bench.machines[0];
    for (of, reason) in [
        ("lines", "unknown-source"),
        ("lines", "etherip-version"),
        ("lines", "etherip-reserved"),
        ("tunnels", "etherip-reversed"),
    ] {
        alpha.wait_for(reason, || bench.status(0)[of][0]["drops"][reason] == 1);
    }
    assert_eq!(by_the_pair(&bench).0, came + 1);
    assert_eq!(counted(&bench, "received"), received + 1, "{}", bench.status(0));
}

/// The next life takes the shortcut over; a plan that does not want it closes it; neither touches the device.
pub fn the_shortcut_comes_and_goes_and_the_device_stays() {
    let bench = Bench::new("shortlife", 1500);
    let plan = plan(Outside::V6);
    bench.start(&plan);
    bench.reachable(PATIENCE);
    shortcut_is(&bench, "open");
    let alpha = &bench.machines[0];
    let index = || alpha.in_plane("fabric", || ip("-o link show eip-x")).split(':').next().map(str::to_owned);
    let before = index();
    alpha.kill();
    alpha.start();
    alpha.wait_for("the shortcut of the next life", || bench.status(0)["tunnels"][0]["shortcut"] == "open");
    bench.reachable(PATIENCE);
    alpha.write_plan(vec![Tunnel { engine: Engine::Userspace, ..plan }]);
    alpha.signal(Signal::SIGHUP);
    alpha.wait_for("closed", || bench.status(0)["tunnels"][0]["shortcut-why"]["reason"] == "stated");
    bench.reachable(PATIENCE);
    stream(&bench, true, 0);
    assert_eq!(index(), before);
    alpha.wait_for("nothing is left", || left(&bench, 0).is_empty());
    // The other end's goes with its process.
    assert_ne!(left(&bench, 1), "");
    let beta = &bench.machines[1];
    beta.signal(Signal::SIGTERM);
    beta.wait_for("nothing is left", || left(&bench, 1).is_empty());
}

/// What of the shortcut is in the kernel: the pair, and programs on the device and on the line, by links that the
/// process has (Linux 6.6) or by filters.
pub fn left(bench: &Bench, machine: usize) -> String {
    let machine = &bench.machines[machine];
    let tc = |plane: &str, of: &str| {
        let run = || Command::new("tc").args(["filter", "show", "dev"]).args(of.split(' ')).output();
        String::from_utf8(machine.enter(plane, run).unwrap().stdout).unwrap()
    };
    let pair = machine.in_plane("fabric", || ip("-o link show type veth"));
    let of_process = |pid: u32| std::fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten();
    let links = machine.pid().into_iter().flat_map(of_process).filter_map(|file| {
        let text = std::fs::read_to_string(file.ok()?.path()).ok()?;
        text.contains("link_type:\ttcx").then_some(text)
    });
    [links.collect(), tc("fabric", "eip-x egress"), tc("underlay", "eth1 ingress"), pair].concat()
}

/// What the kernel refuses is said, and every packet goes through the process: here a stranger's interface
/// has the name that the pair needs.
pub fn without_the_shortcut_packets_pass_as_ever() {
    let bench = Bench::new("shortless", 1500);
    for machine in &bench.machines {
        machine.in_plane("fabric", || ip("link add shortcut-in type bridge"));
    }
    bench.start(&plan(Outside::V6));
    bench.reachable(PATIENCE);
    shortcut_is(&bench, "closed");
    bench.machines[0]
        .wait_for("refused", || bench.status(0)["tunnels"][0]["shortcut-why"]["reason"] == "refused");
    bench.ping(true, 2400, 2);
    stream(&bench, true, 0);
    stream(&bench, false, 1);
}

/// A tunnel header and a frame.
fn framed(header: [u8; 2], ethertype: u16, content: &[u8]) -> Vec<u8> {
    let ends = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    [&header[..], &ends, &ethertype.to_be_bytes(), content].concat()
}

fn inner_four(protocol: u8, traffic_class: u8, more_fragments: bool, content: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 20];
    ipv4::Repr {
        source: [198, 18, 0, 2].into(),
        destination: [198, 18, 0, 1].into(),
        protocol,
        hop_limit: 64,
        traffic_class,
        identification: 1,
        dont_fragment: false,
        more_fragments,
        fragment_offset: 0,
        payload_len: content.len(),
    }
    .emit(&mut packet);
    packet.extend(content);
    framed([0x30, 0], 0x0800, &packet)
}

fn inner_six(next_header: u8, traffic_class: u8, content: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 40];
    ipv6::Repr {
        source: "2001:db8:f::2".parse().unwrap(),
        destination: "2001:db8:f::1".parse().unwrap(),
        next_header,
        hop_limit: 255,
        traffic_class,
        flow_label: 0,
        payload_len: content.len(),
    }
    .emit(&mut packet);
    packet.extend(content);
    framed([0x30, 0], 0x86dd, &packet)
}

/// A TCP header with these flags, and what it carries.
fn tcp(flags: u8) -> Vec<u8> {
    let mut segment = vec![0; 64];
    segment[12..14].copy_from_slice(&[5 << 4, flags]);
    segment
}

/// What of the far end's packets does not go by the shortcut, each by its name.
fn not_plain(outside: Outside) -> Vec<(String, Vec<Forged>)> {
    const UDP: u8 = 17;
    let own = Forged::from(outside, 2);
    let with = |payload: Vec<u8>| vec![Forged { payload, ..own.clone() }];
    let marked = |class: u8, payload: Vec<u8>| vec![Forged { class, payload, ..own.clone() }];
    let datagram = |class: u8| inner_four(UDP, class, false, &[0; 64]);
    let (first, last) = (datagram(0)[..48].to_vec(), datagram(0)[48..].to_vec());
    let piece = |offset: usize, payload: Vec<u8>| Forged {
        number: 1,
        offset,
        more: offset == 0,
        payload,
        ..own.clone()
    };
    let mut with_options = datagram(0);
    with_options[16] = 0x46;
    let mut all: Vec<(String, Vec<Forged>)> = vec![
        ("congestion outside".into(), marked(3, datagram(2))),
        ("ECT(1) outside".into(), marked(1, datagram(2))),
        ("CS6 outside".into(), marked(0xc0, datagram(0))),
        ("CS6 inside".into(), with(datagram(0xc0))),
        ("CS6 inside IPv6".into(), with(inner_six(UDP, 0xc0, &[0; 64]))),
        ("two outer packets".into(), vec![piece(0, first), piece(48, last)]),
        ("a SYN".into(), with(inner_four(6, 0, false, &tcp(2)))),
        ("a SYN in IPv6".into(), with(inner_six(6, 0, &tcp(0x12)))),
        ("a fragment of TCP".into(), with(inner_four(6, 0, true, &tcp(0x10)))),
        ("options".into(), with(with_options)),
        ("an extension header".into(), with(inner_six(0, 0, &[0; 64]))),
        ("a VLAN tag".into(), with(framed([0x30, 0], 0x8100, &[0; 64]))),
        ("ARP".into(), with(framed([0x30, 0], 0x0806, &[0; 64]))),
        ("a frame that is short".into(), with(inner_four(UDP, 0, false, &[0; 8]))),
        ("half a frame".into(), with(vec![0x30, 0, 2, 0, 0, 0, 0, 1])),
        ("a tunnel header alone".into(), with(vec![0x30, 0])),
        ("a stranger".into(), vec![Forged { payload: datagram(0), ..Forged::from(outside, 66) }]),
    ];
    for header in [[0x20, 0], [0x40, 0], [0x03, 0], [0x31, 0], [0x30, 1], [0x30, 0x80]] {
        let mut payload = datagram(0);
        payload[..2].copy_from_slice(&header);
        all.push((format!("header {header:02x?}"), with(payload)));
    }
    for kind in 133..=137 {
        let message = [&[kind, 0][..], &[0; 62]].concat();
        all.push((format!("ICMPv6 {kind}"), with(inner_six(58, 0, &message))));
    }
    all
}

/// What is not plain comes to the process, whatever it does with it, and is counted there; before and after
/// each such packet a plain one is seen to take the shortcut.
pub fn only_what_is_plain_takes_the_shortcut() {
    for outside in [Outside::V6, Outside::V4] {
        let bench = Bench::new("shortplain", 1500);
        bench.start(&plan(outside));
        bench.reachable(PATIENCE);
        shortcut_is(&bench, "open");
        bench.quiet();
        let alpha = &bench.machines[0];
        let total = || {
            let status = bench.status(0);
            let drops = ["tunnels", "lines"].map(|of| {
                let counts = status[of][0]["drops"].as_object().unwrap();
                counts.values().map(|count| count.as_u64().unwrap()).sum::<u64>()
            });
            status["tunnels"][0]["received"]["packets"].as_u64().unwrap() + drops[0] + drops[1]
        };
        let forge = |packets: &[Forged]| {
            bench.forge_packets(&packets.iter().map(Forged::build).collect::<Vec<_>>());
        };
        let own = Forged::from(outside, 2);
        let mut plain = [
            inner_four(17, 0, false, &[0; 64]),
            inner_four(6, 0, false, &tcp(0x10)),
            inner_six(6, 0, &tcp(0x10)),
            inner_six(58, 0, &[128; 64]),
            inner_six(58, 0, &[138; 64]),
            inner_four(17, 0x2, false, &[0; 64]),
        ]
        .into_iter()
        .map(|payload| Forged { payload, ..own.clone() })
        .cycle();
        let mut control = || {
            let (came, counted) = (by_the_pair(&bench).0, total());
            forge(&[plain.next().unwrap()]);
            alpha.wait_for("a plain frame by the pair", || by_the_pair(&bench).0 == came + 1);
            alpha.wait_for("its count", || total() == counted + 1);
        };
        control();
        for (name, packets) in not_plain(outside) {
            let (came, counted) = (by_the_pair(&bench).0, total());
            forge(&packets);
            alpha.wait_for(&name, || total() > counted);
            assert_eq!(by_the_pair(&bench).0, came, "{name}");
            control();
        }
        // The other way: network control leaves through the process, which marks it outside as well.
        let sender = alpha.in_plane("fabric", || UdpSocket::bind("198.18.0.1:0").unwrap());
        for (class, by_shortcut) in [(0, 1), (0xc0, 0), (0, 1)] {
            setsockopt(&sender, sockopt::Ipv4Tos, &class).unwrap();
            let (left, sent) = (by_the_pair(&bench).1, counted(&bench, "sent"));
            sender.send_to(&[0; 64], "198.18.0.2:9").unwrap();
            alpha.wait_for("it is sent", || counted(&bench, "sent") > sent);
            assert_eq!(by_the_pair(&bench).1, left + by_shortcut, "{class:#x}");
        }
    }
}

/// What somebody has taken away of it is noticed, and packets go through the process again.
pub fn a_pair_that_is_taken_away_is_no_loss_for_long() {
    let bench = Bench::new("shortgone", 1500);
    bench.start(&plan(Outside::V6));
    bench.reachable(PATIENCE);
    shortcut_is(&bench, "open");
    let alpha = &bench.machines[0];
    alpha.in_plane("underlay", || ip("link set shortcut-out down"));
    alpha.wait_for("it is closed", || bench.status(0)["tunnels"][0]["shortcut"] != "open");
    let said = bench.status(0)["tunnels"][0]["shortcut-why"].to_string();
    assert!(said.contains("the pair has been taken down"), "{said}");
    bench.reachable(PATIENCE);
    // A new plan makes it anew.
    alpha.reload(&[plan(Outside::V6)]);
    shortcut_is(&bench, "open");
    bench.reachable(PATIENCE);
}
