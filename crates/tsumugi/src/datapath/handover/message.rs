//! What the two say to each other: JSON, and behind it a datagram where there is one.

use crate::kernel::channel::{Channel, Peer};
use crate::observe::status::{
    ByShortcut, Chosen, FarEnd, HandoverRefused, KeepaliveStatus, LinePath, Traffic, WhyDead,
};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use tsumugi_core::id::IfName;
use tsumugi_core::router_plan;
use tsumugi_core::tunnel::{Counters, DropReason};

/// Raised when an older program would misunderstand.
pub const VERSION: u32 = 1;
/// The largest message: one tunnel's state, or the largest datagram with what stands in front of it.
const LARGEST: usize = 80 << 10;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "message")]
pub enum Message {
    /// The new one: who it is.
    Hello { version: u32, program: String },
    /// The old one: it goes on by itself.
    Refused { why: HandoverRefused },
    /// The old one: a line, with its descriptors; without them: how far it is now.
    Line(LineState),
    /// A tunnel, the same way.
    Tunnel(Box<TunnelState>),
    /// The old one: that was all.
    All { program: String, plan_hash: String, stack: Option<String> },
    /// The new one: it can begin.
    Ready,
    /// The old one: it has stopped.
    Yours,
    /// The new one: it has begun.
    Taken,
    /// Either: what was received for a session of the other's.
    Datagram { tunnel: IfName, source: SocketAddr, destination: Option<IpAddr>, traffic_class: u8 },
    /// The new one: nothing comes any more for sessions of the old one.
    End,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineState {
    pub name: IfName,
    pub index: Option<u32>,
    pub path: LinePath,
    pub packets: bool,
    /// Whether the packet sockets hear GENEVE.
    #[serde(default)]
    pub geneve: bool,
    /// Of IPv4, of IPv6.
    pub senders: [bool; 2],
    /// IPv6 or not, and the protocol.
    pub receivers: Vec<(bool, u8)>,
    /// Those of network control alone, the same way.
    #[serde(default)]
    pub control_receivers: Vec<(bool, u8)>,
    pub drops: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelState {
    pub plan: router_plan::Tunnel,
    pub chosen: Chosen,
    pub device: bool,
    /// Its index in the fabric; `None` of an older process, or without a device.
    #[serde(default)]
    pub device_index: Option<u32>,
    /// Whether the device takes UDP in segments.
    pub udp: bool,
    pub received: Traffic,
    pub sent: Traffic,
    #[serde(default)]
    pub by_shortcut: ByShortcut,
    pub drops: BTreeMap<String, u64>,
    pub last_heard_ms: Option<u64>,
    /// Whether the far end lives; `None`: not asked, or not known.
    #[serde(default)]
    pub lives: Option<bool>,
    /// All that is known of it; `None` of an older process.
    #[serde(default)]
    pub keepalive: Option<KeepaliveStatus>,
    /// For how long nothing has come from it.
    #[serde(default)]
    pub silence_ms: u64,
    pub wireguard: Option<WireGuardState>,
}

impl TunnelState {
    /// What is known of the far end: of an older process only whether it lives. One that is deaf says so again.
    pub fn known_of_far_end(&self) -> KeepaliveStatus {
        let far_end = match self.lives {
            None => FarEnd::Unproven,
            Some(true) => FarEnd::Alive,
            Some(false) => FarEnd::Dead { cause: WhyDead::Silent },
        };
        self.keepalive.clone().unwrap_or(KeepaliveStatus { far_end, ..KeepaliveStatus::default() })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireGuardState {
    pub socket: bool,
    /// The upper 24 bits of what the far end calls the sessions by.
    pub index: u32,
    pub local: Option<IpAddr>,
    pub remote: Option<SocketAddr>,
    pub has_session: bool,
}

/// Counters by name, those that ever applied.
pub fn named(counters: &Counters) -> BTreeMap<String, u64> {
    let all = DropReason::ALL.iter().map(|reason| (reason.counter().to_owned(), counters.get(*reason)));
    all.filter(|(_, count)| *count != 0).collect()
}

/// The same back; names of another version's reasons are left out.
pub fn counted(named: &BTreeMap<String, u64>) -> Counters {
    let mut counters = Counters::default();
    for reason in DropReason::ALL {
        counters.add(*reason, named.get(reason.counter()).copied().unwrap_or(0));
    }
    counters
}

/// What came.
#[derive(Debug)]
pub struct Received {
    pub message: Message,
    /// Of a datagram.
    pub bytes: Vec<u8>,
    pub descriptors: Vec<OwnedFd>,
}

/// The other process, and what waits until it has time for it.
pub struct Partner {
    channel: Channel,
    waiting: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    buffer: Vec<u8>,
}

impl Partner {
    pub fn new(channel: Channel) -> Partner {
        Partner { channel, waiting: VecDeque::new(), buffer: vec![0; LARGEST] }
    }

    /// # Errors
    /// As the kernel says.
    pub fn peer(&self) -> io::Result<Peer> {
        self.channel.peer()
    }

    pub fn tell(&mut self, message: &Message) {
        self.give(message, &[], Vec::new());
    }

    /// Copies of the descriptors go with the message.
    pub fn give(&mut self, message: &Message, bytes: &[u8], descriptors: Vec<OwnedFd>) {
        // Its types are plain: numbers, texts, lists, and maps whose keys are texts.
        let mut text = serde_json::to_vec(message).unwrap_or_default();
        if !bytes.is_empty() {
            text.push(b'\n');
            text.extend_from_slice(bytes);
        }
        self.waiting.push_back((text, descriptors));
    }

    /// Sends what the other one has room for. True if that was all.
    ///
    /// # Errors
    /// EPIPE once it is gone.
    pub fn flush(&mut self) -> io::Result<bool> {
        while let Some((message, descriptors)) = self.waiting.front() {
            match self.channel.send(message, descriptors) {
                Ok(()) => {
                    self.waiting.pop_front();
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ETOOMANYREFS) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Messages that it has not had room for yet.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The next message; `None` while there is none.
    ///
    /// # Errors
    /// `UnexpectedEof` once the other one is gone; `InvalidData` for what is not understood.
    pub fn next(&mut self) -> io::Result<Option<Received>> {
        let (len, descriptors) = loop {
            match self.channel.receive(&mut self.buffer) {
                Ok(received) => break received,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EMSGSIZE) => return Err(io::ErrorKind::InvalidData.into()),
                Err(error) => return Err(error.into()),
            }
        };
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let all = &self.buffer[..len];
        let end = all.iter().position(|byte| *byte == b'\n').unwrap_or(len);
        let message = serde_json::from_slice(&all[..end])?;
        let bytes = all.get(end + 1..).unwrap_or_default().to_vec();
        Ok(Some(Received { message, bytes, descriptors }))
    }

    /// From now on the other one cannot say anything; what it has said can still be read.
    pub fn hang_up(&self) {
        self.channel.close_door();
    }
}

impl AsFd for Partner {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_come_back_and_strange_names_are_left_out() {
        let mut counters = Counters::default();
        counters.add(DropReason::Malformed, 3);
        let mut texts = named(&counters);
        texts.insert("of-another-version".into(), 5);
        assert_eq!(counted(&texts), counters);
    }
}
