//! What RTR caches may send, and when.
//!
//! Input: pieces, each with a byte that says how many seconds pass before it (squared) and one for its
//! length; a length of zero is the end of the connection.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tsumugi_core::id::Plane;
use tsumugi_core::rpki::config::RpkiConfig;
use tsumugi_core::rpki::{Action, Client, Event};
use tsumugi_core::time::{Duration, Instant};

fuzz_target!(|bytes: &[u8]| {
    let caches = ["192.0.2.1:323", "192.0.2.2:323"].map(|it| it.parse().unwrap()).to_vec();
    let config = RpkiConfig { caches, plane: Plane::Management, expire: None, slurm: None };
    let (mut client, mut now, mut open) = (Client::new(config), Instant(0), Vec::new());
    let mut rest = bytes;
    while let [seconds, length, more @ ..] = rest {
        let (piece, after) = more.split_at(usize::from(*length).min(more.len()));
        rest = after;
        now = now + Duration::from_secs(u64::from(*seconds) * u64::from(*seconds));
        let mut actions = Vec::new();
        client.step(now, Event::Timeout, &mut actions);
        for connection in open.clone() {
            let event = match piece {
                [] => Event::Closed { connection },
                bytes => Event::Received { connection, bytes },
            };
            client.step(now, event, &mut actions);
        }
        while !actions.is_empty() {
            match actions.remove(0) {
                Action::Connect { connection, .. } => {
                    open.push(connection);
                    client.step(now, Event::Connected { connection }, &mut actions);
                }
                Action::Close { connection } => open.retain(|it| *it != connection),
                Action::Changed(change) => {
                    for prefix in &change.prefixes {
                        let _ = change.validation.vrps.validate(prefix, None);
                    }
                }
                Action::Send { .. } | Action::Log(_) => {}
            }
        }
        let _ = client.status(now);
    }
});
