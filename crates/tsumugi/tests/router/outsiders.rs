//! Each of the other implementations as our provider, our peer and our customer, all at once.
//!
//!                     r1 (AS63806)
//!            eth1 /       | eth2       \ eth3
//!     provider            peer            customer
//!     AS150369            AS59105         AS38632

use super::inside::{established, sessions, start};
use super::others::{Kind, Network, Other};
use super::plans::{originate, prefix, provider, router};
use super::world::{Machine, World, wait};
use std::fs;
use tsumugi_core::bgp::config::{LimitTerms, OutsidePolicy, PrefixRange, Relation, Role, Terms};
use tsumugi_core::id::KeyName;
use tsumugi_core::router_plan::RouterPlan;

pub const OWN: [&str; 2] = ["43.228.174.0/24", "2402:3160::/32"];
pub const OF_PROVIDER: [&str; 2] = ["8.8.8.0/24", "2620:fe::/48"];
const OF_PEER: [&str; 2] = ["9.9.9.0/24", "2620:99::/48"];
pub const OF_CUSTOMER: [&str; 2] = ["45.0.4.0/24", "2a00:45::/48"];
/// A bogon, one of our own, one that is no customer's.
const REFUSED: [&str; 3] = ["10.1.0.0/16", "2402:3160:7::/48", "46.0.4.0/24"];

pub fn networks(kind: Kind) -> [Network; 3] {
    let network = |number, asn, role, announces: [&'static str; 2], refused| Network {
        kind,
        asn,
        role,
        number,
        announces: [&announces[..], &[refused]].concat(),
        password: kind.signs().then_some("a-secret"),
        graceful: false,
        add_paths: false,
        tells: None,
    };
    [
        network(1, 150_369, Role::Provider, OF_PROVIDER, REFUSED[0]),
        network(2, 59_105, Role::Peer, OF_PEER, REFUSED[1]),
        network(3, 38_632, Role::Customer, OF_CUSTOMER, REFUSED[2]),
    ]
}

/// Our router beside these networks: `eth1` is to the first.
pub fn plan(networks: &[Network]) -> RouterPlan {
    let mut plan = router(1);
    originate(&mut plan, &[]);
    for (place, network) in networks.iter().enumerate() {
        let ends = network.ends();
        let ends = ends.each_ref().map(|(ours, theirs)| (ours.as_str(), theirs.as_str()));
        provider(&mut plan, &format!("eth{}", place + 1), network.asn, &ends);
        let neighbours = &mut plan.speaker.as_mut().unwrap().neighbours;
        for neighbour in neighbours.iter_mut().skip(2 * place) {
            neighbour.name = format!("{:?} {:?}", network.role, neighbour.families[0]);
            neighbour.terms =
                Terms { password: network.password.map(|_| KeyName("agreed".into())), ..Terms::default() };
            let Relation::Outside(policy) = &mut neighbour.relation else { panic!("it is outside") };
            let customer = network.role == Role::Customer;
            let up_to = |text: &str| {
                let prefix = prefix(text);
                PrefixRange::up_to(prefix, if prefix.addr().is_ipv4() { 24 } else { 48 })
            };
            let listed = customer.then(|| OF_CUSTOMER.map(up_to).into());
            *policy = OutsidePolicy { role: network.role, listed, ..policy.clone() };
        }
    }
    plan
}

/// Our router and its surroundings, running, all sessions established.
pub fn scene(world: &mut World, networks: &[Network]) -> (Machine, Vec<Other>) {
    let (r1, others) = begin(world, networks, plan(networks));
    let machines: Vec<&Machine> = [&r1].into_iter().chain(others.iter().map(|it| &it.machine)).collect();
    wait("every session stands", &machines, || established(&r1) == 2 * networks.len());
    (r1, others)
}

