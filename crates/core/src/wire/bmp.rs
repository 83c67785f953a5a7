//! BMP (RFC 7854): what a router tells a collector of its neighbours' sessions and routes, and of the routes that it has
//! chosen itself (Loc-RIB, RFC 9069). Written, never read: a
//! collector says nothing.

use super::bgp::Notification;
use crate::id::Asn;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

const VERSION: u8 = 3;
/// Version, length, type (4.1).
const COMMON_LEN: usize = 6;

const ROUTE_MONITORING: u8 = 0;
const PEER_DOWN: u8 = 2;
const PEER_UP: u8 = 3;
const INITIATION: u8 = 4;
const TERMINATION: u8 = 5;

/// Of Initiation (4.4).
const SYS_DESCR: u16 = 1;
const SYS_NAME: u16 = 2;
/// Of Peer Up and Peer Down of a Loc-RIB (RFC 9069 4.4, 5.3), and the name that the default table has.
const TABLE_NAME: u16 = 3;
const DEFAULT_TABLE: &[u8] = b"global";
/// Why a Loc-RIB is told no more (RFC 9069 5.3).
const LOCAL_SYSTEM_CLOSED: u8 = 6;
/// Of Termination (4.5).
const REASON: u16 = 1;

/// Flags of a peer (4.2): its address is IPv6; routes are as our policy has left them.
const IPV6: u8 = 0x80;
const POST_POLICY: u8 = 0x40;

/// Whose routes and session (4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerHeader {
    /// Of a peer whose address may not be its own alone, as link-local ones are: what tells it from the others, and
    /// it is a Local Instance Peer. Else it is a Global Instance Peer.
    pub distinguisher: Option<u64>,
    pub address: IpAddr,
    pub asn: Asn,
    pub identifier: Ipv4Addr,
}

/// The routes that the router has chosen, of its only table, all of them: the F flag is not set (RFC 9069 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocRib {
    /// The router's own.
    pub asn: Asn,
    pub identifier: Ipv4Addr,
}

/// Whose routes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// A neighbour's, as our policy has left them (post-policy Adj-RIB-In).
    Taken(PeerHeader),
    Chosen(LocRib),
}

/// The ends of a session's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    pub local: IpAddr,
    /// 0: not known.
    pub local_port: u16,
    pub remote_port: u16,
}

/// Why a session has ended (4.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerDown<'a> {
    /// 1: we ended it with this.
    LocalNotification(&'a Notification),
    /// 2: we ended it and said nothing.
    LocalSilent,
    /// 3: the neighbour ended it with this.
    RemoteNotification(&'a Notification),
    /// 4: the neighbour ended it and said nothing, or the connection broke.
    RemoteSilent,
    /// 5: nothing more is told of it; it may well stand.
    NoLongerMonitored,
}

/// Why a collector is left (4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// 0: the operator has said so.
    Administrative,
}

/// Appends the first message: what this router is (4.3).
pub fn initiation(description: &str, name: &str, out: &mut Vec<u8>) {
    put(out, INITIATION, |out| {
        information(SYS_DESCR, description.as_bytes(), out);
        information(SYS_NAME, name.as_bytes(), out);
    });
}

/// Appends the last message (4.5).
pub fn termination(reason: Reason, out: &mut Vec<u8>) {
    let Reason::Administrative = reason;
    put(out, TERMINATION, |out| information(REASON, &0u16.to_be_bytes(), out));
}

/// Appends that a session stands (4.10). `sent` and `received`: the two OPENs, whole messages. `since`: seconds since
/// 1970 (UTC).
pub fn peer_up(peer: PeerHeader, since: u32, ends: Ends, sent: &[u8], received: &[u8], out: &mut Vec<u8>) {
    put(out, PEER_UP, |out| {
        peer.emit(0, since, out);
        address(ends.local, out);
        out.extend_from_slice(&ends.local_port.to_be_bytes());
        out.extend_from_slice(&ends.remote_port.to_be_bytes());
        out.extend_from_slice(sent);
        out.extend_from_slice(received);
    });
}

