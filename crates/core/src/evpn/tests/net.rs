//! Several routers in virtual time: what one originates reaches the others after a delay, in order;
//! probes reach the ports on the same wire; kernels learn where hosts speak.

use super::*;
use alloc::collections::{BTreeSet, VecDeque};

/// A router and a port of it.
pub(super) type Place = (usize, &'static str);

pub(super) struct Net {
    pub benches: Vec<Bench>,
    pub now: Instant,
    /// In milliseconds, between any two routers.
    pub delay: u64,
    /// Ports that hang on one wire hear each other; with `true` each hears itself as well.
    pub wires: Vec<(BTreeSet<Place>, bool)>,
    /// Routers whose BGP sessions are down.
    cut: BTreeSet<usize>,
    /// What is on its way, by receiver.
    travelling: BTreeMap<usize, VecDeque<(Instant, EvpnUpdate)>>,
    /// What each kernel has learned by itself.
    fdb: Vec<BTreeMap<Mac, &'static str>>,
    /// Checked after every step.
    pub watch: fn(&Net),
}

impl Net {
    /// One segment on as many routers as there are lists of ports.
    pub fn new(ports: Vec<Vec<SegmentPort>>) -> Net {
        let of = |(at, ports)| {
            let router = at as u32 + 1;
            Bench::new(config(router, vec![segment(router, ports)]))
        };
        let benches: Vec<Bench> = ports.into_iter().enumerate().map(of).collect();
        Net {
            now: Instant(1_000_000_000),
            delay: 50,
            wires: Vec::new(),
            cut: BTreeSet::new(),
            travelling: BTreeMap::new(),
            fdb: vec![BTreeMap::new(); benches.len()],
            benches,
            watch: |_| {},
        }
    }

    pub fn up(ports: Vec<Vec<SegmentPort>>) -> Net {
        let mut net = Net::new(ports);
        (0..net.benches.len()).for_each(|at| net.start(at));
        net
    }

    /// All interfaces of a router get carrier.
    pub fn start(&mut self, at: usize) {
        let segments: Vec<SegmentConfig> =
            self.benches[at].evpn.segments.iter().map(|it| it.config.clone()).collect();
        for it in segments {
            self.step(at, Event::LinkUp(link("vx-members")));
            for port in it.ports {
                self.step(at, Event::LinkUp(port.link));
            }
        }
    }

    /// The router's process begins anew; its kernel and its ports stay as they were.
    pub fn restart(&mut self, at: usize) {
        self.lose_sessions(at);
        let bench = &mut self.benches[at];
        let segments: Vec<SegmentConfig> = bench.evpn.segments.iter().map(|it| it.config.clone()).collect();
        let router = at as u32 + 1;
        let ports = core::mem::take(&mut bench.ports);
        *bench = Bench::new(config(router, segments));
        bench.ports = ports;
        self.start(at);
    }

    pub fn step(&mut self, at: usize, event: Event<'_>) {
        let bench = &mut self.benches[at];
        bench.now = self.now;
        bench.step(event);
        self.carry(at);
    }

    /// What the router has just said goes on its way.
    fn carry(&mut self, at: usize) {
        let bench = &mut self.benches[at];
        let originated = core::mem::take(&mut bench.originated);
        let frames = core::mem::take(&mut bench.frames);
        for port in core::mem::take(&mut bench.flushed) {
            self.fdb[at].retain(|_, it| *it != port.as_str());
        }
        let macs: Vec<Mac> = bench
            .kernel
            .values()
            .filter_map(|it| match it {
                BridgeEntry::Mac { mac, .. } => Some(*mac),
                _ => None,
            })
            .collect();
        macs.iter().for_each(|mac| {
            self.fdb[at].remove(mac);
        });
        if !self.cut.contains(&at) {
            for other in (0..self.benches.len()).filter(|other| *other != at) {
                for update in &originated {
                    self.send(other, update.clone());
                }
            }
        }
        (self.watch)(self);
        for (port, frame) in frames {
            self.put_on_wire(at, &port, &frame);
        }
    }

    fn put_on_wire(&mut self, at: usize, port: &IfName, frame: &[u8]) {
        let mut heard: Vec<Place> = Vec::new();
        for (wire, back) in &self.wires {
            let from = wire.iter().find(|it| it.0 == at && it.1 == port.as_str());
            let Some(from) = from else { continue };
            heard.extend(wire.iter().filter(|it| *back || *it != from));
        }
        for (router, name) in heard {
            if self.benches[router].evpn.up.contains(&link(name)) {
                self.step(router, Event::ProbeHeard { port: link(name), frame });
            }
        }
    }

    fn send(&mut self, to: usize, update: EvpnUpdate) {
        if !self.cut.contains(&to) {
            let at = self.now + Duration::from_millis(self.delay);
            self.travelling.entry(to).or_default().push_back((at, update));
        }
    }

    /// All sessions of a router end: everybody forgets what came over them.
    pub fn lose_sessions(&mut self, at: usize) {
        if !self.cut.insert(at) {
            return;
        }
        self.travelling.remove(&at);
        for other in (0..self.benches.len()).filter(|other| *other != at) {
            let theirs: Vec<EvpnRoute> = self.benches[other].announced.keys().cloned().collect();
            let ours: Vec<EvpnRoute> = self.benches[at].announced.keys().cloned().collect();
            theirs.into_iter().for_each(|route| {
                self.step(at, Event::Route(EvpnUpdate { route, path: None }));
            });
            ours.into_iter().for_each(|route| self.send(other, EvpnUpdate { route, path: None }));
        }
    }

    pub fn restore_sessions(&mut self, at: usize) {
        self.cut.remove(&at);
        for other in (0..self.benches.len()).filter(|other| *other != at) {
            for (from, to) in [(at, other), (other, at)] {
                if self.cut.contains(&from) {
                    continue;
                }
                let all: Vec<_> = self.benches[from].announced.clone().into_iter().collect();
                for (route, path) in all {
                    self.send(to, EvpnUpdate { route, path: Some(path) });
                }
            }
        }
    }

    /// A host speaks: the kernel learns it unless it knows, or the port is shut.
    pub fn speak(&mut self, place: Place, mac: Mac) {
        let (at, port) = place;
        let shut = self.benches[at].ports.get(&link(port)).is_some_and(|it| it.is_some());
        if shut || self.fdb[at].insert(mac, port) == Some(port) {
            return;
        }
        self.step(at, Event::MacHeard { port: link(port), mac });
    }

    pub fn run(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        loop {
            let arrival = self.travelling.iter().filter_map(|(to, all)| Some((all.front()?.0, 0, *to)));
            let timeouts = self.benches.iter().enumerate();
            let timeouts = timeouts.filter_map(|(at, it)| Some((it.evpn.next_timeout()?, 1, at)));
            let Some((when, kind, at)) = arrival.chain(timeouts).min().filter(|it| it.0 <= end) else {
                break;
            };
            self.now = self.now.max(when);
            let update = match kind {
                0 => self.travelling.get_mut(&at).and_then(VecDeque::pop_front),
                _ => None,
            };
            match update {
                Some((_, update)) => self.step(at, Event::Route(update)),
                None => self.step(at, Event::Timeout),
            }
        }
        self.now = end;
        self.benches.iter_mut().for_each(|it| it.now = end);
    }

    pub fn is_open(&self, place: Place) -> bool {
        let port = link(place.1);
        self.benches[place.0].ports.get(&port) == Some(&None) && self.benches[place.0].evpn.up.contains(&port)
    }

    /// Which VTEP a router's kernel sends frames for a MAC to; `None`: to a port, or it floods them.
    pub fn seen(&self, at: usize, mac: Mac) -> Option<IpAddr> {
        self.benches[at].entries().iter().find_map(|entry| match entry {
            BridgeEntry::Mac { mac: it, vtep, .. } if *it == mac => Some(*vtep),
            _ => None,
        })
    }

    pub fn join(&mut self, places: &[Place]) {
        self.wires.push((places.iter().copied().collect(), false));
    }
}
