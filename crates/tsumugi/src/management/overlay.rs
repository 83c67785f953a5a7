//! The overlay without its sockets: packets and datagrams in, packets and datagrams out.
//!
//! A packet for a member goes over the first path to it that is alive, in the order of the plan; for
//! a member that no path leads to, and for all that no neighbour announces, to the first meeting
//! point that is alive. Between members the kernel of the meeting point forwards, device to device,
//! not this process: so one set of walls, one hop limit and one source of ICMP errors holds for the
//! overlay and for the site's management switch alike.

use super::session::{Identity, Opened, Session};
use crate::observe::status::OverlayDrop;
use boringtun::noise::handshake::parse_handshake_anon;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Packet, Tunn};
use boringtun::x25519::{PublicKey, StaticSecret};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Instant;
use tsumugi_core::id::Prefix;
use tsumugi_core::router_plan;

/// Handshakes that one line takes in a second until callers must prove their address by a cookie.
const HANDSHAKES: u64 = 100;

/// Bytes that the library wants beyond a packet's own: the largest of its messages.
const SEALING: usize = 148;

/// Where packets and datagrams go.
pub trait Sink {
    /// To the far end over one of our lines.
    fn datagram(&mut self, line: usize, to: SocketAddr, bytes: &[u8]);
    /// To this machine's kernel.
    fn packet(&mut self, bytes: &[u8]);
}

/// One of our lines, with its own key.
#[derive(Clone)]
pub struct LineKey {
    pub name: String,
    pub secret: StaticSecret,
}

struct Line {
    key: LineKey,
    public: PublicKey,
    limiter: RateLimiter,
}

pub struct Neighbour {
    pub name: String,
    pub meeting: bool,
    prefixes: Vec<Prefix>,
    /// Numbers of its sessions in the order of preference.
    pub sessions: Vec<usize>,
    /// The number of the session that packets go over.
    pub in_use: Option<usize>,
}

pub struct Overlay {
    space: Prefix,
    /// What is reached without the overlay: ourselves and our site's management switch.
    local: Vec<Prefix>,
    lines: Vec<Line>,
    pub neighbours: Vec<Neighbour>,
    pub sessions: Vec<Session>,
    /// The neighbour of each session.
    owners: Vec<usize>,
    by_identity: HashMap<Identity, usize>,
    /// By the number that the far end puts into its datagrams.
    by_index: HashMap<u32, usize>,
    indexes: Vec<u32>,
    next_index: u32,
    pub drops: BTreeMap<OverlayDrop, u64>,
    buffer: Vec<u8>,
}

impl Overlay {
    /// `remote_key` finds a neighbour's public key; paths without one, and those over lines that are
    /// not among `lines`, are left out. Sessions that `earlier` has go on.
    pub fn new(
        plan: &router_plan::Overlay,
        local: Vec<Prefix>,
        lines: Vec<LineKey>,
        remote_key: impl Fn(&router_plan::OverlayPath) -> Option<[u8; 32]>,
        earlier: Option<Overlay>,
    ) -> Overlay {
        let mut kept: HashMap<Identity, (Session, u32)> = HashMap::new();
        let (mut next_index, mut drops) = (0, BTreeMap::new());
        if let Some(earlier) = earlier {
            next_index = earlier.next_index;
            drops = earlier.drops;
            for (session, index) in earlier.sessions.into_iter().zip(earlier.indexes) {
                kept.insert(session.identity, (session, index));
            }
        }
        let lines = lines.into_iter().map(|key| {
            let public = PublicKey::from(&key.secret);
            Line { limiter: RateLimiter::new(&public, HANDSHAKES), public, key }
        });
        let mut overlay = Overlay {
            space: plan.space,
            local,
            lines: lines.collect(),
            neighbours: Vec::new(),
            sessions: Vec::new(),
            owners: Vec::new(),
            by_identity: HashMap::new(),
            by_index: HashMap::new(),
            indexes: Vec::new(),
            next_index,
            drops,
            buffer: vec![0; super::BUFFER],
        };
        for neighbour in &plan.neighbours {
            let sessions = neighbour.paths.iter().filter_map(|path| {
                let line = overlay.lines.iter().position(|line| line.key.name == path.line)?;
                overlay.add_session(line, remote_key(path)?, path.endpoint, &mut kept)
            });
            let sessions: Vec<usize> = sessions.collect();
            let owner = overlay.neighbours.len();
            overlay.owners.resize(overlay.sessions.len(), owner);
            overlay.neighbours.push(Neighbour {
                name: neighbour.name.clone(),
                meeting: neighbour.meeting,
                prefixes: neighbour.prefixes.clone(),
                sessions,
                in_use: None,
            });
        }
        overlay
    }

