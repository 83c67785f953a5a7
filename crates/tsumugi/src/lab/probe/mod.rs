//! Traffic of our own making: what the proofs send, and what they hear of it.
//!
//! Every socket is opened in the network namespace of the calling thread; callers that want another one
//! run the `open` functions inside it.

pub mod bulk;
pub mod echo;
pub mod forge;
pub mod mesh;
mod options;
pub mod traceroute;
