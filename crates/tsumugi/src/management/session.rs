//! One WireGuard session: with one neighbour, from one of our lines to one of theirs.
//!
//! The library's `Tunn` does the cryptography and the handshake. Whether the far end is there is
//! decided here, faster than WireGuard itself would (its timers are of 10 and 15 seconds): whatever
//! is sent must be answered within [`PATIENCE`], and whoever hears something answers, with an empty
//! packet if there is nothing to say. A path in use is asked often, one in reserve seldom, because
//! that one may be paid for by the byte.

use boringtun::noise::{Packet, Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long something sent may go unanswered until the path counts as dead.
const PATIENCE: Duration = Duration::from_secs(3);
/// From one question to the next: on a path in use, in reserve, and after one without an answer.
const ASK_IN_USE: Duration = Duration::from_millis(1500);
const ASK_IN_RESERVE: Duration = Duration::from_secs(10);
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Whoever has sent something within this time need not answer what it hears.
const ANSWERED: Duration = Duration::from_millis(700);
/// From one attempt at a handshake to the next: at first, and after [`EAGER`] of them.
const CALL_EAGERLY: Duration = Duration::from_secs(1);
const CALL_PATIENTLY: Duration = Duration::from_secs(5);
const EAGER: u32 = 10;
/// Keys are made anew before WireGuard drops them (180 s), first by the end that made them.
const REKEY_INITIATOR: Duration = Duration::from_secs(100);
const REKEY_RESPONDER: Duration = Duration::from_secs(140);

/// Who a session is with: both static keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    pub local: [u8; 32],
    pub remote: [u8; 32],
}

pub struct Session {
    pub identity: Identity,
    /// Number of one of our lines.
    pub line: usize,
    /// Where the plan says that the far end is; `None`: it calls us.
    configured: Option<SocketAddr>,
    /// Where it was heard last, else where the plan says it is.
    endpoint: Option<SocketAddr>,
    tunn: Tunn,
    heard: Option<Instant>,
    sent: Option<Instant>,
    /// The first of what was sent since we last heard anything.
    unanswered: Option<Instant>,
    /// When the keys were made, and whether by us.
    keys: Option<(Instant, bool)>,
    called: Option<Instant>,
    calls: u32,
    /// Bytes of outer UDP payload.
    pub sent_bytes: u64,
    pub received_bytes: u64,
}

/// What came out of a datagram.
pub enum Opened<'a> {
    /// A packet for us, not yet checked for its source.
    Packet(&'a [u8]),
    /// Nothing, or something that was answered.
    Nothing,
    /// It was not from who it claimed to be, or too old.
    NotAuthentic,
}

impl Session {
    /// `index` is unique among the sessions of the process and has 24 bits.
    pub fn new(
        secret: &StaticSecret,
        remote: [u8; 32],
        line: usize,
        configured: Option<SocketAddr>,
        index: u32,
    ) -> Session {
        let local = PublicKey::from(secret).to_bytes();
        Session {
            identity: Identity { local, remote },
            line,
            configured,
            endpoint: configured,
            tunn: Tunn::new(secret.clone(), PublicKey::from(remote), None, None, index, None),
            heard: None,
            sent: None,
            unanswered: None,
            keys: None,
            called: None,
            calls: 0,
            sent_bytes: 0,
            received_bytes: 0,
        }
    }

    /// The same session after a change of the plan.
    pub fn moved(mut self, line: usize, configured: Option<SocketAddr>) -> Session {
        if self.configured != configured {
            self.configured = configured;
            self.endpoint = configured.or(self.endpoint);
        }
        self.line = line;
        self
    }

    /// Whether packets can be sent here now.
    pub fn is_alive(&self, now: Instant) -> bool {
        let answered = |since: Instant| now.saturating_duration_since(since) < PATIENCE;
        self.heard.is_some() && self.has_keys() && self.unanswered.is_none_or(answered)
    }

    pub fn endpoint(&self) -> Option<SocketAddr> {
        self.endpoint
    }

    pub fn heard(&self) -> Option<Instant> {
        self.heard
    }

    /// When the keys in use were made.
    pub fn handshake(&self) -> Option<Instant> {
        self.keys.map(|(at, _)| at)
    }

    fn has_keys(&self) -> bool {
        self.tunn.time_since_last_handshake().is_some()
    }

    /// Seals a packet; `send` gets the datagram. `buffer` holds the packet and 148 bytes more.
    pub fn seal(
        &mut self,
        now: Instant,
        packet: &[u8],
        buffer: &mut [u8],
        send: &mut dyn FnMut(usize, SocketAddr, &[u8]),
    ) {
        let Some(to) = self.endpoint else { return };
        if let TunnResult::WriteToNetwork(datagram) = self.tunn.encapsulate(packet, buffer) {
            let length = datagram.len();
            send(self.line, to, datagram);
            self.note_sent(now, length);
        }
    }