    /// Packets that this machine sends, or forwards from another member.
    pub fn packet_from_kernel(&mut self, now: Instant, packet: &[u8], sink: &mut dyn Sink) {
        let Some((_, to)) = ends(packet).filter(|(_, to)| self.space.contains(&IpAddr::V6(*to))) else {
            return self.drop(OverlayDrop::NotOurSpace);
        };
        if packet.len() + SEALING > self.buffer.len() {
            return self.drop(OverlayDrop::TooLarge);
        }
        let direct = self.neighbour_of(to).filter(|owner| self.is_reachable(*owner, now));
        let chosen = direct.or_else(|| self.meeting(now));
        let Some(session) = chosen.and_then(|owner| self.choose(owner, now)) else {
            return self.drop(OverlayDrop::NoPath);
        };
        self.sessions[session].seal(now, packet, &mut self.buffer, &mut |line, to, bytes| {
            sink.datagram(line, to, bytes);
        });
    }

    /// A datagram that came in over one of our lines.
    pub fn datagram_from_line(
        &mut self,
        now: Instant,
        line: usize,
        from: SocketAddr,
        datagram: &[u8],
        sink: &mut dyn Sink,
    ) {
        let session = match self.session_of(line, from, datagram, sink) {
            Ok(session) => session,
            Err(Some(reason)) => return self.drop(reason),
            Err(None) => return,
        };
        let mut packets = std::mem::take(&mut self.buffer);
        let opened =
            self.sessions[session].open(now, from, datagram, &mut packets, &mut |line, to, bytes| {
                sink.datagram(line, to, bytes);
            });
        match opened {
            Opened::Packet(packet) => match self.check(self.owners[session], packet, now) {
                Ok(()) => sink.packet(packet),
                Err(reason) => self.drop(reason),
            },
            Opened::Nothing => {}
            Opened::NotAuthentic => self.drop(OverlayDrop::NotAuthentic),
        }
        self.buffer = packets;
    }

    /// What time brings. To be called several times a second.
    pub fn tick(&mut self, now: Instant, sink: &mut dyn Sink) {
        for line in &self.lines {
            line.limiter.reset_count();
        }
        for owner in 0..self.neighbours.len() {
            self.choose(owner, now);
        }
        for (number, session) in self.sessions.iter_mut().enumerate() {
            let in_use = self.neighbours[self.owners[number]].in_use == Some(number);
            session.tick(now, in_use, &mut self.buffer, &mut |line, to, bytes| {
                sink.datagram(line, to, bytes);
            });
        }
    }

    /// The meeting point over which a member is reached that has no path of its own.
    pub fn meeting(&self, now: Instant) -> Option<usize> {
        (0..self.neighbours.len())
            .find(|owner| self.neighbours[*owner].meeting && self.is_reachable(*owner, now))
    }

    fn add_session(
        &mut self,
        line: usize,
        remote: [u8; 32],
        endpoint: Option<SocketAddr>,
        kept: &mut HashMap<Identity, (Session, u32)>,
    ) -> Option<usize> {
        let identity = Identity { local: self.lines[line].public.to_bytes(), remote };
        if self.by_identity.contains_key(&identity) {
            return None;
        }
        let (session, index) = match kept.remove(&identity) {
            Some((session, index)) => (session.moved(line, endpoint), index),
            None => {
                let index = self.next_index;
                self.next_index = (self.next_index + 1) & 0xff_ffff;
                (Session::new(&self.lines[line].key.secret, remote, line, endpoint, index), index)
            }
        };
        let number = self.sessions.len();
        self.sessions.push(session);
        self.indexes.push(index);
        self.by_identity.insert(identity, number);
        self.by_index.insert(index, number);
        Some(number)
    }

    fn is_reachable(&self, owner: usize, now: Instant) -> bool {
        self.neighbours[owner].sessions.iter().any(|session| self.sessions[*session].is_alive(now))
    }

    /// The first live path of a neighbour; a change of it is told in the log.
    fn choose(&mut self, owner: usize, now: Instant) -> Option<usize> {
        let neighbour = &mut self.neighbours[owner];
        let alive = |session: &&usize| self.sessions[**session].is_alive(now);
        let chosen = neighbour.sessions.iter().find(alive).copied();
        if chosen != neighbour.in_use {
            let member = &neighbour.name;
            match chosen {
                Some(session) => {
                    let session = &self.sessions[session];
                    let line = &self.lines[session.line].key.name;
                    let endpoint = session.endpoint().map(tracing::field::display);
                    tracing::info!(member, line, endpoint, "reached over this line");
                }
                None => tracing::warn!(member, "no path is alive"),
            }
            neighbour.in_use = chosen;
        }
        chosen
    }

