//! Neighbours that speak and do not read (RFC 9687).

use super::border::{Border, border};
use super::net::ms;
use crate::bgp::{ConnectionId, SessionEnd};
use crate::time::Instant;

const NAME: &str = "as131000 203";

fn connection(border: &Border) -> Option<ConnectionId> {
    let peers = &border.net.router(1).speaker.as_ref().unwrap().peers;
    let customer = peers.iter().flatten().find(|it| it.name().contains(NAME)).unwrap();
    customer.session.established().map(|it| it.connection)
}

/// The socket took something so many milliseconds ago, and more waits; `None`: nothing waits.
fn waits(border: &mut Border, ago: Option<u64>) {
    let (id, now) = (connection(border).unwrap(), border.net.now);
    let taken = ago.map(|ago| Instant(now.0.saturating_sub(ago * 1_000_000)));
    border.net.router_mut(1).speaker.as_mut().unwrap().sending(now, id, taken);
}

fn last_end(border: &Border) -> Option<SessionEnd> {
    let status = border.net.status(1);
    status.neighbours.into_iter().find(|it| it.name.contains(NAME)).unwrap().last_end
}

/// All updates have been asked for, and lie before a socket that takes nothing.
#[test]
fn what_waits_for_room_is_not_sent() {
    let mut border = border(|_| {});
    // That the socket was content long before is nothing against the neighbour.
    waits(&mut border, Some(100_000));
    border.net.run(ms(7 * 60_000));
    assert!(connection(&border).is_some());
    border.net.run(ms(61_000));
    assert_eq!((connection(&border), last_end(&border)), (None, Some(SessionEnd::SendHoldExpired)));
    let said = border.net.stranger(border.customer[0]).notifications.last().unwrap();
    assert_eq!((said.code, said.subcode), (8, 0));
}

#[test]
fn a_slow_reader_is_no_deaf_one() {
    let mut border = border(|_| {});
    for _ in 0..4 {
        waits(&mut border, Some(0));
        border.net.run(ms(5 * 60_000));
    }
    // The rest has left.
    waits(&mut border, None);
    border.net.run(ms(30 * 60_000));
    assert!(connection(&border).is_some());
}

#[test]
fn the_time_may_be_said_in_the_configuration() {
    let mut border = border(|net| {
        let mut neighbours = net.router_mut(1).config.neighbours.iter_mut();
        neighbours.find(|it| it.name.contains(NAME)).unwrap().timers.send_hold = Some(5_000);
    });
    waits(&mut border, Some(0));
    border.net.run(ms(4_000));
    assert!(connection(&border).is_some());
    border.net.run(ms(2_000));
    assert_eq!(last_end(&border), Some(SessionEnd::SendHoldExpired));
}
