//! A table dump told to a speaker, as a neighbour outside would tell it: for tests with real tables.
//!
//! ```text
//! FILE.mrt[.gz] ──▶ Table (routes by set of attributes) ──▶ Session ──▶ the speaker's port 179
//! ```
//!
//! The whole file is read before anybody is called: a broken one is refused and nobody has heard half of it.

mod session;
mod table;
mod words;

pub use session::{Ended, Event, Session};
pub use table::{Choice, Table};

#[cfg(test)]
mod tests;