    /// The neighbour behind which an address is, by the longest prefix.
    fn neighbour_of(&self, address: Ipv6Addr) -> Option<usize> {
        let address = IpAddr::V6(address);
        let longest = |neighbour: &Neighbour| {
            let lengths = neighbour.prefixes.iter().filter(|prefix| prefix.contains(&address));
            lengths.map(Prefix::prefix_len).max()
        };
        let found = self.neighbours.iter().enumerate();
        found
            .filter_map(|(owner, neighbour)| Some((longest(neighbour)?, owner)))
            .max()
            .map(|(_, owner)| owner)
    }

    /// Which session a datagram is for. `Err(None)`: it was answered and needs nothing more.
    fn session_of(
        &self,
        line: usize,
        from: SocketAddr,
        datagram: &[u8],
        sink: &mut dyn Sink,
    ) -> Result<usize, Option<OverlayDrop>> {
        let own = &self.lines[line];
        let index = match Tunn::parse_incoming_packet(datagram) {
            Ok(Packet::HandshakeInit(initiation)) => {
                // First what costs nothing: a keyed hash, and under load a cookie.
                let mut cookie = [0; 64];
                match own.limiter.verify_packet(Some(from.ip()), datagram, &mut cookie) {
                    Ok(_) => {}
                    Err(boringtun::noise::TunnResult::WriteToNetwork(answer)) => {
                        sink.datagram(line, from, answer);
                        return Err(None);
                    }
                    Err(_) => return Err(Some(OverlayDrop::NotAuthentic)),
                }
                let half = parse_handshake_anon(&own.key.secret, &own.public, &initiation)
                    .map_err(|_| Some(OverlayDrop::NotAuthentic))?;
                let identity = Identity { local: own.public.to_bytes(), remote: half.peer_static_public };
                return self.by_identity.get(&identity).copied().ok_or(Some(OverlayDrop::UnknownKey));
            }
            Ok(Packet::HandshakeResponse(response)) => response.receiver_idx,
            Ok(Packet::PacketCookieReply(reply)) => reply.receiver_idx,
            Ok(Packet::PacketData(data)) => data.receiver_idx,
            Err(_) => return Err(Some(OverlayDrop::NotUnderstood)),
        };
        // The low eight bits are the library's: the number of the keys.
        let session = self.by_index.get(&(index >> 8)).copied();
        session.filter(|number| self.sessions[*number].line == line).ok_or(Some(OverlayDrop::NotUnderstood))
    }

    /// Whether a packet from this neighbour may go on to the kernel.
    fn check(&self, owner: usize, packet: &[u8], now: Instant) -> Result<(), OverlayDrop> {
        let neighbour = &self.neighbours[owner];
        let (from, to) = ends(packet).ok_or(OverlayDrop::NotOurSpace)?;
        let inside = |prefixes: &[Prefix], address| {
            prefixes.iter().any(|prefix| prefix.contains(&IpAddr::V6(address)))
        };
        // A meeting point brings packets of others, but nobody brings our own. A neighbour at our
        // site brings those of our switch: it is the way that the switch's devices answer by.
        let behind = inside(&neighbour.prefixes, from);
        let brought = neighbour.meeting && !inside(&self.local, from);
        if !(behind || brought) {
            return Err(OverlayDrop::FalseSource);
        }
        let space = std::slice::from_ref(&self.space);
        if !inside(space, from) || !inside(space, to) {
            return Err(OverlayDrop::NotOurSpace);
        }
        // What a meeting point could not deliver itself is not given to another one, or two of them
        // would throw it to and fro.
        if neighbour.meeting && !inside(&self.local, to) {
            let next = self.neighbour_of(to).filter(|next| *next != owner);
            if !next.is_some_and(|next| self.is_reachable(next, now)) {
                return Err(OverlayDrop::NoPath);
            }
        }
        Ok(())
    }

    fn drop(&mut self, reason: OverlayDrop) {
        *self.drops.entry(reason).or_insert(0) += 1;
    }
}

/// Source and destination of an IPv6 packet: the management space is IPv6 alone.
fn ends(packet: &[u8]) -> Option<(Ipv6Addr, Ipv6Addr)> {
    if packet.len() < 40 || packet[0] >> 4 != 6 {
        return None;
    }
    let from: [u8; 16] = packet[8..24].try_into().ok()?;
    let to: [u8; 16] = packet[24..40].try_into().ok()?;
    Some((from.into(), to.into()))
}
