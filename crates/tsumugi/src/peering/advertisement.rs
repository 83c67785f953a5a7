//! Router advertisements and solicitations (RFC 4861 4.1, 4.2): how two ends of a link learn each
//! other's link-local address without a word of configuration.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use tsumugi_core::time::{Duration, Instant};

const SOLICITATION: u8 = 133;
const ADVERTISEMENT: u8 = 134;
/// The types that [`Message::parse`] knows.
pub const TYPES: [u8; 2] = [SOLICITATION, ADVERTISEMENT];
/// Only a packet that no router has forwarded may be believed (RFC 4861 6.1).
pub const HOP_LIMIT: u8 = 255;

/// Until the far end is heard.
const EAGER: Duration = Duration::from_secs(1);
/// From then on.
const CALM: Duration = Duration::from_secs(10);
/// Between answers to solicitations. RFC 4861 10 says 3 s for networks with many hosts; on a link
/// between two routers a session waits for the answer.
const ANSWER: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    Solicitation,
    Advertisement,
}

impl Message {
    /// `None` for what RFC 4861 6.1.1 and 6.1.2 tell a node to discard in silence. The checksum is
    /// the kernel's work.
    pub fn parse(bytes: &[u8], source: Ipv6Addr, hop_limit: u8) -> Option<Message> {
        let (kind, fixed) = match *bytes {
            [SOLICITATION, 0, ..] => (Message::Solicitation, 8),
            [ADVERTISEMENT, 0, ..] if source.is_unicast_link_local() => (Message::Advertisement, 16),
            _ => return None,
        };
        let mut options = bytes.get(fixed..)?;
        while !options.is_empty() {
            // Units of 8 octets; zero is invalid (4.6).
            let length = usize::from(*options.get(1)?) * 8;
            options = if length > 0 { options.get(length..)? } else { return None };
        }
        (hop_limit == HOP_LIMIT).then_some(kind)
    }

    /// The bytes to send; the kernel fills in the checksum. The advertisement says nothing to hosts:
    /// a lifetime of 0 makes us nobody's default router, all else is "unspecified by this router".
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Message::Solicitation => &[SOLICITATION, 0, 0, 0, 0, 0, 0, 0],
            Message::Advertisement => &[ADVERTISEMENT, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        }
    }
}

/// One link's part.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Speaking {
    local: Ipv6Addr,
    /// Somebody waits for the far end's address.
    wanted: bool,
    heard: Option<Ipv6Addr>,
    next: Instant,
    last: Option<Instant>,
}

/// What is to be sent by one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    pub index: u32,
    pub source: Ipv6Addr,
    pub message: Message,
}

/// When to speak on which link, and who was heard there. Links are interface indexes.
#[derive(Debug, Default)]
pub struct Schedule {
    links: BTreeMap<u32, Speaking>,
}

impl Schedule {
    /// The links to speak on from now: index, our link-local address there, and whether the far
    /// end's address is wanted. What is known of links that stay is kept.
    pub fn set_links(&mut self, now: Instant, wanted: &BTreeMap<u32, (Ipv6Addr, bool)>) {
        self.links.retain(|index, _| wanted.contains_key(index));
        for (&index, &(local, wanted)) in wanted {
            let link = self.links.entry(index).or_insert(Speaking {
                local,
                wanted,
                heard: None,
                next: now,
                last: None,
            });
            link.local = local;
            link.wanted = wanted;
        }
    }

