//! A small model of the kernel: what each change does and what it needs. Against it, whatever is
//! desired and whatever is found: the changes are possible in their order, lead to what is desired,
//! leave alone what is not ours, and a second time there are none.

use super::*;
use crate::desired::*;
use crate::id::Prefix;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

fn name(text: &str) -> IfName {
    IfName::new(text).unwrap()
}

/// The model: what is observed is the state itself.
struct Model(Observed);

impl Model {
    fn link(&mut self, name: &IfName) -> Result<&mut ObservedLink, String> {
        self.0.links.iter_mut().find(|link| link.name == *name).ok_or(format!("no link {name}"))
    }

    fn drop_link(&mut self, name: &IfName) {
        let over = |link: &ObservedLink| matches!(&link.kind, ObservedKind::Vlan { parent: Some(parent), .. } if parent == name);
        let upper: Vec<IfName> =
            self.0.links.iter().filter(|link| over(link)).map(|link| link.name.clone()).collect();
        for upper in upper {
            self.drop_link(&upper);
        }
        self.0.links.retain(|link| link.name != *name);
        for link in &mut self.0.links {
            if link.master.as_ref() == Some(name) {
                link.master = None;
            }
        }
        self.0.addresses.retain(|address| address.link != *name);
        self.0.neighbours.retain(|found| found.neighbour.link != *name);
        self.0.sysctls.retain(|key, _| !key.contains(&format!("/{name}/")));
        self.0.routes.retain(|route| !hops(route).iter().any(|hop| hop.link == *name));
    }

    fn make(&mut self, name: &IfName, kind: ObservedKind) -> Result<(), String> {
        if self.link(name).is_ok() {
            return Err(format!("{name} is there already"));
        }
        self.0.links.push(fresh(name, kind));
        self.0.sysctls.insert(format!("net/ipv6/conf/{name}/accept_ra"), "1".into());
        Ok(())
    }

