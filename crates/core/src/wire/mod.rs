//! Bytes on the wire: a view for bytes, a `Repr` for meaning; what encodes also decodes.

pub mod bgp;
