//! Answers to `tsumugi show`: a piece in each round of the loop, so that a question about a full table
//! keeps no session waiting, and no more of it in memory than the asker is about to read.

use crate::observe::ask::{AskSocket, Asker};
use crate::observe::status::{BgpSaid, RouteSaid, ShowQuestion, ShowSaid, Table};
use crate::state::StateDir;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::SystemTime;
use tsumugi_core::bgp::{NeighbourId, Page, ReceivedRoute, Speaker, TableDump};
use tsumugi_core::id::Prefix;
use tsumugi_core::time::Instant;

/// Prefixes looked at for one line of an answer: some 100 KB at the most.
const PAGE: usize = 256;
/// Lines in one round of the loop, of all answers together: about a millisecond.
const LINES: usize = 8;
/// Bytes of a dump in one line.
const DUMP: usize = 32 << 10;

pub struct Shows {
    socket: AskSocket,
    /// Whoever is first has its turn next.
    under_way: VecDeque<Answer>,
}

struct Answer {
    asker: Asker,
    work: Work,
}

enum Work {
    Short(ShowQuestion),
    Long(Long),
    Dump(Dump),
}

struct Long {
    table: Table,
    /// The names of those that are still to come: a new plan numbers them anew.
    neighbours: VecDeque<String>,
    /// How far the first of them has come; `through`: to its end.
    after: Option<Prefix>,
    through: bool,
}

/// A dump under way, and what of it has yet to be said.
struct Dump {
    dump: TableDump,
    bytes: Vec<u8>,
    through: bool,
}

impl Shows {
    /// # Errors
    /// The socket cannot be made.
    pub fn new(state: &StateDir) -> io::Result<Shows> {
        Ok(Shows { socket: AskSocket::bind(&state.socket("show"))?, under_way: VecDeque::new() })
    }

    pub fn hear(&mut self) {
        for (asker, question) in self.socket.questions() {
            match question {
                Some(question) => {
                    self.under_way.push_back(Answer { asker, work: Work::Short(question) });
                }
                None => {
                    self.socket.say(asker, &ShowSaid::NotUnderstood);
                    self.socket.end(asker);
                }
            }
        }
        self.under_way.retain(|answer| self.socket.has_room(answer.asker).is_some());
    }

    /// Whether somebody waits and reads.
    pub fn has_work(&self) -> bool {
        self.under_way.iter().any(|answer| self.socket.has_room(answer.asker) == Some(true))
    }

    /// All who wait are told the same.
    pub fn refuse(&mut self, said: &ShowSaid) {
        for Answer { asker, work: _ } in self.under_way.drain(..) {
            self.socket.say(asker, said);
            self.socket.end(asker);
        }
    }

    /// `missing`: why a route does not stand in the kernel.
    pub fn turn(
        &mut self,
        now: Instant,
        router: &str,
        speaker: &Speaker,
        missing: impl Fn(&Prefix) -> Option<String>,
    ) {
        for _ in 0..LINES {
            let Some(mut answer) = self.under_way.pop_front() else { return };
            let asker = answer.asker;
            match self.socket.has_room(asker) {
                None => continue,
                Some(false) => {
                    self.under_way.push_back(answer);
                    continue;
                }
                Some(true) => {}
            }
            let said = match &mut answer.work {
                Work::Short(ShowQuestion::Bgp) => Some(bgp(now, router, speaker)),
                Work::Short(ShowQuestion::Route { prefix, exact }) => {
                    Some(route(speaker, prefix, *exact, &missing))
                }
                Work::Short(ShowQuestion::Table { which, neighbour }) => match named(speaker, neighbour) {
                    Ok(neighbours) => {
                        let (table, after, through) = (*which, None, false);
                        answer.work = Work::Long(Long { table, neighbours, after, through });
                        None
                    }
                    Err(said) => Some(said),
                },
                Work::Short(ShowQuestion::Dump) => {
                    answer.work = Work::Dump(Dump::begin(now, speaker));
                    None
                }
                Work::Long(long) => long.next(speaker),
                Work::Dump(dump) => dump.next(speaker),
            };
            if let Some(said) = &said {
                self.socket.say(asker, said);
            }
            if said.is_some_and(|said| said.is_last()) {
                self.socket.end(asker);
            } else {
                self.under_way.push_back(answer);
            }
        }
    }
}

