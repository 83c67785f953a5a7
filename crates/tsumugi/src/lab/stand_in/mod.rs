//! An outside network's router, as far as the proofs need one: it announces what a script says and
//! writes down what it hears.
//!
//! It runs as the process `lab-stand-in` in the fabric plane of its machine. It dials and takes no
//! calls; a session that ends is dialled again.

mod record;
mod script;
mod session;

#[cfg(test)]
pub use record::HeardSession;
pub use record::{Heard, HeardRoute};
pub use script::{Announcement, Expect, Why, script};

use super::{Lab, Machine, PeerStand, ROOT};
use crate::kernel::Netlink;
use nix::errno::Errno;
use record::Recorder;
use session::Session;
use std::fs::{self, OpenOptions};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use tsumugi_core::bgp::config::{NeighbourConfig, OutsidePolicy, Relation, Transport};
use tsumugi_core::id::{IfName, Plane, Prefix};

/// The verb of the process.
pub const VERB: &str = "lab-stand-in";

/// Starts every stand-in of the lab that does not run yet.
///
/// # Errors
/// If one cannot be started.
pub fn start_all(lab: &Lab) -> io::Result<()> {
    for peer in &lab.peers {
        let machine = lab
            .machine(&peer.machine)
            .ok_or_else(|| io::Error::other(format!("no machine {}", peer.machine)))?;
        if is_running(machine) {
            continue;
        }
        let log = OpenOptions::new().create(true).append(true).open(log_path(machine))?;
        let mut command = machine.command(Plane::Fabric, "/proc/self/exe")?;
        command.arg(VERB).arg(&machine.name);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // Ends with the lab; reaped by its init.
        let child = command.spawn()?;
        fs::write(pid_path(machine), child.id().to_string())?;
    }
    Ok(())
}

fn is_running(machine: &Machine) -> bool {
    let pid = fs::read_to_string(pid_path(machine)).unwrap_or_default();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

fn pid_path(machine: &Machine) -> PathBuf {
    machine.state_dir().join("stand-in.pid")
}

fn log_path(machine: &Machine) -> PathBuf {
    machine.state_dir().join("stand-in.log")
}

/// What the stand-in of a machine has heard so far.
///
/// # Errors
/// If it has written nothing yet.
pub fn heard(machine: &Machine) -> io::Result<Heard> {
    record::read(&record_path(machine))
}

fn record_path(machine: &Machine) -> PathBuf {
    machine.state_dir().join("heard.json")
}

/// The process itself: never returns unless it cannot begin. `name` is its machine.
///
/// # Errors
/// If it stands in no lab, or the lab has no such stand-in.
pub fn run(name: &str) -> io::Result<()> {
    let lab = Lab::open()?;
    let missing = || io::Error::other(format!("{name} is no stand-in of the lab in {ROOT}"));
    let peer = lab.peer(name).ok_or_else(missing)?;
    let machine = lab.machine(name).ok_or_else(missing)?;
    let announcements = script(&lab, peer);
    answer_for(&announcements, peer)?;
    let sessions = sessions(&lab, peer);
    let recorder = Arc::new(Recorder::new(&record_path(machine), sessions.len())?);
    std::thread::scope(|scope| {
        for (number, (address, neighbour)) in sessions.iter().enumerate() {
            let announced: Vec<&Announcement> = announcements
                .iter()
                .filter(|announcement| announcement.prefix.addr().is_ipv6() == address.is_ipv6())
                .collect();
            let session = Session { number, address: *address, neighbour, announced };
            let recorder = Arc::clone(&recorder);
            scope.spawn(move || session.keep(&recorder));
        }
    });
    Ok(())
}

/// The stand-in's addresses, each with the router's session to it as the plan states it.
fn sessions<'a>(lab: &'a Lab, peer: &PeerStand) -> Vec<(IpAddr, &'a NeighbourConfig)> {
    let speaker = lab.plans.get(&peer.router).and_then(|plan| plan.speaker.as_ref());
    let neighbours = speaker.map_or(&[][..], |speaker| &speaker.neighbours);
    let of = |address: &IpAddr| {
        neighbours.iter().find(|neighbour| {
            matches!(&neighbour.transport, Transport::Numbered { remote, .. } if remote == address)
        })
    };
    peer.addresses.iter().filter_map(|address| Some((*address, of(address)?))).collect()
}

/// The border's session to a stand-in, as its plan states it; the first if there are two.
pub fn neighbour<'a>(lab: &'a Lab, peer: &PeerStand) -> Option<(&'a NeighbourConfig, &'a OutsidePolicy)> {
    sessions(lab, peer).into_iter().find_map(|(_, neighbour)| match &neighbour.relation {
        Relation::Outside(policy) => Some((neighbour, policy)),
        Relation::Inside { .. } => None,
    })
}

/// Whoever sends to an announced address finds somebody there, also where the announcement should
/// have been refused.
fn answer_for(announcements: &[Announcement], peer: &PeerStand) -> io::Result<()> {
    let mut netlink = Netlink::open()?;
    let loopback = netlink.index(&IfName::loopback())?;
    for announcement in announcements {
        if peer.host_addresses.contains(&announcement.probe) {
            continue;
        }
        match netlink.add_foreign_address(loopback, Prefix::from(announcement.probe)) {
            Err(error) if !error.is(Errno::EEXIST) => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Writes a file so that a reader finds the old one or the new one, never half of one.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    fs::write(&unfinished, bytes)?;
    fs::rename(unfinished, path)
}
