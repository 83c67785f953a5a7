//! What BFD's ports may hear, and when.
//!
//! Input: steps, each with a byte that says how many milliseconds pass before it (squared), one that says
//! how the packet comes, and one for its length. The high bit of the second has our own discriminator put
//! where a far end that knows the session has it; else no input would find 32 random bits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use tsumugi_core::bfd::{Action, Bfd, BfdTerms, Event, Path, Received, SessionConfig};
use tsumugi_core::time::{Duration, Instant};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

fn sessions() -> Vec<SessionConfig> {
    let session = |index: u32, multihop: bool, active: bool| SessionConfig {
        name: format!("{index}"),
        terms: BfdTerms { multihop, ..BfdTerms::INSIDE },
        path: Some(Path { index, local: HERE, remote: THERE, multihop }),
        active,
    };
    vec![session(0, false, true), session(1, true, true), session(2, false, false)]
}

fuzz_target!(|bytes: &[u8]| {
    let (mut bfd, mut now, mut up) = (Bfd::new(7), Instant(0), BTreeSet::new());
    let (mut ours, mut actions) = ([[0; 4]; 3], Vec::new());
    bfd.step(now, Event::Configure(sessions()), &mut actions);
    let mut rest = bytes;
    while let [millis, how, length, more @ ..] = rest {
        let (piece, after) = more.split_at(usize::from(*length).min(more.len()));
        rest = after;
        now = now + Duration::from_millis(u64::from(*millis) * u64::from(*millis));
        if how & 0x40 != 0 {
            bfd.step(now, Event::Awake, &mut actions);
        }
        let index = u32::from(how & 3);
        let mut packet = piece.to_vec();
        if how & 0x80 != 0
            && let (Some(field), Some(known)) = (packet.get_mut(8..12), ours.get(index as usize))
        {
            field.copy_from_slice(known);
        }
        let hops = [Some(255), Some(254), Some(0), None][usize::from(how >> 2 & 3)];
        let from = if how & 0x10 == 0 { THERE } else { HERE };
        let received = Received { index, from, to: HERE, multihop: how & 0x20 != 0, hops, bytes: &packet };
        bfd.step(now, Event::Received(received), &mut actions);
        bfd.step(now, Event::Timeout, &mut actions);
        // Whatever was said, we are not made to spin.
        assert!(bfd.next_timeout().is_none_or(|next| next > now));
        for action in actions.drain(..) {
            match action {
                Action::Send { path, bytes } => {
                    assert!(bfd.has_path(&path));
                    ours[path.index as usize].copy_from_slice(&bytes[4..8]);
                }
                // Up and down take turns.
                Action::Up { name } => assert!(up.insert(name)),
                Action::Down { name, .. } => assert!(up.remove(&name)),
            }
        }
        let _ = bfd.status(now);
    }
});
