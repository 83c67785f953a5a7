//! The Linux kernel: namespaces, netlink, TUN devices, nftables; one reconcile for every plane.
//!
//! Netlink's own types stop at the edge of this room: outside it the nouns are those of
//! `tsumugi_core::desired`.

pub mod address;
pub mod apply;
pub mod dynamic;
pub mod gre;
pub mod link;
pub mod namespace;
pub mod neighbour;
pub mod netlink;
pub mod next_hop;
pub mod nft;
pub mod observe;
pub mod plane;
pub mod route;
mod sysctl;
pub mod traffic;
pub mod tun;
pub mod watch;
pub mod wireguard;

#[cfg(test)]
mod tests;

pub use link::LinkInfo;
pub use namespace::Namespace;
pub use netlink::Netlink;
