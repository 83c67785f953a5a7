//! Somebody who floods a line, from places of strangers, of another far end and of the very far end whose
//! packets pass meanwhile.
//!
//! ```text
//!   alpha  eip-x ═════ beta                   a datagram of two outer packets, and its echo, all the time
//!          eip-h ═════ nobody: forged packets of a far end that is hostile
//! ```

use crate::bench::{Bench, Outside, tunnel, turned};
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use std::io::IoSliceMut;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;
use tsumugi_core::router_plan::{Encapsulation, Tunnel};
use tsumugi_core::wire::{ipv4, ipv6};

/// How much more memory the process may have after the floods, in KiB: what reassembly may hold, and the
/// pages of its buffers that nothing had touched before.
const GROWTH: u64 = 8 * 1024;

/// An outer packet of EtherIP as anybody may build it.
#[derive(Clone)]
pub struct Forged {
    pub source: IpAddr,
    pub number: u32,
    pub offset: usize,
    pub more: bool,
    pub class: u8,
    pub payload: Vec<u8>,
}

impl Forged {
    pub fn from(outside: Outside, last: u8) -> Forged {
        let source = match outside {
            Outside::V4 => [192, 0, 2, last].into(),
            Outside::V6 => [0x2001, 0xdb8, 0x101, 0, 0, 0, 0, last.into()].into(),
        };
        Forged { source, number: 0, offset: 0, more: false, class: 0, payload: frame(&[0x30, 0], 50) }
    }

    /// A first piece whose others never come.
    fn half(&self, number: u32) -> Forged {
        Forged { number, more: true, payload: frame(&[0x30, 0], 1424), ..self.clone() }
    }

    pub fn build(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.source {
            IpAddr::V4(source) => {
                bytes.resize(20, 0);
                ipv4::Repr {
                    source,
                    destination: [192, 0, 2, 1].into(),
                    protocol: 97,
                    hop_limit: 64,
                    traffic_class: self.class,
                    // None that beta gives to what it cuts: forged under such a one, that would be lost.
                    identification: self.number as u16 | 0xc000,
                    dont_fragment: false,
                    more_fragments: self.more,
                    fragment_offset: self.offset,
                    payload_len: self.payload.len(),
                }
                .emit(&mut bytes);
            }
            IpAddr::V6(source) => {
                let is_cut = self.more || self.offset > 0;
                bytes.resize(if is_cut { 48 } else { 40 }, 0);
                ipv6::Repr {
                    source,
                    destination: "2001:db8:101::1".parse().unwrap(),
                    next_header: if is_cut { 44 } else { 97 },
                    hop_limit: 64,
                    traffic_class: self.class,
                    flow_label: 0,
                    payload_len: self.payload.len() + if is_cut { 8 } else { 0 },
                }
                .emit(&mut bytes);
                if is_cut {
                    ipv6::FragmentRepr {
                        next_header: 97,
                        offset: self.offset,
                        more: self.more,
                        identification: self.number,
                    }
                    .emit(&mut bytes[40..]);
                }
            }
        }
        bytes.extend(&self.payload);
        bytes
    }
}

/// A tunnel header and an Ethernet frame with `len` bytes that are nobody's.
fn frame(header: &[u8], len: usize) -> Vec<u8> {
    [header, &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0x66, 0x88, 0xb5], &vec![7; len]].concat()
}

/// An echo of datagrams of two outer packets through the tunnel: none may be lost, none is sent again.
struct Echo {
    near: UdpSocket,
    far: UdpSocket,
    count: u32,
}

impl Echo {
    fn new(bench: &Bench) -> Echo {
        let bind = |machine: usize, host: &str| {
            let socket = bench.machines[machine].in_plane("fabric", || UdpSocket::bind((host, 0)).unwrap());
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            socket
        };
        let (near, far) = (bind(0, "198.18.0.1"), bind(1, "198.18.0.2"));
        near.connect(far.local_addr().unwrap()).unwrap();
        far.connect(near.local_addr().unwrap()).unwrap();
        Echo { near, far, count: 0 }
    }

