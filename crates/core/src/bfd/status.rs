//! What BFD says of itself.

use crate::wire::bfd::{Diagnostic, State};
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// Why a session that was up is no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "cause")]
pub enum BfdDown {
    /// Nothing was heard for the detection time, in milliseconds.
    Silence { detection: u32 },
    /// The far end says that it is down, and why.
    NeighbourDown { diagnostic: Diagnostic },
    /// The far end has switched its session off: no failure (RFC 5882 3.2).
    NeighbourAdminDown,
}

impl BfdDown {
    /// Whether it says anything about the path.
    pub fn is_failure(&self) -> bool {
        *self != BfdDown::NeighbourAdminDown
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdSessionStatus {
    /// The neighbour's.
    pub name: String,
    /// False: it is not watched, as its BGP session does not stand.
    pub active: bool,
    pub state: State,
    pub diagnostic: Diagnostic,
    pub remote_state: State,
    pub remote_diagnostic: Diagnostic,
    pub discriminator: u32,
    /// 0: not heard.
    pub remote_discriminator: u32,
    /// In microseconds, as in force now: between our packets before jitter, and until a silence is a
    /// failure; 0: nothing is sent, nothing is waited for.
    pub interval_us: u64,
    pub detection_us: u64,
    pub multiplier: u8,
    pub remote_multiplier: u8,
    /// The far end asks for no more than it asks for (RFC 5880 6.6).
    pub remote_demand: bool,
    /// The far end's BFD goes on while its routing restarts (the C bit).
    pub remote_independent: bool,
    /// How long it has been in this state, in milliseconds.
    pub state_for_ms: u64,
    /// How often it has come up and gone down.
    pub ups: u32,
    pub downs: u32,
    pub last_down: Option<BfdDown>,
    pub sent: u64,
    pub received: u64,
}
