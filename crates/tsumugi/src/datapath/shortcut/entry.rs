//! What a tunnel has of the shortcut: who may have one, and how its frames leave.

use super::programs::{self, Ends, HEAD, SEND, SLOTS};
use crate::datapath::Datapath;
use crate::datapath::batch::Destination;
use crate::datapath::line::{Line, Packets};
use crate::datapath::tunnel::{Inside, Tunnel};
use crate::observe::status::{LinePath, WhyNoShortcut};
use std::net::IpAddr;
use tsumugi_core::id::Mac;
use tsumugi_core::router_plan::Engine;
use tsumugi_core::tunnel::{HOP_LIMIT, Shim};
use tsumugi_core::wire::ethernet::{self, ethertype};
use tsumugi_core::wire::{etherip, ip, ipv4, ipv6};

/// What a tunnel has of the shortcut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Interface index of the device, in the fabric.
    pub device: u32,
    /// That of the line, in the underlay.
    pub line: u32,
    pub ends: Ends,
    pub send: [u8; SEND],
    /// The longest frame that the device takes.
    pub limit: u16,
}

impl Datapath {
    /// The tunnel's entry; `None` for one that has no use for the shortcut.
    pub(super) fn entry(&self, slot: usize, tunnel: &Tunnel) -> Result<Option<Entry>, WhyNoShortcut> {
        if !matches!(tunnel.inside, Inside::Shim(Shim::EtherIp)) {
            return Ok(None);
        }
        if tunnel.plan.engine != Engine::Auto {
            return Err(WhyNoShortcut::Stated);
        }
        if !programs::are_built() {
            return Err(WhyNoShortcut::NotBuilt);
        }
        if slot >= SLOTS {
            return Err(WhyNoShortcut::TooMany);
        }
        if let Some((error, _)) = &self.shortcut.refused {
            return Err(WhyNoShortcut::Refused { error: error.clone() });
        }
        if self.is_settling() {
            return Err(WhyNoShortcut::Settling);
        }
        if !tunnel.has_carrier {
            return Err(WhyNoShortcut::NoCarrier);
        }
        let passes = |line: &&Line| line.path == LinePath::Packet && !line.learns && line.packets.is_some();
        let line = self.forwarding.lines.get(tunnel.line).filter(passes);
        let (Some(line), Some(index)) = (line, line.and_then(|line| line.index())) else {
            return Err(WhyNoShortcut::RawLine);
        };
        if line.packets.as_ref().is_some_and(Packets::hears_geneve) {
            return Err(WhyNoShortcut::Geneve);
        }
        let mac = self.keeper.links().get(&line.name).and_then(|link| link.mac);
        let (Some(Destination::Link(hop)), Some(mac), Some(device), Some(local), Some(remote)) =
            (&tunnel.next_hop, mac, tunnel.device_index, tunnel.plan.local, tunnel.plan.remote)
        else {
            return Err(WhyNoShortcut::NoNextHop);
        };
        let [a, b, c, d, e, f, ..] = hop.sll_addr;
        let send = send(index, tunnel.path.force.path_mtu, (mac, Mac([a, b, c, d, e, f])), (local, remote));
        let limit = tunnel.plan.mtu.saturating_add(ethernet::HEADER_LEN as u16);
        let ends = programs::ends(index, remote, local);
        Ok(send.map(|send| Entry { device, line: index, ends, send, limit }))
    }
}

/// How a tunnel's frames leave, as `struct send` has it; `None` for a path that holds no frame at all.
fn send(line: u32, path_mtu: u16, macs: (Mac, Mac), ends: (IpAddr, IpAddr)) -> Option<[u8; SEND]> {
    let mut send = [0; SEND];
    let head = &mut send[HEAD..];
    let (ethertype, ip_len) = match ends {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let repr = ipv4::Repr {
                source,
                destination,
                protocol: ip::protocol::ETHERIP,
                hop_limit: HOP_LIMIT,
                traffic_class: 0,
                identification: 0,
                dont_fragment: false,
                more_fragments: false,
                fragment_offset: 0,
                payload_len: 0,
            };
            repr.emit(&mut head[ethernet::HEADER_LEN..]);
            // Length and checksum are for the program.
            head[ethernet::HEADER_LEN + 2..ethernet::HEADER_LEN + 4].fill(0);
            head[ethernet::HEADER_LEN + 10..ethernet::HEADER_LEN + 12].fill(0);
            (ethertype::IPV4, ipv4::HEADER_LEN)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let repr = ipv6::Repr {
                source,
                destination,
                next_header: ip::protocol::ETHERIP,
                hop_limit: HOP_LIMIT,
                traffic_class: 0,
                flow_label: 0,
                payload_len: 0,
            };
            repr.emit(&mut head[ethernet::HEADER_LEN..]);
            (ethertype::IPV6, ipv6::HEADER_LEN)
        }
        _ => return None,
    };
    head[..6].copy_from_slice(&macs.1.0);
    head[6..12].copy_from_slice(&macs.0.0);
    head[12..14].copy_from_slice(&ethertype.to_be_bytes());
    etherip::Repr::default().emit(&mut head[ethernet::HEADER_LEN + ip_len..]);
    let limit = usize::from(path_mtu).checked_sub(ip_len + etherip::HEADER_LEN)?;
    let ipv6 = u32::from(ends.0.is_ipv6());
    let words = [line, u32::try_from(limit).ok()?, ipv6];
    for (place, word) in send.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    Some(send)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_an_outer_packet() {
        let ends = |a: &str, b: &str| (a.parse().unwrap(), b.parse().unwrap());
        let macs = (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]));
        let six = send(7, 1500, macs, ends("2001:db8::1", "2001:db8::2")).unwrap();
        assert_eq!(six[..16], [7u32, 1458, 1, 0].map(u32::to_ne_bytes).concat()[..]);
        assert_eq!(six[16..30], [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd]);
        assert_eq!(six[30..38], [0x60, 0, 0, 0, 0, 0, 97, 64]);
        assert_eq!(six[70..72], [0x30, 0]);
        let four = send(7, 1500, macs, ends("192.0.2.1", "192.0.2.2")).unwrap();
        assert_eq!(four[4..8], 1478u32.to_ne_bytes());
        assert_eq!(four[30..50], [0x45, 0, 0, 0, 0, 0, 0, 0, 64, 97, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
        assert_eq!(four[50..52], [0x30, 0]);
        assert_eq!(send(7, 1500, macs, ends("192.0.2.1", "2001:db8::2")), None);
    }
}