    #[track_caller]
    fn pass(&mut self) {
        self.count += 1;
        let sent: Vec<u8> = self.count.to_be_bytes().into_iter().cycle().take(2300).collect();
        let mut buffer = [0; 4000];
        for (from, to) in [(&self.far, &self.near), (&self.near, &self.far)] {
            from.send(&sent).unwrap();
            let len = loop {
                match to.recv(&mut buffer) {
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    received => break received.expect("nothing is lost"),
                }
            };
            assert!(buffer[..len] == sent, "what came is not what was sent");
        }
    }
}

/// Resident memory of alpha's process, in KiB.
fn resident(bench: &Bench) -> u64 {
    let pid = bench.status(0)["pid"].as_u64().unwrap();
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Each kind of bad packet once, with the counter that it has on its line.
fn one_of_each(outside: Outside) -> Vec<(&'static str, Vec<Forged>)> {
    let hostile = Forged::from(outside, 66);
    let with = |header: &[u8], len: usize| Forged { payload: frame(header, len), ..hostile.clone() };
    let piece = |number, offset, more, len| Forged {
        number,
        offset,
        more,
        payload: vec![0x30; len],
        ..hostile.clone()
    };
    let marked = |forged: Forged| Forged { class: 3, ..forged };
    vec![
        ("unknown-source", vec![Forged::from(outside, 77)]),
        ("unknown-source", vec![Forged::from(outside, 77).half(1)]),
        ("etherip-version", vec![with(&[0x40, 0], 50)]),
        ("etherip-reserved", vec![with(&[0x31, 0], 50)]),
        ("etherip-reserved", vec![with(&[0x30, 1], 50)]),
        ("short-frame", vec![Forged { payload: vec![0x30, 0, 1, 2, 3], ..hostile.clone() }]),
        ("malformed", vec![Forged { payload: vec![0x30], ..hostile.clone() }]),
        ("bad-fragment", vec![piece(70_001, 0, true, 1001)]),
        ("bad-fragment", vec![piece(70_002, 65_528, false, 64)]),
        ("duplicate-fragment", vec![piece(70_003, 0, true, 8), piece(70_003, 0, true, 8)]),
        ("overlapping-fragment", vec![piece(70_004, 0, true, 16), piece(70_004, 8, true, 16)]),
        ("mixed-ecn", vec![piece(70_005, 0, true, 16), marked(piece(70_005, 16, false, 16))]),
    ]
}

/// What nobody should send is counted, each for its own reason, and costs neither memory that has no end nor
/// one packet of another far end, not even what is forged in that one's name.
pub fn floods_hurt_nobody_else() {
    for outside in [Outside::V4, Outside::V6] {
        let bench = Bench::new("hostile", 1500);
        let plan = tunnel("eip-x", Encapsulation::EtherIp, outside, 1500, 2400);
        let hostile = Forged::from(outside, 66);
        bench.start_ends(&plan, &turned(&plan));
        let other = Tunnel {
            remote: Some(hostile.source),
            ..tunnel("eip-h", Encapsulation::EtherIp, outside, 1500, 2400)
        };
        let alpha = &bench.machines[0];
        alpha.write_plan(vec![plan, other]);
        alpha.signal(Signal::SIGHUP);
        alpha.wait_for("both are up", || bench.status(0)["tunnels"][1]["state"] == "up");
        bench.reachable(Duration::from_secs(10));
        let mut echo = Echo::new(&bench);
        echo.pass();
        let before = resident(&bench);
        let drops = |reason: &str| bench.status(0)["lines"][0]["drops"][reason].as_u64().unwrap_or(0);
        for (reason, packets) in one_of_each(outside) {
            let counted = drops(reason);
            bench.forge_packets(&packets.iter().map(Forged::build).collect::<Vec<_>>());
            alpha.wait_for(reason, || drops(reason) > counted);
            echo.pass();
        }
        // Tiny pieces, halves of the hostile far end, of strangers, and in the name of the one that is not.
        let tiny = |at: u32| Forged {
            number: at / 512,
            offset: at as usize % 512 * 16,
            more: true,
            payload: vec![7; 8],
            ..hostile.clone()
        };
        for round in 0..20 {
            let numbers = round * 200..(round + 1) * 200;
            bench.forge_packets(&numbers.clone().map(|at| tiny(at).build()).collect::<Vec<_>>());
            echo.pass();
            for source in [66, 77, 2] {
                let half = |at| Forged::from(outside, source).half(10_000 + at).build();
                bench.forge_packets(&numbers.clone().map(half).collect::<Vec<_>>());
                echo.pass();
            }
        }
        alpha.wait_for("all of it is counted", || {
            drops("unknown-source") >= 4000
                && drops("reassembly-full") + drops("fragments-missing") >= 8000
                && drops("reassembly-full") > 0
                && drops("fragments-missing") > 0
        });
        let after = resident(&bench);
        assert!(after < before + GROWTH, "{before} KiB, then {after} KiB");
        println!("{} echoes; {before} KiB, then {after} KiB; {}", echo.count, bench.status(0)["lines"][0]);
    }
}

/// The byte of the next datagram, and the traffic class that it came with.
fn received(socket: &UdpSocket) -> (u8, u8) {
    let mut byte = [0];
    let mut control = nix::cmsg_space!(u8);
    let mut parts = [IoSliceMut::new(&mut byte)];
    let message =
        recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty()).unwrap();
    let class = message.cmsgs().unwrap().find_map(|control| match control {
        ControlMessageOwned::Ipv4Tos(class) => Some(class),
        _ => None,
    });
    (byte[0], class.unwrap())
}

