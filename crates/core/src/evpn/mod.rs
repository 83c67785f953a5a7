//! Segments: Ethernet networks of hosts, stretched between routers by EVPN (RFC 7432) over VXLAN
//! (RFC 8365). What the kernel learned on ports becomes routes for others, their routes become
//! entries for the kernel, and ports that would make a loop are blocked.
//!
//! [`Evpn`] is one machine for all segments of a router. It owns no clock and no socket:
//! [`Evpn::step`] takes an event and pushes actions, what the kernel should hold is pulled by
//! [`Evpn::poll_entries`].

mod ask;
mod communities;
pub mod config;
mod entries;
mod event;
mod guard;
mod hosts;
mod import;
mod lan;
mod machine;
mod macs;
mod moves;
mod notice;
mod originate;
mod port;
pub mod probe;
mod replace;
mod segment;
mod status;
#[cfg(test)]
mod tests;
mod watch;

pub use event::{Action, EntryChange, Event};
pub use machine::Evpn;
pub use notice::{BlockReason, Notice, RouteRefusal};
pub use status::{
    Counters, EvpnStatus, HostStatus, MacPlace, MacStatus, PortStatus, RefusedRoute, RouterMac,
    SegmentStatus, VtepStatus, route_text,
};
