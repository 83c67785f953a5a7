//! The harness: speakers, cables between them, a TCP that is only order and delay, and a clock that
//! jumps from one event to the next.

use super::stranger::Stranger;
use crate::bgp::config::{
    Family, NeighbourConfig, Origination, OutsidePolicy, PrefixRange, Relation, Role, SpeakerConfig, Terms,
    Timers, Transport,
};
use crate::bgp::{
    Action, ConnectionId, Event, EvpnPath, EvpnUpdate, Forwarding, NeighbourId, Notice, SessionState,
    Speaker, SpeakerRoute, SpeakerStatus,
};
use crate::id::{Asn, IfName, Prefix};
use crate::time::{Duration, Instant};
use crate::wire::bgp::EvpnRoute;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub const PUBLIC: Asn = Asn(63806);
/// Where packets end up that go round and round.
pub const LOOP: usize = usize::MAX;
const LATENCY: Duration = Duration::from_millis(5);

pub fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn link_local(id: u32) -> Ipv6Addr {
    format!("fe80::{id}").parse().unwrap()
}

/// The loopbacks of router `id`: inside the AS's prefixes, as in the example.
pub fn loopbacks(id: u32) -> [Prefix; 2] {
    [prefix(&format!("43.228.174.{}/32", 128 + id)), prefix(&format!("2402:3160:ffff::{id}/128"))]
}

pub fn own_prefixes() -> Vec<Prefix> {
    ["43.228.174.0/24", "2402:3160::/32"].map(prefix).to_vec()
}

/// Prefixes with what is within them, as the compiler lists a customer's.
pub fn listed(prefixes: &[&str]) -> Option<Vec<PrefixRange>> {
    let up_to = |prefix: Prefix| PrefixRange::up_to(prefix, if prefix.addr().is_ipv4() { 24 } else { 48 });
    Some(prefixes.iter().map(|text| up_to(prefix(text))).collect())
}

pub fn router_config(id: u32, inside: &[u32]) -> SpeakerConfig {
    let originate =
        loopbacks(id).map(|prefix| Origination { prefix, while_reaching: Vec::new(), discard: false });
    SpeakerConfig {
        router_id: Ipv4Addr::new(43, 228, 174, 128 + id as u8),
        asn: Asn::of_router(id),
        public_asn: PUBLIC,
        inside_asns: inside.iter().map(|&id| Asn::of_router(id)).collect(),
        source_v4: Some(Ipv4Addr::new(43, 228, 174, 128 + id as u8)),
        source_v6: Some(format!("2402:3160:ffff::{id}").parse().unwrap()),
        originate: originate.to_vec(),
        neighbours: Vec::new(),
        bogons: ["10.0.0.0/8", "192.168.0.0/16", "203.0.113.0/24", "2001:db8::/32", "fc00::/7"]
            .map(prefix)
            .to_vec(),
        own_prefixes: own_prefixes(),
        max_paths: 8,
        draining: false,
    }
}

pub struct Cable {
    pub ends: [usize; 2],
    pub names: [IfName; 2],
    /// Carrier.
    pub up: bool,
    /// Everything is lost without a word.
    pub silent: bool,
    pub latency: Duration,
}

struct Tcp {
    cable: usize,
    /// The id at each end of the cable, once there is one.
    ids: [Option<ConnectionId>; 2],
}

enum NetEvent {
    /// Arrives at the side that was called.
    Syn {
        tcp: usize,
        side: usize,
        from: IpAddr,
    },
    Connected {
        tcp: usize,
        side: usize,
    },
    Refused {
        tcp: usize,
        side: usize,
    },
    Data {
        tcp: usize,
        side: usize,
        bytes: Vec<u8>,
    },
    Fin {
        tcp: usize,
        side: usize,
    },
}

pub enum Machine {
    Router(Box<Router>),
    Stranger(Box<Stranger>),
}

