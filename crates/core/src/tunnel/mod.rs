//! The packet path of a tunnel over buffers: encapsulate, fragment, reassemble, decapsulate.
//!
//! The outer packet is fragmented, never the inner one: an inner DF says nothing about the outside.
//! All of it is arithmetic; who owns sockets and devices calls it.

mod drops;
pub mod ecn;
mod outer;
mod reassembly;
mod shim;

pub use drops::{Counters, DropReason};
pub use outer::{Fragment, Fragments, Identifications, Outer};
pub use reassembly::{Datagram, Limits, Reassembly};
pub use shim::{MAX_SHIM_LEN, Shim, decapsulate, encapsulate};

/// The hop limit of every outer packet.
pub const HOP_LIMIT: u8 = 64;
