//! The way out: what the fabric has put into a device, cut and wrapped, leaves by a line.

use super::batch::Destination;
use super::forward::{Buffers, Forwarding, Health, ROOM};
use super::line::Line;
use super::outbox::Outbox;
use super::socket::Senders;
use super::tunnel::{Inside, Tunnel};
use super::udp::Flow;
use nix::errno::Errno;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::time::Instant;
use tsumugi_core::router_plan::TunnelClamp;
use tsumugi_core::tunnel::{
    DropReason, Link, MAX_HEADERS, MAX_SHIM_LEN, Outer, Segments, VnetHeader, ecn, header,
};

/// Packets taken from one device before the others have their turn; a packet may be 64 KiB.
const BURST: usize = 64;

impl Forwarding {
    /// Sends what the fabric has put into a tunnel's device.
    pub fn on_device(&mut self, now: Instant, slot: usize) -> Health {
        let Some(Some(tunnel)) = self.tunnels.get_mut(slot) else { return Health::Well };
        let Some(line) = self.lines.get_mut(tunnel.line) else { return Health::Well };
        let buffers = &mut self.buffers;
        let mut end = 0;
        let mut health = Health::Well;
        for _ in 0..BURST {
            if buffers.outbox.is_full() || buffers.sealer.is_full() || buffers.packets.len() - end < ROOM {
                buffers.flush(tunnel, line);
                end = 0;
            }
            let Some(device) = &tunnel.device else { break };
            let len = match nix::unistd::read(device, &mut buffers.packets[end..end + ROOM]) {
                Ok(len) => len,
                Err(Errno::EAGAIN | Errno::EINTR) => break,
                // EBADFD: somebody has removed the interface.
                Err(_) => {
                    health = Health::Broken;
                    break;
                }
            };
            if let Err(reason) = buffers.take(now, tunnel, line, end..end + len) {
                tunnel.drops.count(reason);
            }
            end += len;
        }
        buffers.flush(tunnel, line);
        health
    }

    /// Sends what WireGuard owes because of the time.
    pub fn on_time(&mut self, now: Instant) {
        for tunnel in self.tunnels.iter_mut().flatten() {
            let Inside::WireGuard(wireguard) = &mut tunnel.inside else { continue };
            let Some(len) = wireguard.on_time(now, &mut self.opened) else { continue };
            match (wireguard.flow(0), self.lines.get_mut(tunnel.line)) {
                (Ok(flow), Some(line)) => self.buffers.send(tunnel, line, &flow, &self.opened[..len]),
                (Err(reason), _) => tunnel.drops.count(reason),
                (Ok(_), None) => {}
            }
        }
    }
}

impl Buffers {
    /// Puts what a device gave into the outbox: `read` is where it stands, the device's header first.
    fn take(
        &mut self,
        now: Instant,
        tunnel: &mut Tunnel,
        line: &mut Line,
        read: Range<usize>,
    ) -> Result<(), DropReason> {
        let link = Link::from(tunnel.carries_ethernet());
        let vnet = VnetHeader::parse(&self.packets[read.clone()])?;
        let frame = read.start + VnetHeader::LEN..read.end;
        let class = ecn::outer_class(link, &self.packets[frame.clone()]);
        if vnet.cut.is_some() {
            return self.cut(now, tunnel, line, (link, vnet, class), frame);
        }
        let bytes = &mut self.packets[frame.clone()];
        vnet.complete(bytes)?;
        if let Some(clamp) = tunnel.path.force.clamp {
            clamp.apply(link, bytes);
        }
        match &mut tunnel.inside {
            &mut Inside::Shim(shim) => {
                let mut header = header(shim, bytes)?;
                let outer = planned(tunnel)?.with_traffic_class(class);
                shim.complete(&outer, header.bytes_mut(), bytes)?;
                let (_, numbers) = line.senders(tunnel.plan.outer_ipv6)?;
                self.outbox.push(&outer, numbers, header.bytes(), &frame, frame.len())
            }
            Inside::WireGuard(_) => {
                self.sealer.push(now, (tunnel, line, &mut self.outbox), &self.packets[frame], class)
            }
            Inside::Kernel => Ok(()),
        }
    }

