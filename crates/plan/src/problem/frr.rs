//! What FRR cannot do in our speaker's place.

use serde::Serialize;

/// FRR: asked for at a router that has something which only the embedded speaker does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FrrProblem {
    /// Hosts of a segment attach at the router.
    FrrCarriesSegment { router: String, segment: String },
    /// Other routers carry a segment between them, and its routes would pass through this one.
    FrrPassesSegment { router: String, segment: String },
    /// Its routes would not be validated.
    FrrValidatesNothing { router: String, peer: String },
    /// Collectors would be told nothing of its sessions.
    FrrTellsNoCollector { router: String },
    /// More prefixes are listed at it than FRR reads in a reasonable time.
    FrrListsTooMuch { router: String, prefixes: usize, most: usize },
    /// A peer is to be told several paths to a prefix, of which FRR tells all: also those of whom they go back to.
    FrrTellsOnePath { router: String, peer: String },
    /// Watched over several hops.
    FrrWatchesOneHop { router: String, peer: String },
}
