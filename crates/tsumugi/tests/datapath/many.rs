//! Hundreds of tunnels over one line: each carries its own and nobody else's.
//!
//! ```text
//!   alpha 192.0.2.1, 2001:db8:101::1 ── 50 GRE by key, to 192.0.2.100 to .109
//!                                    ── 50 GREtap by key, to 192.0.2.100 to .109
//!                                    ── 50 EtherIP, to 2001:db8:101::100 to ::131
//!                                    ── 50 WireGuard by port and key, to 192.0.2.100 to .109
//! ```

use crate::bench::{Bench, Machine, Outside, batch, tunnel, turned};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use nix::net::if_::if_nametoindex;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};
use tsumugi_core::id::KeyName;
use tsumugi_core::router_plan::{Encapsulation, Tunnel};
use tsumugi_core::wire::ip::protocol;
use tsumugi_core::wire::{ipv6, udp};

/// Tunnels of each kind.
const EACH: u16 = 50;
/// Far ends over IPv4, shared by all kinds there.
const REMOTES: u16 = 10;
/// Where hosts of the fabric listen.
const PORT: u16 = 7000;
const PATIENCE: Duration = Duration::from_secs(120);
/// Floods of strangers, each of 10,000 packets of 5,000 sources.
const FLOODS: usize = 8;
/// What a flood would cost that left 24 bytes for each source, in KiB.
const LEAST_FOR_STRANGERS: u64 = 117;

fn remote_v4(at: u16) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, 100 + (at % REMOTES) as u8)
}

fn remote_v6(at: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0x101, 0, 0, 0, 0, 0x100 + at)
}

fn port(at: u16) -> u16 {
    20_000 + at
}

/// The key of one end of a WireGuard tunnel.
fn private(machine: u8, at: u16) -> StaticSecret {
    let mut bytes = [machine; 32];
    bytes[1..3].copy_from_slice(&at.to_be_bytes());
    StaticSecret::from(bytes)
}

fn key(machine: u8, at: u16) -> KeyName {
    KeyName(format!("link.machine{machine}.wg{at}"))
}

fn write_keys(machine: &Machine, own: u8) {
    let public = |id, at| (key(id, at).0, BASE64.encode(PublicKey::from(&private(id, at)).as_bytes()));
    let ring: BTreeMap<_, _> = (0..EACH).flat_map(|at| [public(1, at), public(2, at)]).collect();
    std::fs::write(machine.state.join("keyring.json"), serde_json::to_vec(&ring).unwrap()).unwrap();
    for at in 0..EACH {
        let text = BASE64.encode(private(own, at).to_bytes());
        std::fs::write(machine.state.join("keys").join(key(own, at).0), text).unwrap();
    }
}

/// All of them as alpha has them.
fn tunnels() -> Vec<Tunnel> {
    let over_v4 = |name: String, at: u16, encapsulation| Tunnel {
        remote: Some(remote_v4(at).into()),
        ..tunnel(&name, encapsulation, Outside::V4, 1500, 1400)
    };
    (0..EACH)
        .flat_map(|at| {
            let number = Some(u32::from(at) + 1);
            let wireguard = Encapsulation::WireGuard {
                local_key: key(1, at),
                remote_key: key(2, at),
                local_port: port(at),
                remote_port: port(at),
            };
            [
                over_v4(format!("gre{at}"), at, Encapsulation::Gre { key: number }),
                over_v4(format!("tap{at}"), at, Encapsulation::Gretap { key: number }),
                Tunnel {
                    remote: Some(remote_v6(at).into()),
                    ..tunnel(&format!("eip{at}"), Encapsulation::EtherIp, Outside::V6, 1500, 1400)
                },
                over_v4(format!("wg{at}"), at, wireguard),
            ]
        })
        .collect()
}