pub struct Router {
    pub config: SpeakerConfig,
    /// `None`: switched off.
    pub speaker: Option<Speaker>,
    pub kernel: BTreeMap<Prefix, SpeakerRoute>,
    /// What its segments have heard.
    pub segments: BTreeMap<EvpnRoute, EvpnPath>,
    /// What its own segments say: said again when it comes back.
    pub originated: BTreeMap<EvpnRoute, EvpnPath>,
    /// What its process is told of forwarding that outlives it, when it begins.
    pub forwarding: Option<Forwarding>,
    /// The most bytes that one delivery of updates came to.
    pub largest_batch: usize,
    pub notices: Vec<Notice>,
    /// The socket takes nothing: nobody reads at the far end.
    pub stuck: BTreeSet<NeighbourId>,
    updates_ready: BTreeMap<NeighbourId, ConnectionId>,
    routes_ready: bool,
    evpn_ready: bool,
    validation_ready: bool,
    table_ready: bool,
}

use alloc::boxed::Box;

pub struct Net {
    pub now: Instant,
    pub machines: Vec<Machine>,
    pub cables: Vec<Cable>,
    tcps: Vec<Tcp>,
    queue: BTreeMap<(Instant, u64), NetEvent>,
    sequence: u64,
    accepted: u64,
    pub messages: usize,
    /// A test says when a piece is cleared out of a table; else all is at once.
    pub clears_by_hand: bool,
}

impl Net {
    /// Routers with these ids: machine `n` is router `ids[n]`.
    pub fn routers(ids: &[u32]) -> Net {
        let router = |&id: &u32| {
            Machine::Router(Box::new(Router {
                config: router_config(id, ids),
                speaker: None,
                kernel: BTreeMap::new(),
                segments: BTreeMap::new(),
                originated: BTreeMap::new(),
                forwarding: None,
                largest_batch: 0,
                notices: Vec::new(),
                stuck: BTreeSet::new(),
                updates_ready: BTreeMap::new(),
                routes_ready: false,
                evpn_ready: false,
                validation_ready: false,
                table_ready: false,
            }))
        };
        Net {
            now: Instant(1_000_000_000),
            machines: ids.iter().map(router).collect(),
            cables: Vec::new(),
            tcps: Vec::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            accepted: 0,
            messages: 0,
            clears_by_hand: false,
        }
    }

    pub fn router(&self, node: usize) -> &Router {
        match &self.machines[node] {
            Machine::Router(router) => router,
            Machine::Stranger(_) => panic!("machine {node} is a stranger"),
        }
    }

    pub fn router_mut(&mut self, node: usize) -> &mut Router {
        match &mut self.machines[node] {
            Machine::Router(router) => router,
            Machine::Stranger(_) => panic!("machine {node} is a stranger"),
        }
    }

    pub fn stranger(&self, node: usize) -> &Stranger {
        match &self.machines[node] {
            Machine::Stranger(stranger) => stranger,
            Machine::Router(_) => panic!("machine {node} is a router"),
        }
    }

    /// The sessions' ends of one network outside.
    pub fn strangers_mut(&mut self, asn: Asn) -> impl Iterator<Item = &mut Stranger> {
        self.machines.iter_mut().filter_map(move |machine| match machine {
            Machine::Stranger(stranger) if stranger.asn == asn => Some(&mut **stranger),
            _ => None,
        })
    }

    fn id(&self, node: usize) -> u32 {
        self.router(node).config.asn.0 - 4_200_000_000
    }

    /// An inside link; returns the cable.
    pub fn link(&mut self, a: usize, b: usize, prepends: u8) -> usize {
        let cable = self.cables.len();
        let names = [a, b].map(|node| IfName::new(&format!("l{cable}-{node}")).unwrap());
        for (node, far, name) in [(a, b, &names[0]), (b, a, &names[1])] {
            let (own, other) = (self.id(node), self.id(far));
            let neighbour = NeighbourConfig {
                name: format!("r{other} by {name}"),
                transport: Transport::Unnumbered {
                    link: name.clone(),
                    local: link_local(own),
                    remote: Some(link_local(other)),
                },
                local_asn: Asn::of_router(own),
                remote_asn: Asn::of_router(other),
                relation: Relation::Inside { prepends },
                families: vec![Family::Ipv4Unicast, Family::Ipv6Unicast, Family::Evpn],
                timers: Timers::INSIDE,
                terms: Terms::default(),
            };
            self.router_mut(node).config.neighbours.push(neighbour);
        }
        self.cables.push(Cable { ends: [a, b], names, up: true, silent: false, latency: LATENCY });
        cable
    }

