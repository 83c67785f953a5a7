//! Inner packets on their way into the fabric: those of one batch that continue one another are merged,
//! then each device gets its own in the order in which they came.

use super::keepalive::Round;
use super::tunnel::Tunnel;
use crate::observe::status::Traffic;
use nix::errno::Errno;
use std::io::IoSlice;
use std::ops::Range;
use std::time::Instant;
use tsumugi_core::tunnel::merge::{Group, inspect, merged_by_kernel};
use tsumugi_core::tunnel::{DropReason, Link, VnetHeader};

/// Parts of one write: the header of the device, and the pieces of a merged packet.
const PARTS: usize = 66;

/// A packet, or several that were merged.
struct Entry {
    slot: usize,
    /// The first one's bytes.
    frame: Range<usize>,
    /// Of TCP and UDP.
    flow: Option<u64>,
    group: Option<Group>,
    /// Bytes of all packets together.
    bytes: usize,
    /// The last of the payloads that follow the first's, if there are any.
    first_part: Option<usize>,
    last_part: Option<usize>,
}

/// A payload, and the place of the next one.
struct Part {
    payload: Range<usize>,
    next: Option<usize>,
}

/// The packets of one batch. Their bytes stand in a buffer of the caller's.
#[derive(Default)]
pub struct Delivery {
    entries: Vec<Entry>,
    parts: Vec<Part>,
}

impl Delivery {
    /// Adds a packet for the tunnel in `slot`, whose bytes are `frame` of `buffer`.
    pub fn push(&mut self, slot: usize, tunnel: &Tunnel, buffer: &[u8], frame: Range<usize>) {
        let link = Link::from(tunnel.carries_ethernet());
        let bytes = &buffer[frame.clone()];
        let inspected = inspect(link, bytes);
        let mut entry = Entry {
            slot,
            frame: frame.clone(),
            flow: inspected.map(|inspected| inspected.flow),
            group: None,
            bytes: frame.len(),
            first_part: None,
            last_part: None,
        };
        if let Some(inspected) = inspected {
            let last =
                self.entries.iter_mut().rev().find(|last| last.slot == slot && last.flow == entry.flow);
            let mergeable = inspected.piece.filter(|piece| piece.is_tcp() || tunnel.merges_udp());
            match (last, mergeable) {
                (Some(Entry { group: None, .. }) | None, None) => {}
                (Some(Entry { group: Some(group), .. }), None) => group.close(),
                (last, Some(piece)) => {
                    if let Some(Entry {
                        frame: head,
                        group: Some(group),
                        bytes: all,
                        first_part,
                        last_part,
                        ..
                    }) = last
                        && group.append(&buffer[head.clone()], &piece, bytes)
                    {
                        let payload = piece.payload();
                        let place = self.parts.len();
                        self.parts.push(Part {
                            payload: frame.start + payload.start..frame.start + payload.end,
                            next: None,
                        });
                        if let Some(last) = *last_part {
                            self.parts[last].next = Some(place);
                        }
                        *first_part = first_part.or(Some(place));
                        *last_part = Some(place);
                        *all += bytes.len();
                        return;
                    }
                    entry.group = Some(Group::new(piece));
                }
            }
        }
        self.entries.push(entry);
    }

    /// Writes all of it into the devices; the round hears of far ends that are other than they were.
    pub fn flush(
        &mut self,
        now: Instant,
        tunnels: &mut [Option<Tunnel>],
        buffer: &mut [u8],
        round: &mut Round,
    ) {
        for entry in &self.entries {
            let Some(Some(tunnel)) = tunnels.get_mut(entry.slot) else { continue };
            tunnel.hear(now, round);
            let count = entry.group.as_ref().map_or(1, Group::count) as u64;
            match self.write(entry, tunnel, buffer) {
                Ok(()) => tunnel.received.add(Traffic { packets: count, bytes: entry.bytes as u64 }),
                Err(reason) => tunnel.drops.add(reason, count),
            }
        }
        self.entries.clear();
        self.parts.clear();
    }

    fn write(&self, entry: &Entry, tunnel: &Tunnel, buffer: &mut [u8]) -> Result<(), DropReason> {
        let device = tunnel.device.as_ref().ok_or(DropReason::DeviceFailed)?;
        let frame = entry.frame.clone();
        let vnet = match &entry.group {
            Some(group) => group.seal(&mut buffer[frame.clone()]),
            None if frame.len() > usize::from(tunnel.plan.mtu) => {
                let fits =
                    |ipv6| if ipv6 { tunnel.path.force.fits.ipv6 } else { tunnel.path.force.fits.ipv4 };
                let link = Link::from(tunnel.carries_ethernet());
                merged_by_kernel(link, &buffer[frame.clone()], fits).unwrap_or_default()
            }
            None => VnetHeader::default(),
        }
        .emit();
        // What stands behind the payload is Ethernet's padding: not in the middle of a merged packet.
        let head = match (&entry.group, entry.first_part) {
            (Some(group), Some(_)) => frame.start..frame.start + group.first().payload().end,
            _ => frame,
        };
        let mut parts = [IoSlice::new(&[]); PARTS];
        parts[0] = IoSlice::new(&vnet);
        parts[1] = IoSlice::new(&buffer[head]);
        let mut count = 2;
        let mut next = entry.first_part;
        // A group has 64 pieces at most.
        while let Some(part) = next.and_then(|place| self.parts.get(place))
            && count < PARTS
        {
            parts[count] = IoSlice::new(&buffer[part.payload.clone()]);
            count += 1;
            next = part.next;
        }
        loop {
            return match nix::sys::uio::writev(device, &parts[..count]) {
                Ok(_) => Ok(()),
                Err(Errno::EINTR) => continue,
                // EIO while the interface is down.
                Err(_) => Err(DropReason::DeviceFailed),
            };
        }
    }
}
