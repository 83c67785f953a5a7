//! Cables of LANs, pulled and plugged while the network runs; each is put back as it was.

use crate::kernel::Netlink;
use crate::lab::changes::Change;
use crate::lab::proofs::Context;
use crate::lab::segment::{Lan, Newcomer};
use crate::lab::wire::interface;
use crate::lab::{Lab, Segment, Wire};
use nix::errno::Errno;
use std::io;
use tsumugi_core::id::{IfName, Plane};

/// The two ends of a cable between two LANs.
const CABLE: [&str; 2] = ["cable0", "cable1"];

/// The LANs' side of a segment.
fn lans(lab: &Lab, segment: &Segment) -> io::Result<Netlink> {
    Netlink::open_in(&lab.namespace(&segment.machine, Plane::Management)?)
}

/// Pulls a cable and plugs it into another LAN (`None`: leaves it loose): its carrier goes and comes.
fn plug(lab: &Lab, segment: &Segment, cable: &IfName, into: Option<&IfName>) -> io::Result<()> {
    let mut netlink = lans(lab, segment)?;
    let index = netlink.index(cable)?;
    netlink.set_up(index, false)?;
    let bridge = into.map(|bridge| netlink.index(bridge)).transpose()?;
    netlink.set_master(index, bridge)?;
    if bridge.is_some() {
        netlink.set_up(index, true)?;
    }
    Ok(())
}

/// Plugs the host of one LAN into another.
pub fn move_host(context: &Context, segment: &Segment, from: &Lan, to: &Lan) -> io::Result<Change> {
    let (lab, at, cable, home) =
        (context.lab.clone(), segment.clone(), from.host_plug.clone(), from.bridge.clone());
    Change::make(
        move || plug(&lab, &at, &cable, Some(&home)),
        || plug(context.lab, segment, &from.host_plug, Some(&to.bridge)),
    )
}

/// Plugs a host that was nowhere into a LAN.
pub fn bring(context: &Context, segment: &Segment, newcomer: &Newcomer, to: &Lan) -> io::Result<Change> {
    let (lab, at, cable) = (context.lab.clone(), segment.clone(), newcomer.plug.clone());
    Change::make(
        move || plug(&lab, &at, &cable, None),
        || plug(context.lab, segment, &newcomer.plug, Some(&to.bridge)),
    )
}

/// A cable between two LANs.
pub fn join(context: &Context, segment: &Segment, lans_joined: [&Lan; 2]) -> io::Result<Change> {
    let (lab, at) = (context.lab.clone(), segment.clone());
    let pull = move || {
        let mut netlink = lans(&lab, &at)?;
        match netlink.index(&interface(CABLE[0])) {
            Ok(index) => Ok(netlink.delete_link(index)?),
            Err(error) if error.is(Errno::ENODEV) => Ok(()),
            Err(error) => Err(error.into()),
        }
    };
    Change::make(pull, || {
        let namespace = context.namespace(&segment.machine, Plane::Management)?;
        let mut netlink = Netlink::open_in(&namespace)?;
        let names = CABLE.map(interface);
        let end = |name| crate::kernel::link::WireEnd { name, namespace: &namespace, mac: None, mtu: 1500 };
        netlink.add_veth(&end(&names[0]), &end(&names[1]))?;
        for (name, lan) in names.iter().zip(lans_joined) {
            let (index, bridge) = (netlink.index(name)?, netlink.index(&lan.bridge)?);
            netlink.set_master(index, Some(bridge))?;
            netlink.set_up(index, true)?;
        }
        Ok(())
    })
}

/// Everything of a router falls silent, both ways: its links, its outside connections, its ports of
/// LANs. No carrier changes.
pub struct Dead {
    wires: Change,
    ports: Change,
}

impl Dead {
    pub fn make(context: &Context, router: &str) -> io::Result<Dead> {
        let touches = |wire: &&Wire| wire.ends.iter().any(|end| end.machine == router);
        let wires: Vec<&Wire> =
            context.lab.wires.iter().chain(context.lab.member_wires()).filter(touches).collect();
        let (lab, name) = (context.lab.clone(), router.to_owned());
        let ports = Change::make(move || silence(&lab, &name, false), || silence(context.lab, router, true))?;
        Ok(Dead { wires: context.lab.cut_for_a_while(&wires)?, ports })
    }

    /// # Errors
    /// What nft says.
    pub fn undo(self) -> io::Result<()> {
        let (wires, ports) = (self.wires.undo(), self.ports.undo());
        wires.and(ports)
    }
}

/// Drops what passes the cables between LANs and a router, or lets it pass again. What comes from it is
/// dropped before the LAN's switch learns of it: a dead router teaches nobody where its MACs are.
fn silence(lab: &Lab, router: &str, silent: bool) -> io::Result<()> {
    for segment in &lab.segments {
        let ends = segment.lans.iter().flat_map(|lan| &lan.ends).filter(|end| end.router == router);
        let plugs: Vec<String> = ends.map(|end| format!("\"{}\"", end.plug)).collect();
        if plugs.is_empty() {
            continue;
        }
        let plugs = plugs.join(", ");
        let table = format!("table bridge dead-{router}");
        let chain = |hook: &str, side: &str| {
            format!(
                " chain {hook} {{\n  type filter hook {hook} priority 0\n  {side} {{ {plugs} }} drop\n }}\n"
            )
        };
        let chain = chain("prerouting", "iifname") + &chain("postrouting", "oifname");
        // Made first, so that deleting it succeeds whether it stood or not.
        let again = if silent { format!("{table} {{\n{chain}}}\n") } else { String::new() };
        lab.nft(&segment.machine, &format!("{table}\ndelete {table}\n{again}"))?;
    }
    Ok(())
}
