//! Machines: the network namespaces of a lab and how to act in them.

use super::{Lab, NAMESPACES, ProcessKind, ROOT};
use crate::kernel::Namespace;
use crate::state::{STATE_VARIABLE, StateDir};
use nix::sched::{CloneFlags, setns};
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tsumugi_core::id::Plane;

/// One network namespace, or three for a router or a stand-in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    pub name: String,
    pub role: MachineRole,
    /// Where it stands; `None` for what belongs to no site.
    pub site: Option<String>,
    /// The addresses by which others know it: a router's loopbacks and its management address, a
    /// device's management address, a host's own.
    pub addresses: Vec<IpAddr>,
    /// Of a device: where it sends what is for elsewhere in the management space.
    pub gateway: Option<IpAddr>,
    /// The processes that run in it, if it is a router, a laptop or a stand-in.
    pub processes: Vec<ProcessKind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MachineRole {
    /// A router of the file: three planes.
    Router,
    /// A device of the file, on its site's management switch.
    Device,
    /// A person's laptop: `laptop-NAME`.
    Laptop,
    /// The router at the far end of one access line, with carrier NAT where the line has it.
    Access,
    /// An underlay network: `internet`, `ngn-east`, `ngn-west`.
    Network,
    /// A site's switches: `switch-SITE`; the LANs of a segment: `lans-SEGMENT`.
    Switch,
    /// An outside peer's router, or a member's hardware router: three planes, of which the lab fills the
    /// fabric.
    StandIn,
    /// A host behind a stand-in: `host-PEER`.
    Host,
    /// The host of a LAN of a segment: `host-SEGMENT`, of several `host-SEGMENT-ROUTER`.
    Guest,
    /// A host that comes to a segment while others look: `newcomer-SEGMENT`.
    Newcomer,
    /// Somebody on an underlay network who belongs to nobody: `stranger-NETWORK`.
    Stranger,
}

impl MachineRole {
    /// Whether the machine has three planes; others have one namespace, whatever plane is asked for.
    pub fn has_planes(self) -> bool {
        matches!(self, MachineRole::Router | MachineRole::StandIn)
    }
}

impl Machine {
    /// The file that holds the namespace of `plane`.
    pub fn namespace_path(&self, plane: Plane) -> PathBuf {
        if self.role.has_planes() && plane != Plane::Management {
            self.state_dir().join("planes").join(plane.name())
        } else {
            Path::new(NAMESPACES).join(&self.name)
        }
    }

    /// What its processes are given as `--state`.
    pub fn state_dir(&self) -> PathBuf {
        Path::new(ROOT).join("state").join(&self.name)
    }

    /// The plane where a command belongs that names none: a router's fabric.
    pub fn default_plane(&self) -> Plane {
        if self.role.has_planes() { Plane::Fabric } else { Plane::Management }
    }

    /// A command that will run in `plane` of this machine.
    ///
    /// # Errors
    /// If the namespace is not there (yet).
    pub fn command(&self, plane: Plane, program: impl AsRef<OsStr>) -> io::Result<Command> {
        let namespace = File::open(self.namespace_path(plane))?;
        let mut command = Command::new(program);
        command.env("PATH", path_with_sbin());
        if self.role.has_planes() {
            command.env(STATE_VARIABLE, self.state_dir());
        }
        // SAFETY: between fork and exec only the setns system call is made, on a descriptor that
        // the closure owns.
        unsafe {
            command.pre_exec(move || setns(&namespace, CloneFlags::CLONE_NEWNET).map_err(io::Error::from));
        }
        Ok(command)
    }
}

impl Lab {
    /// A machine by its name; a person's name finds the laptop unless a router has it.
    pub fn machine(&self, name: &str) -> Option<&Machine> {
        self.machines.get(name).or_else(|| self.machines.get(&format!("laptop-{name}")))
    }

    /// The namespace of a machine's plane.
    ///
    /// # Errors
    /// `NotFound` if there is no such machine, or the plane is not there yet.
    pub fn namespace(&self, machine: &str, plane: Plane) -> io::Result<Namespace> {
        let found = self.machine(machine).ok_or_else(|| no_machine(machine))?;
        Namespace::open(&found.namespace_path(plane))
    }

    /// The same; a plane that is not there yet is made, as any of the machine's processes would.
    pub(super) fn plane(&self, machine: &str, plane: Plane) -> io::Result<Namespace> {
        let found = self.machine(machine).ok_or_else(|| no_machine(machine))?;
        if !found.role.has_planes() || plane == Plane::Management {
            return Namespace::open(&found.namespace_path(plane));
        }
        fs::create_dir_all(found.state_dir())?;
        StateDir::open(&found.state_dir())?.plane(plane)
    }

    pub fn machines_of(&self, role: MachineRole) -> impl Iterator<Item = &Machine> {
        self.machines.values().filter(move |machine| machine.role == role)
    }
}

/// Ordinary users' PATH often lacks the directories where nft and ip stand.
fn path_with_sbin() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(usual.into_iter().filter(|folder| !path_has(&path, folder)));
    std::env::join_paths(folders).unwrap_or(path)
}

fn path_has(path: &OsStr, folder: &Path) -> bool {
    std::env::split_paths(path).any(|known| known == folder)
}

fn no_machine(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no machine {name}"))
}
