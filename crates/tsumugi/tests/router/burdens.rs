//! A neighbour at the border that breaks no rule of the format and is a burden all the same: it stalls,
//! asks without end, mumbles. See [`super::malformed`] for the machines.

use super::inside::established;
use super::malformed::{BAD, BAD_V4, GOOD, GOOD_V4, Scene, open, path, route, scene};
use super::stranger::{Stranger, message};
use super::world::{World, wait};
use std::net::TcpStream;
use tsumugi_core::wire::bgp::{AfiSafi, Capability};

/// ROUTE-REFRESH of IPv4 unicast (RFC 2918 3), so many times.
fn refreshes(count: usize) -> Vec<u8> {
    message(5, &[0, 1, 0, 1]).repeat(count)
}

impl Scene {
    fn dial(&self) -> TcpStream {
        self.bad.dial("203.0.113.2:179".parse().unwrap())
    }

    fn is_established(&self) -> bool {
        self.session("bad v4")["state"] == "established"
    }

    /// What the good neighbour says now is taken now.
    fn good_is_heard(&mut self, n: u8) {
        self.good.say(&route(&path(GOOD), GOOD_V4, [9, n, 0]));
        self.wait_for(&format!("9.{n}.0.0/24"));
        self.good_stands();
    }

    fn hang_up(&self, bad: Stranger) {
        drop(bad);
        wait("the session is over", &[&self.r1], || established(&self.r1) == 1);
    }
}

pub fn a_hostile_neighbour_delays_nobody(world: &mut World) {
    let mut scene = scene(world);
    scene.wait_for("9.9.9.0/24");
    let ipv4 = open(BAD, BAD_V4, AfiSafi::IPV4_UNICAST);

    // It asks for everything again and again, and reads none of it.
    scene.bad.run("echo 4096 4096 4096 >/proc/sys/net/ipv4/tcp_rmem");
    let bad = Stranger::deaf_and_silent(scene.dial(), &ipv4);
    wait("it stands", &[&scene.r1], || scene.is_established());
    bad.say_meanwhile(refreshes(200_000));
    for n in 1..=3 {
        scene.good_is_heard(n);
    }
    assert!(scene.is_established());
    scene.hang_up(bad);

    // The same, and it reads: what it says behind its questions is heard.
    let mut bad = Stranger::begin(scene.dial(), &ipv4);
    bad.say(&refreshes(5_000));
    scene.good_is_heard(4);
    bad.say(&route(&path(BAD), BAD_V4, [8, 4, 0]));
    scene.wait_for("8.4.0.0/24");
    assert!(scene.is_established());
    scene.hang_up(bad);

    // One octet at a time, and half a message in the end.
    let mut bad = Stranger::deaf_and_silent(scene.dial(), &ipv4).hearing();
    bad.say_by_octets(&route(&path(BAD), BAD_V4, [8, 5, 0]));
    scene.wait_for("8.5.0.0/24");
    bad.say_by_octets(&route(&path(BAD), BAD_V4, [8, 6, 0])[..40]);
    scene.good_is_heard(5);
    assert!(scene.is_established());
    scene.hang_up(bad);

    // A path of a thousand: four segments, the last not full (RFC 4271 4.3: at most 255 in one).
    let mut bad = scene.call(false);
    let asns: Vec<u32> = std::iter::once(BAD).chain(3000..3999).collect();
    let segment = |asns: &[u32]| {
        let count = u8::try_from(asns.len()).unwrap();
        [2, count].into_iter().chain(asns.iter().flat_map(|asn| asn.to_be_bytes())).collect::<Vec<u8>>()
    };
    let thousand: Vec<u8> = asns.chunks(255).flat_map(segment).collect();
    bad.say(&route(&thousand, BAD_V4, [8, 7, 0]));
    scene.wait_for("8.7.0.0/24");
    scene.good_is_heard(6);
    assert!(scene.is_established());
    scene.hang_up(bad);
}

