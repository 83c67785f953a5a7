//! Frames that tell the switches of a LAN where MACs are from now on: when a port takes a LAN over, they
//! still send what is for hosts elsewhere, and for the gateway, to the port that had it before.

use std::collections::BTreeSet;
use tsumugi_core::desired::BridgeEntry;
use tsumugi_core::evpn::config::SegmentConfig;
use tsumugi_core::id::Mac;
use tsumugi_core::wire::ethernet::{HEADER_LEN, Repr};

/// Ethernet's own loopback test: whoever does not test takes no notice. Bonding uses it likewise.
const LOOPBACK: u16 = 0x9000;
/// Bytes of the shortest frame, its check sequence excepted.
const SHORTEST: usize = 60;
/// Frames at once. Of more MACs, the switches learn the rest when those hosts send.
const MOST: usize = 2048;

/// One frame from every MAC that a LAN of the segment finds behind our port.
pub fn frames(segment: &SegmentConfig, entries: &[BridgeEntry]) -> Vec<Vec<u8>> {
    let stretch = segment.stretch.as_ref();
    let elsewhere = entries.iter().filter_map(|entry| match entry {
        BridgeEntry::Mac { vxlan, mac, .. } if stretch.is_some_and(|it| it.vxlan == *vxlan) => Some(*mac),
        _ => None,
    });
    let macs: BTreeSet<Mac> =
        segment.gateway.iter().map(|gateway| gateway.mac).chain(elsewhere.take(MOST)).collect();
    macs.into_iter().map(frame).collect()
}

fn frame(source: Mac) -> Vec<u8> {
    let mut frame = vec![0; SHORTEST];
    Repr { destination: Mac([0xff; 6]), source, ethertype: LOOPBACK }.emit(&mut frame[..HEADER_LEN]);
    frame
}

#[cfg(test)]
mod tests {
    use super::super::super::dhcp::tests::guests;
    use super::*;
    use tsumugi_core::evpn::config::Stretch;
    use tsumugi_core::id::IfName;
    use tsumugi_core::wire::bgp::RouteDistinguisher;

    #[test]
    fn a_frame_from_the_gateway_and_from_every_host_elsewhere() {
        let vxlan = IfName::new("vx-guests").unwrap();
        let vtep = "43.228.174.129".parse().unwrap();
        let mut segment = guests().segments.pop().unwrap();
        segment.stretch = Some(Stretch {
            vxlan: vxlan.clone(),
            vtep,
            rd: RouteDistinguisher([0; 8]),
            import: Vec::new(),
            export: Vec::new(),
        });
        let mac = |last| Mac([2, 0, 0, 0, 1, last]);
        let other = IfName::new("vx-members").unwrap();
        let entries = [
            BridgeEntry::Flood { vxlan: vxlan.clone(), vtep },
            BridgeEntry::Mac { vxlan, mac: mac(1), vtep, sticky: false },
            BridgeEntry::Mac { vxlan: other, mac: mac(2), vtep, sticky: false },
        ];
        let mut first = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 1, 1, 0x90, 0];
        first.resize(60, 0);
        let sent = frames(&segment, &entries);
        assert_eq!((sent.len(), &sent[0]), (2, &first));
        assert_eq!(sent[1][6..12], segment.gateway.unwrap().mac.0);
    }
}
