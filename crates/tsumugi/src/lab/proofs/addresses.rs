//! In the fabric stand no addresses but loopbacks, link-local ones, those of outside
//! connections and the gateways of segments.

use super::Context;
use crate::kernel::netlink::Netlink;
use crate::lab::Machine;
use crate::lab::report::{Finding, ProofId, Row, Verdict};
use std::collections::BTreeSet;
use std::net::IpAddr;
use tsumugi_core::id::Plane;

pub fn prove(context: &Context) -> Vec<Row> {
    context
        .routers()
        .into_iter()
        .map(|router| Row::new(ProofId::Addresses, &router.name, judge(context, router)))
        .collect()
}

/// What the kernel holds, compared with what the file gives the router.
fn judge(context: &Context, router: &Machine) -> Verdict {
    let namespace = context.namespace(&router.name, Plane::Fabric)?;
    let mut netlink = Netlink::open_in(&namespace).map_err(Finding::from)?;
    let links = netlink.links().map_err(|error| Finding::Failed(error.to_string()))?;
    let found = netlink.addresses().map_err(|error| Finding::Failed(error.to_string()))?;
    let name_of = |index: u32| {
        let link = links.iter().find(|link| link.index == index);
        link.map_or_else(|| format!("#{index}"), |link| link.name.to_string())
    };
    let mut due: BTreeSet<(String, IpAddr)> =
        context.loopbacks(router).into_iter().map(|address| ("lo".into(), address)).collect();
    for peer in context.lab.peers.iter().filter(|peer| peer.router == router.name) {
        let wires = context.lab.wires.iter().filter(|wire| wire.outside);
        let interface = wires
            .filter(|wire| wire.ends[0].machine == router.name && wire.ends[1].machine == peer.machine)
            .map(|wire| wire.ends[0].interface.to_string())
            .next();
        let interface = interface.unwrap_or_default();
        due.extend(peer.router_addresses.iter().map(|address| (interface.clone(), *address)));
    }
    let mut gateways: BTreeSet<(String, IpAddr)> = BTreeSet::new();
    for segment in &context.lab.segments {
        let Some(carrier) = segment.carrier(&router.name) else { continue };
        gateways.extend(segment.gateways.iter().map(|it| (carrier.bridge.to_string(), it.addr())));
    }
    due.extend(gateways.iter().cloned());
    let (mut loopback, mut link_local, mut outside, mut strays) = (0, 0, 0, Vec::new());
    for address in found {
        let (link, ip) = (name_of(address.link), address.prefix.addr());
        let named = (link.clone(), ip);
        if due.remove(&named) {
            match link.as_str() {
                "lo" => loopback += 1,
                _ if gateways.contains(&named) => {}
                _ => outside += 1,
            }
        } else if is_link_local(ip) {
            link_local += 1;
        } else if !(link == "lo" && ip.is_loopback()) {
            strays.push(format!("{} ({link})", address.prefix));
        }
    }
    if !strays.is_empty() {
        return Err(Finding::Strays(strays));
    }
    if !due.is_empty() {
        return Err(Finding::Absent(due.iter().map(|(link, ip)| format!("{ip} ({link})")).collect()));
    }
    Ok(Finding::Addresses { loopback, link_local, outside, gateways: gateways.len() })
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}
