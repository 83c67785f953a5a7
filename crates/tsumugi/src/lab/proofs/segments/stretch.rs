//! Every pair of hosts of a segment: 1500 bytes that may not be cut go both ways, in one VXLAN packet
//! on every link between routers, which is at most two packets outside of a tunnel.
//!
//! ```text
//!   host--[router]==link==[router]==link==[router]--host
//!              inside^    ^taps: outside of a tunnel
//! ```
//!
//! All pairs are asked at the same time; a request is known by its two addresses wherever it is seen.

use super::vxlan::Carried;
use super::{hosts_of, of_family};
use crate::lab::capture::{PacketSocket, Piece, Recorder, Seen};
use crate::lab::probe::echo::{Answer, EchoSocket, Question, ask_all, smallest};
use crate::lab::probe::options::Cutting;
use crate::lab::proofs::Context;
use crate::lab::proofs::two_packets::{large_outer, tap};
use crate::lab::report::{Finding, ProofId, Row, SegmentFinding, Verdict};
use crate::lab::{Guest, Segment, Wire};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use tsumugi_core::id::Plane;

/// Bytes of the whole IP packet: everybody's plain 1500.
const FULL: usize = 1500;
const AGAIN: Duration = Duration::from_millis(200);
/// By then every router knows every host.
const PATIENCE: Duration = Duration::from_secs(15);
const ANSWER: Duration = Duration::from_millis(1_500);
/// How long a straggler that should not be there is waited for once all has arrived.
const QUIET: Duration = Duration::from_millis(50);
/// On a tunnel.
const MOST_OUTER: usize = 2;

pub fn prove(context: &Context) -> Vec<Row> {
    let row = |subject: &str, verdict| Row::new(ProofId::Segments, subject, verdict);
    let mut rows = Vec::new();
    for segment in &context.lab.segments {
        for lan in segment.lans.iter().filter(|lan| !lan.is_made()) {
            rows.push(row(&lan.host, Ok(SegmentFinding::NotHere.into())));
        }
        match full_packets(context, segment) {
            Ok(pairs) if pairs.is_empty() => {
                rows.push(row(&segment.name, Ok(SegmentFinding::OneHost.into())))
            }
            Ok(pairs) => rows.extend(pairs.into_iter().map(|(subject, verdict)| row(&subject, verdict))),
            Err(error) => rows.push(row(&segment.name, Err(error.into()))),
        }
    }
    if rows.is_empty() {
        rows.push(row(&context.lab.name, Ok(Finding::NothingToProve)));
    }
    rows
}

/// Two hosts of a segment, their addresses in both families, the questions of one to the other.
struct Pair<'a> {
    ends: [&'a Guest; 2],
    asked: Vec<[IpAddr; 2]>,
}

/// Every pair and what it came to.
fn full_packets(context: &Context, segment: &Segment) -> io::Result<Vec<(String, Verdict)>> {
    let hosts: Vec<&Guest> = hosts_of(context, segment);
    let mut pairs = Vec::new();
    for (index, one) in hosts.iter().enumerate() {
        for other in &hosts[index + 1..] {
            let asked = [false, true]
                .into_iter()
                .filter_map(|ipv6| Some([of_family(one, ipv6)?, of_family(other, ipv6)?]));
            pairs.push(Pair { ends: [*one, *other], asked: asked.collect() });
        }
    }
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let (mut sockets, mut questions) = (Vec::new(), Vec::new());
    for pair in &pairs {
        for [source, destination] in &pair.asked {
            let open = || EchoSocket::open(*source, None, Cutting::Refused);
            questions.push(Question { socket: sockets.len(), destination: *destination, length: FULL });
            sockets.push(context.within(&pair.ends[0].machine, Plane::Management, open)?);
        }
    }
    // First something small, until everybody is known everywhere.
    let small: Vec<Question> =
        questions.iter().map(|it| Question { length: smallest(it.destination), ..*it }).collect();
    ask_all(&mut sockets, &small, AGAIN, PATIENCE)?;
    let watch = Watch::start(context)?;
    // Asked once: a second request would be a second packet.
    let mut answers = ask_all(&mut sockets, &questions, ANSWER * 2, ANSWER)?.into_iter();
    std::thread::sleep(QUIET);
    let seen = watch.finish()?;
    let judged = pairs.iter().map(|pair| {
        let answers: Vec<Answer> = answers.by_ref().take(pair.asked.len()).collect();
        let subject = format!("{} ⇄ {}", pair.ends[0].machine, pair.ends[1].machine);
        (subject, judge(pair, segment, &answers, &seen))
    });
    Ok(judged.collect())
}

