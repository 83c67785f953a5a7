//! The document of `datapath.sock`.

use super::{MeasuredPath, PlanStatus, VoidPath};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use tsumugi_core::id::IfName;
use tsumugi_core::tunnel::path::Progress;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatapathStatus {
    /// Always "datapath".
    pub process: String,
    pub pid: u32,
    pub uptime_ms: u64,
    pub plan: PlanStatus,
    /// `None`: the process began anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_over: Option<TakenOver>,
    /// Other processes that were not handed over to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handovers_refused: Vec<HandoversRefused>,
    pub tunnels: Vec<TunnelStatus>,
    /// Tunnels of the plan that could not be made; the log says why.
    pub unmade: Vec<IfName>,
    pub lines: Vec<LineStatus>,
    pub underlay: UnderlayStatus,
}

/// What a process was handed over by the one before it, so that nothing was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenOver {
    pub pid: i32,
    /// Name and version.
    pub program: String,
    pub tunnels: u32,
    pub lines: u32,
}

/// Why a process that runs does not hand over to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum HandoverRefused {
    /// It is another user's.
    NotAllowed,
    /// It speaks another version of the handover.
    Version { found: u32, known: u32 },
    /// Another one is taking over already.
    Busy,
    /// What it said is not of a handover, or not at its time.
    NotUnderstood,
    /// It said nothing any more.
    Silent,
    /// It was gone before the end.
    Gone,
    /// The system refused, in its own words.
    System { error: String },
}

/// A reason and how often it applied; of several of its kind the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandoversRefused {
    #[serde(flatten)]
    pub why: HandoverRefused,
    pub count: u64,
}

/// As an operator speaks of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TunnelState {
    /// Packets pass as far as we can tell.
    Up,
    /// The interface in the fabric is missing.
    NoDevice,
    /// The line is missing.
    NoLine,
    /// Our own outer address or the far end's is not known yet.
    NoAddress,
    /// WireGuard has no session.
    NoSession,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelStatus {
    pub name: IfName,
    pub alias: String,
    /// What encapsulates: `gre`, `gretap`, `etherip`, `geneve`, `wireguard`.
    pub by: String,
    #[serde(flatten)]
    pub engine: Chosen,
    /// `None` where it would be of no use, and of an older process.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub shortcut: Option<Shortcut>,
    /// `None` where nothing has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_shortcut: Option<ByShortcut>,
    pub state: TunnelState,
    /// What is wrong with its parts.
    pub trouble: Vec<Missing>,
    pub line: IfName,
    pub local: Option<IpAddr>,
    pub remote: Option<IpAddr>,
    /// In bytes, with the outer header: what is cut at, as planned or as measured.
    pub path_mtu: u16,
    /// What was measured of the path and is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<MeasuredPath>,
    /// What was measured of it and is not, as the file has changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_void: Option<VoidPath>,
    /// What a measurement of the path is at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measuring: Option<Progress>,
    /// In bytes, without it.
    pub mtu: u16,
    pub received: Traffic,
    pub sent: Traffic,
    /// By the name of the reason's counter ([`tsumugi_core::tunnel::DropReason`]).
    pub drops: BTreeMap<String, u64>,
    /// Since the far end last said something that was its own.
    pub last_heard_ms: Option<u64>,
    #[serde(default)]
    pub keepalive: KeepaliveStatus,
    /// Seconds since WireGuard's handshake.
    pub session_age: Option<u64>,
}

/// What is known of a tunnel's far end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepaliveStatus {
    #[serde(flatten)]
    pub far_end: FarEnd,
    /// Since it is so; `None`: since the tunnel was taken up.
    pub since_ms: Option<u64>,
    /// What the last answer took, and the quickest, in microseconds; `None` before the first.
    pub rtt_us: Option<u64>,
    pub rtt_min_us: Option<u64>,
    /// Questions and answers.
    pub asked: u64,
    pub answered: u64,
    /// How often the far end was given up.
    pub deaths: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "far-end")]
pub enum FarEnd {
    NotAsked {
        why: WhyUnasked,
    },
    /// It has never answered: dead from the start, or of an older version. The carrier stays.
    Unproven,
    Alive,
    /// The interface has no carrier.
    Dead {
        cause: WhyDead,
    },
}

