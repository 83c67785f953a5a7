//! BIRD and GoBGP as inside neighbours: link-local addresses only, IPv4 by IPv6 next hops (RFC 8950).
//!
//! r1 --eth1-- other (as r2)
//!
//! FRR has files of its own: `frr`, `frr_vtep`.

use super::inside::{established, start, wait_for_loopbacks};
use super::plans::{inside, link_local, loopback_v4, loopback_v6, originate, router};
use super::world::{Machine, World, wait};
use std::fs;

const OWN: [&str; 2] = ["43.228.174.0/24", "2402:3160::/32"];

/// The wire, the other's addresses, and our router, started.
fn scene(world: &mut World) -> (Machine, Machine) {
    let [r1, other] = ["r1", "other"].map(|name| world.machine(name));
    world.wire((&r1, "eth1"), (&other, "eth1"));
    other.run(&format!(
        "ip address add {}/32 dev lo; ip address add {}/128 dev lo; ip link set eth1 addrgenmode none; \
         ip address add {}/64 dev eth1 nodad; ip link set eth1 mtu 2400 up",
        loopback_v4(2),
        loopback_v6(2),
        link_local(2)
    ));
    other.run("sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv4.ip_forward=1");
    let mut plan = router(1);
    inside(&mut plan, "eth1", 2, false);
    originate(&mut plan, &[2]);
    start(world, &r1, plan);
    (r1, other)
}

pub fn bird_is_an_inside_neighbour(world: &mut World) {
    let (r1, bird) = scene(world);
    let (v4, v6) = (loopback_v4(2), loopback_v6(2));
    let configuration = format!(
        "log stderr all; router id {v4};
        protocol device {{ scan time 1; }}
        protocol kernel k4 {{ ipv4 {{ export filter {{ krt_prefsrc = {v4}; accept; }}; }}; }}
        protocol kernel k6 {{ ipv6 {{ export filter {{ krt_prefsrc = {v6}; accept; }}; }}; }}
        protocol static s4 {{ ipv4 {{ import filter {{ bgp_large_community.add((63806, 1, 0)); accept; }}; }};
            route {v4}/32 blackhole; }}
        protocol static s6 {{ ipv6 {{ import filter {{ bgp_large_community.add((63806, 1, 0)); accept; }}; }};
            route {v6}/128 blackhole; }}
        protocol bgp inside {{
            local fe80::2 as 4200000002; neighbor fe80::1%eth1 as 4200000001;
            hold time 3; keepalive time 1; connect retry time 1; error wait time 1, 2;
            ipv4 {{ extended next hop on; import all; export where source = RTS_STATIC; }};
            ipv6 {{ import all; export where source = RTS_STATIC; }};
        }}
        "
    );
    let directory = world.directory("bird-files");
    let d = directory.display();
    fs::write(directory.join("bird.conf"), configuration).unwrap();
    world.run_on(&bird, &format!("exec bird -f -c {d}/bird.conf -s {d}/ctl"));
    wait("the session stands", &[&r1, &bird], || established(&r1) == 1);
    wait_for_loopbacks(&r1, 1, 2);
    let route = r1.run(&format!("ip route show {v4}"));
    assert!(route.contains("via inet6 fe80::2 dev eth1"), "{route}");
    for (show, own) in ["ip route show", "ip -6 route show"].into_iter().zip(OWN) {
        wait(&format!("BIRD has {own}"), &[&r1, &bird], || bird.run(show).contains(own));
    }
    wait("BIRD reaches us", &[&r1, &bird], || {
        bird.succeeds(&format!("ping -c 1 -W 1 -I {v4} {}", loopback_v4(1)))
            && bird.succeeds(&format!("ping -c 1 -W 1 -I {v6} {}", loopback_v6(1)))
    });
}

/// GoBGP writes no kernel: what it heard is compared, and what it says arrives in our kernel.
pub fn gobgp_is_an_inside_neighbour(world: &mut World) {
    let (r1, gobgp) = scene(world);
    let (v4, v6) = (loopback_v4(2), loopback_v6(2));
    let families: String = ["ipv4", "ipv6"]
        .map(|family| {
            format!("[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"{family}-unicast\"\n")
        })
        .concat();
    let configuration = format!(
        "[global.config]\nas = 4200000002\nrouter-id = \"{v4}\"\n\
         [[neighbors]]\n[neighbors.config]\nneighbor-address = \"fe80::1%eth1\"\npeer-as = 4200000001\n\
         [neighbors.timers.config]\nconnect-retry = 1\nidle-hold-time-after-reset = 1\nhold-time = 9\n\
         keepalive-interval = 3\n{families}"
    );
    let directory = world.directory("gobgp-files");
    let d = directory.display();
    fs::write(directory.join("gobgpd.toml"), configuration).unwrap();
    world.run_on(&gobgp, &format!("exec gobgpd -f {d}/gobgpd.toml --api-hosts unix://{d}/ctl"));
    let ask = |words: &str| {
        let output = gobgp.command(&format!("gobgp --target unix://{d}/ctl {words}")).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    wait("gobgpd answers", &[&gobgp], || !ask("global").is_empty());
    // It may answer before it takes routes.
    for (family, own) in [("ipv4", format!("{v4}/32")), ("ipv6", format!("{v6}/128"))] {
        wait(&format!("gobgpd takes {own}"), &[&gobgp], || {
            ask(&format!("global rib add -a {family} {own} large-community 63806:1:0"));
            ask(&format!("global rib -a {family}")).contains(&own)
        });
    }
    wait("the session stands", &[&r1, &gobgp], || established(&r1) == 1);
    wait("its loopbacks are in our kernel", &[&r1, &gobgp], || {
        let route = r1.run(&format!("ip route show {v4}; ip -6 route show {v6}"));
        route.contains("via inet6 fe80::2 dev eth1") && route.contains(&format!("{v6} "))
    });
    for (family, own) in ["ipv4", "ipv6"].into_iter().zip(OWN) {
        wait(&format!("GoBGP has {own}"), &[&r1, &gobgp], || {
            let said = ask(&format!("global rib -a {family} {own}"));
            said.contains("fe80::1") && said.contains("4200000001")
        });
    }
}
