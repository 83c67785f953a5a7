//! What the process says of itself when asked: one JSON document.

use super::Datapath;
use super::engine::Chosen;
use super::forward::Forwarding;
use super::tunnel::{Inside, Traffic, Tunnel};
use crate::kernel::plane::Keeper;
use crate::kernel::wireguard;
use crate::state::PlanRefused;
use serde::Serialize;
use std::net::IpAddr;
use std::time::Instant;
use tsumugi_core::router_plan::RouterPlan;
use tsumugi_core::tunnel::{Counters, DropReason};

#[derive(Serialize)]
struct Status<'a> {
    process: &'static str,
    router: Option<&'a str>,
    generation: Option<u64>,
    hash: Option<&'a str>,
    /// Why the newest plan is not the one that runs.
    refused: Option<String>,
    tunnels: Vec<TunnelStatus<'a>>,
    lines: Vec<LineStatus<'a>>,
    underlay: UnderlayStatus<'a>,
}

/// As an operator speaks of it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum TunnelState {
    /// Packets pass as far as we can tell.
    Up,
    /// The interface in the fabric is missing.
    NoDevice,
    /// The line is missing.
    NoLine,
    /// Our own outer address or the far end's is not known yet.
    NoAddress,
    /// WireGuard has no session.
    NoSession,
}

#[derive(Serialize)]
struct TunnelStatus<'a> {
    name: &'a str,
    alias: &'a str,
    by: &'static str,
    #[serde(flatten)]
    engine: &'a Chosen,
    state: TunnelState,
    /// What is wrong with the parts, in the kernel's words.
    trouble: Vec<&'a str>,
    line: &'a str,
    local: Option<IpAddr>,
    remote: Option<IpAddr>,
    path_mtu: u16,
    mtu: u16,
    received: Traffic,
    sent: Traffic,
    drops: &'a Counters,
    /// Milliseconds since the far end last said something that was its own.
    last_heard_ms: Option<u128>,
    /// Seconds since WireGuard's handshake.
    session_age: Option<u64>,
}

#[derive(Serialize)]
struct UnderlayStatus<'a> {
    /// Interfaces of the plan that are not there yet.
    waiting: Vec<String>,
    /// What could not be made as the plan wants it.
    failing: Vec<&'a str>,
}

#[derive(Serialize)]
struct LineStatus<'a> {
    name: &'a str,
    open: bool,
    trouble: Option<&'a str>,
    /// What came by this line and belongs to no tunnel.
    drops: &'a Counters,
}

/// What the document tells of.
pub struct View<'a> {
    pub now: Instant,
    pub forwarding: &'a Forwarding,
    pub keeper: &'a Keeper,
    pub plan: Option<&'a RouterPlan>,
    pub refused: Option<&'a PlanRefused>,
}

impl View<'_> {
    pub fn document(&self) -> String {
        let tunnels = self.forwarding.tunnels.iter().flatten();
        let lines = self.forwarding.lines.iter();
        let status = Status {
            process: "datapath",
            router: self.plan.map(|plan| plan.name.as_str()),
            generation: self.plan.map(|plan| plan.generation),
            hash: self.plan.map(|plan| plan.hash.as_str()),
            refused: self.refused.map(ToString::to_string),
            tunnels: tunnels.map(|tunnel| of_tunnel(self.now, self.forwarding, tunnel)).collect(),
            lines: lines
                .map(|line| LineStatus {
                    name: line.name.as_str(),
                    open: line.is_open(),
                    trouble: line.trouble.words(),
                    drops: &line.drops,
                })
                .collect(),
            underlay: UnderlayStatus {
                waiting: self.keeper.waiting().iter().map(ToString::to_string).collect(),
                failing: self.keeper.failing().collect(),
            },
        };
        serde_json::to_string(&status).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
    }
}

impl Datapath {
    /// Fetches what the kernel has counted for the tunnels that it moves the packets of.
    pub(super) fn ask_the_kernel(&mut self) {
        for tunnel in self.forwarding.tunnels.iter_mut().flatten() {
            if !matches!(tunnel.inside, Inside::Kernel) {
                continue;
            }
            if let Ok(Some(traffic)) = self.sides.fabric_netlink.traffic(&tunnel.plan.name) {
                tunnel.received =
                    Traffic { packets: traffic.received_packets, bytes: traffic.received_bytes };
                tunnel.sent = Traffic { packets: traffic.sent_packets, bytes: traffic.sent_bytes };
                tunnel.drops = Counters::default();
                tunnel.drops.add(DropReason::DeviceFailed, traffic.failed);
            }
            if tunnel.keys.is_some() {
                tunnel.kernel_peer = wireguard::peer(&self.sides.fabric, &tunnel.plan.name).ok().flatten();
            }
        }
    }
}

fn of_tunnel<'a>(now: Instant, forwarding: &Forwarding, tunnel: &'a Tunnel) -> TunnelStatus<'a> {
    let (local, remote) = tunnel.ends();
    let line_is_open = forwarding.lines.get(tunnel.line).is_some_and(super::line::Line::is_open);
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
        name: tunnel.plan.name.as_str(),
        alias: &tunnel.plan.alias,
        by: super::tunnel::word(&tunnel.plan.encapsulation),
        engine: &tunnel.chosen,
        state,
        trouble: troubles.into_iter().filter_map(super::trouble::Trouble::words).collect(),
        line: tunnel.plan.uplink.as_str(),
        local,
        remote,
        path_mtu: tunnel.plan.path_mtu,
        mtu: tunnel.plan.mtu,
        received: tunnel.received,
        sent: tunnel.sent,
        drops: &tunnel.drops,
        last_heard_ms: tunnel.last_heard.map(|heard| now.duration_since(heard).as_millis()),
        session_age: tunnel.session_age().map(|age| age.as_secs()),
    }
}
