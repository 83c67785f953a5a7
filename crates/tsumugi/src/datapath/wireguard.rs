//! One WireGuard tunnel by the boringtun library: the protocol is its, the packets are ours.

use super::batch::Arrival;
use super::handover::message::WireGuardState;
use super::socket;
use super::udp::Flow;
use crate::kernel::Namespace;
use crate::state::{KeyBytes, StateDir};
use boringtun::noise::errors::WireGuardError;
use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use tsumugi_core::router_plan::{Encapsulation, Tunnel};
use tsumugi_core::tunnel::DropReason;
use tsumugi_core::wire::udp;

/// How often the library's timers are looked at.
pub const TIMERS: Duration = Duration::from_millis(250);
/// From one attempt at a handshake to the next while there is no session.
const RETRY: Duration = Duration::from_secs(1);
/// A far end that says nothing for so long although we send has perhaps forgotten the session:
/// on the inside links BGP speaks once a second in each direction.
const SILENCE: Duration = Duration::from_secs(3);
/// Keeps the way open through whatever stands between us and a far end that cannot call us.
pub const KEEPALIVE_SECONDS: u16 = 25;
/// What a WireGuard packet has beyond its content, and the largest message of a handshake.
pub const OVERHEAD: usize = 32;
const LARGEST_HANDSHAKE: usize = 148;
/// Message types (WireGuard protocol, 5.4).
const HANDSHAKE_RESPONSE: u8 = 2;
const COOKIE_REPLY: u8 = 3;
pub const DATA: u8 = 4;

/// What became of a datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// The inner packet, and where in the buffer it stands.
    Packet(Range<usize>),
    /// A message of the protocol that wants an answer: where in the buffer it stands, and who gets it.
    Answer(Range<usize>, Flow),
    /// A message of the protocol.
    Nothing,
}

/// The private and the far end's public key.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    pub private: KeyBytes,
    pub public: KeyBytes,
}

impl Keys {
    /// Those of a tunnel; `None` if it is not by WireGuard.
    ///
    /// # Errors
    /// The machine does not have one of them.
    pub fn of(plan: &Tunnel, state: &StateDir) -> io::Result<Option<Keys>> {
        let Encapsulation::WireGuard { local_key, remote_key, .. } = &plan.encapsulation else {
            return Ok(None);
        };
        let private = state.private_key(local_key)?;
        let public = state.keyring()?.public_key(remote_key)?;
        Ok(Some(Keys { private, public }))
    }
}

pub struct WireGuard {
    tunn: Tunn,
    /// The upper 24 bits of what the far end calls our sessions by.
    index: u32,
    local_port: u16,
    pub socket: Option<OwnedFd>,
    /// Whether the socket takes several datagrams as one.
    pub in_one: bool,
    /// Our outer address, once known.
    pub local: Option<IpAddr>,
    local_is_stated: bool,
    /// Where the far end is, once known.
    pub remote: Option<SocketAddr>,
    remote_is_stated: bool,
    has_session: bool,
    last_attempt: Option<Instant>,
    last_heard: Option<Instant>,
    last_sent: Option<Instant>,
    is_confirmed: bool,
    renews: bool,
}

impl WireGuard {
    /// `None` if the tunnel is not by WireGuard.
    pub fn new(plan: &Tunnel, keys: &Keys) -> Option<WireGuard> {
        let Encapsulation::WireGuard { local_port, remote_port, .. } = plan.encapsulation else {
            return None;
        };
        // Whoever knows where the far end is keeps the way to it open: it may not be able to call.
        let keepalive = plan.remote.map(|_| KEEPALIVE_SECONDS);
        let index = rand::random::<u32>() >> 8;
        let tunn = Tunn::new(
            StaticSecret::from(keys.private),
            PublicKey::from(keys.public),
            None,
            keepalive,
            index,
            None,
        );
        Some(WireGuard {
            tunn,
            index,
            local_port,
            socket: None,
            in_one: true,
            local: plan.local,
            local_is_stated: plan.local.is_some(),
            remote: plan.remote.map(|address| SocketAddr::new(address, remote_port)),
            remote_is_stated: plan.remote.is_some(),
            has_session: false,
            last_attempt: None,
            last_heard: None,
            last_sent: None,
            is_confirmed: false,
            renews: false,
        })
    }

