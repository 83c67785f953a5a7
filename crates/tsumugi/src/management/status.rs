//! What the management process says of itself: the document of `management.sock`.

use super::process::Management;
use crate::kernel::nft;
use crate::observe::status::{
    DeviceStatus, ManagementStatus, ManagementTrouble, MemberStatus, OverlayLineStatus, PathStatus,
    PlanStatus,
};
use std::time::Instant;

pub fn document(management: &Management, now: Instant) -> String {
    let plan = management.plan.as_ref();
    let mut troubles: Vec<ManagementTrouble> = management.troubles.values().flatten().cloned().collect();
    let failing = management.keeper.failing();
    troubles.extend(failing.map(|error| ManagementTrouble::NotApplied { error: error.to_owned() }));
    let waiting = management.keeper.waiting().iter();
    troubles.extend(waiting.map(|link| ManagementTrouble::NoInterface { link: link.clone() }));
    let walls = plan.filter(|plan| !plan.management.desired.walls.is_empty());
    let dropped = walls.and_then(|_| nft::counters(management.keeper.namespace()).ok()).unwrap_or_default();
    let document = ManagementStatus {
        process: "management".into(),
        pid: std::process::id(),
        uptime_ms: milliseconds(now, management.started),
        plan: PlanStatus::of(plan, management.refused.as_ref()),
        device: plan.map(|plan| DeviceStatus {
            name: plan.management.overlay.device.clone(),
            mtu: plan.management.overlay.mtu,
            attached: management.wires.device.is_some(),
        }),
        lines: lines(management),
        members: members(management, now),
        drops: management.overlay.as_ref().map(|overlay| overlay.drops.clone()).unwrap_or_default(),
        walls: dropped
            .into_iter()
            .map(|(reason, dropped)| (reason.counter().to_owned(), dropped.packets))
            .collect(),
        troubles,
    };
    // Its types are plain: numbers, texts, lists, and maps whose keys are texts.
    serde_json::to_string(&document).unwrap_or_default()
}

fn lines(management: &Management) -> Vec<OverlayLineStatus> {
    let lines = management.wires.lines.iter().map(|line| OverlayLineStatus {
        name: line.plan.name.clone(),
        plane: line.plan.plane,
        link: line.plan.link.clone(),
        open: line.sockets.is_some(),
        trouble: line.trouble.clone(),
    });
    lines.collect()
}

fn members(management: &Management, now: Instant) -> Vec<MemberStatus> {
    let Some(overlay) = &management.overlay else { return Vec::new() };
    let name_of = |line: usize| management.wires.lines.get(line).map(|line| line.plan.name.clone());
    let meeting = overlay.meeting(now).map(|meeting| overlay.neighbours[meeting].name.clone());
    let members = overlay.neighbours.iter().map(|neighbour| {
        let alive = |number: &&usize| overlay.sessions[**number].is_alive(now);
        let in_use = neighbour.sessions.iter().find(alive);
        let through = meeting.clone().filter(|_| in_use.is_none());
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
            name: neighbour.name.clone(),
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
