//! The proofs: one file each. They look at captures and traffic, never at a router's own word; only
//! `sessions` asks.

mod addresses;
mod context;
mod cut;
mod graph;
mod loopbacks;
mod one_packet_tcp;
mod outside;
mod planes;
mod segments;
mod sessions;
mod traceroute;
mod two_packets;
mod walls;

pub use context::Context;

use super::report::{ProofId, Row};

/// Makes one proof: a row for each of its subjects.
pub fn prove(id: ProofId, context: &Context) -> Vec<Row> {
    match id {
        ProofId::Sessions => sessions::prove(context),
        ProofId::Addresses => addresses::prove(context),
        ProofId::Traceroute => traceroute::prove(context),
        ProofId::OnePacketTcp => one_packet_tcp::prove(context),
        ProofId::Loopbacks => loopbacks::prove(context),
        ProofId::TwoPackets => two_packets::prove(context),
        ProofId::Planes => planes::prove(context),
        ProofId::Cut => cut::prove(context),
        ProofId::Walls => walls::prove(context),
        ProofId::Segments => segments::prove_stretch(context),
        ProofId::SegmentIsolation => segments::prove_isolation(context),
        ProofId::FloodOnce => segments::prove_flood(context),
        ProofId::MacMove => segments::prove_move(context),
        ProofId::LoopGuard => segments::prove_loop(context),
        ProofId::Gateway => segments::prove_gateway(context),
        ProofId::Outside => outside::prove(context),
    }
}
