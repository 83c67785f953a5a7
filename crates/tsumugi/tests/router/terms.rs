//! What is agreed about a session besides its policy: signed segments, hop limits, roles, long messages and
//! tellings with an end, with BIRD and with FRR.
//!
//! r1 --eth1-- bird (AS150369, provider)
//! r1 --eth1-- frr (AS59105, peer)

use super::inside::start;
use super::plans::{originate, provider, router};
use super::world::{Machine, World, find, wait};
use std::fs;
use tsumugi_core::bgp::config::{OutsidePolicy, Relation, Role, Terms};
use tsumugi_core::id::KeyName;
use tsumugi_core::router_plan::RouterPlan;

const ENDS: [(&str, &str); 2] =
    [("203.0.113.2/30", "203.0.113.1"), ("2001:db8:900:1::2/64", "2001:db8:900:1::1")];

/// A router whose outside sessions are signed, guarded and strict, to a neighbour of this role.
fn plan(asn: u32, role: Role) -> RouterPlan {
    let mut plan = router(1);
    provider(&mut plan, "eth1", asn, &ENDS);
    originate(&mut plan, &[]);
    let speaker = plan.speaker.as_mut().unwrap();
    speaker.draining = true;
    for neighbour in &mut speaker.neighbours {
        neighbour.terms = Terms {
            strict_role: true,
            gtsm: true,
            password: Some(KeyName("agreed".into())),
            ..Terms::default()
        };
        let Relation::Outside(policy) = &mut neighbour.relation else { panic!("it is outside") };
        *policy = OutsidePolicy { role, ..policy.clone() };
    }
    plan
}

fn write_secret(machine: &Machine, secret: &str) {
    let directory = machine.state.join("secrets");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("agreed"), format!("{secret}\n")).unwrap();
}

fn addresses(machine: &Machine) {
    machine.run("ip address add 203.0.113.1/30 dev eth1; ip address add 2001:db8:900:1::1/64 dev eth1 nodad");
    machine.run("ip link set eth1 up");
}

fn sessions(machine: &Machine) -> usize {
    let status = machine.status();
    let sessions = status["running"]["bgp"]["sessions"].as_array().cloned().unwrap_or_default();
    sessions.iter().filter(|it| it["state"] == "established").count()
}

pub fn bird_agrees_on_everything(world: &mut World) {
    let [r1, bird] = ["r1", "bird"].map(|name| world.machine(name));
    world.wire((&r1, "eth1"), (&bird, "eth1"));
    addresses(&bird);
    let terms = "local role provider; require roles on; password \"a-secret\"; ttl security on; \
                 enable extended messages on; enable route refresh on; connect retry time 1; error wait time 1, 2;";
    let configuration = format!(
        "log stderr all;
        router id 203.0.113.1;
        protocol device {{ scan time 1; }}
        protocol static s4 {{ ipv4; route 8.8.8.0/24 blackhole; }}
        protocol bgp p4 {{
            local 203.0.113.1 as 150369; neighbor 203.0.113.2 as 63806; {terms}
            ipv4 {{ import table on; import all; export where source = RTS_STATIC; }};
        }}
        protocol bgp p6 {{
            local 2001:db8:900:1::1 as 150369; neighbor 2001:db8:900:1::2 as 63806; {terms}
            ipv6 {{ import all; export none; }};
        }}
        "
    );
    let directory = world.directory("bird-files");
    let d = directory.display();
    fs::write(directory.join("bird.conf"), configuration).unwrap();
    world.run_on(&bird, &format!("exec bird -f -c {d}/bird.conf -s {d}/bird.ctl"));
    // Without the secret there is no session, and nobody is let in.
    start(world, &r1, plan(150_369, Role::Provider));
    let birdc = |what: &str| bird.run(&format!("birdc -s {d}/bird.ctl '{what}'"));
    wait("the secret is missed", &[&r1, &bird], || r1.log().contains("agreed"));
    assert_eq!(sessions(&r1), 0);
    write_secret(&r1, "a-secret");
    wait("both sessions stand", &[&r1, &bird], || sessions(&r1) == 2);
    let said = birdc("show protocols all p4");
    for word in ["Role: provider", "Extended message", "Enhanced refresh", "Route refresh"] {
        // Once of itself and once of us.
        let customer = word.replace("provider", "customer");
        let found =
            said.matches(word).count() + if customer == word { 0 } else { said.matches(&customer).count() };
        assert_eq!(found, 2, "{word}: {said}");
    }
    // From above it is for customers only, said by us; to above nothing of the kind is said.
    wait("the route is there", &[&r1, &bird], || r1.run("ip route show").contains("8.8.8.0/24"));
    wait("BIRD has our prefix", &[&r1, &bird], || birdc("show route").contains("43.228.174.0/24"));
    let route = birdc("show route all 43.228.174.0/24");
    assert!(!route.contains("otc"), "{route}");
    // The router is drained: 65535:0 (RFC 8326).
    assert!(route.contains("(65535,0)"), "{route}");
    // BIRD asks for everything again, between a beginning and an end, and has what it had.
    birdc("reload in p4");
    wait("BIRD has it again", &[&r1, &bird], || birdc("show route").contains("43.228.174.0/24"));
    assert_eq!(sessions(&r1), 2);
    // A shutdown's text is for people to read.
    birdc("disable p4 \"moving to the other rack\"");
    wait("the reason is told", &[&r1, &bird], || r1.log().contains("moving to the other rack"));
    birdc("enable p4");
    wait("they stand again", &[&r1, &bird], || sessions(&r1) == 2);
}

