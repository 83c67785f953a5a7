//! One cache: its session, and the data that it gave.

use super::aspa::AspaTable;
use super::pdu::{self, ErrorCode, Fault, Intervals, Pdu, next_frame};
use super::status::{CacheEnd, CacheState, PayloadCounts};
use super::vrp::{Vrp, VrpTable, VrpTableBuilder};
use crate::id::Asn;
use crate::time::{Duration, Instant};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// How long TCP may take to connect.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a cache may say nothing while something is expected.
const SILENCE: Duration = Duration::from_secs(60);
/// Between two queries, whatever a cache notifies: each answer costs a new table. (RFC 8210 5.2 has
/// caches notify at most once a minute.)
const BREATH: Duration = Duration::from_secs(1);
/// A cache without data, from which no retry interval was ever learned, is asked again after this.
const NO_DATA: Duration = Duration::from_secs(30);
/// Between attempts to connect: doubled from the least to the most.
const AGAIN_LEAST: Duration = Duration::from_secs(1);
const AGAIN_MOST: Duration = Duration::from_secs(60);
/// Four times what there is in the world today (half a million); a cache that sends more is broken.
const PAYLOADS: u32 = 2_000_000;

/// What a cache said to its end.
#[derive(Debug, Clone)]
pub struct Data {
    /// A session id counts for one version only (RFC 8210 5.1).
    version: u8,
    pub session: u16,
    pub serial: u32,
    pub intervals: Intervals,
    /// When it last said that this is all.
    pub at: Instant,
    pub vrps: Arc<VrpTable>,
    pub aspas: Arc<AspaTable>,
}

impl Data {
    pub fn counts(&self) -> PayloadCounts {
        let short = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        PayloadCounts {
            ipv4: short(self.vrps.len_v4()),
            ipv6: short(self.vrps.len_v6()),
            aspa: short(self.aspas.len()),
        }
    }
}

/// An answer under way.
#[derive(Debug)]
enum Incoming {
    /// All of it.
    Full { vrps: VrpTableBuilder, aspas: AspaTable },
    /// What differs from the data that we have.
    Delta { vrps: BTreeMap<Vrp, bool>, aspas: BTreeMap<Asn, Option<Box<[Asn]>>> },
}

#[derive(Debug)]
enum Phase {
    AwaitResponse {
        full: bool,
    },
    Receiving {
        session: u16,
        incoming: Incoming,
    },
    /// With all that it has, or (`no_data`) without any: asked again at `refresh`.
    Rest {
        refresh: Instant,
        no_data: bool,
    },
}

#[derive(Debug)]
struct Open {
    connection: u32,
    /// The beginning of a PDU.
    buffer: Vec<u8>,
    /// The version of the session, once an answer has come.
    negotiated: Option<u8>,
    phase: Phase,
    asked: Instant,
    heard: Instant,
    /// Data was completed in this session.
    live: bool,
    /// What it notified of while an answer was under way.
    notified: Option<(u16, u32)>,
}

#[derive(Debug)]
enum State {
    Idle { until: Instant },
    Connecting { connection: u32, until: Instant },
    Open(Open),
}

/// What became of bytes or time.
#[derive(Debug, Default)]
pub struct Outcome {
    /// To be sent.
    pub send: Vec<u8>,
    /// The connection is over.
    pub end: Option<CacheEnd>,
    /// New data is complete.
    pub complete: bool,
}

#[derive(Debug)]
pub struct Cache {
    state: State,
    /// What the next session begins with.
    version: u8,
    pub data: Option<Data>,
    /// Seconds for which data counts, where the operator says so.
    pub expire: Option<u32>,
    /// Attempts in vain since the data was last complete.
    pub failures: u32,
    pub last_end: Option<CacheEnd>,
}

impl Cache {
    pub fn new(expire: Option<u32>) -> Cache {
        Cache {
            state: State::Idle { until: Instant::default() },
            version: pdu::NEWEST,
            data: None,
            expire,
            failures: 0,
            last_end: None,
        }
    }