/// Memory of a machine's process, its share of what it shares included, in KiB.
fn memory(bench: &Bench, machine: usize) -> u64 {
    let pid = bench.status(machine)["pid"].as_u64().unwrap();
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// How often the stack of alpha's underlay has told somebody that it knows no such protocol or port: it
/// does where it is not kept from what packet sockets take.
fn refusals(bench: &Bench) -> u64 {
    bench.machines[0].in_plane("underlay", || {
        let six = std::fs::read_to_string("/proc/thread-self/net/snmp6").unwrap();
        let six = six.lines().find_map(|line| line.strip_prefix("Icmp6OutDestUnreachs")).unwrap();
        let four = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
        let mut rows = four.lines().filter_map(|line| line.strip_prefix("Icmp: ")).map(str::split_whitespace);
        let at = rows.next().unwrap().position(|name| name == "OutDestUnreachs").unwrap();
        let four = rows.next().unwrap().nth(at).unwrap();
        [six.trim(), four].map(|count| count.parse::<u64>().unwrap()).iter().sum()
    })
}

/// Processor time of a machine's process since it started.
fn processor_time(bench: &Bench, machine: usize) -> Duration {
    let pid = bench.status(machine)["pid"].as_u64().unwrap();
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// A datagram through each tunnel and back: whoever is asked answers.
fn all_answer(bench: &Bench, names: &[String]) {
    let [near, far] = [0, 1].map(|machine: usize| {
        bench.machines[machine].in_plane("fabric", || {
            let socket = UdpSocket::bind(("::", PORT)).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            let indices: Vec<u32> = names.iter().map(|name| if_nametoindex(name.as_str()).unwrap()).collect();
            (socket, indices)
        })
    });
    let deadline = Instant::now() + PATIENCE;
    let mut waiting: BTreeSet<usize> = (0..names.len()).collect();
    let mut buffer = [0; 64];
    while !waiting.is_empty() {
        assert!(
            Instant::now() < deadline,
            "no answer by {:?}",
            waiting.iter().map(|at| &names[*at]).collect::<Vec<_>>()
        );
        for at in &waiting {
            let to = SocketAddrV6::new("fe80::2".parse().unwrap(), PORT, 0, near.1[*at]);
            // A neighbour may not have answered yet.
            let _ = near.0.send_to(names[*at].as_bytes(), to);
        }
        while let Ok((len, from)) = far.0.recv_from(&mut buffer) {
            let _ = far.0.send_to(&buffer[..len], from);
        }
        while let Ok((len, from)) = near.0.recv_from(&mut buffer) {
            let std::net::SocketAddr::V6(from) = from else { continue };
            let at = names.iter().position(|name| name.as_bytes() == &buffer[..len]).unwrap();
            assert_eq!(from.scope_id(), near.1[at], "{} came by another tunnel", names[at]);
            waiting.remove(&at);
        }
    }
}

/// A datagram inside, to a host of alpha's that listens.
fn inner(port: u16) -> Vec<u8> {
    let [from, to]: [Ipv6Addr; 2] = ["fe80::2".parse().unwrap(), "fe80::1".parse().unwrap()];
    let mut bytes = vec![7; ipv6::HEADER_LEN + udp::HEADER_LEN + 8];
    let header = udp::Repr { source_port: 9, destination_port: port, payload_len: 8 };
    header.emit(&mut bytes[ipv6::HEADER_LEN..], from.into(), to.into()).unwrap();
    ipv6::Repr {
        source: from,
        destination: to,
        next_header: protocol::UDP,
        hop_limit: 64,
        traffic_class: 0,
        flow_label: 0,
        payload_len: header.buffer_len(),
    }
    .emit(&mut bytes);
    bytes
}

fn gre(key: u32) -> Vec<u8> {
    [&[0x20, 0, 0x86, 0xdd][..], &key.to_be_bytes(), &inner(PORT + 1)].concat()
}

/// As the far end of a WireGuard tunnel would call.
fn call(at: u16, to: u16) -> Vec<u8> {
    let mut tunn = Tunn::new(private(2, at), PublicKey::from(&private(1, to)), None, None, 1, None);
    let mut buffer = [0; 256];
    match tunn.format_handshake_initiation(&mut buffer, false) {
        TunnResult::WriteToNetwork(bytes) => bytes.to_vec(),
        other => panic!("{other:?}"),
    }
}

/// A datagram from the far end `from` to alpha's port of a tunnel, without a checksum.
fn datagram(to: u16, bytes: &[u8]) -> Vec<u8> {
    let [source, destination, length] = [port(to), port(to), bytes.len() as u16 + 8].map(u16::to_be_bytes);
    [&source[..], &destination, &length, &[0, 0], bytes].concat()
}

pub fn hundreds_share_a_line() {
    let bench = Bench::new("many", 1500);
    let tunnels = tunnels();
    let names: Vec<String> = tunnels.iter().map(|tunnel| tunnel.name.to_string()).collect();
    bench.machines[1].in_plane("underlay", || {
        let mut text = String::new();
        for at in 0..REMOTES {
            let _ = writeln!(text, "address add {}/24 dev eth1", remote_v4(at));
        }
        for at in 0..EACH {
            let _ = writeln!(text, "address add {}/64 dev eth1 nodad", remote_v6(at));
        }
        batch(&text);
    });
    let start = Instant::now();
    for (machine, id) in bench.machines.iter().zip([1, 2]) {
        write_keys(machine, id);
        machine.write_plan(
            tunnels.iter().map(|near| if id == 1 { near.clone() } else { turned(near) }).collect(),
        );
        machine.start();
    }
    let state = |machine: usize| {
        let status = bench.status(machine);
        let all = status["tunnels"].as_array().cloned().unwrap_or_default();
        all.iter().filter(|tunnel| tunnel["state"] == "up").count()
    };
    for (at, machine) in bench.machines.iter().enumerate() {
        machine.wait_within(PATIENCE, "every tunnel is up", || state(at) == names.len());
    }
    println!("{} tunnels up after {:?}", names.len(), start.elapsed());
    for (machine, id) in bench.machines.iter().zip([1, 2]) {
        machine.in_plane("fabric", || {
            // The kernel's table of neighbours is one for all namespaces, and bounded: only permanent ones have room
            // whatever else runs, and nobody is asked for routers.
            std::fs::write("/proc/sys/net/ipv6/conf/all/router_solicitations", "0").unwrap();
            let mut text = String::new();
            for tunnel in &tunnels {
                let (name, far) = (&tunnel.name, 3 - id);
                let lladdr = if tunnel.mac.is_some() {
                    format!("lladdr 02:00:00:00:00:0{far}")
                } else {
                    String::new()
                };
                let _ = writeln!(text, "neighbour replace fe80::{far} {lladdr} dev {name} nud permanent");
                let _ = writeln!(text, "address add fe80::{id}/64 dev {name} nodad");
            }
            batch(&text);
        });
    }
    assert_eq!(bench.status(0)["lines"][0]["path"], "packet", "{}", bench.status(0));
    // The rules that keep the stack away follow the tunnels by a moment.
    all_answer(&bench, &names);
    let refused = refusals(&bench);
    all_answer(&bench, &names);
    assert_eq!(refusals(&bench), refused, "the stack has seen packets of the tunnels, and refused them");
    println!("each has carried a packet both ways after {:?}", start.elapsed());

    strangers_are_counted(&bench);
    all_answer(&bench, &names);

    // What a flood needs once (buffers that a full batch touches, answers about status) is there after some of them:
    // how full a batch gets is the machine's affair. What each stranger costs is never there.
    let mut held = vec![memory(&bench, 0)];
    while held.len() < FLOODS {
        let before = processor_time(&bench, 0);
        let flooded = flood(&bench);
        held.push(memory(&bench, 0));
        println!(
            "{flooded} packets of strangers: {:?} of processor time",
            processor_time(&bench, 0) - before
        );
    }
    println!("memory after each flood: {held:?} KiB");
    let settled = held.windows(2).any(|pair| pair[1] < pair[0] + LEAST_FOR_STRANGERS);
    assert!(settled, "strangers cost memory: {held:?} KiB");
    all_answer(&bench, &names);
}

/// What does not come from where it should, with what it should: none of it reaches a host.
fn strangers_are_counted(bench: &Bench) {
    let alpha = &bench.machines[0];
    let listener = alpha.in_plane("fabric", || UdpSocket::bind(("::", PORT + 1)).unwrap());
    listener.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let line = || bench.status(0)["lines"][0]["drops"].clone();
    let count = |drops: &serde_json::Value, reason: &str| drops[reason].as_u64().unwrap_or(0);
    let before = line();
    // The key of tunnel 3 is 4; its far end is 192.0.2.103.
    bench.forge("192.0.2.77", 47, &gre(4));
    bench.forge("192.0.2.104", 47, &gre(4));
    bench.forge("192.0.2.103", 47, &gre(9999));
    // Right keys from a wrong place; another tunnel's key from the right place; no message at all.
    bench.forge("192.0.2.77", 17, &datagram(3, &call(3, 3)));
    bench.forge("192.0.2.104", 17, &datagram(3, &call(3, 3)));
    bench.forge("192.0.2.103", 17, &datagram(3, &call(13, 3)));
    bench.forge("192.0.2.103", 17, &datagram(3, b"no message"));
    // An index of nobody's.
    let lost = [&[4, 0, 0, 0, 9, 9, 9, 9][..], &[0; 40]].concat();
    bench.forge("192.0.2.103", 17, &datagram(3, &lost));
    let of_tunnel = |reason: &str| {
        let status = bench.status(0);
        let all = status["tunnels"].as_array().cloned().unwrap_or_default();
        let third = all.iter().find(|tunnel| tunnel["name"] == "wg3").cloned().unwrap_or_default();
        third["drops"][reason].as_u64().unwrap_or(0)
    };
    alpha.wait_for("each is counted with its reason", || {
        let now = line();
        let new = |reason| count(&now, reason) - count(&before, reason);
        new("unknown-source") == 3
            && new("unknown-tunnel") == 2
            && of_tunnel("unauthenticated") == 1
            && of_tunnel("malformed") == 1
            && of_tunnel("no-session") == 1
    });
    let mut buffer = [0; 64];
    assert!(listener.recv_from(&mut buffer).is_err(), "something of strangers was delivered");
    bench.forge("192.0.2.103", 47, &gre(4));
    let (_, from) = listener.recv_from(&mut buffer).expect("the right one arrives");
    let std::net::SocketAddr::V6(from) = from else { panic!("{from}") };
    let index = alpha.in_plane("fabric", || if_nametoindex("gre3").unwrap());
    assert_eq!(from.scope_id(), index);
}

/// Everything that a stranger can think of, many times. Says how many packets it was.
fn flood(bench: &Bench) -> usize {
    let rounds = 5_000;
    let counted = || {
        let drops = bench.status(0)["lines"][0]["drops"].clone();
        drops.as_object().map_or(0, |all| all.values().filter_map(serde_json::Value::as_u64).sum::<u64>())
    };
    let before = counted();
    let outer = |source: [u8; 4], payload: &[u8], number: u32, path| {
        let proto = if number.is_multiple_of(2) { 47 } else { 97 };
        let outer =
            tsumugi_core::tunnel::Outer::new(source.into(), [192, 0, 2, 1].into(), proto, path).unwrap();
        let first = outer.fragments(payload, number).unwrap().next().unwrap();
        [first.header(), first.payload].concat()
    };
    let inner = gre(4);
    let mut packets = Vec::new();
    for round in 0..rounds {
        let source = [198, 51, (round >> 8) as u8, round as u8];
        // Whole ones, and first pieces whose others never come.
        packets.push(outer(source, &inner, round, 1500));
        packets.push(outer(source, &[0x20; 1000], round, 500));
    }
    bench.forge_packets(&packets);
    bench.machines[0].wait_for("the flood is counted", || counted() >= before + packets.len() as u64 / 2);
    packets.len()
}
