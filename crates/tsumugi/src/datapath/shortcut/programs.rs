//! The programs of `shortcut.c` in the kernel, their maps and the pair that joins the two namespaces.

use super::entry::Entry;
use crate::datapath::engine::Sides;
use crate::kernel::bpf::{ArrayOfProcessors, Map, MapKind, ProgramKind, load};
use crate::kernel::classifier::{Placed, Way, put};
use crate::kernel::features::{Feature, Features};
use crate::kernel::link::WireEnd;
use nix::time::{ClockId, clock_gettime};
use std::ffi::CStr;
use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use tsumugi_core::id::IfName;

const LEAVE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/leave.bpf"));
const PUSH: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/push.bpf"));
const POP: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pop.bpf"));
const HEAR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hear.bpf"));
const ARRIVE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/arrive.bpf"));

/// Tunnels that may go this way: a number, and one, has to fit a VLAN tag.
pub const SLOTS: usize = 1024;
/// Each has two entries in turn.
const NUMBERS: u32 = 2 * SLOTS as u32;
/// Where in `struct send` the outer headers begin.
pub const HEAD: usize = 16;
/// Where IPv4's next identification stands in it.
const NUMBER: Range<usize> = 12..16;
/// Bytes of `struct send`.
pub const SEND: usize = 72;
/// Bytes of `struct ends`.
const ENDS: usize = 36;
/// Bytes of `struct counts`.
const COUNTS: usize = 48;
/// Bytes of `struct receive`.
const RECEIVE: usize = 8;

/// Between whom a tunnel's outer packets travel, as `struct ends` has it.
pub type Ends = [u8; ENDS];

/// `struct ends`: an IPv4 address has its first four bytes.
pub fn ends(line: u32, remote: IpAddr, local: IpAddr) -> Ends {
    let mut ends = [0; ENDS];
    ends[..4].copy_from_slice(&line.to_ne_bytes());
    for (place, address) in [(4, remote), (20, local)] {
        match address {
            IpAddr::V4(address) => ends[place..place + 4].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => ends[place..place + 16].copy_from_slice(&address.octets()),
        }
    }
    ends
}

/// What has passed in a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub sent: u64,
    pub sent_bytes: u64,
    pub received: u64,
    pub received_bytes: u64,
    /// Packets that the kernel could not make ready.
    pub refused: u64,
    /// When something was received last, as [`now`] has it.
    pub last: u64,
}

impl Counts {
    fn parse(bytes: &[u8; COUNTS]) -> Counts {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at * 8..at * 8 + 8]);
            u64::from_ne_bytes(word)
        };
        Counts {
            sent: word(0),
            sent_bytes: word(1),
            received: word(2),
            received_bytes: word(3),
            refused: word(4),
            last: word(5),
        }
    }

    pub fn since(&self, before: &Counts) -> Counts {
        Counts {
            sent: self.sent.saturating_sub(before.sent),
            sent_bytes: self.sent_bytes.saturating_sub(before.sent_bytes),
            received: self.received.saturating_sub(before.received),
            received_bytes: self.received_bytes.saturating_sub(before.received_bytes),
            refused: self.refused.saturating_sub(before.refused),
            last: self.last,
        }
    }

    fn with(self, other: &Counts) -> Counts {
        Counts {
            sent: self.sent + other.sent,
            sent_bytes: self.sent_bytes + other.sent_bytes,
            received: self.received + other.received,
            received_bytes: self.received_bytes + other.received_bytes,
            refused: self.refused + other.refused,
            last: self.last.max(other.last),
        }
    }
}

/// Whether clang was there when this binary was built.
pub fn are_built() -> bool {
    [LEAVE, PUSH, POP, HEAR, ARRIVE].iter().all(|program| !program.is_empty())
}

/// What says that the pair is ours: without the tag of what a plan has.
const ALIAS: &str = "the shortcut of tsumugi datapath";

/// The names of the pair, in the fabric and in the underlay.
fn pair() -> io::Result<[IfName; 2]> {
    let name = |name: &str| IfName::new(name).map_err(|_| io::ErrorKind::InvalidInput);
    Ok([name("shortcut-in")?, name("shortcut-out")?])
}

