//! Read-only views: what the processes say of themselves, in the log and to whoever asks.

pub mod ask;
pub mod logging;
pub mod page;
pub mod say;
pub mod serve;
pub mod status;
pub mod words;
