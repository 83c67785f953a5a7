//! BGP as a machine without sockets: bytes and time in, bytes and routes out.
//!
//! [`Speaker`] is the whole of it. Time is an argument, a connection is a number, and what is
//! bulky (UPDATEs, routes for the kernel) is pulled with a budget.

mod add_path;
mod adj_out;
mod attribute_errors;
mod by_path;
pub mod change;
mod clearance;
pub mod config;
mod connection;
mod decide;
mod deferral;
mod dump;
mod event;
mod evpn;
mod exchange;
mod index;
mod judge_again;
mod key;
mod monitor;
mod notice;
mod originate;
mod outlet;
pub mod policy;
mod reconfigure;
mod refresh;
mod refused;
mod report;
mod restart;
mod rib;
mod rounds;
mod send_hold;
mod session;
mod show;
mod slab;
mod slots;
mod speaker;
mod status;
mod told;
mod validation;

pub use deferral::{Forwarding, Waits, Within};
pub use dump::TableDump;
pub use event::{
    Action, ConnectionId, Event, EvpnPath, EvpnUpdate, NeighbourId, NextHop, RouteChange, SpeakerRoute,
};
pub use monitor::{CollectorId, MonitorCounts, Surroundings};
pub use notice::{DeferralEnd, EvpnRefusal, ImportRefusal, Notice, SessionEnd};
pub use policy::ExportRefusal;
pub use speaker::Speaker;
pub use status::{
    AttributeErrorCount, Deferred, EvpnRefused, FamilyCounts, LostAt, NeighbourStatus, OwnValidity, Page,
    PathStatus, ReceivedRoute, Refused, RefusedBy, RestartStatus, RouteReport, RouteStatus, Selected,
    SentRoute, SessionState, SpeakerStatus, ToldState, ToldStatus,
};

#[cfg(test)]
mod tests;
