//! One tunnel as it runs: its device in the fabric, its outer side, what it counted.

use super::batch::Destination;
use super::engine::{self, Sides};
use super::keepalive::{Keeping, Round};
use super::path::PathKnown;
use super::trouble::Trouble;
use super::wireguard::{Keys, WireGuard};
use crate::kernel::tun::{Offloads, TunKind, attach_offloading, set_carrier};
use crate::kernel::wireguard::WireGuardPeerInfo;
use crate::kernel::{LinkInfo, Namespace, Netlink};
use crate::observe::status::{ByShortcut, Chosen, Shortcut, Traffic};
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use tsumugi_core::desired::ALIAS_TAG;
use tsumugi_core::router_plan::{self, Encapsulation};
use tsumugi_core::tunnel::{Counters, DropReason, Outer, Shim};
use tsumugi_core::wire::ip::protocol;

/// The kernel's words for the devices that this process makes in the fabric.
pub const KINDS: [&str; 3] = ["tun", "gre", "wireguard"];

/// What is between the inner packet and the outer IP header.
pub enum Inside {
    Shim(Shim),
    WireGuard(Box<WireGuard>),
    /// The kernel moves the packets.
    Kernel,
}

/// A tunnel of the plan.
pub struct Tunnel {
    pub plan: router_plan::Tunnel,
    /// Of WireGuard.
    pub keys: Option<Keys>,
    pub chosen: Chosen,
    pub inside: Inside,
    /// The slot of the line in the datapath's table.
    pub line: usize,
    /// Where packets go past the stack; `None`: through it, because it does not know yet itself.
    pub next_hop: Option<Destination>,
    /// Attached; never with the kernel's own device.
    pub device: Option<OwnedFd>,
    /// Its index in the fabric, since it was attached.
    pub device_index: Option<u32>,
    /// `None`: it has no use for one, or it is not known yet.
    pub shortcut: Option<Shortcut>,
    /// What of its packets went that way.
    pub by_shortcut: ByShortcut,
    /// What the device does for us.
    pub offloads: Offloads,
    /// What the device was last told of its carrier; attaching says yes.
    pub has_carrier: bool,
    /// Whether the interface has been made what the plan says.
    pub is_set_up: bool,
    /// How large outer packets may be and what TCP is told, and why.
    pub path: PathKnown,
    pub kernel_device_is_there: bool,
    /// The far end as the kernel's WireGuard knew it when it was last asked.
    pub kernel_peer: Option<WireGuardPeerInfo>,
    pub received: Traffic,
    pub sent: Traffic,
    pub drops: Counters,
    pub last_heard: Option<Instant>,
    /// `None`: the far end is not asked whether it lives.
    pub keeping: Option<Keeping>,
    /// With the device.
    pub device_trouble: Trouble,
    /// With the outer side.
    pub outer_trouble: Trouble,
}

impl Tunnel {
    pub fn new(
        plan: router_plan::Tunnel,
        keys: Option<Keys>,
        chosen: Chosen,
        inside: Inside,
        line: usize,
    ) -> Tunnel {
        Tunnel {
            path: PathKnown::new(&plan),
            keeping: Keeping::new(&plan),
            plan,
            keys,
            chosen,
            inside,
            line,
            next_hop: None,
            device: None,
            device_index: None,
            shortcut: None,
            by_shortcut: ByShortcut::default(),
            offloads: Offloads { udp: false },
            has_carrier: true,
            is_set_up: false,
            kernel_device_is_there: false,
            kernel_peer: None,
            received: Traffic::default(),
            sent: Traffic::default(),
            drops: Counters::default(),
            last_heard: None,
            device_trouble: Trouble::default(),
            outer_trouble: Trouble::default(),
        }
    }

    /// Goes on where the tunnel of the same name stood before a change of plan: on its device if that is
    /// of the same kind, so that the interface stays; with what is known of the far end, and with WireGuard's
    /// session between the same keys.
    /// Returns a device of another kind.
    pub fn inherit(&mut self, before: Tunnel) -> Option<OwnedFd> {
        let by_us = |tunnel: &Tunnel| !matches!(tunnel.inside, Inside::Kernel);
        let both_by_us = by_us(self) && by_us(&before);
        let same_device =
            by_us(self) == by_us(&before) && self.carries_ethernet() == before.carries_ethernet();
        let asked = |plan: &router_plan::Tunnel| (plan.keepalive, plan.mac, plan.remote);
        if same_device && asked(&self.plan) == asked(&before.plan) {
            self.keeping = before.keeping;
        }
        if !both_by_us {
            return before.device;
        }
        self.received = before.received;
        self.sent = before.sent;
        self.by_shortcut = before.by_shortcut;
        self.drops = before.drops;
        self.last_heard = before.last_heard;
        let mut unused = before.device;
        if same_device {
            self.device = unused.take();
            self.device_index = before.device_index;
            self.offloads = before.offloads;
            self.has_carrier = before.has_carrier;
        }
        if let (Inside::WireGuard(now), Inside::WireGuard(session)) = (&mut self.inside, before.inside)
            && self.keys == before.keys
        {
            let place = |plan: &router_plan::Tunnel| (plan.uplink.clone(), plan.local, plan.outer_ipv6);
            now.inherit(*session, place(&self.plan) == place(&before.plan));
        }
        unused
    }