    pub fn connection(&self) -> Option<u32> {
        match &self.state {
            State::Idle { .. } => None,
            State::Connecting { connection, .. } => Some(*connection),
            State::Open(open) => Some(open.connection),
        }
    }

    /// Whether its data is what the cache has now, as far as a session tells.
    pub fn is_live(&self) -> bool {
        matches!(&self.state, State::Open(open) if open.live) && self.data.is_some()
    }

    pub fn may_dial(&self, now: Instant) -> bool {
        matches!(self.state, State::Idle { until } if until <= now)
    }

    pub fn dial(&mut self, now: Instant, connection: u32) {
        self.state = State::Connecting { connection, until: now + CONNECT };
    }

    pub fn version(&self) -> Option<u8> {
        match &self.state {
            State::Open(open) => open.negotiated,
            _ => None,
        }
    }

    pub fn state(&self, wanted: bool) -> CacheState {
        match &self.state {
            State::Idle { .. } if wanted => CacheState::AwaitRetry,
            State::Idle { .. } => CacheState::Standby,
            State::Connecting { .. } => CacheState::AwaitConnection,
            State::Open(open) => match open.phase {
                Phase::AwaitResponse { .. } => CacheState::AwaitResponse,
                Phase::Receiving { .. } => CacheState::Receiving,
                Phase::Rest { no_data: true, .. } => CacheState::NoData,
                Phase::Rest { .. } => CacheState::Synchronised,
            },
        }
    }

    /// When [`Cache::timeout`] has something to do. `wanted`: it may be dialled.
    pub fn next_timeout(&self, wanted: bool) -> Option<Instant> {
        match &self.state {
            State::Idle { until } => wanted.then_some(*until),
            State::Connecting { until, .. } => Some(*until),
            State::Open(open) => Some(match open.phase {
                Phase::Rest { refresh, .. } => refresh,
                _ => open.heard + SILENCE,
            }),
        }
    }

    /// A preferred cache is in use: this one rests, and is not to blame.
    pub fn rest(&mut self, now: Instant) {
        self.state = State::Idle { until: now };
        self.failures = 0;
    }

    /// The connection is over, for this reason.
    pub fn ended(&mut self, now: Instant, end: CacheEnd) {
        let retry = match &end {
            // With another version at once.
            CacheEnd::Reported { code: ErrorCode::UNSUPPORTED_VERSION, .. } => Duration::ZERO,
            _ => AGAIN_MOST.min(AGAIN_LEAST * 2u32.saturating_pow(self.failures.min(6))),
        };
        if self.is_live() || end == CacheEnd::NoCommonVersion {
            // Whatever it speaks when it is back.
            self.version = pdu::NEWEST;
        } else if matches!(&self.state, State::Open(open) if open.negotiated.is_none())
            && end == CacheEnd::Closed
        {
            // Some hang up on a version that they do not know, with no word (stayrtr 0.5 does).
            self.version = self.version.checked_sub(1).unwrap_or(pdu::NEWEST);
        }
        self.failures = self.failures.saturating_add(1);
        self.last_end = Some(end);
        self.state = State::Idle { until: now + retry };
    }

    /// The connection stands: asks for what there is.
    pub fn connected(&mut self, now: Instant) -> Outcome {
        let State::Connecting { connection, .. } = self.state else { return Outcome::default() };
        let mut outcome = Outcome::default();
        let mut open = Open {
            connection,
            buffer: Vec::new(),
            negotiated: None,
            phase: Phase::AwaitResponse { full: true },
            asked: now,
            heard: now,
            live: false,
            notified: None,
        };
        open.query(now, self.version, self.data.as_ref(), &mut outcome.send);
        self.state = State::Open(open);
        outcome
    }

