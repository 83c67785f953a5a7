//! What the process says of itself when asked: one JSON document.

use super::Datapath;
use super::forward::Forwarding;
use super::handover::message::named;
use super::keepalive;
use super::line::Line;
use super::meanwhile::meanwhile;
use super::probing::Probing;
use super::tunnel::{Inside, Tunnel};
use crate::kernel::plane::Keeper;
use crate::kernel::wireguard;
use crate::observe::status::{
    ByShortcut, DatapathStatus, HandoversRefused, LineStatus, PlanStatus, TakenOver, Traffic, TunnelState,
    TunnelStatus, UnderlayStatus,
};
use crate::state::PlanRefused;
use std::time::{Duration, Instant};
use tsumugi_core::router_plan::{self, RouterPlan};
use tsumugi_core::tunnel::{Counters, DropReason};

/// What the document tells of.
pub struct View<'a> {
    pub now: Instant,
    pub started: Instant,
    pub forwarding: &'a Forwarding,
    pub probing: &'a Probing,
    pub keeper: &'a Keeper,
    pub plan: Option<&'a RouterPlan>,
    pub refused: Option<&'a PlanRefused>,
    pub taken_over: Option<&'a TakenOver>,
    pub handovers_refused: &'a [HandoversRefused],
}

impl View<'_> {
    fn of_tunnel(&self, tunnel: &Tunnel) -> TunnelStatus {
        let View { now, forwarding, probing, .. } = *self;
        let (local, remote) = tunnel.ends();
        let line_is_open = forwarding.lines.get(tunnel.line).is_some_and(Line::is_open);
        let state = match &tunnel.inside {
            Inside::Kernel if !tunnel.kernel_device_is_there => TunnelState::NoDevice,
            Inside::Kernel => TunnelState::Up,
            _ if tunnel.device.is_none() => TunnelState::NoDevice,
            _ if !line_is_open => TunnelState::NoLine,
            Inside::WireGuard(wireguard) if wireguard.has_session() => TunnelState::Up,
            _ if local.is_none() || remote.is_none() => TunnelState::NoAddress,
            Inside::WireGuard(_) => TunnelState::NoSession,
            Inside::Shim(_) => TunnelState::Up,
        };
        let troubles = [&tunnel.device_trouble, &tunnel.outer_trouble];
        TunnelStatus {
            name: tunnel.plan.name.clone(),
            alias: tunnel.plan.alias.clone(),
            by: super::tunnel::word(&tunnel.plan.encapsulation).into(),
            engine: tunnel.chosen.clone(),
            shortcut: tunnel.shortcut.clone(),
            by_shortcut: Some(tunnel.by_shortcut).filter(|passed| *passed != ByShortcut::default()),
            state,
            trouble: troubles.into_iter().filter_map(|trouble| trouble.get().cloned()).collect(),
            line: tunnel.plan.uplink.clone(),
            local,
            remote,
            path_mtu: tunnel.path.force.path_mtu,
            measured: tunnel.measured(),
            measured_void: tunnel.void_path(),
            measuring: probing.progress(forwarding.core_now(now), &tunnel.plan.name),
            mtu: tunnel.plan.mtu,
            received: tunnel.received,
            sent: tunnel.sent,
            drops: named(&tunnel.drops),
            last_heard_ms: tunnel.last_heard.map(|heard| milliseconds(now.saturating_duration_since(heard))),
            keepalive: keepalive::status(now, &tunnel.plan, tunnel.keeping.as_ref()),
            session_age: tunnel.session_age().map(|age| age.as_secs()),
        }
    }

    pub fn document(&self) -> String {
        let running = || self.forwarding.tunnels.iter().flatten();
        let made = |plan: &router_plan::Tunnel| running().any(|tunnel| tunnel.plan.name == plan.name);
        let planned = self.plan.iter().flat_map(|plan| &plan.tunnels);
        let status = DatapathStatus {
            process: "datapath".into(),
            pid: std::process::id(),
            uptime_ms: milliseconds(self.now.saturating_duration_since(self.started)),
            plan: PlanStatus::of(self.plan, self.refused),
            taken_over: self.taken_over.cloned(),
            handovers_refused: self.handovers_refused.to_vec(),
            tunnels: running().map(|tunnel| self.of_tunnel(tunnel)).collect(),
            unmade: planned.filter(|plan| !made(plan)).map(|plan| plan.name.clone()).collect(),
            lines: self.forwarding.lines.iter().map(of_line).collect(),
            underlay: UnderlayStatus {
                waiting: self.keeper.waiting().to_vec(),
                failing: self.keeper.failing().map(str::to_owned).collect(),
            },
        };
        // Its types are plain: numbers, texts, lists, and maps whose keys are texts.
        serde_json::to_string(&status).unwrap_or_default()
    }
}

fn of_line(line: &Line) -> LineStatus {
    LineStatus {
        name: line.name.clone(),
        open: line.is_open(),
        path: Some(line.path.clone()),
        trouble: line.trouble.get().cloned(),
        drops: named(&line.drops),
    }
}

pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Datapath {
    /// Fetches what the kernel has counted for the tunnels that it moves the packets of.
    pub(super) fn ask_the_kernel(&mut self) {
        let by_kernel = |tunnel: &Tunnel| matches!(tunnel.inside, Inside::Kernel);
        for slot in 0..self.forwarding.tunnels.len() {
            let tunnel = self.forwarding.tunnels[slot].as_ref().filter(|tunnel| by_kernel(tunnel));
            let Some((name, keyed)) = tunnel.map(|tunnel| (tunnel.plan.name.clone(), tunnel.keys.is_some()))
            else {
                continue;
            };
            let sides = &mut self.sides;
            let (traffic, peer) = meanwhile(&self.epoll, &mut self.forwarding, || {
                let peer = keyed.then(|| wireguard::peer(&sides.fabric, &name).ok().flatten());
                (sides.fabric_netlink.traffic(&name), peer)
            });
            let Some(tunnel) = &mut self.forwarding.tunnels[slot] else { continue };
            if let Ok(Some(traffic)) = traffic {
                tunnel.received =
                    Traffic { packets: traffic.received_packets, bytes: traffic.received_bytes };
                tunnel.sent = Traffic { packets: traffic.sent_packets, bytes: traffic.sent_bytes };
                tunnel.drops = Counters::default();
                tunnel.drops.add(DropReason::DeviceFailed, traffic.failed);
            }
            if let Some(peer) = peer {
                tunnel.kernel_peer = peer;
            }
        }
    }
}
