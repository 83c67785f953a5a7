//! Where BGP and BFD meet the network: TCP sessions, datagrams, router advertisements in the fabric.
//!
//! Functions here that make sockets make them in the network namespace of the calling thread; a
//! socket keeps the namespace that it was born in.

pub mod advertisement;
pub mod bfd_socket;
pub mod connection;
pub mod discovery;
pub mod host_advertisement;
pub mod neighbour_answer;
mod options;
pub mod parting;
pub mod socket;
