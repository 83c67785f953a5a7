//! A whole network of one file on this machine: wires, underlays, hosts and stand-ins. Whatever is
//! inside a router is done by its own three processes, from its plan.
//!
//! Everything stands in one user, PID, mount and network namespace (`space`), whose PID 1 (`init`)
//! ends it all when it is killed. Each machine is one network namespace, held by a bind mount below
//! a private /run; `underlay` says how they hang together:
//!
//! ```text
//!   router cr0101                access router          network
//!   [eth1, moved to underlay]---[line  cr0101.ngn  up]---[ngn-east]---[up  telhi.line  line]---telhi
//!   [wwan0, management plane]---[line  cr0101.lte  up]---[internet]
//!   [eth2, moved to fabric]-----[switch of the site ibr1: one bridge per link]----- cr0102
//!   [eth0, management plane]----[switch of the site ibr1: bridge "mgmt"]----- ibr1-sw
//!   [eth5, moved to fabric]----[LANs of the segment guests: one bridge per LAN]----- host-guests
//! ```
//!
//! A [`Lab`] is what a built lab is known by: it can be opened again from its record by any process
//! that has entered its namespaces, so that `exec`, `status`, `capture` and `verify` share it.

pub mod capture;
mod changes;
mod client;
pub mod control;
mod equip;
mod hosts;
mod init;
pub mod layout;
pub mod machine;
mod offload;
mod peer;
pub mod probe;
pub mod processes;
pub mod progress;
pub mod proofs;
pub mod report;
pub mod segment;
pub mod space;
pub mod stand_in;
mod trouble;
mod underlay;
mod up;
pub mod verify;
pub mod wire;

pub use machine::{Machine, MachineRole};
pub use processes::ProcessKind;
pub use segment::{Guest, Segment};
pub use trouble::{Doing, Trouble};
pub use wire::{Flow, Line, Plug, Wire, WireEnd, WireKind};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use tsumugi_core::id::{IfName, Prefix};
use tsumugi_core::router_plan::RouterPlan;

/// Where a lab's state stands inside its own mount namespace.
pub const ROOT: &str = "/run/tsumugi";
/// Where machines' namespaces stand: below the lab's private /run, so that `ip netns` works within.
pub const NAMESPACES: &str = "/run/netns";

/// A network that stands in this lab. Read with [`Lab::open`] from inside; its methods act.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lab {
    /// The network's name, or what `--name` says.
    pub name: String,
    /// The file, as its path was typed.
    pub file: PathBuf,
    /// The text of the file that was brought up.
    pub text: String,
    /// Every machine by its unique name.
    pub machines: BTreeMap<String, Machine>,
    /// Every access line, stand-ins' and laptops' as well.
    pub lines: Vec<Line>,
    /// Every link of the file and every outside connection, in the order of the file.
    pub wires: Vec<Wire>,
    pub peers: Vec<PeerStand>,
    /// In the order of the file.
    pub segments: Vec<Segment>,
    /// Whether the kernel has VLANs, where a segment needs them.
    pub vlans: bool,
    /// The host of each LAN of each segment, in the order of the file.
    pub guests: Vec<Guest>,
    /// What hangs on the sites' switches.
    pub plugs: Vec<Plug>,
    /// The plan of each machine that runs processes of ours: routers, laptops, stand-ins.
    pub plans: BTreeMap<String, RouterPlan>,
}

impl Lab {
    /// The lab that this process stands in.
    ///
    /// # Errors
    /// If it stands in none, or not in one that is built.
    pub fn open() -> io::Result<Lab> {
        serde_json::from_slice(&fs::read(Path::new(ROOT).join("lab.json"))?).map_err(io::Error::from)
    }

    /// Writes the record from which [`Lab::open`] reads.
    fn record(&self) -> io::Result<()> {
        let unfinished = Path::new(ROOT).join("lab.json.new");
        fs::write(&unfinished, serde_json::to_vec(self)?)?;
        fs::rename(unfinished, Path::new(ROOT).join("lab.json"))
    }

    pub fn peer(&self, machine: &str) -> Option<&PeerStand> {
        self.peers.iter().find(|peer| peer.machine == machine)
    }
}

/// An outside connection's far side.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PeerStand {
    /// The peer's name in the file.
    pub peer: String,
    /// The stand-in's machine: the peer's name, for a second connection `NAME.2`.
    pub machine: String,
    /// The host behind it.
    pub host: String,
    /// The router of the file at the other end, and its interface.
    pub router: String,
    /// The stand-in's inner interface, in its fabric plane.
    pub interface: IfName,
    /// The stand-in's addresses on it (the file's `neighbours`).
    pub addresses: Vec<IpAddr>,
    /// The router's addresses on it (the file's `addresses`).
    pub router_addresses: Vec<IpAddr>,
    /// Networks that stand behind it and that its BGP process may announce: one IPv4 /24, one IPv6
    /// /48; of a customer the first of each family that the file lists. `host` has an address in each,
    /// the stand-in's fabric the first one.
    pub prefixes: Vec<Prefix>,
    /// In the order of `prefixes`.
    pub host_addresses: Vec<IpAddr>,
}
