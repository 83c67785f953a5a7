//! Sessions with scripted caches, under virtual time.

use super::vrp;
use crate::id::{Asn, Plane};
use crate::rpki::config::RpkiConfig;
use crate::rpki::pdu::{Intervals, next_frame};
use crate::rpki::{
    Action, CacheEnd, CacheState, Client, ErrorCode, Event, Fault, Notice, Pdu, RpkiStatus, Slurm, SlurmFile,
    Vrp,
};
use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use core::net::SocketAddr;

const INTERVALS: Intervals = Intervals { refresh: 100, retry: 20, expire: 700 };

/// A client and what it has asked for.
struct Bench {
    client: Client,
    now: Instant,
    /// By cache: the connection asked for last, while it may stand.
    connections: Vec<Option<u32>>,
    /// By cache, with the version: what came from the client and was not looked at.
    queries: Vec<Vec<(u8, Pdu)>>,
    notices: Vec<Notice>,
    changes: usize,
}

fn address(cache: usize) -> SocketAddr {
    alloc::format!("192.0.2.{}:323", cache + 1).parse().unwrap()
}

impl Bench {
    fn new(caches: usize) -> Bench {
        let config = RpkiConfig {
            caches: (0..caches).map(address).collect(),
            plane: Plane::Management,
            expire: None,
            slurm: None,
        };
        let mut bench = Bench {
            client: Client::new(config),
            now: Instant(1_000_000_000),
            connections: alloc::vec![None; caches],
            queries: alloc::vec![Vec::new(); caches],
            notices: Vec::new(),
            changes: 0,
        };
        bench.step(|_| Event::Timeout);
        bench
    }

    fn step<'a>(&mut self, event: impl FnOnce(&Bench) -> Event<'a>) {
        let event = event(self);
        let mut actions = Vec::new();
        self.client.step(self.now, event, &mut actions);
        for action in actions {
            match action {
                Action::Connect { connection, to } => {
                    let cache = (0..).find(|&cache| address(cache) == to).unwrap();
                    self.connections[cache] = Some(connection);
                }
                Action::Send { connection, bytes } => {
                    let cache = self.connections.iter().position(|it| *it == Some(connection)).unwrap();
                    let mut rest = &*bytes;
                    while let Some((frame, after)) = next_frame(rest).unwrap() {
                        self.queries[cache].push((frame.version, frame.parse().unwrap()));
                        rest = after;
                    }
                    assert!(rest.is_empty());
                }
                Action::Close { connection } => {
                    for it in &mut self.connections {
                        *it = it.filter(|open| *open != connection);
                    }
                }
                Action::Changed(change) => {
                    assert_eq!(*self.client.validation(), change.validation);
                    self.changes += 1;
                }
                Action::Log(notice) => self.notices.push(notice),
            }
        }
    }

    fn connect(&mut self, cache: usize) {
        let connection = self.connections[cache].expect("the cache was called");
        self.step(|_| Event::Connected { connection });
    }

    fn refuse(&mut self, cache: usize) {
        let connection = self.connections[cache].expect("the cache was called");
        self.step(|_| Event::ConnectFailed { connection });
    }

    fn say(&mut self, cache: usize, version: u8, pdus: &[Pdu]) {
        let mut bytes = Vec::new();
        for pdu in pdus {
            pdu.emit(version, &mut bytes);
        }
        self.bytes(cache, &bytes);
    }

    fn bytes(&mut self, cache: usize, bytes: &[u8]) {
        let connection = self.connections[cache].expect("a connection");
        self.step(|_| Event::Received { connection, bytes });
    }

    fn close(&mut self, cache: usize) {
        let connection = self.connections[cache].take().expect("a connection");
        self.step(|_| Event::Closed { connection });
    }

    /// Time passes, a timer at a time.
    fn wait(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        while let Some(at) = self.client.next_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            let before = self.client.next_timeout();
            self.step(|_| Event::Timeout);
            assert_ne!(before, self.client.next_timeout(), "a timer that stays due");
        }
        self.now = until;
    }

    fn asked(&mut self, cache: usize) -> Vec<(u8, Pdu)> {
        core::mem::take(&mut self.queries[cache])
    }

    fn vrps(&self) -> Vec<Vrp> {
        self.client.validation().vrps.iter().collect()
    }

    fn status(&self) -> RpkiStatus {
        self.client.status(self.now)
    }

    /// From a call to all of `vrps`.
    fn serve(&mut self, cache: usize, version: u8, serial: u32, vrps: &[Vrp]) {
        self.connect(cache);
        self.say(cache, version, &full(7, serial, vrps));
    }
}

