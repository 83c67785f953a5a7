//! The management process: the overlay over which people repair, and the management plane.
//!
//! ```text
//! kernel (management plane)   mgmt ──read──▶ which member, which path ──▶ seal ──▶ UDP socket of a line
//!                             mgmt ◀─write── source behind the member? ◀── open ◀── UDP socket of a line
//! ```
//!
//! It needs neither of the other processes, and nothing of the fabric: its keys, sessions and routes
//! are its own. A laptop runs it alone. What is missing (a line, a key) is tried again, never fatal.

mod line;
mod overlay;
mod process;
mod session;
mod status;
#[cfg(test)]
mod tests;

pub use process::run;

/// Bytes of the largest packet or datagram that is handled: more than any MTU of the overlay with
/// all that sealing adds.
const BUFFER: usize = 4096;