    /// Whether a message is for a session of another process than this one: what answers, and what was
    /// encrypted, says for which of our sessions it is (WireGuard protocol, 5.4).
    pub fn is_of_another(&self, message: &[u8]) -> bool {
        let at = match message.first() {
            Some(&HANDSHAKE_RESPONSE) => 8,
            Some(&(COOKIE_REPLY | DATA)) => 4,
            _ => return false,
        };
        let receiver = message.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        receiver.is_some_and(|bytes| u32::from_le_bytes(bytes) >> 8 != self.index)
    }

    /// Whether packets from `source` cannot be the far end's: the plan says that it is elsewhere.
    pub fn is_stranger(&self, source: IpAddr) -> bool {
        self.remote_is_stated && !self.is_from_far_end(source)
    }

    /// Whether the far end has been heard to use our session.
    pub fn is_confirmed(&self) -> bool {
        self.is_confirmed
    }

    /// Asks for a new session soon, although there is one: the far end prefers another process's, or has
    /// forgotten it.
    pub fn renew(&mut self) {
        self.renews = true;
    }

    /// What another process needs to go on with this tunnel; keys and sessions stay.
    pub fn state(&self) -> WireGuardState {
        WireGuardState {
            socket: self.socket.is_some(),
            index: self.index,
            local: self.local,
            remote: self.remote,
            has_session: self.has_session(),
        }
    }

    /// The upper 24 bits of what the far end calls our sessions by.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Goes on where another process stands.
    pub fn adopt(&mut self, state: &WireGuardState, socket: Option<OwnedFd>) {
        self.socket = socket;
        self.local = state.local;
        self.remote = state.remote;
    }

    /// Goes on with a session between the same keys after a change of plan, and on its socket if that is
    /// bound to the same place but perhaps for the port. Whether the far end's place is stated decides who
    /// keeps the way open, and stays with a session.
    pub fn inherit(&mut self, before: WireGuard, same_place: bool) {
        if self.remote_is_stated != before.remote_is_stated {
            return;
        }
        if same_place && self.local_port == before.local_port {
            self.socket = before.socket;
            self.in_one = before.in_one;
        }
        self.local = self.local.or(before.local);
        self.remote = self.remote.or(before.remote);
        self.tunn = before.tunn;
        self.has_session = before.has_session;
        self.index = before.index;
        self.is_confirmed = before.is_confirmed;
        self.last_attempt = before.last_attempt;
        self.last_heard = before.last_heard;
        self.last_sent = before.last_sent;
    }

    pub fn has_session(&self) -> bool {
        self.has_session
    }

    /// A session comes by what is received, and goes with the time.
    fn look_for_session(&mut self) {
        self.has_session = self.tunn.time_since_last_handshake().is_some();
    }

    /// Whether packets from `source` are the far end's, as far as an address can say.
    pub fn is_from_far_end(&self, source: IpAddr) -> bool {
        self.remote.is_some_and(|remote| remote.ip() == source)
    }

    /// Between whom our datagrams travel.
    ///
    /// # Errors
    /// `NoLine` or `NoRemote` while that is not known.
    pub fn flow(&self, traffic_class: u8) -> Result<Flow, DropReason> {
        let from = self.local.ok_or(DropReason::NoLine)?;
        Ok(Flow { from, to: self.remote.ok_or(DropReason::NoRemote)?, traffic_class })
    }

    /// The UDP header of a message of `payload_len` bytes.
    pub fn header(&self, flow: &Flow, payload_len: usize) -> udp::Repr {
        udp::Repr { source_port: self.local_port, destination_port: flow.to.port(), payload_len }
    }

    /// Time since the session's handshake.
    pub fn session_age(&self) -> Option<Duration> {
        self.tunn.time_since_last_handshake()
    }

    /// Opens the socket if it is not open, and looks up our own address if the plan does not say it.
    ///
    /// # Errors
    /// As the kernel says, while the line or its address is not there.
    pub fn maintain(&mut self, underlay: &Namespace, plan: &Tunnel) -> io::Result<bool> {
        let opened = self.socket.is_none();
        if opened {
            let address = self.local.filter(|_| self.local_is_stated);
            self.socket =
                Some(socket::datagrams(underlay, &plan.uplink, plan.outer_ipv6, address, self.local_port)?);
            self.in_one = true;
        }
        if !self.local_is_stated
            && let Some(remote) = self.remote
        {
            self.local = Some(socket::source_towards(underlay, &plan.uplink, remote.ip())?);
        }
        Ok(opened)
    }