    /// Notes that the far end has said something that was its own.
    pub fn hear(&mut self, now: Instant, round: &mut Round) {
        self.last_heard = Some(now);
        if let Some(keeping) = &mut self.keeping {
            keeping.heard(now, round);
        }
    }

    /// Gives the interface the carrier that it should have, if it was last told another one.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn settle_carrier(&mut self, now: Instant, fabric: &mut Netlink) -> io::Result<()> {
        // Nobody may be asked any more: then the far end is not dead either.
        let carrier = self.keeping.as_mut().is_none_or(|keeping| keeping.carrier(now, &self.plan.name));
        if self.has_carrier == carrier {
            return Ok(());
        }
        match (&self.inside, &self.device) {
            (Inside::Kernel, _) if self.kernel_device_is_there => {
                let index = fabric.index(&self.plan.name)?;
                fabric.set_dormant(index, !carrier)?;
            }
            (Inside::Shim(_) | Inside::WireGuard(_), Some(device)) => {
                set_carrier(device, carrier)?;
                fabric.tell_carrier(&self.plan.name)?;
            }
            _ => return Ok(()),
        }
        self.has_carrier = carrier;
        Ok(())
    }

    /// The IP protocol of the outer packets.
    pub fn protocol(&self) -> u8 {
        match &self.inside {
            Inside::Shim(shim) => shim.protocol(),
            Inside::WireGuard(_) => protocol::UDP,
            Inside::Kernel => shim_of(&self.plan.encapsulation).map_or(protocol::UDP, Shim::protocol),
        }
    }

    pub fn wireguard(&self) -> Option<&WireGuard> {
        match &self.inside {
            Inside::WireGuard(wireguard) => Some(wireguard),
            Inside::Shim(_) | Inside::Kernel => None,
        }
    }

    /// Asks for a new session of WireGuard soon.
    pub fn renew(&mut self) {
        if let Inside::WireGuard(wireguard) = &mut self.inside {
            wireguard.renew();
        }
    }

    pub fn carries_ethernet(&self) -> bool {
        matches!(self.inside, Inside::Shim(shim) if shim.carries_ethernet())
    }

    /// Whether the device takes several datagrams as one packet.
    pub fn merges_udp(&self) -> bool {
        self.offloads.udp
    }

    /// Our outer address and the far end's, as far as they are known.
    pub fn ends(&self) -> (Option<IpAddr>, Option<IpAddr>) {
        match &self.inside {
            Inside::Shim(_) => (self.plan.local, self.plan.remote),
            Inside::Kernel => {
                let learned = self.kernel_peer.as_ref().and_then(|peer| peer.endpoint);
                (self.plan.local, self.plan.remote.or(learned.map(|remote| remote.ip())))
            }
            Inside::WireGuard(wireguard) => (wireguard.local, wireguard.remote.map(|remote| remote.ip())),
        }
    }

    /// Time since WireGuard's handshake; `None` without a session.
    pub fn session_age(&self) -> Option<Duration> {
        match &self.inside {
            Inside::Shim(_) => None,
            Inside::WireGuard(wireguard) => wireguard.session_age(),
            Inside::Kernel => self.kernel_peer.as_ref()?.last_handshake?.elapsed().ok(),
        }
    }

    /// The outer packets between two addresses.
    ///
    /// # Errors
    /// `NoRemote` if the two are not of one family.
    pub fn outer(&self, from: IpAddr, to: IpAddr) -> Result<Outer, DropReason> {
        Outer::new(from, to, self.protocol(), self.path.force.path_mtu).ok_or(DropReason::NoRemote)
    }

    /// What is to be done for the device; `None`: it is attached and as the plan says.
    pub fn device_work(&self) -> Option<DeviceWork> {
        if matches!(self.inside, Inside::Kernel) {
            let (plan, keys) = (self.plan.clone(), self.keys.clone());
            return Some(DeviceWork::Kernel { plan, keys, is_there: self.kernel_device_is_there });
        }
        let kind = if self.carries_ethernet() { TunKind::Tap } else { TunKind::Tun };
        let attach = self.device.is_none().then_some(kind);
        (attach.is_some() || !self.is_set_up).then(|| DeviceWork::Own { plan: self.plan.clone(), attach })
    }

    /// Takes what [`DeviceWork::run`] has brought. True if it was to be done for a descriptor of ours.
    ///
    /// # Errors
    /// Those that it brought.
    pub fn take_device(&mut self, done: io::Result<DeviceDone>, fabric: &Namespace) -> io::Result<bool> {
        match done {
            Ok(DeviceDone::Kernel(link)) => {
                self.kernel_device_is_there = true;
                let Some(link) = link else { return Ok(false) };
                // The kernel forgets what it was told when the device goes down and up.
                self.has_carrier = link.carrier;
                let Some(keeping) = &mut self.keeping else { return Ok(false) };
                return keeping.kernel.follow(fabric, link.index);
            }
            Ok(DeviceDone::Attached(device, offloads, index)) => {
                self.device_index = Some(index);
                self.has_carrier = true;
                self.device = Some(device);
                self.offloads = offloads;
            }
            Ok(DeviceDone::SetUp(index)) => self.device_index = Some(index),
            Err(error) => {
                self.kernel_device_is_there = false;
                return Err(error);
            }
        }
        self.is_set_up = true;
        Ok(true)
    }

    /// Lets go of a device that is broken.
    pub fn lose_device(&mut self) {
        self.device = None;
        self.device_index = None;
        self.is_set_up = false;
    }

    /// Whether an interface of the tunnel's name is of the right kind, or else in its way.
    pub fn is_device(&self, link: &LinkInfo) -> bool {
        match self.inside {
            Inside::Kernel => true,
            Inside::Shim(_) | Inside::WireGuard(_) => {
                link.kind == "tun" && link.mac.is_some() == self.carries_ethernet()
            }
        }
    }
}

