//! The packets' journey: from a device out by a line, and from a line in to a device.

use super::Token;
use super::batch::{Arrival, BATCH, Beside, Destination, Inbox};
use super::delivery::Delivery;
use super::keepalive::{Came, ROOM as SIGNAL_ROOM};
use super::line::{Line, Packets};
use super::outbox::Outbox;
use super::outside::{Outside, State};
use super::probing::Heard;
use super::sealing::Sealer;
use super::socket::Senders;
use super::table::{Ends, Table};
use super::tunnel::{Inside, Tunnel};
use super::udp::Flow;
use super::wireguard::Opened;
use nix::errno::Errno;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;
use tsumugi_core::id::IfName;
use tsumugi_core::router_plan::TunnelClamp;
use tsumugi_core::time;
use tsumugi_core::tunnel::{
    DropReason, Link, MAX_HEADERS, MAX_SHIM_LEN, Outer, Part, Received, Segments, VnetHeader, decapsulate,
    decapsulate_datagram, ecn, header, signal,
};
use tsumugi_core::wire::ip;

/// Packets taken from one device before the others have their turn; a packet may be 64 KiB.
const BURST: usize = 64;
/// Batches taken from one socket before the others have their turn.
const BATCHES: usize = 2;
/// The largest packet that a device hands over, its header included, and then some.
const ROOM: usize = 65_536 + 256;
/// So many of those may wait to be sent together.
const ROOMS: usize = 4;

/// The lines and tunnels of the plan by slot, and the buffers that packets pass through.
pub struct Forwarding {
    pub lines: Vec<Line>,
    /// A slot stays empty once its tunnel is gone, so that no other slot changes.
    pub tunnels: Vec<Option<Tunnel>>,
    pub table: Table,
    /// Whether a tunnel has timers of its own.
    pub has_timers: bool,
    pub buffers: Buffers,
    inbox: Inbox,
    delivery: Delivery,
    /// What WireGuard has opened of a batch.
    opened: Vec<u8>,
    /// Messages of WireGuard for sessions of another process; `None`: there is no other.
    pub for_another: Option<Vec<Foreign>>,
    /// What the time of reassembly counts from.
    started: Instant,
}

/// What packets pass through on the way out.
pub struct Buffers {
    /// As the device gave them.
    pub packets: Vec<u8>,
    /// A segment with its headers, for who needs it in one piece.
    whole: Vec<u8>,
    pub sealer: Sealer,
    pub outbox: Outbox,
    /// What has come of measurements and was not looked at yet.
    pub heard: Vec<Heard>,
}

/// A message of WireGuard that came here and is for another process.
pub struct Foreign {
    /// The tunnel's.
    pub slot: usize,
    pub arrival: Arrival,
    pub message: Vec<u8>,
}

/// Messages for another process that may wait; those beyond are dropped.
const FOREIGN: usize = 4096;

