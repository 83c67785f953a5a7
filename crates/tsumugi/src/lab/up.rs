//! Brings a lab up inside its space, and waits until it stands.

use super::layout::{Source, lay_out};
use super::processes::ProcessKind;
use super::progress::Progress;
use super::trouble::{self, Doing};
use super::underlay::{Ground, has_vlans};
use super::{Lab, PeerStand, Trouble, WireEnd, client};
use crate::kernel::Netlink;
use crate::observe::serve;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::thread;
use std::time::Duration;
use tsumugi_core::desired::{Link, LinkKind};
use tsumugi_core::id::{IfName, Plane, Prefix};
use tsumugi_plan::explain::Lang;

/// How long a network may take until it stands.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks at what is still missing.
const PACE: Duration = Duration::from_millis(25);
/// Between two questions to a router: an answer costs it a look at the kernel's counters.
const ASKING_PACE: Duration = Duration::from_millis(100);
/// How long a process may take to say how it is.
const ANSWER: Duration = Duration::from_secs(1);
/// Lines of a log that say why it hangs.
const LAST_WORDS: usize = 8;

/// Builds the lab, starts everything in it and returns when every session between its routers is
/// established. Must be called inside a space (`space::run`).
///
/// # Errors
/// What could not be made, or what did not come and the last words of whoever was to bring it.
pub fn bring_up(source: &Source<'_>, progress: &mut Progress) -> Result<Lab, Trouble> {
    let mut lab = lay_out(source)?;
    lab.leave_out_vlans().map_err(Trouble::doing(Doing::MakingNetworks))?;
    let lang = progress.lang();
    let (machines, lines, links) = (lab.machines.len(), lab.lines.len(), lab.wires.len());
    progress.step(&lang.pick(
        format!("{machines} machines, {lines} lines, {links} links"),
        format!("機器 {machines}台、回線 {lines}本、リンク {links}本"),
    ));
    Ground::new(&lab)?.lay()?;
    super::equip::equip(&lab)?;
    // From here on `exec` finds its way, should it hang.
    lab.record().map_err(Trouble::doing(Doing::WritingRecord))?;
    let mut waiting = Waiting::new(&lab, source);
    // Lines whose ports stay where they are need nobody else.
    waiting.serve()?;
    progress.step(lang.pick("starting processes", "プロセスを起動しています"));
    for machine in lab.machines.values() {
        for kind in &machine.processes {
            let start = machine.start(*kind);
            let machine = machine.name.clone();
            start.map_err(Trouble::doing(Doing::Starting { process: *kind, machine }))?;
        }
    }
    loop {
        waiting.serve()?;
        waiting.links()?;
        let (established, sessions) =
            if waiting.links.is_empty() { waiting.sessions() } else { (0, waiting.all) };
        let Some(missing) = waiting.first_missing(established, sessions) else {
            let name = &lab.name;
            progress.done(&lang.pick(
                format!("{name} is up: {sessions} sessions between routers"),
                format!("{name}が起動しました: ルーター間のセッション {sessions}"),
            ));
            return Ok(lab);
        };
        waiting.alive()?;
        if progress.since() > PATIENCE {
            return Err(waiting.late(missing, progress.since()));
        }
        progress.step(&waiting.words(established, sessions, lang));
        thread::sleep(if waiting.links.is_empty() { ASKING_PACE } else { PACE });
    }
}

/// Something that a process has to bring.
#[derive(Debug, Clone)]
struct Awaited {
    machine: String,
    process: ProcessKind,
    plane: Plane,
    interface: IfName,
}

struct Waiting<'a> {
    lab: &'a Lab,
    own: Vec<Prefix>,
    lines: Vec<usize>,
    peers: Vec<(PeerStand, Vec<Prefix>)>,
    /// The far ends of members' tunnels.
    members: Vec<WireEnd>,
    links: Vec<Awaited>,
    /// Routers of which not every session is established yet.
    routers: Vec<String>,
    /// Established sessions of those that have all of theirs.
    counted: usize,
    /// Sessions that there are to be between routers, each end counted.
    all: usize,
    /// One for each plane that is looked into.
    sockets: BTreeMap<(String, Plane), Netlink>,
}

