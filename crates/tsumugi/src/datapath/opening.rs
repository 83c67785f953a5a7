//! The way in by WireGuard: what a tunnel's own socket has heard is opened, as `sealing` seals it.

use super::batch::{Arrival, BATCH, Beside, Inbox};
use super::forward::{BATCHES, Foreign, Forwarding, Health};
use super::inward::take_in;
use super::tunnel::Inside;
use super::wireguard::Opened;
use std::os::fd::AsFd;
use std::time::Instant;
use tsumugi_core::tunnel::DropReason;

/// Messages for another process that may wait; those beyond are dropped.
pub const FOREIGN: usize = 4096;

impl Forwarding {
    /// Takes in what has come by a tunnel's own UDP socket.
    pub fn on_datagrams(&mut self, now: Instant, slot: usize) -> Health {
        for _ in 0..BATCHES {
            let Some(Some(tunnel)) = self.tunnels.get(slot) else { break };
            let Inside::WireGuard(wireguard) = &tunnel.inside else { break };
            let Some(socket) = &wireguard.socket else { break };
            let count = match self.inbox.receive(socket.as_fd(), Beside::Ends) {
                Ok(count) => count,
                Err(_) => return Health::Broken,
            };
            let mut end = 0;
            for at in 0..count {
                match self.inbox.arrival(at) {
                    Some(arrival) => self.open(now, slot, &arrival, &mut end),
                    None => self.count_on_line(slot, DropReason::TooLarge),
                }
            }
            self.delivery.flush(now, &mut self.tunnels, &mut self.opened, &mut self.buffers.round);
            if count < BATCH {
                break;
            }
        }
        Health::Well
    }

    /// Takes in one message of WireGuard that another process has received.
    pub fn on_passed(&mut self, now: Instant, slot: usize, mut arrival: Arrival, message: &[u8]) {
        if message.len() > Inbox::room(0).len() {
            return;
        }
        arrival.at = 0..message.len();
        self.inbox.buffer[arrival.at.clone()].copy_from_slice(message);
        self.open(now, slot, &arrival, &mut 0);
        self.delivery.flush(now, &mut self.tunnels, &mut self.opened, &mut self.buffers.round);
    }

    /// Opens the datagrams of one arrival. What is opened stands in `opened` from `end` on, which moves
    /// behind it: there is room, as nothing that is opened is larger than it was.
    fn open(&mut self, now: Instant, slot: usize, arrival: &Arrival, end: &mut usize) {
        let Some(Some(tunnel)) = self.tunnels.get_mut(slot) else { return };
        for at in arrival.datagrams() {
            let Inside::WireGuard(wireguard) = &mut tunnel.inside else { return };
            let datagram = &self.inbox.buffer[at];
            if let Some(waiting) = &mut self.for_another
                && !wireguard.is_stranger(arrival.source.ip())
                && wireguard.is_of_another(datagram)
            {
                if waiting.len() < FOREIGN {
                    waiting.push(Foreign { slot, arrival: arrival.clone(), message: datagram.to_vec() });
                } else {
                    tunnel.drops.count(DropReason::NoSession);
                }
                continue;
            }
            match wireguard.open(now, arrival, datagram, &mut self.opened[*end..]) {
                Ok(Opened::Packet(inner)) => {
                    let inner = *end + inner.start..*end + inner.end;
                    *end = inner.end;
                    let class = arrival.traffic_class;
                    let frame = &self.opened[inner.clone()];
                    if self.buffers.attend(now, (slot, tunnel), &mut self.lines, frame) {
                        continue;
                    }
                    take_in(&mut self.delivery, slot, tunnel, class, &mut self.opened, inner);
                }
                Ok(Opened::Answer(answer, flow)) => {
                    tunnel.hear(now, &mut self.buffers.round);
                    let message = &self.opened[*end + answer.start..*end + answer.end];
                    if let Some(line) = self.lines.get_mut(tunnel.line) {
                        self.buffers.send(tunnel, line, &flow, message);
                    }
                }
                Ok(Opened::Nothing) => tunnel.hear(now, &mut self.buffers.round),
                Err(reason) => {
                    // A stranger is nobody's in particular.
                    let of_far_end = wireguard.is_from_far_end(arrival.source.ip());
                    let line = self.lines.get_mut(tunnel.line).filter(|_| !of_far_end);
                    line.map_or(&mut tunnel.drops, |line| &mut line.drops).count(reason);
                }
            }
        }
    }

    /// Counts what came by a tunnel's socket, and of which nothing is known.
    fn count_on_line(&mut self, slot: usize, reason: DropReason) {
        let Some(Some(tunnel)) = self.tunnels.get(slot) else { return };
        if let Some(line) = self.lines.get_mut(tunnel.line) {
            line.drops.count(reason);
        }
    }
}