    pub fn timeout(&mut self, now: Instant) -> Outcome {
        let mut outcome = Outcome::default();
        match &mut self.state {
            State::Connecting { until, .. } if *until <= now => outcome.end = Some(CacheEnd::ConnectFailed),
            State::Open(open) => match open.phase {
                Phase::Rest { refresh, .. } if refresh <= now => {
                    let version = open.negotiated.unwrap_or(self.version);
                    open.query(now, version, self.data.as_ref(), &mut outcome.send);
                }
                Phase::AwaitResponse { .. } | Phase::Receiving { .. } if open.heard + SILENCE <= now => {
                    outcome.end = Some(CacheEnd::Silent);
                }
                _ => {}
            },
            _ => {}
        }
        outcome
    }

    /// Bytes of the stream, cut anywhere.
    pub fn received(&mut self, now: Instant, bytes: &[u8]) -> Outcome {
        let mut outcome = Outcome::default();
        let State::Open(open) = &mut self.state else { return outcome };
        open.heard = now;
        let mut stream = core::mem::take(&mut open.buffer);
        stream.extend_from_slice(bytes);
        let mut rest = &*stream;
        let failed = loop {
            let (frame, after) = match next_frame(rest) {
                Ok(None) => break None,
                Ok(Some(found)) => found,
                Err(fault) => break Some((fault, rest)),
            };
            rest = after;
            let taken = self.take(now, frame.version, frame.kind(), frame.parse(), &mut outcome);
            if let Err(fault) = taken {
                break Some((fault, frame.bytes));
            }
            if outcome.end.is_some() {
                return outcome;
            }
        };
        let State::Open(open) = &mut self.state else { return outcome };
        if let Some((fault, culprit)) = failed {
            let version = open.negotiated.unwrap_or(self.version);
            // "MUST NOT send an Error Report for an Error Report" (RFC 8210 5.11).
            if culprit.get(1) != Some(&10) {
                let copy = &culprit[..culprit.len().min(64)];
                pdu::error_report(version, fault.code(), copy, "", &mut outcome.send);
            }
            outcome.end = Some(CacheEnd::Wrong { fault });
        } else {
            open.buffer = rest.to_vec();
        }
        outcome
    }

    /// One PDU.
    fn take(
        &mut self,
        now: Instant,
        version: u8,
        kind: u8,
        parsed: Result<Pdu, Fault>,
        outcome: &mut Outcome,
    ) -> Result<(), Fault> {
        let State::Open(open) = &mut self.state else { return Ok(()) };
        if kind == 10 {
            // Of whatever version it is.
            if let Pdu::ErrorReport { code, text } = parsed? {
                self.reported(now, version, code, text, outcome);
            }
            return Ok(());
        }
        match open.negotiated {
            // A notification that crosses our first query means nothing (RFC 8210 7).
            None if kind == 0 => return Ok(()),
            // The first answer says which version it is: ours or an older one (RFC 8210 7).
            None if version <= self.version => open.negotiated = Some(version),
            Some(negotiated) if negotiated == version => {}
            _ => return Err(Fault::Version { found: version }),
        }
        let pdu = parsed?;
        match (pdu, &mut open.phase) {
            (Pdu::SerialNotify { session, serial }, Phase::Rest { refresh, .. }) => {
                let known = self.data.as_ref().map(|data| (data.session, data.serial));
                if known != Some((session, serial)) {
                    *refresh = (*refresh).min((open.asked + BREATH).max(now));
                }
                Ok(())
            }
            (Pdu::SerialNotify { session, serial }, _) => {
                open.notified = Some((session, serial));
                Ok(())
            }
            (Pdu::CacheResponse { session }, Phase::AwaitResponse { full }) => {
                let known = self.data.as_ref().map(|data| data.session);
                let incoming = match (*full, known) {
                    (false, Some(expected)) if expected != session => {
                        // What we have is of a life that it does not remember.
                        self.data = None;
                        return Err(Fault::Session { expected, found: session });
                    }
                    (false, Some(_)) => Incoming::Delta { vrps: BTreeMap::new(), aspas: BTreeMap::new() },
                    _ => Incoming::Full { vrps: VrpTableBuilder::default(), aspas: AspaTable::default() },
                };
                open.phase = Phase::Receiving { session, incoming };
                Ok(())
            }
            (Pdu::CacheReset, Phase::AwaitResponse { full: false }) => {
                // It cannot say what differs: all of it, then. What we have counts until that is here.
                let version = open.negotiated.unwrap_or(self.version);
                open.query(now, version, None, &mut outcome.send);
                Ok(())
            }
            (Pdu::Payload { announce, vrp }, Phase::Receiving { incoming, .. }) => {
                incoming.payload(self.data.as_ref(), announce, vrp)
            }
            (Pdu::Aspa { customer, providers }, Phase::Receiving { incoming, .. }) => {
                incoming.aspa(self.data.as_ref(), customer, providers)
            }
            (Pdu::RouterKey, Phase::Receiving { .. }) => Ok(()),
            (Pdu::EndOfData { session, serial, intervals }, Phase::Receiving { session: expected, .. }) => {
                if session != *expected {
                    return Err(Fault::Session { expected: *expected, found: session });
                }
                self.end_of_data(now, serial, intervals)?;
                outcome.complete = true;
                Ok(())
            }
            _ => Err(Fault::OutOfPlace { kind }),
        }
    }

