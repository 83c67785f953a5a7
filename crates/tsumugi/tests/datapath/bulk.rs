//! Real TCP and UDP through the tunnels, as fast as they go: what the devices hand over in one piece
//! is cut, what comes is merged, and every byte is as it was.

use crate::bench::{Bench, Outside, key_name, tunnel};
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;
use tsumugi_core::id::Vni;
use tsumugi_core::router_plan::{Encapsulation, Engine, Tunnel, TunnelClamp};

/// Bytes of one stream: many of what a device hands over at once.
const STREAM: usize = 2_000_000;
const PATIENCE: Duration = Duration::from_secs(20);

/// The byte of a stream at a place.
fn pattern(at: usize) -> u8 {
    (at ^ (at >> 8) ^ (at >> 16)) as u8
}

/// Where the loopback of machine `id` is.
fn host(ipv6: bool, id: u32) -> String {
    if ipv6 { format!("[2001:db8:f::{id}]") } else { format!("198.18.0.{id}") }
}

/// A call with a time limit is interrupted when the machine is halted for a moment and goes on (signal(7)).
fn patiently<T>(mut call: impl FnMut() -> io::Result<T>) -> T {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done.unwrap(),
        }
    }
}

/// Sends a stream from one machine to the other and returns the MSS that the sender saw.
pub fn stream(bench: &Bench, ipv6: bool, from: usize) -> u32 {
    let to = 1 - from;
    let name = host(ipv6, to as u32 + 1);
    let listener = bench.machines[to].in_plane("fabric", || TcpListener::bind(format!("{name}:0")).unwrap());
    let port = listener.local_addr().unwrap().port();
    std::thread::scope(|scope| {
        let receiver = scope.spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut buffer = vec![0; 1 << 16];
            let mut at = 0;
            while at < STREAM {
                let len = patiently(|| stream.read(&mut buffer));
                assert!(len > 0, "the stream ended after {at} bytes");
                assert!(buffer[..len].iter().enumerate().all(|(i, byte)| *byte == pattern(at + i)));
                at += len;
            }
            // The sender closes last: it has asked for the MSS then.
            stream.write_all(b".").unwrap();
        });
        let mss = bench.machines[from].in_plane("fabric", || {
            let mut stream = TcpStream::connect(format!("{name}:{port}")).unwrap();
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let bytes: Vec<u8> = (0..STREAM).map(pattern).collect();
            stream.write_all(&bytes).unwrap();
            stream.read_exact(&mut [0]).unwrap();
            getsockopt(&stream, sockopt::TcpMaxSeg).unwrap()
        });
        receiver.join().unwrap();
        mss
    })
}

/// Datagrams that the kernel is given as one (UDP_SEGMENT) arrive one by one.
pub fn datagrams(bench: &Bench, ipv6: bool) {
    let name = host(ipv6, 2);
    let receiver = bench.machines[1].in_plane("fabric", || UdpSocket::bind(format!("{name}:0")).unwrap());
    receiver.set_read_timeout(Some(PATIENCE)).unwrap();
    let to = receiver.local_addr().unwrap();
    let sizes = [1000, 1000, 1000, 1000, 1000, 500];
    let bytes: Vec<u8> = (0..sizes.iter().sum()).map(pattern).collect();
    bench.machines[0].in_plane("fabric", || {
        let sender = UdpSocket::bind(format!("{}:0", host(ipv6, 1))).unwrap();
        setsockopt(&sender, sockopt::UdpGsoSegment, &1000).unwrap();
        assert_eq!(sender.send_to(&bytes, to).unwrap(), bytes.len());
    });
    let mut at = 0;
    let mut buffer = [0; 2000];
    for size in sizes {
        let (len, _) = patiently(|| receiver.recv_from(&mut buffer));
        assert_eq!((len, &buffer[..len]), (size, &bytes[at..at + size]));
        at += size;
    }
}

fn kinds() -> [Encapsulation; 5] {
    [
        Encapsulation::EtherIp,
        Encapsulation::Gre { key: Some(7) },
        Encapsulation::Gretap { key: None },
        Encapsulation::Geneve { vni: Vni(7) },
        Encapsulation::WireGuard {
            local_key: key_name(1),
            remote_key: key_name(2),
            local_port: 20008,
            remote_port: 20004,
        },
    ]
}

