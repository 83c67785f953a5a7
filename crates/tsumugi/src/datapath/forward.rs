//! What packets pass through on both ways: `outward` from a device out by a line, `inward` and `opening` from a
//! line in to a device.

use super::Token;
use super::batch::{Arrival, BATCH, Inbox};
use super::delivery::Delivery;
use super::keepalive::Round;
use super::line::Line;
use super::outbox::Outbox;
use super::probing::Heard;
use super::sealing::Sealer;
use super::table::Table;
use super::tunnel::Tunnel;
use std::time::Instant;
use tsumugi_core::id::IfName;
use tsumugi_core::time;

/// Batches taken from one socket before the others have their turn.
pub const BATCHES: usize = 2;
/// The largest packet that a device hands over, its header included, and then some.
pub const ROOM: usize = 65_536 + 256;
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
    pub inbox: Inbox,
    pub delivery: Delivery,
    /// What WireGuard has opened of a batch.
    pub opened: Vec<u8>,
    /// Messages of WireGuard for sessions of another process; `None`: there is no other.
    pub for_another: Option<Vec<Foreign>>,
    /// What the time of reassembly counts from.
    pub started: Instant,
}

/// What packets pass through on the way out.
pub struct Buffers {
    /// As the device gave them.
    pub packets: Vec<u8>,
    /// A segment with its headers, for who needs it in one piece.
    pub whole: Vec<u8>,
    pub sealer: Sealer,
    pub outbox: Outbox,
    /// What has come of measurements and was not looked at yet.
    pub heard: Vec<Heard>,
    /// When far ends are looked at.
    pub round: Round,
}

/// A message of WireGuard that came here and is for another process.
pub struct Foreign {
    /// The tunnel's.
    pub slot: usize,
    pub arrival: Arrival,
    pub message: Vec<u8>,
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
            has_timers: false,
            buffers: Buffers {
                packets: vec![0; ROOMS * ROOM],
                whole: vec![0; ROOM],
                sealer: Sealer::new(),
                outbox: Outbox::default(),
                heard: Vec::new(),
                round: Round::default(),
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
            Token::Line(slot, place) | Token::LineControl(slot, place) => self.on_line(now, slot, place),
            Token::Packets(slot) => self.on_packets(now, slot, false),
            Token::Control(slot) => self.on_packets(now, slot, true),
            Token::Signals(slot) => self.on_signals(now, slot),
            _ => Health::Well,
        }
    }
}

/// The same, for who has borrowed a part.
pub fn core_time(start: Instant, now: Instant) -> time::Instant {
    let passed = now.saturating_duration_since(start).as_nanos();
    time::Instant(u64::try_from(passed).unwrap_or(u64::MAX))
}