    fn end_of_data(&mut self, now: Instant, serial: u32, intervals: Option<Intervals>) -> Result<(), Fault> {
        let State::Open(open) = &mut self.state else { return Ok(()) };
        let version = open.negotiated.unwrap_or(self.version);
        let mut intervals = intervals.unwrap_or_default().bounded();
        if let Some(expire) = self.expire {
            // What the operator wants to expire sooner is asked for sooner.
            intervals =
                Intervals { expire, refresh: intervals.refresh.min((expire / 2).max(1)), ..intervals };
        }
        let rest =
            Phase::Rest { refresh: now + Duration::from_secs(intervals.refresh.into()), no_data: false };
        let Phase::Receiving { session, incoming } = core::mem::replace(&mut open.phase, rest) else {
            return Ok(());
        };
        if open.notified.take().is_some_and(|notified| notified != (session, serial)) {
            open.phase = Phase::Rest { refresh: open.asked + BREATH, no_data: false };
        }
        let (vrps, aspas) = incoming.finish(self.data.as_ref())?;
        self.data = Some(Data { version, session, serial, intervals, at: now, vrps, aspas });
        open.live = true;
        self.failures = 0;
        self.last_end = None;
        Ok(())
    }

    fn reported(&mut self, now: Instant, version: u8, code: ErrorCode, text: String, outcome: &mut Outcome) {
        let State::Open(open) = &mut self.state else { return };
        match code {
            // "The cache has no data": the only error after which the session goes on (RFC 8210 12).
            ErrorCode::NO_DATA_AVAILABLE => {
                let learned = self.data.as_ref().map(|data| Duration::from_secs(data.intervals.retry.into()));
                open.phase = Phase::Rest { refresh: now + learned.unwrap_or(NO_DATA), no_data: true };
                open.negotiated = open.negotiated.or(Some(version.min(self.version)));
                open.live = false;
                self.failures = self.failures.saturating_add(1);
                self.last_end = Some(CacheEnd::NoData);
            }
            ErrorCode::UNSUPPORTED_VERSION => match self.version {
                0 => outcome.end = Some(CacheEnd::NoCommonVersion),
                // What it says that it speaks, if that is older, else the next older one (RFC 8210 7).
                ours => {
                    self.version = version.min(ours - 1);
                    outcome.end = Some(CacheEnd::Reported { code, text });
                }
            },
            _ => outcome.end = Some(CacheEnd::Reported { code, text }),
        }
    }
}

impl Open {
    /// Asks for what has changed since `data`, or for everything.
    fn query(&mut self, now: Instant, version: u8, data: Option<&Data>, out: &mut Vec<u8>) {
        let data = data.filter(|data| data.version == version);
        let query = match data {
            Some(data) => Pdu::SerialQuery { session: data.session, serial: data.serial },
            None => Pdu::ResetQuery,
        };
        query.emit(version, out);
        self.phase = Phase::AwaitResponse { full: data.is_none() };
        self.asked = now;
        self.heard = now;
    }
}

