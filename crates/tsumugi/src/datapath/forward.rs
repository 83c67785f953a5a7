//! The packets' journey: from a device out by a line, and from a line in to a device.

use super::line::Line;
use super::socket::{self, Arrival, CONTROL_LEN};
use super::table::{Ends, Table};
use super::tunnel::{Inside, Tunnel};
use super::wireguard::{Opened, ToSend};
use nix::errno::Errno;
use std::net::IpAddr;
use std::ops::Range;
use std::time::Instant;
use tsumugi_core::tunnel::{DropReason, MAX_SHIM_LEN, decapsulate, ecn, encapsulate};
use tsumugi_core::wire::{ip, ipv4};

/// Packets taken from one descriptor before the others have their turn.
const BURST: usize = 64;
/// The largest packet there is, with room for our headers.
const BUFFER: usize = 65_536 + 128;

/// The lines and tunnels of the plan by slot, and the buffers that packets pass through.
pub struct Forwarding {
    pub lines: Vec<Line>,
    /// A slot stays empty once its tunnel is gone, so that no other slot changes.
    pub tunnels: Vec<Option<Tunnel>>,
    pub table: Table,
    packet: Vec<u8>,
    /// What WireGuard makes of the packet.
    sealed: Vec<u8>,
    control: [u8; CONTROL_LEN],
}

/// What happened to a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Well,
    /// It has to be opened anew.
    Broken,
}

impl Forwarding {
    pub fn new() -> Forwarding {
        Forwarding {
            lines: Vec::new(),
            tunnels: Vec::new(),
            table: Table::default(),
            packet: vec![0; BUFFER],
            sealed: vec![0; BUFFER],
            control: [0; CONTROL_LEN],
        }
    }

    /// Sends what the fabric has put into a tunnel's device.
    pub fn on_device(&mut self, now: Instant, slot: usize) -> Health {
        let Some(Some(tunnel)) = self.tunnels.get_mut(slot) else { return Health::Well };
        let Some(line) = self.lines.get_mut(tunnel.line) else { return Health::Well };
        for _ in 0..BURST {
            let Some(device) = &tunnel.device else { return Health::Well };
            let len = match nix::unistd::read(device, &mut self.packet[MAX_SHIM_LEN..]) {
                Ok(len) => len,
                Err(Errno::EAGAIN | Errno::EINTR) => return Health::Well,
                // EBADFD: somebody has removed the interface.
                Err(_) => return Health::Broken,
            };
            let inner = MAX_SHIM_LEN..MAX_SHIM_LEN + len;
            match send(now, tunnel, line, &mut self.packet, inner, &mut self.sealed) {
                Ok(()) => tunnel.sent.count(len),
                Err(reason) => tunnel.drops.count(reason),
            }
        }
        Health::Well
    }

    /// Takes in what has come by one of a line's raw sockets.
    pub fn on_line(&mut self, now: Instant, line: usize, receiver: usize) -> Health {
        for _ in 0..BURST {
            let Some(from) = self.lines.get_mut(line) else { return Health::Well };
            let Some(receiver) = from.receivers.get(receiver) else { return Health::Well };
            let arrival = match socket::receive(&receiver.socket, &mut self.packet, &mut self.control) {
                Ok(Some(arrival)) => arrival,
                Ok(None) => return Health::Well,
                Err(_) => return Health::Broken,
            };
            let protocol = receiver.protocol;
            let found = if receiver.ipv6 {
                locate_v6(&arrival, &self.packet)
            } else {
                locate_v4(&self.packet[..arrival.len])
            };
            let found = found.and_then(|outer| {
                let (shim, inner) = decapsulate(protocol, &self.packet[outer.payload.clone()])?;
                let ends = Ends { line, local: outer.destination, remote: outer.source };
                let inner = outer.payload.start + inner.start..outer.payload.start + inner.end;
                Ok((self.table.find(ends, shim)?, outer.traffic_class, inner))
            });
            match found {
                Ok((slot, class, inner)) => self.deliver(now, slot, class, inner, From::Line),
                Err(reason) => from.drops.count(reason),
            }
        }
        Health::Well
    }

    /// Takes in what has come by a tunnel's own UDP socket.
    pub fn on_datagrams(&mut self, now: Instant, slot: usize) -> Health {
        for _ in 0..BURST {
            let Some(Some(tunnel)) = self.tunnels.get_mut(slot) else { return Health::Well };
            let Inside::WireGuard(wireguard) = &mut tunnel.inside else { return Health::Well };
            let Some(socket) = &wireguard.socket else { return Health::Well };
            let arrival = match socket::receive(socket, &mut self.packet, &mut self.control) {
                Ok(Some(arrival)) => arrival,
                Ok(None) => return Health::Well,
                Err(_) => return Health::Broken,
            };
            match wireguard.open(now, &arrival, &self.packet[..arrival.len], &mut self.sealed) {
                Ok(Opened::Packet(at)) => self.deliver(now, slot, arrival.traffic_class, at, From::WireGuard),
                Ok(opened) => {
                    tunnel.last_heard = Some(now);
                    if let Opened::Answer(answer) = opened {
                        self.send_message(slot, &answer);
                    }
                }
                Err(reason) => tunnel.drops.count(reason),
            }
        }
        Health::Well
    }

