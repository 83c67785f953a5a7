//! What each of the three processes says of itself when its socket is asked: one JSON document.
//!
//! Reasons are types, for programs and for [`super::words`]; the router's document has them in English
//! as well, for people who read the document itself.

mod bfd;
mod bmp;
mod datapath;
mod frr;
mod management;
mod path;
mod router;
mod rpki;
mod segments;
mod show;

pub use bfd::{BfdSession, BfdStatus};
pub use bmp::{BmpReport, CollectorEnd, CollectorStatus};
pub use datapath::{
    ByShortcut, Chosen, DatapathStatus, FarEnd, HandoverRefused, HandoversRefused, KeepaliveStatus, LinePath,
    LineStatus, Missing, Shortcut, TakenOver, Traffic, TunnelState, TunnelStatus, UnderlayStatus, WhyDead,
    WhyNoShortcut, WhyRaw, WhyUnasked, WhyUserspace,
};
pub use frr::{FrrStatus, FrrTrouble};
pub use management::{
    DeviceStatus, ManagementStatus, ManagementTrouble, MemberStatus, OverlayDrop, OverlayLineStatus,
    PathStatus,
};
pub use path::{MeasuredPath, ProbeQuestion, ProbeRefused, ProbeSaid, VoidPath};
pub use router::{
    BgpStatus, LinkStatus, PlanAhead, RefusedConnection, RouteCounts, RouterStatus, Running, SessionStatus,
};
pub use rpki::{RpkiReport, SlurmTrouble};
pub use segments::{DhcpStatus, DhcpTrouble, EntryCounts};
pub use show::{BgpSaid, RouteSaid, ShowQuestion, ShowSaid, Table};

use crate::state::PlanRefused;
use serde::{Deserialize, Serialize};
use tsumugi_core::router_plan::RouterPlan;

/// Which plan is in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStatus {
    pub network: String,
    pub router: String,
    pub site: String,
    pub id: u32,
    pub generation: u64,
    /// Empty while there is none.
    pub hash: String,
    /// Why the newest plan was refused; what is said above is in force all the same.
    pub refused: Option<PlanRefused>,
}

impl PlanStatus {
    pub fn of(plan: Option<&RouterPlan>, refused: Option<&PlanRefused>) -> PlanStatus {
        let refused = refused.cloned();
        match plan {
            None => PlanStatus { refused, ..PlanStatus::default() },
            Some(plan) => PlanStatus {
                network: plan.network.clone(),
                router: plan.name.clone(),
                site: plan.site.clone(),
                id: plan.id,
                generation: plan.generation,
                hash: plan.hash.clone(),
                refused,
            },
        }
    }

    /// Whether any plan is in force.
    pub fn is_any(&self) -> bool {
        !self.hash.is_empty()
    }
}
