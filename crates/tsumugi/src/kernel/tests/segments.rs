//! Segments: bridges, VXLAN devices and what EVPN puts into them. The test holds the ports' other ends
//! (TAP devices), and so it is every host.

use super::super::Namespace;
use super::super::learned::HostEvent;
use super::super::plane::Keeper;
use super::super::tun::{TunKind, attach};
use super::{calm, link, name, settle, wire};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{read, write};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};
use tsumugi_core::desired::{Address, BridgeEntry, Desired, Link, LinkKind, SegmentWall};
use tsumugi_core::evpn::EntryChange;
use tsumugi_core::id::{Mac, Plane, Vni};
use tsumugi_core::reconcile::Change;

pub(super) const ALL: Mac = Mac([0xff; 6]);
/// IEEE local experimental: no protocol of anybody's.
pub(super) const TEST: u16 = 0x88b6;

/// ```text
/// ports p1, p2 -- seg -- vx .. wire -- the other site
/// ```
pub(super) struct Site {
    pub plane: Namespace,
    pub keeper: Keeper,
    pub desired: Desired,
    pub ports: [OwnedFd; 2],
    pub vtep: IpAddr,
}

pub(super) fn site(plane: Namespace, wire: &str, vtep: &str, segment_walls: Vec<SegmentWall>) -> Site {
    let vtep: IpAddr = vtep.parse().unwrap();
    let length = if vtep.is_ipv4() { 24 } else { 64 };
    let ports = ["p1", "p2"].map(|port| attach(&plane, &name(port), TunKind::Tap).unwrap());
    let vxlan = LinkKind::Vxlan { vni: Vni(100), local: vtep };
    let desired = Desired {
        links: vec![
            Link { mtu: 2400, ..link(wire, LinkKind::Port, None) },
            link("seg", LinkKind::Bridge, None),
            link("vx", vxlan, Some("seg")),
            link("p1", LinkKind::Tunnel, Some("seg")),
            link("p2", LinkKind::Tunnel, Some("seg")),
        ],
        addresses: vec![Address { link: name(wire), prefix: format!("{vtep}/{length}").parse().unwrap() }],
        segment_walls,
        ..Desired::default()
    };
    let mut keeper = Keeper::new(Plane::Fabric, plane.clone(), &plane, desired.clone()).unwrap();
    calm(&mut keeper);
    Site { plane, keeper, desired, ports, vtep }
}

pub(super) fn two_sites(ipv6: bool, walls: &[SegmentWall]) -> (Site, Site) {
    let (left, right) = wire();
    let (one, two) = if ipv6 { ("2001:db8::1", "2001:db8::2") } else { ("192.0.2.1", "192.0.2.2") };
    (site(left, "left", one, walls.to_vec()), site(right, "right", two, walls.to_vec()))
}

pub(super) fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 1, last])
}

pub(super) fn frame(to: Mac, from: Mac, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [to.0, from.0].concat();
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame.resize(frame.len().max(60), 0);
    frame
}

impl Site {
    pub fn send(&self, port: usize, frame: &[u8]) {
        assert_eq!(write(&self.ports[port], frame).unwrap(), frame.len());
    }

    /// The first frame that comes out of a port and is looked for.
    pub fn receive(&self, port: usize, wanted: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut buffer = [0; 4096];
        while Instant::now() < deadline {
            match read(&self.ports[port], &mut buffer) {
                Ok(length) if wanted(&buffer[..length]) => return Some(buffer[..length].to_vec()),
                Ok(_) => {}
                Err(_) => {
                    let mut waits = [PollFd::new(self.ports[port].as_fd(), PollFlags::POLLIN)];
                    poll(&mut waits, PollTimeout::from(100u16)).unwrap();
                }
            }
        }
        None
    }

    /// Every frame that has come out of a port by now.
    pub fn waiting(&self, port: usize) -> Vec<Vec<u8>> {
        let mut buffer = [0; 4096];
        std::iter::from_fn(|| {
            read(&self.ports[port], &mut buffer).ok().map(|length| buffer[..length].to_vec())
        })
        .collect()
    }

    /// Whether the payload comes out of a port before a mark that was sent after it.
    pub fn arrives_before(&self, port: usize, payload: &[u8], mark: &[u8]) -> bool {
        let either = |frame: &[u8]| contains(frame, payload) || contains(frame, mark);
        let first = self.receive(port, either).expect("neither the frame nor the mark came");
        contains(&first, payload)
    }