pub fn begin(world: &mut World, networks: &[Network], plan: RouterPlan) -> (Machine, Vec<Other>) {
    let r1 = world.machine("r1");
    let mut others = Vec::new();
    for (place, network) in networks.iter().enumerate() {
        let machine = world.machine(&format!("{:?}", network.role).to_lowercase());
        world.wire((&r1, &format!("eth{}", place + 1)), (&machine, "eth1"));
        others.push(Other::start(world, machine, network.clone()));
    }
    fs::create_dir_all(r1.state.join("secrets")).unwrap();
    fs::write(r1.state.join("secrets/agreed"), "a-secret\n").unwrap();
    start(world, &r1, plan);
    (r1, others)
}

fn kernel(r1: &Machine) -> String {
    r1.run("ip route show; ip -6 route show")
}

fn all_around(world: &mut World, kind: Kind) {
    let (r1, others) = scene(world, &networks(kind));
    let [provider, peer, customer] = &others[..] else { panic!("there are three") };
    let machines: Vec<&Machine> = [&r1].into_iter().chain(others.iter().map(|it| &it.machine)).collect();
    let of_customer = format!("63806 {}", customer.network.asn);
    for told in [provider, peer, customer] {
        for own in OWN {
            wait(&format!("{} has {own}", told.machine.name), &machines, || {
                told.path_of(own).as_deref() == Some("63806")
            });
        }
    }
    for told in [provider, peer] {
        for prefix in OF_CUSTOMER {
            wait(&format!("{} has {prefix}", told.machine.name), &machines, || {
                told.path_of(prefix).as_deref() == Some(&of_customer)
            });
        }
    }
    for (prefixes, from) in [(OF_PROVIDER, provider), (OF_PEER, peer)] {
        let path = format!("63806 {}", from.network.asn);
        for prefix in prefixes {
            wait(&format!("the customer has {prefix}"), &machines, || {
                customer.path_of(prefix).as_deref() == Some(&path)
            });
        }
    }
    // Everything was told once the customer has everything: what is not for somebody is not there.
    for prefix in OF_PEER {
        assert_eq!(provider.path_of(prefix), None, "a peer's route went up");
    }
    for prefix in OF_PROVIDER {
        assert_eq!(peer.path_of(prefix), None, "a provider's route went sideways");
    }
    let routes = kernel(&r1);
    for prefix in OF_PROVIDER.into_iter().chain(OF_PEER).chain(OF_CUSTOMER) {
        assert!(routes.contains(prefix), "{prefix}: {routes}");
    }
    for prefix in REFUSED {
        assert!(!routes.contains(prefix), "{prefix}: {routes}");
        let status = r1.status()["running"]["bgp"]["refusals"].to_string();
        assert!(status.contains(prefix), "{prefix}: {status}");
        assert!(others.iter().all(|it| it.path_of(prefix).is_none_or(|path| !path.starts_with("63806"))));
    }
    // Asked for everything again, we tell it again, and nothing goes meanwhile.
    let sent = |r1: &Machine| -> Vec<u64> {
        sessions(r1).iter().map(|it| it["updates_out"].as_u64().unwrap_or_default()).collect()
    };
    if kind == Kind::GoBgp {
        return;
    }
    let before = sent(&r1);
    others.iter().for_each(Other::refresh);
    wait("it was told again", &machines, || sent(&r1).iter().zip(&before).all(|(now, before)| now > before));
    assert_eq!(established(&r1), 6);
    for told in &others {
        assert!(OWN.iter().all(|own| told.path_of(own).is_some()));
    }
}

pub fn bird_all_around(world: &mut World) {
    all_around(world, Kind::Bird);
}

pub fn frr_all_around(world: &mut World) {
    all_around(world, Kind::Frr);
}

pub fn gobgp_all_around(world: &mut World) {
    all_around(world, Kind::GoBgp);
}

pub fn openbgpd_all_around(world: &mut World) {
    all_around(world, Kind::OpenBgpd);
}

