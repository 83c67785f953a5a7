//! BFD as a machine without sockets (RFC 5880, 5881, 5883): who is still there, known within a few
//! intervals.
//!
//! [`Bfd`] is the whole of it. Time is an argument, a packet is bytes with where it came from, and what it
//! finds out is an action. Asynchronous mode; a far end that asks for demand mode gets it (RFC 5880 6.6),
//! we ask for none. No echo: we say so in every packet and return none. No authentication: whoever sends
//! any is dropped and counted.

pub mod config;
mod drops;
mod machine;
mod session;
mod status;

pub use crate::wire::bfd::{Diagnostic, State};
pub use config::{BfdTerms, Path, SessionConfig};
pub use drops::BfdDrop;
pub use machine::{Action, Bfd, Event, Received};
pub use status::{BfdDown, BfdSessionStatus};

#[cfg(test)]
mod tests;
