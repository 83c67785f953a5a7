//! The Linux kernel: namespaces, netlink, TUN devices, nftables; one reconcile for every plane.
//!
//! Netlink's own types stop at the edge of this room: outside it the nouns are those of
//! `tsumugi_core::desired`.

pub mod address;
pub mod apply;
pub mod bpf;
mod bridge;
mod bridges;
pub mod channel;
pub mod child;
pub mod classifier;
pub mod dynamic;
pub mod entries;
pub mod fdb;
pub mod features;
pub mod frame_socket;
pub mod gre;
mod hop_objects;
pub mod learned;
pub mod link;
pub mod memory;
pub mod namespace;
pub mod neighbour;
mod neighbour_table;
pub mod netlink;
pub mod next_hop;
pub mod nft;
pub mod observe;
pub mod packet;
pub mod plane;
pub mod port_sets;
pub mod route;
mod segment_wall;
mod sysctl;
pub mod tcp;
pub mod traffic;
pub mod tun;
pub mod urgency;
mod vxlan;
mod wanted_routes;
mod watch;
pub mod wireguard;

#[cfg(test)]
mod tests;

pub use link::LinkInfo;
pub use namespace::Namespace;
pub use netlink::Netlink;