impl Incoming {
    fn payload(&mut self, data: Option<&Data>, announce: bool, vrp: Vrp) -> Result<(), Fault> {
        let limit = || Fault::TooMany { limit: PAYLOADS };
        match self {
            Incoming::Full { .. } if !announce => Err(Fault::UnknownWithdrawn),
            Incoming::Full { vrps, .. } => {
                vrps.push(&vrp);
                if vrps.len() > PAYLOADS as usize { Err(limit()) } else { Ok(()) }
            }
            Incoming::Delta { vrps, .. } => {
                let known = data.is_some_and(|data| data.vrps.contains(&vrp));
                let there = vrps.get(&vrp).copied().unwrap_or(known);
                match (there, announce) {
                    (true, true) => Err(Fault::AnnouncedTwice),
                    (false, false) => Err(Fault::UnknownWithdrawn),
                    _ if vrps.len() >= PAYLOADS as usize => Err(limit()),
                    _ => {
                        vrps.insert(vrp, announce);
                        Ok(())
                    }
                }
            }
        }
    }

    /// An announcement takes the place of an earlier one of its customer (8210bis 5.12).
    fn aspa(
        &mut self,
        data: Option<&Data>,
        customer: Asn,
        providers: Option<Box<[Asn]>>,
    ) -> Result<(), Fault> {
        match (self, providers) {
            (Incoming::Full { .. }, None) => Err(Fault::UnknownWithdrawn),
            (Incoming::Full { aspas, .. }, Some(_)) if aspas.len() >= PAYLOADS as usize => {
                Err(Fault::TooMany { limit: PAYLOADS })
            }
            (Incoming::Full { aspas, .. }, Some(providers)) => {
                aspas.insert(customer, providers);
                Ok(())
            }
            (Incoming::Delta { aspas, .. }, providers) => {
                let known = data.is_some_and(|data| data.aspas.providers_of(customer).is_some());
                let there = aspas.get(&customer).map_or(known, Option::is_some);
                if providers.is_none() && !there {
                    return Err(Fault::UnknownWithdrawn);
                }
                aspas.insert(customer, providers);
                Ok(())
            }
        }
    }

    fn finish(self, data: Option<&Data>) -> Result<(Arc<VrpTable>, Arc<AspaTable>), Fault> {
        match self {
            Incoming::Full { vrps, aspas } => match vrps.finish() {
                (_, Some(_)) => Err(Fault::AnnouncedTwice),
                (vrps, None) => Ok((Arc::new(vrps), Arc::new(aspas))),
            },
            Incoming::Delta { vrps: changed, aspas: changed_aspas } => {
                let (old, old_aspas) = data.map(|it| (it.vrps.clone(), it.aspas.clone())).unwrap_or_default();
                let vrps = match changed.is_empty() {
                    true => old,
                    false => Arc::new(edited(&old, &changed)),
                };
                let aspas = match changed_aspas.is_empty() {
                    true => old_aspas,
                    false => {
                        let mut aspas = (*old_aspas).clone();
                        for (customer, providers) in changed_aspas {
                            match providers {
                                Some(providers) => aspas.insert(customer, providers),
                                None => {
                                    aspas.remove(customer);
                                }
                            }
                        }
                        Arc::new(aspas)
                    }
                };
                Ok((vrps, aspas))
            }
        }
    }
}

fn edited(old: &VrpTable, changed: &BTreeMap<Vrp, bool>) -> VrpTable {
    let mut builder = VrpTableBuilder::default();
    for vrp in old.iter().filter(|vrp| !changed.contains_key(vrp)) {
        builder.push(&vrp);
    }
    for (vrp, _) in changed.iter().filter(|(_, there)| **there) {
        builder.push(vrp);
    }
    builder.finish().0
}