    fn apply(&mut self, change: &Change) -> Result<(), String> {
        match change {
            Change::SetSysctl(sysctl) => {
                let there = self.0.sysctls.get_mut(&sysctl.key).ok_or("no such setting")?;
                *there = sysctl.value.clone();
            }
            Change::SetWalls => self.0.walls_in_place = true,
            Change::RemoveRoute(route) => {
                let before = self.0.routes.len();
                self.0.routes.retain(|found| key(found) != key(route));
                if self.0.routes.len() == before {
                    return Err("no such route".into());
                }
            }
            Change::RemoveNeighbour { link, address } => {
                self.0
                    .neighbours
                    .retain(|found| found.neighbour.link != *link || found.neighbour.address != *address);
            }
            Change::RemoveAddress(address) => {
                let before = self.0.addresses.len();
                self.0.addresses.retain(|a| a.link != address.link || a.prefix != address.prefix);
                if self.0.addresses.len() == before {
                    return Err("no such address".into());
                }
                // As IPv4 does: what preferred the address as source goes with it.
                let source = Some(address.prefix.addr());
                self.0.routes.retain(|route| route.source != source);
            }
            Change::RemoveLink(name) => {
                self.link(name)?;
                self.drop_link(name);
            }
            Change::ReleasePort(name) => {
                self.link(name)?.alias.clear();
                if let Some(mut initial) = self.0.initial.take() {
                    initial.push(fresh(name, ObservedKind::Port));
                    self.0.initial = Some(initial);
                    self.drop_link(name);
                }
            }
            Change::TakePort(name) => {
                let initial = self.0.initial.as_mut().ok_or("nowhere to take from")?;
                let before = initial.len();
                initial.retain(|link| link.name != *name);
                if initial.len() == before {
                    return Err("no such port".into());
                }
                self.make(name, ObservedKind::Port)?;
            }
            Change::MakeMacvlan { name, parent } => {
                let parents = self.0.initial.as_ref().unwrap_or(&self.0.links);
                if !parents.iter().any(|link| link.name == *parent) {
                    return Err("no parent".into());
                }
                self.make(name, ObservedKind::Macvlan { parent: Some(parent.clone()) })?;
            }
            Change::MakeBridge(name) => self.make(name, ObservedKind::Bridge)?,
            Change::MakeVxlan { name, vni, local } => {
                let taken = |link: &ObservedLink| matches!(&link.kind, ObservedKind::Vxlan { vni: found, .. } if found == vni);
                if self.0.links.iter().any(taken) {
                    return Err(format!("VNI {} is taken", vni.0));
                }
                self.make(name, ObservedKind::Vxlan { vni: *vni, local: Some(*local), plain: true })?;
            }
            Change::MakeVlan { name, parent, tag } => {
                self.link(parent)?;
                self.make(name, ObservedKind::Vlan { parent: Some(parent.clone()), tag: *tag })?;
            }
            Change::TuneBridge(name) => self.link(name)?.tuned = true,
            Change::TunePort(name) => {
                let link = self.link(name)?;
                if link.master.is_none() {
                    return Err(format!("{name} is no port of a bridge"));
                }
                link.tuned = true;
            }
            Change::SetAlias { link, alias } => self.link(link)?.alias = alias.clone(),
            Change::SetMac { link, mac } => self.link(link)?.mac = Some(*mac),
            Change::SetMtu { link, mtu } => self.link(link)?.mtu = *mtu,
            Change::SetMaster { link, master } => {
                if let Some(master) = master {
                    self.link(master)?;
                }
                let link = self.link(link)?;
                link.master = master.clone();
                if matches!(link.kind, ObservedKind::Vxlan { .. }) {
                    link.tuned = master.is_none();
                }
            }
            Change::StopLinkLocal(link) => self.link(link)?.makes_link_local = false,
            Change::SetUp(link) => self.link(link)?.up = true,
            Change::AddAddress(address) => {
                self.link(&address.link)?;
                let taken =
                    |a: &ObservedAddress| a.link == address.link && a.prefix.addr() == address.prefix.addr();
                if self.0.addresses.iter().any(taken) {
                    return Err("the address is there already".into());
                }
                let Address { link, prefix } = address.clone();
                self.0.addresses.push(ObservedAddress { link, prefix, origin: AddressOrigin::Ours });
            }
            Change::SetNeighbour(neighbour) => {
                self.link(&neighbour.link)?;
                self.0.neighbours.retain(|found| {
                    found.neighbour.link != neighbour.link || found.neighbour.address != neighbour.address
                });
                self.0.neighbours.push(ObservedNeighbour { neighbour: neighbour.clone(), ours: true });
            }
            Change::SetRoute(route) => {
                for hop in hops(route) {
                    if !self.link(&hop.link)?.up {
                        return Err(format!("{} is down", hop.link));
                    }
                }
                if let Some(source) = route.source
                    && !self.0.addresses.iter().any(|address| address.prefix.addr() == source)
                {
                    return Err("the source is no address of ours".into());
                }
                self.0.routes.retain(|found| key(found) != key(route));
                self.0.routes.push(route.clone());
            }
        }
        Ok(())
    }
}

fn key(route: &Route) -> (Prefix, u32) {
    let default = if route.prefix.addr().is_ipv4() { 0 } else { 1024 };
    (route.prefix, route.metric.unwrap_or(default))
}

fn hops(route: &Route) -> &[NextHop] {
    match &route.target {
        RouteTarget::NextHops { next_hops } => next_hops,
        RouteTarget::Discard | RouteTarget::Unreachable => &[],
    }
}

fn fresh(name: &IfName, kind: ObservedKind) -> ObservedLink {
    ObservedLink {
        tuned: kind != ObservedKind::Bridge,
        name: name.clone(),
        alias: String::new(),
        kind,
        mtu: 1500,
        mac: Some(Mac([2, 0, 0, 0, 0, 1])),
        master: None,
        up: false,
        makes_link_local: true,
    }
}

const PORTS: [&str; 3] = ["eth0", "eth1", "eth2"];
const PREFIXES: [&str; 6] =
    ["fe80::1/64", "192.0.2.1/24", "192.0.2.1/32", "2001:db8::1/64", "198.51.100.1/32", "2001:db8::9/128"];