fn judge(pair: &Pair, segment: &Segment, answers: &[Answer], seen: &Links) -> Verdict {
    let (mut over, mut outer) = (Vec::new(), 0);
    for (asked, answer) in pair.asked.iter().zip(answers) {
        let ipv6 = asked[0].is_ipv6();
        let of = |what: Finding| Finding::Of { ipv6, what: Box::new(what) };
        match answer {
            Answer::After(_) => {}
            Answer::Silence => return Err(of(Finding::Lost { inner: FULL })),
            Answer::Unsent(why) => return Err(of(Finding::Unsent { inner: FULL, why: why.clone() })),
        }
        let (links, most) = seen.crossed(segment, asked).map_err(|what| of(what.into()))?;
        let is_stretched = pair.ends[0].router != pair.ends[1].router;
        if is_stretched && links.is_empty() {
            return Err(of(SegmentFinding::NoVxlan.into()));
        }
        over = links;
        outer = outer.max(most);
    }
    Ok(SegmentFinding::Full { bytes: FULL, over, outer }.into())
}

/// Captures of every link between routers.
struct Watch<'a> {
    recorder: Recorder,
    wires: Vec<&'a Wire>,
}

/// For each link four sockets: within at both ends, and outside at both ends.
const PLACES: usize = 4;

impl<'a> Watch<'a> {
    fn start(context: &Context<'a>) -> io::Result<Watch<'a>> {
        let inside = context.lab.wires.iter().filter(|wire| !wire.outside);
        let wires: Vec<&Wire> = inside.chain(context.lab.member_wires()).collect();
        let mut sockets = Vec::new();
        for wire in &wires {
            for end in &wire.ends {
                let device = end.interface.as_str();
                let open = || PacketSocket::open(Some(device));
                sockets.push(context.within(&end.machine, Plane::Fabric, open)?);
            }
            for end in &wire.ends {
                sockets.push(tap(context, end)?);
            }
        }
        Ok(Watch { recorder: Recorder::start(sockets), wires })
    }

    fn finish(self) -> io::Result<Links<'a>> {
        let mut links: Vec<(&Wire, Vec<Seen>)> =
            self.wires.into_iter().map(|wire| (wire, Vec::new())).collect();
        for seen in self.recorder.finish()? {
            let place = seen.place % PLACES;
            if let Some((_, all)) = links.get_mut(seen.place / PLACES) {
                all.push(Seen { place, ..seen });
            }
        }
        Ok(Links(links))
    }
}

/// What passed on each link, places 0 and 1 within, 2 and 3 outside.
struct Links<'a>(Vec<(&'a Wire, Vec<Seen>)>);

impl Links<'_> {
    /// The links that the full packets between two hosts crossed, and the most outer packets of any.
    fn crossed(&self, segment: &Segment, pair: &[IpAddr; 2]) -> Result<(Vec<String>, usize), SegmentFinding> {
        let (mut over, mut most) = (Vec::new(), 0);
        for (wire, seen) in &self.0 {
            let passed = carried(wire, seen, segment, pair);
            if passed.is_empty() {
                continue;
            }
            if let Some((_, count)) = passed.iter().find(|(_, count)| **count != 1) {
                return Err(SegmentFinding::NotOnePacket { link: wire.name.clone(), packets: *count });
            }
            over.push(wire.name.clone());
            most = most.max(outer(wire, seen)?);
        }
        Ok((over, most))
    }
}

/// How often a full packet between the two was seen: by place, whether it was leaving, and its source.
/// A member's tunnel carries frames as they are, all others carry VXLAN.
fn carried(
    wire: &Wire,
    seen: &[Seen],
    segment: &Segment,
    pair: &[IpAddr; 2],
) -> BTreeMap<(usize, bool, IpAddr), usize> {
    let mut counts = BTreeMap::new();
    for seen in seen.iter().filter(|seen| seen.place < 2) {
        let of_segment = |carried: Carried| (carried.vni == segment.vni).then_some(carried.inner);
        let inner = match wire.outside {
            true => Piece::read(&seen.bytes),
            false => Carried::read(&seen.bytes).and_then(of_segment),
        };
        let Some(inner) = inner else { continue };
        let between = pair.contains(&inner.source) && pair.contains(&inner.destination);
        if between && inner.length == FULL {
            *counts.entry((seen.place, seen.leaving, inner.source)).or_insert(0) += 1;
        }
    }
    counts
}

/// The most outer packets that a full packet of any pair became on this link; 0 for Ethernet, which has
/// no outside.
fn outer(wire: &Wire, seen: &[Seen]) -> Result<usize, SegmentFinding> {
    let mut most = 0;
    for (end, place) in [(0, 2), (1, 3)] {
        for leaving_end in [true, false] {
            let Some(flow) = &wire.ends[end].flow else { continue };
            for datagram in large_outer(seen, place, Some(flow), leaving_end, FULL) {
                if datagram.pieces.len() > MOST_OUTER || !datagram.complete {
                    let (link, pieces) = (wire.name.clone(), datagram.pieces);
                    return Err(SegmentFinding::TooManyOuter { link, pieces });
                }
                most = most.max(datagram.pieces.len());
            }
        }
    }
    if most == 0 && wire.ends[0].flow.is_some() {
        return Err(SegmentFinding::NothingOuter { link: wire.name.clone() });
    }
    Ok(most)
}
