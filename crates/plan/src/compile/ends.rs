//! Links and outside connections: what stands at each end, so that both ends agree.

use super::names;
use super::survey::{Line, Machine, Survey};
use crate::declaration::{
    self, AskedFarEnd, LineKind, LinkBy, Pass, Peer, PeerAt, Said, Segment, TunnelBy, TunnelEnd, TunnelTerms,
    Uplink, word,
};
use crate::problem::{Problem, ProblemKind};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use tsumugi_core::id::{IfName, KeyName, Mac};
use tsumugi_core::mtu::{Ip, Way, Wrapping};
use tsumugi_core::router_plan::{Encapsulation, Engine, Keepalive, Tunnel, TunnelClamp};

/// The first UDP port of the fabric's WireGuard links.
pub const WIREGUARD_PORTS: u16 = 20_000;
/// How many WireGuard links two routers may have between them: so many ports are kept for each
/// pair.
pub const PARALLEL_WIREGUARD: u16 = 4;

/// A link between two routers, both ends decided.
pub struct Link<'a> {
    pub said: &'a Said<declaration::Link>,
    /// From the first end; the way back is the same.
    pub way: Way,
    /// In the order of `between`.
    pub ends: [End; 2],
}

/// One end of a link.
pub struct End {
    pub machine: usize,
    pub name: IfName,
    pub alias: String,
    /// `None`: an Ethernet wire.
    pub tunnel: Option<Tunnel>,
}

/// A connection to a network outside.
pub struct Connection<'a> {
    pub peer: &'a Peer,
    pub said: &'a Said<PeerAt>,
    pub way: Way,
    pub end: End,
}

impl End {
    /// The address of our inner end, where it is of our choosing.
    pub fn mac(&self) -> Option<Mac> {
        self.tunnel.as_ref().and_then(|tunnel| tunnel.mac)
    }
}

/// Which protocol of which two addresses, and the key or VNI that the file says: tunnels of the same kind
/// are told apart by it.
type Flow = (u8, IpAddr, IpAddr, Option<u32>);

/// Counts the tunnels of each flow, so that the second gets a key.
#[derive(Default)]
pub struct Flows(HashMap<Flow, u32>);

impl Flows {
    /// How many came before this one.
    fn count(&mut self, protocol: u8, a: IpAddr, b: IpAddr, number: Option<u32>) -> u32 {
        let count = self.0.entry((protocol, a.min(b), a.max(b), number)).or_default();
        *count += 1;
        *count - 1
    }
}

/// What a path to another network's router passes at the most, whatever our own line does: Ethernet's
/// bytes, since nobody says what stands between.
const STRANGERS_PATH_MTU: u16 = 1500;
const PROTOCOL_GRE: u8 = 47;
const PROTOCOL_ETHERIP: u8 = 97;
const PROTOCOL_UDP: u8 = 17;

/// Decides every link of the file.
pub fn links<'a>(survey: &mut Survey<'a>, flows: &mut Flows, problems: &mut Vec<Problem>) {
    let mut parallel: HashMap<(usize, usize), u16> = HashMap::new();
    for said in &survey.declaration.links {
        let index = survey.links.len();
        let link = match said.by.get() {
            LinkBy::Ethernet => wire(survey, said),
            by => tunnel(survey, said, *by, flows, &mut parallel),
        };
        match link {
            Ok(link) => {
                for (side, end) in link.ends.iter().enumerate() {
                    survey.machines[end.machine].links.push((index, side));
                }
                survey.links.push(link);
            }
            Err(kind) => problems.push(Problem::new(said.span(), kind)),
        }
    }
    problems.extend(survey.links.iter().filter_map(|link| {
        let name = format!("{}-{}", *link.said.between[0], *link.said.between[1]);
        Some(Problem::new(link.said.span(), refuse(&name, &link.way)?))
    }));
}

/// A full packet that would leave as three packets, or not at all.
fn refuse(link: &str, way: &Way) -> Option<ProblemKind> {
    let packets = way.packets(way.mtu).len();
    (!(1..=2).contains(&packets)).then(|| ProblemKind::TooManyPackets {
        link: link.into(),
        mtu: u16::try_from(way.mtu).unwrap_or(u16::MAX),
        packets: u32::try_from(packets).unwrap_or(u32::MAX),
        arithmetic: way.account(),
    })
}