/// What is to be done for a tunnel's device, apart from the tunnel, whose packets pass meanwhile.
pub enum DeviceWork {
    /// Sees to it that the kernel's own device is there.
    Kernel { plan: router_plan::Tunnel, keys: Option<Keys>, is_there: bool },
    /// Attaches to a device of this kind if it is not attached yet, and sets it up as the plan says.
    Own { plan: router_plan::Tunnel, attach: Option<TunKind> },
}

/// What was done.
pub enum DeviceDone {
    /// The kernel's own device as it is.
    Kernel(Option<LinkInfo>),
    /// With the interface's index.
    Attached(OwnedFd, Offloads, u32),
    SetUp(u32),
}

impl DeviceWork {
    /// # Errors
    /// As the kernel says.
    pub fn run(self, sides: &mut Sides) -> io::Result<DeviceDone> {
        match self {
            DeviceWork::Kernel { plan, keys, is_there } => {
                let mut link = sides.fabric_netlink.link(&plan.name)?;
                if !is_there || link.is_none() {
                    engine::ensure(&plan, keys.as_ref(), sides)?;
                    link = sides.fabric_netlink.link(&plan.name)?;
                }
                Ok(DeviceDone::Kernel(link))
            }
            DeviceWork::Own { plan, attach } => {
                let attached = match attach {
                    Some(kind) => Some(attach_offloading(&sides.fabric, &plan.name, kind)?),
                    None => None,
                };
                let index = set_up(&plan, &mut sides.fabric_netlink)?;
                Ok(match attached {
                    Some((device, offloads)) => DeviceDone::Attached(device, offloads, index),
                    None => DeviceDone::SetUp(index),
                })
            }
        }
    }
}

/// Makes the interface what the plan says: MTU, Ethernet address, alias, no addresses of the kernel's
/// own making, up. Only what differs is changed.
///
/// # Errors
/// As the kernel says.
pub fn set_up(plan: &router_plan::Tunnel, netlink: &mut Netlink) -> io::Result<u32> {
    let link = netlink.link(&plan.name)?.ok_or(nix::errno::Errno::ENODEV)?;
    let mtu = u32::from(plan.mtu);
    // The MTU first: below 1280 an interface has no IPv6 at all.
    if link.mtu != mtu {
        netlink.set_mtu(link.index, mtu)?;
    }
    if let Some(mac) = plan.mac.filter(|mac| link.mac.is_some() && link.mac != Some(*mac)) {
        netlink.set_mac(link.index, mac)?;
    }
    let alias = format!("{ALIAS_TAG}{}", plan.alias);
    if link.alias != alias {
        netlink.set_alias(link.index, &alias)?;
    }
    if link.makes_link_local {
        netlink.set_makes_link_local(link.index, false)?;
    }
    if !link.up {
        netlink.set_up(link.index, true)?;
    }
    Ok(link.index)
}

/// The tunnel header that a plan's encapsulation stands for; `None` for WireGuard.
pub fn shim_of(encapsulation: &Encapsulation) -> Option<Shim> {
    match *encapsulation {
        Encapsulation::Gre { key } => Some(Shim::Gre { key }),
        Encapsulation::Gretap { key } => Some(Shim::Gretap { key }),
        Encapsulation::EtherIp => Some(Shim::EtherIp),
        Encapsulation::Geneve { vni } => Some(Shim::Geneve { vni }),
        Encapsulation::WireGuard { .. } => None,
    }
}

/// The file's word for an encapsulation.
pub fn word(encapsulation: &Encapsulation) -> &'static str {
    match encapsulation {
        Encapsulation::Gre { .. } => "gre",
        Encapsulation::Gretap { .. } => "gretap",
        Encapsulation::EtherIp => "etherip",
        Encapsulation::Geneve { .. } => "geneve",
        Encapsulation::WireGuard { .. } => "wireguard",
    }
}

/// Whether a tunnel that runs is still what the plan says, so that nothing needs to be touched.
pub fn is_same(running: &Tunnel, plan: &router_plan::Tunnel, keys: Option<&Keys>) -> bool {
    running.plan == *plan && running.keys.as_ref() == keys
}