fn announce(vrp: Vrp) -> Pdu {
    Pdu::Payload { announce: true, vrp }
}

fn withdraw(vrp: Vrp) -> Pdu {
    Pdu::Payload { announce: false, vrp }
}

fn end(session: u16, serial: u32) -> Pdu {
    Pdu::EndOfData { session, serial, intervals: Some(INTERVALS) }
}

fn full(session: u16, serial: u32, vrps: &[Vrp]) -> Vec<Pdu> {
    let mut pdus = alloc::vec![Pdu::CacheResponse { session }];
    pdus.extend(vrps.iter().copied().map(announce));
    pdus.push(end(session, serial));
    pdus
}

fn a() -> Vrp {
    vrp("192.0.2.0/24", 24, 64496)
}

fn b() -> Vrp {
    vrp("2001:db8::/32", 48, 64497)
}

#[test]
fn a_table_is_in_force_once_it_is_whole() {
    let mut bench = Bench::new(1);
    bench.connect(0);
    assert_eq!(bench.asked(0), [(2, Pdu::ResetQuery)]);
    let pdus = full(7, 1, &[a(), b()]);
    bench.say(0, 2, &pdus[..3]);
    assert!(bench.vrps().is_empty() && !bench.client.validation().present);
    assert_eq!(bench.status().caches[0].state, CacheState::Receiving);
    bench.say(0, 2, &pdus[3..]);
    assert_eq!(bench.vrps(), [a(), b()]);
    let status = bench.status();
    assert_eq!(status.caches[0].state, CacheState::Synchronised);
    assert_eq!((status.caches[0].version, status.caches[0].serial), (Some(2), Some(1)));
    assert!(status.caches[0].in_force && status.present);
    assert_eq!(bench.changes, 1);
}

#[test]
fn torn_anywhere_it_is_the_same() {
    let mut bytes = Vec::new();
    let mut pdus = full(7, 1, &[a(), b()]);
    pdus.insert(1, Pdu::Aspa { customer: Asn(1), providers: Some([Asn(2), Asn(3)].into()) });
    for pdu in pdus {
        pdu.emit(2, &mut bytes);
    }
    for cut in 0..bytes.len() {
        let mut bench = Bench::new(1);
        bench.connect(0);
        bench.bytes(0, &bytes[..cut]);
        assert!(!bench.client.validation().present);
        bench.bytes(0, &bytes[cut..]);
        assert_eq!(bench.vrps(), [a(), b()]);
        assert_eq!(bench.client.validation().aspas.providers_of(Asn(1)), Some(&[Asn(2), Asn(3)][..]));
    }
}

#[test]
fn a_notification_brings_what_differs() {
    let mut bench = Bench::new(1);
    bench.serve(0, 2, 1, &[a()]);
    bench.asked(0);
    bench.wait(2);
    bench.say(0, 2, &[Pdu::SerialNotify { session: 7, serial: 1 }]);
    bench.wait(0);
    assert_eq!(bench.asked(0), [], "we have that");
    bench.say(0, 2, &[Pdu::SerialNotify { session: 7, serial: 2 }]);
    bench.wait(0);
    assert_eq!(bench.asked(0), [(2, Pdu::SerialQuery { session: 7, serial: 1 })]);
    bench.say(0, 2, &[Pdu::CacheResponse { session: 7 }, withdraw(a()), announce(b()), end(7, 2)]);
    assert_eq!(bench.vrps(), [b()]);
    // Notified again while we asked: another query, after a breath.
    bench.say(0, 2, &[Pdu::SerialNotify { session: 7, serial: 3 }]);
    bench.wait(0);
    assert_eq!(bench.asked(0), []);
    bench.wait(1);
    assert_eq!(bench.asked(0), [(2, Pdu::SerialQuery { session: 7, serial: 2 })]);
}

