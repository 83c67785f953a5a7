//! The way in: what a line has heard, put together and unwrapped, goes into its tunnel's device.

use super::batch::{BATCH, Beside, Inbox};
use super::delivery::Delivery;
use super::forward::{BATCHES, Forwarding, Health, core_time};
use super::line::Packets;
use super::outside::{Outside, State};
use super::table::Ends;
use super::tunnel::{Inside, Tunnel};
use nix::errno::Errno;
use std::ops::Range;
use std::os::fd::AsFd;
use std::time::Instant;
use tsumugi_core::time;
use tsumugi_core::tunnel::{DropReason, Link, Part, Received, decapsulate, decapsulate_datagram, ecn};
use tsumugi_core::wire::ip;

/// The pieces of a datagram leave one after the other; one that comes so much later will not come. A busy
/// machine may look away for some tens of milliseconds between the two, and waiting costs nothing: the
/// one who waits forwards on.
const ON_THEIR_WAY: time::Duration = time::Duration::from_millis(60);

/// An inner packet that has come.
struct Found {
    slot: usize,
    /// DSCP and ECN of the outer packet.
    class: u8,
    inner: Range<usize>,
    /// As old BSDs send it.
    reversed: bool,
}

impl Forwarding {
    /// Takes in what has come by one of a line's raw sockets.
    pub fn on_line(&mut self, now: Instant, slot: usize, receiver: usize) -> Health {
        for _ in 0..BATCHES {
            match self.batch_of_line(now, slot, receiver) {
                Ok(BATCH) => {}
                Ok(_) => break,
                Err(_) => return Health::Broken,
            }
        }
        Health::Well
    }

    /// One batch of them; how many there were.
    pub fn batch_of_line(&mut self, now: Instant, slot: usize, receiver: usize) -> nix::Result<usize> {
        let Some(line) = self.lines.get(slot) else { return Ok(0) };
        let Some(receiver) = line.receivers.get(receiver) else { return Ok(0) };
        let count = self.inbox.receive(receiver.socket.as_fd(), Beside::Ends)?;
        let (ipv6, protocol) = (receiver.ipv6, receiver.protocol);
        for at in 0..count {
            let Some(arrival) = self.inbox.arrival(at) else {
                self.settle(now, slot, Err(DropReason::TooLarge));
                continue;
            };
            // Of UDP the kernel may have merged several.
            for at in arrival.datagrams() {
                let outer = match (protocol, ipv6) {
                    (ip::protocol::UDP, _) => Outside::of_told(&arrival, at, State::Datagram),
                    (_, true) => Outside::of_told(&arrival, at, State::Unchecked),
                    (_, false) => Outside::of_v4(&self.inbox.buffer, at),
                };
                let found = outer.and_then(|outer| self.find(slot, protocol, &outer).map(Some));
                self.settle(now, slot, found);
            }
        }
        self.delivery.flush(now, &mut self.tunnels, &mut self.inbox.buffer, &mut self.buffers.round);
        Ok(count)
    }

    /// Takes in what has come by one of a line's packet sockets, past the stack: whole packets and pieces.
    pub fn on_packets(&mut self, now: Instant, slot: usize, control: bool) -> Health {
        for _ in 0..BATCHES {
            match self.batch_of_packets(now, slot, control) {
                Ok(BATCH) => {}
                // The interface is down: told once; the socket hears again when it is up again.
                Ok(_) | Err(Errno::ENETDOWN) => break,
                Err(_) => return Health::Broken,
            }
        }
        Health::Well
    }

    /// One batch of them; how many there were.
    pub fn batch_of_packets(&mut self, now: Instant, slot: usize, control: bool) -> nix::Result<usize> {
        let Some(line) = self.lines.get(slot) else { return Ok(0) };
        let Some(packets) = &line.packets else { return Ok(0) };
        let learns = line.learns;
        let socket = if control { &packets.control } else { &packets.receiver };
        let beside = if packets.hears_geneve() { Beside::Ends } else { Beside::Nothing };
        let count = self.inbox.receive(socket.as_fd(), beside)?;
        let line = &mut self.lines[slot];
        if let Some(packets) = &mut line.packets {
            let emptied = packets.was_emptied(control, now, count < BATCH);
            line.reassembly.was_emptied(core_time(self.started, emptied));
        }
        let mut at = 0;
        while at < count {
            let (taken, outer) = self.piece(now, slot, at, count);
            at += taken;
            if learns {
                continue;
            }
            let found = outer.and_then(|outer| match outer {
                Some((protocol, outer)) => self.find(slot, protocol, &outer).map(Some),
                None => Ok(None),
            });
            self.settle(now, slot, found);
        }
        self.delivery.flush(now, &mut self.tunnels, &mut self.inbox.buffer, &mut self.buffers.round);
        Ok(count)
    }