    /// An outside connection with one session per family to a scripted stranger each; returns the
    /// machines of the two (IPv4, IPv6).
    pub fn outside(&mut self, node: usize, asn: Asn, role: Role) -> [usize; 2] {
        let n = self.machines.len();
        let policy = OutsidePolicy::of(role);
        let [v4, v6] = [
            (format!("203.0.113.{}", n * 4 + 2), format!("203.0.113.{}", n * 4 + 1), Family::Ipv4Unicast),
            (format!("2001:db8:900:{n}::2"), format!("2001:db8:900:{n}::1"), Family::Ipv6Unicast),
        ]
        .map(|(local, remote, family)| {
            let (local, remote): (IpAddr, IpAddr) = (local.parse().unwrap(), remote.parse().unwrap());
            let cable = self.cables.len();
            let far = self.machines.len();
            let names = [node, far].map(|node| IfName::new(&format!("o{cable}-{node}")).unwrap());
            self.machines.push(Machine::Stranger(Box::new(Stranger::new(asn, remote))));
            self.router_mut(node).config.neighbours.push(NeighbourConfig {
                name: format!("as{} {local}", asn.0),
                transport: Transport::Numbered {
                    link: names[0].clone(),
                    local,
                    remote,
                    network: Prefix::new(local, if local.is_ipv4() { 30 } else { 64 }).unwrap().trunc(),
                },
                local_asn: PUBLIC,
                remote_asn: asn,
                relation: Relation::Outside(policy.clone()),
                families: vec![family],
                timers: Timers::OUTSIDE,
                terms: Terms::default(),
            });
            self.cables.push(Cable { ends: [node, far], names, up: true, silent: false, latency: LATENCY });
            far
        });
        [v4, v6]
    }

    pub fn policy_mut(&mut self, node: usize, name: &str) -> &mut OutsidePolicy {
        let neighbours = self.router_mut(node).config.neighbours.iter_mut();
        let found = neighbours.filter(|it| it.name.contains(name)).find_map(|it| match &mut it.relation {
            Relation::Outside(policy) => Some(policy),
            Relation::Inside { .. } => None,
        });
        found.unwrap()
    }

    pub fn start(&mut self) {
        for node in 0..self.machines.len() {
            if matches!(self.machines[node], Machine::Router(_)) {
                self.power_on(node);
            }
        }
    }

    pub fn power_on(&mut self, node: usize) {
        let router = self.router_mut(node);
        router.speaker = Some(Speaker::new(router.config.clone()));
        for cable in self.cables_of(node) {
            if self.cables[cable].up {
                let name = self.name(node, cable);
                self.event(node, Event::LinkUp(name));
            }
        }
        if let Some(forwarding) = self.router(node).forwarding.clone() {
            self.event(node, Event::Forwarding(forwarding));
        }
        self.event(node, Event::Start);
        for (route, path) in self.router(node).originated.clone() {
            self.event(node, Event::Evpn(EvpnUpdate { route, path: Some(path) }));
        }
    }

    /// A segment of the router says something.
    pub fn originate(&mut self, node: usize, route: EvpnRoute, path: Option<EvpnPath>) {
        let originated = &mut self.router_mut(node).originated;
        match &path {
            Some(path) => drop(originated.insert(route.clone(), path.clone())),
            None => drop(originated.remove(&route)),
        }
        self.event(node, Event::Evpn(EvpnUpdate { route, path }));
    }

    /// The process is killed, and its kernel forgets its routes.
    pub fn kill(&mut self, node: usize) {
        self.crash(node);
        let router = self.router_mut(node);
        router.kernel.clear();
        router.segments.clear();
    }

    /// The process is killed: its kernel resets every connection, and forwards on.
    pub fn crash(&mut self, node: usize) {
        let router = self.router_mut(node);
        router.speaker = None;
        router.updates_ready.clear();
        router.routes_ready = false;
        router.evpn_ready = false;
        router.validation_ready = false;
        for tcp in 0..self.tcps.len() {
            let cable = &self.cables[self.tcps[tcp].cable];
            let Some(side) = (0..2).find(|&side| cable.ends[side] == node) else { continue };
            if self.tcps[tcp].ids[side].take().is_some() {
                self.send(tcp, side, |tcp, side| NetEvent::Fin { tcp, side });
            }
        }
    }

    pub fn cables_of(&self, node: usize) -> Vec<usize> {
        (0..self.cables.len()).filter(|&cable| self.cables[cable].ends.contains(&node)).collect()
    }