fn wire<'a>(survey: &Survey<'a>, said: &'a Said<declaration::Link>) -> Result<Link<'a>, ProblemKind> {
    let machines = both_machines(survey, said)?;
    let ports = said.ports.as_ref().ok_or(ProblemKind::Unchecked)?;
    let mtu = survey.network().mtu().into();
    let switches = machines.map(|machine| survey.machines[machine].site.switch_mtu.as_ref());
    let path_mtu = switches.iter().flatten().map(|switch| u32::from(***switch)).min().unwrap_or(mtu);
    let end = |side: usize| {
        let far = survey.machines[machines[1 - side]].router.name.get();
        End {
            machine: machines[side],
            name: ports[side].get().clone(),
            alias: names::alias(&format!("link to {far} by ethernet")),
            tunnel: None,
        }
    };
    let way = Way { wrapping: Wrapping::Ethernet, outer: Ip::V6, path_mtu, mtu };
    Ok(Link { said, way, ends: [end(0), end(1)] })
}

fn both_machines(survey: &Survey<'_>, said: &declaration::Link) -> Result<[usize; 2], ProblemKind> {
    let of = |side: usize| survey.machine(&said.between[side]).ok_or(ProblemKind::Unchecked);
    Ok([of(0)?, of(1)?])
}

fn tunnel<'a>(
    survey: &mut Survey<'a>,
    said: &'a Said<declaration::Link>,
    by: LinkBy,
    flows: &mut Flows,
    parallel: &mut HashMap<(usize, usize), u16>,
) -> Result<Link<'a>, ProblemKind> {
    let machines = both_machines(survey, said)?;
    let over = said.over.as_ref().ok_or(ProblemKind::Unchecked)?;
    let uplinks = {
        let of = |side: usize| survey.machines[machines[side]].router.uplink(&over[side]);
        [of(0).ok_or(ProblemKind::Unchecked)?, of(1).ok_or(ProblemKind::Unchecked)?]
    };
    let outer = meet(uplinks[0], uplinks[1], by).ok_or(ProblemKind::Unchecked)?;
    let path_mtu = uplinks[0].path_mtu().min(uplinks[1].path_mtu());
    let mtu = survey.network().mtu();
    let locals = uplinks.map(|uplink| stated(uplink, outer));
    let remotes = [1, 0].map(|far: usize| known(uplinks[far], outer));

    let prefix = match by {
        LinkBy::Ethernet => return Err(ProblemKind::Unchecked),
        LinkBy::Gre => "gre",
        LinkBy::EtherIp => "eip",
        LinkBy::WireGuard => "wg",
    };
    let router_names = machines.map(|machine| survey.machines[machine].router.name.get().as_str());
    let ids = machines.map(|machine| survey.machines[machine].id);
    let if_names = [0, 1].map(|side: usize| {
        survey.machines[machines[side]].names.find(&format!("{prefix}-{}", router_names[1 - side]))
    });

    let mut told_apart = TellApart { machines, ids, router_names, if_names: &if_names, flows, parallel };
    let encapsulations = told_apart.encapsulations(by, locals)?;
    let wrapping = Wrapping::from(&encapsulations[0]);
    let way = Way { wrapping, outer, path_mtu: path_mtu.into(), mtu: mtu.into() };
    let macs = [0, 1].map(|side: usize| {
        (by == LinkBy::EtherIp)
            .then(|| names::mac(&survey.network().name, router_names[side], &if_names[side]))
    });
    let ends = [0, 1].map(|side: usize| {
        let machine = &survey.machines[machines[side]];
        let line = machine.line(&over[side]);
        let alias = names::alias(&format!(
            "link to {} by {} over {}",
            router_names[1 - side],
            link_word(by),
            *over[side]
        ));
        let stated_engine = said.engine.as_ref().map_or(machine.router.engine(), |engine| **engine);
        End {
            machine: machines[side],
            name: if_names[side].clone(),
            alias: alias.clone(),
            tunnel: Some(Tunnel {
                name: if_names[side].clone(),
                alias,
                encapsulation: encapsulations[side].clone(),
                engine: engine(stated_engine, &way),
                mtu,
                uplink: line
                    .map_or_else(|| uplinks[side].port.get().clone(), |line: &Line<'_>| line.link.clone()),
                local: locals[side],
                remote: remotes[side],
                outer_ipv6: outer == Ip::V6,
                path_mtu,
                mac: macs[side],
                clamp: TunnelClamp::Auto,
                accept_reversed: false,
                keepalive: if said.is_kept_alive() {
                    Keepalive::Signals {
                        local: machine.link_local,
                        remote: survey.machines[machines[1 - side]].link_local,
                        remote_mac: macs[1 - side],
                    }
                } else {
                    Keepalive::Off
                },
            }),
        }
    });
    Ok(Link { said, way, ends })
}