/// One provider whose process is killed and comes back with one route less.
fn restarts_gracefully(world: &mut World, kind: Kind) {
    let [mut network, ..] = networks(kind);
    network.graceful = true;
    network.announces = [&OF_PROVIDER[..], &["8.8.4.0/24"]].concat();
    let (r1, mut others) = scene(world, &[network]);
    let mut other = others.remove(0);
    let has = |prefix: &str| kernel(&r1).contains(prefix);
    wait("its routes are there", &[&r1, &other.machine], || {
        has("8.8.4.0/24") && OF_PROVIDER.into_iter().all(has)
    });
    world.kill(other.process);
    wait("its going is said", &[&r1], || r1.log().matches("routes-kept").count() == 2);
    assert!(has("8.8.4.0/24") && OF_PROVIDER.into_iter().all(has), "{}", kernel(&r1));
    other.network.announces.pop();
    other.run(world);
    wait("what it has no more is gone, the rest never", &[&r1, &other.machine], || {
        assert!(OF_PROVIDER.into_iter().all(has), "{}", kernel(&r1));
        established(&r1) == 2 && !has("8.8.4.0/24")
    });
}

pub fn frr_restarts_gracefully(world: &mut World) {
    restarts_gracefully(world, Kind::Frr);
}

pub fn gobgp_restarts_gracefully(world: &mut World) {
    restarts_gracefully(world, Kind::GoBgp);
}

/// A peer that announces more than was agreed loses its session, says so at both ends, and rests.
fn goes_beyond_its_limit(world: &mut World, kind: Kind) {
    let [provider, mut peer, _] = networks(kind);
    peer.announces = vec!["9.9.9.0/24", "9.9.8.0/24", "9.9.7.0/24"];
    let networks = [provider, peer];
    let mut plan = plan(&networks);
    for neighbour in plan.speaker.as_mut().unwrap().neighbours.iter_mut().skip(2) {
        neighbour.terms.limit = LimitTerms { warn_percent: 50, rest: 60_000 };
        let Relation::Outside(policy) = &mut neighbour.relation else { panic!("it is outside") };
        policy.prefix_limit = Some(2);
    }
    let (r1, others) = begin(world, &networks, plan);
    let machines: Vec<&Machine> = [&r1].into_iter().chain(others.iter().map(|it| &it.machine)).collect();
    let [_, _, limited, spared] = [0, 1, 2, 3];
    wait("the session with too many ends", &machines, || {
        let sessions = sessions(&r1);
        let end = sessions.get(limited).map(|it| it["last_end"].to_string()).unwrap_or_default();
        end.contains("prefix-limit") && established(&r1) == 3
    });
    // The provider's routes stay, the other family of the same neighbour stands, nothing of it is left.
    assert_eq!(sessions(&r1)[spared]["state"], "established");
    wait("the provider's routes are there", &machines, || {
        let routes = kernel(&r1);
        OF_PROVIDER.iter().all(|prefix| routes.contains(prefix)) && !routes.contains("9.9.")
    });
    // It rests: the neighbour calls again, and is not let in.
    let before = sessions(&r1)[limited]["established_count"].as_u64();
    wait("the neighbour has called again", &machines, || {
        let refused = r1.status()["running"]["refused_connections"].to_string();
        refused != "{}" || sessions(&r1)[limited]["state"] != "established"
    });
    assert_eq!(sessions(&r1)[limited]["established_count"].as_u64(), before);
}

pub fn bird_goes_beyond_its_limit(world: &mut World) {
    goes_beyond_its_limit(world, Kind::Bird);
}

pub fn frr_goes_beyond_its_limit(world: &mut World) {
    goes_beyond_its_limit(world, Kind::Frr);
}

pub fn gobgp_goes_beyond_its_limit(world: &mut World) {
    goes_beyond_its_limit(world, Kind::GoBgp);
}

pub fn openbgpd_goes_beyond_its_limit(world: &mut World) {
    goes_beyond_its_limit(world, Kind::OpenBgpd);
}