/// RFC 6040 4.2 and RFC 9601: a mark outside is carried into the packet within the frame, and where its
/// sender could not hear of it the frame is dropped.
pub fn congestion_outside_is_told_inside() {
    for outside in [Outside::V4, Outside::V6] {
        let bench = Bench::new("ecn", 1500);
        bench.start(&tunnel("eip-x", Encapsulation::EtherIp, outside, 1500, 1500));
        bench.reachable(Duration::from_secs(10));
        let receiver = bench.machines[0].in_plane("fabric", || UdpSocket::bind("198.18.0.1:0").unwrap());
        receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let port = receiver.local_addr().unwrap().port();
        let send = |outer: u8, inner: u8| {
            let mut packet = vec![0; 20];
            ipv4::Repr {
                source: [198, 18, 0, 2].into(),
                destination: [198, 18, 0, 1].into(),
                protocol: 17,
                hop_limit: 64,
                traffic_class: inner,
                identification: 0,
                dont_fragment: true,
                more_fragments: false,
                fragment_offset: 0,
                payload_len: 9,
            }
            .emit(&mut packet);
            // No checksum, and the mark that it was sent with.
            packet.extend([0x9c, 0x40]);
            packet.extend(port.to_be_bytes());
            packet.extend([0, 9, 0, 0, outer << 4 | inner]);
            let ends = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
            let payload = [&[0x30, 0][..], &ends, &packet].concat();
            let forged = Forged { class: outer, payload, ..Forged::from(outside, 2) };
            bench.forge_packets(&[forged.build()]);
        };
        setsockopt(&receiver, sockopt::IpRecvTos, &true).unwrap();
        for (outer, inner, expect) in [(0, 2, 2), (3, 2, 3), (1, 2, 1), (3, 1, 3), (2, 0, 0)] {
            send(outer, inner);
            assert_eq!(received(&receiver), (outer << 4 | inner, expect));
        }
        send(3, 0);
        bench.machines[0]
            .wait_for("it is dropped", || bench.status(0)["tunnels"][0]["drops"]["congestion"] == 1);
    }
}