    pub fn tell(&mut self, entry: BridgeEntry, present: bool) {
        self.keeper.change_entries([EntryChange { entry, present }]).unwrap();
    }

    pub fn flood_to(&mut self, vtep: IpAddr) {
        self.tell(BridgeEntry::Flood { vxlan: name("vx"), vtep }, true);
    }

    /// Turns the keeper until an event comes that is looked for.
    pub fn until(&mut self, wanted: impl Fn(&HostEvent) -> bool) -> HostEvent {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut seen = Vec::new();
        loop {
            assert!(Instant::now() < deadline, "only these came within 10 s: {seen:?}");
            for event in self.keeper.turn(Instant::now()).hosts {
                if wanted(&event) {
                    return event;
                }
                seen.push(event);
            }
            super::wait(&self.keeper, Duration::from_millis(100));
        }
    }

    pub fn hand(&self, command: &str) -> String {
        by_hand(&self.plane, command)
    }

    fn fdb(&self) -> String {
        self.hand("bridge fdb show")
    }
}

pub(super) fn by_hand(namespace: &Namespace, command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    let output = namespace.run(|| std::process::Command::new(words[0]).args(&words[1..]).output()).unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn contains(frame: &[u8], payload: &[u8]) -> bool {
    frame.windows(payload.len()).any(|window| window == payload)
}

#[test]
fn frames_cross_between_two_vteps_of_either_family() {
    for ipv6 in [false, true] {
        let (mut one, mut two) = two_sites(ipv6, &[]);
        one.flood_to(two.vtep);
        two.flood_to(one.vtep);
        one.send(0, &frame(ALL, mac(1), TEST, b"to everyone"));
        for port in [0, 1] {
            assert!(two.receive(port, |frame| contains(frame, b"to everyone")).is_some(), "ipv6: {ipv6}");
        }
        assert!(one.receive(1, |frame| contains(frame, b"to everyone")).is_some());

        // A known MAC goes to its VTEP alone, without any flood list.
        two.tell(BridgeEntry::Flood { vxlan: name("vx"), vtep: one.vtep }, false);
        two.tell(BridgeEntry::Mac { vxlan: name("vx"), mac: mac(1), vtep: one.vtep, sticky: false }, true);
        two.send(0, &frame(mac(1), mac(2), TEST, b"to one alone"));
        assert!(one.receive(0, |frame| contains(frame, b"to one alone")).is_some(), "ipv6: {ipv6}");
        two.send(0, &frame(ALL, mac(2), TEST, b"a mark"));
        assert!(!two.arrives_before(1, b"to one alone", b"a mark"));
    }
}

#[test]
fn a_vxlan_device_of_other_parameters_is_replaced_and_filled_again() {
    let (mut one, two) = two_sites(false, &[]);
    one.flood_to(two.vtep);
    one.tell(BridgeEntry::Mac { vxlan: name("vx"), mac: mac(9), vtep: two.vtep, sticky: false }, true);
    one.tell(BridgeEntry::Mac { vxlan: name("vx"), mac: mac(8), vtep: two.vtep, sticky: true }, true);
    one.tell(BridgeEntry::Host { bridge: name("seg"), address: [10, 0, 0, 9].into(), mac: mac(9) }, true);
    let whole = |site: &Site| {
        let fdb = site.fdb();
        let count = |what: &str| fdb.lines().filter(|line| line.contains(what)).count();
        let hosts = site.hand("ip neigh show dev seg");
        assert!(hosts.contains("10.0.0.9"), "{hosts}");
        assert_eq!((count("00:00:00:00:00:00"), count(":01:09"), count(":01:08")), (1, 2, 2), "{fdb}");
    };
    whole(&one);
    for command in [
        "ip link del vx",
        "ip link del seg",
        "ip link set vx type vxlan learning",
        "ip link set vx nomaster",
        "ip link set vx down",
        "bridge link set dev vx neigh_suppress off",
        "bridge link set dev vx learning on",
        "ip link set seg type bridge mcast_snooping 1",
        "ip link set seg type bridge stp_state 1",
        "ip link set seg type bridge ageing_time 1000",
    ] {
        one.hand(command);
        let made = calm(&mut one.keeper);
        assert!(!made.is_empty(), "{command}: nothing was put back");
        whole(&one);
        assert_eq!(one.keeper.entries(), (4, 0), "{command}");
    }
    for command in [
        "bridge fdb del 02:00:00:00:01:09 dev vx master",
        "bridge fdb del 02:00:00:00:01:09 dev vx self",
        "bridge fdb del 00:00:00:00:00:00 dev vx dst 192.0.2.2 self",
        "ip neigh del 10.0.0.9 dev seg",
        "ip neigh replace 10.0.0.9 lladdr 02:00:00:00:09:09 dev seg nud reachable",
    ] {
        one.hand(command);
        calm(&mut one.keeper);
        whole(&one);
    }
    one.desired.links[2].kind = LinkKind::Vxlan { vni: Vni(101), local: one.vtep };
    one.keeper.set_desired(one.desired.clone()).unwrap();
    let made = settle(&mut one.keeper).made;
    assert!(made.contains(&Change::RemoveLink(name("vx"))), "{made:?}");
    calm(&mut one.keeper);
    whole(&one);
    let again = Keeper::new(Plane::Fabric, one.plane.clone(), &one.plane, one.desired.clone());
    assert!(settle(&mut again.unwrap()).made.is_empty());
}

#[test]
fn what_an_earlier_life_left_stays_until_it_is_forgotten() {
    let (mut one, two) = two_sites(false, &[]);
    one.flood_to(two.vtep);
    one.flood_to([192, 0, 2, 3].into());
    one.tell(BridgeEntry::Mac { vxlan: name("vx"), mac: mac(9), vtep: two.vtep, sticky: false }, true);
    one.tell(BridgeEntry::Host { bridge: name("seg"), address: [10, 0, 0, 9].into(), mac: mac(9) }, true);
    let Site { plane, keeper, desired, ports, vtep } = one;
    drop(keeper);
    let keeper = Keeper::new(Plane::Fabric, plane.clone(), &plane, desired.clone()).unwrap();
    let mut next = Site { plane, keeper, desired, ports, vtep };
    calm(&mut next.keeper);
    assert!(next.fdb().contains("02:00:00:00:01:09"));
    next.flood_to(two.vtep);
    next.keeper.forget_stale_entries();
    calm(&mut next.keeper);
    let fdb = next.fdb();
    assert!(fdb.contains("dst 192.0.2.2") && !fdb.contains("192.0.2.3"), "{fdb}");
    assert!(!fdb.contains("02:00:00:00:01:09"), "{fdb}");
    assert_eq!(next.hand("ip neigh show dev seg"), "");
}

/// Somebody's hand changes entries and adds some.
#[test]
fn entries_changed_by_hand_are_put_right() {
    let (left, _right) = wire();
    let mut one = site(left, "left", "192.0.2.1", Vec::new());
    let vtep: IpAddr = [192, 0, 2, 2].into();
    one.flood_to(vtep);
    one.tell(BridgeEntry::Mac { vxlan: name("vx"), mac: mac(9), vtep, sticky: false }, true);
    one.send(0, &frame(ALL, mac(1), TEST, b""));
    one.until(|event| *event == HostEvent::MacHeard { port: name("p1"), mac: mac(1) });
    let sorted = |site: &Site| {
        let fdb = site.fdb();
        // Where a hand has been, the kernel keeps the flags that it gave.
        let plain = |line: &str| line.replace("permanent", "").replace("extern_learn static", "");
        let mut lines: Vec<String> = fdb.lines().map(|line| plain(line).trim().to_owned()).collect();
        lines.sort();
        lines
    };
    let before = sorted(&one);
    let hand = [
        "bridge fdb replace 02:00:00:00:01:09 dev vx dst 192.0.2.77 self",
        "bridge fdb append 00:00:00:00:00:00 dev vx dst 192.0.2.77",
        "bridge fdb append 02:00:00:00:01:0a dev vx dst 192.0.2.77 self",
        "bridge fdb replace 02:00:00:00:01:0b dev vx master static",
    ];
    // What an earlier life left is kept until it is forgotten; so is what looks like it.
    one.hand(hand[2]);
    calm(&mut one.keeper);
    assert!(one.fdb().contains(":01:0a"));
    one.keeper.forget_stale_entries();
    calm(&mut one.keeper);
    assert_eq!(sorted(&one), before);
    for command in hand {
        one.hand(command);
        assert_ne!(sorted(&one), before, "{command}");
        let deadline = Instant::now() + Duration::from_secs(5);
        while sorted(&one) != before {
            assert!(Instant::now() < deadline, "{command}: {:#?}", sorted(&one));
            one.keeper.turn(Instant::now());
            super::wait(&one.keeper, Duration::from_millis(100));
        }
    }
    assert_eq!(one.keeper.entries(), (2, 0));
}

#[test]
fn what_a_bridge_learns_is_told_once() {
    let (mut one, two) = two_sites(false, &[]);
    let heard = |port: &str, last| HostEvent::MacHeard { port: name(port), mac: mac(last) };
    let gone = |port: &str, last| HostEvent::MacGone { port: name(port), mac: mac(last) };
    one.send(0, &frame(ALL, mac(1), TEST, b""));
    one.until(|event| *event == heard("p1", 1));
    one.send(1, &frame(ALL, mac(1), TEST, b""));
    one.until(|event| *event == heard("p2", 1));
    one.hand("bridge fdb del 02:00:00:00:01:01 dev p2 master");
    one.until(|event| *event == gone("p2", 1));

    // It moves to another router: our entry takes its place.
    one.send(0, &frame(ALL, mac(2), TEST, b""));
    one.until(|event| *event == heard("p1", 2));
    one.tell(BridgeEntry::Mac { vxlan: name("vx"), mac: mac(2), vtep: two.vtep, sticky: false }, true);
    one.until(|event| *event == gone("p1", 2));
    // And back, and ages out here: then it is behind the other router again.
    one.send(0, &frame(ALL, mac(2), TEST, b""));
    one.until(|event| *event == heard("p1", 2));
    one.keeper.flush_port(&name("p1")).unwrap();
    one.until(|event| *event == gone("p1", 2));
    calm(&mut one.keeper);
    assert_eq!(one.fdb().lines().filter(|line| line.contains(":01:02 dev vx")).count(), 2);

    // A sticky one does not move at all.
    one.tell(BridgeEntry::Mac { vxlan: name("vx"), mac: mac(3), vtep: two.vtep, sticky: true }, true);
    one.send(0, &frame(ALL, mac(3), TEST, b""));
    one.send(0, &frame(ALL, mac(4), TEST, b""));
    one.until(|event| {
        assert_ne!(*event, heard("p1", 3));
        *event == heard("p1", 4)
    });

    // The next life begins with all that is known.
    let Site { plane, keeper, desired, ports, vtep } = one;
    drop(keeper);
    let keeper = Keeper::new(Plane::Fabric, plane.clone(), &plane, desired.clone()).unwrap();
    let mut one = Site { plane, keeper, desired, ports, vtep };
    let all = one.until(|event| matches!(event, HostEvent::Relearned { .. }));
    assert_eq!(all, HostEvent::Relearned { macs: vec![(name("p1"), mac(4))], hosts: Vec::new() });

    // A port that goes takes its MACs with it.
    one.hand("ip link del p1");
    one.until(|event| *event == gone("p1", 4));
}

/// An ARP request (RFC 826) of the host with `from` and `mac` for `to`.
fn question(mac: Mac, from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
    frame(ALL, mac, 0x0806, &[&[0, 1, 8, 0, 6, 4, 0, 1][..], &mac.0, &from, &[0; 6], &to].concat())
}

#[test]
fn questions_for_hosts_elsewhere_are_answered_here() {
    let (mut one, mut two) = two_sites(false, &[]);
    one.flood_to(two.vtep);
    two.flood_to(one.vtep);
    one.tell(BridgeEntry::Mac { vxlan: name("vx"), mac: mac(9), vtep: two.vtep, sticky: false }, true);
    one.tell(BridgeEntry::Host { bridge: name("seg"), address: [10, 0, 0, 9].into(), mac: mac(9) }, true);
    one.send(0, &question(mac(1), [10, 0, 0, 1], [10, 0, 0, 9]));
    let answer = one.receive(0, |frame| frame[12..14] == [8, 6]).expect("no answer");
    assert_eq!((&answer[6..12], &answer[20..22]), (&mac(9).0[..], &[0, 2][..]));
    // One for somebody unknown goes everywhere, and it comes without the other.
    let unknown = question(mac(1), [10, 0, 0, 1], [10, 0, 0, 8]);
    one.send(0, &unknown);
    let first = two.receive(0, |frame| frame[12..14] == [8, 6]).expect("no question");
    assert_eq!(first[..42], unknown[..42]);
}

#[test]
fn hosts_of_a_gateway_are_told_of_found_lost_and_sought() {
    let (left, _right) = wire();
    let mut one = site(left, "left", "192.0.2.1", Vec::new());
    let heard = |last| HostEvent::NeighbourHeard {
        bridge: name("seg"),
        address: [10, 0, 0, 9].into(),
        mac: mac(last),
    };
    let gone = HostEvent::NeighbourGone { bridge: name("seg"), address: [10, 0, 0, 9].into() };
    let sought = |last| HostEvent::Sought { bridge: name("seg"), address: [10, 0, 0, last].into() };
    one.hand("ip addr add 10.0.0.1/24 dev seg");
    one.hand("sysctl -qw net.ipv4.neigh.seg.app_solicit=1");
    one.send(0, &question(mac(9), [10, 0, 0, 9], [10, 0, 0, 1]));
    one.until(|event| *event == heard(9));
    one.send(0, &question(mac(8), [10, 0, 0, 9], [10, 0, 0, 1]));
    one.until(|event| *event == heard(8));
    one.hand("ip neigh del 10.0.0.9 dev seg");
    one.until(|event| *event == gone);
    let ask = || std::net::UdpSocket::bind("0.0.0.0:0")?.send_to(b"?", "10.0.0.77:9");
    one.plane.run(ask).unwrap();
    one.until(|event| *event == sought(77));

    // One that is elsewhere now is not heard here, and is heard again when it is here again.
    one.send(0, &question(mac(9), [10, 0, 0, 9], [10, 0, 0, 1]));
    one.until(|event| *event == heard(9));
    let host = BridgeEntry::Host { bridge: name("seg"), address: [10, 0, 0, 9].into(), mac: mac(9) };
    one.tell(host.clone(), true);
    one.until(|event| *event == gone);
    one.tell(host, false);
    one.send(0, &question(mac(9), [10, 0, 0, 9], [10, 0, 0, 1]));
    one.until(|event| *event == heard(9));
}

/// The plan's `rp_filter` of gateways: a host cannot fill the table of neighbours with addresses that it
/// has made up.
#[test]
fn a_host_of_an_address_of_elsewhere_is_no_neighbour() {
    let (left, _right) = wire();
    let mut one = site(left, "left", "192.0.2.1", Vec::new());
    one.hand("ip addr add 10.0.0.1/24 dev seg");
    one.hand("sysctl -qw net.ipv4.conf.seg.rp_filter=1");
    one.send(0, &question(mac(8), [10, 9, 9, 8], [10, 0, 0, 1]));
    one.send(0, &question(mac(9), [10, 0, 0, 9], [10, 0, 0, 1]));
    let neighbour = |event: &HostEvent| matches!(event, HostEvent::NeighbourHeard { .. });
    let HostEvent::NeighbourHeard { address, .. } = one.until(neighbour) else { unreachable!() };
    assert_eq!(address, IpAddr::from([10, 0, 0, 9]));
    assert!(!one.hand("ip neigh show dev seg").contains("10.9.9.8"));
}

/// The kernel itself never asks a host again that nobody sends to: one that changed its address would
/// be known by both for ever.
#[test]
fn hosts_are_asked_now_and_then_whether_they_still_have_their_address() {
    let (left, _right) = wire();
    let mut one = site(left, "left", "192.0.2.1", Vec::new());
    let heard = |last: u8| HostEvent::NeighbourHeard {
        bridge: name("seg"),
        address: [10, 0, 0, last].into(),
        mac: mac(9),
    };
    let gone = |last: u8| HostEvent::NeighbourGone { bridge: name("seg"), address: [10, 0, 0, last].into() };
    one.hand("ip addr add 10.0.0.1/24 dev seg");
    for last in [8, 9] {
        one.send(0, &question(mac(9), [10, 0, 0, last], [10, 0, 0, 1]));
        one.until(|event| *event == heard(last));
    }
    calm(&mut one.keeper);
    one.waiting(0);
    one.keeper.turn(Instant::now() + Duration::from_secs(121));
    // It has the second address still.
    let asked = one.receive(0, |frame| frame[12..14] == [0x08, 0x06] && frame[38..42] == [10, 0, 0, 9]);
    let ours: [u8; 6] = asked.expect("it was not asked")[6..12].try_into().unwrap();
    let answer = [&[0, 1, 8, 0, 6, 4, 0, 2][..], &mac(9).0, &[10, 0, 0, 9], &ours, &[10, 0, 0, 1]].concat();
    one.send(0, &frame(Mac(ours), mac(9), 0x0806, &answer));
    one.until(|event| {
        assert_ne!(*event, gone(9));
        *event == gone(8)
    });
    assert!(one.hand("ip neigh show 10.0.0.9 dev seg").contains("REACHABLE"));
}

#[test]
fn ten_thousand_entries_are_taken_without_reading_the_tables() {
    let (mut one, two) = two_sites(true, &[]);
    calm(&mut one.keeper);
    let many = |present: bool, vtep: IpAddr| {
        let entries = (0..10_000u32).flat_map(move |number| {
            let [_, _, high, low] = number.to_be_bytes();
            let mac = Mac([2, 1, 0, 0, high, low]);
            let address = IpAddr::from([10, 9, high, low]);
            let host = BridgeEntry::Host { bridge: name("seg"), address, mac };
            // Many more hosts than gc_thresh3 allows for those that are not ours.
            let host = (number < 3000).then_some(host);
            [Some(BridgeEntry::Mac { vxlan: name("vx"), mac, vtep, sticky: false }), host]
        });
        entries.flatten().map(move |entry| EntryChange { entry, present })
    };
    one.keeper.change_entries(many(true, two.vtep)).unwrap();
    assert_eq!(one.keeper.entries(), (13_000, 0));
    let lines = |site: &Site, what: &str| site.fdb().lines().filter(|line| line.contains(what)).count();
    assert_eq!(lines(&one, "02:01:00:00:"), 20_000);
    // They all move, and nothing of it was lost on the way.
    one.keeper.change_entries(many(true, "2001:db8::3".parse().unwrap())).unwrap();
    let turn = one.keeper.turn(Instant::now());
    assert!(turn.hosts.is_empty(), "{}", turn.hosts.len());
    assert_eq!(lines(&one, "dst 2001:db8::3"), 10_000);
    one.keeper.change_entries(many(false, two.vtep)).unwrap();
    assert_eq!(lines(&one, "02:01:00:00:"), 0);
    assert_eq!(one.hand("ip neigh show dev seg"), "");
    assert_eq!(one.keeper.entries(), (0, 0));
    calm(&mut one.keeper);
}

#[test]
fn more_news_than_a_socket_holds_is_read_again() {
    let (left, _right) = wire();
    let mut one = site(left, "left", "192.0.2.1", Vec::new());
    let count = 40_000u32;
    for number in 0..count {
        let [_, _, high, low] = (number & 0xffff).to_be_bytes();
        one.send(0, &frame(ALL, Mac([2, 2, 0, 0, high, low]), TEST, b""));
    }
    let all = one.until(|event| matches!(event, HostEvent::Relearned { .. }));
    let HostEvent::Relearned { macs, .. } = all else { unreachable!() };
    assert_eq!(macs.len(), count as usize);
    // And what comes then is told one by one again.
    one.send(1, &frame(ALL, mac(1), TEST, b""));
    one.until(|event| *event == HostEvent::MacHeard { port: name("p2"), mac: mac(1) });
}

#[test]
fn a_kernel_without_vlans_says_so_and_the_rest_is_made() {
    let (left, _right) = wire();
    let mut one = site(left, "left", "192.0.2.1", Vec::new());
    let vlan = LinkKind::Vlan { parent: name("left"), tag: 7 };
    one.desired.links.push(link("vl7", vlan, Some("seg")));
    one.desired.links.push(link("seg2", LinkKind::Bridge, None));
    one.keeper.set_desired(one.desired.clone()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let report = loop {
        assert!(Instant::now() < deadline, "no comparison within 10 s");
        if let Some(report) = one.keeper.turn(Instant::now()).report {
            break report;
        }
        super::wait(&one.keeper, Duration::from_millis(100));
    };
    assert!(one.keeper.links().contains_key(&name("seg2")));
    let failing: Vec<&str> = one.keeper.failing().collect();
    if one.keeper.links().contains_key(&name("vl7")) {
        assert!(failing.is_empty() && report.failed.is_empty(), "{failing:?}");
    } else {
        assert!(failing.len() == 1 && failing[0].contains("802.1Q"), "{failing:?}");
    }
}
