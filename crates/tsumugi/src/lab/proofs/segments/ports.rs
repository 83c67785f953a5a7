//! Which ports of a segment forward: what stands in the kernel's walls, and what the routers say.

use crate::lab::proofs::{Context, sessions};
use crate::lab::segment::{Lan, LanEnd};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io;
use std::process::Stdio;
use tsumugi_core::desired::NFT_TABLE;
use tsumugi_core::evpn::BlockReason;
use tsumugi_core::id::{IfName, Plane};

use crate::kernel::port_sets::{BLOCKED, FORWARDING};

/// The end of a LAN, or the only one, that forwards by its kernel's walls.
pub fn forwards(context: &Context, lan: &Lan, end: &LanEnd) -> io::Result<bool> {
    if elements(context, &end.router, BLOCKED)?.contains(end.port.as_str()) {
        return Ok(false);
    }
    Ok(lan.ends.len() < 2 || elements(context, &end.router, FORWARDING)?.contains(end.port.as_str()))
}

/// The names in a set of a router's walls.
fn elements(context: &Context, router: &str, set: &str) -> io::Result<BTreeSet<String>> {
    let machine = context.machine(router)?;
    let mut command = machine.command(Plane::Fabric, "nft")?;
    command.args(["-j", "list", "set", "bridge", NFT_TABLE, set]).stdin(Stdio::null());
    let output = command.output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!(
            "nft in {router}: {}",
            said.lines().next().unwrap_or_default()
        )));
    }
    Ok(names(&serde_json::from_slice(&output.stdout)?))
}

fn names(document: &Value) -> BTreeSet<String> {
    let sets = document["nftables"].as_array().into_iter().flatten();
    let elements = sets.filter_map(|object| object["set"]["elem"].as_array()).flatten();
    // One with a time limit is an object with its value inside.
    let name = |element: &Value| element.as_str().or(element["elem"]["val"].as_str()).map(str::to_owned);
    elements.filter_map(name).collect()
}

/// Why a router says that a port of its own is blocked.
pub fn said_blocked(context: &Context, router: &str, port: &IfName) -> io::Result<Option<BlockReason>> {
    let status = sessions::status(context.machine(router)?)?;
    let segments = status.running.iter().flat_map(|running| &running.segments.segments);
    Ok(segments.flat_map(|it| &it.ports).find(|it| it.link == *port).and_then(|it| it.blocked.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_a_time() {
        let document = serde_json::json!({"nftables": [
            {"metainfo": {"version": "1"}},
            {"set": {"name": "forwarding", "elem": ["eth5", {"elem": {"val": "eth6", "timeout": 9}}]}}
        ]});
        assert_eq!(names(&document), BTreeSet::from(["eth5".to_owned(), "eth6".to_owned()]));
        assert!(names(&serde_json::json!({"nftables": [{"set": {"name": "blocked"}}]})).is_empty());
    }
}
