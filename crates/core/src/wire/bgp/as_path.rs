//! AS_PATH (RFC 4271 4.3 b, RFC 6793): the autonomous systems that a route has come through.

use crate::id::Asn;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

const SET: u8 = 1;
const SEQUENCE: u8 = 2;
/// A segment's count is one byte.
const SEGMENT_MAX: usize = 255;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// In order, the nearest first. Never empty.
    Sequence(Box<[Asn]>),
    /// In no order, from aggregation. Never empty, at most 255.
    Set(Box<[Asn]>),
}

/// Neighbouring sequences are one: how the wire cuts them means nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AsPath(Box<[Segment]>);

impl AsPath {
    pub fn empty() -> AsPath {
        AsPath::default()
    }

    pub fn sequence(asns: impl IntoIterator<Item = Asn>) -> AsPath {
        AsPath::from_segments([Segment::Sequence(asns.into_iter().collect())])
    }

    /// Empty segments are left out, neighbouring sequences joined.
    pub fn from_segments(segments: impl IntoIterator<Item = Segment>) -> AsPath {
        let mut joined: Vec<Segment> = Vec::new();
        for segment in segments {
            match (joined.last_mut(), segment) {
                (_, Segment::Sequence(asns) | Segment::Set(asns)) if asns.is_empty() => {}
                (Some(Segment::Sequence(before)), Segment::Sequence(asns)) => {
                    *before = before.iter().chain(&asns).copied().collect();
                }
                (_, segment) => joined.push(segment),
            }
        }
        AsPath(joined.into_boxed_slice())
    }

    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The length by which paths are compared: a set counts as one (RFC 4271 9.1.2.2 a).
    pub fn length(&self) -> usize {
        self.0
            .iter()
            .map(|segment| match segment {
                Segment::Sequence(asns) => asns.len(),
                Segment::Set(_) => 1,
            })
            .sum()
    }

    /// Every AS number, those of sets included.
    pub fn asns(&self) -> impl Iterator<Item = Asn> + '_ {
        self.0.iter().flat_map(|segment| match segment {
            Segment::Sequence(asns) | Segment::Set(asns) => asns.iter().copied(),
        })
    }

    pub fn contains(&self, asn: Asn) -> bool {
        self.asns().any(|found| found == asn)
    }

    pub fn has_set(&self) -> bool {
        self.0.iter().any(|segment| matches!(segment, Segment::Set(_)))
    }

    /// The neighbouring AS: the first number, unless a set stands there.
    pub fn first(&self) -> Option<Asn> {
        match self.0.first()? {
            Segment::Sequence(asns) => asns.first().copied(),
            Segment::Set(_) => None,
        }
    }

    /// `asn` stands in front `times` more times.
    #[must_use]
    pub fn prepended(&self, asn: Asn, times: usize) -> AsPath {
        let front = Segment::Sequence(core::iter::repeat_n(asn, times).collect());
        AsPath::from_segments(core::iter::once(front).chain(self.0.iter().cloned()))
    }

    /// Without the numbers that `strip` says.
    #[must_use]
    pub fn without(&self, strip: impl Fn(Asn) -> bool) -> AsPath {
        let keep = |asns: &[Asn]| asns.iter().copied().filter(|&asn| !strip(asn)).collect::<Box<[Asn]>>();
        AsPath::from_segments(self.0.iter().map(|segment| match segment {
            Segment::Sequence(asns) => Segment::Sequence(keep(asns)),
            Segment::Set(asns) => Segment::Set(keep(asns)),
        }))
    }

    /// RFC 6793 4.2.3: what a two-octet neighbour's AS_PATH lost stands in its AS4_PATH.
    #[must_use]
    pub(super) fn merged_with(self, as4: AsPath) -> AsPath {
        let Some(mut leading) = self.length().checked_sub(as4.length()) else { return self };
        let mut front = Vec::new();
        for segment in &self.0 {
            match segment {
                _ if leading == 0 => break,
                Segment::Sequence(asns) => {
                    let take = leading.min(asns.len());
                    front.push(Segment::Sequence(asns[..take].into()));
                    leading -= take;
                }
                Segment::Set(_) => {
                    front.push(segment.clone());
                    leading -= 1;
                }
            }
        }
        AsPath::from_segments(front.into_iter().chain(as4.0))
    }

    /// Whether two octets are enough for every number.
    pub(super) fn fits_two_octets(&self) -> bool {
        self.asns().all(|asn| asn.0 <= 0xffff)
    }

    /// `None` if a segment is empty, overruns, or is of a kind that has no place between ASes
    /// (RFC 7606 7.2, RFC 5065).
    pub(super) fn parse(mut field: &[u8], four_octet: bool) -> Option<AsPath> {
        let width = if four_octet { 4 } else { 2 };
        let mut segments = Vec::new();
        while !field.is_empty() {
            let (&[kind, count], rest) = field.split_first_chunk::<2>()?;
            let (numbers, rest) = rest.split_at_checked(usize::from(count) * width)?;
            let asns: Box<[Asn]> = numbers
                .chunks_exact(width)
                .map(|number| Asn(number.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte))))
                .collect();
            segments.push(match kind {
                _ if asns.is_empty() => return None,
                SET => Segment::Set(asns),
                SEQUENCE => Segment::Sequence(asns),
                _ => return None,
            });
            field = rest;
        }
        Some(AsPath::from_segments(segments))
    }

    /// With two octets a larger number is written as AS_TRANS.
    pub(super) fn emit(&self, four_octet: bool, out: &mut Vec<u8>) {
        for segment in &self.0 {
            let (kind, asns) = match segment {
                Segment::Sequence(asns) => (SEQUENCE, asns),
                Segment::Set(asns) => (SET, asns),
            };
            for part in asns.chunks(SEGMENT_MAX) {
                // At most 255, by the size of the chunks.
                out.extend_from_slice(&[kind, part.len() as u8]);
                for asn in part {
                    if four_octet {
                        out.extend_from_slice(&asn.0.to_be_bytes());
                    } else {
                        let short = u16::try_from(asn.0).unwrap_or(Asn::TRANS.0 as u16);
                        out.extend_from_slice(&short.to_be_bytes());
                    }
                }
            }
        }
    }
}

impl fmt::Display for AsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for segment in &self.0 {
            f.write_str(separator)?;
            let (open, between, close, asns) = match segment {
                Segment::Sequence(asns) => ("", " ", "", asns),
                Segment::Set(asns) => ("{", ",", "}", asns),
            };
            f.write_str(open)?;
            for (at, asn) in asns.iter().enumerate() {
                write!(f, "{}{}", if at == 0 { "" } else { between }, asn.0)?;
            }
            f.write_str(close)?;
            separator = " ";
        }
        Ok(())
    }
}
