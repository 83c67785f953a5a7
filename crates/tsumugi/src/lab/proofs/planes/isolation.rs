//! Nothing sent from the fabric, the underlay or outside arrives in a management plane.

use super::{Context, subjects};
use crate::lab::capture::{PacketSocket, Recorder, Seen};
use crate::lab::probe::echo::MARK;
use crate::lab::probe::forge::{Content, Forger, nobodys, packet};
use crate::lab::report::{Finding, ProofId, Row, Verdict};
use crate::lab::{Machine, MachineRole};
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use tsumugi_core::id::Plane;
use tsumugi_core::wire::ip::{Packet, protocol};

/// How long packets may be on their way.
const QUIET: Duration = Duration::from_millis(300);

pub fn prove(context: &Context) -> Row {
    Row::new(ProofId::Planes, "fabric, underlay, outside → management", judge(context))
}

/// Where packets are sent from: a machine, one of its planes, and an address of it.
struct Place {
    machine: String,
    plane: Plane,
    source: IpAddr,
    /// Bytes of the echo request's identifier: tells the place of what arrives.
    identifier: u16,
}

fn judge(context: &Context) -> Verdict {
    let watched = watched(context);
    let mut sockets = Vec::new();
    for machine in &watched {
        sockets.push(context.within(&machine.name, Plane::Management, || PacketSocket::open(None))?);
    }
    let places = places(context);
    let recorder = Recorder::start(sockets);
    let mut packets = 0;
    for place in &places {
        packets += send(context, place)?;
    }
    std::thread::sleep(QUIET);
    let seen = recorder.finish()?;
    let arrived = arrivals(&seen, &places, &watched);
    if arrived.is_empty() {
        Ok(Finding::NothingCrossed { packets, places: places.len() })
    } else {
        Err(Finding::Crossed(arrived))
    }
}

/// Everybody who has a management plane.
fn watched<'a>(context: &Context<'a>) -> Vec<&'a Machine> {
    let roles = [MachineRole::Router, MachineRole::Device, MachineRole::Laptop];
    context.lab.machines.values().filter(|machine| roles.contains(&machine.role)).collect()
}

fn places(context: &Context) -> Vec<Place> {
    let base: u16 = rand::random();
    let mut places: Vec<Place> = Vec::new();
    let mut add = |machine: &str, plane, source: IpAddr| {
        let identifier = base.wrapping_add(places.len() as u16);
        places.push(Place { machine: machine.into(), plane, source, identifier });
    };
    for router in context.routers() {
        for loopback in context.loopbacks(router) {
            add(&router.name, Plane::Fabric, loopback);
        }
    }
    for line in context.lab.lines.iter().filter(|line| line.plane == Plane::Underlay) {
        let routed = context.machine(&line.machine).is_ok_and(|machine| machine.role == MachineRole::Router);
        for own in line.addresses.iter().filter(|_| routed) {
            add(&line.machine, Plane::Underlay, own.addr());
        }
    }
    for peer in &context.lab.peers {
        for address in &peer.addresses {
            add(&peer.machine, Plane::Fabric, *address);
        }
    }
    for guest in &context.lab.guests {
        for address in &guest.addresses {
            add(&guest.machine, Plane::Management, address.addr());
        }
    }
    for stranger in context.lab.machines_of(MachineRole::Stranger) {
        for address in &stranger.addresses {
            add(&stranger.name, Plane::Management, *address);
        }
    }
    places
}

/// To every router and device and to somebody who is nowhere, whom only a way that should not be there
/// leads to; once with the place's own source and once with a false one from the management plane.
/// Packets that find no route have not crossed either.
fn send(context: &Context, place: &Place) -> io::Result<usize> {
    let ipv6 = place.source.is_ipv6();
    let destinations = destinations(context, place);
    let forger = context.within(&place.machine, place.plane, || Forger::open(ipv6, None))?;
    let mut count = 0;
    for (index, destination) in destinations.iter().enumerate() {
        let false_source = destinations[(index + 1) % destinations.len()];
        for source in [place.source, false_source] {
            let content = Content::Echo { identifier: place.identifier };
            if let Some(bytes) = packet(source, *destination, &content) {
                let _ = forger.send(*destination, &bytes);
                count += 1;
            }
        }
    }
    Ok(count)
}

/// In the management plane: the management space, which is IPv6, and of IPv4 the repair lines. What
/// the underlay brings to those lines is for their own walls.
fn destinations(context: &Context, place: &Place) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = subjects(context).into_iter().map(|(_, address)| address).collect();
    if place.plane == Plane::Fabric {
        let lines = context.lab.lines.iter().filter(|line| line.plane == Plane::Management);
        found.extend(lines.flat_map(|line| &line.addresses).map(|own| own.addr()));
    }
    found.push(nobodys(place.source.is_ipv6()));
    found.retain(|address| address.is_ipv6() == place.source.is_ipv6());
    found
}

/// Our packets among those that came in by any device of a management plane.
fn arrivals(seen: &[Seen], places: &[Place], watched: &[&Machine]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for seen in seen.iter().filter(|seen| !seen.leaving) {
        let Some(identifier) = identifier_of(&seen.bytes) else { continue };
        let place = places.iter().find(|place| place.identifier == identifier);
        if let (Some(place), Some(machine)) = (place, watched.get(seen.place)) {
            let words = format!("{} ({}) → {}", place.machine, place.plane, machine.name);
            if !found.contains(&words) {
                found.push(words);
            }
        }
    }
    found
}

/// The identifier of an echo request of ours.
fn identifier_of(bytes: &[u8]) -> Option<u16> {
    let packet = Packet::new_checked(bytes).ok()?;
    let icmp = match &packet {
        Packet::V4(v4) if v4.protocol() == protocol::ICMP => v4.payload(),
        Packet::V6(v6) if v6.next_header() == protocol::ICMPV6 => v6.payload(),
        _ => return None,
    };
    let marked = icmp.get(8..8 + MARK.len()) == Some(MARK.as_slice());
    let &[_, _, _, _, high, low] = icmp.first_chunk::<6>()?;
    marked.then(|| u16::from_be_bytes([high, low]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_are_known_by_mark_and_identifier() {
        for (a, b) in [("fd00::1", "fd00::2"), ("10.0.0.1", "10.0.0.2")] {
            let (a, b): (IpAddr, IpAddr) = (a.parse().unwrap(), b.parse().unwrap());
            let bytes = packet(a, b, &Content::Echo { identifier: 0x1234 }).unwrap();
            assert_eq!(identifier_of(&bytes), Some(0x1234));
            assert_eq!(identifier_of(&bytes[..bytes.len() - 1]), None);
            let other = packet(a, b, &Content::Udp { source_port: 1, port: 2 }).unwrap();
            assert_eq!(identifier_of(&other), None);
        }
    }
}