pub struct Programs {
    slots: Map<4, 4>,
    sends: Map<4, SEND>,
    receives: Map<ENDS, RECEIVE>,
    devices: Map<4, 4>,
    counts: Map<4, COUNTS>,
    /// Until when the process lives, and how many packets did not come to `pop`.
    until: Map<4, 8>,
    pub leave: OwnedFd,
    pub pop: OwnedFd,
    pub hear: OwnedFd,
    _of_the_pair: Vec<Placed>,
}

impl Programs {
    /// Gives the kernel the programs and makes the pair.
    ///
    /// # Errors
    /// EPERM where BPF is refused.
    pub fn load(sides: &mut Sides) -> io::Result<Programs> {
        let slots = Map::new(MapKind::Hash, SLOTS as u32)?;
        let sends = Map::new(MapKind::Array, NUMBERS)?;
        let receives = Map::new(MapKind::Hash, SLOTS as u32)?;
        let devices = Map::new(MapKind::Array, NUMBERS)?;
        let counts = Map::new(MapKind::Array, NUMBERS)?;
        let until = Map::new(MapKind::Array, 2)?;
        let indices: Map<4, 4> = Map::new(MapKind::Array, 2)?;
        let found = ArrayOfProcessors::new(8, 1)?;
        let marks: [(u32, &dyn AsFd); 8] = [
            (0x7453_0001, &slots),
            (0x7453_0002, &sends),
            (0x7453_0003, &receives),
            (0x7453_0004, &devices),
            (0x7453_0005, &counts),
            (0x7453_0006, &indices),
            (0x7453_0007, &until),
            (0x7453_0008, &found),
        ];
        let program = |kind, name: &CStr, program: &[u8]| load(kind, name, program, &marks);
        let leave = program(ProgramKind::Classifier, c"leave", LEAVE)?;
        let push = program(ProgramKind::Classifier, c"push", PUSH)?;
        let pop = program(ProgramKind::Classifier, c"pop", POP)?;
        let hear = program(ProgramKind::SocketFilter, c"hear", HEAR)?;
        let arrive = program(ProgramKind::Classifier, c"arrive", ARRIVE)?;

        let [inner, outer] = pair()?;
        let end = |name, namespace| WireEnd { name, namespace, mac: None, mtu: u32::from(u16::MAX) };
        sides.underlay_netlink.add_veth(&end(&outer, &sides.underlay), &end(&inner, &sides.fabric))?;
        // By its alias a sweep knows it, whatever comes now.
        let index = sides.underlay_netlink.index(&outer)?;
        sides.underlay_netlink.set_alias(index, ALIAS)?;
        // Segments are made and checksums completed on entering the pair, as outside nobody would know
        // where they are; what comes is merged on leaving it, which only happens while the other end
        // does not segment.
        Features::open(&sides.underlay)?.set(&outer, Feature::SendSegments, false)?;
        let inside = Features::open(&sides.fabric)?;
        inside.set(&inner, Feature::SendSegments, false)?;
        inside.set(&inner, Feature::SendChecksums, false)?;
        inside.set(&inner, Feature::MergesReceived, true)?;
        let mut ends = [
            (&sides.fabric, &mut sides.fabric_netlink, inner),
            (&sides.underlay, &mut sides.underlay_netlink, outer),
        ];
        let mut placed = Vec::new();
        for (place, (namespace, netlink, name)) in ends.iter_mut().enumerate() {
            let index = netlink.index(name)?;
            netlink.set_makes_link_local(index, false)?;
            let (what, program) = if place == 0 { ("arrive", &arrive) } else { ("push", &push) };
            placed.push(put(namespace, netlink, (Way::In, index), (what, program))?);
            netlink.set_up(index, true)?;
            indices.set(&(place as u32).to_ne_bytes(), &index.to_ne_bytes())?;
        }
        Ok(Programs {
            slots,
            sends,
            receives,
            devices,
            counts,
            until,
            leave,
            pop,
            hear,
            _of_the_pair: placed,
        })
    }