/// What tells the tunnels of two routers apart: keys of GRE, ports and keys of WireGuard.
struct TellApart<'t> {
    machines: [usize; 2],
    ids: [u16; 2],
    router_names: [&'t str; 2],
    if_names: &'t [IfName; 2],
    flows: &'t mut Flows,
    /// How many WireGuard links two routers have so far.
    parallel: &'t mut HashMap<(usize, usize), u16>,
}

impl TellApart<'_> {
    /// Both ends' encapsulation.
    fn encapsulations(
        &mut self,
        by: LinkBy,
        locals: [Option<IpAddr>; 2],
    ) -> Result<[Encapsulation; 2], ProblemKind> {
        Ok(match by {
            LinkBy::Gre => {
                let [Some(a), Some(b)] = locals else { return Err(ProblemKind::Unchecked) };
                let before = self.flows.count(PROTOCOL_GRE, a, b, None);
                let key = (before > 0).then_some(before + 1);
                [Encapsulation::Gre { key }, Encapsulation::Gre { key }]
            }
            LinkBy::EtherIp | LinkBy::Ethernet => {
                let [Some(a), Some(b)] = locals else { return Err(ProblemKind::Unchecked) };
                if self.flows.count(PROTOCOL_ETHERIP, a, b, None) > 0 {
                    return Err(ProblemKind::TunnelTwice);
                }
                [Encapsulation::EtherIp, Encapsulation::EtherIp]
            }
            LinkBy::WireGuard => {
                let pair = (self.machines[0].min(self.machines[1]), self.machines[0].max(self.machines[1]));
                let count = self.parallel.entry(pair).or_default();
                if *count == PARALLEL_WIREGUARD {
                    return Err(ProblemKind::TunnelTwice);
                }
                let ports =
                    [1, 0].map(|far: usize| WIREGUARD_PORTS + PARALLEL_WIREGUARD * self.ids[far] + *count);
                *count += 1;
                let keys = [0, 1].map(|side: usize| link_key(self.router_names[side], &self.if_names[side]));
                [0, 1].map(|side: usize| Encapsulation::WireGuard {
                    local_key: keys[side].clone(),
                    remote_key: keys[1 - side].clone(),
                    local_port: ports[side],
                    remote_port: ports[1 - side],
                })
            }
        })
    }
}

/// As the file spells it.
pub fn link_word(by: LinkBy) -> &'static str {
    match by {
        LinkBy::Ethernet => "ethernet",
        LinkBy::Gre => "gre",
        LinkBy::EtherIp => "etherip",
        LinkBy::WireGuard => "wireguard",
    }
}

/// The name of a router's key for one of its WireGuard links.
fn link_key(router: &str, interface: &IfName) -> KeyName {
    KeyName(format!("link.{router}.{interface}"))
}

/// The family over which two lines meet for this kind of link, IPv6 first: it has no address
/// translation. `None`: they do not.
pub fn meet(a: &Uplink, b: &Uplink, by: LinkBy) -> Option<Ip> {
    if a.network() != b.network() {
        return None;
    }
    let has = |uplink: &Uplink, ip: Ip| if ip == Ip::V6 { uplink.has_v6() } else { uplink.has_v4() };
    let callable = |uplink: &Uplink, ip: Ip| uplink.passes(Pass::Incoming) && stated(uplink, ip).is_some();
    [Ip::V6, Ip::V4].into_iter().find(|ip| {
        has(a, *ip)
            && has(b, *ip)
            && match by {
                LinkBy::WireGuard => callable(a, *ip) || callable(b, *ip),
                LinkBy::Gre | LinkBy::EtherIp => stated(a, *ip).is_some() && stated(b, *ip).is_some(),
                LinkBy::Ethernet => false,
            }
    })
}

/// The line's stated address of this family.
pub fn stated(uplink: &Uplink, ip: Ip) -> Option<IpAddr> {
    match ip {
        Ip::V4 => uplink.address_v4().map(IpAddr::V4),
        Ip::V6 => uplink.address_v6().map(IpAddr::V6),
    }
}

