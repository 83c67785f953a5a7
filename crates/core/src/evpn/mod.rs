//! Segments: Ethernet networks of hosts, stretched between routers by EVPN (RFC 7432) over VXLAN
//! (RFC 8365). What the kernel learned on ports becomes routes for others, their routes become
//! entries for the kernel, and ports that would make a loop are blocked.

pub mod config;
mod event;
mod notice;

pub use event::{Action, EntryChange, Event};
pub use notice::{BlockReason, Notice};
