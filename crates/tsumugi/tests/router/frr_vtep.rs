//! FRR as one VTEP of a segment between two routers of ours, over unnumbered eBGP.
//!
//!     h1        h2         h3
//!     |         |          |
//!     r1 -eth1- frr -eth2- r3      VNI 224, VTEPs on the IPv4 loopbacks
//!               (as r2)

use super::hosts::{Host, PORT, VXLAN, destinations, flood_list, host, wait_for_whole_packets};
use super::inside::{start, wait_for_sessions};
use super::plans::{Segment, inside, loopback_v4, router, segment};
use super::world::{Machine, World, find, wait};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// FRR's own VXLAN device.
const FRR_VXLAN: &str = "vx224";

struct Frr {
    machine: Machine,
    /// Its configuration and sockets.
    directory: PathBuf,
}

impl Frr {
    fn vtysh(&self, command: &str) -> String {
        self.machine.run(&format!("vtysh --vty_socket {} -c '{command}'", self.directory.display()))
    }

    /// The number of moves (RFC 7432 7.7) that a router said a MAC has made, as FRR heard it.
    fn sequence(&self, router: u32, mac: &str) -> Option<u64> {
        let text = self.vtysh("show bgp l2vpn evpn route type 2 json");
        let routes: Value = serde_json::from_str(&text).unwrap();
        let rd = format!("{}:224", loopback_v4(router));
        let (_, route) = routes[&rd].as_object()?.iter().find(|(prefix, _)| prefix.contains(mac))?;
        let communities = route["paths"].to_string();
        let after = communities.split("MM:").nth(1);
        Some(after.map_or(0, |text| {
            let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().unwrap()
        }))
    }

    /// Whether FRR has a MAC on its own port. (Its VXLAN device keeps a stale entry of a MAC that came
    /// home; the bridge never asks it.)
    fn is_local(&self, mac: &str) -> bool {
        self.vtysh(&format!("show evpn mac vni 224 mac {mac}")).contains(&format!("Intf: {PORT}"))
    }
}

/// FRR as router 2 with the segment on `port1`, its neighbours r1 on eth1 and r3 on eth2.
fn frr(world: &mut World, machine: Machine) -> Frr {
    let v4 = loopback_v4(2);
    machine.run(&format!("ip address add {v4}/32 dev lo"));
    machine.run("sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv4.ip_forward=1");
    machine.run("ip link set eth1 mtu 2400 up; ip link set eth2 mtu 2400 up");
    machine.run(&format!(
        "ip link add br224 type bridge && ip link set br224 addrgenmode none up \
         && ip link add {FRR_VXLAN} type vxlan id 224 local {v4} dstport 4789 nolearning \
         && ip link set {FRR_VXLAN} mtu 1500 master br224 addrgenmode none up \
         && bridge link set dev {FRR_VXLAN} learning off neigh_suppress on \
         && ip link set {PORT} master br224 addrgenmode none up"
    ));
    let directory = world.directory("frr-files");
    let neighbour = |link: &str, router: u32| {
        format!(
            " neighbor {link} interface remote-as 420000000{router}\n \
             neighbor {link} timers connect 1\n"
        )
    };
    let families = ["ipv4 unicast", "l2vpn evpn"].map(|family| {
        let own = match family {
            "l2vpn evpn" => "  advertise-all-vni\n  vni 224\n   route-target import 63806:224\n   \
                             route-target export 63806:224\n  exit-vni\n"
                .to_owned(),
            _ => format!("  network {v4}/32 route-map own\n"),
        };
        format!(
            " address-family {family}\n  neighbor eth1 activate\n  neighbor eth2 activate\n{own} exit-address-family\n"
        )
    });
    let configuration = format!(
        "hostname frr\nroute-map own permit 10\n set large-community 63806:1:0\nexit\n\
         router bgp 4200000002\n bgp router-id {v4}\n no bgp ebgp-requires-policy\n \
         no bgp default ipv4-unicast\n timers bgp 1 3\n{}{}{}exit\n",
        neighbour("eth1", 1),
        neighbour("eth2", 3),
        families.concat()
    );
    fs::write(directory.join("bgpd.conf"), configuration).unwrap();
    let advertise = ["eth1", "eth2"]
        .map(|link| format!("interface {link}\n no ipv6 nd suppress-ra\n ipv6 nd ra-lifetime 0\nexit\n"));
    fs::write(directory.join("zebra.conf"), advertise.concat()).unwrap();
    machine.run(&format!("chown -R frr:frr {}", directory.display()));
    for daemon in ["zebra", "bgpd"] {
        let program = find(daemon).unwrap();
        let d = directory.display();
        let line = format!(
            "exec {} -f {d}/{daemon}.conf --vty_socket {d} -z {d}/zserv.api -i {d}/{daemon}.pid -P 0 --log stdout",
            program.display()
        );
        world.run_on(&machine, &line);
        wait(&format!("{daemon} runs"), &[&machine], || directory.join(format!("{daemon}.vty")).exists());
    }
    Frr { machine, directory }
}

struct Site {
    a: Machine,
    frr: Frr,
    c: Machine,
    /// Behind r1, FRR and r3.
    hosts: [Host; 3],
    /// The processes of r1 and r3.
    processes: [u32; 2],
}

