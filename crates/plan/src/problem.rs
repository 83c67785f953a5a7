//! What is wrong with a file, as types: a problem knows where and why, never in which words.
//! The words are in [`crate::explain`].

use crate::declaration::keys::Kind;
use std::ops::Range;

/// One thing that is wrong, or that is better said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// Bytes of the file.
    pub span: Range<usize>,
    pub kind: ProblemKind,
    /// Another place in the file that it has to do with: the first of two that collide.
    pub other: Option<Range<usize>>,
}

impl Problem {
    pub fn new(span: Range<usize>, kind: ProblemKind) -> Problem {
        Problem { span, kind, other: None }
    }

    pub fn with_other(self, other: Range<usize>) -> Problem {
        Problem { other: Some(other), ..self }
    }

    pub fn severity(&self) -> Severity {
        self.kind.severity()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The network runs, and somebody should know.
    Warning,
}

/// What a TOML value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    Text,
    Integer,
    Float,
    Flag,
    Date,
    List,
    Table,
}

/// Lines of an arithmetic that a person can follow, in both languages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arithmetic {
    pub en: Vec<String>,
    pub ja: Vec<String>,
}

/// Why.
#[derive(Debug, Clone, PartialEq)]
pub enum ProblemKind {
    /// Not TOML; the library's words.
    Syntax {
        message: String,
    },
    /// `table` as in messages.
    UnknownKey {
        table: &'static str,
        key: String,
        suggestion: Option<&'static str>,
    },
    MissingKey {
        table: &'static str,
        name: String,
        key: &'static str,
    },
    WrongType {
        expected: Kind,
        found: Found,
    },
    /// A word that is none of those that are known.
    UnknownWord {
        word: String,
        known: &'static [&'static str],
        suggestion: Option<&'static str>,
    },
    OutOfRange {
        least: u64,
        most: u64,
    },
    BadName {
        name: String,
    },
    BadPort {
        text: String,
    },
    BadPortRef {
        text: String,
    },
    BadPrefix {
        text: String,
    },
    BadAddress {
        text: String,
    },
    /// An address where a prefix is meant.
    HostBits {
        network: String,
    },
    /// A pair has two.
    NotAPair {
        count: usize,
    },
    EmptyList,
    /// By the compiler's arithmetic: a full inside packet becomes more than two outer ones.
    TooManyPackets {
        link: String,
        mtu: u16,
        packets: u32,
        arithmetic: Arithmetic,
    },
    /// By the compiler's arithmetic: a full packet of a segment does not fit a link.
    SegmentTooSmall {
        segment: String,
        needs: u32,
        has: u32,
        arithmetic: Arithmetic,
    },
}

impl ProblemKind {
    pub fn severity(&self) -> Severity {
        Severity::Error
    }
}
