//! The second engine in the document of `router.sock`.

use serde::{Deserialize, Serialize};

/// FRR, where it speaks BGP in our place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrrStatus {
    /// What it says it is; `None`: it has not answered yet.
    pub version: Option<String>,
    /// Those of its daemons that run.
    pub running: Vec<String>,
    /// How often a daemon was started again after it had ended by itself.
    pub restarts: u32,
    /// Whether what runs is what the plan asks for.
    pub in_force: bool,
    /// Why not.
    pub trouble: Option<FrrTrouble>,
}

/// Why FRR is not as the plan asks. It is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum FrrTrouble {
    NotInstalled,
    /// Its daemons run as a user of their own, who is not there: as in the lab of an ordinary user.
    NoUser,
    NotStarted {
        daemon: String,
        error: String,
    },
    /// It ended by itself, with this status.
    Ended {
        daemon: String,
        status: String,
    },
    /// The plan has changed, and the program is missing that changes FRR with no session reset.
    NoReload,
    /// It did not take the changed plan.
    ReloadFailed {
        status: String,
    },
    /// A daemon runs and does not answer.
    NoAnswer {
        error: String,
    },
}
