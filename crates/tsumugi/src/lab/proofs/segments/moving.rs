//! A host moves to another site with its MAC and its addresses: a third host reaches it again, and no
//! router keeps anything of where it was. Then it moves back.

use super::cables::move_host;
use super::{frames_at, hosts_of, mac_of, of_family};
use crate::kernel::Netlink;
use crate::kernel::fdb::FdbOwner;
use crate::lab::probe::echo::{EchoSocket, Question, ask_all, smallest};
use crate::lab::probe::frame::announcement;
use crate::lab::probe::options::Cutting;
use crate::lab::proofs::{Context, sessions};
use crate::lab::report::{Finding, ProofId, Row, SegmentFinding, Verdict};
use crate::lab::segment::{Carrier, Lan};
use crate::lab::{Guest, Segment};
use std::io;
use std::time::{Duration, Instant};
use tsumugi_core::evpn::MacPlace;
use tsumugi_core::id::{IfName, Mac, Plane, Prefix};

const AGAIN: Duration = Duration::from_millis(40);
/// How long until it is reached again, and until nothing is stale.
const PATIENCE: Duration = Duration::from_secs(10);
const PACE: Duration = Duration::from_millis(50);

pub fn prove(context: &Context) -> Vec<Row> {
    let mut rows: Vec<Row> = std::thread::scope(|scope| {
        let of = |segment| scope.spawn(move || prove_one(context, segment));
        let threads: Vec<_> = context.lab.segments.iter().map(of).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    if rows.is_empty() {
        rows.push(Row::new(ProofId::MacMove, &context.lab.name, Ok(Finding::NothingToProve)));
    }
    rows
}

fn prove_one(context: &Context, segment: &Segment) -> Row {
    match Journey::plan(context, segment) {
        Some(journey) => {
            let subject = format!("{}, seen from {}", journey.host.machine, journey.witness.machine);
            Row::new(ProofId::MacMove, subject, journey.go(context))
        }
        None => Row::new(ProofId::MacMove, &segment.name, Ok(SegmentFinding::OneRouter.into())),
    }
}

/// Who goes where, and who looks.
struct Journey<'a> {
    segment: &'a Segment,
    host: &'a Guest,
    from: &'a Lan,
    to: &'a Lan,
    witness: &'a Guest,
}

impl<'a> Journey<'a> {
    /// The first host, to another router; somebody at a third one looks, or who is there already.
    fn plan(context: &Context<'a>, segment: &'a Segment) -> Option<Journey<'a>> {
        let hosts = hosts_of(context, segment);
        let host = *hosts.first()?;
        let there = hosts.iter().find(|other| other.router != host.router)?;
        let elsewhere = |other: &&&Guest| other.router != host.router && other.router != there.router;
        let witness = hosts.iter().find(elsewhere).unwrap_or(there);
        let (from, to) = (segment.lan_of(&host.machine)?, segment.lan_of(&there.machine)?);
        Some(Journey { segment, host, from, to, witness })
    }

    fn go(&self, context: &Context) -> Verdict {
        let mac = mac_of(context, &self.host.machine)?;
        let start = Instant::now();
        self.reached(context, self.from, start)?;
        let start = Instant::now();
        let moved = move_host(context, self.segment, self.from, self.to)?;
        let there = self.settled(context, mac, self.to, start)?;
        let start = Instant::now();
        moved.undo()?;
        let back = self.settled(context, mac, self.from, start)?;
        let router = |lan: &Lan| lan.ends.first().map(|end| end.router.clone()).unwrap_or_default();
        let (from, to) = (router(self.from), router(self.to));
        Ok(SegmentFinding::Moved { from, to, there, back }.into())
    }

    /// How long until it was reached; nothing is stale then, or soon after.
    fn settled(&self, context: &Context, mac: Mac, at: &Lan, start: Instant) -> Result<Duration, Finding> {
        // As every host does whose link has come up.
        let socket = frames_at(context, &self.host.machine)?;
        for address in self.host.addresses.iter().map(Prefix::addr) {
            socket.send(&announcement(mac, address))?;
        }
        let after = self.reached(context, at, start)?;
        loop {
            let stale = self.stale(context, mac, at)?;
            if stale.is_empty() {
                return Ok(after);
            }
            if start.elapsed() > PATIENCE {
                return Err(SegmentFinding::Stale { after: start.elapsed(), entries: stale }.into());
            }
            std::thread::sleep(PACE);
        }
    }

    fn reached(&self, context: &Context, at: &Lan, start: Instant) -> Result<Duration, Finding> {
        let (mut sockets, mut questions) = (Vec::new(), Vec::new());
        for ipv6 in [false, true] {
            let (Some(source), Some(destination)) =
                (of_family(self.witness, ipv6), of_family(self.host, ipv6))
            else {
                continue;
            };
            let open = || EchoSocket::open(source, None, Cutting::Allowed);
            questions.push(Question { socket: sockets.len(), destination, length: smallest(destination) });
            sockets.push(context.within(&self.witness.machine, Plane::Management, open)?);
        }
        let answers = ask_all(&mut sockets, &questions, AGAIN, PATIENCE)?;
        let after = start.elapsed();
        if answers.iter().all(|answer| answer.came()) {
            return Ok(after);
        }
        let router = at.ends.first().map(|end| end.router.clone()).unwrap_or_default();
        Err(SegmentFinding::NotReachedAt { router, after }.into())
    }

    /// What says that the host is anywhere but at `at`.
    fn stale(&self, context: &Context, mac: Mac, at: &Lan) -> io::Result<Vec<String>> {
        let Some(active) = at.ends.first() else { return Ok(Vec::new()) };
        let mut stale = Vec::new();
        for carrier in &self.segment.carriers {
            let here = (carrier.router == active.router).then_some(&active.port);
            let there = self.segment.carrier(&active.router);
            for entry in in_kernel(context, carrier, mac)? {
                if !entry.is_right(carrier, here, there) {
                    stale.push(format!("{}: {entry}", carrier.router));
                }
            }
            let places = match said(context, self.segment, carrier, mac) {
                Ok(places) => places,
                Err(error) => {
                    stale.push(error.to_string());
                    continue;
                }
            };
            for place in places {
                let right = match (&place, here, there.and_then(|it| it.stretch.as_ref())) {
                    (MacPlace::Port { link }, Some(port), _) => link == port,
                    (MacPlace::Vtep { address, .. }, None, Some((_, vtep))) => address == vtep,
                    _ => false,
                };
                if !right {
                    stale.push(format!("{} says {place:?}", carrier.router));
                }
            }
        }
        Ok(stale)
    }
}

