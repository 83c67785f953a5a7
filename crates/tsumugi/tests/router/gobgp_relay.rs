//! GoBGP as a relay between two routers of ours, and as a witness behind the second.
//!
//!     h1                          h3
//!     |                           |
//!     r1 -eth1- relay -eth2- r3 ----- eth2 -- witness
//!               (as r2)    eth1          eth1 (as r4)
//!
//! GoBGP puts no routes into a kernel, so that packets do not pass it: what is compared is what it was
//! told with what comes out at the far side of a router of ours.

use super::hosts::{Host, PORT, VXLAN, flood_list, host};
use super::inside::{start, wait_for_sessions};
use super::plans::{Segment, inside, loopback_v4, router, segment};
use super::world::{Machine, World, wait};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

struct GoBgp {
    machine: Machine,
    socket: PathBuf,
}

/// What must reach everybody as it was said: the NLRI, the next hop, communities and PMSI tunnel, by
/// the name that GoBGP gives the route.
type Routes = BTreeMap<String, Value>;

impl GoBgp {
    /// As the router `id`, with a link-local address of that number and these neighbours.
    fn start(world: &mut World, machine: Machine, id: u32, neighbours: &[(&str, u32)]) -> GoBgp {
        let directory = world.directory(&format!("{}-files", machine.name));
        let mut configuration = format!(
            "[global.config]\nas = 420000000{id}\nrouter-id = \"{}\"\n\
             [global.apply-policy.config]\nexport-policy-list = [\"unchanged\"]\n\
             default-export-policy = \"accept-route\"\n\
             [[policy-definitions]]\nname = \"unchanged\"\n\
             [[policy-definitions.statements]]\nname = \"all\"\n\
             [policy-definitions.statements.actions]\nroute-disposition = \"accept-route\"\n\
             [policy-definitions.statements.actions.bgp-actions]\nset-next-hop = \"unchanged\"\n",
            loopback_v4(id)
        );
        for (link, far) in neighbours {
            // Told to make none, the kernel leaves the link with the address that both sides know.
            machine.run(&format!(
                "ip link set {link} addrgenmode none && ip address add fe80::{id}/64 dev {link} nodad \
                 && ip link set {link} mtu 2400 up"
            ));
            configuration.push_str(&format!(
                "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"fe80::{far}%{link}\"\n\
                 peer-as = 420000000{far}\n[neighbors.timers.config]\nconnect-retry = 1\n\
                 idle-hold-time-after-reset = 1\nhold-time = 9\nkeepalive-interval = 3\n\
                 [[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"l2vpn-evpn\"\n"
            ));
        }
        let (file, socket) = (directory.join("gobgpd.toml"), directory.join("api"));
        fs::write(&file, configuration).unwrap();
        let line = format!("exec gobgpd -f {} --api-hosts unix://{}", file.display(), socket.display());
        world.run_on(&machine, &line);
        wait("gobgpd answers", &[&machine], || socket.exists());
        GoBgp { machine, socket }
    }

    fn gobgp(&self, words: &str) -> String {
        self.machine.run(&format!("gobgp --target unix://{} {words}", self.socket.display()))
    }

    fn routes(&self) -> Routes {
        let table: Value = serde_json::from_str(&self.gobgp("global rib -a evpn -j")).unwrap();
        let told = |paths: &Value| {
            let path = &paths[0];
            let attributes = path["attrs"].as_array().cloned().unwrap_or_default();
            let of = |code: u64| attributes.iter().find(|it| it["type"] == code).cloned();
            // MP_REACH_NLRI, extended communities (a set, whatever its order), PMSI tunnel.
            let next_hop = of(14).map(|it| it["nexthop"].clone());
            let mut communities: Vec<String> = of(16)
                .and_then(|it| it["value"].as_array().cloned())
                .unwrap_or_default()
                .iter()
                .map(Value::to_string)
                .collect();
            communities.sort();
            serde_json::json!([path["nlri"], next_hop, communities, of(22)])
        };
        let table = table.as_object().unwrap();
        table.iter().map(|(name, paths)| (name.clone(), told(paths))).collect()
    }

    fn as_path(&self, name: &str) -> String {
        let table: Value = serde_json::from_str(&self.gobgp("global rib -a evpn -j")).unwrap();
        let attributes = table[name][0]["attrs"].as_array().cloned().unwrap_or_default();
        let path = attributes.iter().find(|it| it["type"] == 2).cloned().unwrap_or_default();
        path["as_paths"].to_string()
    }
}