/// The kinds of links in the order of a plan: parents first.
fn some_link() -> impl Strategy<Value = Link> {
    let kind = prop_oneof![
        prop::sample::select(&PORTS[..]).prop_map(|port| (port, LinkKind::Port)),
        Just(("br0", LinkKind::Bridge)),
        prop::sample::select(&PORTS[..])
            .prop_map(|parent| ("mv0", LinkKind::Macvlan { parent: name(parent) })),
        prop::sample::select(&["tun0", "tun1"][..]).prop_map(|tunnel| (tunnel, LinkKind::Tunnel)),
        (100..102u32, prop::sample::select(&["198.51.100.1", "2001:db8::9"][..])).prop_map(|(vni, local)| (
            "vx0",
            LinkKind::Vxlan { vni: Vni(vni), local: local.parse().unwrap() }
        )),
        (prop::sample::select(&["eth0", "eth1", "mv0", "br0"][..]), 5..7u16)
            .prop_map(|(parent, tag)| ("vl0", LinkKind::Vlan { parent: name(parent), tag })),
    ];
    let mac = prop::option::of((1..3u8).prop_map(|last| Mac([2, 0, 0, 0, 0, last])));
    (kind, prop::sample::select(&[1500u32, 2400][..]), mac, any::<bool>()).prop_map(
        |((link, kind), mtu, mac, bridged)| {
            let can = matches!(kind, LinkKind::Port | LinkKind::Vxlan { .. } | LinkKind::Vlan { .. });
            let bridged = bridged && can;
            Link {
                name: name(link),
                alias: format!("the link {link}"),
                kind,
                mtu,
                mac,
                master: bridged.then(|| name("br0")),
            }
        },
    )
}

fn some_name() -> impl Strategy<Value = IfName> {
    prop::sample::select(&["lo", "eth0", "eth1", "eth2", "br0", "mv0", "tun0", "vl0"][..]).prop_map(name)
}

fn some_address() -> impl Strategy<Value = Address> {
    (some_name(), prop::sample::select(&PREFIXES[..]))
        .prop_map(|(link, prefix)| Address { link, prefix: prefix.parse().unwrap() })
}

fn some_route() -> impl Strategy<Value = Route> {
    let hop = (some_name(), prop::option::of(prop::sample::select(&["fe80::2", "fe80::3"][..])))
        .prop_map(|(link, via)| NextHop { link, via: via.map(|via| via.parse().unwrap()) });
    let target = prop_oneof![
        4 => prop::collection::vec(hop, 1..3).prop_map(|next_hops| RouteTarget::NextHops { next_hops }),
        1 => Just(RouteTarget::Discard),
        1 => Just(RouteTarget::Unreachable),
    ];
    let prefix = prop::sample::select(&["203.0.113.0/24", "0.0.0.0/0", "2001:db8:1::/48", "::/0"][..]);
    let metric = prop::sample::select(&[None, Some(0), Some(1024), Some(7)][..]);
    (prefix, target, any::<bool>(), prop::option::of(Just(1454)), metric).prop_map(
        |(prefix, target, prefers, mtu, metric)| {
            let prefix: Prefix = prefix.parse().unwrap();
            let source = if prefix.addr().is_ipv4() { "198.51.100.1" } else { "2001:db8::9" };
            Route { prefix, target, source: prefers.then(|| source.parse().unwrap()), mtu, metric }
        },
    )
}

