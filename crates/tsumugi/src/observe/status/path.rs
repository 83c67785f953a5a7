//! What a datapath says of the path under a tunnel: in its document, and to whoever asks to have it
//! measured.

use crate::state::KeptPath;
use serde::{Deserialize, Serialize};
use tsumugi_core::id::IfName;
use tsumugi_core::tunnel::path::{Answerer, PathTrouble, Progress};

/// A measured path, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasuredPath {
    #[serde(flatten)]
    pub kept: KeptPath,
    /// What the plan says now, in bytes.
    pub planned_now: u16,
    /// The kernel moves the packets by its routes: what was found is only said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_kernel: bool,
    /// What outer packets are cut at now.
    pub path_mtu: u16,
    /// The MSS that TCP over IPv4 and IPv6 is told; `None`: it is left alone.
    pub mss: Option<[u16; 2]>,
    pub troubles: Vec<PathTrouble>,
}

/// A measurement that holds no more: the file speaks of another size since. All in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoidPath {
    /// Seconds since 1970.
    pub measured_at: u64,
    pub found: Option<u16>,
    pub planned_then: u16,
    pub planned_now: u16,
}

/// What a verb asks over `probe.sock`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeQuestion {
    /// The tunnel's interface.
    pub probe: IfName,
}

/// One line of the answer. All but progress are the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "said")]
pub enum ProbeSaid {
    Progress(Progress),
    Refused(ProbeRefused),
    /// Not one answer came.
    Unanswered {
        #[serde(default)]
        asked: Answerer,
    },
    /// The far end answered, and then no more.
    WentSilent,
    /// `not_kept`: why the finding will not outlive the process.
    Found {
        #[serde(flatten)]
        measured: Box<MeasuredPath>,
        #[serde(skip_serializing_if = "Option::is_none")]
        not_kept: Option<String>,
    },
}

/// Why a path is not measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum ProbeRefused {
    /// The question was no question.
    NotUnderstood,
    /// No such tunnel runs.
    NoTunnel,
    /// The file says that the far end is not to be asked.
    NotAsked,
    /// The line is not open, an end has no address, or there is no session.
    NotUp,
    /// As many as may be are being measured.
    Busy,
    /// A new plan changed or removed the tunnel meanwhile.
    Changed,
}
