//! IPv4 addresses for hosts of gateway segments: Debian's dnsmasq as a child, configured from the plan.
//!
//! Every router that carries a segment serves the whole range to its own hosts; questions and answers
//! never cross the VXLAN device. Two rules keep two routers from giving one address away twice: a host
//! that another router has announced has its address reserved here for its MAC
//! ([`config::reservations`]), and the server pings an address before it offers it.
//!
//! The server lives as long as we do, not longer: the kernel ends it with us, so there are never two.
//! Its leases stand in the state folder and the next life reads them.

mod config;
mod server;

#[cfg(test)]
pub use config::tests;

pub use config::reservations;
pub use server::Server;