#[test]
fn what_is_notified_during_an_answer_is_asked_for_after_it() {
    let mut bench = Bench::new(1);
    bench.connect(0);
    let pdus = full(7, 1, &[a()]);
    bench.say(0, 2, &pdus[..1]);
    bench.say(0, 2, &[Pdu::SerialNotify { session: 7, serial: 2 }]);
    bench.say(0, 2, &pdus[1..]);
    bench.asked(0);
    bench.wait(1);
    assert_eq!(bench.asked(0), [(2, Pdu::SerialQuery { session: 7, serial: 1 })]);
}

#[test]
fn asked_again_at_the_refresh_interval() {
    let mut bench = Bench::new(1);
    bench.serve(0, 1, 1, &[a()]);
    bench.asked(0);
    bench.wait(99);
    assert_eq!(bench.asked(0), []);
    bench.wait(1);
    assert_eq!(bench.asked(0), [(1, Pdu::SerialQuery { session: 7, serial: 1 })]);
    // An empty answer is one: the data is as good as new.
    bench.say(0, 1, &[Pdu::CacheResponse { session: 7 }, end(7, 1)]);
    bench.wait(650);
    assert_eq!(bench.vrps(), [a()]);
}

#[test]
fn a_cache_that_forgot_says_so_and_is_asked_for_all() {
    let mut bench = Bench::new(1);
    bench.serve(0, 2, 1, &[a()]);
    bench.wait(100);
    bench.asked(0);
    bench.say(0, 2, &[Pdu::CacheReset]);
    assert_eq!(bench.asked(0), [(2, Pdu::ResetQuery)]);
    assert_eq!(bench.vrps(), [a()], "until the new is whole");
    bench.say(0, 2, &full(8, 1, &[b()]));
    assert_eq!(bench.vrps(), [b()]);
}

/// RFC 8210 7: an older version in the first answer, with or without an error.
#[test]
fn versions_are_agreed_on() {
    for version in [0, 1] {
        let mut bench = Bench::new(1);
        bench.connect(0);
        // A notification of a version not yet agreed on means nothing.
        bench.say(0, version, &[Pdu::SerialNotify { session: 9, serial: 9 }]);
        bench.say(0, version, &full(7, 1, &[a()]));
        assert_eq!(bench.vrps(), [a()]);
        assert_eq!(bench.status().caches[0].version, Some(version));
    }
    for version in [0, 1] {
        let mut bench = Bench::new(1);
        bench.connect(0);
        let unsupported =
            Pdu::ErrorReport { code: ErrorCode::UNSUPPORTED_VERSION, text: "older please".into() };
        bench.say(0, version, &[unsupported]);
        bench.wait(0);
        bench.asked(0);
        bench.connect(0);
        assert_eq!(bench.asked(0), [(version, Pdu::ResetQuery)]);
        bench.say(0, version, &full(7, 1, &[a()]));
        assert_eq!(bench.vrps(), [a()]);
        assert!(bench.notices.iter().all(|it| !matches!(it, Notice::Failing { .. })));
    }
}

