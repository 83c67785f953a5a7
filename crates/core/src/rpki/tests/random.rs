//! Whatever comes: no panic, and in the end what the cache has.

use crate::id::{Asn, Plane};
use crate::rpki::config::RpkiConfig;
use crate::rpki::pdu::{Intervals, next_frame};
use crate::rpki::{Action, Client, Event, Pdu, Vrp};
use crate::time::{Duration, Instant};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use proptest::prelude::*;

fn config(caches: u8) -> RpkiConfig {
    let address = |at: u8| alloc::format!("192.0.2.{at}:323").parse().unwrap();
    RpkiConfig { caches: (0..caches).map(address).collect(), plane: Plane::Fabric, expire: None, slurm: None }
}

/// A cache of every version that tells the truth: its table, and what it was at each serial.
struct Honest {
    version: u8,
    serial: u32,
    history: Vec<BTreeSet<Vrp>>,
}

impl Honest {
    fn answer(&self, query: &Pdu, out: &mut Vec<u8>) {
        let now = &self.history[self.serial as usize];
        let then = match query {
            Pdu::ResetQuery => None,
            Pdu::SerialQuery { session: 1, serial } => Some(&self.history[*serial as usize]),
            _ => panic!("{query:?} to a cache"),
        };
        Pdu::CacheResponse { session: 1 }.emit(self.version, out);
        let empty = BTreeSet::new();
        let then = then.unwrap_or(&empty);
        for (announce, vrp) in
            then.difference(now).map(|vrp| (false, *vrp)).chain(now.difference(then).map(|vrp| (true, *vrp)))
        {
            Pdu::Payload { announce, vrp }.emit(self.version, out);
        }
        let intervals = Some(Intervals::default());
        Pdu::EndOfData { session: 1, serial: self.serial, intervals }.emit(self.version, out);
    }
}

fn vrps() -> impl Strategy<Value = BTreeSet<Vrp>> {
    let one = (0u32..6, 0u8..=8, 0u32..3).prop_map(|(high, more, asn)| Vrp {
        prefix: crate::id::Prefix::new(core::net::Ipv4Addr::from_bits(high << 28).into(), 4 + more)
            .unwrap()
            .trunc(),
        max_length: 24,
        asn: Asn(asn),
    });
    prop::collection::btree_set(one, 0..12)
}

proptest! {
    #[test]
    fn it_follows_a_cache_through_losses_and_cuts(
        version in 0u8..=2,
        lives in prop::collection::vec((vrps(), any::<bool>(), 1usize..60), 1..8),
    ) {
        let mut client = Client::new(config(1));
        let mut now = Instant(0);
        let mut cache = Honest { version, serial: 0, history: [BTreeSet::new()].into() };
        let mut connection = None;
        for (table, lose, piece) in lives {
            cache.history.push(table.clone());
            cache.serial += 1;
            let mut actions = Vec::new();
            if let Some(it) = connection.filter(|_| lose) {
                client.step(now, Event::Closed { connection: it }, &mut actions);
                connection = None;
                now = now + Duration::from_secs(61);
            } else if let Some(it) = connection {
                now = now + Duration::from_secs(2);
                let mut bytes = Vec::new();
                Pdu::SerialNotify { session: 1, serial: cache.serial }.emit(version, &mut bytes);
                client.step(now, Event::Received { connection: it, bytes: &bytes }, &mut actions);
            }
            client.step(now, Event::Timeout, &mut actions);
            while !actions.is_empty() {
                let action = actions.remove(0);
                match action {
                    Action::Connect { connection: it, .. } => {
                        connection = Some(it);
                        client.step(now, Event::Connected { connection: it }, &mut actions);
                    }
                    Action::Send { connection: it, bytes } => {
                        let (frame, _) = next_frame(&bytes).unwrap().unwrap();
                        let mut out = Vec::new();
                        cache.answer(&frame.parse().unwrap(), &mut out);
                        for bytes in out.chunks(piece) {
                            client.step(now, Event::Received { connection: it, bytes }, &mut actions);
                        }
                    }
                    Action::Close { connection: it } if connection == Some(it) => panic!("nothing was wrong: {:?}", client.status(now)),
                    _ => {}
                }
            }
            let found: BTreeSet<Vrp> = client.validation().vrps.iter().collect();
            prop_assert_eq!(found, table);
        }
    }

    #[test]
    fn rubbish_ends_a_session_at_the_most(
        pieces in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                // What looks like a PDU.
                (0u8..=3, 0u8..=12, any::<u16>(), 8u32..40, prop::collection::vec(any::<u8>(), 32)).prop_map(
                    |(version, kind, word, length, body)| {
                        let mut bytes = [version, kind].to_vec();
                        bytes.extend_from_slice(&word.to_be_bytes());
                        bytes.extend_from_slice(&length.to_be_bytes());
                        bytes.extend_from_slice(&body[..length as usize - 8]);
                        bytes
                    }
                ),
                Just({
                    let mut bytes = Vec::new();
                    Pdu::CacheResponse { session: 1 }.emit(2, &mut bytes);
                    bytes
                }),
            ],
            1..40,
        ),
        seconds in prop::collection::vec(0u64..2000, 40),
    ) {
        let mut client = Client::new(config(2));
        let mut now = Instant(0);
        let mut open: Vec<u32> = Vec::new();
        for (bytes, seconds) in pieces.iter().zip(seconds) {
            let mut actions = Vec::new();
            client.step(now, Event::Timeout, &mut actions);
            for it in open.clone() {
                client.step(now, Event::Received { connection: it, bytes }, &mut actions);
            }
            while !actions.is_empty() {
                match actions.remove(0) {
                    Action::Connect { connection, .. } => {
                        open.push(connection);
                        client.step(now, Event::Connected { connection }, &mut actions);
                    }
                    Action::Close { connection } => open.retain(|it| *it != connection),
                    _ => {}
                }
            }
            let _ = client.status(now);
            now = now + Duration::from_secs(seconds);
        }
    }

    #[test]
    fn what_is_written_is_read(version in 0u8..=2, session: u16, serial: u32, tables in vrps()) {
        let mut all = alloc::vec![
            Pdu::SerialNotify { session, serial },
            Pdu::SerialQuery { session, serial },
            Pdu::ResetQuery,
            Pdu::CacheResponse { session },
            Pdu::CacheReset,
            Pdu::ErrorReport { code: crate::rpki::ErrorCode(session), text: "words".into() },
            Pdu::EndOfData { session, serial, intervals: (version > 0).then(Intervals::default) },
        ];
        all.extend(tables.into_iter().map(|vrp| Pdu::Payload { announce: session % 2 == 0, vrp }));
        if version == 2 {
            all.push(Pdu::Aspa { customer: Asn(serial), providers: Some([Asn(1)].into()) });
            all.push(Pdu::Aspa { customer: Asn(serial), providers: None });
        }
        let mut bytes = Vec::new();
        for pdu in &all {
            pdu.emit(version, &mut bytes);
        }
        let (mut rest, mut found) = (&*bytes, Vec::new());
        while let Some((frame, after)) = next_frame(rest).unwrap() {
            prop_assert_eq!(frame.version, version);
            found.push(frame.parse().unwrap());
            rest = after;
        }
        prop_assert_eq!(found, all);
    }
}