    fn name(&self, node: usize, cable: usize) -> IfName {
        let cable = &self.cables[cable];
        cable.names[usize::from(cable.ends[0] != node)].clone()
    }

    pub fn set_carrier(&mut self, cable: usize, up: bool) {
        self.cables[cable].up = up;
        for node in self.cables[cable].ends {
            let name = self.name(node, cable);
            if matches!(&self.machines[node], Machine::Router(router) if router.speaker.is_some()) {
                self.event(node, if up { Event::LinkUp(name) } else { Event::LinkDown(name) });
            }
        }
    }

    /// Every TCP connection over the cable is reset at both ends.
    pub fn reset_connections(&mut self, cable: usize) {
        for tcp in 0..self.tcps.len() {
            if self.tcps[tcp].cable == cable {
                for side in 0..2 {
                    self.deliver(NetEvent::Fin { tcp, side });
                }
            }
        }
    }

    /// A stranger's process is gone: its kernel ends its connections.
    pub fn restart(&mut self, stranger: usize) {
        for cable in self.cables_of(stranger) {
            self.reset_connections(cable);
        }
    }

    /// Bytes that nobody sent arrive on every connection of the cable.
    pub fn inject(&mut self, cable: usize, bytes: &[u8]) {
        for tcp in 0..self.tcps.len() {
            if self.tcps[tcp].cable == cable {
                for side in 0..2 {
                    self.deliver(NetEvent::Data { tcp, side, bytes: bytes.to_vec() });
                }
            }
        }
    }

    pub fn event(&mut self, node: usize, event: Event<'_>) {
        let now = self.now;
        let Some(speaker) = self.router_mut(node).speaker.as_mut() else { return };
        let mut actions = Vec::new();
        speaker.step(now, event, &mut actions);
        self.carry_out(node, actions);
    }

