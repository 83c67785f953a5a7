//! BGP as a machine without sockets: bytes and time in, bytes and routes out.

pub mod config;
