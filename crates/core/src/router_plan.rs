//! What one router must be: the type between the compiler and all that runs.
//!
//! It holds key names, never keys, so that the lab's plan and production's are the same bytes.

use crate::bgp::config::{BmpConfig, SpeakerConfig};
use crate::desired::Desired;
use crate::evpn::config::EvpnConfig;
use crate::id::{Asn, IfName, KeyName, Mac, Plane, Prefix, Vni};
use crate::mtu::Wrapping;
use crate::rpki::config::RpkiConfig;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use serde::{Deserialize, Serialize};

/// A process refuses a plan of another schema whole and keeps what it runs: a plan of schema 2 names what
/// customers may announce in a field of its own, and would be read as one in which they may announce nothing.
pub const SCHEMA: u32 = 3;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterPlan {
    pub schema: u32,
    /// Counts up with each change that was shipped; 0 before the first.
    pub generation: u64,
    /// SHA-256 in hexadecimal over the plan's JSON with this field empty.
    pub hash: String,
    /// The network's name.
    pub network: String,
    /// The network's public AS number.
    pub public_asn: Asn,
    /// The machine's name: a router's, or a person's whose laptop it is.
    pub name: String,
    pub id: u32,
    /// Empty for a laptop.
    pub site: String,
    pub management: ManagementPlan,
    pub underlay: Desired,
    pub fabric: Desired,
    /// In the order of the file. Their inner sides stand in `fabric.links` as well.
    pub tunnels: Vec<Tunnel>,
    /// `None` for a laptop.
    pub speaker: Option<SpeakerConfig>,
    /// Who does what `speaker` says.
    #[serde(default, skip_serializing_if = "is_default")]
    pub routing: Routing,
    /// Of a router that hears from outside or announces what is ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpki: Option<RpkiConfig>,
    /// Where collectors are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bmp: Option<BmpConfig>,
    pub evpn: EvpnConfig,
}

impl RouterPlan {
    pub fn plane(&self, plane: Plane) -> &Desired {
        match plane {
            Plane::Management => &self.management.desired,
            Plane::Underlay => &self.underlay,
            Plane::Fabric => &self.fabric,
        }
    }
}

/// A tunnel whose outer side is in the underlay and whose inner side is in the fabric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnel {
    pub name: IfName,
    pub alias: String,
    pub encapsulation: Encapsulation,
    pub engine: Engine,
    /// Inner MTU in bytes: of IP packets, an inner Ethernet header not counted.
    pub mtu: u16,
    /// The line it leaves by: an interface of the underlay.
    pub uplink: IfName,
    /// Our outer address; `None`: whatever the line was given (WireGuard only).
    pub local: Option<IpAddr>,
    /// The far end's outer address; `None`: learned from what it sends (WireGuard only).
    pub remote: Option<IpAddr>,
    /// True if the outer packets are IPv6.
    pub outer_ipv6: bool,
    /// The largest outer packet that the path passes whole, both ends considered.
    pub path_mtu: u16,
    /// The address of our inner end where the tunnel carries Ethernet.
    pub mac: Option<Mac>,
    /// What becomes of TCP that would not fit one outer packet.
    #[serde(default, skip_serializing_if = "is_default")]
    pub clamp: TunnelClamp,
    /// Takes EtherIP headers whose version stands in the wrong half of the first byte as well, as old
    /// BSDs sent them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub accept_reversed: bool,
    /// How it is known whether the far end lives.
    #[serde(default, skip_serializing_if = "is_default")]
    pub keepalive: Keepalive,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TunnelClamp {
    /// Its MSS is lowered until it fits, in what enters the tunnel and what leaves it.
    #[default]
    Auto,
    /// Segments that the stack hands over many at once are cut anew until each fits; what comes alone leaves
    /// in two. MSS stays, and segments are not of the size that their sender thought.
    Recut,
    /// It leaves in two.
    Off,
}

