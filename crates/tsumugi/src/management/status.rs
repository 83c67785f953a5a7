//! What the management process says of itself: the document of `management.sock`.

use super::overlay::OverlayDrop;
use super::process::Management;
use crate::kernel::nft;
use crate::observe::status::PlanStatus;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

#[derive(Serialize)]
struct Document<'a> {
    process: &'static str,
    pid: u32,
    uptime_ms: u64,
    plan: PlanStatus,
    device: Option<DeviceStatus>,
    lines: Vec<LineStatus<'a>>,
    members: Vec<MemberStatus<'a>>,
    /// Packets and datagrams of the overlay that went no further.
    drops: BTreeMap<OverlayDrop, u64>,
    /// Packets that a wall of the management plane dropped.
    walls: BTreeMap<&'static str, u64>,
    /// What is missing or could not be made, in words.
    troubles: Vec<String>,
}

#[derive(Serialize)]
struct DeviceStatus {
    name: String,
    mtu: u16,
    attached: bool,
}

#[derive(Serialize)]
struct LineStatus<'a> {
    name: &'a str,
    plane: &'static str,
    link: Option<&'a str>,
    open: bool,
    trouble: Option<&'a str>,
}

#[derive(Serialize)]
struct MemberStatus<'a> {
    name: &'a str,
    meeting: bool,
    /// Reached over a path of its own or through a meeting point.
    reachable: bool,
    /// The line of the path in use.
    line: Option<&'a str>,
    /// The meeting point that it is reached through while no path of its own is alive.
    through: Option<&'a str>,
    paths: Vec<PathStatus<'a>>,
}

#[derive(Serialize)]
struct PathStatus<'a> {
    line: &'a str,
    endpoint: Option<SocketAddr>,
    alive: bool,
    in_use: bool,
    /// Since anything was heard from the far end.
    heard_ms: Option<u64>,
    /// Since the keys in use were made.
    handshake_s: Option<u64>,
    sent_bytes: u64,
    received_bytes: u64,
}

pub fn document(management: &Management, now: Instant) -> String {
    let plan = management.plan.as_ref();
    let mut plan_status = plan.map(PlanStatus::of).unwrap_or_default();
    plan_status.refused = management.refused.as_ref().map(ToString::to_string);
    let mut troubles: Vec<String> =
        management.troubles.iter().map(|(what, trouble)| format!("{what}: {trouble}")).collect();
    troubles.extend(management.keeper.failing().map(str::to_owned));
    troubles.extend(management.keeper.waiting().iter().map(|link| format!("{link} is not there")));
    let walls = plan.filter(|plan| !plan.management.desired.walls.is_empty());
    let dropped = walls.and_then(|_| nft::counters(management.keeper.namespace()).ok()).unwrap_or_default();
    let document = Document {
        process: "management",
        pid: std::process::id(),
        uptime_ms: milliseconds(now, management.started),
        plan: plan_status,
        device: plan.map(|plan| DeviceStatus {
            name: plan.management.overlay.device.to_string(),
            mtu: plan.management.overlay.mtu,
            attached: management.wires.device.is_some(),
        }),
        lines: lines(management),
        members: members(management, now),
        drops: management.overlay.as_ref().map(|overlay| overlay.drops.clone()).unwrap_or_default(),
        walls: dropped.into_iter().map(|(reason, dropped)| (reason.counter(), dropped.packets)).collect(),
        troubles,
    };
    serde_json::to_string(&document).unwrap_or_default()
}

fn lines(management: &Management) -> Vec<LineStatus<'_>> {
    let lines = management.wires.lines.iter().map(|line| LineStatus {
        name: &line.plan.name,
        plane: line.plan.plane.name(),
        link: line.plan.link.as_ref().map(|link| link.as_str()),
        open: line.sockets.is_some(),
        trouble: line.trouble.as_deref(),
    });
    lines.collect()
}

fn members(management: &Management, now: Instant) -> Vec<MemberStatus<'_>> {
    let Some(overlay) = &management.overlay else { return Vec::new() };
    let name_of = |line: usize| management.wires.lines.get(line).map(|line| line.plan.name.as_str());
    let meeting = overlay.meeting(now).map(|meeting| overlay.neighbours[meeting].name.as_str());
    let members = overlay.neighbours.iter().map(|neighbour| {
        let alive = |number: &&usize| overlay.sessions[**number].is_alive(now);
        let in_use = neighbour.sessions.iter().find(alive);
        let through = meeting.filter(|_| in_use.is_none());
        let paths = neighbour.sessions.iter().map(|number| {
            let session = &overlay.sessions[*number];
            PathStatus {
                line: name_of(session.line).unwrap_or_default(),
                endpoint: session.endpoint(),
                alive: session.is_alive(now),
                in_use: in_use == Some(number),
                heard_ms: session.heard().map(|at| milliseconds(now, at)),
                handshake_s: session.handshake().map(|at| milliseconds(now, at) / 1000),
                sent_bytes: session.sent_bytes,
                received_bytes: session.received_bytes,
            }
        });
        MemberStatus {
            name: &neighbour.name,
            meeting: neighbour.meeting,
            reachable: in_use.is_some() || through.is_some(),
            line: in_use.and_then(|number| name_of(overlay.sessions[*number].line)),
            through,
            paths: paths.collect(),
        }
    });
    members.collect()
}

fn milliseconds(now: Instant, since: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u64::MAX)
}