/// stayrtr 0.5 hangs up on a version that it does not know.
#[test]
fn a_cache_that_hangs_up_is_asked_in_older_words() {
    let mut bench = Bench::new(1);
    for version in [2, 1, 0, 2, 1] {
        while bench.connections[0].is_none() {
            bench.wait(1);
        }
        bench.connect(0);
        assert_eq!(bench.asked(0), [(version, Pdu::ResetQuery)]);
        bench.close(0);
    }
    bench.wait(60);
    bench.serve(0, 0, 1, &[a()]);
    assert_eq!(bench.vrps(), [a()]);
}

#[test]
fn without_a_common_version_it_begins_anew_later() {
    let mut bench = Bench::new(1);
    for version in [2, 1, 0] {
        bench.wait(0);
        bench.connect(0);
        assert_eq!(bench.asked(0), [(version, Pdu::ResetQuery)]);
        let code = ErrorCode::UNSUPPORTED_VERSION;
        bench.say(0, 9, &[Pdu::ErrorReport { code, text: "".into() }]);
    }
    assert_eq!(bench.status().caches[0].last_end, Some(CacheEnd::NoCommonVersion));
    assert_eq!(bench.connections[0], None);
    bench.wait(120);
    bench.connect(0);
    assert_eq!(bench.asked(0), [(2, Pdu::ResetQuery)]);
}

#[test]
fn a_version_stays_what_it_is() {
    let mut bench = Bench::new(1);
    bench.serve(0, 1, 1, &[a()]);
    bench.asked(0);
    bench.say(0, 2, &[Pdu::SerialNotify { session: 7, serial: 2 }]);
    let [(1, Pdu::ErrorReport { code, .. })] = &bench.asked(0)[..] else { panic!("no report") };
    assert_eq!(*code, ErrorCode::UNEXPECTED_VERSION);
    assert_eq!(
        bench.status().caches[0].last_end,
        Some(CacheEnd::Wrong { fault: Fault::Version { found: 2 } })
    );
}

/// RFC 8210 12: after any of these the session is over; what we have counts on.
#[test]
fn errors_of_a_cache() {
    for code in [0, 1, 3, 5, 6, 7, 8, 77].map(ErrorCode) {
        let mut bench = Bench::new(1);
        bench.serve(0, 2, 1, &[a()]);
        bench.asked(0);
        bench.say(0, 2, &[Pdu::ErrorReport { code, text: "so it is".into() }]);
        assert_eq!(bench.asked(0), [], "never an error report about an error report");
        let reason = CacheEnd::Reported { code, text: "so it is".into() };
        assert_eq!(bench.notices.last(), Some(&Notice::Lost { cache: address(0), reason }));
        assert_eq!(bench.vrps(), [a()]);
        bench.wait(3);
        bench.connect(0);
        assert_eq!(bench.asked(0), [(2, Pdu::SerialQuery { session: 7, serial: 1 })]);
    }
}

#[test]
fn a_cache_without_data_is_asked_again_in_the_same_session() {
    let mut bench = Bench::new(2);
    bench.connect(0);
    bench.asked(0);
    bench.say(0, 2, &[Pdu::ErrorReport { code: ErrorCode::NO_DATA_AVAILABLE, text: "".into() }]);
    assert_eq!(bench.status().caches[0].state, CacheState::NoData);
    assert!(bench.connections[1].is_some(), "the next one is called");
    bench.wait(30);
    assert_eq!(bench.asked(0), [(2, Pdu::ResetQuery)]);
    bench.say(0, 2, &full(7, 1, &[a()]));
    assert_eq!(bench.vrps(), [a()]);
    assert!(bench.connections[1].is_none());
}