impl AsFd for Shows {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn bgp(now: Instant, router: &str, speaker: &Speaker) -> ShowSaid {
    let config = speaker.config();
    let mut neighbours = speaker.neighbours(now);
    // They have a view of their own.
    neighbours.iter_mut().for_each(|neighbour| neighbour.refused.clear());
    ShowSaid::Bgp(Box::new(BgpSaid {
        router: router.to_owned(),
        router_id: config.router_id,
        asn: config.asn,
        public_asn: config.public_asn,
        restart: speaker.restart(now),
        neighbours,
    }))
}

fn route(
    speaker: &Speaker,
    prefix: &Prefix,
    exact: bool,
    missing: impl Fn(&Prefix) -> Option<String>,
) -> ShowSaid {
    let covering = speaker.covering(prefix);
    let shown = covering.unwrap_or(*prefix);
    ShowSaid::Route(Box::new(RouteSaid {
        asked: *prefix,
        exact,
        covering,
        report: speaker.explain(&shown),
        refused: speaker.refused_of(prefix),
        missing: missing(&shown),
    }))
}

fn names(speaker: &Speaker) -> impl Iterator<Item = &String> {
    speaker.config().neighbours.iter().map(|neighbour| &neighbour.name)
}

fn named(speaker: &Speaker, name: &str) -> Result<VecDeque<String>, ShowSaid> {
    let found = speaker.neighbours_named(name);
    let found = found.into_iter().filter_map(|id| names(speaker).nth(usize::from(id.0)).cloned());
    let found: VecDeque<String> = found.collect();
    if found.is_empty() {
        return Err(ShowSaid::NoSuchNeighbour { names: names(speaker).cloned().collect() });
    }
    Ok(found)
}

impl Long {
    /// The next line, if there is something on the next page.
    fn next(&mut self, speaker: &Speaker) -> Option<ShowSaid> {
        let Some(neighbour) = self.neighbours.front().cloned() else { return Some(ShowSaid::End) };
        let place = names(speaker).position(|name| *name == neighbour).and_then(|at| u16::try_from(at).ok());
        let id = place.map(NeighbourId).filter(|_| !self.through);
        let Some(id) = id else {
            // It is through, or a new plan is without it.
            self.neighbours.pop_front();
            (self.after, self.through) = (None, false);
            let beyond = place.map_or(0, |at| speaker.refused_beyond(NeighbourId(at)));
            return Some(ShowSaid::Through { neighbour, beyond });
        };
        let after = self.after.as_ref();
        let (said, next) = match self.table {
            Table::Received => received(neighbour, speaker.received_from(id, after, PAGE)),
            Table::Rejected => received(neighbour, speaker.refused_from(id, after, PAGE)),
            Table::Sent => {
                let Page { items: routes, next } = speaker.sent_to(id, after, PAGE);
                ((!routes.is_empty()).then_some(ShowSaid::Sent { neighbour, routes }), next)
            }
        };
        (self.through, self.after) = (next.is_none(), next);
        said
    }
}

impl Dump {
    fn begin(now: Instant, speaker: &Speaker) -> Dump {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut bytes = Vec::new();
        let dump = speaker.begin_dump(now, u32::try_from(unix).unwrap_or(u32::MAX), &mut bytes);
        Dump { dump, bytes, through: false }
    }

    /// The next line, if the next prefixes have routes.
    fn next(&mut self, speaker: &Speaker) -> Option<ShowSaid> {
        if self.bytes.len() < DUMP && !self.through {
            self.through = !speaker.poll_dump(&mut self.dump, DUMP, &mut self.bytes);
        }
        // One record may be longer than what an asker may have before it: it is cut.
        let rest = self.bytes.split_off(self.bytes.len().min(DUMP));
        let piece = std::mem::replace(&mut self.bytes, rest);
        match (piece.is_empty(), self.through) {
            (true, true) => Some(ShowSaid::Dumped { prefixes: self.dump.prefixes, routes: self.dump.routes }),
            (true, false) => None,
            (false, _) => Some(ShowSaid::Dump { base64: BASE64.encode(piece) }),
        }
    }
}

fn received(neighbour: String, page: Page<ReceivedRoute>) -> (Option<ShowSaid>, Option<Prefix>) {
    let Page { items: routes, next } = page;
    ((!routes.is_empty()).then_some(ShowSaid::Received { neighbour, routes }), next)
}