impl Default for FarEnd {
    /// Of an older process, which asks nobody.
    fn default() -> FarEnd {
        FarEnd::NotAsked { why: WhyUnasked::NoAddress }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyUnasked {
    /// The file says so.
    Stated,
    /// No address at the far end is known.
    NoAddress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyDead {
    /// Nothing comes from it.
    Silent,
    /// It says that nothing of ours comes to it.
    Deaf,
}

/// Inner packets that have passed through a tunnel in one direction, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    pub packets: u64,
    pub bytes: u64,
}

impl Traffic {
    pub fn add(&mut self, more: Traffic) {
        self.packets += more.packets;
        self.bytes += more.bytes;
    }
}

/// What of a tunnel's packets the kernel's shortcut has passed. They are among those of the tunnel as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByShortcut {
    pub received: Traffic,
    pub sent: Traffic,
}

/// The engine of one tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "engine")]
pub enum Chosen {
    Kernel,
    Userspace(WhyUserspace),
}

/// Why the kernel does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "why")]
pub enum WhyUserspace {
    /// The file says so.
    Stated,
    /// Linux has no such device (EtherIP), or we do not drive it (GREtap, GENEVE).
    NoDevice,
    /// The kernel's GRE over IPv6 cannot cut its outer packets.
    CannotFragment,
    /// The kernel was asked and refused.
    Refused { error: String },
}

/// Whether frames that one outer packet holds stay in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "shortcut", content = "shortcut-why")]
pub enum Shortcut {
    Open,
    Closed(WhyNoShortcut),
}

/// Why they do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum WhyNoShortcut {
    /// The file asks for the engine in userspace.
    Stated,
    /// The binary was built where there was no clang.
    NotBuilt,
    /// The line's packets go through the stack.
    RawLine,
    /// The line hears GENEVE as well, which the programs do not know.
    Geneve,
    /// The far end does not answer.
    NoCarrier,
    /// Another process is about to take over.
    Handover,
    /// The process has just begun, and what another one had is still to go; or the pair has just been made,
    /// and does not send yet.
    Settling,
    /// The device or the next hop is not there yet.
    NoNextHop,
    /// More tunnels than the shortcut has room for.
    TooMany,
    /// The kernel refused.
    Refused { error: String },
}

/// Why something cannot be used yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Missing {
    /// The interface that it stands on is not there.
    NoInterface,
    /// The system refused, in its own words.
    System { error: String },
}

impl From<&io::Error> for Missing {
    fn from(error: &io::Error) -> Missing {
        match error.raw_os_error() {
            Some(libc::ENODEV) => Missing::NoInterface,
            _ => Missing::System { error: error.to_string() },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderlayStatus {
    /// Interfaces of the plan that are not there yet.
    pub waiting: Vec<IfName>,
    /// What could not be made as the plan wants it, in the kernel's words.
    pub failing: Vec<String>,
}

/// How the packets of a line's tunnels meet the underlay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "path")]
pub enum LinePath {
    /// Past the kernel's stack, by packet sockets: cut and put together by us.
    Packet,
    /// Through the stack, by raw sockets.
    Raw(WhyRaw),
}

/// Why the stack is not passed by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "why")]
pub enum WhyRaw {
    /// It is not open yet, or no tunnel of ours needs it.
    NotNeeded,
    /// The line is no Ethernet.
    NotEthernet,
    /// A tunnel whose packets the stack has to see has the same protocol between the same ends: one of the
    /// kernel's own, or WireGuard beside GENEVE.
    SharedWithStack,
    /// The line makes one packet of several datagrams, and only a socket of UDP is told of how many. GENEVE has none
    /// past the stack.
    MergesDatagrams,
    /// The stack cannot be kept from taking the packets as well.
    StackTakesThem { error: String },
    /// The system refused a packet socket.
    System { error: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineStatus {
    pub name: IfName,
    pub open: bool,
    /// `None` of an older process.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub path: Option<LinePath>,
    pub trouble: Option<Missing>,
    /// What came by this line and belongs to no tunnel, by the name of the reason's counter.
    pub drops: BTreeMap<String, u64>,
}