/// Appends that a session has ended, or that nothing more is said of it (4.9).
pub fn peer_down(peer: PeerHeader, at: u32, why: PeerDown<'_>, out: &mut Vec<u8>) {
    put(out, PEER_DOWN, |out| {
        peer.emit(0, at, out);
        match why {
            PeerDown::LocalNotification(notification) => {
                out.push(1);
                notification.emit_message(out);
            }
            // No event of RFC 4271 8.1 is named.
            PeerDown::LocalSilent => out.extend_from_slice(&[2, 0, 0]),
            PeerDown::RemoteNotification(notification) => {
                out.push(3);
                notification.emit_message(out);
            }
            PeerDown::RemoteSilent => out.push(4),
            PeerDown::NoLongerMonitored => out.push(5),
        }
    });
}

/// Appends that a Loc-RIB is told from here on (RFC 9069 5.2). `open`: a whole message that says of what families and
/// forms the routes will be; it stands for both ends, as there is no session. `at`: seconds since 1970 (UTC).
pub fn loc_rib_up(loc_rib: LocRib, at: u32, open: &[u8], out: &mut Vec<u8>) {
    put(out, PEER_UP, |out| {
        loc_rib.emit(at, out);
        // No address, no ports.
        out.extend_from_slice(&[0; 16 + 2 + 2]);
        out.extend_from_slice(open);
        out.extend_from_slice(open);
        information(TABLE_NAME, DEFAULT_TABLE, out);
    });
}

/// Appends that a Loc-RIB is told no more, and nothing of it holds (RFC 9069 5.3).
pub fn loc_rib_down(loc_rib: LocRib, at: u32, out: &mut Vec<u8>) {
    put(out, PEER_DOWN, |out| {
        loc_rib.emit(at, out);
        out.push(LOCAL_SYSTEM_CLOSED);
        information(TABLE_NAME, DEFAULT_TABLE, out);
    });
}

/// Appends an UPDATE of routes (4.6; RFC 9069 5.4), with AS numbers of four octets. `at`: 0: it is not known when they
/// came.
pub fn route_monitoring(view: View, at: u32, out: &mut Vec<u8>, update: impl FnOnce(&mut Vec<u8>)) {
    put(out, ROUTE_MONITORING, |out| {
        match view {
            View::Taken(peer) => peer.emit(POST_POLICY, at, out),
            View::Chosen(loc_rib) => loc_rib.emit(at, out),
        }
        update(out);
    });
}

impl LocRib {
    fn emit(self, seconds: u32, out: &mut Vec<u8>) {
        // Peer type 3, no flags; neither a distinguisher nor an address.
        out.extend_from_slice(&[3, 0]);
        out.extend_from_slice(&[0; 8 + 16]);
        tail(self.asn, self.identifier, seconds, out);
    }
}

impl PeerHeader {
    fn emit(self, flags: u8, seconds: u32, out: &mut Vec<u8>) {
        let flags = flags | if self.address.is_ipv6() { IPV6 } else { 0 };
        out.extend_from_slice(&[if self.distinguisher.is_some() { 2 } else { 0 }, flags]);
        out.extend_from_slice(&self.distinguisher.unwrap_or(0).to_be_bytes());
        address(self.address, out);
        tail(self.asn, self.identifier, seconds, out);
    }
}

/// What ends every header of a peer.
fn tail(asn: Asn, identifier: Ipv4Addr, seconds: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&asn.0.to_be_bytes());
    out.extend_from_slice(&identifier.octets());
    out.extend_from_slice(&seconds.to_be_bytes());
    // Microseconds.
    out.extend_from_slice(&[0; 4]);
}

/// 16 bytes, of which IPv4 takes the last four.
fn address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            out.extend_from_slice(&[0; 12]);
            out.extend_from_slice(&address.octets());
        }
        IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
    }
}

fn information(kind: u16, value: &[u8], out: &mut Vec<u8>) {
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&(value.len() as u16).to_be_bytes());
    out.extend_from_slice(value);
}