impl<'a> Waiting<'a> {
    fn new(lab: &'a Lab, source: &Source<'_>) -> Waiting<'a> {
        let mut links = Vec::new();
        for (name, plan) in &lab.plans {
            let processes = lab.machine(name).map_or(&[][..], |machine| &machine.processes);
            let mut await_link = |process, plane, interface: &IfName| {
                if processes.contains(&process) {
                    let interface = interface.clone();
                    links.push(Awaited { machine: name.clone(), process, plane, interface });
                }
            };
            for link in &plan.underlay.links {
                await_link(ProcessKind::Datapath, Plane::Underlay, &link.name);
            }
            for tunnel in &plan.tunnels {
                await_link(ProcessKind::Datapath, Plane::Fabric, &tunnel.name);
            }
            let here = |link: &&Link| lab.vlans || !is_for_vlans(&plan.fabric.links, link);
            for link in plan.fabric.links.iter().filter(here) {
                await_link(ProcessKind::Router, Plane::Fabric, &link.name);
            }
            await_link(ProcessKind::Management, Plane::Management, &plan.management.overlay.device);
        }
        let declared = source.declaration.peers.iter().flat_map(|peer| peer.at.iter());
        let prefixes = declared.map(|at| at.addresses.iter().map(|prefix| **prefix).collect());
        let with_speaker = lab.plans.iter().filter(|(_, plan)| plan.speaker.is_some());
        Waiting {
            lab,
            own: source.declaration.network.prefixes.iter().map(|prefix| **prefix).collect(),
            lines: (0..lab.lines.len()).filter(|index| lab.lines[*index].client).collect(),
            peers: lab.peers.iter().cloned().zip(prefixes).collect(),
            members: lab.member_wires().map(|wire| wire.ends[1].clone()).collect(),
            links,
            routers: with_speaker.map(|(name, _)| name.clone()).collect(),
            counted: 0,
            all: lab.plans.values().map(inside_sessions).sum(),
            sockets: BTreeMap::new(),
        }
    }

    /// Does what the lab has to do for those who have come so far.
    fn serve(&mut self) -> Result<(), Trouble> {
        let lab = self.lab;
        retain_undone(&mut self.lines, |index| {
            let line = &lab.lines[*index];
            client::serve(lab, line)
                .map_err(Trouble::doing(Doing::Addressing { line: line.access.to_string() }))
        })?;
        retain_undone(&mut self.members, |member| {
            client::bridge(lab, member)
                .map_err(Trouble::doing(Doing::Furnishing { machine: member.machine.clone() }))
        })?;
        let own = &self.own;
        retain_undone(&mut self.peers, |(stand, prefixes)| {
            client::furnish(lab, stand, own, prefixes)
                .map_err(Trouble::doing(Doing::Furnishing { machine: stand.machine.clone() }))
        })
    }

    fn links(&mut self) -> Result<(), Trouble> {
        let (lab, sockets) = (self.lab, &mut self.sockets);
        retain_undone(&mut self.links, |awaited| {
            let (interface, machine) = (awaited.interface.clone(), awaited.machine.clone());
            is_up(lab, sockets, awaited).map_err(Trouble::doing(Doing::Looking { interface, machine }))
        })
    }

    /// How many sessions between routers are established, and how many there are to be.
    fn sessions(&mut self) -> (usize, usize) {
        let lab = self.lab;
        let mut established = 0;
        let counted = &mut self.counted;
        self.routers.retain(|name| {
            let expected = lab.plans.get(name).map_or(0, inside_sessions);
            let found = lab.machine(name).and_then(established_inside).unwrap_or(0);
            if found < expected {
                established += found;
                return true;
            }
            *counted += expected;
            false
        });
        (*counted + established, self.all)
    }

    fn first_missing(&self, established: usize, sessions: usize) -> Option<Awaited> {
        let access = |index: &usize| &self.lab.lines[*index];
        let of_line = self.lines.first().map(access).map(|line| Awaited {
            machine: line.machine.clone(),
            process: if line.plane == Plane::Underlay {
                ProcessKind::Datapath
            } else {
                ProcessKind::Management
            },
            plane: line.plane,
            interface: line.interface.clone(),
        });
        let inner = |machine: &String, interface: &IfName| Awaited {
            machine: machine.clone(),
            process: ProcessKind::Datapath,
            plane: Plane::Fabric,
            interface: interface.clone(),
        };
        let of_peer = self.peers.first().map(|(stand, _)| inner(&stand.machine, &stand.interface));
        let of_member = self.members.first().map(|end| inner(&end.machine, &end.interface));
        let of_session =
            (established < sessions).then(|| self.routers.first()).flatten().map(|name| Awaited {
                machine: name.clone(),
                process: ProcessKind::Router,
                plane: Plane::Fabric,
                interface: IfName::loopback(),
            });
        self.links.first().cloned().or(of_line).or(of_peer).or(of_member).or(of_session)
    }

    /// A process that has ended will bring nothing any more.
    fn alive(&self) -> Result<(), Trouble> {
        for machine in self.lab.machines.values() {
            for kind in &machine.processes {
                if machine.pid(*kind).is_none() {
                    let log = machine.log_tail(*kind, LAST_WORDS);
                    return Err(Trouble::Ended { machine: machine.name.clone(), process: *kind, log });
                }
            }
        }
        Ok(())
    }

    fn late(&self, missing: Awaited, after: Duration) -> Trouble {
        let Awaited { machine, process, plane, interface } = missing;
        let what = if interface == IfName::loopback() {
            trouble::Awaited::Sessions
        } else {
            trouble::Awaited::Interface { plane, interface }
        };
        let log =
            self.lab.machine(&machine).map_or_else(Vec::new, |found| found.log_tail(process, LAST_WORDS));
        Trouble::Late { what, machine, process, after, log }
    }

    fn words(&self, established: usize, sessions: usize, lang: Lang) -> String {
        match self.links.first() {
            Some(link) => {
                let (count, interface, machine) = (self.links.len(), &link.interface, &link.machine);
                lang.pick(
                    format!("{count} interfaces to come ({interface} of {machine})"),
                    format!("あと{count}個のインターフェースを待っています ({machine}の{interface})"),
                )
            }
            None => lang.pick(
                format!("{established} of {sessions} sessions"),
                format!("セッション {established}/{sessions}"),
            ),
        }
    }
}