fn some_desired() -> impl Strategy<Value = Desired> {
    let links = prop::collection::vec(some_link(), 0..6);
    let addresses = prop::collection::vec(some_address(), 0..8);
    let routes = prop::collection::vec(some_route(), 0..8);
    let sysctls = prop::collection::vec((some_name(), 0..2u8), 0..4);
    (links, addresses, routes, sysctls).prop_map(|(mut links, mut addresses, routes, sysctls)| {
        let rank = |kind: &LinkKind| match kind {
            LinkKind::Bridge => 0,
            LinkKind::Port => 1,
            LinkKind::Macvlan { .. } | LinkKind::Tunnel => 2,
            LinkKind::Vxlan { .. } | LinkKind::Vlan { .. } => 3,
        };
        links.sort_by_key(|link| (rank(&link.kind), link.name.clone()));
        links.dedup_by_key(|link| link.name.clone());
        // The sources that routes prefer are loopbacks.
        for source in ["198.51.100.1/32", "2001:db8::9/128"] {
            addresses.push(Address { link: IfName::loopback(), prefix: source.parse().unwrap() });
        }
        // One address stands once on a link.
        addresses.sort();
        addresses.dedup_by_key(|address| (address.link.clone(), address.prefix.addr()));
        let neighbours = links.iter().map(|link| Neighbour {
            link: link.name.clone(),
            address: "fe80::2".parse().unwrap(),
            mac: Mac([2, 0, 0, 0, 0, 2]),
        });
        let mut sysctls: Vec<Sysctl> = sysctls
            .into_iter()
            .map(|(link, value)| Sysctl {
                key: format!("net/ipv6/conf/{link}/accept_ra"),
                value: value.to_string(),
                optional: false,
            })
            .collect();
        sysctls.sort();
        sysctls.dedup_by_key(|sysctl| sysctl.key.clone());
        Desired {
            neighbours: neighbours.collect(),
            links,
            addresses,
            routes,
            sysctls,
            walls: Vec::new(),
            segment_walls: Vec::new(),
        }
    })
}

/// A machine before tsumugi: ports in the initial namespace (or here, if this is it), a foreign
/// bridge, a foreign address, and the devices that the packet processes have made.
fn bare(is_initial: bool, tunnels: usize) -> Observed {
    let ports: Vec<ObservedLink> = PORTS.iter().map(|port| fresh(&name(port), ObservedKind::Port)).collect();
    let mut observed = Observed { initial: Some(ports.clone()), ..Observed::default() };
    observed.links.push(ObservedLink { mac: None, ..fresh(&name("lo"), ObservedKind::Loopback) });
    observed.links.push(fresh(&name("docker0"), ObservedKind::Bridge));
    observed.links.extend(
        ["tun0", "tun1"]
            .iter()
            .take(tunnels)
            .map(|tunnel| ObservedLink { mac: None, ..fresh(&name(tunnel), ObservedKind::Tunnel) }),
    );
    if is_initial {
        observed.initial = None;
        observed.links.extend(ports);
    }
    for link in &observed.links {
        observed.sysctls.insert(format!("net/ipv6/conf/{}/accept_ra", link.name), "1".into());
        observed.addresses.push(ObservedAddress {
            link: link.name.clone(),
            prefix: "fe80::ff/64".parse().unwrap(),
            origin: AddressOrigin::Generated,
        });
    }
    observed.addresses.push(ObservedAddress {
        link: name("docker0"),
        prefix: "172.17.0.1/16".parse().unwrap(),
        origin: AddressOrigin::Foreign,
    });
    observed
}

fn settle(model: &mut Model, desired: &Desired) {
    let changes = plan(desired, &model.0);
    for (place, change) in changes.iter().enumerate() {
        if let Err(error) = model.apply(change) {
            panic!("change {place} {change:?}: {error}\nof {changes:#?}");
        }
    }
    let again = plan(desired, &model.0);
    assert!(again.is_empty(), "a second time: {again:#?}\nafter {changes:#?}");
}

fn is_as_wanted(wanted: &LinkKind, found: &ObservedKind) -> bool {
    match (wanted, found) {
        (LinkKind::Vxlan { vni, local }, ObservedKind::Vxlan { vni: other, local: from, plain }) => {
            vni == other && Some(*local) == *from && *plain
        }
        (LinkKind::Vlan { parent, tag }, ObservedKind::Vlan { parent: over, tag: other }) => {
            Some(parent) == over.as_ref() && tag == other
        }
        (LinkKind::Vxlan { .. } | LinkKind::Vlan { .. }, _) => false,
        _ => true,
    }
}

