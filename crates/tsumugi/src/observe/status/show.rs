//! What is asked and said over `show.sock`: a question, then lines of answer, the last of which says so.

use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use tsumugi_core::bgp::{NeighbourStatus, ReceivedRoute, RefusedBy, RestartStatus, RouteReport, SentRoute};
use tsumugi_core::id::{Asn, Prefix};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "show")]
pub enum ShowQuestion {
    /// Every session in short.
    Bgp,
    /// `exact`: this prefix; else whatever holds all of it, which is how an address is asked for.
    Route { prefix: Prefix, exact: bool },
    /// Of a neighbour, or of all sessions of a peer.
    Table { which: Table, neighbour: String },
    /// The whole table as MRT.
    Dump,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Table {
    /// What it has told, taken or refused.
    Received,
    /// What of it we refuse.
    Rejected,
    /// What it was told.
    Sent,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "said")]
pub enum ShowSaid {
    Bgp(Box<BgpSaid>),
    Route(Box<RouteSaid>),
    /// A part of what a neighbour has told.
    Received {
        neighbour: String,
        routes: Vec<ReceivedRoute>,
    },
    /// A part of what it was told.
    Sent {
        neighbour: String,
        routes: Vec<SentRoute>,
    },
    /// One neighbour is through; `beyond`: refusals of which nothing is kept.
    Through {
        neighbour: String,
        beyond: u64,
    },
    /// Bytes of an MRT file, as base64; where they are cut means nothing.
    Dump {
        base64: String,
    },
    /// The file is complete.
    Dumped {
        prefixes: u32,
        routes: u64,
    },
    End,
    /// Nobody is called so; these are the names.
    NoSuchNeighbour {
        names: Vec<String>,
    },
    /// FRR speaks BGP here and has the table; `sockets`: the folder where it is asked.
    OfFrr {
        router: String,
        sockets: PathBuf,
    },
    /// It is no question that this process knows.
    NotUnderstood,
}

impl ShowSaid {
    /// Whether nothing follows.
    pub fn is_last(&self) -> bool {
        !matches!(
            self,
            ShowSaid::Received { .. }
                | ShowSaid::Sent { .. }
                | ShowSaid::Through { .. }
                | ShowSaid::Dump { .. }
        )
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BgpSaid {
    pub router: String,
    pub router_id: Ipv4Addr,
    pub asn: Asn,
    pub public_asn: Asn,
    /// Of a restart of this process: for whom it waits.
    #[serde(default)]
    pub restart: Option<RestartStatus>,
    pub neighbours: Vec<NeighbourStatus>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteSaid {
    pub asked: Prefix,
    pub exact: bool,
    /// By which route packets to it go: what is asked for, or the longest that holds all of it.
    pub covering: Option<Prefix>,
    /// Of `covering`; without one, of what is asked for.
    pub report: RouteReport,
    /// What holds all of what was asked for and is refused, the shortest first.
    pub refused: Vec<RefusedBy>,
    /// Why the route does not stand in the kernel, in its words.
    pub missing: Option<String>,
}
