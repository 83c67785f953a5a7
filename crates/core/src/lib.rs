//! tsumugi's core: everything that can be said and decided about a router without a socket, a
//! clock or a file.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bfd;
pub mod bgp;
pub mod desired;
pub mod evpn;
pub mod id;
pub mod mtu;
pub mod reconcile;
pub mod router_plan;
pub mod rpki;
pub mod time;
pub mod tunnel;
pub mod wire;