/// An entry of a kernel for one MAC.
struct Entry {
    link: IfName,
    owner: FdbOwner,
}

impl Entry {
    /// `here`: the port that the host is behind, if it is one of this router; `there`: whose it is else.
    fn is_right(&self, carrier: &Carrier, here: Option<&IfName>, there: Option<&Carrier>) -> bool {
        let vxlan = carrier.stretch.as_ref().map(|(vxlan, _)| vxlan);
        match (here, self.owner) {
            (Some(port), FdbOwner::Bridge { .. }) => self.link == *port,
            (Some(_), FdbOwner::Device { .. }) => false,
            (None, FdbOwner::Bridge { .. }) => Some(&self.link) == vxlan,
            (None, FdbOwner::Device { vtep }) => {
                vtep == there.and_then(|it| it.stretch.as_ref()).map(|(_, vtep)| *vtep)
            }
        }
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.owner {
            FdbOwner::Device { vtep: Some(vtep) } => write!(f, "{} {vtep}", self.link),
            _ => write!(f, "{}", self.link),
        }
    }
}

/// What the bridge of a segment and its VXLAN device hold of a MAC.
fn in_kernel(context: &Context, carrier: &Carrier, mac: Mac) -> io::Result<Vec<Entry>> {
    let mut netlink = Netlink::open_in(&context.namespace(&carrier.router, Plane::Fabric)?)?;
    let links = netlink.links()?;
    let bridge = netlink.index(&carrier.bridge)?;
    let found = netlink.fdb()?.into_iter().filter(|entry| entry.mac == mac);
    let of_segment =
        |index: u32| links.iter().find(|link| link.index == index && link.master == Some(bridge));
    Ok(found
        .filter_map(|entry| Some(Entry { link: of_segment(entry.link)?.name.clone(), owner: entry.owner }))
        .collect())
}

/// Where the router says that a MAC is, and where others say so too.
fn said(context: &Context, segment: &Segment, carrier: &Carrier, mac: Mac) -> io::Result<Vec<MacPlace>> {
    let status = sessions::status(context.machine(&carrier.router)?)?;
    let segments = status.running.iter().flat_map(|running| &running.segments.segments);
    let macs = segments.filter(|it| it.name == segment.name).flat_map(|it| &it.macs);
    let mut places = Vec::new();
    for found in macs.filter(|it| it.mac == mac) {
        places.push(found.at.clone());
        places.extend(found.also.iter().map(|address| MacPlace::Vtep { address: *address, sticky: false }));
    }
    Ok(places)
}