/// The address under which the other side of the world sees the line: the stated one, unless
/// somebody translates it on the way.
pub fn known(uplink: &Uplink, ip: Ip) -> Option<IpAddr> {
    let translated = matches!(*uplink.kind, LineKind::Lte | LineKind::DsLite | LineKind::MapE);
    stated(uplink, ip).filter(|address| !translated && !is_private(*address))
}

fn is_private(address: IpAddr) -> bool {
    match address {
        // RFC 1918 and RFC 6598.
        IpAddr::V4(v4) => v4.is_private() || (v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64),
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

/// What the kernel cannot do is ours whatever it has; for the rest `auto` asks it.
fn engine(stated: Engine, way: &Way) -> Engine {
    match way.wrapping {
        // Linux has no device of EtherIP; what fits may take the datapath's shortcut through it all the same.
        Wrapping::EtherIp { .. } if stated == Engine::Auto => Engine::Auto,
        // We do not drive its GENEVE.
        Wrapping::EtherIp { .. } | Wrapping::Geneve { .. } => Engine::Userspace,
        // The kernel's ip6gre cannot send what has to be cut outside.
        Wrapping::Gre { .. } | Wrapping::Gretap { .. } if way.outer == Ip::V6 && way.needs_clamp() => {
            Engine::Userspace
        }
        _ => stated,
    }
}

/// Decides every connection to the outside.
pub fn connections<'a>(survey: &mut Survey<'a>, flows: &mut Flows, problems: &mut Vec<Problem>) {
    for peer in &survey.declaration.peers {
        for said in &peer.at {
            match connection(survey, peer, said, flows) {
                Ok(connection) => {
                    let index = survey.connections.len();
                    survey.machines[connection.end.machine].connections.push(index);
                    survey.connections.push(connection);
                }
                Err(kind) => problems.push(Problem::new(said.span(), kind)),
            }
        }
    }
    for connection in &survey.connections {
        if let Some(kind) = refuse(&connection.peer.name, &connection.way) {
            problems.push(Problem::new(connection.said.span(), kind));
        }
    }
}

fn connection<'a>(
    survey: &mut Survey<'a>,
    peer: &'a Peer,
    said: &'a Said<PeerAt>,
    flows: &mut Flows,
) -> Result<Connection<'a>, ProblemKind> {
    let index = survey.machine(&said.router).ok_or(ProblemKind::Unchecked)?;
    let network = survey.network().name.get();
    let machine = &mut survey.machines[index];
    let mtu = said.mtu();
    let alias = |by: &str| names::alias(&format!("{} AS{} by {by}", *peer.name, peer.asn.0));
    let Some(by) = said.by.tunnel() else {
        let port = said.port.as_ref().ok_or(ProblemKind::Unchecked)?.get().clone();
        let way = Way { wrapping: Wrapping::Ethernet, outer: Ip::V6, path_mtu: mtu.into(), mtu: mtu.into() };
        let end = End { machine: index, name: port, alias: alias("ethernet"), tunnel: None };
        return Ok(Connection { peer, said, way, end });
    };
    let over = said.over.as_ref().ok_or(ProblemKind::Unchecked)?;
    let remote = *said.remote.as_ref().ok_or(ProblemKind::Unchecked)?.get();
    let name = machine.names.find(&format!("{}-{}", prefix(by), *peer.name));
    let alias = alias(&format!("{} over {}", word(by), **over));
    let keepalive = asked(said);
    let stranger = Stranger { over, remote, by, terms: &said.terms, mtu, name, alias, keepalive };
    let (tunnel, way) = to_stranger(network, machine, stranger, flows)?;
    let (name, alias) = (tunnel.name.clone(), tunnel.alias.clone());
    Ok(Connection { peer, said, way, end: End { machine: index, name, alias, tunnel: Some(tunnel) } })
}

/// Who at a connection's far end is asked: the host that the file says, or the first of its neighbours, by our
/// address beside it.
fn asked(said: &PeerAt) -> Keepalive {
    let ours = |address: IpAddr| said.addresses.iter().find(|prefix| prefix.contains(&address));
    let with_source = |address: IpAddr| Some((address, ours(address)?.addr()));
    let found = match said.keepalive.as_deref() {
        Some(AskedFarEnd::Nobody) => return Keepalive::Off,
        Some(AskedFarEnd::Host(address)) => with_source(*address),
        None => said.neighbours.iter().find_map(|address| with_source(**address)),
    };
    found.map_or(Keepalive::Nobody, |(address, source)| Keepalive::Neighbour { address, source })
}

