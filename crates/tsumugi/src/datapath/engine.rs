//! Who moves a tunnel's packets, and why: the kernel's own devices where it has them and they can do
//! what the tunnel needs.
//!
//! A device of the kernel's is made in the underlay, where its outer side stays, and then moved into
//! the fabric.

use super::tunnel;
use super::wireguard::{KEEPALIVE_SECONDS, Keys};
use crate::kernel::gre::GreInfo;
use crate::kernel::wireguard::{self, WireGuardSettings};
use crate::kernel::{LinkInfo, Namespace, Netlink};
use crate::observe::status::WhyUserspace;
use nix::errno::Errno;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::thread;
use std::time::Duration;
use std::{fs, io};
use tsumugi_core::desired::ALIAS_TAG;
use tsumugi_core::router_plan::{Encapsulation, Engine, Tunnel};
use tsumugi_core::tunnel::HOP_LIMIT;

/// How often and how long a module that is being loaded is waited for; a second in all.
const LOADING_TRIES: u32 = 20;
const LOADING_PAUSE: Duration = Duration::from_millis(50);

/// Why the kernel cannot move this tunnel's packets, whatever machine this is.
pub fn never_the_kernel(plan: &Tunnel) -> Option<WhyUserspace> {
    match plan.encapsulation {
        // What no kernel can do comes first: it is the reason whatever the file says.
        Encapsulation::EtherIp | Encapsulation::Gretap { .. } | Encapsulation::Geneve { .. } => {
            Some(WhyUserspace::NoDevice)
        }
        Encapsulation::Gre { .. } if plan.outer_ipv6 => Some(WhyUserspace::CannotFragment),
        _ if plan.engine == Engine::Userspace => Some(WhyUserspace::Stated),
        Encapsulation::Gre { .. } | Encapsulation::WireGuard { .. } => None,
    }
}

/// The two sides of every tunnel.
pub struct Sides {
    pub underlay: Namespace,
    pub underlay_netlink: Netlink,
    pub fabric: Namespace,
    pub fabric_netlink: Netlink,
}

impl Sides {
    /// # Errors
    /// Those of sockets and namespaces.
    pub fn new(underlay: Namespace, fabric: Namespace) -> io::Result<Sides> {
        Ok(Sides {
            underlay_netlink: Netlink::open_in(&underlay)?,
            fabric_netlink: Netlink::open_in(&fabric)?,
            underlay,
            fabric,
        })
    }
}

/// Sees to it that the kernel's device of this tunnel is in the fabric as the plan says: one that is
/// right already is kept, with its sessions and routes.
///
/// # Errors
/// EOPNOTSUPP where the kernel has no such device; EEXIST if somebody else's interface has its name.
pub fn ensure(plan: &Tunnel, keys: Option<&Keys>, sides: &mut Sides) -> io::Result<()> {
    let wanted = Device::of(plan, keys).ok_or(Errno::EINVAL)?;
    let there = sides.fabric_netlink.link(&plan.name)?;
    if let Some(there) = &there
        && !there.alias.starts_with(ALIAS_TAG)
    {
        return Err(Errno::EEXIST.into());
    }
    let right = match &there {
        Some(link) => {
            wanted.is_already(plan, link, &mut sides.fabric_netlink)?
                || wanted.change(plan, link, &mut sides.fabric_netlink)
        }
        None => false,
    };
    if !right {
        let index = wanted.make(plan, &mut sides.underlay_netlink)?;
        // Only now is it certain that the kernel has such a device.
        if let Some(there) = there {
            sides.fabric_netlink.delete_link(there.index)?;
        }
        sides.underlay_netlink.move_link(index, &sides.fabric)?;
    }
    if let Device::WireGuard(settings) = &wanted {
        wireguard::configure(&sides.fabric, &plan.name, settings)?;
    }
    tunnel::set_up(plan, &mut sides.fabric_netlink).map(drop)
}

/// What the kernel shall make.
enum Device {
    Gre(GreInfo),
    WireGuard(WireGuardSettings),
}

impl Device {
    /// `None` for what the plan does not say enough about.
    fn of(plan: &Tunnel, keys: Option<&Keys>) -> Option<Device> {
        match (&plan.encapsulation, plan.local, plan.remote) {
            (&Encapsulation::Gre { key }, Some(IpAddr::V4(local)), Some(IpAddr::V4(remote))) => {
                Some(Device::Gre(GreInfo { local, remote, key, hop_limit: HOP_LIMIT, cuts: true }))
            }
            (&Encapsulation::WireGuard { local_port, remote_port, .. }, _, remote) => {
                let keys = keys?;
                Some(Device::WireGuard(WireGuardSettings {
                    private_key: keys.private,
                    listen_port: local_port,
                    peer: keys.public,
                    endpoint: remote.map(|address| SocketAddr::new(address, remote_port)),
                    keepalive: remote.map(|_| KEEPALIVE_SECONDS),
                }))
            }
            _ => None,
        }
    }

    fn is_already(&self, plan: &Tunnel, link: &LinkInfo, fabric: &mut Netlink) -> io::Result<bool> {
        match self {
            Device::Gre(wanted) => Ok(fabric.gre(&plan.name)?.as_ref() == Some(wanted)),
            Device::WireGuard(_) => Ok(link.kind == "wireguard"),
        }
    }

    /// Whether the interface could be made what is wanted without being another one afterwards.
    fn change(&self, plan: &Tunnel, link: &LinkInfo, fabric: &mut Netlink) -> bool {
        match self {
            Device::Gre(wanted) => {
                link.kind == "gre"
                    && fabric.change_gre(&plan.name, wanted).is_ok()
                    && fabric.gre(&plan.name).is_ok_and(|now| now.as_ref() == Some(wanted))
            }
            Device::WireGuard(_) => false,
        }
    }

    /// Makes the device in the underlay and returns its index there.
    fn make(&self, plan: &Tunnel, underlay: &mut Netlink) -> io::Result<u32> {
        // Left by a life that ended between making and moving.
        if let Some(left) = underlay.link(&plan.name)?
            && tunnel::KINDS.contains(&left.kind.as_str())
        {
            underlay.delete_link(left.index)?;
        }
        let mut add = || match self {
            Device::Gre(gre) => underlay.add_gre(&plan.name, gre),
            Device::WireGuard(_) => underlay.add_wireguard(&plan.name),
        };
        let mut tries = 0;
        while let Err(error) = add() {
            if !error.is(Errno::EOPNOTSUPP) || !self.is_loading() || tries == LOADING_TRIES {
                return Err(error.into());
            }
            tries += 1;
            thread::sleep(LOADING_PAUSE);
        }
        Ok(underlay.index(&plan.name)?)
    }

    /// Whether the kernel has the module, loaded or to be loaded: asked for by several at once, it is
    /// refused to all but the first until it is ready.
    fn is_loading(&self) -> bool {
        let module = match self {
            Device::Gre(_) => "ip_gre",
            Device::WireGuard(_) => "wireguard",
        };
        Path::new("/sys/module").join(module).exists() || is_installed(module)
    }
}

/// Whether the running kernel's modules have one of this name (`modules.dep`, a path before each colon).
fn is_installed(module: &str) -> bool {
    let Ok(release) = fs::read_to_string("/proc/sys/kernel/osrelease") else { return false };
    let listed = fs::read_to_string(Path::new("/lib/modules").join(release.trim()).join("modules.dep"));
    let file = format!("/{module}.ko");
    listed.is_ok_and(|listed| {
        listed.lines().filter_map(|line| line.split_once(':')).any(|(path, _)| path.contains(&file))
    })
}