/// What a cache must not send, what it is told, and that the data before stays in force.
#[test]
fn what_a_cache_must_not_send() {
    let respond = Pdu::CacheResponse { session: 7 };
    let cases: [(&[Pdu], ErrorCode); 7] = [
        (&[announce(b())], ErrorCode::CORRUPT_DATA),
        (&[end(7, 2)], ErrorCode::CORRUPT_DATA),
        (&[Pdu::ResetQuery], ErrorCode::CORRUPT_DATA),
        (&[respond.clone(), announce(a())], ErrorCode::DUPLICATE_ANNOUNCEMENT),
        (&[respond.clone(), withdraw(b())], ErrorCode::WITHDRAWAL_OF_UNKNOWN),
        (
            &[respond.clone(), Pdu::Aspa { customer: Asn(1), providers: None }],
            ErrorCode::WITHDRAWAL_OF_UNKNOWN,
        ),
        (&[respond, end(8, 2)], ErrorCode::CORRUPT_DATA),
    ];
    for (pdus, expected) in cases {
        let mut bench = Bench::new(1);
        bench.serve(0, 2, 1, &[a()]);
        bench.wait(100);
        bench.asked(0);
        bench.say(0, 2, pdus);
        let [(2, Pdu::ErrorReport { code, .. })] = &bench.asked(0)[..] else { panic!("no report: {pdus:?}") };
        assert_eq!(*code, expected, "{pdus:?}");
        assert_eq!(bench.vrps(), [a()], "{pdus:?}");
        assert!(bench.connections[0].is_none());
    }
}

#[test]
fn bytes_that_are_no_pdu() {
    let header = |kind: u8, length: u32| [&[2, kind, 0, 0][..], &length.to_be_bytes()].concat();
    let prefix =
        |length: u8, max: u8| [&header(4, 20)[..], &[1, length, max, 0, 192, 0, 2, 0, 0, 0, 0, 1]].concat();
    let report_of_a_report = [&header(10, 16)[..], &[0, 0, 0, 200, 0, 0, 0, 0]].concat();
    let cases: [(Vec<u8>, Fault, bool); 7] = [
        (header(3, 7), Fault::Length { kind: 3, length: 7 }, true),
        (header(4, 1 << 20), Fault::Length { kind: 4, length: 1 << 20 }, true),
        ([&header(4, 12)[..], &[0; 4]].concat(), Fault::Length { kind: 4, length: 12 }, true),
        (header(99, 8), Fault::Kind { kind: 99 }, true),
        (prefix(33, 33), Fault::PrefixLength { length: 33, max_length: 33 }, true),
        (prefix(24, 23), Fault::PrefixLength { length: 24, max_length: 23 }, true),
        (report_of_a_report, Fault::Length { kind: 10, length: 16 }, false),
    ];
    for (bytes, fault, reported) in cases {
        let mut bench = Bench::new(1);
        bench.connect(0);
        bench.asked(0);
        bench.say(0, 2, &[Pdu::CacheResponse { session: 7 }]);
        bench.bytes(0, &bytes);
        assert_eq!(bench.status().caches[0].last_end, Some(CacheEnd::Wrong { fault }));
        assert_eq!(bench.asked(0).len(), usize::from(reported), "{fault:?}");
    }
}