    /// Opens a datagram that is for this session. What must be answered at once goes to `send`.
    pub fn open<'a>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
        buffer: &'a mut [u8],
        send: &mut dyn FnMut(usize, SocketAddr, &[u8]),
    ) -> Opened<'a> {
        let kind = Tunn::parse_incoming_packet(datagram).ok();
        let (initiation, data) = match &kind {
            Some(Packet::HandshakeInit(_)) => (true, false),
            Some(Packet::PacketData(_)) => (false, true),
            Some(_) => (false, false),
            None => return Opened::NotAuthentic,
        };
        let length = match self.tunn.decapsulate(Some(from.ip()), datagram, buffer) {
            TunnResult::Err(_) => return Opened::NotAuthentic,
            TunnResult::Done => {
                if data {
                    self.note_heard(now, from, datagram.len());
                    self.answer(now, send);
                }
                return Opened::Nothing;
            }
            TunnResult::WriteToNetwork(answer) => {
                // A cookie is sent while under load: then nothing is known of who asked.
                let cookie = matches!(Tunn::parse_incoming_packet(answer), Ok(Packet::PacketCookieReply(_)));
                let length = answer.len();
                send(self.line, from, answer);
                if !cookie {
                    self.keys = Some((now, !initiation));
                    self.calls = 0;
                    self.note_heard(now, from, datagram.len());
                    self.note_sent(now, length);
                    self.send_queued(now, send);
                }
                return Opened::Nothing;
            }
            TunnResult::WriteToTunnelV4(packet, _) | TunnResult::WriteToTunnelV6(packet, _) => packet.len(),
        };
        self.note_heard(now, from, datagram.len());
        self.answer(now, send);
        Opened::Packet(&buffer[..length])
    }

    /// What time brings: calls, questions, new keys. `in_use`: packets go this way now.
    pub fn tick(
        &mut self,
        now: Instant,
        in_use: bool,
        buffer: &mut [u8],
        send: &mut dyn FnMut(usize, SocketAddr, &[u8]),
    ) {
        if let TunnResult::WriteToNetwork(datagram) = self.tunn.update_timers(buffer)
            && let Some(to) = self.endpoint
        {
            let length = datagram.len();
            send(self.line, to, datagram);
            self.note_sent(now, length);
        }
        if self.is_alive(now) {
            let silent =
                self.heard.max(self.sent).map_or(ASK_IN_RESERVE, |at| now.saturating_duration_since(at));
            let asked = self.sent.map_or(ASK_IN_RESERVE, |at| now.saturating_duration_since(at));
            let due = if self.unanswered.is_some() {
                asked >= ASK_AGAIN
            } else if in_use {
                asked >= ASK_IN_USE
            } else {
                silent >= ASK_IN_RESERVE
            };
            if due {
                self.seal(now, &[], buffer, send);
            }
            let age = self.keys.map(|(at, by_us)| (now.saturating_duration_since(at), by_us));
            let old =
                age.is_some_and(|(age, by_us)| age >= if by_us { REKEY_INITIATOR } else { REKEY_RESPONDER });
            if old && self.endpoint.is_some() {
                self.call(now, CALL_PATIENTLY, buffer, send);
            }
        } else if self.configured.is_some() {
            self.endpoint = self.configured;
            let pause = if self.calls < EAGER { CALL_EAGERLY } else { CALL_PATIENTLY };
            self.call(now, pause, buffer, send);
        }
    }

    /// Begins a handshake, unless the last attempt is younger than `pause`.
    fn call(
        &mut self,
        now: Instant,
        pause: Duration,
        buffer: &mut [u8],
        send: &mut dyn FnMut(usize, SocketAddr, &[u8]),
    ) {
        if self.called.is_some_and(|at| now.saturating_duration_since(at) < pause) {
            return;
        }
        let Some(to) = self.endpoint else { return };
        if let TunnResult::WriteToNetwork(datagram) = self.tunn.format_handshake_initiation(buffer, true) {
            self.sent_bytes += datagram.len() as u64;
            send(self.line, to, datagram);
            self.called = Some(now);
            self.calls = self.calls.saturating_add(1);
        }
    }

    /// What waited for the handshake. The library keeps at most 256 packets.
    fn send_queued(&mut self, now: Instant, send: &mut dyn FnMut(usize, SocketAddr, &[u8])) {
        let mut buffer = vec![0; super::BUFFER];
        while let TunnResult::WriteToNetwork(datagram) = self.tunn.decapsulate(None, &[], &mut buffer) {
            let length = datagram.len();
            if let Some(to) = self.endpoint {
                send(self.line, to, datagram);
            }
            self.note_sent(now, length);
        }
    }

    fn answer(&mut self, now: Instant, send: &mut dyn FnMut(usize, SocketAddr, &[u8])) {
        if self.sent.is_none_or(|at| now.saturating_duration_since(at) >= ANSWERED) {
            // An empty packet is 32 bytes; 148 is what the library may need.
            let mut buffer = [0; 148];
            self.seal(now, &[], &mut buffer, send);
            // An answer asks for none.
            self.unanswered = None;
        }
    }

    fn note_sent(&mut self, now: Instant, length: usize) {
        self.sent_bytes += length as u64;
        self.sent = Some(now);
        self.unanswered.get_or_insert(now);
    }

    fn note_heard(&mut self, now: Instant, from: SocketAddr, length: usize) {
        self.received_bytes += length as u64;
        self.heard = Some(now);
        self.unanswered = None;
        self.endpoint = Some(from);
    }
}
