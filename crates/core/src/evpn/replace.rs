//! A changed configuration: what did not change goes on as if nothing had happened.

use super::config::{EvpnConfig, SegmentConfig};
use super::event::Action;
use super::machine::{Evpn, Learned, Refused};
use super::port::Port;
use super::segment::Segment;
use crate::id::IfName;
use crate::time::Instant;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// A segment whose tables stay true: only its ports may differ.
fn is_same(before: &SegmentConfig, after: &SegmentConfig) -> bool {
    let without_ports = |it: &SegmentConfig| SegmentConfig { ports: Vec::new(), ..it.clone() };
    without_ports(before) == without_ports(after)
}

impl Evpn {
    pub fn replace(&mut self, now: Instant, config: EvpnConfig, actions: &mut Vec<Action>) {
        self.now = now;
        let EvpnConfig { network, router, segments } = config;
        (self.network, self.router) = (network, router);
        let mut before: BTreeMap<IfName, Segment> = core::mem::take(&mut self.segments)
            .into_iter()
            .map(|segment| (segment.config.bridge.clone(), segment))
            .collect();
        let mut fresh = Vec::new();
        let mut learned: Learned = (Vec::new(), Vec::new());
        for (at, wanted) in segments.into_iter().enumerate() {
            match before.remove(&wanted.bridge) {
                Some(mut segment) if is_same(&segment.config, &wanted) => {
                    segment.replace_ports(wanted, actions);
                    self.segments.push(segment);
                }
                other => {
                    let mut begun = Segment::new(wanted);
                    if let Some(mut segment) = other {
                        segment.learned(&mut learned);
                        begun.take_over(&mut segment);
                        self.leave(segment, actions);
                    }
                    fresh.push(at);
                    self.segments.push(begun);
                }
            }
        }
        for segment in before.into_values() {
            self.leave(segment, actions);
        }
        self.asked.clear();
        self.assign_roles();
        self.begin(now, fresh, learned, actions);
        self.expire(now, actions);
        self.say_ready(actions);
    }

    fn leave(&mut self, mut segment: Segment, actions: &mut Vec<Action>) {
        segment.withdraw_all(actions);
        let Segment { entries, config, .. } = &mut segment;
        self.leaving.extend(entries.leave(config));
    }

    /// Tells segments that are new what is known already.
    fn begin(&mut self, now: Instant, fresh: Vec<usize>, learned: Learned, actions: &mut Vec<Action>) {
        let routes = core::mem::take(&mut self.routes);
        let before = core::mem::take(&mut self.refused);
        self.refusals.clear();
        for (route, path) in &routes {
            let mut refused = None;
            for at in 0..self.segments.len() {
                // To those that stay this says nothing new.
                let reason = self.import_into(now, at, route, Some(path), actions);
                refused = refused.or(reason);
            }
            let reason = |it: &Refused| it.reason;
            let quiet = before.get(route).map(reason) == refused.as_ref().map(reason);
            self.remember_refusal(route, refused, quiet, actions);
        }
        self.routes = routes;
        let links: Vec<IfName> = self.up.iter().cloned().collect();
        for link in links {
            let changed = match self.role(&link) {
                Some(super::machine::Role::Port { segment, number }) => {
                    self.segments[segment].ports.get(&number).is_some_and(|port| !port.up)
                }
                Some(super::machine::Role::Vxlan { segment }) => fresh.contains(&segment),
                _ => false,
            };
            if changed {
                self.link_changed(now, &link, true, actions);
            }
        }
        self.hear_again(now, learned, actions);
    }
}

impl Segment {
    fn learned(&self, learned: &mut Learned) {
        for (number, mac) in self.local_macs() {
            if let Some(port) = self.ports.get(&number) {
                learned.0.push((port.config.link.clone(), mac));
            }
        }
        let hosts = self.tables.hosts.local.iter();
        learned.1.extend(hosts.map(|(address, host)| (self.config.bridge.clone(), *address, host.mac)));
    }

    /// Ports on the same interface go on; others begin anew.
    fn replace_ports(&mut self, wanted: SegmentConfig, actions: &mut Vec<Action>) {
        let mut ports = BTreeMap::new();
        for config in &wanted.ports {
            let before = self.ports.remove(&config.number);
            let kept = before.filter(|port| port.config.link == config.link);
            let port = kept.map(|port| port.restated(config.clone()));
            ports.insert(config.number, port.unwrap_or_else(|| Port::new(config.clone())));
        }
        let before = core::mem::replace(&mut self.ports, ports);
        let anew = self.ports.values().filter(|port| !port.up).map(|port| port.config.number);
        for number in before.into_keys().chain(anew).collect::<Vec<u16>>() {
            self.forget_port(number, actions);
        }
        self.config = wanted;
    }

    /// A segment that begins anew on the same bridge: its ports stay as they are, and the kernel is told
    /// only what differs.
    fn take_over(&mut self, before: &mut Segment) {
        for (number, port) in &mut self.ports {
            if before.ports.get(number).is_some_and(|it| it.config.link == port.config.link)
                && let Some(kept) = before.ports.remove(number)
            {
                *port = kept.restated(port.config.clone());
            }
        }
        let vxlan = |it: &SegmentConfig| it.stretch.as_ref().map(|stretch| stretch.vxlan.clone());
        if vxlan(&self.config) == vxlan(&before.config) {
            self.entries = core::mem::take(&mut before.entries);
            self.entries.all_in_question();
        }
    }
}
