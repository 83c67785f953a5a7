//! BMP (RFC 7854): what a router tells a collector of its neighbours' sessions and routes. Written, never read: a
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

/// Appends an UPDATE of routes as our policy has taken them from a peer (4.6), with AS numbers of four octets. `at`:
/// 0: it is not known when they came.
pub fn route_monitoring(peer: PeerHeader, at: u32, out: &mut Vec<u8>, update: impl FnOnce(&mut Vec<u8>)) {
    put(out, ROUTE_MONITORING, |out| {
        peer.emit(POST_POLICY, at, out);
        update(out);
    });
}

impl PeerHeader {
    fn emit(self, flags: u8, seconds: u32, out: &mut Vec<u8>) {
        let flags = flags | if self.address.is_ipv6() { IPV6 } else { 0 };
        out.extend_from_slice(&[if self.distinguisher.is_some() { 2 } else { 0 }, flags]);
        out.extend_from_slice(&self.distinguisher.unwrap_or(0).to_be_bytes());
        address(self.address, out);
        out.extend_from_slice(&self.asn.0.to_be_bytes());
        out.extend_from_slice(&self.identifier.octets());
        out.extend_from_slice(&seconds.to_be_bytes());
        // Microseconds.
        out.extend_from_slice(&[0; 4]);
    }
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
        let bytes = made(|out| route_monitoring(peer, 0, out, |out| out.push(9)));
        let expected = "03 00000031 00 02 c0 0000000000000007 fe800000000000000000000000000001
            0000fbf0 c6336401 00000000 00000000 09";
        assert_eq!(bytes, hex(expected));
    }
}