/// All that is desired of links that are there, and nothing else of ours.
fn assert_is(observed: &Observed, desired: &Desired) {
    let absent = waiting(desired, observed);
    let links: BTreeMap<&IfName, &ObservedLink> =
        observed.links.iter().map(|link| (&link.name, link)).collect();
    for link in desired.links.iter().filter(|link| !absent.contains(&link.name)) {
        let found = links[&link.name];
        assert_eq!((found.mtu, found.up), (link.mtu, true), "{}", link.name);
        assert_eq!(found.alias, format!("{ALIAS_TAG}{}", link.alias));
        if let Some(mac) = link.mac.filter(|_| found.mac.is_some()) {
            assert_eq!(found.mac, Some(mac));
        }
        assert!(link.master.is_none() || !found.makes_link_local, "{} speaks for itself", link.name);
        assert!(found.tuned, "{}", link.name);
        assert!(is_as_wanted(&link.kind, &found.kind), "{:?}: {:?}", link.kind, found.kind);
        assert_eq!(found.master, link.master.clone().filter(|master| links.contains_key(master)));
    }
    for link in observed.links.iter().filter(|link| link.is_ours() && link.kind != ObservedKind::Tunnel) {
        assert!(desired.links.iter().any(|wanted| wanted.name == link.name), "{} is left", link.name);
    }
    for address in &desired.addresses {
        let there = observed.addresses.iter().any(|a| a.link == address.link && a.prefix == address.prefix);
        let blocked = !links.contains_key(&address.link) || absent.contains(&address.link);
        assert!(there || blocked, "{address:?}");
    }
    for found in observed.addresses.iter().filter(|found| found.origin == AddressOrigin::Ours) {
        assert!(desired.addresses.iter().any(|a| a.link == found.link && a.prefix == found.prefix));
    }
    for route in &observed.routes {
        assert!(desired.routes.iter().any(|wanted| key(wanted) == key(route)), "{route:?} is left");
    }
    assert!(observed.walls_in_place);
}

proptest! {
    #[test]
    fn what_is_desired_comes_about_and_then_stays(
        first in some_desired(),
        second in some_desired(),
        is_initial in any::<bool>(),
        tunnels in 0..3usize,
    ) {
        let mut model = Model(bare(is_initial, tunnels));
        settle(&mut model, &first);
        assert_is(&model.0, &first);
        settle(&mut model, &second);
        assert_is(&model.0, &second);
        settle(&mut model, &Desired::default());
        assert_is(&model.0, &Desired::default());
        // What was there before us is there after us.
        assert!(model.0.links.iter().any(|link| link.name == name("docker0") && link.alias.is_empty()));
        assert!(model.0.addresses.iter().any(|address| address.origin == AddressOrigin::Foreign));
        let back = model.0.initial.as_ref().unwrap_or(&model.0.links);
        for port in PORTS {
            assert!(back.iter().any(|link| link.name == name(port) && !link.is_ours()), "{port} is lost");
        }
    }
}

#[test]
fn links_that_are_not_there_are_waited_for() {
    let desired = Desired {
        links: vec![Link {
            name: name("wwan0"),
            alias: "lte".into(),
            kind: LinkKind::Port,
            mtu: 1500,
            mac: None,
            master: None,
        }],
        addresses: vec![Address { link: name("wwan0"), prefix: "192.0.2.1/24".parse().unwrap() }],
        ..Desired::default()
    };
    let mut observed = bare(false, 0);
    observed.walls_in_place = true;
    observed.links.retain(|link| link.name != IfName::loopback());
    assert_eq!(waiting(&desired, &observed), [name("wwan0")]);
    assert_eq!(plan(&desired, &observed), []);
    observed.initial.as_mut().unwrap().push(fresh(&name("wwan0"), ObservedKind::Port));
    assert_eq!(plan(&desired, &observed)[0], Change::TakePort(name("wwan0")));
}

#[test]
fn a_name_that_something_foreign_bears_is_not_taken_from_it() {
    let desired = Desired {
        links: vec![Link {
            name: name("docker0"),
            alias: "a tunnel".into(),
            kind: LinkKind::Tunnel,
            mtu: 2400,
            mac: None,
            master: None,
        }],
        ..Desired::default()
    };
    let mut observed = bare(false, 0);
    observed.walls_in_place = true;
    observed.links.iter_mut().for_each(|link| link.up = true);
    assert_eq!(plan(&desired, &observed), []);
    assert_eq!(waiting(&desired, &observed), [name("docker0")]);
}