/// Draft revisions before 11, which stayrtr 0.5 speaks, and the newer form.
#[test]
fn both_forms_of_an_aspa() {
    let old: &[u8] = &[2, 11, 0, 0, 0, 0, 0, 24, 1, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    let new: &[u8] = &[2, 11, 1, 0, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    let expected = Pdu::Aspa { customer: Asn(1), providers: Some([Asn(2), Asn(3)].into()) };
    for bytes in [old, new] {
        let (frame, _) = next_frame(bytes).unwrap().unwrap();
        assert_eq!(frame.parse(), Ok(expected.clone()));
    }
    let (frame, _) = next_frame(&[2, 11, 0, 0, 0, 0, 0, 12, 0, 0, 0, 1]).unwrap().unwrap();
    assert_eq!(frame.parse(), Ok(Pdu::Aspa { customer: Asn(1), providers: None }));
}

#[test]
fn a_lost_cache_keeps_its_data_for_the_expire_time() {
    let mut bench = Bench::new(1);
    bench.serve(0, 2, 1, &[a()]);
    bench.close(0);
    for _ in 0..20 {
        bench.wait(30);
        if bench.connections[0].is_some() {
            bench.refuse(0);
        }
    }
    assert_eq!(bench.vrps(), [a()], "600 s");
    assert!(bench.client.validation().present);
    bench.wait(100);
    assert!(bench.vrps().is_empty() && !bench.client.validation().present);
    assert!(bench.notices.contains(&Notice::Expired { cache: address(0) }));
    // Back, it is asked for all.
    while bench.connections[0].is_none() {
        bench.wait(1);
    }
    bench.asked(0);
    bench.connect(0);
    assert_eq!(bench.asked(0), [(2, Pdu::ResetQuery)]);
}

#[test]
fn a_silent_cache_is_given_up() {
    let mut bench = Bench::new(2);
    bench.connect(0);
    bench.wait(59);
    assert!(bench.connections[1].is_none());
    bench.wait(1);
    assert_eq!(bench.status().caches[0].last_end, Some(CacheEnd::Silent));
    assert!(bench.connections[1].is_some());
}

#[test]
fn preference_and_fail_over() {
    let mut bench = Bench::new(3);
    assert!(bench.connections[1].is_none() && bench.connections[2].is_none());
    bench.refuse(0);
    bench.serve(1, 2, 1, &[a()]);
    assert_eq!(bench.vrps(), [a()]);
    assert!(bench.connections[2].is_none());
    // The preferred one comes back: its data is in force at once, the other rests.
    bench.wait(3);
    bench.serve(0, 2, 5, &[b()]);
    assert_eq!(bench.vrps(), [b()]);
    assert!(bench.connections[1].is_none());
    assert_eq!(bench.status().caches[1].state, CacheState::Standby);
    // Lost: its data counts until the next one has answered.
    bench.close(0);
    assert_eq!(bench.vrps(), [b()]);
    bench.connect(1);
    bench.say(1, 2, &full(9, 9, &[a(), b()])[..2]);
    assert_eq!(bench.vrps(), [b()]);
    bench.say(1, 2, &full(9, 9, &[a(), b()])[2..]);
    assert_eq!(bench.vrps(), [a(), b()]);
    assert_eq!(bench.status().caches[0].payloads.ipv6, 0, "one table in memory");
}

#[test]
fn the_operator_has_the_last_word() {
    let text = r#"{"slurmVersion":1,
        "validationOutputFilters":{"prefixFilters":[{"asn":64496}],"bgpsecFilters":[]},
        "locallyAddedAssertions":{"prefixAssertions":[{"asn":1,"prefix":"10.0.0.0/8"}],"bgpsecAssertions":[]}}"#;
    let slurm = Slurm::try_from(serde_json::from_str::<SlurmFile>(text).unwrap()).unwrap();
    let mut bench = Bench::new(1);
    bench.step(|_| Event::Slurm(slurm));
    assert_eq!(bench.vrps(), [vrp("10.0.0.0/8", 8, 1)], "assertions need no cache");
    bench.serve(0, 2, 1, &[a(), b()]);
    assert_eq!(bench.vrps(), [vrp("10.0.0.0/8", 8, 1), b()]);
    bench.step(|_| Event::Slurm(Slurm::default()));
    assert_eq!(bench.vrps(), [a(), b()]);
}

#[test]
fn a_new_configuration_keeps_what_stays() {
    let mut bench = Bench::new(2);
    bench.serve(0, 2, 1, &[a()]);
    let config = RpkiConfig { caches: [address(1), address(0)].into(), ..bench.client.config().clone() };
    let mut actions = Vec::new();
    bench.client.replace_config(bench.now, config, &mut actions);
    assert_eq!(bench.vrps(), [a()]);
    assert!(actions.iter().any(|it| matches!(it, Action::Connect { to, .. } if *to == address(1))));
    let config = RpkiConfig { caches: Vec::new(), ..bench.client.config().clone() };
    bench.client.replace_config(bench.now, config, &mut actions);
    assert!(!bench.client.validation().present);
}