    /// Sends what WireGuard owes because of the time.
    pub fn on_time(&mut self, now: Instant) {
        for slot in 0..self.tunnels.len() {
            let Some(Some(tunnel)) = self.tunnels.get_mut(slot) else { continue };
            let Inside::WireGuard(wireguard) = &mut tunnel.inside else { continue };
            if let Some(message) = wireguard.on_time(now, &mut self.sealed) {
                self.send_message(slot, &message);
            }
        }
    }

    /// Sends a message of WireGuard's own that stands in `sealed`.
    fn send_message(&mut self, slot: usize, message: &ToSend) {
        let Some(Some(tunnel)) = self.tunnels.get_mut(slot) else { return };
        let Some(line) = self.lines.get_mut(tunnel.line) else { return };
        let sent = tunnel
            .outer(message.from, message.to)
            .and_then(|outer| line.send(&outer, &self.sealed[message.at.clone()]));
        if let Err(reason) = sent {
            tunnel.drops.count(reason);
        }
    }

    /// Hands an inner packet to the fabric.
    fn deliver(&mut self, now: Instant, slot: usize, class: u8, inner: Range<usize>, from: From) {
        let Some(Some(tunnel)) = self.tunnels.get_mut(slot) else { return };
        if matches!(tunnel.inside, Inside::Kernel) {
            return;
        }
        let buffer = match from {
            From::Line => &mut self.packet,
            From::WireGuard => &mut self.sealed,
        };
        let inner = &mut buffer[inner];
        tunnel.last_heard = Some(now);
        let carried = if tunnel.carries_ethernet() { Ok(()) } else { ecn::carry_in(class, inner) };
        let delivered = carried.and_then(|()| {
            let device = tunnel.device.as_ref().ok_or(DropReason::DeviceFailed)?;
            nix::unistd::write(device, inner).map_err(|_| DropReason::DeviceFailed)
        });
        match delivered {
            Ok(_) => tunnel.received.count(inner.len()),
            Err(reason) => tunnel.drops.count(reason),
        }
    }
}

/// Which buffer an inner packet stands in.
#[derive(Clone, Copy)]
enum From {
    Line,
    WireGuard,
}

/// Sends one inner packet that stands in `packet` behind room for a tunnel header.
fn send(
    now: Instant,
    tunnel: &mut Tunnel,
    line: &mut Line,
    packet: &mut [u8],
    inner: Range<usize>,
    sealed: &mut [u8],
) -> Result<(), DropReason> {
    let class = if tunnel.carries_ethernet() { 0 } else { ecn::outer_class(&packet[inner.clone()]) };
    match &mut tunnel.inside {
        &mut Inside::Shim(shim) => {
            let (Some(from), Some(to)) = tunnel.ends() else { return Err(DropReason::NoRemote) };
            let payload = encapsulate(shim, packet, inner)?;
            let outer = tunnel.outer(from, to)?.with_traffic_class(class);
            line.send(&outer, &packet[payload])
        }
        Inside::WireGuard(wireguard) => {
            let message = wireguard.seal(now, &packet[inner], sealed)?;
            let outer = tunnel.outer(message.from, message.to)?.with_traffic_class(class);
            line.send(&outer, &sealed[message.at])
        }
        Inside::Kernel => Ok(()),
    }
}

/// An outer packet, as its raw socket gave it.
struct Outside {
    source: IpAddr,
    destination: IpAddr,
    traffic_class: u8,
    /// Where in the buffer.
    payload: Range<usize>,
}

/// Raw IPv4 sockets give the packet with its header.
fn locate_v4(bytes: &[u8]) -> Result<Outside, DropReason> {
    let packet = ipv4::Packet::new_checked(bytes)?;
    Ok(Outside {
        source: packet.source().into(),
        destination: packet.destination().into(),
        traffic_class: packet.traffic_class(),
        payload: packet.header_len()..packet.total_len(),
    })
}

/// Raw IPv6 sockets give what follows the headers, and tell the rest beside it.
fn locate_v6(arrival: &Arrival, bytes: &[u8]) -> Result<Outside, DropReason> {
    debug_assert!(arrival.len <= bytes.len() && ip::version(bytes).is_some());
    Ok(Outside {
        source: arrival.source.ip(),
        destination: arrival.destination.ok_or(DropReason::UnknownSource)?,
        traffic_class: arrival.traffic_class,
        payload: 0..arrival.len,
    })
}
