//! FRR, unnumbered, as an inside neighbour.
//!
//! r1 --eth1-- frr (as r2, with a link-local address that only router advertisements tell)

use super::inside::{start, wait_for_loopbacks, wait_for_sessions};
use super::plans::{inside, loopback_v4, loopback_v6, originate, router};
use super::world::{World, find, wait};
use std::fs;

pub fn frr_is_an_inside_neighbour(world: &mut World) {
    let a = world.machine("r1");
    let frr = world.machine("frr");
    world.wire((&a, "eth1"), (&frr, "eth1"));
    let (v4, v6) = (loopback_v4(2), loopback_v6(2));
    frr.run(&format!("ip address add {v4}/32 dev lo; ip address add {v6}/128 dev lo"));
    frr.run("sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv4.ip_forward=1");
    // Whatever link-local address the kernel gives: nobody is told.
    frr.run("ip link set eth1 mtu 2400 up");
    let directory = world.directory("frr-files");
    // Our class for the network's own routes: what every inside neighbour is to say.
    let configuration = format!(
        "hostname frr\n\
         route-map own permit 10\n set large-community 63806:1:0\nexit\n\
         router bgp 4200000002\n \
         bgp router-id {v4}\n no bgp ebgp-requires-policy\n no bgp default ipv4-unicast\n \
         timers bgp 1 3\n \
         neighbor eth1 interface remote-as 4200000001\n neighbor eth1 timers connect 1\n \
         address-family ipv4 unicast\n  neighbor eth1 activate\n  network {v4}/32 route-map own\n exit-address-family\n \
         address-family ipv6 unicast\n  neighbor eth1 activate\n  network {v6}/128 route-map own\n exit-address-family\n\
         exit\n"
    );
    fs::write(directory.join("bgpd.conf"), configuration).unwrap();
    let advertise = "interface eth1\n no ipv6 nd suppress-ra\n ipv6 nd ra-lifetime 0\nexit\n";
    fs::write(directory.join("zebra.conf"), advertise).unwrap();
    frr.run(&format!("chown -R frr:frr {}", directory.display()));
    for daemon in ["zebra", "bgpd"] {
        let program = find(daemon).unwrap();
        let d = directory.display();
        let line = format!(
            "exec {} -f {d}/{daemon}.conf --vty_socket {d} -z {d}/zserv.api -i {d}/{daemon}.pid -P 0 --log stdout",
            program.display()
        );
        world.run_on(&frr, &line);
        wait(&format!("{daemon} runs"), &[&frr], || directory.join(format!("{daemon}.vty")).exists());
    }
    let mut plan = router(1);
    inside(&mut plan, "eth1", 2, true);
    originate(&mut plan, &[2]);
    start(world, &a, plan);
    wait_for_sessions(&[&a]);
    wait_for_loopbacks(&a, 1, 2);
    for (show, prefix) in [("ip route show", "43.228.174.0/24"), ("ip -6 route show", "2402:3160::/32")] {
        wait(&format!("FRR has {prefix}"), &[&a, &frr], || frr.run(show).contains(prefix));
    }
    // From FRR's loopbacks to ours.
    let (ours_v4, ours_v6) = (loopback_v4(1), loopback_v6(1));
    wait("FRR reaches us", &[&a, &frr], || {
        frr.succeeds(&format!("ping -c 1 -W 1 -I {v4} {ours_v4}"))
            && frr.succeeds(&format!("ping -c 1 -W 1 -I {v6} {ours_v6}"))
    });
}
