//! The routes of a dump, by what they have in common.

use flate2::bufread::MultiGzDecoder;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, Read};
use std::net::IpAddr;
use tsumugi_core::id::{Asn, Prefix};
use tsumugi_core::wire::bgp::{Approach, Attributes, Stored};
use tsumugi_core::wire::mrt::{
    Content, HEADER_LEN, MrtError, Peer, PeerIndexTable, Record, Rib, RibEntry, Skipped,
};

/// Whose routes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Of each prefix the route that stands first, whoever told it.
    First,
    /// What the dump's peers of this AS told.
    Asn(Asn),
    /// What this peer of the dump told.
    Address(IpAddr),
}

/// Why a part of a file is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// A record of a kind that is not read.
    Kind(Skipped),
    /// A record of BGP4MP: what was said in a session is no table.
    SessionRecord,
    /// A record that is not what its header says.
    Unreadable(MrtError),
    /// A route of a peer that the dump does not name.
    NoPeer,
    /// A route whose attributes would end a session or count as its withdrawal (RFC 7606).
    Attributes,
}

/// Why there is nothing to tell.
#[derive(Debug)]
pub enum NoTable {
    Read(io::Error),
    /// The file is packed by something else than gzip: by what, and what unpacks it.
    Packed {
        by: &'static str,
        unpack: &'static str,
    },
    /// It ends within a record, which begins at this byte of what is unpacked.
    Cut {
        at: u64,
    },
    /// From this byte on no record can be told from another.
    Broken {
        at: u64,
        error: MrtError,
    },
    /// The dump has no such peer; those that it has.
    NoSuchPeer(Vec<Peer>),
    /// Nothing in it is a route to be told.
    Empty(BTreeMap<LeftOut, u64>),
}

/// Routes that have their attributes in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Of whoever told it to us: our own AS number stands in front of the path.
    pub attributes: Attributes,
    pub ipv4: Vec<Prefix>,
    pub ipv6: Vec<Prefix>,
}

#[derive(Debug, Default)]
pub struct Table {
    /// In the order in which the dump has them.
    pub sets: Vec<Set>,
    pub routes: u64,
    /// How many records or routes, by the reason.
    pub left_out: BTreeMap<LeftOut, u64>,
}

impl Table {
    /// Reads a dump to its end; `own`: the AS that will tell it.
    ///
    /// # Errors
    /// What keeps it from being told, whole.
    pub fn read(mut from: impl BufRead, choice: Choice, own: Asn) -> Result<Table, NoTable> {
        let begins = from.fill_buf().map_err(NoTable::Read)?;
        match begins {
            [0x1f, 0x8b, ..] => {
                Reader::new(io::BufReader::new(MultiGzDecoder::new(from)), choice, own).read()
            }
            [b'B', b'Z', b'h', ..] => Err(NoTable::Packed { by: "bzip2", unpack: "bzcat" }),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Err(NoTable::Packed { by: "xz", unpack: "xzcat" }),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Err(NoTable::Packed { by: "zstd", unpack: "zstdcat" }),
            _ => Reader::new(from, choice, own).read(),
        }
    }
}

struct Reader<R> {
    from: R,
    /// Bytes read before the record at hand.
    at: u64,
    /// The record at hand.
    record: Vec<u8>,
    choice: Choice,
    own: Asn,
    /// By place in the dump's table of peers: whether its routes are told.
    peers: Vec<bool>,
    /// Where in the table a set of attributes is, by its bytes.
    places: HashMap<Vec<u8>, usize>,
    /// The last prefix of which a route is told.
    told: Option<Prefix>,
    table: Table,
}

impl<R: Read> Reader<R> {
    fn new(from: R, choice: Choice, own: Asn) -> Reader<R> {
        Reader {
            from,
            at: 0,
            record: Vec::new(),
            choice,
            own,
            peers: Vec::new(),
            places: HashMap::new(),
            told: None,
            table: Table::default(),
        }
    }

    fn read(mut self) -> Result<Table, NoTable> {
        while self.next_record()? {
            let bytes = std::mem::take(&mut self.record);
            if let Ok(Some((record, length))) = Record::first(&bytes) {
                self.take(&record)?;
                self.at += length as u64;
            }
            self.record = bytes;
        }
        if self.table.sets.is_empty() {
            return Err(NoTable::Empty(self.table.left_out));
        }
        Ok(self.table)
    }

