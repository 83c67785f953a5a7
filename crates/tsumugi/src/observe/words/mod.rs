//! Words for what happens while a router runs: each reason once, in English and Japanese.

pub mod bfd;
mod bgp;
mod bmp;
mod change;
mod drops;
mod frr;
mod parts;
mod path;
pub mod restart;
mod rpki;
mod segments;
mod show;

pub use bgp::{
    attribute_error, evpn_refusal, import_refusal, notice, notification_words, refused_connection,
    session_end, session_state,
};
pub use bmp::collector_end;
pub use change::{session_change, session_terms, waits};
pub use drops::{overlay_drop, tunnel_drop, wall_drop};
pub use frr::{frr_decides, frr_trouble, table_is_frrs};
pub use parts::{
    engine, far_end, handover_refused, line_path, management_trouble, missing, plan_refused, shortcut,
    tunnel_state,
};
pub use path::{measured_path, probe_refused, probe_stage, unanswered, void_path};
pub use rpki::{cache_end, cache_state, own_validity, payloads, rpki_notice, slurm_trouble};
pub use segments::{block_reason, dhcp_trouble, route_refusal, segment_notice};
pub use show::{add_paths, lost, not_told, origin, role, won};