    /// Encrypts the inner packet to the start of `buffer`; says how many bytes it is then.
    ///
    /// # Errors
    /// `NoSession` while there is none: the packet is not kept for later.
    pub fn seal(&mut self, now: Instant, inner: &[u8], buffer: &mut [u8]) -> Result<usize, DropReason> {
        if !self.has_session {
            return Err(DropReason::NoSession);
        }
        if inner.len() + OVERHEAD > buffer.len() {
            return Err(DropReason::TooLarge);
        }
        match self.tunn.encapsulate(inner, buffer) {
            TunnResult::WriteToNetwork(bytes) => {
                self.last_sent = Some(now);
                Ok(bytes.len())
            }
            _ => Err(DropReason::NoSession),
        }
    }

    /// What has to be sent because of the time: keepalives, handshakes. Says how many bytes of `buffer` it
    /// is.
    pub fn on_time(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        debug_assert!(buffer.len() >= LARGEST_HANDSHAKE);
        let due = match self.tunn.update_timers(buffer) {
            TunnResult::WriteToNetwork(bytes) => Some(bytes.len()),
            _ => None,
        };
        self.look_for_session();
        if due.is_some() {
            return due;
        }
        self.remote?;
        let waited = self.last_attempt.is_none_or(|attempt| now.duration_since(attempt) >= RETRY);
        if !waited || (self.has_session && !self.is_silent(now) && !self.renews) {
            return None;
        }
        self.last_attempt = Some(now);
        self.renews = false;
        match self.tunn.format_handshake_initiation(buffer, true) {
            TunnResult::WriteToNetwork(bytes) => Some(bytes.len()),
            _ => None,
        }
    }

    /// We sent something, and for a while nothing has come.
    fn is_silent(&self, now: Instant) -> bool {
        let heard = self.last_heard.is_some_and(|heard| now.duration_since(heard) < SILENCE);
        let asked = self.last_sent.is_some_and(|sent| now.duration_since(sent) < SILENCE);
        asked && !heard
    }

    /// Takes a datagram of `arrival`. The far end's address is learned from what it has
    /// authenticated, if the plan does not say it.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn open(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        datagram: &[u8],
        buffer: &mut [u8],
    ) -> Result<Opened, DropReason> {
        let source = arrival.source;
        if self.is_stranger(source.ip()) {
            return Err(DropReason::UnknownSource);
        }
        // To the library an empty datagram is a question of ours, not a packet of theirs.
        if datagram.is_empty() {
            return Err(DropReason::Malformed);
        }
        let (opened, answer) = match self.tunn.decapsulate(Some(source.ip()), datagram, buffer) {
            TunnResult::Done => (Opened::Nothing, None),
            TunnResult::WriteToNetwork(bytes) => (Opened::Nothing, Some((bytes.len(), bytes[0]))),
            TunnResult::WriteToTunnelV4(bytes, _) | TunnResult::WriteToTunnelV6(bytes, _) => {
                (Opened::Packet(0..bytes.len()), None)
            }
            TunnResult::Err(error) => return Err(reason(&error)),
        };
        if !self.has_session {
            self.look_for_session();
        }
        // A cookie goes to whoever asks under load: it says nothing of who asked.
        if !matches!(answer, Some((_, COOKIE_REPLY))) {
            self.last_heard = Some(now);
            self.is_confirmed |= datagram[0] == DATA;
            if !self.remote_is_stated {
                self.remote = Some(source);
            }
            if !self.local_is_stated && arrival.destination.is_some() {
                self.local = arrival.destination;
            }
        }
        match answer {
            None => Ok(opened),
            Some((len, _)) => {
                let from = arrival.destination.or(self.local).ok_or(DropReason::NoLine)?;
                Ok(Opened::Answer(0..len, Flow { from, to: source, traffic_class: 0 }))
            }
        }
    }
}

fn reason(error: &WireGuardError) -> DropReason {
    match error {
        WireGuardError::InvalidCounter
        | WireGuardError::DuplicateCounter
        | WireGuardError::WrongTai64nTimestamp => DropReason::Replayed,
        WireGuardError::NoCurrentSession | WireGuardError::ConnectionExpired | WireGuardError::WrongIndex => {
            DropReason::NoSession
        }
        WireGuardError::InvalidPacket
        | WireGuardError::WrongPacketType
        | WireGuardError::IncorrectPacketLength
        | WireGuardError::UnexpectedPacket => DropReason::Malformed,
        _ => DropReason::Unauthenticated,
    }
}