/// What the names of such tunnels begin with.
fn prefix(by: TunnelBy) -> &'static str {
    match by {
        TunnelBy::EtherIp => "eip",
        TunnelBy::Gretap => "gtap",
        TunnelBy::Geneve => "gnv",
    }
}

/// Our end of a tunnel whose far end's LAN is a part of a segment.
pub fn segment_end(
    survey: &mut Survey<'_>,
    machine: usize,
    segment: &Segment,
    said: &Said<TunnelEnd>,
    flows: &mut Flows,
) -> Result<Tunnel, ProblemKind> {
    let network = survey.network().name.get();
    let machine = &mut survey.machines[machine];
    let name = machine.names.find(&format!("{}-{}", prefix(said.by), *segment.name));
    let keepalive = match said.keepalive.as_deref() {
        None => Keepalive::Nobody,
        Some(AskedFarEnd::Nobody) => Keepalive::Off,
        Some(&AskedFarEnd::Host(address)) => {
            // We have no address in the LAN: ARP asks without one (RFC 5227 2.1.1), a solicitation
            // from a link-local one of our Ethernet address.
            let mac = names::mac(network, &machine.router.name, &name);
            let source =
                if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { names::link_local(mac).into() };
            Keepalive::Neighbour { address, source }
        }
    };
    let stranger = Stranger {
        over: &said.over,
        remote: *said.remote.get(),
        by: said.by,
        terms: &said.terms,
        mtu: super::segments::MTU,
        name,
        alias: names::alias(&format!(
            "port of segment {} by {} over {}",
            *segment.name,
            word(said.by),
            *said.over
        )),
        keepalive,
    };
    let (tunnel, way) = to_stranger(network, machine, stranger, flows)?;
    refuse(&segment.name, &way).map_or(Ok(tunnel), Err)
}

/// A far end that is no router of the file.
struct Stranger<'a> {
    /// The line's name.
    over: &'a str,
    remote: IpAddr,
    by: TunnelBy,
    terms: &'a TunnelTerms,
    mtu: u16,
    name: IfName,
    alias: String,
    keepalive: Keepalive,
}

/// Our end of a tunnel to a far end that is no router of the file, and the way that its packets take.
fn to_stranger(
    network: &str,
    machine: &Machine<'_>,
    stranger: Stranger<'_>,
    flows: &mut Flows,
) -> Result<(Tunnel, Way), ProblemKind> {
    let Stranger { over, remote, by, terms, mtu, name, alias, keepalive } = stranger;
    let outer = Ip::of_ipv6(remote.is_ipv6());
    let line = machine.line(over).ok_or(ProblemKind::Unchecked)?;
    let local = stated(line.uplink, outer).ok_or(ProblemKind::Unchecked)?;
    let (protocol, encapsulation) = match by {
        TunnelBy::EtherIp => (PROTOCOL_ETHERIP, Encapsulation::EtherIp),
        TunnelBy::Gretap => (PROTOCOL_GRE, Encapsulation::Gretap { key: terms.number(by) }),
        TunnelBy::Geneve => {
            let vni = **terms.vni.as_ref().ok_or(ProblemKind::Unchecked)?;
            (PROTOCOL_UDP, Encapsulation::Geneve { vni })
        }
    };
    // They have nothing else: two such tunnels could not be told apart.
    if flows.count(protocol, local, remote, terms.number(by)) > 0 {
        return Err(ProblemKind::TunnelTwice);
    }
    let path_mtu = line.uplink.path_mtu().min(STRANGERS_PATH_MTU);
    let wrapping = Wrapping::from(&encapsulation);
    let way = Way { wrapping, outer, path_mtu: path_mtu.into(), mtu: mtu.into() };
    let tunnel = Tunnel {
        alias,
        encapsulation,
        engine: engine(machine.router.engine(), &way),
        mtu,
        uplink: line.link.clone(),
        local: Some(local),
        remote: Some(remote),
        outer_ipv6: outer == Ip::V6,
        path_mtu,
        mac: Some(names::mac(network, &machine.router.name, &name)),
        name,
        clamp: terms.clamp(),
        accept_reversed: terms.accepts_reversed(),
        keepalive,
    };
    Ok((tunnel, way))
}
