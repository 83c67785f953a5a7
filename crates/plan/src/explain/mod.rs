//! Words for people, in English and Japanese.

pub mod mtu;
pub mod plan;

/// The languages that tsumugi speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    En,
    Ja,
}
