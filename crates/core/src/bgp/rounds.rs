//! Which of a neighbour's routes count, without a look at each: every telling of a whole family is a round
//! with a number, a path carries the number of the round that brought it, and what is of a round before the
//! oldest that counts is gone, though it may stand in the table for a moment.

use super::status::FamilyCounts;
use crate::wire::bgp::AfiSafi;

#[derive(Debug, Clone, Copy, Default)]
struct Round {
    current: u32,
    /// What is older is gone.
    oldest: u32,
    /// Routes of the current round.
    fresh: u32,
    /// Routes of earlier ones that count still.
    stale: u32,
}

/// Of one neighbour.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rounds {
    ipv4: Round,
    ipv6: Round,
    evpn: Round,
}

impl Rounds {
    fn of(&self, family: AfiSafi) -> Option<&Round> {
        match family {
            AfiSafi::IPV4_UNICAST => Some(&self.ipv4),
            AfiSafi::IPV6_UNICAST => Some(&self.ipv6),
            AfiSafi::EVPN => Some(&self.evpn),
            _ => None,
        }
    }

    fn of_mut(&mut self, family: AfiSafi) -> Option<&mut Round> {
        match family {
            AfiSafi::IPV4_UNICAST => Some(&mut self.ipv4),
            AfiSafi::IPV6_UNICAST => Some(&mut self.ipv6),
            AfiSafi::EVPN => Some(&mut self.evpn),
            _ => None,
        }
    }

    /// The round that what is told now belongs to.
    pub fn current(&self, family: AfiSafi) -> u32 {
        self.of(family).map_or(0, |it| it.current)
    }

    /// All that was told until now is of an earlier telling.
    pub fn begin(&mut self, family: AfiSafi) {
        if let Some(it) = self.of_mut(family) {
            it.current += 1;
            it.stale += core::mem::take(&mut it.fresh);
        }
    }

    /// What is of an earlier telling is gone. True if there is such a thing.
    pub fn end(&mut self, family: AfiSafi) -> bool {
        let Some(it) = self.of_mut(family) else { return false };
        it.oldest = it.current;
        core::mem::take(&mut it.stale) > 0
    }

    pub fn is_gone(&self, family: AfiSafi, round: u32) -> bool {
        self.of(family).is_none_or(|it| round < it.oldest)
    }

    pub fn is_stale(&self, family: AfiSafi, round: u32) -> bool {
        self.of(family).is_none_or(|it| round < it.current)
    }

    /// A route of the round `before`, or none, has made place for one of the current round, or for none.
    pub fn replaced(&mut self, family: AfiSafi, before: Option<u32>, there: bool) {
        let Some(it) = self.of_mut(family) else { return };
        match before {
            Some(round) if round >= it.current => it.fresh = it.fresh.saturating_sub(1),
            Some(round) if round >= it.oldest => it.stale = it.stale.saturating_sub(1),
            _ => {}
        }
        it.fresh += u32::from(there);
    }

    /// Routes that count.
    pub fn counts(&self) -> FamilyCounts {
        self.by_family(|it| it.fresh + it.stale)
    }

    /// Those of earlier tellings that count still.
    pub fn stale(&self) -> FamilyCounts {
        self.by_family(|it| it.stale)
    }

    /// What counts towards a limit: while it tells anew, with other identifiers perhaps (RFC 7911), what it tells does
    /// not stand beside what it told before.
    pub fn limited(&self) -> FamilyCounts {
        self.by_family(|it| it.fresh.max(it.stale))
    }

    fn by_family(&self, count: impl Fn(&Round) -> u32) -> FamilyCounts {
        FamilyCounts { ipv4: count(&self.ipv4), ipv6: count(&self.ipv6), evpn: count(&self.evpn) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_told_again_is_gone() {
        let (mut rounds, family) = (Rounds::default(), AfiSafi::IPV4_UNICAST);
        let first = rounds.current(family);
        (0..3).for_each(|_| rounds.replaced(family, None, true));
        rounds.begin(family);
        assert!(rounds.is_stale(family, first) && !rounds.is_gone(family, first));
        // One is told again, one withdrawn.
        rounds.replaced(family, Some(first), true);
        rounds.replaced(family, Some(first), false);
        assert_eq!(rounds.counts().ipv4, 2);
        assert!(rounds.end(family));
        assert!(rounds.is_gone(family, first) && !rounds.is_stale(family, rounds.current(family)));
        assert_eq!(rounds.counts().ipv4, 1);
        // What is gone is counted no more.
        rounds.replaced(family, Some(first), true);
        assert_eq!(rounds.counts().ipv4, 2);
        assert!(!rounds.end(family));
    }
}