/// The pieces of a datagram leave one after the other; one that comes so much later will not come.
const ON_THEIR_WAY: time::Duration = time::Duration::from_millis(20);

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
            has_timers: false,
            buffers: Buffers {
                packets: vec![0; ROOMS * ROOM],
                whole: vec![0; ROOM],
                sealer: Sealer::new(),
                outbox: Outbox::default(),
                heard: Vec::new(),
            },
            inbox: Inbox::new(),
            delivery: Delivery::default(),
            opened: vec![0; BATCH * ROOM],
            for_another: None,
            started: Instant::now(),
        }
    }

    /// A moment as the core counts it.
    pub fn core_now(&self, now: Instant) -> time::Instant {
        core_time(self.started, now)
    }

    pub fn slot_of(&self, name: &IfName) -> Option<usize> {
        self.tunnels.iter().position(|tunnel| tunnel.as_ref().is_some_and(|tunnel| tunnel.plan.name == *name))
    }

    /// Gives a tunnel a slot.
    pub fn add(&mut self, tunnel: Tunnel) {
        match self.tunnels.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(tunnel),
            None => self.tunnels.push(Some(tunnel)),
        }
    }

    /// Takes the packets that wait at a descriptor.
    pub fn on(&mut self, now: Instant, token: Token) -> Health {
        match token {
            Token::Device(slot) => self.on_device(now, slot),
            Token::Datagrams(slot) => self.on_datagrams(now, slot),
            Token::Line(slot, place) => self.on_line(now, slot, place),
            Token::Packets(slot) => self.on_packets(now, slot, false),
            Token::Control(slot) => self.on_packets(now, slot, true),
            Token::Signals(slot) => self.on_signals(now, slot),
            _ => Health::Well,
        }
    }

    /// Sends what the fabric has put into a tunnel's device.
    fn on_device(&mut self, now: Instant, slot: usize) -> Health {
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

    /// Takes in what has come by one of a line's raw sockets.
    fn on_line(&mut self, now: Instant, slot: usize, receiver: usize) -> Health {
        for _ in 0..BATCHES {
            match self.batch_of_line(now, slot, receiver) {
                Ok(BATCH) => {}
                Ok(_) => break,
                Err(_) => return Health::Broken,
            }
        }
        Health::Well
    }

    fn batch_of_line(&mut self, now: Instant, slot: usize, receiver: usize) -> nix::Result<usize> {
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
        self.delivery.flush(now, &mut self.tunnels, &mut self.inbox.buffer);
        Ok(count)
    }

    /// Takes in what has come by one of a line's packet sockets, past the stack: whole packets and pieces.
    fn on_packets(&mut self, now: Instant, slot: usize, control: bool) -> Health {
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

    fn batch_of_packets(&mut self, now: Instant, slot: usize, control: bool) -> nix::Result<usize> {
        let Some(line) = self.lines.get(slot) else { return Ok(0) };
        let Some(packets) = &line.packets else { return Ok(0) };
        let learns = line.learns;
        let socket = if control { &packets.control } else { &packets.receiver };
        let beside = if packets.hears_geneve() { Beside::Ends } else { Beside::Nothing };
        let count = self.inbox.receive(socket.as_fd(), beside)?;
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
        self.delivery.flush(now, &mut self.tunnels, &mut self.inbox.buffer);
        Ok(count)
    }

    /// Reads all that a line's packet sockets have heard.
    fn empty_packets(&mut self, now: Instant, slot: usize) {
        for control in [true, false] {
            while self.batch_of_packets(now, slot, control).is_ok_and(|count| count > 0) {}
        }
    }

    /// Has packets come by the packet socket alone, on lines that have learned which datagrams are half here.
    /// What it has heard of until this moment the raw sockets have heard as well, and they take it. True
    /// if there was such a line.
    pub fn leave_stack(&mut self, now: Instant) -> bool {
        let mut any = false;
        for slot in 0..self.lines.len() {
            if !self.lines[slot].leaves_stack() {
                continue;
            }
            any = true;
            self.lines[slot].learns = true;
            self.empty_packets(now, slot);
            if let Err(error) = self.lines[slot].deafen_receivers() {
                tracing::error!(line = %self.lines[slot].name, reason = %error, "raw sockets cannot be emptied");
            } else {
                for receiver in 0..self.lines[slot].receivers.len() {
                    while self.batch_of_line(now, slot, receiver).is_ok_and(|count| count > 0) {}
                }
            }
            self.lines[slot].receivers.clear();
        }
        any
    }

    /// Has packets come by the raw sockets alone, on lines whose packets the stack has again. True if there
    /// was such a line.
    pub fn join_stack(&mut self, now: Instant) -> bool {
        let mut any = false;
        for slot in 0..self.lines.len() {
            if !self.lines[slot].joins_stack() {
                continue;
            }
            any = true;
            if let Err(error) = self.lines[slot].deafen_packets() {
                tracing::error!(line = %self.lines[slot].name, reason = %error, "packet socket cannot be emptied");
            } else {
                self.empty_packets(now, slot);
            }
            self.lines[slot].lose_packets();
        }
        any
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
        let now = core_time(self.started, Instant::now());
        for line in &mut self.lines {
            line.reassembly.expire(now);
            line.reassembly.count_lost(&mut line.drops);
        }
    }

    /// Takes in what has come by a tunnel's own UDP socket.
    fn on_datagrams(&mut self, now: Instant, slot: usize) -> Health {
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
            self.delivery.flush(now, &mut self.tunnels, &mut self.opened);
            if count < BATCH {
                break;
            }
        }
        Health::Well
    }

    /// Opens the datagrams of one arrival. What is opened stands in `opened` from `end` on, which moves
    /// behind it: there is room, as nothing that is opened is larger than it was.
    fn open(&mut self, now: Instant, slot: usize, arrival: &Arrival, end: &mut usize) {
        let Some(Some(tunnel)) = self.tunnels.get_mut(slot) else { return };
        for at in arrival.datagrams() {
            let Inside::WireGuard(wireguard) = &mut tunnel.inside else { return };
            let datagram = &self.inbox.buffer[at];
            if let Some(waiting) = &mut self.for_another
                && wireguard.is_of_another(datagram)
            {
                if waiting.len() < FOREIGN {
                    waiting.push(Foreign { slot, arrival: arrival.clone(), message: datagram.to_vec() });
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
                    tunnel.hear(now);
                    let message = &self.opened[*end + answer.start..*end + answer.end];
                    if let Some(line) = self.lines.get_mut(tunnel.line) {
                        self.buffers.send(tunnel, line, &flow, message);
                    }
                }
                Ok(Opened::Nothing) => tunnel.hear(now),
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

    /// Takes in one message of WireGuard that another process has received.
    pub fn on_passed(&mut self, now: Instant, slot: usize, mut arrival: Arrival, message: &[u8]) {
        if message.len() > Inbox::room(0).len() {
            return;
        }
        arrival.at = 0..message.len();
        self.inbox.buffer[arrival.at.clone()].copy_from_slice(message);
        self.open(now, slot, &arrival, &mut 0);
        self.delivery.flush(now, &mut self.tunnels, &mut self.opened);
    }

    /// Whether no datagram has come in pieces of which others are on their way: those that are waited for
    /// longer than that are lost.
    pub fn is_settled(&self, now: Instant) -> bool {
        let now = core_time(self.started, now);
        let settled = |began: time::Instant| now.since(began) >= ON_THEIR_WAY;
        self.lines.iter().all(|line| line.reassembly.youngest().is_none_or(settled))
    }

    /// Asks the far ends that are silent.
    pub fn ask(&mut self, now: Instant) {
        let mut question = [0; SIGNAL_ROOM];
        for tunnel in self.tunnels.iter_mut().flatten() {
            let Some(keeping) = &mut tunnel.keeping else { continue };
            let Some(len) = keeping.poll(now, &mut question) else { continue };
            if let Some(line) = self.lines.get_mut(tunnel.line)
                && let Err(reason) = self.buffers.speak(now, tunnel, line, &question[..len])
            {
                tunnel.drops.count(reason);
            }
        }
    }

    /// Takes in what the kernel's own device of a tunnel has brought of signals.
    fn on_signals(&mut self, now: Instant, slot: usize) -> Health {
        let mut frame = [0; SIGNAL_ROOM];
        for _ in 0..BATCH {
            let Some(Some(tunnel)) = self.tunnels.get_mut(slot) else { break };
            let Some(len) = tunnel.keeping.as_ref().and_then(|keeping| keeping.kernel.receive(&mut frame))
            else {
                break;
            };
            self.buffers.attend(now, (slot, tunnel), &mut self.lines, &frame[..len.min(SIGNAL_ROOM)]);
        }
        Health::Well
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
    fn send(&mut self, tunnel: &mut Tunnel, line: &mut Line, flow: &Flow, message: &[u8]) {
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

    /// Sends an inner packet of the datapath's own: at once, marked as network control (CS6), by a socket
    /// that no bulk waits in. It is not counted as sent.
    ///
    /// # Errors
    /// Why it could not be.
    pub fn speak(
        &mut self,
        now: Instant,
        tunnel: &mut Tunnel,
        line: &mut Line,
        inner: &[u8],
    ) -> Result<(), DropReason> {
        if let Inside::Kernel = tunnel.inside {
            let keeping = tunnel.keeping.as_ref().ok_or(DropReason::DeviceFailed)?;
            return keeping.kernel.send(inner).map_err(|_| DropReason::DeviceFailed);
        }
        let (_, numbers) = line.senders(tunnel.plan.outer_ipv6)?;
        match &mut tunnel.inside {
            &mut Inside::Shim(shim) => {
                let header = header(shim, inner)?;
                let outer = planned(tunnel)?.with_traffic_class(signal::TRAFFIC_CLASS);
                let start = header.bytes().len();
                let whole = &mut self.whole[..start + inner.len()];
                whole[..start].copy_from_slice(header.bytes());
                whole[start..].copy_from_slice(inner);
                shim.complete(&outer, whole, &[])?;
                self.outbox.push(&outer, numbers, whole, &(0..0), 0)?;
            }
            Inside::WireGuard(wireguard) => {
                let flow = wireguard.flow(signal::TRAFFIC_CLASS)?;
                let datagram = self.sealer.seal(now, wireguard, &flow, inner)?;
                let outer = tunnel.outer(flow.from, flow.to.ip())?.with_traffic_class(flow.traffic_class);
                self.outbox.push(&outer, numbers, datagram, &(0..0), 0)?;
            }
            Inside::Kernel => {}
        }
        send_pieces((&mut self.outbox, &self.packets), tunnel, line, |senders| &senders.urgent);
        Ok(())
    }

    /// Whether an inner packet that came was for the datapath itself; a question is answered.
    fn attend(
        &mut self,
        now: Instant,
        (slot, tunnel): (usize, &mut Tunnel),
        lines: &mut [Line],
        frame: &[u8],
    ) -> bool {
        let Some(keeping) = &mut tunnel.keeping else { return false };
        let mut answer = [0; SIGNAL_ROOM];
        let len = match keeping.take(now, frame, &mut answer) {
            Came::Packet => return false,
            Came::Signal => 0,
            Came::Measured(said) => {
                self.heard.push(Heard { slot, at: now, said });
                0
            }
            Came::Question(len) => len,
        };
        tunnel.hear(now);
        if len > 0
            && let Some(line) = lines.get_mut(tunnel.line)
            && let Err(reason) = self.speak(now, tunnel, line, &answer[..len])
        {
            tunnel.drops.count(reason);
        }
        true
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
fn planned(tunnel: &Tunnel) -> Result<Outer, DropReason> {
    let (Some(from), Some(to)) = tunnel.ends() else { return Err(DropReason::NoRemote) };
    tunnel.outer(from, to)
}

/// Makes an inner packet ready for the fabric.
fn take_in(
    delivery: &mut Delivery,
    slot: usize,
    tunnel: &mut Tunnel,
    class: u8,
    buffer: &mut [u8],
    inner: Range<usize>,
) {
    if matches!(tunnel.inside, Inside::Kernel) {
        return;
    }
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

/// An inner packet that has come.
struct Found {
    slot: usize,
    /// DSCP and ECN of the outer packet.
    class: u8,
    inner: Range<usize>,
    /// As old BSDs send it.
    reversed: bool,
}

fn core_time(start: Instant, now: Instant) -> time::Instant {
    let passed = now.saturating_duration_since(start).as_nanos();
    time::Instant(u64::try_from(passed).unwrap_or(u64::MAX))
}
