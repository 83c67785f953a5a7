//! The proofs of segments, each with what it watches broken.

use super::Test;
use super::lab::Lab;
use libtest_mimic::Failed;
use tsumugi_core::desired::{DropReason, Verdict};
use tsumugi_core::router_plan::RouterPlan;

pub const TESTS: &[(&str, Test)] = &[
    ("whole_segments", whole),
    ("vxlan_too_small", vxlan_too_small),
    ("flood_doubled", flood_doubled),
    ("standby_open", standby_open),
    ("stale_after_a_move", stale_after_a_move),
    ("gateway_that_crosses", gateway_that_crosses),
    ("guests_send_mail", guests_send_mail),
    ("nobody_guards", nobody_guards),
    ("nobody_takes_over", nobody_takes_over),
];

/// All that is about segments and does not break the network itself for a while.
const STILL: &[&str] = &["sessions", "segments", "segment-isolation", "flood-once"];

/// Nothing is broken: every proof holds.
fn whole(lab: &Lab) -> Result<(), Failed> {
    lab.prove(&[])?.only_fails(&[])
}

fn vxlan_too_small(lab: &Lab) -> Result<(), Failed> {
    let _undo = lab.replan("ra", |plan| {
        for link in plan.fabric.links.iter_mut().filter(|link| link.name.as_str() == "vx-club") {
            link.mtu = 1400;
        }
    })?;
    lab.until("ra", &["ip", "link", "show", "vx-club"], "mtu 1400")?;
    let found = lab.prove(STILL)?;
    found.only_fails(&["segments"])?;
    found.says("segments", "host-club-ra ⇄ host-club-rb", "a packet of 1500 bytes does not arrive")
}

/// Frames for everybody go to rb twice, by the usual way and by one that is stated.
fn flood_doubled(lab: &Lab) -> Result<(), Failed> {
    let entry = ["00:00:00:00:00:00", "dev", "vx-club", "dst", "43.228.174.130", "via", "gre-rb"];
    lab.exec("ra", &[&["bridge", "fdb", "append"][..], &entry].concat())?;
    let found = lab.prove(STILL);
    lab.exec("ra", &[&["bridge", "fdb", "del"][..], &entry].concat())?;
    let found = found?;
    found.only_fails(&["flood-once"])?;
    found.says("flood-once", "host-club-ra", "a broadcast arrived 2 times at host-club-rb")
}

/// Both ports of one LAN forward: the walls of the router that stands by do not close its port. (An
/// element added to the set of ports that forward would not stay: the router takes it out again.)
fn standby_open(lab: &Lab) -> Result<(), Failed> {
    let _undo = lab.replan("rb", |plan| {
        let walls = plan.fabric.segment_walls.iter_mut();
        for port in walls.flat_map(|wall| &mut wall.ports) {
            port.starts_blocked = false;
        }
    })?;
    let rules = ["nft", "list", "chain", "bridge", "tsumugi", "prerouting"];
    lab.until_not("rb", &rules, "@forwarding")?;
    // The other port of the LAN.
    lab.until("ra", &["nft", "list", "set", "bridge", "tsumugi", "forwarding"], "eth6")?;
    let found = lab.prove(&["flood-once"])?;
    found.only_fails(&["flood-once"])?;
    found.says("flood-once", "host-hall-ra", "a broadcast came back to its sender")
}

/// The router that a host leaves does not hear of it.
fn stale_after_a_move(lab: &Lab) -> Result<(), Failed> {
    signal(lab, "ra", "STOP")?;
    let found = lab.prove(&["mac-move"]);
    signal(lab, "ra", "CONT")?;
    let restored = lab.prove(&["sessions", "flood-once"])?;
    let found = found?;
    found.only_fails(&["mac-move"])?;
    found.says("mac-move", "host-club-ra", "stale after")?;
    found.says("mac-move", "host-club-ra", "ra: eth5")?;
    restored.only_fails(&[])
}

/// What is for the nearest gateway goes to other sites as well.
fn gateway_that_crosses(lab: &Lab) -> Result<(), Failed> {
    let unguard = |plan: &mut RouterPlan| {
        for wall in &mut plan.fabric.segment_walls {
            wall.gateway = None;
        }
    };
    let _undo = (lab.replan("ra", unguard)?, lab.replan("rb", unguard)?, lab.replan("rc", unguard)?);
    for router in ["ra", "rb", "rc"] {
        lab.until_not(
            router,
            &["nft", "list", "table", "bridge", "tsumugi"],
            "counter name \"gateway-frame\"",
        )?;
    }
    let found = lab.prove(STILL)?;
    found.only_fails(&["segment-isolation"])?;
    found.says("segment-isolation", "host-hall-rc: its gateway", "came to where it may not: host-hall-ra")
}

fn guests_send_mail(lab: &Lab) -> Result<(), Failed> {
    let allow = |plan: &mut RouterPlan| {
        let denied = Verdict::Drop { reason: DropReason::MailFromSegment };
        for wall in &mut plan.fabric.walls {
            wall.rules.retain(|rule| rule.verdict != denied);
        }
    };
    let _undo = lab.replan("rc", allow)?;
    lab.until_not("rc", &["nft", "list", "chain", "inet", "tsumugi", "forward"], "mail-from-segment")?;
    let found = lab.prove(STILL)?;
    found.only_fails(&["segment-isolation"])?;
    found.says("segment-isolation", "host-hall-rc: mail", "came to where it may not: host-up, TCP port 25")
}

/// A loop that no router looks for.
fn nobody_guards(lab: &Lab) -> Result<(), Failed> {
    for router in ["ra", "rb", "rc"] {
        signal(lab, router, "STOP")?;
    }
    let found = lab.prove(&["loop-guard"]);
    for router in ["ra", "rb", "rc"] {
        signal(lab, router, "CONT")?;
    }
    let restored = lab.prove(&["sessions", "flood-once"])?;
    let found = found?;
    found.only_fails(&["loop-guard"])?;
    found.says("loop-guard", "host-club-ra", "no port is blocked after")?;
    restored.only_fails(&[])
}

/// The router that stands by does not know the LAN.
fn nobody_takes_over(lab: &Lab) -> Result<(), Failed> {
    let _undo = lab.replan("rb", |plan| {
        for segment in &mut plan.evpn.segments {
            segment.ports.retain(|port| port.lan.is_none());
        }
    })?;
    let status =
        [env!("CARGO_BIN_EXE_tsumugi"), "--lang", "en", "status", "--state", "/run/tsumugi/state/rb"];
    lab.until_not("rb:management", &status, "standby")?;
    let found = lab.prove(&["gateway"])?;
    found.only_fails(&["gateway"])?;
    found.says("gateway", "host-hall-ra while its router is dead", "ra is dead, and after")
}

fn signal(lab: &Lab, router: &str, name: &str) -> Result<(), Failed> {
    let script = format!("kill -{name} $(cat /run/tsumugi/state/{router}/router.pid)");
    lab.exec(&format!("{router}:management"), &["sh", "-c", &script]).map(drop)
}
