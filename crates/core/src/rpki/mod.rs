//! Which routes are what their holders say (RPKI): validated payloads from caches, and what follows
//! from them for a route.
//!
//! [`Client`] is a machine without sockets: it asks caches by the RTR protocol (RFC 6810, RFC 8210,
//! draft-ietf-sidrops-8210bis), in the order of preference, and says which [`Validation`] is in force.
//! The client of the `rpki` crate was looked at: it is an async loop over a socket with clocks of its
//! own, one cache each; here time is an argument and every turn of a session can be tested.

mod aspa;
mod cache;
mod client;
pub mod config;
mod pdu;
mod slurm;
mod status;
mod validation;
mod vrp;

pub use aspa::{AspaTable, PathValidity, Side};
pub use client::{Action, Client, Event};
pub use pdu::{ErrorCode, Fault, Pdu};
pub use slurm::{BadSlurm, Slurm, SlurmFile};
pub use status::{CacheEnd, CacheState, CacheStatus, Notice, PayloadCounts, RpkiStatus, SlurmStatus};
pub use validation::{Change, Validation};
pub use vrp::{Validity, Vrp, VrpTable, VrpTableBuilder};

#[cfg(test)]
mod tests;