/// Routes of every type, as another vendor's VTEP 43.228.174.137 may announce them.
const INJECTED: [&str; 7] = [
    "a-d esi single-homed etag 5 label 224 rd 43.228.174.137:224 rt 63806:224 encap vxlan \
     esi-label 7",
    "macadv 02:00:00:00:09:01 0.0.0.0 etag 0 label 224 rd 43.228.174.137:224 rt 63806:224 encap vxlan",
    "macadv 02:00:00:00:09:01 192.0.2.91 etag 0 label 224 rd 43.228.174.137:224 rt 63806:224 encap vxlan \
     router-mac 02:00:00:00:0a:01",
    "multicast 43.228.174.137 etag 0 rd 43.228.174.137:224 rt 63806:224 encap vxlan \
     pmsi ingress-repl 224 43.228.174.137",
    "esi 43.228.174.137 esi ARBITRARY 1 2 3 4 5 6 7 8 9 rd 43.228.174.137:224 rt 63806:224",
    "prefix 203.0.113.0/24 gw 192.0.2.91 etag 0 label 5000 rd 43.228.174.137:5000 rt 63806:5000 encap vxlan \
     router-mac 02:00:00:00:0a:01",
    "prefix 2001:db8:77::/48 gw :: etag 0 label 5000 rd 43.228.174.137:5000 rt 63806:5000 encap vxlan \
     router-mac 02:00:00:00:0a:01",
];

pub fn gobgp_is_a_relay_between_ours(world: &mut World) {
    let [a, middle, c, far] = ["r1", "relay", "r3", "witness"].map(|name| world.machine(name));
    world.wire((&a, "eth1"), (&middle, "eth1"));
    world.wire((&middle, "eth2"), (&c, "eth1"));
    world.wire((&c, "eth2"), (&far, "eth1"));
    let hosts = [(1, &a), (3, &c)].map(|(n, behind)| host(world, n, behind));
    let relay = GoBgp::start(world, middle, 2, &[("eth1", 1), ("eth2", 3)]);
    let witness = GoBgp::start(world, far, 4, &[("eth1", 3)]);
    for (id, machine, links) in [(1, &a, &[("eth1", 2)][..]), (3, &c, &[("eth1", 2), ("eth2", 4)])] {
        let mut plan = router(id);
        for (link, remote) in links {
            inside(&mut plan, link, *remote, false);
        }
        segment(&mut plan, &Segment::new(&[PORT]), loopback_v4(id).into());
        start(world, machine, plan);
    }
    let machines = [&a, &relay.machine, &c, &witness.machine];
    wait_for_sessions(&[&a, &c]);
    for line in INJECTED {
        relay.gobgp(&format!("global rib add -a evpn {line} nexthop 43.228.174.137"));
    }
    hosts.iter().for_each(Host::speak);
    // Every host's MAC and every VTEP is known to the relay, and what was injected.
    let ours = |id: u32| format!("[type:multicast][rd:{0}:224][etag:0][ip:{0}]", loopback_v4(id));
    wait("the relay knows hosts and VTEPs", &machines, || {
        let routes = relay.routes();
        let injected = routes.keys().filter(|name| name.contains("[rd:43.228.174.137:")).count();
        let knows = |what: &str| routes.keys().any(|name| name.contains(what));
        injected == INJECTED.len()
            && [1, 3].iter().all(|id| knows(&ours(*id)))
            && hosts.iter().all(|host| knows(&host.mac))
    });
    // Unchanged behind r3: NLRI, next hop, communities, tunnel.
    let (mut told, mut heard) = (Routes::new(), Routes::new());
    let same = soon(&mut || {
        (told, heard) = (relay.routes(), witness.routes());
        told == heard
    });
    assert!(same, "the relay has\n{told:#?}\nthe witness has\n{heard:#?}\n{}", c.status());
    // The path has grown by each router that it passed.
    let path = witness.as_path(&ours(1));
    assert!(path.contains("[4200000003,4200000002,4200000001]"), "{path}");
    // Both flood to each other and to the third.
    let third = "43.228.174.137".to_owned();
    for (machine, far) in [(&a, 3), (&c, 1)] {
        let expected = vec![loopback_v4(far).to_string(), third.clone()];
        wait(&format!("the flood list of {}", machine.name), &machines, || {
            let mut expected = expected.clone();
            expected.sort();
            flood_list(machine, VXLAN) == expected
        });
        let known = machine.run(&format!("bridge fdb show dev {VXLAN}"));
        assert!(known.contains("02:00:00:00:09:01 dst 43.228.174.137"), "{known}");
    }
    // What it takes back is gone, and nothing else.
    relay.gobgp(&format!("global rib del -a evpn {} nexthop 43.228.174.137", INJECTED[3]));
    wait("the third VTEP is forgotten", &machines, || {
        flood_list(&a, VXLAN) == [loopback_v4(3).to_string()]
            && flood_list(&c, VXLAN) == [loopback_v4(1).to_string()]
    });
    wait("the witness has the rest", &machines, || witness.routes() == relay.routes());
}

/// Like [`wait`], for a test that has more to say than machines have.
fn soon(holds: &mut dyn FnMut() -> bool) -> bool {
    let start = std::time::Instant::now();
    while !holds() {
        if start.elapsed() > std::time::Duration::from_secs(15) {
            return false;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    true
}
