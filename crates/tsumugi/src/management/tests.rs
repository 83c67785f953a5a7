//! Overlays that speak to each other in memory: no socket, no device.

use super::overlay::{LineKey, Overlay, Sink};
use crate::observe::status::OverlayDrop;
use boringtun::x25519::{PublicKey, StaticSecret};
use proptest::prelude::*;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Instant;
use tsumugi_core::id::{IfName, KeyName, Prefix};
use tsumugi_core::router_plan::{self, OverlayNeighbour, OverlayPath};

/// Members 1 and 2 are meeting points at one site, 3 is neither. Each has one line.
const MEMBERS: [u8; 3] = [1, 2, 3];
/// The management switch of the site.
const SWITCH: &str = "fd63:806:0:1::/64";

fn secret(member: u8) -> StaticSecret {
    [member; 32].into()
}

fn address(member: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd63, 0x806, 0, 0, 0, 0, 0, member.into())
}

fn place(member: u8) -> SocketAddr {
    SocketAddr::new([192, 0, 2, member].into(), 51_900)
}

/// An IPv6 packet with nothing in it.
fn packet(from: u8, to: u8) -> Vec<u8> {
    packet_from(address(from), to)
}

fn packet_from(from: Ipv6Addr, to: u8) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, 59, 64];
    packet.extend(from.octets());
    packet.extend(address(to).octets());
    packet
}

/// What is behind a member: its own address and, where it has one, its site's switch.
fn behind(member: u8) -> Vec<Prefix> {
    let mut prefixes = vec![format!("{}/128", address(member)).parse().unwrap()];
    if member != 3 {
        prefixes.push(SWITCH.parse().unwrap());
    }
    prefixes
}

fn member(own: u8, knows: &[u8]) -> Overlay {
    let neighbours = knows.iter().map(|other| OverlayNeighbour {
        name: other.to_string(),
        prefixes: behind(*other),
        meeting: *other != 3,
        paths: vec![OverlayPath {
            line: "line".into(),
            remote_key: KeyName(other.to_string()),
            endpoint: Some(place(*other)),
            path_mtu: 1280,
        }],
    });
    let plan = router_plan::Overlay {
        device: IfName::new("mgmt").unwrap(),
        alias: String::new(),
        mtu: 1280,
        space: "fd63:806::/48".parse().unwrap(),
        lines: Vec::new(),
        neighbours: neighbours.collect(),
    };
    let key = |path: &OverlayPath| {
        let member: u8 = path.remote_key.0.parse().unwrap();
        Some(PublicKey::from(&secret(member)).to_bytes())
    };
    let lines = vec![LineKey { name: "line".into(), secret: secret(own) }];
    Overlay::new(&plan, behind(own), lines, key, None)
}

#[derive(Default)]
struct Out {
    datagrams: Vec<(SocketAddr, Vec<u8>)>,
    packets: Vec<Vec<u8>>,
}

impl Sink for Out {
    fn datagram(&mut self, _line: usize, to: SocketAddr, bytes: &[u8]) {
        self.datagrams.push((to, bytes.to_vec()));
    }

    fn packet(&mut self, bytes: &[u8]) {
        self.packets.push(bytes.to_vec());
    }
}

/// Members by their number less one; whoever is not there hears nothing.
struct Net(Vec<Option<Overlay>>);

impl Net {
    /// Carries `out` of `from` and all that comes of it; what each member's kernel gets.
    fn carry(&mut self, from: u8, out: Out) -> Vec<(u8, Vec<u8>)> {
        let mut arrived: Vec<(u8, Vec<u8>)> = out.packets.into_iter().map(|packet| (from, packet)).collect();
        for (to, bytes) in out.datagrams {
            let member = MEMBERS.into_iter().find(|member| place(*member) == to).unwrap();
            let Some(overlay) = &mut self.0[usize::from(member) - 1] else { continue };
            let mut answers = Out::default();
            overlay.datagram_from_line(Instant::now(), 0, place(from), &bytes, &mut answers);
            arrived.extend(self.carry(member, answers));
        }
        arrived
    }

    fn tick(&mut self) {
        for member in MEMBERS {
            let Some(overlay) = &mut self.0[usize::from(member) - 1] else { continue };
            let mut out = Out::default();
            overlay.tick(Instant::now(), &mut out);
            self.carry(member, out);
        }
    }

    fn send(&mut self, from: u8, packet: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut out = Out::default();
        self.get(from).packet_from_kernel(Instant::now(), packet, &mut out);
        self.carry(from, out)
    }

    fn get(&mut self, member: u8) -> &mut Overlay {
        self.0[usize::from(member) - 1].as_mut().unwrap()
    }

    fn drops(&mut self, member: u8, reason: OverlayDrop) -> u64 {
        self.get(member).drops.get(&reason).copied().unwrap_or(0)
    }
}

/// 3 knows only 1; 1 and 2 know each other.
fn net() -> Net {
    let mut net = Net(vec![Some(member(1, &[2, 3])), Some(member(2, &[1])), Some(member(3, &[1]))]);
    net.tick();
    net
}