/// Leaves in `list` what is not done yet.
fn retain_undone<T>(
    list: &mut Vec<T>,
    mut done: impl FnMut(&T) -> Result<bool, Trouble>,
) -> Result<(), Trouble> {
    let mut result = Ok(());
    list.retain(|item| {
        if result.is_err() {
            return true;
        }
        match done(item) {
            Ok(done) => !done,
            Err(trouble) => {
                result = Err(trouble);
                true
            }
        }
    });
    result
}

fn is_up(lab: &Lab, sockets: &mut BTreeMap<(String, Plane), Netlink>, awaited: &Awaited) -> io::Result<bool> {
    let socket = match sockets.entry((awaited.machine.clone(), awaited.plane)) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => match lab.namespace(&awaited.machine, awaited.plane) {
            Ok(namespace) => entry.insert(Netlink::open_in(&namespace)?),
            // The plane is made by a process that has only begun.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        },
    };
    Ok(socket.link(&awaited.interface)?.is_some_and(|link| link.up))
}

/// How many sessions to other routers a plan has.
fn inside_sessions(plan: &tsumugi_core::router_plan::RouterPlan) -> usize {
    use tsumugi_core::bgp::config::Relation;
    let neighbours = plan.speaker.iter().flat_map(|speaker| &speaker.neighbours);
    neighbours.filter(|neighbour| matches!(neighbour.relation, Relation::Inside { .. })).count()
}

/// How many sessions to other routers are established, by the router's own word.
fn established_inside(machine: &super::Machine) -> Option<usize> {
    let status = machine.status(ProcessKind::Router).ok()?;
    let sessions = status.pointer("/running/bgp/sessions")?.as_array()?;
    let inside = sessions.iter().filter(|session| session.get("role").is_none_or(serde_json::Value::is_null));
    Some(
        inside
            .filter(|session| session.get("state").and_then(|state| state.as_str()) == Some("established"))
            .count(),
    )
}

/// A VLAN, or the port that carries it: no cable hangs on one whose LANs are left out.
fn is_for_vlans(links: &[Link], link: &Link) -> bool {
    let carries = |it: &Link| matches!(&it.kind, LinkKind::Vlan { parent, .. } if *parent == link.name);
    matches!(link.kind, LinkKind::Vlan { .. }) || links.iter().any(carries)
}

impl Lab {
    /// Where the kernel has no VLANs, the LANs that need one are left out.
    fn leave_out_vlans(&mut self) -> io::Result<()> {
        let mut lans = self.segments.iter_mut().flat_map(|segment| &mut segment.lans);
        if lans.any(|lan| lan.has_vlans()) {
            self.vlans = has_vlans()?;
        }
        for lan in self.segments.iter_mut().flat_map(|segment| &mut segment.lans) {
            lan.left_out = !self.vlans && lan.has_vlans();
        }
        Ok(())
    }

    /// How many sessions to other routers a router has established, by its own word, and how many it
    /// is to have.
    pub fn sessions_of(&self, router: &super::Machine) -> (usize, usize) {
        let expected = self.plans.get(&router.name).map_or(0, inside_sessions);
        (established_inside(router).unwrap_or(0), expected)
    }
}

impl super::Machine {
    /// What a process says of itself.
    ///
    /// # Errors
    /// If it does not answer, or not within a second.
    pub fn status(&self, kind: ProcessKind) -> io::Result<serde_json::Value> {
        Ok(serde_json::from_str(&serve::ask(&self.socket_path(kind), ANSWER)?)?)
    }
}
