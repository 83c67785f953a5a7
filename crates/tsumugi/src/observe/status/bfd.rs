//! BFD in the document of `router.sock`.

use crate::observe::words;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tsumugi_core::bfd::{BfdDrop, BfdSessionStatus};
use tsumugi_plan::explain::Lang;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdStatus {
    /// By the neighbours' names.
    pub sessions: Vec<BfdSession>,
    /// Packets that were not taken, by reason. What walls drop is counted with the walls.
    pub drops: BTreeMap<BfdDrop, u64>,
    /// Why nothing is heard, in the kernel's words; `None`: it is.
    pub not_listening: Option<String>,
    /// Why its thread waits for its turn like any other; `None`: it runs before others.
    pub not_urgent: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdSession {
    #[serde(flatten)]
    pub session: BfdSessionStatus,
    pub state_words: String,
    pub last_down_words: Option<String>,
}

impl From<BfdSessionStatus> for BfdSession {
    fn from(session: BfdSessionStatus) -> BfdSession {
        BfdSession {
            state_words: words::bfd::state(session.state, Lang::En).into(),
            last_down_words: session.last_down.as_ref().map(|down| words::bfd::down(down, Lang::En)),
            session,
        }
    }
}
