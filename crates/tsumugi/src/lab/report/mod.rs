//! What `lab verify` found: one row per proof and subject, for people and for programs.

mod finding;
mod segment_finding;
mod segment_words;
mod table;
mod words;

pub use finding::{Finding, Place};
pub use segment_finding::SegmentFinding;
pub use table::{row_line, table};
pub use tsumugi_plan::explain::Lang;

use clap::ValueEnum;
use serde::{Serialize, Serializer};
use std::time::Duration;

/// The proofs, in the order in which they are made: those that break something come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProofId {
    Sessions,
    Loopbacks,
    Addresses,
    Traceroute,
    TwoPackets,
    OnePacketTcp,
    Walls,
    Segments,
    SegmentIsolation,
    FloodOnce,
    MacMove,
    LoopGuard,
    Outside,
    Planes,
    Gateway,
    Cut,
}

impl ProofId {
    pub const ALL: [ProofId; 16] = [
        ProofId::Sessions,
        ProofId::Loopbacks,
        ProofId::Addresses,
        ProofId::Traceroute,
        ProofId::TwoPackets,
        ProofId::OnePacketTcp,
        ProofId::Walls,
        ProofId::Segments,
        ProofId::SegmentIsolation,
        ProofId::FloodOnce,
        ProofId::MacMove,
        ProofId::LoopGuard,
        ProofId::Outside,
        ProofId::Planes,
        ProofId::Gateway,
        ProofId::Cut,
    ];

    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            ProofId::Sessions => "sessions",
            ProofId::Loopbacks => "loopbacks",
            ProofId::Addresses => "addresses",
            ProofId::Traceroute => "traceroute",
            ProofId::TwoPackets => "two-packets",
            ProofId::OnePacketTcp => "one-packet-tcp",
            ProofId::Walls => "walls",
            ProofId::Segments => "segments",
            ProofId::SegmentIsolation => "segment-isolation",
            ProofId::FloodOnce => "flood-once",
            ProofId::MacMove => "mac-move",
            ProofId::LoopGuard => "loop-guard",
            ProofId::Gateway => "gateway",
            ProofId::Outside => "outside",
            ProofId::Planes => "planes",
            ProofId::Cut => "cut",
        }
    }
}

/// What held, or why it did not.
pub type Verdict = Result<Finding, Finding>;

/// One subject of one proof.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: ProofId,
    pub subject: String,
    pub verdict: Verdict,
}

impl Row {
    pub fn new(id: ProofId, subject: impl Into<String>, verdict: Verdict) -> Row {
        Row { id, subject: subject.into(), verdict }
    }

    pub fn holds(&self) -> bool {
        self.verdict.is_ok()
    }

    pub fn finding(&self) -> &Finding {
        match &self.verdict {
            Ok(finding) | Err(finding) => finding,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Report {
    pub rows: Vec<Row>,
    /// Of everything: building, proving and, if it was, taking down.
    pub took: Duration,
}

impl Report {
    /// A report of nothing has proven nothing.
    pub fn holds(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(Row::holds)
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Plain<'a> {
            id: ProofId,
            subject: &'a str,
            ok: bool,
            measured: String,
        }
        let measured = self.finding().words(Lang::En);
        Plain { id: self.id, subject: &self.subject, ok: self.holds(), measured }.serialize(serializer)
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Plain<'a> {
            ok: bool,
            seconds: f64,
            proofs: &'a [Row],
        }
        // Tenths are what anybody can use.
        let seconds = (self.took.as_secs_f64() * 10.0).round() / 10.0;
        Plain { ok: self.holds(), seconds, proofs: &self.rows }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_for_programs() {
        let rows = vec![
            Row::new(ProofId::TwoPackets, "a-b", Ok(Finding::NothingToProve)),
            Row::new(ProofId::Cut, "a-b", Err(Finding::Failed("no nft".into()))),
        ];
        let report = Report { rows, took: Duration::from_millis(1234) };
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            r#"{"ok":false,"seconds":1.2,"proofs":[{"id":"two-packets","subject":"a-b","ok":true,"measured":"the file has none"},{"id":"cut","subject":"a-b","ok":false,"measured":"not measured: no nft"}]}"#
        );
        assert!(!Report { rows: Vec::new(), took: Duration::ZERO }.holds());
    }

    #[test]
    fn names_are_those_of_the_documents() {
        for id in ProofId::ALL {
            assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{}\"", id.name()));
            assert_eq!(id.to_possible_value().unwrap().get_name(), id.name());
        }
    }
}