    /// Whether both ends of the pair send what they are given: none does at once when it comes up.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn pair_sends(sides: &mut Sides) -> io::Result<bool> {
        let [inner, outer] = pair()?;
        Ok(sides.fabric_netlink.sends(&inner)? && sides.underlay_netlink.sends(&outer)?)
    }

    /// The programs work for as long as this is said again and again.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn live(&self, patience: Duration) -> io::Result<()> {
        let until = now()? + u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX / 2);
        self.until.set(&[0; 4], &until.to_ne_bytes())
    }

    /// Packets that were kept from the process and did not come to the programs of their line: somebody else's in
    /// front of them has taken them.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn missed(&self) -> io::Result<u64> {
        Ok(self.until.get(&1u32.to_ne_bytes())?.map_or(0, u64::from_ne_bytes))
    }

    /// Opens a slot by its entry `half`, 0 or 1; if it was open by the other one it goes on by this one.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn open(&self, slot: usize, half: u32, entry: &Entry) -> io::Result<()> {
        let number = number(slot, half);
        let mut send = entry.send;
        // Goes on counting; and strangers shall not guess where it began (RFC 7739).
        let before = self.sends.get(&number_of(slot, 1 - half))?.unwrap_or([0; SEND]);
        send[NUMBER].copy_from_slice(&before[NUMBER]);
        if send[NUMBER] == [0; 4] {
            send[NUMBER].copy_from_slice(&rand::random::<[u8; 4]>());
        }
        self.sends.set(&number.to_ne_bytes(), &send)?;
        self.devices.set(&number.to_ne_bytes(), &entry.device.to_ne_bytes())?;
        self.receives.set(&entry.ends, &receive(number, entry.limit))?;
        self.slots.set(&entry.device.to_ne_bytes(), &number.to_ne_bytes())
    }

    /// What is under way still arrives: pair, programs and the entry's number stay.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn close(&self, entry: &Entry) -> io::Result<()> {
        self.slots.remove(&entry.device.to_ne_bytes())?;
        self.receives.remove(&entry.ends)
    }

    /// # Errors
    /// As the kernel says.
    pub fn counts(&self, slot: usize) -> io::Result<Counts> {
        let mut all = Counts::default();
        for half in [0, 1] {
            let counts = self.counts.get(&number_of(slot, half))?;
            all = all.with(&counts.as_ref().map(Counts::parse).unwrap_or_default());
        }
        Ok(all)
    }
}

fn number(slot: usize, half: u32) -> u32 {
    // Slots are fewer than `SLOTS`.
    slot as u32 * 2 + half
}

fn number_of(slot: usize, half: u32) -> [u8; 4] {
    number(slot, half).to_ne_bytes()
}

/// `struct receive`.
fn receive(number: u32, limit: u16) -> [u8; RECEIVE] {
    let mut receive = [0; RECEIVE];
    receive[..4].copy_from_slice(&number.to_ne_bytes());
    receive[4..].copy_from_slice(&u32::from(limit).to_ne_bytes());
    receive
}

/// The clock of the programs: monotonic, in nanoseconds, some milliseconds behind.
///
/// # Errors
/// As the kernel says.
pub fn now() -> io::Result<u64> {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE)?);
    Ok(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}

/// Removes what an earlier life left, or this one: the pair, and the programs on devices and lines.
///
/// # Errors
/// As the kernel says.
pub fn sweep(sides: &mut Sides) -> io::Result<()> {
    let [_, outer] = pair()?;
    for link in sides.fabric_netlink.links()? {
        sides.fabric_netlink.remove_classifier(link.index, Way::Out)?;
    }
    for link in sides.underlay_netlink.links()? {
        sides.underlay_netlink.remove_classifier(link.index, Way::In)?;
        if link.name == outer && link.alias == ALIAS {
            sides.underlay_netlink.delete_link(link.index)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IPv4's numbers begin in the programs where the core's end.
    #[test]
    fn nobody_has_the_numbers_of_another() {
        let first = tsumugi_core::tunnel::FIRST_OF_OTHERS;
        assert!(include_str!("shortcut.c").contains(&format!("FIRST_NUMBER = {first:#x} ")));
    }

    #[test]
    fn ends_lie_as_the_programs_read_them() {
        let six = ends(5, "2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
        assert_eq!((six[..4].to_vec(), six[19], six[35]), (5u32.to_ne_bytes().to_vec(), 1, 2));
        let four = ends(5, "192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert_eq!((&four[4..9], &four[20..25]), (&[192, 0, 2, 1, 0][..], &[192, 0, 2, 2, 0][..]));
    }
}
