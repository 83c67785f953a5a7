//! All that packets are put into somewhere in the network, for those who explain the arithmetic.

use super::ends::{Connection, Link};
use super::management;
use super::segments;
use super::survey::{Line, Survey};
use crate::declaration::{Declaration, Purpose};
use tsumugi_core::mtu::{self, Ip, Way};

/// A line's name and the largest packet that it passes whole.
pub type LineSize = (String, u16);

/// Everything that packets are put into.
pub struct Subjects {
    /// Links, outside connections, the overlay, segments.
    pub all: Vec<Subject>,
}

/// One of them.
pub struct Subject {
    /// What people may call it; the first is the usual one.
    pub names: Vec<String>,
    pub place: Where,
    pub way: Way,
}

pub enum Where {
    Link {
        ends: [String; 2],
        lines: Option<[LineSize; 2]>,
    },
    Connection {
        router: String,
        peer: String,
        line: Option<LineSize>,
    },
    Management {
        members: [String; 2],
        lines: [LineSize; 2],
    },
    Segments,
    /// A link with a segment's full packet, wrapped once, as its inner packet.
    SegmentsOver {
        ends: [String; 2],
        vtep: Ip,
    },
}

impl Where {
    pub fn is_like(&self, other: &Where) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl Subject {
    pub fn is_called(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }
}

impl Subjects {
    /// Also of a file that the arithmetic refuses: that is when people ask.
    pub fn of(declaration: &Declaration) -> Subjects {
        let (survey, _) = Survey::build(declaration);
        let mut all: Vec<Subject> = survey.links.iter().map(|link| of_link(&survey, link)).collect();
        all.extend(survey.connections.iter().map(|connection| of_connection(&survey, connection)));
        all.extend(overlay(&survey));
        let families = Ip::BOTH.into_iter().filter(|ip| {
            survey.network().loopbacks.iter().any(|pool| pool.addr().is_ipv6() == (*ip == Ip::V6))
        });
        all.extend(families.map(|ip| Subject {
            names: vec!["segments".into()],
            place: Where::Segments,
            way: mtu::segment(ip, survey.network().mtu().into(), segments::MTU.into(), false),
        }));
        for ip in Ip::BOTH {
            let stretched = |whole: &segments::Whole| whole.way.is_some() && whole.vtep == ip;
            if survey.segments.iter().any(stretched) {
                all.extend(survey.links.iter().map(|link| segments_over(&survey, link, ip)));
            }
        }
        Subjects { all }
    }
}

fn both_ways(a: &str, b: &str) -> [String; 2] {
    [format!("{a}-{b}"), format!("{b}-{a}")]
}

fn of_link(survey: &Survey<'_>, link: &Link<'_>) -> Subject {
    let ends = [0, 1].map(|side: usize| survey.machines[link.ends[side].machine].router.name.get().clone());
    let mut names = both_ways(&ends[0], &ends[1]).to_vec();
    names.extend(link.ends.iter().map(|end| end.name.to_string()));
    let lines = link.said.over.as_ref().map(|over| {
        [0, 1].map(|side: usize| {
            let machine = &survey.machines[link.ends[side].machine];
            (over[side].get().clone(), machine.line(&over[side]).map_or(0, |line| line.uplink.path_mtu()))
        })
    });
    Subject { names, place: Where::Link { ends, lines }, way: link.way }
}

fn segments_over(survey: &Survey<'_>, link: &Link<'_>, vtep: Ip) -> Subject {
    let ends = [0, 1].map(|side: usize| survey.machines[link.ends[side].machine].router.name.get().clone());
    let wrapped = mtu::segment(vtep, link.way.mtu, segments::MTU.into(), false).whole(segments::MTU.into());
    Subject {
        names: vec!["segments".into()],
        place: Where::SegmentsOver { ends, vtep },
        way: Way { mtu: wrapped, ..link.way },
    }
}

fn of_connection(survey: &Survey<'_>, connection: &Connection<'_>) -> Subject {
    let machine = &survey.machines[connection.end.machine];
    let (router, peer) = (machine.router.name.get().clone(), connection.peer.name.get().clone());
    let mut names = both_ways(&router, &peer).to_vec();
    names.push(peer.clone());
    names.push(connection.end.name.to_string());
    let line = connection.said.over.as_ref().and_then(|over| machine.line(over)).map(size);
    Subject { names, place: Where::Connection { router, peer, line }, way: connection.way }
}

fn size(line: &Line<'_>) -> LineSize {
    (line.uplink.name.get().clone(), line.uplink.path_mtu())
}

/// Each pair of lines over which a member and a meeting point have a session.
fn overlay(survey: &Survey<'_>) -> Vec<Subject> {
    let mut all = Vec::new();
    for (index, machine) in survey.machines.iter().enumerate() {
        for meeting in survey.meetings() {
            let far = &survey.machines[*meeting];
            // Two meeting points know each other: told once.
            if *meeting == index || (machine.router.meeting() && *meeting < index) {
                continue;
            }
            for ours in machine.lines.iter().filter(|line| line.uplink.is_for(Purpose::Management)) {
                for theirs in far.lines.iter().filter(|line| line.uplink.is_for(Purpose::Management)) {
                    let Some(outer) = management::meet(ours.uplink, theirs.uplink) else { continue };
                    let members = [machine.router.name.get().clone(), far.router.name.get().clone()];
                    let mut names = both_ways(&members[0], &members[1]).to_vec();
                    names.extend([management::device().to_string(), "management".into()]);
                    all.push(Subject {
                        names,
                        way: management::way(outer, ours.uplink.path_mtu().min(theirs.uplink.path_mtu())),
                        place: Where::Management { members, lines: [size(ours), size(theirs)] },
                    });
                }
            }
        }
    }
    all
}