/// Optional parameters and capabilities that do not add up, behind an OPEN's fixed part, and the code and
/// subcode that RFC 4271 6.2 has for them: 0 where a parameter that is known is malformed.
fn malformed_parameters() -> Vec<(&'static str, Vec<u8>, (u8, u8))> {
    vec![
        ("4271 4.2, parameters overrun", vec![200, 2, 2, 2, 0], (2, 0)),
        ("4271 4.2, parameters underrun", vec![0, 2, 2, 2, 0], (2, 0)),
        ("4271 4.2, a parameter overruns", vec![4, 2, 9, 2, 0], (2, 0)),
        ("4271 4.2, half a parameter's header", vec![1, 2], (2, 0)),
        ("4271 6.2, unknown parameter", vec![2, 9, 0], (2, 4)),
        ("5492 4, a capability overruns", vec![4, 2, 2, 65, 4], (2, 0)),
        ("5492 4, half a capability's header", vec![3, 2, 1, 65], (2, 0)),
        ("9072 2, parameters overrun", vec![255, 255, 1, 0, 2, 0, 2, 2, 0], (2, 0)),
        ("9072 2, parameters underrun", vec![255, 255, 0, 0, 2, 0, 2, 2, 0], (2, 0)),
        ("9072 2, a parameter overruns", vec![255, 255, 0, 5, 2, 0, 9, 2, 0], (2, 0)),
        ("9072 2, half a parameter's header", vec![255, 255, 0, 2, 2, 0], (2, 0)),
        ("9072 2, no length", vec![255, 255, 0], (2, 0)),
        ("9072 2, a capability overruns", vec![255, 255, 0, 5, 2, 0, 2, 65, 4], (2, 0)),
        ("9072 2, unknown parameter", vec![255, 255, 0, 3, 9, 0, 0], (2, 4)),
    ]
}

pub fn malformed_opens_cost_nothing(world: &mut World) {
    let mut scene = scene(world);
    scene.wait_for("9.9.9.0/24");
    for (row, parameters, expected) in malformed_parameters() {
        // Version 4, AS_TRANS, 90 s, an identifier.
        let fixed = [4, 0x5b, 0xa0, 0, 90, 203, 0, 113, 1];
        let open = message(1, &[&fixed[..], &parameters].concat());
        let bad = Stranger::saying(scene.dial(), &open).hearing();
        let said = bad.notification().unwrap_or_else(|| panic!("{row}: no NOTIFICATION"));
        assert_eq!((said.0, said.1), expected, "{row}");
        assert!(!scene.is_established(), "{row}");
    }
    // Nothing of it is remembered against the next call.
    let bad = scene.call(false);
    wait("it stands", &[&scene.r1], || scene.is_established());
    scene.good_is_heard(1);
    scene.hang_up(bad);
}

pub fn hostile_capabilities_cost_nothing(world: &mut World) {
    let mut scene = scene(world);
    scene.wait_for("9.9.9.0/24");
    // No capability that we know has these lengths.
    for (code, value) in
        [1, 2, 5, 6, 9, 64, 65, 70].into_iter().flat_map(|code| [(code, vec![0; 3]), (code, vec![0xff; 111])])
    {
        let mut asked = open(BAD, BAD_V4, AfiSafi::IPV4_UNICAST);
        asked.capabilities.push(Capability::Other { code, value });
        let bad = Stranger::begin(scene.dial(), &asked);
        // Taken or refused, but with an answer.
        wait(&format!("capability {code}"), &[&scene.r1], || bad.is_closed() || scene.is_established());
        if bad.is_closed() {
            let notification = bad.notification();
            assert!(matches!(notification, Some((2, ..))), "capability {code}: {notification:?}");
        }
        drop(bad);
        wait("the session is over", &[&scene.r1], || !scene.is_established());
    }
    // Nothing of it is remembered against the next call.
    let bad = scene.call(false);
    wait("it stands", &[&scene.r1], || scene.is_established());
    scene.good_is_heard(1);
    scene.hang_up(bad);
}