/// Who is asked at a tunnel's far end when it is silent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "asks")]
pub enum Keepalive {
    /// Nobody knows an address there.
    #[default]
    Nobody,
    /// The file says that it is not asked.
    Off,
    /// The far end's datapath, which is ours too ([`crate::tunnel::signal`]): its link-local address from
    /// ours, and its Ethernet address where the tunnel carries Ethernet.
    Signals { local: Ipv6Addr, remote: Ipv6Addr, remote_mac: Option<Mac> },
    /// The holder of this address, by ARP or neighbour solicitation, which every host answers. `source` is
    /// ours beside it; unspecified: we have none there.
    Neighbour { address: IpAddr, source: IpAddr },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum Encapsulation {
    /// IP in GRE (RFC 2784), with a key (RFC 2890) if stated.
    Gre { key: Option<u32> },
    /// Ethernet in GRE.
    Gretap { key: Option<u32> },
    /// Ethernet in IP protocol 97 (RFC 3378).
    EtherIp,
    /// Ethernet in GENEVE (RFC 8926).
    Geneve { vni: Vni },
    WireGuard {
        local_key: KeyName,
        remote_key: KeyName,
        /// UDP port that we receive on.
        local_port: u16,
        /// UDP port of the far end.
        remote_port: u16,
    },
}

impl From<&Encapsulation> for Wrapping {
    /// An inner VLAN tag is not counted: the tunnel's MTU speaks of untagged frames.
    fn from(encapsulation: &Encapsulation) -> Wrapping {
        match encapsulation {
            Encapsulation::Gre { key } => Wrapping::Gre { key: key.is_some() },
            Encapsulation::Gretap { key } => Wrapping::Gretap { key: key.is_some(), vlan: false },
            Encapsulation::EtherIp => Wrapping::EtherIp { vlan: false },
            Encapsulation::Geneve { .. } => Wrapping::Geneve { vlan: false },
            Encapsulation::WireGuard { .. } => Wrapping::WireGuard,
        }
    }
}

/// Who speaks BGP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Routing {
    /// The speaker of [`crate::bgp`].
    #[default]
    Embedded,
    /// FRR, from the same [`SpeakerConfig`].
    Frr,
}

/// Who moves the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// The kernel where it has the device and can do MTU 2400 with it, else ourselves.
    Auto,
    Kernel,
    Userspace,
}

/// The management plane and the overlay over which people repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagementPlan {
    pub desired: Desired,
    pub overlay: Overlay,
}

/// One WireGuard interface with a session per path; always in userspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// The TUN interface in the management plane; its addresses stand in `desired`.
    pub device: IfName,
    pub alias: String,
    pub mtu: u16,
    /// The whole management space: what no neighbour announces goes to the first live meeting point.
    pub space: Prefix,
    pub lines: Vec<OverlayLine>,
    pub neighbours: Vec<OverlayNeighbour>,
}

/// A line that carries management, with a key pair of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlayLine {
    pub name: String,
    /// Where its interface lives: the underlay for a line shared with the fabric.
    pub plane: Plane,
    /// `None`: whatever way the machine's own routes lead (a laptop roams).
    pub link: Option<IfName>,
    /// `None`: whatever the line was given.
    pub address: Option<IpAddr>,
    pub listen_port: u16,
    pub key: KeyName,
}

/// A member of the overlay that we have a direct session with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlayNeighbour {
    pub name: String,
    /// What is behind it: its own addresses and its site's management switch. Packets from it must
    /// have their source here, unless it is a meeting point.
    pub prefixes: Vec<Prefix>,
    pub meeting: bool,
    /// In order of preference; the first that is alive is used.
    pub paths: Vec<OverlayPath>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlayPath {
    /// The `name` of one of our lines.
    pub line: String,
    pub remote_key: KeyName,
    /// Where to call; `None`: it calls us.
    pub endpoint: Option<SocketAddr>,
    /// The largest outer packet that the path passes whole.
    pub path_mtu: u16,
}
