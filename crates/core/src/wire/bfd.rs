//! BFD Control packets (RFC 5880 4.1): 24 bytes in UDP, all times in microseconds.
//!
//! Not here: authentication sections (RFC 5880 4.2 to 4.4), which are seen and not read; Echo packets.

use super::{Malformed, u32_at};
use serde::{Deserialize, Serialize};

/// Over one hop (RFC 5881 4).
pub const PORT: u16 = 3784;
/// Over several hops (RFC 5883 5).
pub const MULTIHOP_PORT: u16 = 4784;
/// Bytes of a packet without an authentication section.
pub const LEN: usize = 24;
/// Bytes of the least packet that has one (RFC 5880 6.8.6).
const LEN_AUTHENTICATED: usize = 26;

const VERSION: u8 = 1;
const DIAGNOSTIC: u8 = 0x1f;
const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const INDEPENDENT: u8 = 0x08;
const AUTHENTICATED: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// What a system says its session is in (RFC 5880 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Somebody has switched it off: says nothing about the path.
    AdminDown,
    Down,
    /// The far end is heard; it has yet to hear us.
    Init,
    Up,
}

/// Why a system's session last changed its state (RFC 5880 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Diagnostic(pub u8);

impl Diagnostic {
    pub const NONE: Diagnostic = Diagnostic(0);
    /// Nothing was heard for the detection time.
    pub const TIME_EXPIRED: Diagnostic = Diagnostic(1);
    pub const ECHO_FAILED: Diagnostic = Diagnostic(2);
    pub const NEIGHBOUR_DOWN: Diagnostic = Diagnostic(3);
    pub const FORWARDING_RESET: Diagnostic = Diagnostic(4);
    pub const PATH_DOWN: Diagnostic = Diagnostic(5);
    pub const CONCATENATED_PATH_DOWN: Diagnostic = Diagnostic(6);
    pub const ADMIN_DOWN: Diagnostic = Diagnostic(7);
    pub const REVERSE_CONCATENATED_PATH_DOWN: Diagnostic = Diagnostic(8);
}

/// A packet whose length field agrees with its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a>(&'a [u8]);

impl<'a> Packet<'a> {
    /// `bytes`: the whole payload of the datagram. What follows the stated length is ignored.
    ///
    /// # Errors
    /// `Truncated`, `Version` or `Length`.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Packet<'a>, Malformed> {
        if bytes.len() < LEN {
            return Err(Malformed::Truncated);
        }
        if bytes[0] >> 5 != VERSION {
            return Err(Malformed::Version);
        }
        let stated = usize::from(bytes[3]);
        let least = if bytes[1] & AUTHENTICATED == 0 { LEN } else { LEN_AUTHENTICATED };
        if stated < least {
            return Err(Malformed::Length);
        }
        bytes.get(..stated).map(Packet).ok_or(Malformed::Truncated)
    }

    /// Whether an authentication section follows.
    pub fn is_authenticated(&self) -> bool {
        self.0[1] & AUTHENTICATED != 0
    }

    /// Of point-to-multipoint sessions, which nobody speaks here: must be zero.
    pub fn is_multipoint(&self) -> bool {
        self.0[1] & MULTIPOINT != 0
    }
}

/// What one end says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repr {
    pub diagnostic: Diagnostic,
    pub state: State,
    /// P: asks for an answer at once.
    pub poll: bool,
    /// F: is that answer.
    pub is_final: bool,
    /// C: the sender's BFD goes on while its routing restarts.
    pub independent: bool,
    /// D: asks the receiver to send only what it is asked for (demand mode).
    pub demand: bool,
    /// So many intervals without a packet are a failure.
    pub multiplier: u8,
    /// The sender's session.
    pub my_discriminator: u32,
    /// The receiver's session as the sender knows it; 0: not yet.
    pub your_discriminator: u32,
    /// In microseconds: the sender would rather not send more often.
    pub desired_min_tx: u32,
    /// In microseconds: the sender takes no more; 0: it wants nothing sent.
    pub required_min_rx: u32,
    /// The same of Echo packets; 0: it returns none.
    pub required_min_echo_rx: u32,
}

impl Repr {
    pub fn parse(packet: &Packet<'_>) -> Repr {
        let bytes = packet.0;
        let flag = |bit: u8| bytes[1] & bit != 0;
        Repr {
            diagnostic: Diagnostic(bytes[0] & DIAGNOSTIC),
            state: match bytes[1] >> 6 {
                0 => State::AdminDown,
                1 => State::Down,
                2 => State::Init,
                _ => State::Up,
            },
            poll: flag(POLL),
            is_final: flag(FINAL),
            independent: flag(INDEPENDENT),
            demand: flag(DEMAND),
            multiplier: bytes[2],
            my_discriminator: u32_at(bytes, 4),
            your_discriminator: u32_at(bytes, 8),
            desired_min_tx: u32_at(bytes, 12),
            required_min_rx: u32_at(bytes, 16),
            required_min_echo_rx: u32_at(bytes, 20),
        }
    }