    pub fn links(&self) -> impl Iterator<Item = u32> + '_ {
        self.links.keys().copied()
    }

    /// The far end's address if this message has told a new one.
    pub fn hear(&mut self, now: Instant, index: u32, source: Ipv6Addr, message: Message) -> Option<Ipv6Addr> {
        let link = self.links.get_mut(&index)?;
        if source == link.local {
            return None;
        }
        match message {
            Message::Solicitation => {
                let earliest = link.last.map_or(now, |last| last + ANSWER);
                link.next = link.next.min(earliest.max(now));
                None
            }
            Message::Advertisement => {
                link.heard.replace(source).is_none_or(|old| old != source).then_some(source)
            }
        }
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.links.values().map(|link| link.next).min()
    }

    pub fn poll(&mut self, now: Instant, outgoing: &mut Vec<Outgoing>) {
        for (&index, link) in &mut self.links {
            if link.next > now {
                continue;
            }
            let mut send = |message| outgoing.push(Outgoing { index, source: link.local, message });
            send(Message::Advertisement);
            if link.wanted && link.heard.is_none() {
                send(Message::Solicitation);
            }
            link.last = Some(now);
            link.next = now + if link.heard.is_some() { CALM } else { EAGER };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const US: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const THEM: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

    fn at(milliseconds: u64) -> Instant {
        Instant(milliseconds * 1_000_000)
    }

    fn schedule() -> Schedule {
        let mut schedule = Schedule::default();
        schedule.set_links(at(0), &BTreeMap::from([(7, (US, true))]));
        schedule
    }

    fn sent(schedule: &mut Schedule, now: u64) -> Vec<Message> {
        let mut outgoing = Vec::new();
        schedule.poll(at(now), &mut outgoing);
        outgoing.into_iter().map(|sent| sent.message).collect()
    }

    #[test]
    fn eager_until_heard_then_calm() {
        let mut schedule = schedule();
        assert_eq!(sent(&mut schedule, 0), [Message::Advertisement, Message::Solicitation]);
        assert_eq!(schedule.next_timeout(), Some(at(1_000)));
        assert_eq!(schedule.hear(at(10), 7, THEM, Message::Advertisement), Some(THEM));
        assert_eq!(schedule.hear(at(20), 7, THEM, Message::Advertisement), None);
        assert_eq!(sent(&mut schedule, 1_000), [Message::Advertisement]);
        assert_eq!(schedule.next_timeout(), Some(at(11_000)));
    }

    #[test]
    fn a_solicitation_is_answered_soon_but_not_at_any_rate() {
        let mut schedule = schedule();
        sent(&mut schedule, 0);
        schedule.hear(at(10), 7, THEM, Message::Solicitation);
        assert_eq!(schedule.next_timeout(), Some(at(200)));
        sent(&mut schedule, 200);
        schedule.hear(at(900), 7, THEM, Message::Solicitation);
        assert_eq!(schedule.next_timeout(), Some(at(900)));
    }

    #[test]
    fn our_own_echo_and_other_links_are_not_heard() {
        let mut schedule = schedule();
        assert_eq!(schedule.hear(at(0), 7, US, Message::Advertisement), None);
        assert_eq!(schedule.hear(at(0), 8, THEM, Message::Advertisement), None);
    }

    #[test]
    fn a_link_that_stays_is_not_asked_again() {
        let mut schedule = schedule();
        schedule.hear(at(0), 7, THEM, Message::Advertisement);
        schedule.set_links(at(5), &BTreeMap::from([(7, (US, true)), (9, (US, false))]));
        assert_eq!(schedule.hear(at(10), 7, THEM, Message::Advertisement), None);
        schedule.set_links(at(20), &BTreeMap::new());
        assert_eq!(schedule.next_timeout(), None);
    }

    #[test]
    fn what_is_sent_parses_and_what_was_forwarded_does_not() {
        for message in [Message::Solicitation, Message::Advertisement] {
            assert_eq!(Message::parse(message.bytes(), US, 255), Some(message));
            assert_eq!(Message::parse(message.bytes(), US, 254), None);
        }
        let global = "2001:db8::1".parse().unwrap();
        assert_eq!(Message::parse(Message::Advertisement.bytes(), global, 255), None);
        let mut with_empty_option = Message::Advertisement.bytes().to_vec();
        with_empty_option.extend([1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Message::parse(&with_empty_option, US, 255), None);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            Message::parse(&bytes, US, 255);
        }
    }
}