pub fn bulk_passes_every_kind_of_tunnel_unharmed() {
    for kind in kinds() {
        for (outside, clamp) in [(Outside::V4, TunnelClamp::Off), (Outside::V6, TunnelClamp::Auto)] {
            let bench = Bench::new("bulk", 1500);
            bench.start(&Tunnel { clamp, ..tunnel("bulk-x", kind.clone(), outside, 1500, 2400) });
            bench.reachable(Duration::from_secs(10));
            for ipv6 in [false, true] {
                let mss = stream(&bench, ipv6, 0);
                stream(&bench, ipv6, 1);
                datagrams(&bench, ipv6);
                assert_eq!(mss < 1460, clamp == TunnelClamp::Auto, "{mss}");
            }
            for machine in 0..2 {
                let status = bench.status(machine);
                let drops = &status["tunnels"][0]["drops"];
                assert!(drops["bad-offload"].is_null() && drops["device-failed"].is_null(), "{status}");
                assert_eq!(status["lines"][0]["drops"], serde_json::json!({}), "{status}");
            }
        }
    }
}

/// The known values at a path of 1500 bytes, less twelve bytes of timestamps in each segment.
pub fn tcp_is_told_to_fit_one_packet() {
    for (kind, engine, four, six) in [
        (Encapsulation::EtherIp, Engine::Userspace, 1404, 1384),
        // By the shortcut, where there is one.
        (Encapsulation::EtherIp, Engine::Auto, 1404, 1384),
        (Encapsulation::Gre { key: None }, Engine::Userspace, 1416, 1396),
        (Encapsulation::Geneve { vni: Vni(7) }, Engine::Userspace, 1390, 1370),
    ] {
        let bench = Bench::new("clamp", 1500);
        bench.start(&Tunnel { engine, ..tunnel("clamp-x", kind, Outside::V6, 1500, 2400) });
        bench.reachable(Duration::from_secs(10));
        for from in 0..2 {
            assert_eq!(stream(&bench, false, from), four - 12);
            assert_eq!(stream(&bench, true, from), six - 12);
        }
    }
}

/// MSS stays as large as the tunnel's MTU lets it be, and yet nearly all segments leave in one packet each:
/// what the stack hands over many at once is cut anew. Those that come alone leave in two.
pub fn segments_are_cut_anew_to_fit_one_packet() {
    for (kind, outside) in
        [(Encapsulation::EtherIp, Outside::V6), (Encapsulation::Gre { key: None }, Outside::V4)]
    {
        let bench = Bench::new("recut", 1500);
        let plan = tunnel("recut-x", kind, outside, 1500, 2400);
        bench.start(&Tunnel { clamp: TunnelClamp::Recut, engine: Engine::Userspace, ..plan });
        bench.reachable(Duration::from_secs(10));
        for ipv6 in [false, true] {
            let sent = || bench.status(0)["tunnels"][0]["sent"]["packets"].as_u64().unwrap();
            let (inner, outer) = (sent(), packets_on_the_line(&bench));
            let mss = stream(&bench, ipv6, 0);
            assert_eq!(mss, if ipv6 { 2328 } else { 2348 });
            let (inner, outer) = (sent() - inner, packets_on_the_line(&bench) - outer);
            assert!(inner > STREAM as u64 / 1440, "{inner} inner packets");
            assert!(outer < inner + inner / 5, "{outer} outer packets of {inner}");
        }
    }
}

/// What the first machine's line has sent so far.
fn packets_on_the_line(bench: &Bench) -> u64 {
    let text =
        bench.machines[0].in_plane("underlay", || std::fs::read_to_string("/proc/thread-self/net/dev"));
    let text = text.unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix("eth1:")).unwrap();
    line.split_whitespace().nth(9).unwrap().parse().unwrap()
}

/// What is not EtherIP as RFC 3378 has it is dropped, each with a counter of its own; what old BSDs
/// send is taken where the plan says so.
pub fn etherip_is_strict() {
    for accept_reversed in [false, true] {
        let bench = Bench::new("strict", 1500);
        let plan = tunnel("eip-x", Encapsulation::EtherIp, Outside::V4, 1500, 1500);
        bench.start(&Tunnel { accept_reversed, ..plan });
        bench.reachable(Duration::from_secs(10));
        bench.quiet();
        let received = || bench.status(0)["tunnels"][0]["received"]["packets"].as_u64();
        let before = received();
        let frame = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5][..], &[0; 46]].concat();
        let forge = |header: &[u8], frame: &[u8]| {
            bench.forge("192.0.2.2", 97, &[header, frame].concat());
        };
        forge(&[0x40, 0], &frame);
        forge(&[0x30, 1], &frame);
        forge(&[0x31, 0], &frame);
        forge(&[0x30, 0], &frame[..13]);
        forge(&[0x03, 0], &frame);
        bench.machines[0].wait_for("each is counted", || {
            let status = bench.status(0);
            let (line, tunnel) = (&status["lines"][0]["drops"], &status["tunnels"][0]);
            let reversed = if accept_reversed {
                tunnel["received"]["packets"].as_u64() > before
            } else {
                tunnel["drops"]["etherip-reversed"] == 1
            };
            line["etherip-version"] == 1
                && line["etherip-reserved"] == 2
                && line["short-frame"] == 1
                && reversed
        });
        assert_eq!(received() > before, accept_reversed);
    }
}
