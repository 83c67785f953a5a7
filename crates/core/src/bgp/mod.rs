//! BGP as a machine without sockets: bytes and time in, bytes and routes out.
//!
//! [`Speaker`] is the whole of it. Time is an argument, a connection is a number, and what is
//! bulky (UPDATEs, routes for the kernel) is pulled with a budget.

pub mod config;
mod event;
mod notice;
mod speaker;
mod status;

pub use event::{Action, ConnectionId, Event, NeighbourId, NextHop, RouteChange, SpeakerRoute};
pub use notice::{ImportRefusal, Notice, SessionEnd};
pub use speaker::Speaker;
pub use status::{
    FamilyCounts, LostAt, NeighbourStatus, PathStatus, Refused, RouteStatus, SessionState, SpeakerStatus,
};
