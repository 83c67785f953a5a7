//! Route validation in the document of `router.sock`.

use serde::{Deserialize, Serialize};
use tsumugi_core::id::Plane;
use tsumugi_core::rpki::{BadSlurm, RpkiStatus};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RpkiReport {
    #[serde(flatten)]
    pub client: RpkiStatus,
    /// In words, in the order of the caches.
    pub last_end_words: Vec<Option<String>>,
    /// Where the caches are reached.
    pub plane: Plane,
    /// The file of exceptions; `None`: the plan names none.
    pub slurm_file: Option<String>,
    /// Why what it says does not count; what it said before does.
    pub slurm_trouble: Option<SlurmTrouble>,
}

/// Why a file of exceptions (RFC 8416) was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "trouble")]
pub enum SlurmTrouble {
    Unreadable {
        error: String,
    },
    /// Not the JSON that it should be.
    NotSlurm {
        error: String,
    },
    Wrong {
        bad: BadSlurm,
    },
}