pub fn frr_agrees_on_everything(world: &mut World) {
    let [r1, frr] = ["r1", "frr"].map(|name| world.machine(name));
    world.wire((&r1, "eth1"), (&frr, "eth1"));
    addresses(&frr);
    let directory = world.directory("frr-files");
    let neighbour = |address: &str| {
        format!(
            " neighbor {address} remote-as 63806\n neighbor {address} password a-secret\n \
             neighbor {address} ttl-security hops 1\n neighbor {address} timers connect 1\n \
             neighbor {address} local-role peer strict-mode\n"
        )
    };
    let configuration = format!(
        "hostname frr\n\
         router bgp 59105\n bgp router-id 203.0.113.1\n no bgp ebgp-requires-policy\n \
         no bgp default ipv4-unicast\n no bgp network import-check\n{}{} \
         address-family ipv4 unicast\n  neighbor 203.0.113.2 activate\n  network 9.9.9.0/24\n exit-address-family\n \
         address-family ipv6 unicast\n  neighbor 2001:db8:900:1::2 activate\n exit-address-family\n\
         exit\n",
        neighbour("203.0.113.2"),
        neighbour("2001:db8:900:1::2"),
    );
    fs::write(directory.join("bgpd.conf"), configuration).unwrap();
    fs::write(directory.join("zebra.conf"), "").unwrap();
    let d = directory.display();
    frr.run(&format!("chown -R frr:frr {d}"));
    for daemon in ["zebra", "bgpd"] {
        let program = find(daemon).unwrap();
        let line = format!(
            "exec {} -f {d}/{daemon}.conf --vty_socket {d} -z {d}/zserv.api -i {d}/{daemon}.pid -P 0 --log stdout",
            program.display()
        );
        world.run_on(&frr, &line);
        wait(&format!("{daemon} runs"), &[&frr], || directory.join(format!("{daemon}.vty")).exists());
    }
    let mut plan = plan(59_105, Role::Peer);
    plan.speaker.as_mut().unwrap().draining = false;
    write_secret(&r1, "a-secret");
    start(world, &r1, plan);
    wait("both sessions stand", &[&r1, &frr], || sessions(&r1) == 2);
    let vtysh = |what: &str| frr.run(&format!("vtysh --vty_socket {d} -c '{what}'"));
    let said = vtysh("show bgp neighbors 203.0.113.2");
    for word in [
        "Local Role: peer",
        "Remote Role: peer",
        "Extended Message: advertised and received",
        "Enhanced Route Refresh: advertised and received",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    wait("FRR has our prefix", &[&r1, &frr], || vtysh("show bgp ipv4 unicast").contains("43.228.174.0/24"));
    // Beside us it is for customers only.
    let route = vtysh("show bgp ipv4 unicast 43.228.174.0/24");
    assert!(route.contains("otc 63806"), "{route}");
    wait("its own route is there", &[&r1, &frr], || r1.run("ip route show").contains("9.9.9.0/24"));
}

pub fn bird_restarts_gracefully(world: &mut World) {
    let [r1, bird] = ["r1", "bird"].map(|name| world.machine(name));
    world.wire((&r1, "eth1"), (&bird, "eth1"));
    addresses(&bird);
    let configuration = |routes: &str| {
        format!(
            "log stderr all;
            router id 203.0.113.1;
            graceful restart wait 5;
            protocol device {{ scan time 1; }}
            protocol static s4 {{ ipv4; {routes} }}
            protocol bgp p4 {{
                local 203.0.113.1 as 150369; neighbor 203.0.113.2 as 63806;
                graceful restart on; graceful restart time 60; connect retry time 1; error wait time 1, 2;
                ipv4 {{ import all; export where source = RTS_STATIC; }};
            }}
            "
        )
    };
    let directory = world.directory("bird-files");
    let d = directory.display();
    fs::write(
        directory.join("bird.conf"),
        configuration("route 8.8.8.0/24 blackhole; route 8.8.4.0/24 blackhole;"),
    )
    .unwrap();
    let process = world.run_on(&bird, &format!("exec bird -f -c {d}/bird.conf -s {d}/bird.ctl"));
    let mut plan = plan(150_369, Role::Provider);
    let neighbours = &mut plan.speaker.as_mut().unwrap().neighbours;
    neighbours.truncate(1);
    neighbours[0].terms = Terms::default();
    start(world, &r1, plan);
    let has = |prefix: &str| r1.run("ip route show").contains(prefix);
    wait("both routes are there", &[&r1, &bird], || has("8.8.8.0/24") && has("8.8.4.0/24"));
    // Killed: the routes stay in use while there is no session.
    world.kill(process);
    wait("its going is said", &[&r1, &bird], || r1.log().contains("routes-kept"));
    assert_eq!(sessions(&r1), 0);
    assert!(has("8.8.8.0/24") && has("8.8.4.0/24"));
    // Back with one of the two: the other goes once everything was told.
    fs::write(directory.join("bird.conf"), configuration("route 8.8.8.0/24 blackhole;")).unwrap();
    world.run_on(&bird, &format!("exec bird -f -R -c {d}/bird.conf -s {d}/bird.ctl"));
    wait("the other is gone", &[&r1, &bird], || {
        assert!(has("8.8.8.0/24"), "what BIRD still has never goes");
        sessions(&r1) == 1 && !has("8.8.4.0/24")
    });
}