    /// The same for a packet that the device has left to be cut.
    fn cut(
        &mut self,
        now: Instant,
        tunnel: &mut Tunnel,
        line: &mut Line,
        (link, vnet, class): (Link, VnetHeader, u8),
        frame: Range<usize>,
    ) -> Result<(), DropReason> {
        let bytes = &self.packets[frame.clone()];
        let mut segments = Segments::new(link, &vnet, bytes)?;
        if tunnel.plan.clamp == TunnelClamp::Recut {
            segments = segments.fitting(tunnel.path.force.fits);
        }
        let headers_len = segments.headers_len();
        match &mut tunnel.inside {
            &mut Inside::Shim(shim) => {
                let header = header(shim, bytes)?;
                let outer = planned(tunnel)?.with_traffic_class(class);
                let (_, numbers) = line.senders(tunnel.plan.outer_ipv6)?;
                let mut head = [0; MAX_SHIM_LEN + MAX_HEADERS];
                let shim_len = header.bytes().len();
                head[..shim_len].copy_from_slice(header.bytes());
                while let Some(payload) = segments.next(&mut head[shim_len..]) {
                    let body = frame.start + payload.start..frame.start + payload.end;
                    let inner_len = headers_len + body.len();
                    let head = &mut head[..shim_len + headers_len];
                    shim.complete(&outer, head, &bytes[payload])?;
                    self.outbox.push(&outer, numbers, head, &body, inner_len)?;
                }
            }
            Inside::WireGuard(_) => {
                while let Some(payload) = segments.next(&mut self.whole) {
                    let len = headers_len + payload.len();
                    self.whole[headers_len..len].copy_from_slice(&bytes[payload]);
                    let outside = (&mut *tunnel, &mut *line, &mut self.outbox);
                    self.sealer.push(now, outside, &self.whole[..len], class)?;
                }
            }
            Inside::Kernel => {}
        }
        Ok(())
    }

    /// Sends what is in the outbox: all of it is one tunnel's.
    pub fn flush(&mut self, tunnel: &mut Tunnel, line: &mut Line) {
        self.sealer.flush(tunnel);
        send_pieces((&mut self.outbox, &self.packets), tunnel, line, |senders| &senders.bulk);
    }

    /// Sends a message of WireGuard's own.
    pub fn send(&mut self, tunnel: &mut Tunnel, line: &mut Line, flow: &Flow, message: &[u8]) {
        let to = flow.to.ip();
        let result = tunnel.outer(flow.from, to).and_then(|outer| {
            let Inside::WireGuard(wireguard) = &tunnel.inside else { return Ok(()) };
            let (senders, numbers) = line.senders(to.is_ipv6())?;
            let datagram = self.sealer.wrap(wireguard, flow, message)?;
            self.outbox.push(&outer, numbers, datagram, &(0..0), 0)?;
            self.outbox.flush(&senders.urgent, &Destination::from(to), &[], &mut tunnel.drops);
            Ok(())
        });
        if let Err(reason) = result {
            tunnel.drops.count(reason);
        }
    }
}

/// Sends what is in the outbox, which is all of one tunnel's: past the stack where the next hop is known,
/// else through it. The bytes are those that the outbox has ranges of.
pub fn send_pieces(
    (outbox, bytes): (&mut Outbox, &[u8]),
    tunnel: &mut Tunnel,
    line: &mut Line,
    socket: impl Fn(&Senders) -> &OwnedFd,
) {
    if let (Some(packets), Some(destination)) = (&line.packets, tunnel.next_hop) {
        let sent = outbox.flush(socket(&packets.senders), &destination, bytes, &mut tunnel.drops);
        tunnel.sent.add(sent);
    } else if let (_, Some(to)) = tunnel.ends()
        && let Ok((senders, _)) = line.senders(to.is_ipv6())
    {
        let sent = outbox.flush(socket(senders), &Destination::from(to), bytes, &mut tunnel.drops);
        tunnel.sent.add(sent);
    }
    outbox.clear();
}

/// The outer packets of a tunnel whose ends the plan says.
pub fn planned(tunnel: &Tunnel) -> Result<Outer, DropReason> {
    let (Some(from), Some(to)) = tunnel.ends() else { return Err(DropReason::NoRemote) };
    tunnel.outer(from, to)
}