    pub fn carry_out(&mut self, node: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Connect { connection, link, local, remote, .. } => {
                    self.connect(node, connection, &link, local, remote);
                }
                Action::Send { connection, bytes } => self.send_bytes(node, connection, bytes),
                Action::Close { connection } => self.close(node, connection),
                Action::UpdatesReady { neighbour, connection } => {
                    self.router_mut(node).updates_ready.insert(neighbour, connection);
                }
                Action::EvpnReady => self.router_mut(node).evpn_ready = true,
                Action::RoutesReady => self.router_mut(node).routes_ready = true,
                Action::ValidationReady => self.router_mut(node).validation_ready = true,
                Action::TableReady => self.router_mut(node).table_ready = true,
                Action::Log(notice) => self.router_mut(node).notices.push(notice),
            }
        }
        while core::mem::take(&mut self.router_mut(node).validation_ready) {
            let Some(speaker) = self.router_mut(node).speaker.as_mut() else { return };
            let mut actions = Vec::new();
            let more = speaker.poll_validation(2, &mut actions);
            self.carry_out(node, actions);
            self.router_mut(node).validation_ready |= more;
        }
        if !self.clears_by_hand {
            while self.clear(node, 2) {}
        }
        self.poll(node);
    }

    /// Clears a piece out of a router's table; true if there is more.
    pub fn clear(&mut self, node: usize, budget: usize) -> bool {
        if !core::mem::take(&mut self.router_mut(node).table_ready) {
            return false;
        }
        let Some(speaker) = self.router_mut(node).speaker.as_mut() else { return false };
        let mut actions = Vec::new();
        let ready = speaker.poll_table(budget, &mut actions);
        self.router_mut(node).table_ready = ready;
        let mut more = Vec::new();
        for action in actions {
            match action {
                Action::UpdatesReady { neighbour, connection } => {
                    self.router_mut(node).updates_ready.insert(neighbour, connection);
                }
                Action::RoutesReady => self.router_mut(node).routes_ready = true,
                Action::EvpnReady => self.router_mut(node).evpn_ready = true,
                action => more.push(action),
            }
        }
        if !more.is_empty() || self.clears_by_hand {
            self.carry_out(node, more);
        }
        self.router(node).table_ready
    }

    fn poll(&mut self, node: usize) {
        let router = self.router_mut(node);
        let Some(speaker) = router.speaker.as_mut() else { return };
        if core::mem::take(&mut router.routes_ready) {
            let mut changes = Vec::new();
            while speaker.poll_routes(3, &mut changes) {}
            for change in changes {
                match change.route {
                    Some(route) => drop(router.kernel.insert(change.prefix, route)),
                    None => drop(router.kernel.remove(&change.prefix)),
                }
            }
        }
        if core::mem::take(&mut router.evpn_ready) {
            let mut updates = Vec::new();
            while speaker.poll_evpn(3, &mut updates) {}
            for update in updates {
                match update.path {
                    Some(path) => drop(router.segments.insert(update.route, path)),
                    None => assert!(router.segments.remove(&update.route).is_some(), "{}", update.route),
                }
            }
        }
        let mut batches = Vec::new();
        for (neighbour, connection) in core::mem::take(&mut router.updates_ready) {
            if router.stuck.contains(&neighbour) {
                router.updates_ready.insert(neighbour, connection);
                continue;
            }
            loop {
                let mut bytes = Vec::new();
                let more = speaker.poll_updates(neighbour, 600, &mut bytes);
                router.largest_batch = router.largest_batch.max(bytes.len());
                batches.push((connection, bytes));
                if !more {
                    break;
                }
            }
        }
        for (connection, bytes) in batches {
            self.send_bytes(node, connection, bytes);
        }
    }

    fn connect(&mut self, node: usize, id: ConnectionId, link: &IfName, local: IpAddr, _remote: IpAddr) {
        let cable = self.cables_of(node).into_iter().find(|&cable| self.name(node, cable) == *link).unwrap();
        let side = usize::from(self.cables[cable].ends[0] != node);
        let mut ids = [None; 2];
        ids[side] = Some(id);
        self.tcps.push(Tcp { cable, ids });
        let tcp = self.tcps.len() - 1;
        self.send(tcp, side, |tcp, side| NetEvent::Syn { tcp, side, from: local });
    }

    fn tcp_of(&self, node: usize, id: ConnectionId) -> Option<(usize, usize)> {
        let side = |tcp: &Tcp| {
            (0..2).find(|&side| self.cables[tcp.cable].ends[side] == node && tcp.ids[side] == Some(id))
        };
        self.tcps.iter().enumerate().find_map(|(at, tcp)| side(tcp).map(|side| (at, side)))
    }

    fn send_bytes(&mut self, node: usize, id: ConnectionId, bytes: Vec<u8>) {
        let Some((tcp, side)) = self.tcp_of(node, id).filter(|_| !bytes.is_empty()) else { return };
        self.messages += 1;
        self.send(tcp, side, |tcp, side| NetEvent::Data { tcp, side, bytes });
    }

    fn close(&mut self, node: usize, id: ConnectionId) {
        let Some((tcp, side)) = self.tcp_of(node, id) else { return };
        self.tcps[tcp].ids[side] = None;
        self.send(tcp, side, |tcp, side| NetEvent::Fin { tcp, side });
    }

    /// Something leaves for the other end.
    fn send(&mut self, tcp: usize, from_side: usize, event: impl FnOnce(usize, usize) -> NetEvent) {
        let cable = &self.cables[self.tcps[tcp].cable];
        self.sequence += 1;
        self.queue.insert((self.now + cable.latency, self.sequence), event(tcp, 1 - from_side));
    }

    fn lost(&self, tcp: usize) -> bool {
        let cable = &self.cables[self.tcps[tcp].cable];
        cable.silent || !cable.up
    }

    fn deliver(&mut self, event: NetEvent) {
        match event {
            NetEvent::Syn { tcp, side, from } => self.called(tcp, side, from),
            NetEvent::Connected { tcp, side } => {
                let node = self.cables[self.tcps[tcp].cable].ends[side];
                if let Some(id) = self.tcps[tcp].ids[side] {
                    self.event(node, Event::Connected(id));
                }
            }
            NetEvent::Refused { tcp, side } => {
                let node = self.cables[self.tcps[tcp].cable].ends[side];
                if let Some(id) = self.tcps[tcp].ids[side].take() {
                    self.event(node, Event::ConnectFailed(id));
                }
            }
            NetEvent::Data { tcp, side, bytes } => {
                let node = self.cables[self.tcps[tcp].cable].ends[side];
                let Some(id) = self.tcps[tcp].ids[side] else { return };
                match &mut self.machines[node] {
                    // Cut in two, so that messages come in pieces.
                    Machine::Router(_) => {
                        let (a, b) = bytes.split_at(bytes.len() / 3);
                        self.event(node, Event::Received { connection: id, bytes: a });
                        self.event(node, Event::Received { connection: id, bytes: b });
                    }
                    Machine::Stranger(stranger) => {
                        let answer = stranger.received(&bytes);
                        if !answer.is_empty() {
                            self.send(tcp, side, |tcp, side| NetEvent::Data { tcp, side, bytes: answer });
                        }
                    }
                }
            }
            NetEvent::Fin { tcp, side } => {
                let node = self.cables[self.tcps[tcp].cable].ends[side];
                let Some(id) = self.tcps[tcp].ids[side].take() else { return };
                match &mut self.machines[node] {
                    Machine::Router(_) => self.event(node, Event::Closed(id)),
                    Machine::Stranger(stranger) => stranger.closed(),
                }
            }
        }
    }

    fn called(&mut self, tcp: usize, side: usize, from: IpAddr) {
        let cable = self.tcps[tcp].cable;
        let node = self.cables[cable].ends[side];
        let name = self.name(node, cable);
        self.accepted += 1;
        let id = ConnectionId::accepted(self.accepted);
        let neighbour = match &mut self.machines[node] {
            Machine::Router(router) => {
                let theirs = |it: &&(usize, &NeighbourConfig)| match &it.1.transport {
                    Transport::Unnumbered { link, remote, .. } => {
                        *link == name && remote.is_none_or(|remote| IpAddr::V6(remote) == from)
                    }
                    Transport::Numbered { link, remote, .. } => *link == name && *remote == from,
                };
                let on = router.speaker.is_some();
                let found = router.config.neighbours.iter().enumerate().find(|it| theirs(&it));
                found.filter(|_| on).map(|(at, _)| NeighbourId(at as u16))
            }
            Machine::Stranger(stranger) => {
                if stranger.listens {
                    self.tcps[tcp].ids[side] = Some(id);
                    self.send(tcp, side, |tcp, side| NetEvent::Connected { tcp, side });
                } else {
                    self.send(tcp, side, |tcp, side| NetEvent::Refused { tcp, side });
                }
                return;
            }
        };
        match neighbour {
            Some(neighbour) => {
                self.tcps[tcp].ids[side] = Some(id);
                self.send(tcp, side, |tcp, side| NetEvent::Connected { tcp, side });
                self.event(node, Event::Accepted { neighbour, connection: id });
            }
            None => self.send(tcp, side, |tcp, side| NetEvent::Refused { tcp, side }),
        }
    }

    /// A stranger says something.
    pub fn say(&mut self, stranger: usize, bytes: Vec<u8>) {
        let of = |tcp: &Tcp| {
            (0..2).find(|&side| self.cables[tcp.cable].ends[side] == stranger && tcp.ids[side].is_some())
        };
        let found = self.tcps.iter().enumerate().rev().find_map(|(at, tcp)| of(tcp).map(|side| (at, side)));
        let (tcp, side) = found.expect("the stranger has no connection");
        self.send(tcp, side, |tcp, side| NetEvent::Data { tcp, side, bytes });
    }

    fn next(&self) -> Option<Instant> {
        let timeouts = self.machines.iter().filter_map(|machine| match machine {
            Machine::Router(router) => router.speaker.as_ref()?.next_timeout(),
            Machine::Stranger(_) => None,
        });
        let queued = self.queue.keys().next().map(|&(at, _)| at);
        timeouts.chain(queued).min()
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.run_while(end, |_| true);
        self.now = end;
    }

    /// Until `done`; panics at the deadline, with what stands then. Returns the time that it took.
    pub fn run_until(&mut self, deadline: Duration, done: impl Fn(&Net) -> bool) -> Duration {
        let start = self.now;
        self.run_while(start + deadline, |net| !done(net));
        assert!(done(self), "not done after {deadline:?}: {:#?}", self.summary());
        self.now.since(start)
    }

    fn run_while(&mut self, end: Instant, go_on: impl Fn(&Net) -> bool) {
        let mut steps = 0;
        while go_on(self) {
            let Some(next) = self.next().filter(|&next| next <= end) else { return };
            assert!(next >= self.now || steps < 1_000_000, "time stands still");
            self.now = self.now.max(next);
            steps += 1;
            assert!(steps < 2_000_000, "no end to it");
            while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let event = entry.remove();
                let tcp = match &event {
                    NetEvent::Syn { tcp, .. }
                    | NetEvent::Connected { tcp, .. }
                    | NetEvent::Refused { tcp, .. }
                    | NetEvent::Data { tcp, .. }
                    | NetEvent::Fin { tcp, .. } => *tcp,
                };
                if !self.lost(tcp) {
                    self.deliver(event);
                } else if !matches!(event, NetEvent::Syn { .. }) {
                    // TCP sends again, until the sender gives up.
                    if self.tcps[tcp].ids.iter().any(Option::is_some) {
                        self.sequence += 1;
                        self.queue.insert((self.now + ms(200), self.sequence), event);
                    }
                }
            }
            for node in 0..self.machines.len() {
                let due = match &self.machines[node] {
                    Machine::Router(router) => router.speaker.as_ref().and_then(Speaker::next_timeout),
                    Machine::Stranger(_) => None,
                };
                if due.is_some_and(|due| due <= self.now) {
                    self.event(node, Event::Timeout);
                }
            }
        }
    }

    pub fn status(&self, node: usize) -> SpeakerStatus {
        self.router(node).speaker.as_ref().unwrap().status(self.now)
    }

    pub fn all_established(&self) -> bool {
        self.running().into_iter().all(|node| {
            let state =
                |it: &crate::bgp::NeighbourStatus| it.state == SessionState::Established && it.pending == 0;
            self.status(node).neighbours.iter().all(state)
        })
    }

    pub fn running(&self) -> Vec<usize> {
        let on = |node: &usize| matches!(&self.machines[*node], Machine::Router(router) if router.speaker.is_some());
        (0..self.machines.len()).filter(on).collect()
    }

    fn summary(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for node in self.running() {
            for neighbour in self.status(node).neighbours {
                lines.push(format!(
                    "{node} {}: {:?} {:?}",
                    neighbour.name, neighbour.state, neighbour.last_end
                ));
            }
        }
        lines
    }

    /// Where packets from `node` to a prefix end up, over every combination of next hops: machines
    /// that hold no route of their own to it, or [`LOOP`].
    pub fn reaches(&self, node: usize, to: &Prefix) -> BTreeSet<usize> {
        let mut ends = BTreeSet::new();
        self.follow(node, to, &mut vec![node], &mut ends);
        ends
    }

    fn follow(&self, node: usize, to: &Prefix, way: &mut Vec<usize>, ends: &mut BTreeSet<usize>) {
        let route = match &self.machines[node] {
            Machine::Router(router) => router.kernel.get(to).filter(|route| !route.discard),
            Machine::Stranger(_) => None,
        };
        let Some(route) = route else {
            ends.insert(node);
            return;
        };
        for hop in &route.next_hops {
            let cable =
                self.cables_of(node).into_iter().find(|&cable| self.name(node, cable) == hop.link).unwrap();
            let ends_of = self.cables[cable].ends;
            let next = if ends_of[0] == node { ends_of[1] } else { ends_of[0] };
            if way.contains(&next) {
                ends.insert(LOOP);
                continue;
            }
            way.push(next);
            self.follow(next, to, way, ends);
            way.pop();
        }
    }

    /// Every running router reaches every other's loopbacks.
    pub fn all_reach_all(&self) -> bool {
        let running = self.running();
        running.iter().all(|&from| {
            running.iter().all(|&to| {
                from == to
                    || loopbacks(self.id(to))
                        .iter()
                        .all(|loopback| self.reaches(from, loopback) == BTreeSet::from([to]))
            })
        })
    }

    /// What the kernels hold is what the speakers want.
    pub fn kernels_are_current(&self) -> bool {
        self.running().into_iter().all(|node| {
            let router = self.router(node);
            let wanted = router.speaker.as_ref().unwrap().routes_wanted();
            let wanted: BTreeMap<Prefix, SpeakerRoute> = wanted
                .into_iter()
                .filter_map(|change| change.route.map(|route| (change.prefix, route)))
                .collect();
            let evpn = router.speaker.as_ref().unwrap().evpn_routes();
            let segments = evpn.filter_map(|it| it.path.map(|path| (it.route, path)));
            wanted == router.kernel && segments.collect::<BTreeMap<_, _>>() == router.segments
        })
    }
}