#[test]
fn what_no_path_leads_to_goes_to_a_meeting_point() {
    let mut net = net();
    let direct = packet(3, 1);
    assert_eq!(net.send(3, &direct), [(1, direct)]);
    // The kernel of 1 forwards it, and hands it to the overlay again.
    let onward = packet(3, 2);
    assert_eq!(net.send(3, &onward), [(1, onward.clone())]);
    assert_eq!(net.send(1, &onward), [(2, onward)]);
}

#[test]
fn meeting_points_do_not_throw_to_and_fro_what_neither_can_deliver() {
    let mut net = net();
    // 2 has no path to 3 and asks 1, who has.
    let wanted = packet(2, 3);
    assert_eq!(net.send(2, &wanted), [(1, wanted.clone())]);
    assert_eq!(net.send(1, &wanted), [(3, wanted)]);
    // Of 9 neither knows anything: what comes from one meeting point is not given to the other.
    assert_eq!(net.send(2, &packet(2, 9)), []);
    assert_eq!(net.drops(1, OverlayDrop::NoPath), 1);
}

#[test]
fn what_is_not_from_behind_a_member_is_dropped_with_its_reason() {
    let mut net = net();
    assert_eq!(net.send(3, &packet(2, 1)), []);
    assert_eq!(net.drops(1, OverlayDrop::FalseSource), 1);
    // A meeting point may bring others' packets, but not our own.
    assert_eq!(net.send(2, &packet(1, 1)), []);
    assert_eq!(net.drops(1, OverlayDrop::FalseSource), 2);
    let mut outside = packet(3, 1);
    outside[24] = 0x20;
    assert_eq!(net.send(3, &outside), []);
    assert_eq!(net.drops(3, OverlayDrop::NotOurSpace), 1);
    assert_eq!(net.send(3, &[0x45; 40]), []);
    assert_eq!(net.drops(3, OverlayDrop::NotOurSpace), 2);
}

/// A device of the site answers by way of its gateway, 1, though it was asked by way of 2.
#[test]
fn a_neighbour_at_our_site_brings_packets_of_our_switch() {
    let mut net = net();
    let device = "fd63:806:0:1::d:1".parse().unwrap();
    let answer = packet_from(device, 2);
    assert_eq!(net.send(1, &answer), [(2, answer)]);
    assert_eq!(net.drops(2, OverlayDrop::FalseSource), 0);
}

#[test]
fn a_stranger_gets_no_session() {
    let mut net = net();
    // 3 has a session with 1 only, and 2 does not know its key.
    let mut stranger = member(3, &[2]);
    let mut out = Out::default();
    stranger.tick(Instant::now(), &mut out);
    assert_eq!(net.carry(3, out), []);
    assert_eq!(net.drops(2, OverlayDrop::UnknownKey), 1);
}

#[test]
fn sessions_go_on_when_the_plan_changes() {
    let mut net = net();
    let earlier = net.0[0].take();
    let plan = router_plan::Overlay {
        device: IfName::new("mgmt").unwrap(),
        alias: String::new(),
        mtu: 1280,
        space: "fd63:806::/48".parse().unwrap(),
        lines: Vec::new(),
        neighbours: vec![OverlayNeighbour {
            name: "3".into(),
            prefixes: vec![format!("{}/128", address(3)).parse().unwrap()],
            meeting: false,
            paths: vec![OverlayPath {
                line: "line".into(),
                remote_key: KeyName("3".into()),
                endpoint: None,
                path_mtu: 1280,
            }],
        }],
    };
    let lines = vec![LineKey { name: "line".into(), secret: secret(1) }];
    let key = |_: &OverlayPath| Some(PublicKey::from(&secret(3)).to_bytes());
    let local = vec![format!("{}/128", address(1)).parse().unwrap()];
    net.0[0] = Some(Overlay::new(&plan, local, lines, key, earlier));
    let there = packet(1, 3);
    assert_eq!(net.send(1, &there), [(3, there)]);
}

proptest! {
    #[test]
    fn nothing_that_comes_in_brings_it_down(
        kind in 0u8..6,
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        size in 0..5000usize,
    ) {
        let mut net = net();
        let mut out = Out::default();
        let mut datagram = vec![kind, 0, 0, 0];
        datagram.extend(&bytes);
        for datagram in [&datagram, &bytes] {
            net.get(1).datagram_from_line(Instant::now(), 0, place(2), datagram, &mut out);
        }
        let mut large = packet(1, 3);
        large.resize(large.len().max(size), 0);
        net.get(1).packet_from_kernel(Instant::now(), &large, &mut out);
        net.get(1).packet_from_kernel(Instant::now(), &bytes, &mut out);
        // The lengths that WireGuard's own messages have.
        for length in [148, 92, 64, 32] {
            let mut message = datagram.clone();
            message.resize(length, 0x5a);
            net.get(1).datagram_from_line(Instant::now(), 0, place(2), &message, &mut out);
        }
    }
}
