//! A planned restart: the process that runs hands its descriptors over to the one that was started to
//! replace it, and no packet is lost.
//!
//! ```text
//! new                                       old
//! Hello ───────────────────────────────────▶        forwards on
//!      ◀─────────────────── Line.. Tunnel.. All     with copies of every descriptor
//! shakes hands for WireGuard; what comes for its sessions the old one passes on (Datagram)
//! Ready ───────────────────────────────────▶        stops reading while no datagram is half here
//!      ◀─────────────────────── Line.. Tunnel..     counters as they are now
//!      ◀────────────────────────────────── Yours
//! Taken ───────────────────────────────────▶        never reads again
//! reads                                             opens what is passed back for its sessions
//! End ─────────────────────────────────────▶        ends
//! ```
//!
//! Until `Taken` the old one goes on whenever the new one is silent, gone or not understood. Packets wait
//! in the kernel's queues meanwhile. Keys and sessions of WireGuard never leave their process.

mod giving;
pub mod message;
mod state;
mod taking;

pub use giving::{Giver, Step};
pub use taking::{Begun, Predecessor, Taking, begin};

/// What this program calls itself.
const PROGRAM: &str = concat!("tsumugi ", env!("CARGO_PKG_VERSION"));