fn put(out: &mut Vec<u8>, kind: u8, content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.push(VERSION);
    out.extend_from_slice(&[0; COMMON_LEN - 2]);
    out.push(kind);
    content(out);
    let length = (out.len() - start) as u32;
    out[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv6Addr;

    /// Bytes written as hexadecimal, with white space anywhere.
    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let pair = |two: &[u8]| u8::from_str_radix(core::str::from_utf8(two).unwrap(), 16).unwrap();
        digits.chunks(2).map(pair).collect()
    }

    const PEER: PeerHeader = PeerHeader {
        distinguisher: None,
        address: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
        asn: Asn(64_496),
        identifier: Ipv4Addr::new(198, 51, 100, 1),
    };
    const PEER_BYTES: &str = "0000000000000000 000000000000000000000000cb007101 0000fbf0 c6336401";

    fn made(make: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        make(&mut out);
        out
    }

    #[test]
    fn the_first_and_the_last_message() {
        let first = made(|out| initiation("ts 1", "r1", out));
        assert_eq!(first, hex("03 00000014 04 0001 0004 74732031 0002 0002 7231"));
        let last = made(|out| termination(Reason::Administrative, out));
        assert_eq!(last, hex("03 0000000c 05 0001 0002 0000"));
    }

    #[test]
    fn a_session_stands() {
        let ends =
            Ends { local: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 2)), local_port: 179, remote_port: 40_000 };
        let bytes = made(|out| peer_up(PEER, 0x5f5e_1000, ends, &[1, 2], &[3], out));
        let head = alloc::format!("03 00000047 03 00 00 {PEER_BYTES} 5f5e1000 00000000");
        let ends = "000000000000000000000000cb007102 00b3 9c40 0102 03";
        assert_eq!(bytes, hex(&(head + ends)));
    }

    #[test]
    fn a_session_has_ended() {
        let notification = Notification::new(6, 4);
        let cease = "ffffffffffffffffffffffffffffffff 0015 03 06 04";
        for (why, length, tail) in [
            (PeerDown::LocalNotification(&notification), 70, alloc::format!("01 {cease}")),
            (PeerDown::LocalSilent, 51, "02 0000".into()),
            (PeerDown::RemoteNotification(&notification), 70, alloc::format!("03 {cease}")),
            (PeerDown::RemoteSilent, 49, "04".into()),
            (PeerDown::NoLongerMonitored, 49, "05".into()),
        ] {
            let bytes = made(|out| peer_down(PEER, 1, why, out));
            let head = alloc::format!("03 {length:08x} 02 00 00 {PEER_BYTES} 00000001 00000000");
            assert_eq!(bytes, hex(&(head + &tail)), "{why:?}");
        }
    }

    #[test]
    fn a_route_of_a_link_local_peer() {
        let peer = PeerHeader {
            distinguisher: Some(7),
            address: IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
            ..PEER
        };
        let bytes = made(|out| route_monitoring(View::Taken(peer), 0, out, |out| out.push(9)));
        let expected = "03 00000031 00 02 c0 0000000000000007 fe800000000000000000000000000001
            0000fbf0 c6336401 00000000 00000000 09";
        assert_eq!(bytes, hex(expected));
    }

    #[test]
    fn what_the_router_has_chosen() {
        let own = LocRib { asn: Asn(64_496), identifier: Ipv4Addr::new(198, 51, 100, 1) };
        let head = |length: u32, kind: u8, at: u32| {
            let peer = "03 00 0000000000000000 00000000000000000000000000000000 0000fbf0 c6336401";
            alloc::format!("03 {length:08x} {kind:02x} {peer} {at:08x} 00000000")
        };
        let up = made(|out| loc_rib_up(own, 5, &[1, 2], out));
        let table = "0003 0006 676c6f62616c";
        let zeroes = "00".repeat(20);
        assert_eq!(up, hex(&alloc::format!("{} {zeroes} 0102 0102 {table}", head(82, 3, 5))));
        let down = made(|out| loc_rib_down(own, 6, out));
        assert_eq!(down, hex(&alloc::format!("{} 06 {table}", head(59, 2, 6))));
        let route = made(|out| route_monitoring(View::Chosen(own), 0, out, |out| out.push(9)));
        assert_eq!(route, hex(&alloc::format!("{} 09", head(49, 0, 0))));
    }
}
