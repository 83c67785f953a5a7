//! What is wrong with how neighbours are watched.

use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum BfdProblem {
    /// It says how, and nothing says that it is watched at all.
    WithoutBfd { key: &'static str },
    /// Several hops are allowed for BFD, and none for BGP.
    MultihopWithGtsm,
}
