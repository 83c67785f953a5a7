//! The packet path of a tunnel over buffers: encapsulate, fragment, reassemble, decapsulate.
//!
//! The outer packet is fragmented, never the inner one: an inner DF says nothing about the outside.
//! All of it is arithmetic; who owns sockets and devices calls it.

mod clamp;
mod drops;
pub mod ecn;
mod identification;
mod inside;
pub mod keepalive;
pub mod merge;
pub mod neighbour;
mod outer;
mod part;
pub mod path;
mod reassembly;
#[cfg(test)]
mod samples;
mod segment;
mod shim;
pub mod signal;
mod vnet;

pub use clamp::Clamp;
pub use drops::{Counters, DropReason};
pub use identification::{FIRST_OF_OTHERS, Identifications};
pub use inside::Link;
pub use outer::{Fragment, Fragments, Outer, Piece, Pieces};
pub use part::Part;
pub use reassembly::{Datagram, Limits, Reassembly};
pub use segment::{MAX_HEADERS, Segments};
pub use shim::{
    Decapsulated, MAX_SHIM_LEN, Received, Shim, ShimHeader, decapsulate, decapsulate_datagram, encapsulate,
    header,
};
pub use vnet::VnetHeader;

/// The hop limit of every outer packet.
pub const HOP_LIMIT: u8 = 64;