    /// Looks at the packet `at` of a batch of `count`, and at the next one if they are the two pieces of
    /// a datagram, which most are that come in pieces. Says how many packets were looked at, and where
    /// in the buffer the datagram stands if it is whole and may be a tunnel's.
    fn piece(
        &mut self,
        now: Instant,
        slot: usize,
        at: usize,
        count: usize,
    ) -> (usize, Result<Option<(u8, Outside)>, DropReason>) {
        let Some(line) = self.lines.get_mut(slot) else { return (1, Ok(None)) };
        let parse = |at: usize| {
            let place = self.inbox.place(at).ok_or(DropReason::TooLarge)?;
            let mut part = Part::parse(&self.inbox.buffer[place.clone()])?;
            part.payload = place.start + part.payload.start..place.start + part.payload.end;
            Ok(part)
        };
        let part: Part = match parse(at) {
            Ok(part) => part,
            Err(reason) => return (1, Err(reason)),
        };
        let outside = |class: u8, payload: Range<usize>| Outside {
            source: part.source,
            destination: part.destination,
            traffic_class: class,
            payload,
            state: State::Unchecked,
        };
        // A fragment of UDP may be of GENEVE, where there is such a tunnel, or of anything else.
        let is_udp = part.protocol == ip::protocol::UDP;
        let hears_geneve = line.packets.as_ref().is_some_and(Packets::hears_geneve);
        if !part.may_be_of_a_tunnel() || is_udp && !hears_geneve {
            return (1, Ok(None));
        }
        if part.is_whole() {
            let state = if self.inbox.is_checked(at) { State::Checked } else { State::Unchecked };
            let whole = Outside { state, ..outside(part.traffic_class, part.payload.clone()) };
            return (1, Ok(Some((part.protocol, whole))));
        }
        // Only far ends of ours may cost memory.
        if !self.table.knows(Ends { line: slot, local: part.destination, remote: part.source }) {
            return (1, if is_udp { Ok(None) } else { Err(DropReason::UnknownSource) });
        }
        let since = core_time(self.started, now);
        let next = if at + 1 < count { parse(at + 1).ok() } else { None };
        if let Some(next) = next.filter(|next| part.payload.end + next.payload.len() <= Inbox::room(at).end)
            && let Some(class) = line.reassembly.join(since, &part, &next)
        {
            let whole = part.payload.start..part.payload.end + next.payload.len();
            self.inbox.buffer.copy_within(next.payload.clone(), part.payload.end);
            let found = class.and_then(|class| {
                let (protocol, offset) = part.look_behind(&self.inbox.buffer[whole.clone()])?;
                Ok(Some((protocol, outside(class, whole.start + offset..whole.end))))
            });
            line.reassembly.count_lost(&mut line.drops);
            return (2, found);
        }
        let added = line.reassembly.add(since, &part, &self.inbox.buffer[part.payload.clone()]);
        line.reassembly.count_lost(&mut line.drops);
        let found = added.map(|whole| {
            let whole = whole?;
            let room = Inbox::room(at);
            let payload = room.start..room.start + whole.payload.len();
            self.inbox.buffer[payload.clone()].copy_from_slice(&whole.payload);
            Some((whole.protocol, outside(whole.traffic_class, payload)))
        });
        (1, found)
    }

    /// The tunnel of an outer packet, and where its inner packet stands.
    fn find(&self, line: usize, protocol: u8, outer: &Outside) -> Result<Found, DropReason> {
        let ends = Ends { line, local: outer.destination, remote: outer.source };
        // What a stranger sends is not even read.
        if !self.table.knows(ends) {
            return Err(DropReason::UnknownSource);
        }
        let payload = &self.inbox.buffer[outer.payload.clone()];
        let read = match outer.state {
            State::Datagram => decapsulate_datagram(payload),
            State::Unchecked | State::Checked => decapsulate(&Received {
                protocol,
                source: outer.source,
                destination: outer.destination,
                payload,
                is_checked: outer.state == State::Checked,
            }),
        }?;
        Ok(Found {
            slot: self.table.find(ends, read.shim)?,
            class: outer.traffic_class,
            inner: outer.payload.start + read.inner.start..outer.payload.start + read.inner.end,
            reversed: read.reversed,
        })
    }

    /// Takes in what was found, or counts why nothing was.
    fn settle(&mut self, now: Instant, line: usize, found: Result<Option<Found>, DropReason>) {
        match found {
            Ok(None) => {}
            Ok(Some(found)) => {
                let Some(Some(tunnel)) = self.tunnels.get_mut(found.slot) else { return };
                // A copy of what the kernel takes in itself.
                if matches!(tunnel.inside, Inside::Kernel) {
                    return;
                }
                if found.reversed && !tunnel.plan.accept_reversed {
                    tunnel.drops.count(DropReason::EtherIpReversed);
                    return;
                }
                let Found { slot, class, inner, .. } = found;
                let frame = &self.inbox.buffer[inner.clone()];
                if self.buffers.attend(now, (slot, tunnel), &mut self.lines, frame) {
                    return;
                }
                take_in(&mut self.delivery, slot, tunnel, class, &mut self.inbox.buffer, inner);
            }
            Err(reason) => {
                if let Some(line) = self.lines.get_mut(line) {
                    line.drops.count(reason);
                }
            }
        }
    }

    /// Forgets pieces whose others are late.
    pub fn expire(&mut self) {
        let now = self.core_now(Instant::now());
        for line in &mut self.lines {
            line.reassembly.expire(now);
            line.reassembly.count_lost(&mut line.drops);
        }
    }

    /// Whether no datagram has come in pieces of which others are on their way: those that are waited for
    /// longer than that are lost.
    pub fn is_settled(&self, now: Instant) -> bool {
        let now = self.core_now(now);
        let settled = |began: time::Instant| now.since(began) >= ON_THEIR_WAY;
        self.lines.iter().all(|line| line.reassembly.youngest().is_none_or(settled))
    }
}

/// Makes an inner packet ready for the fabric.
pub fn take_in(
    delivery: &mut Delivery,
    slot: usize,
    tunnel: &mut Tunnel,
    class: u8,
    buffer: &mut [u8],
    inner: Range<usize>,
) {
    let link = Link::from(tunnel.carries_ethernet());
    let bytes = &mut buffer[inner.clone()];
    if let Err(reason) = ecn::carry_in(link, class, bytes) {
        tunnel.drops.count(reason);
        return;
    }
    if let Some(clamp) = tunnel.path.force.clamp {
        clamp.apply(link, bytes);
    }
    delivery.push(slot, tunnel, buffer, inner);
}