    /// Fills `record`; false at the file's end.
    fn next_record(&mut self) -> Result<bool, NoTable> {
        let at = self.at;
        self.record.resize(HEADER_LEN, 0);
        match self.fill(0)? {
            0 => return Ok(false),
            HEADER_LEN => {}
            _ => return Err(NoTable::Cut { at }),
        }
        // The last of the header's fields; what is too long to be read is found by the core.
        Record::first(&self.record).map_err(|error| NoTable::Broken { at, error })?;
        let [.., a, b, c, d] = self.record[..] else { return Ok(false) };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        self.record.resize(HEADER_LEN + length, 0);
        if self.fill(HEADER_LEN)? < length { Err(NoTable::Cut { at }) } else { Ok(true) }
    }

    /// Reads into `record` from a place on, until it or the file ends.
    fn fill(&mut self, mut place: usize) -> Result<usize, NoTable> {
        let begin = place;
        while place < self.record.len() {
            match self.from.read(&mut self.record[place..]) {
                Ok(0) => break,
                Ok(read) => place += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What gzip says of a file that ends too early.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(NoTable::Cut { at: self.at });
                }
                Err(error) => return Err(NoTable::Read(error)),
            }
        }
        Ok(place - begin)
    }

    fn take(&mut self, record: &Record<'_>) -> Result<(), NoTable> {
        match record.parse() {
            Ok(Content::PeerIndexTable(table)) => return self.choose(table),
            Ok(Content::Rib(rib)) => self.rib(&rib),
            Ok(Content::Message(_) | Content::StateChange(_)) => self.leave_out(LeftOut::SessionRecord),
            Ok(Content::Skipped(why)) => self.leave_out(LeftOut::Kind(why)),
            Err(error) => self.leave_out(LeftOut::Unreadable(error)),
        }
        Ok(())
    }

    /// Of several paths of one peer (RFC 8050) the first is told, as no more than one of them is used. A dump may have
    /// two records of a prefix, of routes with and without path identifiers.
    fn rib(&mut self, rib: &Rib<'_>) {
        if self.choice == Choice::First && self.told == Some(rib.prefix) {
            return;
        }
        let mut told = Vec::new();
        for entry in &rib.entries {
            if entry.path_id.is_some() && told.contains(&entry.peer) {
                continue;
            }
            if self.route(rib.prefix, entry) {
                self.told = Some(rib.prefix);
                told.push(entry.peer);
                if self.choice == Choice::First {
                    break;
                }
            }
        }
    }

    fn choose(&mut self, table: PeerIndexTable) -> Result<(), NoTable> {
        let chosen = |peer: &Peer| match self.choice {
            Choice::First => true,
            Choice::Asn(asn) => peer.asn == asn,
            Choice::Address(address) => peer.address == address,
        };
        self.peers = table.peers.iter().map(chosen).collect();
        if self.peers.contains(&true) || table.peers.is_empty() {
            return Ok(());
        }
        Err(NoTable::NoSuchPeer(table.peers))
    }

    /// Whether the route is one to be told.
    fn route(&mut self, prefix: Prefix, entry: &RibEntry<'_>) -> bool {
        match self.peers.get(usize::from(entry.peer)) {
            Some(true) => {}
            Some(false) => return false,
            None => {
                self.leave_out(LeftOut::NoPeer);
                return false;
            }
        }
        let withdraws = |approach| approach == Approach::TreatAsWithdraw;
        let decoded = Stored::parse(entry.attributes)
            .ok()
            .filter(|decoded| !decoded.errors.iter().any(|error| withdraws(error.approach)));
        let Some(decoded) = decoded else {
            self.leave_out(LeftOut::Attributes);
            return false;
        };
        let mut attributes = decoded.stored.attributes;
        if attributes.as_path.first() != Some(self.own) {
            attributes.as_path = attributes.as_path.prepended(self.own, 1);
        }
        let mut bytes = Vec::new();
        attributes.emit(true, None, &mut bytes);
        let sets = &mut self.table.sets;
        let place = *self.places.entry(bytes).or_insert_with(|| {
            sets.push(Set { attributes, ipv4: Vec::new(), ipv6: Vec::new() });
            sets.len() - 1
        });
        let set = &mut sets[place];
        if prefix.addr().is_ipv4() { &mut set.ipv4 } else { &mut set.ipv6 }.push(prefix);
        self.table.routes += 1;
        true
    }

    fn leave_out(&mut self, why: LeftOut) {
        *self.table.left_out.entry(why).or_default() += 1;
    }
}