    pub const fn buffer_len(&self) -> usize {
        LEN
    }

    /// # Panics
    /// If `buffer` is shorter than [`LEN`].
    pub fn emit(&self, buffer: &mut [u8]) {
        let state = match self.state {
            State::AdminDown => 0,
            State::Down => 1,
            State::Init => 2,
            State::Up => 3,
        };
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        buffer[0] = VERSION << 5 | self.diagnostic.0 & DIAGNOSTIC;
        buffer[1] = state << 6
            | flag(self.poll, POLL)
            | flag(self.is_final, FINAL)
            | flag(self.independent, INDEPENDENT)
            | flag(self.demand, DEMAND);
        buffer[2] = self.multiplier;
        buffer[3] = LEN as u8;
        let words = [
            self.my_discriminator,
            self.your_discriminator,
            self.desired_min_tx,
            self.required_min_rx,
            self.required_min_echo_rx,
        ];
        for (place, word) in buffer[4..LEN].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REPR: Repr = Repr {
        diagnostic: Diagnostic::NEIGHBOUR_DOWN,
        state: State::Init,
        poll: true,
        is_final: false,
        independent: true,
        demand: false,
        multiplier: 3,
        my_discriminator: 0x0102_0304,
        your_discriminator: 0x0506_0708,
        desired_min_tx: 1_000_000,
        required_min_rx: 100_000,
        required_min_echo_rx: 0,
    };
    const BYTES: [u8; LEN] = [
        0x23, 0xa8, 3, 24, 1, 2, 3, 4, 5, 6, 7, 8, 0x00, 0x0f, 0x42, 0x40, 0x00, 0x01, 0x86, 0xa0, 0, 0, 0, 0,
    ];

    #[test]
    fn a_packet_byte_by_byte() {
        let mut bytes = [0xff; LEN];
        REPR.emit(&mut bytes);
        assert_eq!(bytes, BYTES);
        let packet = Packet::new_checked(&bytes).unwrap();
        assert_eq!(Repr::parse(&packet), REPR);
        assert!(!packet.is_authenticated() && !packet.is_multipoint());
    }

    /// FRR 8.4.4 on an unnumbered link, session up, as captured.
    #[test]
    fn what_frr_sends() {
        let bytes = [
            0x20, 0xc0, 3, 24, 0xe3, 0x21, 0x00, 0xfe, 0xc8, 0x14, 0xdb, 0x8f, 0, 1, 0x86, 0xa0, 0, 1, 0x86,
            0xa0, 0, 0, 0xc3, 0x50,
        ];
        let repr = Repr::parse(&Packet::new_checked(&bytes).unwrap());
        assert_eq!((repr.state, repr.diagnostic, repr.multiplier), (State::Up, Diagnostic::NONE, 3));
        assert_eq!((repr.my_discriminator, repr.your_discriminator), (0xe321_00fe, 0xc814_db8f));
        assert_eq!((repr.desired_min_tx, repr.required_min_rx), (100_000, 100_000));
        assert_eq!(repr.required_min_echo_rx, 50_000);
    }

    #[test]
    fn lengths_and_versions_that_lie() {
        for cut in 0..LEN {
            assert_eq!(Packet::new_checked(&BYTES[..cut]).unwrap_err(), Malformed::Truncated);
        }
        let with = |at: usize, byte: u8| {
            let mut bytes = BYTES;
            bytes[at] = byte;
            Packet::new_checked(&bytes).map(|_| ())
        };
        for version in [0, 2, 7] {
            assert_eq!(with(0, version << 5), Err(Malformed::Version));
        }
        assert_eq!(with(3, 23), Err(Malformed::Length));
        assert_eq!(with(3, 25), Err(Malformed::Truncated));
        // An authentication section is at least two bytes long.
        assert_eq!(with(1, 0x44), Err(Malformed::Length));
        let mut long = [0; 30];
        long[..LEN].copy_from_slice(&BYTES);
        (long[1], long[3]) = (0x44, 26);
        assert!(Packet::new_checked(&long).unwrap().is_authenticated());
        // What follows the packet in its datagram is nobody's.
        long[..LEN].copy_from_slice(&BYTES);
        assert_eq!(Repr::parse(&Packet::new_checked(&long).unwrap()), REPR);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic_and_what_is_read_is_written_again(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..40), whole in any::<bool>(),
        ) {
            if whole && bytes.len() >= LEN {
                bytes[0] = 0x20 | bytes[0] & DIAGNOSTIC;
                (bytes[1], bytes[3]) = (bytes[1] & !(AUTHENTICATED | MULTIPOINT), LEN as u8);
            }
            if let Ok(packet) = Packet::new_checked(&bytes) {
                let repr = Repr::parse(&packet);
                let mut again = [0; LEN];
                repr.emit(&mut again);
                prop_assert_eq!(Repr::parse(&Packet::new_checked(&again).unwrap()), repr);
                if whole {
                    prop_assert_eq!(&again[..], &bytes[..LEN]);
                }
            }
        }
    }
}