impl Site {
    fn machines(&self) -> [&Machine; 3] {
        [&self.a, &self.frr.machine, &self.c]
    }
}

fn site(world: &mut World) -> Site {
    let [a, middle, c] = ["r1", "frr", "r3"].map(|name| world.machine(name));
    world.wire((&a, "eth1"), (&middle, "eth1"));
    world.wire((&middle, "eth2"), (&c, "eth1"));
    let hosts = [(1, &a), (2, &middle), (3, &c)].map(|(n, behind)| host(world, n, behind));
    let frr = frr(world, middle);
    let processes = [(1, &a), (3, &c)].map(|(id, machine)| {
        let mut plan = router(id);
        inside(&mut plan, "eth1", 2, true);
        segment(&mut plan, &Segment::new(&[PORT]), loopback_v4(id).into());
        start(world, machine, plan)
    });
    let site = Site { a, frr, c, hosts, processes };
    wait_for_sessions(&[&site.a, &site.c]);
    site.wait_for_flood_lists();
    site
}

impl Site {
    /// Waits until everybody floods to the two others.
    fn wait_for_flood_lists(&self) {
        let vteps = |ids: [u32; 2]| ids.map(|id| loopback_v4(id).to_string()).to_vec();
        let lists = [
            (&self.a, VXLAN, vteps([2, 3])),
            (&self.frr.machine, FRR_VXLAN, vteps([1, 3])),
            (&self.c, VXLAN, vteps([1, 2])),
        ];
        for (machine, vxlan, expected) in lists {
            wait(&format!("the flood list of {}", machine.name), &self.machines(), || {
                flood_list(machine, vxlan) == expected
            });
        }
    }

    fn wait_for_hosts(&self) {
        for (a, b) in [(0, 1), (1, 2), (0, 2)] {
            wait_for_whole_packets(&self.hosts[a], &self.hosts[b], &self.machines());
        }
    }

    /// Waits until the MAC is behind this router's VTEP for the two others.
    fn wait_for_mac(&self, mac: &str, router: u32) {
        let vtep = loopback_v4(router).to_string();
        for (id, machine, vxlan) in
            [(1, &self.a, VXLAN), (2, &self.frr.machine, FRR_VXLAN), (3, &self.c, VXLAN)]
        {
            wait(&format!("{} knows {mac} behind r{router}", machine.name), &self.machines(), || {
                let behind = destinations(machine, vxlan, mac);
                match (id == router, id) {
                    (false, _) => behind == [vtep.clone()],
                    (true, 2) => self.frr.is_local(mac),
                    (true, _) => behind.is_empty(),
                }
            });
        }
    }
}

pub fn frr_is_a_vtep_between_ours(world: &mut World) {
    let site = site(world);
    site.wait_for_hosts();
    // MACs are learned both ways, and nobody floods to reach them.
    for (host, router) in site.hosts.iter().zip(1..) {
        site.wait_for_mac(&host.mac, router);
    }
    for id in [1, 3] {
        let vtep = loopback_v4(id).to_string();
        let known = site.frr.vtysh("show evpn mac vni 224");
        assert!(known.contains(&vtep), "{known}");
    }
}

/// The MAC of a fourth host is heard behind r1, then FRR, then r3, then r1 again, and its former
/// place never says that it is gone: each move takes a higher number (RFC 7432 15).
pub fn a_mac_moves_between_ours_and_frr(world: &mut World) {
    let site = site(world);
    site.wait_for_hosts();
    let mac = "02:00:00:00:00:77";
    let [h1, h2, h3] = &site.hosts;
    let mut last = None;
    for (host, router) in [(h1, 1), (h2, 2), (h3, 3), (h2, 2), (h1, 1)] {
        host.becomes(mac);
        site.wait_for_mac(mac, router);
        if router != 2 {
            let sequence = site.frr.sequence(router, mac);
            assert!(sequence > last, "r{router} announced {mac} with {sequence:?} after {last:?}");
            last = sequence;
        }
        host.becomes(&host.mac);
    }
    site.wait_for_hosts();
}

/// Sessions are reset by either side; every time all that FRR announces is in the kernel again.
pub fn resets_bring_the_flood_list_back(world: &mut World) {
    let mut site = site(world);
    site.wait_for_hosts();
    for reset in ["clear bgp *", "clear bgp l2vpn evpn * soft in", "clear bgp l2vpn evpn * soft out"] {
        site.frr.vtysh(reset);
        wait_for_sessions(&[&site.a, &site.c]);
        site.wait_for_flood_lists();
        site.wait_for_hosts();
    }
    for (place, signal) in [(0, Signal::SIGTERM), (1, Signal::SIGKILL)] {
        let machine = [&site.a, &site.c][place];
        match signal {
            Signal::SIGKILL => world.kill(site.processes[place]),
            _ => {
                world.signal(site.processes[place], signal);
                wait("the process ends", &[machine], || machine.status().is_null());
            }
        }
        site.processes[place] = world.router(machine);
        wait_for_sessions(&[&site.a, &site.c]);
        site.wait_for_flood_lists();
        site.wait_for_hosts();
    }
}
